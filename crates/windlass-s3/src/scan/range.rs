//! One range of a listing: what was asked, what came, what must be true of it.

use super::{Answer, Ask, PAGE};
use crate::list::{Cycle, stuck};
use crate::order::{Evidence, ListingOrder};
use crate::row::Row;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use windlass_types::{Error, Result};

/// Keys of a page that are kept to guess from.
const SAMPLE: usize = 24;

/// A part of the listing, read page after page.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub(super) id: u64,
    /// Begins behind this text.
    pub(super) after: Option<String>,
    /// Ends with this text; None: where the prefix ends.
    pub(super) until: Option<String>,
    next: Next,
    /// A request is under way.
    pub(super) asked: bool,
    /// All was read.
    pub(super) done: bool,
    pub(super) failed: Option<Error>,
    /// Pages that nobody took yet.
    pub(super) ready: VecDeque<Vec<Row>>,
    pub(super) last: Option<String>,
    pub(super) sample: Vec<String>,
    /// Keys on the page that the sample is of.
    pub(super) sampled: usize,
    /// Keys read.
    pub(super) keys: usize,
    pub(super) limit: Limit,
    /// Pages read.
    pub(super) pages: usize,
    /// Pages read since it was last cut, or looked at for that.
    pub(super) fresh: usize,
    /// What was cut off behind it had nothing in it.
    pub(super) sparse: bool,
    /// Pages in a row that ended in the same folder.
    pub(super) steady: usize,
    /// A folder that began on its pages, and its first key.
    pub(super) folder: Option<(String, String)>,
    /// What the range behind began with, once that is known.
    pub(super) edge: Option<Edge>,
    /// What the range in front saw first behind its end, in the same way.
    pub(super) expected: Option<Edge>,
    cycle: Cycle,
    /// Hashes of the last page's keys, to know what comes twice.
    tail: Vec<u64>,
}

/// Where a range goes on.
#[derive(Debug, Default)]
enum Next {
    #[default]
    Start,
    Token(String),
    /// The service says it is over, at a place where some are wrong.
    Doubt(String),
}

/// Keys that a page is asked for, fewer than a whole one, since no more seem to be left. Only once:
/// what was wrong once may be so again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    #[default]
    Unset,
    To(i32),
    Spent,
}

/// The first key behind a cut; None: there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge(Option<String>);

/// What a page told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Keys on it that belong to the range.
    pub(super) keys: usize,
    /// A key came where it must not, by the order in force.
    pub(super) violated: bool,
    /// The end is asked for once more.
    pub(super) doubted: bool,
    /// More was left than the page was asked for.
    pub(super) missed: bool,
    /// Of its first page: the first key on it.
    pub(super) first: Option<Edge>,
    /// Of its last page: the first key behind its end.
    pub(super) beyond: Option<Edge>,
}

/// What the rules of a listing are while a page is read.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) what: &'a str,
    pub(super) order: ListingOrder,
    /// Whether the service promises that order.
    pub(super) promised: bool,
    /// Whether a full last page is believed to be the last.
    pub(super) trusting: bool,
    /// Length of the listing's prefix, where a folder is looked for to ask about.
    pub(super) folders_behind: Option<usize>,
    pub(super) evidence: &'a mut Evidence,
}

impl Range {
    pub(super) fn new(id: u64, after: Option<String>, until: Option<String>) -> Self {
        Self { id, after, until, ..Self::default() }
    }

    /// The next request.
    pub(super) fn ask(&self, prefix: &str) -> Ask {
        let (token, start_after) = match &self.next {
            Next::Start => (None, self.after.clone()),
            Next::Token(token) => (Some(token.clone()), None),
            Next::Doubt(key) => (None, Some(key.clone())),
        };
        let most = match self.limit {
            Limit::To(keys) => Some(keys),
            Limit::Unset | Limit::Spent => None,
        };
        Ask { prefix: prefix.to_owned(), token, start_after, most, ..Ask::default() }
    }

