//! Uploads in parts, from their beginning to their end or their abortion.

use super::write::{allowed_to_replace, claimed, read_body, store, with_trailers};
use super::{attributes, customer, encode, encryption, found, found_mut, limit, owner};
use crate::memory::{Bucket, Memory, Part, Upload};
use crate::object::{Object, algorithm_name, compute, fingerprint, hex, now, of, of_mut, verify};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::BytesMut;
use md5::{Digest as _, Md5};
use s3s::dto::{Part as PartRow, *};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::collections::{BTreeMap, BTreeSet};

fn no_such_upload() -> s3s::S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}

pub(super) fn upload_mut<'a>(
    bucket: &'a mut Bucket,
    key: &str,
    id: &str,
) -> S3Result<&'a mut Upload> {
    bucket.uploads.get_mut(&(key.to_owned(), id.to_owned())).ok_or_else(no_such_upload)
}

pub(super) fn check_number(number: i32) -> S3Result<()> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

pub(super) fn create_multipart_upload(
    memory: &Memory,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let mut input = request.input;
    let encryption = encryption!(input)?;
    let attributes = attributes!(input, encryption);
    let algorithm = input.checksum_algorithm.as_ref().and_then(algorithm_name);
    let asked_whole =
        input.checksum_type.as_ref().is_some_and(|it| it.as_str() == ChecksumType::FULL_OBJECT);
    if asked_whole && algorithm.is_some_and(|it| it.starts_with("sha")) {
        return Err(s3_error!(
            InvalidRequest,
            "The FULL_OBJECT checksum type cannot be used with the SHA algorithms."
        ));
    }
    let whole = asked_whole || algorithm == Some("crc64nvme");
    let id = format!("upload-{:016x}", memory.next());
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let encryption = attributes.encryption.clone();
    let upload = Upload { started: now(), attributes, algorithm, whole, parts: BTreeMap::new() };
    bucket.uploads.insert((input.key.clone(), id.clone()), upload);
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: algorithm.map(|_| checksum_type(whole)),
        key: Some(input.key),
        sse_customer_algorithm: encryption.customer_algorithm(),
        sse_customer_key_md5: encryption.customer_md5(),
        ssekms_encryption_context: encryption.context(),
        ssekms_key_id: encryption.kms_key(),
        server_side_encryption: encryption.server(),
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    }))
}

fn checksum_type(whole: bool) -> ChecksumType {
    ChecksumType::from_static(if whole {
        ChecksumType::FULL_OBJECT
    } else {
        ChecksumType::COMPOSITE
    })
}

pub(super) async fn upload_part(
    memory: &Memory,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let mut input = request.input;
    check_number(input.part_number)?;
    let customer = customer!(input)?;
    let body = read_body(input.body.take()).await?;
    let claimed = with_trailers(claimed!(input), request.trailing_headers.as_ref());
    let checksum =
        verify(&body, &claimed, input.checksum_algorithm.as_ref(), input.content_md5.as_deref())?;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let upload = upload_mut(bucket, &input.key, &input.upload_id)?;
    upload.attributes.encryption.unlock(customer.as_deref())?;
    if let Some(name) = upload.algorithm
        && of(&checksum, name).is_none()
    {
        return Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {name}, actual checksum Type: null"
        ));
    }
    let fingerprint = fingerprint(&body, &upload.attributes.encryption);
    let part = Part { body, fingerprint, modified: now(), checksum: checksum.clone() };
    upload.parts.insert(input.part_number, part);
    let encryption = &upload.attributes.encryption;
    Ok(S3Response::new(UploadPartOutput {
        checksum_crc32: checksum.checksum_crc32,
        checksum_crc32c: checksum.checksum_crc32c,
        checksum_crc64nvme: checksum.checksum_crc64nvme,
        checksum_sha1: checksum.checksum_sha1,
        checksum_sha256: checksum.checksum_sha256,
        e_tag: Some(ETag::Strong(hex(&fingerprint))),
        sse_customer_algorithm: encryption.customer_algorithm(),
        sse_customer_key_md5: encryption.customer_md5(),
        ssekms_key_id: encryption.kms_key(),
        server_side_encryption: encryption.server(),
        ..UploadPartOutput::default()
    }))
}

