//! What differs between two places. The merge is a machine without IO; [`diff`] feeds it.
//!
//! Both listings must come in byte order, which the machine checks. One that is not known to is
//! sorted first, on the disk if need be: a merge of unordered listings would be wrong, not slow.

use crate::digest::{is_md5, is_multipart};
use crate::naming::Source;
use crate::plan::Filter;
use crate::request::Side;
use crate::sort::{SortLimits, sorted};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use windlass_s3::ListOptions;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Result};

/// How two places differ at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Only the left has it.
    OnlyLeft,
    /// Only the right has it.
    OnlyRight,
    /// Both have it, and they differ.
    Differs,
    /// Both have it, and nothing tells them apart.
    Same,
}

/// One path of either place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Below the two places compared.
    pub path: String,
    /// How they differ.
    pub kind: Kind,
    /// What tells them apart (`size`, `content`), or how alike they are known to be (`size` only,
    /// `content`).
    pub by: Option<String>,
    /// The left, if it is there.
    pub left: Option<Entry>,
    /// The right, if it is there.
    pub right: Option<Entry>,
}

/// A side of the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// How a listing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All was seen.
    Complete,
    /// It failed: what was not seen may still be there.
    Incomplete,
}

/// The merge: push what it wants, take what it answers.
#[derive(Debug, Default)]
pub struct Merge {
    left: Lane,
    right: Lane,
}

#[derive(Debug, Default)]
struct Lane {
    next: Option<(String, Entry)>,
    last: Option<String>,
    end: Option<End>,
}

impl Lane {
    fn hungry(&self) -> bool {
        self.next.is_none() && self.end.is_none()
    }
}

impl Merge {
    /// A merge of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The side to read from next; None when all is said.
    pub fn wants(&self) -> Option<Which> {
        let broken = [&self.left, &self.right].iter().any(|lane| lane.end == Some(End::Incomplete));
        match () {
            () if broken => None,
            () if self.left.hungry() => Some(Which::Left),
            () if self.right.hungry() => Some(Which::Right),
            () => None,
        }
    }

    /// Takes the next entry of a side, at `path` below it. An error says that the side is not in
    /// byte order; nothing said before rests on it.
    pub fn push(&mut self, which: Which, path: String, entry: Entry) -> Result<()> {
        let lane = self.lane(which);
        if lane.last.as_ref().is_some_and(|last| *last >= path) {
            return Err(Error::new(
                ErrorCode::ConnectionFailed,
                format!(
                    "the listing is not in order: `{path}` came after `{}`",
                    lane.last.as_deref().unwrap_or_default()
                ),
            ));
        }
        lane.last = Some(path.clone());
        lane.next = Some((path, entry));
        Ok(())
    }

    /// Says that a side has no more.
    pub fn end(&mut self, which: Which, end: End) {
        self.lane(which).end = Some(end);
    }

    /// The next finding, if enough was pushed to be sure of it. After an incomplete end there is
    /// none: what is missing there may only not have been seen.
    pub fn pop(&mut self) -> Option<Difference> {
        if self.left.hungry() || self.right.hungry() || self.wants().is_some() {
            return None;
        }
        if [&self.left, &self.right].iter().any(|lane| lane.end == Some(End::Incomplete)) {
            return None;
        }
        let order = match (&self.left.next, &self.right.next) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let left = if order.is_le() { self.left.next.take() } else { None };
        let right = if order.is_ge() { self.right.next.take() } else { None };
        Some(match (left, right) {
            (Some((path, left)), Some((_, right))) => {
                let (kind, by) = compare(&left, &right);
                Difference {
                    path,
                    kind,
                    by: Some(by.to_owned()),
                    left: Some(left),
                    right: Some(right),
                }
            }
            (Some((path, left)), None) => {
                Difference { path, kind: Kind::OnlyLeft, by: None, left: Some(left), right: None }
            }
            (None, right) => {
                let (path, right) = right?;
                Difference { path, kind: Kind::OnlyRight, by: None, left: None, right: Some(right) }
            }
        })
    }

    fn lane(&mut self, which: Which) -> &mut Lane {
        match which {
            Which::Left => &mut self.left,
            Which::Right => &mut self.right,
        }
    }
}

/// Compares two objects by what their listings say.
fn compare(left: &Entry, right: &Entry) -> (Kind, &'static str) {
    if left.size != right.size {
        return (Kind::Differs, "size");
    }
    match (left.etag.as_deref(), right.etag.as_deref()) {
        (Some(one), Some(two)) if (is_md5(one) || is_multipart(one)) && one == two => {
            (Kind::Same, "content")
        }
        // Two MD5s of one size that differ: other bytes, or other keys of encryption. We say so.
        (Some(one), Some(two)) if is_md5(one) && is_md5(two) => (Kind::Differs, "content"),
        _ => (Kind::Same, "size"),
    }
}

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Which paths.
    pub filter: Filter,
    /// Also say what is the same.
    pub same: bool,
    /// Where size is all that the listings tell, read both; without it only files of this machine
    /// are read, where the other side has an MD5.
    pub content: bool,
    /// How much is held when a listing must be sorted.
    pub sort: SortLimits,
}

