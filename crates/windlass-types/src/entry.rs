//! One row of a listing.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A bucket, or nothing but the root of a local connection.
    Bucket,
    /// A common prefix: a folder.
    Prefix,
    /// An object: a file.
    Object,
}

impl EntryKind {
    /// `bucket`, `prefix` or `object`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bucket => "bucket",
            Self::Prefix => "prefix",
            Self::Object => "object",
        }
    }
}

/// One bucket, prefix or object. The field names are part of the contract of `LIST` and `ls -o json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The whole key in its bucket; of a bucket its name; of a prefix the text with its `/`.
    pub key: String,
    /// What it is.
    pub kind: EntryKind,
    /// What to type after `CONN:` to name it.
    pub path: String,
    /// Bytes; objects only.
    pub size: Option<u64>,
    /// When it was last written; objects, and buckets (their creation).
    pub last_modified: Option<DateTime<Utc>>,
    /// As the service gave it, without quotes; compared only for equality.
    pub etag: Option<String>,
    /// Storage class, as the service names it.
    pub storage_class: Option<String>,
}

impl Entry {
    /// `last_modified` as RFC 3339 in UTC.
    pub fn last_modified_text(&self) -> Option<String> {
        self.last_modified.map(|time| rfc3339(&time))
    }
}

/// RFC 3339, UTC, with as many fraction digits as the time has.
pub fn rfc3339(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
