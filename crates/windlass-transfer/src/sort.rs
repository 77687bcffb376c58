//! Bringing a listing into byte order without holding it: sorted runs in temporary files, merged.
//!
//! What fits in one run never touches the disk. The files have no names and vanish with us.

mod packed;

use futures::StreamExt;
use futures::stream::BoxStream;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
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

/// Collects records ([`packed`]) of entries, in any order.
pub(crate) struct Sorter {
    limits: SortLimits,
    /// What is not written yet.
    held: Vec<u8>,
    /// Where each record of it begins.
    begins: Vec<usize>,
    /// Those just written, then those merged once, twice and so on.
    runs: Vec<Vec<File>>,
}

impl Sorter {
    pub(crate) fn new(limits: SortLimits) -> Self {
        Self { limits, held: Vec::new(), begins: Vec::new(), runs: Vec::new() }
    }

    /// Takes one record after the other.
    fn push(&mut self, mut records: &[u8]) -> io::Result<()> {
        while let Some(record) = packed::first(records) {
            if !self.held.is_empty() && self.held.len() + record.len() > self.limits.run_bytes {
                self.spill()?;
            }
            self.begins.push(self.held.len());
            self.held.extend_from_slice(record);
            records = &records[record.len()..];
        }
        Ok(())
    }

    /// What is held, in order.
    fn sort(&mut self) -> Held {
        let (held, mut begins) = (std::mem::take(&mut self.held), std::mem::take(&mut self.begins));
        begins.sort_by_key(|begin| packed::key(&held[*begin..]));
        Held { records: held, begins, next: 0 }
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut held = self.sort();
        let mut run = written(|record| Ok(held.next(record)))?;
        // The same memory again.
        (self.held, self.begins) = (held.records, held.begins);
        self.held.clear();
        self.begins.clear();
        for times in 0.. {
            if self.runs.len() == times {
                self.runs.push(Vec::new());
            }
            let alike = &mut self.runs[times];
            alike.push(run);
            if alike.len() < self.limits.fan_in.max(2) {
                break;
            }
            run = merged(std::mem::take(alike))?;
        }
        Ok(())
    }

    /// All records in byte order of their keys.
    fn finish(mut self) -> io::Result<Merged> {
        let held = self.sort();
        // What was merged more often was pushed before.
        let (mut earlier, most) = (Vec::new(), self.limits.fan_in.max(2));
        while let Some(runs) = self.runs.pop() {
            earlier.extend(runs);
            if earlier.len() > most {
                earlier = vec![merged(earlier)?];
            }
        }
        Merged::of(earlier, held)
    }
}

/// Records in memory, in the order of where they begin.
#[derive(Default)]
struct Held {
    records: Vec<u8>,
    begins: Vec<usize>,
    next: usize,
}

impl Held {
    /// Puts the next record in the place of the one that is there; false at the end.
    fn next(&mut self, record: &mut Vec<u8>) -> bool {
        let begin = self.begins.get(self.next).copied();
        let Some(next) = begin.and_then(|begin| packed::first(&self.records[begin..])) else {
            return false;
        };
        self.next += 1;
        record.clear();
        record.extend_from_slice(next);
        true
    }
}

/// A file of what `next` gives, until that is false.
fn written(mut next: impl FnMut(&mut Vec<u8>) -> io::Result<bool>) -> io::Result<File> {
    let mut writer = BufWriter::with_capacity(64 << 10, tempfile::tempfile()?);
    let mut record = Vec::new();
    while next(&mut record)? {
        writer.write_all(&record)?;
    }
    let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// One file of several.
fn merged(runs: Vec<File>) -> io::Result<File> {
    let mut merged = Merged::of(runs, Held::default())?;
    written(|record| merged.next(record))
}

/// A run of records in order.
enum Run {
    File(BufReader<File>),
    Held(Held),
}

impl Run {
    fn next(&mut self, record: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Self::File(file) => packed::read(file, record),
            Self::Held(held) => Ok(held.next(record)),
        }
    }
}

/// The next record of a run, ordered by key, then by run, so that equal keys keep their order.
struct Head {
    record: Vec<u8>,
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
        (packed::key(&self.record), self.run).cmp(&(packed::key(&other.record), other.run))
    }
}

/// Several runs as one.
struct Merged {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl Merged {
    fn of(files: Vec<File>, held: Held) -> io::Result<Self> {
        let files = files.into_iter().map(|file| BufReader::with_capacity(16 << 10, file));
        let mut runs: Vec<Run> = files.map(Run::File).collect();
        runs.push(Run::Held(held));
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (run, rows) in runs.iter_mut().enumerate() {
            let mut record = Vec::new();
            if rows.next(&mut record)? {
                heads.push(Reverse(Head { record, run }));
            }
        }
        Ok(Self { runs, heads })
    }

