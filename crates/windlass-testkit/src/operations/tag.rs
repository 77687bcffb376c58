//! Tags of objects and of buckets.

use super::write::change;
use super::{found, found_mut, version};
use crate::access::{custom_error, form};
use crate::memory::Memory;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::collections::BTreeSet;

type Tags = Vec<(String, String)>;

/// The tags of the `x-amz-tagging` header.
pub(super) fn of_header(header: Option<&str>) -> S3Result<Tags> {
    checked(form(header.unwrap_or_default()), 10)
}

fn of_set(tagging: Tagging, most: usize) -> S3Result<Tags> {
    let tags = tagging
        .tag_set
        .into_iter()
        .map(|it| (it.key.unwrap_or_default(), it.value.unwrap_or_default()))
        .collect();
    checked(tags, most)
}

fn checked(tags: Tags, most: usize) -> S3Result<Tags> {
    if tags.len() > most {
        let message = format!("Object tags cannot be greater than {most}");
        return Err(custom_error(400, "BadRequest", message));
    }
    let mut names = BTreeSet::new();
    for (name, value) in &tags {
        if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
            return Err(s3_error!(
                InvalidTag,
                "The TagKey or TagValue you have provided is invalid"
            ));
        }
        if !names.insert(name) {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

fn set(tags: &Tags) -> TagSet {
    let tag = |(key, value): &(String, String)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

pub(super) fn get_object_tagging(
    memory: &Memory,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let buckets = memory.buckets();
    let version =
        version(found(&buckets, &input.bucket)?, &input.key, input.version_id.as_deref())?;
    let tags = version.object.as_ref().map(|it| set(&it.attributes.tags)).unwrap_or_default();
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set: tags, version_id: version.shown_id() }))
}

pub(super) fn put_object_tagging(
    memory: &Memory,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let input = request.input;
    let tags = of_set(input.tagging, 10)?;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let version = version(bucket, &input.key, input.version_id.as_deref())?;
    change(bucket, &input.key, &version.id, |object| object.attributes.tags = tags)?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id: version.shown_id() }))
}

pub(super) fn delete_object_tagging(
    memory: &Memory,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let version = version(bucket, &input.key, input.version_id.as_deref())?;
    change(bucket, &input.key, &version.id, |object| object.attributes.tags.clear())?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: version.shown_id() }))
}

pub(super) fn get_bucket_tagging(
    memory: &Memory,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let buckets = memory.buckets();
    let bucket = found(&buckets, &request.input.bucket)?;
    if bucket.tags.is_empty() {
        return Err(s3_error!(NoSuchTagSet, "The TagSet does not exist"));
    }
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: set(&bucket.tags) }))
}

pub(super) fn put_bucket_tagging(
    memory: &Memory,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let tags = of_set(request.input.tagging, 50)?;
    found_mut(&mut memory.buckets(), &request.input.bucket)?.tags = tags;
    Ok(S3Response::new(PutBucketTaggingOutput::default()))
}

pub(super) fn delete_bucket_tagging(
    memory: &Memory,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    found_mut(&mut memory.buckets(), &request.input.bucket)?.tags.clear();
    Ok(S3Response::new(DeleteBucketTaggingOutput::default()))
}
