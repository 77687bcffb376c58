//! Answers that the command line makes itself, as record batches.

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// One cell.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Text(Option<String>),
    Integer(Option<u64>),
    Time(Option<DateTime<Utc>>),
    Boolean(Option<bool>),
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
impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Integer(Some(number))
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    Time,
    Boolean,
}

/// Columns of an answer.
pub(crate) type Columns = &'static [(&'static str, Kind)];

/// Their schema.
pub(crate) fn schema(columns: Columns) -> SchemaRef {
    let field = |(name, kind): &(&str, Kind)| {
        let data = match kind {
            Kind::Text => DataType::Utf8,
            Kind::Integer => DataType::Int64,
            Kind::Boolean => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        Field::new(*name, data, true)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Rows as one batch; a cell of another kind than its column is null.
pub(crate) fn batch(columns: Columns, rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let arrays = columns.iter().enumerate().map(|(at, (_, kind))| {
        let cells = rows.iter().map(|row| row.get(at));
        match kind {
            Kind::Text => Arc::new(
                cells
                    .map(|cell| match cell {
                        Some(Cell::Text(text)) => text.as_deref(),
                        _ => None,
                    })
                    .collect::<StringArray>(),
            ) as ArrayRef,
            Kind::Integer => Arc::new(
                cells
                    .map(|cell| match cell {
                        Some(Cell::Integer(number)) => number.and_then(|n| i64::try_from(n).ok()),
                        _ => None,
                    })
                    .collect::<Int64Array>(),
            ),
            Kind::Boolean => Arc::new(
                cells
                    .map(|cell| match cell {
                        Some(Cell::Boolean(is)) => *is,
                        _ => None,
                    })
                    .collect::<BooleanArray>(),
            ),
            Kind::Time => Arc::new(
                cells
                    .map(|cell| match cell {
                        Some(Cell::Time(time)) => time.map(|t| t.timestamp_micros()),
                        _ => None,
                    })
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
        }
    });
    RecordBatch::try_new(schema(columns), arrays.collect()).map_err(|error| {
        Error::new(ErrorCode::Internal, "rows do not fit their columns").source(error)
    })
}
