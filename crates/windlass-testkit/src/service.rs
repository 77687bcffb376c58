//! The service on loopback: sockets, what happens before s3s sees a request and after it answered.
//!
//! Who may do what is decided in [`crate::access`], what it does in [`crate::operations`].

use crate::access::{Context, Gate, Hosts};
use crate::fault::FaultKind;
use crate::identity::{TestIdentity, TestRole};
use crate::log::{self, RequestLog};
use crate::memory::Memory;
use crate::operations::Storage;
use crate::sts::{self, Sts};
use bytes::Bytes;
use futures::stream::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse, StdError};
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Poller, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// How the service is started.
#[derive(Clone)]
pub struct TestS3Options {
    /// Who is known besides the admin.
    pub identities: Vec<TestIdentity>,
    /// What may be assumed.
    pub roles: Vec<TestRole>,
    /// The region the service says it is in.
    pub region: String,
    /// Whether buckets without a region of their own refuse signatures for other regions too.
    pub strict_regions: bool,
    /// A delay before every answer.
    pub latency: Duration,
    /// Whether STS answers at the same address.
    pub sts: bool,
    /// The least size of a part that is not the last; S3 has 5 MiB.
    pub min_part_size: usize,
    /// The greatest object that one `CopyObject` takes; S3 has 5 GiB.
    pub max_copy_size: usize,
    /// Most rows of a page of a listing, whatever is asked for; S3 has 1000.
    pub page_size: usize,
    /// A header that every request must carry.
    pub require_header: Option<(String, String)>,
    /// The domain for bucket names in the host: `bucket.localhost`.
    pub domain: String,
    /// The account everything belongs to.
    pub account: String,
    /// Where to listen.
    pub listen: SocketAddr,
}

impl Default for TestS3Options {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            roles: Vec::new(),
            region: "us-east-1".to_owned(),
            strict_regions: false,
            latency: Duration::ZERO,
            sts: true,
            min_part_size: 5 * 1024 * 1024,
            max_copy_size: 5 * 1024 * 1024 * 1024,
            page_size: 1000,
            require_header: None,
            domain: "localhost".to_owned(),
            account: "000000000000".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

impl fmt::Debug for TestS3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestS3Options")
            .field("identities", &self.identities)
            .field("roles", &self.roles)
            .field("region", &self.region)
            .field("latency", &self.latency)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

const ADMIN: (&str, &str) = ("AKIATESTKITADMIN0001", "testkit-admin-secret-key-for-loopback-only");

/// A small S3 (and STS) in this process; it ends when dropped.
pub struct TestS3 {
    address: SocketAddr,
    memory: Arc<Memory>,
    accepting: JoinHandle<()>,
}

impl TestS3 {
    /// Starts a service with one admin and no bucket.
    ///
    /// # Panics
    /// If no port of the loopback interface can be listened on.
    pub async fn start() -> Self {
        Self::start_with(TestS3Options::default()).await
    }

    /// Starts a service as `options` say; the admin exists besides the given identities.
    ///
    /// # Panics
    /// If the address cannot be listened on.
    pub async fn start_with(options: TestS3Options) -> Self {
        let listen = options.listen;
        match Self::try_start(options).await {
            Ok(started) => started,
            Err(error) => panic!("the test S3 cannot listen on {listen}: {error}"),
        }
    }

    /// Starts a service, or says why it cannot listen.
    pub async fn try_start(options: TestS3Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Memory::new(options));
        memory.add_identity(TestIdentity::admin(ADMIN.0, ADMIN.1));
        let front = Arc::new(Front { memory: Arc::clone(&memory), s3: build(&memory) });
        let accepting = tokio::spawn(accept(listener, front));
        Ok(Self { address, memory, accepting })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Access key id and secret of the admin.
    pub fn admin(&self) -> (String, String) {
        (ADMIN.0.to_owned(), ADMIN.1.to_owned())
    }

    /// What the service knows, to arrange and to look at.
    pub fn state(&self) -> &Arc<Memory> {
        &self.memory
    }
}

impl Drop for TestS3 {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for TestS3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestS3").field("address", &self.address).finish_non_exhaustive()
    }
}

