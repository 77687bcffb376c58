//! Rows of text brought to columns of types; what does not fit is a bad row.

use crate::format::{Failure, OnError, Reading};
use crate::infer::Guess;
use crate::number;
use crate::schema::sql;
use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch, StringBuilder};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Where a row is in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line it begins in; the first is 1.
    pub line: u64,
    /// Its number among all rows, bad ones too; the first is 1.
    pub number: u64,
}

/// Rows that are gathered until they make a batch.
#[derive(Debug)]
pub(crate) struct Texts {
    schema: SchemaRef,
    builders: Vec<StringBuilder>,
    places: Vec<Place>,
    /// Rows so far, those that were passed over too.
    number: u64,
    full: usize,
}

/// Bytes of text of a batch, besides its rows.
const BYTES: usize = 16 << 20;

impl Texts {
    pub(crate) fn new(reading: &Reading<'_>) -> Self {
        let schema = Arc::clone(&reading.schema);
        let builders = schema.fields().iter().map(|_| StringBuilder::new()).collect();
        Self { schema, builders, places: Vec::new(), number: 0, full: reading.rows }
    }

    /// Counts a row that is left out.
    pub(crate) fn pass(&mut self) {
        self.number += 1;
    }

    /// Adds the row of a line: the value of each column of the schema.
    pub(crate) fn push<'v>(&mut self, line: u64, mut value: impl FnMut(usize) -> Option<&'v str>) {
        for (column, builder) in self.builders.iter_mut().enumerate() {
            builder.append_option(value(column));
        }
        self.number += 1;
        self.places.push(Place { line, number: self.number });
    }

    pub(crate) fn is_full(&self) -> bool {
        self.places.len() >= self.full
            || self.builders.iter().map(|builder| builder.values_slice().len()).sum::<usize>()
                > BYTES
    }

    /// Hands over what was gathered; false: no more is wanted.
    pub(crate) fn flush(&mut self, reading: &mut Reading<'_>) -> Result<bool, Failure> {
        if self.places.is_empty() {
            return Ok(true);
        }
        let places = std::mem::take(&mut self.places);
        let texts: Vec<ArrayRef> =
            self.builders.iter_mut().map(|builder| Arc::new(builder.finish()) as _).collect();
        match typed(&self.schema, &texts, &places, reading)? {
            Some(batch) => Ok((reading.out)(batch)),
            None => Ok(true),
        }
    }
}

/// Casts columns of text to the types of `schema`; None: no row is left.
pub fn typed(
    schema: &SchemaRef,
    texts: &[ArrayRef],
    places: &[Place],
    reading: &mut Reading<'_>,
) -> Result<Option<RecordBatch>, Failure> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(texts.len());
    let mut bad: Vec<(usize, usize)> = Vec::new();
    for (at, (text, field)) in texts.iter().zip(schema.fields()).enumerate() {
        let column = match field.data_type() {
            DataType::Utf8 => Arc::clone(text),
            kind => cast_with_options(text, kind, &options)?,
        };
        if column.null_count() > text.null_count() {
            let wrong = |row: &usize| column.is_null(*row) && text.is_valid(*row);
            bad.extend((0..text.len()).filter(wrong).map(|row| (row, at)));
        }
        columns.push(column);
    }
    bad.sort_unstable();
    bad.dedup_by_key(|(row, _)| *row);
    for (row, column) in &bad {
        let field = schema.field(*column);
        let value: String =
            texts[*column].as_string::<i32>().value(*row).chars().take(80).collect();
        let reason =
            format!("column `{}`: `{value}` is not {}", field.name(), sql(field.data_type()));
        reading.reject(Some(places[*row].line), &reason)?;
    }
    if let Some(at) = number::place(schema) {
        columns[at] = number::column(places.iter().map(|place| place.number));
    }
    let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
    if reading.on_error == OnError::Skip && !bad.is_empty() {
        let mut keep = vec![true; batch.num_rows()];
        for (row, _) in &bad {
            keep[*row] = false;
        }
        let kept = filter_record_batch(&batch, &BooleanArray::from(keep))?;
        return Ok((kept.num_rows() > 0).then_some(kept));
    }
    Ok(Some(batch))
}

/// Columns by what their values look like.
#[derive(Debug)]
pub(crate) struct Guesses(Vec<(String, Guess)>);

impl Guesses {
    pub(crate) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| (name, Guess::default())).collect())
    }

    pub(crate) fn add(&mut self, column: usize, value: &str) {
        if let Some((_, guess)) = self.0.get_mut(column) {
            guess.add(value);
        }
    }

    pub(crate) fn schema(&self, text: bool) -> Schema {
        let field = |(name, guess): &(String, Guess)| {
            if text { Field::new(name, DataType::Utf8, true) } else { guess.field(name) }
        };
        Schema::new(self.0.iter().map(field).collect::<Vec<_>>())
    }
}
