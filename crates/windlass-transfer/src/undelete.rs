//! Bringing deleted objects of a versioned bucket back: the delete markers that hide them go.
//!
//! What to remove is decided row by row from the listing of versions ([`Undoing`], without IO). No
//! version of an object is touched, so doing it twice is harmless, and so is what was written meanwhile.

use crate::naming::Source;
use crate::plan::Filter;
use crate::request::{Side, Status};
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use windlass_s3::VersionEntry;
use windlass_types::{EntryKind, Error, Location, Result};

/// Markers deleted by one request.
const BATCH: usize = 1000;

/// Why a deleted key stays deleted.
pub const NOTHING_LEFT: &str = "no version of it is kept";

/// What to bring back.
#[derive(Debug, Clone, Default)]
pub struct UndeleteOptions {
    /// Names below the place.
    pub filter: Filter,
    /// Only what was deleted since then.
    pub newer_than: Option<DateTime<Utc>>,
    /// Only what was deleted before then.
    pub older_than: Option<DateTime<Utc>>,
    /// At most so many objects; those after them stay as they are.
    pub limit: Option<u64>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// A deleted object, and what became of it.
#[derive(Debug)]
pub struct Undeleted {
    /// Its whole key.
    pub key: String,
    /// When it was deleted last.
    pub deleted: Option<DateTime<Utc>>,
    /// Delete markers on top of it.
    pub markers: u64,
    /// The version that shows then.
    pub version: Option<String>,
    /// Bytes of that version.
    pub size: Option<u64>,
    /// `planned`, `done`, `failed`, or `skipped` when there is nothing to bring back.
    pub status: Status,
    /// Why it failed.
    pub error: Option<Error>,
}

/// One deleted key and the markers to remove from it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hidden {
    key: String,
    deleted: Option<DateTime<Utc>>,
    markers: Vec<String>,
    version: Option<String>,
    size: Option<u64>,
}

/// Reads versions, newest first within a key, and finds the keys that markers hide.
#[derive(Debug, Default)]
struct Undoing {
    /// The key whose rows are arriving, and whether its newest version was seen.
    key: Option<String>,
    decided: bool,
    hidden: Option<Hidden>,
}

impl Undoing {
    /// Takes a row; answers the key before it, if that was deleted, or its own.
    fn push(&mut self, row: VersionEntry) -> [Option<Hidden>; 2] {
        if row.entry.kind != EntryKind::Object {
            return [None, None];
        }
        let mut before = None;
        if self.key.as_ref() != Some(&row.entry.key) {
            before = self.hidden.take();
            self.key = Some(row.entry.key.clone());
            self.decided = false;
        }
        if self.decided {
            return [before, None];
        }
        if row.delete_marker {
            let hidden = self.hidden.get_or_insert_with(|| Hidden {
                key: row.entry.key,
                deleted: row.entry.last_modified,
                markers: Vec::new(),
                version: None,
                size: None,
            });
            hidden.markers.extend(row.version);
            return [before, None];
        }
        self.decided = true;
        let own = self.hidden.take().map(|hidden| Hidden {
            version: row.version,
            size: row.entry.size,
            ..hidden
        });
        [before, own]
    }

    /// The last key, if only markers of it are left.
    fn end(self) -> Option<Hidden> {
        self.hidden
    }
}

/// The keys below a place that delete markers hide.
fn hidden(
    rows: BoxStream<'static, Result<VersionEntry>>,
) -> impl futures::Stream<Item = Result<Hidden>> + Send {
    async_stream::try_stream! {
        let mut undoing = Undoing::default();
        let mut rows = rows;
        while let Some(row) = rows.try_next().await? {
            for found in undoing.push(row).into_iter().flatten() {
                yield found;
            }
        }
        if let Some(found) = undoing.end() {
            yield found;
        }
    }
}

