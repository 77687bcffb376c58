//! Telling by their bytes whether two objects are the same, where their rows in listings do not.

use crate::change::{ChangeTest, Facts};
use crate::digest::{EtagOf, has_md5_etag, is_md5, stored_md5};
use crate::request::Side;
use crate::run::Run;
use futures::TryStreamExt;
use windlass_s3::{GetOptions, ObjectMeta};
use windlass_types::{Entry, Result};

/// Objects read at most to find out whether `ETag`s are MD5s.
const SAMPLE: u64 = 16 << 20;

impl Run {
    /// What both ends are, for [`crate::change::decide`].
    pub(crate) fn facts(&self, etags_tell: bool) -> Facts {
        Facts {
            source_here: self.source.is_folder(),
            destination_here: self.destination.is_folder(),
            etags_tell,
        }
    }

    async fn md5_of(&self, side: &Side, key: &str) -> Result<String> {
        let object = side.object(key)?;
        self.retried(|| async {
            let _slot = self.slot().await?;
            let body = side.storage.get(&object, GetOptions::default()).await?;
            let mut sum = EtagOf::new(None);
            let mut stream = body.stream;
            while let Some(chunk) = stream.try_next().await? {
                self.interrupted()?;
                sum.update(&chunk);
            }
            Ok(sum.finish())
        })
        .await
    }

    async fn meta_of(&self, side: &Side, key: &str) -> Result<ObjectMeta> {
        let object = side.object(key)?;
        self.retried(|| side.storage.stat(&object, None)).await
    }

    /// Compares the bytes of two objects: by `ETag` or stored checksum where both have one, by
    /// reading what has none.
    pub(crate) async fn same_content(&self, source: &Entry, destination: &Entry) -> Result<bool> {
        if source.size.is_some() && source.size != destination.size {
            return Ok(false);
        }
        let (here, there) = (self.source.is_folder(), self.destination.is_folder());
        let mut sums = [None, None];
        if !(here && there) {
            let ask = async |side: &Side, is_folder: bool, entry: &Entry| -> Result<_> {
                if is_folder { Ok(None) } else { self.meta_of(side, &entry.key).await.map(Some) }
            };
            let (one, two) = tokio::try_join!(
                ask(&self.source, here, source),
                ask(&self.destination, there, destination)
            )?;
            if let (Some(one), Some(two)) = (&one, &two) {
                let whole = |sum: &&String| !sum.contains('-');
                for (name, sum) in &one.checksums {
                    if let Some(other) = two.checksums.get(name).filter(whole)
                        && whole(&sum)
                    {
                        return Ok(sum == other);
                    }
                }
            }
            let told = |side: &Side, meta: &Option<ObjectMeta>| {
                let meta = meta.as_ref()?;
                let bucket = side.location.bucket.as_deref().unwrap_or_default();
                stored_md5(bucket, meta)
            };
            sums = [told(&self.source, &one), told(&self.destination, &two)];
            if one.is_some_and(|meta| Some(meta.size) != destination.size)
                || two.is_some_and(|meta| source.size.is_some_and(|size| size != meta.size))
            {
                return Ok(false);
            }
        }
        let [one, two] = sums;
        let one = match one {
            Some(sum) => sum,
            None => self.md5_of(&self.source, &source.key).await?,
        };
        let two = match two {
            Some(sum) => sum,
            None => self.md5_of(&self.destination, &destination.key).await?,
        };
        Ok(one.eq_ignore_ascii_case(&two))
    }
}

/// Whether `ETag`s that look like MD5s are MD5s: believed until a pair of one size differs although
/// the destination is not older. Then metadata, and at most one small object of each side, are asked
/// for once.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    tell: Option<bool>,
}

impl Doubt {
    /// What is known when this pair is compared.
    pub(crate) async fn etags_tell(
        &mut self,
        run: &Run,
        test: ChangeTest,
        source: &Entry,
        destination: &Entry,
    ) -> bool {
        if let Some(tell) = self.tell {
            return tell;
        }
        let by_content = matches!(test, ChangeTest::Default | ChangeTest::Checksum);
        let here = run.source.is_folder() || run.destination.is_folder();
        let looks = |entry: &Entry| entry.etag.as_deref().is_some_and(is_md5);
        let doubtful = by_content
            && !here
            && source.size == destination.size
            && looks(source)
            && looks(destination)
            && source.etag != destination.etag
            && destination.last_modified >= source.last_modified;
        if !doubtful {
            return true;
        }
        let (one, two) = tokio::join!(
            is_told(run, &run.source, source),
            is_told(run, &run.destination, destination)
        );
        // What cannot be read now will be copied, or fail, like everything that differs.
        match (one, two) {
            (Ok(Some(one)), Ok(Some(two))) => {
                self.tell = Some(one && two);
                one && two
            }
            (Ok(Some(false)), _) | (_, Ok(Some(false))) => {
                self.tell = Some(false);
                false
            }
            _ => true,
        }
    }
}

/// Whether the `ETag` of an object is the MD5 of its bytes; None if that was not found out.
async fn is_told(run: &Run, side: &Side, entry: &Entry) -> Result<Option<bool>> {
    let meta = run.meta_of(side, &entry.key).await?;
    let bucket = side.location.bucket.as_deref().unwrap_or_default();
    if !has_md5_etag(bucket, &meta) {
        return Ok(Some(false));
    }
    if meta.etag != entry.etag || meta.size > SAMPLE {
        return Ok(None);
    }
    let Some(etag) = meta.etag else { return Ok(Some(false)) };
    let sum = run.md5_of(side, &entry.key).await?;
    if etag.eq_ignore_ascii_case(&sum) {
        return Ok(Some(true));
    }
    // A bit that was lost on the way must not speak for the whole bucket.
    let again = run.md5_of(side, &entry.key).await?;
    Ok(if etag.eq_ignore_ascii_case(&again) { Some(true) } else { (again == sum).then_some(false) })
}
