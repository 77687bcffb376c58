//! What the rest of Windlass may ask of a storage: the one seam to bytes.
//!
//! Implementors check binding and `READ_ONLY` here, once, below every feature. Keys are exact.
//! All methods that do IO return [`windlass_types::Error`] with the code a caller acts on:
//! `object.not_found`, `bucket.not_found`, `connection.denied`, `object.changed`, …

mod listing;

pub use listing::{ListOptions, Turns};

use crate::order::ListingOrder;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use windlass_types::path::Binding;
use windlass_types::{Entry, Error, ErrorCode, Location, Name, ObjectPath, Result};

/// A storage, shared.
pub type Storage = Arc<dyn ObjectAccess>;

/// Is shown bytes that pass by, in order.
pub type See = Box<dyn for<'a> FnMut(&'a [u8]) + Send>;

/// What is known of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// Bytes.
    pub size: u64,
    /// Last write.
    pub last_modified: Option<DateTime<Utc>>,
    /// Without quotes.
    pub etag: Option<String>,
    /// Version, in versioned buckets.
    pub version: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
    /// Content type.
    pub content_type: Option<String>,
    /// Other system headers by lower-case name: `cache-control`, `content-disposition`,
    /// `content-encoding`, `content-language`, `expires`.
    pub headers: BTreeMap<String, String>,
    /// User metadata, keys without `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// Checksums by algorithm (`CRC64NVME`, `CRC32C`, `CRC32`, `SHA256`, `SHA1`, `MD5`), base64, as stored.
    pub checksums: BTreeMap<String, String>,
    /// Server-side encryption: `AES256`, `aws:kms`, `SSE-C`.
    pub encryption: Option<String>,
    /// KMS key, where one was used.
    pub kms_key: Option<String>,
    /// Archived and not restored: reading fails until it is.
    pub archived: bool,
    /// How many tags it has, where the service says so; not every one does when it is asked for
    /// metadata alone, and none to who may not read tags.
    #[serde(default)]
    pub tag_count: Option<u32>,
    /// A link of a folder that is taken for itself ([`Links::Keep`]): its bytes are where it leads.
    #[serde(default)]
    pub link: bool,
}

/// What symbolic links of a folder are to a copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// What they lead to.
    #[default]
    Follow,
    /// Nothing.
    Skip,
    /// Links.
    Keep,
}

/// What part of an object to read, and which state of it.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// First byte and number of bytes; None reads all. A range past the end is cut.
    pub range: Option<ByteRange>,
    /// Fail with `object.changed` unless the object still has this `ETag`.
    pub if_match: Option<String>,
    /// This version.
    pub version: Option<String>,
}

/// A range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From this offset, at most this many bytes.
    Bounded(u64, u64),
    /// From this offset to the end.
    From(u64),
    /// The last bytes.
    Last(u64),
}

/// An open read.
pub struct ObjectBody {
    /// Metadata; `size` is that of the whole object.
    pub meta: ObjectMeta,
    /// Bytes that will come; equal to `meta.size` without a range.
    pub length: u64,
    /// The bytes. Fails rather than end early.
    pub stream: BoxStream<'static, Result<Bytes>>,
}

/// What goes with a write.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// Content type; None lets the service choose.
    pub content_type: Option<String>,
    /// System headers, as in [`ObjectMeta::headers`].
    pub headers: BTreeMap<String, String>,
    /// User metadata.
    pub metadata: BTreeMap<String, String>,
    /// Fail with `object.changed` if the key exists.
    pub if_none_match: bool,
    /// Fail with `object.changed` unless the key has this `ETag`.
    pub if_match: Option<String>,
    /// Modification time to keep, where the storage can (local folders).
    pub modified: Option<DateTime<Utc>>,
    /// What an upload in parts is made of, as a text. A storage that itself finds what a process
    /// that is gone left of one with the same text goes on there ([`ObjectAccess::list_parts`]).
    pub token: Option<String>,
    /// Tags. Without them a new object has none, and a copy inside the service those of its source.
    pub tags: Option<BTreeMap<String, String>>,
    /// Storage class instead of the connection's.
    pub storage_class: Option<String>,
    /// Canned ACL instead of the connection's.
    pub acl: Option<String>,
    /// A copy inside the service has the headers and metadata given here, also if there are none,
    /// instead of its source's.
    pub replace: bool,
    /// Write a symbolic link that leads where the bytes say (local folders, [`Links::Keep`]).
    pub link: bool,
}

