//! Columns as every format knows them: no dictionaries, no views, no runs.

use arrow::array::{ArrayRef, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use windlass_types::Result;

/// The type that a column is written with. Avro's readers know no nanoseconds, and Avro no seconds.
fn kind(kind: &DataType, avro: bool) -> DataType {
    let field = |of: &FieldRef| {
        Arc::new(of.as_ref().clone().with_data_type(self::kind(of.data_type(), avro)))
    };
    match kind {
        DataType::Dictionary(_, value) => self::kind(value, avro),
        DataType::RunEndEncoded(_, value) => self::kind(value.data_type(), avro),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if avro => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::Timestamp(TimeUnit::Second, zone) if avro => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        DataType::Time64(TimeUnit::Nanosecond) if avro => DataType::Time64(TimeUnit::Microsecond),
        DataType::Time32(TimeUnit::Second) if avro => DataType::Time32(TimeUnit::Millisecond),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(of) | DataType::ListView(of) => DataType::List(field(of)),
        DataType::LargeList(of) | DataType::LargeListView(of) => DataType::LargeList(field(of)),
        DataType::FixedSizeList(of, length) => DataType::FixedSizeList(field(of), *length),
        DataType::Map(of, sorted) => DataType::Map(field(of), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        other => other.clone(),
    }
}

/// The same columns without what is only a way to keep them in memory. What the engine notes about
/// columns for itself stays behind.
pub(super) fn schema(schema: &SchemaRef, avro: bool) -> SchemaRef {
    let fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), kind(field.data_type(), avro), field.is_nullable()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The same rows in these columns.
pub(super) fn batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            Ok(Arc::clone(column))
        } else {
            cast(column, field.data_type()).map_err(super::of_arrow)
        }
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(super::of_arrow)
}
