//! Bringing a listing into byte order without holding it: sorted runs in temporary files, merged.
//!
//! What fits in one run never touches the disk. The files have no names and vanish with us.

use futures::StreamExt;
use futures::stream::BoxStream;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use windlass_types::{Entry, Error, ErrorCode, Result};

/// How much is held while sorting.
#[derive(Debug, Clone, Copy)]
pub struct SortLimits {
    /// Bytes of entries sorted in memory at once.
    pub run_bytes: usize,
    /// Runs merged at once. So many of one size are merged to one of the next, so that a row is written
    /// a second time only when there are `fan_in` times as many.
    pub fan_in: usize,
}

impl Default for SortLimits {
    fn default() -> Self {
        Self { run_bytes: 1 << 20, fan_in: 64 }
    }
}

/// Entries handed over at once.
const BATCH: usize = 256;

/// Collects entries, in any order.
pub(crate) struct Sorter {
    limits: SortLimits,
    held: Vec<Entry>,
    held_bytes: usize,
    /// Those just written, then those merged once, twice and so on.
    runs: Vec<Vec<File>>,
}

impl Sorter {
    pub(crate) fn new(limits: SortLimits) -> Self {
        Self { limits, held: Vec::new(), held_bytes: 0, runs: Vec::new() }
    }

    pub(crate) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.held_bytes += size_of::<Entry>()
            + entry.key.len()
            + entry.path.len()
            + entry.etag.as_ref().map_or(0, String::len)
            + entry.storage_class.as_ref().map_or(0, String::len);
        self.held.push(entry);
        if self.held_bytes >= self.limits.run_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        held.sort_by(|a, b| a.key.cmp(&b.key));
        let mut run = write_run(held.into_iter().map(Ok))?;
        for times in 0.. {
            if self.runs.len() == times {
                self.runs.push(Vec::new());
            }
            let alike = &mut self.runs[times];
            alike.push(run);
            if alike.len() < self.limits.fan_in.max(2) {
                break;
            }
            run = write_run(merge(std::mem::take(alike), Vec::new())?)?;
        }
        Ok(())
    }

    /// All entries in byte order of their keys.
    pub(crate) fn finish(mut self) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
        self.held.sort_by(|a, b| a.key.cmp(&b.key));
        // What was merged more often was pushed before.
        let (mut earlier, most) = (Vec::new(), self.limits.fan_in.max(2));
        while let Some(runs) = self.runs.pop() {
            earlier.extend(runs);
            if earlier.len() > most {
                earlier = vec![write_run(merge(earlier, Vec::new())?)?];
            }
        }
        merge(earlier, self.held)
    }
}

fn write_run(entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<File> {
    let mut writer = BufWriter::with_capacity(64 << 10, tempfile::tempfile()?);
    for entry in entries {
        serde_json::to_writer(&mut writer, &entry?)?;
        writer.write_all(b"\n")?;
    }
    let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

type Rows = Box<dyn Iterator<Item = io::Result<Entry>> + Send>;

fn read_run(file: File) -> Rows {
    let lines = BufReader::with_capacity(16 << 10, file).split(b'\n');
    Box::new(lines.map(|line| Ok(serde_json::from_slice(&line?)?)))
}

/// The next row of a run, ordered by key, then by run, so that equal keys keep their order.
struct Head {
    entry: Entry,
    run: usize,
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Head {}
impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.entry.key, self.run).cmp(&(&other.entry.key, other.run))
    }
}

fn merge(
    files: Vec<File>,
    held: Vec<Entry>,
) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
    let mut runs: Vec<Rows> = files.into_iter().map(read_run).collect();
    runs.push(Box::new(held.into_iter().map(Ok)));
    let mut heads = BinaryHeap::new();
    for (run, rows) in runs.iter_mut().enumerate() {
        if let Some(entry) = rows.next() {
            heads.push(Reverse(Head { entry: entry?, run }));
        }
    }
    Ok(std::iter::from_fn(move || {
        let Reverse(Head { entry, run }) = heads.pop()?;
        match runs[run].next() {
            Some(Ok(next)) => heads.push(Reverse(Head { entry: next, run })),
            Some(Err(error)) => {
                heads.clear();
                return Some(Err(error));
            }
            None => {}
        }
        Some(Ok(entry))
    }))
}

/// Entries on their way through the hands of a sorter, which works on a thread of its own.
struct Sorting {
    unsorted: mpsc::Sender<Vec<Entry>>,
    in_order: mpsc::Receiver<Vec<Entry>>,
    /// All was pushed: only then is what was collected worth merging.
    complete: oneshot::Sender<()>,
    work: JoinHandle<io::Result<()>>,
    batch: Vec<Entry>,
}

