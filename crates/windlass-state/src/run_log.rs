//! What a run leaves behind while it goes on: lines, items, marks, uploads. All of it is written
//! only while the run is held.

use crate::Store;
use crate::dialect::Intent;
use crate::error::{
    failed, row_number, row_number_opt, row_parse, row_string, row_text, row_time, to_json,
};
use crate::leases::hold;
use crate::runs::{RunClaim, micros};
use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};
use windlass_types::{Level, Progress, Result, RunId, RunItem};

/// Rows of one INSERT; 100 rows of 10 values are far below the limits of both databases.
const ROWS: usize = 100;

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// Its place, from 1.
    pub seq: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// How grave.
    pub level: Level,
    /// What happened; never a secret.
    pub message: String,
}

impl RunEvent {
    /// Reads the columns of `run_events`.
    pub(crate) fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            seq: row_number(row, "seq")?,
            at: row_time(row, "at")?,
            level: row_parse(row, "level")?,
            message: row_string(row, "message")?,
        })
    }
}

/// Reads the columns of `run_items`, its place aside.
pub(crate) fn run_item(row: &AnyRow) -> Result<RunItem> {
    Ok(RunItem {
        action: row_string(row, "action")?,
        source: row_string(row, "source")?,
        destination: row_string(row, "destination")?,
        size: row_number_opt(row, "size")?.and_then(|size| u64::try_from(size).ok()),
        status: row_string(row, "status")?,
        reason: row_text(row, "reason")?,
        code: row_text(row, "code")?,
        hint: row_text(row, "hint")?,
    })
}

/// What is written at once.
#[derive(Debug, Clone, Default)]
pub struct RunLogBatch {
    /// The progress, if it changed.
    pub progress: Option<Progress>,
    /// New lines.
    pub events: Vec<RunEvent>,
    /// New items with their places, from 1.
    pub items: Vec<(i64, RunItem)>,
}

impl RunLogBatch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.progress.is_none() && self.events.is_empty() && self.items.is_empty()
    }
}

/// A mark of a run: where it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunMark {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A part of what an arrival trigger has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenShard {
    /// Which part.
    pub shard: i64,
    /// Its fingerprints, as `windlass_jobs` writes them.
    pub prints: String,
}

impl Store {
    /// Writes a batch in one step; false, and nothing written, where the run was lost.
    pub async fn write_log(&self, claim: RunClaim, batch: &RunLogBatch) -> Result<bool> {
        let doing = "write the log of a run";
        if batch.is_empty() {
            return Ok(true);
        }
        let mut tx = self.begin(Intent::Write).await?;
        if !hold(&mut tx, claim).await? {
            return Ok(false);
        }
        if let Some(progress) = &batch.progress {
            sqlx::query("UPDATE runs SET progress = $2 WHERE id = $1")
                .bind(claim.run.to_string())
                .bind(to_json(progress)?)
                .execute(&mut *tx)
                .await
                .map_err(failed(doing))?;
        }
        let run = claim.run.to_string();
        for events in batch.events.chunks(ROWS) {
            let sql = insert("run_events (run_id, seq, at, level, message)", 5, events.len());
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for event in events {
                query = query
                    .bind(&run)
                    .bind(event.seq)
                    .bind(micros(event.at))
                    .bind(event.level.as_str())
                    .bind(clean(&event.message));
            }
            query.execute(&mut *tx).await.map_err(failed(doing))?;
        }
        for items in batch.items.chunks(ROWS) {
            let sql = insert(
                "run_items (run_id, seq, action, source, destination, size, status, reason, code, hint)",
                10,
                items.len(),
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (seq, item) in items {
                query = query
                    .bind(&run)
                    .bind(*seq)
                    .bind(&item.action)
                    .bind(clean(&item.source))
                    .bind(clean(&item.destination))
                    .bind(item.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)))
                    .bind(&item.status)
                    .bind(item.reason.as_deref().map(clean))
                    .bind(item.code.as_deref())
                    .bind(item.hint.as_deref().map(clean));
            }
            query.execute(&mut *tx).await.map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }

