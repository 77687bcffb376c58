//! `windlass doctor`: is this installation in order?

use crate::engine::Check;
use crate::jobs::journal::{begun_by, is_left};
use crate::jobs::write::{give_up_noted, is_of_write};
use crate::windlass::Windlass;
use std::os::unix::fs::PermissionsExt as _;
use windlass_s3::probe::Status;
use windlass_state::{KeyStatus, UploadRow};

fn check(check: &str, status: &str, message: impl Into<String>, hint: Option<&str>) -> Check {
    Check {
        check: check.to_owned(),
        status: status.to_owned(),
        message: message.into(),
        hint: hint.map(str::to_owned),
    }
}

/// Looks at home, key, state, clock, network and AWS identity. What only AWS users need warns.
pub(crate) async fn doctor(windlass: &Windlass) -> Vec<Check> {
    let report = windlass.inner.store.key_report().await;
    let sealed = report.as_ref().is_ok_and(|report| !matches!(report.status, KeyStatus::Unused));
    let mut checks = vec![home(windlass), key_file(windlass, sealed)];
    checks.push(match report {
        Ok(report) => match report.status {
            KeyStatus::Ready => {
                check("vault", "passed", "the master key opens the sealed values", None)
            }
            KeyStatus::Unused => check("vault", "passed", "nothing is sealed yet", None),
            KeyStatus::Unusable(why) => {
                let hint =
                    "put the key file back from your copy; sealed values cannot be read without it";
                check("vault", "failed", why, Some(hint))
            }
        },
        Err(error) => check("vault", "failed", error.chain(), error.hint_text()),
    });
    checks.push(match windlass.inner.store.ping().await {
        Ok(()) => check("state", "passed", windlass.inner.store.description(), None),
        Err(error) => check("state", "failed", error.chain(), error.hint_text()),
    });
    checks.extend(writes(windlass).await);
    checks.extend(uploads(windlass).await);
    checks.extend(aws(windlass).await);
    checks
}

/// Ends writes whose process is gone: completes what they had decided, gives up the rest.
async fn writes(windlass: &Windlass) -> Option<Check> {
    let fabrics = windlass.inner.store.fabrics().await.ok()?;
    let (mut ended, mut failed) = (0, Vec::new());
    for fabric in fabrics {
        match windlass.end_dead_writes(fabric.id).await {
            Ok(count) => ended += count,
            Err(error) => failed.push(error.chain()),
        }
    }
    if let Some(first) = failed.first() {
        let message = format!("writes of processes that are gone stay open: {first}");
        return Some(check("writes", "warning", message, Some("see `SHOW RUNS`")));
    }
    let message = match ended {
        0 => "no write was left half done".to_owned(),
        1 => "a write of a process that is gone was ended".to_owned(),
        many => format!("{many} writes of processes that are gone were ended"),
    };
    Some(check("writes", "passed", message, None))
}

/// Gives up the uploads in parts that interrupted runs have left: their parts cost until then.
async fn uploads(windlass: &Windlass) -> Option<Check> {
    let store = &windlass.inner.store;
    // What the state says of itself is another check.
    let all = store.all_uploads().await.ok()?;
    let now = chrono::Utc::now();
    let (mut given_up, mut failed) = (0, Vec::new());
    for left in all.into_iter().filter(|left| is_left(left, now)) {
        match give_up(windlass, &left.row).await {
            Ok(count) => given_up += count,
            Err(error) => failed.push(format!("`{}`: {}", left.row.upload.key, error.chain())),
        }
    }
    if let Some(first) = failed.first() {
        let message = format!("{} cannot be given up; first: {first}", failed.len());
        let hint = "see `windlass uploads CONN:BUCKET/`, and give them up with `--abort`";
        return Some(check("uploads", "warning", message, Some(hint)));
    }
    let message = match given_up {
        0 => "no run has left an unfinished upload".to_owned(),
        1 => "an unfinished upload of an interrupted run was given up".to_owned(),
        many => format!("{many} unfinished uploads of interrupted runs were given up"),
    };
    Some(check("uploads", "passed", message, None))
}

async fn give_up(windlass: &Windlass, left: &UploadRow) -> windlass_types::Result<usize> {
    if is_of_write(left) {
        return give_up_noted(windlass, left).await;
    }
    let store = &windlass.inner.store;
    let row = store.connection_by_id(left.upload.connection).await?;
    let storage = windlass.open_row(&row).await?.storage();
    let begun = begun_by(&storage, store, left).await?;
    for open in &begun {
        storage.abort_upload(open).await?;
    }
    store.forget_upload(&left.upload).await?;
    Ok(begun.len())
}

fn home(windlass: &Windlass) -> Check {
    let home = &windlass.inner.settings.home;
    let probe = home.join(".windlass-doctor");
    let shown = home.display();
    if let Err(error) = std::fs::write(&probe, b"") {
        let hint = "give a folder you may write with `--home DIR` or WINDLASS_HOME";
        return check("home", "failed", format!("cannot write in `{shown}`: {error}"), Some(hint));
    }
    let _ = std::fs::remove_file(&probe);
    let mode = std::fs::metadata(home).map_or(0, |meta| meta.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let message = format!("`{shown}` can be read by others (mode {mode:o})");
        return check(
            "home",
            "warning",
            message,
            Some("take the rights away: `chmod 700` on the folder"),
        );
    }
    check("home", "passed", format!("`{shown}`"), None)
}

fn key_file(windlass: &Windlass, sealed: bool) -> Check {
    let path = windlass.inner.settings.key_path();
    match std::fs::metadata(&path) {
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => check(
            "key",
            "warning",
            format!(
                "`{}` can be read by others (mode {:o})",
                path.display(),
                meta.permissions().mode() & 0o777
            ),
            Some("take the rights away: `chmod 600` on the file"),
        ),
        Ok(_) => {
            check("key", "passed", format!("`{}`; keep a copy elsewhere", path.display()), None)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && sealed => check(
            "key",
            "failed",
            format!("`{}` is not there, and sealed values need it", path.display()),
            Some(
                "put the copy of it back, or point WINDLASS_KEY_FILE to it; without it secrets must be given again",
            ),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => check(
            "key",
            "passed",
            "no master key yet; it is made when the first secret is sealed",
            None,
        ),
        Err(error) => check(
            "key",
            "failed",
            format!("cannot read `{}`: {error}", path.display()),
            Some("give this user the right to read it, or point WINDLASS_KEY_FILE elsewhere"),
        ),
    }
}

/// The default chain against AWS, from the connection `s3`: identity, network, clock. All of it
/// warns only: a user of S3-compatible stores needs none of it.
async fn aws(windlass: &Windlass) -> Vec<Check> {
    let steps = match windlass.probe_named("s3").await {
        Ok(steps) => steps,
        Err(error) => return vec![check("aws", "warning", error.chain(), error.hint_text())],
    };
    let mut checks = Vec::new();
    for (name, wanted) in [("aws identity", "identity"), ("network and clock", "endpoint")] {
        let Some(step) = steps.iter().find(|step| step.step.contains(wanted)) else { continue };
        let status = if step.status == Status::Passed { "passed" } else { "warning" };
        checks.push(check(name, status, step.message.clone(), step.hint.as_deref()));
    }
    checks
}
