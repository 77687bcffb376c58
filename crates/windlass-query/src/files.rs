//! Which files a path means: an exact key, everything below a prefix, or what a glob matches.
//!
//! What of them is listed is [`crate::listing`]'s business, what they hold that of [`crate::format`]
//! and [`crate::sample`].

use crate::packed::Packed;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::physical_plan::metrics::Count;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::{Arc, OnceLock};
use windlass_formats::zip::Member;
use windlass_s3::Storage;
use windlass_s3::access::{ByteRange, GetOptions, ListOptions};
use windlass_types::{
    Entry, EntryKind, Error, ErrorCode, KeyPattern, Location, ObjectPath, Result,
};

/// What is noted of a file while it is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted {
    /// Counts the bytes that its storage gives.
    pub(crate) bytes: Option<Count>,
    /// How it is packed, once it was opened from its front.
    pub(crate) packed: OnceLock<Packed>,
}

/// One file in the state it was found in.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    pub(crate) storage: Storage,
    pub(crate) object: ObjectPath,
    pub(crate) size: u64,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<DateTime<Utc>>,
    /// The member of the archive, if the object is one.
    pub(crate) member: Option<Arc<Member>>,
    /// Where in the key the part begins that the path does not spell out.
    pub(crate) base: usize,
    pub(crate) noted: Noted,
}

/// Bytes of the first pieces of a file that may not be wanted whole; then comes the rest.
const PIECES: [u64; 2] = [256 << 10, 1 << 20];

impl SourceFile {
    /// The last level of the key.
    pub(crate) fn name(&self) -> &str {
        let path = self.member.as_ref().map_or(&self.object.key, |member| &member.name);
        path.rsplit('/').next().unwrap_or(path)
    }

    /// What a person types to name it.
    pub(crate) fn address(&self) -> String {
        let object = self.storage.address(&self.object.bucket, &self.object.key);
        match &self.member {
            Some(member) => format!("{object}!{}", member.name),
            None => object,
        }
    }

    /// Bytes of the file, decompressed as far as its archive says.
    pub(crate) fn bytes(&self) -> u64 {
        self.member.as_ref().map_or(self.size, |member| member.size)
    }

    /// The key after what the path spells out.
    pub(crate) fn below(&self) -> &str {
        self.object.key.get(self.base..).unwrap_or_default()
    }

    /// The same file; what is read of it is counted.
    pub(crate) fn counted(&self, bytes: Count) -> Self {
        Self { noted: Noted { bytes: Some(bytes), ..self.noted.clone() }, ..self.clone() }
    }

    /// Opens the file, or a part of it, if it is still what was listed.
    pub(crate) async fn open(
        &self,
        range: Option<ByteRange>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let options = GetOptions { range, if_match: self.etag.clone(), version: None };
        let body = self.storage.get(&self.object, options).await?;
        if body.meta.size != self.size {
            return Err(Error::new(
                ErrorCode::ObjectChanged,
                format!("`{}` changed while the query ran", self.address()),
            )
            .hint("run the query again"));
        }
        Ok(match self.noted.bytes.clone() {
            Some(count) => body.stream.inspect_ok(move |bytes| count.add(bytes.len())).boxed(),
            None => body.stream,
        })
    }

    /// Reads `length` bytes from `start` on.
    pub(crate) async fn bytes_at(&self, start: u64, length: u64) -> Result<Vec<u8>> {
        // The whole is asked for without a range: nothing has none.
        let part = (length < self.size).then_some(ByteRange::Bounded(start, length));
        let mut stream = self.open(part).await?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Opens the file for a reader that may soon have enough: what is asked for grows with what
    /// was read, so that little is sent in vain.
    pub(crate) async fn open_gently(self: &Arc<Self>) -> Result<BoxStream<'static, Result<Bytes>>> {
        if self.size <= 2 * PIECES[0] {
            return self.open(None).await;
        }
        let first = self.open(Some(ByteRange::Bounded(0, PIECES[0]))).await?;
        let file = Arc::clone(self);
        let rest = async_stream::try_stream! {
            let mut from = PIECES[0];
            for length in &PIECES[1..] {
                if from >= file.size {
                    break;
                }
                let mut piece = file.open(Some(ByteRange::Bounded(from, *length))).await?;
                while let Some(bytes) = piece.try_next().await? {
                    yield bytes;
                }
                from += length;
            }
            if from < file.size {
                let mut piece = file.open(Some(ByteRange::From(from))).await?;
                while let Some(bytes) = piece.try_next().await? {
                    yield bytes;
                }
            }
        };
        Ok(first.chain(rest).boxed())
    }
}

/// What a path of a table means, before anything is listed.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) storage: Storage,
    pub(crate) bucket: String,
    /// How the person wrote the table, for errors.
    pub(crate) table: String,
    key: String,
    /// Bytes of the key that the connection is bound to: literal, whatever characters they have.
    bound: usize,
    pattern: Option<KeyPattern>,
    hidden: bool,
}

