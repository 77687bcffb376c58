//! Columns of a file brought to the types of the table.

use arrow::array::{
    Array, ArrayRef, AsArray as _, ListArray, RecordBatch, RecordBatchOptions, StringArray,
    StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;

/// The columns of `schema`, by name; those the batch lacks are NULL.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let columns = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => array(column, field.data_type()).map_err(|error| {
                ArrowError::CastError(format!("column `{}`: {error}", field.name()))
            }),
            None => Ok(new_null_array(field.data_type(), rows)),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// One column as `kind`: parts of structs by name, nested values as text where text is wanted.
fn array(column: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let given = column.data_type();
    if given == kind {
        return Ok(Arc::clone(column));
    }
    match (given, kind) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let parts = column.as_struct();
            let columns = fields
                .iter()
                .map(|field| match parts.column_by_name(field.name()) {
                    Some(part) => array(part, field.data_type()),
                    None => Ok(new_null_array(field.data_type(), parts.len())),
                })
                .collect::<Result<Vec<_>, _>>()?;
            if fields.is_empty() {
                return Ok(Arc::new(StructArray::new_empty_fields(
                    parts.len(),
                    parts.nulls().cloned(),
                )));
            }
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, parts.nulls().cloned())?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let list = column.as_list::<i32>();
            let values = array(list.values(), item.data_type())?;
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(item),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?))
        }
        (
            DataType::LargeList(item) | DataType::ListView(item) | DataType::LargeListView(item),
            DataType::List(_),
        ) => {
            let list = cast_with_options(column, &DataType::List(Arc::clone(item)), &STRICT)?;
            array(&list, kind)
        }
        (DataType::Dictionary(_, value), _) if value.as_ref() != kind => {
            array(&cast_with_options(column, value, &STRICT)?, kind)
        }
        (given, DataType::Utf8)
            if given.is_nested()
                || matches!(
                    given,
                    DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_)
                ) =>
        {
            text(column)
        }
        _ => cast_with_options(column, kind, &STRICT),
    }
}

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: FormatOptions::new() };

/// Values as a person reads them.
fn text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let values: StringArray = (0..column.len())
        .map(|row| column.is_valid(row).then(|| formatter.value(row).to_string()))
        .collect();
    Ok(Arc::new(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array};
    use arrow::datatypes::{Field, Schema};

    #[test]
    fn columns_are_found_by_name_and_widened() {
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef,
        )]);
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int32Array::from(vec![Some(7), None])) as ArrayRef),
            ("s", Arc::new(inner) as ArrayRef),
        ])
        .unwrap();
        let parts =
            vec![Field::new("b", DataType::Utf8, true), Field::new("a", DataType::Int64, true)];
        let schema = Arc::new(Schema::new(vec![
            Field::new("gone", DataType::Date32, true),
            Field::new("n", DataType::Utf8, true),
            Field::new("s", DataType::Struct(parts.into()), true),
        ]));
        let wide = conform(&batch, &schema).unwrap();
        assert_eq!(wide.column(0).null_count(), 2);
        assert_eq!(wide.column(1).as_string::<i32>().value(0), "7");
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        assert_eq!(wide.column(2).as_struct().column_by_name("a").unwrap(), &expected);
    }
}
