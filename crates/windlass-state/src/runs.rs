//! Runs: made, taken, kept alive, ended. Each step is one conditional update, so that of several
//! processes that try, one succeeds; whoever lost a run is told at its next word.

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
    fn read(row: &AnyRow) -> Result<Self> {
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
async fn touch(tx: &mut Tx, job: Option<JobId>) -> Result<()> {
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

    /// Takes a run, if it may be taken: it is queued and its time has come, or its owner has gone
    /// silent; and, unless its job allows it, no other run of its job goes on.
    pub async fn claim_run(
        &self,
        id: RunId,
        owner: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<(RunRow, RunClaim)>> {
        let doing = "take a run";
        let mut tx = self.begin(Intent::Write).await?;
        let job: Option<Option<String>> =
            sqlx::query_scalar("SELECT job_id FROM runs WHERE id = $1")
                .bind(id.to_string())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let job = job.ok_or_else(|| no_run(id))?;
        touch(&mut tx, job.and_then(|job| job.parse().ok())).await?;
        let row = sqlx::query(
            "UPDATE runs SET resumed = CASE WHEN state = 'running' THEN 1 ELSE resumed END, takeovers = CASE WHEN state = 'running' THEN takeovers + 1 ELSE takeovers END, attempt_at = CASE WHEN state = 'running' OR resumed = 1 THEN attempt_at ELSE $3 END, started_at = COALESCE(started_at, $3), state = 'running', claim = claim + 1, owner = $2, heartbeat_at = $3, lease_until = $4, error = NULL WHERE id = $1 AND ((state = 'queued' AND available_at <= $3) OR (state = 'running' AND lease_until < $3)) AND (overlap = 'allow' OR job_id IS NULL OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.job_id = runs.job_id AND o.id <> runs.id AND o.state = 'running')) RETURNING *",
        )
        .bind(id.to_string())
        .bind(owner)
        .bind(now.timestamp_micros())
        .bind(lease_until.timestamp_micros())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(None) };
        let taken = (RunRow::read(&row)?, RunClaim { run: id, claim: row_number(&row, "claim")? });
        tx.commit().await.map_err(failed(doing))?;
        Ok(Some(taken))
    }

    /// Keeps a run; learns whether it is still held and whether it should stop.
    pub async fn beat_run(
        &self,
        claim: RunClaim,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Beat> {
        let doing = "keep a run";
        let mut tx = self.begin(Intent::Write).await?;
        let row = sqlx::query(
            "UPDATE runs SET heartbeat_at = $3, lease_until = $4 WHERE id = $1 AND claim = $2 AND state = 'running' RETURNING cancel_requested",
        )
        .bind(claim.run.to_string())
        .bind(claim.claim)
        .bind(now.timestamp_micros())
        .bind(lease_until.timestamp_micros())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let Some(row) = row else { return Ok(Beat::Lost) };
        let cancel = row_number(&row, "cancel_requested")? != 0;
        tx.commit().await.map_err(failed(doing))?;
        Ok(Beat::Held { cancel })
    }

    /// Looks, without writing, whether a run is still held and whether it should stop.
    pub async fn look_at_run(&self, claim: RunClaim) -> Result<Beat> {
        let row = sqlx::query(
            "SELECT cancel_requested FROM runs WHERE id = $1 AND claim = $2 AND state = 'running'",
        )
        .bind(claim.run.to_string())
        .bind(claim.claim)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read runs"))?;
        match row {
            Some(row) => Ok(Beat::Held { cancel: row_number(&row, "cancel_requested")? != 0 }),
            None => Ok(Beat::Lost),
        }
    }

    /// Ends a run; false where it was lost.
    pub async fn finish_run(
        &self,
        claim: RunClaim,
        end: RunEnd,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let doing = "end a run";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "UPDATE runs SET state = $3, summary = $4, error = $5, finished_at = $6, lease_until = NULL WHERE id = $1 AND claim = $2 AND state = 'running'",
        )
        .bind(claim.run.to_string())
        .bind(claim.claim)
        .bind(end.state.as_str())
        .bind(end.summary.map(|summary| to_json(&summary)).transpose()?)
        .bind(end.error.map(|error| to_json(&error)).transpose()?)
        .bind(now.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        crate::alerts::insert(&mut tx, claim.run, &end.alerts, now).await?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }

    /// Gives a run back. With an error it becomes its next attempt, which may begin at
    /// `available`; without, this attempt goes on wherever somebody takes it. False where it was
    /// lost.
    pub async fn requeue_run(
        &self,
        claim: RunClaim,
        error: Option<ErrorBody>,
        available: DateTime<Utc>,
    ) -> Result<bool> {
        let doing = "give a run back";
        let (next, resumed) = if error.is_some() { (1, 0) } else { (0, 1) };
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "UPDATE runs SET state = 'queued', attempt = attempt + $3, resumed = $4, error = $5, available_at = $6, lease_until = NULL WHERE id = $1 AND claim = $2 AND state = 'running'",
        )
        .bind(claim.run.to_string())
        .bind(claim.claim)
        .bind(next)
        .bind(resumed)
        .bind(error.map(|error| to_json(&error)).transpose()?)
        .bind(available.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected() == 1)
    }

    /// Cancels a queued run, or asks a running one to stop. One that has ended is an error.
    pub async fn cancel_run(&self, id: RunId, now: DateTime<Utc>) -> Result<RunState> {
        let doing = "cancel a run";
        let error = ErrorBody::from(&Error::new(ErrorCode::RunCancelled, "it was cancelled"));
        let mut tx = self.begin(Intent::Write).await?;
        let state: Option<String> = sqlx::query_scalar(
            "UPDATE runs SET cancel_requested = 1, finished_at = CASE WHEN state = 'queued' THEN $2 ELSE finished_at END, error = CASE WHEN state = 'queued' THEN $3 ELSE error END, state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END WHERE id = $1 AND state IN ('queued', 'running') RETURNING state",
        )
        .bind(id.to_string())
        .bind(now.timestamp_micros())
        .bind(to_json(&error)?)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if let Some(state) = state {
            tx.commit().await.map_err(failed(doing))?;
            return state.parse();
        }
        drop(tx);
        let row = self.run(id).await?;
        Err(Error::new(ErrorCode::RunEnded, format!("run `{id}` has ended: it {}", row.state)))
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

/// Whether a claim still holds, inside a transaction; if so, nobody can take the run before the
/// transaction ends.
pub(crate) async fn hold(tx: &mut Tx, claim: RunClaim) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE runs SET claim = claim WHERE id = $1 AND claim = $2 AND state = 'running'",
    )
    .bind(claim.run.to_string())
    .bind(claim.claim)
    .execute(&mut **tx)
    .await
    .map_err(failed("hold a run"))?;
    Ok(done.rows_affected() == 1)
}

/// The time as the store keeps it.
pub(crate) fn micros(time: DateTime<Utc>) -> i64 {
    stored(time).timestamp_micros()
}

fn no_run(id: RunId) -> Error {
    Error::new(ErrorCode::RunNotFound, format!("no run `{id}`")).hint("`SHOW RUNS` lists them")
}
