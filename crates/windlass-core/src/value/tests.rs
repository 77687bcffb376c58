use super::*;
use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int64Array, Int64Builder, ListArray, MapBuilder, NullArray, StringArray,
    StringBuilder, StringViewArray, StructArray, Time64MicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type};
use std::sync::Arc;

fn all(array: &dyn Array) -> Vec<String> {
    (0..array.len())
        .map(|row| {
            let mut out = String::new();
            json(array, row, &mut out);
            serde_json::from_str::<serde_json::Value>(&out).expect(&out);
            out
        })
        .collect()
}

#[test]
fn numbers_stay_numbers_and_what_json_cannot_say_is_null() {
    assert_eq!(
        all(&Int64Array::from(vec![Some(i64::MIN), None])),
        ["-9223372036854775808", "null"]
    );
    assert_eq!(all(&UInt64Array::from(vec![u64::MAX])), ["18446744073709551615"]);
    assert_eq!(
        all(&Float64Array::from(vec![1.0, 0.1, f64::NAN, f64::INFINITY])),
        ["1.0", "0.1", "null", "null"]
    );
    assert_eq!(all(&Float32Array::from(vec![0.1, f32::NEG_INFINITY])), ["0.1", "null"]);
    assert_eq!(text(&Float64Array::from(vec![f64::NAN]), 0).as_deref(), Some("NaN"));
    assert_eq!(text(&Float64Array::from(vec![None]), 0), None);
    assert_eq!(all(&BooleanArray::from(vec![true])), ["true"]);
    assert_eq!(all(&NullArray::new(1)), ["null"]);
}

#[test]
fn decimals_binary_and_times_are_text() {
    let decimals = Decimal128Array::from(vec![12_345, -5]).with_precision_and_scale(10, 2).unwrap();
    assert_eq!(all(&decimals), ["\"123.45\"", "\"-0.05\""]);
    assert_eq!(all(&BinaryArray::from(vec![b"\x00\xff".as_slice()])), ["\"AP8=\""]);
    assert_eq!(all(&Date32Array::from(vec![20_454])), ["\"2026-01-01\""]);
    assert_eq!(
        all(&TimestampMillisecondArray::from(vec![1_767_225_600_250])
            .with_timezone("Europe/Berlin")),
        ["\"2026-01-01T00:00:00.250Z\""]
    );
    assert_eq!(
        all(&TimestampNanosecondArray::from(vec![1_767_225_600_000_000_001])),
        ["\"2026-01-01T00:00:00.000000001Z\""]
    );
    assert_eq!(all(&Time64MicrosecondArray::from(vec![3_661_000_001])), ["\"01:01:01.000001\""]);
}

#[test]
fn a_time_no_calendar_has_is_its_number() {
    assert_eq!(all(&TimestampMillisecondArray::from(vec![i64::MAX])), ["\"9223372036854775807\""]);
}

#[test]
fn nested_values_are_nested_json() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    assert_eq!(all(&list), ["[1,null]", "null"]);
    assert_eq!(text(&list, 0).as_deref(), Some("[1,null]"));
    let name: ArrayRef = Arc::new(StringViewArray::from(vec!["a\"b"]));
    let size: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let record = StructArray::from(vec![
        (Arc::new(Field::new("name", DataType::Utf8View, true)), name),
        (Arc::new(Field::new("size", DataType::Int64, true)), size),
    ]);
    assert_eq!(all(&record), ["{\"name\":\"a\\\"b\",\"size\":7}"]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    assert_eq!(all(&map.finish()), ["{\"k\":1}"]);
    let dictionary: DictionaryArray<Int32Type> = [Some("x"), None, Some("x")].into_iter().collect();
    assert_eq!(all(&dictionary), ["\"x\"", "null", "\"x\""]);
}

#[test]
fn text_keeps_its_characters_but_no_control_reaches_a_terminal() {
    let array = StringArray::from(vec!["ö\u{1b}[0m\u{9b}\n\u{202e}"]);
    assert_eq!(all(&array), ["\"ö\\u001b[0m\\u009b\\n\\u202e\""]);
    let back: String = serde_json::from_str(&all(&array)[0]).unwrap();
    assert_eq!(back, "ö\u{1b}[0m\u{9b}\n\u{202e}");
}
