//! Making what was sent seen: in one phase that is carried out whole, or undone.
//!
//! 1. The place is taken: of two writes that would replace or refuse the same files, one waits.
//! 2. What is to be done is written into the record of the run. From here on it will be done, by this
//!    process or the next.
//! 3. Every upload is completed. If one cannot be, those that were are deleted again, and that is the
//!    end: nothing old has been touched.
//! 4. Old files go, then what `AFTER_READ` says is done, then the table is made.

use super::kind::Wrote;
use super::{After, Mode, WriteWork, first_file};
use crate::windlass::Windlass;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;
use windlass_jobs::{Outcome, RunContext};
use windlass_query::write::{
    Body, Lineage, Prepared, ReadFile, UploadNotes, WrittenFile, give_up, publish,
};
use windlass_s3::{ListOptions, Storage};
use windlass_state::RunMark;
use windlass_types::{
    EntryKind, Error, ErrorCode, Level, Location, ObjectPath, Progress, Result, RunId, RunItem,
};

/// The mark that holds what is to be done.
const COMMIT: &str = "commit";
/// The mark that holds the place.
const PLACE: &str = "place";
/// The mark that holds what was done.
const WROTE: &str = "wrote";
/// Requests side by side.
const SIDE_BY_SIDE: usize = 16;
/// Tries to make a file seen where the failure may pass.
const TRIES: u32 = 6;
/// How far the clock of a service may be behind ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// Files that a run lists one by one.
const LISTED: usize = 10_000;

/// Where a run is.
pub(super) enum Phase {
    /// Nothing was decided.
    Before,
    /// What was decided may be half done.
    Within(Box<Commit>),
    /// All was done.
    After(Wrote),
}

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::unsafe_derive_deserialize, reason = "what is unsafe is inside of a macro of tokio")]
pub(super) struct Commit {
    pub(super) bucket: String,
    key: String,
    mode: Mode,
    files: Vec<WrittenFile>,
    /// Keys of old files that give way.
    remove: Vec<String>,
    after: After,
    read: Vec<ReadFile>,
    /// Where the columns come from; a record of before it was noted has none.
    #[serde(default)]
    lineage: Lineage,
    /// The columns of the table that is made, where its files do not say their types.
    #[serde(default)]
    columns: Vec<String>,
    rows: u64,
    bytes: u64,
    began: DateTime<Utc>,
    /// Rows that were left out of what was read.
    #[serde(default)]
    skipped: u64,
    /// What is said of them.
    #[serde(default)]
    left_out: Option<String>,
}

/// What is taken: everything below a prefix of a bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    bucket: String,
    prefix: String,
}

/// Refuses a place where something is.
pub(super) async fn refuse_existing(storage: &Storage, bucket: &str, key: &str) -> Result<()> {
    let found = if key.is_empty() || key.ends_with('/') {
        first_file(storage, bucket, key).await?
    } else {
        let object = ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() };
        match storage.stat(&object, None).await {
            Ok(_) => Some(key.to_owned()),
            Err(error) if error.code() == ErrorCode::ObjectNotFound => None,
            Err(error) => return Err(error),
        }
    };
    match found {
        Some(found) => Err(exists(storage, bucket, &found)),
        None => Ok(()),
    }
}

fn exists(storage: &Storage, bucket: &str, key: &str) -> Error {
    Error::new(ErrorCode::ObjectChanged, format!("`{}` is there", storage.address(bucket, key)))
        .hint("use MODE = APPEND, OVERWRITE or OVERWRITE_PARTITIONS, or write elsewhere")
}

/// The same where files are added: another write was faster, or a name is always the same.
fn taken(storage: &Storage, bucket: &str, key: &str) -> Error {
    exists(storage, bucket, key).hint(
        "APPEND replaces nothing: give FILE_NAME an `{n}` or a `{run}`, or run it again if another write has just added the file",
    )
}