/// What a write answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutResult {
    /// `ETag` without quotes.
    pub etag: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// The storage has said what it stored, and it is what was sent: a checksum or MD5 that came
    /// back was compared.
    #[serde(default)]
    pub proven: bool,
}

/// A multipart upload that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Where it goes.
    pub bucket: String,
    /// Where it goes.
    pub key: String,
    /// The service's upload id.
    pub id: String,
}

/// An upload that was begun, and neither completed nor given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenUpload {
    /// Which.
    pub upload: Upload,
    /// When it was begun.
    pub started: Option<DateTime<Utc>>,
}

/// One row of a listing of versions: a version of an object, a delete marker, or a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEntry {
    /// What is listed. A delete marker has neither size nor `ETag`.
    #[serde(flatten)]
    pub entry: Entry,
    /// Its version, `null` for what was written while the bucket kept none; None for a folder.
    pub version: Option<String>,
    /// It is what the key shows now.
    pub latest: bool,
    /// It says that the key was deleted.
    pub delete_marker: bool,
}

/// A part that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub number: i32,
    /// `ETag` without quotes.
    pub etag: String,
    /// Checksums by algorithm, base64.
    pub checksums: BTreeMap<String, String>,
    /// As [`PutResult::proven`].
    #[serde(default)]
    pub proven: bool,
}

/// Where a part lies in its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRange {
    /// Number of the part, from 1.
    pub number: i32,
    /// Its first byte.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

/// A range of an open file.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The file; it is read at offsets only.
    pub file: Arc<std::fs::File>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A part that an upload has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPart {
    /// Which.
    pub part: Part,
    /// Its bytes.
    pub size: u64,
}

/// What a presigned URL allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PresignMethod {
    /// Read.
    Get,
    /// Write.
    Put,
}

/// One storage behind a connection.
#[async_trait]
pub trait ObjectAccess: Send + Sync + std::fmt::Debug {
    /// Name of the connection.
    fn name(&self) -> &Name;

    /// What it is bound to.
    fn binding(&self) -> &Binding;

    /// Whether writes are refused.
    fn read_only(&self) -> bool;

    /// A text equal for two storages exactly when one can copy from the other on the server
    /// (same service and identity); None when it never can.
    fn server_side_copy_group(&self) -> Option<String> {
        None
    }

    /// A text equal for two storages where a bucket of one name is one bucket, as far as they tell.
    fn service(&self) -> Option<String> {
        self.server_side_copy_group()
    }

    /// The same storage, whose copies inside the service read what `source` may name, another of its
    /// [`Self::server_side_copy_group`]. None where they read only what this one may itself name.
    fn copying_from(&self, source: &dyn ObjectAccess) -> Option<Storage> {
        let _ = source;
        None
    }

    /// What a person types to name this bucket and key.
    fn address(&self, bucket: &str, key: &str) -> String {
        format!("{}:{}", self.name(), self.binding().relative(bucket, key))
    }

    /// The order that ordered recursive listings of this bucket are known to come in: promised by
    /// the storage, or found out by a listing before. None when in doubt.
    fn listing_order(&self, bucket: &str) -> ListingOrder {
        let _ = bucket;
        ListingOrder::None
    }

    /// Whether [`Self::listing_order`] is the storage's promise. What was only found out may prove
    /// wrong with the next page, so that nothing may be said to be missing before all was read.
    fn promises_order(&self, bucket: &str) -> bool {
        let _ = bucket;
        false
    }

    /// Whether [`Self::copy`] takes objects of any size.
    fn copies_any_size(&self) -> bool {
        false
    }

    /// Whether a recursive listing asks for one folder after another anyway, so that asking for them
    /// singly costs nothing.
    fn walks_folders(&self) -> bool {
        self.local_path("").is_some()
    }

    /// Asks whether two keys that differ in case only are two objects, in the folder of `key` (all up
    /// to its last `/`). Where they are not, names that other systems reserve are not allowed either.
    /// With `may_write` a file may be made there, which is removed at once. Never fails: where nothing
    /// tells, the answer is what is usual.
    async fn tells_case_apart(&self, key: &str, may_write: bool) -> bool {
        let _ = (key, may_write);
        true
    }

