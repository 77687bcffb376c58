//! Errors as HTTP answers.

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode};

/// An error on its way out.
pub(crate) struct Failure(pub(crate) Error);

/// What a route answers.
pub(crate) type Reply<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.class().http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer(status, &self.0)
    }
}

/// An answer has the documented body.
#[derive(Debug, Clone)]
struct Documented;

fn answer(status: StatusCode, error: &Error) -> Response {
    let body = Json(serde_json::json!({ "error": ErrorBody::from(error) }));
    let mut response = (status, body).into_response();
    response.extensions_mut().insert(Documented);
    response
}

/// Bytes of another's answer that are read to say what it says.
const SAID: usize = 4096;

/// Gives answers of the layers below the documented body too: a body that is no JSON, a method a
/// path does not take, a parameter that is missing. Their status stays.
pub(crate) async fn documented(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    let ours = response.extensions().get::<Documented>().is_some();
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, SAID).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let (message, hint) = match status {
        StatusCode::METHOD_NOT_ALLOWED => (
            format!("`{asked}` is not possible: the path takes another method"),
            "`GET /api/v1/openapi.json` lists what each path takes; the header `allow` names the methods",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            format!("`{asked}` takes a body in JSON"),
            "send it with the header `content-type: application/json`",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            (format!("the body of `{asked}` is too large"), "write large objects in parts")
        }
        _ => (
            format!("`{asked}` cannot be understood"),
            "`GET /api/v1/openapi.json` describes parameters and bodies",
        ),
    };
    let code = if status.is_server_error() { ErrorCode::Internal } else { ErrorCode::UsageInvalid };
    let mut error = Error::new(code, message).hint(hint);
    if !said.is_empty() {
        error = error.source(std::io::Error::other(said));
    }
    let mut response = answer(status, &error);
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// The error as one JSON line: how a stream that fails after its start ends.
pub(crate) fn error_line(error: &Error) -> String {
    let mut line = serde_json::json!({ "error": ErrorBody::from(error) }).to_string();
    line.push('\n');
    line
}

pub(crate) async fn not_found() -> Response {
    let error = Error::new(ErrorCode::UsageInvalid, "no such path")
        .hint("`GET /api/v1/openapi.json` lists all");
    answer(StatusCode::NOT_FOUND, &error)
}

/// Values as JSON lines, as they come. The first decides the status: a listing that is refused is an
/// error answer; a later failure is the last line.
pub(crate) async fn json_lines<T: Serialize + Send + 'static>(
    values: BoxStream<'static, Result<T, Error>>,
) -> Reply<Response> {
    let mut values = values.peekable();
    if let Some(Err(_)) = Pin::new(&mut values).peek().await
        && let Some(Err(error)) = values.next().await
    {
        return Err(error.into());
    }
    let lines = values.ready_chunks(1000).map(|chunk| {
        let mut bytes = Vec::new();
        for value in chunk {
            match value {
                Ok(value) => {
                    serde_json::to_writer(&mut bytes, &value).unwrap_or_default();
                    bytes.push(b'\n');
                }
                Err(error) => bytes.extend_from_slice(error_line(&error).as_bytes()),
            }
        }
        Ok::<_, Infallible>(bytes)
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}
