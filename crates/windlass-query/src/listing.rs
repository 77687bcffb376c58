//! Listing the files of a path: the first page, then all, or only where filters can want a file.
//!
//! A table of one page is listed whole; filters then only choose among its files. Of a larger one the
//! first page teaches the layout of folders. Names of folders are listed level by level and judged by
//! [`Prune`]; where a filter says what names begin with, only those are listed, and whatever else is
//! at that level is looked for before and behind them. When in doubt everything is listed.

use crate::date_pattern::DatePattern;
use crate::delta::has_log;
use crate::files::{Place, SourceFile};
use crate::free;
use crate::partition::{pair, pairs, value};
use crate::prune::{Known, Prune, Span, common};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use windlass_s3::access::ListOptions;
use windlass_types::{Entry, EntryKind, Location, Result};

/// Entries of a first page; small in tests, so that their tables have several.
pub(crate) const PAGE: usize = if cfg!(test) { 8 } else { 1000 };
/// Folders that are listed one by one at most; of more, everything is listed.
const FOLDERS: usize = 64;
/// Listings side by side.
const AT_ONCE: usize = 8;
/// Beginnings of names at one level that are looked at one by one at most.
const STARTS: usize = 2 * AT_ONCE;

/// What was listed of a path.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// Files that are not empty, in order of key.
    pub(crate) files: Vec<Arc<SourceFile>>,
    /// Empty files.
    pub(crate) empty: usize,
    /// Prefixes that were listed for them.
    pub(crate) prefixes: Vec<String>,
    /// The folder of a Delta Lake table further down.
    pub(crate) delta: Option<String>,
}

/// A path whose first page was read.
pub(crate) struct Begun {
    pub(crate) place: Place,
    pub(crate) first: Listed,
    /// The rest of the listing; None: the first page is all.
    rest: Option<Mutex<BoxStream<'static, Result<Entry>>>>,
    /// It is the folder of a Delta Lake table.
    pub(crate) is_delta: bool,
    pub(crate) requests: Arc<AtomicU64>,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("place", &self.place).finish_non_exhaustive()
    }
}

fn gather(place: &Place, entries: Vec<Entry>, listed: &mut Listed) {
    if listed.delta.is_none() && !place.is_pattern() {
        let log =
            |entry: &Entry| entry.key.find("/_delta_log/").map(|at| entry.key[..=at].to_owned());
        listed.delta = entries.iter().find_map(log);
    }
    for file in entries.into_iter().filter_map(|entry| place.file(entry)) {
        if file.size == 0 {
            listed.empty += 1;
        } else {
            listed.files.push(Arc::new(file));
        }
    }
}

fn settle(mut listed: Listed) -> Listed {
    listed.files.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    listed.files.dedup_by(|a, b| a.object.key == b.object.key);
    listed.prefixes.sort();
    listed
}

/// Lists the first page of a path, or looks at its one key.
pub(crate) async fn begin(place: Place) -> Result<Begun> {
    let requests = Arc::new(AtomicU64::new(0));
    let mut first = Listed { prefixes: vec![place.prefix()], ..Listed::default() };
    if place.is_exact() {
        let file = place.exact().await?;
        if file.size == 0 {
            first.empty = 1;
        } else {
            first.files.push(Arc::new(file));
        }
        first.prefixes.clear();
        return Ok(Begun { place, first, rest: None, is_delta: false, requests });
    }
    let location = Location { bucket: Some(place.bucket.clone()), key: place.prefix() };
    let options = ListOptions {
        recursive: true,
        ordered: true,
        lazy: true,
        requests: Some(Arc::clone(&requests)),
        ..ListOptions::default()
    };
    let mut stream = place.storage.list(&location, options);
    let mut entries = Vec::new();
    let mut more = true;
    while entries.len() < PAGE && more {
        match stream.try_next().await? {
            Some(entry) => entries.push(entry),
            None => more = false,
        }
    }
    requests.fetch_max(1, Ordering::Relaxed); // of storages that do not count
    let is_delta = has_log(&place, &entries, more, &requests).await?;
    gather(&place, entries, &mut first);
    let rest = more.then(|| Mutex::new(stream));
    Ok(Begun { place, first: settle(first), rest, is_delta, requests })
}

