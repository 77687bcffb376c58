//! Writing files: batches of rows in, bytes of one file out.
//!
//! A [`FileEncoder`] knows one file; what becomes of its bytes, and how many files there are, is for
//! the caller. Memory: what has not been taken by [`FileEncoder::take`], and what the format itself
//! has to hold ([`FileEncoder::held`]): a row group of Parquet, a block of Avro, a workbook.

mod arrow_file;
mod avro;
mod cells;
mod csv;
mod json;
mod options;
mod parquet_file;
mod plain;
mod squeeze;
mod text;
mod xlsx;
mod xml;

pub use options::{FileFormat, LineEnd, Quoting, named};
pub use squeeze::Compression;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_types::{Error, ErrorCode, Result};

/// A format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Fields between delimiters.
    Csv,
    /// The same, between tabs.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// One JSON array of objects.
    JsonArray,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC, the file format.
    Arrow,
    /// Apache Avro object container files.
    Avro,
    /// A workbook of Excel.
    Xlsx,
    /// An element a row.
    Xml,
}

impl Format {
    /// The extension of its files.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::JsonLines => "jsonl",
            Self::JsonArray => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Avro => "avro",
            Self::Xlsx => "xlsx",
            Self::Xml => "xml",
        }
    }

    /// The content type of its files.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Tsv => "text/tab-separated-values",
            Self::JsonLines => "application/x-ndjson",
            Self::JsonArray => "application/json",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.file",
            Self::Avro => "application/avro",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Xml => "application/xml",
        }
    }

    /// Whether a compression is one of the whole file, and not of what is inside.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Tsv | Self::JsonLines | Self::JsonArray | Self::Xml)
    }

    /// The word that options use for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::JsonLines => "JSON",
            Self::JsonArray => "JSON_ARRAY",
            Self::Parquet => "PARQUET",
            Self::Arrow => "ARROW",
            Self::Avro => "AVRO",
            Self::Xlsx => "XLSX",
            Self::Xml => "XML",
        }
    }
}

/// Bytes that were written and not taken yet; whoever encodes and whoever takes share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn with<T>(&self, does: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        does(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|buffer| buffer.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What each format does.
pub(crate) trait Rows: Send {
    /// Writes rows.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Writes what stands at the end of a file.
    fn finish(self: Box<Self>) -> Result<()>;

    /// Bytes it holds that have not gone out.
    fn held(&self) -> usize {
        0
    }

    /// Bytes that what it holds will be in the file, by estimate.
    fn coming(&self) -> usize {
        self.held()
    }

    /// Lets go of what it holds, where the format allows to.
    fn relieve(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes one file.
pub struct FileEncoder {
    rows: Box<dyn Rows>,
    out: Shared,
    taken: u64,
    schema: SchemaRef,
}

impl std::fmt::Debug for FileEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileEncoder").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl FileEncoder {
    /// Begins a file with these columns; an error for columns the format cannot hold.
    pub fn new(format: &FileFormat, schema: &SchemaRef) -> Result<Self> {
        let schema = plain::schema(schema, format.format == Format::Avro);
        let out = Shared::default();
        let rows: Box<dyn Rows> = match format.format {
            Format::Csv | Format::Tsv => Box::new(csv::Csv::new(format, &schema, out.clone())?),
            Format::JsonLines => Box::new(json::Lines::new(format, &schema, out.clone())?),
            Format::JsonArray => Box::new(json::Array::new(format, &schema, out.clone())?),
            Format::Parquet => Box::new(parquet_file::Parquet::new(format, &schema, out.clone())?),
            Format::Arrow => Box::new(arrow_file::Ipc::new(format, &schema, out.clone())?),
            Format::Avro => Box::new(avro::Avro::new(format, &schema, out.clone())?),
            Format::Xlsx => Box::new(xlsx::Xlsx::new(format, &schema, out.clone())?),
            Format::Xml => Box::new(xml::Xml::new(format, &schema, out.clone())?),
        };
        Ok(Self { rows, out, taken: 0, schema })
    }

    /// Encodes rows; an error for a value the format cannot hold.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = plain::batch(batch, &self.schema)?;
        self.rows.write(&batch)
    }

    /// Takes what is ready, if it is at least so many bytes.
    pub fn take(&mut self, least: usize) -> Option<Vec<u8>> {
        let bytes = self
            .out
            .with(|buffer| (buffer.len() >= least.max(1)).then(|| std::mem::take(buffer)))?;
        self.taken += bytes.len() as u64;
        Some(bytes)
    }

    /// Bytes of the file so far, those the format still holds included, by estimate.
    pub fn size(&self) -> u64 {
        self.taken + (self.out.with(|buffer| buffer.len()) + self.rows.coming()) as u64
    }

    /// Bytes in memory.
    pub fn held(&self) -> usize {
        self.out.with(|buffer| buffer.len()) + self.rows.held()
    }

    /// Lets go of what the format holds, where it can: the bytes are then ready to be taken.
    pub fn relieve(&mut self) -> Result<()> {
        self.rows.relieve()
    }

    /// Ends the file; the bytes that were not taken.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.rows.finish()?;
        Ok(self.out.with(std::mem::take))
    }
}

/// An error of encoding.
pub(crate) fn unwritable(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::FormatUnwritable, what)
}

/// The error for what a library could not encode.
pub(crate) fn failed<E>(error: E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    unwritable("the rows cannot be written in this format").source(error)
}

/// The same for the libraries of Arrow, whose message is the best there is.
pub(crate) fn of_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => unwritable(inner.to_string()),
        },
        other => failed(other),
    }
}

/// Refuses columns of the same name, where the format goes by names.
pub(crate) fn names_differ(schema: &SchemaRef, format: Format) -> Result<()> {
    let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let name = twice[0];
        return Err(unwritable(format!(
            "two columns are called `{name}`, and {} goes by names",
            format.word()
        ))
        .hint(format!("give one another name: `SELECT ... AS {name}_2`")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
