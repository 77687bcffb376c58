//! Reading objects and what is said about them.

use super::{customer, found, meets, precondition, version};
use crate::memory::Memory;
use crate::object::{Object, Version};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::dto::*;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result, s3_error};
use std::ops;
use std::sync::Arc;

/// The conditions of a read.
struct Conditions<'a> {
    matches: Option<&'a ETagCondition>,
    none_matches: Option<&'a ETagCondition>,
    modified: Option<&'a Timestamp>,
    unmodified: Option<&'a Timestamp>,
}

impl Conditions<'_> {
    fn check(&self, version: &Version, object: &Object) -> S3Result<()> {
        let modified = Timestamp::from(version.modified);
        if self.matches.is_some_and(|it| !meets(it, &object.etag)) {
            return Err(precondition("If-Match"));
        }
        if self.matches.is_none() && self.unmodified.is_some_and(|it| modified > *it) {
            return Err(precondition("If-Unmodified-Since"));
        }
        let unchanged = match self.none_matches {
            Some(condition) => meets(condition, &object.etag),
            None => self.modified.is_some_and(|it| modified <= *it),
        };
        if unchanged {
            let mut error = s3_error!(NotModified, "Not Modified");
            error.set_status_code(StatusCode::NOT_MODIFIED);
            let mut headers = HeaderMap::new();
            if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", object.etag)) {
                headers.insert(http::header::ETAG, etag);
            }
            error.set_headers(headers);
            return Err(error);
        }
        Ok(())
    }
}

/// The part of an object that is asked for; nothing is all of it.
fn cut(
    object: &Object,
    range: Option<&Range>,
    part: Option<i32>,
) -> S3Result<Option<ops::Range<usize>>> {
    let size = object.body.len();
    if let Some(part) = part {
        let parts = &object.attributes.parts;
        let index = usize::try_from(part).ok().and_then(|it| it.checked_sub(1));
        if parts.is_empty() && index == Some(0) {
            return Ok(Some(0..size));
        }
        let Some(own) = index.and_then(|it| parts.get(it)) else {
            return Err(crate::access::custom_error(
                416,
                "InvalidPartNumber",
                "The requested partnumber is not satisfiable".to_owned(),
            ));
        };
        let start: usize = parts.iter().take(index.unwrap_or_default()).sum();
        return Ok(Some(start..start + own));
    }
    let Some(range) = range else { return Ok(None) };
    match range.check(size as u64) {
        Ok(range) => {
            let place = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
            Ok(Some(place(range.start)..place(range.end)))
        }
        Err(_) => Err(not_satisfiable(size)),
    }
}

fn not_satisfiable(size: usize) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        headers.insert(http::header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}

/// What get and head answer alike.
macro_rules! described {
    ($output:ident, $version:expr, $object:expr, $slice:expr, $input:expr, $more:expr) => {{
        let attributes = &$object.attributes;
        let encryption = &attributes.encryption;
        let wanted = $input.checksum_mode.as_ref().is_some_and(|it| it.as_str() == "ENABLED");
        let sums = if wanted && $slice.is_none() {
            attributes.checksum.clone()
        } else {
            Checksum::default()
        };
        let size = $object.body.len();
        let length = $slice.as_ref().map_or(size, |it: &ops::Range<usize>| it.len());
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: attributes.cache_control.clone(),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
            content_disposition: attributes.content_disposition.clone(),
            content_encoding: attributes.content_encoding.clone(),
            content_language: attributes.content_language.clone(),
            content_length: i64::try_from(length).ok(),
            content_range: $slice
                .as_ref()
                .filter(|it| !it.is_empty())
                .map(|it| format!("bytes {}-{}/{size}", it.start, it.end - 1)),
            content_type: Some(
                attributes.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned()),
            ),
            e_tag: Some($object.dto_etag()),
            expires: attributes.expires.clone(),
            last_modified: Some($version.modified.into()),
            metadata: attributes.metadata.clone(),
            restore: attributes.restore_header(),
            parts_count: $input
                .part_number
                .filter(|_| !attributes.parts.is_empty())
                .and_then(|_| i32::try_from(attributes.parts.len()).ok()),
            sse_customer_algorithm: encryption.customer_algorithm(),
            sse_customer_key_md5: encryption.customer_md5(),
            ssekms_key_id: encryption.kms_key(),
            server_side_encryption: encryption.server(),
            // As AWS: the ordinary class is not said.
            storage_class: attributes
                .storage_class
                .clone()
                .filter(|it| it != "STANDARD")
                .map(StorageClass::from),
            version_id: $version.shown_id(),
            website_redirect_location: attributes.website_redirect.clone(),
            ..$more
        }
    }};
}

