//! Unfinished writes of processes that are gone: named after their owner, and swept by the next.
//!
//! A name holds who writes: a word for this boot and process namespace, and the process. Only where
//! the word is ours can a missing process be told; what others left is swept when it is a day old.

use super::keys::{PART, UNFINISHED, UPLOAD, is_unfinished};
use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use windlass_types::ProcessName;

/// After so long without a byte nobody is writing any more.
const DAY: Duration = Duration::from_hours(24);

/// Folders that this process has swept.
static SWEPT: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

/// How the name of a file that is being written begins.
pub(super) fn part_prefix() -> String {
    format!("{UNFINISHED}{}-", ProcessName::current())
}

/// How the name of a folder with an unfinished upload begins.
pub(super) fn upload_prefix() -> String {
    format!("{UPLOAD}{}-", ProcessName::current())
}

/// Sweeps a folder, the first time this process writes into it.
pub(super) fn sweep_once(folder: &Path) {
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.get_or_insert_default().insert(folder.to_owned()) {
        drop(swept);
        sweep(folder);
    }
}

/// Removes what processes that are gone left unfinished in a folder. What cannot be removed stays.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !is_unfinished(name.as_bytes()) {
            continue;
        }
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if !is_stale(&name.to_string_lossy(), &path) {
            continue;
        }
        let removed =
            if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        tracing::debug!(path = %path.display(), removed = removed.is_ok(), "an unfinished write of a process that is gone");
    }
}

/// Who writes, and what follows, of the rest of an unfinished name.
pub(super) fn parsed(rest: &str) -> Option<(ProcessName, &str)> {
    let (end, _) = rest.match_indices('-').nth(1)?;
    Some((rest[..end].parse().ok()?, &rest[end + 1..]))
}

fn is_stale(name: &str, path: &Path) -> bool {
    let rest = name
        .strip_prefix(UPLOAD)
        .or_else(|| name.strip_prefix(UNFINISHED).and_then(|rest| rest.strip_suffix(PART)));
    if let Some((process, token)) = parsed(rest.unwrap_or_default())
        && process.is_here()
    {
        // An upload with a token waits a day for whoever goes on with it.
        if !process.is_gone() || !token.contains('-') {
            return process.is_gone();
        }
    }
    let written = [path.to_owned(), path.join("data")]
        .iter()
        .filter_map(|path| fs::symlink_metadata(path).ok()?.modified().ok())
        .max();
    written.is_some_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_lives_stays() {
        let folder = tempfile::tempdir().unwrap();
        let me = ProcessName::current().to_string();
        let here = me.split_once('-').unwrap().0;
        // No process has the highest number there can be.
        let gone = folder.path().join(format!("{UPLOAD}{here}-4194304-abc"));
        let part = folder.path().join(format!("{UNFINISHED}{here}-4194304-abc{PART}"));
        let mine = folder.path().join(format!("{}abc", upload_prefix()));
        let waiting = folder.path().join(format!("{UPLOAD}{here}-4194304-1-2"));
        let foreign = folder.path().join(format!("{UPLOAD}ffffffff-4194304-abc"));
        let old = folder.path().join(format!("{UPLOAD}abcdef"));
        for path in [&gone, &mine, &waiting, &foreign, &old] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("data"), b"bytes").unwrap();
        }
        fs::write(&part, b"bytes").unwrap();
        let file = folder.path().join("kept.csv");
        fs::write(&file, b"x").unwrap();
        let long_ago = SystemTime::now() - DAY - DAY;
        fs::File::open(old.join("data")).unwrap().set_modified(long_ago).unwrap();
        fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
        sweep_once(folder.path());
        assert!(!gone.exists() && !part.exists() && !old.exists());
        assert!(mine.exists() && waiting.exists() && foreign.exists() && file.exists());
    }
}
