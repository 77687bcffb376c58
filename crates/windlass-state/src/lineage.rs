//! Which places runs took data from, and where they took it.

use crate::Store;
use crate::dialect::Intent;
use crate::error::{failed, row_count, row_json, row_parse, row_string, row_time, to_json};
use crate::run_log::clean;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use windlass_types::{ConnectionId, FabricId, Result, RunId};

/// A place that runs read or write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineageEnd {
    /// The connection; None for the machine of the command line.
    pub connection: Option<ConnectionId>,
    /// The name the connection has, or had.
    pub name: String,
    /// The bucket; empty without a connection.
    pub bucket: String,
    /// A key, or a folder without `/` at its end; empty for the whole bucket.
    pub path: String,
}

/// Data taken from one place to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEdge {
    /// From.
    pub from: LineageEnd,
    /// To.
    pub to: LineageEnd,
    /// The word of the kind of work: `copy`, `write`.
    pub kind: String,
    /// Columns: from, to. Empty where nobody knows.
    pub columns: Vec<(String, String)>,
}

/// An edge with the runs that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeRow {
    /// What it says, as the last run did it.
    pub edge: NewEdge,
    /// The last run.
    pub run: RunId,
    /// How many runs.
    pub runs: u64,
    /// When the first was.
    pub first: DateTime<Utc>,
    /// When the last was.
    pub last: DateTime<Utc>,
}

/// Most edges of a fabric that are looked at; the latest are.
const MOST: i64 = 200_000;

impl Store {
    /// Notes what a run took where. Saying it twice for one run counts once.
    pub async fn record_lineage(
        &self,
        fabric: FabricId,
        edges: &[NewEdge],
        run: RunId,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "note lineage";
        if edges.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin(Intent::Write).await?;
        for edge in edges {
            let id =
                |end: &LineageEnd| end.connection.map_or_else(String::new, |id| id.to_string());
            sqlx::query(
                "INSERT INTO lineage_edges (fabric_id, from_connection, from_name, from_bucket, from_path, to_connection, to_name, to_bucket, to_path, kind, columns, run_id, runs, first_at, last_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $13) ON CONFLICT (fabric_id, from_connection, from_bucket, from_path, to_connection, to_bucket, to_path) DO UPDATE SET from_name = excluded.from_name, to_name = excluded.to_name, kind = excluded.kind, columns = excluded.columns, runs = lineage_edges.runs + CASE WHEN lineage_edges.run_id = excluded.run_id THEN 0 ELSE 1 END, run_id = excluded.run_id, last_at = excluded.last_at",
            )
            .bind(fabric.to_string())
            .bind(id(&edge.from))
            .bind(clean(&edge.from.name))
            .bind(clean(&edge.from.bucket))
            .bind(clean(&edge.from.path))
            .bind(id(&edge.to))
            .bind(clean(&edge.to.name))
            .bind(clean(&edge.to.bucket))
            .bind(clean(&edge.to.path))
            .bind(&edge.kind)
            .bind(clean(&to_json(&edge.columns)?))
            .bind(run.to_string())
            .bind(now.timestamp_micros())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// The edges of a fabric, the latest first.
    pub async fn lineage(&self, fabric: FabricId) -> Result<Vec<EdgeRow>> {
        sqlx::query(
            "SELECT * FROM lineage_edges WHERE fabric_id = $1 ORDER BY last_at DESC, from_connection, from_bucket, from_path, to_connection, to_bucket, to_path LIMIT $2",
        )
        .bind(fabric.to_string())
        .bind(MOST)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read lineage"))?
        .iter()
        .map(read)
        .collect()
    }
}

fn read(row: &AnyRow) -> Result<EdgeRow> {
    let end = |columns: [&str; 4]| -> Result<LineageEnd> {
        let [connection, name, bucket, path] = columns;
        let given = !row_string(row, connection)?.is_empty();
        Ok(LineageEnd {
            connection: given.then(|| row_parse(row, connection)).transpose()?,
            name: row_string(row, name)?,
            bucket: row_string(row, bucket)?,
            path: row_string(row, path)?,
        })
    };
    Ok(EdgeRow {
        edge: NewEdge {
            from: end(["from_connection", "from_name", "from_bucket", "from_path"])?,
            to: end(["to_connection", "to_name", "to_bucket", "to_path"])?,
            kind: row_string(row, "kind")?,
            columns: row_json(row, "columns")?,
        },
        run: row_parse(row, "run_id")?,
        runs: row_count(row, "runs")?,
        first: row_time(row, "first_at")?,
        last: row_time(row, "last_at")?,
    })
}
