//! ORC, read in ranges: its index is at its end.

use crate::format::{Failure, Format, Limits, Reading, Rows};
use crate::schema::plain_schema;
use crate::source::{Seekable, Source};
use arrow::datatypes::Schema;
use orc_rust::ArrowReaderBuilder;
use orc_rust::projection::ProjectionMask;
use orc_rust::reader::ChunkReader;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

/// What ORC files begin with.
pub(crate) const MAGIC: &[u8] = b"ORC";

/// ORC.
#[derive(Debug, Clone, Copy)]
pub struct Orc;

/// Ranges of one file; readers of it share its one position, which each sets before it reads.
struct Chunks {
    size: u64,
    file: Arc<Mutex<Box<dyn Seekable>>>,
}

struct At {
    file: Arc<Mutex<Box<dyn Seekable>>>,
    place: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.place))?;
        let read = file.read(buffer)?;
        self.place += read as u64;
        Ok(read)
    }
}

impl ChunkReader for Chunks {
    type T = At;

    fn len(&self) -> u64 {
        self.size
    }

    fn get_read(&self, offset: u64) -> io::Result<At> {
        Ok(At { file: Arc::clone(&self.file), place: offset })
    }
}

fn open(source: &dyn Source) -> Result<ArrowReaderBuilder<Chunks>, Failure> {
    let file = Arc::new(Mutex::new(source.ranges()?));
    let chunks = Chunks { size: source.size(), file };
    ArrowReaderBuilder::try_new(chunks).map_err(|error| Failure::new(error.to_string()))
}

impl Rows for Orc {
    fn label(&self) -> &'static str {
        "ORC"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let builder = open(source)?.with_batch_size(reading.rows);
        let schema = builder.schema();
        reading.check_names(schema.fields().iter().map(|field| field.name().as_str()))?;
        let root = builder.file_metadata().root_data_type();
        let wanted: Vec<&str> =
            reading.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mask = if wanted.iter().any(|name| schema.field_with_name(name).is_ok()) {
            ProjectionMask::named_roots(root, &wanted)
        } else {
            ProjectionMask::all()
        };
        for batch in builder.with_projection(mask).build() {
            if !(reading.out)(batch?) {
                break;
            }
        }
        Ok(())
    }
}

impl Format for Orc {
    fn infer(&self, source: &dyn Source, _: &Limits) -> Result<Schema, Failure> {
        Ok(plain_schema(&open(source)?.schema()))
    }
}
