//! Testing a connection: is the server there, does it let us in, may we list, read and write?
//!
//! Each step has a time limit and all together stay under 30 seconds. What is written is removed,
//! also when nobody waits for the answer any more.

use crate::Remote;
use crate::names::random;
use bytes::Bytes;
use futures::StreamExt as _;
use std::future::Future;
use std::time::{Duration, Instant};
use windlass_s3::probe::{ProbeStep, Status};
use windlass_s3::{ByteRange, GetOptions, ListOptions, PutOptions};
use windlass_types::connection::{RemoteService, RemoteSpec};
use windlass_types::{EntryKind, Error, ErrorCode, Location, ObjectPath, Result};

/// Most time of one step; there are at most six that ask the server.
const STEP: Duration = Duration::from_millis(4500);

/// Tests a connection; with `write` also by writing and deleting under a name of its own.
pub async fn probe_remote(remote: &Remote, write: bool) -> Vec<ProbeStep> {
    let remote = remote.clone();
    // In a task of its own: who stops waiting for the answer does not stop the removing.
    let task = tokio::spawn(async move { Steps::default().run(&remote, write).await });
    task.await.unwrap_or_else(|error| {
        vec![ProbeStep {
            step: "test".to_owned(),
            permission: String::new(),
            status: Status::Failed,
            milliseconds: 0,
            message: format!("the test stopped: {error}"),
            hint: None,
            required: true,
        }]
    })
}

#[derive(Default)]
struct Steps {
    done: Vec<ProbeStep>,
    blocked: Option<String>,
}

/// Host and port of the server.
fn place(spec: &RemoteSpec) -> (String, u16) {
    let endpoint = match &spec.service {
        RemoteService::Sftp(sftp) => return (sftp.host.clone(), sftp.port),
        RemoteService::Ftp(ftp) => return (ftp.host.clone(), ftp.port),
        RemoteService::WebDav(dav) => &dav.endpoint,
        RemoteService::Http(http) => &http.endpoint,
        RemoteService::AzureBlob(azure) => &azure.endpoint,
        RemoteService::Gcs(gcs) => &gcs.endpoint,
    };
    let url = url::Url::parse(endpoint).ok();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let port = url.as_ref().and_then(url::Url::port_or_known_default).unwrap_or(443);
    (host.trim_matches(['[', ']']).to_owned(), port)
}

impl Steps {
    async fn run(mut self, remote: &Remote, write: bool) -> Vec<ProbeStep> {
        let (host, port) = place(&remote.spec);
        self.step("resolve host", "", true, async {
            let found = tokio::net::lookup_host((host.as_str(), port)).await.map_err(|error| {
                Error::new(ErrorCode::ConnectionUnreachable, format!("there is no host `{host}`"))
                    .source(error)
                    .hint("check the name, and that this machine can look up names")
            })?;
            Ok(format!("`{host}` has {} address(es)", found.count()))
        })
        .await;
        self.step("connect", "", true, async {
            let place = format!("{host}:{port}");
            tokio::net::TcpStream::connect((host.as_str(), port))
                .await
                .map_err(|error| crate::error::unreachable(&place, error))?;
            Ok(format!("`{place}` answers"))
        })
        .await;
        let sample = self.list(remote).await;
        let storage = remote.storage();
        match sample {
            Some(object) => {
                self.step("read one byte", "read", false, async {
                    let range = Some(ByteRange::Bounded(0, 1));
                    let options = GetOptions { range, ..GetOptions::default() };
                    let mut body = storage.get(&object, options).await?;
                    while let Some(chunk) = body.stream.next().await {
                        chunk?;
                    }
                    Ok(format!("`{}` can be read", object.key))
                })
                .await;
            }
            None => self.skip("read one byte", "read", "there is no file to read"),
        }
        if write {
            self.write(remote).await;
        }
        self.done
    }

