//! What was asked of the service, without what must not be told.

use http::HeaderMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The log keeps this many requests.
const KEPT: usize = 50_000;

/// Headers whose value is a secret; the log says only that they were there.
const SECRET: [&str; 4] = [
    "authorization",
    "x-amz-security-token",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key",
];

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLog {
    /// The operation's name; `Unknown` if the request was refused before it was known.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// The bucket, empty if there was none.
    pub bucket: String,
    /// The key, empty if there was none.
    pub key: String,
    /// The query as it came, without what signs it.
    pub query: String,
    /// The access key id of the signature, if there was one.
    pub access_key_id: Option<String>,
    /// The region of the signature.
    pub region: Option<String>,
    /// All headers by lower-case name; the values of secret ones are `(present)`.
    pub headers: BTreeMap<String, String>,
    /// The status of the answer; 0 while there was none.
    pub status: u16,
}

impl RequestLog {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

/// The headers of a request as the log keeps them.
pub(crate) fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    map.iter()
        .map(|(name, value)| {
            let name = name.as_str();
            let value = if SECRET.contains(&name) {
                "(present)".to_owned()
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            (name.to_owned(), value)
        })
        .collect()
}

/// The query as the log keeps it.
pub(crate) fn query(query: Option<&str>) -> String {
    let secret = |pair: &&str| {
        let pair = pair.to_ascii_lowercase();
        pair.starts_with("x-amz-signature") || pair.starts_with("x-amz-security-token")
    };
    query.unwrap_or_default().split('&').filter(|it| !secret(it)).collect::<Vec<_>>().join("&")
}

#[derive(Default)]
pub(crate) struct Log {
    entries: Mutex<VecDeque<(RequestLog, Arc<AtomicU16>)>>,
    running: AtomicUsize,
    peak: AtomicUsize,
}

impl Log {
    fn entries(&self) -> MutexGuard<'_, VecDeque<(RequestLog, Arc<AtomicU16>)>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, request: RequestLog, status: Arc<AtomicU16>) {
        let mut entries = self.entries();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back((request, status));
    }

    pub(crate) fn all(&self) -> Vec<RequestLog> {
        let entries = self.entries();
        let shown = |(request, status): &(RequestLog, Arc<AtomicU16>)| {
            let mut request = request.clone();
            request.status = status.load(Ordering::Relaxed);
            request
        };
        entries.iter().map(shown).collect()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.entries().iter().filter(|it| operation == "*" || it.0.operation == operation).count()
    }

    pub(crate) fn clear(&self) {
        self.entries().clear();
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// Counts a request as running until the answer is dropped.
    pub(crate) fn enter(&self) -> Running<'_> {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(running, Ordering::Relaxed);
        Running(self)
    }
}

pub(crate) struct Running<'a>(&'a Log);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}
