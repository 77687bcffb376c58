//! What a service's refusal means for the person who asked.
//!
//! One place turns SDK errors into ours: the code from the service's own word or, where an answer
//! has no body (HEAD), from its status; the permission from the one table in [`crate::policy`].

use crate::codes::{Meaning, meaning};
#[cfg(test)]
use crate::failure::{Redirect, redirect};
use crate::policy;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error as StdError;
use std::fmt::Write as _;
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode, Name};

/// Turns an SDK error into ours. `operation` is the SDK's name of the call (`GetObject`), `target`
/// is `bucket/key`, `bucket`, or empty.
#[allow(
    clippy::needless_pass_by_value,
    reason = "fits `map_err`; the SDK's error is of no use after"
)]
pub fn map<E>(
    operation: &'static str,
    target: &str,
    connection: &Name,
    error: SdkError<E, HttpResponse>,
) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    // What we said ourselves inside the SDK (a guard, a role that could not be assumed) stands.
    if let Some(ours) = find::<Error>(&error) {
        return again(ours);
    }
    match &error {
        SdkError::ServiceError(context) => {
            let raw = context.raw();
            let meta = context.err().meta();
            let answer = Answer {
                operation,
                target,
                connection,
                status: raw.status().as_u16(),
                code: meta.code().unwrap_or_default(),
                message: meta.message().unwrap_or_default(),
                request: raw.headers().get("x-amz-request-id").unwrap_or_default(),
                region: raw.headers().get("x-amz-bucket-region"),
            };
            answer.error()
        }
        SdkError::ResponseError(context) => {
            not_s3(operation, connection, context.raw().status().as_u16(), text_of(&error))
        }
        SdkError::TimeoutError(_) => timeout(operation, connection).source(text_of(&error)),
        SdkError::DispatchFailure(failure) => {
            if let Some(credentials) = find::<CredentialsError>(&error) {
                return no_credentials(connection, credentials);
            }
            let timed_out = failure.is_timeout();
            dispatch(operation, connection, &text_of(&error), timed_out)
        }
        _ => match find::<CredentialsError>(&error) {
            Some(credentials) => no_credentials(connection, credentials),
            None => unsayable(operation, target, text_of(&error)),
        },
    }
}

/// What a failed key of a many-key request means.
pub(crate) fn from_code(
    operation: &'static str,
    target: &str,
    connection: &Name,
    code: &str,
    message: &str,
) -> Error {
    Answer { operation, target, connection, status: 0, code, message, request: "", region: None }
        .error()
}

/// What an answer that is no success means.
pub(crate) fn answered(
    operation: &'static str,
    target: &str,
    connection: &Name,
    said: &Said<'_>,
) -> Error {
    let Said { status, code, message, request, region } = *said;
    Answer { operation, target, connection, status, code, message, request, region }.error()
}

/// What a service said in refusing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Said<'a> {
    /// HTTP status.
    pub(crate) status: u16,
    /// Its word; empty if it gave none.
    pub(crate) code: &'a str,
    /// Its sentence.
    pub(crate) message: &'a str,
    /// Its number of the request.
    pub(crate) request: &'a str,
    /// The bucket's region, where it names one.
    pub(crate) region: Option<&'a str>,
}

/// The error when an answer came that no S3 service gives.
pub(crate) fn not_s3(operation: &str, connection: &Name, status: u16, why: String) -> Error {
    Error::new(
        ErrorCode::ConnectionFailed,
        format!(
            "the service of connection `{connection}` gave an answer to {operation} that is not S3's (HTTP {status})"
        ),
    )
    .source(why)
    .hint("check that ENDPOINT is the address of an S3 service, not of a console or a proxy")
}

/// The error when a request could not even be written.
pub(crate) fn unsayable(operation: &str, target: &str, why: String) -> Error {
    Error::new(
        ErrorCode::UsageInvalid,
        format!("the request {operation} on `{target}` could not be made"),
    )
    .source(why)
}

/// The error when the store's credentials could not be had.
pub(crate) fn no_credentials(connection: &Name, error: &CredentialsError) -> Error {
    if let Some(ours) = find::<Error>(error) {
        return again(ours);
    }
    let (message, hint) = match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            format!("no credentials were found for connection `{connection}`"),
            "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (options of the connection, or the environment), name a profile with AWS_PROFILE, or sign in with `aws sso login`; public buckets need ANONYMOUS = TRUE",
        ),
        CredentialsError::ProviderTimedOut(_) => (
            format!("the credentials of connection `{connection}` took too long to come"),
            "check the credential process, SSO or metadata service they come from",
        ),
        _ => (
            format!("the credentials of connection `{connection}` could not be used"),
            "check the profile, SSO session (`aws sso login`) or environment they come from",
        ),
    };
    Error::new(ErrorCode::ConnectionCredentials, message).source(text_of(error)).hint(hint)
}

