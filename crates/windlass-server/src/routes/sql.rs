//! Statements, with streamed answers.

use crate::App;
use crate::reply::{Reply, error_line};
use crate::wire::{self, FrameKind};
use arrow::ipc::writer::StreamWriter;
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use windlass_core::csv;
use windlass_core::engine::{Answer, Ctx};
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sql))
}

/// Statements to run.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SqlBody {
    /// One or more statements, separated by `;`. `SET` holds for those after it: `SET
    /// statement_timeout = '30s'; SELECT …`.
    sql: String,
    /// Fabric; `default` if left out.
    fabric: Option<String>,
    /// How rows are written; otherwise the header `Accept` says it.
    format: Option<Format>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// JSON lines, an object a row (`application/x-ndjson`).
    Jsonl,
    /// CSV with a line of names (`text/csv`).
    Csv,
    /// An Arrow IPC stream (`application/vnd.apache.arrow.stream`).
    Arrow,
    /// Frames of our own, for `--server`.
    #[serde(skip)]
    #[schema(ignore)]
    Framed,
}

impl Format {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Jsonl, "application/x-ndjson"),
        (Self::Csv, "text/csv"),
        (Self::Arrow, "application/vnd.apache.arrow.stream"),
        (Self::Framed, wire::ANSWERS),
    ];

    /// What the media types of `Accept` ask for: the first that is known.
    fn accepted(headers: &HeaderMap) -> Reply<Self> {
        let Some(accept) = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()) else {
            return Ok(Self::Jsonl);
        };
        for kind in accept.split(',') {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            if let Some((format, _)) = Self::ALL.iter().find(|(_, known)| *known == kind) {
                return Ok(*format);
            }
            if ["*/*", "application/*", "application/json", "application/jsonl"].contains(&kind) {
                return Ok(Self::Jsonl);
            }
        }
        Err(Error::new(ErrorCode::UsageInvalid, format!("rows cannot be written as `{accept}`"))
            .hint(
                "known are application/x-ndjson, text/csv and application/vnd.apache.arrow.stream",
            )
            .into())
    }

    fn media_type(self) -> &'static str {
        Self::ALL.iter().find(|(format, _)| *format == self).map_or("", |(_, kind)| kind)
    }
}

/// Runs statements. Rows come as they are found, in the format that `format` or the header `Accept`
/// says:
///
/// - JSON lines (the default): an object a row; a statement without rows gives `{"message": …,
///   "warnings": […]}`. A failure after the first byte is the last line: `{"error": {…}}`.
/// - `text/csv`: a line of names, then the rows; an empty line parts the results of several
///   statements. Null is nothing, empty text is `""`. Statements without rows give nothing.
/// - `application/vnd.apache.arrow.stream`: an Arrow IPC stream for each statement with rows, one
///   behind the other.
///
/// In CSV and Arrow a failure after the first byte cuts the transfer: the last chunk of the body is
/// missing, which every HTTP client reports, and an Arrow stream has no end mark. A client that goes
/// away ends its statement.
#[utoipa::path(post, path = "/sql", tag = "sql", request_body = SqlBody,
    responses((status = 200, description = "rows", content(
        (String = "application/x-ndjson"),
        (String = "text/csv"),
        (Vec<u8> = "application/vnd.apache.arrow.stream")))))]
async fn sql(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<SqlBody>,
) -> Reply<Response> {
    let format = match body.format {
        Some(format) => format,
        None => Format::accepted(&headers)?,
    };
    let ctx = Ctx {
        fabric: body.fabric.unwrap_or_else(|| "default".to_owned()),
        remote: true,
        ..Ctx::default()
    };
    let mut stream = match format {
        Format::Jsonl => answers_json(app, ctx, body.sql).boxed(),
        Format::Csv => answers_csv(app, ctx, body.sql).boxed(),
        Format::Arrow => answers_arrow(app, ctx, body.sql).boxed(),
        Format::Framed => answers_framed(app, ctx, body.sql).boxed(),
    };
    // The first piece decides the status: a statement that fails at once is an error answer.
    let first = match stream.next().await {
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(first)) => first,
        None => Bytes::new(),
    };
    let rest = stream.map(move |piece| match (piece, format) {
        (Ok(piece), _) => Ok(piece),
        (Err(error), Format::Jsonl) => Ok(error_line(&error).into()),
        (Err(error), Format::Framed) => {
            let body = serde_json::to_vec(&ErrorBody::from(&error)).unwrap_or_default();
            Ok(wire::frame(FrameKind::Error, &body))
        }
        // Nothing in these formats could be told from rows: the transfer ends without its end.
        (Err(error), Format::Csv | Format::Arrow) => {
            tracing::info!(error = %error.chain(), "an answer was cut");
            Err(std::io::Error::other(error.chain()))
        }
    });
    let body = Body::from_stream(futures::stream::iter([Ok(first)]).chain(rest));
    Ok(([(header::CONTENT_TYPE, format.media_type())], body).into_response())
}

fn answers_csv(
    app: App,
    mut ctx: Ctx,
    text: String,
) -> impl futures::Stream<Item = windlass_types::Result<Bytes>> + Send {
    async_stream::try_stream! {
        let mut answers = app.engine.sql(&mut ctx, &text);
        let mut first = true;
        while let Some(answer) = answers.next().await {
            if let Answer::Rows { schema, mut batches, .. } = answer? {
                // The first rows go with the names, so that a failure before them is an error answer.
                let mut ahead = if first { String::new() } else { "\n".to_owned() };
                first = false;
                ahead.push_str(&csv::header(&schema));
                while let Some(batch) = batches.next().await {
                    let mut piece = std::mem::take(&mut ahead);
                    piece.push_str(&csv::lines(&batch?));
                    yield piece.into();
                }
                if !ahead.is_empty() {
                    yield ahead.into();
                }
            }
        }
    }
}

fn answers_arrow(
    app: App,
    mut ctx: Ctx,
    text: String,
) -> impl futures::Stream<Item = windlass_types::Result<Bytes>> + Send {
    let wrong = |error: arrow::error::ArrowError| {
        Error::new(ErrorCode::Internal, "rows cannot be written as Arrow").source(error)
    };
    async_stream::try_stream! {
        let mut answers = app.engine.sql(&mut ctx, &text);
        while let Some(answer) = answers.next().await {
            if let Answer::Rows { schema, mut batches, .. } = answer? {
                let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(wrong)?;
                while let Some(batch) = batches.next().await {
                    writer.write(&batch?).map_err(wrong)?;
                    yield std::mem::take(writer.get_mut()).into();
                }
                yield writer.into_inner().map_err(wrong)?.into();
            }
        }
    }
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
                        let end = wire::end(verdict.grade(), &verdict.warnings());
                        yield wire::frame(FrameKind::End, &end);
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