    /// Whether a listing lets each of its requests wait for a turn ([`ListOptions::turns`]).
    fn takes_turns(&self) -> bool {
        false
    }

    /// How often the service has asked to slow down since the storage was opened, also where the
    /// request was answered when it was made again; 0 where that is not known.
    fn slow_downs(&self) -> u64 {
        0
    }

    /// The one version that is read of every object, where it is not the current one.
    fn version(&self) -> Option<&str> {
        None
    }

    /// An error unless something can be written under this key here, beyond the rules that all folders
    /// and all object stores share. Asks nobody.
    fn check_name(&self, key: &str) -> Result<()> {
        let _ = key;
        Ok(())
    }

    /// Whether what is written here has tags, a storage class and an ACL.
    fn holds_properties(&self) -> bool {
        false
    }

    /// The storage class that the connection gives to what is written through it.
    fn storage_class(&self) -> Option<&str> {
        None
    }

    /// Asks for the tags of an object; none where there are no such things.
    async fn tags(
        &self,
        object: &ObjectPath,
        version: Option<&str>,
    ) -> Result<BTreeMap<String, String>> {
        let _ = (object, version);
        Ok(BTreeMap::new())
    }

    /// The same folder as an end of a copy: links are what `links` says, and nothing is written
    /// outside the folder `below`, wherever links in it lead. Without one it is the end that is read:
    /// where links are followed, its listings show those that lead nowhere, as objects without a size.
    /// None where there are no links.
    fn as_end(&self, links: Links, below: Option<&str>) -> Option<Storage> {
        let _ = (links, below);
        None
    }

    /// The path of a key, where it is a file of this machine.
    fn local_path(&self, key: &str) -> Option<PathBuf> {
        let _ = key;
        None
    }

    /// Lists buckets (no bucket in `location`), one level, or all below a prefix. First rows at
    /// once, constant memory. A listing that fails ends with the error: it never ends silently early.
    /// `location.key` is a string prefix, as in S3; with `recursive` false it is cut at `/`.
    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>>;

    /// Asks for the metadata of one object.
    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta>;

    /// Asks how many bytes a part of an object has that was uploaded in parts and still has this
    /// `ETag`; None where the storage does not know. Numbers begin at 1.
    async fn part_length(
        &self,
        object: &ObjectPath,
        etag: &str,
        number: i32,
    ) -> Result<Option<u64>> {
        let _ = (object, etag, number);
        Ok(None)
    }

    /// Opens an object for reading.
    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody>;

    /// Writes a whole object, atomically.
    async fn put(&self, object: &ObjectPath, body: Bytes, options: PutOptions)
    -> Result<PutResult>;

    /// Begins a multipart upload.
    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload>;

    /// Writes one part (5 MiB to 5 GiB but for the last, at most 10,000 of them).
    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part>;

    /// Writes one part from a file, without holding it in memory where the storage can. That the
    /// file stays as it is has to be looked at by the caller.
    async fn upload_part_of(&self, upload: &Upload, number: i32, body: FileRange) -> Result<Part> {
        let body = crate::payload::Payload::File(body).read().await.map_err(|error| {
            Error::new(ErrorCode::LocalFailed, "cannot read the file that is to be sent")
                .source(error)
        })?;
        self.upload_part(upload, number, body).await
    }

    /// Opens an object that is a file of this machine, in this state; None where it is none.
    async fn open_file(
        &self,
        object: &ObjectPath,
        if_match: Option<&str>,
    ) -> Result<Option<Arc<std::fs::File>>> {
        let _ = (object, if_match);
        Ok(None)
    }

    /// The parts that an upload has. One that is not there is `object.not_found`.
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<StoredPart>> {
        Err(Error::new(
            ErrorCode::ObjectNotFound,
            format!("there is no unfinished upload `{}`", upload.id),
        ))
    }

    /// The file that the parts of an upload are placed in, where this storage keeps them so. Then
    /// [`Self::write_part`] takes them as they come, and the file can be read where they lie.
    fn placed_in(&self, upload: &Upload) -> Option<Arc<std::fs::File>> {
        let _ = upload;
        None
    }

