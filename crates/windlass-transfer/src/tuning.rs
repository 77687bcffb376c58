//! Sizes and limits of the services, and how often to try. One place, so that tests can be small.

use std::time::Duration;

/// How large objects are cut and how failures are retried.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// From this size on an object goes in parts.
    pub threshold: u64,
    /// Least size of a part.
    pub part_size: u64,
    /// Least size of a part on its way to a file: it lies in no memory, and each is a request.
    pub file_part: u64,
    /// Most parts of an object.
    pub max_parts: u64,
    /// Largest object that is copied inside a service in one request.
    pub copy_limit: u64,
    /// Size of the parts of larger ones.
    pub copy_part: u64,
    /// How often an object or part is tried.
    pub attempts: u32,
    /// Pause before the second attempt; doubles.
    pub pause: Duration,
    /// Listed objects that wait for their turn.
    pub queue: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            threshold: 16 << 20,
            part_size: 8 << 20,
            file_part: 16 << 20,
            max_parts: 10_000,
            copy_limit: 5 << 30,
            copy_part: 256 << 20,
            attempts: 3,
            pause: Duration::from_millis(200),
            queue: 4096,
        }
    }
}

/// A part: its number from 1, its first byte, its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) number: i32,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Tuning {
    /// Size of the parts of an object of `size` bytes: equal but for the last, whole MiB when they
    /// must grow, and no more of them than allowed.
    pub(crate) fn part_size(&self, size: u64, least: u64) -> u64 {
        let needed = size.div_ceil(self.max_parts.max(1));
        if needed <= least { least.max(1) } else { needed.next_multiple_of(1 << 20) }
    }

    /// The parts of an object of `size` bytes.
    pub(crate) fn ranges(&self, size: u64, least: u64) -> impl Iterator<Item = Range> + use<> {
        let part = self.part_size(size, least);
        (0..size.div_ceil(part)).zip(1_i32..).map(move |(index, number)| Range {
            number,
            offset: index * part,
            length: part.min(size - index * part),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_an_object_once_and_are_not_too_many(size in 1_u64..(5 << 40)) {
            let tuning = Tuning::default();
            let part = tuning.part_size(size, tuning.part_size);
            prop_assert!((8 << 20..=5 << 30).contains(&part));
            let mut next = 0;
            let mut count = 0;
            for range in tuning.ranges(size, tuning.part_size) {
                prop_assert_eq!(range.offset, next);
                prop_assert!(range.length > 0);
                next += range.length;
                count += 1;
                prop_assert_eq!(range.number, count);
            }
            prop_assert_eq!(next, size);
            prop_assert!(count <= 10_000);
        }
    }
}
