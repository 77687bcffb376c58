//! Opening a connection: TCP, through a proxy where one is set, TLS where the address says so.
//!
//! Whom to trust and through whom to go is [`crate::http::Line`]'s; what fails here says why in words
//! that [`crate::error`] tells apart.

use crate::http::Line;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Intercept;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service as _;

/// A failure to connect, with its causes.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Bytes in and out.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// TLS, perhaps inside that of a proxy.
    Tls(Box<TlsStream<Stream>>),
}

/// How to reach one address.
pub(crate) struct Dialer {
    uri: Uri,
    tcp: HttpConnector,
    tls: Option<TlsConnector>,
    proxy: Option<Intercept>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Decides how `uri` (scheme and authority) is reached. Reads the machine's authorities if it
    /// is by TLS.
    pub(crate) fn new(line: &Line, uri: Uri) -> windlass_types::Result<Self> {
        let proxy = line.proxies().and_then(|matcher| matcher.intercept(&uri));
        let secure = |uri: &Uri| uri.scheme_str() == Some("https");
        let needs = secure(&uri) || proxy.as_ref().is_some_and(|proxy| secure(proxy.uri()));
        let tls = if needs { Some(TlsConnector::from(Arc::new(line.tls()?))) } else { None };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(line.connect));
        Ok(Self { uri, tcp, tls, proxy })
    }

    /// What it reaches.
    #[cfg(test)]
    pub(crate) fn address(&self) -> &Uri {
        &self.uri
    }

    /// The proxy that requests themselves are sent to: one for plain HTTP.
    pub(crate) fn forwards(&self) -> Option<&Intercept> {
        self.proxy.as_ref().filter(|_| self.uri.scheme_str() != Some("https"))
    }

    /// Opens a connection.
    pub(crate) async fn dial(&self) -> Result<Stream, Broken> {
        let first = self.proxy.as_ref().map_or(&self.uri, Intercept::uri);
        let mut stream = Stream::Plain(self.tcp.clone().call(first.clone()).await?.into_inner());
        if let Some(proxy) = &self.proxy {
            if first.scheme_str() == Some("https") {
                stream = self.secure(stream, first).await?;
            }
            if self.forwards().is_none() {
                self.tunnel(&mut stream, proxy.basic_auth()).await?;
            }
        }
        if self.uri.scheme_str() == Some("https") {
            stream = self.secure(stream, &self.uri).await?;
        }
        Ok(stream)
    }

    async fn secure(&self, stream: Stream, to: &Uri) -> Result<Stream, Broken> {
        let tls = self.tls.as_ref().ok_or("TLS is not set up")?;
        let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let handshake = tls
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS handshake: {}", crate::error::text_of(&error)))?;
        Ok(Stream::Tls(Box::new(handshake)))
    }

    /// Asks a proxy to pass bytes on.
    async fn tunnel(&self, stream: &mut Stream, auth: Option<&HeaderValue>) -> Result<(), Broken> {
        let host = self.uri.host().unwrap_or_default();
        let port = self.uri.port_u16().unwrap_or(443);
        let mut asked =
            format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
        if let Some(auth) = auth {
            asked.extend_from_slice(b"Proxy-Authorization: ");
            asked.extend_from_slice(auth.as_bytes());
            asked.extend_from_slice(b"\r\n");
        }
        asked.extend_from_slice(b"\r\n");
        stream.write_all(&asked).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // One by one: what follows belongs to the service.
            let mut byte = [0];
            if answer.len() > 8192 || stream.read(&mut byte).await? == 0 {
                return Err("the proxy gave no answer to CONNECT".into());
            }
            answer.push(byte[0]);
        }
        let status = answer.get(9..12).unwrap_or_default();
        match status {
            [b'2', ..] => Ok(()),
            b"407" => Err("proxy authorization required".into()),
            _ => Err(format!(
                "the proxy refused the tunnel: HTTP {}",
                String::from_utf8_lossy(status)
            )
            .into()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
