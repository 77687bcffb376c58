//! What queries of one process remember of files in S3: footers of Parquet and the bytes they read.
//!
//! Whatever is kept belongs to one state of one object as one identity may read it: a query stats the
//! object first, so a new state, or a lost permission, is never answered from here.

use crate::files::SourceFile;
use bytes::Bytes;
use datafusion::execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache};
use datafusion::execution::cache::default_cache::DefaultCache;
use datafusion::execution::cache::{Cache, CacheKey, CacheValue};
use object_store::path::Path;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of footers that are kept.
const FOOTERS: usize = 64 << 20;

/// Most bytes of files that are kept.
const MOST: usize = 1 << 30;

/// Part of the memory of queries that goes to bytes of files: one in so many.
const PART: usize = 8;

/// The caches of one engine.
#[derive(Clone)]
pub(crate) struct Caches {
    /// Footers, by path of the store.
    pub(crate) footers: Arc<FileMetadataCache>,
    ranges: Arc<DefaultCache<RangeKey, Kept>>,
    limit: usize,
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// A range of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RangeKey {
    file: Path,
    range: Range<u64>,
}

impl CacheKey for RangeKey {
    fn size(&self) -> usize {
        size_of::<Self>() + self.file.as_ref().len()
    }

    fn table_ref(&self) -> Option<&datafusion::common::TableReference> {
        None
    }
}

/// Bytes of it.
#[derive(Debug, Clone)]
struct Kept(Bytes);

impl CacheValue for Kept {
    fn size(&self) -> usize {
        self.0.len()
    }
}

impl Caches {
    /// Caches within a budget of `bytes` for all of a process's queries.
    pub(crate) fn within(bytes: usize) -> Self {
        let limit = (bytes / PART).min(MOST);
        let footers: DefaultCache<Path, CachedFileMetadataEntry> =
            DefaultCache::new((limit / 4).min(FOOTERS)).with_name("footers");
        Self { footers: Arc::new(footers), ranges: Arc::new(DefaultCache::new(limit)), limit }
    }

    /// Bytes that may be held here at most, footers aside.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The bytes of a range that was read before.
    pub(crate) fn range(&self, file: &Path, range: &Range<u64>) -> Option<Bytes> {
        self.ranges.get(&RangeKey { file: file.clone(), range: range.clone() }).map(|kept| kept.0)
    }

    /// Keeps the bytes of a range. Bytes of a much bigger read are copied, so that they hold no more memory than
    /// they are counted for.
    pub(crate) fn keep(&self, file: &Path, range: &Range<u64>, bytes: &Bytes, alone: bool) {
        // One column of one query must not drive out everything else.
        if bytes.len() > self.limit / 4 {
            return;
        }
        let bytes = if alone { bytes.clone() } else { Bytes::copy_from_slice(bytes) };
        self.ranges.put(&RangeKey { file: file.clone(), range: range.clone() }, Kept(bytes));
    }
}

/// The path of one state of a file, the same in each query of the process; None where nothing tells one state
/// from another, or one reader from another.
pub(crate) fn lasting(file: &SourceFile) -> Option<String> {
    let (group, etag) = (file.storage.server_side_copy_group()?, file.etag.as_ref()?);
    let mut hash = [0_u64; 2];
    for (seed, hash) in hash.iter_mut().enumerate() {
        let mut hasher = DefaultHasher::new();
        (seed, &group, &file.object.bucket, &file.object.key, etag, file.size).hash(&mut hasher);
        (file.modified, file.storage.version()).hash(&mut hasher);
        *hash = hasher.finish();
    }
    Some(format!("{:016x}{:016x}", hash[0], hash[1]))
}
