//! Making more to do side by side: which order it is, what folders there are, where a range is cut.

use super::{Basis, Driver, Purpose, Question};
use crate::order::ListingOrder;
use crate::row::Row;
use crate::scan::cut::{Pieces, Rest};
use crate::scan::range::{Limit, Range};
use crate::scan::{Answer, Ask};

/// Pages of a range that is read for the next rows. Shorter ones cost too many requests, longer
/// ones let the reader wait.
const NEAR: f64 = 5.0;

/// Keys of a page that is worth being asked for as a short one.
const WORTH: f64 = 700.0;

impl Driver {
    /// Takes the answer to which order it is.
    pub(super) fn decide(&mut self, first: &str, folder: &str, answer: &Answer) {
        self.question = Question::Answered;
        let order = match answer.rows.first().map(Row::key) {
            Some(key) if key == first => ListingOrder::Bytes,
            Some(key) if key < first || key.starts_with(folder) => ListingOrder::None,
            _ => ListingOrder::Segments,
        };
        if order == ListingOrder::None || !self.evidence.allows(order) {
            self.lose();
            return;
        }
        self.listing.orders.note(order);
        (self.basis, self.order) = (Basis::Found, order);
        self.sort_marks();
    }

    pub(super) fn learn(&mut self, child: Option<String>, answer: &Answer) {
        self.asking -= 1;
        self.marks.extend(child);
        self.marks.extend(answer.rows.iter().map(|row| {
            let slash = if row.is_folder() && !row.key().ends_with('/') { "/" } else { "" };
            format!("{}{slash}", row.key())
        }));
        self.sort_marks();
    }

    fn sort_marks(&mut self) {
        let order = self.order;
        self.marks.sort_by(|a, b| order.compare(a, b));
        self.marks.dedup();
    }

    /// Makes more to do: finds out what is missing, or cuts a range. Answers whether it did.
    pub(super) fn split(&mut self) -> bool {
        if self.basis == Basis::Lost
            || self.question == Question::Asked
            // A cut would be a guess where soon there is knowledge.
            || (self.asking > 0 && self.marks.is_empty())
            || self.budget.left() == 0
            || self.listing.workers < 2
        {
            return false;
        }
        if self.basis == Basis::Open && self.question == Question::Unasked && self.ask_order() {
            return false;
        }
        let open = |range: &Range| !range.done && range.fresh > 0 && range.last.is_some();
        let found = if self.listing.ordered {
            self.ranges.iter().position(open)
        } else {
            let candidates = self.ranges.iter().enumerate().filter(|(_, range)| open(range));
            candidates.max_by_key(|(_, range)| range.pages).map(|(at, _)| at)
        };
        let Some(at) = found else { return false };
        if let Some(folder) = self.folder_to_ask(at) {
            self.budget.spend(1);
            let last = self.ranges[at].last.as_deref().unwrap_or_default();
            let child = child(&folder, last);
            // In the end of the level that is still to come. A question from the middle of a child
            // lets some services go through all its keys (SeaweedFS: 2 s for 200,000).
            let start_after = match &child {
                Some(child) => Some(format!("{child}\u{10FFFF}")),
                None => last.starts_with(&folder).then(|| last.to_owned()),
            };
            let ask = Ask { prefix: folder.clone(), level: true, start_after, ..Ask::default() };
            self.seen.insert(folder);
            self.asking += 1;
            self.spawn(Purpose::Folders { child }, ask);
            return true;
        }
        self.cut(at)
    }

    /// One question tells the orders apart: behind the name of a folder and a character below `/`
    /// the folder itself follows in the order of bytes, and does not in that of segments. Answers
    /// whether there is a folder to ask about.
    fn ask_order(&mut self) -> bool {
        let Some((folder, first)) = self.ranges.iter_mut().find_map(|range| range.folder.take())
        else {
            return false;
        };
        let ask = Ask {
            prefix: self.listing.prefix.clone(),
            start_after: Some(format!("{}.\u{10FFFF}", folder.trim_end_matches('/'))),
            most: Some(1),
            ..Ask::default()
        };
        self.question = Question::Asked;
        self.budget.spend(1);
        self.spawn(Purpose::Order { first, folder }, ask);
        true
    }