fn build(memory: &Arc<Memory>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Storage(Arc::clone(memory)));
    builder.set_auth(Gate(Arc::clone(memory)));
    builder.set_access(Gate(Arc::clone(memory)));
    builder.set_host(Hosts(memory.options.domain.clone()));
    if memory.options.sts {
        builder.set_route(Sts(Arc::clone(memory)));
    }
    builder.build()
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let front = Arc::clone(&front);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let front = Arc::clone(&front);
                async move { front.answer(request).await }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

struct Front {
    memory: Arc<Memory>,
    s3: S3Service,
}

impl Front {
    async fn answer(&self, request: http::Request<Incoming>) -> Result<HttpResponse, HttpError> {
        let _running = self.memory.log.enter();
        self.memory.delay().await;
        let (parts, body) = request.into_parts();
        let method = parts.method.clone();
        let entry = self.entry(&parts);
        let is_sts =
            sts::concerns(&parts.method, parts.uri.path(), parts.uri.query(), &parts.headers);
        let refusal = self.refusal(&entry, &parts.method, &parts.headers);
        let context = Arc::new(Context::new(entry));
        let body = Shared(Arc::new(Mutex::new(body)));
        let answered = if let Some(refusal) = refusal {
            Ok(refusal)
        } else {
            let mut request = http::Request::from_parts(parts, Body::http_body(body.clone()));
            request.extensions_mut().insert(Arc::clone(&context));
            self.s3.call(request).await
        };
        context.finish(&self.memory);
        let mut response = answered?;
        if response.status().is_client_error() || response.status().is_server_error() {
            // As AWS does: a client that is still sending gets to read the answer.
            let _ = tokio::time::timeout(Duration::from_secs(10), body.drain()).await;
            if is_sts {
                response = sts::wrap_error(response).await;
            }
        }
        let id = format!("{:016X}", self.memory.next());
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        context.answered(response.status());
        damage(response, &context.take_damage(), &method).await
    }

    fn entry(&self, parts: &http::request::Parts) -> RequestLog {
        let host = parts.headers.get(header::HOST).and_then(|it| it.to_str().ok());
        let (bucket, key) = target(host, parts.uri.path(), &self.memory.options.domain);
        let scope = credential_scope(&parts.headers, parts.uri.query());
        let (access_key_id, region) = scope.map_or((None, None), |(id, region)| (Some(id), region));
        RequestLog {
            operation: "Unknown".to_owned(),
            method: parts.method.to_string(),
            bucket,
            key,
            query: log::query(parts.uri.query()),
            access_key_id,
            region,
            headers: log::headers(&parts.headers),
            status: 0,
        }
    }

    /// What is answered before anything else is looked at.
    fn refusal(
        &self,
        entry: &RequestLog,
        method: &Method,
        headers: &HeaderMap,
    ) -> Option<HttpResponse> {
        let options = &self.memory.options;
        if let Some((name, value)) = &options.require_header
            && headers.get(name).map(HeaderValue::as_bytes) != Some(value.as_bytes())
        {
            let message = format!("Access Denied: the header {name} is missing or wrong");
            return Some(error_response(StatusCode::FORBIDDEN, "AccessDenied", &message, "", None));
        }
        let signed = entry.region.as_deref()?;
        let expected = match &self.memory.buckets().get(&entry.bucket)?.region {
            Some(region) => region.clone(),
            None if options.strict_regions => options.region.clone(),
            None => return None,
        };
        let asks_location = method == Method::GET
            && entry.query.split('&').any(|it| it == "location" || it == "location=");
        if signed == expected || (asks_location && signed == options.region) {
            return None;
        }
        Some(if signed == options.region {
            let more = format!(
                "<Endpoint>s3.{expected}.amazonaws.com</Endpoint><Bucket>{}</Bucket>",
                entry.bucket
            );
            error_response(
                StatusCode::MOVED_PERMANENTLY,
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint.",
                &more,
                Some(&expected),
            )
        } else {
            let message = format!(
                "The authorization header is malformed; the region '{signed}' is wrong; expecting '{expected}'"
            );
            let more = format!("<Region>{expected}</Region>");
            error_response(
                StatusCode::BAD_REQUEST,
                "AuthorizationHeaderMalformed",
                &message,
                &more,
                Some(&expected),
            )
        })
    }
}

