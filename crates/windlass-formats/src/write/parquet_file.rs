//! Parquet. A row group ends at a million rows or at 64 MiB of memory, whichever comes first.

use super::{Compression, FileFormat, Format, Rows, Shared, failed, names_differ};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::properties::WriterProperties;
use windlass_types::Result;

/// Bytes of a row group in memory.
const GROUP: usize = 64 << 20;

pub(super) struct Parquet(ArrowWriter<Shared>);

impl Parquet {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        names_differ(schema, Format::Parquet)?;
        let codec = match format.compression {
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Gzip => Codec::GZIP(parquet::basic::GzipLevel::default()),
            Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(3).map_err(failed)?),
            Compression::Lz4 => Codec::LZ4_RAW,
            Compression::Brotli => Codec::BROTLI(parquet::basic::BrotliLevel::default()),
            _ => Codec::SNAPPY,
        };
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_created_by(concat!("windlass ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(failed)?;
        Ok(Self(writer))
    }
}

impl Rows for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(failed)?;
        if self.0.memory_size() > GROUP { self.relieve() } else { Ok(()) }
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.0.close().map(drop).map_err(failed)
    }

    fn held(&self) -> usize {
        self.0.memory_size()
    }

    fn coming(&self) -> usize {
        self.0.in_progress_size()
    }

    fn relieve(&mut self) -> Result<()> {
        self.0.flush().map_err(failed)
    }
}
