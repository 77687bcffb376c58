//! Copying one object: inside the service, whole, or in parts; always verified.

use crate::digest::{Expected, Sum, hex, is_md5, joined, md5, multipart_etag, part_crc};
use crate::kept::{Told, is_of_class};
use crate::plan::{Existing, Found};
use crate::run::{Run, collect, corrupt, interrupted};
use crate::tuning::Range;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use windlass_s3::{GetOptions, ObjectMeta, Part, PutOptions, Upload};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// What a part became.
struct Sent {
    part: Part,
    length: u64,
    md5: Option<[u8; 16]>,
    crc: Option<u64>,
}

/// The same options under a condition.
fn under(condition: &Condition, mut options: PutOptions) -> PutOptions {
    match condition {
        Condition::None => {}
        Condition::Absent => options.if_none_match = true,
        Condition::Etag(etag) => options.if_match = Some(etag.clone()),
    }
    options
}

/// Bytes on their way to be summed in order, with the memory they take.
type ToSum = (i32, Bytes, Arc<OwnedSemaphorePermit>);

/// What the destination must have when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Anything.
    None,
    /// Nothing under that key.
    Absent,
    /// This state.
    Etag(String),
}

impl From<&Existing> for Condition {
    fn from(existing: &Existing) -> Self {
        match existing {
            Existing::Unknown | Existing::Ask => Self::None,
            Existing::Absent => Self::Absent,
            Existing::There(entry) | Existing::Differing(entry) => {
                entry.etag.clone().map_or(Self::None, Self::Etag)
            }
        }
    }
}

