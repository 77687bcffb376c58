//! Summing what only has a sum in the order of its bytes, while its parts arrive in any order.

use crate::beside::sum_side_by_side;
use crate::digest::{Expected, Sum};
use crate::tuning::Range;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// What is there of a range that is to be summed.
pub(crate) enum Reported {
    /// All of it, in memory, and the share of it that it takes.
    Here(Bytes, Arc<OwnedSemaphorePermit>),
    /// In its place in the file, so many bytes from its beginning. Fewer than before if it is begun anew,
    /// which is told before another byte is written.
    InFile(u64),
}

/// A range, and what is there of it.
pub(crate) type Arrived = (Range, Reported);

/// Sums ranges as they come. False if they are not what is expected.
pub(crate) fn sum_all(
    expected: &Expected,
    file: Option<&File>,
    arriving: mpsc::UnboundedReceiver<Arrived>,
) -> bool {
    match (expected, file) {
        (Expected::Parts(etag, sizes), Some(file)) if sizes.len() > 1 => {
            sum_side_by_side(etag, sizes, file, arriving)
        }
        _ => sum_in_order(Sum::new(expected), file, arriving),
    }
}

/// Sums ranges in the order of their numbers.
fn sum_in_order(
    mut sum: Sum,
    file: Option<&File>,
    mut arriving: mpsc::UnboundedReceiver<Arrived>,
) -> bool {
    let mut waiting = BTreeMap::new();
    let mut next = 1;
    while let Some((range, reported)) = arriving.blocking_recv() {
        // What is not whole may be begun anew, and a sum cannot be taken back.
        if matches!(reported, Reported::InFile(there) if there < range.length) {
            continue;
        }
        waiting.insert(range.number, (range, reported));
        while let Some((range, reported)) = waiting.remove(&next) {
            match (reported, file) {
                (Reported::Here(bytes, _memory), _) => sum.update(&bytes),
                (Reported::InFile(_), Some(file)) => {
                    if !read_range(file, range, |piece| sum.update(piece)) {
                        return false;
                    }
                }
                (Reported::InFile(_), None) => return false,
            }
            next += 1;
        }
    }
    waiting.is_empty() && sum.holds()
}

/// Reads what lies in a file; false if it cannot be read.
pub(crate) fn read_range(file: &File, range: Range, mut see: impl FnMut(&[u8])) -> bool {
    let mut piece = vec![0; 256 << 10];
    let mut done = 0;
    while done < range.length {
        let left = usize::try_from(range.length - done).unwrap_or(usize::MAX).min(piece.len());
        if !fill(file, &mut piece[..left], range.offset + done) {
            return false;
        }
        see(&piece[..left]);
        done += left as u64;
    }
    true
}

/// Reads what lies in a file from `at`; false if it cannot be read.
pub(crate) fn fill(file: &File, room: &mut [u8], at: u64) -> bool {
    let read = file.read_exact_at(room, at);
    if let Err(error) = &read {
        tracing::warn!(%error, "what was written could not be read");
    }
    read.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{hex, md5};
    use std::io::Write as _;

    #[test]
    fn ranges_are_summed_in_order_once_they_are_whole() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let expected = Expected::Md5(hex(&md5(&content)));
        let holds = |order: &[i32]| {
            let (sender, receiver) = mpsc::unbounded_channel();
            for number in order {
                let offset = (u64::try_from(*number).unwrap() - 1) * 150_000;
                let range =
                    Range { number: *number, offset, length: 150_000.min(400_000 - offset) };
                for there in [70_000, 0, range.length] {
                    sender.send((range, Reported::InFile(there))).unwrap();
                }
            }
            drop(sender);
            sum_all(&expected, Some(&file), receiver)
        };
        assert!(holds(&[3, 1, 2]));
        assert!(!holds(&[3, 1]), "a range is missing");
    }
}
