//! Running a copy, move or sync: the plan ahead, objects side by side, one line for each.
//!
//! An object that fails is a line; a listing that fails ends the run, after what was begun.

use crate::book::{Book, Done};
use crate::both::{self, plan, step_for};
use crate::change::{EXISTS, IfExists, decide};
use crate::earlier::BEFORE;
use crate::ends;
use crate::extras;
use crate::names;
use crate::naming::{Naming, Source, check_listed};
use crate::object::broken;
use crate::options::{CopyOptions, named};
use crate::plan::{Existing, Filter, Found, Planner, Step, Target, UNCHANGED};
use crate::request::{CopyRequest, Progress, Side, Summary};
use crate::run::{Run, interrupted};
use crate::tuning::Tuning;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use windlass_s3::Storage;
use windlass_types::{Entry, Error, ErrorCode, Name, Result, RunId};

/// Copies (or moves, or syncs) what the request names. Failed objects are counted in the answer; an error is
/// returned when the whole cannot go on: a listing that fails, a bucket that is not there,
/// credentials that are refused, an interruption. Of a single key its own failure is the error.
pub async fn copy(
    request: CopyRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Summary> {
    copy_with(request, Tuning::default(), progress, cancel).await
}

/// The same with other limits.
pub async fn copy_with(
    request: CopyRequest,
    tuning: Tuning,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Summary> {
    let run = RunId::new();
    let span = tracing::info_span!("transfer.run", %run);
    copy_as(run, request, tuning, progress, cancel).instrument(span).await
}

/// How a step ended.
struct Ended {
    found: Found,
    to: String,
    outcome: Result<Done>,
}

async fn copy_as(
    run_id: RunId,
    request: CopyRequest,
    tuning: Tuning,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Summary> {
    let started = Instant::now();
    let CopyRequest { source, destination, mut options, filter, journal, earlier } = request;
    options.check()?;
    source.location.need_bucket()?;
    destination.location.need_bucket()?;
    writable(&destination.storage)?;
    if options.delete_source {
        writable(&source.storage)?;
    }
    let naming = Naming::new(&source.location.key, &destination.location.key)?;
    let one = matches!(naming.source, Source::Key(_));
    if let Some(files) = &mut options.files {
        *files = listed(std::mem::take(files), &source)?;
    }
    let options = Arc::new(options);
    let (source, mut destination) = ends::prepared(source, destination, &naming, &options)?;
    // What everything goes below, with its `/`, also if that was not typed.
    if !one {
        naming.target().clone_into(&mut destination.location.key);
    }
    ends::check_outside(&source, &destination, &naming)?;
    extras::check_apart(&source, &destination, &options)?;
    let tells_case = destination.storage.tells_case_apart(naming.target(), !options.dry_run).await;
    let target = Target {
        one_place: source.is_same_place(&destination),
        is_folder: destination.is_folder(),
        tells_case,
        names: options.names,
        case: options.case,
        in_place: options.gives() && !options.delete_source && !options.compares(),
        // Names of a list are asked for one by one, and what is not there fails.
        shows_lost_links: options.files.is_none() && source.storage.local_path("").is_some(),
    };
    let chosen = Filter {
        include: CopyOptions::patterns(&options.include)?,
        exclude: CopyOptions::patterns(&options.exclude)?,
    };
    let planner = Planner::new(naming, chosen, target)?.written_to(&destination.storage);
    let mut run = Run::new(
        source,
        destination,
        tuning,
        Arc::clone(&options),
        Arc::clone(&progress),
        cancel.clone(),
    );
    run.journal = journal;
    // A dry run has done nothing before.
    run.earlier = earlier.filter(|_| !options.dry_run);
    let run = Arc::new(run);
    let (sender, mut steps) = mpsc::channel(run.tuning.queue.max(1));
    let planning = tokio::spawn(plan(Arc::clone(&run), planner, filter, sender).in_current_span());

    let mut book = Book {
        moves: options.delete_source,
        run: Arc::clone(&run),
        summary: Summary {
            run: run_id,
            copied: 0,
            updated: 0,
            deleted: 0,
            skipped: 0,
            failed: 0,
            bytes: 0,
            seconds: 0.0,
            dry_run: options.dry_run,
        },
        fatal: None,
        last: None,
        on_trigger: false,
    };
    let mut emptied = BTreeSet::new();
    let mut tasks: JoinSet<Ended> = JoinSet::new();
    let mut listed = false;
    loop {
        tokio::select! {
            () = progress.room() => {}
            () = cancel.cancelled() => {}
        }
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                Ok(Ended { found, to, outcome }) => {
                    if options.remove_empty_folders && matches!(outcome, Ok(Done::Written(..))) {
                        extras::note_folders(&mut emptied, &found.key, &run.source.location.key);
                    }
                    book.enter(&found, &to, outcome);
                }
                Err(error) => book.fatal = Some(broken(error)),
            },
            // After a fatal error nothing is waited for but what was begun.
            () = cancel.cancelled(), if !listed && book.fatal.is_none() => listed = true,
            step = steps.recv(), if !listed && book.fatal.is_none() && tasks.len() < run.at_once() => {
                match step {
                    None => listed = true,
                    Some(Step::Skip(found, to, why)) => book.skipped(&found, &to, why),
                    Some(Step::Refuse(found, to, why)) => book.enter(&found, &to, refused(why)),
                    Some(step) => {
                        let run = Arc::clone(&run);
                        tasks.spawn(async move { do_step(&run, step).await }.in_current_span());
                    }
                }
            }
            else => break,
        }
    }
    // The planning stops when nobody takes its steps any more.
    drop(steps);
    let ended = both::join(planning).await;
    let stopped = |summary: &Summary| {
        interrupted().hint(format!(
            "{} objects were copied before; running it again is harmless",
            summary.copied + summary.updated
        ))
    };
    if cancel.is_cancelled() {
        return Err(stopped(&book.summary));
    }
    if book.fatal.is_some() || ended.is_err() {
        book.tell_rest();
    }
    if let Some(fatal) = book.fatal {
        return Err(fatal);
    }
    let (rest, planner) = ended?;
    if options.delete {
        let deleted = extras::delete_extras(&run, &mut book, rest, &planner).await;
        if cancel.is_cancelled() {
            return Err(stopped(&book.summary));
        }
        if deleted.is_err() {
            book.tell_rest();
        }
        deleted?;
    }
    book.tell_rest();
    let by_size = run.by_size.load(Ordering::Relaxed);
    if by_size > 0 {
        run.progress.note(&format!(
            "{by_size} objects were copied by the service and compared by size alone, since it tells no checksum of both ends; the value `read-back` of {} reads them again",
            named("check")
        ));
    }
    if options.remove_empty_folders && !options.dry_run && run.source.is_folder() {
        let removed = extras::remove_folders(&run.source, &emptied).await;
        run.progress.note(&format!("{removed} empty folders were removed"));
    }
    if one && let Some(error) = book.last {
        return Err(error);
    }
    extras::trigger(&run, &book).await?;
    book.summary.seconds = started.elapsed().as_secs_f64();
    let Summary { copied, updated, deleted, failed, bytes, .. } = book.summary;
    tracing::info!(copied, updated, deleted, failed, bytes, "run finished");
    Ok(book.summary)
}

/// The names of a list, each once; an error for one that no object of the source can have.
fn listed(files: Vec<String>, source: &Side) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    for name in &files {
        check_listed(name, source)?;
    }
    Ok(files.into_iter().filter(|name| seen.insert(name.clone())).collect())
}

