//! Work that is asked for once: a run without a job.

use super::files::FilesWork;
use super::{FILES, Here};
use crate::engine::{Answer, CopyOptions, CopySide, Ctx, Grade, Progress, Summary};
use crate::rows::{self, Columns, Kind};
use crate::windlass::Windlass;
use chrono::Utc;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_jobs::{OneOff, Scheduler};
use windlass_sql::{FilesStatement, Statement};
use windlass_state::{FabricRow as Fabric, RunRow};
use windlass_types::{Error, ErrorCode, Result, RunId, RunState};

/// The summary of a copy as a row: part of the contract.
const SUMMARY: Columns = &[
    ("run", Kind::Text),
    ("copied", Kind::Integer),
    ("updated", Kind::Integer),
    ("deleted", Kind::Integer),
    ("skipped", Kind::Integer),
    ("failed", Kind::Integer),
    ("bytes", Kind::Integer),
    ("seconds", Kind::Real),
    ("dry_run", Kind::Bool),
];

/// Asks a run to stop when whoever waits for it goes away.
pub(super) struct StopOnDrop {
    scheduler: Scheduler,
    run: Option<RunId>,
    waiting: Arc<std::sync::atomic::AtomicUsize>,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        use std::sync::atomic::Ordering;
        let Some(run) = self.run.take() else { return };
        let (scheduler, waiting) = (self.scheduler.clone(), Arc::clone(&self.waiting));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        waiting.fetch_add(1, Ordering::SeqCst);
        runtime.spawn(async move {
            // A run that has ended meanwhile needs no stopping.
            if scheduler.cancel(run).await.is_ok() {
                let _ = scheduler.wait(run).await;
            }
            waiting.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Windlass {
    /// Waits for the end of a run; stops it if nobody waits any more.
    pub(crate) async fn wait_or_stop(&self, run: RunId) -> Result<RunRow> {
        let scheduler = self.scheduler();
        let mut guard = StopOnDrop {
            scheduler: scheduler.clone(),
            run: Some(run),
            waiting: Arc::clone(&self.inner.stopping),
        };
        let row = scheduler.wait(run).await?;
        guard.run = None;
        Ok(row)
    }

    /// COPY, MOVE or SYNC FILES, at once.
    pub(crate) async fn run_files(
        &self,
        fabric: &Fabric,
        statement: FilesStatement,
    ) -> Result<Answer> {
        let work = FilesWork::from(&statement);
        // What is wrong with the statement itself is an error, not a failed run.
        self.work_sides(fabric.id, &work, Utc::now()).await?;
        self.work_report(fabric.id, &work, RunId::new()).await?;
        let definition = Statement::Files(statement).to_string();
        let what = OneOff::new(FILES, fabric.id, definition, work.to_payload()?);
        let run = self.scheduler().start(what, None).await?;
        let summary: Summary = ended(self.wait_or_stop(run).await?)?;
        let cells = vec![
            summary.run.to_string().into(),
            summary.copied.into(),
            summary.updated.into(),
            summary.deleted.into(),
            summary.skipped.into(),
            summary.failed.into(),
            summary.bytes.into(),
            summary.seconds.into(),
            summary.dry_run.into(),
        ];
        let grade = if summary.failed > 0 { Grade::Partial } else { Grade::Good };
        rows::answer(SUMMARY, &[cells], grade)
    }

    /// A copy of the command line: its ends may be folders of this machine, which no other process
    /// could open, so it cannot be taken over.
    pub(crate) async fn run_copy(
        &self,
        ctx: &Ctx,
        source: CopySide,
        destination: CopySide,
        options: CopyOptions,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Summary> {
        let fabric = self.fabric(&ctx.fabric).await?;
        let address = |side: &CopySide| {
            let bucket = side.location.bucket.as_deref().unwrap_or_default();
            side.storage.address(bucket, &side.location.key)
        };
        let verb = match (options.sync, options.delete_source) {
            (true, _) => "sync",
            (false, true) => "mv",
            (false, false) => "cp",
        };
        let definition = format!("{verb} {} {}", address(&source), address(&destination));
        let payload = self.keep_here(Here { source, destination, options, progress });
        let scheduler = self.scheduler();
        let what = OneOff::new(FILES, fabric.id, definition, payload);
        let run = scheduler.start(what, None).await?;
        let waiting = self.wait_or_stop(run);
        tokio::pin!(waiting);
        let row = tokio::select! {
            row = &mut waiting => row?,
            () = cancel.cancelled() => {
                match scheduler.cancel(run).await {
                    Err(error) if error.code() != ErrorCode::RunEnded => return Err(error),
                    _ => waiting.await?,
                }
            }
        };
        match row {
            // Whoever asked was told every failure.
            RunRow { state: RunState::Failed, summary: Some(summary), .. } => read(summary),
            row => ended(row),
        }
    }

    /// Waits a little for runs that were asked to stop.
    pub(crate) async fn wait_for_stops(&self) {
        for _ in 0..200 {
            if self.inner.stopping.load(std::sync::atomic::Ordering::SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

fn read<T: DeserializeOwned>(summary: serde_json::Value) -> Result<T> {
    serde_json::from_value(summary).map_err(|error| {
        Error::new(ErrorCode::Internal, "the summary of the run cannot be read").source(error)
    })
}

/// What a run did, or its error.
pub(crate) fn ended<T: DeserializeOwned>(row: RunRow) -> Result<T> {
    match (row.state, row.summary) {
        (RunState::Succeeded | RunState::Partial, Some(summary)) => read(summary),
        (RunState::Cancelled, _) => Err(Error::new(ErrorCode::Interrupted, "interrupted")),
        (_, _) => Err(match row.error {
            Some(error) => error.into(),
            None => Error::new(ErrorCode::Internal, "the run ended without a word"),
        }),
    }
}
