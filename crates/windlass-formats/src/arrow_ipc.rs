//! Arrow IPC, as file and as stream.
//!
//! The file format is the stream format between a magic number and a footer, so both are read from
//! front to back.

use crate::format::{Failure, Format, Limits, Reading, Rows};
use crate::schema::plain_schema;
use crate::source::Source;
use arrow::datatypes::Schema;
use arrow::ipc::reader::StreamReader;
use std::io::{self, BufRead, Read as _};

/// What Arrow files begin with; zeros follow.
pub(crate) const MAGIC: &[u8] = b"ARROW1";

/// Bytes that everything in a file is aligned to; writers may align to more.
const WORD: u64 = 8;

/// Bytes before the first message at most, far more than any writer aligns to.
const START: u64 = 4096;

/// Arrow IPC.
#[derive(Debug, Clone, Copy)]
pub struct ArrowIpc;

type Reader = StreamReader<Box<dyn BufRead + Send>>;

/// The messages: past the magic number and its padding. Each begins with a length or a mark, never
/// with zeros.
fn messages(mut stream: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let mut word = Vec::new();
    stream.by_ref().take(WORD).read_to_end(&mut word)?;
    if word.starts_with(MAGIC) {
        for _ in 0..START / WORD {
            word.clear();
            stream.by_ref().take(WORD).read_to_end(&mut word)?;
            if word.is_empty() || word.iter().any(|byte| *byte != 0) {
                break;
            }
        }
    }
    Ok(Box::new(io::Cursor::new(word).chain(stream)))
}

fn open(source: &dyn Source) -> Result<Reader, Failure> {
    Ok(StreamReader::try_new(messages(source.stream()?)?, None)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::OnError;
    use crate::write::{Compression, FileEncoder, FileFormat, Format as Written};
    use arrow::array::{AsArray as _, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use arrow::ipc::MetadataVersion;
    use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
    use std::sync::Arc;

    fn rows() -> RecordBatch {
        let values = Arc::new(Int64Array::from_iter_values(0..1000)) as _;
        RecordBatch::try_from_iter([("id", values)]).unwrap()
    }

    /// The rows of a file, and their sum.
    fn read(bytes: &[u8]) -> Result<(usize, i64), Failure> {
        let source = bytes.to_vec();
        let schema = Arc::new(ArrowIpc.infer(&source, &Limits::default())?);
        let (mut count, mut sum) = (0, 0);
        ArrowIpc.read(
            &source,
            &mut Reading {
                strict: Some(Arc::clone(&schema)),
                schema,
                rows: 100,
                longest: 1 << 20,
                on_error: OnError::Fail,
                bad: &mut |line, why| panic!("{line:?}: {why}"),
                out: &mut |batch| {
                    count += batch.num_rows();
                    sum += batch.column(0).as_primitive::<Int64Type>().values().iter().sum::<i64>();
                    true
                },
            },
        )?;
        Ok((count, sum))
    }

    #[test]
    fn files_that_are_written_can_be_read() {
        for compression in [Compression::None, Compression::Zstd, Compression::Lz4] {
            let mut format = FileFormat::of(Written::Arrow);
            format.compression = compression;
            let mut encoder = FileEncoder::new(&format, &rows().schema()).unwrap();
            encoder.write(&rows()).unwrap();
            let bytes = encoder.finish().unwrap();
            assert_eq!(read(&bytes).unwrap(), (1000, 499_500), "{compression:?}");
        }
    }

    #[test]
    fn magic_numbers_are_padded_as_their_writers_like() {
        for (alignment, legacy, version) in [
            (8, false, MetadataVersion::V5),
            (16, false, MetadataVersion::V5),
            (64, false, MetadataVersion::V5),
            (8, true, MetadataVersion::V4),
            (64, true, MetadataVersion::V4),
        ] {
            let options = IpcWriteOptions::try_new(alignment, legacy, version).unwrap();
            let mut bytes = Vec::new();
            let mut writer =
                FileWriter::try_new_with_options(&mut bytes, &rows().schema(), options).unwrap();
            writer.write(&rows()).unwrap();
            writer.finish().unwrap();
            drop(writer);
            assert_eq!(read(&bytes).unwrap(), (1000, 499_500), "{alignment} {legacy}");
            // The stream alone, as it stands in the file.
            assert_eq!(read(&bytes[alignment..]).unwrap(), (1000, 499_500), "{alignment} {legacy}");
        }
    }

    #[test]
    fn what_has_no_message_is_an_error() {
        for length in [0, 2, 10, 100_000] {
            let bytes = [MAGIC, vec![0; length].as_slice()].concat();
            assert!(read(&bytes).is_err(), "{length}");
        }
    }
}