    /// Signs in and lists, which is one request to most servers; answers something to read.
    async fn list(&mut self, remote: &Remote) -> Option<ObjectPath> {
        let storage = remote.storage();
        let binding = storage.binding();
        let location = Location { bucket: binding.bucket.clone(), key: binding.prefix.clone() };
        let began = Instant::now();
        let listed = async {
            let mut sample = None;
            let mut count = 0;
            let mut entries = storage.list(&location, ListOptions::default());
            while let Some(entry) = entries.next().await {
                let entry = entry?;
                count += 1;
                if entry.kind == EntryKind::Object {
                    sample =
                        location.bucket.clone().map(|bucket| ObjectPath { bucket, key: entry.key });
                    break;
                }
                if count == 100 {
                    break;
                }
            }
            Ok::<_, Error>((count, sample))
        };
        let listed = match &self.blocked {
            Some(_) => None,
            None => Some(
                tokio::time::timeout(STEP * 2, listed)
                    .await
                    .unwrap_or_else(|_| Err(crate::error::timeout("signing in and listing"))),
            ),
        };
        let spent = began.elapsed();
        let outsider = |error: &Error| {
            matches!(
                error.code(),
                ErrorCode::ConnectionCredentials
                    | ErrorCode::ConnectionUnreachable
                    | ErrorCode::ConnectionTimeout
                    | ErrorCode::ConnectionFailed
            ) || error.message().contains("HOST_KEY")
        };
        match listed {
            None => {
                self.skip("sign in", "", "");
                self.skip("list", "list", "");
                None
            }
            Some(Ok((count, sample))) => {
                self.push("sign in", "", true, Ok("the server lets us in".to_owned()), spent);
                let told =
                    if count == 0 { "it can be listed, and is empty" } else { "it can be listed" };
                self.push("list", "list", true, Ok(told.to_owned()), Duration::ZERO);
                sample
            }
            Some(Err(error)) if outsider(&error) => {
                self.push("sign in", "", true, Err(error), spent);
                self.skip("list", "list", "");
                None
            }
            Some(Err(error)) => {
                self.push("sign in", "", true, Ok("the server lets us in".to_owned()), spent);
                // A web server without index pages can still be read from.
                let web = matches!(remote.spec.service, RemoteService::Http(_))
                    && error.code() == ErrorCode::UsageInvalid;
                self.push("list", "list", !web, Err(error), Duration::ZERO);
                if web && let Some(step) = self.done.last_mut() {
                    step.status = Status::Warning;
                    self.blocked = None;
                }
                None
            }
        }
    }

    async fn write(&mut self, remote: &Remote) {
        let storage = remote.storage();
        if storage.read_only() {
            self.blocked.get_or_insert_with(|| "the connection is READ_ONLY".to_owned());
        }
        let Some(bucket) = storage.binding().bucket.clone() else {
            self.skip("write a file", "write", "no bucket is named; bind the connection to one");
            self.skip("delete a file", "write", "nothing was written");
            return;
        };
        let key = format!("{}windlass-probe-{}", storage.binding().prefix, random());
        let object = ObjectPath { bucket, key };
        let tried = self.blocked.is_none();
        self.step("write a file", "write", false, async {
            let options = PutOptions { if_none_match: true, ..PutOptions::default() };
            storage.put(&object, Bytes::from_static(b"windlass"), options).await?;
            Ok("a probe file was written".to_owned())
        })
        .await;
        let written = self.blocked.is_none();
        self.step("delete a file", "write", false, async {
            storage.delete(&object).await?;
            Ok("the probe file is gone".to_owned())
        })
        .await;
        if tried && !written {
            // A write that timed out may have happened.
            let _ = tokio::time::timeout(Duration::from_secs(2), storage.delete(&object)).await;
        }
    }

    async fn step(
        &mut self,
        step: &str,
        permission: &str,
        required: bool,
        work: impl Future<Output = Result<String>>,
    ) {
        if self.blocked.is_some() {
            return self.skip(step, permission, "");
        }
        let began = Instant::now();
        let outcome = tokio::time::timeout(STEP, work)
            .await
            .unwrap_or_else(|_| Err(crate::error::timeout("the server's answer")));
        self.push(step, permission, required, outcome, began.elapsed());
    }

    fn skip(&mut self, step: &str, permission: &str, why: &str) {
        let message = self.blocked.clone().unwrap_or_else(|| why.to_owned());
        self.done.push(ProbeStep {
            step: step.to_owned(),
            permission: permission.to_owned(),
            status: Status::Skipped,
            milliseconds: 0,
            message,
            hint: None,
            required: false,
        });
    }

    fn push(
        &mut self,
        step: &str,
        permission: &str,
        required: bool,
        outcome: Result<String>,
        spent: Duration,
    ) {
        let (status, message, hint) = match outcome {
            Ok(message) => (Status::Passed, message, None),
            Err(error) => (Status::Failed, error.chain(), error.hint_text().map(str::to_owned)),
        };
        if status == Status::Failed {
            self.blocked = Some(format!("not tried: `{step}` failed"));
        }
        self.done.push(ProbeStep {
            step: step.to_owned(),
            permission: permission.to_owned(),
            status,
            milliseconds: u64::try_from(spent.as_millis()).unwrap_or(u64::MAX),
            message,
            hint,
            required,
        });
    }
}
