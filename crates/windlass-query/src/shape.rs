//! What a statement takes and gives, learnt without running it.

use crate::engine::{Engine, Rows, Session, only_reads, parse, plan};
use crate::error::from_engine;
use crate::pg::{Given, PG_CATALOG};
use crate::resolve::Resolver;
use arrow::array::new_null_array;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use std::sync::Arc;
use windlass_types::Result;

/// Parameters and columns of a statement.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Types of `$1`, `$2`, ...
    pub parameters: Vec<DataType>,
    /// The columns of its rows.
    pub columns: SchemaRef,
}

impl Engine {
    /// Learns what a query takes and gives. `types` are those the asker has said; a parameter whose
    /// type neither the asker nor its place in the statement says is text. None: it can only be
    /// learnt by running the statement (SHOW TABLES, SHOW COLUMNS, DESCRIBE).
    pub async fn shape(
        &self,
        sql: &str,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
        types: &[Option<DataType>],
        given: &Given,
    ) -> Result<Option<Shape>> {
        let (session, plan) = if let Some(statement) = self.catalogue_statement(sql)? {
            self.catalogue_plan(statement, fabric, resolver.as_ref(), given).await?
        } else {
            let mut statement = parse(sql)?;
            if only_reads(&statement).is_err() {
                return Ok(None);
            }
            let session = self.session(fabric)?;
            self.prepare(&session, fabric, resolver.as_ref(), &mut statement).await?;
            let plan = plan(&session.state, statement, None).await?;
            (session, plan)
        };
        let wanted = plan.get_parameter_types().map_err(from_engine)?;
        let most = wanted.keys().filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let count = most.max().unwrap_or_default().max(types.len());
        let parameters: Vec<DataType> = (0..count)
            .map(|at| {
                let said = types.get(at).cloned().flatten();
                let meant = || wanted.get(&format!("${}", at + 1)).cloned().flatten();
                said.or_else(meant).filter(|kind| *kind != DataType::Null).unwrap_or(DataType::Utf8)
            })
            .collect();
        let nulls = parameters.iter().map(|kind| new_null_array(kind, 1)).collect();
        let plan = crate::pg::bind(plan, &Given { parameters: nulls, ..Given::default() })?;
        let plan = session.state.optimize(&plan).map_err(from_engine)?;
        let columns = Arc::new(plan.schema().as_arrow().clone());
        Ok(Some(Shape { parameters, columns }))
    }

    /// Runs a statement for the catalogue.
    pub(crate) async fn query_catalogue(
        &self,
        statement: Statement,
        fabric: &str,
        resolver: Arc<dyn Resolver>,
        given: &Given,
    ) -> Result<Rows> {
        let (session, plan) =
            self.catalogue_plan(statement, fabric, resolver.as_ref(), given).await?;
        let plan = crate::pg::bind(plan, given)?;
        let plan = session.state.optimize(&plan).map_err(from_engine)?;
        self.run(&session, &plan).await
    }

    async fn catalogue_plan(
        &self,
        mut statement: Statement,
        fabric: &str,
        resolver: &dyn Resolver,
        given: &Given,
    ) -> Result<(Session, LogicalPlan)> {
        only_reads(&statement)?;
        let session = self.catalogue_session(fabric, given)?;
        let (references, _) = resolve_table_references(&statement, true).map_err(from_engine)?;
        let schema = self.register_catalogue(&session, fabric, resolver, references).await?;
        self.prepare(&session, fabric, resolver, &mut statement).await?;
        if let Some(catalog) = session.catalogs.catalog(fabric) {
            catalog.register_schema(PG_CATALOG, schema).map_err(from_engine)?;
        }
        let plan = plan(&session.state, statement, None).await?;
        Ok((session, plan))
    }
}
