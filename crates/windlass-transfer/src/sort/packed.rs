//! Entries as bytes: what only waits for its turn is not worth several allocations a row, nor is it
//! worth text on the disk.
//!
//! A record is its length (four bytes, little end first, as all numbers here), the length of the key,
//! the key, and the other fields. Records never leave this process: there is no version of them.

use chrono::{DateTime, Utc};
use std::io::{self, Read};
use windlass_types::{Entry, EntryKind};

/// Bytes of a length.
const LENGTH: usize = 4;

/// Appends an entry as a record.
pub(super) fn pack(entry: &Entry, into: &mut Vec<u8>) -> io::Result<()> {
    let begin = into.len();
    into.extend([0; LENGTH]);
    text(&entry.key, into)?;
    into.push(match entry.kind {
        EntryKind::Bucket => 0,
        EntryKind::Prefix => 1,
        EntryKind::Object => 2,
    });
    // Mostly the key with something before it.
    if let Some(before) = entry.path.strip_suffix(&entry.key) {
        text(before, into)?;
    } else {
        into.extend(u32::MAX.to_le_bytes());
        text(&entry.path, into)?;
    }
    optional(entry.size.as_ref(), into, |size, into| {
        into.extend(size.to_le_bytes());
        Ok(())
    })?;
    optional(entry.last_modified.as_ref(), into, |time, into| {
        into.extend(time.timestamp().to_le_bytes());
        into.extend(time.timestamp_subsec_nanos().to_le_bytes());
        Ok(())
    })?;
    for field in [&entry.etag, &entry.storage_class] {
        optional(field.as_ref(), into, |field, into| text(field, into))?;
    }
    let length = length(into.len() - begin - LENGTH)?;
    into[begin..begin + LENGTH].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn length(bytes: usize) -> io::Result<u32> {
    // The largest number says something else.
    u32::try_from(bytes).ok().filter(|bytes| *bytes < u32::MAX).ok_or_else(broken)
}

fn text(text: &str, into: &mut Vec<u8>) -> io::Result<()> {
    into.extend(length(text.len())?.to_le_bytes());
    into.extend_from_slice(text.as_bytes());
    Ok(())
}

fn optional<T>(
    field: Option<&T>,
    into: &mut Vec<u8>,
    write: impl FnOnce(&T, &mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    into.push(u8::from(field.is_some()));
    field.map_or(Ok(()), |field| write(field, into))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a row put aside is broken")
}

/// The record that a text of records begins with; None at its end.
pub(super) fn first(records: &[u8]) -> Option<&[u8]> {
    let (length, rest) = records.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (rest.len() >= length).then(|| &records[..LENGTH + length])
}

/// Reads the next record instead of the one that is there; false at the end.
pub(super) fn read(from: &mut impl Read, record: &mut Vec<u8>) -> io::Result<bool> {
    record.clear();
    if from.by_ref().take(LENGTH as u64).read_to_end(record)? == 0 {
        return Ok(false);
    }
    let length = record.first_chunk::<LENGTH>().copied().map(u32::from_le_bytes);
    let length = length.ok_or_else(broken)?;
    if from.by_ref().take(length.into()).read_to_end(record)? as u64 != u64::from(length) {
        return Err(broken());
    }
    Ok(true)
}

/// The key of a record.
pub(super) fn key(record: &[u8]) -> &[u8] {
    let mut fields = Fields(record.get(LENGTH..).unwrap_or_default());
    fields.bytes().unwrap_or_default()
}

/// The entry of a record.
pub(super) fn unpack(record: &[u8]) -> io::Result<Entry> {
    Fields(record.get(LENGTH..).unwrap_or_default()).entry()
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or_else(broken)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.take()?)).map_err(|_| broken())?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(broken)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> io::Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| broken())
    }

    fn path(&mut self, key: &str) -> io::Result<String> {
        if self.0.starts_with(&u32::MAX.to_le_bytes()) {
            self.take::<LENGTH>()?;
            return self.text().map(str::to_owned);
        }
        Ok([self.text()?, key].concat())
    }

    fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        match self.take()? {
            [0] => Ok(None),
            _ => read(self).map(Some),
        }
    }

    fn time(&mut self) -> io::Result<DateTime<Utc>> {
        let seconds = i64::from_le_bytes(self.take()?);
        let nanos = u32::from_le_bytes(self.take()?);
        DateTime::from_timestamp(seconds, nanos).ok_or_else(broken)
    }

    fn entry(mut self) -> io::Result<Entry> {
        let key = self.text()?;
        let kind = match self.take()? {
            [0] => EntryKind::Bucket,
            [1] => EntryKind::Prefix,
            [2] => EntryKind::Object,
            _ => return Err(broken()),
        };
        let owned = |rest: &mut Self| rest.text().map(str::to_owned);
        Ok(Entry {
            path: self.path(key)?,
            key: key.to_owned(),
            kind,
            size: self.optional(|rest| rest.take().map(u64::from_le_bytes))?,
            last_modified: self.optional(Self::time)?,
            etag: self.optional(owned)?,
            storage_class: self.optional(owned)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::option::of;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_was(
            key in "[a-b/é\\n\\x00]{0,6}",
            before in of("[a-b/é]{0,4}"),
            other in "[a-b]{0,4}",
            size in of(any::<u64>()),
            time in of((-9_000_000_000_i64..9_000_000_000, 0_u32..1_000_000_000)),
            etag in of("[0-9a-f\"]{0,5}"),
            class in of("[A-Z]{0,5}"),
            kind in 0_usize..3,
        ) {
            let kind = [EntryKind::Bucket, EntryKind::Prefix, EntryKind::Object][kind];
            let path = before.map_or(other, |before| format!("{before}{key}"));
            let last_modified = time.and_then(|(at, nanos)| DateTime::from_timestamp(at, nanos));
            let entry = Entry { key, kind, path, size, last_modified, etag, storage_class: class };
            let mut records = Vec::new();
            pack(&entry, &mut records).unwrap();
            let whole = records.len();
            pack(&entry, &mut records).unwrap();
            prop_assert_eq!(first(&records).map(<[u8]>::len), Some(whole));
            prop_assert_eq!(super::key(&records), entry.key.as_bytes());
            prop_assert_eq!(unpack(&records[..whole]).unwrap(), entry.clone());
            let (mut from, mut record) = (io::Cursor::new(records), vec![1, 2, 3]);
            for _ in 0..2 {
                prop_assert!(read(&mut from, &mut record).unwrap());
                prop_assert_eq!(unpack(&record).unwrap(), entry.clone());
            }
            prop_assert!(!read(&mut from, &mut record).unwrap());
            // What is cut off is an error, never another entry.
            for end in 0..record.len() {
                prop_assert!(unpack(&record[..end]).is_err());
            }
        }
    }

    #[test]
    fn a_run_that_is_cut_off_is_an_error() {
        let entry = Entry {
            key: "a".to_owned(),
            kind: EntryKind::Object,
            path: "b/a".to_owned(),
            size: None,
            last_modified: None,
            etag: None,
            storage_class: None,
        };
        let mut records = Vec::new();
        pack(&entry, &mut records).unwrap();
        let mut record = Vec::new();
        for end in 1..records.len() {
            assert!(read(&mut io::Cursor::new(&records[..end]), &mut record).is_err(), "{end}");
        }
    }
}
