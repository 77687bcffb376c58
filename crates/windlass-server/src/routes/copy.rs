//! Copies between two connections of the server.

use crate::App;
use crate::reply::Reply;
use crate::wire::{CopyBody, CopyEvent};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::engine::{CopySide, Ctx, Item, Progress};
use windlass_types::error::ErrorBody;
use windlass_types::{Location, Name};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(copy))
}

/// Objects and parts in flight at most, whoever asks.
const MOST_AT_ONCE: usize = 1000;

/// Bytes held at most, whoever asks.
const MOST_MEMORY: u64 = 4 << 30;

/// Items held for a reader before the copy waits for it.
const HELD: usize = 10_000;

/// Holds what happens until it is read. Counts are joined to one, and no more items are held than
/// there is room for: a slow reader slows the copy down, one that is gone cancels it.
#[derive(Default)]
struct Reporter {
    held: Mutex<Held>,
    filled: Notify,
    emptied: Notify,
}

#[derive(Default)]
struct Held {
    planned: Option<(u64, u64)>,
    bytes: u64,
    events: Vec<CopyEvent>,
}

impl Reporter {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: CopyEvent) {
        self.held().events.push(event);
        self.filled.notify_one();
    }

    /// Waits for something to tell; takes all of it, counts first.
    async fn taken(&self) -> Vec<CopyEvent> {
        loop {
            {
                let mut held = self.held();
                let mut events = Vec::new();
                let planned = held.planned.take();
                events.extend(planned.map(|(items, bytes)| CopyEvent::Planned(items, bytes)));
                let bytes = std::mem::take(&mut held.bytes);
                events.extend((bytes > 0).then_some(CopyEvent::Bytes(bytes)));
                events.append(&mut held.events);
                if !events.is_empty() {
                    self.emptied.notify_one();
                    return events;
                }
            }
            self.filled.notified().await;
        }
    }
}

impl Progress for Reporter {
    fn planned(&self, items: u64, bytes: u64) {
        self.held().planned = Some((items, bytes));
        self.filled.notify_one();
    }
    fn bytes(&self, count: u64) {
        self.held().bytes += count;
        self.filled.notify_one();
    }
    fn note(&self, text: &str) {
        self.push(CopyEvent::Note(text.to_owned()));
    }
    fn room(&self) -> BoxFuture<'_, ()> {
        async {
            while self.held().events.len() >= HELD {
                self.emptied.notified().await;
            }
        }
        .boxed()
    }
    fn item(&self, item: &Item) {
        self.push(CopyEvent::Item(Box::new(item.clone())));
    }
}

/// Copies; answers JSON lines of what happens, the last of them the summary or the error.
/// Closing the connection cancels the copy.
#[utoipa::path(post, path = "/copy", tag = "objects", request_body = CopyBody,
    responses((status = 200, description = "events", content_type = "application/x-ndjson", body = String)))]
async fn copy(State(app): State<App>, Json(body): Json<CopyBody>) -> Reply<Response> {
    let ctx = Ctx { fabric: body.fabric.clone(), remote: true, ..Ctx::default() };
    let side = async |connection: &str, bucket: Option<String>, key: String| {
        let storage = app.engine.storage(&ctx, &Name::new(connection)?).await?;
        if let Some(bucket) = &bucket {
            storage.binding().check(bucket, &key)?;
        }
        Ok::<_, windlass_types::Error>(CopySide { storage, location: Location { bucket, key } })
    };
    let source = side(&body.source, body.source_bucket, body.source_key).await?;
    let destination =
        side(&body.destination, body.destination_bucket, body.destination_key).await?;
    let mut options = body.options;
    options.concurrency = options.concurrency.min(MOST_AT_ONCE);
    options.max_memory = options.max_memory.min(MOST_MEMORY);
    options.check()?;
    let reporter = Arc::new(Reporter::default());
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    let engine = app.engine.clone();
    let watched = Arc::clone(&reporter);
    tokio::spawn(async move {
        let progress: Arc<dyn Progress> = Arc::clone(&watched) as _;
        let end = match engine.copy(&ctx, source, destination, options, progress, cancel).await {
            Ok(summary) => CopyEvent::Summary(Box::new(summary)),
            Err(error) => CopyEvent::Error(ErrorBody::from(&error)),
        };
        watched.push(end);
    });
    let lines = async_stream::stream! {
        let _guard = guard;
        loop {
            let mut lines = Vec::new();
            let mut last = false;
            for event in reporter.taken().await {
                last |= matches!(event, CopyEvent::Summary(_) | CopyEvent::Error(_));
                serde_json::to_writer(&mut lines, &event).unwrap_or_default();
                lines.push(b'\n');
            }
            yield Ok::<_, Infallible>(lines);
            if last {
                break;
            }
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines.boxed()))
        .into_response())
}
