//! What a crawl says of one container, before anything is stored.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerKind {
    /// A bucket, or the root folder of a local connection.
    Bucket,
    /// Objects below one root with one structure.
    Dataset,
    /// A folder level above unstructured files.
    Folder,
    /// A zip, tar, 7z or rar that holds files.
    Archive,
    /// A file within an archive.
    Member,
    /// One object by itself.
    File,
}

/// Whether the crawl could look at the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// Listed, and read where there was something to read.
    Yes,
    /// It is there, or may be; why it could not be read.
    No {
        /// What happened, for people; never a secret.
        reason: String,
    },
}

/// One container as a crawl found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The bucket's name.
    pub bucket: String,
    /// Below the bucket, without `/` at either end; empty for the bucket itself. With the bucket it
    /// is what tells one container from another within a service.
    pub path: String,
    /// The name as OpenMetadata gives it (reference section 7): the bucket's, the whole path, or the
    /// last segment within a tree of folders.
    pub name: String,
    /// Names of what it lies in, the bucket's first; empty for a bucket. Service, these and `name`
    /// make the fully qualified name.
    pub parents: Vec<String>,
    /// What it is.
    pub kind: ContainerKind,
    /// `/` for a bucket, else `/` and the path (section 7).
    pub prefix: String,
    /// `s3://bucket/path` without a trailing `/` (sections 7 and 14).
    pub full_path: String,
    /// Where a person looks at it (section 7).
    pub source_url: String,
    /// Words of formats, lower case: `csv`, `parquet`; as the manifest or the files say.
    pub formats: Vec<String>,
    /// Words of compressions seen: `gzip`, `zstd`.
    pub compression: Vec<String>,
    /// Field separator, where the manifest or a look at the file gave one that is not the format's own.
    pub separator: Option<String>,
    /// Whether its keys carry partitions; None where nothing was looked for (bucket, file).
    pub partitioned: Option<bool>,
    /// Partition columns first, then those of the files. None where it has no structure.
    pub columns: Option<Vec<Column>>,
    /// Sizes and counts.
    pub figures: Figures,
    /// Tags of the bucket or object: key, value.
    pub tags: Vec<(String, String)>,
    /// Files whose structure was read.
    pub samples: Vec<Sample>,
    /// Why it is a container, and how its columns came about; lines for people.
    pub why: Vec<String>,
    /// Changes when the listing below the container does: what an incremental crawl compares.
    pub fingerprint: String,
    /// Whether it could be read.
    pub seen: Seen,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name as in the file.
    pub name: String,
    /// OpenMetadata's word: `INT`, `BIGINT`, `DECIMAL`, `STRUCT` (section 8).
    pub data_type: String,
    /// The type in full, as Windlass's SQL writes it: `DECIMAL(10,2)`, `ARRAY<STRUCT<a BIGINT>>`.
    pub display: String,
    /// Word of the elements' type, of an array.
    pub array_data_type: Option<String>,
    /// Bytes or characters, where the type has a length; -1 when unbounded (section 8, `BINARY`).
    pub length: Option<i64>,
    /// Digits, of a decimal.
    pub precision: Option<i32>,
    /// Digits after the point, of a decimal.
    pub scale: Option<i32>,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// Whether it comes from the path, not from the file.
    pub partition: bool,
    /// Place among its siblings, from 1.
    pub ordinal: u32,
    /// What the manifest or the file says of it.
    pub description: Option<String>,
    /// Members of a struct, or of the structs of a list; key and value of a map.
    pub children: Vec<Column>,
    /// What its values or its name hint at.
    pub hints: Vec<Hint>,
}

/// A guess that a column holds personal data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    /// `email`, `phone`, `card`, `iban`, `person_name`.
    pub kind: String,
    /// 0 to 100.
    pub confidence: u8,
    /// What speaks for it: `97 of 100 sampled values`, `the column's name`.
    pub because: String,
}

/// Sizes and counts. Unknown is None, never 0, and [`Figures::unknown`] says why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Bytes of all objects, as stored.
    pub size: Option<u64>,
    /// Number of objects.
    pub objects: Option<u64>,
    /// Rows, where every file's format gives its count and each was looked at.
    pub rows: Option<u64>,
    /// Last modification of the newest object.
    pub newest: Option<DateTime<Utc>>,
    /// Last modification of the oldest object.
    pub oldest: Option<DateTime<Utc>>,
    /// Objects under 1 MiB.
    pub small_objects: Option<u64>,
    /// Bytes and objects by storage class.
    pub storage_classes: BTreeMap<String, StorageClassFigures>,
    /// Where size and count come from: `listing`, `cloudwatch`.
    pub origin: Option<String>,
    /// Why size or count are not known.
    pub unknown: Option<String>,
}

/// What lies in one storage class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageClassFigures {
    /// Bytes.
    pub size: u64,
    /// Objects.
    pub objects: u64,
}

/// A file whose structure was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Whole key in the bucket.
    pub key: String,
    /// As listed.
    pub etag: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Why this one: `newest`, `oldest`, `largest`, `among the first by hash`.
    pub chosen: String,
}

/// What a crawl says of one place it was to list: the ground on which something may be called gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The bucket; empty for the list of buckets itself.
    pub bucket: String,
    /// Key prefix that was listed; empty for the whole bucket.
    pub prefix: String,
    /// None when the listing came to its end; else why it did not.
    pub incomplete: Option<String>,
}
