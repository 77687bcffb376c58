//! A run in motion: what all its objects share, and reading, verifying and retrying.
//!
//! Memory is counted before bytes are asked for, in the order of parts, so that the first part of
//! what is under way can always finish.

use crate::digest::{EtagOf, has_md5_etag, is_md5, is_multipart};
use crate::earlier::Earlier;
use crate::journal::Journal;
use crate::kept::Keeps;
use crate::leave::Ways;
use crate::object::theirs;
use crate::options::CopyOptions;
use crate::own::Own;
use crate::pace::{Pace, Slot};
use crate::request::{Progress, Side};
use crate::tuning::{Range, Tuning};
use crate::width::Width;
use crate::{DEFAULT_CONCURRENCY, DEFAULT_MAX_MEMORY};
use bytes::Bytes;
use futures::TryStreamExt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use windlass_s3::{ByteRange, GetOptions, ObjectBody, ObjectMeta, Storage, buffers};
use windlass_types::glob::literal_prefix;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Unit of the memory count: a semaphore counts in 32 bits at a time.
const UNIT: u64 = 1 << 10;

pub(crate) struct Run {
    pub(crate) source: Side,
    pub(crate) destination: Side,
    pub(crate) tuning: Tuning,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) cancel: CancellationToken,
    pub(crate) options: Arc<CopyOptions>,
    /// Remembers uploads in parts.
    pub(crate) journal: Option<Arc<dyn Journal>>,
    /// What earlier attempts of this run did, if there were some.
    pub(crate) earlier: Option<Arc<Earlier>>,
    memory: Arc<Semaphore>,
    memory_units: u32,
    pace: Pace,
    pub(crate) width: Width,
    /// Until a comparison has shown that this destination's `ETag`s are something else.
    etags_tell: AtomicBool,
    /// Until the service has said that it cannot.
    pub(crate) server_side: AtomicBool,
    /// Whether an object whose copy was denied could be taken through this machine; unknown until the
    /// first one.
    pub(crate) streams_if_denied: Mutex<Option<bool>>,
    /// Objects of which nothing but the size was verified.
    pub(crate) by_size: AtomicU64,
    /// Whether writes go with conditions; until the service has said that it does not know them.
    pub(crate) conditions: AtomicBool,
    /// The same, of copies inside the service.
    pub(crate) copy_conditions: AtomicBool,
    /// Whether deletions go with conditions; unknown until the first one.
    pub(crate) deletes_if: OnceCell<bool>,
    /// What could not be kept so far.
    pub(crate) keeps: Keeps,
    /// What the run itself leaves at the destination.
    pub(crate) own: Own,
    /// Which folders of the source lie behind links.
    pub(crate) ways: Ways,
}

impl Run {
    pub(crate) fn new(
        source: Side,
        mut destination: Side,
        tuning: Tuning,
        options: Arc<CopyOptions>,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Self {
        let or = |given: u64, usual: u64| if given == 0 { usual } else { given };
        let max_memory = or(options.max_memory, DEFAULT_MAX_MEMORY);
        let concurrency =
            if options.concurrency == 0 { DEFAULT_CONCURRENCY } else { options.concurrency };
        let units = u32::try_from(max_memory.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX >> 4);
        let group = source.storage.server_side_copy_group();
        let mut server_side =
            group.is_some() && group == destination.storage.server_side_copy_group();
        if server_side {
            match destination.storage.copying_from(&*source.storage) {
                Some(storage) => destination.storage = storage,
                None => server_side = may_name(&destination, &source),
            }
        }
        let own = Own::of(&destination, &options);
        let pace = Pace::new(concurrency, options.bandwidth);
        let pace = pace.since(slow_downs(&source, &destination));
        Self {
            source,
            destination,
            tuning,
            progress,
            cancel,
            journal: None,
            earlier: None,
            memory: Arc::new(Semaphore::new(units as usize)),
            memory_units: units,
            pace,
            width: Width::new(concurrency),
            options,
            etags_tell: AtomicBool::new(true),
            server_side: AtomicBool::new(server_side),
            streams_if_denied: Mutex::new(None),
            by_size: AtomicU64::new(0),
            conditions: AtomicBool::new(true),
            copy_conditions: AtomicBool::new(true),
            deletes_if: OnceCell::new(),
            keeps: Keeps::default(),
            own,
            ways: Ways::default(),
        }
    }

    /// Waits until `bytes` may be held. Something larger than all memory gets all of it.
    pub(crate) async fn memory(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.memory_units);
        Arc::clone(&self.memory).acquire_many_owned(units).await.map_err(closed)
    }

