//! Who may work on a run: taken, kept, given back, ended. Each step is one conditional update on
//! the number of the claim, so whoever lost a run is told at its next word.

use crate::alerts;
use crate::dialect::Intent;
use crate::error::{failed, row_number, to_json};
use crate::runs::{Beat, NewRun, RunClaim, RunEnd, RunRow, insert_run, micros, no_run, touch};
use crate::{Store, Tx};
use chrono::{DateTime, Utc};
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode, Overlap, Result, RunId, RunState};

impl Store {
    /// Makes a run and takes it in one step, so that nobody else can come between; tells also
    /// whether it is queued (another run goes on, and the rule is to wait) or skipped.
    pub async fn begin_run(
        &self,
        new: NewRun,
        overlap: Overlap,
        owner: &str,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<(RunId, RunState, Option<(RunRow, RunClaim)>)> {
        let mut tx = self.begin(Intent::Write).await?;
        let (id, state) = insert_run(&mut tx, new, overlap, None, now).await?;
        let taken = if state == RunState::Queued {
            claim(&mut tx, id, owner, now, lease_until).await?
        } else {
            None
        };
        tx.commit().await.map_err(failed("begin a run"))?;
        Ok((id, state, taken))
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
        let mut tx = self.begin(Intent::Write).await?;
        let taken = claim(&mut tx, id, owner, now, lease_until).await?;
        tx.commit().await.map_err(failed("take a run"))?;
        Ok(taken)
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
        alerts::insert(&mut tx, claim.run, &end.alerts, now).await?;
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

    /// Ends the lease of an owner that is known to be dead, so that nobody waits for it; whether
    /// it still held the run.
    pub async fn expire_run(&self, id: RunId, owner: &str, now: DateTime<Utc>) -> Result<bool> {
        let doing = "end a lease";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "UPDATE runs SET lease_until = $3 WHERE id = $1 AND owner = $2 AND state = 'running'",
        )
        .bind(id.to_string())
        .bind(owner)
        .bind(micros(now) - 1)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(done.rows_affected() == 1)
    }

    /// Cancels a run that waits or whose owner has gone silent, or asks a running one to stop. One
    /// that has ended is an error.
    pub async fn cancel_run(&self, id: RunId, now: DateTime<Utc>) -> Result<RunState> {
        let doing = "cancel a run";
        let error = ErrorBody::from(&Error::new(ErrorCode::RunCancelled, "it was cancelled"));
        let mut tx = self.begin(Intent::Write).await?;
        let state: Option<String> = sqlx::query_scalar(
            "UPDATE runs SET cancel_requested = 1, finished_at = CASE WHEN state = 'queued' OR lease_until < $2 THEN $2 ELSE finished_at END, error = CASE WHEN state = 'queued' OR lease_until < $2 THEN $3 ELSE error END, state = CASE WHEN state = 'queued' OR lease_until < $2 THEN 'cancelled' ELSE state END WHERE id = $1 AND state IN ('queued', 'running') RETURNING state",
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
}

/// Takes a run inside a transaction, if it may be taken.
async fn claim(
    tx: &mut Tx,
    id: RunId,
    owner: &str,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
) -> Result<Option<(RunRow, RunClaim)>> {
    let doing = "take a run";
    let job: Option<Option<String>> = sqlx::query_scalar("SELECT job_id FROM runs WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(doing))?;
    let job = job.ok_or_else(|| no_run(id))?;
    touch(tx, job.and_then(|job| job.parse().ok())).await?;
    let row = sqlx::query(
        "UPDATE runs SET resumed = CASE WHEN state = 'running' THEN 1 ELSE resumed END, takeovers = CASE WHEN state = 'running' THEN takeovers + 1 ELSE takeovers END, attempt_at = CASE WHEN state = 'running' OR resumed = 1 THEN attempt_at ELSE $3 END, started_at = COALESCE(started_at, $3), state = 'running', claim = claim + 1, owner = $2, heartbeat_at = $3, lease_until = $4, error = NULL WHERE id = $1 AND ((state = 'queued' AND available_at <= $3) OR (state = 'running' AND lease_until < $3)) AND (overlap = 'allow' OR job_id IS NULL OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.job_id = runs.job_id AND o.id <> runs.id AND o.state = 'running')) RETURNING *",
    )
    .bind(id.to_string())
    .bind(owner)
    .bind(now.timestamp_micros())
    .bind(lease_until.timestamp_micros())
    .fetch_optional(&mut **tx)
    .await
    .map_err(failed(doing))?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((RunRow::read(&row)?, RunClaim { run: id, claim: row_number(&row, "claim")? })))
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
