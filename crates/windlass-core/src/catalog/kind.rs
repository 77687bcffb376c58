//! The kind of job that crawls.

use super::crawl::{CrawlWork, Ready};
use crate::windlass::{Inner, Windlass};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::sync::{PoisonError, Weak};
use windlass_jobs::{JobKind, Outcome, RunContext};
use windlass_types::{Error, ErrorCode, Level, Result};

/// The word of the kind.
pub(crate) const CRAWL: &str = "crawl";

/// CRAWL.
pub(crate) struct CrawlKind(pub(crate) Weak<Inner>);

fn here_of(payload: &Value) -> Option<&str> {
    payload.get("here").and_then(Value::as_str)
}

impl Windlass {
    /// Keeps a crawl of this process for its run: its connection is not stored, so that no other
    /// process could do it. Answers the payload.
    pub(crate) fn keep_crawl(&self, ready: Ready) -> Value {
        let token = windlass_types::RunId::new().to_string();
        let payload = json!({ "here": token });
        let mut crawls = self.inner.crawls.lock().unwrap_or_else(PoisonError::into_inner);
        crawls.insert(token, ready);
        payload
    }
}

#[async_trait]
impl JobKind for CrawlKind {
    fn kind(&self) -> &'static str {
        CRAWL
    }

    fn check(&self, payload: &Value) -> Result<()> {
        match here_of(payload) {
            Some(_) => Ok(()),
            None => CrawlWork::read(payload)?.plan().map(drop),
        }
    }

    async fn run(&self, context: RunContext) -> Result<Outcome> {
        let windlass = crate::jobs::engine(&self.0)?;
        let ready = if let Some(token) = here_of(&context.payload) {
            let mut crawls = windlass.inner.crawls.lock().unwrap_or_else(PoisonError::into_inner);
            crawls.remove(token).ok_or_else(gone)?
        } else {
            let work = CrawlWork::read(&context.payload)?;
            windlass.crawl_ready(context.fabric, &work).await?
        };
        let summary = Box::pin(windlass.crawl(ready, &context)).await?;
        if let Some(refused) = &summary.refused {
            context.event(Level::Warning, format!("{refused}; ALLOW_MASS_DELETE allows it"));
        }
        let partial = summary.partial;
        let summary = serde_json::to_value(summary).map_err(|error| {
            Error::new(ErrorCode::Internal, "the summary cannot be written").source(error)
        })?;
        Ok(match (context.token().is_cancelled(), partial) {
            (true, _) => Outcome::stopped(summary),
            (false, true) => Outcome::partial(summary),
            (false, false) => Outcome::succeeded(summary),
        })
    }
}

fn gone() -> Error {
    Error::new(ErrorCode::Interrupted, "the process that was asked for this crawl has ended")
        .hint("ask again; a job, or CRAWL of a connection, goes on by itself")
}
