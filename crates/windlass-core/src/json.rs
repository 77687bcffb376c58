//! Rows as JSON objects, as the contract says ([`crate::value`] has the mapping of values).

use crate::value;
use arrow::record_batch::RecordBatch;
use serde_json::Value;
use windlass_types::{Error, ErrorCode, Result};

/// The rows of a batch as JSON lines.
pub fn lines(batch: &RecordBatch) -> String {
    let schema = batch.schema();
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let mut name = String::new();
            value::quote(field.name(), &mut name);
            name.push(':');
            name
        })
        .collect();
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        out.push('{');
        for (index, (name, column)) in names.iter().zip(batch.columns()).enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(name);
            value::json(column.as_ref(), row, &mut out);
        }
        out.push_str("}\n");
    }
    out
}

/// The rows of a batch as objects.
pub fn objects(batch: &RecordBatch) -> Result<Vec<Value>> {
    lines(batch)
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| Error::new(ErrorCode::Internal, "a row is not JSON").source(error))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        ArrayRef, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, ListArray,
        TimestampNanosecondArray,
    };
    use arrow::datatypes::Int64Type;
    use std::sync::Arc;

    #[test]
    fn values_follow_the_contract() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("f", Arc::new(Float64Array::from(vec![f64::NAN, 1.5]))),
            ("g", Arc::new(Float32Array::from(vec![f32::INFINITY, 0.1]))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![12345, -5]).with_precision_and_scale(10, 2).unwrap(),
                ),
            ),
            ("b", Arc::new(BinaryArray::from(vec![b"\xff\x00".as_slice(), b""]))),
            (
                "t",
                Arc::new(TimestampNanosecondArray::from(vec![
                    Some(1_700_000_000_500_000_000),
                    None,
                ])),
            ),
            ("day", Arc::new(Date32Array::from(vec![0, 20_000]))),
            (
                "l",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
                    Some(vec![Some(1), None]),
                    Some(vec![]),
                ])),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        insta::assert_snapshot!(lines(&batch), @r#"
        {"f":null,"g":null,"d":"123.45","b":"/wA=","t":"2023-11-14T22:13:20.500Z","day":"1970-01-01","l":[1,null]}
        {"f":1.5,"g":0.1,"d":"-0.05","b":"","t":null,"day":"2024-10-04","l":[]}
        "#);
    }
}