    /// Waits for the memory and the place of a part that holds so many bytes.
    pub(crate) async fn room(
        &self,
        bytes: u64,
    ) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let place = self.width.place().await?;
        Ok((self.memory(bytes).await?, place))
    }

    /// Waits until another request may be under way. Never wait for memory while holding it.
    pub(crate) async fn slot(&self) -> Result<Slot> {
        self.hear();
        self.pace.slot().await
    }

    /// Objects that may be under way at once, as the services bear it now.
    pub(crate) fn at_once(&self) -> usize {
        self.hear();
        self.pace.limit()
    }

    fn hear(&self) {
        self.pace.hear(slow_downs(&self.source, &self.destination));
    }

    /// Waits until so many bytes may pass through this process.
    pub(crate) async fn pass(&self, bytes: u64) -> Result<()> {
        let wait = self.pace.pass(bytes);
        if wait.is_zero() { Ok(()) } else { self.pause(wait).await }
    }

    /// Tells the pace how a request ended.
    pub(crate) fn learn<T>(&self, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.pace.went_well(),
            Err(error) if error.code() == ErrorCode::ConnectionBusy => self.pace.slow_down(),
            Err(_) => {}
        }
    }

    pub(crate) fn interrupted(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(interrupted()) } else { Ok(()) }
    }

    /// Does `work` until it is done, refused, or has failed often enough.
    pub(crate) async fn retried<T, F, W>(&self, mut work: W) -> Result<T>
    where
        W: FnMut() -> F,
        F: Future<Output = Result<T>>,
    {
        let mut attempt = 1;
        let mut pause = self.tuning.pause;
        loop {
            let outcome = work().await;
            self.learn(&outcome);
            match outcome {
                Err(error) if error.class().is_retryable() && attempt < self.tuning.attempts => {
                    tracing::debug!(attempt, error = error.chain(), "trying again");
                    self.pause(pause).await?;
                    attempt += 1;
                    pause *= 2;
                }
                other => return other,
            }
        }
    }

    pub(crate) async fn pause(&self, time: std::time::Duration) -> Result<()> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(interrupted()),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Reads one range of the source into memory.
    pub(crate) async fn part(
        &self,
        from: &ObjectPath,
        range: Range,
        etag: Option<&str>,
    ) -> Result<Bytes> {
        self.retried(|| async {
            let _slot = self.slot().await?;
            let body = self.open_part(from, range, etag).await?;
            collect(body, range.length, &from.key, |_| {}).await
        })
        .await
    }

    /// Opens one range of the source.
    pub(crate) async fn open_part(
        &self,
        from: &ObjectPath,
        range: Range,
        etag: Option<&str>,
    ) -> Result<ObjectBody> {
        let options = GetOptions {
            range: Some(ByteRange::Bounded(range.offset, range.length)),
            if_match: etag.map(str::to_owned),
            version: None,
        };
        self.pass(range.length).await?;
        self.source.storage.get(from, options).await
    }

    /// Finds out whether what was written is what was sent: by its `ETag`, and where that says
    /// something else, by reading it back once.
    pub(crate) async fn verify_written(
        &self,
        to: &ObjectPath,
        size: u64,
        expected: &str,
        etag: Option<&str>,
        parts: Option<Vec<u64>>,
    ) -> Result<()> {
        let same = |etag: &str| etag.eq_ignore_ascii_case(expected);
        let storage = &self.destination.storage;
        if self.destination.is_folder() || etag.is_some_and(same) {
            return Ok(());
        }
        let meta = self.retried(|| storage.stat(to, None)).await?;
        // A write that tells no ETag is taken for what is there after it.
        let own = etag.or(meta.etag.as_deref());
        if meta.size != size {
            let why = format!("{} bytes of {size} arrived", meta.size);
            return Err(self.remove_corrupt(to, own, why).await);
        }
        // What the object says of itself counts for more than what was said when it was written.
        let told = meta.etag.as_deref().or(etag);
        if told.is_some_and(same) || !self.etags_tell.load(Ordering::Relaxed) {
            return Ok(());
        }
        let tells = told.is_some_and(|etag| is_md5(etag) || is_multipart(etag));
        if !tells || !has_md5_etag(&to.bucket, &meta) {
            self.etags_tell.store(false, Ordering::Relaxed);
            return Ok(());
        }
        let found = self
            .retried(|| async {
                let body = storage.get(to, GetOptions::default()).await?;
                let mut sum = EtagOf::new(parts.clone());
                let mut stream = body.stream;
                while let Some(chunk) = stream.try_next().await? {
                    sum.update(&chunk);
                }
                Ok(sum.finish())
            })
            .await?;
        if same(&found) {
            tracing::debug!(bucket = to.bucket, "etags of this bucket are not md5 sums");
            self.etags_tell.store(false, Ordering::Relaxed);
            return Ok(());
        }
        let why = "the bytes stored are not the bytes sent".to_owned();
        Err(self.remove_corrupt(to, own, why).await)
    }

    /// Nobody may take the wrong bytes, written under this `ETag`, for the object.
    pub(crate) async fn remove_corrupt(
        &self,
        to: &ObjectPath,
        own: Option<&str>,
        why: String,
    ) -> Error {
        match self.remove_own(to, own).await {
            Ok(_) => Error::new(ErrorCode::ObjectCorrupt, format!("`{}`: {why}", to.key)),
            Err(theirs) => theirs,
        }
    }

    /// Removes what the run itself has written; answers whether it is gone. An error if something else
    /// is there, which stays.
    pub(crate) async fn remove_own(&self, to: &ObjectPath, own: Option<&str>) -> Result<bool> {
        let storage = &self.destination.storage;
        let removed = async {
            let Some(own) = own else { return storage.delete(to).await };
            // Not every service looks at the condition.
            let now = storage.stat(to, None).await?;
            if now.etag.as_deref() != Some(own) {
                return Err(theirs());
            }
            match storage.delete_if(to, own).await {
                Err(error) if error.code() == ErrorCode::ObjectChanged => {
                    Err(theirs().source(error))
                }
                Err(error)
                    if matches!(
                        error.code(),
                        ErrorCode::UsageInvalid | ErrorCode::ConnectionRejected
                    ) =>
                {
                    storage.delete(to).await
                }
                other => other,
            }
        };
        match removed.await {
            Ok(()) => Ok(true),
            Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(true),
            Err(error) if error.code() == ErrorCode::ObjectChanged => Err(error),
            Err(error) => {
                tracing::warn!(object = %to, error = error.chain(), "a corrupt copy could not be removed");
                Ok(false)
            }
        }
    }
}

