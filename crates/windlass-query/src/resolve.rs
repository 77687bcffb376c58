//! From the names of a statement to tables: asynchronous, and done before anything is planned.

use crate::engine::Session;
use crate::files::find;
use crate::format::Declared;
use crate::table::FilesTable;
use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use std::sync::Arc;
use windlass_s3::Storage;
use windlass_types::options::nearest;
use windlass_types::{Error, ErrorCode, Name, OptionMap, Result};

/// The schema of names without one.
pub(crate) const MAIN: &str = "main";
pub(crate) const SYSTEM: &str = "system";
const INFORMATION: &str = "information_schema";

/// A file table as it is stored.
#[derive(Debug, Clone)]
pub struct FileTable {
    /// The connection.
    pub connection: String,
    /// Path relative to the connection, or `s3://` text.
    pub location: String,
    /// Options of `CREATE FILE TABLE`.
    pub options: OptionMap,
}

/// What a fabric knows of names. One answers for one fabric.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Opens the storage behind a connection.
    async fn storage(&self, connection: &str) -> Result<Option<Storage>>;

    /// Finds a file table; no schema means the default.
    async fn file_table(&self, schema: Option<&str>, table: &str) -> Result<Option<FileTable>>;

    /// Makes the rows of a system table.
    async fn system_table(&self, name: &str) -> Result<Option<RecordBatch>>;

    /// Names of the system tables.
    fn system_tables(&self) -> Vec<String>;

    /// Schema and name of every table.
    async fn tables(&self) -> Result<Vec<(String, String)>>;
}

/// A name that was found.
pub(crate) struct Resolved {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) provider: Arc<dyn TableProvider>,
    pub(crate) files: Option<Arc<FilesTable>>,
}

/// Finds what `reference` names.
pub(crate) async fn resolve(
    session: &Session,
    fabric: &str,
    resolver: &dyn Resolver,
    reference: &TableReference,
) -> Result<Resolved> {
    if let Some(catalog) = reference.catalog()
        && catalog != fabric
    {
        return Err(other_fabric(resolver, catalog, fabric, reference).await);
    }
    let table = reference.table();
    let (provider, files) = match reference.schema() {
        Some(SYSTEM) => (batch_table(system(resolver, table).await?)?, None),
        Some(INFORMATION) if table == "tables" => {
            (batch_table(tables(resolver, fabric, true).await?)?, None)
        }
        Some(INFORMATION) if table == "columns" => {
            (batch_table(all_columns(session, fabric, resolver).await?)?, None)
        }
        schema => {
            let files = Arc::new(files(session, resolver, schema, table).await?);
            (Arc::clone(&files) as Arc<dyn TableProvider>, Some(files))
        }
    };
    let schema = reference.schema().unwrap_or(MAIN).to_owned();
    Ok(Resolved { schema, table: table.to_owned(), provider, files })
}

fn quoted(name: &str) -> String {
    Name::new(name).map_or_else(|_| format!("\"{name}\""), |name| name.to_string())
}

async fn files(
    session: &Session,
    resolver: &dyn Resolver,
    schema: Option<&str>,
    table: &str,
) -> Result<FilesTable> {
    let state = &session.state;
    // `public` is where PostgreSQL clients look for what has no schema.
    let schema = schema.filter(|schema| !matches!(*schema, MAIN | "public"));
    if let Some(connection) = schema
        && let Some(storage) = resolver.storage(connection).await?
    {
        let written = format!("{}.\"{}\"", quoted(connection), table.replace('"', "\"\""));
        let found = find(&storage, table, &written).await?;
        let declared = Declared::read(&OptionMap::new())?;
        return FilesTable::open(state, &session.store, found, &declared, &written).await;
    }
    let Some(stored) = resolver.file_table(schema, table).await? else {
        return Err(missing(resolver, schema, table).await);
    };
    let storage = resolver.storage(&stored.connection).await?.ok_or_else(|| {
        Error::new(ErrorCode::ConnectionNotFound, format!("no connection `{}`", stored.connection))
    })?;
    let written = schema
        .map_or_else(|| quoted(table), |schema| format!("{}.{}", quoted(schema), quoted(table)));
    let found = find(&storage, &stored.location, &written).await?;
    let declared = Declared::read(&stored.options)?;
    FilesTable::open(state, &session.store, found, &declared, &written).await
}

/// The error for a table that is nowhere, with what comes nearest.
async fn missing(resolver: &dyn Resolver, schema: Option<&str>, table: &str) -> Error {
    let name = schema.map_or_else(|| table.to_owned(), |schema| format!("{schema}.{table}"));
    let error = Error::new(ErrorCode::TableNotFound, format!("no table `{name}`"));
    if schema.is_none()
        && let Ok(Some(storage)) = resolver.storage(table).await
    {
        let path = if storage.binding().bucket.is_some() { "KEY" } else { "BUCKET/KEY" };
        return error.hint(format!(
            "`{table}` is a connection; name files behind it: {}.\"{path}\"",
            quoted(table)
        ));
    }
    let known: Vec<String> = resolver
        .tables()
        .await
        .unwrap_or_default()
        .into_iter()
        .map(|(schema, table)| if schema == MAIN { table } else { format!("{schema}.{table}") })
        .collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Some(near) = nearest(&name, &known) {
        return error.hint(format!("did you mean `{near}`?"));
    }
    match schema {
        Some(schema) => error.hint(format!(
            "there is no connection `{schema}` either; see SHOW CONNECTIONS and SHOW TABLES"
        )),
        None => error.hint("see SHOW TABLES; files are named CONNECTION.\"BUCKET/KEY\""),
    }
}

