//! Our own client for the calls that move data and list it.
//!
//! A request is a few headers and a signature, an answer some headers and bytes: what the SDK adds
//! to that costs more than the rest of the work. Everything a request must pass is here and in one
//! place, [`Wire::send`]: `READ_ONLY`, the limits, signing, attempts. Which bucket is reached this way
//! is [`route`]'s to say; the calls themselves are [`object`] and [`listing`].

mod answer;
mod connect;
pub(crate) mod listing;
pub(crate) mod object;
mod pool;
mod query;
mod route;
mod sign;
mod xml;

pub(crate) use answer::Answer;
pub(crate) use pool::Body;
pub(crate) use route::{Route, Routes};
pub(crate) use sign::hex;
pub(crate) use xml::{Fault, Xml};

use crate::codes;
use crate::credentials::{ATTEMPTS, Wiring};
use crate::encryption::CustomerKey;
use crate::error::{self, Said};
use crate::failure::{Failure, redirected};
use crate::guard::Guard;
use crate::http::{Line, is_busy};
use crate::keep::Kept;
use crate::payload::{Payload, Sending};
use crate::store::target;
use answer::Silence;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use listing::{NoPage, PageReader};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pool::Conn;
use sign::{Subject, UNSIGNED};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use windlass_types::{Name, S3Spec};

/// What stays as it is in a query.
pub(crate) const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What stays as it is in a path.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// The longest time between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How much of a refusal is read.
const REFUSAL: usize = 64 * 1024;

/// The calls of this client, by the SDK's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    List,
    Head,
    Get,
    Put,
    UploadPart,
    Copy,
    UploadPartCopy,
    Delete,
    DeleteMany,
}

impl Call {
    #[cfg(test)]
    const ALL: [Self; 9] = [
        Self::List,
        Self::Head,
        Self::Get,
        Self::Put,
        Self::UploadPart,
        Self::Copy,
        Self::UploadPartCopy,
        Self::Delete,
        Self::DeleteMany,
    ];

    /// Name and HTTP method.
    fn row(self) -> (&'static str, Method) {
        match self {
            Self::List => ("ListObjectsV2", Method::GET),
            Self::Head => ("HeadObject", Method::HEAD),
            Self::Get => ("GetObject", Method::GET),
            Self::Put => ("PutObject", Method::PUT),
            Self::UploadPart => ("UploadPart", Method::PUT),
            Self::Copy => ("CopyObject", Method::PUT),
            Self::UploadPartCopy => ("UploadPartCopy", Method::PUT),
            Self::Delete => ("DeleteObject", Method::DELETE),
            Self::DeleteMany => ("DeleteObjects", Method::POST),
        }
    }

    /// The SDK's name of it.
    pub(crate) fn name(self) -> &'static str {
        self.row().0
    }

    /// Whether the answer's body is small and read within the attempt.
    const fn is_whole(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Bytes whose hash is in the signature.
    Hashed(Payload),
    /// Bytes that a signed checksum header binds to the signature.
    Bound(Payload),
}

impl Content {
    /// The bytes, whatever the signature says of them.
    fn payload(&self) -> &Payload {
        let (Self::Hashed(payload) | Self::Bound(payload)) = self;
        payload
    }
}

/// One request, before it is signed.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) call: Call,
    pub(crate) bucket: &'a str,
    /// Empty for calls about the bucket.
    pub(crate) key: &'a str,
    /// Encoded, sorted by name.
    pub(crate) query: String,
    /// Of two with one name the later is sent.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) content: Content,
}

impl<'a> Asked<'a> {
    /// A request without query, headers and body.
    pub(crate) fn new(call: Call, bucket: &'a str, key: &'a str) -> Self {
        Self {
            call,
            bucket,
            key,
            query: String::new(),
            headers: Vec::with_capacity(16),
            content: Content::Hashed(Bytes::new().into()),
        }
    }

    /// Adds a header of our own words.
    pub(crate) fn fixed(&mut self, name: HeaderName, value: &'static str) {
        self.headers.push((name, HeaderValue::from_static(value)));
    }

