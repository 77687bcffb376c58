//! Multipart uploads that were begun and not ended: their parts are stored, and cost, until they are
//! given up.

use crate::access::{OpenUpload, Part, StoredPart, Upload};
use crate::checksum::CRC64;
use crate::encryption::customer_key;
use crate::list::unquote;
use crate::store::S3Store;
use aws_sdk_s3::types::EncodingType;
use chrono::DateTime;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use percent_encoding::percent_decode_str;
use windlass_types::{Error, ErrorCode, Result};

/// Lists those of a bucket whose keys begin with `prefix`.
pub(crate) fn list(
    store: &S3Store,
    bucket: &str,
    prefix: &str,
) -> BoxStream<'static, Result<OpenUpload>> {
    let (store, bucket, prefix) = (store.clone(), bucket.to_owned(), prefix.to_owned());
    async_stream::try_stream! {
        store.check(&bucket, &prefix)?;
        let (mut key, mut id): (Option<String>, Option<String>) = (None, None);
        loop {
            let page = store
                .send("ListMultipartUploads", &bucket, "", |client| {
                    client
                        .list_multipart_uploads()
                        .bucket(&bucket)
                        .prefix(&prefix)
                        .encoding_type(EncodingType::Url)
                        .set_key_marker(key.clone())
                        .set_upload_id_marker(id.clone())
                        .send()
                })
                .await?;
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            let decoded = |text: &str| {
                if encoded {
                    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
                } else {
                    text.to_owned()
                }
            };
            for upload in page.uploads() {
                let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { continue };
                let key = decoded(key);
                if !key.starts_with(&prefix) {
                    continue; // some services do not heed the prefix
                }
                yield OpenUpload {
                    upload: Upload { bucket: bucket.clone(), key, id: id.to_owned() },
                    started: upload.initiated().and_then(|time| {
                        DateTime::from_timestamp(time.secs(), time.subsec_nanos())
                    }),
                };
            }
            if page.is_truncated() != Some(true) {
                break;
            }
            let next = (
                page.next_key_marker().map(&decoded),
                page.next_upload_id_marker().map(str::to_owned),
            );
            if next == (key.clone(), id.clone()) || next.0.is_none() {
                Err(Error::new(
                    ErrorCode::ConnectionFailed,
                    format!("the list of uploads in `{bucket}` does not advance"),
                ))?;
            }
            (key, id) = next;
        }
    }
    .boxed()
}

/// Lists the parts of an upload; learns from it whether the upload takes checksums.
pub(crate) async fn list_parts(store: &S3Store, upload: &Upload) -> Result<Vec<StoredPart>> {
    let mut parts = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .send("ListParts", &upload.bucket, &upload.key, |client| {
                customer_key!(client.list_parts(), store)
                    .bucket(&upload.bucket)
                    .key(&upload.key)
                    .upload_id(&upload.id)
                    .set_part_number_marker(after.clone())
                    .send()
            })
            .await?;
        for part in page.parts() {
            let (Some(number), Some(etag)) = (part.part_number(), part.e_tag()) else { continue };
            let crc = part.checksum_crc64_nvme().map(|crc| (CRC64.to_owned(), crc.to_owned()));
            parts.push(StoredPart {
                part: Part {
                    number,
                    etag: unquote(etag),
                    checksums: crc.into_iter().collect(),
                    proven: false,
                },
                size: part.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            });
        }
        if after.is_none() {
            store.support().learn(page.checksum_algorithm().is_some());
        }
        let next = page.next_part_number_marker().map(str::to_owned);
        if page.is_truncated() != Some(true) || next.is_none() || next == after {
            return Ok(parts);
        }
        after = next;
    }
}
