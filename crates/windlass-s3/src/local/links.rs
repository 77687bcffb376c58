//! Symbolic links that are kept as links: found, read, written and copied for themselves.
//!
//! Where a link leads is not looked at, so it may lead anywhere; what is written later through it is
//! held back by [`Root::target`].

use super::etag;
use super::keys::{Root, check_key, disk};
use super::write;
use crate::access::{PutOptions, PutResult};
use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use windlass_types::{Error, ErrorCode, Result};

/// The folder of a key, with its `/`, and the name in it.
fn split(key: &str) -> (&str, &str) {
    key.rfind('/').map_or(("", key), |at| key.split_at(at + 1))
}

/// Asks for the link of this key; None if it is something else, or nothing.
pub(super) fn at(root: &Root, key: &str) -> Result<Option<(PathBuf, Metadata)>> {
    check_key(key)?;
    let (above, name) = split(key);
    let Some(folder) = root.folder(above)?.filter(|_| !name.is_empty()) else { return Ok(None) };
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_symlink() => Ok(Some((path, metadata))),
        _ => Ok(None),
    }
}

/// Where a link leads, as it says.
pub(super) fn target(link: &Path) -> Result<Bytes> {
    let leads = fs::read_link(link).map_err(|error| disk("read", link, error))?;
    Ok(Bytes::from(leads.into_os_string().into_vec()))
}

/// Writes a link, over another one or a file.
pub(super) fn put(root: &Root, key: &str, leads: &[u8], options: &PutOptions) -> Result<PutResult> {
    if key.ends_with('/') || leads.is_empty() || leads.contains(&0) {
        return Err(Error::new(ErrorCode::PathInvalid, format!("`{key}` cannot be a link")));
    }
    let (above, name) = split(key);
    // The link itself is written, so only its folder is followed.
    let folder = if above.is_empty() {
        root.held(&root.real()?, root.real()?, key)?
    } else {
        root.target(above)?
    };
    check_key(key)?;
    let path = folder.join(name);
    write::parent(&path)?;
    let before = fs::symlink_metadata(&path).ok();
    if before.as_ref().is_some_and(Metadata::is_dir) {
        return Err(Error::new(ErrorCode::PathInvalid, format!("`{key}` is a folder here")));
    }
    match (&options.if_match, &before) {
        (Some(expected), Some(before)) if etag(before) != *expected => {
            return Err(write::changed(&root.named(key)));
        }
        (Some(_), None) => return Err(super::keys::absent(&root.named(key))),
        _ => {}
    }
    let failed = |error| disk("write", &path, error);
    let made = tempfile::Builder::new()
        .prefix(&super::stale::part_prefix())
        .suffix(super::keys::PART)
        .rand_bytes(12)
        .make_in(&folder, |place| std::os::unix::fs::symlink(OsStr::from_bytes(leads), place))
        .map_err(failed)?;
    if let Some(time) = options.modified {
        let time =
            Timespec { tv_sec: time.timestamp(), tv_nsec: time.timestamp_subsec_nanos().into() };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, made.path(), &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(error.into()))?;
    }
    if options.if_none_match && before.is_some() {
        return Err(Error::new(
            ErrorCode::ObjectChanged,
            format!("`{}` exists already", root.named(key)),
        ));
    }
    made.into_temp_path().persist(&path).map_err(|error| failed(error.error))?;
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    Ok(PutResult { etag: Some(etag(&metadata)), version: None, proven: false })
}

/// Copies a link as one.
pub(super) fn copy(
    root: &Root,
    (path, metadata): (PathBuf, Metadata),
    to: &str,
    if_match: Option<&str>,
    mut options: PutOptions,
) -> Result<PutResult> {
    if if_match.is_some_and(|expected| expected != etag(&metadata)) {
        return Err(write::changed(&path.display().to_string()));
    }
    options.modified = options.modified.or_else(|| metadata.modified().ok().map(Into::into));
    put(root, to, &target(&path)?, &options)
}
