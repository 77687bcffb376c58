//! One server process: its folder, its log, and the watchman that outlives us to clean up.

use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Ports of the loopback interface that were free a moment ago, all different.
///
/// # Panics
/// Where the machine has no free port.
pub fn free_ports<const N: usize>() -> [u16; N] {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // All are held until the last is found; those given before may not be in use yet.
    let mut held = Vec::new();
    std::array::from_fn(|_| {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free loopback port");
            let port = listener.local_addr().expect("its address").port();
            held.push(listener);
            if !given.contains(&port) {
                given.push(port);
                return port;
            }
        }
    })
}

/// Folder of the test environment.
pub(super) fn venv() -> PathBuf {
    std::env::var_os("WINDLASS_TEST_VENV")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv"), PathBuf::from)
}

/// The program `name` of the test environment: `$WINDLASS_TEST_VENV/bin`, else `.venv/bin` of the
/// checkout.
///
/// # Panics
/// Where it is not installed.
pub fn program(name: &str) -> PathBuf {
    let path = venv().join("bin").join(name);
    assert!(path.exists(), "`{}` is not installed: run `make setup`", path.display());
    path
}

/// A running server; dropped, it is gone, with everything it started and stored.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    watchman: Child,
    log: PathBuf,
    _folder: TempDir,
}

impl Process {
    /// Starts `command` in a process group of its own, writing to `log` in `folder`.
    pub(super) fn start(mut command: Command, folder: TempDir) -> Self {
        let log = folder.path().join("log");
        let file = File::create(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // The watchman reads from a pipe that only we hold. It ends when we say `done`; when we
        // die without a word it sees the pipe close, and cleans up what we could not.
        let watchman = Command::new("sh")
            .args(["-c", "read -r word; [ \"$word\" = done ] && exit; kill -s KILL -- \"-$1\" 2>/dev/null; sleep 0.2; rm -rf -- \"$2\"", "sh"])
            .arg(child.id().to_string())
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh");
        Self { child, watchman, log, _folder: folder }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it printed.
    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(4000)..];
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id())
            && let Some(group) = Pid::from_raw(id)
        {
            // An error means that the group is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        if let Some(mut pipe) = self.watchman.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.watchman.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_ends_with_the_process_that_started_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]);
        let mut server = Process::start(command, folder);
        assert!(!server.has_ended());
        // What the watchman sees when we die.
        drop(server.watchman.stdin.take());
        assert!(server.watchman.wait().unwrap().success());
        for _ in 0..6000 {
            if server.has_ended() && !path.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it did not end");
    }
}
