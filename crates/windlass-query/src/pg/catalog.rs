//! The tables of `pg_catalog`: those that never change, and those that tell of a fabric.

use crate::as_views::plain;
use crate::engine::{Session, one};
use crate::error::from_engine;
use crate::resolve::{Defined, MAIN, Resolver, SYSTEM, batch_table, defined, names, shown};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider as _, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::{TableType, ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use datafusion_pg_catalog::pg_catalog::catalog_info::CatalogInfo;
use datafusion_pg_catalog::pg_catalog::context::{PgCatalogContextProvider, Role};
use datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use windlass_types::Result;

/// Tables opened side by side to learn their columns.
const OPENING: usize = 8;
/// How long the columns of one table may take to learn; the table is listed without them then.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long learnt columns are believed: clients ask for them several times in a row.
const FRESH: Duration = Duration::from_secs(30);

/// Tables that tell of a fabric; all others are the same everywhere.
pub(super) fn is_live(table: &str) -> bool {
    ["pg_class", "pg_attribute", "pg_namespace", "pg_database", "pg_tables", "pg_views"]
        .contains(&table)
}

/// Columns, and when they were learnt.
type Learnt = (Instant, SchemaRef);

/// What is known of one fabric. It outlives queries: object ids must not change between them.
pub(super) struct Fabric {
    provider: PgCatalogSchemaProvider<Known, Roles>,
    known: Known,
    /// Columns by schema, table and definition.
    learnt: Mutex<HashMap<(String, String, String), Learnt>>,
}

/// What the generated tables are made of.
#[derive(Debug, Clone)]
struct Known {
    fabric: Arc<str>,
    seen: Arc<RwLock<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    fabrics: Vec<String>,
    schemas: BTreeMap<String, BTreeMap<String, SchemaRef>>,
    /// Schema, name and query of each.
    views: Vec<Defined>,
}

#[derive(Debug, Clone)]
struct Roles;

/// The one role that owns everything.
pub(super) const ROLE: &str = "windlass";

#[async_trait]
impl PgCatalogContextProvider for Roles {
    async fn roles(&self) -> Vec<String> {
        vec![ROLE.to_owned()]
    }

    async fn role(&self, name: &str) -> Option<Role> {
        (name == ROLE).then(|| Role {
            name: name.to_owned(),
            is_superuser: false,
            can_login: true,
            can_create_db: true,
            can_create_role: false,
            can_create_user: false,
            can_replication: false,
            grants: Vec::new(),
            inherited_roles: Vec::new(),
        })
    }
}

impl Fabric {
    pub(super) fn new(name: &str, tables: Arc<PgCatalogStaticTables>) -> Result<Self> {
        let known = Known { fabric: name.into(), seen: Arc::default() };
        let provider =
            PgCatalogSchemaProvider::try_new(known.clone(), tables, Roles).map_err(from_engine)?;
        Ok(Self { provider, known, learnt: Mutex::default() })
    }

    /// Looks at what the fabric holds now.
    pub(super) async fn look(
        &self,
        session: &Session,
        fabric: &str,
        resolver: &dyn Resolver,
    ) -> Result<()> {
        let fabrics = names(resolver, "fabrics").await?;
        let mut schemas: BTreeMap<String, BTreeMap<String, SchemaRef>> = names(resolver, "schemas")
            .await?
            .into_iter()
            .chain([MAIN, SYSTEM, "information_schema", super::PG_CATALOG].map(str::to_owned))
            .map(|schema| (schema, BTreeMap::new()))
            .collect();
        let views = defined(resolver).await?;
        let mut tables = resolver.tables().await?;
        tables.extend(views.iter().map(|view| (view.schema.clone(), view.name.clone())));
        tables.extend(resolver.system_tables().into_iter().map(|table| (SYSTEM.to_owned(), table)));
        let columns = tables.into_iter().map(|(schema, table)| async move {
            let columns = self.columns(session, fabric, resolver, &schema, &table).await;
            (schema, table, columns)
        });
        let mut columns = futures::stream::iter(columns).buffer_unordered(OPENING);
        while let Some((schema, table, columns)) = columns.next().await {
            schemas.entry(schema).or_default().insert(table, columns);
        }
        let mut seen = self.known.seen.write().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen { fabrics, schemas, views };
        Ok(())
    }

    /// The columns of a table; none if its files cannot be read, or not soon enough.
    async fn columns(
        &self,
        session: &Session,
        fabric: &str,
        resolver: &dyn Resolver,
        schema: &str,
        table: &str,
    ) -> SchemaRef {
        let within = Some(schema).filter(|schema| *schema != MAIN);
        let definition = match resolver.file_table(within, table).await {
            Ok(Some(stored)) => format!("{stored:?}"),
            _ => match resolver.view(within, table).await {
                Ok(Some(view)) => format!("{view:?}"),
                _ => String::new(),
            },
        };
        let key = (schema.to_owned(), table.to_owned(), definition);
        if let Some((at, columns)) =
            self.learnt.lock().unwrap_or_else(PoisonError::into_inner).get(&key)
            && (at.elapsed() < FRESH || schema == SYSTEM)
        {
            return Arc::clone(columns);
        }
        let reference = TableReference::partial(schema, table);
        let opened = one(session, fabric, resolver, &reference);
        let columns = match tokio::time::timeout(PATIENCE, opened).await {
            Ok(Ok(table)) => plain(&table.provider().schema()),
            Ok(Err(_)) | Err(_) => Arc::new(Schema::empty()),
        };
        let mut learnt = self.learnt.lock().unwrap_or_else(PoisonError::into_inner);
        learnt.retain(|(other, _, _), (at, _)| at.elapsed() < FRESH || other == SYSTEM);
        learnt.insert(key, (Instant::now(), Arc::clone(&columns)));
        columns
    }

    /// One table of `pg_catalog`.
    pub(super) async fn table(
        &self,
        name: &str,
        fabric: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.provider.table(name).await.map_err(from_engine)? else {
            return Ok(None);
        };
        let seen = self.known.seen.read().unwrap_or_else(PoisonError::into_inner);
        match name {
            "pg_views" => {
                let owner = |_: &Defined| ROLE.to_owned();
                return batch_table(shown(
                    &seen.views,
                    [
                        ("schemaname", &|view| view.schema.clone()),
                        ("viewname", &|view| view.name.clone()),
                        ("viewowner", &owner),
                        ("definition", &|view| view.query.clone()),
                    ],
                )?)
                .map(Some);
            }
            "pg_database" => {}
            _ => return Ok(Some(table)),
        }
        // The crate adds a database `postgres` that may not be here.
        let mut there: Vec<_> = seen.fabrics.iter().map(|name| lit(name.as_str())).collect();
        there.push(lit(fabric));
        drop(seen);
        let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)
            .and_then(|plan| plan.filter(col("datname").in_list(there, false)))
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_engine)?;
        Ok(Some(Arc::new(ViewTable::new(plan, None))))
    }
}

