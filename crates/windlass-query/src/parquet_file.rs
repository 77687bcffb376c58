//! Writing rows to a Parquet file of this machine.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use std::fs::File;
use windlass_types::{Error, ErrorCode, Result};

/// A Parquet file that is being written.
#[derive(Debug)]
pub struct ParquetFile(ArrowWriter<File>);

fn failed(error: ParquetError) -> Error {
    Error::new(ErrorCode::LocalFailed, "a Parquet file cannot be written").source(error)
}

impl ParquetFile {
    /// Begins a file of rows of `schema`, compressed with Snappy.
    pub fn begin(file: File, schema: SchemaRef) -> Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        ArrowWriter::try_new(file, schema, Some(properties)).map(Self).map_err(failed)
    }

    /// Adds rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.0.write(rows).map_err(failed)
    }

    /// Ends it; answers the file, whose position is its end.
    pub fn end(self) -> Result<File> {
        self.0.into_inner().map_err(failed)
    }
}
