//! Running a copy: the listing ahead, objects side by side, one line for each.
//!
//! An object that fails is a line; a listing that fails ends the run, after what was begun.

use crate::naming::{Naming, Source};
use crate::object::broken;
use crate::plan::{Filter, Found, Planner, Step};
use crate::request::{Action, CopyRequest, Item, Progress, Status, Summary};
use crate::run::{Run, interrupted, stat_source};
use crate::tuning::Tuning;
use crate::{DEFAULT_CONCURRENCY, DEFAULT_MAX_MEMORY};
use futures::TryStreamExt;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use windlass_s3::{ListOptions, Storage};
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Name, Result, RunId};

/// Copies (or moves) what the request names. Failed objects are counted in the answer; an error is
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
    /// Bytes, or None if it was left alone.
    outcome: Result<Option<Skipped>>,
}

/// Why an object was left alone after all.
struct Skipped(&'static str);

async fn copy_as(
    run_id: RunId,
    request: CopyRequest,
    tuning: Tuning,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Summary> {
    let started = Instant::now();
    let CopyRequest {
        source,
        destination,
        include,
        exclude,
        dry_run,
        move_,
        concurrency,
        max_memory,
    } = request;
    source.location.need_bucket()?;
    destination.location.need_bucket()?;
    writable(&destination.storage)?;
    if move_ {
        writable(&source.storage)?;
    }
    let concurrency = if concurrency == 0 { DEFAULT_CONCURRENCY } else { concurrency };
    let max_memory = if max_memory == 0 { DEFAULT_MAX_MEMORY } else { max_memory };
    let naming = Naming::new(&source.location.key, &destination.location.key)?;
    let one = matches!(naming.source, Source::Key(_));
    let planner = Planner::new(
        naming,
        Filter { include, exclude },
        source.is_same_place(&destination),
        destination.is_folder(),
    )?;
    let run = Arc::new(Run::new(
        source,
        destination,
        tuning,
        (concurrency, max_memory),
        Arc::clone(&progress),
        cancel.clone(),
    ));
    let (sender, mut steps) = mpsc::channel(run.tuning.queue.max(1));
    let listing = tokio::spawn(plan(Arc::clone(&run), planner, sender).in_current_span());

    let mut book = Book {
        action: if move_ { Action::Move } else { Action::Copy },
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
            dry_run,
        },
        fatal: None,
        last: None,
    };
    let mut tasks: JoinSet<Ended> = JoinSet::new();
    let mut listed = false;
    loop {
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                Ok(ended) => book.enter(ended),
                Err(error) => book.fatal = Some(broken(error)),
            },
            () = cancel.cancelled(), if !listed => listed = true,
            step = steps.recv(), if !listed && book.fatal.is_none() && tasks.len() < concurrency => {
                match step {
                    None => listed = true,
                    Some(Step::Copy(found, to)) if dry_run => book.planned(&found, &to),
                    Some(Step::Copy(found, to)) => {
                        let run = Arc::clone(&run);
                        tasks.spawn(async move {
                            let outcome = do_step(&run, &found, &to, move_).await;
                            Ended { found, to, outcome }
                        }.in_current_span());
                    }
                    Some(Step::Skip(found, to, why)) => book.skipped(&found, &to, why),
                    Some(Step::Refuse(found, to, why)) => {
                        let error = Error::new(ErrorCode::PathInvalid, why);
                        book.enter(Ended { found, to, outcome: Err(error) });
                    }
                }
            }
            else => break,
        }
    }
    // The listing stops when nobody takes its steps any more.
    drop(steps);
    let listing = listing.await.map_err(broken)?;
    book.summary.seconds = started.elapsed().as_secs_f64();
    if cancel.is_cancelled() {
        return Err(interrupted().hint(format!(
            "{} objects were copied before; running it again is harmless",
            book.summary.copied
        )));
    }
    if let Some(fatal) = book.fatal {
        return Err(fatal);
    }
    listing?;
    if one && let Some(error) = book.last {
        return Err(error);
    }
    let Summary { copied, failed, bytes, .. } = book.summary;
    tracing::info!(copied, failed, bytes, "run finished");
    Ok(book.summary)
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

