//! What travels between `--server` and the server: shared by both ends.
//!
//! Answers of SQL travel as frames, so that types survive: a byte for the kind, four bytes of
//! length (big endian), the payload.

use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::{Buf as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_core::engine::Grade;
use windlass_types::{Error, ErrorCode, Result};

/// Media type of framed answers.
pub const ANSWERS: &str = "application/vnd.windlass.answers";
/// Header with the JSON of a [`windlass_core::engine::ObjectMeta`].
pub const META_HEADER: &str = "x-windlass-meta";
/// Header with the number of bytes that follow.
pub const LENGTH_HEADER: &str = "x-windlass-length";
/// Header with the JSON of [`WireOptions`].
pub const OPTIONS_HEADER: &str = "x-windlass-options";
/// Largest frame either side accepts.
const MAX_FRAME: usize = 1 << 30;

/// What a client needs to know of a connection to use it as a storage.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StorageInfo {
    /// Bucket it is bound to.
    pub bucket: Option<String>,
    /// Folder it is bound to.
    pub prefix: String,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether names that differ in case only are told apart where it was asked about; null if it was
    /// not.
    #[serde(default)]
    pub tells_case_apart: Option<bool>,
}

/// What goes with a write, as JSON in a header.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WireOptions {
    /// Content type.
    pub content_type: Option<String>,
    /// System headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// User metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Refuse if the key exists.
    #[serde(default)]
    pub if_none_match: bool,
    /// Refuse unless the key has this `ETag`.
    pub if_match: Option<String>,
    /// Modification time to keep.
    pub modified: Option<chrono::DateTime<chrono::Utc>>,
    /// Tags.
    #[serde(default)]
    pub tags: Option<BTreeMap<String, String>>,
    /// Storage class instead of the connection's.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Canned ACL instead of the connection's.
    #[serde(default)]
    pub acl: Option<String>,
}

impl From<windlass_core::engine::PutOptions> for WireOptions {
    fn from(options: windlass_core::engine::PutOptions) -> Self {
        let windlass_core::engine::PutOptions {
            content_type,
            headers,
            metadata,
            if_none_match,
            if_match,
            modified,
            // Whoever begins an upload over HTTP remembers it.
            token: _,
            tags,
            storage_class,
            acl,
            // Of copies inside a service, and of links of this machine: neither comes this way.
            replace: _,
            link: _,
        } = options;
        Self {
            content_type,
            headers,
            metadata,
            if_none_match,
            if_match,
            modified,
            tags,
            storage_class,
            acl,
        }
    }
}

impl From<WireOptions> for windlass_core::engine::PutOptions {
    fn from(options: WireOptions) -> Self {
        let WireOptions {
            content_type,
            headers,
            metadata,
            if_none_match,
            if_match,
            modified,
            tags,
            storage_class,
            acl,
        } = options;
        Self {
            content_type,
            headers,
            metadata,
            if_none_match,
            if_match,
            modified,
            tags,
            storage_class,
            acl,
            replace: false,
            link: false,
            token: None,
        }
    }
}

/// A copy between two connections of the server.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CopyBody {
    /// Fabric of both connections.
    pub fabric: String,
    /// Connection to read.
    pub source: String,
    /// Bucket, of the source.
    pub source_bucket: Option<String>,
    /// Key, prefix or pattern of the source.
    pub source_key: String,
    /// Connection to write.
    pub destination: String,
    /// Bucket of the destination.
    pub destination_bucket: Option<String>,
    /// Key or prefix of the destination.
    pub destination_key: String,
    /// How: the options of `cp`, `mv` and `sync`, by the names of
    /// [`windlass_core::engine::CopyOptions`]; all may be left out.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub options: windlass_core::engine::CopyOptions,
}

/// One line of a copy's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyEvent {
    /// The plan has grown to this many items and bytes.
    Planned(u64, u64),
    /// Bytes moved since the last line.
    Bytes(u64),
    /// Something for people.
    Note(String),
    /// One item is done.
    Item(Box<windlass_core::engine::Item>),
    /// The end.
    Summary(Box<windlass_core::engine::Summary>),
    /// The end, badly.
    Error(windlass_types::error::ErrorBody),
}

/// Kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// One whole Arrow IPC stream.
    Arrow,
    /// End of one answer's rows; the payload is an [`end`]: their grade and warnings.
    End,
    /// A sentence: JSON `{message, warnings}`.
    Done,
    /// An error body; the last frame.
    Error,
    /// The fabric after the last statement; text.
    Fabric,
}

impl FrameKind {
    const ALL: [(Self, u8); 5] = [
        (Self::Arrow, b'A'),
        (Self::End, b'E'),
        (Self::Done, b'D'),
        (Self::Error, b'X'),
        (Self::Fabric, b'F'),
    ];
}

