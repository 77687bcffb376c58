//! What becomes of the files that were read (P-R7, P-R8): only once the output is there, and only of
//! the state that was read.

use super::After;
use super::commit::item;
use super::kind::Wrote;
use crate::engine::CopySide;
use crate::windlass::Windlass;
use std::sync::Arc;
use windlass_jobs::RunContext;
use windlass_query::write::ReadFile;
use windlass_s3::Storage;
use windlass_transfer::{CopyOptions, IfExists, Quiet};
use windlass_types::{Error, ErrorCode, Location, Name, ObjectPath, Result};

/// Why a file stays that was to go.
fn changed() -> Error {
    Error::new(ErrorCode::ObjectChanged, "it changed after it was read, and stays")
}

fn left_out() -> Error {
    Error::new(ErrorCode::FormatInvalid, "not all of it could be read, so it stays")
        .hint("ON_ERROR left something out; `system.read_errors` says what")
}

impl Windlass {
    /// Deletes or moves what was read. What cannot be is counted, and stays.
    pub(super) async fn after_read(
        &self,
        context: &RunContext,
        after: &After,
        read: &[ReadFile],
        wrote: &mut Wrote,
    ) -> Result<()> {
        let action = match after {
            After::Keep => return Ok(()),
            After::Delete => "delete",
            After::Move(_) => "move",
        };
        for file in read {
            let name = Name::new(&*file.connection)?;
            let row = self.connection_in(context.fabric, &name).await?;
            let storage = self.open_row(&row).await?.storage();
            let from = storage.address(&file.bucket, &file.key);
            let (to, done) = match after {
                // What was left out is nowhere else.
                _ if file.bad => (String::new(), Err(left_out())),
                After::Move(folder) => {
                    let to = moved_to(&storage, file, folder)?;
                    let shown = storage.address(&to.bucket, &to.key);
                    (shown, move_one(context, &storage, file, to).await)
                }
                _ => (String::new(), delete_one(&storage, file).await),
            };
            match done {
                Ok(()) => {
                    wrote.after_read += 1;
                    context.item(item(action, from, to, Some(file.size), None)).await?;
                }
                // Another process, or this one before it was killed, has done it.
                Err(error) if error.code() == ErrorCode::ObjectNotFound => {}
                Err(error) => {
                    wrote.failed += 1;
                    let size = Some(file.size);
                    context.item(item(action, from, to, size, Some(&error))).await?;
                }
            }
        }
        Ok(())
    }
}

fn object(file: &ReadFile) -> ObjectPath {
    ObjectPath { bucket: file.bucket.clone(), key: file.key.clone() }
}

/// An error unless the file is as it was read.
async fn unchanged(storage: &Storage, file: &ReadFile) -> Result<()> {
    let meta = storage.stat(&object(file), None).await?;
    if meta.etag == file.etag && meta.size == file.size { Ok(()) } else { Err(changed()) }
}

async fn delete_one(storage: &Storage, file: &ReadFile) -> Result<()> {
    unchanged(storage, file).await?;
    let object = object(file);
    let Some(etag) = &file.etag else { return storage.delete(&object).await };
    match storage.delete_if(&object, etag).await {
        // A storage without such conditions was looked at a moment ago.
        Err(error) if error.code() == ErrorCode::UsageInvalid => storage.delete(&object).await,
        Err(error) if error.code() == ErrorCode::ObjectChanged => Err(changed()),
        other => other,
    }
}

/// Where a file goes: its key, below the folder.
fn moved_to(storage: &Storage, file: &ReadFile, folder: &str) -> Result<ObjectPath> {
    let binding = storage.binding();
    let place = binding.resolve_any(folder)?;
    let key = file.key.strip_prefix(binding.prefix.as_str()).unwrap_or(&file.key);
    Ok(ObjectPath { bucket: place.need_bucket()?.to_owned(), key: format!("{}{key}", place.key) })
}

async fn move_one(
    context: &RunContext,
    storage: &Storage,
    file: &ReadFile,
    to: ObjectPath,
) -> Result<()> {
    unchanged(storage, file).await?;
    let side = |object: &ObjectPath| CopySide {
        storage: Storage::clone(storage),
        location: Location { bucket: Some(object.bucket.clone()), key: object.key.clone() },
    };
    // An earlier file of that name is kept beside it.
    let options = CopyOptions { if_exists: IfExists::KeepBoth, ..CopyOptions::default() };
    let (from, to) = (side(&object(file)), side(&to));
    let copied =
        crate::copy_between(from, to, options, None, Arc::new(Quiet), context.token()).await?;
    if copied.failed > 0 {
        return Err(Error::new(ErrorCode::TransferFailed, "it could not be copied, and stays"));
    }
    delete_one(storage, file).await
}
