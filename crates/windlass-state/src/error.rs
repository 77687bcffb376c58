//! Turning what the database says into our errors and types.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::str::FromStr;
use windlass_types::{Error, ErrorCode, Result};

/// For `map_err`: what we were doing, as in `cannot read connections`.
pub(crate) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| {
        Error::new(ErrorCode::StateFailed, format!("the state failed: cannot {doing}"))
            .source(error)
    }
}

/// Whether the database refused because something is there already.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Whether the database refused because something else refers to it, or what it refers to is gone.
pub(crate) fn is_reference(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
}

fn damaged(column: &str) -> Error {
    Error::new(ErrorCode::StateFailed, format!("the state holds an unreadable `{column}`"))
        .hint("it was changed by hand or by another program; restore it from a copy")
}

/// A text column that may be null.
pub(crate) fn row_text(row: &AnyRow, column: &str) -> Result<Option<String>> {
    row.try_get(column).map_err(|error| damaged(column).source(error))
}

/// A text column that reads as `T`.
pub(crate) fn row_parse<T: FromStr>(row: &AnyRow, column: &str) -> Result<T> {
    row_text(row, column)?.and_then(|text| text.parse().ok()).ok_or_else(|| damaged(column))
}

/// A text column of JSON.
pub(crate) fn row_json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T> {
    let text = row_text(row, column)?.ok_or_else(|| damaged(column))?;
    serde_json::from_str(&text).map_err(|error| damaged(column).source(error))
}

/// A name as it was stored, without reading quotes.
pub(crate) fn row_name(row: &AnyRow, column: &str) -> Result<windlass_types::Name> {
    let text = row_text(row, column)?.ok_or_else(|| damaged(column))?;
    windlass_types::Name::new(text)
}

/// A time column.
pub(crate) fn row_time(row: &AnyRow, column: &str) -> Result<DateTime<Utc>> {
    let micros: i64 = row.try_get(column).map_err(|error| damaged(column).source(error))?;
    DateTime::from_timestamp_micros(micros).ok_or_else(|| damaged(column))
}

/// JSON for a text column.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| Error::new(ErrorCode::Internal, "cannot write as JSON").source(error))
}

/// A text column that must not be null.
pub(crate) fn row_string(row: &AnyRow, column: &str) -> Result<String> {
    row_text(row, column)?.ok_or_else(|| damaged(column))
}

/// A number column.
pub(crate) fn row_number(row: &AnyRow, column: &str) -> Result<i64> {
    row.try_get(column).map_err(|error| damaged(column).source(error))
}

/// A number column that may be null.
pub(crate) fn row_number_opt(row: &AnyRow, column: &str) -> Result<Option<i64>> {
    row.try_get(column).map_err(|error| damaged(column).source(error))
}

/// A number column that counts.
pub(crate) fn row_count<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T> {
    T::try_from(row_number(row, column)?).map_err(|_| damaged(column))
}

/// A time column that may be null.
pub(crate) fn row_time_opt(row: &AnyRow, column: &str) -> Result<Option<DateTime<Utc>>> {
    row_number_opt(row, column)?
        .map(|micros| DateTime::from_timestamp_micros(micros).ok_or_else(|| damaged(column)))
        .transpose()
}

/// A text column of JSON that may be null.
pub(crate) fn row_json_opt<T: serde::de::DeserializeOwned>(
    row: &AnyRow,
    column: &str,
) -> Result<Option<T>> {
    row_text(row, column)?
        .map(|text| serde_json::from_str(&text).map_err(|error| damaged(column).source(error)))
        .transpose()
}

/// A text column that reads as `T` and may be null.
pub(crate) fn row_parse_opt<T: FromStr>(row: &AnyRow, column: &str) -> Result<Option<T>> {
    row_text(row, column)?.map(|text| text.parse().map_err(|_| damaged(column))).transpose()
}
