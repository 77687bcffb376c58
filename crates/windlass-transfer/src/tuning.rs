//! Sizes and limits of the services, and how often to try. One place, so that tests can be small.

use crate::digest::Expected;
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

/// Parts that are aimed at for an object on its way to a file.
const PARTS_OF_A_FILE: u64 = 16;

/// The largest part on its way to a file, in least ones.
const LARGEST: u64 = 3;

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

    /// Size of the parts of an object of `size` bytes on its way to a file: larger where the object is
    /// large, since requests cost the service more than bytes; but not where one sum goes through all
    /// parts in order, which waits for the first of those under way.
    pub(crate) fn to_file(&self, size: u64, expected: &Expected) -> u64 {
        if matches!(expected, Expected::Md5(_) | Expected::Sha256(_)) {
            return self.file_part;
        }
        let length = (size / PARTS_OF_A_FILE).clamp(self.file_part, self.file_part * LARGEST);
        expected.aligned(length)
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

    #[test]
    fn parts_on_their_way_to_a_file_grow_with_it_within_bounds() {
        const MIB: u64 = 1 << 20;
        let tuning = Tuning::default();
        let of = |size: u64| tuning.to_file(size * MIB, &Expected::Nothing) / MIB;
        assert_eq!([20, 256, 512, 768, 5_000].map(of), [16, 16, 32, 48, 48]);
        assert_eq!(tuning.to_file(512 * MIB, &Expected::Md5(String::new())), 16 * MIB);
        let parts = Expected::Parts("etag-2".to_owned(), vec![5 * MIB, 1]);
        assert_eq!(tuning.to_file(512 * MIB, &parts), 30 * MIB);
    }

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
