//! One session with an FTP server: commands and their replies, and data connections.

use crate::error::{absent, failed, timeout, unreachable, unsupported};
use crate::secrets::RemoteSecrets;
use bytes::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use windlass_types::connection::{FtpSpec, FtpTls};
use windlass_types::{Error, ErrorCode, Result};

/// Bytes of one reply, at most.
const REPLY: usize = 256 << 10;

/// A connection, plain or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Wire for T {}

/// What the server answered to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// Lines without their code.
    pub(super) lines: Vec<String>,
}

impl Reply {
    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What a refusal means for `key`.
    pub(super) fn refusal(&self, doing: &str, key: &str) -> Error {
        let said = self.lines.join(" ");
        let lower = said.to_ascii_lowercase();
        let cause = format!("FTP {} {said}", self.code);
        let denied = lower.contains("permission") || lower.contains("denied");
        match self.code {
            530 | 532 => Error::new(
                ErrorCode::ConnectionCredentials,
                format!("the server wants a sign-in to {doing} `{key}`"),
            )
            .hint("check USER and PASSWORD"),
            550 | 553 | 450 if denied => {
                Error::new(ErrorCode::ConnectionDenied, format!("no permission to {doing} `{key}`"))
                    .hint("give the user the right on the server")
            }
            550 => absent(key),
            421 => Error::new(ErrorCode::ConnectionBusy, "the server ended the session")
                .hint("it may allow fewer sessions; lower MAX_CONCURRENCY"),
            452 | 552 => {
                failed(format!("the server has no space for `{key}`")).hint("free some space there")
            }
            500 | 502 | 504 => unsupported(doing),
            _ => failed(format!("the server refuses to {doing} `{key}`")),
        }
        .source(cause)
    }
}

/// A session that has signed in.
pub(super) struct Session {
    wire: BufReader<Box<dyn Wire>>,
    peer: IpAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    limit: Duration,
    /// The server takes EPSV; found out at the first data connection.
    extended: bool,
    /// Features in upper case: `MLST`, `MFMT`, `REST`, …
    pub(super) features: HashSet<String>,
    /// The folder after signing in, without a trailing slash.
    pub(super) home: String,
    /// When it was last used.
    pub(super) used: Instant,
}

impl Session {
    /// Connects and signs in.
    pub(super) async fn connect(
        spec: &FtpSpec,
        tls: Option<&Arc<ClientConfig>>,
        secrets: &RemoteSecrets,
        limit: Duration,
    ) -> Result<Self> {
        let place = format!("{}:{}", spec.host, spec.port);
        match tokio::time::timeout(limit, Self::begin(spec, tls, secrets, limit, &place)).await {
            Ok(done) => done.map_err(|error| secrets.clean(error)),
            Err(_) => Err(timeout(&format!("signing in at `{place}`")).hint(
                "check HOST and PORT; a server that expects TLS at once needs `TLS = IMPLICIT`",
            )),
        }
    }

    async fn begin(
        spec: &FtpSpec,
        tls: Option<&Arc<ClientConfig>>,
        secrets: &RemoteSecrets,
        limit: Duration,
        place: &str,
    ) -> Result<Self> {
        let stream = TcpStream::connect((spec.host.as_str(), spec.port))
            .await
            .map_err(|error| unreachable(&place, error))?;
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().map_err(|error| unreachable(&place, error))?.ip();
        let tls = tls
            .map(|config| {
                let name = ServerName::try_from(spec.host.clone()).map_err(|error| {
                    failed(format!("`{}` is no name of a server", spec.host)).source(error)
                })?;
                Ok::<_, Error>((TlsConnector::from(Arc::clone(config)), name))
            })
            .transpose()?;
        let mut session = Self {
            wire: BufReader::new(Box::new(tokio::io::empty())),
            peer,
            tls,
            limit,
            extended: true,
            features: HashSet::new(),
            home: String::new(),
            used: Instant::now(),
        };
        if spec.tls == FtpTls::Implicit {
            session.wire = BufReader::new(session.wrapped(stream).await?);
            session.greeting(place).await?;
        } else if spec.tls == FtpTls::Explicit {
            // Everything until here is plain, and nothing of it may be read later as if it were not.
            let mut stream = stream;
            read_reply(&mut BufReader::with_capacity(1, &mut stream), place).await?;
            write_line(&mut stream, "AUTH TLS").await?;
            let reply = read_reply(&mut BufReader::with_capacity(1, &mut stream), place).await?;
            if reply.code != 234 {
                return Err(Error::new(ErrorCode::ConnectionFailed, format!("`{place}` has no TLS"))
                    .source(reply.lines.join(" "))
                    .hint("if password and data may travel in clear text, add `TLS = NONE ALLOW_PLAIN = TRUE`"));
            }
            session.wire = BufReader::new(session.wrapped(stream).await?);
        } else {
            session.wire = BufReader::new(Box::new(stream));
            session.greeting(place).await?;
        }
        session.sign_in(spec, secrets).await?;
        Ok(session)
    }

