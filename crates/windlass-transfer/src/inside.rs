//! Copies that the service makes itself: whole, or range by range above its limit.

use crate::digest::is_md5;
use crate::kept::Told;
use crate::object::{Condition, broken, under};
use crate::parts::Sent;
use crate::plan::Found;
use crate::run::{Run, interrupted};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;
use windlass_s3::PutOptions;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

impl Run {
    /// Has the service copy.
    pub(crate) async fn inside_service(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<()> {
        let size = state.size.unwrap_or_default();
        let storage = &self.destination.storage;
        let whole = self.destination.is_folder() || storage.copies_any_size();
        let etag = if whole || size <= self.tuning.copy_limit {
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
        let made_of = self.made_of(from, &meta, self.tuning.copy_part);
        let options = self.put_options(from, &meta, to, Told::Alone, condition).await?;
        let (_, etag) = self
            .upload(to, options, &made_of, async |upload, mut stored| {
                let mut tasks = JoinSet::new();
                let mut sent = Vec::new();
                for range in self.tuning.ranges(meta.size, made_of.part) {
                    let length = range.length;
                    // What this upload has was copied from the state that its ETag names, by a run like
                    // this one.
                    let there = stored.remove(&range.number).filter(|there| there.size == length);
                    if let Some(there) = there.filter(|_| meta.etag.is_some()) {
                        self.progress.bytes(length);
                        sent.push(Sent { part: there.part, length, md5: None, crc: None });
                        continue;
                    }
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
                        run.progress.bytes(length);
                        Ok::<_, Error>(Sent { part, length, md5: None, crc: None })
                    });
                }
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