/// One service answer, taken apart.
struct Answer<'a> {
    operation: &'static str,
    target: &'a str,
    connection: &'a Name,
    status: u16,
    code: &'a str,
    message: &'a str,
    request: &'a str,
    region: Option<&'a str>,
}

impl Answer<'_> {
    fn error(&self) -> Error {
        let Self { operation, target, connection, .. } = self;
        let error = match meaning(self.code) {
            Some(Meaning::NoObject) => self.no_object(),
            Some(Meaning::NoBucket) => self.no_bucket(),
            Some(Meaning::NoUpload) => Error::new(
                ErrorCode::ObjectNotFound,
                format!("the multipart upload of `{target}` is not there: it was completed, aborted or expired"),
            )
            .hint("start the upload again"),
            Some(Meaning::Denied) => self.denied(),
            Some(Meaning::KeyId) => self.credentials(
                "the access key id is not known to the service",
                "check AWS_ACCESS_KEY_ID, and that it belongs to this service and partition; temporary keys also need AWS_SESSION_TOKEN",
            ),
            Some(Meaning::Secret) => self.credentials(
                "the secret access key does not fit the access key id",
                "check AWS_SECRET_ACCESS_KEY for missing or extra characters; a wrong AWS_SESSION_TOKEN or a proxy that changes requests has the same effect",
            ),
            Some(Meaning::Expired) => self.credentials(
                "the temporary credentials have expired",
                "get new ones (for SSO `aws sso login`) and alter the connection, or use AWS_ROLE, which is refreshed",
            ),
            Some(Meaning::Token) => self.credentials(
                "the session token is not valid",
                "AWS_SESSION_TOKEN must come with the same keys, and only temporary keys have one",
            ),
            Some(Meaning::Clock) => self.credentials(
                "this machine's clock differs too much from the service's (clock skew)",
                "set the clock, for example by switching on time synchronisation",
            ),
            Some(Meaning::NotSignedUp | Meaning::RegionOff) => self.credentials(
                "the account is not signed up for the service or region",
                "enable the region, or S3, for the account",
            ),
            Some(Meaning::Changed) => self.changed(),
            Some(Meaning::Busy) => self.busy(),
            Some(Meaning::Timeout) => timeout(operation, connection),
            Some(Meaning::Elsewhere) => self.region(),
            Some(Meaning::Archived) => Error::new(
                ErrorCode::ObjectArchived,
                format!("`{target}` is archived and must be restored before it can be read"),
            )
            .hint("`cp --restore` (RESTORE_DAYS in SQL) asks for that; copy it when it is done, hours later"),
            Some(Meaning::BucketTaken) => Error::new(
                ErrorCode::BucketConflict,
                format!("a bucket `{target}` exists and belongs to somebody else"),
            )
            .hint("bucket names are shared by all accounts; choose another"),
            Some(Meaning::BucketOwned) => {
                Error::new(ErrorCode::BucketConflict, format!("the bucket `{target}` exists already"))
            }
            Some(Meaning::BucketNotEmpty) => {
                Error::new(ErrorCode::BucketConflict, format!("the bucket `{target}` is not empty"))
                    .hint("remove what is in it first, also old versions and unfinished uploads")
            }
            Some(Meaning::Corrupt) => Error::new(
                ErrorCode::ObjectCorrupt,
                format!("the bytes of `{target}` that reached the service are not those that were sent"),
            )
            .hint("try again; if it happens again look for a proxy or network device that changes data"),
            Some(Meaning::BucketName) => {
                Error::new(ErrorCode::PathInvalid, format!("the service does not take the name of bucket `{target}`"))
            }
            Some(Meaning::KeyTooLong) => {
                Error::new(ErrorCode::PathInvalid, format!("the service does not take a key as long as `{target}`"))
            }
            Some(Meaning::NotImplemented) => Error::new(
                ErrorCode::UsageInvalid,
                format!("the service of connection `{connection}` does not support {operation}, or an option sent with it"),
            )
            .hint("leave out options the service lacks: CHECKSUMS = NONE, STORAGE_CLASS, ACL, ENCRYPTION"),
            None => self.by_status(),
        };
        let mut cause = String::new();
        if self.code.is_empty() {
            let _ = write!(cause, "HTTP {}", self.status);
        } else {
            cause.push_str(self.code);
            if !self.message.is_empty() {
                cause.push_str(": ");
                cause.push_str(self.message);
            }
        }
        if !self.request.is_empty() {
            let _ = write!(cause, " (request {})", self.request);
        }
        error.source(cause)
    }

    fn by_status(&self) -> Error {
        let Self { operation, target, connection, .. } = self;
        match self.status {
            301 | 302 | 307 => self.region(),
            401 => self.credentials(
                "the service does not accept the credentials",
                "check the access keys",
            ),
            403 => self.denied(),
            404 if self.about_object() => self.no_object(),
            404 => self.no_bucket(),
            405 | 501 => Error::new(
                ErrorCode::UsageInvalid,
                format!("the service of connection `{connection}` does not support {operation}"),
            )
            .hint("ENDPOINT must be the address of an S3 API that has it"),
            409 | 412 => self.changed(),
            408 | 504 => timeout(operation, connection),
            429 | 500 | 502 | 503 => self.busy(),
            400..=499 => Error::new(
                ErrorCode::ConnectionRejected,
                format!(
                    "the service of connection `{connection}` does not take {operation} on `{target}` as it was sent"
                ),
            )
            .hint("see what the service says above; options that change requests are CHECKSUMS, STORAGE_CLASS, ACL, the ENCRYPTION options, HEADERS and ADDRESSING_STYLE"),
            200..=299 => Error::new(
                ErrorCode::ConnectionFailed,
                format!("the service of connection `{connection}` answers {operation}, but not as S3 does"),
            )
            .hint("ENDPOINT must be the address of the S3 API; a console or a web site often has another port"),
            _ => Error::new(
                ErrorCode::ConnectionFailed,
                format!(
                    "the service of connection `{connection}` failed at {operation} on `{target}`"
                ),
            ),
        }
    }

    /// Whether the call names a key.
    fn about_object(&self) -> bool {
        matches!(self.operation, "UploadPart" | "UploadPartCopy" | "CompleteMultipartUpload")
            || self.operation.ends_with("Object")
            || self.operation.ends_with("MultipartUpload")
    }

    fn no_object(&self) -> Error {
        Error::new(ErrorCode::ObjectNotFound, format!("no object `{}`", self.target))
            .hint("list the folder to see what is there: keys are exact, also in case")
    }

    fn no_bucket(&self) -> Error {
        let bucket = bucket_of(self.target);
        Error::new(ErrorCode::BucketNotFound, format!("no bucket `{bucket}`")).hint(format!(
            "`windlass ls {}:` shows the buckets these credentials may list",
            self.connection
        ))
    }

    fn changed(&self) -> Error {
        Error::new(
            ErrorCode::ObjectChanged,
            format!("`{}` changed, or exists already", self.target),
        )
        .hint("look at it again, then repeat what you did")
    }

    fn busy(&self) -> Error {
        Error::new(
            ErrorCode::ConnectionBusy,
            format!(
                "the service of connection `{}` is overloaded or failing; {} was tried several times",
                self.connection, self.operation
            ),
        )
        .hint("try again later; MAX_REQUESTS_PER_SECOND and MAX_CONCURRENCY make the connection gentler")
    }

    fn credentials(&self, what: &str, hint: &str) -> Error {
        Error::new(
            ErrorCode::ConnectionCredentials,
            format!("the credentials of connection `{}` were refused: {what}", self.connection),
        )
        .hint(hint)
    }

    fn region(&self) -> Error {
        let bucket = bucket_of(self.target);
        let error = Error::new(
            ErrorCode::ConnectionFailed,
            format!("bucket `{bucket}` is not where connection `{}` asked for it", self.connection),
        );
        match self.region {
            Some(region) => {
                error.hint(format!("the bucket is in `{region}`; set REGION to that, or leave it out"))
            }
            None => error.hint("set REGION to the bucket's region, or leave it out to have it found; with ENDPOINT check that it serves this bucket"),
        }
    }

    /// No permission: names the action and resource, by the service's own words if it gave them.
    fn denied(&self) -> Error {
        let Self { operation, target, connection, .. } = self;
        let (said, on) = said(self.message);
        let action = said.unwrap_or_else(|| action(operation));
        let error = if target.is_empty() {
            Error::new(
                ErrorCode::ConnectionDenied,
                format!("connection `{connection}` has no permission for `{action}`"),
            )
        } else {
            Error::new(
                ErrorCode::ConnectionDenied,
                format!("connection `{connection}` has no permission for `{action}` on `{target}`"),
            )
        };
        let resource = on.map_or_else(|| self.resource(), str::to_owned);
        match *operation {
            "AssumeRole" => error.hint(format!(
                "allow `sts:AssumeRole` on `{target}` to the identity, and the identity (with EXTERNAL_ID, if the role asks for one) in the role's trust policy"
            )),
            "GetObject" | "HeadObject" => error.hint(format!(
                "allow `{action}` on `{resource}`; without `s3:ListBucket` a key that does not exist is refused too"
            )),
            "ListBuckets" => error.hint(format!(
                "allow `{action}`, or name a bucket: BUCKET, VERIFY_PATH or `{connection}:BUCKET/`"
            )),
            _ => error.hint(format!("allow `{action}` on `{resource}` to this identity")),
        }
    }

    /// ARN of what the call was about.
    fn resource(&self) -> String {
        let Self { target, .. } = self;
        if target.starts_with("arn:") {
            return (*target).to_owned();
        }
        if target.is_empty() {
            return "*".to_owned();
        }
        if self.about_object() || self.operation == "DeleteObjects" {
            return format!("arn:aws:s3:::{target}");
        }
        format!("arn:aws:s3:::{}", bucket_of(target))
    }
}

