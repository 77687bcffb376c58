//! Numbers of rows in their file, where rows may be left out between them.

use arrow::array::{Array as _, ArrayRef, Int64Array};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// A wanted column (`BIGINT`) of this name is filled with the number of each row among all rows of its
/// file, those that are left out too; the first is 1. Formats that leave no row out leave it NULL.
pub const NUMBER: &str = "\u{1}number";

/// Where the column of numbers is, if it is wanted.
pub(crate) fn place(schema: &Schema) -> Option<usize> {
    schema.fields().iter().position(|field| field.name() == NUMBER)
}

/// The column of these numbers.
pub(crate) fn column(numbers: impl IntoIterator<Item = u64>) -> ArrayRef {
    let numbers = numbers.into_iter().map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(numbers))
}

/// The batch with the numbers of its rows, if they are wanted.
pub(crate) fn filled(
    batch: RecordBatch,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<RecordBatch, ArrowError> {
    let Some(at) = place(&batch.schema()) else { return Ok(batch) };
    let numbers = column(numbers);
    if numbers.len() != batch.num_rows() {
        return Err(ArrowError::ComputeError("rows and their numbers are not as many".to_owned()));
    }
    let mut columns = batch.columns().to_vec();
    columns[at] = numbers;
    RecordBatch::try_new(batch.schema(), columns)
}
