//! What is asked of a copy, and what it answers. Names of fields are part of the contract.

use crate::earlier::Earlier;
use crate::filter::EntryFilter;
use crate::journal::Journal;
use crate::options::CopyOptions;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use windlass_s3::Storage;
use windlass_types::{Location, ObjectPath, Result, RunId};

/// One end of a copy or a comparison.
#[derive(Debug, Clone)]
pub struct Side {
    /// The storage.
    pub storage: Storage,
    /// A key, a prefix ending in `/`, a bucket or a glob.
    pub location: Location,
}

impl Side {
    /// What a person types to name `key` of this side's bucket.
    pub(crate) fn address(&self, key: &str) -> String {
        self.storage.address(self.location.bucket.as_deref().unwrap_or_default(), key)
    }

    /// `key` in this side's bucket.
    pub(crate) fn object(&self, key: &str) -> Result<ObjectPath> {
        let bucket = self.location.need_bucket()?.to_owned();
        Ok(ObjectPath { bucket, key: key.to_owned() })
    }

    /// Whether this is a folder of a machine, where not every key can be a file.
    pub(crate) fn is_folder(&self) -> bool {
        self.storage.binding().bucket.as_deref() == Some(windlass_s3::local::BUCKET)
    }

    /// Whether a key of one side is the same object as that key of the other, as far as names tell.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        let group = self.storage.server_side_copy_group();
        // An older version may be written over the current one.
        self.storage.version().is_none()
            && self.location.bucket == other.location.bucket
            && (group.is_some() && group == other.storage.server_side_copy_group()
                || (self.storage.name() == other.storage.name() && !self.is_folder()))
    }
}

/// What to copy, move or sync.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// From.
    pub source: Side,
    /// To.
    pub destination: Side,
    /// How.
    pub options: CopyOptions,
    /// The condition of `options.where_`, compiled; None takes everything.
    pub filter: Option<Arc<dyn EntryFilter>>,
    /// Remembers uploads in parts, so that a run after this one can go on with them.
    pub journal: Option<Arc<dyn Journal>>,
    /// What earlier attempts of this run did: it is not done again, and is told and counted.
    pub earlier: Option<Arc<Earlier>>,
}

impl CopyRequest {
    /// A request without a condition.
    pub fn new(source: Side, destination: Side, options: CopyOptions) -> Self {
        Self { source, destination, options, filter: None, journal: None, earlier: None }
    }
}

/// What is done with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Written to the destination.
    Copy,
    /// Written to the destination, then deleted at the source.
    Move,
    /// Written over an older state.
    Update,
    /// Deleted.
    Delete,
    /// Left alone.
    Skip,
}

/// How far an item came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A dry run.
    Planned,
    /// Done and verified.
    Done,
    /// Not done; `reason` says why.
    Failed,
    /// Nothing to do; `reason` says why.
    Skipped,
}

/// One line of `-o jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is done.
    pub action: Action,
    /// `CONN:PATH`, or a path of this machine.
    pub source: String,
    /// `CONN:PATH`, or a path of this machine.
    pub destination: String,
    /// Bytes.
    pub size: u64,
    /// How far it came.
    pub status: Status,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// Of one that failed, the code of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of one that failed, what to do, where there is advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a run did; planned figures for a dry one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// Objects copied (also by a move).
    pub copied: u64,
    /// Objects overwritten because they differed.
    pub updated: u64,
    /// Objects deleted; by a move, at the source.
    pub deleted: u64,
    /// Objects left alone.
    pub skipped: u64,
    /// Objects that failed.
    pub failed: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Wall time.
    pub seconds: f64,
    /// Nothing was done.
    pub dry_run: bool,
}

/// Who watches a run.
pub trait Progress: Send + Sync {
    /// Known so far: items and bytes to do. Totals, which grow until the listing ends.
    fn planned(&self, items: u64, bytes: u64) {
        let _ = (items, bytes);
    }

    /// So many more bytes arrived at the destination.
    fn bytes(&self, n: u64) {
        let _ = n;
    }

    /// Something that concerns the run as a whole, for people: one line, without a full stop.
    fn note(&self, text: &str) {
        let _ = text;
    }

    /// Waits until there is room for another item: who passes items on slowly slows the run down
    /// instead of holding them.
    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Everything is done but the trigger file, and that may be written: what must be there before it
    /// is. An error keeps it from being written, and is that of the run.
    fn before_trigger(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// An item came to its end.
    fn item(&self, item: &Item) {
        let _ = item;
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {}
