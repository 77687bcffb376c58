//! Copying a large object in parts, side by side; always verified.
//!
//! Where the destination is a file, parts go from the network to their place in it, and what must be
//! summed in order is read there. Elsewhere a part is held until it is written.

use crate::digest::{EtagOf, Expected, PartSum, hex, is_md5, joined, md5, multipart_etag, unhex};
use crate::journal::{Left, MadeOf};
use crate::kept::Told;
use crate::object::{Condition, Written, broken};
use crate::ordered::{Arrived, Reported, read_range, sum_all};
use crate::plan::Found;
use crate::run::{Run, corrupt, interrupted};
use crate::tuning::Range;
use base64::Engine as _;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use windlass_s3::{FileRange, ObjectMeta, Part, PartRange, PutOptions, See, StoredPart, Upload};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Bytes that a part on its way to its place in a file holds at most.
const STREAMED: u64 = 3 << 19;

/// What a part became.
pub(crate) struct Sent {
    pub(crate) part: Part,
    pub(crate) length: u64,
    /// MD5 of its bytes, where it is known.
    pub(crate) md5: Option<[u8; 16]>,
    /// CRC of its bytes, where one of the whole is expected.
    pub(crate) crc: Option<u64>,
}

/// The parts that an upload has, by number.
pub(crate) type Stored = BTreeMap<i32, StoredPart>;

impl Run {
    /// Begins an upload, or goes on with one that an interrupted run has left; fills it by `fill`,
    /// which is told the parts that are there, and completes it. Gives it up on any failure.
    pub(crate) async fn upload<F>(
        &self,
        to: &ObjectPath,
        mut options: PutOptions,
        made_of: &MadeOf,
        fill: F,
    ) -> Result<(Vec<Sent>, Option<String>)>
    where
        F: AsyncFnOnce(Arc<Upload>, Stored) -> Result<Vec<Sent>>,
    {
        let storage = &self.destination.storage;
        options.token = Some(made_of.token());
        let (upload, stored) = if let Some(left) = self.left(to, made_of).await? {
            left
        } else {
            self.begin(to, &options, made_of).await?
        };
        let upload = Arc::new(upload);
        if !stored.is_empty() {
            tracing::info!(key = to.key, parts = stored.len(), "going on with an upload");
        }
        let stored = stored.into_iter().map(|stored| (stored.part.number, stored)).collect();
        let filled = async {
            let mut sent = fill(Arc::clone(&upload), stored).await?;
            self.interrupted()?;
            sent.sort_by_key(|sent| sent.part.number);
            let parts: Vec<Part> = sent.iter().map(|sent| sent.part.clone()).collect();
            let etag = match storage.complete_upload(&upload, &parts, &options).await {
                Err(error) if error.code() == ErrorCode::ObjectNotFound => {
                    let size = sent.iter().map(|sent| sent.length).sum();
                    self.completed(to, &parts, size, error).await?
                }
                other => other?.etag,
            };
            Ok((sent, etag))
        };
        let outcome = filled.await;
        if outcome.is_err() {
            self.give_up(&upload).await;
        } else if let Some(journal) = &self.journal
            && let Err(error) = journal.ended(&upload).await
        {
            // The copy is good. What is noted for nothing is found to be gone later.
            tracing::warn!(object = %to, error = error.chain(), "an upload could not be forgotten");
        }
        outcome
    }

    /// Begins an upload, and notes it; answers the parts it has where a storage has itself found what
    /// was left.
    async fn begin(
        &self,
        to: &ObjectPath,
        options: &PutOptions,
        made_of: &MadeOf,
    ) -> Result<(Upload, Vec<StoredPart>)> {
        let storage = &self.destination.storage;
        if let Some(journal) = &self.journal {
            journal.begins(to, made_of).await?;
        }
        let created = self.retried(|| storage.create_upload(to, options.clone())).await;
        if let (Err(_), Some(journal)) = (&created, &self.journal) {
            journal.not_begun(to).await?;
        }
        let upload = created?;
        let noted = async {
            if let Some(journal) = &self.journal {
                journal.begun(&upload, made_of).await?;
            }
            match storage.placed_in(&upload) {
                Some(_) => storage.list_parts(&upload).await,
                None => Ok(Vec::new()),
            }
        };
        let noted = noted.await;
        if noted.is_err() {
            self.give_up(&upload).await;
        }
        Ok((upload, noted?))
    }

