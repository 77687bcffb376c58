//! A request that did not succeed, as the verbs see it: the same whichever client sent it.

use crate::error;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error as StdError;
use windlass_types::{Error, ErrorCode, Name};

/// Where a redirect points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// To this region.
    To(String),
    /// Elsewhere, without saying where.
    Elsewhere,
}

/// The redirect that `error` is, if it is one.
pub(crate) fn redirect<E: ProvideErrorMetadata>(
    error: &SdkError<E, HttpResponse>,
) -> Option<Redirect> {
    let SdkError::ServiceError(context) = error else { return None };
    let raw = context.raw();
    redirected(
        raw.status().as_u16(),
        context.err().meta().code().unwrap_or_default(),
        raw.headers().get("x-amz-bucket-region"),
        raw.body().bytes().unwrap_or_default(),
    )
}

/// The redirect that an answer is, if it is one: its region stands in a header or in the body.
pub(crate) fn redirected(
    status: u16,
    code: &str,
    header: Option<&str>,
    body: &[u8],
) -> Option<Redirect> {
    let moved = matches!(
        code,
        "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
    ) || matches!(status, 301 | 307);
    let region = header.map(str::to_owned).or_else(|| {
        let body = std::str::from_utf8(body).ok()?;
        let start = body.find("<Region>")? + "<Region>".len();
        let end = start + body[start..].find("</Region>")?;
        Some(body[start..end].trim().to_owned())
    });
    // HEAD has no body: a 400 that names the region means the same as a malformed header.
    (moved || (status == 400 && code.is_empty() && region.is_some()))
        .then(|| region.map_or(Redirect::Elsewhere, Redirect::To))
}

/// A request that did not succeed, whichever client sent it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// HTTP status; 0 if there was no answer.
    pub(crate) status: u16,
    /// The service's own word; empty if it gave none.
    pub(crate) code: String,
    /// Where the bucket is instead.
    pub(crate) redirect: Option<Redirect>,
    /// What it means.
    pub(crate) error: Error,
}

impl Failure {
    /// The failure of a request whose file could not be read, so that it was not sent.
    pub(crate) fn unread(error: std::io::Error) -> Self {
        Self::unanswered(
            Error::new(ErrorCode::LocalFailed, "cannot read the file that is to be sent")
                .source(error),
        )
    }

    /// Takes an SDK error apart.
    pub(crate) fn of_sdk<E>(
        operation: &'static str,
        target: &str,
        connection: &Name,
        failure: SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let status = failure.raw_response().map_or(0, |raw| raw.status().as_u16());
        let code = match &failure {
            SdkError::ServiceError(context) => {
                context.err().meta().code().unwrap_or_default().to_owned()
            }
            _ => String::new(),
        };
        let redirect = redirect(&failure);
        Self { status, code, redirect, error: error::map(operation, target, connection, failure) }
    }

    /// A failure that no service answered.
    pub(crate) fn unanswered(error: Error) -> Self {
        Self { status: 0, code: String::new(), redirect: None, error }
    }
}
