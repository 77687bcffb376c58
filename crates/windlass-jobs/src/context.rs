//! What a kind is given for one attempt: its payload, its place in the log, and when to stop.

use crate::clock::Clock;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use windlass_state::{
    NewUpload, RunClaim, RunEvent, RunLogBatch, RunMark, Store, Taken, UploadRow,
};
use windlass_types::{
    Error, ErrorCode, FabricId, JobId, Level, Name, Progress, Result, RunId, RunItem,
};

/// Why a run is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// `CANCEL`, or an interrupt from the keyboard.
    Cancelled,
    /// The attempt took longer than the job allows.
    TimeLimit,
    /// Another process holds the run now: write nothing more.
    Lost,
    /// This process ends; another one, or this one later, goes on.
    Shutdown,
}

/// Sees what a run reports, at once: the progress bars and lines of a command.
pub trait Observer: Send + Sync {
    /// The progress changed.
    fn progress(&self, progress: &Progress);
    /// A line for people.
    fn event(&self, level: Level, message: &str);
    /// An item ended.
    fn item(&self, item: &RunItem);
}

/// One attempt at a run.
#[derive(Clone)]
pub struct RunContext {
    pub(crate) inner: Arc<Inner>,
    /// The run.
    pub run: RunId,
    /// Its job; none for a statement that is its own run.
    pub job: Option<JobId>,
    /// The job's name when the run was made.
    pub job_name: Option<Name>,
    /// The fabric whose connections it may use.
    pub fabric: FabricId,
    /// What to do, as the kind wrote it.
    pub payload: Value,
    /// What started it, in detail: for an arrival `{"arrived": n, "first": [keys]}`; null if there
    /// is nothing to say.
    pub detail: Value,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Whether this attempt goes on where a process stopped or died.
    pub resumed: bool,
    /// When its first attempt began.
    pub began: DateTime<Utc>,
    /// When the run should have begun.
    pub scheduled_for: DateTime<Utc>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) claim: RunClaim,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) token: CancellationToken,
    pub(crate) stop: Mutex<Option<Stop>>,
    pub(crate) reporter: Reporter,
}

impl Inner {
    /// Asks the run to stop; the first reason counts, except that a lost run is lost.
    pub(crate) fn stop(&self, reason: Stop) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if stop.is_none() || reason == Stop::Lost {
            *stop = Some(reason);
        }
        drop(stop);
        self.token.cancel();
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns the answer of the store to a write into a result.
    fn held(&self, held: bool) -> Result<()> {
        if held {
            return Ok(());
        }
        self.stop(Stop::Lost);
        Err(lost(self.claim.run))
    }

    /// Writes what the reporter holds.
    pub(crate) async fn flush(&self) -> Result<()> {
        let _turn = self.reporter.turn.lock().await;
        let batch = self.reporter.take();
        if batch.is_empty() {
            return Ok(());
        }
        match self.store.write_log(self.claim, &batch).await {
            Ok(held) => self.held(held),
            Err(error) => {
                self.reporter.put_back(batch);
                Err(error)
            }
        }
    }
}

fn lost(run: RunId) -> Error {
    Error::new(ErrorCode::RunLost, format!("run `{run}` was taken over by another process"))
        .hint("this process was silent for longer than the lease; look at the run with SHOW RUNS")
}

impl RunContext {
    /// Fires when the run must stop.
    pub fn token(&self) -> CancellationToken {
        self.inner.token.clone()
    }

    /// Waits until the run must stop.
    pub async fn cancelled(&self) {
        self.inner.token.cancelled().await;
    }

    /// Why it must stop, if it must.
    pub fn stopped(&self) -> Option<Stop> {
        self.inner.stopped()
    }

    /// An error if the run must stop: for loops.
    pub fn check(&self) -> Result<()> {
        match self.stopped() {
            None => Ok(()),
            Some(Stop::Lost) => Err(lost(self.run)),
            Some(Stop::TimeLimit) => {
                Err(Error::new(ErrorCode::RunTimeLimit, "the time limit has passed"))
            }
            Some(Stop::Cancelled | Stop::Shutdown) => {
                Err(Error::new(ErrorCode::Interrupted, "asked to stop"))
            }
        }
    }

