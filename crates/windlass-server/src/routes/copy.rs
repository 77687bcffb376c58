//! Copies between two connections of the server.

use crate::App;
use crate::reply::Reply;
use crate::wire::{CopyBody, CopyEvent};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::engine::{CopyOptions, CopySide, Ctx, Item, Progress};
use windlass_types::error::ErrorBody;
use windlass_types::{Location, Name};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(copy))
}

/// Sends what happens; a reader that stops reading cancels the copy.
struct Reporter(mpsc::UnboundedSender<CopyEvent>);

impl Progress for Reporter {
    fn planned(&self, items: u64, bytes: u64) {
        let _ = self.0.send(CopyEvent::Planned(items, bytes));
    }
    fn bytes(&self, count: u64) {
        let _ = self.0.send(CopyEvent::Bytes(count));
    }
    fn item(&self, item: &Item) {
        let _ = self.0.send(CopyEvent::Item(Box::new(item.clone())));
    }
}

/// Copies; answers JSON lines of what happens, the last of them the summary or the error.
/// Closing the connection cancels the copy.
#[utoipa::path(post, path = "/copy", tag = "objects", request_body = CopyBody,
    responses((status = 200, description = "events", content_type = "application/x-ndjson", body = String)))]
async fn copy(State(app): State<App>, Json(body): Json<CopyBody>) -> Reply<Response> {
    let ctx = Ctx { fabric: body.fabric.clone(), remote: true };
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
    let options = CopyOptions {
        include: body.include,
        exclude: body.exclude,
        dry_run: body.dry_run,
        delete_source: body.delete_source,
        concurrency: body.concurrency.clamp(1, 1000),
        max_memory: body.max_memory,
    };
    let (sender, mut events) = mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    let engine = app.engine.clone();
    tokio::spawn(async move {
        let progress = Arc::new(Reporter(sender.clone()));
        let end = match engine.copy(&ctx, source, destination, options, progress, cancel).await {
            Ok(summary) => CopyEvent::Summary(Box::new(summary)),
            Err(error) => CopyEvent::Error(ErrorBody::from(&error)),
        };
        let _ = sender.send(end);
    });
    let lines = async_stream::stream! {
        let _guard = guard;
        while let Some(event) = events.recv().await {
            let last = matches!(event, CopyEvent::Summary(_) | CopyEvent::Error(_));
            let mut line = serde_json::to_vec(&event).unwrap_or_default();
            line.push(b'\n');
            yield Ok::<_, Infallible>(line);
            if last {
                break;
            }
        }
    };
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines.boxed()))
        .into_response())
}
