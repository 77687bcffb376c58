//! What a kind is given for one attempt: its payload, its place in the log, and when to stop.

use crate::clock::Clock;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_state::{NewUpload, RunClaim, RunLogBatch, Store, UploadRow};
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
