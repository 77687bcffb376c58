//! Text and binary as views: how the engine works on columns of Parquet files, and what nobody else sees.
//!
//! Views make grouping, joining and filtering of text much cheaper. What leaves the engine (rows, types,
//! names) has plain text and binary again.

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;

/// A column of a Parquet file, as the engine reads it.
pub(crate) fn viewed(field: &Field) -> Field {
    let kind = match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        _ => return field.clone(),
    };
    field.clone().with_data_type(kind)
}

/// The type as others see it; None where it is that already.
fn plain_type(kind: &DataType) -> Option<DataType> {
    match kind {
        DataType::Utf8View => Some(DataType::Utf8),
        DataType::BinaryView => Some(DataType::Binary),
        _ => None,
    }
}

/// The columns as others see them.
pub(crate) fn plain(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|field| plain_type(field.data_type()).is_none()) {
        return Arc::clone(schema);
    }
    let fields: Vec<FieldRef> = schema
        .fields()
        .iter()
        .map(|field| match plain_type(field.data_type()) {
            Some(kind) => Arc::new(field.as_ref().clone().with_data_type(kind)),
            None => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The plan whose rows others see.
pub(crate) fn plainly(plan: LogicalPlan) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let kinds = plan.schema().fields().iter().map(|field| plain_type(field.data_type()));
    let kinds: Vec<Option<DataType>> = kinds.collect();
    if kinds.iter().all(Option::is_none) {
        return Ok(plan);
    }
    let expressions = columns.into_iter().zip(kinds).map(|(column, kind)| match kind {
        Some(kind) => {
            let (relation, name) = (column.relation.clone(), column.name.clone());
            cast(Expr::Column(column), kind).alias_qualified(relation, name)
        }
        None => Expr::Column(column),
    });
    LogicalPlanBuilder::from(plan).project(expressions.collect::<Vec<_>>())?.build()
}