/// Lists the source and sends the steps.
async fn plan(run: Arc<Run>, mut planner: Planner, steps: mpsc::Sender<Step>) -> Result<()> {
    let mut items = 0;
    let mut bytes = 0;
    let mut listing = match &planner.naming().source {
        Source::Key(key) => {
            let object = run.source.object(key)?;
            let meta = stat_source(&run.source.storage, &object).await?;
            let entry = Entry {
                path: String::new(),
                key: key.clone(),
                kind: EntryKind::Object,
                size: Some(meta.size),
                last_modified: meta.last_modified,
                etag: meta.etag,
                storage_class: meta.storage_class,
            };
            Box::pin(futures::stream::iter([Ok(entry)]))
        }
        source => {
            let bucket = run.source.location.bucket.clone();
            let location = Location { bucket, key: source.prefix().to_owned() };
            run.source
                .storage
                .list(&location, ListOptions { recursive: true, ..ListOptions::default() })
        }
    };
    loop {
        let entry = tokio::select! {
            () = run.cancel.cancelled() => return Ok(()),
            entry = listing.try_next() => entry?,
        };
        let Some(entry) = entry else { break };
        let Some(step) = planner.step(entry) else { continue };
        if let Step::Copy(found, _) = &step {
            items += 1;
            bytes += found.size.unwrap_or_default();
            if items % 64 == 1 {
                run.progress.planned(items, bytes);
            }
        }
        if steps.send(step).await.is_err() {
            return Ok(());
        }
    }
    run.progress.planned(items, bytes);
    if planner.seen > 0 {
        return Ok(());
    }
    match &planner.naming().source {
        Source::Folder(folder) if folder.is_empty() => Ok(()),
        // An empty folder of a machine is there, and is listed as nothing.
        Source::Folder(folder) => {
            match run.source.storage.stat(&run.source.object(folder)?, None).await {
                Ok(_) => Ok(()),
                Err(_) => {
                    Err(nothing(format!("there is nothing below `{}`", run.source.address(folder))))
                }
            }
        }
        source => Err(nothing(format!(
            "nothing matches `{}`",
            match source {
                Source::Glob(pattern) => run.source.address(pattern.as_str()),
                other => run.source.address(other.prefix()),
            }
        ))),
    }
}

fn nothing(message: String) -> Error {
    Error::new(ErrorCode::ObjectNotFound, message)
        .hint("list the place above it with `windlass ls`")
}

/// Copies one object, and after a verified copy deletes its source if it is to move.
async fn do_step(run: &Arc<Run>, found: &Found, key: &str, move_: bool) -> Result<Option<Skipped>> {
    let to = run.destination.object(key)?;
    let from = run.source.object(&found.key)?;
    if move_ && is_same_object(run, found, &from.bucket, key).await? {
        return Ok(Some(Skipped("source and destination are the same object")));
    }
    let copied = run.object(found, &to).await?;
    if move_ {
        let now = run.retried(|| run.source.storage.stat(&from, None)).await?;
        if now.etag != copied.etag || Some(now.size) != copied.size {
            return Err(Error::new(
                ErrorCode::ObjectChanged,
                "changed after it was copied, so it was not deleted",
            ));
        }
        run.retried(|| run.source.storage.delete(&from)).await?;
    }
    Ok(None)
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

/// The lines and figures of a run.
struct Book {
    action: Action,
    run: Arc<Run>,
    summary: Summary,
    /// Why nothing more can be done.
    fatal: Option<Error>,
    /// The last failure.
    last: Option<Error>,
}

impl Book {
    fn line(
        &self,
        action: Action,
        found: &Found,
        to: &str,
        status: Status,
        reason: Option<String>,
    ) {
        self.run.progress.item(&Item {
            action,
            source: self.run.source.address(&found.key),
            destination: self.run.destination.address(to),
            size: found.size.unwrap_or_default(),
            status,
            reason,
        });
    }

    fn planned(&mut self, found: &Found, to: &str) {
        self.summary.copied += 1;
        self.summary.deleted += u64::from(self.action == Action::Move);
        self.summary.bytes += found.size.unwrap_or_default();
        self.line(self.action, found, to, Status::Planned, None);
    }

    fn skipped(&mut self, found: &Found, to: &str, why: String) {
        self.summary.skipped += 1;
        self.line(Action::Skip, found, to, Status::Skipped, Some(why));
    }

    fn enter(&mut self, ended: Ended) {
        let Ended { found, to, outcome } = ended;
        match outcome {
            Ok(None) => {
                self.summary.copied += 1;
                self.summary.deleted += u64::from(self.action == Action::Move);
                self.summary.bytes += found.size.unwrap_or_default();
                self.line(self.action, &found, &to, Status::Done, None);
            }
            Ok(Some(Skipped(why))) => self.skipped(&found, &to, why.to_owned()),
            Err(error) if error.code() == ErrorCode::Interrupted => {}
            Err(error) => {
                self.summary.failed += 1;
                let reason = if error.code() == ErrorCode::ObjectChanged {
                    error.message().to_owned()
                } else {
                    error.chain()
                };
                tracing::warn!(key = found.key, error = error.chain(), "not copied");
                self.line(self.action, &found, &to, Status::Failed, Some(reason));
                if ends_all(&error) {
                    self.fatal = Some(error);
                } else {
                    self.last = Some(error);
                }
            }
        }
    }
}

/// Whether every other object would fail alike.
fn ends_all(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::BucketNotFound
            | ErrorCode::ConnectionCredentials
            | ErrorCode::ConnectionReadOnly
            | ErrorCode::Internal
    )
}

#[cfg(test)]
mod tests;