/// The IAM action a call needs first.
pub(crate) fn action(operation: &str) -> &'static str {
    match operation {
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "ListParts" => "s3:ListMultipartUploadParts",
        // The source is read with s3:GetObject, but it is the write that is missing most often.
        "CopyObject" | "UploadPartCopy" => "s3:PutObject",
        _ => policy::actions(operation).first().copied().unwrap_or("this request"),
    }
}

/// `… is not authorized to perform: ACTION on resource: "ARN" …`, as AWS words it.
fn said(message: &str) -> (Option<&str>, Option<&str>) {
    let behind = |words: &str| message.split_once(words).map(|(_, rest)| rest.trim_start());
    let action = behind("not authorized to perform: ").map(|rest| {
        let rest = rest.trim_start_matches('"');
        let end = rest.find([' ', '"']).unwrap_or(rest.len());
        rest[..end].trim_end_matches(['.', ','])
    });
    // A key may hold spaces: it ends with its quotes, or where the sentence goes on.
    let resource = behind("on resource: ").map(|rest| {
        if let Some(quoted) = rest.strip_prefix('"') {
            return quoted.find('"').map_or(quoted, |end| &quoted[..end]);
        }
        let ends = [" because ", " with an explicit deny"];
        let end = ends.into_iter().filter_map(|words| rest.find(words)).min();
        rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', ','])
    });
    (action.filter(|action| action.contains(':')), resource.filter(|name| !name.is_empty()))
}