async fn other_fabric(
    resolver: &dyn Resolver,
    catalog: &str,
    fabric: &str,
    reference: &TableReference,
) -> Error {
    // `landing.orders.csv` without quotes reads as fabric, schema and table.
    if let Ok(Some(_)) = resolver.storage(catalog).await {
        let path = format!("{}.{}", reference.schema().unwrap_or_default(), reference.table());
        return Error::new(ErrorCode::SqlPlan, format!("the path after `{catalog}` is not quoted"))
            .hint(format!("write {}.\"{path}\"", quoted(catalog)));
    }
    Error::new(
        ErrorCode::FabricNotFound,
        format!("a query sees the fabric `{fabric}`, not `{catalog}`"),
    )
    .hint(format!("leave the fabric out, or first USE FABRIC {}", quoted(catalog)))
}

fn batch_table(batch: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    Ok(Arc::new(table.map_err(crate::error::from_engine)?))
}

async fn system(resolver: &dyn Resolver, name: &str) -> Result<RecordBatch> {
    if let Some(batch) = resolver.system_table(name).await? {
        return Ok(batch);
    }
    let known = resolver.system_tables();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let near =
        nearest(name, &known).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    Err(Error::new(ErrorCode::TableNotFound, format!("no system table `{name}`"))
        .hint(format!("{near}known are {}", known.join(", "))))
}

/// Schema, name and kind of every table, as `information_schema.tables` has them; with `system`
/// also those of Windlass itself.
pub(crate) async fn tables(
    resolver: &dyn Resolver,
    fabric: &str,
    with_system: bool,
) -> Result<RecordBatch> {
    let mut rows: Vec<(String, String, &str)> = resolver
        .tables()
        .await?
        .into_iter()
        .map(|(schema, table)| (schema, table, "FILE TABLE"))
        .collect();
    rows.sort();
    rows.extend(
        resolver
            .system_tables()
            .into_iter()
            .filter(|_| with_system)
            .map(|table| (SYSTEM.to_owned(), table, "SYSTEM TABLE")),
    );
    let column = |texts: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    RecordBatch::try_from_iter([
        ("table_catalog", column(vec![fabric; rows.len()])),
        ("table_schema", column(rows.iter().map(|row| row.0.as_str()).collect())),
        ("table_name", column(rows.iter().map(|row| row.1.as_str()).collect())),
        ("table_type", column(rows.iter().map(|row| row.2).collect())),
    ])
    .map_err(|error| {
        Error::new(ErrorCode::Internal, "the list of tables does not fit").source(error)
    })
}

/// The columns of every table; one row without a column for a table whose files cannot be read.
async fn all_columns(
    session: &Session,
    fabric: &str,
    resolver: &dyn Resolver,
) -> Result<RecordBatch> {
    let mut names = resolver.tables().await?;
    names.sort();
    names.extend(resolver.system_tables().into_iter().map(|table| (SYSTEM.to_owned(), table)));
    let mut found = Vec::with_capacity(names.len());
    for (schema, table) in names {
        let schema_of = if schema == SYSTEM {
            system(resolver, &table).await.map(|batch| batch.schema())
        } else {
            let within = Some(schema.as_str()).filter(|schema| *schema != MAIN);
            files(session, resolver, within, &table).await.map(|files| files.schema())
        };
        found.push((schema, table, schema_of.ok()));
    }
    columns(fabric, &found)
}

/// Columns of tables as `information_schema.columns` has them.
pub(crate) fn columns(
    fabric: &str,
    tables: &[(String, String, Option<SchemaRef>)],
) -> Result<RecordBatch> {
    let mut names: Vec<(&str, &str)> = Vec::new();
    let mut fields: Vec<Option<(i32, &Field)>> = Vec::new();
    for (schema, table, known) in tables {
        let before = fields.len();
        match known {
            Some(known) => {
                fields.extend((1..).zip(known.fields()).map(|(n, f)| Some((n, f.as_ref()))));
            }
            None => fields.push(None),
        }
        names.extend(fields[before..].iter().map(|_| (schema.as_str(), table.as_str())));
    }
    let text = |texts: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let of = |what: fn(&Field) -> String| {
        text(fields.iter().map(|field| field.map(|(_, field)| what(field))).collect())
    };
    let positions: Vec<Option<i32>> = fields.iter().map(|field| field.map(|(n, _)| n)).collect();
    let yes = |field: &Field| if field.is_nullable() { "YES" } else { "NO" }.to_owned();
    RecordBatch::try_from_iter_with_nullable([
        ("table_catalog", text(vec![Some(fabric.to_owned()); fields.len()]), false),
        ("table_schema", text(names.iter().map(|name| Some(name.0.to_owned())).collect()), false),
        ("table_name", text(names.iter().map(|name| Some(name.1.to_owned())).collect()), false),
        ("column_name", of(|field| field.name().clone()), true),
        ("ordinal_position", Arc::new(Int32Array::from(positions)), true),
        ("data_type", of(|field| crate::schema::sql(field.data_type())), true),
        ("is_nullable", of(yes), true),
    ])
    .map_err(|error| {
        Error::new(ErrorCode::Internal, "the list of columns does not fit").source(error)
    })
}
