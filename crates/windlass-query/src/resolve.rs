//! From the names of a statement to tables: asynchronous, and done before anything is planned.

use crate::calls::{self, Call};
use crate::sources::{FileSource, StoredTable};
use crate::stored::{SchemaChange, StoredColumns};
use crate::system_rows::{SystemRows, SystemTable};
use crate::temporary::Temporary;
use arrow::array::{ArrayRef, AsArray as _, Int32Array, StringArray};
use arrow::datatypes::{Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use secrecy::SecretString;
use std::sync::Arc;
use windlass_s3::Storage;
use windlass_types::options::nearest;
use windlass_types::{Error, ErrorCode, Name, OptionMap, Result};

/// The schema of names without one.
pub(crate) const MAIN: &str = "main";
pub(crate) const SYSTEM: &str = "system";
pub(crate) const INFORMATION: &str = "information_schema";

/// A file table as it is stored.
#[derive(Debug, Clone)]
pub struct FileTable {
    /// The connection.
    pub connection: String,
    /// Path relative to the connection, or `s3://` text.
    pub location: String,
    /// Options of `CREATE FILE TABLE`.
    pub options: OptionMap,
    /// Its columns as they are stored, if they are.
    pub columns: Option<StoredColumns>,
}

/// What the catalogue knows of a place where files are.
#[derive(Debug, Clone)]
pub struct Catalogued {
    /// The container's name.
    pub fqn: String,
    /// How its files are read, as options of `CREATE FILE TABLE`.
    pub options: OptionMap,
    /// Its columns, without those of the path.
    pub columns: StoredColumns,
}

/// What a fabric knows of names. One answers for one fabric.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// Opens the storage behind a connection.
    async fn storage(&self, connection: &str) -> Result<Option<Storage>>;

    /// Finds a file table; no schema means the default.
    async fn file_table(&self, schema: Option<&str>, table: &str) -> Result<Option<FileTable>>;

    /// What the catalogue knows of the container that lies exactly at a path behind a connection.
    async fn container(&self, connection: &str, path: &str) -> Result<Option<Catalogued>> {
        let _ = (connection, path);
        Ok(None)
    }

    /// Opens a secret.
    async fn secret(&self, name: &str) -> Result<SecretString> {
        Err(Error::new(ErrorCode::SecretNotFound, format!("no secret `{name}`")))
    }

    /// Stores the columns of a file table, and how its files differed from them.
    async fn keep_schema(
        &self,
        schema: Option<&str>,
        table: &str,
        columns: Option<&StoredColumns>,
        changes: &[SchemaChange],
    ) -> Result<()> {
        let _ = (schema, table, columns, changes);
        Ok(())
    }

    /// Finds a view; no schema means the default.
    async fn view(&self, schema: Option<&str>, table: &str) -> Result<Option<View>> {
        let _ = (schema, table);
        Ok(None)
    }

    /// Finds a temporary table or view of the session.
    fn temporary(&self, table: &str) -> Option<Temporary> {
        let _ = table;
        None
    }

    /// Names of the temporary tables and views of the session.
    fn temporaries(&self) -> Vec<String> {
        Vec::new()
    }

    /// The time: files of dates to come are not read yet (U-I7).
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// Schema and name of every view.
    async fn views(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    /// Makes the rows of a system table.
    async fn system_table(&self, name: &str) -> Result<Option<RecordBatch>>;

    /// The rows of a system table that are read as a statement asks for them; None: all of them are at
    /// hand, as [`Self::system_table`] makes them.
    fn system_rows(&self, name: &str) -> Option<Arc<dyn SystemRows>> {
        let _ = name;
        None
    }

    /// Names of the system tables.
    fn system_tables(&self) -> Vec<String>;

    /// Schema and name of every table.
    async fn tables(&self) -> Result<Vec<(String, String)>>;
}

/// A stored query with the name of a table.
#[derive(Debug, Clone)]
pub struct View {
    /// Its query.
    pub query: String,
    /// Names of its columns; empty: as the query has them.
    pub columns: Vec<String>,
}

/// What a name is, before anything is listed.
pub(crate) enum Source {
    /// Files.
    Files(Box<FileSource>),
    /// Rows that are at hand.
    Rows(Arc<dyn TableProvider>),
    /// A query.
    View(View),
}

/// Finds what `reference` names.
pub(crate) async fn source(
    fabric: &str,
    resolver: &dyn Resolver,
    calls: &[Call],
    reference: &TableReference,
) -> Result<Source> {
    if let Some(catalog) = reference.catalog()
        && catalog != fabric
    {
        return Err(other_fabric(resolver, catalog, fabric, reference).await);
    }
    let table = reference.table();
    match reference.schema() {
        Some(calls::SCHEMA) => {
            let call = table.parse::<usize>().ok().and_then(|number| calls.get(number));
            let call = call.ok_or_else(|| Error::new(ErrorCode::Internal, "a call is lost"))?;
            of_call(resolver, call).await.map(|source| Source::Files(Box::new(source)))
        }
        Some(SYSTEM) => Ok(Source::Rows(match resolver.system_rows(table) {
            Some(rows) => Arc::new(SystemTable(rows)),
            None => batch_table(system(resolver, table).await?)?,
        })),
        Some(INFORMATION) if table == "tables" => {
            Ok(Source::Rows(batch_table(tables(resolver, fabric, true).await?)?))
        }
        Some(INFORMATION) if table == "views" => {
            let views = defined(resolver).await?;
            Ok(Source::Rows(batch_table(shown(
                &views,
                [
                    ("table_catalog", &|_| fabric.to_owned()),
                    ("table_schema", &|view: &Defined| view.schema.clone()),
                    ("table_name", &|view| view.name.clone()),
                    ("view_definition", &|view| view.query.clone()),
                ],
            )?)?))
        }
        Some(INFORMATION) if table == "schemata" => {
            let mut schemas = names(resolver, "schemas").await?;
            schemas.extend([MAIN, SYSTEM, INFORMATION].map(str::to_owned));
            schemas.sort();
            schemas.dedup();
            let owner = |_: &String| "windlass".to_owned();
            Ok(Source::Rows(batch_table(shown(
                &schemas,
                [
                    ("catalog_name", &|_| fabric.to_owned()),
                    ("schema_name", &String::clone),
                    ("schema_owner", &owner),
                ],
            )?)?))
        }
        schema => {
            // `public` is where PostgreSQL clients look for what has no schema.
            let schema = schema.filter(|schema| !matches!(*schema, MAIN | "public"));
            if schema.is_none()
                && let Some(temporary) = resolver.temporary(table)
            {
                return match temporary {
                    Temporary::View(view) => Ok(Source::View(view)),
                    Temporary::Table { schema, batches } => {
                        let table = MemTable::try_new(schema, vec![batches.as_ref().clone()]);
                        Ok(Source::Rows(Arc::new(table.map_err(crate::error::from_engine)?)))
                    }
                };
            }
            files(resolver, schema, table).await
        }
    }
}

async fn of_call(resolver: &dyn Resolver, call: &Call) -> Result<FileSource> {
    let name = call.connection.to_ascii_lowercase();
    let known = match resolver.storage(&call.connection).await? {
        None => resolver.storage(&name).await?,
        found => found,
    };
    let storage = known.ok_or_else(|| {
        Error::new(ErrorCode::ConnectionNotFound, format!("no connection `{}`", call.connection))
            .hint("the first argument names a connection, the second a path behind it; see SHOW CONNECTIONS")
    })?;
    let mut source = FileSource::new(&storage, &call.paths, &call.options, call.written.clone())?;
    source.declared.unlock(resolver).await?;
    Ok(source)
}

fn quoted(name: &str) -> String {
    Name::new(name).map_or_else(|_| format!("\"{name}\""), |name| name.to_string())
}

async fn files(resolver: &dyn Resolver, schema: Option<&str>, table: &str) -> Result<Source> {
    if let Some(connection) = schema
        && let Some(storage) = resolver.storage(connection).await?
    {
        let written = format!("{}.\"{}\"", quoted(connection), table.replace('"', "\"\""));
        let paths = [table.to_owned()];
        let known = resolver.container(connection, table).await?;
        let options = known.as_ref().map_or_else(OptionMap::new, |known| known.options.clone());
        let mut source = FileSource::new(&storage, &paths, &options, written)?;
        source.stored = known.map(|known| StoredTable {
            schema: None,
            table: table.to_owned(),
            columns: Some(known.columns),
            catalogued: Some(known.fqn),
        });
        return Ok(Source::Files(Box::new(source)));
    }
    if let Some(view) = resolver.view(schema, table).await? {
        return Ok(Source::View(view));
    }
    let Some(stored) = resolver.file_table(schema, table).await? else {
        return Err(missing(resolver, schema, table).await);
    };
    let storage = resolver.storage(&stored.connection).await?.ok_or_else(|| {
        Error::new(ErrorCode::ConnectionNotFound, format!("no connection `{}`", stored.connection))
    })?;
    let written = schema
        .map_or_else(|| quoted(table), |schema| format!("{}.{}", quoted(schema), quoted(table)));
    let mut source = FileSource::new(&storage, &[stored.location], &stored.options, written)?;
    source.declared.unlock(resolver).await?;
    source.stored = Some(StoredTable {
        schema: schema.map(str::to_owned),
        table: table.to_owned(),
        columns: stored.columns,
        catalogued: None,
    });
    Ok(Source::Files(Box::new(source)))
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

/// A stored view.
#[derive(Debug, Clone)]
pub(crate) struct Defined {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) query: String,
}

/// Every stored view.
pub(crate) async fn defined(resolver: &dyn Resolver) -> Result<Vec<Defined>> {
    let mut found = Vec::new();
    for (schema, name) in resolver.views().await? {
        let within = Some(schema.as_str()).filter(|schema| *schema != MAIN);
        // One may be dropped meanwhile.
        if let Some(View { query, .. }) = resolver.view(within, &name).await? {
            found.push(Defined { schema, name, query });
        }
    }
    found.sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
    Ok(found)
}

/// The column `name` of a system table.
pub(crate) async fn names(resolver: &dyn Resolver, table: &str) -> Result<Vec<String>> {
    let Some(batch) = resolver.system_table(table).await? else { return Ok(Vec::new()) };
    let Some(column) = batch.column_by_name("name") else { return Ok(Vec::new()) };
    let Some(texts) = column.as_string_opt::<i32>() else { return Ok(Vec::new()) };
    Ok(texts.iter().flatten().map(str::to_owned).collect())
}

/// What a column says of a row.
type Say<'a, T> = &'a dyn Fn(&T) -> String;

/// Rows of text columns.
pub(crate) fn shown<T, const N: usize>(
    rows: &[T],
    columns: [(&str, Say<'_, T>); N],
) -> Result<RecordBatch> {
    let columns = columns.map(|(name, of)| {
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(of)));
        (name, column)
    });
    RecordBatch::try_from_iter(columns).map_err(|error| {
        Error::new(ErrorCode::Internal, "a list does not fit its columns").source(error)
    })
}

pub(crate) fn batch_table(batch: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]);
    Ok(Arc::new(table.map_err(crate::error::from_engine)?))
}

pub(crate) async fn system(resolver: &dyn Resolver, name: &str) -> Result<RecordBatch> {
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
    let views = resolver.views().await?;
    rows.extend(views.into_iter().map(|(schema, table)| (schema, table, "VIEW")));
    rows.sort();
    let temporary = resolver.temporaries().into_iter();
    rows.extend(temporary.map(|table| ("temporary".to_owned(), table, "TEMPORARY TABLE")));
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
