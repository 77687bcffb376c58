//! Writing files whole or not at all.
//!
//! Bytes go to an unfinished file in the folder of the target, which is then renamed. Parts of an
//! upload are placed where they will end up, when they have the size of the first one seen.

use super::etag;
use super::keys::{PART, Root, absent, disk};
use super::stale;
use crate::access::{Part, PutOptions, PutResult};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::{NamedTempFile, TempDir, TempPath};
use windlass_types::{Error, ErrorCode, Result};

/// Writes a whole file.
pub(super) fn put(root: &Root, key: &str, body: &[u8], options: &PutOptions) -> Result<PutResult> {
    if options.link {
        return super::links::put(root, key, body, options);
    }
    let target = root.target(key)?;
    if key.ends_with('/') {
        return folder_marker(&target, key, body);
    }
    let mut file = unfinished(&target)?;
    file.write_all(body).map_err(|error| disk("write", &target, error))?;
    let (file, path) = file.into_parts();
    publish(&file, path, &target, &root.named(key), options)
}

/// A key ending in `/` is a folder; it can hold nothing itself.
fn folder_marker(target: &Path, key: &str, body: &[u8]) -> Result<PutResult> {
    if !body.is_empty() {
        return Err(Error::new(
            ErrorCode::PathInvalid,
            format!("`{key}` would be a folder here, which cannot hold {} bytes", body.len()),
        ));
    }
    make_folder(target)?;
    Ok(PutResult::default())
}

fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Error::new(
            ErrorCode::PathInvalid,
            format!("`{}` cannot be a folder: a file has that name", folder.display()),
        ),
        _ => disk("create the folder", folder, error),
    })
}

pub(super) fn parent(target: &Path) -> Result<&Path> {
    let parent = target.parent().ok_or_else(|| {
        Error::new(ErrorCode::PathInvalid, format!("`{}` is no file", target.display()))
    })?;
    make_folder(parent)?;
    stale::sweep_once(parent);
    Ok(parent)
}

/// Creates the file that will become `target`, with the rights a new file has here.
fn unfinished(target: &Path) -> Result<NamedTempFile> {
    let folder = parent(target)?;
    tempfile::Builder::new()
        .prefix(&stale::part_prefix())
        .suffix(PART)
        .rand_bytes(12)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| disk("write into", folder, error))
}

/// Gives a finished file its name.
fn publish(
    file: &File,
    path: TempPath,
    target: &Path,
    key: &str,
    options: &PutOptions,
) -> Result<PutResult> {
    let failed = |error| disk("write", target, error);
    let before = fs::metadata(target).ok();
    if let Some(expected) = &options.if_match {
        match &before {
            None => return Err(absent(key)),
            Some(metadata) if etag(metadata) != *expected => return Err(changed(key)),
            Some(_) => {}
        }
    }
    if let Some(metadata) = before.filter(fs::Metadata::is_file) {
        file.set_permissions(metadata.permissions()).map_err(failed)?;
    }
    if let Some(time) = options.modified {
        file.set_modified(time.into()).map_err(failed)?;
    }
    let moved =
        if options.if_none_match { path.persist_noclobber(target) } else { path.persist(target) };
    moved.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists if options.if_none_match => {
            Error::new(ErrorCode::ObjectChanged, format!("`{key}` exists already"))
        }
        io::ErrorKind::IsADirectory => {
            Error::new(ErrorCode::PathInvalid, format!("`{key}` is a folder here"))
        }
        _ => disk("write", target, error.error),
    })?;
    let metadata = file.metadata().map_err(failed)?;
    Ok(PutResult { etag: Some(etag(&metadata)), version: None })
}

/// The error for a file that is no longer what it was.
pub(super) fn changed(key: &str) -> Error {
    Error::new(ErrorCode::ObjectChanged, format!("`{key}` changed"))
}

/// Copies a file, by the file system where it can.
pub(super) fn copy(
    root: &Root,
    from: &str,
    to: &str,
    if_match: Option<&str>,
    mut options: PutOptions,
) -> Result<PutResult> {
    let source_path = root.existing(from)?;
    let target = root.target(to)?;
    let failed = |error| disk("read", &source_path, error);
    let mut source = File::open(&source_path).map_err(failed)?;
    let metadata = source.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return if from.ends_with('/') {
            folder_marker(&target, to, &[])
        } else {
            Err(absent(&root.named(from)))
        };
    }
    if if_match.is_some_and(|expected| expected != etag(&metadata)) {
        return Err(changed(&root.named(from)));
    }
    if to.ends_with('/') {
        return Err(Error::new(ErrorCode::PathInvalid, format!("`{to}` names a folder")));
    }
    let mut file = unfinished(&target)?;
    io::copy(&mut source, file.as_file_mut()).map_err(|error| disk("write", &target, error))?;
    let after = source.metadata().map_err(failed)?;
    if etag(&after) != etag(&metadata) {
        return Err(changed(&root.named(from)));
    }
    options.modified = options.modified.or_else(|| metadata.modified().ok().map(Into::into));
    let (file, path) = file.into_parts();
    publish(&file, path, &target, &root.named(to), &options)
}