impl Sorting {
    fn start(limits: SortLimits) -> Self {
        let (unsorted, mut incoming) = mpsc::channel::<Vec<Entry>>(4);
        let (outgoing, in_order) = mpsc::channel::<Vec<Entry>>(4);
        let (complete, is_complete) = oneshot::channel::<()>();
        let work = tokio::task::spawn_blocking(move || {
            let mut sorter = Sorter::new(limits);
            while let Some(batch) = incoming.blocking_recv() {
                for entry in batch {
                    sorter.push(entry)?;
                }
            }
            if is_complete.blocking_recv().is_err() {
                return Ok(());
            }
            let mut batch = Vec::new();
            for entry in sorter.finish()? {
                batch.push(entry?);
                if batch.len() >= BATCH
                    && outgoing.blocking_send(std::mem::take(&mut batch)).is_err()
                {
                    return Ok(());
                }
            }
            let _ = outgoing.blocking_send(batch);
            Ok::<(), io::Error>(())
        });
        Self { unsorted, in_order, complete, work, batch: Vec::new() }
    }

    async fn push(&mut self, entry: Entry) {
        self.batch.push(entry);
        if self.batch.len() >= BATCH {
            // If it does not take it, it failed, and says so in the end.
            let _ = self.unsorted.send(std::mem::take(&mut self.batch)).await;
        }
    }

    fn finish(self) -> BoxStream<'static, Result<Entry>> {
        async_stream::try_stream! {
            let Self { unsorted, mut in_order, complete, work, batch } = self;
            let _ = unsorted.send(batch).await;
            let _ = complete.send(());
            drop(unsorted);
            let mut last: Option<String> = None;
            while let Some(batch) = in_order.recv().await {
                for entry in batch {
                    // A key that a service gave twice is one object.
                    if last.as_ref() != Some(&entry.key) {
                        last = Some(entry.key.clone());
                        yield entry;
                    }
                }
            }
            work.await.map_err(crate::object::broken)?.map_err(|error| {
                Error::new(ErrorCode::LocalFailed, "cannot sort a listing on the disk")
                    .source(error)
                    .hint("free some space for temporary files, or set TMPDIR")
            })?;
        }
        .boxed()
    }
}

/// Entries put aside, to come back in byte order.
pub(crate) struct Aside {
    limits: SortLimits,
    sorting: Option<Sorting>,
}

impl Aside {
    pub(crate) fn new(limits: SortLimits) -> Self {
        Self { limits, sorting: None }
    }

    pub(crate) async fn push(&mut self, entry: Entry) {
        let limits = self.limits;
        self.sorting.get_or_insert_with(|| Sorting::start(limits)).push(entry).await;
    }

    /// All of them, each key once.
    pub(crate) fn finish(self) -> BoxStream<'static, Result<Entry>> {
        match self.sorting {
            Some(sorting) => sorting.finish(),
            None => futures::stream::empty().boxed(),
        }
    }
}

/// The same listing in byte order, each key once. It is read from now on, so that two of them are read
/// side by side. Nothing comes until the listing is complete; if it fails, only its error comes.
pub(crate) fn sorted(
    mut listing: BoxStream<'static, Result<Entry>>,
    limits: SortLimits,
) -> BoxStream<'static, Result<Entry>> {
    let read = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut aside = Aside::new(limits);
        while let Some(entry) = listing.next().await {
            aside.push(entry?).await;
        }
        Ok::<_, Error>(aside)
    }));
    async_stream::try_stream! {
        let mut in_order = read.await.map_err(crate::object::broken)??.finish();
        while let Some(entry) = in_order.next().await {
            yield entry?;
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use proptest::prelude::*;
    use windlass_types::EntryKind;

    fn entry(key: &str) -> Entry {
        Entry {
            key: key.to_owned(),
            kind: EntryKind::Object,
            path: String::new(),
            size: Some(key.len() as u64),
            last_modified: None,
            etag: None,
            storage_class: None,
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_byte_order(keys in proptest::collection::vec("[a-c\\n\"/!é]{0,4}", 0..200)) {
            let mut sorter = Sorter::new(SortLimits { run_bytes: 700, fan_in: 3 });
            for (number, key) in (0..).zip(&keys) {
                sorter.push(Entry { size: Some(number), ..entry(key) }).unwrap();
            }
            let most = sorter.runs.iter().map(Vec::len).max().unwrap_or_default();
            prop_assert!(most < 3, "{most} runs of one size wait");
            let sorted: Vec<(String, Option<u64>)> =
                sorter.finish().unwrap().map(|row| row.unwrap()).map(|row| (row.key, row.size)).collect();
            // Equal keys stay in the order in which they were pushed.
            let mut expected: Vec<_> = keys.into_iter().zip((0..).map(Some)).collect();
            expected.sort();
            prop_assert_eq!(sorted, expected);
        }
    }

    #[tokio::test]
    async fn a_listing_that_fails_gives_nothing_but_its_error() {
        let rows = vec![
            Ok(entry("b")),
            Ok(entry("a")),
            Err(Error::new(ErrorCode::ConnectionTimeout, "late")),
        ];
        let all = sorted(futures::stream::iter(rows).boxed(), SortLimits::default());
        let all: Vec<Result<Entry>> = all.collect().await;
        assert_eq!(all.len(), 1);
        assert!(all[0].is_err());
        let rows = vec![Ok(entry("b")), Ok(entry("a"))];
        let all = sorted(futures::stream::iter(rows).boxed(), SortLimits::default());
        let keys: Vec<Entry> = all.try_collect().await.unwrap();
        assert_eq!(keys, [entry("a"), entry("b")]);
    }
}
