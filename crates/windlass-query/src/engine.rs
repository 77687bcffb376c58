//! Running a statement: parse, resolve, plan, stream.

use crate::as_views::{plain, plainly};
use crate::associate::associate;
use crate::describe::describe;
use crate::dialect::read;
use crate::error::{from_engine, missing_column, syntax};
use crate::identifiers::{correct, is_twice, name_all, tell_apart};
use crate::memory::Budget;
use crate::pg::{Given, bind};
use crate::resolve::{MAIN, Resolver, columns, tables};
use crate::scope::{Opened, Scope, tree};
use crate::settle::settle;
use crate::sources::WasListed;
use crate::spelled::respell;
use crate::store::{LeftOut, QueryStore, Told, url};
use crate::sums::CheckedSum;
use crate::using::write_out;
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::TableReference;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry as _, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig};
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion_functions_json::udfs;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sqlparser::ast::{ObjectName, SetExpr, Statement as Tree};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use windlass_formats::bad::BadFiles;
use windlass_types::{Error, ErrorCode, Result};

/// Column names corrected in one statement.
const CORRECTIONS: usize = 64;

/// Rows of an answer.
pub struct Rows {
    /// Their columns.
    pub schema: SchemaRef,
    /// The rows, as they come.
    pub stream: BoxStream<'static, Result<RecordBatch>>,
    /// What of files `ON_ERROR` leaves out.
    pub left_out: LeftOut,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Rows {
    pub(crate) fn of(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let stream = futures::stream::iter([Ok(batch)]).boxed();
        Self { schema, stream, left_out: LeftOut::default() }
    }
}

/// The SQL engine. One serves all queries of a process; nothing of a query stays in it.
pub struct Engine {
    pub(crate) template: SessionState,
    pub(crate) budget: Budget,
    pub(crate) pg: crate::pg::Lazy,
    bad: Arc<BadFiles>,
    queries: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// Rows of a batch. Twice the engine's own: per batch, joins and groupings cost more than per row.
const BATCH: usize = 16 << 10;

/// Bytes of a join's smaller side up to which it is held once, rather than both sides being dealt out by hash.
const HELD_BYTES: usize = 64 << 20;

/// Rows of it.
const HELD_ROWS: usize = 2_000_000;

/// What one query plans and runs with.
pub(crate) struct Session {
    pub(crate) state: SessionState,
    pub(crate) store: Arc<QueryStore>,
    pub(crate) catalogs: Arc<dyn CatalogProviderList>,
}

impl Engine {
    /// Makes the engine with the memory of [`Budget::default`].
    pub fn new() -> Result<Self> {
        Self::within(Budget::default())
    }

    /// Makes the engine with a bounded memory pool.
    pub fn within(budget: Budget) -> Result<Self> {
        let config = SessionConfig::new()
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false)
            .with_batch_size(BATCH)
            .set_usize("datafusion.optimizer.hash_join_single_partition_threshold", HELD_BYTES)
            .set_usize("datafusion.optimizer.hash_join_single_partition_threshold_rows", HELD_ROWS)
            .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
        let mut template =
            SessionStateBuilder::new().with_config(config).with_default_features().build();
        for function in [
            udfs::json_as_text_udf(),
            udfs::json_contains_udf(),
            udfs::json_get_bool_udf(),
            udfs::json_get_float_udf(),
            udfs::json_get_int_udf(),
            udfs::json_get_json_udf(),
            udfs::json_get_str_udf(),
            udfs::json_length_udf(),
            udfs::json_object_keys_udf(),
        ] {
            template.register_udf(function).map_err(from_engine)?;
        }
        let sum = AggregateUDF::from(CheckedSum::default());
        template.register_udaf(Arc::new(sum)).map_err(from_engine)?;
        Ok(Self {
            template,
            budget,
            pg: crate::pg::Lazy::default(),
            bad: Arc::default(),
            queries: AtomicU64::new(0),
        })
    }

