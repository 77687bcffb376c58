//! SeaweedFS: an S3 service that lists folder by folder, with identities of different rights.

use super::client::{Client, Keys};
use super::process::{Process, free_ports, program};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// The one bucket that the identity [`SeaweedFs::one`] may use.
pub const ONE_BUCKET: &str = "one-bucket";

/// A SeaweedFS server with its S3 gateway.
#[derive(Debug)]
pub struct SeaweedFs {
    endpoint: String,
    process: Process,
}

impl SeaweedFs {
    /// The server that all tests of this process share; give each test a bucket of its own.
    ///
    /// # Panics
    /// Where it is not installed or cannot start.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<SeaweedFs> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server and waits until it stores and returns an object.
    ///
    /// # Panics
    /// Where it is not installed or cannot start.
    pub async fn start() -> Self {
        let program = program("weed");
        // Ports are free when asked for, not when used: another process may be faster.
        let mut last = String::new();
        for _ in 0..3 {
            match Self::attempt(&program).await {
                Ok(server) => return server,
                Err(log) => last = log,
            }
        }
        panic!("SeaweedFS did not start: {last}");
    }

    async fn attempt(program: &std::path::Path) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("windlass-weed-").tempdir().expect("a folder");
        let config = folder.path().join("s3.json");
        std::fs::write(&config, identities().to_string()).expect("a configuration file");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a data folder");
        let names = ["master", "volume", "filer", "s3"];
        let ports: [u16; 8] = free_ports();
        let mut command = Command::new(program);
        // Otherwise it looks for its settings in the home folder.
        command.current_dir(folder.path()).env("HOME", folder.path());
        command.args(["-logtostderr=true", "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
        command.arg(format!("-dir={}", data.display()));
        command.arg(format!("-s3.config={}", config.display()));
        command.arg(format!("-filer.localSocket={}", folder.path().join("filer.sock").display()));
        for (index, name) in names.iter().enumerate() {
            command.arg(format!("-{name}.port={}", ports[index]));
            command.arg(format!("-{name}.port.grpc={}", ports[index + names.len()]));
        }
        command.args(["-volume.max=50", "-master.volumeSizeLimitMB=64"]);
        command.args(["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let endpoint = format!("http://127.0.0.1:{}", ports[3]);
        let mut server =
            Self { endpoint: endpoint.clone(), process: Process::start(command, folder) };
        let client = Client::new(&endpoint, Some(full()));
        let begun = Instant::now();
        while !is_ready(&client).await {
            if server.process.has_ended() || begun.elapsed() > Duration::from_mins(4) {
                return Err(server.process.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(server)
    }

    /// `http://127.0.0.1:PORT` of the S3 gateway.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Keys that may do everything.
    pub fn full(&self) -> Keys {
        full()
    }

    /// Keys that may list and read everything, and write nothing.
    pub fn reader(&self) -> Keys {
        reader()
    }

    /// Keys that may do what they like in [`ONE_BUCKET`], and nothing elsewhere.
    pub fn one(&self) -> Keys {
        one()
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        Client::new(&self.endpoint, Some(full()))
    }
}

fn full() -> Keys {
    Keys::new("WINDLASSFULL", "full-secret-0123456789")
}

fn reader() -> Keys {
    Keys::new("WINDLASSREADER", "reader-secret-0123456789")
}

fn one() -> Keys {
    Keys::new("WINDLASSONE", "one-secret-0123456789")
}

fn identities() -> serde_json::Value {
    let identity = |name: &str, keys: Keys, actions: Vec<String>| {
        serde_json::json!({
            "name": name,
            "credentials": [{"accessKey": keys.access_key_id, "secretKey": keys.secret_access_key}],
            "actions": actions,
        })
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let in_one =
        ["Read", "Write", "List", "Tagging"].iter().map(|word| format!("{word}:{ONE_BUCKET}"));
    serde_json::json!({"identities": [
        identity("full", full(), words(&["Admin", "Read", "Write", "List", "Tagging"])),
        identity("reader", reader(), words(&["Read", "List"])),
        identity("one", one(), in_one.collect()),
    ]})
}

/// Ready is: an object written is read back. The gateway answers long before that.
async fn is_ready(client: &Client) -> bool {
    let send = |method: &'static str, path: String, body: &'static str| async move {
        let sent = client.send("s3", method, &path, &[], body);
        let answer = tokio::time::timeout(Duration::from_secs(10), sent).await.ok()?.ok()?;
        (answer.status < 300 || answer.status == 409).then_some(answer)
    };
    let object = format!("/{ONE_BUCKET}/.ready");
    send("PUT", format!("/{ONE_BUCKET}"), "").await.is_some()
        && send("PUT", object.clone(), "ready").await.is_some()
        && send("GET", object.clone(), "").await.is_some_and(|answer| &answer.body[..] == b"ready")
        && send("DELETE", object, "").await.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_identities_have_the_rights_they_are_named_after() {
        let server = SeaweedFs::shared().await;
        let full = server.client();
        full.create_bucket("rights", "us-east-1").await;
        full.put("rights", "a b+c/ü.txt", "hello").await;
        let reader = Client::new(&server.endpoint(), Some(server.reader()));
        assert_eq!(reader.get("rights", "a b+c/ü.txt").await.as_deref(), Some(&b"hello"[..]));
        let refused = reader.send("s3", "PUT", "/rights/b", &[], "no").await.unwrap();
        assert_eq!(refused.status, 403);
        let one = Client::new(&server.endpoint(), Some(server.one()));
        one.put(ONE_BUCKET, "mine", "yes").await;
        let refused = one.send("s3", "GET", "/rights?list-type=2", &[], "").await.unwrap();
        assert_eq!(refused.status, 403);
    }
}
