//! `OpenSSH` with SFTP, run by whoever runs the tests, with host and user keys of its own.

use super::process::{Process, free_ports};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where `sshd` is on the systems we know.
const SSHD: &[&str] = &["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];

/// An SSH server that offers SFTP to the user of the tests, by key.
///
/// Passwords are not offered: only root could check them, against the machine's own users.
#[derive(Debug)]
pub struct SftpServer {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// The user who may sign in.
    pub user: String,
    /// Text of the private key that may sign in.
    pub private_key: String,
    /// The server's public key, as in `known_hosts` without a host.
    pub host_key: String,
    /// A folder of this test.
    pub root: PathBuf,
    process: Process,
}

/// Makes a key pair without a passphrase unless one is given; answers the private file.
///
/// # Panics
/// Where `ssh-keygen` is not installed.
pub fn ssh_key(folder: &Path, name: &str, passphrase: &str) -> PathBuf {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"])
        .arg(&path)
        .status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen failed: run `make setup`");
    path
}

impl SftpServer {
    /// Starts a server and waits until it greets.
    ///
    /// # Panics
    /// Where `OpenSSH`'s server is not installed (`make setup` installs `openssh-server`) or cannot start.
    pub async fn start() -> Self {
        let sshd = SSHD.iter().find(|path| Path::new(path).exists());
        let sshd = sshd.expect("no `sshd`: run `make setup`, which installs openssh-server");
        let mut last = String::new();
        for _ in 0..3 {
            match Self::attempt(sshd).await {
                Ok(server) => return server,
                Err(log) => last = log,
            }
        }
        panic!("sshd did not start: {last}");
    }

    async fn attempt(sshd: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("windlass-sshd-").tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let host = ssh_key(&path, "host", "");
        let user_key = ssh_key(&path, "user", "");
        let authorized = path.join("authorized");
        std::fs::copy(path.join("user.pub"), &authorized).expect("a list of keys");
        std::fs::set_permissions(&authorized, std::fs::Permissions::from_mode(0o600))
            .expect("rights");
        let root = path.join("data");
        std::fs::create_dir(&root).expect("a data folder");
        let [port] = free_ports();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
             AuthorizedKeysFile {}\nSubsystem sftp internal-sftp\nMaxStartups 100\nLogLevel ERROR\n",
            host.display(),
            authorized.display()
        );
        let file = path.join("config");
        std::fs::write(&file, config).expect("a configuration");
        // Run by root it keeps its unprivileged half there, and some systems make it only at start.
        let _ = std::fs::create_dir_all("/run/sshd");
        let mut command = Command::new(sshd);
        command.args(["-D", "-e", "-f"]).arg(&file);
        let read = |path: &Path| std::fs::read_to_string(path).expect("a key");
        let host_key = read(&path.join("host.pub"));
        let words: Vec<&str> = host_key.split_whitespace().take(2).collect();
        let mut server = Self {
            port,
            user: user(),
            private_key: read(&user_key),
            host_key: words.join(" "),
            root,
            process: Process::start(command, folder),
        };
        let begun = Instant::now();
        while !greets(port).await {
            if server.process.has_ended() || begun.elapsed() > Duration::from_mins(4) {
                return Err(server.process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }
}

/// Who runs this.
fn user() -> String {
    let told = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8_lossy(&told.stdout).trim().to_owned()
}

async fn greets(port: u16) -> bool {
    use tokio::io::AsyncReadExt as _;
    let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
        return false;
    };
    let mut start = [0; 4];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut start)).await;
    matches!(read, Ok(Ok(_))) && &start == b"SSH-"
}
