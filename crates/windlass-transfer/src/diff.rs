//! What differs between two places. The merge is a machine without IO; [`diff`] feeds it.
//!
//! Exact whatever the order of the two listings: see [`merge`].

mod merge;

pub use merge::{Merge, Step};

use crate::digest::{is_md5, is_multipart};
use crate::ends::check_there;
use crate::naming::Source;
use crate::plan::Filter;
use crate::request::Side;
use crate::sort::{Aside, SortLimits, sorted};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use windlass_s3::{ListOptions, ListingOrder, Storage};
use windlass_types::{Entry, EntryKind, Location, Result};

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
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct DiffOptions {
    /// Which paths.
    pub filter: Filter,
    /// Also say what is the same.
    pub same: bool,
    /// Where size is all that the listings tell, read both; without it only files of this machine
    /// are read, where the other side has an MD5.
    pub content: bool,
    /// Sizes alone are compared; nothing is read.
    pub size_only: bool,
    /// What only the right has is not said: everything of the left must be on the right.
    pub one_way: bool,
    /// How much is held when a listing must be sorted.
    pub sort: SortLimits,
}

/// Findings held back at most, to say them in order.
const HELD: usize = 10_000;

/// Compares two places, each a folder, bucket, glob or key that is there
/// ([`counterpart`](crate::naming::counterpart) says what stands for a place on the other side). The
/// stream ends with an error if either listing fails, and then says nothing of what that listing did
/// not show.
///
/// Findings come in byte order of their paths where both sides are promised to list so, and where
/// they are few; else what is on one side only comes last.
pub fn diff(
    left: Side,
    right: Side,
    options: DiffOptions,
) -> BoxStream<'static, Result<Difference>> {
    if in_byte_order(&left.storage, &left.location)
        && in_byte_order(&right.storage, &right.location)
    {
        return in_order(left, right, options);
    }
    async_stream::try_stream! {
        let mut found = in_any_order(left, right, options);
        let mut held = Some(Vec::new());
        while let Some(one) = found.try_next().await? {
            match &mut held {
                None => yield one,
                Some(few) => {
                    few.push(one);
                    if few.len() >= HELD {
                        for one in held.take().into_iter().flatten() {
                            yield one;
                        }
                    }
                }
            }
        }
        let mut few = held.unwrap_or_default();
        few.sort_by(|a: &Difference, b| a.path.cmp(&b.path));
        for one in few {
            yield one;
        }
    }
    .boxed()
}

/// Whether a place is promised to be listed in byte order.
pub(crate) fn in_byte_order(storage: &Storage, location: &Location) -> bool {
    let bucket = location.bucket.as_deref().unwrap_or_default();
    storage.promises_order(bucket) && storage.listing_order(bucket) == ListingOrder::Bytes
}

/// Both sides come in byte order: everything is said at once.
fn in_order(
    left: Side,
    right: Side,
    options: DiffOptions,
) -> BoxStream<'static, Result<Difference>> {
    async_stream::try_stream! {
        let mut merge = Merge::new();
        let mut lanes = [listing(&left, &options).await?, listing(&right, &options).await?];
        loop {
            while let Some(mut found) = merge.pop() {
                if finish(&mut found, &left, &right, &options).await? {
                    yield found;
                }
            }
            let Some(which) = merge.wants() else { break };
            feed(&mut merge, &mut lanes, which).await?;
        }
    }
    .boxed()
}

/// The order of a side is not known, or another one: what seems to be missing is kept, on the disk
/// if it is much, and said when everything was read.
fn in_any_order(
    left: Side,
    right: Side,
    options: DiffOptions,
) -> BoxStream<'static, Result<Difference>> {
    async_stream::try_stream! {
        let mut merge = Merge::of_any_order();
        let mut lanes = [listing(&left, &options).await?, listing(&right, &options).await?];
        let mut kept = [Aside::new(options.sort), Aside::new(options.sort)];
        loop {
            while let Some(step) = merge.step() {
                match step {
                    Step::Keep(which, entry) => {
                        kept[usize::from(which == Which::Right)].push(&entry).await?;
                    }
                    Step::Say(mut found) => {
                        if finish(&mut found, &left, &right, &options).await? {
                            yield found;
                        }
                    }
                }
            }
            let Some(which) = merge.wants() else { break };
            feed(&mut merge, &mut lanes, which).await?;
        }
        // A side in no order may also show a key twice, far apart: then what is left of it may have
        // been on both sides all the same, and only reading again tells.
        let disordered = [Which::Left, Which::Right]
            .iter()
            .any(|which| merge.order(*which) == ListingOrder::None);
        let bases = [base(&left)?, base(&right)?];
        let mut lanes = {
            let [one, two] = kept;
            [below(one.finish(), bases[0]), below(two.finish(), bases[1])]
        };
        let mut merge = Merge::new();
        let mut unsure = false;
        loop {
            while let Some(mut found) = merge.pop() {
                let missing = matches!(found.kind, Kind::OnlyLeft | Kind::OnlyRight);
                if missing && disordered {
                    unsure = true;
                } else if finish(&mut found, &left, &right, &options).await? {
                    yield found;
                }
            }
            let Some(which) = merge.wants() else { break };
            feed(&mut merge, &mut lanes, which).await?;
        }
        if !unsure {
            return;
        }
        let mut merge = Merge::new();
        let mut lanes = [
            below(sorted(entries(&left, &options).await?, options.sort), bases[0]),
            below(sorted(entries(&right, &options).await?, options.sort), bases[1]),
        ];
        loop {
            while let Some(found) = merge.pop() {
                if found.kind == Kind::OnlyLeft || found.kind == Kind::OnlyRight && !options.one_way {
                    yield found;
                }
            }
            let Some(which) = merge.wants() else { break };
            feed(&mut merge, &mut lanes, which).await?;
        }
    }
    .boxed()
}