/// Compares two places, each a folder, bucket, glob or key. The stream ends with an error if either
/// listing fails, and then says nothing of what that listing did not show.
pub fn diff(
    left: Side,
    right: Side,
    options: DiffOptions,
) -> BoxStream<'static, Result<Difference>> {
    async_stream::try_stream! {
        let mut merge = Merge::new();
        let mut lanes = [listing(&left, &options).await?, listing(&right, &options).await?];
        loop {
            while let Some(mut found) = merge.pop() {
                if found.kind == Kind::Same && found.by.as_deref() == Some("size") {
                    settle(&mut found, &left, &right, options.content).await?;
                }
                if options.same || found.kind != Kind::Same {
                    yield found;
                }
            }
            let Some(which) = merge.wants() else { break };
            let lane = &mut lanes[usize::from(which == Which::Right)];
            match lane.try_next().await {
                Ok(Some((path, entry))) => merge.push(which, path, entry)?,
                Ok(None) => merge.end(which, End::Complete),
                Err(error) => {
                    merge.end(which, End::Incomplete);
                    Err(error)?;
                }
            }
        }
    }
    .boxed()
}

/// Objects of a side by their path below it, in byte order.
async fn listing(
    side: &Side,
    options: &DiffOptions,
) -> Result<BoxStream<'static, Result<(String, Entry)>>> {
    let bucket = side.location.need_bucket()?.to_owned();
    let source = Source::parse(&side.location.key)?;
    if let Source::Key(key) = &source {
        let meta = crate::run::stat_source(&side.storage, &side.location.object()?).await?;
        let entry = Entry {
            path: side.storage.binding().relative(&bucket, key),
            key: key.clone(),
            kind: EntryKind::Object,
            size: Some(meta.size),
            last_modified: meta.last_modified,
            etag: meta.etag,
            storage_class: meta.storage_class,
        };
        // Compared with another key, the names do not matter.
        return Ok(futures::stream::iter([Ok((String::new(), entry))]).boxed());
    }
    let location = Location { bucket: Some(bucket.clone()), key: source.prefix().to_owned() };
    let how = ListOptions { recursive: true, ..ListOptions::default() };
    let filter = options.filter.clone();
    let taken = side
        .storage
        .list(&location, how)
        .try_filter(move |entry| {
            let taken = entry.kind == EntryKind::Object
                && source
                    .relative(&entry.key)
                    .is_some_and(|path| !path.is_empty() && filter.takes(path));
            futures::future::ready(taken)
        })
        .boxed();
    let ordered =
        if side.storage.lists_in_byte_order(&bucket) { taken } else { sorted(taken, options.sort) };
    let base = Source::parse(&side.location.key)?.base().len();
    Ok(ordered.map_ok(move |entry| (entry.key[base..].to_owned(), entry)).boxed())
}

/// Reads what the listings leave open.
async fn settle(found: &mut Difference, left: &Side, right: &Side, content: bool) -> Result<()> {
    let (Some(one), Some(two)) = (&found.left, &found.right) else { return Ok(()) };
    let sum = |entry: &Entry| entry.etag.clone().filter(|etag| is_md5(etag));
    let (sums, read) = ((sum(one), sum(two)), (left.is_folder(), right.is_folder()));
    let cheap = match &sums {
        (Some(_), None) => read.1,
        (None, Some(_)) => read.0,
        _ => read.0 && read.1,
    };
    if !content && !cheap {
        return Ok(());
    }
    let left_sum = match sums.0 {
        Some(sum) => sum,
        None => md5_of(left, &one.key).await?,
    };
    let right_sum = match sums.1 {
        Some(sum) => sum,
        None => md5_of(right, &two.key).await?,
    };
    found.kind = if left_sum.eq_ignore_ascii_case(&right_sum) { Kind::Same } else { Kind::Differs };
    found.by = Some("content".to_owned());
    Ok(())
}

async fn md5_of(side: &Side, key: &str) -> Result<String> {
    let body = side.storage.get(&side.object(key)?, windlass_s3::GetOptions::default()).await?;
    let mut sum = crate::digest::EtagOf::new(None);
    let mut stream = body.stream;
    while let Some(chunk) = stream.try_next().await? {
        sum.update(&chunk);
    }
    Ok(sum.finish())
}

#[cfg(test)]
mod tests;
