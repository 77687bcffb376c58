//! Archives as places of files: ZIP by its directory, tar front to back.

use crate::format::Failure;
use crate::source::Seekable;
use crate::zip;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

/// Files of one archive that are told.
const FILES: usize = 10_000;
/// Bytes of the largest file that is unpacked.
const LARGEST: u64 = 256 << 20;
/// Bytes of all that is unpacked.
const ALL: u64 = 2 << 30;
/// Bytes of the largest archive that is read front to back.
const ARCHIVE: u64 = 2 << 30;

/// A file of an archive.
#[derive(Debug)]
pub struct Unpacked {
    /// Its path in the archive, without `/` at its beginning.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Where it lies now, where it was wanted; or why it does not.
    pub file: Option<Result<PathBuf, String>>,
}

/// Whether a path stays within the folder it is unpacked to.
fn is_safe(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && !name.contains('\\')
        && name.split('/').all(|level| !matches!(level, "" | "." | ".."))
}

/// Unpacks what `wanted` names of the files of an archive into the folder `into`, under names of
/// numbers with the ends of their own; answers all files. `format`: `zip`, `tar`, `tar.gz`, `tgz`.
pub fn unpack(
    archive: Box<dyn Seekable>,
    size: u64,
    format: &str,
    into: &Path,
    wanted: fn(&str) -> bool,
) -> Result<Vec<Unpacked>, Failure> {
    let tar = |stream: Box<dyn Read>| {
        if size > ARCHIVE {
            return Err(Failure::new("it is larger than 2 GiB, and would have to be read whole"));
        }
        unpack_tar(stream, into, wanted)
    };
    match format {
        "zip" => unpack_zip(archive, size, into, wanted),
        "tar" => tar(Box::new(BufReader::with_capacity(64 << 10, archive))),
        "tar.gz" | "tgz" => {
            tar(Box::new(MultiGzDecoder::new(BufReader::with_capacity(64 << 10, archive))))
        }
        other => Err(Failure::new(format!("archives of {other} cannot be read"))
            .hint("archives that are read are zip, tar, tar.gz and tgz")),
    }
}

/// Where the next file goes.
fn place(into: &Path, number: usize, name: &str) -> PathBuf {
    let base = name.rsplit('/').next().unwrap_or(name);
    let end = base.split_once('.').map_or("", |(_, end)| end);
    let end: String =
        end.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(40).collect();
    into.join(if end.is_empty() { format!("{number}") } else { format!("{number}.{end}") })
}

fn too_large(size: u64, total: u64) -> Option<String> {
    if size > LARGEST {
        Some("it is larger than 256 MiB".to_owned())
    } else if total + size > ALL {
        Some("the files before it are 2 GiB".to_owned())
    } else {
        None
    }
}

fn unpack_zip(
    archive: Box<dyn Seekable>,
    size: u64,
    into: &Path,
    wanted: fn(&str) -> bool,
) -> Result<Vec<Unpacked>, Failure> {
    let mut archive = zip::open(archive)?;
    let members = zip::members_of(&mut archive, size)?;
    let (mut all, mut total) = (Vec::new(), 0);
    for member in members.into_iter().filter(|member| is_safe(&member.name)).take(FILES) {
        let file = wanted(&member.name).then(|| {
            if let Some(why) = too_large(member.size, total) {
                return Err(why);
            }
            total += member.size;
            let path = place(into, all.len(), &member.name);
            let mut out = File::create(&path).map_err(|error| error.to_string())?;
            let mut failed = None;
            let read =
                zip::read_of(&mut archive, &member, &mut |bytes| match out.write_all(bytes) {
                    Ok(()) => true,
                    Err(error) => {
                        failed = Some(error.to_string());
                        false
                    }
                });
            match failed.or(read.err().map(|failure| failure.to_string())) {
                Some(why) => Err(why),
                None => Ok(path),
            }
        });
        all.push(Unpacked { name: member.name, size: member.size, file });
    }
    Ok(all)
}

fn unpack_tar(
    stream: Box<dyn Read>,
    into: &Path,
    wanted: fn(&str) -> bool,
) -> Result<Vec<Unpacked>, Failure> {
    let mut archive = tar::Archive::new(stream);
    let (mut all, mut total): (Vec<Unpacked>, u64) = (Vec::new(), 0);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        if !is_safe(&name) || name.split('/').any(|level| level.starts_with("._")) {
            continue;
        }
        if all.len() == FILES {
            break;
        }
        let size = entry.size();
        let file = wanted(&name).then(|| {
            if let Some(why) = too_large(size, total) {
                return Err(why);
            }
            total += size;
            let path = place(into, all.len(), &name);
            let mut out = File::create(&path).map_err(|error| error.to_string())?;
            std::io::copy(&mut (&mut entry).take(size), &mut out)
                .map_err(|error| error.to_string())?;
            Ok(path)
        });
        all.push(Unpacked { name, size, file });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // Names that the library itself would refuse.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_of_a_tar_are_unpacked_and_never_outside() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = tar(&[
            ("a/x.csv", b"id\n1\n"),
            ("../evil.csv", b"x"),
            ("/etc/x.csv", b"x"),
            ("./n.txt", b"hi"),
        ]);
        let size = bytes.len() as u64;
        let wanted: fn(&str) -> bool = |name| name.contains(".csv");
        let all = unpack(Box::new(Cursor::new(bytes)), size, "tar", folder.path(), wanted).unwrap();
        let names: Vec<(&str, u64)> =
            all.iter().map(|file| (file.name.as_str(), file.size)).collect();
        assert_eq!(names, [("a/x.csv", 5), ("n.txt", 2)]);
        let path = all[0].file.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"id\n1\n");
        assert!(all[1].file.is_none());
        let other =
            unpack(Box::new(Cursor::new(vec![])), 0, "rar", folder.path(), wanted).unwrap_err();
        assert!(other.reason.contains("rar cannot be read"));
        assert!(
            unpack(Box::new(Cursor::new(vec![7; 3000])), 3000, "tar.gz", folder.path(), wanted)
                .is_err()
        );
    }
}
