//! Copying one object: inside the service, whole, or in parts; always verified.
//!
//! Where the service itself copies and tells nothing that can be compared, all that is verified is
//! the size; the run counts these.

use crate::digest::{Expected, Sum, has_md5_etag, hex, is_multipart, md5};
use crate::kept::{Told, is_of_class};
use crate::plan::{Existing, Found};
use crate::run::{Run, collect, corrupt, interrupted};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use windlass_s3::{GetOptions, ObjectMeta, PutOptions};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// What is said of a destination that somebody else has written since it was looked at, or written.
const THEIRS: &str = "the destination was written meanwhile, so it was left as it is";

/// The error for a destination that belongs to somebody else.
pub(crate) fn theirs() -> Error {
    Error::new(ErrorCode::ObjectChanged, THEIRS)
}

fn is_theirs(error: &Error) -> bool {
    error.code() == ErrorCode::ObjectChanged && error.message() == THEIRS
}

/// What a copy left at the destination.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The `ETag` of what was written, where it was told.
    pub(crate) etag: Option<String>,
    /// Nothing but its size was held against the source.
    pub(crate) by_size: bool,
}

impl Written {
    /// What was proven to be the source's bytes.
    pub(crate) fn proven(etag: Option<String>) -> Self {
        Self { etag, by_size: false }
    }
}

