//! A proxy that stands before any S3 endpoint and lets things go wrong on the way.
//!
//! It speaks HTTP/1.1 and passes requests on as they came, the Host header with them, so signatures stay
//! valid. What goes wrong is [`Schedule`]'s to say. Bodies are held whole: it is meant for tests.

mod damage;
mod schedule;

pub use schedule::{ProxyFault, Schedule};

use bytes::Bytes;
use damage::{Pages, an_hour_ago, damaged, refusal, whole};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use schedule::Call;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Why a connection ends.
#[derive(Debug)]
struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<hyper::Error> for Broken {
    fn from(error: hyper::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

fn dropped() -> Broken {
    Broken("dropped on purpose".to_owned())
}

/// The body of an answer.
type Answer = UnsyncBoxBody<Bytes, Broken>;

/// A proxy on loopback before one endpoint; it ends when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    schedule: Mutex<Schedule>,
    pages: Mutex<Pages>,
    hits: Mutex<BTreeMap<ProxyFault, u64>>,
    requests: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultProxy {
    /// Starts a proxy before `endpoint` (`http://host:port`).
    ///
    /// # Panics
    /// If no port of the loopback interface can be listened on.
    pub async fn start(endpoint: &str, schedule: Schedule) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            upstream: endpoint.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            schedule: Mutex::new(schedule),
            pages: Mutex::default(),
            hits: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Goes on with another schedule.
    pub fn set(&self, schedule: Schedule) {
        *lock(&self.shared.schedule) = schedule;
    }

    /// How often each fault struck.
    pub fn hits(&self) -> BTreeMap<ProxyFault, u64> {
        lock(&self.shared.hits).clone()
    }

    /// Requests that came.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("address", &self.address)
            .field("upstream", &self.shared.upstream)
            .finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let line = Arc::new(Line { shared: Arc::clone(&shared), sender: Mutex::new(None) });
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let line = Arc::clone(&line);
                async move { line.answer(request).await }
            });
            // An error is a connection that was ended on purpose, or by the client.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// One connection of a client, and the one to the service behind it.
struct Line {
    shared: Arc<Shared>,
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Line {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
        let shared = &self.shared;
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let call = Call::of(&parts.method, &path, &query, &parts.headers);
        let (fault, mut dice, pause) = {
            let mut schedule = lock(&shared.schedule);
            let (fault, dice) = schedule.next(call, &parts.method, &path, &query);
            (fault, dice, schedule.pause())
        };
        if let Some(fault) = fault {
            *lock(&shared.hits).entry(fault).or_default() += 1;
        }
        match fault {
            Some(ProxyFault::SlowDown) => {
                return Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
            }
            Some(ProxyFault::Before) => {
                return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
            }
            Some(ProxyFault::TooSkewed) => {
                let mut answer = refusal(StatusCode::FORBIDDEN, "RequestTimeTooSkewed");
                answer.headers_mut().insert(header::DATE, an_hour_ago());
                return Ok(answer);
            }
            Some(ProxyFault::DropBefore) => return Err(dropped()),
            _ => {}
        }
        let answer = self.forward(Request::from_parts(parts, Full::new(body))).await?;
        if fault.is_none() && call != Call::List {
            return Ok(answer.map(|body| body.map_err(Broken::from).boxed_unsync()));
        }
        let (parts, body) = answer.into_parts();
        let mut bytes = body.collect().await?.to_bytes();
        if call == Call::List {
            let mut pages = lock(&shared.pages);
            if fault == Some(ProxyFault::Repeated)
                && let Some(page) = pages.repeated(&query, &bytes)
            {
                bytes = page.into();
            }
            // Of what the service said, so that a key is repeated once.
            pages.note(&bytes);
        }
        match fault {
            Some(ProxyFault::After) => {
                Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
            }
            Some(ProxyFault::DropAfter) => Err(dropped()),
            Some(ProxyFault::CutOff) if bytes.is_empty() => Err(dropped()),
            Some(fault @ ProxyFault::Repeated) => {
                let mut parts = parts;
                parts.headers.remove(header::CONTENT_LENGTH);
                Ok(damaged(fault, parts, bytes, &mut dice, pause))
            }
            Some(fault) => Ok(damaged(fault, parts, bytes, &mut dice, pause)),
            None => Ok(Response::from_parts(parts, whole(bytes))),
        }
    }

    /// Passes a request on; one that meets a connection which the service has closed is sent again.
    async fn forward(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        let idle = lock(&self.sender).take();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
            && let Ok(answer) = sender.send_request(request.clone()).await
        {
            *lock(&self.sender) = Some(sender);
            return Ok(answer);
        }
        let stream = TcpStream::connect(&self.shared.upstream).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        *lock(&self.sender) = Some(sender);
        Ok(answer)
    }
}