    async fn greeting(&mut self, place: &str) -> Result<()> {
        let reply = read_reply(&mut self.wire, place).await?;
        if reply.is_good() { Ok(()) } else { Err(reply.refusal("greet", place)) }
    }

    async fn wrapped(&self, stream: TcpStream) -> Result<Box<dyn Wire>> {
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let done = tokio::time::timeout(self.limit, connector.connect(name.clone(), stream)).await;
        match done {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(Error::new(
                ErrorCode::ConnectionUnreachable,
                "TLS with the server failed",
            )
            .source(error)
            .hint("check HOST against the server's certificate; name its authority with CA_FILE")),
            Err(_) => Err(timeout("TLS with the server")),
        }
    }

    async fn sign_in(&mut self, spec: &FtpSpec, secrets: &RemoteSecrets) -> Result<()> {
        let mut reply = self.say(&format!("USER {}", spec.user)).await?;
        if reply.code == 331 {
            let password = secrets.get("PASSWORD").unwrap_or("windlass@");
            reply = self.say(&format!("PASS {password}")).await?;
        }
        if !reply.is_good() {
            return Err(Error::new(
                ErrorCode::ConnectionCredentials,
                format!("the server does not let `{}` in", spec.user),
            )
            .source(format!("FTP {}", reply.code))
            .hint("check USER and PASSWORD"));
        }
        if self.tls.is_some() {
            self.expect("PBSZ 0", "use TLS for data").await?;
            self.expect("PROT P", "use TLS for data").await?;
        }
        let features = self.say("FEAT").await?;
        if features.is_good() {
            self.features = features
                .lines
                .iter()
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_ascii_uppercase)
                .collect();
        }
        if self.features.contains("UTF8") {
            // Servers that have it on already may refuse; names show whether it works.
            self.say("OPTS UTF8 ON").await?;
        }
        self.expect("TYPE I", "send bytes as they are").await?;
        let here = self.say("PWD").await?;
        let quoted = here.lines.first().and_then(|line| {
            let (from, to) = (line.find('"')?, line.rfind('"')?);
            line.get(from + 1..to).map(|path| path.replace("\"\"", "\""))
        });
        quoted.as_deref().unwrap_or("/").trim_end_matches('/').clone_into(&mut self.home);
        Ok(())
    }

    async fn expect(&mut self, command: &str, doing: &str) -> Result<Reply> {
        let reply = self.say(command).await?;
        if reply.is_good() { Ok(reply) } else { Err(reply.refusal(doing, "files")) }
    }

    /// Sends a command and reads its reply.
    pub(super) async fn say(&mut self, command: &str) -> Result<Reply> {
        self.used = Instant::now();
        let talk = async {
            write_line(&mut self.wire, command).await?;
            read_reply(&mut self.wire, "the server").await
        };
        match tokio::time::timeout(self.limit, talk).await {
            Ok(done) => done,
            Err(_) => Err(timeout("a reply of the server")),
        }
    }

    /// Reads one more reply: the one that ends a transfer.
    async fn reply(&mut self) -> Result<Reply> {
        match tokio::time::timeout(self.limit, read_reply(&mut self.wire, "the server")).await {
            Ok(done) => done,
            Err(_) => Err(timeout("a reply of the server")),
        }
    }

    /// Opens a data connection. Only the port is taken from the server: it may sit behind another
    /// address, and must not send us elsewhere.
    async fn data(&mut self) -> Result<TcpStream> {
        let mut port = None;
        if self.extended {
            let reply = self.say("EPSV").await?;
            if reply.code == 229 {
                port = reply.lines.first().and_then(|line| {
                    let inner = line.split_once('(')?.1.split_once(')')?.0;
                    inner.trim_matches('|').parse::<u16>().ok()
                });
            } else {
                self.extended = false;
            }
        }
        if port.is_none() {
            let reply = self.say("PASV").await?;
            if reply.code != 227 {
                return Err(reply.refusal("open a data connection for", "files"));
            }
            port = reply.lines.first().and_then(|line| passive_port(line));
        }
        let port = port.ok_or_else(|| failed("the server names no port for data"))?;
        let place = format!("{}:{port}", self.peer);
        match tokio::time::timeout(self.limit, TcpStream::connect((self.peer, port))).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(&place, error)
                .hint("the server's ports for data must be reachable; check firewalls")),
            Err(_) => Err(timeout(&format!("a data connection to `{place}`"))
                .hint("the server's ports for data must be reachable; check firewalls")),
        }
    }

    /// Begins a transfer; the reply is that of a refused command.
    pub(super) async fn transfer(
        &mut self,
        before: Option<String>,
        command: &str,
    ) -> Result<std::result::Result<Data, Reply>> {
        let stream = self.data().await?;
        if let Some(before) = before {
            let reply = self.say(&before).await?;
            if reply.code != 350 {
                return Ok(Err(reply));
            }
        }
        let reply = self.say(command).await?;
        if !(100..200).contains(&reply.code) {
            return Ok(Err(reply));
        }
        Ok(Ok(Data { wire: self.wrapped(stream).await?, limit: self.limit }))
    }

    /// Ends a transfer: what the server says of it.
    pub(super) async fn ended(&mut self, data: Data, doing: &str, key: &str) -> Result<()> {
        drop(data);
        let reply = self.reply().await?;
        if reply.is_good() { Ok(()) } else { Err(reply.refusal(doing, key)) }
    }

    /// Ends a transfer to the server, which has been told that no more comes. The connection stays
    /// until the server has all: closed with something in it that nobody read, as the tickets of TLS
    /// are, it would be reset, and what is on its way would be lost.
    pub(super) async fn stored(&mut self, data: Data, key: &str) -> Result<()> {
        let reply = self.reply().await?;
        drop(data);
        if reply.is_good() { Ok(()) } else { Err(reply.refusal("write", key)) }
    }

    /// Ends a transfer before its end: whatever the server says of it.
    pub(super) async fn cut_off(&mut self, data: Data) -> Result<()> {
        drop(data);
        self.reply().await.map(drop)
    }
}

