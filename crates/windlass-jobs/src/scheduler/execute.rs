//! One attempt at a run: taken, watched over, ended.

use super::Scheduler;
use crate::alert::due_alerts;
use crate::context::{Inner, Observer, Reporter, RunContext, Stop};
use crate::kind::{End, JobKind, Outcome};
use crate::retry::{delay, in_words, scatter};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};
use windlass_state::{Beat, NewRun, RunClaim, RunEnd, RunRow};
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode, Level, Overlap, Result, RunId, RunState};

/// A run that was taken over more often than this kills those who take it.
const TAKEOVERS: u32 = 10;

impl Scheduler {
    /// Remembers who sees a run as it goes.
    pub(super) fn observe(&self, run: RunId, observer: Option<Arc<dyn Observer>>) {
        if let Some(observer) = observer {
            self.observers().insert(run, observer);
        }
    }

    pub(super) fn observers(
        &self,
    ) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<RunId, Arc<dyn Observer>>> {
        self.0.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a run, if it may be taken, and begins it beside the caller; whether it did.
    pub(super) async fn take(&self, run: RunId) -> Result<bool> {
        let row = self.store().run(run).await?;
        // What this process cannot do it leaves to others.
        let Ok(kind) = self.0.options.kinds.get(&row.kind) else { return Ok(false) };
        let now = self.now();
        let taken = self.store().claim_run(run, &self.0.owner, now, now + self.lease()).await?;
        let Some((row, claim)) = taken else { return Ok(false) };
        self.spawn(kind, row, claim).await?;
        Ok(true)
    }

    /// Makes a run and begins it beside the caller, unless the overlap rule is against it.
    pub(super) async fn begin(
        &self,
        new: NewRun,
        overlap: Overlap,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<(RunId, RunState)> {
        let kind = self.0.options.kinds.get(&new.kind)?;
        let (owner, now) = (&self.0.owner, self.now());
        let (id, state, taken) =
            self.store().begin_run(new, overlap, owner, now, now + self.lease()).await?;
        if !state.is_final() {
            self.observe(id, observer);
        }
        if let Some((row, claim)) = taken {
            self.spawn(kind, row, claim).await?;
        }
        Ok((id, state))
    }

    async fn spawn(&self, kind: Arc<dyn JobKind>, row: RunRow, claim: RunClaim) -> Result<()> {
        let run = row.id;
        let ends = self.store().log_ends(run).await?;
        let observer = self.observers().get(&run).cloned();
        let inner = Arc::new(Inner {
            store: Arc::clone(&self.0.options.store),
            claim,
            clock: Arc::clone(&self.0.options.clock),
            token: CancellationToken::new(),
            stop: Mutex::new(None),
            reporter: Reporter::new(ends, row.progress, observer),
        });
        self.running().insert(run, Arc::clone(&inner));
        let scheduler = self.clone();
        let span = info_span!("run.execute", %run, kind = row.kind, attempt = row.attempt);
        tokio::spawn(
            async move {
                scheduler.execute(kind, row, claim, &inner).await;
                scheduler.running().remove(&run);
                scheduler.0.wake.notify_waiters();
                // The loop may be between two waits.
                scheduler.0.wake.notify_one();
            }
            .instrument(span),
        );
        Ok(())
    }

    fn lease(&self) -> TimeDelta {
        TimeDelta::from_std(self.0.options.lease).unwrap_or(TimeDelta::seconds(30))
    }

    async fn execute(
        &self,
        kind: Arc<dyn JobKind>,
        row: RunRow,
        claim: RunClaim,
        inner: &Arc<Inner>,
    ) {
        info!(resumed = row.resumed, owner = self.0.owner, "run begins");
        let context = context(inner, &row);
        if row.resumed && row.takeovers > 0 {
            context.event(Level::Warning, "taken over from a process that had gone silent");
        }
        let result = if row.takeovers > TAKEOVERS {
            Err(Error::new(
                ErrorCode::Internal,
                format!("given up: {} processes died or fell silent with it", row.takeovers),
            )
            .hint("look at their logs; memory is the usual reason"))
        } else if let Err(error) = kind.check(&row.payload) {
            Err(error)
        } else {
            let work = {
                let context = context.clone();
                let span = tracing::Span::current();
                tokio::spawn(async move { kind.run(context).await }.instrument(span))
            };
            self.watch(work, &row, inner).await
        };
        if let Err(error) = self.conclude(&row, claim, inner, &context, result).await {
            // Its lease runs out, and somebody takes it over.
            warn!(error = error.chain(), "the end of a run could not be written");
        }
    }

    /// Keeps the lease and writes the log until the work ends or is dropped.
    async fn watch(
        &self,
        mut work: JoinHandle<Result<Outcome>>,
        row: &RunRow,
        inner: &Arc<Inner>,
    ) -> Result<Outcome> {
        let tick = self.0.options.poll.min(self.0.options.lease / 3);
        let mut beat_at = self.now();
        let mut dropped_at: Option<DateTime<Utc>> = None;
        loop {
            tokio::select! {
                done = &mut work => return done.unwrap_or_else(|error| Err(broken(error))),
                () = self.0.options.clock.sleep(tick) => {}
                // Once: afterwards the token is no news.
                () = inner.token.cancelled(), if dropped_at.is_none() => {
                    dropped_at = Some(self.now() + seconds(self.0.options.grace));
                }
            }
            if dropped_at.is_some_and(|end| self.now() >= end) {
                work.abort();
            }
            if let Err(error) = inner.flush().await
                && inner.stopped() != Some(Stop::Lost)
            {
                warn!(error = error.chain(), "cannot write the log of a run yet");
            }
            beat_at = self.beat(row, inner, beat_at).await;
        }
    }

    /// Looks after the lease, the wish to cancel and the time limit; the time of the last beat.
    async fn beat(&self, row: &RunRow, inner: &Inner, beat_at: DateTime<Utc>) -> DateTime<Utc> {
        let now = self.now();
        let limit = row.policy.time_limit.and_then(|limit| i64::try_from(limit).ok());
        if let Some((limit, began)) = limit.zip(row.attempt_started)
            && now >= began + TimeDelta::seconds(limit.min(i64::MAX / 2_000))
        {
            inner.stop(Stop::TimeLimit);
        }
        let due = now >= beat_at + self.lease() / 3;
        let answer = if due {
            self.store().beat_run(inner.claim, now, now + self.lease()).await
        } else {
            self.store().look_at_run(inner.claim).await
        };
        match answer {
            Ok(Beat::Held { cancel }) => {
                if cancel {
                    inner.stop(Stop::Cancelled);
                }
                if due { now } else { beat_at }
            }
            Ok(Beat::Lost) => {
                inner.stop(Stop::Lost);
                beat_at
            }
            Err(error) => {
                warn!(error = error.chain(), "cannot keep a run");
                // Others may take it from then on, so we may not go on.
                if now >= beat_at + self.lease() {
                    inner.stop(Stop::Lost);
                }
                beat_at
            }
        }
    }

    /// Decides what the end of the work means for the run, and writes it.
    async fn conclude(
        &self,
        row: &RunRow,
        claim: RunClaim,
        inner: &Inner,
        context: &RunContext,
        result: Result<Outcome>,
    ) -> Result<()> {
        let stop = inner.stopped();
        if stop == Some(Stop::Lost) {
            warn!("run was lost to another process");
            return Ok(());
        }
        let (end, summary, error) = match result {
            Ok(Outcome { end: End::Done, summary, .. }) => {
                (RunState::Succeeded, Some(summary), None)
            }
            Ok(Outcome { end: End::Partial, summary, .. }) => {
                let error = Error::new(ErrorCode::TransferPartial, "some items failed")
                    .hint("`system.run_items` has each with its reason");
                (RunState::Partial, Some(summary), Some(error))
            }
            other => {
                let (summary, error) = match other {
                    Ok(outcome) => (Some(outcome.summary), outcome.error),
                    Err(error) => (None, Some(error)),
                };
                match stop {
                    Some(Stop::Shutdown) => {
                        context.event(Level::Info, "given back: the process ends");
                        self.insist(|| inner.flush()).await?;
                        let now = self.now();
                        self.insist(|| self.store().requeue_run(claim, None, now)).await?;
                        info!("run given back");
                        return Ok(());
                    }
                    Some(Stop::Cancelled) => {
                        let error = Error::new(ErrorCode::RunCancelled, "it was cancelled");
                        (RunState::Cancelled, summary, Some(error))
                    }
                    Some(Stop::TimeLimit) => {
                        let limit = row.policy.time_limit.unwrap_or_default();
                        let error = Error::new(
                            ErrorCode::RunTimeLimit,
                            format!("it took longer than {limit} seconds"),
                        )
                        .hint("what was done stays done; the next run goes on");
                        (RunState::Failed, summary, Some(error))
                    }
                    Some(Stop::Lost) | None => {
                        let error = error.unwrap_or_else(|| {
                            Error::new(ErrorCode::Internal, "the work stopped without being told")
                        });
                        if error.class().is_retryable() && row.attempt <= row.policy.retries {
                            return self.again(row, claim, inner, context, &error).await;
                        }
                        (RunState::Failed, summary, Some(error))
                    }
                }
            }
        };
        if let Some(error) = &error {
            let level = if end == RunState::Cancelled { Level::Info } else { Level::Error };
            context.event(level, error.chain());
        }
        self.insist(|| inner.flush()).await?;
        let error = error.as_ref().map(ErrorBody::from);
        let now = self.now();
        let end = RunEnd { state: end, summary, error, alerts: Vec::new() };
        let (store, settings, ended) = (self.store(), &self.0.options.alerts, &end);
        let finish = || async move {
            let mut end = ended.clone();
            end.alerts = due_alerts(store, settings, row, ended, now).await?;
            store.finish_run(claim, end, now).await
        };
        let held = self.insist(finish).await?;
        if held {
            info!(state = %end.state, "run ended");
        }
        self.observers().remove(&row.id);
        Ok(())
    }

    /// Does something with the store that must not be lost to a passing failure: tries for as long
    /// as the lease surely runs.
    async fn insist<T, F>(&self, mut write: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let end = self.now() + self.lease() / 2;
        loop {
            match write().await {
                Err(error) if error.class().is_retryable() && self.now() < end => {
                    // A run that was lost stays lost.
                    if error.code() == ErrorCode::RunLost {
                        return Err(error);
                    }
                    warn!(error = error.chain(), "the end of a run cannot be written yet");
                    self.0.options.clock.sleep(self.0.options.poll).await;
                }
                other => return other,
            }
        }
    }

    /// Queues the next attempt.
    async fn again(
        &self,
        row: &RunRow,
        claim: RunClaim,
        inner: &Inner,
        context: &RunContext,
        error: &Error,
    ) -> Result<()> {
        let millis = row.created.timestamp_micros().unsigned_abs();
        let random = scatter(self.0.options.seed, &[millis, u64::from(row.attempt)]);
        let wait = delay(&row.policy, row.attempt, random);
        let text = format!(
            "attempt {} failed: {}; the next begins in {}",
            row.attempt,
            error.chain(),
            in_words(wait)
        );
        context.event(Level::Warning, text);
        self.insist(|| inner.flush()).await?;
        let available = self.now() + seconds(wait);
        let error = ErrorBody::from(error);
        self.insist(|| self.store().requeue_run(claim, Some(error.clone()), available)).await?;
        info!(wait = wait.as_secs(), "run is tried again");
        Ok(())
    }
}

fn seconds(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(1))
}

fn broken(error: tokio::task::JoinError) -> Error {
    if error.is_cancelled() {
        return Error::new(ErrorCode::Interrupted, "it did not stop in time and was dropped");
    }
    let payload = error.into_panic();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::new(ErrorCode::Internal, format!("the work broke: {text}"))
        .hint("this is a bug in Windlass; please report it")
}

fn context(inner: &Arc<Inner>, row: &RunRow) -> RunContext {
    RunContext {
        inner: Arc::clone(inner),
        run: row.id,
        job: row.job,
        job_name: row.job_name.clone(),
        fabric: row.fabric,
        payload: row.payload.clone(),
        detail: row.detail.clone(),
        attempt: row.attempt,
        resumed: row.resumed,
        began: row.started.unwrap_or(row.created),
        scheduled_for: row.scheduled_for,
    }
}
