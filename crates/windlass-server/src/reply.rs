//! Errors as HTTP answers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
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
        (status, Json(serde_json::json!({ "error": ErrorBody::from(&self.0) }))).into_response()
    }
}

/// The error as one JSON line: how a stream that fails after its start ends.
pub(crate) fn error_line(error: &Error) -> String {
    let mut line = serde_json::json!({ "error": ErrorBody::from(error) }).to_string();
    line.push('\n');
    line
}

pub(crate) async fn not_found() -> Failure {
    Failure(
        Error::new(ErrorCode::UsageInvalid, "no such path")
            .hint("`GET /api/v1/openapi.json` lists all"),
    )
}