    /// Takes a page.
    pub(super) fn take(&mut self, answer: Answer, rules: &mut Rules<'_>) -> Result<Told> {
        let Answer { mut rows, truncated, token } = answer;
        self.asked = false;
        self.pages += 1;
        self.fresh += 1;
        let (came, full) = (rows.len(), rows.len() >= PAGE);
        let limited = matches!(self.limit, Limit::To(_));
        if limited {
            self.limit = Limit::Spent;
        }
        let mut told = Told::default();
        if self.pages == 1 {
            told.first = Some(Edge(rows.first().map(|row| row.key().to_owned())));
        }
        if !rules.promised {
            self.drop_repeated(&mut rows);
        }
        if truncated {
            let token = token.ok_or_else(|| {
                stuck(rules.what, "a page says that more follows, but not where it goes on")
            })?;
            self.cycle.advance(&token, rules.what)?;
            if came > 0 && rows.is_empty() {
                return Err(stuck(rules.what, "a page was given twice"));
            }
            self.next = Next::Token(token);
        }
        self.check(&rows, rules, &mut told);
        if let Some(prefix) = rules.folders_behind {
            self.look_for_folder(&rows, prefix);
        }
        let over = match (&self.until, rows.last()) {
            (Some(until), Some(end)) => rules.order.compare(end.key(), until).is_gt(),
            _ => false,
        };
        let reached = rows.last().map(|end| end.key().to_owned());
        if over && let Some(until) = &self.until {
            let inside = |row: &Row| rules.order.compare(row.key(), until).is_le();
            let first = rows.iter().find(|row| !inside(row));
            told.beyond = Some(Edge(first.map(|row| row.key().to_owned())));
            rows.retain(inside);
        }
        if over {
            self.done = true;
        } else if !truncated {
            // A service that walks folders may stop at a file that is also a folder.
            if let Some(key) = reached.as_ref().filter(|_| full && !rules.trusting) {
                let slash = if key.ends_with('/') { "" } else { "/" };
                self.next = Next::Doubt(format!("{key}{slash}"));
                told.doubted = true;
            } else {
                self.done = true;
                told.beyond = Some(Edge(None));
            }
        }
        told.keys = rows.len();
        told.missed = limited && !self.done;
        self.keys += rows.len();
        if let Some(end) = rows.last() {
            let folder = |key: &str| key.rfind('/').map_or(0, |at| at + 1);
            let same = self
                .last
                .as_deref()
                .is_some_and(|last| last[..folder(last)] == end.key()[..folder(end.key())]);
            self.steady = if same { self.steady + 1 } else { 1 };
            self.last = Some(end.key().to_owned());
            let step = (rows.len() / SAMPLE).max(1);
            self.sample = rows.iter().step_by(step).map(|row| row.key().to_owned()).collect();
            self.sample.push(end.key().to_owned());
            self.sampled = rows.len();
            if !rules.promised {
                self.tail = rows.iter().map(|row| hash(row.key())).collect();
            }
            self.ready.push_back(rows);
        }
        Ok(told)
    }

    /// Leaves out what the page before had: some services give the keys at a page's edge twice.
    fn drop_repeated(&self, rows: &mut Vec<Row>) {
        let Some(last) = &self.last else { return };
        if rows.first().is_some_and(|row| row.key() <= last.as_str()) {
            rows.retain(|row| row.key() > last.as_str() || !self.tail.contains(&hash(row.key())));
        }
    }

    /// Finds a folder whose first key is on this page.
    fn look_for_folder(&mut self, rows: &[Row], prefix: usize) {
        let start = self.after.is_none().then_some("");
        let Some(mut before) = self.last.as_deref().or(start) else { return };
        for row in rows {
            let slash = row.key()[prefix..].find('/').filter(|at| *at > 0);
            if let Some(slash) = slash {
                let folder = &row.key()[..=prefix + slash];
                if !before.starts_with(folder) {
                    self.folder = Some((folder.to_owned(), row.key().to_owned()));
                    return;
                }
            }
            before = row.key();
        }
    }

    fn check(&self, rows: &[Row], rules: &mut Rules<'_>, told: &mut Told) {
        let order = rules.order;
        let mut before = self.last.as_deref();
        for row in rows {
            if let Some(before) = before {
                rules.evidence.see(before, row.key());
            }
            before = Some(row.key());
        }
        if order == ListingOrder::None {
            return;
        }
        told.violated = !rules.evidence.allows(order);
        // Within one order the first key tells for the others.
        if let (Some(after), Some(first), None) = (&self.after, rows.first(), &self.last) {
            told.violated |= order.compare(after, first.key()).is_ge();
        }
    }

    /// Cuts it at these texts; the parts behind come back, the first of them first.
    pub(super) fn cut(&mut self, cuts: Vec<String>, ids: &mut u64) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::with_capacity(cuts.len());
        let (end, edge) = (self.until.take(), self.edge.take());
        for cut in cuts {
            match parts.last_mut() {
                None => self.until = Some(cut.clone()),
                Some(part) => part.until = Some(cut.clone()),
            }
            *ids += 1;
            parts.push(Self::new(*ids, Some(cut), None));
        }
        match parts.last_mut() {
            None => {
                self.until = end;
                self.edge = edge;
            }
            Some(part) => {
                part.until = end;
                part.edge = edge;
            }
        }
        parts
    }
}

/// A hash of a key, to know it again.
pub(super) fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
