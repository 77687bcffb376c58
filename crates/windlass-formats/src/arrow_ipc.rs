//! Arrow IPC, as file and as stream.
//!
//! The file format is the stream format between a magic number and a footer, so both are read from
//! front to back.

use crate::format::{Failure, Format, Limits, Reading, Rows};
use crate::schema::plain_schema;
use crate::source::Source;
use arrow::datatypes::Schema;
use arrow::ipc::reader::StreamReader;
use std::io::BufRead;

/// What Arrow files begin with; two bytes of padding follow.
pub(crate) const MAGIC: &[u8] = b"ARROW1";

/// Arrow IPC.
#[derive(Debug, Clone, Copy)]
pub struct ArrowIpc;

type Reader = StreamReader<Box<dyn BufRead + Send>>;

fn open(source: &dyn Source) -> Result<Reader, Failure> {
    let mut stream = source.stream()?;
    let mut start = stream.fill_buf()?;
    if start.starts_with(MAGIC) {
        let mut left = 8;
        while left > 0 && !start.is_empty() {
            let taken = left.min(start.len());
            stream.consume(taken);
            left -= taken;
            start = stream.fill_buf()?;
        }
    }
    Ok(StreamReader::try_new(stream, None)?)
}

impl Rows for ArrowIpc {
    fn label(&self) -> &'static str {
        "Arrow IPC"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let reader = open(source)?;
        reading.check_names(reader.schema().fields().iter().map(|field| field.name().as_str()))?;
        for batch in reader {
            let batch = batch?;
            // A batch of a file may be of any size; the engine counts on bounded ones.
            let mut from = 0;
            while from < batch.num_rows() {
                let rows = reading.rows.min(batch.num_rows() - from);
                if !(reading.out)(batch.slice(from, rows)) {
                    return Ok(());
                }
                from += rows;
            }
        }
        Ok(())
    }
}

impl Format for ArrowIpc {
    fn infer(&self, source: &dyn Source, _: &Limits) -> Result<Schema, Failure> {
        Ok(plain_schema(&open(source)?.schema()))
    }
}
