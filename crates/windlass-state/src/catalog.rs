//! The catalogue: services and their containers, as they are read. Writing is in
//! `catalog_write.rs`. What a structure or a detail holds is core's business; here it is text.

use crate::dialect::Intent;
use crate::error::{
    failed, row_number, row_number_opt, row_parse, row_parse_opt, row_string, row_text, row_time,
    row_time_opt,
};
use crate::run_log::clean;
use crate::{Store, Tx};
use chrono::{DateTime, Utc};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use windlass_types::{ConnectionId, FabricId, Result, RunId, ServiceId};

/// What one crawl keeps its containers under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Id.
    pub id: ServiceId,
    /// Its fabric.
    pub fabric: FabricId,
    /// Its name: the connection's, or the one of a workflow file. Any text.
    pub name: String,
    /// What the crawl says of it.
    pub description: Option<String>,
    /// The connection that reaches it, unless a workflow file had its own.
    pub connection: Option<ConnectionId>,
    /// When it was first crawled.
    pub created: DateTime<Utc>,
    /// When a crawl of it last began.
    pub updated: DateTime<Utc>,
}

impl ServiceRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row_parse(row, "id")?,
            fabric: row_parse(row, "fabric_id")?,
            name: row_string(row, "name")?,
            description: row_text(row, "description")?,
            connection: row_parse_opt(row, "connection_id")?,
            created: row_time(row, "created_at")?,
            updated: row_time(row, "updated_at")?,
        })
    }
}

/// Whether a container is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContainerStatus {
    /// The last crawl that looked found it.
    Active,
    /// It could not be read; the reason stands beside.
    NotSeen,
    /// A complete listing did not have it.
    Deleted,
}

impl ContainerStatus {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NotSeen => "not_seen",
            Self::Deleted => "deleted",
        }
    }
}

impl std::str::FromStr for ContainerStatus {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        [Self::Active, Self::NotSeen, Self::Deleted]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(())
    }
}

/// Sizes and counts of a container; unknown is None.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredFigures {
    /// Bytes.
    pub size: Option<u64>,
    /// Objects.
    pub objects: Option<u64>,
    /// Rows.
    pub rows: Option<u64>,
    /// Last modification of the newest object.
    pub newest: Option<DateTime<Utc>>,
    /// Last modification of the oldest object.
    pub oldest: Option<DateTime<Utc>>,
}

/// What a crawl says of one container, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContainer {
    /// Bucket.
    pub bucket: String,
    /// Path below it; empty for the bucket itself.
    pub path: String,
    /// Word of its kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Fully qualified name.
    pub fqn: String,
    /// That of what it lies in.
    pub parent_fqn: Option<String>,
    /// `s3://bucket/path`.
    pub full_path: String,
    /// JSON of what is only shown.
    pub detail: String,
    /// JSON of its columns.
    pub structure: Option<String>,
    /// What an incremental crawl compares.
    pub fingerprint: String,
    /// Sizes and counts.
    pub figures: StoredFigures,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    /// Its number.
    pub id: i64,
    /// Its service.
    pub service: ServiceId,
    /// The service's name.
    pub service_name: String,
    /// What the last crawl that could read it said.
    pub found: StoredContainer,
    /// Whether it is there.
    pub status: ContainerStatus,
    /// Why it was not seen.
    pub reason: Option<String>,
    /// The run that spoke of it last.
    pub run: RunId,
    /// When that was.
    pub checked: DateTime<Utc>,
    /// When it was first found.
    pub first_seen: Option<DateTime<Utc>>,
    /// When it was last found.
    pub last_seen: Option<DateTime<Utc>>,
    /// When its structure last changed.
    pub changed: Option<DateTime<Utc>>,
}

impl ContainerRow {
    pub(crate) fn read(row: &AnyRow) -> Result<Self> {
        let count = |name| -> Result<Option<u64>> {
            Ok(row_number_opt(row, name)?.and_then(|number| u64::try_from(number).ok()))
        };
        Ok(Self {
            id: row_number(row, "id")?,
            service: row_parse(row, "service_id")?,
            service_name: row_string(row, "service_name")?,
            found: StoredContainer {
                bucket: row_string(row, "bucket")?,
                path: row_string(row, "path")?,
                kind: row_string(row, "kind")?,
                name: row_string(row, "name")?,
                fqn: row_string(row, "fqn")?,
                parent_fqn: row_text(row, "parent_fqn")?,
                full_path: row_string(row, "full_path")?,
                detail: row_string(row, "detail")?,
                structure: row_text(row, "structure")?,
                fingerprint: row_string(row, "fingerprint")?,
                figures: StoredFigures {
                    size: count("size")?,
                    objects: count("objects")?,
                    rows: count("row_count")?,
                    newest: row_time_opt(row, "newest")?,
                    oldest: row_time_opt(row, "oldest")?,
                },
            },
            status: row_parse(row, "status")?,
            reason: row_text(row, "reason")?,
            run: row_parse(row, "run_id")?,
            checked: row_time(row, "checked_at")?,
            first_seen: row_time_opt(row, "first_seen")?,
            last_seen: row_time_opt(row, "last_seen")?,
            changed: row_time_opt(row, "changed_at")?,
        })
    }
}

