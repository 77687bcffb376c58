//! A list that is written once and read once, and never held whole: what is long goes to a temporary
//! file, which has no name and vanishes with us.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use windlass_types::{Error, ErrorCode, Result};

/// Items held before the file is used.
const HELD: usize = 4096;

/// Items waiting to be read back.
pub(crate) struct Spool<T> {
    held: Vec<T>,
    file: Option<BufWriter<File>>,
    count: u64,
}

impl<T> Default for Spool<T> {
    fn default() -> Self {
        Self { held: Vec::new(), file: None, count: 0 }
    }
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorCode::LocalFailed, "a plan cannot be kept on the disk")
        .source(error)
        .hint("free some space for temporary files, or set TMPDIR")
}

impl<T: Serialize + DeserializeOwned> Spool<T> {
    /// Adds an item at the end.
    pub(crate) fn push(&mut self, item: T) -> Result<()> {
        self.count += 1;
        self.held.push(item);
        if self.held.len() < HELD {
            return Ok(());
        }
        self.spill().map_err(failed)
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::with_capacity(256 << 10, tempfile::tempfile()?)),
        };
        for item in self.held.drain(..) {
            serde_json::to_writer(&mut *file, &item)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    /// How many were added.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// All items, in the order they were added.
    pub(crate) fn read(self) -> Result<Reader<T>> {
        let lines = match self.file {
            None => None,
            Some(file) => {
                let mut file = file.into_inner().map_err(|error| failed(error.into_error()))?;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                Some(BufReader::with_capacity(256 << 10, file))
            }
        };
        Ok(Reader { lines, held: self.held.into(), kind: PhantomData })
    }
}

/// The items of a [`Spool`].
pub(crate) struct Reader<T> {
    lines: Option<BufReader<File>>,
    held: VecDeque<T>,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned> Iterator for Reader<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(lines) = &mut self.lines {
            let mut line = Vec::new();
            match lines.read_until(b'\n', &mut line) {
                Ok(0) => self.lines = None,
                Ok(_) => {
                    return Some(
                        serde_json::from_slice(&line).map_err(|error| failed(error.into())),
                    );
                }
                Err(error) => return Some(Err(failed(error))),
            }
        }
        self.held.pop_front().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_also_through_the_disk() {
        for count in [0_u64, 3, 4096, 10_000] {
            let mut spool = Spool::default();
            for number in 0..count {
                spool.push((number, "a\nb".to_owned())).unwrap();
            }
            assert_eq!(spool.len(), count);
            let back: Vec<u64> = spool.read().unwrap().map(|item| item.unwrap().0).collect();
            assert_eq!(back, (0..count).collect::<Vec<_>>());
        }
    }
}
