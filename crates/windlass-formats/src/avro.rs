//! Avro object container files.

use crate::format::{Failure, Format, Limits, Reading, Rows};
use crate::schema::plain_schema;
use crate::source::Source;
use arrow::datatypes::Schema;
use arrow_avro::reader::{Reader, ReaderBuilder};
use std::io::BufRead;

/// What Avro files begin with.
pub(crate) const MAGIC: &[u8] = b"Obj\x01";

/// Avro.
#[derive(Debug, Clone, Copy)]
pub struct Avro;

fn open(source: &dyn Source, rows: usize) -> Result<Reader<Box<dyn BufRead + Send>>, Failure> {
    let stream = source.stream()?;
    Ok(ReaderBuilder::new().with_batch_size(rows).build(stream)?)
}

impl Rows for Avro {
    fn label(&self) -> &'static str {
        "Avro"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let reader = open(source, reading.rows)?;
        reading.check_names(reader.schema().fields().iter().map(|field| field.name().as_str()))?;
        for batch in reader {
            if !(reading.out)(batch?) {
                break;
            }
        }
        Ok(())
    }
}

impl Format for Avro {
    fn infer(&self, source: &dyn Source, _: &Limits) -> Result<Schema, Failure> {
        Ok(plain_schema(&open(source, 1)?.schema()))
    }
}
