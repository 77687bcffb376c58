//! The loop of a serving process: fires what is due, takes what is free, tells who must be told.

use super::Scheduler;
use crate::Arrival;
use crate::alert::deliver_due;
use crate::arrival::Look;
use crate::context::Stop;
use crate::trigger::Trigger;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use windlass_state::{Fired, JobRow, NewRun};
use windlass_types::{Cause, Error, ErrorCode, Level, Missed, Result};

/// A time that is found this late was missed: nobody was there.
const MISSED: TimeDelta = TimeDelta::seconds(60);

/// How often a process says that it is there.
const PRESENCE: TimeDelta = TimeDelta::seconds(15);

/// How often old runs are deleted.
const PRUNE: TimeDelta = TimeDelta::hours(1);

/// How many jobs or runs one look at the store brings.
const BATCH: u32 = 200;

/// How many alerts one look at the store brings.
const ALERTS: u32 = 16;

/// The state of the looks at one job's folder.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LookState {
    pub(super) looking: bool,
    pub(super) failing: bool,
}

impl Scheduler {
    /// Fires triggers and takes runs until `cancel`; then asks its runs to stop and gives back
    /// those that do not end in time. Failures of the store are waited out.
    pub async fn run_until(&self, cancel: CancellationToken) -> Result<()> {
        self.0.looping.store(true, Ordering::Relaxed);
        info!(owner = self.0.owner, "scheduler begins");
        let alerts = tokio::spawn(self.clone().deliver_until(cancel.clone()));
        let mut present_at: Option<DateTime<Utc>> = None;
        let mut pruned_at: Option<DateTime<Utc>> = None;
        while !cancel.is_cancelled() {
            let woken = self.0.wake.notified();
            let now = self.now();
            if present_at.is_none_or(|at| now >= at + PRESENCE) {
                present_at = Some(now);
                logged("say that it is there", self.store().present(&self.0.owner, now).await);
            }
            if pruned_at.is_none_or(|at| now >= at + PRUNE) {
                let keep = TimeDelta::days(i64::from(self.0.options.keep_days));
                let pruned = self.store().prune_runs(now - keep).await;
                // A full batch says that there are more.
                if !matches!(pruned, Ok(100..)) {
                    pruned_at = Some(now);
                }
                logged("delete old runs", pruned.map(drop));
            }
            logged("fire triggers", self.fire_due(now).await);
            logged("take runs", self.take_free(now).await);
            tokio::select! {
                () = cancel.cancelled() => break,
                () = woken => {}
                () = self.0.options.clock.sleep(self.0.options.poll) => {}
            }
        }
        self.stop_all().await;
        let _ = alerts.await;
        logged("say that it is gone", self.store().absent(&self.0.owner).await);
        self.0.looping.store(false, Ordering::Relaxed);
        info!("scheduler ended");
        Ok(())
    }

    /// Asks every run of this process to stop and gives each back; also what a command does when
    /// it is interrupted and the run should go on later.
    pub async fn stop_all(&self) {
        loop {
            let woken = self.0.wake.notified();
            let inners: Vec<_> = self.running().values().cloned().collect();
            if inners.is_empty() {
                return;
            }
            for inner in inners {
                inner.stop(Stop::Shutdown);
            }
            woken.await;
        }
    }

