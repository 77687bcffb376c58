//! Writing files whole or not at all.
//!
//! Bytes go to an unfinished file in the folder of the target, which is then renamed.

use super::etag;
use super::keys::{PART, Root, absent, disk};
use super::stale;
use crate::access::{PutOptions, PutResult};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::{NamedTempFile, TempPath};
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
pub(super) fn unfinished(target: &Path) -> Result<NamedTempFile> {
    let prefix = stale::part_prefix();
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PART).rand_bytes(12).permissions(Permissions::from_mode(0o666));
    // Most folders are there: to ask first would cost every file what one in many needs.
    if let Some(folder) = target.parent()
        && let Ok(file) = builder.tempfile_in(folder)
    {
        stale::sweep_once(folder);
        return Ok(file);
    }
    let folder = parent(target)?;
    builder.tempfile_in(folder).map_err(|error| disk("write into", folder, error))
}

/// Gives a finished file its name.
pub(super) fn publish(
    file: &File,
    path: TempPath,
    target: &Path,
    key: &str,
    options: &PutOptions,
) -> Result<PutResult> {
    let failed = |error| disk("write", target, error);
    let before = fs::symlink_metadata(target).ok();
    // Only where a copy goes into a folder is a link the target: nothing that it has.
    let is_link = before.as_ref().is_some_and(fs::Metadata::is_symlink);
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
    let moved = if options.if_none_match && !is_link {
        path.persist_noclobber(target)
    } else {
        path.persist(target)
    };
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
    Ok(PutResult { etag: Some(etag(&metadata)), version: None, proven: true })
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
