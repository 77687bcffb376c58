//! Views, and the columns that file tables were found with.

use crate::Store;
use crate::dialect::Intent;
use crate::error::{
    failed, is_duplicate, is_reference, row_json, row_name, row_string, row_time, to_json,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use windlass_types::{Error, ErrorCode, FabricId, FileTableId, Name, Result};

/// A stored view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// Schema.
    pub schema: Name,
    /// Name.
    pub name: Name,
    /// The text of its query.
    pub query: String,
    /// Names of its columns; empty: as the query has them.
    pub columns: Vec<String>,
    /// When it was made.
    pub created: DateTime<Utc>,
}

impl ViewRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            schema: row_name(row, "schema_name")?,
            name: row_name(row, "name")?,
            query: row_string(row, "query")?,
            columns: row_json(row, "columns")?,
            created: row_time(row, "created_at")?,
        })
    }
}

/// A column of a file table as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredColumn {
    /// Its name.
    pub name: String,
    /// Its type, as SQL names it.
    pub kind: String,
}

/// The stored columns of a file table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSchema {
    /// The columns, in order.
    pub columns: Vec<StoredColumn>,
    /// They were declared, not found.
    pub declared: bool,
}

/// How files differed from the stored columns of their table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// The column.
    pub column: String,
    /// `added`, `type` or `missing`.
    pub change: String,
    /// The stored type; empty for a column that was added.
    pub old_type: String,
    /// The type that was found; empty for a column that is missing.
    pub new_type: String,
    /// The files that show it.
    pub files: String,
}

/// A change with the table and the time it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChangeRow {
    /// Schema of the table.
    pub schema: Name,
    /// The table.
    pub table: Name,
    /// The change.
    pub change: SchemaChange,
    /// When it was first seen.
    pub seen: DateTime<Utc>,
}

impl Store {
    /// Creates a view, or with `replace` gives the one of this name another query.
    pub async fn create_view(&self, fabric: FabricId, view: &ViewRow, replace: bool) -> Result<()> {
        let doing = "create a view";
        let mut tx = self.begin(Intent::Write).await?;
        if replace {
            sqlx::query(
                "DELETE FROM views WHERE fabric_id = $1 AND schema_name = $2 AND name = $3",
            )
            .bind(fabric.to_string())
            .bind(view.schema.as_str())
            .bind(view.name.as_str())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        sqlx::query(
            "INSERT INTO views (fabric_id, schema_name, name, query, columns, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(fabric.to_string())
        .bind(view.schema.as_str())
        .bind(view.name.as_str())
        .bind(&view.query)
        .bind(to_json(&view.columns)?)
        .bind(view.created.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if is_duplicate(&error) {
                Error::new(
                    ErrorCode::TableExists,
                    format!("view {}.{} exists", view.schema, view.name),
                )
            } else if is_reference(&error) {
                Error::new(ErrorCode::SchemaNotFound, format!("no schema {}", view.schema))
            } else {
                failed(doing)(error)
            }
        })?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Drops a view; false: there is none.
    pub async fn drop_view(&self, fabric: FabricId, schema: &Name, name: &Name) -> Result<bool> {
        let done = sqlx::query(
            "DELETE FROM views WHERE fabric_id = $1 AND schema_name = $2 AND name = $3",
        )
        .bind(fabric.to_string())
        .bind(schema.as_str())
        .bind(name.as_str())
        .execute(&self.pool)
        .await
        .map_err(failed("drop a view"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Lists the views of a fabric by schema and name.
    pub async fn views(&self, fabric: FabricId) -> Result<Vec<ViewRow>> {
        sqlx::query("SELECT * FROM views WHERE fabric_id = $1 ORDER BY schema_name, name")
            .bind(fabric.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read views"))?
            .iter()
            .map(ViewRow::read)
            .collect()
    }

    /// Finds a view.
    pub async fn view(
        &self,
        fabric: FabricId,
        schema: &Name,
        name: &Name,
    ) -> Result<Option<ViewRow>> {
        let row = sqlx::query(
            "SELECT * FROM views WHERE fabric_id = $1 AND schema_name = $2 AND name = $3",
        )
        .bind(fabric.to_string())
        .bind(schema.as_str())
        .bind(name.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read views"))?;
        row.as_ref().map(ViewRow::read).transpose()
    }

    /// The stored columns of a file table.
    pub async fn table_schema(&self, table: FileTableId) -> Result<Option<StoredSchema>> {
        let row = sqlx::query("SELECT columns FROM table_schemas WHERE table_id = $1")
            .bind(table.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read the columns of a table"))?;
        row.as_ref().map(|row| row_json(row, "columns")).transpose()
    }

    /// Stores the columns of a file table, and what changed; a change that is known stays as it is.
    pub async fn keep_schema(
        &self,
        table: FileTableId,
        schema: Option<&StoredSchema>,
        changes: &[SchemaChange],
        now: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "store the columns of a table";
        let mut tx = self.begin(Intent::Write).await?;
        if let Some(schema) = schema {
            sqlx::query(
                "INSERT INTO table_schemas (table_id, columns, updated_at) VALUES ($1, $2, $3) ON CONFLICT (table_id) DO UPDATE SET columns = excluded.columns, updated_at = excluded.updated_at",
            )
            .bind(table.to_string())
            .bind(to_json(schema)?)
            .bind(now.timestamp_micros())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        for change in changes {
            sqlx::query(
                "INSERT INTO schema_changes (table_id, column_name, change, old_type, new_type, files, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(table.to_string())
            .bind(&change.column)
            .bind(&change.change)
            .bind(&change.old_type)
            .bind(&change.new_type)
            .bind(&change.files)
            .bind(now.timestamp_micros())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// The changes seen in the files of all tables of a fabric, the oldest first.
    pub async fn schema_changes(&self, fabric: FabricId) -> Result<Vec<SchemaChangeRow>> {
        sqlx::query(
            "SELECT c.*, t.schema_name AS of_schema, t.name AS of_table FROM schema_changes c JOIN file_tables t ON t.id = c.table_id WHERE t.fabric_id = $1 ORDER BY c.seen_at, t.schema_name, t.name, c.column_name",
        )
        .bind(fabric.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read changes of columns"))?
        .iter()
        .map(|row| {
            Ok(SchemaChangeRow {
                schema: row_name(row, "of_schema")?,
                table: row_name(row, "of_table")?,
                change: SchemaChange {
                    column: row_string(row, "column_name")?,
                    change: row_string(row, "change")?,
                    old_type: row_string(row, "old_type")?,
                    new_type: row_string(row, "new_type")?,
                    files: row_string(row, "files")?,
                },
                seen: row_time(row, "seen_at")?,
            })
        })
        .collect()
    }
}
