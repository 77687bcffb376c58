//! An answer that was lost: telling whether an upload was completed all the same.

use crate::digest::{is_md5, multipart_etag};
use crate::run::Run;
use windlass_s3::Part;
use windlass_types::{Error, ObjectPath, Result};

/// The sixteen bytes of an `ETag` that is an MD5.
fn sum(etag: &str) -> Option<[u8; 16]> {
    let mut sum = [0; 16];
    if !is_md5(etag) {
        return None;
    }
    for (byte, at) in sum.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&etag[at..at + 2], 16).ok()?;
    }
    Some(sum)
}

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
        let sums: Option<Vec<[u8; 16]>> = parts.iter().map(|part| sum(&part.etag)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_read_as_the_sum_it_is() {
        let etag = "0CC175b9c0f1b6a831c399e269772661";
        let bytes = sum(etag).unwrap();
        assert_eq!(crate::digest::hex(&bytes), etag.to_lowercase());
        assert_eq!(sum("0cc175b9c0f1b6a831c399e269772661-2"), None);
    }
}
