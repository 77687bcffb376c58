//! The merge of two listings: a machine without IO.
//!
//! Where both sides are promised to come in byte order, all is said as it is found, and a side out
//! of order is an error. Otherwise what both have is said as it is found, and what seems to be
//! on one side only is kept until everything was read: then order can delay a finding, never make
//! a wrong one.

use super::{Difference, End, Kind, Which, compare};
use std::cmp::Ordering;
use windlass_s3::{Evidence, ListingOrder};
use windlass_types::{Entry, Error, ErrorCode, Result};

/// What a merge answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This is sure.
    Say(Difference),
    /// This was not seen on the other side so far. To be kept, brought into byte order with all
    /// that is kept of its side, and merged again in the end, by [`Merge::new`].
    Keep(Which, Entry),
}

/// The merge: push what it wants, take what it answers.
#[derive(Debug, Default)]
pub struct Merge {
    left: Lane,
    right: Lane,
    any_order: bool,
}

#[derive(Debug, Default)]
struct Lane {
    next: Option<(String, Entry)>,
    last: Option<String>,
    end: Option<End>,
    evidence: Evidence,
}

impl Lane {
    fn hungry(&self) -> bool {
        self.next.is_none() && self.end.is_none()
    }
}

impl Merge {
    /// A merge of sides in byte order.
    pub fn new() -> Self {
        Self::default()
    }

    /// A merge of sides in any order, best in one that both have. It takes [`Self::step`].
    pub fn of_any_order() -> Self {
        Self { any_order: true, ..Self::default() }
    }

    /// The side to read from next; None when all is said.
    pub fn wants(&self) -> Option<Which> {
        match () {
            () if self.broken() => None,
            () if self.left.hungry() => Some(Which::Left),
            () if self.right.hungry() => Some(Which::Right),
            () => None,
        }
    }

    /// Takes the next entry of a side, at `path` below it. An error says that the side is not in
    /// the order that the merge needs.
    pub fn push(&mut self, which: Which, path: String, entry: Entry) -> Result<()> {
        let any_order = self.any_order;
        let lane = self.lane(which);
        if let Some(last) = &lane.last {
            if any_order && *last == path {
                return Ok(());
            }
            lane.evidence.see(last, &path);
            if !any_order && !lane.evidence.allows(ListingOrder::Bytes) {
                return Err(Error::new(
                    ErrorCode::ConnectionFailed,
                    format!("the listing is not in order: `{path}` came after `{last}`"),
                ));
            }
        }
        lane.last = Some(path.clone());
        lane.next = Some((path, entry));
        Ok(())
    }

    /// Says that a side has no more.
    pub fn end(&mut self, which: Which, end: End) {
        self.lane(which).end = Some(end);
    }

    /// The order of a side, as far as it was read.
    pub fn order(&self, which: Which) -> ListingOrder {
        match which {
            Which::Left => self.left.evidence.order(),
            Which::Right => self.right.evidence.order(),
        }
    }

    /// The next finding of a merge made by [`Self::new`], if enough was pushed to be sure of it.
    /// After an incomplete end there is none: what is missing there may only not have been seen.
    pub fn pop(&mut self) -> Option<Difference> {
        match self.step()? {
            Step::Say(found) => Some(found),
            // Only of a merge of any order.
            Step::Keep(..) => None,
        }
    }

    /// The next step. After an incomplete end there is none.
    pub fn step(&mut self) -> Option<Step> {
        if self.left.hungry() || self.right.hungry() || self.broken() {
            return None;
        }
        let order = match (&self.left.next, &self.right.next) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => self.common_order().compare(left, right),
        };
        let left = if order.is_le() { self.left.next.take() } else { None };
        let right = if order.is_ge() { self.right.next.take() } else { None };
        Some(match (left, right) {
            (Some((path, left)), Some((_, right))) => {
                let (kind, by) = compare(&left, &right);
                let by = Some(by.to_owned());
                Step::Say(Difference { path, kind, by, left: Some(left), right: Some(right) })
            }
            (Some((_, left)), None) if self.any_order => Step::Keep(Which::Left, left),
            (None, Some((_, right))) if self.any_order => Step::Keep(Which::Right, right),
            (Some((path, left)), None) => {
                let kind = Kind::OnlyLeft;
                Step::Say(Difference { path, kind, by: None, left: Some(left), right: None })
            }
            (None, right) => {
                let (path, right) = right?;
                let kind = Kind::OnlyRight;
                Step::Say(Difference { path, kind, by: None, left: None, right: Some(right) })
            }
        })
    }

    /// The order that brings equal paths together soonest; any would do.
    fn common_order(&self) -> ListingOrder {
        let allow = |order| self.left.evidence.allows(order) && self.right.evidence.allows(order);
        if !allow(ListingOrder::Bytes) && allow(ListingOrder::Segments) {
            ListingOrder::Segments
        } else {
            ListingOrder::Bytes
        }
    }

    fn broken(&self) -> bool {
        [&self.left, &self.right].iter().any(|lane| lane.end == Some(End::Incomplete))
    }

    fn lane(&mut self, which: Which) -> &mut Lane {
        match which {
            Which::Left => &mut self.left,
            Which::Right => &mut self.right,
        }
    }
}
