//! Which files a path means: an exact key, everything below a prefix, or what a glob matches.
//!
//! Listing is ours, because DataFusion's cannot hold every key. What the files hold is
//! [`crate::format`]'s and [`crate::sample`]'s business.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use windlass_formats::zip::Member;
use windlass_s3::Storage;
use windlass_s3::access::{ByteRange, GetOptions, ListOptions};
use windlass_types::{EntryKind, Error, ErrorCode, KeyPattern, Location, ObjectPath, Result};

/// One file in the state it was found in.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) storage: Storage,
    pub(crate) object: ObjectPath,
    pub(crate) size: u64,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<DateTime<Utc>>,
    /// The member of the archive, if the object is one.
    pub(crate) member: Option<Arc<Member>>,
}

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
        Ok(body.stream)
    }
}

/// Finds the files of `path`, in order of key; `table` is how the person wrote it.
pub(crate) async fn find(storage: &Storage, path: &str, table: &str) -> Result<Vec<SourceFile>> {
    let location = storage.binding().resolve_any(path)?;
    let bucket = location.bucket.clone().ok_or_else(|| {
        Error::new(ErrorCode::PathInvalid, format!("`{table}` names no bucket"))
            .hint(format!("write {}.\"BUCKET/KEY\"", storage.name()))
    })?;
    // The bound prefix is literal, whatever characters it has.
    let bound = storage.binding().prefix.as_str();
    let (bound, rest) = match location.key.strip_prefix(bound) {
        Some(rest) => (bound, rest),
        None => ("", location.key.as_str()),
    };
    let files = if KeyPattern::is_pattern(rest) {
        let pattern = KeyPattern::parse(rest)?;
        let base = bound.len() + pattern.base().len();
        let hidden = hidden(&rest[pattern.base().len()..]);
        let prefix = format!("{bound}{}", pattern.literal_prefix());
        let found = list(storage, &bucket, prefix).await?;
        found
            .into_iter()
            .filter(|file| pattern.matches(&file.object.key[bound.len()..]))
            .filter(|file| hidden || !self::hidden(&file.object.key[base..]))
            .collect()
    } else if location.key.is_empty() || location.key.ends_with('/') {
        let base = location.key.len();
        let mut found = list(storage, &bucket, location.key.clone()).await?;
        found.retain(|file| !hidden(&file.object.key[base..]));
        found
    } else {
        vec![
            exact(storage, ObjectPath { bucket: bucket.clone(), key: location.key.clone() })
                .await?,
        ]
    };
    let (mut files, empty): (Vec<SourceFile>, Vec<SourceFile>) =
        files.into_iter().partition(|file| file.size > 0);
    if files.is_empty() {
        return Err(nothing(storage, table, rest, empty.len()));
    }
    files.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    Ok(files)
}

fn nothing(storage: &Storage, table: &str, rest: &str, empty: usize) -> Error {
    let message = if empty > 0 {
        format!("every file of `{table}` is empty")
    } else {
        format!("no file matches `{table}`")
    };
    let base = if KeyPattern::is_pattern(rest) {
        let literal = windlass_types::glob::literal_prefix(rest);
        &literal[..literal.rfind('/').map_or(0, |at| at + 1)]
    } else {
        rest
    };
    let folder = base.strip_suffix('/').and_then(|b| b.rfind('/')).map_or("", |at| &base[..=at]);
    let bucket = match &storage.binding().bucket {
        Some(_) => String::new(),
        None => table
            .split_once(".\"")
            .and_then(|(_, path)| path.split_once('/'))
            .map_or_else(String::new, |(bucket, _)| format!("{bucket}/")),
    };
    if empty > 0 {
        return Error::new(ErrorCode::FormatEmpty, message)
            .hint("they hold neither rows nor names of columns");
    }
    Error::new(ErrorCode::FormatEmpty, message).hint(format!(
        "see what is there with `LIST {}.\"{bucket}{folder}\"`; names that begin with `_` or `.` are left out",
        storage.name(),
    ))
}

/// Whether a level of the key is hidden; `_col=1` is a partition, not a hidden folder.
fn hidden(below: &str) -> bool {
    below
        .split('/')
        .any(|level| level.starts_with('.') || (level.starts_with('_') && !level.contains('=')))
}

async fn list(storage: &Storage, bucket: &str, prefix: String) -> Result<Vec<SourceFile>> {
    let location = Location { bucket: Some(bucket.to_owned()), key: prefix };
    let options = ListOptions { recursive: true, ordered: true, ..ListOptions::default() };
    let bucket = bucket.to_owned();
    storage
        .list(&location, options)
        .try_filter_map(move |entry| {
            let folder = entry.key.ends_with('/') && entry.size.unwrap_or(0) == 0;
            let file = (entry.kind == EntryKind::Object && !folder).then(|| SourceFile {
                storage: Storage::clone(storage),
                object: ObjectPath { bucket: bucket.clone(), key: entry.key },
                size: entry.size.unwrap_or(0),
                etag: entry.etag,
                modified: entry.last_modified,
                member: None,
            });
            futures::future::ready(Ok(file))
        })
        .try_collect()
        .await
}

async fn exact(storage: &Storage, object: ObjectPath) -> Result<SourceFile> {
    match storage.stat(&object, None).await {
        Ok(meta) => Ok(SourceFile {
            storage: Storage::clone(storage),
            object,
            size: meta.size,
            etag: meta.etag,
            modified: meta.last_modified,
            member: None,
        }),
        Err(error) if error.code() == ErrorCode::ObjectNotFound => {
            let below =
                Location { bucket: Some(object.bucket.clone()), key: format!("{}/", object.key) };
            let first = storage.list(&below, ListOptions::default()).next().await;
            if let Some(Ok(_)) = first {
                let path = storage.binding().relative(&object.bucket, &below.key);
                return Err(error.hint(format!(
                    "there is a folder of that name; end the path with `/`: {}.\"{path}\"",
                    storage.name()
                )));
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}
