//! The arrival of files: what is watched, and how nothing that arrives is missed.
//!
//! Times are no help: an object that was uploaded in parts may show the time its upload began, and
//! two clocks differ. So every look lists the folder and compares it with the fingerprints (key,
//! size, `ETag`, time) of the last one. What is new fires one run, however many files it is. The
//! fingerprints and the run are written in one step: a look that was interrupted finds the same
//! files new again. A file that is replaced arrives again; one that vanished is forgotten. The
//! price is 16 bytes a file in memory during a look, and 22 in the store.

use crate::trigger::{interval_text, quoted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use windlass_state::SeenShard;
use windlass_types::{Error, ErrorCode, FabricId, KeyPattern, Name, Result};

/// Which files are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Connection, by name.
    pub connection: Name,
    /// Where to look, as it was written: `s3://bucket/prefix/` or relative to the connection.
    pub location: String,
    /// Glob over what follows the location; everything if absent.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Seconds between two looks.
    pub poll: u64,
    /// Seconds for which a file must not have changed before it counts as arrived.
    #[serde(default)]
    pub settle: u64,
    /// Whether files that are there when the job is made count as arrived.
    #[serde(default = "yes")]
    pub existing: bool,
}

fn yes() -> bool {
    true
}

/// A file that a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Its key, or path.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// `ETag`, where there is one.
    pub etag: Option<String>,
    /// When it last changed, where that is known.
    pub last_modified: Option<DateTime<Utc>>,
}

/// Looks at folders; given by core.
#[async_trait::async_trait]
pub trait ArrivalSource: Send + Sync {
    /// Lists every file that matches, in any order, and hands each to `found`. An error says that
    /// the list is incomplete; nothing is decided from it. Which of them are new is not the
    /// source's question.
    async fn list(
        &self,
        fabric: FabricId,
        arrival: &Arrival,
        found: &mut (dyn FnMut(Arrived) + Send),
    ) -> Result<()>;
}

impl Arrival {
    /// Checks the pattern and the times.
    pub(crate) fn check(&self) -> Result<()> {
        if self.poll == 0 {
            return Err(Error::new(ErrorCode::ScheduleInvalid, "POLL is at least one second"));
        }
        if self.location.is_empty() {
            return Err(Error::new(ErrorCode::PathInvalid, "an arrival needs a LOCATION"));
        }
        match &self.pattern {
            Some(pattern) => KeyPattern::parse(pattern).map(drop),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ON ARRIVAL IN {} LOCATION = {}", self.connection, quoted(&self.location))?;
        if let Some(pattern) = &self.pattern {
            write!(f, " PATTERN = {}", quoted(pattern))?;
        }
        write!(f, " POLL = {}", interval_text(self.poll))?;
        if self.settle > 0 {
            write!(f, " SETTLE = {}", interval_text(self.settle))?;
        }
        if !self.existing {
            f.write_str(" EXISTING = FALSE")?;
        }
        Ok(())
    }
}

/// Bytes of a fingerprint: two different files are as good as never taken for one.
const PRINT: usize = 16;

type Print = [u8; PRINT];

/// Names of files that a run is told of; it lists the folder itself anyway.
const NAMED: usize = 100;

/// Parts into which what was seen is split, so that a few new files rewrite little of it.
const SHARDS: u8 = 64;

fn shard_of(print: &Print) -> u8 {
    print[0] / (u8::MAX / SHARDS + 1)
}

impl Arrived {
    fn print(&self) -> Print {
        let mut hash = Sha256::new();
        for part in [
            self.key.as_bytes(),
            &self.size.to_be_bytes(),
            self.etag.as_deref().unwrap_or_default().as_bytes(),
            &self.last_modified.map_or(0, |time| time.timestamp_micros()).to_be_bytes(),
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut print = [0; PRINT];
        print.copy_from_slice(&hash.finalize()[..PRINT]);
        print
    }
}

/// A look at a folder while it goes on.
pub(crate) struct Look {
    before: BTreeMap<u8, Vec<Print>>,
    now: Vec<Print>,
    settled: DateTime<Utc>,
    settle: bool,
    arrived: u64,
    first: Vec<String>,
}

/// What a look decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How many files are new.
    pub(crate) arrived: u64,
    /// Some of their keys.
    pub(crate) first: Vec<String>,
    /// The parts of what was seen that changed.
    pub(crate) changed: Vec<SeenShard>,
}

impl Look {
    /// Begins a look, knowing what the last one saw.
    pub(crate) fn begin(arrival: &Arrival, seen: &[SeenShard], now: DateTime<Utc>) -> Self {
        let before = seen
            .iter()
            .filter_map(|shard| {
                // A damaged part is as if it had not been seen: its files arrive again.
                let bytes = STANDARD_NO_PAD.decode(&shard.prints).ok()?;
                let prints: Vec<Print> = bytes.as_chunks::<PRINT>().0.to_vec();
                Some((u8::try_from(shard.shard).ok()?, prints))
            })
            .collect();
        let settle = TimeDelta::seconds(i64::try_from(arrival.settle).unwrap_or(i64::MAX / 2_000));
        Self {
            before,
            now: Vec::new(),
            settled: now.checked_sub_signed(settle).unwrap_or(now),
            settle: arrival.settle > 0,
            arrived: 0,
            first: Vec::new(),
        }
    }