fn holds_delta(storage: &Storage, bucket: &str, prefix: &str) -> Error {
    let place = storage.address(bucket, prefix);
    Error::new(ErrorCode::OptionInvalid, format!("`{place}` holds a Delta Lake table"))
        .hint("its files come and go by its log alone; write elsewhere")
}

/// The folders that a key lies in, the bucket itself among them.
pub(super) fn folders(key: &str) -> BTreeSet<String> {
    let mut folders = BTreeSet::from([String::new()]);
    folders.extend(key.match_indices('/').map(|(at, _)| key[..=at].to_owned()));
    folders
}

/// An error if one of these folders is that of a Delta Lake table, or of its log.
pub(super) async fn refuse_delta(
    storage: &Storage,
    bucket: &str,
    mut folders: BTreeSet<String>,
) -> Result<()> {
    let log = |folder: &&String| folder.ends_with("/_delta_log/") || *folder == "_delta_log/";
    if let Some(log) = folders.iter().find(log) {
        return Err(holds_delta(storage, bucket, log.trim_end_matches("_delta_log/")));
    }
    // What a connection is bound to is where its own begins.
    let bound = &storage.binding().prefix;
    folders.retain(|folder| folder.starts_with(bound.as_str()));
    let mut looks: Vec<BoxFuture<'static, Option<String>>> = Vec::new();
    for folder in folders {
        let place =
            Location { bucket: Some(bucket.to_owned()), key: format!("{folder}_delta_log/") };
        let mut first = storage.list(&place, ListOptions { lazy: true, ..ListOptions::default() });
        // What is wrong with the place is said when it is written to.
        looks.push(Box::pin(
            async move { matches!(first.next().await, Some(Ok(_))).then_some(folder) },
        ));
    }
    let found: Vec<Option<String>> = stream::iter(looks).buffered(SIDE_BY_SIDE).collect().await;
    match found.into_iter().flatten().next() {
        Some(folder) => Err(holds_delta(storage, bucket, &folder)),
        None => Ok(()),
    }
}

/// Every file below a prefix; an error if it is a table of Delta Lake.
async fn below(storage: &Storage, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let place = Location { bucket: Some(bucket.to_owned()), key: prefix.to_owned() };
    let options = ListOptions { recursive: true, ..ListOptions::default() };
    let mut entries = storage.list(&place, options);
    let mut keys = Vec::new();
    while let Some(entry) = entries.next().await {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.is_absent() => break,
            Err(error) => return Err(error),
        };
        if entry.key[prefix.len()..].split('/').any(|level| level == "_delta_log") {
            return Err(holds_delta(storage, bucket, prefix));
        }
        if entry.kind == EntryKind::Object && !entry.key.ends_with('/') {
            keys.push(entry.key);
        }
    }
    keys.sort();
    Ok(keys)
}

impl Commit {
    #[allow(clippy::too_many_arguments, reason = "one caller; each is a field")]
    pub(super) fn new(
        prepared: Prepared,
        bucket: String,
        key: String,
        mode: Mode,
        after: After,
        read: Vec<ReadFile>,
        lineage: Lineage,
        columns: Vec<String>,
        began: DateTime<Utc>,
    ) -> Self {
        let Prepared { files, rows, bytes } = prepared;
        let read = if after == After::Keep { Vec::new() } else { read };
        let remove = Vec::new();
        Self {
            bucket,
            key,
            mode,
            files,
            remove,
            after,
            read,
            lineage,
            columns,
            rows,
            bytes,
            began,
            skipped: 0,
            left_out: None,
        }
    }

    /// The same, where so many rows were left out, of which this is said.
    pub(super) fn without(self, skipped: u64, left_out: Option<String>) -> Self {
        Self { skipped, left_out, ..self }
    }

