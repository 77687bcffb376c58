//! Testing a local connection: is the folder there, may it be listed and written?

use super::diagnose::Finding;
use super::{Limits, ProbeStep, Status};
use crate::probe::write::PROBE;
use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};
use windlass_types::LocalSpec;

/// Tests a folder. A file system that hangs (a lost network mount) is a failure, not a wait.
pub async fn probe_local(spec: &LocalSpec, write: bool) -> Vec<ProbeStep> {
    let mut steps = Steps { done: Vec::new(), blocked: None, limit: Limits::default().step / 2 };
    let root = spec.root.as_path();
    let shown = root.display().to_string();
    steps
        .step("find root", "search", true, async {
            match tokio::fs::metadata(root).await {
                Ok(_) => Ok(format!("`{shown}` exists")),
                Err(error) => Err(finding(&error, root, "find")),
            }
        })
        .await;
    steps
        .step("root is a folder", "search", true, async {
            match tokio::fs::metadata(root).await {
                Ok(found) if found.is_dir() => Ok(format!("`{shown}` is a folder")),
                Ok(_) => Err(Finding::new(
                    format!("`{shown}` is not a folder"),
                    "ROOT is a folder; name the one that holds the file",
                )),
                Err(error) => Err(finding(&error, root, "find")),
            }
        })
        .await;
    steps
        .step("list root", "read", true, async {
            let listed = async {
                let mut entries = tokio::fs::read_dir(root).await?;
                entries.next_entry().await
            };
            match listed.await {
                Ok(Some(_)) => Ok("it can be listed".to_owned()),
                Ok(None) => Ok("it can be listed, and is empty".to_owned()),
                Err(error) => Err(finding(&error, root, "list")),
            }
        })
        .await;
    if write {
        steps.write(root, spec.read_only).await;
    }
    steps.done
}

struct Steps {
    done: Vec<ProbeStep>,
    blocked: Option<String>,
    limit: Duration,
}

impl Steps {
    async fn step(
        &mut self,
        step: &str,
        permission: &str,
        required: bool,
        work: impl Future<Output = Result<String, Finding>>,
    ) {
        let began = Instant::now();
        let (status, message, hint) = match &self.blocked {
            Some(reason) => (Status::Skipped, reason.clone(), None),
            None => match tokio::time::timeout(self.limit, work).await {
                Ok(Ok(message)) => (Status::Passed, message, None),
                Ok(Err(found)) => (Status::Failed, found.message, found.hint),
                Err(_) => (
                    Status::Failed,
                    "timeout: the file system does not answer".to_owned(),
                    Some("if ROOT is on a network mount, check the mount".to_owned()),
                ),
            },
        };
        if status == Status::Failed {
            self.blocked = Some(format!("not tried: `{step}` failed"));
        }
        self.done.push(ProbeStep {
            step: step.to_owned(),
            permission: permission.to_owned(),
            status,
            milliseconds: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            message,
            hint,
            required,
        });
    }

    async fn write(&mut self, root: &Path, read_only: bool) {
        if read_only {
            self.blocked.get_or_insert_with(|| "the connection is READ_ONLY".to_owned());
        }
        // Made by the library so that it has a name of its own and is removed whatever happens.
        let mut random = [0_u8; 8];
        let _ = getrandom::fill(&mut random);
        let path = root.join(format!("{PROBE}{:016x}", u64::from_le_bytes(random)));
        self.step("write a file", "write", false, async {
            let mut options = tokio::fs::OpenOptions::new();
            // Never over what is there.
            let file = options.write(true).create_new(true).open(&path).await;
            match file {
                Ok(_) => Ok("a probe file was written".to_owned()),
                Err(error) => Err(finding(&error, root, "write to")),
            }
        })
        .await;
        let written = self.blocked.is_none();
        self.step("delete a file", "write", false, async {
            match tokio::fs::remove_file(&path).await {
                Ok(()) => Ok("the probe file is gone".to_owned()),
                Err(error) => Err(finding(&error, &path, "delete")),
            }
        })
        .await;
        if !written && !read_only {
            // A write that timed out may have happened.
            let _ =
                tokio::time::timeout(Duration::from_secs(1), tokio::fs::remove_file(&path)).await;
        }
    }
}

fn finding(error: &std::io::Error, path: &Path, doing: &str) -> Finding {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            Finding::new(format!("no folder `{shown}`"), "create the folder, or correct ROOT")
        }
        ErrorKind::PermissionDenied => Finding::new(
            format!("no permission to {doing} `{shown}`"),
            "give this user the right with `chmod` or `chown`, or choose another ROOT",
        ),
        ErrorKind::ReadOnlyFilesystem => Finding::new(
            format!("`{shown}` is on a read-only file system"),
            "mount it for writing, or set `READ_ONLY = TRUE`",
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Finding::new(
            format!("no space to write to `{shown}`"),
            "free some space, or choose another ROOT",
        ),
        _ => Finding::new(
            format!("cannot {doing} `{shown}`: {error}"),
            "check the folder and its file system",
        ),
    }
}