fn refused(why: String) -> Result<Done> {
    Err(Error::new(ErrorCode::PathInvalid, why))
}

fn writable(storage: &Storage) -> Result<()> {
    let name: &Name = storage.name();
    if storage.read_only() {
        return Err(Error::new(
            ErrorCode::ConnectionReadOnly,
            format!("connection `{name}` is READ_ONLY"),
        )
        .hint("write through another connection"));
    }
    Ok(())
}

async fn do_step(run: &Arc<Run>, step: Step) -> Ended {
    let (Step::Copy(found, to, _)
    | Step::Beside(found, to)
    | Step::Skip(found, to, _)
    | Step::Refuse(found, to, _)) = &step;
    let (mut found, to) = (found.clone(), to.clone());
    let outcome = match settled(run, step).await {
        Ok(Step::Copy(_, to, existing)) => write(run, &mut found, to, &existing).await,
        Ok(Step::Skip(_, _, why)) => Ok(Done::Left(why)),
        Ok(Step::Refuse(_, _, why)) => refused(why),
        Ok(Step::Beside(..)) => Ok(Done::Left(UNCHANGED.to_owned())),
        Err(error) => Err(error),
    };
    let outcome = match (outcome, run.options.restore_days) {
        (Err(error), Some(days)) if error.code() == ErrorCode::ObjectArchived => {
            Err(restored(run, &found, error, days).await)
        }
        (outcome, _) => outcome,
    };
    Ended { found, to, outcome }
}

/// Asks for an archived object to be restored; what the item then says.
async fn restored(run: &Run, found: &Found, error: Error, days: u32) -> Error {
    let asked = async {
        let object = run.source.object(&found.key)?;
        run.retried(|| run.source.storage.restore(&object, days)).await
    };
    match asked.await {
        Ok(()) => Error::new(
            ErrorCode::ObjectArchived,
            "archived; its restoration was asked for, which takes hours",
        )
        .hint("run it again then"),
        Err(refused) => error.hint(format!("it could not be restored: {}", refused.chain())),
    }
}

