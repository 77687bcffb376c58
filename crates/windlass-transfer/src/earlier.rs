//! Going on with a run: what its earlier attempts did is not done again, and is told again.

use crate::change::{ChangeTest, IfExists, Verdict, decide};
use crate::request::{Action, Item, Status};
use crate::run::Run;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_types::Entry;

/// The reason of what an earlier attempt of the run did.
pub(crate) const BEFORE: &str = "done by an earlier attempt of this run";

/// How far the clock of a service may be ahead of ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// What earlier attempts of a run did.
#[derive(Debug)]
pub struct Earlier {
    /// When the first of them began.
    began: DateTime<Utc>,
    done: BTreeMap<String, Item>,
    /// Addresses of what was moved away.
    moved: BTreeSet<String>,
    /// Those of `done` that this attempt has met.
    met: Mutex<BTreeSet<String>>,
}

/// What tells one item of a run from another.
fn key(source: &str, destination: &str) -> String {
    format!("{source}\0{destination}")
}

impl Earlier {
    /// Of a run that began then, and of which these items are known; only those that were done count.
    pub fn new(began: DateTime<Utc>, items: Vec<Item>) -> Self {
        let done: BTreeMap<String, Item> = items
            .into_iter()
            .filter(|item| item.status == Status::Done)
            .map(|item| (key(&item.source, &item.destination), item))
            .collect();
        let moved = done.values().filter(|item| item.action == Action::Move);
        let moved = moved.map(|item| item.source.clone()).collect();
        Self { began, done, moved, met: Mutex::default() }
    }

    /// How many items are known.
    pub fn known(&self) -> usize {
        self.done.len()
    }

    /// Whether this item is one of those that are known, told again.
    pub fn tells_again(&self, item: &Item) -> bool {
        item.reason.as_deref() == Some(BEFORE)
            && self.done.contains_key(&key(&item.source, &item.destination))
    }

    fn met(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that this attempt tells of an item.
    pub(crate) fn meet(&self, item: &Item) {
        let key = key(&item.source, &item.destination);
        if self.done.contains_key(&key) {
            self.met().insert(key);
        }
    }

    /// What was done to an item, if it is known.
    pub(crate) fn action(&self, source: &str, destination: &str) -> Option<Action> {
        self.done.get(&key(source, destination)).map(|item| item.action)
    }

    /// Whether an object of the source was moved away.
    pub(crate) fn has_moved(&self, source: &str) -> bool {
        self.moved.contains(source)
    }

    /// Whether anything was moved away.
    pub(crate) fn has_moved_any(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Takes what this attempt has not met: what was moved away or deleted is listed no more.
    pub(crate) fn take_rest(&self) -> Vec<Item> {
        let mut met = self.met();
        let rest = self.done.iter().filter(|(key, _)| !met.contains(*key));
        let rest: Vec<Item> = rest
            .map(|(_, item)| Item { reason: Some(BEFORE.to_owned()), ..item.clone() })
            .collect();
        met.extend(self.done.keys().cloned());
        rest
    }
}

impl Run {
    /// Whether the destination is looked at before it is written.
    pub(crate) fn compares(&self) -> bool {
        self.options.compares() || self.earlier.is_some()
    }

    /// Whether an earlier attempt has copied this object, and both ends are as they were then. Asked
    /// only where everything is written: other tests leave it alone by themselves. A move copies again
    /// what it has not deleted.
    ///
    /// It is known to have been copied; or it was written since the run began. Whoever wrote it then,
    /// the run could have done its part before.
    pub(crate) async fn copied_before(
        &self,
        source: &Entry,
        to: &str,
        destination: &Entry,
        etags_tell: bool,
    ) -> bool {
        let Some(earlier) = &self.earlier else { return false };
        if self.options.delete_source || self.options.test() != ChangeTest::Always {
            return false;
        }
        let (test, if_exists) = (ChangeTest::Default, IfExists::Overwrite);
        let verdict = decide(test, if_exists, source, destination, self.facts(etags_tell));
        if verdict != Verdict::Same {
            return false;
        }
        let (from, there) = (self.source.address(&source.key), self.destination.address(to));
        if earlier.action(&from, &there).is_some() {
            return true;
        }
        // Of an object that is given something where it is, both ends are always the same.
        if source.key == to && self.source.is_same_place(&self.destination) {
            return false;
        }
        self.written_at(to, destination).await.is_some_and(|time| time >= earlier.began + SKEW)
    }

    /// When an object of the destination was written. A file of this machine keeps the time of its
    /// source, but was made anew when it was written.
    async fn written_at(&self, to: &str, destination: &Entry) -> Option<DateTime<Utc>> {
        let Some(path) = self.destination.storage.local_path(to) else {
            return destination.last_modified;
        };
        let metadata = tokio::fs::symlink_metadata(path).await.ok()?;
        metadata.created().ok().map(DateTime::from)
    }

    /// Whether an earlier attempt has moved this key of the source away.
    pub(crate) fn moved_before(&self, key: &str) -> bool {
        let address = || self.source.address(key);
        self.earlier.as_ref().is_some_and(|earlier| earlier.has_moved(&address()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(action: Action, name: &str, status: Status) -> Item {
        Item {
            action,
            source: format!("a:{name}"),
            destination: format!("b:{name}"),
            size: 1,
            status,
            reason: None,
            code: None,
            hint: None,
        }
    }

    #[test]
    fn what_is_not_met_again_is_told_once() {
        let items = vec![
            item(Action::Move, "moved", Status::Done),
            item(Action::Copy, "copied", Status::Done),
            item(Action::Copy, "failed", Status::Failed),
        ];
        let earlier = Earlier::new(DateTime::UNIX_EPOCH, items);
        assert_eq!(earlier.known(), 2);
        assert!(earlier.has_moved("a:moved") && !earlier.has_moved("a:copied"));
        assert_eq!(earlier.action("a:copied", "b:copied"), Some(Action::Copy));
        assert_eq!(earlier.action("a:failed", "b:failed"), None);
        earlier.meet(&item(Action::Copy, "copied", Status::Done));
        let rest = earlier.take_rest();
        assert_eq!(rest.len(), 1);
        assert!(rest[0].source == "a:moved" && earlier.tells_again(&rest[0]));
        assert!(!earlier.tells_again(&item(Action::Move, "moved", Status::Done)));
        assert!(earlier.take_rest().is_empty());
    }
}
