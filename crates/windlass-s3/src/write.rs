//! Writing: whole objects, parts, copies, deletions, buckets.
//!
//! Every new object gets what the connection says (encryption, storage class, ACL) and is proven by
//! [`crate::checksum`]. `READ_ONLY` was checked before a request is made, and is again in the client.

use crate::access::{Part, PutOptions, PutResult, Upload};
use crate::checksum::{CRC64, Sums};
use crate::encryption::{customer_key, new_object};
use crate::error;
use crate::failure::Failure;
use crate::lifecycle;
use crate::list::unquote;
use crate::payload::Payload;
use crate::store::{Carrier, S3Store, target};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload,
    CompletedPart, CreateBucketConfiguration,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// What a service says of what it stored.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Without quotes.
    pub(crate) etag: Option<String>,
    pub(crate) version: Option<String>,
    /// CRC-64/NVME, base64.
    pub(crate) crc: Option<String>,
    /// Encrypted with a key of KMS, so the `ETag` is no MD5.
    pub(crate) kms: bool,
}

/// A key to delete, and the `ETag` that it must still have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doomed<'a> {
    pub(crate) key: &'a str,
    pub(crate) etag: Option<&'a str>,
}

/// A key that a deletion of many left.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) key: String,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// An `ETag` as it travels.
pub(crate) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// The `expires` header as the SDK wants it.
pub(crate) fn expires(options: &PutOptions) -> Result<Option<DateTime>> {
    options
        .headers
        .get("expires")
        .map(|text| {
            DateTime::from_str(text, DateTimeFormat::HttpDate).map_err(|error| {
                Error::new(
                    ErrorCode::UsageInvalid,
                    format!("the header `expires` is not an HTTP date: `{text}`"),
                )
                .source(error)
            })
        })
        .transpose()
}

/// Adds content headers and user metadata; `expires` has been read before.
macro_rules! described {
    ($builder:expr, $options:expr, $expires:expr) => {{
        let options = $options;
        let header = |name: &str| options.headers.get(name).cloned();
        $builder
            .set_content_type(options.content_type.clone())
            .set_cache_control(header("cache-control"))
            .set_content_disposition(header("content-disposition"))
            .set_content_encoding(header("content-encoding"))
            .set_content_language(header("content-language"))
            .set_expires($expires)
            .set_metadata((!options.metadata.is_empty()).then(|| {
                options.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
            }))
    }};
}

/// Adds the conditions of a write.
macro_rules! conditional {
    ($builder:expr, $options:expr) => {{
        let options = $options;
        $builder
            .set_if_none_match(options.if_none_match.then(|| "*".to_owned()))
            .set_if_match(options.if_match.as_deref().map($crate::write::quoted))
    }};
}

pub(crate) use {conditional, described};

/// Writes a whole object.
pub(crate) async fn put(
    store: &S3Store,
    object: &ObjectPath,
    body: Bytes,
    options: &PutOptions,
) -> Result<PutResult> {
    // Checked before anything is sent, whichever client sends it.
    expires(options)?;
    let what = target(&object.bucket, &object.key);
    let body = &Payload::from(body);
    loop {
        let sums = Sums::of(body, store.support().plan()).await.map_err(unreadable)?;
        let proof = &sums;
        let answer = store
            .carry("PutObject", &object.bucket, move |carrier| async move {
                match carrier {
                    Carrier::Wire(wire, route) => {
                        wire.put(&route, object, body, proof, options).await
                    }
                    Carrier::Sdk(sdk) => sdk.put(object, body, proof, options).await,
                }
            })
            .await?;
        let stored = match answer {
            Ok(stored) => stored,
            Err(failure) if sums.crc.is_some() && store.support().blame(&failure) => continue,
            Err(failure) => return Err(failure.error),
        };
        store.support().learn(stored.crc.is_some());
        let (etag, crc) = (stored.etag.as_deref(), stored.crc.as_deref());
        let proven = sums.verify(&what, store.spec(), etag, crc, stored.kms)?;
        return Ok(PutResult { etag: stored.etag, version: stored.version, proven });
    }
}