pub(super) fn complete_multipart_upload(
    memory: &Memory,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let mut input = request.input;
    let asked = input.multipart_upload.take().and_then(|it| it.parts).unwrap_or_default();
    let claimed = claimed!(input);
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let id = (input.key.clone(), input.upload_id.clone());
    let upload = bucket.uploads.get(&id).ok_or_else(no_such_upload)?;
    let parts = chosen(upload, &asked, memory.options.min_part_size)?;
    allowed_to_replace(bucket, &input.key, input.if_match.as_ref(), input.if_none_match.as_ref())?;

    let mut body = BytesMut::with_capacity(parts.iter().map(|it| it.body.len()).sum());
    let mut md5 = Md5::new();
    for part in &parts {
        body.extend_from_slice(&part.body);
        md5.update(part.fingerprint);
    }
    let body = body.freeze();
    if input.mpu_object_size.is_some_and(|it| usize::try_from(it) != Ok(body.len())) {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header does not match what was computed"
        ));
    }
    let mut attributes = upload.attributes.clone();
    if let Some(name) = upload.algorithm {
        let sum = if upload.whole { compute(name, &body) } else { composite(name, &parts) };
        if of(&claimed, name).is_some_and(|it| Some(it) != sum.as_ref()) {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                name.to_uppercase()
            ));
        }
        *of_mut(&mut attributes.checksum, name) = sum;
        attributes.checksum.checksum_type = Some(checksum_type(upload.whole));
    }
    attributes.parts = parts.iter().map(|it| it.body.len()).collect();
    let etag = format!("{}-{}", hex(&md5.finalize()), parts.len());
    let object = Object { body, etag, attributes };
    bucket.uploads.remove(&id);
    let (version_id, object) = store(memory, bucket, &input.key, object);
    let sums = object.attributes.checksum.clone();
    let encryption = &object.attributes.encryption;
    Ok(S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, crate::listing::url_encoded(&input.key))),
        bucket: Some(input.bucket),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        checksum_type: sums.checksum_type,
        e_tag: Some(object.dto_etag()),
        key: Some(input.key),
        ssekms_key_id: encryption.kms_key(),
        server_side_encryption: encryption.server(),
        version_id,
        ..CompleteMultipartUploadOutput::default()
    }))
}

/// The parts a completion names, which must exist, be in order and be large enough.
fn chosen<'a>(
    upload: &'a Upload,
    asked: &[CompletedPart],
    least: usize,
) -> S3Result<Vec<&'a Part>> {
    if asked.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    if !asked.iter().map(|it| it.part_number).is_sorted_by(|one, next| one < next) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ));
    }
    let mut parts = Vec::with_capacity(asked.len());
    for (index, named) in asked.iter().enumerate() {
        let number = named.part_number.unwrap_or_default();
        let sums = Checksum {
            checksum_crc32: named.checksum_crc32.clone(),
            checksum_crc32c: named.checksum_crc32c.clone(),
            checksum_crc64nvme: named.checksum_crc64nvme.clone(),
            checksum_sha1: named.checksum_sha1.clone(),
            checksum_sha256: named.checksum_sha256.clone(),
            checksum_type: None,
        };
        let fits = |part: &&Part| {
            named.e_tag.as_ref().is_some_and(|it| it.value() == hex(&part.fingerprint))
                && crate::object::ALGORITHMS.into_iter().all(|name| {
                    of(&sums, name).is_none_or(|it| Some(it) == of(&part.checksum, name))
                })
        };
        let Some(part) = upload.parts.get(&number).filter(fits) else {
            return Err(s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
            ));
        };
        if part.body.len() < least && index + 1 < asked.len() {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// The checksum of the parts' checksums.
fn composite(name: &str, parts: &[&Part]) -> Option<String> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(BASE64.decode(of(&part.checksum, name)?).ok()?);
    }
    Some(format!("{}-{}", compute(name, &bytes)?, parts.len()))
}

