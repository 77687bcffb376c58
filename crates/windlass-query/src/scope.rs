//! The tables of one statement: found, listed and opened before anything is planned for good.
//!
//! Of a table whose first page is not all, the statement is planned with what that page shows, and
//! the filters that reach the scans of the table then say what else is listed.

use crate::as_views::plain;
use crate::calls::{Call, SCHEMA, replace};
use crate::delta::LogTable;
use crate::dialect::read;
use crate::engine::{Session, logical};
use crate::error::{from_engine, syntax};
use crate::free;
use crate::pg::PG_CATALOG;
use crate::resolve::{
    INFORMATION, MAIN, Resolver, SYSTEM, Source, View, batch_table, columns, source,
};
use crate::sources::{FileSource, Opening, StoredTable, WasListed};
use crate::table::FilesTable;
use crate::write::ReadLog;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, TableProvider,
};
use datafusion::common::TableReference;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use sqlparser::ast::{ObjectName, Query, Statement as Tree, Visit as _, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// Tables opened side by side.
const AT_ONCE: usize = 8;
/// Views in views in views.
const DEPTH: usize = 16;

/// A table that is open.
#[derive(Clone)]
pub(crate) enum Opened {
    Files(Arc<FilesTable>),
    Delta(Arc<LogTable>),
    Rows(Arc<dyn TableProvider>),
}

impl Opened {
    pub(crate) fn provider(&self) -> Arc<dyn TableProvider> {
        match self {
            Self::Files(files) => Arc::clone(files) as _,
            Self::Delta(table) => Arc::clone(&table.provider),
            Self::Rows(rows) => Arc::clone(rows),
        }
    }
}

/// A name on its way to what it means; None: every table at once.
type Finding<'a> = BoxFuture<'a, Result<Option<(TableReference, Option<Source>)>>>;

/// A view and how many others it is inside of.
struct Inlined {
    statement: Statement,
    columns: Vec<String>,
    depth: usize,
}

/// What the names of a statement mean.
pub(crate) struct Scope<'a> {
    session: &'a Session,
    fabric: &'a str,
    resolver: &'a dyn Resolver,
    calls: Vec<Call>,
    files: BTreeMap<TableReference, FileSource>,
    rows: BTreeMap<TableReference, Arc<dyn TableProvider>>,
    views: BTreeMap<TableReference, Inlined>,
    /// What was listed, for EXPLAIN.
    pub(crate) told: Vec<WasListed>,
}

/// The tree of a statement that sqlparser read.
pub(crate) fn tree(statement: &mut Statement) -> Option<&mut Tree> {
    match statement {
        Statement::Statement(tree) => Some(tree),
        Statement::Explain(explain) => tree(&mut explain.statement),
        _ => None,
    }
}

