//! Turning the bytes of text into batches of rows.

use crate::records::line_end;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::{Buf as _, Bytes};
use std::sync::Arc;

/// What decodes rows of a text file.
pub(crate) enum Decoder {
    Csv(Box<arrow::csv::reader::Decoder>),
    Json(arrow::json::reader::Decoder),
}

/// Bytes of a batch after which it is full though it has few rows. Small in tests.
const LARGE: u64 = if cfg!(test) { 64 << 10 } else { 64 << 20 };

/// The bytes of a file on their way into batches.
#[derive(Default)]
pub(crate) struct Fed {
    /// Bytes since the last batch.
    pub(crate) used: u64,
    /// Bytes since a record ended, up to a chunk less; lines that are no records count.
    pub(crate) open: usize,
}

impl Fed {
    /// Feeds the chunk until it is empty or a batch is full, which this answers.
    pub(crate) fn feed(
        &mut self,
        decoder: &mut Decoder,
        chunk: &mut Bytes,
    ) -> Result<bool, ArrowError> {
        let mut full = false;
        while !chunk.is_empty() && !full {
            let before = decoder.mark();
            let (taken, done) = decoder.line(chunk, self.used > LARGE)?;
            chunk.advance(taken);
            self.used += taken as u64;
            let ended = done || decoder.mark() != before || !decoder.may_be_within();
            self.open = if ended { 0 } else { self.open + taken };
            full = done;
        }
        Ok(full)
    }
}

/// An object of which nothing is wanted.
struct Passed;

impl<'de> serde::Deserialize<'de> for Passed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Passed;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Passed, A::Error> {
                use serde::de::IgnoredAny;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Passed)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// One batch without columns, of as many rows as `bytes` has JSON objects.
pub(crate) fn count(bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut rows = 0;
    for object in serde_json::Deserializer::from_slice(bytes).into_iter::<Passed>() {
        object.map_err(|error| ArrowError::JsonError(error.to_string()))?;
        rows += 1;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
}

impl Decoder {
    /// Takes bytes; says how many and whether a batch is full.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<(usize, bool), ArrowError> {
        match self {
            Self::Csv(decoder) => {
                let used = decoder.decode(bytes)?;
                Ok((used, used == 0 || decoder.capacity() == 0))
            }
            Self::Json(decoder) => {
                let used = decoder.decode(bytes)?;
                Ok((used, used < bytes.len()))
            }
        }
    }

    /// A number that changes with each record that ends between two batches.
    fn mark(&self) -> usize {
        match self {
            Self::Csv(decoder) => decoder.capacity(),
            Self::Json(decoder) => decoder.len(),
        }
    }

    /// Whether what comes next may go on with a record.
    fn may_be_within(&self) -> bool {
        match self {
            Self::Csv(_) => true,
            Self::Json(decoder) => decoder.has_partial_record(),
        }
    }

    /// Takes a line, or what there is of it; says how many bytes and whether a batch is full. `large`: it
    /// is so as soon as a record ends with the line.
    fn line(&mut self, bytes: &[u8], large: bool) -> Result<(usize, bool), ArrowError> {
        let line = if large { line_end(bytes) } else { None };
        let before = self.mark();
        let (used, full) = self.decode(&bytes[..line.unwrap_or(bytes.len())])?;
        let between = match self {
            Self::Csv(_) => self.mark() != before,
            Self::Json(decoder) => !decoder.has_partial_record() && !decoder.is_empty(),
        };
        Ok((used, full || line == Some(used) && between))
    }

    pub(crate) fn flush(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        match self {
            Self::Csv(decoder) => decoder.flush(),
            Self::Json(decoder) => decoder.flush(),
        }
    }

    /// All rows of `bytes`, which begin and end with a record.
    pub(crate) fn all(&mut self, mut bytes: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut batches = Vec::new();
        loop {
            let (used, full) = self.decode(bytes)?;
            bytes = &bytes[used..];
            if full || bytes.is_empty() {
                let ended = bytes.is_empty();
                if ended {
                    self.decode(&[])?; // ends a last line without a line end
                }
                batches.extend(self.flush()?);
                if ended {
                    return Ok(batches);
                }
            }
        }
    }
}
