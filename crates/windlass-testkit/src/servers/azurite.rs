//! Azurite: Azure Blob Storage as its maker emulates it.

use super::process::{Process, free_ports, venv};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::process::Command;
use std::time::{Duration, Instant};

/// Its script below the test environment.
const SCRIPT: &str = "npm/node_modules/azurite/dist/src/blob/main.js";

/// A blob service on 127.0.0.1 with one account, which forgets everything when it ends.
#[derive(Debug)]
pub struct Azurite {
    port: u16,
    process: Process,
}

impl Azurite {
    /// Starts a server.
    ///
    /// # Panics
    /// Where Azurite is not installed (`make setup`) or it cannot start.
    pub async fn start() -> Self {
        let script = venv().join(SCRIPT);
        assert!(script.exists(), "`{}` is not installed: run `make setup`", script.display());
        let mut last = String::new();
        for _ in 0..3 {
            let folder = tempfile::Builder::new().prefix("windlass-azurite-").tempdir();
            let folder = folder.expect("a folder");
            let [port] = free_ports();
            let mut command = Command::new("node");
            command
                .arg(&script)
                .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
                .args(["--inMemoryPersistence", "--silent", "--skipApiVersionCheck"])
                .args(["--disableTelemetry"])
                .env("AZURITE_ACCOUNTS", format!("windlasstest:{}", Self::key()))
                .current_dir(folder.path());
            let mut server = Self { port, process: Process::start(command, folder) };
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
        panic!("azurite did not start: {last}");
    }

    /// Its URL, with the account as its path.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, self.account())
    }

    /// Name of the account.
    #[allow(clippy::unused_self, reason = "it belongs to a server")]
    pub fn account(&self) -> &'static str {
        "windlasstest"
    }

    /// Key of the account.
    pub fn key() -> String {
        STANDARD.encode("windlass test key, which is known to everybody who reads this, 64b")
    }

    /// The end of what it printed.
    pub fn log(&self) -> String {
        self.process.log_tail()
    }
}