/// Begins a multipart upload.
pub(crate) async fn create_upload(
    store: &S3Store,
    object: &ObjectPath,
    options: &PutOptions,
) -> Result<Upload> {
    let expires = expires(options)?;
    let what = target(&object.bucket, &object.key);
    let answer = loop {
        let crc = store.support().plan().crc;
        let answer = store
            .try_send("CreateMultipartUpload", &object.bucket, |client| {
                let request = new_object!(client.create_multipart_upload(), store, options)
                    .bucket(&object.bucket)
                    .key(&object.key);
                described!(request, options, expires)
                    .set_checksum_algorithm(crc.then_some(ChecksumAlgorithm::Crc64Nvme))
                    .set_checksum_type(crc.then_some(ChecksumType::FullObject))
                    .send()
            })
            .await?;
        match answer {
            Ok(answer) => break answer,
            Err(failure) => {
                let failure =
                    Failure::of_sdk("CreateMultipartUpload", &what, store.connection(), failure);
                if !crc || !store.support().blame(&failure) {
                    return Err(store.clean(failure.error));
                }
            }
        }
    };
    store.support().learn(answer.checksum_algorithm.is_some());
    let id = answer.upload_id.ok_or_else(|| {
        Error::new(ErrorCode::ConnectionFailed, "the service began an upload without giving its id")
    })?;
    Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id })
}

/// Writes a part.
pub(crate) async fn upload_part(
    store: &S3Store,
    upload: &Upload,
    number: i32,
    body: Payload,
) -> Result<Part> {
    let what = target(&upload.bucket, &upload.key);
    let sums = Sums::of(&body, store.support().plan_part()).await.map_err(unreadable)?;
    let (body, proof) = (&body, &sums);
    let stored = store
        .carry("UploadPart", &upload.bucket, move |carrier| async move {
            match carrier {
                Carrier::Wire(wire, route) => {
                    wire.upload_part(&route, upload, number, body, proof).await
                }
                Carrier::Sdk(sdk) => sdk.upload_part(upload, number, body, proof).await,
            }
        })
        .await?
        .map_err(|failure| failure.error)?;
    let etag = stored.etag.ok_or_else(|| no_etag(&what, number))?;
    let proven =
        sums.verify(&what, store.spec(), Some(&etag), stored.crc.as_deref(), stored.kms)?;
    let checksums = sums.crc.map(|crc| (CRC64.to_owned(), crc)).into_iter().collect();
    Ok(Part { number, etag, checksums, proven })
}

/// The error of a file that was to be sent.
fn unreadable(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return Error::new(ErrorCode::ObjectChanged, "the file became shorter while it was read")
            .source(error);
    }
    Error::new(ErrorCode::LocalFailed, "cannot read the file that is to be sent").source(error)
}

fn no_etag(what: &str, number: i32) -> Error {
    Error::new(
        ErrorCode::ConnectionFailed,
        format!("the service gave no ETag for part {number} of `{what}`"),
    )
    .hint("a browser-style proxy may hide the ETag header; reach the service directly")
}

/// Makes the object from its parts.
pub(crate) async fn complete_upload(
    store: &S3Store,
    upload: &Upload,
    parts: &[Part],
    options: &PutOptions,
) -> Result<PutResult> {
    let mut sorted: Vec<&Part> = parts.iter().collect();
    sorted.sort_by_key(|part| part.number);
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(
            sorted
                .into_iter()
                .map(|part| {
                    CompletedPart::builder()
                        .part_number(part.number)
                        .e_tag(quoted(&part.etag))
                        .set_checksum_crc64_nvme(part.checksums.get(CRC64).cloned())
                        .build()
                })
                .collect(),
        ))
        .build();
    let answer = store
        .send("CompleteMultipartUpload", &upload.bucket, &upload.key, |client| {
            conditional!(customer_key!(client.complete_multipart_upload(), store), options)
                .bucket(&upload.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .multipart_upload(parts.clone())
                .send()
        })
        .await?;
    Ok(PutResult {
        etag: answer.e_tag.as_deref().map(unquote),
        version: answer.version_id,
        proven: false,
    })
}

/// Gives up an upload. One that is gone already is given up.
pub(crate) async fn abort_upload(store: &S3Store, upload: &Upload) -> Result<()> {
    let answer = store
        .send("AbortMultipartUpload", &upload.bucket, &upload.key, |client| {
            client
                .abort_multipart_upload()
                .bucket(&upload.bucket)
                .key(&upload.key)
                .upload_id(&upload.id)
                .send()
        })
        .await;
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The value of x-amz-copy-source: everything but the separators is encoded.
pub(crate) fn copy_source(from: &ObjectPath) -> String {
    const KEPT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b'/')
        .remove(b':');
    let key = percent_encoding::utf8_percent_encode(&from.key, KEPT);
    if from.bucket.starts_with("arn:") {
        format!("{}/object/{key}", from.bucket)
    } else {
        format!("{}/{key}", from.bucket)
    }
}

