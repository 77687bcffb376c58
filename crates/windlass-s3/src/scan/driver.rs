//! Reading a listing: which range is asked next, when one is cut, what is handed to the reader.
//!
//! A task of its own, so that requests go out while the reader works. Everything it holds is
//! bounded: [`WINDOW`] pages read ahead, and as many requests as it may have in flight.

mod divide;

use super::budget::Budget;
use super::range::{Range, Rules, Told, hash};
use super::{Answer, Ask, Listing, Message, Pages};
use crate::list::stuck;
use crate::order::{Evidence, ListingOrder};
use crate::row::Row;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use windlass_types::{Error, ErrorCode, Result};

/// Pages held at most, with those under way.
const WINDOW: usize = 56;

/// Rows handed out whose keys are remembered until the order was found to hold: 8 bytes each.
const REMEMBERED: usize = 500_000;

/// A service that has answered faster than this is near: a few requests keep it busy, and more of them
/// would only wait there, each with a page of memory here.
const NEARBY: Duration = Duration::from_millis(8);

/// Requests in flight to a service nearby.
const FEW: usize = 6;

/// Pages held at most of a service nearby, which gives new ones soon.
const FEW_HELD: usize = 2 * FEW;

/// What the order rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// The service's word.
    Promised,
    /// A question that only one order answers so.
    Found,
    /// Nothing yet; only cuts that both orders see alike.
    Open,
    /// It has none: no cuts.
    Lost,
}

/// How far the question about the order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Unasked,
    Asked,
    Answered,
}

/// What a request was for.
enum Purpose {
    Page(u64),
    /// Which order: the answer must be this key, the first in this folder, if it is bytes.
    Order {
        first: String,
        folder: String,
    },
    /// With the one that is known, and that the answer leaves out.
    Folders {
        child: Option<String>,
    },
}

/// Purpose, answer, and how long it took.
type Fetched = (Purpose, Result<Answer>, Duration);

/// The state of one listing.
pub(super) struct Driver {
    pages: Arc<dyn Pages>,
    listing: Listing,
    taken: Arc<Notify>,
    basis: Basis,
    order: ListingOrder,
    evidence: Evidence,
    ranges: VecDeque<Range>,
    ids: u64,
    flying: FuturesUnordered<AbortOnDropHandle<Fetched>>,
    /// Pages read and not handed out.
    held: usize,
    budget: Budget,
    /// The shortest time that a page took.
    fastest: Duration,
    /// Somebody reads on after the first page.
    wanted: bool,
    /// The first page was asked for.
    begun: bool,
    question: Question,
    marks: Vec<String>,
    /// Folders whose levels were asked for.
    seen: HashSet<String>,
    /// Of those questions, how many are under way.
    asking: usize,
    cut: bool,
    /// Hashes of the keys handed out, page by page; None once they are too many.
    given: Option<Vec<Box<[u64]>>>,
    /// How many they are.
    remembered: usize,
    /// After a restart: what must not be handed out again.
    again: Vec<u64>,
}

impl Driver {
    pub(super) fn new(pages: Arc<dyn Pages>, listing: Listing, taken: Arc<Notify>) -> Self {
        let (basis, order) = match (listing.promised, listing.orders.found()) {
            (Some(order), _) => (Basis::Promised, order),
            (None, Some(order)) => (Basis::Found, order),
            (None, None) => (Basis::Open, ListingOrder::Bytes),
        };
        let basis = if order == ListingOrder::None { Basis::Lost } else { basis };
        let until = listing.until.clone();
        let until = until.filter(|_| listing.promised == Some(ListingOrder::Bytes));
        let first = Range::new(0, listing.start_after.clone(), until);
        let budget = Budget::new(listing.spare);
        Self {
            pages,
            listing,
            taken,
            basis,
            order,
            evidence: Evidence::default(),
            ranges: VecDeque::from([first]),
            ids: 0,
            flying: FuturesUnordered::new(),
            held: 0,
            budget,
            fastest: Duration::ZERO,
            wanted: false,
            begun: false,
            question: Question::Unasked,
            marks: Vec::new(),
            seen: HashSet::new(),
            asking: 0,
            cut: false,
            given: Some(Vec::new()),
            remembered: 0,
            again: Vec::new(),
        }
    }