/// What the destination has under a key; None if nothing.
pub(crate) async fn there(run: &Run, key: &str) -> Result<Option<Entry>> {
    let object = run.destination.object(key)?;
    match run.retried(|| run.destination.storage.stat(&object, None)).await {
        Ok(meta) => {
            let found = Found {
                key: key.to_owned(),
                size: Some(meta.size),
                etag: meta.etag,
                modified: meta.last_modified,
                storage_class: None,
            };
            Ok(Some(found.entry()))
        }
        Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What tells a copy that is kept beside what is there: the time of what it was made of.
pub(crate) fn stamp(found: &Found) -> String {
    match found.modified {
        Some(time) => time.format("%Y%m%dT%H%M%SZ").to_string(),
        None => found.etag.clone().unwrap_or_else(|| "copy".to_owned()),
    }
}

/// Asks for what the plan left open, so that a step is a copy, or nothing to do.
async fn settled(run: &Arc<Run>, step: Step) -> Result<Step> {
    let mut step = step;
    if let Step::Copy(found, to, Existing::Ask) = step {
        let there = there(run, &to).await?;
        if let Some(entry) = &there
            && run.copied_before(&found.entry(), &to, entry, true).await
        {
            return Ok(Step::Skip(found, to, BEFORE.to_owned()));
        }
        if !run.options.compares() {
            return Ok(Step::Copy(found, to, Existing::Unknown));
        }
        step = match there {
            None => Step::Copy(found, to, Existing::Absent),
            Some(_) if to.ends_with('/') && run.destination.is_folder() => {
                Step::Skip(found, to, UNCHANGED.to_owned())
            }
            Some(entry) => {
                let (test, facts) = (run.options.test(), run.facts(true));
                let verdict = decide(test, run.options.if_exists, &found.entry(), &entry, facts);
                step_for(verdict, found, to, entry)
            }
        };
    }
    if let Step::Copy(found, to, Existing::Differing(entry)) = step {
        step = match (run.same_content(&found.entry(), &entry).await?, run.options.if_exists) {
            (true, _) => Step::Skip(found, to, UNCHANGED.to_owned()),
            (false, IfExists::KeepBoth) => Step::Beside(found, to),
            (false, IfExists::Fail) => Step::Refuse(found, to, EXISTS.to_owned()),
            (false, _) => Step::Copy(found, to, Existing::There(entry)),
        };
    }
    if let Step::Beside(found, to) = step {
        let to = names::beside(&to, &stamp(&found));
        step = match there(run, &to).await? {
            Some(entry) if entry.size == found.size => {
                Step::Skip(found, to, "kept beside the destination already".to_owned())
            }
            Some(_) => Step::Refuse(found, to, EXISTS.to_owned()),
            None => Step::Copy(found, to, Existing::Absent),
        };
    }
    Ok(step)
}

/// Copies one object, and after a verified copy deletes its source if it is to move.
async fn write(
    run: &Arc<Run>,
    found: &mut Found,
    key: String,
    existing: &Existing,
) -> Result<Done> {
    let over = matches!(existing, Existing::There(_));
    if run.options.dry_run {
        return Ok(Done::Written(key, over));
    }
    let moves = run.options.delete_source;
    let to = run.destination.object(&key)?;
    let from = run.source.object(&found.key)?;
    if moves && is_same_object(run, found, &from.bucket, &key).await? {
        return Ok(Done::Left("source and destination are the same object".to_owned()));
    }
    let copied = run.verified_object(found, &to, existing).await?;
    // It may have changed since it was listed.
    found.size = copied.size;
    if moves {
        match run.delete_source(&from, &copied).await {
            Err(error) if error.code() == ErrorCode::Interrupted => return Err(error),
            Err(error) => return Ok(Done::Undeleted(key, over, copied_only(error))),
            Ok(()) => {}
        }
    }
    Ok(Done::Written(key, over))
}

/// The error of a move that copied and could not delete.
fn copied_only(error: Error) -> Error {
    // It says so itself.
    if error.code() == ErrorCode::ObjectChanged {
        return error;
    }
    let hint = error.hint_text().map_or_else(
        || {
            "it is at both places now; moving it again, or deleting the source, ends that"
                .to_owned()
        },
        str::to_owned,
    );
    Error::new(error.code(), "copied, but not deleted at the source").source(error).hint(hint)
}

/// Two connections may lead to one object, which a move would then delete: if both ends have the
/// same name and the same state, they are taken for one.
async fn is_same_object(run: &Run, found: &Found, bucket: &str, to: &str) -> Result<bool> {
    let folders = run.source.is_folder() && run.destination.is_folder();
    let same_name = run.destination.location.bucket.as_deref() == Some(bucket) && to == found.key;
    if run.source.is_folder() != run.destination.is_folder() || !(folders || same_name) {
        return Ok(false);
    }
    let (from, to) = (run.source.object(&found.key)?, run.destination.object(to)?);
    let (one, two) =
        tokio::join!(run.source.storage.stat(&from, None), run.destination.storage.stat(&to, None));
    Ok(match (one, two) {
        (Ok(one), Ok(two)) => {
            one.etag.is_some()
                && one.etag == two.etag
                && one.size == two.size
                && one.last_modified == two.last_modified
        }
        _ => false,
    })
}

#[cfg(test)]
mod again_tests;
#[cfg(test)]
mod left_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
pub(crate) mod tests;