    /// Where a run is, as its record says.
    pub(super) async fn phase(context: &RunContext) -> Result<Phase> {
        let broken = |error| {
            Error::new(ErrorCode::StateNewer, "the record of a write cannot be read").source(error)
        };
        if let Some(wrote) = context.mark(WROTE).await? {
            return serde_json::from_str(&wrote).map(Phase::After).map_err(broken);
        }
        match context.mark(COMMIT).await?.filter(|commit| !commit.is_empty()) {
            Some(commit) => {
                serde_json::from_str(&commit).map(Box::new).map(Phase::Within).map_err(broken)
            }
            None => Ok(Phase::Before),
        }
    }

    fn is_one_file(&self) -> bool {
        !self.key.is_empty() && !self.key.ends_with('/')
    }

    /// Takes the place, decides what goes, notes it, and does it.
    pub(super) async fn begin(
        mut self,
        windlass: &Windlass,
        context: &RunContext,
        work: &WriteWork,
        storage: &Storage,
        notes: &dyn UploadNotes,
    ) -> Result<Outcome> {
        let held = matches!(self.files.as_slice(), [one] if matches!(one.body, Body::Held(_)));
        let decided = async {
            if !self.is_one_file() && self.mode != Mode::Append {
                self.take_place(windlass, context).await?;
                match self.mode {
                    Mode::Overwrite => {
                        self.remove = below(storage, &self.bucket, &self.key).await?;
                    }
                    Mode::OverwritePartitions => {
                        let mut folders: Vec<&str> =
                            self.files.iter().map(|file| file.folder.as_str()).collect();
                        folders.sort_unstable();
                        folders.dedup();
                        let mut remove = Vec::new();
                        for folder in folders {
                            let prefix = format!("{}{folder}", self.key);
                            remove.extend(below(storage, &self.bucket, &prefix).await?);
                        }
                        remove.sort();
                        remove.dedup();
                        self.remove = remove;
                    }
                    Mode::Error | Mode::Append => {
                        refuse_existing(storage, &self.bucket, &self.key).await?;
                    }
                }
                // A name that FILE_NAME gives may be that of an old file, which is replaced.
                let files = &self.files;
                self.remove.retain(|key| files.iter().all(|file| file.object.key != *key));
            }
            context.check()?;
            if !held {
                let text = serde_json::to_string(&self).map_err(|error| {
                    Error::new(ErrorCode::Internal, "what is to be done cannot be written")
                        .source(error)
                })?;
                context.set_mark(COMMIT, &text).await?;
            }
            Ok(())
        };
        if let Err(error) = decided.await {
            for file in &self.files {
                if let Err(error) = give_up(storage, notes, file).await {
                    let error = error.chain();
                    tracing::warn!(key = file.object.key, error, "an upload is not given up");
                }
            }
            return Err(error);
        }
        self.carry_out(windlass, context, work, storage, notes, false).await
    }

    /// Goes on where a process has died within the phase.
    pub(super) async fn go_on(
        self,
        windlass: &Windlass,
        context: &RunContext,
        work: &WriteWork,
        storage: &Storage,
        notes: &dyn UploadNotes,
    ) -> Result<Outcome> {
        context.event(Level::Info, "what was decided before the process died is completed");
        self.carry_out(windlass, context, work, storage, notes, true).await
    }

