//! What a crawl needs of the world: listings, bytes, structures. Core gives it; tests give a small one.

use crate::heap::Object;
use crate::model::{Column, Sample};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use windlass_types::Result;

/// What was learnt of the structure of some files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Structure {
    /// Columns of the files, in their order; without those of the path.
    pub columns: Vec<Column>,
    /// The format's word, as it turned out.
    pub format: Option<String>,
    /// Rows of each file read whose format knows it, in the order of the files; None where it does not.
    pub rows: Option<u64>,
    /// How the columns came about; lines for people.
    pub why: Vec<String>,
    /// Files that could not be read, with the reason; at least one other could.
    pub bad: Vec<(String, String)>,
    /// Some values of columns of text, for hints; they are not kept.
    pub values: Vec<(String, Vec<String>)>,
}

/// What is known about how to read files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// Format's word: `csv`, `json`, ...; None: by name, then content.
    pub format: Option<String>,
    /// Between fields.
    pub separator: Option<String>,
}

/// A bucket's figures as `CloudWatch` has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Objects of all storage classes.
    pub objects: Option<u64>,
    /// Bytes of all storage classes.
    pub size: Option<u64>,
}

/// One file within an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its path within.
    pub path: String,
    /// Bytes, unpacked.
    pub size: u64,
    /// Its structure; None: it is no data.
    pub structure: Option<std::result::Result<Structure, String>>,
}

/// What was found the last time.
#[derive(Debug, Clone, PartialEq)]
pub struct Before {
    /// Of the listing.
    pub fingerprint: String,
    /// Columns.
    pub columns: Option<Vec<Column>>,
    /// Formats.
    pub formats: Vec<String>,
    /// Rows.
    pub rows: Option<u64>,
    /// Files that were read.
    pub samples: Vec<Sample>,
    /// It was found by this very crawl, before it was interrupted and begun again.
    pub again: bool,
}

/// A storage to be crawled, and what was known of it.
#[async_trait]
pub trait World: Send + Sync {
    /// Lists the buckets.
    async fn buckets(&self) -> Result<Vec<String>>;

    /// Lists every object whose key begins with `prefix`, in any order.
    fn list(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<Object>>;

    /// Reads an object whole, if it has at most `most` bytes.
    async fn read(&self, bucket: &str, key: &str, most: u64) -> Result<Bytes>;

    /// Learns what files hold; at least one of them could be read.
    async fn learn(&self, bucket: &str, files: &[Sample], declared: &Declared)
    -> Result<Structure>;

    /// Looks into an archive.
    async fn unpack(&self, bucket: &str, archive: &Sample, format: &str) -> Result<Vec<Member>>;

    /// Tags of a bucket, or of an object of it.
    async fn tags(&self, bucket: &str, key: Option<&str>) -> Result<Vec<(String, String)>>;

    /// What `CloudWatch` says; None: there is none to ask.
    async fn metrics(&self, bucket: &str) -> Result<Option<Metrics>>;

    /// The bucket's region; None: it is not known, or there is no such thing.
    async fn region(&self, bucket: &str) -> Option<String>;

    /// What the catalogue knows of a container.
    async fn known(&self, bucket: &str, path: &str) -> Result<Option<Before>>;
}