    /// The folder whose level would tell where to cut a range, if it was not asked for yet.
    fn folder_to_ask(&self, at: usize) -> Option<String> {
        let range = &self.ranges[at];
        let last = range.last.as_deref()?;
        let shared = match &range.until {
            Some(until) => last.bytes().zip(until.bytes()).take_while(|(a, b)| a == b).count(),
            None => self.listing.prefix.len(),
        };
        let mut end =
            last.as_bytes()[..shared].iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        for _ in 0..8 {
            let folder = &last[..end];
            let below =
                |key: &String| key.strip_prefix(folder).is_some_and(|rest| rest.contains('/'));
            if !range.sample.iter().any(below) {
                return None;
            }
            if !self.seen.contains(folder) {
                return (folder.len() >= self.listing.prefix.len()).then(|| folder.to_owned());
            }
            let marked = self.marks.iter().any(|mark| {
                self.order.compare(last, mark).is_lt()
                    && range
                        .until
                        .as_ref()
                        .is_none_or(|until| self.order.compare(mark, until).is_lt())
                    && mark.starts_with(folder)
            });
            if marked {
                return None;
            }
            end += last[end..].find('/')? + 1;
        }
        None
    }

    /// What is known of the rest of a range; None before its first key.
    fn rest(&self, at: usize) -> Option<Rest<'_>> {
        let range = self.ranges.get(at)?;
        Some(Rest {
            order: self.order,
            neutral: self.basis == Basis::Open,
            prefix: &self.listing.prefix,
            after: range.after.as_deref().filter(|_| range.id > 0),
            last: range.last.as_deref()?,
            until: range.until.as_deref(),
            sample: &range.sample,
            sampled: range.sampled,
            pages: range.pages,
            keys: range.keys,
            sparse: range.sparse,
            steady: range.steady,
        })
    }

    /// Asks for no more of a range that is nearly read than seems to be left: a page that goes far
    /// beyond its end costs the service as much as any.
    pub(super) fn limit(&mut self, at: usize) {
        if self.ranges[at].limit != Limit::Unset || self.budget.left() == 0 {
            return;
        }
        let left = self.rest(at).and_then(|rest| rest.left(&self.marks));
        let wanted = left.map(|left| left * 1.25 + 24.0).filter(|most| *most < WORTH);
        if let Some(most) = wanted {
            #[allow(clippy::cast_possible_truncation, reason = "fewer than a page")]
            let keys = most as i32;
            self.ranges[at].limit = Limit::To(keys);
        }
    }

    fn cut(&mut self, at: usize) -> bool {
        let most = (self.idle() + 1).min(self.budget.left() + 1);
        let pages = self.listing.ordered.then_some(NEAR);
        self.ranges[at].fresh = 0;
        let Some(rest) = self.rest(at) else { return true };
        let pieces = Pieces { most, pages };
        let mut cuts = rest.by_marks(&self.marks, pieces);
        if cuts.is_empty() && !rest.is_marked(&self.marks) {
            cuts = rest.by_number(pieces);
        }
        cuts.truncate(most - 1);
        if cuts.is_empty() {
            return true;
        }
        self.budget.spend(cuts.len());
        self.cut = true;
        let parts = self.ranges[at].cut(cuts, &mut self.ids);
        for (n, part) in parts.into_iter().enumerate() {
            self.ranges.insert(at + 1 + n, part);
        }
        true
    }
}

/// The folder in `folder` that a key is in.
fn child(folder: &str, key: &str) -> Option<String> {
    let end = key.strip_prefix(folder)?.find('/')?;
    Some(key[..=folder.len() + end].to_owned())
}