    /// What the last queries could not read, under `ON_ERROR = SKIP` and `NULL`.
    pub fn bad_files(&self) -> &BadFiles {
        &self.bad
    }

    /// Runs one statement that reads.
    pub async fn query(
        &self,
        sql: &str,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Rows> {
        self.query_with(sql, fabric, resolver, &Given::default()).await
    }

    /// Runs one statement that reads, with values for its parameters.
    pub async fn query_with(
        &self,
        sql: &str,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
        given: &Given,
    ) -> Result<Rows> {
        if let Some(statement) = self.catalogue_statement(sql)? {
            return self.query_catalogue(statement, fabric, resolver, given).await;
        }
        let statement = parse(sql)?;
        if let Statement::Statement(tree) = &statement {
            match tree.as_ref() {
                Tree::ShowTables { .. } => {
                    return Ok(Rows::of(tables(resolver.as_ref(), fabric, false).await?));
                }
                Tree::ShowColumns { show_options: options, .. } => {
                    let table =
                        options.show_in.as_ref().and_then(|within| within.parent_name.as_ref());
                    let table = table.filter(|_| options.filter_position.is_none());
                    let table = table.ok_or_else(|| {
                        Error::new(ErrorCode::SqlSyntax, "SHOW COLUMNS takes one table").hint(
                            "write SHOW COLUMNS FROM table; filter information_schema.columns",
                        )
                    })?;
                    let name = reference(table)?;
                    let session = self.session(fabric)?;
                    let schema = plain(
                        &one(&session, fabric, resolver.as_ref(), &name).await?.provider().schema(),
                    );
                    let within = name.schema().unwrap_or(MAIN).to_owned();
                    let tables = [(within, name.table().to_owned(), Some(schema))];
                    return Ok(Rows::of(columns(fabric, &tables)?));
                }
                Tree::ExplainTable { table_name, .. } => {
                    return self.describe_reference(reference(table_name)?, fabric, resolver).await;
                }
                _ => {}
            }
        }
        only_reads(&statement)?;
        self.run_statement(statement, fabric, resolver.as_ref(), given).await
    }

    /// Runs a statement that was found to read.
    pub(crate) async fn run_statement(
        &self,
        mut statement: Statement,
        fabric: &str,
        resolver: &dyn Resolver,
        given: &Given,
    ) -> Result<Rows> {
        let session = self.session(fabric)?;
        let told = self.prepare(&session, fabric, resolver, &mut statement).await?;
        let explains = matches!(statement, Statement::Explain(_))
            || matches!(&statement, Statement::Statement(tree) if matches!(tree.as_ref(), Tree::Explain { .. }));
        let plan = plan(&session.state, statement, Some(given)).await?;
        let mut rows = self.run(&session, &plan).await?;
        if explains {
            let listed = listed(&rows.schema, &told);
            rows.stream = rows.stream.chain(futures::stream::iter(listed.map(Ok))).boxed();
        }
        Ok(rows)
    }

    /// Finds, lists and opens the tables of a statement and puts them into the catalogue of the
    /// session; the statement then names what is there. Answers what was listed.
    pub(crate) async fn prepare(
        &self,
        session: &Session,
        fabric: &str,
        resolver: &dyn Resolver,
        statement: &mut Statement,
    ) -> Result<Vec<WasListed>> {
        let mut scope = Scope::new(session, fabric, resolver);
        scope.find(statement).await?;
        scope.prepare(statement).await?;
        Ok(scope.told)
    }

    /// Runs a plan.
    pub(crate) async fn run(&self, session: &Session, plan: &LogicalPlan) -> Result<Rows> {
        let store = Arc::clone(&session.store);
        let physical =
            session.state.create_physical_plan(plan).await.map_err(|error| store.explain(error))?;
        let stream = execute_stream(physical, session.state.task_ctx()).map_err(from_engine)?;
        let schema = stream.schema();
        let left_out = store.told.of.clone();
        Ok(Rows {
            schema,
            left_out,
            stream: stream.map(move |batch| batch.map_err(|error| store.explain(error))).boxed(),
        })
    }

    /// Describes the table these parts name: `[fabric.][schema or connection.]table or path`.
    pub async fn describe(
        &self,
        table: &[String],
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Rows> {
        let reference = named(table)?;
        self.describe_reference(reference, fabric, resolver).await
    }

    /// Describes the files of a call such as `read_csv('connection', 'path')`.
    pub async fn describe_call(
        &self,
        call: &str,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Rows> {
        let mut statement = parse(&format!("SELECT * FROM {call}"))?;
        only_reads(&statement)?;
        let session = self.session(fabric)?;
        let mut scope = Scope::new(&session, fabric, resolver.as_ref());
        scope.find(&mut statement).await?;
        let table = scope.open_call().await?.ok_or_else(|| {
            Error::new(ErrorCode::SqlPlan, format!("`{call}` reads no files"))
                .hint("DESCRIBE takes a table, connection.\"path\", or read_csv and its like")
        })?;
        Ok(Rows::of(describe(&table, &session.store).await?))
    }

    async fn describe_reference(
        &self,
        reference: TableReference,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Rows> {
        let session = self.session(fabric)?;
        let table = one(&session, fabric, resolver.as_ref(), &reference).await?;
        Ok(Rows::of(describe(&table, &session.store).await?))
    }

    /// A session of its own: its files, its catalogue, its caches; only memory is shared.
    pub(crate) fn session(&self, fabric: &str) -> Result<Session> {
        self.session_of(&self.template, fabric)
    }

    pub(crate) fn session_of(&self, template: &SessionState, fabric: &str) -> Result<Session> {
        let query = self.queries.fetch_add(1, Ordering::Relaxed) + 1;
        let store = Arc::new(QueryStore::new(
            Told::new(Arc::clone(&self.bad), fabric, query),
            self.budget.caches.clone(),
        ));
        let runtime = self.budget.runtime()?;
        runtime.register_object_store(url().as_ref(), Arc::clone(&store) as _);
        let catalogs: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
        let config = template.config().clone().with_default_catalog_and_schema(fabric, MAIN);
        let mut state = SessionStateBuilder::new_from_existing(template.clone())
            .with_config(config)
            .with_runtime_env(runtime)
            .with_catalog_list(Arc::clone(&catalogs))
            .build();
        // What `now()` is.
        state.mark_start_execution();
        Ok(Session { state, store, catalogs })
    }
}

/// The one statement of a text.
pub(crate) fn parse(sql: &str) -> Result<Statement> {
    let mut statements = read(sql).map_err(|error| syntax(sql, from_engine(error)))?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::new(ErrorCode::SqlSyntax, "there is no statement")),
        (Some(_), false) => {
            Err(Error::new(ErrorCode::SqlSyntax, "there is more than one statement")
                .hint("send them one by one"))
        }
    }
}

/// Opens the one table of this name.
pub(crate) async fn one(
    session: &Session,
    fabric: &str,
    resolver: &dyn Resolver,
    name: &TableReference,
) -> Result<Opened> {
    let mut scope = Scope::new(session, fabric, resolver);
    scope.find_one(name).await?;
    scope.open_one(name).await
}

/// The name these parts make.
pub(crate) fn named(parts: &[String]) -> Result<TableReference> {
    match parts {
        [table] => Ok(TableReference::bare(table.as_str())),
        [schema, table] => Ok(TableReference::partial(schema.as_str(), table.as_str())),
        [catalog, schema, table] => {
            Ok(TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()))
        }
        _ => Err(Error::new(ErrorCode::SqlPlan, "a table has at most three names")
            .hint("write fabric.schema.table, or CONNECTION.\"PATH\"")),
    }
}

/// What was listed, as rows of EXPLAIN.
fn listed(schema: &SchemaRef, told: &[WasListed]) -> Option<RecordBatch> {
    let two = schema.fields().len() == 2
        && schema.fields().iter().all(|field| *field.data_type() == DataType::Utf8);
    if !two || told.is_empty() {
        return None;
    }
    let texts: Vec<String> = told.iter().map(ToString::to_string).collect();
    let kinds: ArrayRef = Arc::new(StringArray::from(vec!["listing"; texts.len()]));
    RecordBatch::try_new(Arc::clone(schema), vec![kinds, Arc::new(StringArray::from(texts))]).ok()
}

pub(crate) fn reference(name: &ObjectName) -> Result<TableReference> {
    object_name_to_table_reference(name.clone(), true).map_err(from_engine)
}

/// Plans; column names that differ only by case are corrected one after the other.
pub(crate) async fn logical(state: &SessionState, mut statement: Statement) -> Result<LogicalPlan> {
    let mut corrections = 0;
    let mut is_apart = false;
    if let Some(tree) = tree(&mut statement) {
        associate(tree);
    }
    name_all(&mut statement);
    if let Some(tree) = tree(&mut statement) {
        respell(tree);
        write_out(tree);
    }
    loop {
        match state.statement_to_plan(statement.clone()).await {
            Ok(plan) => return settle(plan).map_err(from_engine),
            Err(error) if !is_apart && is_twice(&error) && tell_apart(&mut statement) => {
                is_apart = true;
            }
            Err(error) => {
                let corrected = corrections < CORRECTIONS
                    && missing_column(&error)
                        .is_some_and(|missing| correct(&mut statement, missing));
                if !corrected {
                    return Err(from_engine(error));
                }
                corrections += 1;
            }
        }
    }
}

/// Plans what only reads. Without values for its parameters the plan is not yet one that can run.
pub(crate) async fn plan(
    state: &SessionState,
    statement: Statement,
    given: Option<&Given>,
) -> Result<LogicalPlan> {
    let plan = plainly(logical(state, statement).await?).map_err(from_engine)?;
    // A second lock on the same door as `only_reads`: whatever was parsed, no plan may write.
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(|_| refused("this statement"))?;
    match given {
        Some(given) => state.optimize(&bind(plan, given)?).map_err(from_engine),
        None => Ok(plan),
    }
}

fn refused(what: &str) -> Error {
    Error::new(ErrorCode::SqlPlan, format!("{what} is not possible here"))
        .hint("queries read: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE, SHOW TABLES and SHOW COLUMNS; COPY (query) TO 'connection:path' and INSERT INTO connection.\"path\" SELECT ... write files")
}

/// An error unless the statement only reads.
pub(crate) fn only_reads(statement: &Statement) -> Result<()> {
    let tree = match statement {
        Statement::Statement(tree) => tree.as_ref(),
        Statement::Explain(explain) => return only_reads(&explain.statement),
        Statement::CopyTo(_) => return Err(refused("COPY")),
        Statement::CreateExternalTable(_) => {
            return Err(refused("CREATE EXTERNAL TABLE").hint(
                "use CREATE FILE TABLE name ON connection LOCATION = 's3://bucket/prefix/'",
            ));
        }
        Statement::Reset(_) => return Err(refused("RESET")),
    };
    crate::passed_over::refuse(tree)?;
    match tree {
        Tree::Query(query) => match query.body.as_ref() {
            SetExpr::Insert(_) => Err(refused("INSERT")),
            SetExpr::Update(_) => Err(refused("UPDATE")),
            SetExpr::Delete(_) => Err(refused("DELETE")),
            SetExpr::Merge(_) => Err(refused("MERGE")),
            _ => Ok(()),
        },
        Tree::Explain { statement, .. } => only_reads(&Statement::Statement(statement.clone())),
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text
                .split_whitespace()
                .take_while(|word| word.bytes().all(|b| b.is_ascii_uppercase()))
                .take(2)
                .collect();
            Err(refused(
                if words.is_empty() { "this statement".to_owned() } else { words.join(" ") }
                    .as_str(),
            ))
        }
    }
}
