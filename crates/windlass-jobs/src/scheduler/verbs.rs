//! What people ask for: make, change, pause, drop, run, cancel, wait.

use super::{Created, JobSpec, OneOff, Scheduler, SchedulerOptions, State};
use crate::alert::Alert;
use crate::context::{Observer, Stop};
use crate::trigger::Trigger;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use windlass_state::{JobRow, NewJob, NewRun, RunRow};
use windlass_types::{
    Cause, Error, ErrorCode, FabricId, JobState, Name, Overlap, Result, RunId, RunState,
};

/// A `serve` process that was last heard of longer ago than this is not there.
const PRESENT: TimeDelta = TimeDelta::seconds(60);

impl Scheduler {
    /// A scheduler; does nothing until asked to.
    pub fn new(options: SchedulerOptions) -> Self {
        let owner = format!("{}#{}", options.owner, uuid::Uuid::new_v4().simple());
        Self(Arc::new(State {
            options,
            owner,
            running: Mutex::new(BTreeMap::new()),
            observers: Mutex::default(),
            wake: Notify::new(),
            looping: AtomicBool::new(false),
            looks: Mutex::default(),
        }))
    }

    /// The name under which it holds leases.
    pub fn owner(&self) -> &str {
        &self.0.owner
    }

    /// Makes a job: checks payload and trigger, decides when it first fires. The answer warns when
    /// it has a trigger and no `serve` process is there to fire it.
    pub async fn create_job(&self, fabric: FabricId, spec: JobSpec) -> Result<Created> {
        let now = self.now();
        let new = self.new_job(spec, now, now)?;
        let job = self.store().create_job(fabric, new, now).await?;
        self.created(job).await
    }

    /// Changes a job that was read as `seen` to `spec`; runs that have begun go on as they were.
    /// Refused when somebody changed it meanwhile. State and history stay.
    pub async fn alter_job(&self, seen: &JobRow, spec: JobSpec) -> Result<Created> {
        let now = self.now();
        let mut new = self.new_job(spec, now, seen.created)?;
        if seen.state == JobState::Paused {
            new.next_fire = None;
        } else if serde_json::to_value(self.trigger(seen)?).ok().as_ref() == Some(&new.trigger) {
            // The same trigger keeps the time it waits for.
            new.next_fire = seen.next_fire;
        }
        let job = self.store().alter_job(seen, new, now).await?;
        self.created(job).await
    }

    /// Drops a job. Runs that go on are asked to stop; queued ones are cancelled; history stays.
    pub async fn drop_job(&self, fabric: FabricId, name: &Name) -> Result<()> {
        let job = self.store().job(fabric, name).await?;
        for run in self.store().open_runs(job.id).await? {
            match self.cancel(run.id).await {
                Err(error) if error.code() != ErrorCode::RunEnded => return Err(error),
                _ => {}
            }
        }
        self.store().drop_job(fabric, name).await
    }

    /// Stops watching the trigger of a job; what runs goes on. Doing it twice is harmless.
    pub async fn pause_job(&self, fabric: FabricId, name: &Name) -> Result<JobRow> {
        let job = self.store().job(fabric, name).await?;
        self.store().set_job_state(job.id, JobState::Paused, None, self.now()).await
    }

    /// Watches the trigger again, from now on: times that passed meanwhile were not missed.
    pub async fn resume_job(&self, fabric: FabricId, name: &Name) -> Result<Created> {
        let now = self.now();
        let job = self.store().job(fabric, name).await?;
        if job.state == JobState::Active {
            return self.created(job).await;
        }
        let next = self.trigger(&job)?.next_after(now, job.created);
        let job = self.store().set_job_state(job.id, JobState::Active, next, now).await?;
        self.created(job).await
    }

