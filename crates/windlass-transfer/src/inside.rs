//! Copies that the service makes itself: whole, or range by range above its limit.

use crate::digest::{Expected, is_md5, is_multipart};
use crate::kept::Told;
use crate::object::{Condition, Written, broken, under};
use crate::parts::Sent;
use crate::plan::Found;
use crate::run::{Run, interrupted};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;
use windlass_s3::{ObjectMeta, PutOptions};
use windlass_types::{Error, ObjectPath, Result};

/// Whether two `ETag`s are one that is made of the bytes: also of those of uploads in parts, which are
/// equal where the parts are.
fn same_etag(one: Option<&str>, two: Option<&str>) -> bool {
    one == two && one.is_some_and(|etag| is_md5(etag) || is_multipart(etag))
}

/// What the checksums say that both have of the whole: equal, or not; None if there are none.
fn same_sums(one: &ObjectMeta, two: &ObjectMeta) -> Option<bool> {
    let whole = |sum: &&String| !sum.contains('-');
    let of_both = one.checksums.iter().filter_map(|(name, sum)| {
        let other = two.checksums.get(name).filter(whole)?;
        whole(&sum).then_some(sum == other)
    });
    of_both.reduce(|all, one| all && one)
}

impl Run {
    /// Has the service copy.
    pub(crate) async fn inside_service(
        self: &Arc<Self>,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
        condition: &Condition,
    ) -> Result<Written> {
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
        if self.destination.is_folder() || same_etag(etag.as_deref(), state.etag.as_deref()) {
            return Ok(Written::proven(etag));
        }
        // No ETag proves it (parts, other keys): compare what both say of themselves.
        let (one, two) =
            tokio::try_join!(self.source.storage.stat(from, None), storage.stat(to, None))?;
        // A source that has changed since says nothing of what was copied.
        let sums = if one.etag == state.etag { same_sums(&one, &two) } else { None };
        let wrong = match sums {
            _ if two.size != size => Some("size"),
            Some(false) => Some("checksum"),
            _ => None,
        };
        if let Some(what) = wrong {
            let why = format!("the copy of `{}` has another {what}", from.key);
            return Err(self.remove_corrupt(to, etag.as_deref(), why).await);
        }
        let proven = size == 0
            || sums == Some(true)
            || same_etag(two.etag.as_deref(), state.etag.as_deref());
        Ok(Written { etag, by_size: !proven })
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
        // In the parts of its source a copy gets the same ETag, which then proves it.
        let part = match self.expected(from, &meta).await? {
            Expected::Parts(_, sizes) => sizes.first().copied(),
            _ => None,
        };
        let part = part.filter(|part| *part <= self.tuning.copy_limit);
        let made_of = self.made_of(from, &meta, part.unwrap_or(self.tuning.copy_part));
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

#[cfg(test)]
mod tests {
    use crate::copy::tests::{body, go, request};
    use crate::fake::{Fake, Fault};
    use crate::options::Check;
    use std::sync::Arc;

    fn service() -> Arc<Fake> {
        Fake::with("one", |fake| (fake.group, fake.crc) = (Some("s".into()), true))
    }

    #[tokio::test]
    async fn a_copy_by_the_service_that_came_out_wrong_is_removed_and_made_again() {
        for fault in [Fault::Cut, Fault::Corrupt] {
            let one = service();
            one.set("a/x", body(100, 1));
            one.fault("copy", "a/x", 1, fault);
            let mut request = request(one.side("a/"), one.side("b/"));
            // Then writes have conditions.
            request.options.sync = true;
            let (done, seen) = go(request).await;
            let done = done.unwrap();
            assert_eq!((done.copied, done.failed), (1, 0), "{}", seen.lines());
            assert_eq!(one.get_now("b/x").unwrap().bytes, body(100, 1));
        }
    }

    #[tokio::test]
    async fn what_somebody_else_has_put_in_the_place_of_a_copy_by_the_service_stays() {
        let one = service();
        one.set("a/x", body(100, 1));
        one.fault("stat", "b/x", 1, Fault::Shrink);
        let (done, seen) = go(request(one.side("a/"), one.side("b/"))).await;
        assert_eq!(done.unwrap().failed, 1, "{}", seen.lines());
        assert!(seen.lines().contains("written meanwhile"), "{}", seen.lines());
        assert!(one.get_now("b/x").unwrap().bytes.is_empty());
    }

    #[tokio::test]
    async fn a_copy_in_parts_is_proven_by_its_etag_or_said_not_to_be() {
        for (part, check) in
            [(Some(300), Check::Auto), (None, Check::Auto), (None, Check::ReadBack)]
        {
            let up = Arc::new(Fake::new("up"));
            up.set("x", body(5000, 1));
            let one = Fake::with("one", |fake| (fake.group, fake.part) = (Some("s".into()), part));
            go(request(up.side("x"), one.side("a/large"))).await.0.unwrap();
            let mut request = request(one.side("a/"), one.side("b/"));
            request.options.check = check;
            let (done, seen) = go(request).await;
            assert_eq!(done.unwrap().copied, 1, "{}", seen.lines());
            assert_eq!(one.get_now("b/large").unwrap().bytes, body(5000, 1));
            let etag = |key| one.get_now(key).unwrap().meta.etag;
            assert_eq!(etag("a/large") == etag("b/large"), part.is_some());
            let notes = seen.notes.lock().unwrap().join("\n");
            let unproven = part.is_none() && check == Check::Auto;
            assert_eq!(notes.contains("compared by size alone"), unproven, "{notes}");
        }
    }
}
