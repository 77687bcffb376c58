//! The uploads in parts of a run, as its store remembers them.

use crate::windlass::Windlass;
use async_trait::async_trait;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use windlass_jobs::RunContext;
use windlass_s3::{Storage, Upload};
use windlass_state::{LeftUpload, NewUpload, Store};
use windlass_transfer::{Journal, Left, MadeOf};
use windlass_types::{ConnectionId, Error, ErrorCode, ObjectPath, ProcessName, Result, RunId};

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
        Arc::new(RunJournal { context, store, connection: row.id }) as Arc<dyn Journal>
    }))
}

/// Whether nobody works on an upload any more: its run has ended, or whoever had it is gone.
pub(crate) fn is_left(left: &LeftUpload, now: chrono::DateTime<chrono::Utc>) -> bool {
    if !left.running || left.lease_until.is_none_or(|until| until < now) {
        return !left.queued;
    }
    left.owner.as_deref().and_then(process).is_some_and(|process| process.is_gone())
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
}

impl fmt::Debug for RunJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunJournal").field("run", &self.context.run).finish_non_exhaustive()
    }
}

impl RunJournal {
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
            taken.push(Left {
                same: upload.source == wanted,
                upload: Upload {
                    bucket: upload.bucket.clone(),
                    key: upload.key.clone(),
                    id: upload.upload_id.clone(),
                },
            });
        }
        Ok(taken)
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
