//! File tables and the schemas they live in.

use crate::engine::Answer;
use crate::rows::done;
use crate::windlass::Windlass;
use chrono::Utc;
use windlass_sql::{OptionSetting, TableName};
use windlass_state::{FabricRow as Fabric, NewFileTable};
use windlass_types::{ConnectionKind, Error, ErrorCode, Name, OptionMap, Result, S3Url};

/// The schema a bare table name means.
pub(crate) const DEFAULT_SCHEMA: &str = "main";

/// What `CREATE FILE TABLE` was asked.
pub(crate) struct CreateFileTable {
    pub(crate) if_not_exists: bool,
    pub(crate) name: TableName,
    pub(crate) connection: Name,
    pub(crate) location: String,
    pub(crate) options: Vec<OptionSetting>,
    /// Its columns, each as SQL has it; empty: as the files have them.
    pub(crate) columns: Vec<String>,
}

impl Windlass {
    pub(crate) async fn create_file_table(
        &self,
        fabric: &Fabric,
        create: CreateFileTable,
    ) -> Result<Answer> {
        let schema = self.schema_of(fabric, &create.name).await?;
        let shown = format!("{}.{}", schema.as_str(), create.name.table.as_str());
        if self.inner.store.file_table(fabric.id, &schema, &create.name.table).await?.is_some() {
            if create.if_not_exists {
                return Ok(done(format!("table `{shown}` exists; nothing changed"), vec![]));
            }
            return Err(Error::new(ErrorCode::TableExists, format!("table `{shown}` exists"))
                .hint("drop it first, or add `IF NOT EXISTS`"));
        }
        if self.inner.store.view(fabric.id, &schema, &create.name.table).await?.is_some() {
            return Err(Error::new(ErrorCode::TableExists, format!("`{shown}` is a view"))
                .hint("drop it first, or choose another name"));
        }
        let connection = self.connection(fabric, &create.connection).await?;
        // The location must be one the connection may name, and a readable pattern, from the start.
        let storage = self.open_row(&connection).await?.storage();
        let location = storage.binding().resolve_any(&create.location)?;
        location.need_bucket()?;
        windlass_types::KeyPattern::parse(&location.key)?;
        let options: OptionMap = create.options.into_iter().map(|o| (o.name, o.value)).collect();
        windlass_query::check_options(&options)?;
        if let Some(secret) = windlass_query::password_secret(&options) {
            let secret = Name::new(secret).map_err(windlass_query::without_name)?;
            self.secret(fabric, &secret).await.map_err(windlass_query::without_name)?;
        }
        let columns = windlass_query::declared_columns(&create.columns)?;
        // Stored absolute, so that it says by itself where the files are.
        let location = match (connection.kind, location.bucket) {
            (ConnectionKind::S3, Some(bucket)) => S3Url { bucket, key: location.key }.to_string(),
            _ => create.location,
        };
        let new = NewFileTable {
            schema,
            name: create.name.table,
            connection: connection.name,
            location,
            options,
        };
        let row = self.inner.store.create_file_table(fabric.id, new, Utc::now()).await?;
        if !columns.columns.is_empty() {
            let columns = crate::resolve::stored_schema(&columns);
            self.inner.store.keep_schema(row.id, Some(&columns), &[], Utc::now()).await?;
        }
        Ok(done(format!("file table `{shown}` created"), vec![]))
    }

    pub(crate) async fn drop_table(
        &self,
        fabric: &Fabric,
        name: &TableName,
        if_exists: bool,
    ) -> Result<Answer> {
        let schema = self.schema_of(fabric, name).await?;
        let shown = format!("{}.{}", schema.as_str(), name.table.as_str());
        if self.inner.store.file_table(fabric.id, &schema, &name.table).await?.is_none() {
            if if_exists {
                return Ok(done(format!("no table `{shown}`; nothing changed"), vec![]));
            }
            return Err(Error::new(ErrorCode::TableNotFound, format!("no table `{shown}`"))
                .hint("`SHOW FILE TABLES` lists them"));
        }
        self.inner.store.drop_file_table(fabric.id, &schema, &name.table).await?;
        Ok(done(format!("file table `{shown}` dropped; its files stay"), vec![]))
    }

    pub(crate) async fn create_schema(
        &self,
        fabric: &Fabric,
        name: Name,
        if_not_exists: bool,
    ) -> Result<Answer> {
        let exists = name.as_str() == DEFAULT_SCHEMA
            || self.inner.store.schemas(fabric.id).await?.contains(&name);
        if exists && if_not_exists {
            return Ok(done(format!("schema `{}` exists; nothing changed", name.as_str()), vec![]));
        }
        let name = if exists { name } else { name.not_reserved()? };
        if exists || self.inner.store.find_connection(fabric.id, &name).await?.is_some() {
            return Err(Error::new(
                ErrorCode::TableExists,
                format!("a schema or connection `{}` exists", name.as_str()),
            )
            .hint("connections and schemas share one namespace; choose another name"));
        }
        self.inner.store.create_schema(fabric.id, &name, Utc::now()).await?;
        Ok(done(format!("schema `{}` created", name.as_str()), vec![]))
    }

    pub(crate) async fn drop_schema(
        &self,
        fabric: &Fabric,
        name: &Name,
        if_exists: bool,
    ) -> Result<Answer> {
        if name.as_str() == DEFAULT_SCHEMA {
            return Err(Error::new(
                ErrorCode::SchemaReserved,
                "the schema `main` cannot be dropped",
            )
            .hint("it is where tables belong that name no schema; `DROP TABLE` drops one"));
        }
        if !self.inner.store.schemas(fabric.id).await?.contains(name) {
            if if_exists {
                return Ok(done(format!("no schema `{}`; nothing changed", name.as_str()), vec![]));
            }
            return Err(no_schema(name));
        }
        self.inner.store.drop_schema(fabric.id, name).await?;
        Ok(done(format!("schema `{}` dropped", name.as_str()), vec![]))
    }

    /// The schema a table name means; it must exist.
    pub(crate) async fn schema_of(&self, fabric: &Fabric, name: &TableName) -> Result<Name> {
        let schema = match &name.schema {
            Some(schema) => schema.clone(),
            None => Name::new(DEFAULT_SCHEMA)?,
        };
        if schema.as_str() != DEFAULT_SCHEMA
            && !self.inner.store.schemas(fabric.id).await?.contains(&schema)
        {
            return Err(no_schema(&schema));
        }
        Ok(schema)
    }
}

fn no_schema(name: &Name) -> Error {
    Error::new(ErrorCode::TableNotFound, format!("no schema `{}`", name.as_str()))
        .hint(format!("`CREATE SCHEMA {name}` makes it; without a schema a table is in `main`"))
}