/// Which containers of a fabric, by fully qualified name.
#[derive(Debug, Clone, Default)]
pub struct ContainerFilter {
    /// Of this service only.
    pub service: Option<String>,
    /// Of this status only.
    pub status: Option<ContainerStatus>,
    /// Directly in this one only.
    pub parent: Option<String>,
    /// After this name and number.
    pub after: Option<(String, i64)>,
    /// At most so many.
    pub limit: u32,
}

/// What changed of a container, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The container's number.
    pub container: i64,
    /// When the crawl that saw it kept it.
    pub at: DateTime<Utc>,
    /// What changed.
    pub change: HistoryEntry,
    /// The run that saw it.
    pub run: RunId,
}

/// One change of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Word of the change: `column_added`, `deleted`.
    pub change: String,
    /// The column, as a dotted path; empty where it is no column's.
    pub column: String,
    /// What it was.
    pub old: Option<String>,
    /// What it is.
    pub new: Option<String>,
}

/// The figures of a container on a day when they had changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiguresRow {
    /// The container's number.
    pub container: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Bytes.
    pub size: Option<u64>,
    /// Objects.
    pub objects: Option<u64>,
    /// Rows.
    pub rows: Option<u64>,
    /// The run that saw it.
    pub run: RunId,
}

/// What a container is selected with; the service's name beside it.
pub(crate) const SELECT: &str = "SELECT c.*, s.name AS service_name FROM containers c JOIN catalog_services s ON s.id = c.service_id";

impl Store {
    /// The service of this name, made or brought up to date.
    pub async fn catalog_service(
        &self,
        fabric: FabricId,
        name: &str,
        description: Option<&str>,
        connection: Option<ConnectionId>,
        now: DateTime<Utc>,
    ) -> Result<ServiceRow> {
        let doing = "note a service";
        let mut tx = self.begin(Intent::Write).await?;
        let row = sqlx::query(
            "INSERT INTO catalog_services (id, fabric_id, name, description, connection_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (fabric_id, name) DO UPDATE SET description = COALESCE(excluded.description, catalog_services.description), connection_id = COALESCE(excluded.connection_id, catalog_services.connection_id), updated_at = excluded.updated_at RETURNING *",
        )
        .bind(ServiceId::new().to_string())
        .bind(fabric.to_string())
        .bind(clean(name))
        .bind(description.map(clean))
        .bind(connection.map(|id| id.to_string()))
        .bind(now.timestamp_micros())
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let row = ServiceRow::read(&row)?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(row)
    }

