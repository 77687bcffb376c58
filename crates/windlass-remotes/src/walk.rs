//! Listing a server of files as keys, in byte order, without holding the tree.
//!
//! A level is sorted with `/` after the names of folders; walking such levels depth first gives byte
//! order of whole keys. Held are the open levels and a few folders read ahead at each, so that a
//! distant server is asked for several at once.

use crate::names::{is_unfinished, join};
use crate::tree::{Item, Tree};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;
use windlass_s3::ListOptions;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Result};

/// Folders of one level asked for before their turn.
const AHEAD: usize = 4;

type Listed = AbortOnDropHandle<Result<Option<Vec<Item>>>>;

/// One open folder.
struct Level {
    /// Empty or ending in `/`.
    key: String,
    /// Where it really is; empty where nobody knows.
    real: String,
    items: VecDeque<Item>,
    /// Folders of `items` already asked for, in order.
    ahead: VecDeque<Listed>,
    /// How many of the folders still in `items` have been asked for.
    asked: usize,
}

impl Level {
    fn new(key: String, real: String, mut items: Vec<Item>, rest: &str, links: bool) -> Self {
        items.retain(|item| {
            let is_wanted = links || item.real.is_none();
            is_wanted && !is_unfinished(&item.name) && sorted(item).starts_with(rest)
        });
        items.sort_by_cached_key(sorted);
        // Some servers list a file twice while it is replaced.
        items.dedup_by(|one, two| one.name == two.name && one.folder == two.folder);
        Self { key, real, items: items.into(), ahead: VecDeque::new(), asked: 0 }
    }

    /// Asks for the next folders of this level.
    fn ask(&mut self, tree: &Arc<dyn Tree>) {
        while self.ahead.len() < AHEAD {
            let mut folders = self.items.iter().filter(|item| item.folder).skip(self.asked);
            let Some(item) = folders.next() else { return };
            let (tree, path) = (Arc::clone(tree), format!("{}{}", self.key, item.name));
            let task = tokio::spawn(async move { tree.list(&path).await });
            self.ahead.push_back(AbortOnDropHandle::new(task));
            self.asked += 1;
        }
    }
}

fn sorted(item: &Item) -> String {
    if item.folder { format!("{}/", item.name) } else { item.name.clone() }
}

/// Lists what begins with `prefix`; with `links`, what folders that are links lead to as well.
pub(crate) fn walk(
    tree: Arc<dyn Tree>,
    prefix: String,
    options: ListOptions,
    links: bool,
) -> BoxStream<'static, Result<Entry>> {
    async_stream::try_stream! {
        let (parent, rest) = match prefix.rfind('/') {
            Some(at) => prefix.split_at(at + 1),
            None => ("", prefix.as_str()),
        };
        check_prefix(parent)?;
        let folder = parent.trim_end_matches('/');
        let Some(items) = tree.list(folder).await? else {
            // Nothing is listed below a prefix that is not there; a root that is missing is a fault.
            if folder.is_empty() {
                Err(Error::new(
                    ErrorCode::BucketNotFound,
                    "the folder to which the connection is bound is not there",
                ).hint("create it, or correct the connection's root"))?;
            }
            return;
        };
        let root = tree.real_root().await?;
        let real = root.as_deref().map_or_else(String::new, |root| join(root, folder));
        let mut stack = vec![Level::new(parent.to_owned(), real, items, rest, links)];
        while let Some(level) = stack.last_mut() {
            if options.recursive {
                level.ask(&tree);
            }
            let Some(item) = level.items.pop_front() else {
                stack.pop();
                continue;
            };
            let key = format!("{}{}", level.key, sorted(&item));
            let before = options.start_after.as_deref().filter(|after| key.as_str() <= *after);
            if !item.folder {
                if before.is_none() {
                    yield entry(key, EntryKind::Object, Some(item));
                }
                continue;
            }
            let asked = if options.recursive {
                level.asked = level.asked.saturating_sub(1);
                level.ahead.pop_front()
            } else {
                None
            };
            if before.is_some_and(|after| !(options.recursive && after.starts_with(&key))) {
                continue;
            }
            if !options.recursive {
                yield entry(key, EntryKind::Prefix, None);
                continue;
            }
            let real = match item.real {
                Some(real) => real,
                None if level.real.is_empty() => String::new(),
                None => join(&level.real, &item.name),
            };
            if !real.is_empty() && stack.iter().any(|above| above.real == real) {
                tracing::debug!(key, "a link leads to a folder above it; not listed again");
                continue;
            }
            let listed = match asked {
                Some(task) => task.await.map_err(|error| {
                    Error::new(ErrorCode::Internal, "a listing stopped").source(error)
                })??,
                None => tree.list(key.trim_end_matches('/')).await?,
            };
            // A folder that vanished since its parent was read is not there: that is no failure.
            if let Some(items) = listed {
                stack.push(Level::new(key, real, items, "", links));
            }
        }
    }
    .boxed()
}

fn check_prefix(parent: &str) -> Result<()> {
    if parent.starts_with('/') || parent.split('/').any(|level| level == ".." || level == ".") {
        return Err(Error::new(
            ErrorCode::PathOutside,
            format!(
                "`{parent}` begins with `/` or holds `.` or `..`, which may lead outside the folder"
            ),
        ));
    }
    Ok(())
}

fn entry(key: String, kind: EntryKind, item: Option<Item>) -> Entry {
    Entry {
        path: key.clone(),
        key,
        kind,
        size: item.as_ref().map(|item| item.size),
        last_modified: item.as_ref().and_then(|item| item.modified),
        etag: item.and_then(|item| item.etag),
        storage_class: None,
    }
}
