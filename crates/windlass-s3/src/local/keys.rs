//! Which keys can be files below a folder, and which file a key is.
//!
//! [`check_key`] is pure and the one rule; the rest asks the disk where links lead.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use windlass_types::{Error, ErrorCode, Result};

/// Longest name of one file or folder, in bytes, on the file systems we know.
const MAX_NAME: usize = 255;

/// Longest key, in bytes: leaves room for the root below the 4,096 of the system.
const MAX_KEY: usize = 3500;

/// Begins the name of everything that is not finished.
pub(super) const UNFINISHED: &str = ".windlass-";

/// Ends the name of a file that is being written.
pub(super) const PART: &str = ".part";

/// Begins the name of a folder that holds an unfinished upload.
pub(super) const UPLOAD: &str = ".windlass-upload-";

/// Whether a name belongs to an unfinished write.
pub(super) fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(UPLOAD.as_bytes())
        || (name.starts_with(UNFINISHED.as_bytes()) && name.ends_with(PART.as_bytes()))
}

/// An error that says why unless `key` can be a file below a folder. A trailing `/` is allowed: the
/// marker of a folder.
pub fn check_key(key: &str) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorCode::PathInvalid, why));
    if key.is_empty() {
        return refused("a file needs a name".to_owned());
    }
    if key.contains('\0') {
        return refused(format!("`{}` holds a NUL, which no file name can", key.escape_default()));
    }
    if key.starts_with('/') {
        return Err(Error::new(
            ErrorCode::PathOutside,
            format!("`{key}` begins with `/`, so it would lie outside the folder"),
        )
        .hint("leave the first `/` out: paths begin at the ROOT of the connection"));
    }
    if key.len() > MAX_KEY {
        return refused(format!("a path has at most {MAX_KEY} bytes; this one has {}", key.len()));
    }
    for level in key.strip_suffix('/').unwrap_or(key).split('/') {
        if level == ".." {
            return Err(Error::new(
                ErrorCode::PathOutside,
                format!("`{key}` holds `..`, which leads outside the folder"),
            ));
        }
        if level.is_empty() {
            return refused(format!("`{key}` has an empty level, which a folder cannot hold"));
        }
        if level == "." {
            return refused(format!("`{key}` holds `.`, which is the folder itself"));
        }
        if level.len() > MAX_NAME {
            return refused(format!(
                "a file name has at most {MAX_NAME} bytes; one in this path has {}",
                level.len()
            ));
        }
        if is_unfinished(level.as_bytes()) {
            return refused(format!("`{level}` is a name kept for unfinished writes"));
        }
    }
    Ok(())
}

/// The error for a key that is not written, since a folder above it is a link.
pub fn through_link(key: &str, link: &str) -> Error {
    Error::new(
        ErrorCode::PathOutside,
        format!("`{key}` cannot be written: `{link}` is a link to another folder"),
    )
    .hint("remove the link there, or write to the folder that it leads to")
}

/// An error of the disk in our words.
pub(super) fn disk(doing: &str, path: &Path, error: io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound => ErrorCode::LocalNotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorCode::LocalDenied
        }
        _ => ErrorCode::LocalFailed,
    };
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let answer = Error::new(code, format!("cannot {doing} `{}`", path.display())).source(error);
    if full { answer.hint("free some space on that disk") } else { answer }
}

/// A folder whose files are keys.
#[derive(Debug)]
pub(super) struct Root {
    /// As configured.
    pub(super) path: PathBuf,
    /// Links that lead out of the root are refused.
    pub(super) contained: bool,
    /// Nothing is written outside this folder.
    pub(super) bound: Option<Bound>,
}

/// A folder, by its key, that writes must not leave.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) below: String,
    /// Where it really is, from the first question on: a folder that we make is where we made it.
    real: OnceLock<PathBuf>,
    /// Folders below it that were found to lie in it.
    known: Mutex<HashSet<String>>,
}

/// Folders remembered by a [`Bound`] at most.
const KNOWN: usize = 4096;

impl Bound {
    pub(super) fn new(below: &str) -> Self {
        Self { below: below.to_owned(), real: OnceLock::new(), known: Mutex::default() }
    }
}

