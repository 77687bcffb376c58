//! Copies that never leave the service: whole objects, and parts.

use super::write::{allowed_to_replace, store};
use super::{
    attributes, caller, customer, encryption, found, found_mut, meets, precondition,
    source_customer, version,
};
use crate::access::allow;
use crate::identity::Scope;
use crate::memory::{Memory, Part};
use crate::object::{
    ALGORITHMS, Object, Restore, Version, algorithm_name, compute, fingerprint, hex, now, of,
    of_mut,
};
use http::HeaderMap;
use s3s::auth::Credentials;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// The source of a copy, with the right to read it checked.
fn source(
    memory: &Memory,
    credentials: Option<&Credentials>,
    source: &CopySource,
) -> S3Result<(Version, Arc<Object>)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "only a bucket can be copied from"));
    };
    let known = caller(memory, credentials);
    allow(memory, known.as_ref(), "GetObject", bucket, Scope::Key(key))?;
    let buckets = memory.buckets();
    let version = version(found(&buckets, bucket)?, key, version_id.as_deref())?;
    let object = version.object.clone().ok_or_else(super::no_such_key)?;
    super::read::readable(&object)?;
    Ok((version, object))
}

/// The conditions on the source, alike in both copies.
macro_rules! check_source {
    ($input:expr, $version:expr, $object:expr) => {{
        let modified = Timestamp::from($version.modified);
        if $input.copy_source_if_match.as_ref().is_some_and(|it| !meets(it, &$object.etag)) {
            return Err(precondition("x-amz-copy-source-If-Match"));
        }
        if $input.copy_source_if_none_match.as_ref().is_some_and(|it| meets(it, &$object.etag)) {
            return Err(precondition("x-amz-copy-source-If-None-Match"));
        }
        if $input.copy_source_if_match.is_none()
            && $input.copy_source_if_unmodified_since.as_ref().is_some_and(|it| modified > *it)
        {
            return Err(precondition("x-amz-copy-source-If-Unmodified-Since"));
        }
        if $input.copy_source_if_none_match.is_none()
            && $input.copy_source_if_modified_since.as_ref().is_some_and(|it| modified <= *it)
        {
            return Err(precondition("x-amz-copy-source-If-Modified-Since"));
        }
        $object.attributes.encryption.unlock(source_customer!($input)?.as_deref())?;
    }};
}

pub(super) fn copy_object(
    memory: &Memory,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let mut input = request.input;
    let (version, object) = source(memory, request.credentials.as_ref(), &input.copy_source)?;
    check_source!(input, version, object);
    if object.body.len() > memory.options.max_copy_size {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: {}",
            memory.options.max_copy_size
        ));
    }
    let replace = input.metadata_directive.as_ref().is_some_and(|it| it.as_str() == "REPLACE");
    let retag = input.tagging_directive.as_ref().is_some_and(|it| it.as_str() == "REPLACE");
    let encryption = encryption!(input)?;
    let changes = replace
        || input.storage_class.is_some()
        || input.website_redirect_location.is_some()
        || input.server_side_encryption.is_some()
        || input.sse_customer_key.is_some();
    if !changes && is_itself(&input.copy_source, &input.bucket, &input.key) {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
        ));
    }
    let mut attributes = attributes!(input, encryption);
    if !retag {
        attributes.tags.clone_from(&object.attributes.tags);
    }
    if !replace {
        let kept = object.attributes.clone();
        attributes = crate::object::Attributes {
            storage_class: attributes.storage_class,
            acl: attributes.acl,
            encryption: attributes.encryption,
            tags: attributes.tags,
            restore: Restore::None,
            parts: Vec::new(),
            ..kept
        };
    }
    // Whatever the source was uploaded as, the copy is one object and its checksum is of all of it.
    let algorithm = match input.checksum_algorithm.as_ref().and_then(algorithm_name) {
        Some(asked) => Some(asked),
        None => ALGORITHMS.into_iter().find(|it| of(&object.attributes.checksum, it).is_some()),
    };
    attributes.checksum = Checksum::default();
    if let Some(name) = algorithm {
        *of_mut(&mut attributes.checksum, name) = compute(name, &object.body);
        attributes.checksum.checksum_type =
            Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    }
    let copy = Object::new(object.body.clone(), attributes);
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let (matches, none_matches) = conditions(&request.headers)?;
    allowed_to_replace(bucket, &input.key, matches.as_ref(), none_matches.as_ref())?;
    let (version_id, copy) = store(memory, bucket, &input.key, copy);
    let sums = copy.attributes.checksum.clone();
    let encryption = &copy.attributes.encryption;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
            e_tag: Some(copy.dto_etag()),
            last_modified: Some(now().into()),
        }),
        copy_source_version_id: version.shown_id(),
        sse_customer_algorithm: encryption.customer_algorithm(),
        sse_customer_key_md5: encryption.customer_md5(),
        ssekms_encryption_context: encryption.context(),
        ssekms_key_id: encryption.kms_key(),
        server_side_encryption: encryption.server(),
        version_id,
        ..CopyObjectOutput::default()
    }))
}

