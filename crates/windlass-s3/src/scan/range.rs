//! One range of a listing: what was asked, what came, what must be true of it.

use super::{Answer, Ask, PAGE};
use crate::list::{Cycle, stuck};
use crate::order::{Evidence, ListingOrder};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use windlass_types::{Entry, Error, Result};

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
    pub(super) ready: VecDeque<Vec<Entry>>,
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
        let Answer { mut entries, truncated, token } = answer;
        self.asked = false;
        self.pages += 1;
        self.fresh += 1;
        let (came, full) = (entries.len(), entries.len() >= PAGE);
        let limited = matches!(self.limit, Limit::To(_));
        if limited {
            self.limit = Limit::Spent;
        }
        let mut told = Told::default();
        if self.pages == 1 {
            told.first = Some(Edge(entries.first().map(|entry| entry.key.clone())));
        }
        if !rules.promised {
            self.drop_repeated(&mut entries);
        }
        if truncated {
            let token = token.ok_or_else(|| {
                stuck(rules.what, "a page says that more follows, but not where it goes on")
            })?;
            self.cycle.advance(&token, rules.what)?;
            if came > 0 && entries.is_empty() {
                return Err(stuck(rules.what, "a page was given twice"));
            }
            self.next = Next::Token(token);
        }
        self.check(&entries, rules, &mut told);
        if let Some(prefix) = rules.folders_behind {
            self.look_for_folder(&entries, prefix);
        }
        let over = match (&self.until, entries.last()) {
            (Some(until), Some(end)) => rules.order.compare(&end.key, until).is_gt(),
            _ => false,
        };
        let reached = entries.last().map(|end| end.key.clone());
        if over && let Some(until) = &self.until {
            let inside = |entry: &Entry| rules.order.compare(&entry.key, until).is_le();
            let first = entries.iter().find(|entry| !inside(entry));
            told.beyond = Some(Edge(first.map(|entry| entry.key.clone())));
            entries.retain(inside);
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
        told.keys = entries.len();
        told.missed = limited && !self.done;
        self.keys += entries.len();
        if let Some(end) = entries.last() {
            let folder = |key: &str| key.rfind('/').map_or(0, |at| at + 1);
            let same = self
                .last
                .as_deref()
                .is_some_and(|last| last[..folder(last)] == end.key[..folder(&end.key)]);
            self.steady = if same { self.steady + 1 } else { 1 };
            self.last = Some(end.key.clone());
            let step = (entries.len() / SAMPLE).max(1);
            self.sample = entries.iter().step_by(step).map(|entry| entry.key.clone()).collect();
            self.sample.push(end.key.clone());
            self.sampled = entries.len();
            if !rules.promised {
                self.tail = entries.iter().map(|entry| hash(&entry.key)).collect();
            }
            self.ready.push_back(entries);
        }
        Ok(told)
    }

    /// Leaves out what the page before had: some services give the keys at a page's edge twice.
    fn drop_repeated(&self, entries: &mut Vec<Entry>) {
        let Some(last) = &self.last else { return };
        if entries.first().is_some_and(|entry| entry.key <= *last) {
            entries.retain(|entry| entry.key > *last || !self.tail.contains(&hash(&entry.key)));
        }
    }

    /// Finds a folder whose first key is on this page.
    fn look_for_folder(&mut self, entries: &[Entry], prefix: usize) {
        let start = self.after.is_none().then_some("");
        let Some(mut before) = self.last.as_deref().or(start) else { return };
        for entry in entries {
            let slash = entry.key[prefix..].find('/').filter(|at| *at > 0);
            if let Some(slash) = slash {
                let folder = &entry.key[..=prefix + slash];
                if !before.starts_with(folder) {
                    self.folder = Some((folder.to_owned(), entry.key.clone()));
                    return;
                }
            }
            before = &entry.key;
        }
    }

    fn check(&self, entries: &[Entry], rules: &mut Rules<'_>, told: &mut Told) {
        let order = rules.order;
        let mut before = self.last.as_deref();
        for entry in entries {
            if let Some(before) = before {
                rules.evidence.see(before, &entry.key);
            }
            before = Some(&entry.key);
        }
        if order == ListingOrder::None {
            return;
        }
        told.violated = !rules.evidence.allows(order);
        // Within one order the first key tells for the others.
        if let (Some(after), Some(first), None) = (&self.after, entries.first(), &self.last) {
            told.violated |= order.compare(after, &first.key).is_ge();
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
