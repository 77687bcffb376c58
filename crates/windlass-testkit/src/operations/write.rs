//! Writing objects.

use super::{attributes, encryption, found_mut, meets, no_such_key, precondition, version};
use crate::access::custom_error;
use crate::memory::{Bucket, Memory};
use crate::object::{ALGORITHMS, Object, Restore, Version, now, of_mut, verify};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, TrailingHeaders, s3_error};
use std::sync::Arc;

/// The checksums an input claims, in its headers.
macro_rules! claimed {
    ($input:expr) => {
        Checksum {
            checksum_crc32: $input.checksum_crc32.take(),
            checksum_crc32c: $input.checksum_crc32c.take(),
            checksum_crc64nvme: $input.checksum_crc64nvme.take(),
            checksum_sha1: $input.checksum_sha1.take(),
            checksum_sha256: $input.checksum_sha256.take(),
            checksum_type: None,
        }
    };
}
pub(super) use claimed;

pub(super) async fn put_object(
    memory: &Memory,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let mut input = request.input;
    let encryption = encryption!(input)?;
    let mut attributes = attributes!(input, encryption);
    let body = read_body(input.body.take()).await?;
    let claimed = with_trailers(claimed!(input), request.trailing_headers.as_ref());
    attributes.checksum =
        verify(&body, &claimed, input.checksum_algorithm.as_ref(), input.content_md5.as_deref())?;
    if ALGORITHMS.into_iter().any(|it| crate::object::of(&attributes.checksum, it).is_some()) {
        attributes.checksum.checksum_type =
            Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    }
    let object = Object::new(body, attributes);
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    allowed_to_replace(bucket, &input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let (version_id, object) = store(memory, bucket, &input.key, object);
    let sums = object.attributes.checksum.clone();
    let encryption = &object.attributes.encryption;
    Ok(S3Response::new(PutObjectOutput {
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        checksum_type: sums.checksum_type,
        e_tag: Some(object.dto_etag()),
        sse_customer_algorithm: encryption.customer_algorithm(),
        sse_customer_key_md5: encryption.customer_md5(),
        ssekms_encryption_context: encryption.context(),
        ssekms_key_id: encryption.kms_key(),
        server_side_encryption: encryption.server(),
        version_id,
        ..PutObjectOutput::default()
    }))
}

pub(super) fn put_object_acl(
    memory: &Memory,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let id = version(bucket, &input.key, input.version_id.as_deref())?.id;
    change(bucket, &input.key, &id, |object| {
        object.attributes.acl = input.acl.map(|it| it.as_str().to_owned());
    })?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

/// Notes that an archived object is to be restored; [`Memory::finish_restores`] ends it.
pub(super) fn restore_object(
    memory: &Memory,
    request: S3Request<RestoreObjectInput>,
) -> S3Result<S3Response<RestoreObjectOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let version = version(bucket, &input.key, input.version_id.as_deref())?;
    let object = version.object.as_ref().ok_or_else(no_such_key)?;
    if !object.attributes.is_archived() {
        return Err(s3_error!(
            InvalidObjectState,
            "Restore is not allowed for the object's current storage class"
        ));
    }
    if object.attributes.restore == Restore::Asked {
        return Err(s3_error!(RestoreAlreadyInProgress, "Object restore is already in progress"));
    }
    if input.restore_request.and_then(|it| it.days).is_none_or(|days| days < 1) {
        return Err(s3_error!(MalformedXML, "The number of days is missing"));
    }
    change(bucket, &input.key, &version.id, |object| object.attributes.restore = Restore::Asked)?;
    Ok(S3Response::new(RestoreObjectOutput::default()))
}

/// Changes an object where it is, keeping its version.
pub(super) fn change(
    bucket: &mut Bucket,
    key: &str,
    id: &str,
    change: impl FnOnce(&mut Object),
) -> S3Result<()> {
    let versions = bucket.objects.get_mut(key).ok_or_else(no_such_key)?;
    let version = versions.iter_mut().find(|it| it.id == id).ok_or_else(no_such_key)?;
    let object = version.object.as_mut().ok_or_else(no_such_key)?;
    change(Arc::make_mut(object));
    Ok(())
}

/// Stores an object as the current version of its key.
pub(super) fn store(
    memory: &Memory,
    bucket: &mut Bucket,
    key: &str,
    object: Object,
) -> (Option<String>, Arc<Object>) {
    let object = Arc::new(object);
    let id = memory.version_id(bucket.versioning);
    let version = Version { id, modified: now(), object: Some(Arc::clone(&object)) };
    let shown = version.shown_id();
    bucket.store(key, version);
    (shown, object)
}

/// Refuses to replace (or to make) a key against the conditions of a write.
pub(super) fn allowed_to_replace(
    bucket: &Bucket,
    key: &str,
    matches: Option<&ETagCondition>,
    none_matches: Option<&ETagCondition>,
) -> S3Result<()> {
    let etag = bucket.current(key).map(|(_, object)| object.etag.as_str());
    if let Some(condition) = none_matches
        && etag.is_some_and(|it| meets(condition, it))
    {
        return Err(precondition("If-None-Match"));
    }
    match (matches, etag) {
        (Some(condition), Some(etag)) if !meets(condition, etag) => Err(precondition("If-Match")),
        (Some(_), None) => Err(no_such_key()),
        _ => Ok(()),
    }
}

/// Reads a body to its end.
pub(super) async fn read_body(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    loop {
        match body.try_next().await {
            Ok(Some(chunk)) if first.is_none() && all.is_empty() => first = Some(chunk),
            Ok(Some(chunk)) => {
                if let Some(first) = first.take() {
                    all.extend_from_slice(&first);
                }
                all.extend_from_slice(&chunk);
            }
            Ok(None) => return Ok(first.unwrap_or_else(|| all.freeze())),
            Err(error) => {
                let text = error.to_string();
                return Err(if text.contains("Sha256Mismatch") {
                    custom_error(
                        400,
                        "XAmzContentSHA256Mismatch",
                        "The provided 'x-amz-content-sha256' header does not match what was computed."
                            .to_owned(),
                    )
                } else if text.contains("SignatureMismatch") {
                    s3_error!(SignatureDoesNotMatch, "A chunk's signature does not match.")
                } else {
                    s3_error!(
                        IncompleteBody,
                        "You did not provide the number of bytes specified by the Content-Length HTTP header."
                    )
                });
            }
        }
    }
}

/// Adds the checksums that came behind the body.
pub(super) fn with_trailers(mut claimed: Checksum, trailers: Option<&TrailingHeaders>) -> Checksum {
    let Some(headers) = trailers.and_then(TrailingHeaders::take) else { return claimed };
    for name in ALGORITHMS {
        let value = headers.get(format!("x-amz-checksum-{name}")).and_then(|it| it.to_str().ok());
        if let Some(value) = value {
            *of_mut(&mut claimed, name) = Some(value.to_owned());
        }
    }
    claimed
}
