//! What a run said, for tests to look at.

use crate::request::{Item, Progress};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keeps what it was told.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) items: Mutex<Vec<Item>>,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) bytes: AtomicU64,
    pub(crate) planned: Mutex<(u64, u64)>,
}

impl Progress for Seen {
    fn planned(&self, items: u64, bytes: u64) {
        *self.planned.lock().unwrap() = (items, bytes);
    }

    fn bytes(&self, n: u64) {
        self.bytes.fetch_add(n, Ordering::SeqCst);
    }

    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }

    fn item(&self, item: &Item) {
        self.items.lock().unwrap().push(item.clone());
    }
}

impl Seen {
    /// The lines, sorted, as text.
    pub(crate) fn lines(&self) -> String {
        let mut lines: Vec<String> = self
            .items
            .lock()
            .unwrap()
            .iter()
            .map(|item| {
                let Item { action, source, destination, size, status, reason, .. } = item;
                let reason = reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
                format!("{status:?} {action:?} {source} -> {destination} {size} B{reason}")
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }
}
