//! The kind of job that moves files.

use super::files::FilesWork;
use super::report::Reporting;
use crate::engine::{CopyOptions, CopySide, Item, Progress, Summary};
use crate::local_engine::copy_again;
use crate::windlass::{Inner, Windlass};
use async_trait::async_trait;
use chrono::DateTime;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::mpsc;
use windlass_jobs::{JobKind, Outcome, RunContext};
use windlass_transfer::{Earlier, Failures, Quiet, Status};
use windlass_types::{Error, ErrorCode, Level, Result, RunItem};

/// Items that did not fail, of which a run keeps at most so many in the store. Every failed one is
/// kept; `REPORT` writes all.
const KEPT: u64 = 10_000;

/// Items of a run read from the store at once.
const PAGE: u32 = 1000;

/// A copy that this process was asked for, with ends that no other process could open.
pub(crate) struct Here {
    /// From.
    pub(crate) source: CopySide,
    /// To.
    pub(crate) destination: CopySide,
    /// How.
    pub(crate) options: CopyOptions,
    /// Who watches.
    pub(crate) progress: Arc<dyn Progress>,
}

/// COPY, MOVE and SYNC FILES.
pub(crate) struct FilesKind(pub(crate) Weak<Inner>);

/// The token of a payload that stands for a [`Here`].
fn here_of(payload: &Value) -> Option<&str> {
    payload.get("here").and_then(Value::as_str)
}

impl Windlass {
    /// Keeps a copy of this process for its run; answers the payload of that run.
    pub(crate) fn keep_here(&self, here: Here) -> Value {
        let token = windlass_types::RunId::new().to_string();
        let payload = json!({ "here": token });
        self.inner.here.lock().unwrap_or_else(PoisonError::into_inner).insert(token, here);
        payload
    }

    fn take_here(&self, token: &str) -> Option<Here> {
        self.inner.here.lock().unwrap_or_else(PoisonError::into_inner).remove(token)
    }
}

#[async_trait]
impl JobKind for FilesKind {
    fn kind(&self) -> &'static str {
        super::FILES
    }

    fn check(&self, payload: &Value) -> Result<()> {
        match here_of(payload) {
            Some(_) => Ok(()),
            // Which time it is decides nothing here.
            None => FilesWork::read(payload)?.options(DateTime::UNIX_EPOCH).map(drop),
        }
    }

    async fn run(&self, context: RunContext) -> Result<Outcome> {
        let windlass = super::engine(&self.0)?;
        let (here, kept, report) = if let Some(token) = here_of(&context.payload) {
            (windlass.take_here(token).ok_or_else(gone)?, 0, None)
        } else {
            let work = FilesWork::read(&context.payload)?;
            let (source, destination, options) =
                windlass.work_sides(context.fabric, &work, context.now()).await?;
            let report = windlass.work_report(context.fabric, &work, context.run).await?;
            let report = report.map(|to| Reporting::begin(to, Arc::new(Quiet))).transpose()?;
            let progress: Arc<dyn Progress> = match &report {
                Some(report) => Arc::clone(report) as _,
                None => Arc::new(Quiet),
            };
            (Here { source, destination, options, progress }, KEPT, report)
        };
        // A run of this process only is never taken up again.
        let repeated = context.is_repeated() && !here.options.dry_run;
        let (earlier, before) = if repeated {
            let before = windlass.inner.store.log_ends(context.run).await?.1;
            (Some(Arc::new(windlass.earlier(&context).await?)), before)
        } else {
            (None, 0)
        };
        let known = earlier.as_ref().map_or(0, |earlier| earlier.known() as u64);
        let failures = Arc::new(Mutex::new(Failures::default()));
        let (sender, items) = mpsc::unbounded_channel();
        let watch = Arc::new(Watch {
            context: context.clone(),
            seen: Mutex::default(),
            to: Arc::clone(&here.progress),
            items: sender,
            left: AtomicU64::new(kept.saturating_sub(known)),
            earlier: earlier.clone(),
            failures: Arc::clone(&failures),
        });
        // The copy holds the only senders, so the log ends with it.
        let token = context.token();
        let journal = super::journal::of(&windlass, &context, &here.destination.storage).await?;
        let Here { source, destination, options, .. } = here;
        let (ends, dry) = ((source.clone(), destination.clone()), options.dry_run);
        let with = (journal, earlier);
        let copy = copy_again(source, destination, options, with, watch, token.clone());
        let (copied, logged) = tokio::join!(copy, log(&context, items));
        let settled = if repeated && !token.is_cancelled() {
            // Who came to the end has met every item.
            context.settle_items(copied.is_ok().then_some(before)).await
        } else {
            Ok(())
        };
        // Also of a run that failed, what was done until then.
        let reported = match &report {
            Some(report) if !token.is_cancelled() => report.end().await,
            _ => Ok(()),
        };
        let mut summary: Summary = copied?;
        logged?;
        settled?;
        reported?;
        summary.run = context.run;
        if !dry && summary.copied + summary.updated > 0 {
            windlass.note_copy(&context, &ends.0, &ends.1).await;
        }
        let partial = summary.failed > 0;
        let of_all = failures.lock().unwrap_or_else(PoisonError::into_inner).of_all(&summary);
        let summary = serde_json::to_value(summary).map_err(|error| {
            Error::new(ErrorCode::Internal, "the summary cannot be written").source(error)
        })?;
        Ok(match of_all {
            Some(error) => Outcome::failed(summary, error),
            None if partial => Outcome::partial(summary),
            None => Outcome::succeeded(summary),
        })
    }
}

