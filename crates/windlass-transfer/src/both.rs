//! Planning: the source's listing alone, or both listings merged by the name at the destination.
//!
//! Steps leave as soon as they are sure. A plan that must be known to be possible before anything is
//! written is kept until the listing ends. What is to be deleted is always kept until both have.

use crate::book::ends_all;
use crate::change::{ChangeTest, Verdict, decide};
use crate::content::Doubt;
use crate::diff::{End, Merge, Which, in_byte_order};
use crate::earlier::BEFORE;
use crate::ends;
use crate::filter::EntryFilter;
use crate::naming::Source;
use crate::object::broken;
use crate::options::{CopyOptions, OnTrouble, named};
use crate::own::Own;
use crate::plan::{Existing, Found, Planner, Step, UNCHANGED, Wanted};
use crate::request::Side;
use crate::run::{Run, stat_source};
use crate::sort::{SortLimits, sorted};
use crate::spool::Spool;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use tokio::sync::mpsc;
use windlass_s3::ListOptions;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Result};

/// Rows of a listing that are judged together.
const CHUNK: usize = 512;

/// What planning leaves for the end of the run.
#[derive(Default)]
pub(crate) struct Planned {
    /// Objects of the destination that the source does not have.
    pub(crate) extras: Spool<Found>,
    /// Objects of the destination that the source could have.
    pub(crate) at_destination: u64,
}

/// Where steps go.
struct Out {
    run: Arc<Run>,
    steps: mpsc::Sender<Step>,
    /// Kept until the whole plan is known to be possible.
    kept: Option<Spool<Step>>,
    items: u64,
    bytes: u64,
}

/// Nobody takes steps any more.
struct Gone;

