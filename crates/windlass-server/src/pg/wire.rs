//! The first bytes of a connection: is it TLS, is it one of ours.
//!
//! Done here rather than by the crate, which would take bytes that somebody puts behind the request
//! for TLS as if they had come through it.

use super::access::Door;
use bytes::BytesMut;
use pgwire::api::{ClientInfo as _, DefaultClient, PgWireConnectionState};
use pgwire::tokio::server::PgWireMessageServerCodec;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::codec::{Framed, FramedParts};

/// A connection, with TLS or without.
pub(crate) trait Line: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static> Line for T {}

/// Messages of a connection.
pub(crate) type Wire = Framed<Box<dyn Line>, PgWireMessageServerCodec<()>>;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// Bytes that are gathered before they are sent.
const BUFFER: usize = 64 << 10;

/// Answers requests for encryption. The wire then waits for the start-up message. None: the client
/// went, or speaks something else.
pub(crate) async fn greet(mut tcp: TcpStream, door: &Door) -> io::Result<Option<Wire>> {
    let address = tcp.peer_addr()?;
    tcp.set_nodelay(true)?;
    let mut first = [0; 1];
    if tcp.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] == TLS_HANDSHAKE {
        // Clients of PostgreSQL 17 may begin with it.
        let Some(tls) = &door.tls else { return Ok(None) };
        let stream = tls.accept(tcp).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"postgresql") {
            return Ok(None);
        }
        return Ok(Some(wire(Box::new(stream), address, true, &[])));
    }
    // A client asks for each kind of encryption once.
    for _ in 0..3 {
        let mut head = [0; 8];
        match tcp.read_exact(&mut head).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let code = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        match (code, &door.tls) {
            (SSL_REQUEST, Some(tls)) => {
                tcp.write_all(b"S").await?;
                let stream = tls.accept(tcp).await?;
                return Ok(Some(wire(Box::new(stream), address, true, &[])));
            }
            (SSL_REQUEST | GSS_REQUEST, _) => tcp.write_all(b"N").await?,
            _ => return Ok(Some(wire(Box::new(tcp), address, false, &head))),
        }
    }
    Ok(None)
}

fn wire(line: Box<dyn Line>, address: std::net::SocketAddr, secure: bool, read: &[u8]) -> Wire {
    let codec = PgWireMessageServerCodec::new(DefaultClient::new(address, secure));
    let mut parts = FramedParts::new::<pgwire::messages::PgWireBackendMessage>(line, codec);
    parts.read_buf = BytesMut::from(read);
    let mut wire = Framed::from_parts(parts);
    wire.set_backpressure_boundary(BUFFER);
    wire.set_state(PgWireConnectionState::AwaitingStartup);
    wire
}
