//! Listing level by level, so that excluded folders are not listed.
//!
//! Where a listing goes from folder to folder anyway, every folder is entered. In an object store each
//! of them costs a request, and a plain listing one for a thousand keys. So a level is looked at before
//! anything of it is handed on, and listed whole where its folders would cost more than may be spent, or
//! where nothing is left out below it. Whoever asked filters what comes.

use super::Folder;
use crate::diff::in_byte_order;
use crate::limited::PAGE;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use windlass_s3::{ListOptions, Storage};
use windlass_types::{Entry, EntryKind, Location, Result};

/// Requests for levels and folders, or for jumps.
const FOLDERS: usize = 32;

/// Requests in all, beyond those of a plain listing and a fifth of its pages.
const SPARE: usize = 44;

/// Rows of a level that are looked at before any is handed on. Few in tests, so that theirs are many.
const AHEAD: usize = if cfg!(test) { 60 } else { 20 * PAGE };

/// What a listing in pieces has cost beyond a plain one, in requests.
#[derive(Debug, Default)]
pub(super) struct Purse {
    folders: usize,
    spent: usize,
}

impl Purse {
    /// Requests left for levels, folders and jumps.
    pub(super) fn left(&self) -> usize {
        FOLDERS.saturating_sub(self.folders).min(self.spare())
    }

    /// Takes so many of them.
    pub(super) fn take(&mut self, requests: usize) {
        self.folders += requests;
        self.spent += requests;
    }

    /// Requests left for reading pieces side by side.
    fn spare(&self) -> usize {
        SPARE.saturating_sub(self.spent)
    }

    /// Counts what a piece has cost.
    pub(super) fn ended(&mut self, piece: &Piece) {
        self.spent += piece.beyond();
    }
}

/// Everything below a place, or a part of it.
pub(super) struct Piece {
    rows: BoxStream<'static, Result<Entry>>,
    requests: Arc<AtomicU64>,
    came: usize,
}

impl Piece {
    /// A listing under what the purse has left.
    pub(super) fn new(
        storage: &Storage,
        location: &Location,
        how: ListOptions,
        purse: &Purse,
    ) -> Self {
        let requests = Arc::new(AtomicU64::new(0));
        let how = ListOptions {
            spare: Some(purse.spare()),
            requests: Some(Arc::clone(&requests)),
            ..how
        };
        Self { rows: storage.list(location, how), requests, came: 0 }
    }

    /// Reads the next row.
    pub(super) async fn row(&mut self) -> Result<Option<Entry>> {
        let row = self.rows.try_next().await?;
        self.came += usize::from(row.is_some());
        Ok(row)
    }

    /// What it has cost beyond its pages, a fifth of them, and the one that it has at least.
    fn beyond(&self) -> usize {
        let own = 1 + self.came / PAGE + self.came * 19 / (100 * PAGE);
        count(&self.requests).saturating_sub(own)
    }
}