impl Place {
    /// Reads `path`; `table` is how the person wrote it.
    pub(crate) fn parse(storage: &Storage, path: &str, table: &str) -> Result<Self> {
        let location = storage.binding().resolve_any(path)?;
        let bucket = location.bucket.clone().ok_or_else(|| {
            Error::new(ErrorCode::PathInvalid, format!("`{table}` names no bucket"))
                .hint(format!("write {}.\"BUCKET/KEY\"", storage.name()))
        })?;
        let bound = storage.binding().prefix.len();
        let bound =
            if location.key.starts_with(storage.binding().prefix.as_str()) { bound } else { 0 };
        let rest = &location.key[bound..];
        let pattern = KeyPattern::is_pattern(rest).then(|| KeyPattern::parse(rest)).transpose()?;
        let hidden = pattern.as_ref().is_some_and(|pattern| hidden(&rest[pattern.base().len()..]));
        Ok(Self {
            storage: Storage::clone(storage),
            bucket,
            table: table.to_owned(),
            key: location.key.clone(),
            bound,
            pattern,
            hidden,
        })
    }

    /// Whether it is one key.
    pub(crate) fn is_exact(&self) -> bool {
        self.pattern.is_none() && !self.key.is_empty() && !self.key.ends_with('/')
    }

    /// The folder that the path is, if it is one; a key without a `/` at its end is one too. What a
    /// pattern says is that before its first sign.
    pub(crate) fn folder(&self) -> String {
        let base = if self.pattern.is_some() { self.base() } else { &self.key };
        if base.is_empty() || base.ends_with('/') { base.to_owned() } else { format!("{base}/") }
    }

    /// Whether it is a pattern of keys.
    pub(crate) fn is_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    /// What every key begins with.
    pub(crate) fn prefix(&self) -> String {
        match &self.pattern {
            Some(pattern) => format!("{}{}", &self.key[..self.bound], pattern.literal_prefix()),
            None => self.key.clone(),
        }
    }

    /// The folder below which levels are the business of the path or of partitions.
    pub(crate) fn base(&self) -> &str {
        match &self.pattern {
            Some(pattern) => &self.key[..self.bound + pattern.base().len()],
            None if self.is_exact() => &self.key[..self.key.rfind('/').map_or(0, |at| at + 1)],
            None => &self.key,
        }
    }

    /// Whether the path itself says that this level below the base begins with `text`.
    pub(crate) fn spells(&self, level: usize, text: &str) -> bool {
        let Some(pattern) = &self.pattern else { return false };
        let below = &pattern.as_str()[pattern.base().len()..];
        !below.contains("**")
            && !below.contains('{')
            && below.split('/').nth(level).is_some_and(|level| level.starts_with(text))
    }

    /// The file of an entry, if it is one of the table's.
    pub(crate) fn file(&self, entry: Entry) -> Option<SourceFile> {
        let size = entry.size.unwrap_or(0);
        let folder = entry.key.ends_with('/') && size == 0;
        let base = self.base().len();
        let wanted = entry.kind == EntryKind::Object
            && !folder
            && self
                .pattern
                .as_ref()
                .is_none_or(|p| entry.key.get(self.bound..).is_some_and(|key| p.matches(key)))
            && (self.hidden || !entry.key.get(base..).is_some_and(hidden));
        wanted.then(|| SourceFile {
            storage: Storage::clone(&self.storage),
            object: ObjectPath { bucket: self.bucket.clone(), key: entry.key },
            size,
            etag: entry.etag,
            modified: entry.last_modified,
            base,
            member: None,
            noted: Noted::default(),
        })
    }

    /// Finds the one file of an exact key.
    pub(crate) async fn exact(&self) -> Result<SourceFile> {
        let object = ObjectPath { bucket: self.bucket.clone(), key: self.key.clone() };
        match self.storage.stat(&object, None).await {
            Ok(meta) => Ok(SourceFile {
                storage: Storage::clone(&self.storage),
                object,
                size: meta.size,
                etag: meta.etag,
                modified: meta.last_modified,
                base: self.base().len(),
                member: None,
                noted: Noted::default(),
            }),
            Err(error) if error.code() == ErrorCode::ObjectNotFound => {
                let below = Location {
                    bucket: Some(object.bucket.clone()),
                    key: format!("{}/", object.key),
                };
                let first = self.storage.list(&below, ListOptions::default()).next().await;
                if let Some(Ok(_)) = first {
                    let path = self.storage.binding().relative(&object.bucket, &below.key);
                    return Err(error.hint(format!(
                        "there is a folder of that name; end the path with `/`: {}.\"{path}\"",
                        self.storage.name()
                    )));
                }
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The error of a table without files.
    pub(crate) fn nothing(&self, empty: usize) -> Error {
        let table = &self.table;
        let message = if empty > 0 {
            format!("every file of `{table}` is empty")
        } else {
            format!("no file matches `{table}`")
        };
        if empty > 0 {
            return Error::new(ErrorCode::FormatEmpty, message)
                .hint("they hold neither rows nor names of columns");
        }
        let rest = &self.base()[self.bound.min(self.base().len())..];
        let folder =
            rest.strip_suffix('/').and_then(|b| b.rfind('/')).map_or("", |at| &rest[..=at]);
        let bucket = match &self.storage.binding().bucket {
            Some(_) => String::new(),
            None => format!("{}/", self.bucket),
        };
        Error::new(ErrorCode::FormatEmpty, message).hint(format!(
            "see what is there with `LIST {}.\"{bucket}{folder}\"`; names that begin with `_` or `.` are left out",
            self.storage.name(),
        ))
    }
}

/// Whether a level of the key is hidden; `_col=1` is a partition, not a hidden folder.
fn hidden(below: &str) -> bool {
    below
        .split('/')
        .any(|level| level.starts_with('.') || (level.starts_with('_') && !level.contains('=')))
}
