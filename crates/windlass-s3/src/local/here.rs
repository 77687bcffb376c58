//! Paths of the command line as keys of this machine's file system.

use super::LocalStore;
use std::path::{Component, Path, PathBuf};
use windlass_types::glob::KeyPattern;
use windlass_types::{Error, ErrorCode, Location, Result};

/// The store and place that a bare path of the command line means. A folder is meant only by a
/// trailing `/`, or by `.` and `..` as the last level: as with keys, `dir` is a file to be.
pub fn local_side(path: &Path) -> Result<(LocalStore, Location)> {
    let here = std::env::current_dir().map_err(|error| {
        Error::new(ErrorCode::LocalFailed, "cannot tell the current folder").source(error)
    })?;
    side_from(&here, path)
}

/// The same, seen from the folder `here`.
pub(super) fn side_from(here: &Path, path: &Path) -> Result<(LocalStore, Location)> {
    let text = path.to_str().ok_or_else(|| {
        Error::new(ErrorCode::PathInvalid, format!("`{}` is not UTF-8", path.display()))
    })?;
    if text.contains('\0') {
        return Err(Error::new(ErrorCode::PathInvalid, "a path cannot hold a NUL"));
    }
    let folder = text.ends_with('/') || matches!(text.rsplit('/').next(), Some("." | ".."));
    // Where the current folder's own name looks like a pattern, keys begin below it, so that only
    // what was typed is read as one.
    let relative = !path.is_absolute()
        && !path.components().any(|part| part == Component::ParentDir)
        && here.to_str().is_none_or(KeyPattern::is_pattern);
    let (root, absolute) = if relative {
        (here.to_owned(), normal(Path::new("/"), path))
    } else {
        (PathBuf::from("/"), normal(here, path))
    };
    let key = absolute.to_str().ok_or_else(|| {
        Error::new(ErrorCode::PathInvalid, format!("`{}` is not UTF-8", absolute.display()))
    })?;
    let mut key = key.trim_start_matches('/').to_owned();
    if folder && !key.is_empty() {
        key.push('/');
    }
    Ok((LocalStore::here(root)?, Location { bucket: Some(super::BUCKET.to_owned()), key }))
}

/// Removes `.` and `..`; what stands before `..` is followed if it is a link.
fn normal(here: &Path, path: &Path) -> PathBuf {
    let mut out = if path.is_absolute() { PathBuf::from("/") } else { here.to_owned() };
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if let Ok(real) = out.canonicalize() {
                    out = real;
                }
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::ObjectAccess;

    #[test]
    fn a_bare_path_becomes_an_absolute_key() {
        let key = |path: &str| {
            let (store, location) = side_from(Path::new("/nowhere/x"), Path::new(path)).unwrap();
            format!("{path} = {} ({})", location.key, store.address(".", &location.key))
        };
        let paths = ["a.csv", "./a/", ".", "..", "../b/c", "/etc/hosts", "/", "a/./b//c"];
        insta::assert_snapshot!(paths.map(key).join("\n"), @r"
        a.csv = nowhere/x/a.csv (/nowhere/x/a.csv)
        ./a/ = nowhere/x/a/ (/nowhere/x/a/)
        . = nowhere/x/ (/nowhere/x/)
        .. = nowhere/ (/nowhere/)
        ../b/c = nowhere/b/c (/nowhere/b/c)
        /etc/hosts = etc/hosts (/etc/hosts)
        / =  (/)
        a/./b//c = nowhere/x/a/b/c (/nowhere/x/a/b/c)
        ");
    }

    #[test]
    fn a_current_folder_that_looks_like_a_pattern_is_not_one() {
        let (store, location) = side_from(Path::new("/data[1]"), Path::new("x/*.csv")).unwrap();
        assert_eq!(location.key, "x/*.csv");
        assert_eq!(store.address(".", "x/1.csv"), "/data[1]/x/1.csv");
    }
}