impl Begun {
    /// A path at which there is nothing.
    pub(crate) fn nothing(place: Place) -> Self {
        let first = Listed { prefixes: vec![place.prefix()], ..Listed::default() };
        Self { place, first, rest: None, is_delta: false, requests: Arc::default() }
    }

    /// Whether more may follow the first page.
    pub(crate) fn has_more(&self) -> bool {
        self.rest.is_some()
    }

    /// Lists the rest.
    pub(crate) async fn all(&mut self) -> Result<Listed> {
        let mut listed = std::mem::take(&mut self.first);
        if let Some(rest) = self.rest.take() {
            let mut rest = rest.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut entries = Vec::new();
            while let Some(entry) = rest.try_next().await? {
                entries.push(entry);
                if entries.len() == 1000 {
                    gather(&self.place, std::mem::take(&mut entries), &mut listed);
                }
            }
            gather(&self.place, entries, &mut listed);
        }
        Ok(settle(listed))
    }

    /// Lists what the filters can want; None: only all will do.
    pub(crate) async fn pruned(&self, prune: &Prune) -> Result<Option<Listed>> {
        let walk = Walk {
            begun: self,
            prune,
            layout: layout(&self.first.files),
            listed: Mutex::default(),
        };
        let found = walk.by_file().await? || walk.by_pattern().await? || walk.by_folders().await?;
        let listed = walk.listed.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(found.then(|| settle(listed)))
    }
}

/// The folders of the sampled files: what the names at each level below the base begin with.
struct Layout {
    /// At each level the texts before `=`, as they stand in keys; empty for plain folders.
    levels: Vec<BTreeSet<String>>,
    files: usize,
    folders: usize,
    /// A name is escaped that need not be, or one column is at two levels.
    odd: bool,
    /// A number is written with a sign that it need not have.
    signed: bool,
}

fn layout(files: &[Arc<SourceFile>]) -> Layout {
    let mut levels: Vec<BTreeSet<String>> = Vec::new();
    let mut folders: BTreeSet<&str> = BTreeSet::new();
    let (mut odd, mut signed) = (false, false);
    for file in files {
        let below = file.below();
        let folder = below.rfind('/').map_or("", |at| &below[..at]);
        if !folders.insert(folder) || folder.is_empty() {
            continue;
        }
        let mut seen: Vec<String> =
            pairs(&file.object.key[..file.base]).into_iter().map(|(name, _)| name).collect();
        for (at, level) in folder.split('/').enumerate() {
            if levels.len() <= at {
                levels.push(BTreeSet::new());
            }
            let raw = level.split_once('=').map_or("", |(raw, _)| raw);
            levels[at].insert(raw.to_owned());
            if let Some((name, text)) = pair(level) {
                odd |= seen.contains(&name);
                signed |= text.is_some_and(|text| text.starts_with('+') || text == "-0");
                seen.push(name);
            }
            odd |= needless(level);
        }
    }
    Layout { levels, files: files.len(), folders: folders.len(), odd, signed }
}

/// Whether a letter, digit, `-`, `_`, `.` or `~` is escaped: then names cannot be foretold.
fn needless(level: &str) -> bool {
    level.match_indices('%').any(|(at, _)| {
        level
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
    })
}

struct Walk<'a> {
    begun: &'a Begun,
    prune: &'a Prune,
    layout: Layout,
    listed: Mutex<Listed>,
}

/// The names of one level.
#[derive(Default)]
struct Level {
    /// With their `/`.
    folders: Vec<String>,
    objects: Vec<Entry>,
}

