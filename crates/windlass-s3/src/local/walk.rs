//! Listing a folder as keys, in byte order, without holding the tree.
//!
//! A level is sorted with `/` after the names of folders; walking such levels depth first gives
//! byte order of whole keys. Held are the names of the open levels, nothing else.

use super::etag;
use super::keys::{Root, disk, is_absent, is_unfinished};
use crate::access::Links;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use windlass_types::{Entry, EntryKind, Result};

/// What to list.
pub(super) struct Walk<'a> {
    pub(super) root: &'a Root,
    pub(super) links: Links,
    /// Links that lead nowhere, and what is neither file nor folder, are listed, as objects without a size.
    pub(super) lost: bool,
    pub(super) prefix: &'a str,
    pub(super) recursive: bool,
    pub(super) start_after: Option<&'a str>,
    /// Put before a key to make [`Entry::path`].
    pub(super) shown: &'a str,
}

/// One open folder. Names lie side by side in one buffer: a level may have millions.
struct Level {
    folder: PathBuf,
    key: String,
    identity: (u64, u64),
    names: Vec<u8>,
    ends: Vec<(usize, usize)>,
    /// Real names of those that are not UTF-8, by the text that stands for them.
    odd: HashMap<String, OsString>,
    /// Links that lead nowhere, and what is neither file nor folder.
    lost: HashSet<String>,
    next: usize,
}

impl Walk<'_> {
    /// Lists; `emit` answers false to stop.
    pub(super) fn run(&self, mut emit: impl FnMut(Entry) -> bool) -> Result<()> {
        let (parent, rest) = match self.prefix.rfind('/') {
            Some(at) => self.prefix.split_at(at + 1),
            None => ("", self.prefix),
        };
        let real_root = self.root.real()?;
        let Some(folder) = self.root.folder(parent)? else { return Ok(()) };
        let Some(first) = self.open(folder, parent.to_owned(), rest, &real_root)? else {
            return Ok(());
        };
        // The folder itself is no object, but `ls a` shows `a/` as one level does.
        let mut stack = vec![first];
        while let Some(level) = stack.last_mut() {
            let Some(&(from, to)) = level.ends.get(level.next) else {
                stack.pop();
                continue;
            };
            level.next += 1;
            let name = String::from_utf8_lossy(&level.names[from..to]).into_owned();
            let key = format!("{}{name}", level.key);
            let folder_name = name.strip_suffix('/');
            if let Some(after) = self.start_after
                && key.as_str() <= after
                && !(folder_name.is_some() && self.recursive && after.starts_with(&key))
            {
                continue;
            }
            let plain = folder_name.unwrap_or(&name);
            let path = match level.odd.get(plain) {
                Some(real) => level.folder.join(real),
                None => level.folder.join(plain),
            };
            if level.lost.contains(&name) {
                if !emit(self.without(key, EntryKind::Object)) {
                    return Ok(());
                }
            } else if folder_name.is_none() {
                // A file that vanished since its folder was read is not there: that is no failure.
                let asked = match self.links {
                    Links::Keep => fs::symlink_metadata(&path),
                    Links::Follow | Links::Skip => fs::metadata(&path),
                };
                if let Ok(metadata) = asked
                    && (metadata.is_file() || metadata.is_symlink())
                    && !emit(self.object(key, &metadata))
                {
                    return Ok(());
                }
            } else if self.recursive {
                if let Some(below) = self.open(path, key, "", &real_root)?
                    && !stack.iter().any(|above| above.identity == below.identity)
                {
                    stack.push(below);
                }
            } else if !emit(self.without(key, EntryKind::Prefix)) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn object(&self, key: String, metadata: &fs::Metadata) -> Entry {
        Entry {
            path: format!("{}{key}", self.shown),
            key,
            kind: EntryKind::Object,
            size: Some(metadata.len()),
            last_modified: metadata.modified().ok().map(Into::into),
            etag: Some(etag(metadata)),
            storage_class: None,
        }
    }

    /// What has neither size nor time.
    fn without(&self, key: String, kind: EntryKind) -> Entry {
        Entry {
            path: format!("{}{key}", self.shown),
            key,
            kind,
            size: None,
            last_modified: None,
            etag: None,
            storage_class: None,
        }
    }

    /// Reads one level; None if the folder is gone.
    fn open(
        &self,
        folder: PathBuf,
        key: String,
        rest: &str,
        real_root: &Path,
    ) -> Result<Option<Level>> {
        let failed = |error| disk("list", &folder, error);
        let (metadata, entries) =
            match fs::metadata(&folder).and_then(|m| Ok((m, fs::read_dir(&folder)?))) {
                Ok(both) => both,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(failed(error)),
            };
        let mut level = Level {
            identity: (metadata.dev(), metadata.ino()),
            names: Vec::new(),
            ends: Vec::new(),
            odd: HashMap::new(),
            lost: HashSet::new(),
            next: 0,
            key,
            folder: PathBuf::new(),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if is_unfinished(name.as_bytes()) {
                continue;
            }
            let Ok(kind) = entry.file_type() else { continue };
            let mut is_lost = false;
            let (is_folder, is_file) = if kind.is_symlink() {
                match self.links {
                    Links::Skip => continue,
                    Links::Keep => (false, true),
                    Links::Follow => {
                        let led = self.follow(&entry.path(), real_root);
                        is_lost = self.lost && led.is_none();
                        led.map_or((false, is_lost), |to| (to.is_dir(), to.is_file()))
                    }
                }
            } else {
                // Pipes, sockets and devices can be told of, not read.
                is_lost = self.lost && !kind.is_dir() && !kind.is_file();
                (kind.is_dir(), kind.is_file() || is_lost)
            };
            if !is_folder && !is_file {
                continue;
            }
            let text = name.to_string_lossy();
            let from = level.names.len();
            level.names.extend_from_slice(text.as_bytes());
            if is_folder {
                level.names.push(b'/');
            }
            if !level.names[from..].starts_with(rest.as_bytes()) {
                level.names.truncate(from);
                continue;
            }
            level.ends.push((from, level.names.len()));
            if is_lost {
                level.lost.insert(text.clone().into_owned());
            }
            if name.to_str().is_none() {
                let text = text.into_owned();
                level.odd.insert(text, name);
            }
        }
        let names = &level.names;
        level.ends.sort_unstable_by(|a, b| names[a.0..a.1].cmp(&names[b.0..b.1]));
        level.folder = folder;
        Ok(Some(level))
    }

    /// Asks what a link leads to; None when nowhere, or outside.
    fn follow(&self, link: &Path, real_root: &Path) -> Option<fs::Metadata> {
        let real = link.canonicalize().ok()?;
        let inside = !self.root.contained || real.starts_with(real_root);
        if !inside || !self.root.holds(real_root, &real) {
            tracing::debug!(link = %link.display(), "link leads outside the folder; not listed");
            return None;
        }
        fs::metadata(real).ok()
    }
}