    /// Adds a line to the log of a run that has ended, which nobody holds.
    pub async fn add_event(
        &self,
        run: RunId,
        at: DateTime<Utc>,
        level: Level,
        message: &str,
    ) -> Result<()> {
        let doing = "write the log of a run";
        let (last, _) = self.log_ends(run).await?;
        let mut tx = self.begin(Intent::Write).await?;
        let sql = insert("run_events (run_id, seq, at, level, message)", 5, 1);
        sqlx::query(AssertSqlSafe(sql))
            .bind(run.to_string())
            .bind(last + 1)
            .bind(micros(at))
            .bind(level.as_str())
            .bind(clean(message))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// The last places taken in the log of a run: of lines, of items.
    pub async fn log_ends(&self, run: RunId) -> Result<(i64, i64)> {
        let doing = "read the log of a run";
        let row = sqlx::query(
            "SELECT CAST(COALESCE((SELECT MAX(seq) FROM run_events WHERE run_id = $1), 0) AS BIGINT) AS events, CAST(COALESCE((SELECT MAX(seq) FROM run_items WHERE run_id = $1), 0) AS BIGINT) AS items",
        )
        .bind(run.to_string())
        .fetch_one(&self.pool)
        .await
        .map_err(failed(doing))?;
        Ok((
            row.try_get("events").map_err(failed(doing))?,
            row.try_get("items").map_err(failed(doing))?,
        ))
    }

    /// Reads lines of a run's log after a place, at most `limit`.
    pub async fn run_events(&self, run: RunId, after: i64, limit: u32) -> Result<Vec<RunEvent>> {
        sqlx::query(
            "SELECT seq, at, level, message FROM run_events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(run.to_string())
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the log of a run"))?
        .iter()
        .map(RunEvent::read)
        .collect()
    }

    /// Reads items of a run after a place, at most `limit`; of one status, if given.
    pub async fn run_items(
        &self,
        run: RunId,
        status: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, RunItem)>> {
        sqlx::query(
            "SELECT * FROM run_items WHERE run_id = $1 AND seq > $2 AND ($3 = '' OR status = $3) ORDER BY seq LIMIT $4",
        )
        .bind(run.to_string())
        .bind(after)
        .bind(status.unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the items of a run"))?
        .iter()
        .map(|row| {
            Ok((row_number(row, "seq")?, run_item(row)?))
        })
        .collect()
    }

    /// Leaves of each item of a run, told by source and destination, what was said of it last. With
    /// `before`, a place, also takes away what was said up to there of items that were not done.
    /// False, and nothing changed, where the run was lost.
    pub async fn settle_items(&self, claim: RunClaim, before: Option<i64>) -> Result<bool> {
        let doing = "settle the items of a run";
        let mut tx = self.begin(Intent::Write).await?;
        if !hold(&mut tx, claim).await? {
            return Ok(false);
        }
        let run = claim.run.to_string();
        // Places begin with 1.
        sqlx::query("DELETE FROM run_items WHERE run_id = $1 AND seq <= $2 AND status <> 'done'")
            .bind(&run)
            .bind(before.unwrap_or_default())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        sqlx::query(
            "DELETE FROM run_items WHERE run_id = $1 AND seq NOT IN (SELECT MAX(seq) FROM run_items WHERE run_id = $1 GROUP BY source, destination)",
        )
        .bind(&run)
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }

    /// Sets marks of a run, all or none; false where the run was lost.
    pub async fn set_marks(&self, claim: RunClaim, marks: &[RunMark]) -> Result<bool> {
        let doing = "write a mark";
        let mut tx = self.begin(Intent::Write).await?;
        if !hold(&mut tx, claim).await? {
            return Ok(false);
        }
        for mark in marks {
            sqlx::query(
                "INSERT INTO run_marks (run_id, name, value) VALUES ($1, $2, $3) ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value",
            )
            .bind(claim.run.to_string())
            .bind(&mark.name)
            .bind(&mark.value)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }

    /// Reads the marks of a run by name.
    pub async fn marks(&self, run: RunId) -> Result<Vec<RunMark>> {
        sqlx::query("SELECT name, value FROM run_marks WHERE run_id = $1 ORDER BY name")
            .bind(run.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read marks"))?
            .iter()
            .map(|row| {
                Ok(RunMark { name: row_string(row, "name")?, value: row_string(row, "value")? })
            })
            .collect()
    }
}

/// `INSERT INTO table VALUES ($1, ...), ...`
pub(crate) fn insert(table: &str, columns: usize, rows: usize) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| {
            let places: Vec<String> =
                (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
            format!("({})", places.join(", "))
        })
        .collect();
    format!("INSERT INTO {table} VALUES {}", rows.join(", "))
}

/// Text as both databases can hold it: PostgreSQL knows no zero byte.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
