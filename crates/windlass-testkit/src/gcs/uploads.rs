//! Writing objects: whole with their description, or by a session that can be gone on with.

use super::answer::{Answer, error};
use super::objects::{described, no_bucket};
use super::{Asked, Inner, Object, Session, crc32c, holds};
use bytes::Bytes;
use chrono::Utc;
use serde_json::Value;

/// Pieces of an upload are multiples of this, but for the last.
const UNIT: usize = 256 << 10;

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Description and bytes of a `multipart/related` body.
fn parts(asked: &Asked) -> Option<(Value, Bytes)> {
    let (_, border) = asked.header("content-type")?.split_once("boundary=")?;
    let border = format!("--{}", border.trim_matches('"'));
    let body = &asked.body;
    let start = body.starts_with(border.as_bytes()).then_some(0)?;
    let json_at = start + find(body, b"\r\n\r\n")? + 4;
    let next = json_at + find(&body[json_at..], format!("\r\n{border}").as_bytes())?;
    let bytes_at = next + 2 + find(&body[next + 2..], b"\r\n\r\n")? + 4;
    let end = body.len().checked_sub(border.len() + 6)?;
    let tail = format!("\r\n{border}--\r\n");
    let whole = body.get(end..)? == tail.as_bytes();
    let about = serde_json::from_slice(&body[json_at..next]).ok()?;
    whole.then(|| (about, body.slice(bytes_at..end)))
}

impl Inner {
    pub(super) fn upload(&self, asked: &Asked, bucket: &str) -> Result<Answer, Answer> {
        let kind = asked.query.get("uploadType").map(String::as_str).unwrap_or_default();
        match (kind, asked.query.get("upload_id")) {
            ("multipart", None) if asked.method == "POST" => {
                let (about, bytes) =
                    parts(asked).ok_or_else(|| error(400, "Malformed multipart body."))?;
                let key = about["name"].as_str().unwrap_or_default().to_owned();
                let condition = asked.generation("ifGenerationMatch")?;
                self.store(bucket, &key, about, bytes, condition)
            }
            ("resumable", None) if asked.method == "POST" => self.begin(asked, bucket),
            ("resumable", Some(id)) if asked.method == "PUT" => self.go_on(asked, id),
            ("resumable", Some(id)) if asked.method == "DELETE" => {
                let gone = self.lock().sessions.remove(id);
                Err(error(if gone.is_some() { 499 } else { 404 }, "Client Closed Request"))
            }
            _ => Err(error(400, "Invalid upload request")),
        }
    }

    fn begin(&self, asked: &Asked, bucket: &str) -> Result<Answer, Answer> {
        let about: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let key = about["name"].as_str().ok_or_else(|| error(400, "Required"))?.to_owned();
        let condition = asked.generation("ifGenerationMatch")?;
        let mut state = self.lock();
        let objects = state.buckets.get(bucket).ok_or_else(no_bucket)?;
        holds(condition, objects.get(&key))?;
        let id = format!("AH+/{}", uuid::Uuid::new_v4());
        let bucket = bucket.to_owned();
        let session = Session { bucket: bucket.clone(), key, about, condition, bytes: Vec::new() };
        state.sessions.insert(id.clone(), session);
        // The service may name itself otherwise than it was called.
        let id = id.replace('+', "%2B").replace('/', "%2F");
        Ok(Answer::new(200, Bytes::new()).header(
            "location",
            format!("https://storage.example/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={id}"),
        ))
    }

    /// Takes a piece: `bytes 0-9/*`, `bytes 0-9/10`, `bytes */10`, or the question `bytes */*`.
    fn go_on(&self, asked: &Asked, id: &str) -> Result<Answer, Answer> {
        let bad = || error(400, "Failed to parse Content-Range header.");
        let range = asked.header("content-range").and_then(|text| text.strip_prefix("bytes "));
        let (span, total) = range.and_then(|range| range.split_once('/')).ok_or_else(bad)?;
        let total: Option<usize> = total.parse().ok();
        let mut state = self.lock();
        let session = state.sessions.get_mut(id).ok_or_else(|| error(404, "Not Found"))?;
        if let Some((from, last)) = span.split_once('-') {
            let from: usize = from.parse().map_err(|_| bad())?;
            let last: usize = last.parse().map_err(|_| bad())?;
            let right = last + 1 == from + asked.body.len()
                && (total == Some(last + 1)
                    || total.is_none() && asked.body.len().is_multiple_of(UNIT));
            if !right || from > session.bytes.len() {
                return Err(error(400, "Invalid request. The number of bytes is wrong."));
            }
            let known = session.bytes.len() - from;
            let new = asked.body.get(known..).unwrap_or_default().to_vec();
            session.bytes.extend(new);
        } else if span != "*" || !asked.body.is_empty() {
            return Err(bad());
        }
        let has = session.bytes.len();
        if total != Some(has) {
            let answer = Answer::new(308, Bytes::new());
            return Ok(if has == 0 {
                answer
            } else {
                answer.header("range", format!("bytes=0-{}", has - 1))
            });
        }
        let session = session.clone();
        state.sessions.remove(id);
        drop(state);
        let bytes = Bytes::from(session.bytes);
        let told = asked.header("x-goog-hash").and_then(|text| text.strip_prefix("crc32c="));
        if told.is_some_and(|told| told != crc32c(&bytes)) {
            return Err(error(400, "Provided CRC32C doesn't match calculated CRC32C."));
        }
        self.store(&session.bucket, &session.key, session.about, bytes, session.condition)
    }

    fn store(
        &self,
        bucket: &str,
        key: &str,
        mut about: Value,
        bytes: Bytes,
        condition: Option<u64>,
    ) -> Result<Answer, Answer> {
        let told = about.as_object_mut().and_then(|about| about.remove("crc32c"));
        if told.is_some_and(|told| told != crc32c(&bytes)) {
            return Err(error(400, "Provided CRC32C doesn't match calculated CRC32C."));
        }
        let bad = key.is_empty() || key.len() > 1024 || matches!(key, "." | "..");
        if bad || key.contains(['\r', '\n']) {
            return Err(error(400, "Invalid object name"));
        }
        let mut state = self.lock();
        let generation = state.generation + 1;
        let objects = state.buckets.get_mut(bucket).ok_or_else(no_bucket)?;
        holds(condition, objects.get(key))?;
        let object = Object { bytes, generation, created: Utc::now(), about };
        let answer = described(bucket, key, &object);
        objects.insert(key.to_owned(), object);
        state.generation = generation;
        Ok(Answer::json(200, &answer))
    }

    /// Whether this piece of an upload is to break off.
    pub(super) fn breaks(&self, asked: &Asked) -> bool {
        let mut state = self.lock();
        let piece = asked.query.contains_key("upload_id")
            && asked.header("content-range").is_some_and(|range| !range.contains("*/"));
        if !piece || state.break_uploads == 0 {
            return false;
        }
        state.break_uploads -= 1;
        true
    }

    /// Stores the first half of a piece, in units.
    pub(super) fn keep_half(&self, asked: &Asked) {
        let mut state = self.lock();
        let id = asked.query.get("upload_id").cloned().unwrap_or_default();
        if let Some(session) = state.sessions.get_mut(&id) {
            let half = asked.body.len() / 2 / UNIT * UNIT;
            session.bytes.extend_from_slice(&asked.body[..half]);
        }
    }
}
