//! An answer that was lost: telling whether an upload was completed all the same.

use crate::digest::{multipart_etag, unhex};
use crate::run::Run;
use windlass_s3::Part;
use windlass_types::{Error, ObjectPath, Result};

impl Run {
    /// The `ETag` of `to`, if it is what these parts make; else the error `gone`. An upload that is
    /// not there when it is completed once more may have been completed by the attempt before.
    pub(crate) async fn completed(
        &self,
        to: &ObjectPath,
        parts: &[Part],
        size: u64,
        gone: Error,
    ) -> Result<Option<String>> {
        let sums: Option<Vec<[u8; 16]>> = parts.iter().map(|part| unhex(&part.etag)).collect();
        let Some(expected) = sums.map(|sums| multipart_etag(&sums)) else { return Err(gone) };
        match self.retried(|| self.destination.storage.stat(to, None)).await {
            Ok(meta)
                if meta.size == size
                    && meta
                        .etag
                        .as_ref()
                        .is_some_and(|etag| etag.eq_ignore_ascii_case(&expected)) =>
            {
                Ok(meta.etag)
            }
            _ => Err(gone),
        }
    }
}
