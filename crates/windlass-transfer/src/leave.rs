//! Deleting the source of a move: only if it still is what was copied, and never by version, so that
//! the history of a versioned bucket stays.

use crate::plan::Found;
use crate::run::Run;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// An `ETag` that no object has.
const NOBODYS: &str = "00000000000000000000000000000000-0";

fn changed() -> Error {
    Error::new(ErrorCode::ObjectChanged, "changed after it was copied, so it was not deleted")
}

impl Run {
    /// Deletes a source whose copy is verified, if it is still what was copied.
    pub(crate) async fn delete_source(&self, from: &ObjectPath, copied: &Found) -> Result<()> {
        if self.is_behind_a_link(from) {
            return Err(Error::new(
                ErrorCode::UsageInvalid,
                "it lies behind a link to another folder, so it was copied and not deleted",
            )
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

    /// Whether a folder between the place that was named and this file of it is a link.
    fn is_behind_a_link(&self, from: &ObjectPath) -> bool {
        let storage = &self.source.storage;
        let named = self.source.location.key.split(['*', '?', '[', '{']).next().unwrap_or_default();
        let below = named.rfind('/').map_or(0, |at| at + 1);
        from.key.match_indices('/').filter(|(at, _)| *at >= below).any(|(at, _)| {
            storage.local_path(&from.key[..at]).is_some_and(|folder| folder.is_symlink())
        })
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