/// Whether one side's connection may itself name the objects of the other.
fn may_name(side: &Side, other: &Side) -> bool {
    let bucket = other.location.bucket.as_deref().unwrap_or_default();
    let prefix = literal_prefix(&other.location.key);
    side.storage.binding().check(bucket, prefix).is_ok()
}

/// How often both ends have been asked to slow down.
fn slow_downs(source: &Side, destination: &Side) -> u64 {
    source.storage.slow_downs() + destination.storage.slow_downs()
}

pub(crate) fn closed(error: tokio::sync::AcquireError) -> Error {
    Error::new(ErrorCode::Internal, "a limit was closed").source(error)
}

/// The error of a run that was asked to stop.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorCode::Interrupted, "interrupted")
}

/// The error for bytes that are not those the source has.
pub(crate) fn corrupt(key: &str) -> Error {
    Error::new(
        ErrorCode::ObjectCorrupt,
        format!("the bytes read of `{key}` do not have the checksum of the object"),
    )
}

/// Reads all of a body that should have `length` bytes.
pub(crate) async fn collect(
    body: ObjectBody,
    length: u64,
    key: &str,
    mut see: impl FnMut(&[u8]),
) -> Result<Bytes> {
    let wrong = |found: u64| {
        Error::new(
            ErrorCode::ObjectCorrupt,
            format!("{found} bytes of `{key}` came instead of {length}"),
        )
    };
    let mut stream = body.stream;
    let Some(first) = stream.try_next().await? else {
        return if length == 0 { Ok(Bytes::new()) } else { Err(wrong(0)) };
    };
    see(&first);
    if first.len() as u64 == length {
        // Whole in one piece: not copied. What follows can only be an error, or too much.
        return match stream.try_next().await? {
            None => Ok(first),
            Some(more) if more.is_empty() => Ok(first),
            Some(more) => Err(wrong(length + more.len() as u64)),
        };
    }
    let capacity = usize::try_from(length).map_err(|_| wrong(0))?;
    let mut whole = buffers::buffer(capacity);
    let mut filled = 0;
    let mut piece = Some(first);
    while let Some(chunk) = piece {
        let end = filled + chunk.len();
        let Some(place) = whole.get_mut(filled..end) else { return Err(wrong(end as u64)) };
        place.copy_from_slice(&chunk);
        if filled > 0 {
            see(&chunk);
        }
        filled = end;
        piece = stream.try_next().await?;
    }
    if filled == capacity { Ok(buffers::bytes_of(whole)) } else { Err(wrong(filled as u64)) }
}

/// Asks for the metadata of a source, with advice where a folder may be meant.
pub(crate) async fn stat_source(storage: &Storage, object: &ObjectPath) -> Result<ObjectMeta> {
    storage.stat(object, None).await.map_err(|error| {
        if error.code() == ErrorCode::ObjectNotFound && error.hint_text().is_none() {
            let address = storage.address(&object.bucket, &object.key);
            error.hint(format!("for everything below it write `{address}/`"))
        } else {
            error
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use crate::request::Quiet;

    #[tokio::test]
    async fn what_a_client_is_told_to_slow_down_halves_what_is_under_way() {
        let (one, two) = (Arc::new(Fake::new("one")), Arc::new(Fake::new("two")));
        two.slow_downs.store(7, Ordering::SeqCst);
        let run = Run::new(
            one.side("s/"),
            two.side("d/"),
            Tuning::default(),
            Arc::new(CopyOptions::default()),
            Arc::new(Quiet),
            CancellationToken::new(),
        );
        drop(run.slot().await.unwrap());
        assert_eq!(run.at_once(), DEFAULT_CONCURRENCY);
        two.slow_downs.fetch_add(1, Ordering::SeqCst);
        drop(run.slot().await.unwrap());
        assert_eq!(run.at_once(), DEFAULT_CONCURRENCY / 2);
    }
}
