//! A service in memory that lists in either order, counts, and fails on demand.

use super::{Answer, Ask, Pages};
use crate::order::ListingOrder;
use crate::row::Row;
use async_trait::async_trait;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass_types::{Error, ErrorCode, Result};

/// One bucket.
#[derive(Debug)]
pub(super) struct Fake {
    order: ListingOrder,
    sorted: bool,
    /// In that order.
    keys: Vec<String>,
    pub(super) page: usize,
    /// The last key of a page is the first of the next one too.
    pub(super) repeats: bool,
    /// Requests from this number on fail.
    pub(super) fails_after: usize,
    /// Of every answer.
    pub(super) latency: Duration,
    pub(super) requests: AtomicUsize,
    pub(super) cut: AtomicUsize,
    running: AtomicUsize,
    pub(super) peak: AtomicUsize,
    pub(super) log: Mutex<Vec<Ask>>,
}

impl Fake {
    pub(super) fn new(order: ListingOrder, mut keys: Vec<String>) -> Self {
        keys.sort_by(|a, b| order.compare(a, b));
        keys.dedup();
        Self::as_given(order, keys)
    }

    /// With keys that need not be in the order that `start-after` goes by.
    pub(super) fn as_given(order: ListingOrder, keys: Vec<String>) -> Self {
        Self {
            order,
            sorted: keys.is_sorted_by(|a, b| order.compare(a, b).is_lt()),
            keys,
            page: 1000,
            repeats: false,
            fails_after: usize::MAX,
            latency: Duration::ZERO,
            requests: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            log: Mutex::default(),
        }
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        self.keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Requests that a plain listing takes.
    pub(super) fn plain(&self, prefix: &str) -> usize {
        self.keys(prefix).len().div_ceil(self.page).max(1)
    }

    fn from(&self, ask: &Ask) -> usize {
        if let Some(token) = &ask.token {
            return token.parse().unwrap();
        }
        let Some(after) = &ask.start_after else { return 0 };
        if self.order == ListingOrder::Segments {
            // The folder of exactly this name is passed over.
            let folder = format!("{after}/");
            return self.keys.partition_point(|key| {
                self.order.compare(key, after).is_le()
                    || (!after.ends_with('/') && key.starts_with(&folder))
            });
        }
        // As an index does, whether or not what it finds is in order.
        self.keys.partition_point(|key| self.order.compare(key, after).is_le())
    }

    fn answer(&self, ask: &Ask) -> Answer {
        let most = ask.most.map_or(self.page, |most| usize::try_from(most).unwrap());
        let mut rows: Vec<Row> = Vec::new();
        // Keys with one prefix lie together, in either order.
        let below = |key: &String| self.order.compare(key, &ask.prefix).is_lt();
        let from =
            self.from(ask).max(if self.sorted { self.keys.partition_point(below) } else { 0 });
        for (at, key) in self.keys.iter().enumerate().skip(from) {
            let Some(rest) = key.strip_prefix(ask.prefix.as_str()) else {
                if self.sorted {
                    break;
                }
                continue;
            };
            let folder = rest.find('/').filter(|_| ask.level);
            let text = folder.map_or(key.as_str(), |end| &key[..=ask.prefix.len() + end]);
            if rows.last().is_some_and(|last| last.key() == text) {
                continue;
            }
            if rows.len() == most {
                let at = if self.repeats { at - 1 } else { at };
                return Answer { rows, truncated: true, token: Some(at.to_string()) };
            }
            rows.push(if folder.is_some() { Row::folder(text) } else { Row::object(text, None) });
        }
        Answer { rows, truncated: false, token: None }
    }
}

#[async_trait]
impl Pages for Fake {
    async fn page(&self, ask: Ask) -> Result<Answer> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        // Answers overtake each other.
        for _ in 0..(number % 5) {
            tokio::task::yield_now().await;
        }
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        if ask.start_after.is_some() {
            self.cut.fetch_add(1, Ordering::SeqCst);
        }
        let answer = self.answer(&ask);
        self.log.lock().unwrap().push(ask);
        self.running.fetch_sub(1, Ordering::SeqCst);
        if number >= self.fails_after {
            return Err(Error::new(ErrorCode::ConnectionTimeout, "late"));
        }
        Ok(answer)
    }
}