    /// Waits until nobody else replaces files here.
    async fn take_place(&self, windlass: &Windlass, context: &RunContext) -> Result<()> {
        let own = Taken { bucket: self.bucket.clone(), prefix: self.key.clone() };
        let value = serde_json::to_string(&own).unwrap_or_default();
        let mark = RunMark { name: PLACE.to_owned(), value };
        let conflicts = |other: &str| {
            serde_json::from_str::<Taken>(other).is_ok_and(|other| {
                other.bucket == own.bucket
                    && (other.prefix.starts_with(&own.prefix)
                        || own.prefix.starts_with(&other.prefix))
            })
        };
        let mut told: Option<RunId> = None;
        while let Some(other) = context.take_place(&mark, &conflicts).await? {
            if told.replace(other) != Some(other) {
                let text = format!("waits for run `{other}`, which replaces files there");
                context.event(Level::Info, text);
            }
            windlass.end_dead_write(other).await?;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = context.cancelled() => {}
            }
            context.check()?;
        }
        Ok(())
    }

    async fn carry_out(
        self,
        windlass: &Windlass,
        context: &RunContext,
        work: &WriteWork,
        storage: &Storage,
        notes: &dyn UploadNotes,
        again: bool,
    ) -> Result<Outcome> {
        self.publish_all(context, storage, notes, again).await?;
        let mut wrote = Wrote {
            run: Some(context.run),
            rows: self.rows,
            files: self.files.len() as u64,
            bytes: self.files.iter().map(|file| file.size).sum(),
            skipped: self.skipped,
            left_out: self.left_out.clone(),
            ..Wrote::default()
        };
        for file in self.files.iter().take(LISTED) {
            let to = storage.address(&file.object.bucket, &file.object.key);
            context.item(item("write", String::new(), to, Some(file.size), None)).await?;
        }
        context.progress(Progress {
            planned_items: Some(wrote.files),
            planned_bytes: Some(wrote.bytes),
            done_items: wrote.files,
            done_bytes: wrote.bytes,
            planned: true,
            ..Progress::default()
        });
        self.remove_old(context, storage, &mut wrote).await?;
        windlass.after_read(context, &self.after, &self.read, &mut wrote).await?;
        if let Some(table) = &work.table {
            windlass.make_table(context.fabric, work, table, &self.columns).await?;
        }
        windlass.note_write(context, &self.lineage, storage, &self.bucket, &self.key).await;
        let took = context.now().signed_duration_since(self.began).to_std().unwrap_or_default();
        wrote.seconds = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        let mark = |name: &str, value: String| RunMark { name: name.to_owned(), value };
        let text = serde_json::to_string(&wrote).unwrap_or_default();
        // What was to be done may be long, and nobody needs it any more.
        context.set_marks(&[mark(WROTE, text), mark(COMMIT, String::new())]).await?;
        wrote.outcome()
    }

    /// Makes all files seen, or none.
    async fn publish_all(
        &self,
        context: &RunContext,
        storage: &Storage,
        notes: &dyn UploadNotes,
        again: bool,
    ) -> Result<()> {
        let run = context.run.to_string();
        let run = run.as_str();
        let one = |at: usize| async move {
            let file = &self.files[at];
            let only_new = match self.mode {
                Mode::Error => true,
                // What has the name of this run is of this run.
                Mode::Append => !file.object.key.contains(run),
                Mode::Overwrite | Mode::OverwritePartitions => false,
            };
            (at, self.publish_one(storage, file, only_new, again).await)
        };
        let mut failure: Option<Error> = None;
        let mut done: Vec<(usize, Option<String>)> = Vec::new();
        // Of two writes that want the same new files, the first file decides.
        let first = self.files.len().min(1);
        for batch in [0..first, first..self.files.len()] {
            if failure.is_some() {
                break;
            }
            let mut publishing = stream::iter(batch).map(one).buffer_unordered(SIDE_BY_SIDE);
            while let Some((at, result)) = publishing.next().await {
                match result {
                    Ok(etag) => done.push((at, etag)),
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
            }
        }
        let Some(failure) = failure else {
            for file in &self.files {
                if let Body::Parts { upload, .. } = &file.body {
                    notes.ended(upload).await?;
                }
            }
            return Ok(());
        };
        self.undo(context, storage, notes, &done).await;
        Err(failure)
    }

    /// Makes a file seen; its `ETag`.
    async fn publish_one(
        &self,
        storage: &Storage,
        file: &WrittenFile,
        only_new: bool,
        again: bool,
    ) -> Result<Option<String>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let file = if again {
                match super::recover::found_again(storage, file).await {
                    Ok(file) => file,
                    // Perhaps it is seen already.
                    Err(error) => match self.ours(storage, file).await? {
                        Some(etag) => return Ok(Some(etag)),
                        None => return Err(error),
                    },
                }
            } else {
                file.clone()
            };
            let error = match publish(storage, &file, only_new).await {
                Ok(result) => return Ok(result.etag),
                Err(error) => error,
            };
            let unclear = again || tries > 1;
            match error.code() {
                ErrorCode::ObjectNotFound | ErrorCode::ObjectChanged if unclear => {
                    // An answer was lost: it is there if it is ours.
                    return match self.ours(storage, &file).await? {
                        Some(etag) => Ok(Some(etag)),
                        None => Err(error),
                    };
                }
                ErrorCode::ObjectChanged if only_new => {
                    let ObjectPath { bucket, key } = &file.object;
                    let there = if self.mode == Mode::Append { taken } else { exists };
                    return Err(there(storage, bucket, key));
                }
                _ if error.class().is_retryable() && tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// The `ETag` of what is there, if it is what we wrote.
    async fn ours(&self, storage: &Storage, file: &WrittenFile) -> Result<Option<String>> {
        match storage.stat(&file.object, None).await {
            Ok(meta) => {
                let ours = meta.size == file.size
                    && meta.last_modified.is_none_or(|at| at >= self.began - SKEW);
                Ok(ours.then(|| meta.etag.unwrap_or_default()))
            }
            Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes back what was made seen, and gives up the rest. Nothing old has been touched yet, but
    /// where one file was to be replaced, which then has not been.
    async fn undo(
        &self,
        context: &RunContext,
        storage: &Storage,
        notes: &dyn UploadNotes,
        done: &[(usize, Option<String>)],
    ) {
        let mut left = 0;
        for (at, etag) in done {
            let file = &self.files[*at];
            let deleted = match etag.as_deref().filter(|etag| !etag.is_empty()) {
                Some(etag) => match storage.delete_if(&file.object, etag).await {
                    Err(error) if error.code() == ErrorCode::UsageInvalid => {
                        storage.delete(&file.object).await
                    }
                    other => other,
                },
                None => storage.delete(&file.object).await,
            };
            if let Err(error) = deleted
                && !matches!(error.code(), ErrorCode::ObjectNotFound | ErrorCode::ObjectChanged)
            {
                left += 1;
                let key = &file.object.key;
                let text = format!("`{key}` could not be taken back: {}", error.chain());
                context.event(Level::Error, text);
            }
        }
        for (at, file) in self.files.iter().enumerate() {
            let seen = done.iter().any(|(done, _)| *done == at);
            let result = match &file.body {
                Body::Parts { upload, .. } if seen => notes.ended(upload).await,
                _ => give_up(storage, notes, file).await,
            };
            if let Err(error) = result {
                tracing::warn!(key = file.object.key, error = error.chain(), "not given up");
            }
        }
        if left == 0
            && let Err(error) = context.set_mark(COMMIT, "").await
        {
            tracing::warn!(error = error.chain(), "that a write was undone could not be noted");
        }
    }

    /// Removes the files that give way.
    async fn remove_old(
        &self,
        context: &RunContext,
        storage: &Storage,
        wrote: &mut Wrote,
    ) -> Result<()> {
        for keys in self.remove.chunks(1000) {
            let failed = storage.delete_many(&self.bucket, keys).await?;
            wrote.removed += (keys.len() - failed.len()) as u64;
            wrote.failed += failed.len() as u64;
            for (key, error) in failed {
                let from = storage.address(&self.bucket, &key);
                context.item(item("delete", from, String::new(), None, Some(&error))).await?;
            }
        }
        Ok(())
    }
}

/// A line of the log of items.
pub(super) fn item(
    action: &str,
    source: String,
    destination: String,
    size: Option<u64>,
    error: Option<&Error>,
) -> RunItem {
    RunItem {
        action: action.to_owned(),
        source,
        destination,
        size,
        status: if error.is_some() { "failed" } else { "done" }.to_owned(),
        reason: error.map(Error::chain),
        code: error.map(|error| error.code().as_str().to_owned()),
        hint: error.and_then(|error| error.hint_text().map(str::to_owned)),
    }
}
