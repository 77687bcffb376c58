//! Statements, with streamed answers.

use crate::App;
use crate::reply::{Reply, error_line};
use crate::wire::{self, FrameKind};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use std::convert::Infallible;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::engine::{Answer, Ctx};
use windlass_types::error::ErrorBody;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sql))
}

/// Statements to run.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SqlBody {
    /// One or more statements, separated by `;`.
    sql: String,
    /// Fabric; `default` if left out.
    fabric: Option<String>,
}

/// Runs statements. Rows come as JSON lines, an object a row, as they are found; a statement
/// without rows gives `{"message": …, "warnings": […]}`. A failure after the first byte is the last
/// line: `{"error": {…}}`. With `Accept: application/vnd.windlass.answers` rows come as framed Arrow.
#[utoipa::path(post, path = "/sql", tag = "sql", request_body = SqlBody,
    responses((status = 200, description = "rows", content_type = "application/x-ndjson", body = String)))]
async fn sql(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<SqlBody>,
) -> Reply<Response> {
    let framed = headers.get(header::ACCEPT).is_some_and(|value| value == wire::ANSWERS);
    let ctx = Ctx {
        fabric: body.fabric.unwrap_or_else(|| "default".to_owned()),
        remote: true,
        ..Ctx::default()
    };
    let (kind, mut stream) = if framed {
        (wire::ANSWERS, answers_framed(app, ctx, body.sql).boxed())
    } else {
        ("application/x-ndjson", answers_json(app, ctx, body.sql).boxed())
    };
    // The first piece decides the status: a statement that fails at once is an error answer.
    let first = match stream.next().await {
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(first)) => first,
        None => Bytes::new(),
    };
    let rest = stream.map(move |piece| {
        Ok::<_, Infallible>(piece.unwrap_or_else(|error| {
            if framed {
                let body = serde_json::to_vec(&ErrorBody::from(&error)).unwrap_or_default();
                wire::frame(FrameKind::Error, &body)
            } else {
                error_line(&error).into()
            }
        }))
    });
    let body = Body::from_stream(futures::stream::iter([Ok(first)]).chain(rest));
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

fn answers_json(
    app: App,
    mut ctx: Ctx,
    text: String,
) -> impl futures::Stream<Item = windlass_types::Result<Bytes>> + Send {
    async_stream::try_stream! {
        let mut answers = app.engine.sql(&mut ctx, &text);
        while let Some(answer) = answers.next().await {
            match answer? {
                Answer::Rows { mut batches, .. } => {
                    while let Some(batch) = batches.next().await {
                        yield windlass_core::json::lines(&batch?).into();
                    }
                }
                Answer::Done { message, warnings } => {
                    let mut line = serde_json::json!({ "message": message, "warnings": warnings }).to_string();
                    line.push('\n');
                    yield line.into();
                }
            }
        }
    }
}

fn answers_framed(
    app: App,
    mut ctx: Ctx,
    text: String,
) -> impl futures::Stream<Item = windlass_types::Result<Bytes>> + Send {
    async_stream::try_stream! {
        {
            let mut answers = app.engine.sql(&mut ctx, &text);
            while let Some(answer) = answers.next().await {
                match answer? {
                    Answer::Rows { schema, mut batches, verdict } => {
                        yield wire::rows_frame(&schema, None)?;
                        while let Some(batch) = batches.next().await {
                            yield wire::rows_frame(&schema, Some(&batch?))?;
                        }
                        yield wire::frame(FrameKind::End, &wire::grade(verdict.grade()));
                    }
                    Answer::Done { message, warnings } => {
                        let body = serde_json::json!({ "message": message, "warnings": warnings }).to_string();
                        yield wire::frame(FrameKind::Done, body.as_bytes());
                    }
                }
            }
        }
        yield wire::frame(FrameKind::Fabric, ctx.fabric.as_bytes());
    }
}
