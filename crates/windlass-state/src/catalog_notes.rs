//! What people say of containers and their columns. No crawl writes here.

use crate::catalog_search::words;
use crate::dialect::Intent;
use crate::error::{failed, row_json, row_number, row_string, row_text, row_time, to_json};
use crate::run_log::clean;
use crate::{Store, Tx};
use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use windlass_types::{FabricId, Result};

/// What people say of a container, or of one of its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRow {
    /// The container's number.
    pub container: i64,
    /// The column, as a dotted path; empty for the container itself.
    pub column: String,
    /// In words.
    pub description: Option<String>,
    /// Who is responsible.
    pub owners: Vec<String>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// When somebody last changed it.
    pub updated: DateTime<Utc>,
}

impl NoteRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            container: row_number(row, "container_id")?,
            column: row_string(row, "column_name")?,
            description: row_text(row, "description")?,
            owners: row_json(row, "owners")?,
            tags: row_json(row, "tags")?,
            updated: row_time(row, "updated_at")?,
        })
    }

    /// All of it, to be found by.
    fn text(&self) -> String {
        let mut text = self.description.clone().unwrap_or_default();
        for word in self.owners.iter().chain(&self.tags) {
            text.push('\n');
            text.push_str(word);
        }
        text
    }
}

/// What people say of a container or of one of its columns; a field that is None stays as it is,
/// a field that is empty is taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoteChange {
    /// In words.
    pub description: Option<String>,
    /// Who is responsible.
    pub owners: Option<Vec<String>>,
    /// Words to find it by.
    pub tags: Option<Vec<String>>,
}

impl Store {
    /// Changes what people say of a container, or of one of its columns.
    pub async fn note_container(
        &self,
        container: i64,
        column: &str,
        change: &NoteChange,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "note something of a container";
        let mut tx = self.begin(Intent::Write).await?;
        let owners = change.owners.as_ref().map(to_json).transpose()?;
        let tags = change.tags.as_ref().map(to_json).transpose()?;
        sqlx::query(
            "INSERT INTO container_notes (container_id, column_name, description, owners, tags, updated_at) VALUES ($1, $2, NULLIF($3, ''), COALESCE($4, '[]'), COALESCE($5, '[]'), $6) ON CONFLICT (container_id, column_name) DO UPDATE SET description = CASE WHEN $7 = 1 THEN excluded.description ELSE container_notes.description END, owners = COALESCE($4, container_notes.owners), tags = COALESCE($5, container_notes.tags), updated_at = excluded.updated_at",
        )
        .bind(container)
        .bind(clean(column))
        .bind(change.description.as_deref().map(clean))
        .bind(owners.as_deref().map(clean))
        .bind(tags.as_deref().map(clean))
        .bind(now.timestamp_micros())
        .bind(i64::from(change.description.is_some()))
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        let notes = of(&mut tx, container).await?;
        let texts: Vec<String> = notes.iter().map(NoteRow::text).collect();
        sqlx::query(self.dialect.put_noted_sql())
            .bind(container)
            .bind(words(&texts.join("\n")).join(" "))
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }
}

impl Store {
    /// What people say of one container.
    pub async fn container_notes(&self, container: i64) -> Result<Vec<NoteRow>> {
        let mut tx = self.pool.begin().await.map_err(failed("read notes"))?;
        of(&mut tx, container).await
    }

    /// What people say of all containers of a fabric.
    pub async fn fabric_notes(&self, fabric: FabricId) -> Result<Vec<NoteRow>> {
        sqlx::query(
            "SELECT n.* FROM container_notes n JOIN containers c ON c.id = n.container_id JOIN catalog_services s ON s.id = c.service_id WHERE s.fabric_id = $1 ORDER BY n.container_id, n.column_name",
        )
        .bind(fabric.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read notes"))?
        .iter()
        .map(NoteRow::read)
        .collect()
    }
}

async fn of(tx: &mut Tx, container: i64) -> Result<Vec<NoteRow>> {
    sqlx::query("SELECT * FROM container_notes WHERE container_id = $1 ORDER BY column_name")
        .bind(container)
        .fetch_all(&mut **tx)
        .await
        .map_err(failed("read notes"))?
        .iter()
        .map(NoteRow::read)
        .collect()
}