/// One frame as bytes.
pub fn frame(kind: FrameKind, payload: &[u8]) -> Bytes {
    let tag = FrameKind::ALL.iter().find(|(k, _)| *k == kind).map_or(b'X', |(_, tag)| *tag);
    let mut bytes = Vec::with_capacity(5 + payload.len());
    bytes.push(tag);
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.into()
}

const GRADES: [(Grade, u8); 3] = [(Grade::Good, b'1'), (Grade::Bad, b'0'), (Grade::Partial, b'3')];

/// The end of rows as a payload: their grade, and then the warnings, if there are any.
pub fn end(grade: Grade, warnings: &[String]) -> Vec<u8> {
    let byte = GRADES.iter().find(|(one, _)| *one == grade).map_or(b'0', |(_, byte)| *byte);
    let mut payload = vec![byte];
    if !warnings.is_empty() {
        payload.extend_from_slice(serde_json::json!(warnings).to_string().as_bytes());
    }
    payload
}

/// Reads the payload of an end: the grade, and the warnings.
pub fn end_of(payload: &[u8]) -> (Grade, Vec<String>) {
    let (byte, rest) = match payload {
        [byte, rest @ ..] => (*byte, rest),
        [] => (b'0', payload),
    };
    let grade = GRADES.iter().find(|(_, known)| *known == byte);
    let warnings = serde_json::from_slice(rest).unwrap_or_default();
    (grade.map_or(Grade::Bad, |(grade, _)| *grade), warnings)
}

/// Cuts a byte stream into frames.
#[derive(Debug, Default)]
pub struct Frames(BytesMut);

impl Frames {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<(FrameKind, Bytes)>> {
        let Some(head) = self.0.first_chunk::<5>().copied() else { return Ok(None) };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let kind = FrameKind::ALL.iter().find(|(_, tag)| *tag == head[0]).map(|(kind, _)| *kind);
        let (Some(kind), true) = (kind, length <= MAX_FRAME) else { return Err(not_ours()) };
        if self.0.len() < 5 + length {
            return Ok(None);
        }
        self.0.advance(5);
        Ok(Some((kind, self.0.split_to(length).freeze())))
    }
}

/// The answer is not what a Windlass server sends.
pub fn not_ours() -> Error {
    Error::new(ErrorCode::ServerUnreachable, "the server's answer is not one of a Windlass server")
        .hint("check the URL given with `--server`, and that both sides have the same version")
}

fn ipc(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorCode::Internal, "rows cannot be sent").source(error)
}

/// Rows as a frame: a whole Arrow IPC stream, so that each frame can be read by itself. Without a
/// batch it carries the schema alone.
pub fn rows_frame(schema: &SchemaRef, batch: Option<&RecordBatch>) -> Result<Bytes> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(ipc)?;
    if let Some(batch) = batch {
        writer.write(batch).map_err(ipc)?;
    }
    writer.finish().map_err(ipc)?;
    Ok(frame(FrameKind::Arrow, &writer.into_inner().map_err(ipc)?))
}

/// Reads the payload of a frame of rows.
pub fn read_rows(payload: &Bytes) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let reader =
        StreamReader::try_new(payload.as_ref(), None).map_err(|error| not_ours().source(error))?;
    let schema = reader.schema();
    let batches = reader
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| not_ours().source(error))?;
    Ok((schema, batches))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    #[test]
    fn rows_survive_any_cutting_of_the_bytes() {
        let schema: SchemaRef =
            Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let batch = |n| {
            RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![n, n + 1]))])
                .unwrap()
        };
        let mut sent = rows_frame(&schema, None).unwrap().to_vec();
        for n in 0..3 {
            sent.extend_from_slice(&rows_frame(&schema, Some(&batch(n))).unwrap());
        }
        sent.extend_from_slice(&frame(FrameKind::End, b"1"));
        for cut in [1, 3, 7, sent.len()] {
            let (mut frames, mut seen, mut ended) = (Frames::default(), vec![], false);
            for piece in sent.chunks(cut) {
                frames.push(piece);
                while let Some((kind, payload)) = frames.next_frame().unwrap() {
                    match kind {
                        FrameKind::Arrow => {
                            let (read, batches) = read_rows(&payload).unwrap();
                            assert_eq!(read, schema);
                            seen.extend(batches);
                        }
                        _ => ended = true,
                    }
                }
            }
            assert_eq!(seen, vec![batch(0), batch(1), batch(2)]);
            assert!(ended);
        }
    }

    #[test]
    fn the_end_of_rows_tells_their_grade_and_warnings() {
        for grade in [Grade::Good, Grade::Bad, Grade::Partial] {
            for warnings in [vec![], vec!["3 rows were \"left out\"".to_owned()]] {
                assert_eq!(end_of(&end(grade, &warnings)), (grade, warnings));
            }
        }
        assert_eq!(end_of(b""), (Grade::Bad, Vec::new()));
    }

    #[test]
    fn bytes_of_something_else_are_an_error() {
        let mut frames = Frames::default();
        frames.push(b"<html>");
        assert!(frames.next_frame().is_err());
    }
}