/// The same options under a condition.
pub(crate) fn under(condition: &Condition, mut options: PutOptions) -> PutOptions {
    match condition {
        Condition::None => {}
        Condition::Absent => options.if_none_match = true,
        Condition::Etag(etag) => options.if_match = Some(etag.clone()),
    }
    options
}

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
    /// Copies `found` to `to`, verified; answers the state that was copied, and what it became.
    pub(crate) async fn object(
        self: &Arc<Self>,
        found: &Found,
        to: &ObjectPath,
        existing: &Existing,
    ) -> Result<(Found, Written)> {
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
                Ok(written) => return Ok((state, written)),
                Err(error) if is_theirs(&error) => return Err(error),
                Err(error) if error.code() == ErrorCode::ObjectChanged => {
                    let now = self.seen(&from).await?;
                    let same = now.etag == state.etag && now.size == state.size;
                    if condition != Condition::None && same {
                        return self.conflict(state, to, error).await;
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
    async fn conflict(
        &self,
        state: Found,
        to: &ObjectPath,
        error: Error,
    ) -> Result<(Found, Written)> {
        let mut there = state.entry();
        let meta = match self.retried(|| self.destination.storage.stat(to, None)).await {
            // Nothing is there that could be in the way.
            Err(gone) if gone.code() == ErrorCode::ObjectNotFound => return Err(error),
            meta => meta?,
        };
        there.key.clone_from(&to.key);
        (there.size, there.etag, there.last_modified) =
            (Some(meta.size), meta.etag, meta.last_modified);
        if self.same_content(&state.entry(), &there).await? {
            return Ok((state, Written::proven(there.etag)));
        }
        Err(theirs())
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
    ) -> Result<Written> {
        while self.server_side.load(Ordering::Relaxed) {
            match self.inside_service(from, state, to, condition).await {
                Err(error) if error.code() == ErrorCode::ConnectionDenied => {
                    return self.denied_inside(from, state, to, condition, error).await;
                }
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
        self.streamed(from, state, to, condition).await
    }

    /// Takes an object through this machine whose copy the service has denied: who may not have the
    /// source read by the destination's connection may read it by its own. Whether that helps is found
    /// out once; whatever else is denied meanwhile waits for it.
    async fn denied_inside(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
        denied: Error,
    ) -> Result<Written> {
        let mut helps = self.streams_if_denied.lock().await;
        let known = *helps;
        match known {
            Some(false) => return Err(denied),
            Some(true) => {
                drop(helps);
                return self.streamed(from, state, to, condition).await;
            }
            None => {}
        }
        tracing::debug!(error = denied.chain(), "copying through this machine instead");
        let outcome = self.streamed(from, state, to, condition).await;
        match &outcome {
            Ok(_) => {
                *helps = Some(true);
                self.server_side.store(false, Ordering::Relaxed);
                self.progress.note(&format!(
                    "the service may not copy by itself, so bytes pass through this machine: {}",
                    denied.message()
                ));
            }
            Err(error) if error.code() == ErrorCode::ConnectionDenied => *helps = Some(false),
            Err(_) => {}
        }
        outcome
    }

    /// Takes an object through this machine.
    async fn streamed(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<Written> {
        let size = state.size.unwrap_or_default();
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
    pub(crate) async fn put_options(
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
    ) -> Result<Written> {
        let size = state.size.unwrap_or_default();
        let _memory = self.memory(size).await?;
        let _slot = self.slot().await?;
        self.pass(size).await?;
        let options = GetOptions { if_match: state.etag.clone(), ..GetOptions::default() };
        let body = self.source.storage.get(from, options).await?;
        if body.meta.size != size && (state.etag.is_none() || body.meta.etag != state.etag) {
            return Err(changed(from));
        }
        // Of one state, another size can only be an answer that was cut: `collect` says so.
        let meta = body.meta.clone();
        let expected = self.expected(from, &meta).await?;
        let mut sum = Sum::new(&expected);
        let bytes = collect(body, size, &from.key, |chunk| sum.update(chunk)).await?;
        if !sum.holds() && self.is_regular(from, &meta, &expected).await? {
            return Err(corrupt(&from.key));
        }
        let options = self.put_options(from, &meta, to, Told::WithBytes, condition).await?;
        let result = self.destination.storage.put(to, bytes.clone(), options).await?;
        if !result.proven && !self.destination.is_folder() {
            let expected = hex(&md5(&bytes));
            self.verify_written(to, size, &expected, result.etag.as_deref(), None).await?;
        }
        self.progress.bytes(size);
        Ok(Written::proven(result.etag))
    }

    /// What is known of the whole of a source. The parts of an `ETag` of parts are asked for.
    pub(crate) async fn expected(&self, from: &ObjectPath, meta: &ObjectMeta) -> Result<Expected> {
        let expected = Expected::of(&from.bucket, meta);
        let Some(etag) = meta.etag.as_deref().filter(|etag| is_multipart(etag)) else {
            return Ok(expected);
        };
        if expected != Expected::Nothing || !has_md5_etag(&from.bucket, meta) {
            return Ok(expected);
        }
        let storage = &self.source.storage;
        let first = match self.retried(|| storage.part_length(from, etag, 1)).await {
            Ok(Some(first)) => first,
            // There are services that hold the condition against the ETag of the part.
            Err(error)
                if error.code() == ErrorCode::ObjectChanged
                    && self.seen(from).await?.etag != meta.etag =>
            {
                return Err(error);
            }
            // A service that does not know parts of objects proves nothing by them.
            Ok(None) | Err(_) => return Ok(expected),
        };
        Ok(match equal_parts(etag, meta.size, first) {
            Some(sizes) => Expected::Parts(etag.to_ascii_lowercase(), sizes),
            None => expected,
        })
    }

    /// Whether an expectation that does not hold was right: the parts of an `ETag` of parts were
    /// taken to be equal, which is now found out.
    pub(crate) async fn is_regular(
        &self,
        from: &ObjectPath,
        meta: &ObjectMeta,
        expected: &Expected,
    ) -> Result<bool> {
        let Expected::Parts(_, sizes) = expected else { return Ok(true) };
        let etag = meta.etag.as_deref().unwrap_or_default();
        let storage = &self.source.storage;
        for (number, size) in (1..).zip(sizes) {
            let length = self.retried(|| storage.part_length(from, etag, number)).await?;
            if length != Some(*size) {
                tracing::debug!(key = from.key, number, "its parts are not equal");
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks for the metadata of a source; an error if it is not what was seen.
    pub(crate) async fn unchanged(&self, from: &ObjectPath, state: &Found) -> Result<ObjectMeta> {
        let meta = self.retried(|| self.source.storage.stat(from, None)).await?;
        if meta.etag != state.etag || Some(meta.size) != state.size {
            return Err(changed(from));
        }
        Ok(meta)
    }

    /// An error if a source is no longer in the state it was read in.
    pub(crate) async fn still(&self, from: &ObjectPath, meta: &ObjectMeta) -> Result<()> {
        let now = self.retried(|| self.source.storage.stat(from, None)).await?;
        if now.etag == meta.etag && now.size == meta.size { Ok(()) } else { Err(changed(from)) }
    }
}

fn changed(from: &ObjectPath) -> Error {
    Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", from.key))
}

/// The sizes of parts that all have the size of the first one but the last, if an object of `size`
/// bytes and this `ETag` can have been made of such.
fn equal_parts(etag: &str, size: u64, first: u64) -> Option<Vec<u64>> {
    let parts: u64 = etag.split_once('-')?.1.parse().ok()?;
    if first == 0 || parts > 10_000 || size.div_ceil(first) != parts {
        return None;
    }
    Some((0..parts).map(|part| first.min(size - part * first)).collect())
}

/// The error for a task that did not end by itself.
pub(crate) fn broken(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, "a step of the copy stopped").source(error)
}