fn bucket_of(target: &str) -> &str {
    if target.starts_with("arn:") {
        return target;
    }
    target.split('/').next().unwrap_or(target)
}

/// The error when no answer came in time.
pub(crate) fn timeout(operation: &str, connection: &Name) -> Error {
    Error::new(
        ErrorCode::ConnectionTimeout,
        format!("the service of connection `{connection}` did not answer {operation} in time"),
    )
    .hint("check the network; TIMEOUT sets how long an attempt waits")
}

/// Tells apart why no answer came. The SDK's types for this are private, so the words decide.
pub(crate) fn dispatch(operation: &str, connection: &Name, text: &str, timed_out: bool) -> Error {
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let unreachable = |what: &str, hint: &str| {
        Error::new(
            ErrorCode::ConnectionUnreachable,
            format!("the service of connection `{connection}` cannot be reached: {what}"),
        )
        .hint(hint)
    };
    let error = if has(&["proxy", "tunnel"]) {
        unreachable(
            "the proxy refused or failed",
            "check PROXY (or HTTPS_PROXY) and its credentials",
        )
    } else if has(&["dns error", "failed to lookup", "name or service not known", "no such host"]) {
        unreachable(
            "its host name cannot be resolved",
            "check ENDPOINT, REGION and the bucket's name; services that do not know buckets as host names need ADDRESSING_STYLE = PATH",
        )
    } else if has(&["certificate", "unknownissuer"]) {
        unreachable(
            "its certificate is not trusted",
            "give the authority that signed it as CA_FILE, and check that ENDPOINT has the name in the certificate",
        )
    } else if has(&["tls", "handshake", "invalidcontenttype", "corrupt message"]) {
        unreachable(
            "it does not speak TLS as expected",
            "if the service has no TLS write `http://` in ENDPOINT with ALLOW_HTTP = TRUE",
        )
    } else if timed_out || has(&["timed out", "timeout"]) {
        timeout(operation, connection)
    } else if has(&["connection refused"]) {
        unreachable("nothing listens there", "check the port in ENDPOINT and that the service runs")
    } else if has(&["network is unreachable", "no route to host"]) {
        unreachable("there is no route to it", "check the network, VPN or firewall")
    } else {
        unreachable(
            "the connection broke",
            "check the network, and that ENDPOINT is right about http and https",
        )
    };
    error.source(text.to_owned())
}

/// The first error of type `T` among `error` and its causes.
pub(crate) fn find<'a, T: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The same error once more; errors hold boxed causes and so cannot be cloned.
fn again(error: &Error) -> Error {
    Error::from(ErrorBody::from(error))
}

/// An error and its causes on one line, repetitions left out.
pub(crate) fn text_of(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
