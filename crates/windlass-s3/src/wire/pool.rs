//! Connections of one address, kept for the next request.
//!
//! A connection is driven by whoever waits for its answer, in the same task: no task of its own, no
//! channel between threads, no wake-up but the socket's. One that idles too long is closed.

use super::connect::{Dialer, Stream};
use crate::payload::Sending;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a connection may idle; services close theirs after 5 to 60 seconds.
const IDLE: Duration = Duration::from_secs(30);

/// How much of an answer is read at once, at most. Larger pieces save nothing, and the allocator keeps
/// megabytes of them for each connection.
const READ_AT_ONCE: usize = 128 * 1024;

/// One address and its idle connections.
#[derive(Debug)]
pub(crate) struct Origin {
    dialer: Dialer,
    idle: Mutex<VecDeque<(Instant, Conn)>>,
    most: usize,
    tidying: AtomicBool,
}

/// One connection.
pub(crate) struct Conn {
    send: SendRequest<Sending>,
    wire: Pin<Box<Connection<TokioIo<Stream>, Sending>>>,
    over: bool,
    /// It has carried a request before, so the service may be about to close it.
    pub(crate) used: bool,
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conn").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Conn {
    /// Reads and writes what can be read and written now.
    fn drive(&mut self, context: &mut Context<'_>) {
        if !self.over && self.wire.as_mut().poll(context).is_ready() {
            self.over = true;
        }
    }

    /// Waits until it can take a request; false if it never will.
    async fn ready(&mut self) -> bool {
        poll_fn(|context| {
            self.drive(context);
            if self.over {
                Poll::Ready(false)
            } else {
                self.send.poll_ready(context).map(|r| r.is_ok())
            }
        })
        .await
    }

    /// Sends a request and waits for the head of its answer. No error means that the connection
    /// was over before there was one.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Sending>,
    ) -> Result<Response<Incoming>, Option<hyper::Error>> {
        self.used = true;
        let mut answer = pin!(self.send.send_request(request));
        poll_fn(|context| {
            self.drive(context);
            match answer.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(answer.map_err(Some)),
                Poll::Pending if self.over => Poll::Ready(Err(None)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl Origin {
    /// An address that keeps at most so many idle connections.
    pub(crate) fn new(dialer: Dialer, most: usize) -> Self {
        Self { dialer, idle: Mutex::default(), most, tidying: AtomicBool::new(false) }
    }

    /// How it is reached.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Takes an idle connection, or opens one.
    pub(crate) async fn connection(
        &self,
    ) -> Result<Conn, Box<dyn std::error::Error + Send + Sync>> {
        loop {
            let Some((since, mut conn)) = self.idle().pop_back() else { break };
            if since.elapsed() < IDLE && conn.ready().await {
                return Ok(conn);
            }
        }
        Box::pin(self.open()).await
    }

    /// Opens a connection.
    pub(crate) async fn open(&self) -> Result<Conn, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TokioIo::new(Box::pin(self.dialer.dial()).await?);
        let (send, wire) =
            http1::Builder::new().max_buf_size(READ_AT_ONCE).handshake(stream).await?;
        let mut conn = Conn { send, wire: Box::pin(wire), over: false, used: false };
        if conn.ready().await { Ok(conn) } else { Err("the connection was closed at once".into()) }
    }

    /// Keeps a connection whose answer is read.
    pub(crate) fn keep(self: &Arc<Self>, conn: Conn) {
        if conn.over || conn.send.is_closed() {
            return;
        }
        let mut idle = self.idle();
        if idle.len() < self.most {
            idle.push_back((Instant::now(), conn));
        }
        drop(idle);
        if !self.tidying.swap(true, Ordering::Relaxed) {
            tokio::spawn(tidy(Arc::downgrade(self)));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, Conn)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what idles too long; ends when nothing idles.
async fn tidy(origin: std::sync::Weak<Origin>) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(origin) = origin.upgrade() else { return };
        let mut idle = origin.idle();
        while idle.front().is_some_and(|(since, _)| since.elapsed() >= IDLE) {
            idle.pop_front();
        }
        if idle.is_empty() {
            origin.tidying.store(false, Ordering::Relaxed);
            return;
        }
    }
}

/// The body of an answer. Read to its end, it gives its connection back.
#[derive(Debug)]
pub(crate) struct Body {
    incoming: Incoming,
    conn: Option<(Arc<Origin>, Conn)>,
}

impl Body {
    /// The body that comes through `conn`.
    pub(crate) fn new(incoming: Incoming, origin: &Arc<Origin>, conn: Conn) -> Self {
        let mut body = Self { incoming, conn: Some((Arc::clone(origin), conn)) };
        body.finish();
        body
    }

    /// Bytes that are still to come, where the service said how many.
    pub(crate) fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// Reads the next bytes; None at the end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        let mut driven = false;
        loop {
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.finish();
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.conn = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    if let Some((origin, conn)) = self.conn.take() {
                        origin.keep(conn);
                    }
                    return Poll::Ready(None);
                }
                Poll::Pending if driven => return Poll::Pending,
                Poll::Pending => {
                    let Some((_, conn)) = &mut self.conn else { return Poll::Pending };
                    conn.drive(context);
                    if conn.over {
                        // Nothing more can come: what waits in the channel is all there is.
                        self.conn = None;
                    }
                    driven = self.conn.is_some();
                }
            }
        }
    }

    /// Gives the connection back once nothing more comes.
    fn finish(&mut self) {
        if self.incoming.is_end_stream()
            && let Some((origin, conn)) = self.conn.take()
        {
            origin.keep(conn);
        }
    }
}