impl Walk<'_> {
    fn place(&self) -> &Place {
        &self.begun.place
    }

    fn take(&self, entries: Vec<Entry>) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        gather(self.place(), entries, &mut listed);
    }

    fn note(&self, prefix: &str) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.prefixes.push(prefix.to_owned());
    }

    fn options(&self, recursive: bool) -> ListOptions {
        ListOptions {
            recursive,
            ordered: recursive,
            requests: Some(Arc::clone(&self.begun.requests)),
            ..ListOptions::default()
        }
    }

    fn list(&self, prefix: &str, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        if self.place().storage.walks_folders() {
            self.begun.requests.fetch_add(1, Ordering::Relaxed); // it does not count
        }
        let location =
            Location { bucket: Some(self.place().bucket.clone()), key: prefix.to_owned() };
        self.place().storage.list(&location, options)
    }

    /// The longer of a prefix and that of the path itself; None: nothing begins with both.
    fn narrow(&self, prefix: &str) -> Option<String> {
        let own = self.place().prefix();
        if own.starts_with(prefix) {
            return Some(own);
        }
        prefix.starts_with(&own).then(|| prefix.to_owned())
    }

    /// Everything below a prefix.
    async fn flat(&self, prefix: &str) -> Result<()> {
        let Some(prefix) = self.narrow(prefix) else { return Ok(()) };
        self.note(&prefix);
        let entries = self.list(&prefix, self.options(true)).try_collect().await?;
        self.take(entries);
        Ok(())
    }

    async fn flats(&self, prefixes: Vec<String>) -> Result<()> {
        let lists: Vec<BoxFuture<'_, Result<()>>> = prefixes
            .into_iter()
            .map(|prefix| -> BoxFuture<'_, Result<()>> {
                Box::pin(async move { self.flat(&prefix).await })
            })
            .collect();
        futures::stream::iter(lists).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn level(&self, prefix: &str, after: Option<String>) -> Result<Level> {
        let mut level = Level::default();
        let Some(prefix) = self.narrow(prefix) else { return Ok(level) };
        self.note(&prefix);
        let mut options = self.options(false);
        options.start_after = after;
        let mut entries = self.list(&prefix, options);
        while let Some(entry) = entries.try_next().await? {
            match entry.kind {
                EntryKind::Prefix => level.folders.push(entry.key),
                _ => level.objects.push(entry),
            }
        }
        Ok(level)
    }

    /// By the name of the file itself, where a filter says how it begins.
    async fn by_file(&self) -> Result<bool> {
        let Some(spans) = self.prune.index(free::FILE).and_then(|at| self.prune.spans(at)) else {
            return Ok(false);
        };
        let root = self.place().storage.address(&self.place().bucket, "x");
        let root = root.strip_suffix('x').unwrap_or(&root);
        let mut prefixes = Vec::new();
        for span in &spans {
            let Span::Text(from, to) = span else { return Ok(false) };
            let Some(key) = common(from, to).strip_prefix(root) else { return Ok(false) };
            // The address leaves out the prefix that the connection is bound to.
            let bound = &self.place().storage.binding().prefix;
            prefixes.push(format!("{bound}{key}"));
        }
        prefixes.retain(|prefix| prefix.len() > self.place().prefix().len());
        if prefixes.len() != spans.len() {
            return Ok(false);
        }
        prefixes.sort();
        prefixes.dedup();
        self.flats(prefixes).await?;
        Ok(true)
    }

    /// By the dates that paths begin with.
    async fn by_pattern(&self) -> Result<bool> {
        let Some(pattern) = &self.prune.pattern else { return Ok(false) };
        let Some(spans) = self.prune.index(pattern.column()).and_then(|at| self.prune.spans(at))
        else {
            return Ok(false);
        };
        let Some(prefixes) = dated(pattern, &spans) else { return Ok(false) };
        let base = self.place().base();
        self.flats(prefixes.iter().map(|prefix| format!("{base}{prefix}")).collect()).await?;
        Ok(true)
    }

    /// By folders `k=v`.
    async fn by_folders(&self) -> Result<bool> {
        let deepest = self.deepest();
        if self.layout.odd || deepest.is_none() {
            return Ok(false);
        }
        let base = self.place().base().to_owned();
        let known = self.known(&base);
        self.explore(base, known, 0).await
    }

    /// The last level that a filter names a column of.
    fn deepest(&self) -> Option<usize> {
        let named = |raw: &String| {
            pair(&format!("{raw}="))
                .and_then(|(name, _)| self.prune.index(&name))
                .is_some_and(|at| self.prune.named.contains(&at))
        };
        self.layout.levels.iter().rposition(|names| names.iter().any(named))
    }

    /// What a folder says of every file below it.
    fn known(&self, folder: &str) -> Known {
        let mut known: Known = vec![None; self.prune.fields.len()];
        for (name, text) in pairs(folder) {
            let Some(at) = self.prune.index(&name) else { continue };
            let value = value(self.prune.fields[at].data_type(), text.as_deref());
            // A text that the column's type does not fit says nothing yet.
            if text.is_none() || !value.is_null() {
                known[at] = Some(value);
            }
        }
        known
    }

    fn is_told(&self, known: &Known, level: usize) -> bool {
        self.deepest().is_none_or(|deepest| level > deepest)
            || self.prune.named.iter().all(|at| known[*at].is_some())
    }

    /// Lists below a folder what the filters can want. False: nothing was saved, list all.
    fn explore(&self, folder: String, known: Known, depth: usize) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            if self.is_told(&known, depth) {
                self.flat(&folder).await?;
                return Ok(true);
            }
            if let Some(names) = self.jump(&folder, depth).await? {
                return self.below(&folder, names, depth).await;
            }
            // Names cost as many requests as their files would.
            if self.layout.files < 2 * self.layout.folders && depth == 0 {
                return Ok(false);
            }
            let level = self.level(&folder, None).await?;
            self.below(&folder, Names::Of(vec![level]), depth).await
        })
    }

    /// Goes on below the folders that may be wanted.
    async fn below(&self, folder: &str, names: Names, depth: usize) -> Result<bool> {
        let Names::Of(levels) = names else { return Ok(true) };
        let (mut covers, mut open) = (Vec::new(), Vec::new());
        for mut level in levels {
            level.folders.sort();
            level.folders.dedup();
            self.take(level.objects);
            let rows: Vec<Known> = level.folders.iter().map(|name| self.known(name)).collect();
            let keep = self.prune.keep(&rows);
            let mut ready = Vec::new();
            for ((name, known), keep) in level.folders.into_iter().zip(rows).zip(keep) {
                let told = self.is_told(&known, depth + 1);
                if keep && !told {
                    open.push((name.clone(), known));
                }
                ready.push((name, keep && told));
            }
            covers.extend(cover(&ready));
        }
        if covers.len() + open.len() > FOLDERS {
            if depth == 0 {
                return Ok(false);
            }
            self.flat(folder).await?;
            return Ok(true);
        }
        self.flats(covers).await?;
        let deeper: Vec<BoxFuture<'_, Result<bool>>> = open
            .into_iter()
            .map(|(name, known)| -> BoxFuture<'_, Result<bool>> {
                Box::pin(async move {
                    if !self.explore(name.clone(), known, depth + 1).await? {
                        self.flat(&name).await?;
                    }
                    Ok(true)
                })
            })
            .collect();
        let _: Vec<bool> =
            futures::stream::iter(deeper).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(true)
    }

    /// The names of a level that filters on its column can want, and what else is there.
    async fn jump(&self, folder: &str, depth: usize) -> Result<Option<Names>> {
        let Some(names) = self.layout.levels.get(depth) else { return Ok(None) };
        let mut columns = names.iter().filter(|raw| !raw.is_empty());
        let (Some(raw), None) = (columns.next(), columns.next()) else { return Ok(None) };
        let Some(at) = pair(&format!("{raw}=")).and_then(|(name, _)| self.prune.index(&name))
        else {
            return Ok(None);
        };
        let storage = &self.place().storage;
        if storage.walks_folders() {
            return Ok(None); // one level is read at once
        }
        let Some(spans) = self.prune.spans(at) else { return Ok(None) };
        let signed = self.layout.signed && matches!(spans[..], [Span::Number(..), ..]);
        let starts: BTreeSet<(String, bool)> = spans.iter().flat_map(Span::in_folders).collect();
        if signed || starts.len() > STARTS || starts.iter().any(|(start, _)| start.is_empty()) {
            return Ok(None);
        }
        let block = format!("{folder}{raw}=");
        let of_a_year = 366 * self.layout.files / self.layout.folders.max(1);
        let mut levels = Vec::new();
        let points = spans.iter().all(Span::is_point) && self.deepest() == Some(depth);
        if points {
            let days = spans.iter().all(|span| matches!(span, Span::Day(..)));
            let flats: BTreeSet<String> = starts
                .iter()
                .map(|(start, whole)| match start.get(..4) {
                    // Of few files the whole year, where a day may be written otherwise.
                    Some(year) if days && of_a_year < PAGE => format!("{block}{year}"),
                    _ if *whole => format!("{block}{start}/"),
                    _ => format!("{block}{start}"),
                })
                .collect();
            self.flats(flats.into_iter().collect()).await?;
        } else {
            let starts: BTreeSet<&str> = starts.iter().map(|(start, _)| start.as_str()).collect();
            for start in &starts {
                if starts.iter().any(|other| start != other && start.starts_with(*other)) {
                    continue; // it is listed with the other
                }
                levels.push(self.level(&format!("{block}{start}"), None).await?);
            }
        }
        if !self.place().spells(depth, &format!("{raw}=")) {
            let others = self.beside(folder, raw, depth).await?;
            // One by one: what is between their names is not known.
            levels.extend(
                others
                    .folders
                    .into_iter()
                    .map(|name| Level { folders: vec![name], objects: vec![] }),
            );
            levels.push(Level { folders: vec![], objects: others.objects });
        }
        Ok(Some(if levels.is_empty() { Names::Done } else { Names::Of(levels) }))
    }

    /// What is at a level before and behind the folders of one column.
    async fn beside(&self, folder: &str, raw: &str, depth: usize) -> Result<Level> {
        let block = format!("{folder}{raw}=");
        let mut others = self.level(folder, Some(format!("{folder}{raw}>"))).await?;
        if depth == 0 {
            // The first page holds all that is before them.
            let before = self.begun.first.files.iter().filter(|file| file.object.key < block);
            let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
            listed.files.extend(before.cloned());
        } else {
            let mut before = self.list(folder, self.options(false));
            while let Some(entry) = before.try_next().await? {
                if entry.key >= block {
                    break;
                }
                match entry.kind {
                    EntryKind::Prefix => others.folders.push(entry.key),
                    _ => others.objects.push(entry),
                }
            }
        }
        others.folders.retain(|name| !name.starts_with(&block));
        Ok(others)
    }
}