    /// Writes one part from a stream of exactly its bytes, holding little of it in memory; `see` is
    /// given them in order, once they are written. Only where [`Self::placed_in`] answers a file.
    async fn write_part(
        &self,
        upload: &Upload,
        range: PartRange,
        bytes: BoxStream<'static, Result<Bytes>>,
        see: See,
    ) -> Result<Part> {
        let _ = (upload, range, bytes, see);
        Err(unsupported("writing a part from a stream"))
    }

    /// Makes the object visible from its parts, in order of number. Honours `if_none_match` and
    /// `if_match` of `options`.
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult>;

    /// Gives up an upload and its parts.
    async fn abort_upload(&self, upload: &Upload) -> Result<()>;

    /// Lists uploads of a bucket, whose keys begin with `prefix`, that were begun and not ended.
    fn list_uploads(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<OpenUpload>> {
        let _ = (bucket, prefix);
        futures::stream::iter([Err(unsupported("listing unfinished uploads"))]).boxed()
    }

    /// Copies inside the service, at most 5 GiB unless [`Self::copies_any_size`], keeping metadata. Fails with `object.changed` if
    /// the source no longer has `if_match`.
    async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        options: PutOptions,
    ) -> Result<PutResult> {
        let _ = (from, to, if_match, options);
        Err(unsupported("copying inside the service"))
    }

    /// Copies a range of another object as a part.
    async fn copy_part(
        &self,
        from: &ObjectPath,
        offset: u64,
        length: u64,
        if_match: Option<&str>,
        upload: &Upload,
        number: i32,
    ) -> Result<Part> {
        let _ = (from, offset, length, if_match, upload, number);
        Err(unsupported("copying inside the service"))
    }

    /// Deletes one key. Deleting what is not there succeeds, as in S3.
    async fn delete(&self, object: &ObjectPath) -> Result<()>;

    /// Deletes one key if it still has this `ETag`, else fails with `object.changed`. The current
    /// version only: in a versioned bucket its history stays. A service that does not know the
    /// condition may delete without looking at it.
    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        let _ = (object, etag);
        Err(unsupported("deleting under a condition"))
    }

    /// Asks for an archived object to be readable for so many days. It takes hours.
    async fn restore(&self, object: &ObjectPath, days: u32) -> Result<()> {
        let _ = (object, days);
        Err(unsupported("restoring"))
    }

    /// Deletes up to 1,000 keys of a bucket; answers the failed ones.
    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<(String, Error)>> {
        let mut failed = Vec::new();
        for key in keys {
            let object = ObjectPath { bucket: bucket.to_owned(), key: key.clone() };
            if let Err(error) = self.delete(&object).await {
                failed.push((key.clone(), error));
            }
        }
        Ok(failed)
    }

    /// The same for pairs of key and `ETag`: what no longer has its `ETag` fails with
    /// `object.changed`. A service that does not know the condition may delete without looking at it.
    async fn delete_many_if(
        &self,
        bucket: &str,
        objects: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        let _ = (bucket, objects);
        Err(unsupported("deleting under conditions"))
    }

    /// Lists every version and delete marker below a place: keys as in [`Self::list`], and of a key
    /// the newest first. All rows of a key come one after another.
    fn list_versions(
        &self,
        location: &Location,
        recursive: bool,
    ) -> BoxStream<'static, Result<VersionEntry>> {
        let _ = (location, recursive);
        futures::stream::iter([Err(unsupported("listing versions"))]).boxed()
    }

    /// Deletes versions (or delete markers) of keys for good: pairs of key and version, up to
    /// 1,000. Answers the failed ones by key. What is not there is deleted.
    async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        let _ = (bucket, versions);
        Err(unsupported("deleting versions"))
    }

    /// Creates a bucket.
    async fn create_bucket(&self, bucket: &str) -> Result<()>;

    /// Removes an empty bucket.
    async fn delete_bucket(&self, bucket: &str) -> Result<()>;

    /// Signs a URL that works without credentials for `expires` (at most 7 days).
    async fn presign(
        &self,
        object: &ObjectPath,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        let _ = (object, method, expires);
        Err(unsupported("presigning"))
    }
}

pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(
        ErrorCode::UsageInvalid,
        format!("{what} is not possible with this kind of connection"),
    )
}
