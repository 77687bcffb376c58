//! What a job does: one implementation of [`JobKind`] a kind, one file each, in core.

use crate::RunContext;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// One kind of work.
///
/// A run may be begun again: after a retry, or by another process when its owner died. Doing it
/// again must therefore be harmless; what was done already is found in the marks of the run
/// ([`RunContext::mark`]) or by looking at the destination.
#[async_trait::async_trait]
pub trait JobKind: Send + Sync {
    /// The word under which jobs of this kind are stored; it never changes.
    fn kind(&self) -> &'static str;

    /// Checks a payload without doing IO, when a job is made and again before each run.
    fn check(&self, payload: &Value) -> Result<()>;

    /// Does the work. Returns soon after [`RunContext::cancelled`] fires, with
    /// [`Outcome::stopped`] or an error; later than the grace of the scheduler, the work is
    /// dropped at its next await. An error whose class is retryable is tried again as the policy
    /// says.
    async fn run(&self, context: RunContext) -> Result<Outcome>;
}

/// How far the work came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything was done.
    Done,
    /// The work ended, but some items failed.
    Partial,
    /// It stopped early because it was told to; it would go on.
    Stopped,
    /// Nothing was done.
    Failed,
}

/// How the work ended.
#[derive(Debug)]
pub struct Outcome {
    /// How far it came.
    pub end: End,
    /// Counters and whatever else describes the run, as a JSON object.
    pub summary: Value,
    /// Why nothing was done.
    pub error: Option<Error>,
}

impl Outcome {
    /// Everything was done, even if the order to stop came meanwhile.
    pub fn succeeded(summary: Value) -> Self {
        Self { end: End::Done, summary, error: None }
    }

    /// The work ended, but some items failed.
    pub fn partial(summary: Value) -> Self {
        Self { end: End::Partial, summary, error: None }
    }

    /// It was told to stop, and did; the summary says what was done until then.
    pub fn stopped(summary: Value) -> Self {
        Self { end: End::Stopped, summary, error: None }
    }

    /// Nothing was done, as by an error of [`JobKind::run`]; the summary says how much failed.
    pub fn failed(summary: Value, error: Error) -> Self {
        Self { end: End::Failed, summary, error: Some(error) }
    }
}

/// The kinds a process can run.
#[derive(Clone, Default)]
pub struct Kinds(BTreeMap<&'static str, Arc<dyn JobKind>>);

impl Kinds {
    /// No kinds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind; a later one of the same word replaces the earlier.
    #[must_use]
    pub fn with(mut self, kind: Arc<dyn JobKind>) -> Self {
        self.0.insert(kind.kind(), kind);
        self
    }

    /// The kind of this word; none is an error.
    pub fn get(&self, kind: &str) -> Result<Arc<dyn JobKind>> {
        self.0.get(kind).cloned().ok_or_else(|| {
            Error::new(ErrorCode::StateNewer, format!("unknown kind of job `{kind}`")).hint(
                "the job was made by a newer Windlass, or by one with other features; use that one",
            )
        })
    }

    /// The words, sorted.
    pub fn words(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}

impl std::fmt::Debug for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
