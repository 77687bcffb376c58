//! What a crawl writes: a batch at a time, so that a hundred thousand containers are a few hundred
//! transactions.

use crate::catalog::{ContainerStatus, HistoryEntry, StoredContainer, StoredFigures};
use crate::catalog_search::words;
use crate::dialect::{Dialect, Intent};
use crate::error::{failed, row_number, row_string};
use crate::run_log::{clean, insert};
use crate::{Store, Tx};
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use std::collections::HashMap;
use windlass_types::{Result, RunId, ServiceId};

/// Rows of one INSERT.
const ROWS: usize = 100;

/// Days that figures are kept.
const DAYS: i64 = 400;

/// The texts a container is found by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchTexts {
    /// Its name and path.
    pub name: String,
    /// Names of its columns.
    pub columns: String,
    /// Descriptions and tags that the crawl found.
    pub about: String,
}

/// A container that is new, or of which something changed.
#[derive(Debug, Clone)]
pub struct ContainerPut {
    /// What was found.
    pub found: StoredContainer,
    /// Active, or not seen.
    pub status: ContainerStatus,
    /// Why it was not seen.
    pub reason: Option<String>,
    /// Whether its structure is another than it was.
    pub changed: bool,
    /// The texts it is found by, where they may have changed.
    pub search: Option<SearchTexts>,
    /// What changed.
    pub history: Vec<HistoryEntry>,
    /// Whether its figures are to be noted for this day.
    pub figures: bool,
}

/// A container whose state changes, and nothing else.
#[derive(Debug, Clone)]
pub struct ContainerMark {
    /// Its number.
    pub id: i64,
    /// Its state now.
    pub status: ContainerStatus,
    /// Why it was not seen.
    pub reason: Option<String>,
    /// What its history says, if the state is new.
    pub history: Option<HistoryEntry>,
}

/// What is written in one step.
#[derive(Debug, Clone, Default)]
pub struct ContainerBatch {
    /// New and changed ones; no place twice.
    pub puts: Vec<ContainerPut>,
    /// Numbers of those that are as they were, and active.
    pub same: Vec<i64>,
    /// Those that are not seen or deleted.
    pub marks: Vec<ContainerMark>,
}