impl Windlass {
    /// What earlier attempts of a run are known to have done.
    async fn earlier(&self, context: &RunContext) -> Result<Earlier> {
        let (mut items, mut after) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.run_items(context.run, Some("done"), after, PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            items.extend(page.into_iter().filter_map(|(_, item)| done_item(item)));
        }
        Ok(Earlier::new(context.began, items))
    }
}

/// An item of the log as it was; None for one of a newer Windlass.
fn done_item(item: RunItem) -> Option<Item> {
    fn read<T: DeserializeOwned>(word: String) -> Option<T> {
        serde_json::from_value(Value::String(word)).ok()
    }
    Some(Item {
        action: read(item.action)?,
        source: item.source,
        destination: item.destination,
        size: item.size.unwrap_or_default(),
        status: read(item.status)?,
        reason: item.reason,
        code: item.code,
        hint: item.hint,
    })
}

fn gone() -> Error {
    Error::new(ErrorCode::Interrupted, "the process that was asked for this copy has ended")
        .hint("ask again; a job, or COPY FILES between connections, goes on by itself")
}

/// Writes items as they come. Where that fails the copy is stopped: what nobody can read of it
/// should not be done.
async fn log(context: &RunContext, mut items: mpsc::UnboundedReceiver<RunItem>) -> Result<()> {
    let mut result = Ok(());
    while let Some(item) = items.recv().await {
        if result.is_ok() {
            result = context.item(item).await;
            if result.is_err() {
                context.token().cancel();
            }
        }
    }
    result
}

/// Carries what a copy says into the log of its run, and to whoever watches.
struct Watch {
    context: RunContext,
    seen: Mutex<windlass_types::Progress>,
    to: Arc<dyn Progress>,
    items: mpsc::UnboundedSender<RunItem>,
    left: AtomicU64,
    earlier: Option<Arc<Earlier>>,
    failures: Arc<Mutex<Failures>>,
}

impl Watch {
    fn change(&self, change: impl FnOnce(&mut windlass_types::Progress)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut seen);
        self.context.progress(*seen);
    }
}

impl Progress for Watch {
    fn planned(&self, items: u64, bytes: u64) {
        self.change(|seen| {
            seen.planned_items = Some(items);
            seen.planned_bytes = Some(bytes);
        });
        self.to.planned(items, bytes);
    }

    fn bytes(&self, n: u64) {
        self.change(|seen| seen.done_bytes += n);
        self.to.bytes(n);
    }

    fn note(&self, text: &str) {
        self.context.event(Level::Info, text);
        self.to.note(text);
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.to.room()
    }

    fn before_trigger(&self) -> BoxFuture<'_, Result<()>> {
        self.to.before_trigger()
    }

    fn item(&self, item: &Item) {
        let failed = item.status == Status::Failed;
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).see(item);
        self.change(|seen| {
            seen.done_items += 1;
            seen.failed_items += u64::from(failed);
        });
        let spend = |left: u64| left.checked_sub(1);
        // What an earlier attempt did is there already.
        let known = self.earlier.as_ref().is_some_and(|earlier| earlier.tells_again(item));
        let kept = !known
            && (failed
                || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok());
        if kept {
            // The receiver lives as long as the copy.
            let _ = self.items.send(run_item(item));
        }
        self.to.item(item);
    }
}

fn run_item(item: &Item) -> RunItem {
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    RunItem {
        action: word(json!(item.action)),
        source: item.source.clone(),
        destination: item.destination.clone(),
        size: Some(item.size),
        status: word(json!(item.status)),
        reason: item.reason.clone(),
        code: item.code.clone(),
        hint: item.hint.clone(),
    }
}