/// A data connection.
pub(super) struct Data {
    wire: Box<dyn Wire>,
    limit: Duration,
}

impl Data {
    /// Reads some bytes; none at the end.
    pub(super) async fn read(&mut self) -> Result<Bytes> {
        let mut bytes = bytes::BytesMut::with_capacity(128 << 10);
        match tokio::time::timeout(self.limit, self.wire.read_buf(&mut bytes)).await {
            Ok(Ok(_)) => Ok(bytes.freeze()),
            // Servers that end without closing TLS; the reply and the length tell what is missing.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Bytes::new()),
            Ok(Err(error)) => Err(failed("the data connection broke off").source(error)),
            Err(_) => Err(timeout("the next bytes of the server")),
        }
    }

    /// Reads all as text.
    pub(super) async fn text(&mut self) -> Result<String> {
        let mut all = Vec::new();
        loop {
            let chunk = self.read().await?;
            if chunk.is_empty() {
                return Ok(String::from_utf8_lossy(&all).into_owned());
            }
            all.extend(chunk);
            if all.len() > 256 << 20 {
                return Err(failed("the server lists a folder without an end"));
            }
        }
    }

    /// Writes all and says that no more comes.
    pub(super) async fn write(&mut self, body: Bytes) -> Result<()> {
        let broke = |error| failed("the data connection broke off").source(error);
        for piece in body.chunks(64 << 10) {
            match tokio::time::timeout(self.limit, self.wire.write_all(piece)).await {
                Ok(done) => done.map_err(broke)?,
                Err(_) => return Err(timeout("sending bytes to the server")),
            }
        }
        match tokio::time::timeout(self.limit, self.wire.shutdown()).await {
            Ok(done) => done.map_err(broke),
            Err(_) => Err(timeout("sending bytes to the server")),
        }
    }
}

