//! `statement_timeout`: a statement that takes longer ends alone, with an error that says so.

use crate::engine::{Answer, Ctx};
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use windlass_types::{Error, ErrorCode, Result};

/// Until when a statement may run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Option<(Duration, Instant)>);

impl Limit {
    /// From now on, as the session says.
    pub(crate) fn of(ctx: &Ctx) -> Self {
        let limit = ctx.session.statement_timeout();
        Self(limit.and_then(|limit| Some((limit, Instant::now().checked_add(limit)?))))
    }

    /// Runs what is up to the first rows.
    pub(crate) async fn hold<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.0 {
            None => work.await,
            Some((limit, until)) => {
                timeout_at(until, work).await.unwrap_or_else(|_| Err(late(limit)))
            }
        }
    }

    /// The rows must be there in time too.
    pub(crate) fn hold_rows(self, answer: Answer) -> Answer {
        let (schema, batches, verdict) = match answer {
            Answer::Rows { schema, batches, verdict } => (schema, apart(batches), verdict),
            done @ Answer::Done { .. } => return done,
        };
        let Some((limit, until)) = self.0 else { return Answer::Rows { schema, batches, verdict } };
        let batches = futures::stream::unfold(Some(batches), move |batches| async move {
            let mut batches = batches?;
            match timeout_at(until, batches.next()).await {
                Ok(batch) => Some((batch?, Some(batches))),
                Err(_) => Some((Err(late(limit)), None)),
            }
        })
        .boxed();
        Answer::Rows { schema, batches, verdict }
    }
}

type Batches = BoxStream<'static, Result<RecordBatch>>;

/// The same batches, made by a task of their own: one that is busy for long without a pause does not keep
/// whoever waits from hearing of its end.
fn apart(mut batches: Batches) -> Batches {
    let (sender, receiver) = mpsc::channel(1);
    let making = async move {
        while let Some(batch) = batches.next().await {
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    };
    let making = AbortOnDropHandle::new(tokio::spawn(making.in_current_span()));
    futures::stream::unfold(Some((receiver, making)), |state| async {
        let (mut receiver, making) = state?;
        if let Some(batch) = receiver.recv().await {
            return Some((batch, Some((receiver, making))));
        }
        // What broke off is not what ended.
        let broken = making.await.err()?;
        let error = Error::new(ErrorCode::Internal, "the statement broke off").source(broken);
        Some((Err(error), None))
    })
    .boxed()
}

fn late(limit: Duration) -> Error {
    Error::new(
        ErrorCode::StatementTimeout,
        format!("the statement took longer than {} ms", limit.as_millis()),
    )
    .hint("give it more with `SET statement_timeout = '10min'`, or read less; 0 is no limit")
}