    async fn deliver_until(self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            let settings = &self.0.options.alerts;
            logged(
                "deliver alerts",
                deliver_due(self.store(), settings, self.0.options.clock.as_ref(), ALERTS)
                    .await
                    .map(drop),
            );
            tokio::select! {
                () = cancel.cancelled() => {}
                () = self.0.options.clock.sleep(self.0.options.poll) => {}
            }
        }
    }

    /// Delivers alerts that are due where this process runs no loop that does; none is begun after
    /// `most`. What cannot be delivered now is a warning in the log of its run, and waits for the next
    /// time or for a process that serves.
    pub async fn deliver(&self, most: Duration) -> Result<()> {
        if self.0.looping.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (settings, clock) = (&self.0.options.alerts, self.0.options.clock.as_ref());
        let end = self.now() + TimeDelta::from_std(most).unwrap_or(TimeDelta::zero());
        loop {
            // One by one: none is taken and then not tried.
            let tried = deliver_due(self.store(), settings, clock, 1).await?;
            for (run, why) in &tried {
                if let Some(why) = why {
                    let text = format!("an alert is not delivered yet: {why}");
                    self.store().add_event(*run, self.now(), Level::Warning, &text).await?;
                }
            }
            if tried.is_empty() || self.now() >= end {
                return Ok(());
            }
        }
    }

    async fn take_free(&self, now: DateTime<Utc>) -> Result<()> {
        let here = self.running().len();
        if here >= self.0.options.max_runs {
            return Ok(());
        }
        let known = self.0.options.kinds.words();
        let mut free = self.0.options.max_runs - here;
        for (run, kind) in self.store().free_runs(now, BATCH).await? {
            if free == 0 {
                break;
            }
            if known.contains(&kind.as_str()) && self.take(run).await? {
                free -= 1;
            }
        }
        Ok(())
    }

    /// Fires each job whose time has come.
    pub(super) async fn fire_due(&self, now: DateTime<Utc>) -> Result<()> {
        for job in self.store().due_jobs(now, BATCH).await? {
            if let Err(error) = self.fire(&job, now).await {
                warn!(job = %job.name, error = error.chain(), "cannot fire a job");
            }
        }
        Ok(())
    }

    async fn fire(&self, job: &JobRow, now: DateTime<Utc>) -> Result<()> {
        let trigger = match self.trigger(job) {
            Ok(trigger) => trigger,
            Err(error) => {
                // Not again at once; a newer process may know it.
                let later = Some(now + TimeDelta::minutes(5));
                self.store().fire_job(job, later, None, None, now).await?;
                return Err(error);
            }
        };
        let next = trigger.next_after(now, job.created);
        if let Trigger::Arrival(arrival) = trigger {
            return self.look(job, arrival, next, now).await;
        }
        let at = job.next_fire.unwrap_or(now);
        let late = now - at;
        let missed = (late > MISSED).then(|| {
            Error::new(
                ErrorCode::RunLost,
                format!("nobody was there at {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
            )
            .hint("MISSED = RUN_ONCE makes up for missed times with one run")
        });
        let detail = if missed.is_some() {
            json!({ "late_seconds": late.num_seconds() })
        } else {
            Value::Null
        };
        let skip = missed.filter(|_| job.policy.missed == Missed::Skip);
        let run = NewRun::of_job(job, trigger.cause(), at, detail);
        let fired = self.store().fire_job(job, next, Some(run), skip.as_ref(), now).await?;
        debug!(job = %job.name, ?fired, "fired");
        Ok(())
    }

    /// Looks at a folder beside the loop; one look at a time.
    async fn look(
        &self,
        job: &JobRow,
        arrival: Arrival,
        next: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if self.0.options.arrivals.is_none() || self.looks().get(&job.id).is_some_and(|l| l.looking)
        {
            return Ok(());
        }
        if self.store().fire_job(job, next, None, None, now).await? == Fired::Lost {
            return Ok(());
        }
        self.looks().entry(job.id).or_default().looking = true;
        let (scheduler, job) = (self.clone(), job.clone());
        tokio::spawn(async move {
            let result = scheduler.look_now(&job, &arrival).await;
            let failing = result.is_err();
            let before = {
                let mut looks = scheduler.looks();
                let state = looks.entry(job.id).or_default();
                let before = state.failing;
                *state = LookState { looking: false, failing };
                before
            };
            if let Err(error) = result {
                warn!(job = %job.name, error = error.chain(), "cannot look for arrived files");
                if !before {
                    // Said once, where people look: in the history of the job.
                    let now = scheduler.now();
                    let run = NewRun::of_job(&job, Cause::Arrival, now, Value::Null);
                    logged(
                        "note a failed look",
                        scheduler.store().skip_run(run, &error, now).await,
                    );
                }
            }
            scheduler.0.wake.notify_one();
        });
        Ok(())
    }

    fn looks(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<windlass_types::JobId, LookState>>
    {
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the folder of a job and fires it if something is new.
    pub(super) async fn look_now(&self, job: &JobRow, arrival: &Arrival) -> Result<()> {
        let Some(source) = &self.0.options.arrivals else { return Ok(()) };
        // Read before the list, so that whoever notes something meanwhile wins.
        let job = self.store().job_by_id(job.id).await?;
        let seen = self.store().seen(job.id).await?;
        let mut look = Look::begin(arrival, &seen, self.now());
        drop(seen);
        source.list(job.fabric, arrival, &mut |file| look.found(file)).await?;
        let seen = look.end();
        // What the first look finds may not count, and then even nothing must be noted.
        let baseline = job.seen_version == 0 && !arrival.existing;
        if seen.changed.is_empty() && !baseline {
            return Ok(());
        }
        let now = self.now();
        let new = seen.arrived > 0 && !baseline;
        let run = new.then(|| {
            let detail = json!({ "arrived": seen.arrived, "first": seen.first });
            NewRun::of_job(&job, Cause::Arrival, now, detail)
        });
        let fired = self.store().arrive(&job, &seen.changed, run, now).await?;
        debug!(job = %job.name, arrived = seen.arrived, ?fired, "looked");
        Ok(())
    }
}

/// Logs a failure and goes on.
fn logged(doing: &str, result: Result<()>) {
    if let Err(error) = result {
        warn!(error = error.chain(), "cannot {doing}");
    }
}