    /// Reads everything; the last message is an end or an error.
    pub(super) async fn run(mut self, reader: mpsc::Sender<Message>) {
        loop {
            self.sweep();
            if self.ranges.is_empty() {
                let _ = reader.send(Message::End).await;
                return;
            }
            self.schedule();
            let rows = self.has_rows();
            let failed = !rows && self.fails();
            if failed {
                let error = self.ranges.iter_mut().find_map(|range| range.failed.take());
                let error =
                    error.unwrap_or_else(|| Error::new(ErrorCode::Internal, "a listing stopped"));
                let _ = reader.send(Message::Failed(error)).await;
                return;
            }
            let taken = Arc::clone(&self.taken);
            tokio::select! {
                biased;
                () = taken.notified() => self.wanted = true,
                permit = reader.reserve(), if rows => {
                    let Ok(permit) = permit else { return };
                    if let Some(rows) = self.next_rows() {
                        permit.send(Message::Rows(rows));
                    }
                }
                Some(fetched) = self.flying.next(), if !self.flying.is_empty() => {
                    match fetched {
                        Ok((purpose, answer, took)) => {
                            self.time(&purpose, took);
                            self.fetched(purpose, answer);
                        }
                        Err(error) => {
                            let error = Error::new(ErrorCode::Internal, "a listing stopped").source(error);
                            self.fail(None, error);
                        }
                    }
                }
                () = reader.closed() => return,
            }
        }
    }

    /// Forgets ranges that were read and handed out.
    fn sweep(&mut self) {
        let over = |range: &Range| range.done && range.ready.is_empty() && range.failed.is_none();
        if self.listing.ordered {
            while self.ranges.front().is_some_and(over) {
                self.ranges.pop_front();
            }
        } else {
            self.ranges.retain(|range| !over(range));
        }
    }

    fn has_rows(&self) -> bool {
        if self.listing.ordered {
            self.ranges.front().is_some_and(|range| !range.ready.is_empty())
        } else {
            self.ranges.iter().any(|range| !range.ready.is_empty())
        }
    }

    /// Whether the next thing to say is an error.
    fn fails(&self) -> bool {
        if self.listing.ordered {
            let ahead = self.ranges.iter().any(|range| range.failed.is_some());
            ahead
                && self
                    .ranges
                    .front()
                    .is_some_and(|range| range.failed.is_some() || range.ready.is_empty())
        } else {
            self.ranges.iter().any(|range| range.failed.is_some())
        }
    }

    fn next_rows(&mut self) -> Option<Vec<Row>> {
        let ready = if self.listing.ordered {
            self.ranges.front_mut().map(|range| &mut range.ready)
        } else {
            self.ranges.iter_mut().map(|range| &mut range.ready).find(|ready| !ready.is_empty())
        };
        let mut rows = ready?.pop_front()?;
        self.held -= 1;
        if !self.again.is_empty() {
            rows.retain(|row| self.again.binary_search(&hash(row.key())).is_err());
        } else if matches!(self.basis, Basis::Found | Basis::Open)
            && let Some(given) = &mut self.given
        {
            self.remembered += rows.len();
            if self.remembered > REMEMBERED {
                self.given = None;
            } else {
                given.push(rows.iter().map(|row| hash(row.key())).collect());
            }
        }
        Some(rows)
    }

