//! What a server of files must be able to do: the least from which a storage is made.
//!
//! Paths are relative to what the connection is bound to, without leading or trailing slash; the
//! empty path is that folder itself.

use crate::error::unsupported;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use std::fmt::Debug;
use windlass_s3::ByteRange;
use windlass_types::Result;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Name without its folder.
    pub(crate) name: String,
    /// A folder rather than a file.
    pub(crate) folder: bool,
    /// Bytes; 0 of a folder.
    pub(crate) size: u64,
    /// Last write, where the server says.
    pub(crate) modified: Option<DateTime<Utc>>,
    /// Changes when the file does, as far as the server lets one see; the same in a listing and alone.
    pub(crate) etag: Option<String>,
    /// Where a link to a folder leads, from the server's root: to see circles.
    pub(crate) real: Option<String>,
    /// Content type, where the server says.
    pub(crate) content_type: Option<String>,
}

/// An open file.
pub(crate) struct Reading {
    /// The whole file.
    pub(crate) item: Item,
    /// Bytes that will come.
    pub(crate) length: u64,
    /// They; fails rather than end early.
    pub(crate) stream: BoxStream<'static, Result<Bytes>>,
}

/// A file being written.
#[async_trait]
pub(crate) trait Sink: Send + Sync {
    /// Whether bytes must come in order, one write at a time.
    fn ordered(&self) -> bool;

    /// Writes at an offset.
    async fn write(&self, offset: u64, body: Bytes) -> Result<()>;

    /// Waits until all is stored.
    async fn finish(&self) -> Result<()>;
}

/// A server of files.
#[async_trait]
pub(crate) trait Tree: Send + Sync + Debug + 'static {
    /// An error unless the server can hold a file of this name, beyond what every tree refuses.
    fn check(&self, key: &str) -> Result<()> {
        let _ = key;
        Ok(())
    }

    /// An error unless the server can be given a file of this name, beyond [`check`](Self::check).
    fn check_new(&self, key: &str) -> Result<()> {
        let _ = key;
        Ok(())
    }

    /// Whether a file renamed keeps its [`Item::etag`].
    fn renaming_keeps_state(&self) -> bool {
        true
    }

    /// What two trees have in common between which [`Tree::copy`] works.
    fn copy_group(&self) -> Option<String> {
        None
    }

    /// Where the root really is, from the server's root: [`Item::real`] of it. None without links.
    async fn real_root(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// Where a file or folder really is, from the server's root. None without links, or if it is not there.
    async fn real(&self, path: &str) -> Result<Option<String>> {
        let _ = path;
        Ok(None)
    }

    /// Lists one folder in any order; None if there is none.
    async fn list(&self, folder: &str) -> Result<Option<Vec<Item>>>;

    /// Asks for one file or folder; None if there is none.
    async fn stat(&self, path: &str) -> Result<Option<Item>>;

    /// Opens a file; None if there is none. Fails with `object.changed` if `state` is no longer its
    /// etag, also when it changes while it is read.
    async fn read(
        &self,
        path: &str,
        range: Option<ByteRange>,
        state: Option<&str>,
    ) -> Result<Option<Reading>>;

    /// Begins a new file. Fails with `object.not_found` if its folder is not there.
    async fn create(&self, path: &str, size: Option<u64>) -> Result<Box<dyn Sink>> {
        let _ = (path, size);
        Err(unsupported("writing"))
    }

    /// Renames a file; with `replace` over another, else failing with `object.changed` if one is there.
    async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        let _ = (from, to, replace);
        Err(unsupported("renaming"))
    }

    /// Copies a file over another.
    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let _ = (from, to);
        Err(unsupported("copying inside the service"))
    }

    /// Makes a folder whose parent exists; fails if something of that name is there.
    async fn make_folder(&self, path: &str) -> Result<()> {
        let _ = path;
        Err(unsupported("making folders"))
    }

    /// Removes a file; fails with `object.not_found` if there is none.
    async fn remove(&self, path: &str) -> Result<()> {
        let _ = path;
        Err(unsupported("deleting"))
    }

    /// Removes a folder if it is empty; fails otherwise.
    async fn remove_folder(&self, path: &str) -> Result<()> {
        let _ = path;
        Err(unsupported("deleting folders"))
    }

    /// Sets the time of the last write; answers whether the server can.
    async fn set_modified(&self, path: &str, time: DateTime<Utc>) -> Result<bool> {
        let _ = (path, time);
        Ok(false)
    }
}

/// First byte and number of bytes of a range of `size` bytes.
pub(crate) fn cut(range: Option<ByteRange>, size: u64) -> (u64, u64) {
    match range {
        None => (0, size),
        Some(ByteRange::Bounded(from, length)) => {
            let from = from.min(size);
            (from, length.min(size - from))
        }
        Some(ByteRange::From(from)) => (from.min(size), size - from.min(size)),
        Some(ByteRange::Last(length)) => (size - length.min(size), length.min(size)),
    }
}
