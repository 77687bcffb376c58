//! A throwaway PostgreSQL cluster.

use super::process::{Process, free_ports};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

const PASSWORD: &str = "windlass-test";

/// A PostgreSQL server of its own, without durability, gone when dropped.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    programs: PathBuf,
    process: Process,
}

impl Postgres {
    /// The server that all tests of this process share; each should ask it for a database of its
    /// own. None where PostgreSQL is not installed, except under `CI`, where that is a failure.
    ///
    /// # Panics
    /// Where it cannot start, and under `CI` where it is not installed.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceCell<Option<Postgres>> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                if programs().is_none() {
                    let ci = std::env::var_os("CI").is_some();
                    assert!(!ci, "PostgreSQL is not installed: run `make setup`");
                    eprintln!("skipped: PostgreSQL is not installed; run `make setup`");
                    return None;
                }
                Some(Self::start().await)
            })
            .await
            .as_ref()
    }

    /// Starts a new server.
    ///
    /// # Panics
    /// Where it is not installed or cannot start.
    pub async fn start() -> Self {
        let programs = programs().expect("PostgreSQL is not installed: run `make setup`");
        let folder = tempfile::Builder::new().prefix("windlass-pg-").tempdir().expect("a folder");
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("a password file");
        let user = unprivileged();
        if let Some((_, uid, gid)) = user {
            for path in [folder.path(), &password] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown");
            }
        }
        let made = run(as_user(&programs.join("initdb"), user.as_ref())
            .arg("--pgdata")
            .arg(&data)
            .arg(format!("--pwfile={}", password.display()))
            .args(["--username=windlass", "--auth=scram-sha-256", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync"]))
        .await;
        assert!(made.0, "initdb failed: {}", made.1);
        let [port] = free_ports();
        let mut command = as_user(&programs.join("postgres"), user.as_ref());
        command.arg("-D").arg(&data).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "shared_buffers=16MB",
            "max_connections=200",
            "autovacuum=off",
        ] {
            command.args(["-c", setting]);
        }
        let mut server = Self { port, programs, process: Process::start(command, folder) };
        let begun = Instant::now();
        while !server.sql("select 1").await.0 {
            assert!(
                !server.process.has_ended() && begun.elapsed() < Duration::from_mins(4),
                "PostgreSQL did not start: {}",
                server.process.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// The URL of the server's first database.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Panics
    /// Where the server refuses.
    pub async fn database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (done, output) = self.sql(&format!("create database {name}")).await;
        assert!(done, "create database failed: {output}");
        self.url_of(&name)
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://windlass:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs one statement through `psql`; whether it worked, and what it printed.
    pub async fn sql(&self, statement: &str) -> (bool, String) {
        self.sql_in(&self.url(), statement).await
    }

    /// Runs one statement in the database at `url`; whether it worked, and what it printed.
    pub async fn sql_in(&self, url: &str, statement: &str) -> (bool, String) {
        run(Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"])
            .arg(url)
            .args(["-c", statement]))
        .await
    }
}

/// The folder of the newest installed server.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .filter(|(_, path)| path.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

/// Name, user and group id to run as where we are root: PostgreSQL refuses to run as root.
fn unprivileged() -> Option<(String, u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("no user `postgres`: run `make setup`").split(':').skip(2);
    let mut id = || fields.next().and_then(|id| id.parse().ok()).expect("an id in /etc/passwd");
    Some(("postgres".to_owned(), id(), id()))
}

fn as_user(program: &Path, user: Option<&(String, u32, u32)>) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    if let Some((_, uid, gid)) = user {
        command.uid(*uid).gid(*gid);
    }
    // A folder that this user may enter, whatever ours is.
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C");
    command
}

async fn run(command: &mut Command) -> (bool, String) {
    let output = tokio::process::Command::from(std::mem::replace(command, Command::new("true")))
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .expect("a program of PostgreSQL");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn postgres_starts_and_gives_fresh_databases() {
        let Some(server) = Postgres::shared().await else { return };
        assert_eq!(server.sql("select 40 + 2").await, (true, "42".to_owned()));
        assert_ne!(server.database().await, server.database().await);
    }

    #[tokio::test]
    async fn a_dropped_postgres_is_gone() {
        if programs().is_none() {
            return;
        }
        let server = Postgres::start().await;
        let port = server.port;
        drop(server);
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}
