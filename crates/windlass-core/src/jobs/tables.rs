//! Jobs and runs as rows.

use super::journal::is_dead;
use crate::engine::Grade;
use crate::rows::{Cell, Columns, Kind};
use crate::windlass::Windlass;
use chrono::Utc;
use windlass_jobs::Trigger;
use windlass_state::{JobRow, RunFilter, RunRow};
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode, FabricId, Name, Result, RunState};

/// Columns of `system.jobs`.
pub(crate) const JOBS: Columns = &[
    ("name", Kind::Text),
    ("state", Kind::Text),
    ("kind", Kind::Text),
    ("trigger", Kind::Text),
    ("next_run_at", Kind::Time),
    ("last_run", Kind::Text),
    ("last_state", Kind::Text),
    ("last_finished_at", Kind::Time),
    ("overlap", Kind::Text),
    ("missed", Kind::Text),
    ("retries", Kind::Integer),
    ("time_limit", Kind::Integer),
    ("statement", Kind::Text),
    ("created_at", Kind::Time),
    ("updated_at", Kind::Time),
    ("id", Kind::Text),
];

/// Columns of `system.runs`, and of the answer of RUN JOB.
pub(crate) const RUNS: Columns = &[
    ("id", Kind::Text),
    ("job", Kind::Text),
    ("kind", Kind::Text),
    ("state", Kind::Text),
    ("cause", Kind::Text),
    ("scheduled_for", Kind::Time),
    ("started_at", Kind::Time),
    ("finished_at", Kind::Time),
    ("seconds", Kind::Real),
    ("attempt", Kind::Integer),
    ("takeovers", Kind::Integer),
    ("planned_items", Kind::Integer),
    ("planned_bytes", Kind::Integer),
    ("done_items", Kind::Integer),
    ("done_bytes", Kind::Integer),
    ("failed_items", Kind::Integer),
    ("copied", Kind::Integer),
    ("updated", Kind::Integer),
    ("deleted", Kind::Integer),
    ("skipped", Kind::Integer),
    ("failed", Kind::Integer),
    ("bytes", Kind::Integer),
    ("dry_run", Kind::Bool),
    ("error", Kind::Text),
    ("message", Kind::Text),
    ("hint", Kind::Text),
    ("owner", Kind::Text),
    ("statement", Kind::Text),
];

/// Columns of `system.run_events`.
pub(crate) const EVENTS: Columns = &[
    ("run", Kind::Text),
    ("job", Kind::Text),
    ("at", Kind::Time),
    ("level", Kind::Text),
    ("message", Kind::Text),
];

/// Columns of `system.run_items`.
pub(crate) const ITEMS: Columns = &[
    ("run", Kind::Text),
    ("job", Kind::Text),
    ("action", Kind::Text),
    ("source", Kind::Text),
    ("destination", Kind::Text),
    ("size", Kind::Integer),
    ("status", Kind::Text),
    ("reason", Kind::Text),
    ("code", Kind::Text),
    ("hint", Kind::Text),
];

/// Rows of runs, and of events and items of all of them, that are shown at most: the latest.
pub(super) const SHOWN: u32 = 200_000;

/// What the end of a run says.
pub(super) fn grade(state: RunState) -> Grade {
    match state {
        RunState::Succeeded => Grade::Good,
        RunState::Partial => Grade::Partial,
        _ => Grade::Bad,
    }
}

pub(super) fn name_of(name: Option<&Name>) -> Cell {
    Cell::Text(name.map(|name| name.as_str().to_owned()))
}

/// Rows of jobs.
pub(super) async fn job_rows(windlass: &Windlass, jobs: &[JobRow]) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs {
        let filter = RunFilter { job: Some(job.id), limit: Some(1), ..RunFilter::default() };
        let last = windlass.inner.store.runs(job.fabric, filter).await?.pop();
        let trigger = match windlass.scheduler().trigger(job)? {
            Trigger::Manual => None,
            other => Some(other.to_string()),
        };
        rows.push(vec![
            job.name.as_str().into(),
            job.state.as_str().into(),
            job.kind.as_str().into(),
            trigger.into(),
            job.next_fire.into(),
            last.as_ref().map(|run| run.id.to_string()).into(),
            last.as_ref().map(|run| run.state.to_string()).into(),
            last.and_then(|run| run.finished).into(),
            job.policy.overlap.as_str().into(),
            job.policy.missed.as_str().into(),
            u64::from(job.policy.retries).into(),
            job.policy.time_limit.into(),
            job.definition.as_str().into(),
            job.created.into(),
            job.updated.into(),
            job.id.to_string().into(),
        ]);
    }
    Ok(rows)
}

/// Why a run does not go on that nobody has ended.
fn dead(run: &RunRow) -> Error {
    let hint = format!("`windlass serve` takes it up; `CANCEL RUN '{}'` ends it", run.id);
    Error::new(ErrorCode::Interrupted, "the process that did it is gone").hint(hint)
}

/// The row of a run.
pub(super) fn run_row(run: RunRow) -> Vec<Cell> {
    let dead = is_dead(&run, Utc::now()).then(|| ErrorBody::from(&dead(&run)));
    let summary = run.summary.unwrap_or_default();
    let count =
        |name: &str| -> Cell { summary.get(name).and_then(serde_json::Value::as_u64).into() };
    let seconds = run.started.zip(run.finished).and_then(|(from, to)| (to - from).to_std().ok());
    let error = run.error.or(dead);
    let message = error.as_ref().map(|error| {
        let parts = std::iter::once(error.message.as_str());
        parts.chain(error.causes.iter().map(String::as_str)).collect::<Vec<_>>().join(": ")
    });
    vec![
        run.id.to_string().into(),
        name_of(run.job_name.as_ref()),
        run.kind.into(),
        run.state.as_str().into(),
        run.cause.as_str().into(),
        run.scheduled_for.into(),
        run.started.into(),
        run.finished.into(),
        Cell::Real(seconds.map(|seconds| seconds.as_secs_f64())),
        u64::from(run.attempt).into(),
        u64::from(run.takeovers).into(),
        run.progress.planned_items.into(),
        run.progress.planned_bytes.into(),
        run.progress.done_items.into(),
        run.progress.done_bytes.into(),
        run.progress.failed_items.into(),
        count("copied"),
        count("updated"),
        count("deleted"),
        count("skipped"),
        count("failed"),
        count("bytes"),
        Cell::Bool(summary.get("dry_run").and_then(serde_json::Value::as_bool)),
        error.as_ref().map(|error| error.code.clone()).into(),
        message.into(),
        error.and_then(|error| error.hint).into(),
        run.owner.into(),
        run.definition.into(),
    ]
}

impl Windlass {
    /// Rows of `system.jobs`.
    pub(crate) async fn job_table(&self, fabric: FabricId) -> Result<Vec<Vec<Cell>>> {
        job_rows(self, &self.inner.store.jobs(fabric).await?).await
    }

    /// Rows of `system.runs`, the latest first.
    pub(crate) async fn run_table(&self, fabric: FabricId) -> Result<Vec<Vec<Cell>>> {
        let filter = RunFilter { limit: Some(SHOWN), ..RunFilter::default() };
        Ok(self.inner.store.runs(fabric, filter).await?.into_iter().map(run_row).collect())
    }
}