    async fn give_up(&self, upload: &Upload) {
        let given_up = async {
            self.destination.storage.abort_upload(upload).await?;
            match &self.journal {
                Some(journal) => journal.ended(upload).await,
                None => Ok(()),
            }
        };
        if let Err(error) = given_up.await {
            let error = error.chain();
            tracing::warn!(key = upload.key, error, "an upload could not be given up");
        }
    }

    /// The upload to go on with, and its parts. What is left of another state is given up.
    async fn left(
        &self,
        to: &ObjectPath,
        made_of: &MadeOf,
    ) -> Result<Option<(Upload, Vec<StoredPart>)>> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let mut found = None;
        for Left { upload, same } in journal.take(to, made_of).await? {
            if !same || found.is_some() {
                self.give_up(&upload).await;
                continue;
            }
            match self.retried(|| self.destination.storage.list_parts(&upload)).await {
                Ok(stored) => found = Some((upload, stored)),
                Err(error) if error.code() == ErrorCode::ObjectNotFound => {
                    journal.ended(&upload).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Reads ranges side by side and writes them as parts.
    pub(crate) async fn in_parts(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<Written> {
        let meta = self.unchanged(from, state).await?;
        let expected = Arc::new(self.expected(from, &meta).await?);
        let least = if self.destination.is_folder() {
            self.tuning.to_file(meta.size, &expected)
        } else {
            self.tuning.part_size
        };
        let made_of = self.made_of(from, &meta, least);
        let options = self.put_options(from, &meta, to, Told::Alone, condition).await?;
        let (sent, etag) = self
            .upload(to, options, &made_of, async |upload, stored| {
                let result = self.parts(from, &meta, &expected, upload, stored, made_of.part).await;
                if result.is_err() {
                    self.interrupted()?;
                }
                result
            })
            .await?;
        self.verify_parts(to, meta.size, &sent, etag.as_deref()).await?;
        Ok(Written::proven(etag))
    }

    /// What an upload of this source is made of.
    pub(crate) fn made_of(&self, from: &ObjectPath, meta: &ObjectMeta, least: u64) -> MadeOf {
        MadeOf {
            source: self.source.address(&from.key),
            etag: meta.etag.clone(),
            size: meta.size,
            part: self.tuning.part_size(meta.size, least),
        }
    }

    /// Finds out whether parts that were written have become what was sent.
    pub(crate) async fn verify_parts(
        &self,
        to: &ObjectPath,
        size: u64,
        sent: &[Sent],
        etag: Option<&str>,
    ) -> Result<()> {
        let sums: Option<Vec<[u8; 16]>> = sent.iter().map(|sent| sent.md5).collect();
        // Without them every part has been proven, and the service was told which they are.
        let Some(sums) = sums.filter(|_| !self.destination.is_folder()) else { return Ok(()) };
        let lengths = sent.iter().map(|sent| sent.length).collect();
        self.verify_written(to, size, &multipart_etag(&sums), etag, Some(lengths)).await
    }

    /// Sends every part, each of `part` bytes; verifies the source before anything is completed.
    async fn parts(
        self: &Arc<Self>,
        from: &ObjectPath,
        meta: &ObjectMeta,
        expected: &Arc<Expected>,
        upload: Arc<Upload>,
        mut stored: Stored,
        part: u64,
    ) -> Result<Vec<Sent>> {
        let file = self.destination.storage.placed_in(&upload);
        let (to_sum, summing) = if expected.needs_order() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let summing = tokio::spawn(sum_all(Arc::clone(expected), file.clone(), receiver));
            (Some(sender), Some(AbortOnDropHandle::new(summing)))
        } else {
            (None, None)
        };
        // A part that goes from or to a file needs no memory.
        let read_from = match &file {
            Some(_) => None,
            None => self.source.storage.open_file(from, meta.etag.as_deref()).await?,
        };
        let streamed = file.is_some() || read_from.is_some();
        let mut ranges = self.tuning.ranges(meta.size, part);
        let mut tasks: JoinSet<Result<Sent>> = JoinSet::new();
        let mut sent = Vec::new();
        let mut next = ranges.next();
        let held = |range: Range| if streamed { range.length.min(STREAMED) } else { range.length };
        while next.is_some() || !tasks.is_empty() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(interrupted()),
                Some(done) = tasks.join_next(), if !tasks.is_empty() => sent.push(done.map_err(broken)??),
                // Taken in the order of parts: the first one under way never waits for a later one.
                room = self.room(next.map_or(0, held)), if next.is_some() => {
                    let ((memory, place), Some(range)) = (room?, next) else { continue };
                    next = ranges.next();
                    let (run, from, etag) = (Arc::clone(self), from.clone(), meta.etag.clone());
                    let (upload, expected) = (Arc::clone(&upload), Arc::clone(expected));
                    let (to_sum, file, read_from) = (to_sum.clone(), file.clone(), read_from.clone());
                    let stored = stored
                        .remove(&range.number)
                        .filter(|stored| stored.size == range.length)
                        .map(|stored| stored.part);
                    tasks.spawn(async move {
                        let memory = Arc::new(memory);
                        let sent = if let Some(file) = file {
                            let told = to_sum.clone();
                            let sent = match stored {
                                Some(part) => run.placed(part, range, file, &expected).await?,
                                None => run.stream(&from, range, etag.as_deref(), &upload, &expected, told).await?,
                            };
                            if let Some(to_sum) = to_sum {
                                let _ = to_sum.send((range, Reported::InFile(range.length)));
                            }
                            sent
                        } else if let Some(file) = read_from.filter(|_| stored.is_none()) {
                            let Range { offset, length, .. } = range;
                            let body = Sends::File(FileRange { file, offset, length });
                            run.pass(length).await?;
                            run.send(&upload, range.number, body, &expected).await?
                        } else {
                            let bytes = run.part(&from, range, etag.as_deref()).await?;
                            if let Some(to_sum) = to_sum {
                                let here = Reported::Here(bytes.clone(), Arc::clone(&memory));
                                let _ = to_sum.send((range, here));
                            }
                            match stored.and_then(|part| matching(part, &bytes, &expected)) {
                                Some(sent) => {
                                    run.progress.bytes(sent.length);
                                    sent
                                }
                                None => run.send(&upload, range.number, bytes.into(), &expected).await?,
                            }
                        };
                        drop((memory, place));
                        run.width.done(range.length);
                        Ok(sent)
                    });
                }
            }
        }
        drop(to_sum);
        if streamed && self.source.is_folder() {
            self.still(from, meta).await?;
        }
        sent.sort_by_key(|sent| sent.part.number);
        let holds = match summing {
            Some(summing) => tokio::select! {
                () = self.cancel.cancelled() => return Err(interrupted()),
                holds = summing => holds.map_err(broken)??,
            },
            None => joined(expected, sent.iter().filter_map(|sent| Some((sent.crc?, sent.length)))),
        };
        if holds || !self.is_regular(from, meta, expected).await? {
            Ok(sent)
        } else {
            Err(corrupt(&from.key))
        }
    }

    /// A part that an interrupted run has placed in the file.
    async fn placed(
        &self,
        part: Part,
        range: Range,
        file: Arc<File>,
        expected: &Expected,
    ) -> Result<Sent> {
        let mut sum = PartSum::new(expected);
        let crc = if sum.is_wanted() {
            let summed = tokio::task::spawn_blocking(move || {
                let read = read_range(&file, range, |piece| sum.update(piece));
                read.then(|| sum.finish()).flatten()
            });
            summed.await.map_err(broken)?
        } else {
            None
        };
        self.progress.bytes(range.length);
        Ok(Sent { part, length: range.length, md5: None, crc })
    }

    /// Takes one part from the source to its place in a file, and tells what is there of it.
    async fn stream(
        &self,
        from: &ObjectPath,
        range: Range,
        etag: Option<&str>,
        upload: &Upload,
        expected: &Expected,
        told: Option<mpsc::UnboundedSender<Arrived>>,
    ) -> Result<Sent> {
        let Range { number, offset, length } = range;
        let (part, crc) = self
            .retried(|| async {
                let _slot = self.slot().await?;
                let body = self.open_part(from, range, etag).await?;
                let sum = Arc::new(Mutex::new(PartSum::new(expected)));
                let place = PartRange { number, offset, length };
                let see: See = if let Some(told) = told.clone() {
                    let mut tell = Tell::anew(told, range);
                    Box::new(move |bytes| tell.next(bytes))
                } else {
                    let sum = Arc::clone(&sum);
                    Box::new(move |bytes| lock(&sum).update(bytes))
                };
                let storage = &self.destination.storage;
                let part = storage.write_part(upload, place, body.stream, see).await?;
                let crc = lock(&sum).finish();
                Ok((part, crc))
            })
            .await?;
        self.progress.bytes(length);
        Ok(Sent { part, length, md5: None, crc })
    }

    /// Writes one part; a part that arrived with another MD5 is written again.
    pub(crate) async fn send(
        &self,
        upload: &Upload,
        number: i32,
        body: Sends,
        expected: &Expected,
    ) -> Result<Sent> {
        let storage = &self.destination.storage;
        let mut suspect = false;
        let (part, md5) = loop {
            let part = self
                .retried(|| async {
                    let _slot = self.slot().await?;
                    match &body {
                        Sends::Bytes(bytes) => {
                            storage.upload_part(upload, number, bytes.clone()).await
                        }
                        Sends::File(range) => {
                            storage.upload_part_of(upload, number, range.clone()).await
                        }
                    }
                })
                .await?;
            if self.destination.is_folder() {
                break (part, None);
            }
            // What was proven has either its MD5 as ETag, or nothing that could be compared.
            if part.proven {
                let md5 = unhex(&part.etag);
                break (part, md5);
            }
            let md5 = body.md5().await?;
            // Twice the same disagreement: its ETags are no MD5s. The whole is verified in the end.
            let agrees = !is_md5(&part.etag) || part.etag.eq_ignore_ascii_case(&hex(&md5));
            if agrees || suspect {
                break (part, Some(md5));
            }
            suspect = true;
        };
        let (length, crc) = match &body {
            Sends::Bytes(bytes) => (bytes.len() as u64, PartSum::of(expected, bytes)),
            // Nothing is known of a file but its state.
            Sends::File(range) => (range.length, None),
        };
        self.progress.bytes(length);
        Ok(Sent { part, length, md5, crc })
    }
}

/// Bytes after which it is told that they are there.
const TOLD: u64 = 1 << 20;

/// Tells what is there of a range while it is written.
struct Tell {
    to: mpsc::UnboundedSender<Arrived>,
    range: Range,
    seen: u64,
    told: u64,
}

impl Tell {
    /// Of a range of which nothing is there any more.
    fn anew(to: mpsc::UnboundedSender<Arrived>, range: Range) -> Self {
        let tell = Self { to, range, seen: 0, told: 0 };
        tell.tell(0);
        tell
    }

