//! Schemas, and the file tables in them.

use crate::MAIN_SCHEMA;
use crate::Store;
use crate::connections::{no_connection, stored};
use crate::dialect::Intent;
use crate::error::{
    failed, is_duplicate, is_reference, row_json, row_name, row_parse, row_text, row_time, to_json,
};
use crate::fabrics::{release_name, take_name};
use chrono::{DateTime, Utc};
use sqlx::any::AnyRow;
use windlass_types::{
    ConnectionId, Error, ErrorCode, FabricId, FileTableId, Name, OptionMap, Result,
};

/// A stored file table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTableRow {
    /// Id.
    pub id: FileTableId,
    /// Fabric.
    pub fabric: FabricId,
    /// Schema.
    pub schema: Name,
    /// Name.
    pub name: Name,
    /// Connection.
    pub connection: ConnectionId,
    /// The connection's name.
    pub connection_name: Name,
    /// Where the files are, as it was written.
    pub location: String,
    /// Options of the format.
    pub options: OptionMap,
    /// When it was made.
    pub created: DateTime<Utc>,
}

impl FileTableRow {
    fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            id: row_parse(row, "id")?,
            fabric: row_parse(row, "fabric_id")?,
            schema: row_name(row, "schema_name")?,
            name: row_name(row, "name")?,
            connection: row_parse(row, "connection_id")?,
            connection_name: row_name(row, "connection_name")?,
            location: row_text(row, "location")?.unwrap_or_default(),
            options: row_json(row, "options")?,
            created: row_time(row, "created_at")?,
        })
    }
}

/// A file table to be stored.
#[derive(Debug, Clone)]
pub struct NewFileTable {
    /// Schema.
    pub schema: Name,
    /// Name.
    pub name: Name,
    /// Connection, by name.
    pub connection: Name,
    /// Where the files are.
    pub location: String,
    /// Options of the format.
    pub options: OptionMap,
}

impl Store {
    /// Lists the schemas of a fabric by name, `main` among them.
    pub async fn schemas(&self, fabric: FabricId) -> Result<Vec<Name>> {
        sqlx::query("SELECT name FROM schemas WHERE fabric_id = $1 ORDER BY name")
            .bind(fabric.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read schemas"))?
            .iter()
            .map(|row| row_name(row, "name"))
            .collect()
    }

    /// Creates a schema.
    pub async fn create_schema(
        &self,
        fabric: FabricId,
        name: &Name,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let doing = "create a schema";
        let mut tx = self.begin(Intent::Write).await?;
        take_name(&mut tx, fabric, name, "schema").await?;
        sqlx::query("INSERT INTO schemas (fabric_id, name, created_at) VALUES ($1, $2, $3)")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .bind(now.timestamp_micros())
            .execute(&mut *tx)
            .await
            .map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Drops a schema; refused while it holds tables, and for `main`.
    pub async fn drop_schema(&self, fabric: FabricId, name: &Name) -> Result<()> {
        let doing = "drop a schema";
        if name.as_str() == MAIN_SCHEMA {
            return Err(Error::new(ErrorCode::SchemaInUse, "schema main cannot be dropped")
                .hint("every fabric has it"));
        }
        let in_use = || {
            Error::new(ErrorCode::SchemaInUse, format!("schema {name} holds tables"))
                .hint("drop its tables first; `SHOW FILE TABLES` lists them")
        };
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query("DELETE FROM schemas WHERE fabric_id = $1 AND name = $2")
            .bind(fabric.to_string())
            .bind(name.as_str())
            .execute(&mut *tx)
            .await;
        let done = match done {
            Err(error) if is_reference(&error) => return Err(in_use()),
            other => other.map_err(failed(doing))?,
        };
        if done.rows_affected() == 0 {
            return Err(no_schema(name));
        }
        release_name(&mut tx, fabric, name).await?;
        tx.commit().await.map_err(failed(doing))
    }

    /// Creates a file table.
    pub async fn create_file_table(
        &self,
        fabric: FabricId,
        new: NewFileTable,
        now: DateTime<Utc>,
    ) -> Result<FileTableRow> {
        let doing = "create a file table";
        let mut tx = self.begin(Intent::Write).await?;
        let connection: Option<String> =
            sqlx::query_scalar("SELECT id FROM connections WHERE fabric_id = $1 AND name = $2")
                .bind(fabric.to_string())
                .bind(new.connection.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed(doing))?;
        let connection: ConnectionId = connection
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| no_connection(&new.connection))?;
        let row = FileTableRow {
            id: FileTableId::new(),
            fabric,
            schema: new.schema,
            name: new.name,
            connection,
            connection_name: new.connection,
            location: new.location,
            options: new.options,
            created: stored(now),
        };
        sqlx::query(
            "INSERT INTO file_tables (id, fabric_id, schema_name, name, connection_id, location, options, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(row.id.to_string())
        .bind(fabric.to_string())
        .bind(row.schema.as_str())
        .bind(row.name.as_str())
        .bind(connection.to_string())
        .bind(&row.location)
        .bind(to_json(&row.options)?)
        .bind(now.timestamp_micros())
        .execute(&mut *tx)
        .await
        .map_err(|error| {
            if is_duplicate(&error) {
                Error::new(
                    ErrorCode::TableExists,
                    format!("table {}.{} exists", row.schema, row.name),
                )
            } else if is_reference(&error) {
                no_schema(&row.schema)
            } else {
                failed(doing)(error)
            }
        })?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(row)
    }

    /// Drops a file table; its files stay.
    pub async fn drop_file_table(
        &self,
        fabric: FabricId,
        schema: &Name,
        name: &Name,
    ) -> Result<()> {
        let doing = "drop a file table";
        let mut tx = self.begin(Intent::Write).await?;
        let done = sqlx::query(
            "DELETE FROM file_tables WHERE fabric_id = $1 AND schema_name = $2 AND name = $3",
        )
        .bind(fabric.to_string())
        .bind(schema.as_str())
        .bind(name.as_str())
        .execute(&mut *tx)
        .await
        .map_err(failed(doing))?;
        if done.rows_affected() == 0 {
            return Err(Error::new(
                ErrorCode::TableNotFound,
                format!("no file table {schema}.{name}"),
            )
            .hint("`SHOW FILE TABLES` lists them"));
        }
        tx.commit().await.map_err(failed(doing))
    }

    /// Lists the file tables of a fabric by schema and name.
    pub async fn file_tables(&self, fabric: FabricId) -> Result<Vec<FileTableRow>> {
        sqlx::query(
            "SELECT t.*, c.name AS connection_name FROM file_tables t JOIN connections c ON c.id = t.connection_id WHERE t.fabric_id = $1 ORDER BY t.schema_name, t.name",
        )
        .bind(fabric.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read file tables"))?
        .iter()
        .map(FileTableRow::read)
        .collect()
    }

    /// Finds a file table.
    pub async fn file_table(
        &self,
        fabric: FabricId,
        schema: &Name,
        name: &Name,
    ) -> Result<Option<FileTableRow>> {
        let row = sqlx::query(
            "SELECT t.*, c.name AS connection_name FROM file_tables t JOIN connections c ON c.id = t.connection_id WHERE t.fabric_id = $1 AND t.schema_name = $2 AND t.name = $3",
        )
        .bind(fabric.to_string())
        .bind(schema.as_str())
        .bind(name.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read file tables"))?;
        row.as_ref().map(FileTableRow::read).transpose()
    }
}

fn no_schema(name: &Name) -> Error {
    Error::new(ErrorCode::SchemaNotFound, format!("no schema {name}"))
        .hint("CREATE SCHEMA makes one; `main` is always there")
}