    /// Puts the next record in the place of the one that is there; false at the end.
    fn next(&mut self, record: &mut Vec<u8>) -> io::Result<bool> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(false) };
        let Reverse(Head { record: next, run }) = &mut *head;
        std::mem::swap(record, next);
        if !self.runs[*run].next(next)? {
            PeekMut::pop(head);
        }
        Ok(true)
    }
}

/// Entries on their way through the hands of a sorter, which works on a thread of its own.
struct Sorting {
    unsorted: mpsc::Sender<Vec<u8>>,
    in_order: mpsc::Receiver<Vec<u8>>,
    /// All was pushed: only then is what was collected worth merging.
    complete: oneshot::Sender<()>,
    work: JoinHandle<io::Result<()>>,
    batch: Batch,
}

/// Records on their way.
#[derive(Default)]
struct Batch {
    records: Vec<u8>,
    count: usize,
}

impl Batch {
    /// Counts what was put into it; answers the records when they are enough.
    fn full(&mut self) -> Option<Vec<u8>> {
        self.count += 1;
        (self.count >= BATCH).then(|| std::mem::take(self).records)
    }
}

impl Sorting {
    fn start(limits: SortLimits) -> Self {
        let (unsorted, mut incoming) = mpsc::channel::<Vec<u8>>(4);
        let (outgoing, in_order) = mpsc::channel::<Vec<u8>>(4);
        let (complete, is_complete) = oneshot::channel::<()>();
        let work = tokio::task::spawn_blocking(move || {
            let mut sorter = Sorter::new(limits);
            while let Some(records) = incoming.blocking_recv() {
                sorter.push(&records)?;
            }
            if is_complete.blocking_recv().is_err() {
                return Ok(());
            }
            let (mut batch, mut record) = (Batch::default(), Vec::new());
            let mut merged = sorter.finish()?;
            while merged.next(&mut record)? {
                batch.records.extend_from_slice(&record);
                if batch.full().is_some_and(|records| outgoing.blocking_send(records).is_err()) {
                    return Ok(());
                }
            }
            let _ = outgoing.blocking_send(batch.records);
            Ok::<(), io::Error>(())
        });
        Self { unsorted, in_order, complete, work, batch: Batch::default() }
    }

    async fn push(&mut self, entry: &Entry) -> Result<()> {
        packed::pack(entry, &mut self.batch.records).map_err(unsortable)?;
        if let Some(records) = self.batch.full() {
            // If it does not take it, it failed, and says so in the end.
            let _ = self.unsorted.send(records).await;
        }
        Ok(())
    }

    fn finish(self) -> BoxStream<'static, Result<Entry>> {
        async_stream::try_stream! {
            let Self { unsorted, mut in_order, complete, work, batch } = self;
            let _ = unsorted.send(batch.records).await;
            let _ = complete.send(());
            drop(unsorted);
            let mut last: Option<Vec<u8>> = None;
            while let Some(records) = in_order.recv().await {
                let mut rest = records.as_slice();
                while let Some(record) = packed::first(rest) {
                    rest = &rest[record.len()..];
                    // A key that a service gave twice is one object.
                    let key = packed::key(record);
                    if last.as_deref() != Some(key) {
                        let last = last.get_or_insert_default();
                        last.clear();
                        last.extend_from_slice(key);
                        yield packed::unpack(record).map_err(unsortable)?;
                    }
                }
            }
            work.await.map_err(crate::object::broken)?.map_err(unsortable)?;
        }
        .boxed()
    }
}

fn unsortable(error: io::Error) -> Error {
    Error::new(ErrorCode::LocalFailed, "cannot sort a listing on the disk")
        .source(error)
        .hint("free some space for temporary files, or set TMPDIR")
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

    pub(crate) async fn push(&mut self, entry: &Entry) -> Result<()> {
        let limits = self.limits;
        self.sorting.get_or_insert_with(|| Sorting::start(limits)).push(entry).await
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
            aside.push(&entry?).await?;
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
            let mut sorter = Sorter::new(SortLimits { run_bytes: 200, fan_in: 3 });
            for (number, key) in (0..).zip(&keys) {
                let mut record = Vec::new();
                packed::pack(&Entry { size: Some(number), ..entry(key) }, &mut record).unwrap();
                sorter.push(&record).unwrap();
            }
            let most = sorter.runs.iter().map(Vec::len).max().unwrap_or_default();
            prop_assert!(most < 3, "{most} runs of one size wait");
            let (mut merged, mut record) = (sorter.finish().unwrap(), Vec::new());
            let mut sorted: Vec<(String, Option<u64>)> = Vec::new();
            while merged.next(&mut record).unwrap() {
                let row = packed::unpack(&record).unwrap();
                sorted.push((row.key, row.size));
            }
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