type Paths = BoxStream<'static, Result<(String, Entry)>>;

/// Reads one more of a side.
async fn feed(merge: &mut Merge, lanes: &mut [Paths; 2], which: Which) -> Result<()> {
    match lanes[usize::from(which == Which::Right)].try_next().await {
        Ok(Some((path, entry))) => merge.push(which, path, entry)?,
        Ok(None) => merge.end(which, End::Complete),
        Err(error) => {
            merge.end(which, End::Incomplete);
            return Err(error);
        }
    }
    Ok(())
}

/// Completes a finding; answers whether it is to be said.
async fn finish(
    found: &mut Difference,
    left: &Side,
    right: &Side,
    options: &DiffOptions,
) -> Result<bool> {
    if options.size_only && found.left.is_some() && found.right.is_some() {
        let same = found.by.as_deref() != Some("size") || found.kind == Kind::Same;
        found.kind = if same { Kind::Same } else { Kind::Differs };
        found.by = Some("size".to_owned());
    } else if found.kind == Kind::Same && found.by.as_deref() == Some("size") {
        settle(found, left, right, options.content).await?;
    }
    Ok(match found.kind {
        Kind::Same => options.same,
        Kind::OnlyRight => !options.one_way,
        Kind::OnlyLeft | Kind::Differs => true,
    })
}

/// Bytes of a key before what is compared.
fn base(side: &Side) -> Result<usize> {
    Ok(match Source::parse(&side.location.key)? {
        // Compared with another key, the names do not matter.
        Source::Key(key) => key.len(),
        source => source.base().len(),
    })
}

/// Entries with their paths.
fn below(entries: BoxStream<'static, Result<Entry>>, base: usize) -> Paths {
    entries.map_ok(move |entry| (entry.key[base..].to_owned(), entry)).boxed()
}

/// Objects of a side by their path below it, in the order of its storage.
async fn listing(side: &Side, options: &DiffOptions) -> Result<Paths> {
    Ok(below(entries(side, options).await?, base(side)?))
}

/// Objects of a side, in the order of its storage.
async fn entries(side: &Side, options: &DiffOptions) -> Result<BoxStream<'static, Result<Entry>>> {
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
        return Ok(futures::stream::iter([Ok(entry)]).boxed());
    }
    let location = Location { bucket: Some(bucket), key: source.prefix().to_owned() };
    let exclude: Vec<String> =
        options.filter.exclude.iter().map(|pattern| pattern.as_str().to_owned()).collect();
    let (side, filter) = (side.clone(), options.filter.clone());
    let rows = crate::filter::listed(&side.storage, location, source.base(), &exclude, true);
    Ok(async_stream::try_stream! {
        let mut rows = rows;
        let mut seen = false;
        while let Some(entry) = rows.try_next().await? {
            let path = source.relative(&entry.key).filter(|_| entry.kind == EntryKind::Object);
            seen |= path.is_some();
            if path.is_some_and(|path| !path.is_empty() && filter.takes(path)) {
                yield entry;
            }
        }
        if !seen && (exclude.is_empty() || !has_any(&side, &source).await?) {
            check_there(&side, &source).await?;
        }
    }
    .boxed())
}

/// Whether a side has anything, where what is excluded was not listed.
async fn has_any(side: &Side, source: &Source) -> Result<bool> {
    let prefix = source.prefix().to_owned();
    let location = Location { bucket: side.location.bucket.clone(), key: prefix };
    let how = ListOptions { recursive: true, ..ListOptions::default() };
    let mut rows = side.storage.list(&location, how);
    while let Some(entry) = rows.try_next().await? {
        if entry.kind == EntryKind::Object && source.relative(&entry.key).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
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
    if sums == (None, None)
        && read == (false, false)
        && let Some(same) = by_stored_checksum(left, &one.key, right, &two.key).await?
    {
        found.kind = if same { Kind::Same } else { Kind::Differs };
        found.by = Some("content".to_owned());
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

/// Compares checksums of whole objects that both services keep; None if there is no such pair.
async fn by_stored_checksum(
    left: &Side,
    left_key: &str,
    right: &Side,
    right_key: &str,
) -> Result<Option<bool>> {
    let (one, two) = (left.object(left_key)?, right.object(right_key)?);
    let (one, two) =
        tokio::try_join!(left.storage.stat(&one, None), right.storage.stat(&two, None))?;
    let whole = |sum: &&String| !sum.contains('-');
    Ok(one
        .checksums
        .iter()
        .filter(|(_, sum)| whole(sum))
        .find_map(|(name, sum)| two.checksums.get(name).filter(whole).map(|other| other == sum)))
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
