//! Deleting the source of a move: only if it still is what was copied, and never by version, so that
//! the history of a versioned bucket stays.

use crate::object::broken;
use crate::plan::Found;
use crate::run::Run;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use windlass_types::glob::literal_prefix;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// An `ETag` that no object has.
pub(crate) const NOBODYS: &str = "00000000000000000000000000000000-0";

/// Folders remembered by [`Ways`] at most.
const KNOWN: usize = 4096;

/// Folders of the source, by key, and whether one on the way to each is a link.
#[derive(Debug, Default)]
pub(crate) struct Ways(Mutex<HashMap<String, bool>>);

fn changed() -> Error {
    Error::new(ErrorCode::ObjectChanged, "changed after it was copied, so it was not deleted")
}

impl Run {
    /// Deletes a source whose copy is verified, if it is still what was copied.
    pub(crate) async fn delete_source(&self, from: &ObjectPath, copied: &Found) -> Result<()> {
        if self.is_behind_a_link(from).await? {
            return Err(Error::new(ErrorCode::UsageInvalid, "it lies behind a link to another folder")
            .hint("leave links out with `--links skip`; between folders `--links keep` moves the links themselves"));
        }
        let storage = &self.source.storage;
        let Some(etag) = copied.etag.as_deref() else {
            return self.looked_and_deleted(from, copied).await;
        };
        let honoured = self
            .deletes_if
            .get_or_try_init(|| async {
                self.still_is(from, copied).await?;
                // Refused, the condition is honoured. Obeyed, it is not: then the object, which was
                // to be deleted, is.
                let outcome = self.retried(|| storage.delete_if(from, NOBODYS)).await;
                match outcome {
                    Err(error) if error.code() == ErrorCode::ObjectChanged => {
                        self.progress.note("sources are deleted on the condition that they are unchanged (If-Match)");
                        Ok(true)
                    }
                    other => {
                        self.progress.note("the service of the source deletes without conditions: each source is looked at just before");
                        match other {
                            Ok(()) => Ok(false),
                            Err(error) if error.code() == ErrorCode::UsageInvalid => Ok(false),
                            Err(error) => Err(error),
                        }
                    }
                }
            })
            .await?;
        if !*honoured {
            return self.looked_and_deleted(from, copied).await;
        }
        match self.retried(|| storage.delete_if(from, etag)).await {
            Err(error) if error.code() == ErrorCode::ObjectChanged => Err(changed().source(error)),
            // An answer was lost, or somebody else was faster.
            Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(()),
            other => other,
        }
    }

    /// Whether a folder between the place that was named and this file of it is a link; asked of the
    /// disk once for each folder of files.
    async fn is_behind_a_link(&self, from: &ObjectPath) -> Result<bool> {
        let named = literal_prefix(&self.source.location.key);
        let below = named.rfind('/').map_or(0, |at| at + 1);
        let Some(end) = from.key.rfind('/').filter(|end| *end >= below) else { return Ok(false) };
        let folder = &from.key[..end];
        let known = self.ways.0.lock().unwrap_or_else(PoisonError::into_inner).get(folder).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let levels = from.key.match_indices('/').map(|(at, _)| at).filter(|at| *at >= below);
        let storage = &self.source.storage;
        let above: Vec<PathBuf> =
            levels.filter_map(|at| storage.local_path(&from.key[..at])).collect();
        let behind =
            tokio::task::spawn_blocking(move || above.iter().any(|folder| folder.is_symlink()))
                .await
                .map_err(broken)?;
        let mut ways = self.ways.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ways.len() >= KNOWN {
            ways.clear();
        }
        ways.insert(folder.to_owned(), behind);
        Ok(behind)
    }

    async fn still_is(&self, from: &ObjectPath, copied: &Found) -> Result<()> {
        let now = self.retried(|| self.source.storage.stat(from, None)).await?;
        if now.etag != copied.etag || Some(now.size) != copied.size {
            return Err(changed());
        }
        Ok(())
    }

    async fn looked_and_deleted(&self, from: &ObjectPath, copied: &Found) -> Result<()> {
        match self.still_is(from, copied).await {
            Err(error) if error.code() == ErrorCode::ObjectNotFound => return Ok(()),
            other => other?,
        }
        self.retried(|| self.source.storage.delete(from)).await
    }
}