    /// Takes one file of the list.
    pub(crate) fn found(&mut self, file: Arrived) {
        if self.settle && file.last_modified.is_some_and(|time| time > self.settled) {
            return;
        }
        let print = file.print();
        let known = self
            .before
            .get(&shard_of(&print))
            .is_some_and(|prints| prints.binary_search(&print).is_ok());
        if !known {
            self.arrived += 1;
            if self.first.len() < NAMED {
                self.first.push(file.key);
            }
        }
        self.now.push(print);
    }

    /// Ends a look whose list was complete.
    pub(crate) fn end(mut self) -> Seen {
        self.now.sort_unstable();
        self.now.dedup();
        let mut changed = Vec::new();
        let mut rest = self.now.as_slice();
        for shard in 0..SHARDS {
            let (prints, others) =
                rest.split_at(rest.partition_point(|print| shard_of(print) <= shard));
            rest = others;
            let before = self.before.get(&shard).map_or(&[][..], Vec::as_slice);
            if prints != before {
                changed.push(SeenShard {
                    shard: i64::from(shard),
                    prints: STANDARD_NO_PAD.encode(prints.as_flattened()),
                });
            }
        }
        Seen { arrived: self.arrived, first: self.first, changed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn arrival(settle: u64) -> Arrival {
        Arrival {
            connection: Name::new("landing").unwrap(),
            location: "in/".to_owned(),
            pattern: None,
            poll: 60,
            settle,
            existing: true,
        }
    }

    fn look(seen: &mut Vec<SeenShard>, files: &[Arrived]) -> (u64, usize) {
        let mut look = Look::begin(&arrival(0), seen, DateTime::UNIX_EPOCH);
        files.iter().for_each(|file| look.found(file.clone()));
        let found = look.end();
        let changed = found.changed.len();
        for shard in found.changed {
            seen.retain(|old| old.shard != shard.shard);
            if !shard.prints.is_empty() {
                seen.push(shard);
            }
        }
        seen.sort_by_key(|shard| shard.shard);
        (found.arrived, changed)
    }

    proptest! {
        /// Any history of files that come, change, go and come back, listed in any order.
        #[test]
        fn what_is_new_is_what_was_not_there_at_the_last_look(
            history in prop::collection::vec(
                prop::collection::btree_set((0_u8..40, 0_u8..3), 0..60), 1..8),
            backwards in any::<bool>(),
        ) {
            let mut seen = Vec::new();
            let mut before = BTreeSet::new();
            for present in history {
                let mut files: Vec<Arrived> = present
                    .iter()
                    .map(|(key, version)| Arrived {
                        key: format!("k{key}"),
                        size: 1,
                        etag: Some(version.to_string()),
                        last_modified: None,
                    })
                    .collect();
                if backwards {
                    files.reverse();
                }
                let (arrived, changed) = look(&mut seen, &files);
                prop_assert_eq!(arrived, present.difference(&before).count() as u64);
                prop_assert_eq!(changed == 0, present == before);
                before = present;
            }
        }
    }

    #[test]
    fn one_file_among_many_changes_one_part_of_what_was_seen() {
        let file = |index: u32| Arrived {
            key: format!("k{index}"),
            size: 1,
            etag: None,
            last_modified: None,
        };
        let mut files: Vec<Arrived> = (0..20_000).map(file).collect();
        let mut seen = Vec::new();
        assert_eq!(look(&mut seen, &files), (20_000, usize::from(SHARDS)));
        assert_eq!(look(&mut seen, &files), (0, 0));
        files.push(file(20_000));
        assert_eq!(look(&mut seen, &files), (1, 1));
        let bytes: usize = seen.iter().map(|shard| shard.prints.len()).sum();
        assert!(bytes < 22 * files.len(), "{bytes}");
        // A part that was damaged is new again; nothing is lost.
        seen[0].prints = "?".to_owned();
        let (arrived, changed) = look(&mut seen, &files);
        assert!((200..400).contains(&arrived) && changed == 1, "{arrived} {changed}");
    }
}
