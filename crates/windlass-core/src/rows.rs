//! Small answers as record batches.

use crate::engine::{Answer, Grade, Verdict};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// A value of a cell; the first non-null value of a column need not come first.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// Text.
    Text(Option<String>),
    /// A whole number.
    Integer(Option<i64>),
    /// A number with a fraction.
    Real(Option<f64>),
    /// A flag.
    Bool(Option<bool>),
    /// A time.
    Time(Option<DateTime<Utc>>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}
impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}
impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Real(Some(number))
    }
}
impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Bool(Some(flag))
    }
}
impl From<Option<u64>> for Cell {
    fn from(number: Option<u64>) -> Self {
        Self::Integer(number.and_then(|n| i64::try_from(n).ok()))
    }
}
impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Some(number).into()
    }
}
impl From<Option<DateTime<Utc>>> for Cell {
    fn from(time: Option<DateTime<Utc>>) -> Self {
        Self::Time(time)
    }
}
impl From<DateTime<Utc>> for Cell {
    fn from(time: DateTime<Utc>) -> Self {
        Self::Time(Some(time))
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction.
    Real,
    /// A flag.
    Bool,
    /// A time in UTC, microseconds.
    Time,
}

/// Columns of a fixed table.
pub(crate) type Columns = &'static [(&'static str, Kind)];

/// The schema of `columns`.
pub(crate) fn schema(columns: Columns) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, kind)| {
            let data = match kind {
                Kind::Text => DataType::Utf8,
                Kind::Integer => DataType::Int64,
                Kind::Real => DataType::Float64,
                Kind::Bool => DataType::Boolean,
                Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            };
            Field::new(*name, data, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// One batch from rows of cells.
pub(crate) fn batch(columns: Columns, rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let arrays: Vec<ArrayRef> = columns
        .iter()
        .enumerate()
        .map(|(index, (_, kind))| column(*kind, rows.iter().map(|row| &row[index])))
        .collect();
    RecordBatch::try_new(schema(columns), arrays).map_err(|error| {
        Error::new(ErrorCode::Internal, "rows do not fit their columns").source(error)
    })
}

fn column<'a>(kind: Kind, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    match kind {
        Kind::Text => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Text(text) => text.clone(),
                    _ => None,
                })
                .collect::<StringArray>(),
        ),
        Kind::Integer => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Integer(number) => *number,
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        Kind::Real => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Real(number) => *number,
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        Kind::Bool => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Bool(flag) => *flag,
                    _ => None,
                })
                .collect::<BooleanArray>(),
        ),
        Kind::Time => Arc::new(
            cells
                .map(|cell| match cell {
                    Cell::Time(time) => time.map(|t| t.timestamp_micros()),
                    _ => None,
                })
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
    }
}

/// An answer of rows that are all there already.
pub(crate) fn answer(columns: Columns, rows: &[Vec<Cell>], grade: Grade) -> Result<Answer> {
    let batch = batch(columns, rows)?;
    Ok(Answer::Rows {
        schema: batch.schema(),
        batches: futures::stream::iter([Ok(batch)]).boxed(),
        verdict: Verdict::new(grade),
    })
}

/// The rows of a query; what of files was left out is a warning once they are read.
pub(crate) fn of_query(rows: windlass_query::Rows) -> Answer {
    let verdict = Verdict::new(Grade::Good);
    let (told, left_out) = (Arc::clone(&verdict), rows.left_out);
    let end = futures::stream::once(async move {
        if let Some(said) = left_out.said() {
            told.warn(said);
        }
    });
    let end = end.filter_map(|()| std::future::ready(None));
    Answer::Rows { schema: rows.schema, batches: rows.stream.chain(end).boxed(), verdict }
}

/// An answer of one row with one text, in a column of this name.
pub(crate) fn one_text(column: &str, text: String) -> Answer {
    let array: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let schema = Arc::new(Schema::new(vec![Field::new(column, DataType::Utf8, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).map_err(|error| {
        Error::new(ErrorCode::Internal, "a row does not fit its column").source(error)
    });
    Answer::Rows {
        schema,
        batches: futures::stream::iter([batch]).boxed(),
        verdict: Verdict::new(Grade::Good),
    }
}

/// An answer without rows.
pub(crate) fn done(message: impl Into<String>, warnings: Vec<String>) -> Answer {
    Answer::Done { message: message.into(), warnings }
}

/// Whether `text` matches a SQL LIKE pattern (`%`, `_`), without regard to case.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    fn go(pattern: &[char], text: &[char]) -> bool {
        // Two-pointer match with one level of backtracking: linear for any number of `%`.
        let (mut p, mut t, mut star, mut mark) = (0, 0, None, 0);
        while t < text.len() {
            if p < pattern.len() && pattern[p] == '%' {
                star = Some(p);
                mark = t;
                p += 1;
            } else if p < pattern.len() && (pattern[p] == '_' || pattern[p] == text[t]) {
                p += 1;
                t += 1;
            } else if let Some(at) = star {
                p = at + 1;
                mark += 1;
                t = mark;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|c| *c == '%')
    }
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    go(&fold(pattern), &fold(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_matches_as_sql_does() {
        assert!(like("land%", "Landing") && like("%ing", "landing") && like("l_nding", "landing"));
        assert!(like("%", "") && like("%a%b%", "xxaxxbxx"));
        assert!(!like("land", "landing") && !like("_", "") && !like("%a%b", "ab c"));
    }
}