/// Asks where a path really is, or will be once what is missing of it is made.
fn really(path: &Path) -> Result<PathBuf, (&Path, io::Error)> {
    let mut missing = Vec::new();
    let mut at = path;
    let mut real = loop {
        match at.canonicalize() {
            Ok(real) => break real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(name), Some(parent)) = (at.file_name(), at.parent()) else {
                    return Err((path, error));
                };
                missing.push(name);
                at = parent;
            }
            Err(error) => return Err((at, error)),
        }
    };
    real.extend(missing.into_iter().rev());
    Ok(real)
}

impl Root {
    /// What a key is called in messages: of bare paths the whole path.
    pub(super) fn named(&self, key: &str) -> String {
        if self.contained { key.to_owned() } else { self.path.join(key).display().to_string() }
    }

    /// Asks where the root really is.
    pub(super) fn real(&self) -> Result<PathBuf> {
        self.path.canonicalize().map_err(|error| {
            disk("open the folder", &self.path, error)
                .hint("the ROOT of a LOCAL connection must exist and be readable")
        })
    }

    fn inside(&self, real_root: &Path, real: PathBuf, key: &str) -> Result<PathBuf> {
        if !self.contained || real.starts_with(real_root) {
            return Ok(real);
        }
        Err(Error::new(
            ErrorCode::PathOutside,
            format!(
                "`{key}` is a link that leads outside `{}`, to which the connection is bound",
                self.path.display()
            ),
        ))
    }

    /// Whether a real path may be written: it lies where writes are bound to.
    pub(super) fn holds(&self, real_root: &Path, real: &Path) -> bool {
        let Some(bound) = &self.bound else { return true };
        let within = match bound.real.get() {
            Some(within) => within,
            None => match really(&real_root.join(&bound.below)) {
                Ok(found) => bound.real.get_or_init(|| found),
                Err(_) => return false,
            },
        };
        real.starts_with(within)
    }

    /// Refuses to write through a link out of the folder that writes are bound to.
    pub(super) fn held(&self, real_root: &Path, real: PathBuf, key: &str) -> Result<PathBuf> {
        if self.holds(real_root, &real) {
            return Ok(real);
        }
        Err(Error::new(
            ErrorCode::PathOutside,
            format!("a link leads from `{}` out of the folder that is written to", self.named(key)),
        )
        .hint("remove the link there, or write to the folder that it leads to"))
    }

    /// The first folder of a key, below the one that writes are bound to, that is a link.
    fn link_above(&self, bound: &Bound, key: &str) -> Option<String> {
        let above = &key[..key.rfind('/').map_or(0, |at| at + 1)];
        let below = if above.starts_with(&bound.below) { bound.below.len() } else { 0 };
        above[below..].match_indices('/').map(|(at, _)| &above[..below + at]).find_map(|folder| {
            let metadata = self.path.join(folder).symlink_metadata().ok()?;
            metadata.is_symlink().then(|| folder.to_owned())
        })
    }

    /// Whether what lies there under this key is a link, or below one: then it is none of what the folder
    /// itself has that writes are bound to.
    pub(super) fn is_linked(&self, key: &str) -> bool {
        let Some(bound) = self.bound.as_ref().filter(|bound| key.starts_with(&bound.below)) else {
            return false;
        };
        let path = self.path.join(key.strip_suffix('/').unwrap_or(key));
        key.len() > bound.below.len()
            && (path.symlink_metadata().is_ok_and(|found| found.is_symlink())
                || self.link_above(bound, key).is_some())
    }

    /// Refuses a key whose folder is led out of where writes are bound to, or through a link to another
    /// folder in it, since two keys would be one file. Asks once for each folder.
    pub(super) fn folder_held(&self, key: &str) -> Result<()> {
        let Some(bound) = &self.bound else { return Ok(()) };
        let above = &key[..key.rfind('/').map_or(0, |at| at + 1)];
        let known = || bound.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(above) {
            return Ok(());
        }
        let root = self.real()?;
        let real = really(&root.join(above))
            .map_err(|(at, error)| blocked(&self.named(key), at, error))?;
        self.held(&root, self.inside(&root, real, key)?, key)?;
        if let Some(link) = self.link_above(bound, key) {
            return Err(through_link(&self.named(key), &self.named(&link)));
        }
        let mut known = known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(above.to_owned());
        Ok(())
    }

    /// Asks which file an existing key is.
    pub(super) fn existing(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        if !self.contained {
            // Wherever links lead, that is the file; reading it says so if there is none.
            return Ok(self.path.join(key));
        }
        let root = self.real()?;
        let path = root.join(key);
        match path.canonicalize() {
            Ok(real) => self.inside(&root, real, key),
            Err(error) if is_absent(&error) => Err(absent(&self.named(key))),
            Err(error) => Err(disk("open", &path, error)),
        }
    }

