//! Servers written in Python: FTP, `WebDAV`, SFTP with passwords, pages of folders, and an emulator of
//! Google Cloud Storage.

use super::process::{Process, free_ports, program};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Name of the user of these servers.
pub(super) const USER: &str = "ann";

/// Their password.
pub(super) const PASSWORD: &str = "ann-password-0123";

/// A server of files on 127.0.0.1.
#[derive(Debug)]
struct Server {
    port: u16,
    root: PathBuf,
    process: Process,
}

impl Server {
    /// Runs a script with the arguments port, folder, user, password and more.
    async fn start(name: &str, script: &str, more: &[&str]) -> Self {
        let python = program("python");
        let mut last = String::new();
        for _ in 0..3 {
            let folder: TempDir = tempfile::Builder::new()
                .prefix(&format!("windlass-{name}-"))
                .tempdir()
                .expect("a folder");
            let root = folder.path().join("data");
            std::fs::create_dir(&root).expect("a data folder");
            let [port] = free_ports();
            let mut command = Command::new(&python);
            command.args(["-c", script, &port.to_string()]).arg(&root).args([USER, PASSWORD]);
            command.args(more).current_dir(folder.path());
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            let mut server = Self { port, root, process: Process::start(command, folder) };
            let begun = Instant::now();
            loop {
                if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return server;
                }
                if server.process.has_ended() || begun.elapsed() > Duration::from_mins(4) {
                    last = server.process.log_tail();
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        panic!("{name} did not start: {last}");
    }
}

macro_rules! server {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct $name(Server);

        impl $name {
            /// Port on 127.0.0.1.
            pub fn port(&self) -> u16 {
                self.0.port
            }

            /// The folder it serves.
            pub fn root(&self) -> &std::path::Path {
                &self.0.root
            }

            /// Name of the user.
            pub fn user(&self) -> &'static str {
                USER
            }

            /// Password of the user.
            pub fn password(&self) -> &'static str {
                PASSWORD
            }

            /// The end of what it printed.
            pub fn log(&self) -> String {
                self.0.process.log_tail()
            }
        }
    };
}

server!(
    /// An FTP server (pyftpdlib).
    FtpServer
);
server!(
    /// A `WebDAV` server (wsgidav).
    WebDavServer
);
server!(
    /// An SFTP server that lets in by password (asyncssh); `OpenSSH` would need users of the machine.
    PasswordSftpServer
);
server!(
    /// Google Cloud Storage as gcp-storage-emulator has it: without identities and conditions.
    GcsEmulator
);
server!(
    /// A web server that makes pages of folders, without ranges (Python's own).
    WebServer
);

const FTP: &str = r#"
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import ThreadedFTPServer
port, root, user, password, certificate, facts = sys.argv[1:7]
authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")
base = TLS_FTPHandler if certificate else FTPHandler
class Handler(base):
    pass
Handler.authorizer = authorizer
if certificate:
    Handler.certfile = certificate
    Handler.tls_control_required = True
    Handler.tls_data_required = True
if not facts:
    Handler.proto_cmds = {k: v for k, v in base.proto_cmds.items() if k not in ("MLSD", "MLST", "MFMT")}
ThreadedFTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"#;

impl FtpServer {
    /// Starts a server without TLS.
    ///
    /// # Panics
    /// Where pyftpdlib is not installed (`make setup`) or it cannot start.
    pub async fn start() -> Self {
        Self(Server::start("ftp", FTP, &["", "facts"]).await)
    }

    /// Starts one that knows no MLSD: what it lists is made for people.
    ///
    /// # Panics
    /// As [`FtpServer::start`].
    pub async fn start_old() -> Self {
        Self(Server::start("ftp", FTP, &["", ""]).await)
    }

    /// Starts one that demands TLS, with this PEM file of certificate and key.
    ///
    /// # Panics
    /// As [`FtpServer::start`].
    pub async fn start_tls(certificate: &std::path::Path) -> Self {
        Self(Server::start("ftps", FTP, &[&certificate.to_string_lossy(), "facts"]).await)
    }
}