/// What is to be looked at of a level.
enum Names {
    /// Nothing more: its files are listed.
    Done,
    /// Names; of each part all that there are between its first and its last.
    Of(Vec<Level>),
}

/// Prefixes of dates, few enough to be listed one by one.
fn dated(pattern: &DatePattern, spans: &[Span]) -> Option<Vec<String>> {
    let mut prefixes = Vec::new();
    for span in spans {
        let (from, to) = match span {
            Span::Moment(from, to) => (*from, *to),
            Span::Day(from, to) => (from.and_hms_opt(0, 0, 0)?, to.and_hms_opt(0, 0, 0)?),
            Span::Text(..) | Span::Number(..) => return None,
        };
        prefixes.extend(pattern.prefixes(from, to, FOLDERS)?);
    }
    prefixes.sort();
    prefixes.dedup();
    (prefixes.len() <= FOLDERS).then_some(prefixes)
}

/// The fewest prefixes that cover all wanted names and no unwanted one.
fn cover(names: &[(String, bool)]) -> Vec<String> {
    let (Some((first, _)), Some((last, _))) = (names.first(), names.last()) else {
        return Vec::new();
    };
    if names.iter().all(|(_, keep)| *keep) {
        return vec![common(first, last).to_owned()];
    }
    if names.iter().all(|(_, keep)| !*keep) {
        return Vec::new();
    }
    let at = common(first, last).len();
    let letter = |name: &str| name[at..].chars().next();
    names.chunk_by(|(a, _), (b, _)| letter(a) == letter(b)).flat_map(cover).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_names_are_covered_by_the_fewest_prefixes() {
        let names: Vec<(String, bool)> = (1..=12)
            .flat_map(|month| (1..=28).map(move |day| (month, day)))
            .map(|(month, day)| {
                let keep = month == 2 || (month == 3 && day <= 10);
                (format!("t/dt=2026-{month:02}-{day:02}/"), keep)
            })
            .collect();
        assert_eq!(cover(&names), ["t/dt=2026-02-", "t/dt=2026-03-0", "t/dt=2026-03-10/"]);
        assert_eq!(cover(&[("a/".into(), true), ("ab/".into(), false)]), ["a/"]);
        assert!(cover(&[]).is_empty());
    }

    #[test]
    fn escapes_that_nobody_needs_are_seen() {
        assert!(needless("dt=2026%2D01") && needless("d%74=1"));
        assert!(!needless("city=S%C3%A3o%20Paulo") && !needless("x=%"));
    }
}
