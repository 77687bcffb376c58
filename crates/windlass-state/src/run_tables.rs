//! Logs of all runs of a fabric, for tables over them.

use crate::Store;
use crate::error::{failed, row_name, row_parse, row_text};
use crate::run_log::{RunEvent, run_item};
use sqlx::any::AnyRow;
use windlass_types::{FabricId, Name, Result, RunId, RunItem};

/// The run of a row, and its job.
fn run_of(row: &AnyRow) -> Result<(RunId, Option<Name>)> {
    let job = match row_text(row, "job_name")? {
        Some(_) => Some(row_name(row, "job_name")?),
        None => None,
    };
    Ok((row_parse(row, "run_id")?, job))
}

impl Store {
    /// Reads the log lines of the latest runs of a fabric, or of one job's by its name, at most
    /// `limit`: the latest run first, its lines in order.
    pub async fn fabric_events(
        &self,
        fabric: FabricId,
        job: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(RunId, Option<Name>, RunEvent)>> {
        sqlx::query(
            "SELECT e.run_id, r.job_name, e.seq, e.at, e.level, e.message FROM run_events e JOIN runs r ON r.id = e.run_id WHERE r.fabric_id = $1 AND ($2 = '' OR r.job_name = $2) ORDER BY r.created_at DESC, r.id DESC, e.seq LIMIT $3",
        )
        .bind(fabric.to_string())
        .bind(job.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the logs of runs"))?
        .iter()
        .map(|row| {
            let (run, job) = run_of(row)?;
            Ok((run, job, RunEvent::read(row)?))
        })
        .collect()
    }

    /// Reads the items of the latest runs of a fabric, or of one job's by its name, of one status, if
    /// given, at most `limit`: the latest run first, its items in order.
    pub async fn fabric_items(
        &self,
        fabric: FabricId,
        job: Option<&str>,
        status: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(RunId, Option<Name>, RunItem)>> {
        sqlx::query(
            "SELECT i.*, r.job_name FROM run_items i JOIN runs r ON r.id = i.run_id WHERE r.fabric_id = $1 AND ($2 = '' OR r.job_name = $2) AND ($3 = '' OR i.status = $3) ORDER BY r.created_at DESC, r.id DESC, i.seq LIMIT $4",
        )
        .bind(fabric.to_string())
        .bind(job.unwrap_or_default())
        .bind(status.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the items of runs"))?
        .iter()
        .map(|row| {
            let (run, job) = run_of(row)?;
            Ok((run, job, run_item(row)?))
        })
        .collect()
    }
}