/// Uploads that were begun and neither completed nor given up. They live and die with the store.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Begun>>);

#[derive(Debug)]
struct Begun {
    folder: TempDir,
    target: PathBuf,
    data: Arc<File>,
    /// Size of the first part that came; parts not larger lie in `data` at their multiple of it.
    unit: Option<u64>,
    parts: HashMap<i32, Placed>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    /// None: in a file of its own.
    offset: Option<u64>,
    length: u64,
}

const DATA: &str = "data";

impl Uploads {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins; answers the id.
    pub(super) fn create(&self, root: &Root, key: &str) -> Result<String> {
        let target = root.target(key)?;
        if key.ends_with('/') {
            return Err(Error::new(ErrorCode::PathInvalid, format!("`{key}` names a folder")));
        }
        let place = parent(&target)?;
        let folder = tempfile::Builder::new()
            .prefix(&stale::upload_prefix())
            .rand_bytes(12)
            .tempdir_in(place)
            .map_err(|error| disk("write into", place, error))?;
        let data = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.path().join(DATA))
            .map_err(|error| disk("write into", folder.path(), error))?;
        let id = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let begun =
            Begun { folder, target, data: Arc::new(data), unit: None, parts: HashMap::new() };
        self.lock().insert(id.clone(), begun);
        Ok(id)
    }

    /// Writes a part.
    pub(super) fn part(&self, id: &str, number: i32, body: &Bytes) -> Result<Part> {
        let index =
            u64::try_from(number).ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| {
                Error::new(ErrorCode::UsageInvalid, format!("there is no part number {number}"))
            })?;
        let length = body.len() as u64;
        let (own, data, offset) = {
            let mut uploads = self.lock();
            let begun = uploads.get_mut(id).ok_or_else(|| unknown(id))?;
            let unit = *begun.unit.get_or_insert(length);
            let offset = (length <= unit).then(|| (index - 1) * unit);
            (begun.folder.path().join(number.to_string()), Arc::clone(&begun.data), offset)
        };
        match offset {
            Some(offset) => data.write_all_at(body, offset),
            None => fs::write(&own, body),
        }
        .map_err(|error| disk("write", &own, error))?;
        let mut uploads = self.lock();
        let begun = uploads.get_mut(id).ok_or_else(|| unknown(id))?;
        begun.parts.insert(number, Placed { offset, length });
        Ok(Part { number, etag: format!("{number}-{length:x}"), checksums: BTreeMap::new() })
    }

    /// Makes the file from its parts. A failure gives the upload up.
    pub(super) fn complete(
        &self,
        id: &str,
        key: &str,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let begun = self.lock().remove(id).ok_or_else(|| unknown(id))?;
        let failed = |error| disk("write", &begun.target, error);
        let mut total = 0;
        let mut contiguous = true;
        let mut placed = Vec::with_capacity(parts.len());
        for part in parts {
            let place = begun.parts.get(&part.number).copied().ok_or_else(|| {
                Error::new(ErrorCode::UsageInvalid, format!("part {} was not written", part.number))
            })?;
            contiguous &= place.offset == Some(total);
            total += place.length;
            placed.push((part.number, place));
        }
        if contiguous {
            begun.data.set_len(total).map_err(failed)?;
            let path = TempPath::try_from_path(begun.folder.path().join(DATA)).map_err(failed)?;
            return publish(&begun.data, path, &begun.target, key, options);
        }
        let mut whole = unfinished(&begun.target)?;
        for (number, place) in placed {
            let copied = match place.offset {
                Some(offset) => {
                    let mut data = begun.data.as_ref();
                    data.seek(SeekFrom::Start(offset)).map_err(failed)?;
                    io::copy(&mut data.take(place.length), whole.as_file_mut())
                }
                None => File::open(begun.folder.path().join(number.to_string()))
                    .and_then(|mut own| io::copy(&mut own, whole.as_file_mut())),
            };
            if copied.map_err(failed)? != place.length {
                return Err(Error::new(
                    ErrorCode::LocalFailed,
                    format!("part {number} of `{key}` was cut"),
                ));
            }
        }
        let (file, path) = whole.into_parts();
        publish(&file, path, &begun.target, key, options)
    }

    /// Gives up; an unknown upload is given up already.
    pub(super) fn abort(&self, id: &str) {
        self.lock().remove(id);
    }
}

fn unknown(id: &str) -> Error {
    Error::new(ErrorCode::ObjectNotFound, format!("there is no unfinished upload `{id}`"))
}
