//! The expression of `--where` as a filter of transfers: the query engine evaluates it, transfers
//! know only that something judges rows.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use windlass_query::EntryExpr;
use windlass_transfer::EntryFilter;
use windlass_types::{Entry, Result};

#[derive(Debug)]
struct Where(EntryExpr);

impl EntryFilter for Where {
    fn takes(&self, base: &str, entries: &[Entry]) -> Result<Vec<bool>> {
        self.0.matches(base, entries)
    }
}

/// Compiles an expression over `key`, `path`, `size`, `last_modified`, `etag` and `storage_class`, for a run
/// that begins `now`.
pub(crate) fn compiled(text: &str, now: DateTime<Utc>) -> Result<Arc<dyn EntryFilter>> {
    Ok(Arc::new(Where(EntryExpr::compile(text, now)?)))
}