/// What a copy's `ETag` condition says when it fails.
fn source_changed(error: Error, from: &ObjectPath) -> Error {
    if error.code() != ErrorCode::ObjectChanged {
        return error;
    }
    Error::new(
        ErrorCode::ObjectChanged,
        format!("`{from}` changed since it was listed, or the destination exists already"),
    )
    .source(error.causes().join(": "))
    .hint("look at both again, then repeat what you did")
}

/// Copies inside the service. Metadata is kept unless `options` has some of its own.
pub(crate) async fn copy(
    store: &S3Store,
    from: &ObjectPath,
    to: &ObjectPath,
    if_match: Option<&str>,
    options: &PutOptions,
) -> Result<PutResult> {
    expires(options)?;
    let crc = store.support().plan().crc && !store.support().plan().md5;
    let stored = store
        .carry("CopyObject", &to.bucket, move |carrier| async move {
            match carrier {
                Carrier::Wire(wire, route) => {
                    wire.copy(&route, from, to, if_match, crc, options).await
                }
                Carrier::Sdk(sdk) => sdk.copy(from, to, if_match, crc, options).await,
            }
        })
        .await?
        .map_err(|failure| source_changed(failure.error, from))?;
    Ok(PutResult { etag: stored.etag, version: stored.version, proven: false })
}

/// Whether a copy gets metadata of its own.
pub(crate) fn replaces(options: &PutOptions) -> bool {
    options.replace
        || options.content_type.is_some()
        || !options.headers.is_empty()
        || !options.metadata.is_empty()
}

/// Copies a range of another object as a part.
pub(crate) async fn copy_part(
    store: &S3Store,
    from: &ObjectPath,
    offset: u64,
    length: u64,
    if_match: Option<&str>,
    upload: &Upload,
    number: i32,
) -> Result<Part> {
    let what = target(&upload.bucket, &upload.key);
    let range = format!("bytes={offset}-{}", (offset + length).saturating_sub(1));
    let range = range.as_str();
    let copied = store
        .carry("UploadPartCopy", &upload.bucket, move |carrier| async move {
            match carrier {
                Carrier::Wire(wire, route) => {
                    wire.copy_part(&route, from, range, if_match, upload, number).await
                }
                Carrier::Sdk(sdk) => sdk.copy_part(from, range, if_match, upload, number).await,
            }
        })
        .await?
        .map_err(|failure| source_changed(failure.error, from))?;
    let etag = copied.etag.ok_or_else(|| no_etag(&what, number))?;
    let mut checksums = BTreeMap::new();
    if let Some(crc) = copied.crc {
        checksums.insert(CRC64.to_owned(), crc);
    }
    Ok(Part { number, etag, checksums, proven: false })
}

/// Deletes a key.
pub(crate) async fn delete(store: &S3Store, object: &ObjectPath) -> Result<()> {
    let answer = store
        .carry("DeleteObject", &object.bucket, move |carrier| async move {
            match carrier {
                Carrier::Wire(wire, route) => wire.delete(&route, object).await,
                Carrier::Sdk(sdk) => sdk.delete(object).await,
            }
        })
        .await?;
    match answer {
        Ok(()) => Ok(()),
        // Some services say so; S3 does not.
        Err(failure) if failure.error.code() == ErrorCode::ObjectNotFound => Ok(()),
        Err(failure) => Err(failure.error),
    }
}

/// Whether XML 1.0 can hold the key.
pub(crate) fn fits_xml(key: &str) -> bool {
    key.chars().all(|c| {
        (c >= ' ' || matches!(c, '\t' | '\n' | '\r')) && !matches!(c, '\u{fffe}' | '\u{ffff}')
    })
}

