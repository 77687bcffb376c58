//! Avro object container files.

use super::{Compression, FileFormat, Format, Rows, Shared, failed, names_differ, unwritable};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::writer::format::AvroOcfFormat;
use arrow_avro::writer::{Writer, WriterBuilder};
use windlass_types::Result;

pub(super) struct Avro(Writer<Shared, AvroOcfFormat>);

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
            .map(Self)
            .map_err(failed)
    }
}

impl Rows for Avro {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.0.finish().map_err(failed)
    }
}