    /// Adds a header; a text that HTTP cannot carry is an error.
    pub(crate) fn header(&mut self, name: HeaderName, value: &str) -> Result<(), Failure> {
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            let why = format!("the value of `{name}` holds characters that no header can carry");
            self.unsayable(why)
        })?;
        self.headers.push((name, value));
        Ok(())
    }

    /// The failure of a request that cannot be written.
    pub(crate) fn unsayable(&self, why: String) -> Failure {
        let target = target(self.bucket, self.key);
        Failure::unanswered(error::unsayable(self.call.name(), &target, why))
    }
}

/// What has been sent since the connection was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, every attempt counted.
    pub requests: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Answers that asked to go slower (503, 429), also to what goes through the SDK.
    pub busy: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
}

/// The client of one connection.
#[derive(Debug)]
pub(crate) struct Wire {
    connection: Name,
    guard: Guard,
    line: Arc<Line>,
    kept: Option<Kept>,
    pub(crate) routes: Routes,
    /// Headers of every new object.
    pub(crate) fresh: Vec<(HeaderName, HeaderValue)>,
    /// Headers of SSE-C, of the object itself and of a copy's source.
    pub(crate) customer: Vec<(HeaderName, HeaderValue)>,
    pub(crate) source: Vec<(HeaderName, HeaderValue)>,
    counters: Counters,
    /// The service hashes bodies and does not take a signature without.
    hashes: AtomicBool,
}

impl Wire {
    /// A client that acts as `wiring` says.
    pub(crate) fn new(
        connection: &Name,
        spec: &S3Spec,
        guard: &Guard,
        wiring: &Wiring,
        key: Option<&CustomerKey>,
    ) -> windlass_types::Result<Self> {
        let made = crate::encryption::headers(spec, key)?;
        Ok(Self {
            connection: connection.clone(),
            guard: guard.clone(),
            line: Arc::clone(&wiring.line),
            kept: wiring.kept.clone(),
            routes: Routes::default(),
            fresh: made.fresh,
            customer: made.customer,
            source: made.source,
            counters: Counters::default(),
            hashes: AtomicBool::new(false),
        })
    }

    /// The way out.
    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    /// Whom it acts for, where it signs.
    fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    fn connection(&self) -> &Name {
        &self.connection
    }

