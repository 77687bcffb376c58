//! Writing bytes that come in pieces of any size: whole blocks at a time, at their place in a file.
//!
//! A file system handles a few large, aligned writes into space that it has set aside in half the time
//! of as many bytes that come as the network cuts them.

use bytes::Bytes;
use rustix::io::{Errno, pwritev};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};

/// What is written at a time; small enough that it is still in a processor's cache.
const BLOCK: u64 = 256 << 10;

/// Most pieces of one write (`IOV_MAX` of Linux).
const MOST: usize = 1024;

/// Sets aside space for bytes that will come, where the file system can; its length stays.
pub(super) fn set_aside(file: &File, at: u64, length: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if length > 0 {
        use rustix::fs::{FallocateFlags, fallocate};
        return match fallocate(file, FallocateFlags::KEEP_SIZE, at, length) {
            // It saves time and tells early that a disk is full; nothing rests on it.
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
            _ => Ok(()),
        };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, at, length);
    Ok(())
}

/// Bytes that wait for their block to be whole.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Where the first of them belongs.
    at: u64,
    held: u64,
    pieces: Vec<Bytes>,
}

impl Blocks {
    /// Of bytes that begin at a place.
    pub(super) fn from(at: u64) -> Self {
        Self { at, held: 0, pieces: Vec::new() }
    }

    /// Adds the bytes that come next.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.held += piece.len() as u64;
        self.pieces.push(piece);
    }

    /// Takes what makes whole blocks, and what is left where nothing follows: bytes and their place.
    pub(super) fn take(&mut self, last: bool) -> Option<(u64, Vec<Bytes>)> {
        let end = self.at + self.held;
        let until = if last || self.pieces.len() >= MOST { end } else { end - end % BLOCK };
        if until <= self.at {
            return None;
        }
        let (at, mut taken) = (self.at, std::mem::take(&mut self.pieces));
        let kept = usize::try_from(end - until).unwrap_or(usize::MAX);
        // Only the last piece can lie across the end of a block: whatever was whole is taken.
        if kept > 0
            && let Some(piece) = taken.last_mut()
        {
            self.pieces.push(piece.split_off(piece.len() - kept));
        }
        (self.at, self.held) = (until, end - until);
        Some((at, taken))
    }
}

/// Writes all pieces, one after the other.
pub(super) fn write_all_at(file: &File, pieces: &[Bytes], mut at: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match pwritev(file, left, at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt as _;

    proptest! {
        #[test]
        fn bytes_of_any_pieces_lie_where_they_belong(
            sizes in proptest::collection::vec(
                prop_oneof![0..100_usize, Just(256 << 10), 100_000..700_000_usize],
                0..12,
            ),
            begin in prop_oneof![Just(0), 0..1_000_000_u64, Just(BLOCK)],
        ) {
            let file = tempfile::tempfile().unwrap();
            let total: usize = sizes.iter().sum();
            let content: Vec<u8> = (0..total).map(|at| (at * 31 / 8).to_le_bytes()[0]).collect();
            let whole = Bytes::from(content);
            set_aside(&file, begin, total as u64).unwrap();
            prop_assert_eq!(file.metadata().unwrap().len(), 0);
            let (mut blocks, mut from, mut next) = (Blocks::from(begin), 0, begin);
            for (number, size) in sizes.iter().enumerate() {
                blocks.push(whole.slice(from..from + size));
                from += size;
                let last = number + 1 == sizes.len();
                if let Some((at, pieces)) = blocks.take(last) {
                    prop_assert_eq!(at, next);
                    next += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                    prop_assert!(last || next % BLOCK == 0);
                    write_all_at(&file, &pieces, at).unwrap();
                }
                prop_assert!(last || begin + from as u64 - next < BLOCK);
            }
            prop_assert_eq!(next, begin + total as u64);
            let mut read = vec![0; total];
            file.read_exact_at(&mut read, begin).unwrap();
            prop_assert_eq!(Bytes::from(read), whole);
        }
    }

    #[test]
    fn many_small_pieces_are_not_more_than_one_write_takes() {
        let mut blocks = Blocks::from(7);
        let mut writes = 0;
        for _ in 0..MOST {
            blocks.push(Bytes::from_static(b"x"));
            writes += usize::from(blocks.take(false).is_some());
        }
        assert_eq!(writes, 1);
        assert_eq!(blocks.take(true), None);
    }
}
