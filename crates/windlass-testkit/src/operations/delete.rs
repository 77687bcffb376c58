//! Deleting objects, versions, and many at once.

use super::{caller, found, found_mut, meets, precondition};
use crate::access::allow;
use crate::identity::Scope;
use crate::memory::{Bucket, Memory, Versioning};
use crate::object::{Version, now};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

/// What a deletion did.
#[derive(Default)]
struct Outcome {
    marker: bool,
    version: Option<String>,
}

fn remove(
    memory: &Memory,
    bucket: &mut Bucket,
    key: &str,
    id: Option<&str>,
    matches: Option<&ETagCondition>,
) -> S3Result<Outcome> {
    // A key that is gone already meets the condition, as on AWS.
    if let Some(condition) = matches
        && let Some((_, object)) = bucket.current(key)
        && !meets(condition, &object.etag)
    {
        return Err(precondition("If-Match"));
    }
    if let Some(id) = id {
        let mut outcome = Outcome { marker: false, version: Some(id.to_owned()) };
        if let Some(versions) = bucket.objects.get_mut(key) {
            outcome.marker = versions.iter().any(|it| it.id == id && it.object.is_none());
            versions.retain(|it| it.id != id);
            if versions.is_empty() {
                bucket.objects.remove(key);
            }
        }
        return Ok(outcome);
    }
    if bucket.versioning == Versioning::Never {
        bucket.objects.remove(key);
        return Ok(Outcome::default());
    }
    let id = memory.version_id(bucket.versioning);
    bucket.store(key, Version { id: id.clone(), modified: now(), object: None });
    Ok(Outcome { marker: true, version: Some(id) })
}

pub(super) fn delete_object(
    memory: &Memory,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    let done =
        remove(memory, bucket, &input.key, input.version_id.as_deref(), input.if_match.as_ref())?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: done.marker.then_some(true),
        version_id: done.version,
        ..DeleteObjectOutput::default()
    }))
}

pub(super) fn delete_objects(
    memory: &Memory,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let known = caller(memory, request.credentials.as_ref());
    let input = request.input;
    found(&memory.buckets(), &input.bucket)?;
    if input.delete.objects.is_empty() || input.delete.objects.len() > 1000 {
        return Err(s3_error!(
            MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema"
        ));
    }
    let quiet = input.delete.quiet == Some(true);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for asked in input.delete.objects {
        let condition = asked.e_tag.clone().map(|it| match it.value() {
            "*" => ETagCondition::Any,
            _ => ETagCondition::ETag(it),
        });
        let done =
            allow(memory, known.as_ref(), "DeleteObject", &input.bucket, Scope::Key(&asked.key))
                .and_then(|()| {
                    let mut buckets = memory.buckets();
                    let bucket = found_mut(&mut buckets, &input.bucket)?;
                    remove(
                        memory,
                        bucket,
                        &asked.key,
                        asked.version_id.as_deref(),
                        condition.as_ref(),
                    )
                });
        match done {
            Ok(_) if quiet => {}
            Ok(done) => deleted.push(DeletedObject {
                delete_marker: done.marker.then_some(true),
                delete_marker_version_id: if done.marker { done.version } else { None },
                key: Some(asked.key),
                version_id: asked.version_id,
            }),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(asked.key),
                message: error.message().map(str::to_owned),
                version_id: asked.version_id,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    }))
}
