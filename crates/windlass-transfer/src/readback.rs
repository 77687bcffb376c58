//! Verifying a copy by reading it again where it was written.
//!
//! What is read there is summed and held against what the source says of itself; where that says
//! nothing of the whole, the source is read once more too. Bytes are wrong only if they are read of
//! what the run itself has written: whatever somebody else has put there since is left alone.

use crate::digest::{Expected, Sum};
use crate::object::theirs;
use crate::options::Check;
use crate::plan::{Existing, Found};
use crate::request::Side;
use crate::run::Run;
use futures::TryStreamExt;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use windlass_s3::{GetOptions, ObjectMeta};
use windlass_types::{Entry, Error, ErrorCode, ObjectPath, Result};

/// What was read where a copy was written.
struct Read {
    /// They are the source's bytes.
    good: bool,
    /// The `ETag` of what was read.
    etag: Option<String>,
}

/// What a repetition writes over: what this `ETag` was told for.
fn own(found: &Found, to: &ObjectPath, etag: Option<&str>) -> Existing {
    let Some(etag) = etag else { return Existing::Unknown };
    let entry = Entry { key: to.key.clone(), etag: Some(etag.to_owned()), ..found.entry() };
    Existing::There(Box::new(entry))
}

impl Run {
    /// Copies an object as [`Self::object`] does, and reads it back where that is asked for. Wrong
    /// bytes are removed, and the copy is repeated.
    pub(crate) async fn verified_object(
        self: &Arc<Self>,
        found: &Found,
        to: &ObjectPath,
        existing: &Existing,
    ) -> Result<Found> {
        let (mut copied, mut written) = self.object(found, to, existing).await?;
        if self.options.check == Check::Auto
            || to.key.ends_with('/') && self.destination.is_folder()
        {
            self.by_size.fetch_add(u64::from(written.by_size), Ordering::Relaxed);
            return Ok(copied);
        }
        for attempt in 1.. {
            let last = attempt >= self.tuning.attempts;
            let etag = written.etag.as_deref();
            let over = match self.read_back(&copied, to).await {
                Ok(Read { good: true, .. }) => break,
                Ok(read) => {
                    if etag.is_some() && read.etag.is_some() && etag != read.etag.as_deref() {
                        return Err(theirs());
                    }
                    let removed = self.remove_own(to, etag).await?;
                    if last {
                        return Err(Error::new(
                            ErrorCode::ObjectCorrupt,
                            format!(
                                "`{}`: the bytes read back are not those of the source",
                                to.key
                            ),
                        ));
                    }
                    if removed { Existing::Absent } else { own(found, to, etag) }
                }
                // It could not be read whole, here or there.
                Err(error) if error.code() == ErrorCode::ObjectCorrupt && !last => {
                    tracing::debug!(key = to.key, error = error.chain(), "not read back");
                    own(found, to, etag)
                }
                Err(error) => return Err(error),
            };
            tracing::debug!(key = to.key, "copied again");
            (copied, written) = self.object(found, to, &over).await?;
        }
        Ok(copied)
    }

    async fn read_back(&self, copied: &Found, to: &ObjectPath) -> Result<Read> {
        let from = self.source.object(&copied.key)?;
        let meta = self.retried(|| self.source.storage.stat(&from, None)).await?;
        if meta.etag != copied.etag || Some(meta.size) != copied.size {
            return Err(Error::new(
                ErrorCode::ObjectChanged,
                "changed before the copy could be held against it",
            ));
        }
        match Expected::of(&from.bucket, &meta) {
            Expected::Nothing => {
                let ((one, _), (two, etag)) = tokio::try_join!(
                    self.sha(&self.source, &from, meta.etag.as_deref()),
                    self.sha(&self.destination, to, None)
                )?;
                Ok(Read { good: one == two, etag })
            }
            expected => self.sums_to(to, &meta, &expected).await,
        }
    }

    /// Whether the destination's object has the size and the sum of the source's.
    async fn sums_to(
        &self,
        to: &ObjectPath,
        meta: &ObjectMeta,
        expected: &Expected,
    ) -> Result<Read> {
        self.retried(|| async {
            let mut sum = Sum::new(expected);
            let (read, etag) =
                self.each(&self.destination, to, None, |bytes| sum.update(bytes)).await?;
            Ok(Read { good: read == meta.size && sum.holds(), etag })
        })
        .await
    }

    async fn sha(
        &self,
        side: &Side,
        object: &ObjectPath,
        etag: Option<&str>,
    ) -> Result<([u8; 32], Option<String>)> {
        self.retried(|| async {
            let mut sum = Sha256::new();
            let (_, etag) = self.each(side, object, etag, |bytes| sum.update(bytes)).await?;
            Ok((sum.finalize().into(), etag))
        })
        .await
    }

