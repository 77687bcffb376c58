//! Summing what only has a sum in the order of its bytes, while its parts arrive in any order.

use crate::digest::{Expected, Sum, multipart_etag};
use crate::lanes::{self, LANES, MOST};
use crate::tuning::Range;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// What is to be summed in order.
pub(crate) enum Lies {
    /// In memory, and the share of it that they take.
    Here(Bytes, Arc<OwnedSemaphorePermit>),
    /// In the file that the parts are placed in.
    InFile(Range),
}

/// A part by its number.
pub(crate) type ToSum = (i32, Lies);

/// Sums parts as they come. False if they are not what is expected.
pub(crate) fn sum_all(
    expected: &Expected,
    file: Option<&File>,
    parts: mpsc::UnboundedReceiver<ToSum>,
) -> bool {
    match (expected, file) {
        (Expected::Parts(etag, sizes), Some(file)) if sizes.len() > 1 => {
            sum_side_by_side(etag, sizes, file, parts)
        }
        _ => sum_in_order(Sum::new(expected), file, parts),
    }
}

/// Sums parts in the order of their numbers.
fn sum_in_order(
    mut sum: Sum,
    file: Option<&File>,
    mut parts: mpsc::UnboundedReceiver<ToSum>,
) -> bool {
    let mut waiting = BTreeMap::new();
    let mut next = 1;
    while let Some((number, lies)) = parts.blocking_recv() {
        waiting.insert(number, lies);
        while let Some(lies) = waiting.remove(&next) {
            match (lies, file) {
                (Lies::Here(bytes, _memory), _) => sum.update(&bytes),
                (Lies::InFile(range), Some(file)) => {
                    if !read_range(file, range, |piece| sum.update(piece)) {
                        return false;
                    }
                }
                (Lies::InFile(_), None) => return false,
            }
            next += 1;
        }
    }
    waiting.is_empty() && sum.holds()
}

/// Sums the parts that the source was uploaded in, several at a time, from the file that is written.
/// They need not be the parts that arrive.
fn sum_side_by_side(
    etag: &str,
    sizes: &[u64],
    file: &File,
    mut parts: mpsc::UnboundedReceiver<ToSum>,
) -> bool {
    let mut waiting = BTreeMap::new();
    let (mut next, mut there) = (1, 0);
    let (mut begin, mut sums) = (0, Vec::with_capacity(sizes.len()));
    while let Some((number, lies)) = parts.blocking_recv() {
        let Lies::InFile(range) = lies else { return false };
        waiting.insert(number, range);
        while let Some(range) = waiting.remove(&next) {
            there = range.offset + range.length;
            next += 1;
        }
        loop {
            let group = group(&sizes[sums.len()..]);
            let length: u64 = group.iter().sum();
            if group.is_empty() || there < begin + length {
                break;
            }
            let mut places = Vec::with_capacity(group.len());
            for size in group {
                places.push(begin);
                begin += size;
            }
            let read = |lane: usize, at: u64, room: &mut [u8]| fill(file, room, places[lane] + at);
            match lanes::md5s(group, read) {
                Some(done) => sums.extend(done),
                None => return false,
            }
        }
    }
    sums.len() == sizes.len() && multipart_etag(&sums) == etag
}

/// Bytes that are waited for where fewer would do.
const WAITED: u64 = 64 << 20;

/// The parts that are summed next: as many as can be at a time, unless they are so large that what comes
/// after the last byte would take long.
fn group(sizes: &[u64]) -> &[u64] {
    let most = &sizes[..sizes.len().min(MOST)];
    if most.iter().sum::<u64>() <= WAITED { most } else { &sizes[..sizes.len().min(LANES)] }
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

fn fill(file: &File, room: &mut [u8], at: u64) -> bool {
    let read = file.read_exact_at(room, at);
    if let Err(error) = &read {
        tracing::warn!(%error, "what was written could not be read");
    }
    read.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::md5;
    use std::io::Write as _;

    fn placed(content: &[u8], sizes: &[u64], etag: &str, order: &[usize], length: u64) -> bool {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        let total = content.len() as u64;
        for part in order {
            let offset = *part as u64 * length;
            let range = Range {
                number: i32::try_from(part + 1).unwrap(),
                offset,
                length: length.min(total - offset),
            };
            sender.send((range.number, Lies::InFile(range))).unwrap();
        }
        drop(sender);
        sum_all(&Expected::Parts(etag.to_owned(), sizes.to_vec()), Some(&file), receiver)
    }

    #[test]
    fn many_small_parts_are_waited_for_and_few_large_ones() {
        const MIB: u64 = 1 << 20;
        let counts = [
            [5 * MIB; 20].as_slice(),
            [8 * MIB; 8].as_slice(),
            [9 * MIB; 8].as_slice(),
            [50 * MIB; 3].as_slice(),
            &[],
        ]
        .map(|sizes| group(sizes).len());
        assert_eq!(counts, [8, 8, 4, 3, 0]);
    }

    #[test]
    fn parts_of_the_source_are_summed_whatever_parts_arrive_in_whatever_order() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let sizes: Vec<u64> = (0..11).map(|part| if part < 10 { 37_000 } else { 30_000 }).collect();
        let mut rest = &content[..];
        let sums: Vec<[u8; 16]> = sizes
            .iter()
            .map(|size| {
                let (part, after) = rest.split_at(usize::try_from(*size).unwrap());
                rest = after;
                md5(part)
            })
            .collect();
        let etag = multipart_etag(&sums);
        assert!(placed(&content, &sizes, &etag, &[3, 1, 0, 2], 100_000));
        assert!(!placed(&content, &sizes, &etag, &[3, 1, 0], 100_000), "a part is missing");
        let mut wrong = content.clone();
        wrong[399_999] ^= 1;
        assert!(!placed(&wrong, &sizes, &etag, &[0, 1, 2, 3], 100_000));
    }
}