const WEBDAV: &str = r#"
import sys
from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp
port, root, user, password, token = sys.argv[1:6]
app = WsgiDAVApp({
    "provider_mapping": {"/": root},
    "simple_dc": {"user_mapping": {"*": True if token else {user: {"password": password}}}},
    "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
    "logging": {"enable": False}, "verbose": 1, "lock_storage": True,
})
def door(environ, start_response):
    if token and environ.get("HTTP_AUTHORIZATION") != "Bearer " + token:
        start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
        return [b""]
    return app(environ, start_response)
server = wsgi.Server(("127.0.0.1", int(port)), door, numthreads=20)
server.start()
"#;

impl WebDavServer {
    /// Starts a server.
    ///
    /// # Panics
    /// Where wsgidav is not installed (`make setup`) or it cannot start.
    pub async fn start() -> Self {
        Self(Server::start("webdav", WEBDAV, &[""]).await)
    }

    /// Starts one that lets in whoever has this token, and nobody else.
    ///
    /// # Panics
    /// As [`WebDavServer::start`].
    pub async fn start_with_token(token: &str) -> Self {
        Self(Server::start("webdav", WEBDAV, &[token]).await)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }
}

const WEB: &str = r#"
import functools, http.server, ssl, sys
certificate, key = sys.argv[5:7]
class Handler(http.server.SimpleHTTPRequestHandler):
    def send_head(self):
        if key and self.headers.get("x-key") != key:
            self.send_error(403)
            return None
        return super().send_head()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), functools.partial(Handler, directory=sys.argv[2]))
if certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#;

impl WebServer {
    /// Starts a server; it asks for no password.
    ///
    /// # Panics
    /// Where Python is not installed or it cannot start.
    pub async fn start() -> Self {
        Self(Server::start("web", WEB, &["", ""]).await)
    }

    /// Starts one with TLS, by this PEM file of certificate and key, that answers only requests with
    /// the header `x-key` of this value.
    ///
    /// # Panics
    /// As [`WebServer::start`].
    pub async fn start_tls(certificate: &std::path::Path, key: &str) -> Self {
        Self(Server::start("web", WEB, &[&certificate.to_string_lossy(), key]).await)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }
}

const SFTP: &str = r#"
import asyncio, sys
import asyncssh
port, root, user, password = sys.argv[1:5]
key = asyncssh.generate_private_key("ssh-ed25519")
with open(root + "/../host.pub", "w") as file:
    file.write(key.export_public_key().decode())
class Door(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True
    def password_auth_supported(self):
        return True
    def validate_password(self, username, given):
        return (username, given) == (user, password)
async def main():
    files = lambda channel: asyncssh.SFTPServer(channel, chroot=root.encode())
    await asyncssh.listen("127.0.0.1", int(port), server_factory=Door, server_host_keys=[key], sftp_factory=files)
    await asyncio.get_running_loop().create_future()
asyncio.run(main())
"#;

impl PasswordSftpServer {
    /// Starts a server.
    ///
    /// # Panics
    /// Where asyncssh is not installed (`make setup`) or it cannot start.
    pub async fn start() -> Self {
        Self(Server::start("sftp", SFTP, &[]).await)
    }

    /// The server's public key, as in `known_hosts` without a host.
    ///
    /// # Panics
    /// Where the server wrote none.
    pub fn host_key(&self) -> String {
        let path = self.0.root.with_file_name("host.pub");
        std::fs::read_to_string(path).expect("the server's key").trim().to_owned()
    }
}

const GCS: &str = r#"
import sys
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True).run()
"#;

impl GcsEmulator {
    /// Starts an emulator, which forgets everything when it ends.
    ///
    /// # Panics
    /// Where gcp-storage-emulator is not installed (`make setup`) or it cannot start.
    pub async fn start() -> Self {
        Self(Server::start("gcs", GCS, &[]).await)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }
}