/// Deletes many keys: in one request what can be, the rest one by one.
pub(crate) async fn delete_many(
    store: &S3Store,
    bucket: &str,
    keys: &[Doomed<'_>],
) -> Result<Vec<(String, Error)>> {
    let (together, mut alone): (Vec<Doomed<'_>>, Vec<Doomed<'_>>) =
        keys.iter().copied().partition(|doomed| fits_xml(doomed.key));
    let mut failed = Vec::new();
    for chunk in together.chunks(1000) {
        let answer = store
            .carry("DeleteObjects", bucket, move |carrier| async move {
                match carrier {
                    Carrier::Wire(wire, route) => wire.delete_many(&route, bucket, chunk).await,
                    Carrier::Sdk(sdk) => sdk.delete_many(bucket, chunk).await,
                }
            })
            .await?;
        match answer {
            Ok(refusals) => {
                for Refused { key, code, message } in refusals {
                    if code == "NoSuchKey" {
                        continue;
                    }
                    let what = target(bucket, &key);
                    let connection = store.connection();
                    let error =
                        error::from_code("DeleteObject", &what, connection, &code, &message);
                    failed.push((key, store.clean(error)));
                }
            }
            // Services without the call, such as Google's.
            Err(failure) if matches!(failure.status, 405 | 501) => alone.extend(chunk),
            Err(failure) => return Err(failure.error),
        }
    }
    for Doomed { key, etag } in alone {
        let object = ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() };
        let done = match etag {
            Some(etag) => lifecycle::delete_if(store, &object, etag).await,
            None => self::delete(store, &object).await,
        };
        if let Err(error) = done
            && error.code() != ErrorCode::ObjectNotFound
        {
            failed.push((object.key, error));
        }
    }
    Ok(failed)
}

/// Creates a bucket in the connection's region.
pub(crate) async fn create_bucket(store: &S3Store, bucket: &str) -> Result<()> {
    store.guard().check("CreateBucket")?;
    let region = store.start_region().await?;
    let client = store.base_client().await?;
    let constraint = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::from(region.as_str()))
        .build();
    let named = region != "us-east-1";
    // Most compatible services have one region and do not want it named.
    let first = (named && store.spec().endpoint.is_none()).then(|| constraint.clone());
    let unnamed = first.is_none();
    let mut answer =
        client.create_bucket().bucket(bucket).set_create_bucket_configuration(first).send().await;
    if let Err(failure) = &answer
        && named
        && unnamed
        && failure.as_service_error().is_some_and(|error| {
            error.meta().code().is_some_and(|code| code.starts_with("IllegalLocationConstraint"))
        })
    {
        answer = client
            .create_bucket()
            .bucket(bucket)
            .create_bucket_configuration(constraint)
            .send()
            .await;
    }
    answer.map_err(|failure| store.fail("CreateBucket", bucket, failure))?;
    store.remember(bucket, &region).await;
    Ok(())
}

/// Removes an empty bucket.
pub(crate) async fn delete_bucket(store: &S3Store, bucket: &str) -> Result<()> {
    store.guard().check("DeleteBucket")?;
    // Not every service keeps a bucket that still holds objects.
    let listed = store
        .try_send("ListObjectsV2", bucket, |client| {
            client.list_objects_v2().bucket(bucket).max_keys(1).send()
        })
        .await?;
    match listed {
        Ok(page) if !page.contents().is_empty() => {
            return Err(Error::new(
                ErrorCode::BucketConflict,
                format!("the bucket `{bucket}` is not empty"),
            )
            .hint("remove what is in it first, also old versions and unfinished uploads"));
        }
        // AWS itself refuses, also who may not look.
        Err(failure) if store.spec().endpoint.is_some() => {
            return Err(store.fail("ListObjectsV2", bucket, failure));
        }
        Ok(_) | Err(_) => {}
    }
    store
        .send("DeleteBucket", bucket, "", |client| client.delete_bucket().bucket(bucket).send())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_a_copy_is_encoded_whole() {
        let from = |bucket: &str, key: &str| {
            copy_source(&ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() })
        };
        assert_eq!(from("b", "a b/ä+?#%.txt"), "b/a%20b/%C3%A4%2B%3F%23%25.txt");
        assert_eq!(
            from("arn:aws:s3:eu-west-1:1:accesspoint/p", "k"),
            "arn:aws:s3:eu-west-1:1:accesspoint/p/object/k"
        );
    }

    #[test]
    fn keys_that_xml_cannot_hold_are_told() {
        assert!(fits_xml("a\nb\tc ä") && !fits_xml("a\u{1}b") && !fits_xml("\u{ffff}"));
    }
}