/// Finds the version and object of a read, with conditions and key checked.
macro_rules! opened {
    ($memory:expr, $input:expr) => {{
        let customer = customer!($input)?;
        let version = {
            let buckets = $memory.buckets();
            version(found(&buckets, &$input.bucket)?, &$input.key, $input.version_id.as_deref())?
        };
        let object: Arc<Object> = version.object.clone().ok_or_else(super::no_such_key)?;
        object.attributes.encryption.unlock(customer.as_deref())?;
        Conditions {
            matches: $input.if_match.as_ref(),
            none_matches: $input.if_none_match.as_ref(),
            modified: $input.if_modified_since.as_ref(),
            unmodified: $input.if_unmodified_since.as_ref(),
        }
        .check(&version, &object)?;
        (version, object)
    }};
}

pub(super) fn get_object(
    memory: &Memory,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    let (version, object) = opened!(memory, input);
    readable(&object)?;
    let slice = cut(&object, input.range.as_ref(), input.part_number)?;
    let body: Bytes = match &slice {
        Some(range) => object.body.slice(range.clone()),
        None => object.body.clone(),
    };
    let tags = i32::try_from(object.attributes.tags.len()).ok().filter(|it| *it > 0);
    let more = GetObjectOutput { tag_count: tags, ..GetObjectOutput::default() };
    let mut output = described!(GetObjectOutput, version, object, slice, input, more);
    output.body = Some(StreamingBlob::from(Body::from(body)));
    let status = partial(slice.as_ref());
    Ok(S3Response { status, ..S3Response::new(output) })
}

pub(super) fn head_object(
    memory: &Memory,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    let (version, object) = opened!(memory, input);
    let slice = cut(&object, input.range.as_ref(), input.part_number)?;
    let more = HeadObjectOutput::default();
    let output = described!(HeadObjectOutput, version, object, slice, input, more);
    let status = partial(slice.as_ref());
    Ok(S3Response { status, ..S3Response::new(output) })
}

/// Refuses to read what is in an archive.
pub(super) fn readable(object: &Object) -> S3Result<()> {
    if object.attributes.is_archived() {
        return Err(s3_error!(
            InvalidObjectState,
            "The operation is not valid for the object's storage class"
        ));
    }
    Ok(())
}

fn partial(slice: Option<&ops::Range<usize>>) -> Option<StatusCode> {
    slice.filter(|it| !it.is_empty()).map(|_| StatusCode::PARTIAL_CONTENT)
}

pub(super) fn get_object_attributes(
    memory: &Memory,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    let customer = customer!(input)?;
    let buckets = memory.buckets();
    let version =
        version(found(&buckets, &input.bucket)?, &input.key, input.version_id.as_deref())?;
    let object = version.object.clone().ok_or_else(super::no_such_key)?;
    object.attributes.encryption.unlock(customer.as_deref())?;
    let asked = |name: &str| input.object_attributes.iter().any(|it| it.as_str() == name);
    let attributes = &object.attributes;
    let parts = attributes.parts.len();
    Ok(S3Response::new(GetObjectAttributesOutput {
        checksum: asked("Checksum").then(|| attributes.checksum.clone()),
        e_tag: asked("ETag").then(|| object.dto_etag()),
        last_modified: Some(version.modified.into()),
        object_parts: (asked("ObjectParts") && parts > 0).then(|| GetObjectAttributesParts {
            total_parts_count: i32::try_from(parts).ok(),
            ..GetObjectAttributesParts::default()
        }),
        object_size: asked("ObjectSize").then(|| object.size()),
        storage_class: asked("StorageClass").then(|| {
            StorageClass::from(
                attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()),
            )
        }),
        version_id: version.shown_id(),
        ..GetObjectAttributesOutput::default()
    }))
}
