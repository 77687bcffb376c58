//! Runs: what is kept of them, and how they are made and found. Who may work on one is in
//! `leases.rs`.

use crate::connections::stored;
use crate::dialect::Intent;
use crate::error::{
    failed, row_count, row_json, row_json_opt, row_number, row_parse, row_parse_opt, row_string,
    row_text, row_time, row_time_opt, to_json,
};
use crate::jobs::{JobRow, open_counts};
use crate::{NewAlert, Store, Tx};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::any::AnyRow;
use windlass_types::error::ErrorBody;
use windlass_types::{
    Cause, Error, ErrorCode, FabricId, JobId, JobPolicy, Name, Overlap, Progress, Result, RunId,
    RunState,
};

/// A stored run.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// Id.
    pub id: RunId,
    /// Its job; none for a statement that is its own run, and once the job is dropped.
    pub job: Option<JobId>,
    /// The name its job had.
    pub job_name: Option<Name>,
    /// Fabric.
    pub fabric: FabricId,
    /// The word of its kind.
    pub kind: String,
    /// The statement, secrets masked.
    pub definition: String,
    /// What the kind needs to know, as it was when the run was made.
    pub payload: Value,
    /// What started it.
    pub cause: Cause,
    /// That in detail.
    pub detail: Value,
    /// How it behaves.
    pub policy: JobPolicy,
    /// Where it is in its life.
    pub state: RunState,
    /// When it should have begun.
    pub scheduled_for: DateTime<Utc>,
    /// When it may begin: later for a further attempt.
    pub available: DateTime<Utc>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Whether this attempt went on where a process stopped or died.
    pub resumed: bool,
    /// How often it was taken from an owner that had gone silent.
    pub takeovers: u32,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it first began.
    pub started: Option<DateTime<Utc>>,
    /// When this attempt began.
    pub attempt_started: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// Who holds it, or held it last.
    pub owner: Option<String>,
    /// Until when it is held.
    pub lease_until: Option<DateTime<Utc>>,
    /// When its owner was last heard of.
    pub heartbeat: Option<DateTime<Utc>>,
    /// Whether somebody asked it to stop.
    pub cancel_requested: bool,
    /// How far it is.
    pub progress: Progress,
    /// What the kind says of it.
    pub summary: Option<Value>,
    /// Why it failed, was skipped or is tried again.
    pub error: Option<ErrorBody>,
}

impl RunRow {
    pub(crate) fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row_parse(row, "id")?,
            job: row_parse_opt(row, "job_id")?,
            job_name: row_text(row, "job_name")?.map(Name::new).transpose()?,
            fabric: row_parse(row, "fabric_id")?,
            kind: row_string(row, "kind")?,
            definition: row_string(row, "definition")?,
            payload: row_json(row, "payload")?,
            cause: row_parse(row, "cause")?,
            detail: row_json(row, "detail")?,
            policy: row_json(row, "policy")?,
            state: row_parse(row, "state")?,
            scheduled_for: row_time(row, "scheduled_at")?,
            available: row_time(row, "available_at")?,
            attempt: row_count(row, "attempt")?,
            resumed: row_number(row, "resumed")? != 0,
            takeovers: row_count(row, "takeovers")?,
            created: row_time(row, "created_at")?,
            started: row_time_opt(row, "started_at")?,
            attempt_started: row_time_opt(row, "attempt_at")?,
            finished: row_time_opt(row, "finished_at")?,
            owner: row_text(row, "owner")?,
            lease_until: row_time_opt(row, "lease_until")?,
            heartbeat: row_time_opt(row, "heartbeat_at")?,
            cancel_requested: row_number(row, "cancel_requested")? != 0,
            progress: row_json(row, "progress")?,
            summary: row_json_opt(row, "summary")?,
            error: row_json_opt(row, "error")?,
        })
    }
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its job, if it has one.
    pub job: Option<JobId>,
    /// The job's name.
    pub job_name: Option<Name>,
    /// The word of its kind.
    pub kind: String,
    /// Fabric.
    pub fabric: FabricId,
    /// The statement, secrets masked.
    pub definition: String,
    /// What the kind needs to know.
    pub payload: Value,
    /// What starts it.
    pub cause: Cause,
    /// That in detail.
    pub detail: Value,
    /// When it should begin.
    pub scheduled_for: DateTime<Utc>,
    /// How it behaves.
    pub policy: JobPolicy,
}

