//! The end of a run: deleting what only the destination has, folders that became empty, the trigger.
//!
//! Nothing here runs unless both listings ended complete and nobody interrupted.

use crate::book::{Book, Done};
use crate::both::Planned;
use crate::copy::{stamp, there};
use crate::digest::{hex, md5};
use crate::ends::{is_same_bucket, real};
use crate::leave::NOBODYS;
use crate::names::beside;
use crate::options::{CopyOptions, named};
use crate::own::taken;
use crate::plan::{Existing, Found, Planner};
use crate::request::Side;
use crate::run::{Run, interrupted};
use crate::spool::Spool;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use windlass_s3::{Links, ObjectMeta, PutOptions};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Keys deleted in one request.
const BATCH: usize = 1000;

/// Folders remembered to be removed when they are empty. More than these stay.
const FOLDERS: usize = 1_000_000;

/// Why what was to be deleted is left alone.
const WRITTEN: &str = "written meanwhile, so it was not deleted";

/// Refuses a sync whose deletions would reach its own source or backups.
pub(crate) fn check_apart(source: &Side, destination: &Side, options: &CopyOptions) -> Result<()> {
    let target = &destination.location.key;
    if let Some(backup) = &options.backup_to
        && backup.starts_with(target.as_str())
    {
        return Err(Error::new(
            ErrorCode::TransferRefused,
            format!("the backups in `{backup}` would lie inside the destination"),
        )
        .hint("choose a place outside it; the next sync would delete them"));
    }
    let base = source.location.key.as_str();
    let inside = match (real(source, base), real(destination, target)) {
        (Some(source), Some(destination)) => {
            source != destination && source.starts_with(destination)
        }
        (None, None) => {
            is_same_bucket(source, destination)
                && base != target
                && base.starts_with(target.as_str())
        }
        _ => false,
    };
    if options.delete && inside {
        return Err(Error::new(
            ErrorCode::TransferRefused,
            format!(
                "the source `{}` lies inside the destination `{}`, where it would be deleted",
                source.address(base),
                destination.address(target)
            ),
        )
        .hint(format!("leave {} out, or sync to another place", named("delete"))));
    }
    Ok(())
}