    /// Runs a job now, in this process, and returns at once; [`Scheduler::wait`] waits for it.
    /// While an earlier run goes on, the job's overlap rule decides: `skip` is an error, `queue`
    /// lets it wait (whoever is free takes it), `allow` begins.
    pub async fn run_now(
        &self,
        fabric: FabricId,
        name: &Name,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<RunId> {
        let now = self.now();
        let job = self.store().job(fabric, name).await?;
        let run = NewRun::of_job(&job, Cause::Manual, now, Value::Null);
        self.0.options.kinds.get(&job.kind)?.check(&job.payload)?;
        match self.begin(run, job.policy.overlap, observer).await? {
            (id, RunState::Skipped) => Err(Error::new(
                ErrorCode::JobRunning,
                format!("job {name} is running already"),
            )
            .hint(format!(
                "wait for it, or cancel it; `SHOW RUNS` has both, and this attempt as `{id}`"
            ))),
            (id, _) => Ok(id),
        }
    }

    /// Begins a run that has no job, in this process, and returns at once.
    pub async fn start(&self, what: OneOff, observer: Option<Arc<dyn Observer>>) -> Result<RunId> {
        let now = self.now();
        self.0.options.kinds.get(&what.kind)?.check(&what.payload)?;
        let run = NewRun {
            job: None,
            job_name: None,
            kind: what.kind,
            fabric: what.fabric,
            definition: what.definition,
            payload: what.payload,
            cause: Cause::Manual,
            detail: what.detail,
            scheduled_for: now,
            policy: what.policy,
        };
        let (id, _) = self.begin(run, Overlap::Allow, observer).await?;
        Ok(id)
    }

    /// Begins a run that has no job, or goes on with one of the same kind and payload that was
    /// interrupted: given back, or its owner fell silent or `is_dead` (asked with the owner's name,
    /// as [`Scheduler::owner`] gives it). Tells which, by true for one that goes on.
    pub async fn resume_or_start(
        &self,
        what: OneOff,
        is_dead: &(dyn Fn(&str) -> bool + Sync),
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<(RunId, bool)> {
        for row in self.store().open_one_offs(what.fabric, &what.kind).await? {
            if row.payload != what.payload || self.runs_here(row.id) {
                continue;
            }
            if let Some(owner) = row.owner.as_deref()
                && row.state == RunState::Running
                && is_dead(owner)
            {
                self.store().expire_run(row.id, owner, self.now()).await?;
            }
            self.observe(row.id, observer.clone());
            if self.take(row.id).await? {
                return Ok((row.id, true));
            }
            self.observers().remove(&row.id);
        }
        Ok((self.start(what, observer).await?, false))
    }

    /// Waits until a run has ended. Where this process runs no loop, the run's further attempts
    /// are made here.
    pub async fn wait(&self, run: RunId) -> Result<RunRow> {
        loop {
            let woken = self.0.wake.notified();
            let row = self.store().run(run).await?;
            if row.state.is_final() {
                return Ok(row);
            }
            if !self.0.looping.load(Ordering::Relaxed) && !self.runs_here(run) {
                self.take(run).await?;
            }
            tokio::select! {
                () = woken => {}
                () = self.0.options.clock.sleep(self.0.options.poll) => {}
            }
        }
    }

    /// Asks a run to stop: a queued one is cancelled at once, one that runs here stops soon, one
    /// that runs elsewhere when its owner next looks. A run that has ended is an error.
    pub async fn cancel(&self, run: RunId) -> Result<()> {
        self.store().cancel_run(run, self.now()).await?;
        if let Some(inner) = self.running().get(&run) {
            inner.stop(Stop::Cancelled);
        }
        self.0.wake.notify_waiters();
        Ok(())
    }

    /// Whether a process is there that fires triggers.
    pub async fn is_served(&self) -> Result<bool> {
        Ok(!self.store().presences(self.now() - PRESENT).await?.is_empty())
    }

    /// Reads the trigger of a stored job.
    pub fn trigger(&self, job: &JobRow) -> Result<Trigger> {
        serde_json::from_value(job.trigger.clone()).map_err(|error| {
            Error::new(
                ErrorCode::StateNewer,
                format!("the trigger of job `{}` cannot be read", job.name),
            )
            .source(error)
            .hint("it was written by a newer Windlass; use that one, or ALTER JOB")
        })
    }

    fn new_job(&self, spec: JobSpec, now: DateTime<Utc>, anchor: DateTime<Utc>) -> Result<NewJob> {
        self.0.options.kinds.get(&spec.kind)?.check(&spec.payload)?;
        spec.trigger.check()?;
        for alert in &spec.alerts {
            alert.check()?;
        }
        let json = |what: serde_json::Result<Value>| {
            what.map_err(|error| {
                Error::new(ErrorCode::Internal, "cannot write as JSON").source(error)
            })
        };
        Ok(NewJob {
            next_fire: spec.trigger.next_after(now, anchor),
            name: spec.name,
            kind: spec.kind,
            definition: spec.definition,
            payload: spec.payload,
            trigger: json(serde_json::to_value(&spec.trigger))?,
            policy: spec.policy,
            alerts: json(serde_json::to_value(&spec.alerts))?,
            connections: spec.connections,
            secrets: spec.alerts.iter().flat_map(Alert::secrets).cloned().collect(),
        })
    }

    async fn created(&self, job: JobRow) -> Result<Created> {
        let watched = job.state == JobState::Active && self.trigger(&job)?.is_watched();
        let warning = if watched && !self.is_served().await? {
            Some(format!(
                "no `windlass serve` process is there to fire the trigger of job `{}`; until one is, `RUN JOB` runs it",
                job.name
            ))
        } else {
            None
        };
        Ok(Created { job, warning })
    }
}
