//! Verifying a copy by reading it again where it was written.
//!
//! What is read there is summed and held against what the source says of itself; where that says
//! nothing of the whole, the source is read once more too.

use crate::digest::{Expected, Sum};
use crate::options::Check;
use crate::plan::{Existing, Found};
use crate::request::Side;
use crate::run::Run;
use futures::TryStreamExt;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use windlass_s3::{GetOptions, ObjectMeta};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

impl Run {
    /// Copies an object as [`Self::object`] does, and reads it back where that is asked for. Wrong
    /// bytes are removed, and the copy is repeated.
    pub(crate) async fn verified_object(
        self: &Arc<Self>,
        found: &Found,
        to: &ObjectPath,
        existing: &Existing,
    ) -> Result<Found> {
        let copied = self.object(found, to, existing).await?;
        if self.options.check == Check::Auto
            || to.key.ends_with('/') && self.destination.is_folder()
        {
            return Ok(copied);
        }
        let mut copied = copied;
        let mut attempt = 1;
        loop {
            match self.read_back(&copied, to).await {
                Err(error)
                    if error.code() == ErrorCode::ObjectCorrupt
                        && attempt < self.tuning.attempts =>
                {
                    tracing::debug!(key = to.key, error = error.chain(), "copied again");
                    attempt += 1;
                    copied = self.object(found, to, &Existing::Unknown).await?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(copied),
            }
        }
    }

    async fn read_back(&self, copied: &Found, to: &ObjectPath) -> Result<()> {
        let from = self.source.object(&copied.key)?;
        let meta = self.retried(|| self.source.storage.stat(&from, None)).await?;
        if meta.etag != copied.etag || Some(meta.size) != copied.size {
            return Err(Error::new(
                ErrorCode::ObjectChanged,
                "changed before the copy could be held against it",
            ));
        }
        let good = match Expected::of(&from.bucket, &meta) {
            Expected::Nothing => {
                let (one, two) = tokio::try_join!(
                    self.sha(&self.source, &from, meta.etag.as_deref()),
                    self.sha(&self.destination, to, None)
                )?;
                one == two
            }
            expected => self.sums_to(to, &meta, &expected).await?,
        };
        if good {
            return Ok(());
        }
        let why = "the bytes read back are not those of the source".to_owned();
        Err(self.remove_corrupt(to, why).await)
    }

    /// Whether the destination's object has the size and the sum of the source's.
    async fn sums_to(
        &self,
        to: &ObjectPath,
        meta: &ObjectMeta,
        expected: &Expected,
    ) -> Result<bool> {
        self.retried(|| async {
            let mut sum = Sum::new(expected);
            let read = self.each(&self.destination, to, None, |bytes| sum.update(bytes)).await?;
            Ok(read == meta.size && sum.holds())
        })
        .await
    }

    async fn sha(&self, side: &Side, object: &ObjectPath, etag: Option<&str>) -> Result<[u8; 32]> {
        self.retried(|| async {
            let mut sum = Sha256::new();
            self.each(side, object, etag, |bytes| sum.update(bytes)).await?;
            Ok(sum.finalize().into())
        })
        .await
    }

    /// Reads an object piece by piece; answers how many bytes came.
    async fn each(
        &self,
        side: &Side,
        object: &ObjectPath,
        etag: Option<&str>,
        mut see: impl FnMut(&[u8]),
    ) -> Result<u64> {
        let _slot = self.slot().await?;
        let options = GetOptions { if_match: etag.map(str::to_owned), ..GetOptions::default() };
        let mut stream = side.storage.get(object, options).await?.stream;
        let mut read = 0;
        while let Some(bytes) = stream.try_next().await? {
            self.interrupted()?;
            self.pass(bytes.len() as u64).await?;
            read += bytes.len() as u64;
            see(&bytes);
        }
        Ok(read)
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
