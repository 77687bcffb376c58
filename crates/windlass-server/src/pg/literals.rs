//! Values written into the text of a statement.
//!
//! A statement that keeps the rows of a query hands the text of that query on, perhaps to a run of
//! its own: what is bound beside the text would be lost.

use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use std::fmt::Write as _;
use windlass_core::sql::{Look, Placeholder, Statement, text_literal};
use windlass_core::value;
use windlass_types::{Error, ErrorCode, Result};

/// Whether a statement hands the text of a query on.
pub(crate) fn is_kept(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Write(_)
            | Statement::CreateTemporaryTable { .. }
            | Statement::Preview { of: Look::Query(_), .. }
            | Statement::Profile { of: Look::Query(_), .. }
    )
}

/// Whether a statement is neither a query nor keeps one: no value of it can be a parameter.
pub(crate) fn is_fixed(statement: &Statement) -> bool {
    !matches!(statement, Statement::Engine(_)) && !is_kept(statement)
}

/// The text with values, arrays of one row, where its parameters stand.
pub(crate) fn write(text: &str, places: &[Placeholder], values: &[ArrayRef]) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for place in places {
        let value = place.number.checked_sub(1).and_then(|at| values.get(at));
        let value = value.and_then(|value| literal(value.as_ref(), 0)).ok_or_else(|| {
            let what = format!("the value of ${} cannot be written out", place.number);
            Error::new(ErrorCode::StatementUnsupported, what)
                .hint("send it as text, and cast it in the statement")
        })?;
        out.push_str(&text[from..place.range.start]);
        // Between spaces: a letter just before a text would make it another kind of text.
        let _ = write!(out, " {value} ");
        from = place.range.end;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// A value as SQL has it, of exactly its type. None: of this type there are no parameters.
fn literal(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) {
        return Some("NULL".to_owned());
    }
    let shown = value::text(array, row)?;
    let cast = |kind: &str| format!("CAST({} AS {kind})", text_literal(&shown));
    let exactly = |shown: &str, kind: &str| {
        format!("arrow_cast({}, {})", text_literal(shown), text_literal(kind))
    };
    Some(match array.data_type() {
        DataType::Utf8 => text_literal(&shown),
        // `-` before another would begin a comment.
        DataType::Int64 if array.as_primitive::<Int64Type>().value(row) < 0 => cast("BIGINT"),
        DataType::Boolean | DataType::Int64 => shown,
        DataType::Float32 => {
            let number = array.as_primitive::<Float32Type>().value(row);
            format!("CAST('{number}' AS REAL)")
        }
        DataType::Float64 => {
            let number = array.as_primitive::<Float64Type>().value(row);
            format!("CAST('{number}' AS DOUBLE)")
        }
        DataType::Decimal128(precision, scale) => cast(&format!("DECIMAL({precision}, {scale})")),
        DataType::Binary => {
            let mut out = "x'".to_owned();
            for byte in array.as_binary::<i32>().value(row) {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('\'');
            out
        }
        DataType::Date32 => cast("DATE"),
        DataType::Time64(TimeUnit::Microsecond) => exactly(&shown, "Time64(Microsecond)"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => {
            exactly(shown.trim_end_matches('Z'), "Timestamp(Microsecond, None)")
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => {
            exactly(&shown, &format!("Timestamp(Microsecond, Some(\"{zone}\"))"))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let (months, days, nanos) = (value.months, value.days, value.nanoseconds);
            format!("INTERVAL '{months} months {days} days {nanos} nanoseconds'")
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items = (0..items.len()).map(|at| literal(items.as_ref(), at));
            format!("make_array({})", items.collect::<Option<Vec<_>>>()?.join(", "))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::params::read;
    use super::*;
    use arrow::datatypes::Field;
    use windlass_core::sql;

    fn written(text: &str, values: &[(&str, DataType)]) -> String {
        let values: Vec<ArrayRef> = values
            .iter()
            .map(|(value, kind)| read(0, Some(value.as_bytes()), false, kind).unwrap())
            .collect();
        write(text, &sql::placeholders(text).unwrap(), &values).unwrap()
    }

    #[test]
    fn values_stand_where_their_parameters_stood() {
        let text = "INSERT INTO t SELECT $2, '$1', -$1 -- $2";
        assert_eq!(
            written(text, &[("-5", DataType::Int64), ("it's $1 -- \\", DataType::Utf8)]),
            "INSERT INTO t SELECT  'it''s $1 -- \\' , '$1', - CAST('-5' AS BIGINT)  -- $2"
        );
        assert!(write(text, &sql::placeholders(text).unwrap(), &[]).is_err());
    }

    #[test]
    fn a_literal_is_of_the_type_of_its_value() {
        let micros = TimeUnit::Microsecond;
        let list = DataType::List(Field::new_list_field(DataType::Utf8, true).into());
        for (value, kind, literal) in [
            ("42", DataType::Int64, "42"),
            ("t", DataType::Boolean, "true"),
            ("1.5", DataType::Float64, "CAST('1.5' AS DOUBLE)"),
            ("-0.50", DataType::Decimal128(38, 10), "CAST('-0.50' AS DECIMAL(38, 2))"),
            ("\\x00ff", DataType::Binary, "x'00ff'"),
            ("1969-12-31", DataType::Date32, "CAST('1969-12-31' AS DATE)"),
            (
                "2024-01-01 10:00:00",
                DataType::Timestamp(micros, None),
                "arrow_cast('2024-01-01T10:00:00', 'Timestamp(Microsecond, None)')",
            ),
            (
                "2024-01-01 10:00:00+02",
                DataType::Timestamp(micros, Some("UTC".into())),
                "arrow_cast('2024-01-01T08:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')",
            ),
            ("{a,NULL,\"b'c\"}", list, "make_array('a', NULL, 'b''c')"),
        ] {
            assert_eq!(written("$1", &[(value, kind)]), format!(" {literal} "));
        }
    }

    #[test]
    fn only_what_keeps_a_query_takes_values_as_text() {
        for (text, kept) in [
            ("INSERT INTO lake.\"a.csv\" VALUES ($1)", true),
            ("COPY (SELECT $1 AS a) TO 'lake:a.csv'", true),
            ("CREATE TEMPORARY TABLE t AS SELECT $1 AS a", true),
            ("SELECT $1", false),
        ] {
            let parsed = sql::parse(text).unwrap();
            assert_eq!(is_kept(&parsed[0].statement), kept, "{text}");
            assert!(!is_fixed(&parsed[0].statement), "{text}");
        }
        let parsed = sql::parse("CREATE VIEW v AS SELECT $1 AS a").unwrap();
        assert!(is_fixed(&parsed[0].statement));
    }
}
