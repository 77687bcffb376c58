//! A row of a listing while it waits: small, since listings that are read ahead hold many thousands.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use windlass_types::path::Binding;
use windlass_types::{Entry, EntryKind};

/// An object or a folder of one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The key and behind it the `ETag`.
    text: Box<str>,
    /// Bytes of the key.
    key: usize,
    kind: Kind,
    /// In bytes.
    pub(crate) size: Option<u64>,
    pub(crate) last_modified: Option<DateTime<Utc>>,
    /// One text for all rows of a page that have it.
    pub(crate) storage_class: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    Object,
    /// An object with an `ETag`.
    Tagged,
}

impl Row {
    /// An object of which no more is known.
    pub(crate) fn object(key: &str, etag: Option<&str>) -> Self {
        let kind = if etag.is_some() { Kind::Tagged } else { Kind::Object };
        Self::new(key, etag.unwrap_or_default(), kind)
    }

    /// A folder.
    pub(crate) fn folder(key: &str) -> Self {
        Self::new(key, "", Kind::Folder)
    }

    fn new(key: &str, etag: &str, kind: Kind) -> Self {
        let mut text = String::with_capacity(key.len() + etag.len());
        text.push_str(key);
        text.push_str(etag);
        Self {
            text: text.into_boxed_str(),
            key: key.len(),
            kind,
            size: None,
            last_modified: None,
            storage_class: None,
        }
    }

    /// Gives it another key.
    pub(crate) fn rename(&mut self, key: &str) {
        let Self { text, key, .. } = Self::new(key, &self.text[self.key..], self.kind);
        (self.text, self.key) = (text, key);
    }

    pub(crate) fn key(&self) -> &str {
        &self.text[..self.key]
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }

    /// As the reader of a listing sees it.
    pub(crate) fn entry(self, binding: &Binding, bucket: &str) -> Entry {
        let (key, etag) = self.text.split_at(self.key);
        Entry {
            path: binding.relative(bucket, key),
            key: key.to_owned(),
            kind: if self.is_folder() { EntryKind::Prefix } else { EntryKind::Object },
            size: self.size,
            last_modified: self.last_modified,
            etag: (self.kind == Kind::Tagged).then(|| etag.to_owned()),
            storage_class: self.storage_class.as_deref().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_what_it_was_told() {
        let binding = Binding::default();
        let mut row = Row::object("a/ü", Some("e-2"));
        row.rename("b c");
        assert_eq!((row.key(), row.is_folder()), ("b c", false));
        let entry = Row { size: Some(7), storage_class: Some("GLACIER".into()), ..row }
            .entry(&binding, "lake");
        assert_eq!((entry.key.as_str(), entry.path.as_str()), ("b c", "lake/b c"));
        assert_eq!((entry.etag.as_deref(), entry.size), (Some("e-2"), Some(7)));
        assert_eq!(entry.storage_class.as_deref(), Some("GLACIER"));
        assert_eq!(Row::object("a", None).entry(&binding, "lake").etag, None);
        assert_eq!(Row::object("a", Some("")).entry(&binding, "lake").etag.as_deref(), Some(""));
        let folder = Row::folder("a/");
        assert!(folder.is_folder());
        assert_eq!(folder.entry(&binding, "lake").kind, EntryKind::Prefix);
    }
}
