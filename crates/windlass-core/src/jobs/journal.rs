//! The uploads in parts of a run, as its store remembers them.

use crate::windlass::Windlass;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use windlass_jobs::RunContext;
use windlass_s3::{Storage, Upload};
use windlass_state::{LeftUpload, NewUpload, RunRow, Store, UploadRow};
use windlass_transfer::{Journal, Left, MadeOf};
use windlass_types::{
    ConnectionId, Error, ErrorCode, ObjectPath, ProcessName, Result, RunId, RunState,
};

/// The journal of a run that writes to `destination`; None where uploads are not of a stored
/// connection, or are files that are found again without it.
pub(crate) async fn of(
    windlass: &Windlass,
    context: &RunContext,
    destination: &Storage,
) -> Result<Option<Arc<dyn Journal>>> {
    if destination.local_path("").is_some() {
        return Ok(None);
    }
    let store = &windlass.inner.store;
    let row = store.find_connection(context.fabric, destination.name()).await?;
    Ok(row.map(|row| {
        let (context, store) = (context.clone(), Arc::clone(store));
        let storage = Arc::clone(destination);
        Arc::new(RunJournal { context, store, connection: row.id, storage }) as Arc<dyn Journal>
    }))
}

/// Whether nobody works on an upload any more: its run has ended, or whoever had it is gone.
pub(crate) fn is_left(left: &LeftUpload, now: DateTime<Utc>) -> bool {
    if !left.running || has_ended(left.lease_until, now) {
        return !left.queued;
    }
    is_gone(left.owner.as_deref())
}

/// Whether nobody works on a run that is said to be running.
pub(super) fn is_dead(row: &RunRow, now: DateTime<Utc>) -> bool {
    row.state == RunState::Running
        && (has_ended(row.lease_until, now) || is_gone(row.owner.as_deref()))
}

impl Windlass {
    /// Ends the lease of a run whose process is gone, so that nobody waits for it; whether nobody works
    /// on it.
    pub(super) async fn release_if_dead(&self, row: &RunRow) -> Result<bool> {
        let now = Utc::now();
        if !is_dead(row, now) {
            return Ok(false);
        }
        if let Some(owner) = row.owner.as_deref().filter(|_| !has_ended(row.lease_until, now)) {
            self.inner.store.expire_run(row.id, owner, now).await?;
        }
        Ok(true)
    }
}

/// Whether a lease of a run has ended.
fn has_ended(lease_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    lease_until.is_none_or(|until| until < now)
}

/// Whether the process in the name of an owner is surely gone.
fn is_gone(owner: Option<&str>) -> bool {
    owner.and_then(process).is_some_and(|process| process.is_gone())
}

/// The process in the name of an owner: `HOST:PROCESS#ID`.
fn process(owner: &str) -> Option<ProcessName> {
    let (_, rest) = owner.rsplit_once(':')?;
    rest.split('#').next()?.parse().ok()
}

struct RunJournal {
    context: RunContext,
    store: Arc<Store>,
    connection: ConnectionId,
    storage: Storage,
}

/// What stands before a run where the name of an upload will stand that it is about to begin.
const UNNAMED: &str = "begun by ";

/// How far the clock of a service may be behind ours, and an upload still be the one we began.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// The uploads that whoever left this may have begun: what it names; or, where it was left before it
/// had a name, those to exactly its key that were begun since then and that no run knows.
pub(crate) async fn begun_by(
    storage: &Storage,
    store: &Store,
    left: &UploadRow,
) -> Result<Vec<Upload>> {
    let row = &left.upload;
    if !row.upload_id.starts_with(UNNAMED) {
        return Ok(vec![open_upload(row)]);
    }
    let known = store.uploads_at(row.connection, &row.bucket, &row.key).await?;
    let since = left.updated - SKEW;
    let mut found = Vec::new();
    let mut all = storage.list_uploads(&row.bucket, &row.key);
    while let Some(open) = all.next().await {
        let open = match open {
            Ok(open) => open,
            // A storage that cannot tell.
            Err(error) if error.code() == ErrorCode::UsageInvalid => break,
            Err(error) => return Err(error),
        };
        let ours = open.upload.key == row.key
            && open.started.is_some_and(|started| started >= since)
            && !known.iter().any(|known| known.row.upload.upload_id == open.upload.id);
        if ours {
            found.push(open.upload);
        }
    }
    Ok(found)
}

fn open_upload(row: &NewUpload) -> Upload {
    Upload { bucket: row.bucket.clone(), key: row.key.clone(), id: row.upload_id.clone() }
}

impl fmt::Debug for RunJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunJournal").field("run", &self.context.run).finish_non_exhaustive()
    }
}

/// The id that an upload has in the store from before it is begun until it has its own.
pub(crate) fn unnamed(run: RunId) -> String {
    format!("{UNNAMED}{run}")
}

impl RunJournal {
    fn unnamed(&self, to: &ObjectPath) -> Upload {
        let id = unnamed(self.context.run);
        Upload { bucket: to.bucket.clone(), key: to.key.clone(), id }
    }

    fn row(&self, upload: &Upload, source: Value) -> NewUpload {
        NewUpload {
            connection: self.connection,
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            upload_id: upload.id.clone(),
            source,
        }
    }
}

fn value(made_of: &MadeOf) -> Result<Value> {
    serde_json::to_value(made_of).map_err(|error| {
        Error::new(ErrorCode::Internal, "the source of an upload cannot be written").source(error)
    })
}

#[async_trait]
impl Journal for RunJournal {
    async fn take(&self, to: &ObjectPath, made_of: &MadeOf) -> Result<Vec<Left>> {
        let own: RunId = self.context.run;
        let wanted = value(made_of)?;
        let mut taken = Vec::new();
        for left in self.store.uploads_at(self.connection, &to.bucket, &to.key).await? {
            let upload = &left.row.upload;
            if left.row.run != own
                && !(is_left(&left, self.context.now())
                    && self.context.take_upload(&left.row).await?)
            {
                continue;
            }
            let named = !upload.upload_id.starts_with(UNNAMED);
            match begun_by(&self.storage, &self.store, &left.row).await {
                // Of one without a name no part was sent.
                Ok(begun) => taken.extend(
                    begun
                        .into_iter()
                        .map(|open| Left { same: named && upload.source == wanted, upload: open }),
                ),
                Err(error) => {
                    let error = error.chain();
                    tracing::warn!(key = to.key, error, "what a killed run began is not found out");
                }
            }
            if !named {
                self.store.forget_upload(upload).await?;
            }
        }
        Ok(taken)
    }

    async fn begins(&self, to: &ObjectPath, made_of: &MadeOf) -> Result<()> {
        self.begun(&self.unnamed(to), made_of).await
    }

    async fn not_begun(&self, to: &ObjectPath) -> Result<()> {
        self.ended(&self.unnamed(to)).await
    }

    async fn begun(&self, upload: &Upload, made_of: &MadeOf) -> Result<()> {
        self.context.save_upload(&self.row(upload, value(made_of)?)).await
    }

    async fn ended(&self, upload: &Upload) -> Result<()> {
        self.store.forget_upload(&self.row(upload, Value::Null)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_of_an_owner_is_found_in_its_name() {
        let me = ProcessName::current();
        assert_eq!(process(&format!("host:{me}#abc")), Some(me.clone()));
        assert_eq!(process(&format!("a:b:{me}")), Some(me));
        assert_eq!(process("host:12#abc"), None);
    }
}