    /// The time by the scheduler's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.clock.now()
    }

    /// Reads a mark that this attempt or an earlier one has set.
    pub async fn mark(&self, name: &str) -> Result<Option<String>> {
        let marks = self.inner.store.marks(self.run).await?;
        Ok(marks.into_iter().find(|mark| mark.name == name).map(|mark| mark.value))
    }

    /// Reads all marks, by name.
    pub async fn marks(&self) -> Result<Vec<RunMark>> {
        self.inner.store.marks(self.run).await
    }

    /// Sets a mark. What was reported before it is written before it, so a mark never claims more
    /// than the log shows.
    pub async fn set_mark(&self, name: &str, value: &str) -> Result<()> {
        self.set_marks(&[RunMark { name: name.to_owned(), value: value.to_owned() }]).await
    }

    /// Sets marks, all or none.
    pub async fn set_marks(&self, marks: &[RunMark]) -> Result<()> {
        self.inner.flush().await?;
        self.inner.held(self.inner.store.set_marks(self.inner.claim, marks).await?)
    }

    /// Takes a place that runs change one at a time; see [`Store::take_place`]. Answers the run that
    /// has it, if another one does.
    pub async fn take_place(
        &self,
        mark: &RunMark,
        conflicts: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Option<RunId>> {
        match self.inner.store.take_place(self.inner.claim, mark, conflicts).await? {
            Taken::Ours => Ok(None),
            Taken::Theirs(run) => Ok(Some(run)),
            Taken::Lost => self.inner.held(false).map(|()| None),
        }
    }

    /// Whether an earlier attempt may have done a part of the work: one that failed, or one that
    /// this attempt goes on with.
    pub fn is_repeated(&self) -> bool {
        self.resumed || self.attempt > 1
    }

    /// Leaves of each item of the run what was said of it last. With `before`, a place in the list of
    /// items, also takes away what was said up to there of items that were not done: for an attempt
    /// that has met all items again.
    pub async fn settle_items(&self, before: Option<i64>) -> Result<()> {
        self.inner.flush().await?;
        self.inner.held(self.inner.store.settle_items(self.inner.claim, before).await?)
    }

    /// Notes an upload, before its first part is sent.
    pub async fn save_upload(&self, upload: &NewUpload) -> Result<()> {
        self.inner.held(self.inner.store.save_upload(self.inner.claim, upload, self.now()).await?)
    }

    /// Takes over an upload that another run has left; false where somebody was faster.
    pub async fn take_upload(&self, upload: &UploadRow) -> Result<bool> {
        self.inner.store.take_upload(self.inner.claim, upload, self.now()).await
    }
}

/// Rows that are written at once, at the latest every tick of the scheduler.
const BATCH: usize = 500;

/// Rows that may wait while the store does not answer.
const WAITING: usize = 20_000;

/// Takes what a run says and writes it in batches.
pub(crate) struct Reporter {
    buffer: Mutex<Buffer>,
    turn: tokio::sync::Mutex<()>,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Default)]
struct Buffer {
    batch: RunLogBatch,
    /// The last progress, whether written or not.
    progress: Progress,
    events: i64,
    items: i64,
}

impl Reporter {
    /// Goes on after the places that are taken in the log.
    pub(crate) fn new(
        ends: (i64, i64),
        progress: Progress,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        let buffer = Buffer { progress, events: ends.0, items: ends.1, ..Buffer::default() };
        Self { buffer: Mutex::new(buffer), turn: tokio::sync::Mutex::default(), observer }
    }

    fn buffer(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> RunLogBatch {
        std::mem::take(&mut self.buffer().batch)
    }

    /// Puts back what could not be written, before what came meanwhile.
    fn put_back(&self, mut batch: RunLogBatch) {
        let mut buffer = self.buffer();
        batch.events.append(&mut buffer.batch.events);
        batch.items.append(&mut buffer.batch.items);
        batch.progress = buffer.batch.progress.or(batch.progress);
        buffer.batch = batch;
    }

    fn waiting(&self) -> usize {
        let buffer = self.buffer();
        buffer.batch.events.len() + buffer.batch.items.len()
    }

    /// Says how far the run is. Cheap: only the last one of a batch is written.
    fn progress(&self, progress: Progress) {
        let mut buffer = self.buffer();
        if buffer.progress == progress {
            return;
        }
        buffer.progress = progress;
        buffer.batch.progress = Some(progress);
        drop(buffer);
        if let Some(observer) = &self.observer {
            observer.progress(&progress);
        }
    }

    fn event(&self, at: DateTime<Utc>, level: Level, message: String) {
        if let Some(observer) = &self.observer {
            observer.event(level, &message);
        }
        let mut buffer = self.buffer();
        buffer.events += 1;
        let seq = buffer.events;
        buffer.batch.events.push(RunEvent { seq, at, level, message });
    }

    fn item(&self, item: RunItem) {
        if let Some(observer) = &self.observer {
            observer.item(&item);
        }
        let mut buffer = self.buffer();
        buffer.items += 1;
        let seq = buffer.items;
        buffer.batch.items.push((seq, item));
    }
}

impl RunContext {
    /// Says how far the run is.
    pub fn progress(&self, progress: Progress) {
        self.inner.reporter.progress(progress);
    }

    /// Adds a line to the run's log. Never a secret.
    pub fn event(&self, level: Level, message: impl Into<String>) {
        self.inner.reporter.event(self.now(), level, message.into());
    }

    /// Adds an item to the run's log; waits where the store is slower than the work. An error
    /// says that the run is lost, or that the store has not answered for long.
    pub async fn item(&self, item: RunItem) -> Result<()> {
        let inner = &self.inner;
        inner.reporter.item(item);
        let waiting = inner.reporter.waiting();
        if waiting < BATCH || !waiting.is_multiple_of(BATCH) {
            return Ok(());
        }
        match inner.flush().await {
            Err(error) if inner.stopped() != Some(Stop::Lost) && waiting < WAITING => {
                tracing::warn!(run = %self.run, error = error.chain(), "cannot write the log of a run yet");
                Ok(())
            }
            other => other,
        }
    }
}
