//! JSON: an object a line, or one array of objects.
//!
//! NULL is written as null, so that every column is in every row; NaN and infinity are null, binary
//! is base64, decimals are numbers with all their digits.

use super::cells::Base64;
use super::text::Text;
use super::{FileFormat, Rows, Shared, names_differ};
use arrow::datatypes::SchemaRef;
use arrow::json::writer::{JsonFormat, LineDelimited, Writer, WriterBuilder};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use windlass_types::Result;

fn writer<F: JsonFormat>() -> Writer<Vec<u8>, F> {
    WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Base64))
        .build(Vec::new())
}

/// Hands on what a writer has; JSON of strings is UTF-8.
fn hand_on<F: JsonFormat>(writer: &mut Writer<Vec<u8>, F>, text: &mut Text) -> Result<()> {
    let bytes = std::mem::take(writer.get_mut());
    match std::str::from_utf8(&bytes) {
        Ok(shown) => text.push(shown),
        Err(error) => Err(super::failed(error)),
    }
}

/// JSON in the layout `F`.
pub(super) struct Json<F: JsonFormat> {
    text: Text,
    writer: Writer<Vec<u8>, F>,
}

/// An object on each line.
pub(super) type Lines = Json<LineDelimited>;

/// An array of objects.
pub(super) type Array = Json<RowsOfArray>;

impl<F: JsonFormat> Json<F> {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        names_differ(schema, format.format)?;
        Ok(Self { text: Text::new(format, out)?, writer: writer() })
    }
}

impl<F: JsonFormat + Send> Rows for Json<F> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(super::of_arrow)?;
        hand_on(&mut self.writer, &mut self.text)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.finish().map_err(super::of_arrow)?;
        hand_on(&mut self.writer, &mut self.text)?;
        self.text.finish()
    }
}

/// A row of an array on a line of its own.
#[derive(Debug, Default)]
pub(super) struct RowsOfArray;

impl JsonFormat for RowsOfArray {
    fn start_stream<W: std::io::Write>(
        &self,
        writer: &mut W,
    ) -> std::result::Result<(), arrow::error::ArrowError> {
        writer.write_all(b"[\n")?;
        Ok(())
    }

    fn start_row<W: std::io::Write>(
        &self,
        writer: &mut W,
        is_first_row: bool,
    ) -> std::result::Result<(), arrow::error::ArrowError> {
        if !is_first_row {
            writer.write_all(b",\n")?;
        }
        Ok(())
    }

    fn end_stream<W: std::io::Write>(
        &self,
        writer: &mut W,
    ) -> std::result::Result<(), arrow::error::ArrowError> {
        writer.write_all(b"\n]\n")?;
        Ok(())
    }
}
