//! What two services of objects share: the door every call passes, rows of listings, and headers.

use crate::error::{read_only, unsupported};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::header::HeaderMap;
use std::collections::BTreeMap;
use windlass_s3::{ByteRange, ObjectAccess, PutOptions};
use windlass_types::path::Binding;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Name, ObjectPath, Result};

/// Keys deleted side by side.
const DELETES: usize = 16;

/// Metadata headers with a name of their own, as [`windlass_s3::ObjectMeta::headers`] has them.
pub(crate) const SYSTEM_HEADERS: [&str; 4] =
    ["cache-control", "content-disposition", "content-encoding", "content-language"];

/// Binding and `READ_ONLY`: what every call passes before anything is sent.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) name: Name,
    pub(crate) binding: Binding,
    pub(crate) read_only: bool,
}

impl Door {
    /// An error unless the object lies inside the binding.
    pub(crate) fn reads(&self, object: &ObjectPath) -> Result<()> {
        self.binding.check(&object.bucket, &object.key)
    }

    /// An error unless it may be written.
    pub(crate) fn writes(&self, object: &ObjectPath) -> Result<()> {
        if self.read_only {
            return Err(read_only(&self.name));
        }
        self.reads(object)
    }

    /// An error unless the bucket as a whole may be made or removed.
    pub(crate) fn owns(&self, bucket: &str) -> Result<()> {
        if self.read_only {
            return Err(read_only(&self.name));
        }
        self.binding.check(bucket, "")
    }

    /// An error unless the place may be listed.
    pub(crate) fn lists(&self, location: &Location) -> Result<()> {
        match &location.bucket {
            Some(bucket) => self.binding.check(bucket, &location.key),
            None if self.binding.bucket.is_some() => Err(Error::new(
                ErrorCode::PathOutside,
                "the connection is bound to one bucket and cannot list others",
            )),
            None => Ok(()),
        }
    }

    /// A row for a bucket.
    pub(crate) fn bucket(
        &self,
        name: &str,
        created: Option<chrono::DateTime<chrono::Utc>>,
    ) -> Entry {
        Entry {
            key: name.to_owned(),
            kind: EntryKind::Bucket,
            path: self.binding.relative(name, ""),
            size: None,
            last_modified: created,
            etag: None,
            storage_class: None,
        }
    }

    /// A row for a folder.
    pub(crate) fn prefix(&self, bucket: &str, key: String) -> Entry {
        Entry {
            path: self.binding.relative(bucket, &key),
            key,
            kind: EntryKind::Prefix,
            size: None,
            last_modified: None,
            etag: None,
            storage_class: None,
        }
    }
}

/// A stream of one error.
pub(crate) fn refused<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    futures::stream::once(async { Err(error) }).boxed()
}

/// A bucket that is not there.
pub(crate) fn no_bucket(bucket: &str) -> Error {
    Error::new(ErrorCode::BucketNotFound, format!("no bucket `{bucket}`"))
        .hint("check its name, and that it belongs to this account")
}

/// A bucket that should not be there and is.
pub(crate) fn bucket_exists(bucket: &str) -> Error {
    Error::new(ErrorCode::BucketConflict, format!("the bucket `{bucket}` exists already"))
}

/// A bucket that holds something and should not.
pub(crate) fn not_empty(bucket: &str) -> Error {
    Error::new(ErrorCode::BucketConflict, format!("the bucket `{bucket}` is not empty"))
        .hint("delete what is in it first")
}

/// Bytes stored that are not those sent.
pub(crate) fn corrupt(key: &str) -> Error {
    Error::new(ErrorCode::ObjectCorrupt, format!("`{key}`: the bytes stored are not those sent"))
}

/// Deletes keys side by side; answers the failed ones.
pub(crate) async fn delete_each(
    storage: &dyn ObjectAccess,
    bucket: &str,
    keys: &[String],
) -> Vec<(String, Error)> {
    let deleted = futures::stream::iter(keys.to_vec()).map(|key| async move {
        let object = ObjectPath { bucket: bucket.to_owned(), key };
        storage.delete(&object).await.err().map(|error| (object.key, error))
    });
    deleted.buffer_unordered(DELETES).filter_map(|failed| async { failed }).collect().await
}

/// Headers that begin with `prefix`, without it.
pub(crate) fn user_metadata(headers: &HeaderMap, prefix: &str) -> BTreeMap<String, String> {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix(prefix)?;
        Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    pairs.collect()
}

/// Whether a range asks for nothing at all.
pub(crate) fn is_nothing(range: Option<ByteRange>) -> bool {
    matches!(range, Some(ByteRange::Bounded(_, 0) | ByteRange::Last(0)))
}

/// An error where a copy by the service should change what it copies with the bytes.
pub(crate) fn keeps_all(options: &PutOptions) -> Result<()> {
    if options.content_type.is_some() || !options.headers.is_empty() || !options.metadata.is_empty()
    {
        return Err(unsupported("changing metadata while the service copies"));
    }
    Ok(())
}

/// A key the service cannot hold.
pub(crate) fn bad_key(key: &str, why: &str) -> Error {
    Error::new(ErrorCode::PathInvalid, format!("`{}` {why}", key.escape_debug()))
        .hint("write it under another name")
}
