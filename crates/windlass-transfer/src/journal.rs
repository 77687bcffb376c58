//! What a run remembers of uploads in parts, so that one that was killed goes on, and none is left
//! behind unknown.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use windlass_s3::Upload;
use windlass_types::{ObjectPath, Result};

/// What an upload is made of. Parts of another state are worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOf {
    /// Address of the source.
    pub source: String,
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its bytes.
    pub size: u64,
    /// Bytes of each part but the last.
    pub part: u64,
}

impl MadeOf {
    /// As one text.
    pub(crate) fn token(&self) -> String {
        let Self { source, etag, size, part } = self;
        format!("{source}\n{}\n{size}\n{part}", etag.as_deref().unwrap_or_default())
    }
}

/// An upload that an interrupted run has left, which now belongs to this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub upload: Upload,
    /// Whether it is made of the same.
    pub same: bool,
}

/// The memory of a run: of its destination's uploads only.
#[async_trait]
pub trait Journal: std::fmt::Debug + Send + Sync {
    /// Takes over what interrupted runs have left of uploads to this key.
    async fn take(&self, to: &ObjectPath, made_of: &MadeOf) -> Result<Vec<Left>>;

    /// Notes that an upload to this key is about to be begun: whoever is killed before it has a name
    /// leaves one all the same.
    async fn begins(&self, to: &ObjectPath, made_of: &MadeOf) -> Result<()>;

    /// Forgets that one was about to be begun.
    async fn not_begun(&self, to: &ObjectPath) -> Result<()>;

    /// Notes an upload, before its first part is sent.
    async fn begun(&self, upload: &Upload, made_of: &MadeOf) -> Result<()>;

    /// Forgets an upload that was completed or given up.
    async fn ended(&self, upload: &Upload) -> Result<()>;
}