fn is_itself(source: &CopySource, to_bucket: &str, to_key: &str) -> bool {
    matches!(source, CopySource::Bucket { bucket, key, version_id: None }
        if **bucket == *to_bucket && **key == *to_key)
}

/// The conditions on the destination, which s3s does not name.
fn conditions(headers: &HeaderMap) -> S3Result<(Option<ETagCondition>, Option<ETagCondition>)> {
    let read = |name: http::HeaderName| match headers.get(&name) {
        None => Ok(None),
        Some(value) => ETagCondition::parse_http_header(value.as_bytes())
            .map(Some)
            .map_err(|_| s3_error!(InvalidArgument, "invalid header {name}")),
    };
    Ok((read(http::header::IF_MATCH)?, read(http::header::IF_NONE_MATCH)?))
}

pub(super) fn upload_part_copy(
    memory: &Memory,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let (version, object) = source(memory, request.credentials.as_ref(), &input.copy_source)?;
    check_source!(input, version, object);
    let body = match input.copy_source_range.as_deref() {
        None => object.body.clone(),
        Some(text) => {
            let (first, last) = text
                .strip_prefix("bytes=")
                .and_then(|it| it.split_once('-'))
                .and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<usize>().ok()?)))
                .filter(|(first, last): &(usize, usize)| first <= last)
                .ok_or_else(|| {
                    s3_error!(
                        InvalidArgument,
                        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
                    )
                })?;
            if last >= object.body.len() {
                return Err(s3_error!(
                    InvalidArgument,
                    "Range specified is not valid for source object of size: {}",
                    object.body.len()
                ));
            }
            object.body.slice(first..=last)
        }
    };
    let customer = customer!(input)?;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let upload = super::multipart::upload_mut(bucket, &input.key, &input.upload_id)?;
    super::multipart::check_number(input.part_number)?;
    upload.attributes.encryption.unlock(customer.as_deref())?;
    let mut checksum = Checksum::default();
    if let Some(name) = upload.algorithm {
        *of_mut(&mut checksum, name) = compute(name, &body);
    }
    let fingerprint = fingerprint(&body, &upload.attributes.encryption);
    let part = Part { body, fingerprint, modified: now(), checksum: checksum.clone() };
    upload.parts.insert(input.part_number, part);
    let encryption = &upload.attributes.encryption;
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            e_tag: Some(ETag::Strong(hex(&fingerprint))),
            last_modified: Some(now().into()),
        }),
        copy_source_version_id: version.shown_id(),
        sse_customer_algorithm: encryption.customer_algorithm(),
        sse_customer_key_md5: encryption.customer_md5(),
        ssekms_key_id: encryption.kms_key(),
        server_side_encryption: encryption.server(),
        ..UploadPartCopyOutput::default()
    }))
}