    /// These bytes are there, after those before them. That all are there is told by whoever sent for
    /// them, once.
    fn next(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        if self.seen >= self.told + TOLD && self.seen < self.range.length {
            self.told = self.seen;
            self.tell(self.seen);
        }
    }

    fn tell(&self, there: u64) {
        // Nobody listens any more once the copy has failed.
        let _ = self.to.send((self.range, Reported::InFile(there)));
    }
}

/// The bytes of a part that is to be sent.
pub(crate) enum Sends {
    Bytes(Bytes),
    File(FileRange),
}

impl From<Bytes> for Sends {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl Sends {
    async fn md5(&self) -> Result<[u8; 16]> {
        let FileRange { file, offset, length } = match self {
            Self::Bytes(bytes) => return Ok(md5(bytes)),
            Self::File(range) => range.clone(),
        };
        let sum = tokio::task::spawn_blocking(move || {
            let mut sum = EtagOf::new(Some(vec![length]));
            let read =
                read_range(&file, Range { number: 1, offset, length }, |piece| sum.update(piece));
            read.then(|| sum.first()).flatten()
        });
        sum.await.map_err(broken)?.ok_or_else(|| {
            Error::new(ErrorCode::LocalFailed, "the file that was sent cannot be read again")
        })
    }
}

fn lock(sum: &Mutex<PartSum>) -> std::sync::MutexGuard<'_, PartSum> {
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A part that is stored already, if it holds these bytes.
fn matching(part: Part, bytes: &[u8], expected: &Expected) -> Option<Sent> {
    let length = bytes.len() as u64;
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
    let crc = base64::engine::general_purpose::STANDARD.encode(crc.to_be_bytes());
    let md5 = match part.checksums.get("CRC64NVME") {
        Some(stored) if *stored == crc => unhex(&part.etag),
        Some(_) => return None,
        None => {
            let md5 = md5(bytes);
            if unhex(&part.etag) != Some(md5) {
                return None;
            }
            Some(md5)
        }
    };
    Some(Sent { part, length, md5, crc: PartSum::of(expected, bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_what_is_there_but_not_that_all_is() {
        let (to, mut told) = mpsc::unbounded_channel();
        let range = Range { number: 1, offset: 0, length: 3 * TOLD };
        let mut tell = Tell::anew(to, range);
        let piece = vec![0; usize::try_from(TOLD / 2).unwrap()];
        (0..6).for_each(|_| tell.next(&piece));
        drop(tell);
        let mut all = Vec::new();
        while let Ok((_, Reported::InFile(there))) = told.try_recv() {
            all.push(there);
        }
        assert_eq!(all, [0, TOLD, 2 * TOLD]);
    }
}