/// The names of a statement's CTEs, folded.
fn ctes(tree: &Tree) -> BTreeSet<String> {
    struct Ctes(BTreeSet<String>);
    impl Visitor for Ctes {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|with| &with.cte_tables);
            self.0.extend(tables.map(|cte| free::folded(&cte.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let mut found = Ctes(BTreeSet::new());
    let _ = tree.visit(&mut found);
    found.0
}

impl<'a> Scope<'a> {
    pub(crate) fn new(session: &'a Session, fabric: &'a str, resolver: &'a dyn Resolver) -> Self {
        Self {
            session,
            fabric,
            resolver,
            calls: Vec::new(),
            files: BTreeMap::new(),
            rows: BTreeMap::new(),
            views: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn full(&self, name: TableReference) -> TableReference {
        TableReference::from(name.resolve(self.fabric, MAIN))
    }

    /// Finds what all names of the statement mean, in views too; the statement then names tables
    /// where it had calls, and tables with free columns where it names such.
    pub(crate) async fn find(&mut self, statement: &mut Statement) -> Result<()> {
        if let Some(tree) = tree(statement) {
            replace(tree, &mut self.calls)?;
        }
        let (mut wave, _) = resolve_table_references(statement, true).map_err(from_engine)?;
        self.classify(std::mem::take(&mut wave), 0).await?;
        self.extend(statement);
        let mut views = std::mem::take(&mut self.views);
        for view in views.values_mut() {
            Self::extend_in(&mut view.statement, &|name| self.is_other(name));
        }
        self.views = views;
        Ok(())
    }

    /// Opens the one call of a statement whose names were found; None: it has none.
    pub(crate) async fn open_call(&mut self) -> Result<Option<Opened>> {
        if self.calls.len() != 1 {
            return Ok(None);
        }
        self.open_one(&TableReference::partial(SCHEMA, "0")).await.map(Some)
    }

    /// Finds what one name means.
    pub(crate) async fn find_one(&mut self, name: &TableReference) -> Result<()> {
        self.classify(vec![name.clone()], 0).await?;
        let mut views = std::mem::take(&mut self.views);
        for view in views.values_mut() {
            Self::extend_in(&mut view.statement, &|name| self.is_other(name));
        }
        self.views = views;
        Ok(())
    }

    fn extend(&self, statement: &mut Statement) {
        Self::extend_in(statement, &|name| self.is_other(name));
    }

    fn extend_in(statement: &mut Statement, other: &dyn Fn(&ObjectName) -> bool) {
        let Some(tree) = tree(statement) else { return };
        let ctes = ctes(tree);
        let others = |name: &ObjectName| {
            let cte = match name.0.as_slice() {
                [one] => one.as_ident().is_some_and(|ident| ctes.contains(&free::folded(ident))),
                _ => false,
            };
            cte || other(name)
        };
        free::extend(tree, &others);
    }

    /// Whether a name is none of files.
    fn is_other(&self, name: &ObjectName) -> bool {
        crate::engine::reference(name)
            .map_or(true, |reference| !self.files.contains_key(&self.full(reference)))
    }

    fn classify(&mut self, names: Vec<TableReference>, depth: usize) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let names: BTreeSet<TableReference> = names
                .into_iter()
                .map(|name| self.full(name))
                .filter(|name| {
                    // What clients of PostgreSQL ask is put there by whoever answers them.
                    name.schema() != Some(PG_CATALOG)
                        && !self.files.contains_key(name)
                        && !self.rows.contains_key(name)
                        && !self.views.contains_key(name)
                })
                .collect();
            let (fabric, resolver, calls) = (self.fabric, self.resolver, &self.calls);
            let functions = self.session.state.table_functions();
            let mut tasks: Vec<Finding<'_>> = Vec::new();
            for name in names {
                tasks.push(Box::pin(async move {
                    // Every table at once is another matter than one table.
                    let every = name.schema() == Some(INFORMATION) && name.table() == "columns";
                    let found = if every {
                        None
                    } else {
                        match source(fabric, resolver, calls, &name).await {
                            // `generate_series(1, 3)` is named as tables are.
                            Err(error)
                                if error.code() == ErrorCode::TableNotFound
                                    && functions.contains_key(name.table()) =>
                            {
                                return Ok(None);
                            }
                            found => Some(found?),
                        }
                    };
                    Ok(Some((name, found)))
                }));
            }
            let found: Vec<_> =
                futures::stream::iter(tasks).buffered(AT_ONCE).try_collect().await?;
            for (name, found) in found.into_iter().flatten() {
                match found {
                    None => {
                        let batch = self.all_columns().await?;
                        self.rows.insert(name, batch_table(batch)?);
                    }
                    Some(Source::Files(files)) => {
                        self.files.insert(name, *files);
                    }
                    Some(Source::Rows(rows)) => {
                        self.rows.insert(name, rows);
                    }
                    Some(Source::View(view)) => self.view(name, view, depth).await?,
                }
            }
            Ok(())
        })
    }

    async fn view(&mut self, name: TableReference, view: View, depth: usize) -> Result<()> {
        let shown = name.table().to_owned();
        if depth >= DEPTH {
            return Err(Error::new(
                ErrorCode::SqlPlan,
                format!("the view `{shown}` is inside of {DEPTH} views, or of itself"),
            ));
        }
        let parsed = read(&view.query).map_err(|error| syntax(&view.query, from_engine(error)))?;
        let [mut statement] = <[Statement; 1]>::try_from(Vec::from(parsed)).map_err(|_| {
            Error::new(ErrorCode::SqlPlan, format!("the view `{shown}` is not one query"))
        })?;
        if let Some(tree) = tree(&mut statement) {
            replace(tree, &mut self.calls)?;
        }
        let (names, _) = resolve_table_references(&statement, true).map_err(from_engine)?;
        let inside: Vec<TableReference> = names.into_iter().map(|name| self.full(name)).collect();
        if inside.contains(&name) {
            return Err(Error::new(ErrorCode::SqlPlan, format!("the view `{shown}` reads itself")));
        }
        self.classify(inside, depth + 1).await?;
        self.views.insert(name, Inlined { statement, columns: view.columns, depth });
        Ok(())
    }

    /// The columns of every table; one row without a column for a table that cannot be read.
    async fn all_columns(&self) -> Result<arrow::record_batch::RecordBatch> {
        let mut names = self.resolver.tables().await?;
        names.extend(self.resolver.views().await?);
        names.sort();
        names.extend(
            self.resolver.system_tables().into_iter().map(|table| (SYSTEM.to_owned(), table)),
        );
        let mut found = Vec::with_capacity(names.len());
        for (schema, table) in names {
            let reference = TableReference::partial(schema.as_str(), table.as_str());
            let mut scope = Scope::new(self.session, self.fabric, self.resolver);
            let opened: Result<Opened> = Box::pin(async {
                scope.find_one(&reference).await?;
                scope.open_one(&reference).await
            })
            .await;
            found.push((
                schema,
                table,
                opened.ok().map(|opened| plain(&opened.provider().schema())),
            ));
        }
        columns(self.fabric, &found)
    }

    /// Opens the one table that was found.
    pub(crate) async fn open_one(&mut self, name: &TableReference) -> Result<Opened> {
        let name = self.full(name.clone());
        let opened = self.open(None).await?;
        if let Some(opened) = opened.get(&name) {
            return Ok(opened.clone());
        }
        self.register(&opened)?;
        let plan = self.planned(&name).await?;
        Ok(Opened::Rows(Arc::new(ViewTable::new(plan, None))))
    }

    /// Opens the one table of files that was found by its first page; None: it is none of files.
    pub(crate) async fn open_few(&mut self, name: &TableReference) -> Result<Option<Opened>> {
        let name = self.full(name.clone());
        let Some(files) = self.files.remove(&name) else { return Ok(None) };
        let opening = files.begin(self.resolver.now()).await?;
        let (state, store) = (&self.session.state, &self.session.store);
        Ok(Some(if opening.is_delta() {
            Opened::Delta(Arc::new(opening.delta(store).await?.0))
        } else {
            Opened::Files(Arc::new(opening.few(state, store).await?))
        }))
    }

    /// Lists and opens all tables and puts them into the catalogue of the session.
    pub(crate) async fn prepare(&mut self, statement: &Statement) -> Result<()> {
        let opened = self.open(Some(statement)).await?;
        self.refuse_free(statement, &opened)?;
        for view in self.views.values() {
            self.refuse_free(&view.statement, &opened)?;
        }
        self.register(&opened)?;
        self.register_views().await
    }

    /// An error where a column for free is named of a table that has none.
    fn refuse_free(
        &self,
        statement: &Statement,
        opened: &BTreeMap<TableReference, Opened>,
    ) -> Result<()> {
        if !opened.values().any(|opened| matches!(opened, Opened::Delta(_))) {
            return Ok(());
        }
        let (names, _) = resolve_table_references(statement, true).map_err(from_engine)?;
        for name in names.into_iter().map(|name| self.full(name)) {
            let table = unmarked(&name);
            if let Some(column) = free::marked(name.table()).1.first()
                && let Some(Opened::Delta(delta)) = opened.get(&table)
            {
                return Err(delta.no_free(column));
            }
        }
        Ok(())
    }

    async fn open(
        &mut self,
        statement: Option<&Statement>,
    ) -> Result<BTreeMap<TableReference, Opened>> {
        let (state, store) = (&self.session.state, &self.session.store);
        let now = self.resolver.now();
        let names_file =
            statement.is_some_and(|statement| {
                free::NAMES[..3].iter().any(|name| statement.to_string().contains(name))
            }) || self.views.values().any(|view| view.statement.to_string().contains(free::FILE));
        let mut tasks: Vec<BoxFuture<'_, Result<(TableReference, Opening)>>> = Vec::new();
        let log = state.config().get_extension::<ReadLog>();
        for (name, source) in std::mem::take(&mut self.files) {
            if let Some(log) = &log {
                log.table(&name, &source.places);
            }
            tasks.push(Box::pin(async move { Ok((name, source.begin(now).await?)) }));
        }
        let begun: Vec<_> = futures::stream::iter(tasks).buffered(AT_ONCE).try_collect().await?;
        let stored: BTreeMap<TableReference, StoredTable> = begun
            .iter()
            .filter_map(|(name, opening)| Some((name.clone(), opening.source.stored.clone()?)))
            .collect();
        let (logged, begun): (Vec<_>, Vec<_>) =
            begun.into_iter().partition(|(_, opening)| opening.is_delta());
        let (open, whole): (Vec<_>, Vec<_>) = begun
            .into_iter()
            .partition(|(_, opening)| statement.is_some() && opening.may_prune(names_file));
        let mut opened: BTreeMap<TableReference, Opened> = self
            .rows
            .iter()
            .map(|(name, rows)| (name.clone(), Opened::Rows(Arc::clone(rows))))
            .collect();
        for (name, opening) in logged {
            let (table, told) = opening.delta(store).await?;
            if let Some(log) = &log {
                log.keep(&told.table);
            }
            self.told.push(told);
            opened.insert(name, Opened::Delta(Arc::new(table)));
        }
        let mut tasks: Vec<BoxFuture<'_, Result<(TableReference, FilesTable, WasListed)>>> =
            Vec::new();
        for (name, opening) in whole {
            tasks.push(Box::pin(async move {
                let (table, told) = opening.whole(state, store).await?;
                Ok((name, table, told))
            }));
        }
        let found: Vec<_> = futures::stream::iter(tasks).buffered(AT_ONCE).try_collect().await?;
        for (name, table, told) in found {
            self.agree(stored.get(&name), &table).await?;
            self.told.push(told);
            opened.insert(name, Opened::Files(Arc::new(table)));
        }
        let Some(statement) = statement.filter(|_| !open.is_empty()) else { return Ok(opened) };
        let mut provisional = BTreeMap::new();
        for (name, opening) in &open {
            let table = Arc::new(opening.provisional(state, store).await?);
            provisional.insert(name.clone(), Arc::clone(&table));
            opened.insert(name.clone(), Opened::Files(table));
        }
        // What cannot be planned yet, for want of a column of later files, is planned with all.
        let mut scans = self.scans(statement, &opened).await.unwrap_or_default();
        let mut tasks: Vec<BoxFuture<'_, Result<(TableReference, FilesTable, WasListed)>>> =
            Vec::new();
        for (name, opening) in open {
            let scans = scans.remove(&name);
            let provisional = provisional.get(&name).cloned();
            tasks.push(Box::pin(async move {
                let (table, told) = match (scans, provisional) {
                    (Some(scans), Some(first)) => {
                        opening.pruned(state, store, &first, scans).await?
                    }
                    _ => opening.whole(state, store).await?,
                };
                Ok((name, table, told))
            }));
        }
        let found: Vec<_> = futures::stream::iter(tasks).buffered(AT_ONCE).try_collect().await?;
        for (name, table, told) in found {
            self.agree(stored.get(&name), &table).await?;
            self.told.push(told);
            opened.insert(name, Opened::Files(Arc::new(table)));
        }
        Ok(opened)
    }

    /// Stores what was found of the columns of a table; an error where they may not differ.
    async fn agree(&self, stored: Option<&StoredTable>, table: &FilesTable) -> Result<()> {
        let outcome = &table.outcome;
        // What the catalogue says changes by crawls only.
        if let Some(stored) = stored.filter(|stored| stored.catalogued.is_none())
            && (outcome.keep.is_some() || !outcome.changes.is_empty())
        {
            let (schema, columns) = (stored.schema.as_deref(), outcome.keep.as_ref());
            self.resolver.keep_schema(schema, &stored.table, columns, &outcome.changes).await?;
        }
        match &outcome.refused {
            Some(refused) => Err(Error::from(refused.clone())),
            None => Ok(()),
        }
    }

    /// The filters of every scan of every table, as the optimizer would have them.
    async fn scans(
        &self,
        statement: &Statement,
        opened: &BTreeMap<TableReference, Opened>,
    ) -> Result<BTreeMap<TableReference, Vec<Vec<Expr>>>> {
        self.register(opened)?;
        self.register_views().await?;
        let state = &self.session.state;
        let plan = logical(state, statement.clone()).await?;
        let plan = state.optimize(&plan).map_err(from_engine)?;
        let mut found: BTreeMap<TableReference, Vec<Vec<Expr>>> = BTreeMap::new();
        let plan = match &plan {
            LogicalPlan::Explain(explain) => explain.plan.as_ref(),
            other => other,
        };
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let name = self.full(scan.table_name.clone());
                found.entry(unmarked(&name)).or_default().push(scan.filters.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(from_engine)?;
        Ok(found)
    }

    /// Puts tables into the catalogue, with free columns those that are named with them.
    fn register(&self, opened: &BTreeMap<TableReference, Opened>) -> Result<()> {
        let catalog = MemoryCatalogProvider::new();
        for (name, table) in opened {
            let schema = schema_of(&catalog, name.schema().unwrap_or(MAIN))?;
            let put = |name: &str, provider| {
                schema.register_table(name.to_owned(), provider).map(drop).map_err(from_engine)
            };
            put(name.table(), table.provider())?;
            if let Opened::Files(files) = table {
                for named in free::combinations(name.table()) {
                    let provider = files.with_free(&free::marked(&named).1);
                    put(&named, Arc::new(provider) as Arc<dyn TableProvider>)?;
                }
            }
        }
        self.session.catalogs.register_catalog(self.fabric.to_owned(), Arc::new(catalog));
        Ok(())
    }

    /// Plans the views, those inside of others first.
    async fn register_views(&self) -> Result<()> {
        let mut views: Vec<(&TableReference, &Inlined)> = self.views.iter().collect();
        views.sort_by_key(|(_, view)| std::cmp::Reverse(view.depth));
        for (name, _) in views {
            let plan = self.planned(name).await?;
            let table: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, None));
            let catalog = self.session.catalogs.catalog(self.fabric);
            let Some(catalog) = catalog else { continue };
            let schema_name = name.schema().unwrap_or(MAIN);
            let schema = schema_of(catalog.as_ref(), schema_name)?;
            schema.register_table(name.table().to_owned(), table).map_err(from_engine)?;
        }
        Ok(())
    }

    async fn planned(&self, name: &TableReference) -> Result<LogicalPlan> {
        let view = self
            .views
            .get(name)
            .ok_or_else(|| Error::new(ErrorCode::Internal, "a view is lost"))?;
        let plan = logical(&self.session.state, view.statement.clone()).await?;
        if view.columns.is_empty() {
            return Ok(plan);
        }
        let fields = plan.schema().columns();
        if fields.len() != view.columns.len() {
            return Err(Error::new(
                ErrorCode::SqlPlan,
                format!(
                    "the view `{}` names {} columns, but its query has {}",
                    name.table(),
                    view.columns.len(),
                    fields.len()
                ),
            ));
        }
        let named: Vec<Expr> = fields
            .into_iter()
            .zip(&view.columns)
            .map(|(column, name)| Expr::Column(column).alias(name))
            .collect();
        LogicalPlanBuilder::from(plan)
            .project(named)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_engine)
    }
}

fn schema_of(
    catalog: &dyn CatalogProvider,
    name: &str,
) -> Result<Arc<dyn datafusion::catalog::SchemaProvider>> {
    if let Some(schema) = catalog.schema(name) {
        return Ok(schema);
    }
    let schema = Arc::new(MemorySchemaProvider::new());
    catalog.register_schema(name, Arc::clone(&schema) as _).map_err(from_engine)?;
    Ok(schema)
}

fn unmarked(name: &TableReference) -> TableReference {
    let (table, _) = free::marked(name.table());
    TableReference::full(
        name.catalog().unwrap_or_default().to_owned(),
        name.schema().unwrap_or(MAIN).to_owned(),
        table.to_owned(),
    )
}