impl Run {
    /// Copies `found` to `to`, verified; answers the state that was copied.
    pub(crate) async fn object(
        self: &Arc<Self>,
        found: &Found,
        to: &ObjectPath,
        existing: &Existing,
    ) -> Result<Found> {
        let from = self.source.object(&found.key)?;
        let mut condition = Condition::from(existing);
        let mut state = found.clone();
        let mut fresh = false;
        let mut attempt = 1;
        let mut pause = self.tuning.pause;
        loop {
            self.interrupted()?;
            if state.size.is_none() || state.etag.is_none() {
                state = self.seen(&from).await?;
            }
            let outcome = self.once(&from, &state, to, &condition).await;
            self.learn(&outcome);
            match outcome {
                Ok(()) => return Ok(state),
                Err(error) if error.code() == ErrorCode::ObjectChanged => {
                    let now = self.seen(&from).await?;
                    let same = now.etag == state.etag && now.size == state.size;
                    if condition != Condition::None && same {
                        return self.conflict(state, to).await;
                    }
                    if fresh {
                        return Err(Error::new(ErrorCode::ObjectChanged, "changed while reading")
                            .source(error));
                    }
                    fresh = true;
                    state = now;
                }
                // What was to be written over is gone.
                Err(error)
                    if error.code() == ErrorCode::ObjectNotFound
                        && matches!(condition, Condition::Etag(_))
                        && self.seen(&from).await.is_ok() =>
                {
                    condition = Condition::Absent;
                }
                Err(error) if attempt < self.tuning.attempts && self.without_class(&error) => {
                    attempt += 1;
                }
                // A service that does not know conditions.
                Err(error)
                    if error.code() == ErrorCode::UsageInvalid
                        && condition != Condition::None
                        && self.conditions.swap(false, Ordering::Relaxed) =>
                {
                    tracing::debug!(error = error.chain(), "writing without conditions");
                }
                Err(error) if error.class().is_retryable() && attempt < self.tuning.attempts => {
                    tracing::debug!(
                        key = found.key,
                        attempt,
                        error = error.chain(),
                        "trying again"
                    );
                    self.pause(pause).await?;
                    attempt += 1;
                    pause *= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The destination was not what it was when it was listed: fine if it is what was to be written
    /// (an answer was lost), else it belongs to somebody else.
    async fn conflict(&self, state: Found, to: &ObjectPath) -> Result<Found> {
        let mut there = state.entry();
        let meta = self.retried(|| self.destination.storage.stat(to, None)).await?;
        there.key.clone_from(&to.key);
        (there.size, there.etag, there.last_modified) =
            (Some(meta.size), meta.etag, meta.last_modified);
        if self.same_content(&state.entry(), &there).await? {
            return Ok(state);
        }
        Err(Error::new(
            ErrorCode::ObjectChanged,
            "the destination was written meanwhile, so it was left as it is",
        ))
    }

    /// Asks for the state of a source now.
    async fn seen(&self, from: &ObjectPath) -> Result<Found> {
        let meta = self.retried(|| self.source.storage.stat(from, None)).await?;
        Ok(Found {
            key: from.key.clone(),
            size: Some(meta.size),
            etag: meta.etag,
            modified: meta.last_modified,
            storage_class: meta.storage_class.filter(|class| class != "STANDARD"),
        })
    }

    async fn once(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<()> {
        let size = state.size.unwrap_or_default();
        while self.server_side.load(Ordering::Relaxed) {
            match self.inside_service(from, state, to, condition).await {
                Err(error)
                    if matches!(
                        error.code(),
                        ErrorCode::UsageInvalid | ErrorCode::ConnectionRejected
                    ) && !is_of_class(&error) =>
                {
                    if *condition != Condition::None
                        && self.copy_conditions.swap(false, Ordering::Relaxed)
                    {
                        tracing::debug!(error = error.chain(), "copying without conditions");
                        continue;
                    }
                    tracing::debug!(error = error.chain(), "copying through this machine instead");
                    self.server_side.store(false, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        if size < self.tuning.threshold.max(1) {
            tokio::select! {
                () = self.cancel.cancelled() => Err(interrupted()),
                done = self.whole(from, state, to, condition) => done,
            }
        } else {
            self.in_parts(from, state, to, condition).await
        }
    }

    /// What goes with the copy of an object.
    async fn put_options(
        &self,
        from: &ObjectPath,
        meta: &ObjectMeta,
        to: &ObjectPath,
        told: Told,
        condition: &Condition,
    ) -> Result<PutOptions> {
        let options = self.kept(from, meta, to, told).await?;
        let conditional = self.conditions.load(Ordering::Relaxed);
        Ok(if conditional { under(condition, options) } else { options })
    }

    /// Reads all, verifies, writes all.
    async fn whole(
        &self,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<()> {
        let size = state.size.unwrap_or_default();
        let _memory = self.memory(size).await?;
        let _slot = self.slot().await?;
        self.pass(size).await?;
        let options = GetOptions { if_match: state.etag.clone(), ..GetOptions::default() };
        let body = self.source.storage.get(from, options).await?;
        if body.meta.size != size && (state.etag.is_none() || body.meta.etag != state.etag) {
            return Err(Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", from.key)));
        }
        // Of one state, another size can only be an answer that was cut: `collect` says so.
        let meta = body.meta.clone();
        let mut sum = Sum::new(&Expected::of(&from.bucket, &meta));
        let bytes = collect(body, size, &from.key, |chunk| sum.update(chunk)).await?;
        if !sum.holds() {
            return Err(corrupt(&from.key));
        }
        let expected = (!self.destination.is_folder()).then(|| hex(&md5(&bytes)));
        let options = self.put_options(from, &meta, to, Told::WithBytes, condition).await?;
        let result = self.destination.storage.put(to, bytes, options).await?;
        if let Some(expected) = expected {
            self.verify_written(to, size, &expected, result.etag.as_deref(), None).await?;
        }
        self.progress.bytes(size);
        Ok(())
    }

    /// Begins an upload, fills it by `fill`, and completes it; gives it up on any failure.
    async fn upload<F>(
        &self,
        to: &ObjectPath,
        options: PutOptions,
        fill: F,
    ) -> Result<(Vec<Sent>, Option<String>)>
    where
        F: AsyncFnOnce(Arc<Upload>) -> Result<Vec<Sent>>,
    {
        let storage = &self.destination.storage;
        let upload = Arc::new(self.retried(|| storage.create_upload(to, options.clone())).await?);
        let filled = async {
            let mut sent = fill(Arc::clone(&upload)).await?;
            self.interrupted()?;
            sent.sort_by_key(|sent| sent.part.number);
            let parts: Vec<Part> = sent.iter().map(|sent| sent.part.clone()).collect();
            let result = storage.complete_upload(&upload, &parts, &options).await?;
            Ok((sent, result.etag))
        };
        let outcome = filled.await;
        if outcome.is_err()
            && let Err(error) = storage.abort_upload(&upload).await
        {
            tracing::warn!(object = %to, error = error.chain(), "an upload could not be given up");
        }
        outcome
    }

    /// Asks for the metadata of a source; an error if it is not what was seen.
    async fn unchanged(&self, from: &ObjectPath, state: &Found) -> Result<ObjectMeta> {
        let meta = self.retried(|| self.source.storage.stat(from, None)).await?;
        if meta.etag != state.etag || Some(meta.size) != state.size {
            return Err(Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", from.key)));
        }
        Ok(meta)
    }

    /// Reads ranges side by side and writes them as parts.
    async fn in_parts(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<()> {
        let meta = self.unchanged(from, state).await?;
        let expected = Arc::new(Expected::of(&from.bucket, &meta));
        let options = self.put_options(from, &meta, to, Told::Alone, condition).await?;
        let (sent, etag) = self
            .upload(to, options, async |upload| {
                let result = self.parts(from, &meta, &expected, upload).await;
                if result.is_err() {
                    self.interrupted()?;
                }
                result
            })
            .await?;
        let sums: Option<Vec<[u8; 16]>> = sent.iter().map(|sent| sent.md5).collect();
        if let Some(sums) = sums {
            let lengths = sent.iter().map(|sent| sent.length).collect();
            let whole = multipart_etag(&sums);
            self.verify_written(to, meta.size, &whole, etag.as_deref(), Some(lengths)).await?;
        }
        Ok(())
    }

    /// Sends every part; verifies the source before anything is completed.
    async fn parts(
        self: &Arc<Self>,
        from: &ObjectPath,
        meta: &ObjectMeta,
        expected: &Arc<Expected>,
        upload: Arc<Upload>,
    ) -> Result<Vec<Sent>> {
        let (to_sum, summing) = if expected.needs_order() {
            let (sender, receiver) = mpsc::unbounded_channel();
            let sum = Sum::new(expected);
            (Some(sender), Some(tokio::task::spawn_blocking(move || sum_in_order(sum, receiver))))
        } else {
            (None, None)
        };
        let mut ranges = self.tuning.ranges(meta.size, self.tuning.part_size);
        let mut tasks = JoinSet::new();
        let mut sent = Vec::new();
        let mut next = ranges.next();
        while next.is_some() || !tasks.is_empty() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(interrupted()),
                Some(done) = tasks.join_next(), if !tasks.is_empty() => sent.push(done.map_err(broken)??),
                // Taken in the order of parts: the first one under way never waits for a later one.
                memory = self.memory(next.map_or(0, |range: Range| range.length)), if next.is_some() => {
                    let (memory, Some(range)) = (Arc::new(memory?), next) else { continue };
                    next = ranges.next();
                    let (run, from, etag) = (Arc::clone(self), from.clone(), meta.etag.clone());
                    let (upload, expected) = (Arc::clone(&upload), Arc::clone(expected));
                    let to_sum = to_sum.clone();
                    tasks.spawn(async move {
                        let bytes = run.part(&from, range, etag.as_deref()).await?;
                        if let Some(to_sum) = to_sum {
                            let _ = to_sum.send((range.number, bytes.clone(), Arc::clone(&memory)));
                        }
                        let sent = run.send(&upload, range.number, bytes, &expected).await;
                        drop(memory);
                        sent
                    });
                }
            }
        }
        drop(to_sum);
        let holds = if let Some(summing) = summing {
            summing.await.map_err(broken)?
        } else {
            sent.sort_by_key(|sent| sent.part.number);
            joined(expected, sent.iter().filter_map(|sent| Some((sent.crc?, sent.length))))
        };
        if holds { Ok(sent) } else { Err(corrupt(&from.key)) }
    }

    /// Writes one part; a part that arrived with another MD5 is written again.
    async fn send(
        &self,
        upload: &Upload,
        number: i32,
        bytes: Bytes,
        expected: &Expected,
    ) -> Result<Sent> {
        let md5 = (!self.destination.is_folder()).then(|| md5(&bytes));
        let crc = part_crc(expected, &bytes);
        let length = bytes.len() as u64;
        let mut suspect = false;
        let part = loop {
            let part = self
                .retried(|| async {
                    let _slot = self.slot().await?;
                    self.destination.storage.upload_part(upload, number, bytes.clone()).await
                })
                .await?;
            // Twice the same disagreement: its ETags are no MD5s. The whole is verified in the end.
            let agrees = md5.is_none_or(|md5| {
                !is_md5(&part.etag) || part.etag.eq_ignore_ascii_case(&hex(&md5))
            });
            if agrees || suspect {
                break part;
            }
            suspect = true;
        };
        self.progress.bytes(length);
        Ok(Sent { part, length, md5, crc })
    }

    /// Has the service copy.
    async fn inside_service(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<()> {
        let size = state.size.unwrap_or_default();
        let storage = &self.destination.storage;
        let etag = if self.destination.is_folder() || size <= self.tuning.copy_limit {
            let result = tokio::select! {
                () = self.cancel.cancelled() => return Err(interrupted()),
                result = async {
                    let _slot = self.slot().await?;
                    storage.copy(from, to, state.etag.as_deref(), self.copy_options(from, state, to, condition).await?).await
                } => result?,
            };
            self.progress.bytes(size);
            result.etag
        } else {
            self.copied_in_parts(from, state, to, condition).await?
        };
        let plain = |etag: &Option<String>| etag.as_deref().is_some_and(is_md5);
        if self.destination.is_folder() || (plain(&etag) && etag == state.etag) {
            return Ok(());
        }
        // No ETag proves it (parts, other keys): compare what both say of themselves.
        let wrong = |why: &str| {
            Error::new(ErrorCode::ObjectCorrupt, format!("the copy of `{}` {why}", from.key))
        };
        let (one, two) =
            tokio::try_join!(self.source.storage.stat(from, None), storage.stat(to, None))?;
        if two.size != size {
            return Err(wrong("has another size"));
        }
        let differs = one.checksums.iter().any(|(name, sum)| {
            !sum.contains('-')
                && two.checksums.get(name).is_some_and(|other| !other.contains('-') && other != sum)
        });
        if differs && one.etag == state.etag { Err(wrong("has another checksum")) } else { Ok(()) }
    }

    /// What goes with a copy by the service, which keeps all that belongs to the object but what is
    /// to be replaced.
    async fn copy_options(
        &self,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<PutOptions> {
        let options = self.kept_inside(from, state, to).await?;
        let conditional = self.copy_conditions.load(Ordering::Relaxed);
        Ok(if conditional { under(condition, options) } else { options })
    }

    async fn copied_in_parts(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<Option<String>> {
        let meta = self.unchanged(from, state).await?;
        let options = self.put_options(from, &meta, to, Told::Alone, condition).await?;
        let (_, etag) = self
            .upload(to, options, async |upload| {
                let mut tasks = JoinSet::new();
                for range in self.tuning.ranges(meta.size, self.tuning.copy_part) {
                    let (run, from, etag) = (Arc::clone(self), from.clone(), meta.etag.clone());
                    let upload = Arc::clone(&upload);
                    tasks.spawn(async move {
                        let part = run
                            .retried(|| async {
                                let _slot = run.slot().await?;
                                run.destination
                                    .storage
                                    .copy_part(
                                        &from,
                                        range.offset,
                                        range.length,
                                        etag.as_deref(),
                                        &upload,
                                        range.number,
                                    )
                                    .await
                            })
                            .await?;
                        run.progress.bytes(range.length);
                        Ok::<_, Error>(Sent { part, length: range.length, md5: None, crc: None })
                    });
                }
                let mut sent = Vec::new();
                loop {
                    tokio::select! {
                        () = self.cancel.cancelled() => return Err(interrupted()),
                        done = tasks.join_next() => match done {
                            Some(done) => sent.push(done.map_err(broken)??),
                            None => return Ok(sent),
                        },
                    }
                }
            })
            .await?;
        Ok(etag)
    }
}

/// Sums parts in the order of their numbers, as they come.
fn sum_in_order(mut sum: Sum, mut parts: mpsc::UnboundedReceiver<ToSum>) -> bool {
    let mut waiting = BTreeMap::new();
    let mut next = 1;
    while let Some((number, bytes, memory)) = parts.blocking_recv() {
        waiting.insert(number, (bytes, memory));
        while let Some((bytes, _memory)) = waiting.remove(&next) {
            sum.update(&bytes);
            next += 1;
        }
    }
    waiting.is_empty() && sum.holds()
}

/// The error for a task that did not end by itself.
pub(crate) fn broken(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, "a step of the copy stopped").source(error)
}