impl ContainerBatch {
    /// How many containers it speaks of.
    pub fn len(&self) -> usize {
        self.puts.len() + self.same.len() + self.marks.len()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store {
    /// Writes what a run says of containers of a service.
    pub async fn keep_containers(
        &self,
        service: ServiceId,
        batch: &ContainerBatch,
        run: RunId,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "keep containers";
        if batch.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin(Intent::Write).await?;
        let write = Write { service, run, at: now.timestamp_micros(), dialect: self.dialect };
        for puts in batch.puts.chunks(ROWS) {
            write.puts(&mut tx, puts).await?;
        }
        for ids in batch.same.chunks(ROWS) {
            write.same(&mut tx, ids).await?;
        }
        let mut history = Vec::new();
        for mark in &batch.marks {
            sqlx::query(
                "UPDATE containers SET status = $2, reason = $3, run_id = $4, checked_at = $5 WHERE id = $1",
            )
            .bind(mark.id)
            .bind(mark.status.as_str())
            .bind(mark.reason.as_deref().map(clean))
            .bind(run.to_string())
            .bind(write.at)
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
            history.extend(mark.history.as_ref().map(|entry| (mark.id, entry)));
        }
        write.history(&mut tx, &history).await?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Forgets figures of a service that are older than 400 days, the newest of each container aside.
    pub async fn prune_figures(&self, service: ServiceId, now: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "DELETE FROM container_figures WHERE day < $2 AND container_id IN (SELECT id FROM containers WHERE service_id = $1) AND day < (SELECT MAX(newer.day) FROM container_figures newer WHERE newer.container_id = container_figures.container_id)",
        )
        .bind(service.to_string())
        .bind(day(now.timestamp_micros()) - DAYS)
        .execute(&self.pool)
        .await
        .map_err(failed("forget old figures"))?;
        Ok(())
    }
}

/// Days since 1970.
fn day(micros: i64) -> i64 {
    micros.div_euclid(86_400_000_000)
}

fn number(count: Option<u64>) -> Option<i64> {
    count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

/// The table and its columns, as they are written.
const COLUMNS: &str = "containers (service_id, bucket, path, kind, name, fqn, parent_fqn, full_path, detail, structure, fingerprint, size, objects, row_count, newest, oldest, status, reason, run_id, checked_at, first_seen, last_seen, changed_at)";

/// What all rows of a batch have in common.
struct Write {
    service: ServiceId,
    run: RunId,
    at: i64,
    dialect: Dialect,
}

impl Write {
    async fn puts(&self, tx: &mut Tx, puts: &[ContainerPut]) -> Result<()> {
        let doing = "keep containers";
        let sql = format!(
            "{} ON CONFLICT (service_id, bucket, path) DO UPDATE SET kind = excluded.kind, name = excluded.name, fqn = excluded.fqn, parent_fqn = excluded.parent_fqn, full_path = excluded.full_path, detail = excluded.detail, structure = excluded.structure, fingerprint = excluded.fingerprint, size = excluded.size, objects = excluded.objects, row_count = excluded.row_count, newest = excluded.newest, oldest = excluded.oldest, status = excluded.status, reason = excluded.reason, run_id = excluded.run_id, checked_at = excluded.checked_at, first_seen = COALESCE(containers.first_seen, excluded.first_seen), last_seen = COALESCE(excluded.last_seen, containers.last_seen), changed_at = COALESCE(excluded.changed_at, containers.changed_at) RETURNING id, bucket, path",
            insert(COLUMNS, 23, puts.len())
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for put in puts {
            let found = &put.found;
            let seen = (put.status == ContainerStatus::Active).then_some(self.at);
            query = query
                .bind(self.service.to_string())
                .bind(clean(&found.bucket))
                .bind(clean(&found.path))
                .bind(&found.kind)
                .bind(clean(&found.name))
                .bind(clean(&found.fqn))
                .bind(found.parent_fqn.as_deref().map(clean))
                .bind(clean(&found.full_path))
                .bind(clean(&found.detail))
                .bind(found.structure.as_deref().map(clean))
                .bind(clean(&found.fingerprint))
                .bind(number(found.figures.size))
                .bind(number(found.figures.objects))
                .bind(number(found.figures.rows))
                .bind(found.figures.newest.map(|time| time.timestamp_micros()))
                .bind(found.figures.oldest.map(|time| time.timestamp_micros()))
                .bind(put.status.as_str())
                .bind(put.reason.as_deref().map(clean))
                .bind(self.run.to_string())
                .bind(self.at)
                .bind(seen)
                .bind(seen)
                .bind(put.changed.then_some(self.at));
        }
        let rows = query.fetch_all(&mut **tx).await.map_err(failed(doing))?;
        let mut ids = HashMap::with_capacity(rows.len());
        for row in &rows {
            ids.insert(
                (row_string(row, "bucket")?, row_string(row, "path")?),
                row_number(row, "id")?,
            );
        }
        let numbered: Vec<(i64, &ContainerPut)> = puts
            .iter()
            .filter_map(|put| {
                let place = (clean(&put.found.bucket), clean(&put.found.path));
                ids.get(&place).map(|id| (*id, put))
            })
            .collect();
        for (id, put) in &numbered {
            if let Some(texts) = &put.search {
                self.search(tx, *id, texts).await?;
            }
        }
        let history: Vec<(i64, &HistoryEntry)> = numbered
            .iter()
            .flat_map(|(id, put)| put.history.iter().map(|entry| (*id, entry)))
            .collect();
        self.history(tx, &history).await?;
        let figures: Vec<(i64, &StoredFigures)> = numbered
            .iter()
            .filter(|(_, put)| put.figures)
            .map(|(id, put)| (*id, &put.found.figures))
            .collect();
        self.figures(tx, &figures).await
    }

    async fn same(&self, tx: &mut Tx, ids: &[i64]) -> Result<()> {
        let places: Vec<String> = (3..ids.len() + 3).map(|place| format!("${place}")).collect();
        let sql = format!(
            "UPDATE containers SET status = 'active', reason = NULL, run_id = $1, checked_at = $2, last_seen = $2 WHERE id IN ({})",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(self.run.to_string()).bind(self.at);
        for id in ids {
            query = query.bind(*id);
        }
        query.execute(&mut **tx).await.map_err(failed("keep containers"))?;
        Ok(())
    }

    async fn search(&self, tx: &mut Tx, id: i64, texts: &SearchTexts) -> Result<()> {
        let query = sqlx::query(self.dialect.put_found_sql())
            .bind(id)
            .bind(words(&texts.name).join(" "))
            .bind(words(&texts.columns).join(" "))
            .bind(words(&texts.about).join(" "));
        query.execute(&mut **tx).await.map_err(failed("keep words of containers"))?;
        Ok(())
    }

    async fn history(&self, tx: &mut Tx, entries: &[(i64, &HistoryEntry)]) -> Result<()> {
        for entries in entries.chunks(ROWS) {
            let sql = format!(
                "{} ON CONFLICT DO NOTHING",
                insert(
                    "container_history (container_id, at, change, column_name, old_value, new_value, run_id)",
                    7,
                    entries.len()
                )
            );
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (id, entry) in entries {
                query = query
                    .bind(*id)
                    .bind(self.at)
                    .bind(&entry.change)
                    .bind(clean(&entry.column))
                    .bind(entry.old.as_deref().map(clean))
                    .bind(entry.new.as_deref().map(clean))
                    .bind(self.run.to_string());
            }
            query.execute(&mut **tx).await.map_err(failed("keep the history of containers"))?;
        }
        Ok(())
    }

    async fn figures(&self, tx: &mut Tx, rows: &[(i64, &StoredFigures)]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "{} ON CONFLICT (container_id, day) DO UPDATE SET at = excluded.at, size = excluded.size, objects = excluded.objects, row_count = excluded.row_count, run_id = excluded.run_id",
            insert(
                "container_figures (container_id, day, at, size, objects, row_count, run_id)",
                7,
                rows.len()
            )
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, figures) in rows {
            query = query
                .bind(*id)
                .bind(day(self.at))
                .bind(self.at)
                .bind(number(figures.size))
                .bind(number(figures.objects))
                .bind(number(figures.rows))
                .bind(self.run.to_string());
        }
        query.execute(&mut **tx).await.map_err(failed("keep figures of containers"))?;
        Ok(())
    }
}
