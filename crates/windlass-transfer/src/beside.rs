//! Summing the parts that an object was uploaded in, several at a time, from the file that it is written
//! to, while its bytes arrive in other parts and in any order.

use crate::digest::multipart_etag;
use crate::lanes::{self, MOST};
use crate::object::broken;
use crate::ordered::{Arrived, Reported, fill};
use crate::tuning::Range;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass_types::Result;

/// Bytes that are summed at a time where fewer would do.
const AT_A_TIME: u64 = 1 << 30;

/// Parts that are summed at a time where more would be too many bytes.
const FEWER: usize = MOST / 2;

/// Sums parts of these sizes as their bytes arrive. False if their `ETag` is another.
pub(crate) async fn sum_side_by_side(
    etag: &str,
    sizes: &[u64],
    file: Arc<File>,
    mut arriving: mpsc::UnboundedReceiver<Arrived>,
) -> Result<bool> {
    let given_up = CancellationToken::new();
    let _guard = given_up.clone().drop_guard();
    let mut parts = Parts::new(sizes);
    loop {
        let mut more = arriving.recv().await;
        let is_end = more.is_none();
        while let Some((range, reported)) = more {
            let Reported::InFile(there) = reported else { return Ok(false) };
            parts.arrived(range, there);
            more = arriving.try_recv().ok();
        }
        if is_end && parts.awaited > 0 {
            return Ok(false);
        }
        while let Some(group) = parts.group() {
            let lengths: Vec<u64> = group.iter().map(|part| sizes[*part]).collect();
            let begins: Vec<u64> = group.iter().map(|part| parts.begins[*part]).collect();
            let (file, given_up) = (Arc::clone(&file), given_up.clone());
            let summing = tokio::task::spawn_blocking(move || {
                lanes::md5s(&lengths, |lane, at, room| {
                    !given_up.is_cancelled() && fill(&file, room, begins[lane] + at)
                })
            });
            let Some(sums) = summing.await.map_err(broken)? else { return Ok(false) };
            parts.summed(&group, sums);
        }
        if is_end {
            let sums: Option<Vec<[u8; 16]>> = parts.sums.into_iter().collect();
            return Ok(sums.is_some_and(|sums| multipart_etag(&sums) == etag));
        }
    }
}

/// What is there of each part, and what is summed.
struct Parts {
    /// First byte of each, and the end of the last.
    begins: Vec<u64>,
    missing: Vec<u64>,
    sums: Vec<Option<[u8; 16]>>,
    /// Complete, and not summed.
    ready: VecDeque<usize>,
    /// Not complete.
    awaited: usize,
    /// Bytes from the beginning of each range.
    there: BTreeMap<u64, u64>,
}

impl Parts {
    fn new(sizes: &[u64]) -> Self {
        let mut begins = vec![0];
        for size in sizes {
            begins.push(begins[begins.len() - 1] + size);
        }
        Self {
            begins,
            missing: sizes.to_vec(),
            sums: vec![None; sizes.len()],
            ready: VecDeque::new(),
            awaited: sizes.len(),
            there: BTreeMap::new(),
        }
    }

    /// So many bytes of a range are there from its beginning; fewer than before if it is begun anew.
    fn arrived(&mut self, range: Range, now: u64) {
        let before = self.there.insert(range.offset, now).unwrap_or_default();
        let (from, to) = (range.offset + before.min(now), range.offset + before.max(now));
        let first = self.begins.partition_point(|begin| *begin <= from).saturating_sub(1);
        for part in first..self.sums.len() {
            let (begin, end) = (self.begins[part], self.begins[part + 1]);
            if to <= begin {
                break;
            }
            let bytes = to.min(end).saturating_sub(from.max(begin));
            let was_missing = self.missing[part];
            if now > before {
                self.missing[part] -= bytes;
            } else {
                self.missing[part] += bytes;
            }
            match (was_missing, self.missing[part]) {
                (1.., 0) => {
                    self.awaited -= 1;
                    self.ready.push_back(part);
                }
                (0, 1..) => {
                    self.awaited += 1;
                    // What was summed of it is not what will lie there.
                    self.sums[part] = None;
                    self.ready.retain(|ready| *ready != part);
                }
                _ => {}
            }
        }
    }

    /// The parts that are summed next: as many as can be at a time, unless they are so large that what
    /// comes after the last byte would take long. Fewer only if all are there.
    fn group(&mut self) -> Option<Vec<usize>> {
        let size = |part: &usize| self.begins[part + 1] - self.begins[*part];
        let bytes: u64 = self.ready.iter().take(MOST).map(size).sum();
        let most = if bytes <= AT_A_TIME { MOST } else { FEWER };
        let wanted = most.min(self.ready.len());
        let is_worth_it = wanted == most || self.awaited == 0;
        (wanted > 0 && is_worth_it).then(|| self.ready.drain(..wanted).collect())
    }

