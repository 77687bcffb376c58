//! Who is asking and what they may do: signatures' secrets, tokens, rights, and where faults strike.
//!
//! s3s verifies signatures with the secrets given here, then asks [`Gate`] before any operation.

use crate::fault::FaultKind;
use crate::identity::{Known, Right, Scope};
use crate::log::RequestLog;
use crate::memory::Memory;
use crate::service::bucket_of_host;
use http::{HeaderMap, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What follows one request through s3s.
pub(crate) struct Context {
    entry: Mutex<Option<RequestLog>>,
    status: Arc<AtomicU16>,
    damage: Mutex<Vec<FaultKind>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub(crate) fn new(entry: RequestLog) -> Self {
        Self { entry: Mutex::new(Some(entry)), status: Arc::default(), damage: Mutex::default() }
    }

    /// The operation is known: logs the request and lets its faults strike.
    pub(crate) async fn begin(&self, memory: &Memory, operation: &str) -> S3Result<()> {
        let mut key = String::new();
        if let Some(mut entry) = lock(&self.entry).take() {
            operation.clone_into(&mut entry.operation);
            key.clone_from(&entry.key);
            memory.log.push(entry, Arc::clone(&self.status));
        }
        let key = (!key.is_empty()).then_some(key);
        for fault in memory.take_faults(operation, key.as_deref()) {
            match fault {
                FaultKind::Delay(time) => tokio::time::sleep(time).await,
                FaultKind::Hold => memory.hold().await,
                FaultKind::SlowDown => {
                    return Err(s3_error!(SlowDown, "Please reduce your request rate."));
                }
                FaultKind::Internal => {
                    return Err(s3_error!(
                        InternalError,
                        "We encountered an internal error. Please try again."
                    ));
                }
                FaultKind::Error { status, code, message } => {
                    return Err(custom_error(status, &code, message));
                }
                other => lock(&self.damage).push(other),
            }
        }
        Ok(())
    }

    /// Logs a request whose operation never became known.
    pub(crate) fn finish(&self, memory: &Memory) {
        if let Some(entry) = lock(&self.entry).take() {
            memory.log.push(entry, Arc::clone(&self.status));
        }
    }

    pub(crate) fn answered(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    pub(crate) fn take_damage(&self) -> Vec<FaultKind> {
        std::mem::take(&mut lock(&self.damage))
    }
}

/// An error with a code of one's own.
pub(crate) fn custom_error(status: u16, code: &str, message: String) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::with_message(code, message);
    if let Ok(status) = StatusCode::from_u16(status) {
        error.set_status_code(status);
    }
    error
}

/// Finds the bucket in the `Host` header.
pub(crate) struct Hosts(pub(crate) String);

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(self.0.as_str());
        Ok(match bucket_of_host(host, &self.0) {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

/// Authentication and authorisation.
pub(crate) struct Gate(pub(crate) Arc<Memory>);

#[async_trait::async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.identities().known.get(access_key) {
            Some(known) => Ok(SecretKey::from(known.identity.secret_access_key.as_str())),
            None => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let operation = cx.s3_op().name().to_owned();
        let operation = operation.as_str();
        if let Some(context) = cx.extensions_mut().get::<Arc<Context>>().cloned() {
            context.begin(&self.0, operation).await?;
        }
        let access_key = cx.credentials().map(|it| it.access_key.clone());
        let known = match &access_key {
            Some(id) => Some(authenticated(&self.0, id, cx.headers(), cx.uri().query())?),
            None => None,
        };
        let (bucket, key) = match cx.s3_path() {
            S3Path::Root => {
                return match known {
                    Some(it) if it.identity.list_buckets && !denied(&it, operation) => Ok(()),
                    other => Err(refused(other.as_ref(), operation, "*")),
                };
            }
            S3Path::Bucket { bucket } => (bucket, None),
            S3Path::Object { bucket, key } => (bucket, Some(key)),
        };
        let prefix;
        let scope = match key {
            Some(key) => Scope::Key(key),
            None if operation == "DeleteObjects" => Scope::Some,
            None if operation.starts_with("ListObject") || operation == "ListMultipartUploads" => {
                prefix = query_value(cx.uri().query(), "prefix").unwrap_or_default();
                Scope::Listing(&prefix)
            }
            None => Scope::Bucket,
        };
        allow(&self.0, known.as_ref(), operation, bucket, scope)
    }
}

/// The identity behind a signature that is valid, with its token and its time checked.
pub(crate) fn authenticated(
    memory: &Memory,
    access_key_id: &str,
    headers: &HeaderMap,
    query: Option<&str>,
) -> S3Result<Known> {
    let known = memory.identities().known.get(access_key_id).cloned();
    let Some(known) = known else { return Err(s3_error!(InvalidAccessKeyId)) };
    let token = match headers.get("x-amz-security-token") {
        Some(value) => value.to_str().ok().map(str::to_owned),
        None => query_value(query, "X-Amz-Security-Token"),
    };
    if known.identity.session_token.is_some() && known.identity.session_token != token {
        return Err(s3_error!(
            InvalidToken,
            "The provided token is malformed or otherwise invalid."
        ));
    }
    if known.identity.expires.is_some_and(|it| it <= SystemTime::now()) {
        return Err(s3_error!(ExpiredToken, "The provided token has expired."));
    }
    Ok(known)
}

/// Refuses what the identity (nobody: everyone) may not do. A bucket that does not exist passes:
/// the operation says so.
pub(crate) fn allow(
    memory: &Memory,
    known: Option<&Known>,
    operation: &str,
    bucket: &str,
    scope: Scope<'_>,
) -> S3Result<()> {
    let right = right_for(operation);
    let public = match memory.buckets().get(bucket) {
        Some(found) => found.public,
        None if operation == "CreateBucket" => false,
        None if known.is_some() => return Ok(()),
        None => false,
    };
    let allowed = match known {
        Some(it) => !denied(it, operation) && it.identity.may(right, bucket, scope),
        None => false,
    };
    // Public means public: signed requests of strangers may read there too.
    if allowed || (public && right == Right::Read && !known.is_some_and(|it| denied(it, operation)))
    {
        return Ok(());
    }
    let resource = match scope {
        Scope::Key(key) => format!("arn:aws:s3:::{bucket}/{key}"),
        _ => format!("arn:aws:s3:::{bucket}"),
    };
    Err(refused(known, operation, &resource))
}

fn denied(known: &Known, operation: &str) -> bool {
    known.identity.deny.iter().any(|it| it == operation)
}

fn right_for(operation: &str) -> Right {
    match operation {
        "GetBucketLocation" | "HeadBucket" | "ListParts" | "ListMultipartUploads" => Right::Either,
        _ if ["Get", "Head", "List"].iter().any(|it| operation.starts_with(it)) => Right::Read,
        _ => Right::Write,
    }
}

fn refused(known: Option<&Known>, operation: &str, resource: &str) -> S3Error {
    let Some(known) = known else { return s3_error!(AccessDenied, "Access Denied") };
    let action = match operation {
        "ListBuckets" => "ListAllMyBuckets",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListObjectVersions" => "ListBucketVersions",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListParts" => "ListMultipartUploadParts",
        "HeadObject" => "GetObject",
        "DeleteObjects" => "DeleteObject",
        "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "PutObject",
        other => other,
    };
    s3_error!(
        AccessDenied,
        "User: {} is not authorized to perform: s3:{action} on resource: \"{resource}\" because no identity-based policy allows the s3:{action} action",
        known.arn
    )
}

/// A value of a query, decoded.
pub(crate) fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    form(query.unwrap_or_default()).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The pairs of a form or a query, decoded.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|it| !it.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}
