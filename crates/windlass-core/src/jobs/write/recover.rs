//! Writes whose process has died: what they sent is given up, or what they decided is completed.

use super::super::journal::begun_by;
use super::WRITE;
use super::notes::SOURCE;
use crate::windlass::Windlass;
use std::sync::PoisonError;
use windlass_query::write::{Body, WrittenFile};
use windlass_s3::{PutOptions, Storage};
use windlass_state::{FabricRow, RunRow, UploadRow};
use windlass_types::{Error, ErrorCode, FabricId, ObjectPath, Result, RunId};

/// The same file, as this process can complete it: a folder keeps uploads by process.
pub(super) async fn found_again(storage: &Storage, file: &WrittenFile) -> Result<WrittenFile> {
    let Body::Parts { parts, .. } = &file.body else { return Ok(file.clone()) };
    if storage.local_path("").is_none() {
        return Ok(file.clone());
    }
    let options = file.options(false);
    let upload = storage.create_upload(&file.object, options).await?;
    let there = storage.list_parts(&upload).await?;
    if parts.iter().all(|part| there.iter().any(|stored| stored.part.number == part.number)) {
        let body = Body::Parts { upload, parts: parts.clone() };
        return Ok(WrittenFile { body, ..file.clone() });
    }
    storage.abort_upload(&upload).await?;
    Err(Error::new(ErrorCode::ObjectNotFound, "the parts that were written are gone"))
}

/// Gives up one upload that a write has noted.
pub(crate) async fn give_up_noted(windlass: &Windlass, left: &UploadRow) -> Result<usize> {
    let store = &windlass.inner.store;
    let row = store.connection_by_id(left.upload.connection).await?;
    let storage = windlass.open_row(&row).await?.storage();
    if storage.local_path("").is_some() {
        let (bucket, key) = (left.upload.bucket.clone(), left.upload.key.clone());
        let token = format!("write {} {key}", left.run);
        let object = ObjectPath { bucket, key };
        let options = PutOptions { token: Some(token), ..PutOptions::default() };
        let upload = storage.create_upload(&object, options).await?;
        storage.abort_upload(&upload).await?;
        store.forget_upload(&left.upload).await?;
        return Ok(1);
    }
    let begun = begun_by(&storage, store, left).await?;
    for open in &begun {
        storage.abort_upload(open).await?;
    }
    store.forget_upload(&left.upload).await?;
    Ok(begun.len())
}

/// Whether an upload is one of a write.
pub(crate) fn is_of_write(left: &UploadRow) -> bool {
    left.upload.source.get(SOURCE).is_some()
}

impl Windlass {
    /// Gives up all uploads that a run has noted.
    pub(super) async fn give_up_uploads(&self, run: RunId) -> Result<()> {
        for left in self.inner.store.all_uploads().await? {
            if left.row.run == run && is_of_write(&left.row) {
                give_up_noted(self, &left.row).await?;
            }
        }
        Ok(())
    }

    /// Ends the writes of a fabric whose processes have died: completes what was decided, gives up
    /// the rest. Answers how many.
    pub(crate) async fn end_dead_writes(&self, fabric: FabricId) -> Result<usize> {
        let mut ended = 0;
        for row in self.inner.store.open_one_offs(fabric, WRITE).await? {
            ended += usize::from(self.end_dead(&row).await?);
        }
        Ok(ended)
    }

    /// The same, the first time that this process reads or writes files of a fabric. What cannot be
    /// ended now is left to the next.
    pub(crate) async fn end_dead_writes_once(&self, fabric: &FabricRow) {
        let first =
            self.inner.looked.lock().unwrap_or_else(PoisonError::into_inner).insert(fabric.id);
        if first && let Err(error) = self.end_dead_writes(fabric.id).await {
            tracing::warn!(error = error.chain(), "writes of processes that are gone stay open");
        }
    }

    /// The same for one run, of a job or not.
    pub(super) async fn end_dead_write(&self, run: RunId) -> Result<()> {
        let row = self.inner.store.run(run).await?;
        self.end_dead(&row).await.map(drop)
    }

    async fn end_dead(&self, row: &RunRow) -> Result<bool> {
        if !self.release_if_dead(row).await? {
            return Ok(false);
        }
        let ended = self.scheduler().wait(row.id).await?;
        if let Some(error) = &ended.error {
            let error = Error::from(error.clone()).chain();
            tracing::info!(run = %row.id, error, "a write of a process that is gone was ended");
        }
        Ok(true)
    }
}
