//! Avro object container files.

use super::{Compression, FileFormat, Format, Rows, Shared, failed, names_differ, unwritable};
use arrow::array::AsArray as _;
use arrow::datatypes::{SchemaRef, UInt64Type};
use arrow::record_batch::RecordBatch;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::errors::AvroError;
use arrow_avro::writer::format::AvroOcfFormat;
use arrow_avro::writer::{AvroWriter, Writer, WriterBuilder};
use std::io;
use windlass_types::{Error, Result};

pub(super) struct Avro {
    writer: Writer<Shared, AvroOcfFormat>,
    /// Rows that are written.
    rows: u64,
}

/// Whether Avro takes the name of a column.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Avro {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        names_differ(schema, Format::Avro)?;
        if let Some(field) = schema.fields().iter().find(|field| !is_name(field.name())) {
            let name = field.name();
            return Err(unwritable(format!("`{name}` cannot be the name of a column of Avro"))
                .hint(format!(
                    "names there have letters, digits and `_`: `SELECT \"{name}\" AS other_name`"
                )));
        }
        let codec = match format.compression {
            Compression::Gzip => Some(CompressionCodec::Deflate),
            Compression::Zstd => Some(CompressionCodec::ZStandard),
            Compression::Bzip2 => Some(CompressionCodec::Bzip2),
            Compression::Xz => Some(CompressionCodec::Xz),
            Compression::Snappy => Some(CompressionCodec::Snappy),
            _ => None,
        };
        WriterBuilder::new(schema.as_ref().clone())
            .with_compression(codec)
            .build(out)
            .map(|writer| Self { writer, rows: 0 })
            .map_err(failed)
    }
}

/// Why these rows cannot be written, if they cannot.
fn wrong(rows: &RecordBatch) -> Option<AvroError> {
    AvroWriter::new(io::sink(), rows.schema().as_ref().clone())
        .and_then(|mut writer| writer.write(rows))
        .err()
}

/// What the library says, without the advice it has for programmers.
fn said(error: &AvroError) -> String {
    let text = match error {
        AvroError::InvalidArgument(text) => text.clone(),
        other => other.to_string(),
    };
    let end = ["; enable ", " (enable "].iter().filter_map(|advice| text.find(advice)).min();
    text[..end.unwrap_or(text.len())].to_owned()
}

/// The error for rows that were refused. The library names neither column nor row; both are looked
/// for here.
fn refused(batch: &RecordBatch, before: u64, error: AvroError) -> Error {
    for (at, field) in batch.schema_ref().fields().iter().enumerate() {
        let Ok(mut rows) = batch.project(&[at]) else { continue };
        let Some(mut why) = wrong(&rows) else { continue };
        let mut first = 0;
        while rows.num_rows() > 1 {
            let half = rows.num_rows() / 2;
            let (left, right) = (rows.slice(0, half), rows.slice(half, rows.num_rows() - half));
            if let Some(of_left) = wrong(&left) {
                (rows, why) = (left, of_left);
            } else {
                first += half;
                rows = right;
            }
        }
        let (name, row) = (field.name(), before + first as u64 + 1);
        let value = format!("the value of `{name}` in row {row}");
        return match rows.column(0).as_primitive_opt::<UInt64Type>() {
            Some(number) => {
                let number = number.value(0);
                unwritable(format!("{value} is {number}, and Avro has no numbers beyond BIGINT"))
                    .hint(format!("`SELECT CAST(\"{name}\" AS DECIMAL(20, 0)) AS \"{name}\"`"))
            }
            None => unwritable(format!("{value} cannot be written in Avro: {}", said(&why))),
        };
    }
    failed(error)
}

impl Rows for Avro {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|error| refused(batch, self.rows, error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.writer.finish().map_err(failed)
    }
}
