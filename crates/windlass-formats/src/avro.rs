//! Avro object container files.

use crate::format::{Failure, Format, Limits, Reading, Rows};
use crate::schema::plain_schema;
use crate::source::Source;
use arrow::datatypes::Schema;
use arrow_avro::reader::{Reader, ReaderBuilder};
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// What Avro files begin with.
pub(crate) const MAGIC: &[u8] = b"Obj\x01";

/// Avro.
#[derive(Debug, Clone, Copy)]
pub struct Avro;

/// The last bytes that were read. Every block ends with the mark of its file; the reader takes the
/// end of a file for the end of its blocks, so that one that breaks off would seem whole.
type Last = Arc<Mutex<Vec<u8>>>;

struct Tail {
    stream: Box<dyn BufRead + Send>,
    last: Last,
}

/// Bytes of the mark.
const MARK: usize = 16;

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.stream.fill_buf()?;
        let taken = chunk.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&chunk[..taken]);
        self.consume(taken);
        Ok(taken)
    }
}

impl BufRead for Tail {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(chunk) = self.stream.fill_buf() {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.extend_from_slice(&chunk[amount.saturating_sub(MARK)..amount]);
            let before = last.len().saturating_sub(MARK);
            last.drain(..before);
        }
        self.stream.consume(amount);
    }
}

fn open(source: &dyn Source, rows: usize) -> Result<(Reader<Tail>, Last), Failure> {
    let last = Last::default();
    let stream = Tail { stream: source.stream()?, last: Arc::clone(&last) };
    Ok((ReaderBuilder::new().with_batch_size(rows).build(stream)?, last))
}

impl Rows for Avro {
    fn label(&self) -> &'static str {
        "Avro"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let (reader, last) = open(source, reading.rows)?;
        let mark = reader.avro_header().sync();
        reading.check_names(reader.schema().fields().iter().map(|field| field.name().as_str()))?;
        for batch in reader {
            if !(reading.out)(batch?) {
                return Ok(());
            }
        }
        if *last.lock().unwrap_or_else(PoisonError::into_inner) != mark {
            return Err(Failure::new("the file ends inside of a block"));
        }
        Ok(())
    }
}

impl Format for Avro {
    fn infer(&self, source: &dyn Source, _: &Limits) -> Result<Schema, Failure> {
        Ok(plain_schema(&open(source, 1)?.0.schema()))
    }
}