    /// The services of a fabric by name.
    pub async fn catalog_services(&self, fabric: FabricId) -> Result<Vec<ServiceRow>> {
        sqlx::query("SELECT * FROM catalog_services WHERE fabric_id = $1 ORDER BY name")
            .bind(fabric.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read services"))?
            .iter()
            .map(ServiceRow::read)
            .collect()
    }

    /// The container at a place of a service.
    pub async fn container_at(
        &self,
        service: ServiceId,
        bucket: &str,
        path: &str,
    ) -> Result<Option<ContainerRow>> {
        let sql = format!("{SELECT} WHERE c.service_id = $1 AND c.bucket = $2 AND c.path = $3");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(service.to_string())
            .bind(clean(bucket))
            .bind(clean(path))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a container"))?;
        row.as_ref().map(ContainerRow::read).transpose()
    }

    /// The containers that a query selects; `doing` names it in an error.
    async fn container_rows(
        &self,
        query: Query<'_, Any, AnyArguments>,
        doing: &'static str,
    ) -> Result<Vec<ContainerRow>> {
        let rows = query.fetch_all(&self.pool).await.map_err(failed(doing))?;
        rows.iter().map(ContainerRow::read).collect()
    }

    /// Containers of a fabric by fully qualified name.
    pub async fn containers(
        &self,
        fabric: FabricId,
        filter: &ContainerFilter,
    ) -> Result<Vec<ContainerRow>> {
        let (after, number) = filter.after.clone().unwrap_or((String::new(), -1));
        let sql = format!(
            "{SELECT} WHERE s.fabric_id = $1 AND ($2 = '' OR s.name = $2) AND ($3 = '' OR c.status = $3) AND ($4 = '' OR c.parent_fqn = $4) AND (c.fqn > $5 OR (c.fqn = $5 AND c.id > $6)) ORDER BY c.fqn, c.id LIMIT $7"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(fabric.to_string())
            .bind(filter.service.as_deref().unwrap_or_default())
            .bind(filter.status.map_or("", ContainerStatus::as_str))
            .bind(filter.parent.as_deref().unwrap_or_default())
            .bind(after)
            .bind(number)
            .bind(i64::from(filter.limit));
        self.container_rows(query, "read containers").await
    }

    /// Containers of a fabric with this fully qualified name or full path; those that are there
    /// first.
    pub async fn containers_named(
        &self,
        fabric: FabricId,
        name: &str,
    ) -> Result<Vec<ContainerRow>> {
        let sql = format!(
            "{SELECT} WHERE s.fabric_id = $1 AND (c.fqn = $2 OR c.full_path = $2) ORDER BY CASE c.status WHEN 'deleted' THEN 1 ELSE 0 END, c.fqn, c.id"
        );
        let query =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(fabric.to_string()).bind(clean(name));
        self.container_rows(query, "find a container").await
    }

    /// The containers at a place that a connection reaches: those of services crawled through it.
    pub async fn containers_of_connection(
        &self,
        connection: ConnectionId,
        bucket: &str,
        path: &str,
    ) -> Result<Vec<ContainerRow>> {
        let sql = format!(
            "{SELECT} WHERE s.connection_id = $1 AND c.bucket = $2 AND c.path = $3 ORDER BY CASE c.status WHEN 'deleted' THEN 1 ELSE 0 END, c.id"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(connection.to_string())
            .bind(clean(bucket))
            .bind(clean(path));
        self.container_rows(query, "find a container").await
    }

    /// What changed of one container, or of all of a fabric; the oldest first.
    pub async fn container_history(
        &self,
        fabric: FabricId,
        container: Option<i64>,
    ) -> Result<Vec<HistoryRow>> {
        sqlx::query(
            "SELECT h.* FROM container_history h JOIN containers c ON c.id = h.container_id JOIN catalog_services s ON s.id = c.service_id WHERE s.fabric_id = $1 AND ($2 < 0 OR h.container_id = $2) ORDER BY h.at, h.container_id, h.change, h.column_name",
        )
        .bind(fabric.to_string())
        .bind(container.unwrap_or(-1))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the history of containers"))?
        .iter()
        .map(|row| {
            Ok(HistoryRow {
                container: row_number(row, "container_id")?,
                at: row_time(row, "at")?,
                change: HistoryEntry {
                    change: row_string(row, "change")?,
                    column: row_string(row, "column_name")?,
                    old: row_text(row, "old_value")?,
                    new: row_text(row, "new_value")?,
                },
                run: row_parse(row, "run_id")?,
            })
        })
        .collect()
    }

    /// The figures of one container, or of all of a fabric, on days when they had changed.
    pub async fn container_figures(
        &self,
        fabric: FabricId,
        container: Option<i64>,
    ) -> Result<Vec<FiguresRow>> {
        sqlx::query(
            "SELECT f.* FROM container_figures f JOIN containers c ON c.id = f.container_id JOIN catalog_services s ON s.id = c.service_id WHERE s.fabric_id = $1 AND ($2 < 0 OR f.container_id = $2) ORDER BY f.at, f.container_id",
        )
        .bind(fabric.to_string())
        .bind(container.unwrap_or(-1))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the figures of containers"))?
        .iter()
        .map(|row| {
            let count = |name| -> Result<Option<u64>> {
                Ok(row_number_opt(row, name)?.and_then(|number| u64::try_from(number).ok()))
            };
            Ok(FiguresRow {
                container: row_number(row, "container_id")?,
                at: row_time(row, "at")?,
                size: count("size")?,
                objects: count("objects")?,
                rows: count("row_count")?,
                run: row_parse(row, "run_id")?,
            })
        })
        .collect()
    }
}

/// A container with less than everything: enough to decide whether it is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnspokenRow {
    /// Its number.
    pub id: i64,
    /// Bucket.
    pub bucket: String,
    /// Path below it.
    pub path: String,
    /// Word of its kind.
    pub kind: String,
    /// Fully qualified name.
    pub fqn: String,
    /// Whether it is there.
    pub status: ContainerStatus,
}

impl Store {
    /// Containers of a service that no crawl has spoken of since `begun`, those already called
    /// deleted aside; and how many are not deleted in all.
    pub async fn unspoken(
        &self,
        service: ServiceId,
        begun: DateTime<Utc>,
    ) -> Result<(Vec<UnspokenRow>, u64)> {
        let doing = "read containers";
        let mut tx = self.pool.begin().await.map_err(failed(doing))?;
        let all = alive(&mut tx, service).await?;
        let rows = sqlx::query(
            "SELECT id, bucket, path, kind, fqn, status FROM containers WHERE service_id = $1 AND status <> 'deleted' AND checked_at < $2 ORDER BY bucket, path",
        )
        .bind(service.to_string())
        .bind(begun.timestamp_micros())
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(doing))?
        .iter()
        .map(|row| {
            Ok(UnspokenRow {
                id: row_number(row, "id")?,
                bucket: row_string(row, "bucket")?,
                path: row_string(row, "path")?,
                kind: row_string(row, "kind")?,
                fqn: row_string(row, "fqn")?,
                status: row_parse(row, "status")?,
            })
        })
        .collect::<Result<_>>()?;
        Ok((rows, all))
    }
}

async fn alive(tx: &mut Tx, service: ServiceId) -> Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM containers WHERE service_id = $1 AND status <> 'deleted'",
    )
    .bind(service.to_string())
    .fetch_one(&mut **tx)
    .await
    .map_err(failed("count containers"))?;
    Ok(u64::try_from(count).unwrap_or_default())
}
