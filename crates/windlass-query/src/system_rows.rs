//! System tables whose rows are read when they are scanned: only those that a statement asks for.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use windlass_types::Result;

/// Rows of a system table that may be too many to be read whole.
#[async_trait]
pub trait SystemRows: fmt::Debug + Send + Sync {
    /// Its columns.
    fn schema(&self) -> SchemaRef;

    /// Columns of text by which rows are chosen before they are read.
    fn keys(&self) -> &'static [&'static str];

    /// Reads the rows in which each of these columns is this text. Without any it may leave out rows,
    /// as its documentation says.
    async fn read(&self, chosen: &BTreeMap<&str, &str>) -> Result<Vec<RecordBatch>>;
}

/// Such rows as a table.
#[derive(Debug)]
pub(crate) struct SystemTable(pub(crate) Arc<dyn SystemRows>);

impl SystemTable {
    /// The column and the text of `column = 'text'`, if rows are chosen by that.
    fn chosen<'e>(&self, filter: &'e Expr) -> Option<(&'e str, &'e str)> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else {
            return None;
        };
        let (name, text) = named(left, right).or_else(|| named(right, left))?;
        self.0.keys().contains(&name).then_some((name, text))
    }
}

/// The name of a column, and a text that is compared with it.
fn named<'e>(column: &'e Expr, text: &'e Expr) -> Option<(&'e str, &'e str)> {
    match (column, text) {
        (Expr::Column(column), Expr::Literal(value, _)) => {
            Some((column.name.as_str(), value.try_as_str().flatten()?))
        }
        _ => None,
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        // Rows are compared again, so that nothing depends on what is chosen but how much is read.
        let support = |filter: &&Expr| match self.chosen(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let chosen: BTreeMap<&str, &str> =
            filters.iter().filter_map(|filter| self.chosen(filter)).collect();
        let batches = self.0.read(&chosen).await;
        let batches = batches.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let table = MemTable::try_new(self.0.schema(), vec![batches])?;
        table.scan(state, projection, &[], limit).await
    }
}
