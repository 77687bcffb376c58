//! Whether a folder tells apart names that differ in case only.
//!
//! Names that are there are asked for in the other case, which writes nothing. Only where none of them
//! tells, a file is made, asked for in the other case, and removed.

use super::keys::{PART, Root};
use super::stale;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Names of a folder that are tried at most.
const TRIED: usize = 64;

/// What is assumed where nothing tells: what disks of this kind of machine usually do.
pub(super) const USUAL: bool = !cfg!(any(target_os = "macos", target_os = "windows"));

/// Asks whether names are told apart in the folder of `key` (all up to its last `/`), or where that is
/// not there yet, in the nearest one above it. Writes nothing without `may_write`.
pub(super) fn tells_apart(root: &Root, key: &str, may_write: bool) -> bool {
    let Some(folder) = nearest(root, key) else { return USUAL };
    let told = by_names(&folder)
        .or_else(|| by_path(&folder))
        .or_else(|| if may_write { by_probe(&folder) } else { None });
    told.unwrap_or(USUAL)
}

/// The folder of a key, or the nearest above it that is there; None outside of the root.
fn nearest(root: &Root, key: &str) -> Option<PathBuf> {
    for end in key.rmatch_indices('/').map(|(at, _)| at + 1).chain([0]) {
        match root.folder(&key[..end]) {
            Ok(Some(folder)) => return Some(folder),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
    None
}

/// Asks by what the folder has.
fn by_names(folder: &Path) -> Option<bool> {
    let mut entries = fs::read_dir(folder).ok()?.take(TRIED).flatten();
    entries.find_map(|entry| by_name(folder, &entry.file_name()))
}

/// Asks by the names of the folder and of those above it, as long as they are on its disk.
fn by_path(folder: &Path) -> Option<bool> {
    let disk = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
    let own = disk(folder)?;
    folder
        .ancestors()
        .zip(folder.ancestors().skip(1))
        .take_while(|(_, above)| disk(above) == Some(own))
        .find_map(|(path, above)| by_name(above, path.file_name()?))
}

fn by_name(folder: &Path, name: &OsStr) -> Option<bool> {
    let other = fs::symlink_metadata(folder.join(swapped(name)?));
    // Asked last: a name that vanished meanwhile says nothing.
    let own = fs::symlink_metadata(folder.join(name)).ok()?;
    judged(&File::from(&own), other.as_ref().map(File::from).map_err(io::Error::kind))
}

/// Asks by a file of our own, named as one that is being written, so that nobody lists it.
fn by_probe(folder: &Path) -> Option<bool> {
    let prefix = stale::part_prefix();
    let file = tempfile::Builder::new().prefix(&prefix).suffix(PART).tempfile_in(folder).ok()?;
    let other = file.path().file_name().and_then(swapped)?;
    match fs::symlink_metadata(folder.join(other)) {
        // Nobody else gives such a name, whatever number the disk gives the file.
        Ok(_) => Some(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(true),
        Err(_) => None,
    }
}

/// A file, as far as its disk tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    disk: u64,
    number: u64,
    /// It may have other names in its folder.
    shared: bool,
}

impl From<&Metadata> for File {
    fn from(found: &Metadata) -> Self {
        let shared = !found.is_dir() && found.nlink() > 1;
        Self { disk: found.dev(), number: found.ino(), shared }
    }
}

/// What the file of a name, and what is found under it in the other case, say of their folder; None if
/// nothing.
fn judged(own: &File, other: Result<File, io::ErrorKind>) -> Option<bool> {
    match other {
        Err(io::ErrorKind::NotFound) => Some(true),
        // Hard links are two names of one file anywhere.
        Ok(other) if other == *own => (!own.shared).then_some(false),
        // Another file may be the same, with a number that the disk makes up for each question.
        _ => None,
    }
}

/// The name with each letter in the other case; None without letters.
fn swapped(name: &OsStr) -> Option<OsString> {
    let mut bytes = name.as_bytes().to_vec();
    let mut letters = false;
    for byte in bytes.iter_mut().filter(|byte| byte.is_ascii_alphabetic()) {
        *byte ^= 0x20;
        letters = true;
    }
    letters.then(|| OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_under_both_spellings_means_that_case_is_not_told_apart() {
        let own = File { disk: 1, number: 7, shared: false };
        assert_eq!(judged(&own, Ok(own)), Some(false));
        assert_eq!(judged(&own, Err(io::ErrorKind::NotFound)), Some(true));
        let linked = File { shared: true, ..own };
        assert_eq!(judged(&linked, Ok(linked)), None, "hard links say nothing");
        assert_eq!(judged(&own, Ok(File { number: 8, ..own })), None, "another file");
        assert_eq!(judged(&own, Err(io::ErrorKind::PermissionDenied)), None);
    }

    #[test]
    fn the_other_case_of_a_name_without_letters_is_nothing() {
        let other = |name: &str| swapped(OsStr::new(name));
        assert_eq!(other("aZ-1é.txt"), Some(OsString::from("Az-1é.TXT")));
        assert_eq!(other("2026-01_é"), None);
    }

    #[test]
    fn every_way_of_asking_gives_the_same_answer_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        fs::write(real.join("name"), "").unwrap();
        let apart = !real.join("NAME").exists();
        // The names of this folder and of what it has tell nothing; that of the one above does.
        let empty = real.join("1");
        fs::create_dir_all(empty.join("2")).unwrap();
        assert_eq!(by_names(&real), Some(apart));
        assert_eq!(by_names(&empty), None);
        assert_eq!(by_path(&empty), Some(apart));
        assert_eq!(by_probe(&empty), Some(apart));
        assert_eq!(fs::read_dir(&empty).unwrap().count(), 1, "only `2`");
        let root = Root { path: real, contained: true, bound: None };
        for key in ["", "1/", "1/2/", "1/not/there/yet/", "1/file", "file"] {
            assert_eq!(tells_apart(&root, key, true), apart, "{key}");
        }
        assert_eq!(fs::read_dir(empty.join("2")).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_asked_is_as_usual() {
        let folder = tempfile::tempdir().unwrap();
        let gone = Root { path: folder.path().join("gone"), contained: true, bound: None };
        assert_eq!(tells_apart(&gone, "a/", true), USUAL);
        assert!(!gone.path.exists(), "nothing is made");
        let outside = Root { path: folder.path().to_owned(), contained: true, bound: None };
        assert_eq!(tells_apart(&outside, "../x/", true), USUAL);
        assert_eq!(by_probe(&folder.path().join("gone")), None);
    }

    #[test]
    fn spellings_that_are_links_to_one_file_do_not_mislead() {
        let folder = tempfile::tempdir().unwrap();
        let only = folder.path().join("1");
        fs::create_dir(&only).unwrap();
        fs::write(only.join("a"), "").unwrap();
        if fs::hard_link(only.join("a"), only.join("A")).is_ok() {
            assert_eq!(by_names(&only), None);
            let root = Root { path: only, contained: true, bound: None };
            assert!(tells_apart(&root, "", true));
        }
    }
}
