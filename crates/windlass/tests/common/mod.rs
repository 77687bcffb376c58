//! Drives the built binary as a person would.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a command answered.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error, with what differs from run to run replaced.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stderr
    }

    pub fn json(self) -> serde_json::Value {
        let text = self.good();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// A home of its own, and commands in it.
pub struct Home {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where files of the test may lie, outside the home proper.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join("scratch");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Begins a command that nobody talks to.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(arguments).spawn().unwrap()
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        // Nothing of the machine's own AWS set-up may reach a test.
        for (name, _) in std::env::vars()
            .filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("WINDLASS_"))
        {
            command.env_remove(name);
        }
        command
            .env("WINDLASS_HOME", self.path().join("home"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", self.path().join("aws-config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.path().join("aws-credentials"))
            .envs(self.environment.iter().cloned())
            .current_dir(self.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs statements from standard input, as the docs recommend for secrets.
    pub fn sql(&self, text: &str) -> Output {
        self.run_with(&["sql", "-c", "-"], text.as_bytes())
    }

    /// Rows of one statement.
    #[track_caller]
    pub fn rows(&self, text: &str) -> Vec<serde_json::Value> {
        let output = self.run_with(&["-o", "json", "sql", "-c", "-"], text.as_bytes()).good();
        let last = output.lines().rfind(|line| line.starts_with('[')).unwrap_or("[]");
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {output}"))
    }

    /// A connection to an S3-compatible service.
    pub fn connect(
        &self,
        name: &str,
        endpoint: &str,
        key_id: &str,
        secret: &str,
        more: &str,
    ) -> Output {
        self.sql(&format!(
            "CREATE S3 CONNECTION {name} ENDPOINT = '{endpoint}' ALLOW_HTTP = TRUE \
             AWS_ACCESS_KEY_ID = '{key_id}' AWS_SECRET_ACCESS_KEY = '{secret}' {more}"
        ))
    }
}

/// A `serve` process of a home; ends with the test.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    pub fn start(home: &Home) -> Self {
        let mut child = home
            .command()
            .args(["-o", "json", "serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { child, url: answer["listening"].as_str().unwrap().to_owned() }
    }

    /// Ends it without a word (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `serve --pg` process of a home; ends with the test.
pub struct Pg {
    child: Child,
    pub port: u16,
    pub url: String,
}

impl Pg {
    pub fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::start_at(home, "127.0.0.1:0", arguments)
    }

    pub fn start_at(home: &Home, address: &str, arguments: &[&str]) -> Self {
        let mut child = home
            .command()
            .args(["-o", "json", "serve", "--listen", "127.0.0.1:0", "--pg", address])
            .args(arguments)
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&line).unwrap();
        let pg = answer["pg"].as_str().unwrap();
        let port = pg.rsplit_once(':').unwrap().1.parse().unwrap();
        Self { child, port, url: answer["listening"].as_str().unwrap().to_owned() }
    }

    /// Hundredths of seconds of the processor so far.
    pub fn cpu(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Memory now, in KiB.
    pub fn memory(&self) -> u64 {
        self.status("VmRSS")
    }

    /// The most memory so far, in KiB.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM")
    }

    /// Ends it without a word (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Pg {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Replaces ports, times and ids, so that a text can be a snapshot.
pub fn steady(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("127.0.0.1:") {
        let end = at + "127.0.0.1:".len();
        out.push_str(&rest[..end]);
        out.push_str("PORT");
        rest = rest[end..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out.push_str(rest);
    out
}

/// Cuts ` (request …)`, which differs each time, out of what a service answered.
pub fn without_request_ids(text: &str) -> String {
    let mut parts = text.split(" (request ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    out
}