    fn summed(&mut self, group: &[usize], sums: Vec<[u8; 16]>) {
        for (part, sum) in group.iter().zip(sums) {
            self.sums[*part] = Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::md5;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt as _;

    const MIB: u64 = 1 << 20;

    fn ready(sizes: &[u64], is_end: bool) -> usize {
        let mut parts = Parts::new(sizes);
        let length = sizes.iter().sum();
        parts.arrived(Range { number: 1, offset: 0, length }, length);
        parts.awaited += usize::from(!is_end);
        parts.group().map_or(0, |group| group.len())
    }

    #[test]
    fn many_small_parts_are_waited_for_and_few_large_ones() {
        assert_eq!(ready(&[5 * MIB; 20], false), 16);
        assert_eq!(ready(&[64 * MIB; 16], false), 16);
        assert_eq!(ready(&[65 * MIB; 16], false), 8);
        assert_eq!(ready(&[5 * MIB; 15], false), 0);
        assert_eq!(ready(&[5 * MIB; 15], true), 15);
        assert_eq!(ready(&[50 * MIB; 3], false), 0);
        assert_eq!(ready(&[50 * MIB; 3], true), 3);
        assert_eq!(ready(&[], true), 0);
    }

    fn blocking<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// Bytes arrive in ranges of `length`, each in pieces, taken in turn; some ranges are begun anew
    /// after wrong bytes. Whether the sum holds.
    fn arrives(content: &[u8], sizes: &[u64], length: u64, piece: u64, fails: &[bool]) -> bool {
        let mut sums = Vec::new();
        let mut rest = content;
        for size in sizes {
            let (part, after) = rest.split_at(usize::try_from(*size).unwrap());
            sums.push(md5(part));
            rest = after;
        }
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(content.len() as u64).unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        let etag = multipart_etag(&sums);
        std::thread::scope(|scope| {
            let placed = Arc::clone(&file);
            let summing =
                scope.spawn(|| blocking(sum_side_by_side(&etag, sizes, placed, receiver)).unwrap());
            let total = content.len() as u64;
            let mut under_way: VecDeque<(Range, u64, bool)> = (0..total.div_ceil(length))
                .zip(1..)
                .map(|(index, number)| {
                    let offset = index * length;
                    let length = length.min(total - offset);
                    let fails = fails.get(usize::try_from(index).unwrap()) == Some(&true);
                    (Range { number, offset, length }, 0, fails)
                })
                .collect();
            while let Some((range, there, fails)) = under_way.pop_front() {
                let now = range.length.min(there + piece);
                let [from, to] = [range.offset + there, range.offset + now];
                let mut bytes =
                    content[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()].to_vec();
                for byte in &mut bytes {
                    *byte ^= u8::from(fails);
                }
                file.write_all_at(&bytes, from).unwrap();
                sender.send((range, Reported::InFile(now))).unwrap();
                if now < range.length {
                    under_way.push_back((range, now, fails));
                } else if fails {
                    sender.send((range, Reported::InFile(0))).unwrap();
                    under_way.push_back((range, 0, false));
                }
            }
            drop(sender);
            summing.join().unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_arrives_in_whatever_order_is_summed_as_it_lies_in_the_end(
            own in 1_u64..5_000,
            count in 2_u64..40,
            last in 1_u64..5_000,
            length in 1_u64..20_000,
            piece in 500_u64..9_000,
            fails in proptest::collection::vec(any::<bool>(), 0..20),
        ) {
            let mut sizes = vec![own; usize::try_from(count).unwrap()];
            sizes.push(last.min(own));
            let total: u64 = sizes.iter().sum();
            let content: Vec<u8> = (0..total).map(|at| (at * 31 / 7).to_le_bytes()[0]).collect();
            let length = length.max(total / 200).max(1);
            prop_assert!(arrives(&content, &sizes, length, piece, &fails));
        }
    }

    #[test]
    fn what_is_missing_or_wrong_does_not_hold() {
        let sizes = [37_000, 37_000, 26_000];
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(100_000).unwrap();
        let zeros = vec![0; 37_000];
        let sums = [md5(&zeros), md5(&zeros), md5(&zeros[..26_000])];
        let holds = |there: u64, wrong: bool| {
            file.write_all_at(&[u8::from(wrong)], 99_999).unwrap();
            let (sender, receiver) = mpsc::unbounded_channel();
            let range = Range { number: 1, offset: 0, length: 100_000 };
            sender.send((range, Reported::InFile(there))).unwrap();
            drop(sender);
            let etag = multipart_etag(&sums);
            blocking(sum_side_by_side(&etag, &sizes, Arc::clone(&file), receiver)).unwrap()
        };
        assert!(holds(100_000, false));
        assert!(!holds(99_999, false), "a byte is missing");
        assert!(!holds(100_000, true), "a byte is wrong");
    }
}
