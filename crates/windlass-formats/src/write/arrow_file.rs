//! Arrow IPC, the file format (Feather version 2).

use super::{Compression, FileFormat, Format, Rows, Shared, names_differ};
use arrow::datatypes::SchemaRef;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::record_batch::RecordBatch;
use windlass_types::Result;

pub(super) struct Ipc(FileWriter<Shared>);

impl Ipc {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        names_differ(schema, Format::Arrow)?;
        let codec = match format.compression {
            Compression::Zstd => Some(CompressionType::ZSTD),
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
            _ => None,
        };
        let options =
            IpcWriteOptions::default().try_with_compression(codec).map_err(super::of_arrow)?;
        FileWriter::try_new_with_options(out, schema, options).map(Self).map_err(super::of_arrow)
    }
}

impl Rows for Ipc {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(super::of_arrow)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.0.finish().map_err(super::of_arrow)
    }
}
