//! Listing as rows: first rows at once, constant memory.

use crate::engine::{Answer, Grade, Verdict};
use crate::rows::{self, Cell, Columns, Kind};
use futures::{StreamExt as _, TryStreamExt as _};
use windlass_s3::{ListOptions, Storage};
use windlass_types::{Entry, Location, Result};

/// Columns of `LIST`: part of the contract.
const COLUMNS: Columns = &[
    ("key", Kind::Text),
    ("kind", Kind::Text),
    ("path", Kind::Text),
    ("size", Kind::Integer),
    ("last_modified", Kind::Time),
    ("etag", Kind::Text),
    ("storage_class", Kind::Text),
];

/// Rows in a batch at most; a batch is sent as soon as the service's page is there.
const BATCH: usize = 1000;

/// Lists a place as an answer of rows.
pub(crate) fn list(
    storage: &Storage,
    location: &Location,
    recursive: bool,
    limit: Option<u64>,
) -> Answer {
    let options = ListOptions { recursive, display: true, ordered: true, ..ListOptions::default() };
    let limit = limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let batches = storage
        .list(location, options)
        .take(limit)
        .ready_chunks(BATCH)
        .map(|chunk| {
            // Rows that came before an error are still an answer; the error follows them.
            let mut rows = Vec::with_capacity(chunk.len());
            let mut failed = None;
            for entry in chunk {
                match entry {
                    Ok(entry) => rows.push(row(entry)),
                    Err(error) => failed = Some(error),
                }
            }
            let mut out: Vec<Result<_>> = Vec::new();
            if !rows.is_empty() {
                out.push(rows::batch(COLUMNS, &rows));
            }
            out.extend(failed.map(Err));
            futures::stream::iter(out)
        })
        .flatten()
        .into_stream()
        .boxed();
    Answer::Rows { schema: rows::schema(COLUMNS), batches, verdict: Verdict::new(Grade::Good) }
}

fn row(entry: Entry) -> Vec<Cell> {
    vec![
        entry.key.into(),
        entry.kind.as_str().into(),
        entry.path.into(),
        entry.size.into(),
        entry.last_modified.into(),
        entry.etag.into(),
        entry.storage_class.into(),
    ]
}
