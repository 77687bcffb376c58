//! The folder that a copy writes into: no key in it may lead through a folder that is a link.

use crate::names::{join, split};
use crate::tree::Tree;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use windlass_s3::local::through_link;
use windlass_types::Result;

/// Folders remembered at most.
const KNOWN: usize = 4096;

/// A folder, by its key.
#[derive(Debug)]
pub(crate) struct Bound {
    below: String,
    /// Where folders really are.
    known: Mutex<HashMap<String, String>>,
}

impl Bound {
    pub(crate) fn new(below: &str) -> Self {
        Self { below: below.trim_end_matches('/').to_owned(), known: Mutex::default() }
    }

    /// Refuses a key whose files another key names too, since a folder above it is a link. Asks once for
    /// each folder that is there.
    pub(crate) async fn hold(&self, tree: &dyn Tree, key: &str) -> Result<()> {
        let folder = key.strip_suffix('/').unwrap_or_else(|| split(key).0);
        let rest = match folder.strip_prefix(self.below.as_str()) {
            Some(rest) if self.below.is_empty() || rest.is_empty() || rest.starts_with('/') => rest,
            _ => return Ok(()),
        };
        let mut path = self.below.clone();
        let Some(mut real) = self.real(tree, &path).await? else { return Ok(()) };
        for name in rest.split('/').filter(|name| !name.is_empty()) {
            path = join(&path, name);
            let Some(found) = self.real(tree, &path).await? else { return Ok(()) };
            if found != join(&real, name) {
                return Err(through_link(key, &path));
            }
            real = found;
        }
        Ok(())
    }

    async fn real(&self, tree: &dyn Tree, path: &str) -> Result<Option<String>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(real) = known().get(path) {
            return Ok(Some(real.clone()));
        }
        let found = tree.real(path).await?;
        if let Some(real) = &found {
            let mut known = known();
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(path.to_owned(), real.clone());
        }
        Ok(found)
    }
}