async fn write_line(wire: &mut (impl AsyncWrite + Unpin), command: &str) -> Result<()> {
    // A line end would make two commands of one. Keys are checked before; this is the last door.
    if command.contains(['\r', '\n', '\0']) {
        return Err(Error::new(
            ErrorCode::PathInvalid,
            "a name with a line end cannot be sent by FTP",
        ));
    }
    let broke = |error| failed("the connection broke off").source(error);
    wire.write_all(format!("{command}\r\n").as_bytes()).await.map_err(broke)?;
    wire.flush().await.map_err(broke)
}

async fn read_reply<R: AsyncRead + Unpin>(wire: &mut BufReader<R>, place: &str) -> Result<Reply> {
    let odd = || {
        failed(format!("`{place}` does not answer as an FTP server does"))
            .hint("check HOST, PORT and TLS")
    };
    let (mut lines, mut total, mut first) = (Vec::new(), 0, None);
    loop {
        let mut line = Vec::new();
        let read = (&mut *wire).take(REPLY as u64).read_until(b'\n', &mut line).await;
        let read = read.map_err(|error| failed("the connection broke off").source(error))?;
        total += read;
        if read == 0 {
            return Err(failed(format!("`{place}` closed the connection")));
        }
        if total > REPLY {
            return Err(odd());
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        let head: Option<u16> = line.get(..3).and_then(|code| code.parse().ok());
        let (code, mark) = (head, line.as_bytes().get(3).copied());
        match (first, code, mark) {
            (None, Some(code), Some(b'-')) => {
                first = Some(code);
                lines.push(line[4..].to_owned());
            }
            (None, Some(code), Some(b' ') | None) => {
                return Ok(Reply {
                    code,
                    lines: vec![line.get(4..).unwrap_or_default().to_owned()],
                });
            }
            (None, ..) => return Err(odd()),
            (Some(begun), Some(code), Some(b' ') | None) if code == begun => {
                lines.push(line.get(4..).unwrap_or_default().to_owned());
                return Ok(Reply { code, lines });
            }
            (Some(_), ..) => lines.push(line),
        }
    }
}

/// The port in `227 … (h1,h2,h3,h4,p1,p2)`.
fn passive_port(line: &str) -> Option<u16> {
    let numbers: Vec<u16> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter(|text| !text.is_empty())
        .filter_map(|text| text.parse().ok())
        .collect();
    let [.., high, low] = numbers[..] else { return None };
    (numbers.len() >= 6 && high < 256 && low < 256).then(|| high * 256 + low)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn reply(text: &str) -> Result<Reply> {
        read_reply(&mut BufReader::new(text.as_bytes()), "h:21").await
    }

    #[tokio::test]
    async fn replies_of_one_and_of_many_lines_are_read() {
        let one = reply("220 hello\r\n").await.unwrap();
        assert_eq!((one.code, one.lines.join("|").as_str()), (220, "hello"));
        let many = reply("211-Features:\r\n MLST size*;\r\n 220 not the end\r\n211 End\r\n").await;
        assert_eq!(many.unwrap().lines.join("|"), "Features:| MLST size*;| 220 not the end|End");
        assert!(reply("SSH-2.0-x\r\n").await.is_err() && reply("").await.is_err());
    }

    #[test]
    fn the_port_for_data_is_read_and_nothing_else() {
        assert_eq!(passive_port("Entering Passive Mode (10,0,0,1,195,80)."), Some(50_000));
        assert_eq!(passive_port("Entering Passive Mode (10,0,0,1,195)"), None);
        assert_eq!(passive_port("(1,2,3,4,300,1)"), None);
    }

    #[tokio::test]
    async fn a_line_end_never_becomes_a_second_command() {
        let mut out = Vec::new();
        assert!(write_line(&mut out, "DELE a\r\nDELE b").await.is_err());
        assert!(out.is_empty());
    }
}