impl NewRun {
    /// A run of a job as the job is now.
    pub fn of_job(job: &JobRow, cause: Cause, at: DateTime<Utc>, detail: Value) -> Self {
        Self {
            job: Some(job.id),
            job_name: Some(job.name.clone()),
            kind: job.kind.clone(),
            fabric: job.fabric,
            definition: job.definition.clone(),
            payload: job.payload.clone(),
            cause,
            detail,
            scheduled_for: at,
            policy: job.policy,
        }
    }
}

/// The right to speak for a run, until somebody else takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunClaim {
    /// The run.
    pub run: RunId,
    /// Which taking of it.
    pub claim: i64,
}

/// What a heartbeat learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The run is still held.
    Held {
        /// Whether somebody asked it to stop.
        cancel: bool,
    },
    /// Somebody else holds it, or it has ended.
    Lost,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// A final state.
    pub state: RunState,
    /// What the kind says of it.
    pub summary: Option<Value>,
    /// Why, unless all is well.
    pub error: Option<ErrorBody>,
    /// Alerts that become due with it.
    pub alerts: Vec<NewAlert>,
}

/// Which runs to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only of this job.
    pub job: Option<JobId>,
    /// Only in this state.
    pub state: Option<RunState>,
    /// Only made at or after.
    pub since: Option<DateTime<Utc>>,
    /// At most so many; all if absent.
    pub limit: Option<u32>,
}

/// Makes a run inside a transaction. The overlap rule may make it a skipped one.
pub(crate) async fn insert_run(
    tx: &mut Tx,
    new: NewRun,
    overlap: Overlap,
    skip: Option<&Error>,
    now: DateTime<Utc>,
) -> Result<(RunId, RunState)> {
    let doing = "make a run";
    let id = RunId::new();
    let busy = match new.job {
        Some(job) if overlap != Overlap::Allow && skip.is_none() => {
            touch(tx, Some(job)).await?;
            let (queued, running) = open_counts(tx, job).await?;
            match overlap {
                Overlap::Skip => queued + running > 0,
                Overlap::Queue => queued > 0,
                Overlap::Allow => false,
            }
        }
        _ => false,
    };
    let busy = busy.then(|| {
        Error::new(ErrorCode::JobRunning, "an earlier run of the job was not done")
            .hint("OVERLAP = QUEUE lets one wait; OVERLAP = ALLOW runs both")
    });
    let error = skip.or(busy.as_ref()).map(ErrorBody::from);
    let state = if error.is_some() { RunState::Skipped } else { RunState::Queued };
    let now = now.timestamp_micros();
    sqlx::query(
        "INSERT INTO runs (id, job_id, job_name, fabric_id, kind, definition, payload, cause, detail, policy, overlap, state, scheduled_at, available_at, attempt, created_at, finished_at, progress, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, 1, $14, $15, $16, $17)",
    )
    .bind(id.to_string())
    .bind(new.job.map(|job| job.to_string()))
    .bind(new.job_name.map(|name| name.as_str().to_owned()))
    .bind(new.fabric.to_string())
    .bind(new.kind)
    .bind(new.definition)
    .bind(to_json(&new.payload)?)
    .bind(new.cause.as_str())
    .bind(to_json(&new.detail)?)
    .bind(to_json(&new.policy)?)
    .bind(overlap.as_str())
    .bind(state.as_str())
    .bind(new.scheduled_for.timestamp_micros())
    .bind(now)
    .bind(state.is_final().then_some(now))
    .bind(to_json(&Progress::default())?)
    .bind(error.map(|error| to_json(&error)).transpose()?)
    .execute(&mut **tx)
    .await
    .map_err(failed(doing))?;
    Ok((id, state))
}

/// Holds the row of a job until the transaction ends, so that what is decided about its runs
/// stays true.
pub(crate) async fn touch(tx: &mut Tx, job: Option<JobId>) -> Result<()> {
    if let Some(job) = job {
        sqlx::query("UPDATE jobs SET seen_version = seen_version WHERE id = $1")
            .bind(job.to_string())
            .execute(&mut **tx)
            .await
            .map_err(failed("hold a job"))?;
    }
    Ok(())
}

impl Store {
    /// Makes a run; tells whether it is queued or, by the overlap rule, skipped.
    pub async fn insert_run(
        &self,
        new: NewRun,
        overlap: Overlap,
        now: DateTime<Utc>,
    ) -> Result<(RunId, RunState)> {
        let mut tx = self.begin(Intent::Write).await?;
        let made = insert_run(&mut tx, new, overlap, None, now).await?;
        tx.commit().await.map_err(failed("make a run"))?;
        Ok(made)
    }

