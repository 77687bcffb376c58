//! How much memory queries may hold, and where they put what does not fit.

use crate::cache::Caches;
use crate::error::from_engine;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;
use windlass_types::{ByteSize, Result};

/// Bytes of queries where nobody has said how many.
const UNTOLD: usize = 1 << 30;
/// Bytes that one query may put on the disk.
const DISK: u64 = 100 << 30;
/// Parts of a query that an error about memory names.
const NAMED: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// The memory that all queries of an engine share; sorts, groupings and joins go to disk beyond their
/// part of it.
#[derive(Debug, Clone)]
pub struct Budget {
    bytes: usize,
    pool: Arc<dyn MemoryPool>,
    pub(crate) caches: Caches,
    folder: Option<PathBuf>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(UNTOLD, None)
    }
}

impl Budget {
    /// A budget of `bytes`; what does not fit goes below `folder`, or to the system's place for
    /// temporary files.
    pub fn new(bytes: usize, folder: Option<PathBuf>) -> Self {
        // Nothing can run in less than a few buffers.
        let bytes = bytes.max(1 << 20);
        let caches = Caches::within(bytes);
        let pool = TrackConsumersPool::new(FairSpillPool::new(bytes - caches.limit()), NAMED);
        Self { bytes, pool: Arc::new(pool), caches, folder }
    }

    /// Bytes of it.
    pub fn size(&self) -> ByteSize {
        ByteSize(u64::try_from(self.bytes).unwrap_or(u64::MAX))
    }

    /// What one query runs in.
    pub(crate) fn runtime(&self) -> Result<Arc<RuntimeEnv>> {
        let mode = match &self.folder {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(DISK);
        let footers = Some(Arc::clone(&self.caches.footers));
        let caches = CacheManagerConfig {
            metadata_cache_limit: self.caches.footers.cache_limit(),
            ..CacheManagerConfig::default().with_file_metadata_cache(footers)
        };
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&self.pool))
            .with_disk_manager_builder(disk)
            .with_cache_manager(caches)
            .build_arc()
            .map_err(from_engine)?;
        // Whatever a log or a footer names, a query reads what its connections reach.
        let _ = runtime.deregister_object_store(&Url::parse("file:///").expect("it is constant"));
        Ok(runtime)
    }
}