/// Deletes (or would delete) at the destination what the source does not have.
pub(crate) async fn delete_extras(
    run: &Arc<Run>,
    book: &mut Book,
    rest: Planned,
    planner: &Planner,
) -> Result<()> {
    let extras = without_renamed(rest.extras, planner)?;
    let count = extras.len();
    if count == 0 {
        return Ok(());
    }
    if let Some(most) = run.options.max_delete
        && !most.allows(count, rest.at_destination)
    {
        return Err(Error::new(
            ErrorCode::TransferRefused,
            format!(
                "{count} of {} objects at the destination would be deleted, more than the {most} allowed",
                rest.at_destination
            ),
        )
        .hint(format!(
            "nothing was deleted; see them with {}, or raise {}",
            named("dry-run"),
            named("max-delete")
        )));
    }
    let keep = match (book.summary.failed, run.options.dry_run) {
        (1.., false) => Some("kept, because other objects failed"),
        _ => None,
    };
    let backup = run.options.backup_to.clone().map(|prefix| (backup_run(run, &prefix), prefix));
    let mut folders = BTreeSet::new();
    let mut extras = extras.read()?;
    let mut conditional = None;
    let mut seen = 0_usize;
    loop {
        if run.cancel.is_cancelled() {
            return Err(interrupted());
        }
        tokio::select! {
            () = run.progress.room() => {}
            () = run.cancel.cancelled() => return Err(interrupted()),
        }
        let before = seen;
        let mut batch: Vec<Found> = Vec::new();
        for found in extras.by_ref() {
            let found = found?;
            seen += 1;
            match keep {
                Some(why) => book.deleted(&found, Ok(Done::Left(why.to_owned()))),
                None if run.options.dry_run => {
                    book.deleted(&found, Ok(Done::Written(String::new(), false)));
                }
                None => batch.push(found),
            }
            if seen.is_multiple_of(BATCH) {
                break;
            }
        }
        if seen == before {
            break;
        }
        if let Some((through, prefix)) = &backup {
            batch = backed_up(through, book, batch, prefix).await;
        }
        if !batch.is_empty() {
            let bucket = run.destination.location.need_bucket()?.to_owned();
            if conditional.is_none() {
                (conditional, batch) = probed(run, book, &bucket, batch).await;
            }
            delete_batch(run, book, &bucket, batch, conditional == Some(true), &mut folders).await;
        }
    }
    if let Some((through, _)) = &backup {
        run.by_size.fetch_add(through.by_size.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    if run.destination.is_folder() {
        remove_folders(&run.destination, &folders).await;
    }
    Ok(())
}

/// Without what the source has after all: under a name that it was given, or another spelling.
fn without_renamed(extras: Spool<Found>, planner: &Planner) -> Result<Spool<Found>> {
    if !planner.has_any_otherwise() {
        return Ok(extras);
    }
    let mut rest = Spool::default();
    for found in extras.read()? {
        let found = found?;
        if !planner.has_otherwise(&found.key) {
            rest.push(found)?;
        }
    }
    Ok(rest)
}

/// A run from the destination to this folder beside it, for backups.
fn backup_run(run: &Arc<Run>, prefix: &str) -> Arc<Run> {
    let mut beside = run.destination.clone();
    let links = if run.options.links == Links::Keep { Links::Keep } else { Links::Skip };
    if let Some(storage) = beside.storage.as_end(links, Some(prefix)) {
        beside.storage = storage;
    }
    Arc::new(Run::new(
        run.destination.clone(),
        beside,
        run.tuning.clone(),
        Arc::new(CopyOptions {
            concurrency: run.options.concurrency,
            max_memory: run.options.max_memory,
            bandwidth: run.options.bandwidth,
            check: run.options.check,
            links: run.options.links,
            ..CopyOptions::default()
        }),
        Arc::new(crate::request::Quiet),
        run.cancel.clone(),
    ))
}

/// Copies what is to be deleted; answers what was copied and verified.
async fn backed_up(run: &Arc<Run>, book: &mut Book, batch: Vec<Found>, prefix: &str) -> Vec<Found> {
    let below = run.destination.location.key.len();
    let results: Vec<(Found, Result<Found>)> = futures::stream::iter(batch)
        .map(|found| async {
            let copied = async {
                let key = format!("{prefix}{}", found.key.get(below..).unwrap_or(&found.key));
                let to = run.destination.object(&free(run, key, &stamp(&found)).await?)?;
                run.verified_object(&found, &to, &Existing::Absent).await
            };
            let copied = copied.await;
            (found, copied)
        })
        .buffer_unordered(crate::DEFAULT_CONCURRENCY)
        .collect()
        .await;
    let mut kept = Vec::with_capacity(results.len());
    for (found, copied) in results {
        match copied {
            Ok(state) if state.etag == found.etag => kept.push(found),
            Ok(_) => book.deleted(&found, Ok(Done::Left(WRITTEN.to_owned()))),
            Err(error) => book.deleted(&found, Err(&error)),
        }
    }
    kept
}

/// A key for a backup under which no earlier one lies: its own, or one with its time, as of copies
/// that are kept beside what is there.
async fn free(run: &Run, key: String, stamp: &str) -> Result<String> {
    let mut free = key.clone();
    let mut number = 1;
    while there(run, &free).await?.is_some() {
        free = match number {
            1 => beside(&key, stamp),
            more => beside(&key, &format!("{stamp}-{more}")),
        };
        number += 1;
    }
    Ok(free)
}

/// Finds out, by the first object that still is what was listed, whether the destination deletes many
/// on the condition that each is; unknown where none is left that is. Answers the objects to delete, too:
/// not those that were seen to be something else by now.
async fn probed(
    run: &Run,
    book: &mut Book,
    bucket: &str,
    batch: Vec<Found>,
) -> (Option<bool>, Vec<Found>) {
    let storage = &run.destination.storage;
    let mut known = None;
    let mut rest = Vec::with_capacity(batch.len());
    for found in batch {
        if known.is_some() || found.etag.is_none() {
            rest.push(found);
            continue;
        }
        let object = ObjectPath { bucket: bucket.to_owned(), key: found.key.clone() };
        match run.retried(|| storage.stat(&object, None)).await {
            Ok(now) if now.etag == found.etag && Some(now.size) == found.size => {
                // Refused, the condition is honoured. Obeyed, it is not: then the object, which was to
                // be deleted, is.
                let nobodys = [(found.key.clone(), NOBODYS.to_owned())];
                let outcome = run.retried(|| storage.delete_many_if(bucket, &nobodys)).await;
                known = Some(outcome.is_ok_and(|failed| {
                    failed.iter().any(|(_, error)| error.code() == ErrorCode::ObjectChanged)
                }));
                tracing::debug!(honoured = ?known, "deleting many under conditions");
            }
            Ok(now) if is_rewritten(run, &now, &found) => {
                book.deleted(&found, Ok(Done::Left(WRITTEN.to_owned())));
                continue;
            }
            Err(error) if error.code() == ErrorCode::ObjectNotFound => {}
            // Its listings have other ETags than its objects, or it does not tell.
            Ok(_) | Err(_) => known = Some(false),
        }
        rest.push(found);
    }
    (known, rest)
}

/// Whether an object whose `ETag` is not the listed one is another by what else is known of it.
fn is_rewritten(run: &Run, now: &ObjectMeta, listed: &Found) -> bool {
    let second = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp());
    run.destination.is_folder()
        || Some(now.size) != listed.size
        || second(now.last_modified) != second(listed.modified)
}

/// Deletes what was listed; under `conditional` only what still is that.
async fn delete_batch(
    run: &Run,
    book: &mut Book,
    bucket: &str,
    batch: Vec<Found>,
    conditional: bool,
    folders: &mut BTreeSet<String>,
) {
    let storage = &run.destination.storage;
    let (listed, others): (Vec<Found>, Vec<Found>) =
        batch.into_iter().partition(|found| conditional && found.etag.is_some());
    if !listed.is_empty() {
        let pair = |found: &Found| (found.key.clone(), found.etag.clone().unwrap_or_default());
        let objects: Vec<(String, String)> = listed.iter().map(pair).collect();
        let failed = run.retried(|| storage.delete_many_if(bucket, &objects)).await;
        enter(run, book, &listed, failed, folders);
    }
    if !others.is_empty() {
        let keys: Vec<String> = others.iter().map(|found| found.key.clone()).collect();
        let failed = run.retried(|| storage.delete_many(bucket, &keys)).await;
        enter(run, book, &others, failed, folders);
    }
}

/// Enters how the deletion of a batch ended.
fn enter(
    run: &Run,
    book: &mut Book,
    batch: &[Found],
    failed: Result<Vec<(String, Error)>>,
    folders: &mut BTreeSet<String>,
) {
    let failed = match failed {
        Ok(failed) => failed,
        Err(error) => {
            for found in batch {
                book.deleted(found, Err(&error));
            }
            return;
        }
    };
    for found in batch {
        match failed.iter().find(|(key, _)| *key == found.key) {
            Some((_, error)) if error.code() == ErrorCode::ObjectChanged => {
                book.deleted(found, Ok(Done::Left(WRITTEN.to_owned())));
            }
            Some((_, error)) => book.deleted(found, Err(error)),
            None => {
                note_folders(folders, &found.key, &run.destination.location.key);
                book.deleted(found, Ok(Done::Written(String::new(), false)));
            }
        }
    }
}

/// Remembers the folders between `base` and a key that went away.
pub(crate) fn note_folders(folders: &mut BTreeSet<String>, key: &str, base: &str) {
    let below = base.rfind('/').map_or(0, |at| at + 1);
    for (at, _) in key.match_indices('/').filter(|(at, _)| *at >= below) {
        if folders.len() >= FOLDERS {
            return;
        }
        folders.insert(key[..=at].to_owned());
    }
}

/// Removes folders that are empty, deepest first; the others stay without a word. Answers how many.
pub(crate) async fn remove_folders(side: &Side, folders: &BTreeSet<String>) -> u64 {
    let mut removed = 0;
    // Byte order puts what lies below a folder after it.
    for folder in folders.iter().rev() {
        let Ok(object) = side.object(folder) else { continue };
        if side.storage.delete(&object).await.is_ok() {
            removed += u64::from(side.storage.stat(&object, None).await.is_err());
        }
    }
    removed
}

/// Writes the empty object that says that the run is over (M-J11).
pub(crate) async fn trigger(run: &Run, book: &Book) -> Result<()> {
    let Some(key) = &run.own.trigger else { return Ok(()) };
    let summary = &book.summary;
    let changed = summary.copied + summary.updated + summary.deleted > 0;
    if run.options.dry_run || !(changed || run.options.trigger_always) {
        return Ok(());
    }
    let to = run.destination.object(key)?;
    if book.on_trigger {
        return Err(taken(run, key)
            .hint("the copy is there, the trigger file is not; give it another name"));
    }
    if summary.failed > 0 {
        run.progress.note(&format!(
            "the trigger file `{}` was not written, because some objects failed",
            run.destination.address(&to.key)
        ));
        return Ok(());
    }
    // Who sees the trigger file finds what is said of the run.
    run.progress.before_trigger().await?;
    let storage = &run.destination.storage;
    let result =
        run.retried(|| storage.put(&to, bytes::Bytes::new(), PutOptions::default())).await?;
    let expected = hex(&md5(b""));
    run.verify_written(&to, 0, &expected, result.etag.as_deref(), None).await
}