    /// Asks which folder a prefix ending in `/` (or empty) is; None if there is none.
    pub(super) fn folder(&self, prefix: &str) -> Result<Option<PathBuf>> {
        let root = self.real()?;
        if prefix.is_empty() {
            return Ok(Some(root));
        }
        if prefix.starts_with('/') || prefix.contains('\0') || prefix.contains("//") {
            return Ok(None);
        }
        if prefix.split('/').any(|level| level == ".." || level == ".") {
            return Err(Error::new(
                ErrorCode::PathOutside,
                format!("`{prefix}` holds `.` or `..`, which may lead outside the folder"),
            ));
        }
        let path = root.join(prefix);
        match path.canonicalize() {
            Ok(real) => self.inside(&root, real, prefix).map(Some),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(disk("open", &path, error)),
        }
    }

    /// Asks where a key is to be written: through links that stay inside, never over a folder. Where
    /// writes are bound to a folder, a link in it is replaced.
    pub(super) fn target(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        if self.bound.is_some() {
            self.folder_held(key)?;
            let path = self.path.join(key);
            match path.symlink_metadata() {
                Ok(found) if !found.is_dir() => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
                _ => {}
            }
        } else if !self.contained {
            let path = self.path.join(key);
            // Only a link is written through, so only a link has to be followed.
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_file() => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
                _ => {}
            }
        }
        let root = self.real()?;
        let path = root.join(key);
        match path.canonicalize() {
            Ok(real) => {
                let real = self.held(&root, self.inside(&root, real, key)?, key)?;
                if real.is_dir() && !key.ends_with('/') {
                    return Err(Error::new(
                        ErrorCode::PathInvalid,
                        format!(
                            "`{}` is a folder here, so it cannot also be a file",
                            self.named(key)
                        ),
                    )
                    .hint(format!("to write into the folder, write `{}/`", self.named(key))));
                }
                Ok(real)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match really(&path) {
                Ok(real) => self.held(&root, self.inside(&root, real, key)?, key),
                Err((at, error)) => Err(blocked(&self.named(key), at, error)),
            },
            Err(error) => Err(blocked(&self.named(key), &path, error)),
        }
    }
}

fn blocked(key: &str, path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotADirectory {
        return Error::new(
            ErrorCode::PathInvalid,
            format!("nothing can be written to `{key}`: a level above it is a file"),
        );
    }
    disk("write", path, error)
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The error for a key that is not there.
pub(super) fn absent(key: &str) -> Error {
    if key.contains(char::REPLACEMENT_CHARACTER) {
        return Error::new(
            ErrorCode::PathInvalid,
            format!("`{key}` stands for a file whose name is not UTF-8, which cannot be a key"),
        )
        .hint("rename the file");
    }
    Error::new(ErrorCode::ObjectNotFound, format!("no file `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_be_files_are_refused_with_the_reason() {
        let why = |key: &str| match check_key(key) {
            Ok(()) => format!("{key:?}: fine"),
            Err(error) => format!("{key:?}: {}: {error}", error.code()),
        };
        let keys = [
            "a/b",
            "a/",
            "",
            "/etc/passwd",
            "a/../b",
            "..",
            "a//b",
            "./a",
            "a\0b",
            "...",
            ".windlass-upload-x/a",
        ];
        insta::assert_snapshot!(keys.map(why).join("\n"), @r#"
        "a/b": fine
        "a/": fine
        "": path.invalid: a file needs a name
        "/etc/passwd": path.outside: `/etc/passwd` begins with `/`, so it would lie outside the folder
        "a/../b": path.outside: `a/../b` holds `..`, which leads outside the folder
        "..": path.outside: `..` holds `..`, which leads outside the folder
        "a//b": path.invalid: `a//b` has an empty level, which a folder cannot hold
        "./a": path.invalid: `./a` holds `.`, which is the folder itself
        "a\0b": path.invalid: `a\u{0}b` holds a NUL, which no file name can
        "...": fine
        ".windlass-upload-x/a": path.invalid: `.windlass-upload-x` is a name kept for unfinished writes
        "#);
        assert!(check_key(&"x".repeat(256)).is_err());
        assert!(check_key(&"x/".repeat(3000)).is_err());
    }
}