    fn spawn(&self, purpose: Purpose, ask: Ask) {
        let pages = Arc::clone(&self.pages);
        let task = async move {
            let begun = Instant::now();
            let answer = pages.page(ask).await;
            (purpose, answer, begun.elapsed())
        };
        self.flying.push(AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// Sends the requests there is room for.
    fn schedule(&mut self) {
        if self.ranges.iter().any(|range| range.failed.is_some()) {
            return;
        }
        self.fetch();
        while self.wanted && self.idle() > 0 && self.split() {
            self.fetch();
        }
    }

    /// Learns how far the service is.
    fn time(&mut self, purpose: &Purpose, took: Duration) {
        if matches!(purpose, Purpose::Page(_)) && (self.fastest.is_zero() || took < self.fastest) {
            self.fastest = took;
        }
    }

    /// Requests that may be in flight.
    fn workers(&self) -> usize {
        let most = self.listing.workers.max(1);
        if self.is_near() { most.min(FEW) } else { most }
    }

    fn is_near(&self) -> bool {
        self.fastest < NEARBY
    }

    /// Pages that may be held.
    fn window(&self) -> usize {
        if self.is_near() { FEW_HELD } else { WINDOW }
    }

    fn idle(&self) -> usize {
        let room = self.window().saturating_sub(self.held + self.flying.len());
        self.workers().saturating_sub(self.flying.len()).min(room)
    }

    fn fetch(&mut self) {
        if self.listing.lazy && !self.wanted && self.begun {
            return;
        }
        // Before anybody reads on, one page is fetched ahead.
        let window = if self.wanted { self.window() } else { 2 };
        for at in 0..self.ranges.len() {
            if self.flying.len() >= self.workers() {
                return;
            }
            let room = self.held + self.flying.len() < window;
            let range = &mut self.ranges[at];
            // The first range always goes on: the others wait for it to be handed out.
            let starved = at == 0 && range.ready.is_empty();
            if range.asked || range.done || !(room || starved) {
                continue;
            }
            range.asked = true;
            self.begun = true;
            self.limit(at);
            let range = &self.ranges[at];
            let (id, ask) = (range.id, range.ask(&self.listing.prefix));
            self.spawn(Purpose::Page(id), ask);
        }
    }

    fn fetched(&mut self, purpose: Purpose, answer: Result<Answer>) {
        match (purpose, answer) {
            (Purpose::Page(id), Ok(answer)) => match self.page(id, answer) {
                Ok(told) if told.violated => {
                    self.listing.orders.note(ListingOrder::None);
                    self.again_plainly();
                }
                Ok(told) => {
                    self.budget.read(told.keys);
                    self.budget.spend(usize::from(told.doubted) + usize::from(told.missed));
                }
                Err(error) => self.fail(Some(id), error),
            },
            (Purpose::Page(id), Err(error)) => self.fail(Some(id), error),
            (Purpose::Order { first, folder }, Ok(answer)) => self.decide(&first, &folder, &answer),
            (Purpose::Folders { child }, Ok(answer)) => self.learn(child, &answer),
            // What was only asked to be faster does not fail the listing.
            (Purpose::Order { .. } | Purpose::Folders { .. }, Err(error)) => {
                tracing::debug!(error = %error, "a listing goes on plainly");
                self.basis = Basis::Lost;
            }
        }
    }

    fn page(&mut self, id: u64, answer: Answer) -> Result<Told> {
        let Some(at) = self.ranges.iter().position(|range| range.id == id) else {
            return Ok(Told::default());
        };
        let range = &mut self.ranges[at];
        let before = range.ready.len();
        let mut rules = Rules {
            what: &self.listing.what,
            order: if self.cut { self.order } else { ListingOrder::None },
            promised: self.basis == Basis::Promised,
            trusting: matches!(self.basis, Basis::Promised | Basis::Found)
                && self.order == ListingOrder::Bytes,
            folders_behind: (self.basis == Basis::Open && self.question == Question::Unasked)
                .then_some(self.listing.prefix.len()),
            evidence: &mut self.evidence,
        };
        let told = range.take(answer, &mut rules);
        self.held += range.ready.len() - before;
        // Open means that either order will do.
        let told = told?;
        if range.done && range.last.is_none() && at > 0 {
            self.ranges[at - 1].sparse = true;
        }
        let fits = self.basis == Basis::Promised || self.joins(at, &told);
        let open = self.basis == Basis::Open && self.evidence.allows(ListingOrder::Segments);
        if !self.cut && !open && self.basis != Basis::Lost && !self.evidence.allows(self.order) {
            self.lose();
        }
        if !fits {
            self.again_plainly();
            return Ok(Told::default());
        }
        Ok(Told { violated: told.violated && !open, ..told })
    }

    /// Whether a range and its neighbours meet: what one saw first behind its end is what the next
    /// began with. Otherwise the cut lost something, or the bucket was written to just there.
    fn joins(&mut self, at: usize, told: &Told) -> bool {
        let mut fits = true;
        if let Some(first) = &told.first {
            if let Some(expected) = &self.ranges[at].expected {
                fits &= expected == first;
            }
            let after = self.ranges[at].after.clone();
            if let Some(before) = at.checked_sub(1).and_then(|at| self.ranges.get_mut(at))
                && before.until == after
            {
                before.edge = Some(first.clone());
            }
        }
        if let Some(beyond) = &told.beyond
            && let Some(until) = self.ranges[at].until.clone()
        {
            match &self.ranges[at].edge {
                Some(edge) => fits &= edge == beyond,
                None => {
                    if let Some(behind) = self.ranges.get_mut(at + 1)
                        && behind.after.as_ref() == Some(&until)
                    {
                        behind.expected = Some(beyond.clone());
                    }
                }
            }
        }
        fits
    }

    /// The listing is in no order that is known: from now on it is read plainly.
    fn lose(&mut self) {
        if self.basis != Basis::Promised {
            let order =
                if self.basis == Basis::Open { self.evidence.order() } else { ListingOrder::None };
            // Found by looking at pages alone, an order is not yet one that cuts may rest on.
            if order == ListingOrder::None {
                self.listing.orders.note(order);
            }
        }
        self.basis = Basis::Lost;
    }

    /// The cuts prove nothing. All is read again, plainly, and what was handed out is left out.
    fn again_plainly(&mut self) {
        tracing::debug!(listing = %self.listing.what, "its parts do not fit; read again");
        self.basis = Basis::Lost;
        self.flying = FuturesUnordered::new();
        self.held = 0;
        self.cut = false;
        self.ids += 1;
        let whole = Range::new(self.ids, self.listing.start_after.clone(), None);
        self.ranges = VecDeque::from([whole]);
        if let Some(given) = self.given.take() {
            self.again = given.concat();
            self.again.sort_unstable();
        } else {
            let error = stuck(&self.listing.what, "its parts do not fit together")
                .hint("set MAX_CONCURRENCY = 1, so that the listing is read plainly");
            self.fail(None, error);
        }
    }

    fn fail(&mut self, id: Option<u64>, error: Error) {
        self.flying = FuturesUnordered::new();
        let at = self.ranges.iter().position(|range| Some(range.id) == id).unwrap_or(0);
        if let Some(range) = self.ranges.get_mut(at) {
            range.failed = Some(error);
        }
    }
}
