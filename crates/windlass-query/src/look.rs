//! PREVIEW, PROFILE, and rows that are kept: what looks into tables besides queries.

use crate::as_views::plainly;
use crate::engine::{Engine, Rows, logical, named, only_reads, parse};
use crate::error::from_engine;
use crate::pg::Given;
use crate::profile::Profile;
use crate::resolve::Resolver;
use crate::scope::Scope;
use crate::temporary::{Held, Temporaries};
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use futures::TryStreamExt as _;
use std::sync::Arc;
use windlass_types::Result;

/// Rows of a profile that is not FULL.
const SAMPLE: usize = 10_000;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookAt {
    /// A table, by the parts of its name: `[fabric.][schema or connection.]table or path`.
    Table(Vec<String>),
    /// A query.
    Query(String),
}

impl Engine {
    /// The first rows, at most `limit`; of files no more is listed and read than they need.
    pub async fn preview(
        &self,
        of: &LookAt,
        limit: usize,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Rows> {
        self.first(of, Some(limit), fabric, resolver.as_ref()).await
    }

    /// What is in each column: of the first rows, or of `full` every row.
    pub async fn profile(
        &self,
        of: &LookAt,
        full: bool,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Rows> {
        let limit = (!full).then_some(SAMPLE);
        let mut rows = self.first(of, limit, fabric, resolver.as_ref()).await?;
        let mut profile = Profile::new(&rows.schema);
        while let Some(batch) = rows.stream.try_next().await? {
            profile.add(&batch)?;
        }
        Ok(Rows { left_out: rows.left_out.clone(), ..Rows::of(profile.finish()?) })
    }

    /// Runs a query and keeps its rows as a temporary table; answers how many.
    pub async fn hold(
        &self,
        query: &str,
        name: &str,
        into: &Temporaries,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<usize> {
        let statement = parse(query)?;
        only_reads(&statement)?;
        let mut rows =
            self.run_statement(statement, fabric, resolver.as_ref(), &Given::default()).await?;
        let session = self.session(fabric)?;
        let memory = Arc::clone(&session.state.runtime_env().memory_pool);
        let mut held = Held::new(Arc::clone(&rows.schema), &memory);
        while let Some(batch) = rows.stream.try_next().await? {
            held.push(batch)?;
        }
        let count = held.rows();
        into.add_table(name.to_owned(), held);
        Ok(count)
    }

    /// The columns of a query, or what is wrong with it.
    pub async fn columns(
        &self,
        query: &str,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
    ) -> Result<SchemaRef> {
        let mut statement = parse(query)?;
        only_reads(&statement)?;
        let session = self.session(fabric)?;
        self.prepare(&session, fabric, resolver.as_ref(), &mut statement).await?;
        let plan = plainly(logical(&session.state, statement).await?).map_err(from_engine)?;
        Ok(Arc::new(plan.schema().as_arrow().clone()))
    }

    async fn first(
        &self,
        of: &LookAt,
        limit: Option<usize>,
        fabric: &str,
        resolver: &dyn Resolver,
    ) -> Result<Rows> {
        let session = self.session(fabric)?;
        let plan = match of {
            LookAt::Query(query) => {
                let mut statement = parse(query)?;
                only_reads(&statement)?;
                self.prepare(&session, fabric, resolver, &mut statement).await?;
                logical(&session.state, statement).await?
            }
            LookAt::Table(parts) => {
                let name = named(parts)?;
                let mut scope = Scope::new(&session, fabric, resolver);
                scope.find_one(&name).await?;
                let few = match limit {
                    Some(_) => scope.open_few(&name).await?,
                    None => None,
                };
                let opened = match few {
                    Some(opened) => opened,
                    None => scope.open_one(&name).await?,
                };
                scan(&name, opened.provider())?
            }
        };
        let plan = plainly(plan).map_err(from_engine)?;
        let plan = match limit {
            Some(limit) => LogicalPlanBuilder::from(plan)
                .limit(0, Some(limit))
                .and_then(LogicalPlanBuilder::build)
                .map_err(from_engine)?,
            None => plan,
        };
        let plan = session.state.optimize(&plan).map_err(from_engine)?;
        self.run(&session, &plan).await
    }
}

fn scan(
    name: &TableReference,
    provider: Arc<dyn datafusion::catalog::TableProvider>,
) -> Result<LogicalPlan> {
    LogicalPlanBuilder::scan(TableReference::bare(name.table()), provider_as_source(provider), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_engine)
}