    /// What has been sent.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.counters.requests.load(Ordering::Relaxed),
            retries: self.counters.retries.load(Ordering::Relaxed),
            busy: self.line.busy(),
        }
    }

    /// Sends a request until it succeeds, is refused for good, or was tried often enough.
    pub(crate) async fn send(&self, route: &Route, asked: &Asked<'_>) -> Result<Answer, Failure> {
        // Boxed, so that the calls above it are small and cheap to move.
        Box::pin(self.attempts(route, asked)).await
    }

    async fn attempts(&self, route: &Route, asked: &Asked<'_>) -> Result<Answer, Failure> {
        self.guard.check(asked.call.name()).map_err(Failure::unanswered)?;
        let (mut attempt, mut fresh, mut hashed) = (1, false, self.hashes.load(Ordering::Relaxed));
        loop {
            let request = self.signed(route, asked, hashed).await?;
            self.counters.requests.fetch_add(1, Ordering::Relaxed);
            let (failure, wait) = match self.attempt(route, asked, request, fresh).await {
                Ok(Ok(answer)) => {
                    if hashed {
                        self.hashes.store(true, Ordering::Relaxed);
                    }
                    return Ok(answer);
                }
                Ok(Err((failure, wait))) => {
                    if wait.is_none() && !hashed && self.wants_hash(asked, &failure) {
                        hashed = true;
                        continue;
                    }
                    (failure, wait)
                }
                Err(silence) if silence.stale && !fresh => {
                    fresh = true;
                    continue;
                }
                Err(silence) => {
                    let Silence { text, timed_out, .. } = silence;
                    let name = asked.call.name();
                    let error = error::dispatch(name, &self.connection, &text, timed_out);
                    // No trust comes of asking again.
                    let hopeless = text.to_ascii_lowercase().contains("certificate");
                    (Failure::unanswered(error), (!hopeless).then_some(Duration::ZERO))
                }
            };
            let Some(asked_for) = wait.filter(|_| attempt < ATTEMPTS) else { return Err(failure) };
            let wait = pause(attempt).max(asked_for);
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(
                connection = %self.connection,
                operation = asked.call.name(),
                target = target(asked.bucket, asked.key),
                status = failure.status,
                code = failure.code,
                error = failure.error.message(),
                attempt,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "asked again"
            );
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Whether a service refused a body only because its hash is not in the signature.
    fn wants_hash(&self, asked: &Asked<'_>, failure: &Failure) -> bool {
        matches!(asked.content, Content::Bound(_))
            && self.kept.is_some()
            && matches!(
                failure.code.as_str(),
                "XAmzContentSHA256Mismatch" | "SignatureDoesNotMatch"
            )
    }

    /// Writes and signs a request.
    async fn signed(
        &self,
        route: &Route,
        asked: &Asked<'_>,
        hashed: bool,
    ) -> Result<Request<Sending>, Failure> {
        let mut path = String::with_capacity(route.path.len() + asked.key.len() * 3 / 2 + 1);
        path.push_str(&route.path);
        path.push('/');
        path.extend(utf8_percent_encode(asked.key, IN_PATH));
        let (name, method) = asked.call.row();
        let body = asked.content.payload();
        let content = match asked.content {
            Content::Bound(_) if !hashed => None,
            _ => Some(sign::hash(body).await.map_err(|error| asked.unsayable(error.to_string()))?),
        };
        let mut headers = HeaderMap::with_capacity(24);
        for (name, value) in &asked.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(HOST, route.host.clone());
        headers.insert(USER_AGENT, const { HeaderValue::from_static(AGENT) });
        // Also of no body: a service may refuse a PUT that does not say how long it is.
        if !method.is_safe() && method != Method::DELETE {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        self.guard.dress(&mut headers);
        if let Some(kept) = &self.kept {
            let credentials = kept.get().await.map_err(|failure| {
                Failure::unanswered(error::no_credentials(&self.connection, &failure))
            })?;
            let subject = Subject {
                method: method.as_str(),
                path: &path,
                query: &asked.query,
                content: content.as_deref().unwrap_or(UNSIGNED),
                region: &route.region,
                service: "s3",
            };
            route
                .signer
                .sign(&mut headers, &subject, &credentials, SystemTime::now())
                .map_err(|_| asked.unsayable(format!("{name} cannot be signed")))?;
        }
        if !asked.query.is_empty() {
            path.push('?');
            path.push_str(&asked.query);
        }
        if let Some((address, auth)) = &route.through {
            path.insert_str(0, address);
            if let Some(auth) = auth {
                headers.insert(PROXY_AUTHORIZATION, auth.clone());
            }
        }
        let uri = Uri::try_from(path).map_err(|error| asked.unsayable(error.to_string()))?;
        let mut request = Request::new(body.body());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Sends a request once. Inside is the service's answer; a refusal comes with the time after
    /// which the same request may pass.
    async fn attempt(
        &self,
        route: &Route,
        asked: &Asked<'_>,
        request: Request<Sending>,
        fresh: bool,
    ) -> Result<Result<Answer, (Failure, Option<Duration>)>, Silence> {
        let limit = self.line.patience(asked.content.payload().len());
        let permit = self.line.gate.enter().await;
        let (answer, conn) = tokio::time::timeout(limit, exchange(route, request, fresh))
            .await
            .unwrap_or_else(|_| {
                let text = format!("no answer within {} seconds", limit.as_secs());
                Err(Silence { text, timed_out: true, stale: false })
            })?;
        drop(permit);
        let (parts, incoming) = answer.into_parts();
        let status = parts.status.as_u16();
        let mut answer =
            Answer { headers: parts.headers, text: Vec::new(), page: None, body: None };
        let mut body = Body::new(incoming, &route.origin, conn);
        if parts.status.is_success() {
            if !asked.call.is_whole() {
                answer.body = Some(body);
                return Ok(Ok(answer));
            }
            if asked.call == Call::List {
                let mut reader = PageReader::default();
                self.read(&mut body, usize::MAX, |bytes| reader.push(bytes)).await?;
                match reader.finish() {
                    Ok(page) => answer.page = Some(Ok(page)),
                    Err(NoPage::Broken(why)) => answer.page = Some(Err(why)),
                    Err(NoPage::Other(text)) => answer.text = text,
                }
            } else {
                answer.text = self.text(&mut body, usize::MAX).await?;
            }
            // A copy may fail after the service has said that it goes well.
            if !is_error(&answer.text) {
                return Ok(Ok(answer));
            }
        } else {
            // What was said is worth more than an error over not having heard it all.
            answer.text = self.text(&mut body, REFUSAL).await.unwrap_or_default();
        }
        let status = if status < 300 { 500 } else { status };
        Ok(Err(self.refused(asked, status, &answer)))
    }

    /// Takes a refusal apart.
    fn refused(
        &self,
        asked: &Asked<'_>,
        status: u16,
        answer: &Answer,
    ) -> (Failure, Option<Duration>) {
        let Refusal { code, message, request } = refusal(&answer.text).unwrap_or_default();
        let region = answer.header("x-amz-bucket-region");
        let redirect = redirected(status, &code, region, &answer.text);
        let said = Said {
            status,
            code: &code,
            message: &message,
            request: answer.header("x-amz-request-id").unwrap_or(&request),
            region,
        };
        let target = target(asked.bucket, asked.key);
        let error = error::answered(asked.call.name(), &target, &self.connection, &said);
        if is_busy(status) || code == "SlowDown" {
            self.line.slow_down();
        }
        let later = (redirect.is_none() && codes::may_pass_later(status, &code)).then(|| {
            let asked_for = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
            Duration::from_secs(asked_for.unwrap_or(0)).min(LONGEST_WAIT)
        });
        (Failure { status, code, redirect, error }, later)
    }

    /// The failure of an answer that is no S3 service's.
    pub(crate) fn not_s3(&self, call: Call, why: &str) -> Failure {
        Failure::unanswered(error::not_s3(call.name(), &self.connection, 200, why.to_owned()))
    }
}

const AGENT: &str = concat!("windlass/", env!("CARGO_PKG_VERSION"));

/// How long to wait after this attempt: at random up to a limit that doubles.
fn pause(attempt: u32) -> Duration {
    let mut bytes = [0; 4];
    let _ = getrandom::fill(&mut bytes);
    let limit = Duration::from_secs(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_WAIT);
    limit.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// Sends a request over an idle or a new connection.
async fn exchange(
    route: &Route,
    request: Request<Sending>,
    fresh: bool,
) -> Result<(http::Response<hyper::body::Incoming>, Conn), Silence> {
    let opened = if fresh { route.origin.open().await } else { route.origin.connection().await };
    let mut conn = opened.map_err(|error| {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
        let mut timed_out = false;
        while let Some(cause) = next {
            timed_out |= cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut);
            next = cause.source();
        }
        Silence { text: error::text_of(error.as_ref()), timed_out, stale: false }
    })?;
    let used = conn.used;
    match conn.exchange(request).await {
        Ok(answer) => Ok((answer, conn)),
        Err(None) => Err(Silence {
            text: "the connection was closed".to_owned(),
            timed_out: false,
            stale: used,
        }),
        Err(Some(error)) => Err(Silence {
            stale: used
                && (error.is_canceled() || error.is_incomplete_message() || error.is_closed()),
            timed_out: error.is_timeout(),
            text: error::text_of(&error),
        }),
    }
}

/// Whether a text is a service's error, whatever status it came with.
fn is_error(text: &[u8]) -> bool {
    !text.is_empty() && Xml::new(text).root() == Ok(b"Error")
}

/// What a refusal says.
#[derive(Debug, Default)]
struct Refusal {
    code: String,
    message: String,
    request: String,
}

fn refusal(text: &[u8]) -> Result<Refusal, xml::Fault> {
    let mut said = Refusal::default();
    let mut xml = Xml::new(text);
    if xml.root()? != b"Error" {
        return Err("it is no error of S3");
    }
    while let Some(name) = xml.child()? {
        match name {
            b"Code" => said.code = xml.string()?,
            b"Message" => said.message = xml.string()?,
            b"RequestId" => said.request = xml.string()?,
            _ => xml.skip()?,
        }
    }
    Ok(said)
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