    /// Makes a skipped run, and says why.
    pub async fn skip_run(&self, new: NewRun, why: &Error, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.begin(Intent::Write).await?;
        insert_run(&mut tx, new, Overlap::Allow, Some(why), now).await?;
        tx.commit().await.map_err(failed("make a run"))
    }

    /// Finds a run; none is an error.
    pub async fn run(&self, id: RunId) -> Result<RunRow> {
        let row = sqlx::query("SELECT * FROM runs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read runs"))?;
        row.as_ref().map(RunRow::read).transpose()?.ok_or_else(|| no_run(id))
    }

    /// Lists runs of a fabric, the newest first.
    pub async fn runs(&self, fabric: FabricId, filter: RunFilter) -> Result<Vec<RunRow>> {
        sqlx::query(
            "SELECT * FROM runs WHERE fabric_id = $1 AND ($2 = '' OR job_id = $2) AND ($3 = '' OR state = $3) AND created_at >= $4 ORDER BY created_at DESC, id DESC LIMIT $5",
        )
        .bind(fabric.to_string())
        .bind(filter.job.map(|job| job.to_string()).unwrap_or_default())
        .bind(filter.state.map_or("", RunState::as_str))
        .bind(filter.since.map_or(i64::MIN, |since| since.timestamp_micros()))
        .bind(filter.limit.map_or(i64::MAX, i64::from))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read runs"))?
        .iter()
        .map(RunRow::read)
        .collect()
    }

    /// Lists the runs of a job that have not ended.
    pub async fn open_runs(&self, job: JobId) -> Result<Vec<RunRow>> {
        sqlx::query(
            "SELECT * FROM runs WHERE job_id = $1 AND state IN ('queued', 'running') ORDER BY created_at",
        )
        .bind(job.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read runs"))?
        .iter()
        .map(RunRow::read)
        .collect()
    }

    /// How the last run of a job before `run` ended, skipped and cancelled ones aside.
    pub async fn state_before(&self, job: JobId, run: RunId) -> Result<Option<RunState>> {
        let row = sqlx::query(
            "SELECT state FROM runs WHERE job_id = $1 AND id <> $2 AND state IN ('succeeded', 'partial', 'failed') ORDER BY finished_at DESC, id DESC LIMIT 1",
        )
        .bind(job.to_string())
        .bind(run.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read runs"))?;
        row.as_ref().map(|row| row_parse(row, "state")).transpose()
    }

    /// Lists runs that may be taken: queued ones whose time has come, and those whose owner has
    /// gone silent; the oldest first. Whether one can really be taken shows when it is.
    pub async fn free_runs(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<(RunId, String)>> {
        sqlx::query(
            "SELECT id, kind FROM runs r WHERE ((state = 'queued' AND available_at <= $1) OR (state = 'running' AND lease_until < $1)) AND (overlap = 'allow' OR job_id IS NULL OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.job_id = r.job_id AND o.id <> r.id AND o.state = 'running')) ORDER BY available_at, id LIMIT $2",
        )
        .bind(now.timestamp_micros())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read runs"))?
        .iter()
        .map(|row| Ok((row_parse(row, "id")?, row_string(row, "kind")?)))
        .collect()
    }

    /// Lists runs without a job that have not ended, of one kind; the newest first.
    pub async fn open_one_offs(&self, fabric: FabricId, kind: &str) -> Result<Vec<RunRow>> {
        sqlx::query(
            "SELECT * FROM runs WHERE fabric_id = $1 AND kind = $2 AND job_name IS NULL AND state IN ('queued', 'running') ORDER BY created_at DESC, id DESC",
        )
        .bind(fabric.to_string())
        .bind(kind)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read runs"))?
        .iter()
        .map(RunRow::read)
        .collect()
    }

    /// Deletes runs that ended before `before`, with their logs, a bounded number at a time; how
    /// many. Runs with uploads that nobody has aborted stay.
    pub async fn prune_runs(&self, before: DateTime<Utc>) -> Result<u64> {
        let doing = "delete old runs";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE finished_at < $1 AND NOT EXISTS (SELECT 1 FROM run_uploads u WHERE u.run_id = runs.id) ORDER BY finished_at LIMIT 100)",
        )
        .bind(before.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected())
    }
}

/// The time as the store keeps it.
pub(crate) fn micros(time: DateTime<Utc>) -> i64 {
    stored(time).timestamp_micros()
}

pub(crate) fn no_run(id: RunId) -> Error {
    Error::new(ErrorCode::RunNotFound, format!("no run `{id}`")).hint("`SHOW RUNS` lists them")
}