/// None where the storage does not count.
fn count(requests: &AtomicU64) -> usize {
    usize::try_from(requests.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
}

/// A level that is being read.
struct Level {
    location: Location,
    /// What was looked at. Its folders are paid for.
    seen: VecDeque<Entry>,
    /// What follows.
    rest: Option<BoxStream<'static, Result<Entry>>>,
}

impl Level {
    /// Reads the next row; whether it is paid for, if it is a folder.
    async fn row(&mut self) -> Result<Option<(Entry, bool)>> {
        if let Some(entry) = self.seen.pop_front() {
            return Ok(Some((entry, true)));
        }
        let Some(rest) = &mut self.rest else { return Ok(None) };
        Ok(rest.try_next().await?.map(|entry| (entry, false)))
    }
}

/// What is being read.
enum Open {
    Level(Level),
    Piece(Piece),
}

impl Open {
    async fn row(&mut self) -> Result<Option<(Entry, bool)>> {
        match self {
            Self::Level(level) => level.row().await,
            Self::Piece(piece) => Ok(piece.row().await?.map(|entry| (entry, true))),
        }
    }
}

/// What holds for all levels of a listing.
struct Walk {
    storage: Storage,
    base: String,
    folders: Vec<Folder>,
    whole: ListOptions,
    /// A folder that is entered costs nothing.
    walks: bool,
    /// The service promises byte order.
    promised: bool,
    purse: Purse,
}

impl Walk {
    /// The path of a folder below the base.
    fn path<'key>(&self, key: &'key str) -> &'key str {
        key.strip_prefix(self.base.as_str()).unwrap_or(key)
    }

    fn excludes(&self, key: &str) -> bool {
        let path = self.path(key);
        let name = path.strip_suffix('/').unwrap_or(path);
        !name.is_empty() && self.folders.iter().any(|folder| folder.is(name))
    }

    /// Whether an excluded folder may lie below this one.
    fn splits(&self, key: &str) -> bool {
        let path = self.path(key);
        self.walks || self.folders.iter().any(|folder| folder.lies_below(path))
    }

    /// Pays for one more folder, if that can be.
    fn pays(&mut self) -> bool {
        if self.walks {
            return true;
        }
        let can = self.purse.left() > 0;
        if can {
            self.purse.take(1);
        }
        can
    }

    fn piece(&self, location: &Location) -> Open {
        Open::Piece(Piece::new(&self.storage, location, self.whole.clone(), &self.purse))
    }

    /// Opens a place that is paid for and that an excluded folder may lie below.
    async fn open(&mut self, location: Location) -> Result<Open> {
        if self.walks {
            let rest = Some(self.storage.list(&location, ListOptions::default()));
            return Ok(Open::Level(Level { location, seen: VecDeque::new(), rest }));
        }
        if self.purse.left() == 0 {
            return Ok(self.piece(&location));
        }
        self.look(location).await
    }

    /// Looks at a level: as one, or whole if that is cheaper.
    async fn look(&mut self, location: Location) -> Result<Open> {
        let requests = Arc::new(AtomicU64::new(0));
        let how = ListOptions { requests: Some(Arc::clone(&requests)), ..ListOptions::default() };
        let mut rows = self.storage.list(&location, how);
        let mut seen = VecDeque::new();
        let (mut looked, mut asked, mut saves) = (0, 0, false);
        let left = self.purse.left();
        let most = AHEAD.min(left * PAGE);
        let ended = loop {
            if asked > left || looked >= most || count(&requests) > left {
                break false;
            }
            let Some(entry) = rows.try_next().await? else { break true };
            looked += 1;
            if entry.kind == EntryKind::Prefix {
                if self.excludes(&entry.key) {
                    saves = true;
                    continue;
                }
                asked += 1;
                saves |= self.splits(&entry.key);
            }
            seen.push_back(entry);
        };
        // Where the order is promised, the rest can be listed whole from any folder on.
        let pays = if ended { saves || asked < 2 } else { self.promised };
        if asked > left || !pays {
            drop(rows);
            self.purse.take(count(&requests).max(looked / PAGE + 1));
            return Ok(self.piece(&location));
        }
        self.purse.take(asked);
        Ok(Open::Level(Level { location, seen, rest: (!ended).then_some(rows) }))
    }

    /// All of a level from this folder on, where byte order is promised.
    fn rest(&self, location: &Location, from: String) -> Open {
        // Before the folder's own key too; what comes of the keys before is left out.
        let after = format!("{}.{}", from.strip_suffix('/').unwrap_or(&from), char::MAX);
        let how = ListOptions { start_after: Some(after), ..self.whole.clone() };
        let mut piece = Piece::new(&self.storage, location, how, &self.purse);
        let rows = piece.rows.try_filter(move |entry| futures::future::ready(entry.key >= from));
        piece.rows = rows.boxed();
        Open::Piece(piece)
    }
}

/// Lists folder by folder where an excluded one may lie, and as a whole where none can or where more
/// requests may not be spent. What is excluded may come all the same.
pub(super) fn by_levels(
    storage: Storage,
    location: Location,
    base: String,
    folders: Vec<Folder>,
    whole: ListOptions,
) -> BoxStream<'static, Result<Entry>> {
    async_stream::try_stream! {
        let bucket = location.bucket.clone();
        let promised = in_byte_order(&storage, &location);
        let walks = storage.walks_folders();
        let purse = Purse::default();
        let mut walk = Walk { storage, base, folders, whole, walks, promised, purse };
        walk.purse.take(1);
        // Depth first, so that the order of the levels is the order of the whole.
        let first = walk.open(location).await?;
        let mut stack = vec![first];
        while let Some(open) = stack.last_mut() {
            let Some((entry, paid)) = open.row().await? else {
                if let Some(Open::Piece(piece)) = stack.pop() {
                    walk.purse.ended(&piece);
                }
                continue;
            };
            if entry.kind != EntryKind::Prefix {
                yield entry;
                continue;
            }
            if walk.excludes(&entry.key) {
                continue;
            }
            if !(paid || walk.pays()) {
                if let Open::Level(level) = &*open {
                    let rest = walk.rest(&level.location, entry.key);
                    *open = rest;
                }
                continue;
            }
            let below = Location { bucket: bucket.clone(), key: entry.key };
            let opened = if walk.splits(&below.key) {
                walk.open(below).await?
            } else {
                walk.piece(&below)
            };
            stack.push(opened);
        }
    }
    .boxed()
}