impl Known {
    fn of<T>(&self, fabric: &str, what: impl FnOnce(&Seen) -> T) -> Option<T> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        (fabric == &*self.fabric).then(|| what(&seen))
    }
}

#[async_trait]
impl CatalogInfo for Known {
    async fn catalog_names(&self) -> Result<Vec<String>, DataFusionError> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let mut names = seen.fabrics.clone();
        if !names.iter().any(|name| **name == *self.fabric) {
            names.push(self.fabric.to_string());
        }
        Ok(names)
    }

    async fn schema_names(&self, fabric: &str) -> Result<Option<Vec<String>>, DataFusionError> {
        Ok(self.of(fabric, |seen| seen.schemas.keys().cloned().collect()))
    }

    async fn table_names(
        &self,
        fabric: &str,
        schema: &str,
    ) -> Result<Option<Vec<String>>, DataFusionError> {
        let tables = self.of(fabric, |seen| {
            seen.schemas.get(schema).map(|tables| tables.keys().cloned().collect())
        });
        Ok(tables.flatten())
    }

    async fn table_schema(
        &self,
        fabric: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<SchemaRef>, DataFusionError> {
        let columns = self.of(fabric, |seen| seen.schemas.get(schema)?.get(table).cloned());
        Ok(columns.flatten())
    }

    async fn table_type(
        &self,
        fabric: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<TableType>, DataFusionError> {
        Ok(self.of(fabric, |seen| {
            let is = |view: &Defined| view.schema == schema && view.name == table;
            if schema == SYSTEM || seen.views.iter().any(is) {
                TableType::View
            } else {
                TableType::Base
            }
        }))
    }
}