    /// Reads an object piece by piece; answers how many bytes came, and the `ETag` they came with.
    async fn each(
        &self,
        side: &Side,
        object: &ObjectPath,
        etag: Option<&str>,
        mut see: impl FnMut(&[u8]),
    ) -> Result<(u64, Option<String>)> {
        let _slot = self.slot().await?;
        let options = GetOptions { if_match: etag.map(str::to_owned), ..GetOptions::default() };
        let body = side.storage.get(object, options).await?;
        let (etag, mut stream) = (body.meta.etag, body.stream);
        let mut read = 0;
        while let Some(bytes) = stream.try_next().await? {
            self.interrupted()?;
            self.pass(bytes.len() as u64).await?;
            read += bytes.len() as u64;
            see(&bytes);
        }
        Ok((read, etag))
    }
}

#[cfg(test)]
mod tests {
    use crate::copy::tests::{body, go, request};
    use crate::fake::{Fake, Fault};
    use crate::options::Check;

    #[tokio::test]
    async fn wrong_bytes_that_no_service_tells_of_are_found_by_reading_back_and_written_again() {
        for (crc, size) in [(true, 100), (false, 100), (false, 999)] {
            // Neither tells what it stored: only the CRC of the source, or nothing, is known.
            let one = Fake::with("one", |fake| (fake.crc, fake.blind) = (crc, true));
            let two = Fake::with("two", |fake| fake.blind = true);
            one.set("a/x", body(size, 1));
            two.fault("put", "x", 1, Fault::Corrupt);
            let mut request = request(one.side("a/"), two.side(""));
            go(request.clone()).await.0.unwrap();
            assert_ne!(two.get_now("x").unwrap().bytes, body(size, 1), "nobody looked");
            two.fault("put", "x", 1, Fault::Corrupt);
            request.options.check = Check::ReadBack;
            let (done, seen) = go(request).await;
            assert_eq!(done.unwrap().copied, 1, "{}", seen.lines());
            assert_eq!(two.get_now("x").unwrap().bytes, body(size, 1), "{crc} {size}");
        }
    }

    #[tokio::test]
    async fn what_somebody_else_has_put_in_the_place_of_a_copy_is_left_alone() {
        for (blind, fault) in [(true, Fault::Change), (false, Fault::Change), (true, Fault::Shrink)]
        {
            let one = Fake::with("one", |fake| fake.blind = blind);
            let two = Fake::with("two", |fake| fake.blind = blind);
            one.set("a/x", body(100, 1));
            two.fault("get", "x", 1, fault);
            let mut request = request(one.side("a/"), two.side(""));
            request.options.check = Check::ReadBack;
            let (done, seen) = go(request).await;
            assert_eq!(done.unwrap().failed, 1, "{}", seen.lines());
            assert!(seen.lines().contains("written meanwhile"), "{}", seen.lines());
            let there = two.get_now("x").unwrap().bytes;
            assert!(there != body(100, 1), "it is as somebody else has left it");
            assert_eq!((two.count("put"), two.count("delete")), (1, 0));
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_replaced_while_it_is_judged_is_not_removed() {
        let one = Fake::with("one", |fake| fake.blind = true);
        let two = Fake::with("two", |fake| fake.blind = true);
        one.set("a/x", body(100, 1));
        two.fault("put", "x", 1, Fault::Corrupt);
        // Between reading the wrong bytes and removing them.
        two.fault("delete_if", "x", 1, Fault::Shrink);
        let mut request = request(one.side("a/"), two.side(""));
        request.options.check = Check::ReadBack;
        let (done, seen) = go(request).await;
        assert_eq!(done.unwrap().failed, 1, "{}", seen.lines());
        assert!(seen.lines().contains("written meanwhile"), "{}", seen.lines());
        assert!(two.get_now("x").unwrap().bytes.is_empty());
    }

    #[tokio::test]
    async fn a_move_keeps_a_source_whose_copy_reads_back_wrong() {
        let one = Fake::with("one", |fake| fake.blind = true);
        let two = Fake::with("two", |fake| fake.blind = true);
        one.set("a/x", body(100, 1));
        two.fault("put", "x", 9, Fault::Corrupt);
        let mut request = request(one.side("a/"), two.side(""));
        (request.options.check, request.options.delete_source) = (Check::ReadBack, true);
        assert_eq!(go(request).await.0.unwrap().failed, 1);
        assert!(one.get_now("a/x").is_some() && two.get_now("x").is_none());
    }
}
