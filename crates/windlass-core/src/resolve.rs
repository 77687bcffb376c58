//! What a query sees: connections as schemas of paths, file tables, system tables.

use crate::system;
use crate::tables::DEFAULT_SCHEMA;
use crate::windlass::Windlass;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::Utc;
use secrecy::SecretString;
use std::sync::Arc;
use windlass_query::{
    Catalogued, FileTable, Resolver, SchemaChange, SchemaColumn, StoredColumns, SystemRows,
    Temporaries, Temporary, View,
};
use windlass_s3::Storage;
use windlass_state::FabricRow as Fabric;
use windlass_types::{Name, Result};

/// One fabric, as the query engine resolves names in it.
pub(crate) struct Scope {
    pub(crate) windlass: Windlass,
    pub(crate) fabric: Fabric,
    pub(crate) temporaries: Temporaries,
}

#[async_trait]
impl Resolver for Scope {
    async fn storage(&self, connection: &str) -> Result<Option<Storage>> {
        let name = Name::new(connection)?;
        match self.windlass.inner.store.find_connection(self.fabric.id, &name).await? {
            Some(row) => Ok(Some(self.windlass.open_row(&row).await?.storage())),
            None => Ok(None),
        }
    }

    async fn file_table(&self, schema: Option<&str>, table: &str) -> Result<Option<FileTable>> {
        let schema = Name::new(schema.unwrap_or(DEFAULT_SCHEMA))?;
        let store = &self.windlass.inner.store;
        let Some(row) = store.file_table(self.fabric.id, &schema, &Name::new(table)?).await? else {
            return Ok(None);
        };
        Ok(Some(FileTable {
            connection: row.connection_name.as_str().to_owned(),
            location: row.location,
            options: row.options,
            columns: store.table_schema(row.id).await?.map(|stored| StoredColumns {
                columns: stored
                    .columns
                    .into_iter()
                    .map(|column| SchemaColumn { name: column.name, kind: column.kind })
                    .collect(),
                declared: stored.declared,
            }),
        }))
    }

    async fn secret(&self, name: &str) -> Result<SecretString> {
        let name = Name::new(name)?;
        self.windlass.inner.store.open_secret(self.fabric.id, &name).await
    }

    async fn container(&self, connection: &str, path: &str) -> Result<Option<Catalogued>> {
        self.windlass.container_as_table(&self.fabric, connection, path).await
    }

    async fn keep_schema(
        &self,
        schema: Option<&str>,
        table: &str,
        columns: Option<&StoredColumns>,
        changes: &[SchemaChange],
    ) -> Result<()> {
        let schema = Name::new(schema.unwrap_or(DEFAULT_SCHEMA))?;
        let store = &self.windlass.inner.store;
        let Some(row) = store.file_table(self.fabric.id, &schema, &Name::new(table)?).await? else {
            return Ok(());
        };
        let columns = columns.map(stored_schema);
        let changes: Vec<windlass_state::SchemaChange> = changes
            .iter()
            .map(|change| windlass_state::SchemaChange {
                column: change.column.clone(),
                change: change.change.to_owned(),
                old_type: change.old_type.clone(),
                new_type: change.new_type.clone(),
                files: change.files.clone(),
            })
            .collect();
        store.keep_schema(row.id, columns.as_ref(), &changes, Utc::now()).await
    }

    async fn view(&self, schema: Option<&str>, table: &str) -> Result<Option<View>> {
        let schema = Name::new(schema.unwrap_or(DEFAULT_SCHEMA))?;
        let store = &self.windlass.inner.store;
        let row = store.view(self.fabric.id, &schema, &Name::new(table)?).await?;
        Ok(row.map(|row| View { query: row.query, columns: row.columns }))
    }

    fn temporary(&self, table: &str) -> Option<Temporary> {
        self.temporaries.get(table)
    }

    fn temporaries(&self) -> Vec<String> {
        self.temporaries.names()
    }

    async fn views(&self) -> Result<Vec<(String, String)>> {
        let rows = self.windlass.inner.store.views(self.fabric.id).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.schema.as_str().to_owned(), row.name.as_str().to_owned()))
            .collect())
    }

    async fn system_table(&self, name: &str) -> Result<Option<RecordBatch>> {
        self.windlass.system_table(&self.fabric, name).await
    }

    fn system_rows(&self, name: &str) -> Option<Arc<dyn SystemRows>> {
        crate::jobs::run_rows(&self.windlass, self.fabric.id, name)
    }

    fn system_tables(&self) -> Vec<String> {
        system::TABLES.iter().map(|table| table.name.to_owned()).collect()
    }

    async fn tables(&self) -> Result<Vec<(String, String)>> {
        let rows = self.windlass.inner.store.file_tables(self.fabric.id).await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.schema.as_str().to_owned(), row.name.as_str().to_owned()))
            .collect())
    }
}

/// Columns as the store keeps them.
pub(crate) fn stored_schema(schema: &StoredColumns) -> windlass_state::StoredSchema {
    windlass_state::StoredSchema {
        columns: schema
            .columns
            .iter()
            .map(|column| windlass_state::StoredColumn {
                name: column.name.clone(),
                kind: column.kind.clone(),
            })
            .collect(),
        declared: schema.declared,
    }
}
