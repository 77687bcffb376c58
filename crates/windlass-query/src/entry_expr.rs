//! A condition on rows of a listing, written in SQL and compiled once.

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, ExprSchemable as _};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::{SessionContext, cast};
use std::io;
use std::sync::Arc;
use windlass_types::{Entry, Error, ErrorCode, Result};

/// An expression over the columns of a listing: `key` and `etag` and `storage_class` (text), `size`
/// (bytes), `last_modified` (UTC). Rows for which it is null are not wanted.
#[derive(Debug, Clone)]
pub struct EntryExpr {
    text: String,
    schema: SchemaRef,
    expression: Arc<dyn PhysicalExpr>,
}

fn refused(text: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorCode::SqlPlan, format!("the condition `{text}` cannot be used")).source(error).hint(
        "it is a SQL expression that is true or false, over key, path, size, last_modified, etag and storage_class",
    )
}

impl EntryExpr {
    /// Compiles an expression in which it is `now`; an error says what is wrong with it.
    pub fn compile(text: &str, now: DateTime<Utc>) -> Result<Self> {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("path", DataType::Utf8, false),
            Field::new("size", DataType::UInt64, true),
            Field::new("last_modified", time, true),
            Field::new("etag", DataType::Utf8, true),
            Field::new("storage_class", DataType::Utf8, true),
        ]));
        let context = SessionContext::new();
        let columns =
            DFSchema::try_from(Schema::clone(&schema)).map_err(|error| refused(text, error))?;
        let parsed =
            context.parse_sql_expr(text, &columns).map_err(|error| refused(text, error))?;
        // What depends on the time becomes a value here: it is one time for all rows.
        let about = SimplifyContext::builder()
            .with_schema(Arc::new(columns.clone()))
            .with_config_options(Arc::clone(context.state().config_options()))
            .with_query_execution_start_time(Some(now))
            .build();
        let simplifier = ExprSimplifier::new(about);
        let coerced = simplifier.coerce(parsed, &columns).map_err(|error| refused(text, error))?;
        let kind = coerced.get_type(&columns).map_err(|error| refused(text, error))?;
        if !matches!(kind, DataType::Boolean | DataType::Null) {
            let what = format!("it is a value of type {kind}");
            return Err(refused(text, io::Error::other(what)));
        }
        let simple = simplifier
            .simplify(cast(coerced, DataType::Boolean))
            .map_err(|error| refused(text, error))?;
        let expression =
            context.create_physical_expr(simple, &columns).map_err(|error| refused(text, error))?;
        let compiled = Self { text: text.to_owned(), schema, expression };
        // What only shows on rows, such as a text that is no number, is not known yet; the rest is.
        compiled.matches("", &[])?;
        Ok(compiled)
    }

    /// Whether each entry fulfils it. Its `path` is what its key has after `base`.
    pub fn matches(&self, base: &str, entries: &[Entry]) -> Result<Vec<bool>> {
        let text = |of: fn(&Entry) -> Option<&str>| -> ArrayRef {
            Arc::new(entries.iter().map(of).collect::<StringArray>())
        };
        let path = |entry: &Entry| entry.key.strip_prefix(base).unwrap_or(&entry.key).to_owned();
        let times: TimestampMicrosecondArray = entries
            .iter()
            .map(|entry| entry.last_modified.map(|time| time.timestamp_micros()))
            .collect();
        let columns: Vec<ArrayRef> = vec![
            text(|entry| Some(&entry.key)),
            Arc::new(entries.iter().map(path).map(Some).collect::<StringArray>()),
            Arc::new(entries.iter().map(|entry| entry.size).collect::<UInt64Array>()),
            Arc::new(times.with_timezone("+00:00")),
            text(|entry| entry.etag.as_deref()),
            text(|entry| entry.storage_class.as_deref()),
        ];
        let failed = |error| refused(&self.text, error);
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| refused(&self.text, error))?;
        Ok(match self.expression.evaluate(&batch).map_err(failed)? {
            ColumnarValue::Array(array) => {
                let Some(values) = array.as_any().downcast_ref::<BooleanArray>() else {
                    return Ok(vec![false; entries.len()]);
                };
                values.iter().map(|value| value == Some(true)).collect()
            }
            ColumnarValue::Scalar(value) => {
                vec![value == ScalarValue::Boolean(Some(true)); entries.len()]
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_types::EntryKind;

    fn entry(key: &str, size: u64, second: i64, class: Option<&str>) -> Entry {
        Entry {
            key: key.to_owned(),
            kind: EntryKind::Object,
            path: key.to_owned(),
            size: Some(size),
            last_modified: DateTime::from_timestamp(second, 0),
            etag: None,
            storage_class: class.map(str::to_owned),
        }
    }

    #[test]
    fn a_condition_judges_rows_of_a_listing() {
        let rows = [
            entry("a.csv", 1, 1_700_000_000, None),
            entry("b.CSV", 2_000_000, 1_800_000_000, Some("GLACIER")),
        ];
        let now = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
        let judged =
            |text: &str| EntryExpr::compile(text, now).unwrap().matches("a", &rows).unwrap();
        assert_eq!(judged("size > 1000"), [false, true]);
        assert_eq!(judged("lower(key) LIKE '%.csv'"), [true, true]);
        assert_eq!(judged("last_modified < '2026-01-01T00:00:00Z'"), [true, false]);
        assert_eq!(judged("storage_class = 'GLACIER'"), [false, true]);
        assert_eq!(judged("etag = 'x'"), [false, false], "null is not true");
        assert_eq!(judged("true"), [true, true]);
        assert_eq!(judged("last_modified > now()"), [false, true]);
        assert_eq!(judged("last_modified < current_date"), [true, false]);
        assert_eq!(judged("path = '.csv'"), [true, false], "it is what the key has after the base");
        let none = EntryExpr::compile("size > 1", now).unwrap().matches("", &[]);
        assert!(none.unwrap().is_empty());
    }

    #[test]
    fn what_is_no_condition_is_refused_at_once() {
        for text in ["", "size >", "colour = 1", "size > 1; DROP TABLE x", "(SELECT 1)", "size"] {
            let error = EntryExpr::compile(text, DateTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SqlPlan, "{text}: {error:?}");
        }
    }
}