pub(super) fn abort_multipart_upload(
    memory: &Memory,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    bucket.uploads.remove(&(input.key, input.upload_id)).ok_or_else(no_such_upload)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) fn list_parts(
    memory: &Memory,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let upload = upload_mut(bucket, &input.key, &input.upload_id)?;
    let most = limit(input.max_parts)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let mut rows: Vec<PartRow> = upload
        .parts
        .range(marker.saturating_add(1)..)
        .take(most + 1)
        .map(|(number, part)| PartRow {
            checksum_crc32: part.checksum.checksum_crc32.clone(),
            checksum_crc32c: part.checksum.checksum_crc32c.clone(),
            checksum_crc64nvme: part.checksum.checksum_crc64nvme.clone(),
            checksum_sha1: part.checksum.checksum_sha1.clone(),
            checksum_sha256: part.checksum.checksum_sha256.clone(),
            e_tag: Some(ETag::Strong(hex(&part.fingerprint))),
            last_modified: Some(part.modified.into()),
            part_number: Some(*number),
            size: i64::try_from(part.body.len()).ok(),
        })
        .collect();
    let truncated = rows.len() > most;
    rows.truncate(most);
    let next = if truncated { rows.last().and_then(|it| it.part_number) } else { None };
    let class = upload.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
    Ok(S3Response::new(ListPartsOutput {
        checksum_algorithm: upload.algorithm.map(|it| ChecksumAlgorithm::from(it.to_uppercase())),
        checksum_type: upload.algorithm.map(|_| checksum_type(upload.whole)),
        bucket: Some(input.bucket),
        is_truncated: Some(truncated),
        key: Some(input.key),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: next,
        owner: Some(owner(memory)),
        part_number_marker: Some(marker),
        parts: Some(rows),
        storage_class: Some(StorageClass::from(class)),
        upload_id: Some(input.upload_id),
        ..ListPartsOutput::default()
    }))
}

pub(super) fn list_multipart_uploads(
    memory: &Memory,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let buckets = memory.buckets();
    let bucket = found(&buckets, &input.bucket)?;
    let most = limit(input.max_uploads)?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().unwrap_or_default();
    let marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref().unwrap_or_default();
    let encoding = input.encoding_type.as_ref();
    let (mut rows, mut prefixes, mut last, mut truncated) =
        (Vec::new(), BTreeSet::new(), None, false);
    for ((key, id), upload) in &bucket.uploads {
        let behind = key.as_str() > marker
            || (key == marker && !id_marker.is_empty() && id.as_str() > id_marker);
        let Some(rest) = key.strip_prefix(prefix).filter(|_| marker.is_empty() || behind) else {
            continue;
        };
        let cut = if delimiter.is_empty() { None } else { rest.find(delimiter) };
        let common = cut.map(|at| &key[..prefix.len() + at + delimiter.len()]);
        if common.is_some_and(|it| prefixes.contains(it) || (!marker.is_empty() && it <= marker)) {
            continue;
        }
        if rows.len() + prefixes.len() == most {
            truncated = true;
            break;
        }
        if let Some(common) = common {
            prefixes.insert(common);
            last = Some((common, ""));
            continue;
        }
        last = Some((key.as_str(), id.as_str()));
        let class =
            upload.attributes.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned());
        rows.push(MultipartUpload {
            checksum_algorithm: upload
                .algorithm
                .map(|it| ChecksumAlgorithm::from(it.to_uppercase())),
            checksum_type: upload.algorithm.map(|_| checksum_type(upload.whole)),
            initiated: Some(upload.started.into()),
            key: Some(encode(encoding, key)),
            owner: Some(owner(memory)),
            storage_class: Some(StorageClass::from(class)),
            upload_id: Some(id.clone()),
            ..MultipartUpload::default()
        });
    }
    let next = last.filter(|_| truncated);
    Ok(S3Response::new(ListMultipartUploadsOutput {
        common_prefixes: Some(
            prefixes.iter().map(|it| CommonPrefix { prefix: Some(encode(encoding, it)) }).collect(),
        ),
        delimiter: input.delimiter.as_deref().map(|it| encode(encoding, it)),
        encoding_type: input.encoding_type.clone(),
        is_truncated: Some(truncated),
        key_marker: Some(encode(encoding, marker)),
        max_uploads: i32::try_from(most).ok(),
        next_key_marker: next.map(|it| encode(encoding, it.0)),
        next_upload_id_marker: next.map(|it| it.1.to_owned()),
        prefix: Some(encode(encoding, prefix)),
        upload_id_marker: Some(id_marker.to_owned()),
        uploads: Some(rows),
        bucket: Some(input.bucket),
        ..ListMultipartUploadsOutput::default()
    }))
}
