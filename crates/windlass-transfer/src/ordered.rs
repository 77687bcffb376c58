//! Summing what only has a sum in the order of its bytes, while its parts arrive in any order.

use crate::beside::sum_side_by_side;
use crate::digest::{Expected, Sum};
use crate::object::broken;
use crate::tuning::Range;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use windlass_types::Result;

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

/// Sums ranges as they come. False if they are not what is expected. Threads are taken for what is
/// there, and never wait; whoever drops the future ends them.
pub(crate) async fn sum_all(
    expected: Arc<Expected>,
    file: Option<Arc<File>>,
    arriving: mpsc::UnboundedReceiver<Arrived>,
) -> Result<bool> {
    match (&*expected, file) {
        (Expected::Parts(etag, sizes), Some(file)) if sizes.len() > 1 => {
            sum_side_by_side(etag, sizes, file, arriving).await
        }
        (expected, file) => sum_in_order(Sum::new(expected), file, arriving).await,
    }
}

/// Sums ranges in the order of their numbers.
async fn sum_in_order(
    mut sum: Sum,
    file: Option<Arc<File>>,
    mut arriving: mpsc::UnboundedReceiver<Arrived>,
) -> Result<bool> {
    let mut waiting = BTreeMap::new();
    let mut next = 1;
    while let Some((range, reported)) = arriving.recv().await {
        // What is not whole may be begun anew, and a sum cannot be taken back.
        if matches!(reported, Reported::InFile(there) if there < range.length) {
            continue;
        }
        waiting.insert(range.number, (range, reported));
        while let Some((range, reported)) = waiting.remove(&next) {
            let file = file.clone();
            let summing = tokio::task::spawn_blocking(move || {
                let read = match (reported, file) {
                    (Reported::Here(bytes, _memory), _) => {
                        sum.update(&bytes);
                        true
                    }
                    (Reported::InFile(_), Some(file)) => {
                        read_range(&file, range, |piece| sum.update(piece))
                    }
                    (Reported::InFile(_), None) => false,
                };
                read.then_some(sum)
            });
            match summing.await.map_err(broken)? {
                Some(so_far) => sum = so_far,
                None => return Ok(false),
            }
            next += 1;
        }
    }
    Ok(waiting.is_empty() && sum.holds())
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

    #[tokio::test]
    async fn ranges_are_summed_in_order_once_they_are_whole() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let (expected, file) = (Arc::new(Expected::Md5(hex(&md5(&content)))), Arc::new(file));
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
            sum_all(Arc::clone(&expected), Some(Arc::clone(&file)), receiver)
        };
        assert!(holds(&[3, 1, 2]).await.unwrap());
        assert!(!holds(&[3, 1]).await.unwrap(), "a range is missing");
    }
}
