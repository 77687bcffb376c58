//! May we write and delete? Under one key that nobody else has, and that is always removed.

use super::diagnose::{Finding, diagnose_error};
use super::place::Target;
use super::{Row, Session, Status, Verdict};
use crate::access::{ObjectAccess as _, PutOptions, Upload};
use crate::policy::Verb;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::timeout;
use windlass_types::connection::S3Spec;
use windlass_types::{ErrorCode, ObjectPath};

/// Begins every key a test writes.
pub(super) const PROBE: &str = ".windlass-probe-";

/// What a test has left behind so far.
#[derive(Debug, Default)]
struct Litter {
    object: bool,
    upload: Option<Upload>,
    /// An upload was asked for; whether there is one is not known.
    maybe_upload: bool,
    /// Versions of the key, with the delete marker, in versioned buckets.
    versions: Vec<String>,
}

type Shared = Arc<Mutex<Litter>>;

fn with<T>(litter: &Shared, act: impl FnOnce(&mut Litter) -> T) -> T {
    act(&mut litter.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Where the probe key goes: a folder of the connection's place; never a bucket it did not name.
fn folder(spec: &S3Spec, targets: Vec<Target>) -> Option<Target> {
    let mut target = targets.into_iter().next()?;
    // A display filter may end within a name.
    let end = target.prefix.rfind('/').map_or(0, |at| at + 1);
    target.prefix.truncate(end);
    spec.binding.check(&target.bucket, &target.prefix).is_ok().then_some(target)
}

impl Session {
    /// Writes, writes in parts, deletes.
    pub(super) async fn write(&mut self) {
        let rows = [
            Row::writes("put an object", Verb::Write),
            Row::writes("multipart upload", Verb::Multipart),
            Row::writes("delete an object", Verb::Delete),
        ];
        let spec = self.store.spec().clone();
        if spec.read_only {
            return self.skip_all(&rows, "the connection is READ_ONLY");
        }
        let Some(target) = folder(&spec, self.targets()) else {
            self.skip_all(&rows, "no place to write to: the connection names none");
            if self.blocked.is_none() {
                self.advise(
                    rows.len(),
                    "set VERIFY_PATH to a folder that may be written, or BUCKET; a bucket that is not named is never written to",
                );
            }
            return;
        };
        let mut random = [0_u8; 8];
        if getrandom::fill(&mut random).is_err() {
            return self.skip_all(&rows, "this machine gives no random numbers for a key");
        }
        let key = format!("{}{PROBE}{:016x}", target.prefix, u64::from_le_bytes(random));
        let object = ObjectPath { bucket: target.bucket, key };
        let litter = Shared::default();
        let [put, multipart, delete] = rows;
        let written = self.put(put, &object, &litter).await;
        if written {
            self.multipart(multipart, &object, &litter).await;
            self.delete(delete, &object, &litter).await;
        } else {
            for row in [multipart, delete] {
                let reason = self
                    .blocked
                    .clone()
                    .unwrap_or_else(|| "not tried: `put an object` did not pass".to_owned());
                self.skip(&row, reason);
            }
        }
        self.clean(&object, &litter).await;
    }

    fn skip_all(&mut self, rows: &[Row], reason: &str) {
        let reason = self.blocked.clone().unwrap_or_else(|| reason.to_owned());
        for row in rows {
            self.skip(row, reason.clone());
        }
    }

    async fn put(&mut self, row: Row, object: &ObjectPath, litter: &Shared) -> bool {
        let scene = self.scene(Verb::Write, Some(&object.bucket), &object.key);
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            with(litter, |litter| litter.object = true);
            let body = Bytes::from_static(b"windlass probe");
            match store.put(object, body, PutOptions::default()).await {
                Ok(result) => {
                    with(litter, |litter| litter.versions.extend(result.version));
                    Verdict::Passed((), format!("`s3://{object}`"))
                }
                Err(error) => {
                    // A definite refusal wrote nothing; of anything else that is not known.
                    let refused = matches!(
                        error.code(),
                        ErrorCode::ConnectionDenied
                            | ErrorCode::ConnectionCredentials
                            | ErrorCode::ConnectionReadOnly
                            | ErrorCode::BucketNotFound
                            | ErrorCode::UsageInvalid
                            | ErrorCode::ConnectionRejected
                    );
                    with(litter, |litter| litter.object = !refused);
                    Verdict::Failed(diagnose_error(&error, &scene))
                }
            }
        };
        self.step(row, late, work).await.is_some()
    }

    /// Begins an upload, sends a part, aborts: completing would prove nothing more than a put does.
    async fn multipart(&mut self, row: Row, object: &ObjectPath, litter: &Shared) {
        let scene = self.scene(Verb::Multipart, Some(&object.bucket), &object.key);
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            with(litter, |litter| litter.maybe_upload = true);
            let upload = match store.create_upload(object, PutOptions::default()).await {
                Ok(upload) => upload,
                Err(error) => return Verdict::Failed(diagnose_error(&error, &scene)),
            };
            with(litter, |litter| {
                litter.maybe_upload = false;
                litter.upload = Some(upload.clone());
            });
            let body = Bytes::from_static(b"windlass probe");
            if let Err(error) = store.upload_part(&upload, 1, body).await {
                return Verdict::Failed(diagnose_error(&error, &scene));
            }
            if let Err(error) = store.abort_upload(&upload).await {
                return Verdict::Failed(diagnose_error(&error, &scene));
            }
            with(litter, |litter| litter.upload = None);
            Verdict::Passed((), "begun, one part sent, aborted".to_owned())
        };
        self.step(row, late, work).await;
    }

    async fn delete(&mut self, row: Row, object: &ObjectPath, litter: &Shared) {
        let scene = self.scene(Verb::Delete, Some(&object.bucket), &object.key);
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            match store.delete(object).await {
                Ok(()) => {
                    with(litter, |litter| litter.object = false);
                    Verdict::Passed((), "the probe object is gone".to_owned())
                }
                Err(error) => Verdict::Failed(diagnose_error(&error, &scene)),
            }
        };
        self.step(row, late, work).await;
    }

    /// Removes what is still there, in its own time, and says so if that does not work.
    async fn clean(&mut self, object: &ObjectPath, litter: &Shared) {
        let store = self.store.clone();
        let cleaning = async {
            let mut left = with(litter, std::mem::take);
            if let Some(upload) = &left.upload
                && store.abort_upload(upload).await.is_ok()
            {
                left.upload = None;
            }
            if left.maybe_upload
                && let Ok(client) = store.client(&object.bucket).await
                && let Ok(uploads) = client
                    .list_multipart_uploads()
                    .bucket(&object.bucket)
                    .prefix(&object.key)
                    .send()
                    .await
            {
                for upload in uploads.uploads() {
                    let upload = Upload {
                        bucket: object.bucket.clone(),
                        key: object.key.clone(),
                        id: upload.upload_id().unwrap_or_default().to_owned(),
                    };
                    if store.abort_upload(&upload).await.is_err() {
                        left.upload = Some(upload);
                    }
                }
            }
            if left.object && store.delete(object).await.is_ok() {
                left.object = false;
            }
            // Older versions need a permission nobody should need for a test: tried, not required.
            if !left.versions.is_empty()
                && let Ok(client) = store.client(&object.bucket).await
            {
                let request = client.list_object_versions().bucket(&object.bucket);
                if let Ok(listed) = request.prefix(&object.key).send().await {
                    let markers = listed.delete_markers().iter().filter_map(|m| m.version_id());
                    left.versions.extend(markers.map(str::to_owned));
                }
                for version in &left.versions {
                    let request = client.delete_object().bucket(&object.bucket).key(&object.key);
                    if let Err(error) = request.version_id(version).send().await {
                        tracing::debug!(%version, error = %crate::error::text_of(&error), "probe version stays");
                    }
                }
            }
            left
        };
        let left = match timeout(self.limits.cleanup, cleaning).await {
            Ok(left) => left,
            // Nothing is known to be gone.
            Err(_) => Litter { object: true, ..Litter::default() },
        };
        if !left.object && left.upload.is_none() {
            return;
        }
        let what = if left.object { "probe object" } else { "unfinished upload" };
        let Some(step) = self
            .steps
            .iter_mut()
            .rev()
            .find(|step| step.status == Status::Failed && step.step != "resolve identity")
        else {
            return;
        };
        let Finding { message, hint, .. } = Finding::new(
            format!("{}; the {what} `s3://{object}` may still be there", step.message),
            format!(
                "{}remove `s3://{object}` with an identity that may delete",
                step.hint.take().map(|hint| format!("{hint}; ")).unwrap_or_default()
            ),
        );
        step.message = message;
        step.hint = hint;
    }
}