fn error_response(
    status: StatusCode,
    code: &str,
    message: &str,
    more: &str,
    region: Option<&str>,
) -> HttpResponse {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{}</Message>{more}</Error>",
        sts::escaped(message)
    );
    let mut response = http::Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Some(region) = region.and_then(|it| HeaderValue::from_str(it).ok()) {
        headers.insert("x-amz-bucket-region", region);
    }
    response
}

/// Does to an answer what its faults ask for.
async fn damage(
    response: HttpResponse,
    faults: &[FaultKind],
    method: &Method,
) -> Result<HttpResponse, HttpError> {
    if faults.is_empty() {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let whole = http_body_util::BodyExt::collect(body).await.map_err(HttpError::new)?.to_bytes();
    let half = whole.len() / 2;
    let mut body = Body::from(whole.clone());
    for fault in faults {
        match fault {
            FaultKind::Late(time) => tokio::time::sleep(*time).await,
            FaultKind::Close if whole.len() < 2 || method == Method::HEAD => {
                return Err(HttpError::new("connection closed on purpose".into()));
            }
            FaultKind::Close => {
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
                let first = whole.slice(..half);
                let end = futures::stream::once(async {
                    // Leaves time for the first half to be sent, so that the break is within the body.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    Err::<Frame<Bytes>, StdError>("connection closed on purpose".into())
                });
                let frames = futures::stream::iter([Ok(Frame::data(first))]).chain(end);
                body = Body::http_body_unsync(StreamBody::new(frames));
            }
            FaultKind::Truncate => {
                parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(half));
                body = Body::from(whole.slice(..half));
            }
            FaultKind::CorruptByte => {
                let mut bytes = whole.to_vec();
                if let Some(byte) = bytes.get_mut(half) {
                    *byte ^= 0b0000_0100;
                }
                body = Body::from(bytes);
            }
            _ => {}
        }
    }
    Ok(http::Response::from_parts(parts, body))
}

/// The bucket and key a request names.
fn target(host: Option<&str>, path: &str, domain: &str) -> (String, String) {
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let path = path.strip_prefix('/').unwrap_or(&path);
    if let Some(bucket) = host.and_then(|it| bucket_of_host(it, domain)) {
        return (bucket.to_owned(), path.to_owned());
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (bucket.to_owned(), key.to_owned())
}

/// The bucket in front of the service's domain.
pub(crate) fn bucket_of_host<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix(domain)?.strip_suffix('.').filter(|it| !it.is_empty())
}

/// Access key id and region of a signature, without checking it.
fn credential_scope(headers: &HeaderMap, query: Option<&str>) -> Option<(String, Option<String>)> {
    let scope = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let (_, rest) = value.to_str().ok()?.split_once("Credential=")?;
            rest.split(',').next()?.trim().to_owned()
        }
        None => query?.split('&').find_map(|pair| {
            let value = pair.strip_prefix("X-Amz-Credential=")?;
            Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
        })?,
    };
    let mut fields = scope.split('/');
    let id = fields.next()?.to_owned();
    Some((id, fields.nth(1).map(str::to_owned)))
}

/// A request body of which the rest can still be read after s3s has let go of it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Incoming>>);

impl Shared {
    async fn drain(mut self) {
        while let Some(Ok(_)) = self.frame().await {}
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(poller)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_found_in_the_path_or_in_front_of_the_domain() {
        assert_eq!(target(None, "/b/k%20/x", "localhost"), ("b".into(), "k /x".into()));
        assert_eq!(target(Some("127.0.0.1:80"), "/b", "localhost"), ("b".into(), String::new()));
        assert_eq!(target(Some("b.localhost:80"), "/k", "localhost"), ("b".into(), "k".into()));
        assert_eq!(target(Some("localhost:80"), "/b/k", "localhost"), ("b".into(), "k".into()));
    }
}