impl Out {
    async fn send(&mut self, step: Step) -> Result<Result<(), Gone>> {
        if let Step::Copy(found, ..) | Step::Beside(found, _) = &step {
            self.items += 1;
            self.bytes += found.size.unwrap_or_default();
            if self.items % 64 == 1 {
                self.run.progress.planned(self.items, self.bytes);
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.push(step)?;
            return Ok(Ok(()));
        }
        Ok(self.steps.send(step).await.map_err(|_| Gone))
    }

    /// Ends the plan: refuses it if it is impossible, else lets go what was kept.
    async fn end(self, planner: &Planner) -> Result<()> {
        self.run.progress.planned(self.items, self.bytes);
        let Some(kept) = self.kept else { return Ok(()) };
        if planner.impossible > 0 {
            let first = planner.first_impossible.clone().unwrap_or_default();
            return Err(Error::new(
                ErrorCode::TransferRefused,
                format!(
                    "{} names cannot be written to `{}`: {first}",
                    planner.impossible,
                    self.run.destination.address(planner.naming().target())
                ),
            )
            .hint(format!(
                "nothing was written; the value `skip` of {} or {} leaves them out, `rename` gives them other names; {} shows them all",
                named("names"),
                named("case"),
                named("dry-run")
            )));
        }
        for step in kept.read()? {
            if self.steps.send(step?).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Lists and sends the steps. What belongs to the source but is not wanted keeps the destination's
/// object from being deleted.
pub(crate) async fn plan(
    run: Arc<Run>,
    mut planner: Planner,
    filter: Option<Arc<dyn EntryFilter>>,
    steps: mpsc::Sender<Step>,
) -> Result<(Planned, Planner)> {
    let options = Arc::clone(&run.options);
    Own::check_apart(&run, &planner, filter.as_deref()).await?;
    let several = !matches!(planner.naming().source, Source::Key(_));
    let may_be_impossible = run.destination.is_folder() || !planner.tells_case();
    let fails = options.names == OnTrouble::Fail || options.case == OnTrouble::Fail;
    let kept = (several && may_be_impossible && fails && !options.dry_run).then(Spool::default);
    let mut out = Out { run: Arc::clone(&run), steps, kept, items: 0, bytes: 0 };
    let source = source_rows(&run, &planner).await?;
    let judge = Judge { filter, base: planner.naming().source.base().to_owned() };
    let rest = if several && run.compares() && options.files.is_none() {
        let source = in_order(&run.source, source);
        merged(&run, &mut planner, judged(source, &options, judge), &mut out).await?
    } else {
        if options.dry_run {
            check_bucket(&run.destination).await?;
        }
        // Whether a name would have to be file and folder is seen in order only.
        let orderly = several && run.destination.is_folder() && options.files.is_none();
        let source = if orderly { in_order(&run.source, source) } else { source };
        alone(&run, &mut planner, judged(source, &options, judge), &mut out).await?;
        Some(Planned::default())
    };
    let Some(rest) = rest else { return Ok((Planned::default(), planner)) };
    if run.cancel.is_cancelled() {
        return Ok((Planned::default(), planner));
    }
    out.end(&planner).await?;
    // What an earlier attempt has moved away need not be there.
    let moved = run.earlier.as_ref().is_some_and(|earlier| earlier.has_moved_any());
    if planner.seen == 0 && options.files.is_none() && !moved {
        ends::check_there(&run.source, &planner.naming().source).await?;
    }
    if !planner.has_some && rest.extras.len() > 0 {
        return Err(nothing_to_keep(&run, &planner, rest.extras.len()));
    }
    Ok((rest, planner))
}

/// Refuses a bucket that is not there, which else only the first write would find out. Whatever else
/// a listing meets says nothing of writing.
async fn check_bucket(side: &Side) -> Result<()> {
    if side.is_folder() {
        return Ok(());
    }
    let mut rows = side.storage.list(&side.location, ListOptions::default());
    match rows.try_next().await {
        Err(error) if error.code() == ErrorCode::BucketNotFound => Err(error),
        _ => Ok(()),
    }
}

/// Every listed row in byte order, once.
fn in_order(
    side: &Side,
    rows: BoxStream<'static, Result<Entry>>,
) -> BoxStream<'static, Result<Entry>> {
    let rows = if in_byte_order(&side.storage, &side.location) {
        rows
    } else {
        sorted(rows, SortLimits::default())
    };
    // Services may show a key at the end of one page and the beginning of the next.
    let mut last: Option<String> = None;
    rows.try_filter(move |entry| {
        let again = last.as_ref() == Some(&entry.key);
        if !again {
            last.get_or_insert_default().clone_from(&entry.key);
        }
        futures::future::ready(!again)
    })
    .boxed()
}

/// What the source may have: a key, a list of names, or a listing.
async fn source_rows(
    run: &Arc<Run>,
    planner: &Planner,
) -> Result<BoxStream<'static, Result<Entry>>> {
    let source = &planner.naming().source;
    let bucket = run.source.location.bucket.clone();
    if let Source::Key(key) = source {
        let object = run.source.object(key)?;
        let meta = match stat_source(&run.source.storage, &object).await {
            Err(error) if error.code() == ErrorCode::ObjectNotFound && run.moved_before(key) => {
                return Ok(futures::stream::empty().boxed());
            }
            meta => meta?,
        };
        let mut entry =
            Found { key: key.clone(), size: None, etag: None, modified: None, storage_class: None }
                .entry();
        (entry.size, entry.etag) = (Some(meta.size), meta.etag);
        (entry.last_modified, entry.storage_class) = (meta.last_modified, meta.storage_class);
        return Ok(futures::stream::iter([Ok(entry)]).boxed());
    }
    if let Some(files) = run.options.files.clone() {
        let base = source.base().to_owned();
        let run = Arc::clone(run);
        let asked = futures::stream::iter(files).map(move |name| {
            let (run, key) = (Arc::clone(&run), format!("{base}{name}"));
            async move {
                let object = run.source.object(&key)?;
                let mut entry =
                    Found { key, size: None, etag: None, modified: None, storage_class: None }
                        .entry();
                match run.retried(|| run.source.storage.stat(&object, None)).await {
                    Ok(meta) => {
                        (entry.size, entry.etag) = (Some(meta.size), meta.etag);
                        entry.last_modified = meta.last_modified;
                        entry.storage_class = meta.storage_class;
                    }
                    Err(error)
                        if ends_all(&error)
                            || error.class().is_retryable()
                            || error.code() == ErrorCode::Interrupted =>
                    {
                        return Err(error);
                    }
                    Err(error)
                        if error.code() == ErrorCode::ObjectNotFound
                            && run.moved_before(&entry.key) =>
                    {
                        return Ok(None);
                    }
                    // What is not there, or refused, fails as an item, when it is read.
                    Err(_) => {}
                }
                Ok(Some(entry))
            }
        });
        let asked = asked.buffered(crate::DEFAULT_CONCURRENCY);
        return Ok(asked.try_filter_map(|entry| futures::future::ready(Ok(entry))).boxed());
    }
    let location = Location { bucket, key: source.prefix().to_owned() };
    let exclude = &run.options.exclude;
    let needed = run.compares() || run.destination.is_folder();
    let ordered = needed && in_byte_order(&run.source.storage, &run.source.location);
    Ok(crate::filter::listed(&run.source.storage, location, source.base(), exclude, ordered))
}

/// A condition on rows, if there is one, and what their keys have before their path.
struct Judge {
    filter: Option<Arc<dyn EntryFilter>>,
    base: String,
}

/// Says of each row whether it is wanted.
fn judged(
    rows: BoxStream<'static, Result<Entry>>,
    options: &CopyOptions,
    judge: Judge,
) -> BoxStream<'static, Result<(Entry, bool)>> {
    let wanted = Wanted::new(options);
    let Judge { filter, base } = judge;
    let Some(filter) = filter else {
        return rows
            .map_ok(move |entry| {
                let taken = wanted.takes(&entry);
                (entry, taken)
            })
            .boxed();
    };
    rows.ready_chunks(CHUNK)
        .flat_map(move |chunk| {
            let mut entries = Vec::with_capacity(chunk.len());
            let mut failed = None;
            for row in chunk {
                match row {
                    Ok(entry) => entries.push(entry),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let mut rows = Vec::with_capacity(entries.len() + 1);
            match filter.takes(&base, &entries) {
                Ok(taken) => rows.extend(entries.into_iter().zip(taken).map(|(entry, taken)| {
                    let taken = taken && wanted.takes(&entry);
                    Ok((entry, taken))
                })),
                Err(error) => failed = Some(error),
            }
            rows.extend(failed.map(Err));
            futures::stream::iter(rows)
        })
        .boxed()
}

/// Plans from the source alone.
async fn alone(
    run: &Arc<Run>,
    planner: &mut Planner,
    mut rows: BoxStream<'static, Result<(Entry, bool)>>,
    out: &mut Out,
) -> Result<()> {
    let compares = run.compares();
    loop {
        let row = tokio::select! {
            () = run.cancel.cancelled() => return Ok(()),
            row = rows.try_next() => row?,
        };
        let Some((entry, taken)) = row else { return Ok(()) };
        if planner.path(&entry).is_none() || !taken {
            continue;
        }
        let Some((mut step, _)) = planner.step(entry) else { continue };
        if let Step::Copy(_, _, existing) = &mut step
            && compares
        {
            *existing = Existing::Ask;
        }
        if out.send(step).await?.is_err() {
            return Ok(());
        }
    }
}

/// Plans from both listings; None if nobody takes the steps, or the run was interrupted.
async fn merged(
    run: &Arc<Run>,
    planner: &mut Planner,
    mut left: BoxStream<'static, Result<(Entry, bool)>>,
    out: &mut Out,
) -> Result<Option<Planned>> {
    let folder = planner.naming().target().to_owned();
    let location =
        Location { bucket: run.destination.location.bucket.clone(), key: folder.clone() };
    let ordered = in_byte_order(&run.destination.storage, &run.destination.location);
    let exclude = &run.options.exclude;
    let listed =
        crate::filter::listed(&run.destination.storage, location, &folder, exclude, ordered);
    let listed = if planner.tells_case() || !run.options.compares() {
        listed
    } else {
        let Some(kept) = known_first(run, planner, listed).await? else { return Ok(None) };
        kept
    };
    let mut right = in_order(&run.destination, listed);
    let mut merge = Merge::new();
    let mut rest = Planned::default();
    let mut doubt = Doubt::default();
    let mut taken = true;
    loop {
        while let Some(found) = merge.pop() {
            let step = match (found.left, found.right) {
                (Some(_), _) if !taken => None,
                (Some(source), destination) => {
                    pair(run, planner, &mut doubt, source, destination).await?
                }
                (None, Some(extra)) => {
                    if run.options.delete && is_extra(run, planner, &found.path).await {
                        rest.extras.push(extra.into())?;
                    }
                    None
                }
                (None, None) => None,
            };
            if let Some(step) = step
                && out.send(step).await?.is_err()
            {
                return Ok(None);
            }
        }
        let Some(which) = merge.wants() else { return Ok(Some(rest)) };
        let row = tokio::select! {
            () = run.cancel.cancelled() => return Ok(None),
            row = async {
                match which {
                    Which::Left => left.try_next().await,
                    Which::Right => Ok(right.try_next().await?.map(|entry| (entry, true))),
                }
            } => row,
        };
        match row {
            Ok(Some((entry, wanted))) => {
                let path = match which {
                    Which::Left => planner.path(&entry).map(str::to_owned),
                    Which::Right if entry.kind == EntryKind::Object => entry
                        .key
                        .strip_prefix(folder.as_str())
                        .filter(|path| planner.could_have(path) && !run.own.has(&entry.key))
                        .map(str::to_owned),
                    Which::Right => None,
                };
                let Some(path) = path else { continue };
                if which == Which::Left {
                    taken = wanted;
                } else {
                    rest.at_destination += 1;
                }
                merge.push(which, path, entry)?;
            }
            Ok(None) => merge.end(which, End::Complete),
            // It is only looked at to save work: what may not be listed is written again.
            Err(error) if which == Which::Right && !run.options.compares() => {
                tracing::warn!(error = error.chain(), "what was copied before is not found out");
                merge.end(which, End::Complete);
            }
            Err(error) => {
                merge.end(which, End::Incomplete);
                return Err(error);
            }
        }
    }
}

/// The same rows, once the planner knows them all: a name that only case tells from one of the source
/// may stand anywhere among them. None if the run was interrupted.
async fn known_first(
    run: &Run,
    planner: &mut Planner,
    mut rows: BoxStream<'static, Result<Entry>>,
) -> Result<Option<BoxStream<'static, Result<Entry>>>> {
    let mut kept = Spool::default();
    loop {
        let row = tokio::select! {
            () = run.cancel.cancelled() => return Ok(None),
            row = rows.try_next() => row?,
        };
        let Some(entry) = row else { break };
        if entry.kind == EntryKind::Object {
            planner.is_there(&entry.key);
        }
        kept.push(entry)?;
    }
    Ok(Some(futures::stream::iter(kept.read()?).boxed()))
}

/// Whether what only the destination has may be deleted. The folder itself stays, and so does the
/// mark of a folder that a machine has without listing it.
async fn is_extra(run: &Run, planner: &Planner, path: &str) -> bool {
    if path.is_empty() {
        return false;
    }
    if run.source.is_folder() && path.ends_with('/') {
        let key = format!("{}{path}", planner.naming().source.base());
        let Ok(object) = run.source.object(&key) else { return false };
        return matches!(
            run.source.storage.stat(&object, None).await,
            Err(error) if error.code() == ErrorCode::ObjectNotFound
        );
    }
    true
}

/// The step for an object of the source and what the destination has under its name.
async fn pair(
    run: &Arc<Run>,
    planner: &mut Planner,
    doubt: &mut Doubt,
    source: Entry,
    destination: Option<Entry>,
) -> Result<Option<Step>> {
    let row = source.clone();
    let Some((step, renamed)) = planner.step(source) else { return Ok(None) };
    let Step::Copy(found, to, _) = step else { return Ok(Some(step)) };
    if renamed {
        return Ok(Some(Step::Copy(found, to, Existing::Ask)));
    }
    if run.earlier.is_some()
        && run.options.test() == ChangeTest::Always
        && let Some(there) = &destination
    {
        let etags_tell = doubt.etags_tell(run, ChangeTest::Default, &row, there).await;
        if run.copied_before(&row, &to, there, etags_tell).await {
            return Ok(Some(Step::Skip(found, to, BEFORE.to_owned())));
        }
    }
    if !run.options.compares() {
        return Ok(Some(Step::Copy(found, to, Existing::Unknown)));
    }
    let Some(destination) = destination else {
        // A folder of a machine is there without being listed.
        if to.ends_with('/') && run.destination.is_folder() {
            let there = run.destination.storage.stat(&run.destination.object(&to)?, None).await;
            if there.is_ok() {
                return Ok(Some(Step::Skip(found, to, UNCHANGED.to_owned())));
            }
        }
        return Ok(Some(Step::Copy(found, to, Existing::Absent)));
    };
    let test = run.options.test();
    let etags_tell = doubt.etags_tell(run, test, &row, &destination).await;
    let verdict = decide(test, run.options.if_exists, &row, &destination, run.facts(etags_tell));
    Ok(Some(step_for(verdict, found, to, destination)))
}

/// The step that a verdict means.
pub(crate) fn step_for(verdict: Verdict, found: Found, to: String, destination: Entry) -> Step {
    match verdict {
        Verdict::Same => Step::Skip(found, to, UNCHANGED.to_owned()),
        Verdict::Write(_) => Step::Copy(found, to, Existing::There(Box::new(destination))),
        Verdict::Read => Step::Copy(found, to, Existing::Differing(Box::new(destination))),
        Verdict::Beside => Step::Beside(found, to),
        Verdict::Leave(why) => Step::Skip(found, to, why.to_owned()),
        Verdict::Refuse(why) => Step::Refuse(found, to, why.to_owned()),
    }
}

/// The error of a sync that would empty its destination: a source without anything is more often a
/// folder that is not mounted, or a wrong name, than meant.
fn nothing_to_keep(run: &Run, planner: &Planner, extras: u64) -> Error {
    let objects = if extras == 1 { "the object" } else { "all objects" };
    Error::new(
        ErrorCode::TransferRefused,
        format!(
            "`{}` has nothing to sync, and {objects} at `{}` would be deleted",
            run.source.address(planner.naming().source.base()),
            run.destination.address(planner.naming().target())
        ),
    )
    .hint("nothing was deleted; if the source is meant to be empty (and is mounted), empty the destination with `windlass rm -r`")
}

/// Stops the planning task when its run ends before it.
pub(crate) async fn join(
    task: tokio::task::JoinHandle<Result<(Planned, Planner)>>,
) -> Result<(Planned, Planner)> {
    task.await.map_err(broken)?
}
