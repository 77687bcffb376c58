//! Members of ZIP archives, each a file.
//!
//! Archives are made by anybody: members must not lie over each other, and what grows beyond measure
//! is refused.

use crate::format::Failure;
use crate::source::Seekable;
use std::io::{BufReader, Read as _};
use zip::ZipArchive;
use zip::result::ZipError;

/// What ZIP archives begin with.
pub const MAGIC: &[u8] = b"PK\x03\x04";

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its place in the archive.
    pub index: usize,
    /// Its path.
    pub name: String,
    /// Its bytes, as the archive says.
    pub size: u64,
    /// Members that the archive has, this among them.
    pub of: usize,
}

/// Members of one archive.
const MEMBERS: usize = 100_000;
/// Bytes that may come out of a member, whatever it was compressed from.
const FREE: u64 = if cfg!(test) { 4 << 20 } else { 256 << 20 };
/// Beyond them, how many times as many bytes may come out as went in.
const RATIO: u64 = 500;

impl From<ZipError> for Failure {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => {
                Self::new("it is protected by a password")
            }
            ZipError::Io(error) => error.into(),
            other => Self::new(other.to_string()),
        }
    }
}

pub(crate) type Archive = ZipArchive<BufReader<Box<dyn Seekable>>>;

pub(crate) fn open(file: Box<dyn Seekable>) -> Result<Archive, Failure> {
    Ok(ZipArchive::new(BufReader::with_capacity(64 << 10, file))?)
}

/// Whether it is a workbook rather than an archive of files.
pub fn is_workbook(file: Box<dyn Seekable>) -> Result<bool, Failure> {
    let archive = open(file)?;
    Ok(archive.file_names().any(|name| name.is_ok_and(|name| name == "xl/workbook.xml")))
}

/// The files of an archive of `size` bytes, without folders and hidden ones.
pub fn members(file: Box<dyn Seekable>, size: u64) -> Result<Vec<Member>, Failure> {
    members_of(&mut open(file)?, size)
}

/// As [`members`], of an archive that is open.
pub(crate) fn members_of(archive: &mut Archive, size: u64) -> Result<Vec<Member>, Failure> {
    if archive.len() > MEMBERS {
        return Err(Failure::new(format!("it has more than {MEMBERS} members")));
    }
    let (mut members, mut packed) = (Vec::new(), 0u64);
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        packed = packed.saturating_add(entry.compressed_size());
        let name = entry.name()?.into_owned();
        let hidden = name.split('/').any(|level| level.starts_with('.') || level == "__MACOSX");
        if entry.is_file() && !hidden && entry.size() > 0 {
            members.push(Member { index, name, size: entry.size(), of: 0 });
        }
    }
    if packed > size {
        return Err(Failure::new("its members lie over each other"));
    }
    let of = members.len();
    for member in &mut members {
        member.of = of;
    }
    Ok(members)
}

/// Decompresses a member; `out` says whether it wants more.
pub fn read(
    file: Box<dyn Seekable>,
    member: &Member,
    out: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Failure> {
    read_of(&mut open(file)?, member, out)
}

/// As [`read`], of an archive that is open.
pub(crate) fn read_of(
    archive: &mut Archive,
    member: &Member,
    out: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Failure> {
    let mut entry = archive.by_index(member.index)?;
    let most = entry.compressed_size().saturating_mul(RATIO).max(FREE);
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0u64;
    loop {
        let read = entry.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        total += read as u64;
        if total > most {
            return Err(Failure::new(format!(
                "`{}` grows to more than {RATIO} times its size, as only bombs do",
                member.name
            )));
        }
        if !out(&buffer[..read]) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write as _};
    use zip::write::SimpleFileOptions;

    fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn members_are_files_and_a_bomb_is_refused() {
        let bytes = archive(&[
            ("in/a.csv", b"id\n1\n".to_vec()),
            ("__MACOSX/in/._a.csv", b"x".to_vec()),
            ("zeros.csv", vec![b'0'; 16 << 20]),
        ]);
        let open = || Box::new(Cursor::new(bytes.clone())) as Box<dyn Seekable>;
        let found = members(open(), bytes.len() as u64).unwrap();
        let names: Vec<&str> = found.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["in/a.csv", "zeros.csv"]);
        assert!(found.iter().all(|member| member.of == 2), "{found:?}");
        let mut text = Vec::new();
        read(open(), &found[0], &mut |bytes| {
            text.extend_from_slice(bytes);
            true
        })
        .unwrap();
        assert_eq!(text, b"id\n1\n");
        let mut grown = 0;
        let error = read(open(), &found[1], &mut |bytes| {
            grown += bytes.len();
            true
        })
        .unwrap_err();
        assert!(error.reason.contains("bombs"), "{error}");
        assert!(grown < 9 << 20);
        assert!(members(open(), 10).unwrap_err().reason.contains("over each other"));
        assert!(!is_workbook(open()).unwrap());
    }
}