/// Brings back what is deleted at a key, below a prefix or a bucket, or matches a glob. Items come as
/// they are done; an error ends the stream, after what was done before it.
pub fn undelete(side: Side, options: UndeleteOptions) -> BoxStream<'static, Result<Undeleted>> {
    async_stream::try_stream! {
        let bucket = side.location.need_bucket()?.to_owned();
        let source = Source::parse(&side.location.key)?;
        let prefix = match &source {
            Source::Key(key) => key.clone(),
            source => source.prefix().to_owned(),
        };
        let location = Location { bucket: Some(bucket.clone()), key: prefix };
        let base = source.base().to_owned();
        let wanted = move |found: &Hidden| {
            let named = match &source {
                // The listing of a key is one of a prefix.
                Source::Key(key) => *key == found.key,
                source => source.relative(&found.key).is_some(),
            };
            let name = found.key.strip_prefix(base.as_str()).unwrap_or(&found.key);
            let since = |least: DateTime<Utc>| found.deleted.is_some_and(|time| time >= least);
            let until = |most: DateTime<Utc>| found.deleted.is_some_and(|time| time < most);
            named
                && options.filter.takes(name)
                && options.newer_than.is_none_or(since)
                && options.older_than.is_none_or(until)
        };
        let most = usize::try_from(options.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let rows = side.storage.list_versions(&location, true);
        let found = hidden(rows)
            .try_filter(move |found| futures::future::ready(wanted(found)))
            .take(most);
        let mut batches = Box::pin(found.ready_chunks(BATCH / 2));
        while let Some(batch) = batches.next().await {
            let mut keys = Vec::new();
            let mut ended = None;
            for one in batch {
                match one {
                    Ok(found) => keys.push(found),
                    Err(error) => ended = Some(error),
                }
            }
            let mut failures = if options.dry_run {
                HashMap::new()
            } else {
                remove(&side, &bucket, &keys).await?
            };
            for found in keys {
                let error = failures.remove(&found.key);
                let status = match &error {
                    _ if found.version.is_none() => Status::Skipped,
                    Some(_) => Status::Failed,
                    None if options.dry_run => Status::Planned,
                    None => Status::Done,
                };
                yield Undeleted {
                    deleted: found.deleted,
                    markers: found.markers.len() as u64,
                    version: found.version,
                    size: found.size,
                    key: found.key,
                    status,
                    error,
                };
            }
            if let Some(error) = ended {
                Err(error)?;
            }
        }
    }
    .boxed()
}

/// Deletes the markers of keys that have something below them; answers the first failure of each.
/// The oldest marker goes first: whenever it stops, the key is deleted or brought back.
async fn remove(side: &Side, bucket: &str, keys: &[Hidden]) -> Result<HashMap<String, Error>> {
    let markers: Vec<(String, String)> = keys
        .iter()
        .filter(|found| found.version.is_some())
        .flat_map(|found| found.markers.iter().rev().map(|id| (found.key.clone(), id.clone())))
        .collect();
    let mut failures = HashMap::new();
    for batch in markers.chunks(BATCH) {
        for (key, error) in side.storage.delete_versions(bucket, batch).await? {
            failures.entry(key).or_insert(error);
        }
    }
    Ok(failures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_types::Entry;

    fn row(text: &str) -> VersionEntry {
        let (key, version) = text.trim_end_matches('!').split_once('@').unwrap();
        let marker = text.ends_with('!');
        let entry = Entry {
            key: key.to_owned(),
            kind: EntryKind::Object,
            path: key.to_owned(),
            size: (!marker).then_some(1),
            last_modified: None,
            etag: None,
            storage_class: None,
        };
        VersionEntry {
            entry,
            version: Some(version.to_owned()),
            latest: false,
            delete_marker: marker,
        }
    }

    #[tokio::test]
    async fn only_the_markers_on_top_of_a_version_hide_it() {
        let rows = [
            "a@2!", "a@1", // deleted once
            "b@4!", "b@3!", "b@2", "b@1!", "b@0", // twice, and once before
            "c@2", "c@1!", "c@0",  // deleted, and written again
            "d@1!", // nothing below
            "e@1",  // never deleted
            "f@2!", "f@1!",
        ];
        let rows: Vec<_> = rows.into_iter().map(|text| Ok(row(text))).collect();
        let found: Vec<Hidden> =
            hidden(futures::stream::iter(rows).boxed()).try_collect().await.unwrap();
        let told: Vec<String> = found
            .iter()
            .map(|one| {
                let version = one.version.as_deref().unwrap_or("-");
                format!("{} {} -> {version}", one.key, one.markers.join(" "))
            })
            .collect();
        assert_eq!(told, ["a 2 -> 1", "b 4 3 -> 2", "d 1 -> -", "f 2 1 -> -"]);
    }
}
