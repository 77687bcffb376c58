//! In what order keys come: two orders that services have, and finding out which one a listing has.
//!
//! By bytes is what AWS does. By segments is what a walk over folders gives: siblings by name, a
//! folder by its name without the slash, so `a/b` before `a-b`. Both are byte comparisons; the
//! second takes `/` for the least of all bytes.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListingOrder {
    /// By the UTF-8 bytes of whole keys.
    Bytes,
    /// Level by level, names by their bytes: `x/a/b`, then `x/a-b`.
    Segments,
    /// None, or none that is known.
    None,
}

impl ListingOrder {
    /// Compares two keys in this order; without one, by bytes.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        match self {
            Self::Segments => by_segments(a, b),
            Self::Bytes | Self::None => a.cmp(b),
        }
    }
}

fn by_segments(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    match a.iter().zip(b).position(|(a, b)| a != b) {
        None => a.len().cmp(&b.len()),
        Some(at) if a[at] == b'/' => Ordering::Less,
        Some(at) if b[at] == b'/' => Ordering::Greater,
        Some(at) => a[at].cmp(&b[at]),
    }
}

/// Which orders a sequence of keys may still be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    bytes: bool,
    segments: bool,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { bytes: true, segments: true }
    }
}

impl Evidence {
    /// Takes note that `after` followed `before`, which is another key.
    pub fn see(&mut self, before: &str, after: &str) {
        self.bytes &= before < after;
        self.segments &= by_segments(before, after).is_lt();
    }

    /// Whether nothing speaks against this order; nothing ever does against none.
    pub fn allows(&self, order: ListingOrder) -> bool {
        match order {
            ListingOrder::Bytes => self.bytes,
            ListingOrder::Segments => self.segments,
            ListingOrder::None => true,
        }
    }

    /// The order to go by: bytes while nothing speaks against it.
    pub fn order(&self) -> ListingOrder {
        match (self.bytes, self.segments) {
            (true, _) => ListingOrder::Bytes,
            (false, true) => ListingOrder::Segments,
            (false, false) => ListingOrder::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segments_compare_as_lists_of_names_do(a in "[a/.\\-\u{1}é0]{0,6}", b in "[a/.\\-\u{1}é0]{0,6}") {
            let names = |key: &str| key.split('/').map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(ListingOrder::Segments.compare(&a, &b), names(&a).cmp(&names(&b)));
            prop_assert_eq!(ListingOrder::Bytes.compare(&a, &b), a.as_bytes().cmp(b.as_bytes()));
        }
    }

    #[test]
    fn what_came_tells_the_orders_apart() {
        let order = |keys: &[&str]| {
            let mut evidence = Evidence::default();
            keys.windows(2).for_each(|pair| evidence.see(pair[0], pair[1]));
            evidence.order()
        };
        assert_eq!(order(&["x/B", "x/a-b", "x/a/c", "x/a0"]), ListingOrder::Bytes);
        assert_eq!(order(&["x/B", "x/a/c", "x/a-b", "x/a0"]), ListingOrder::Segments);
        assert_eq!(order(&["x/a0", "x/B"]), ListingOrder::None);
        assert_eq!(order(&["x/a/c", "x/a-b", "x/a-b/c", "x/a-b!"]), ListingOrder::Segments);
    }
}
