//! Buckets: making, finding, removing them.

use super::{found, found_mut, no_such_bucket, owner};
use crate::memory::{BucketOptions, Memory, Versioning};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

pub(super) fn list_buckets(
    memory: &Memory,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let prefix = input.prefix.unwrap_or_default();
    let most = input.max_buckets.map_or(10_000, |it| usize::try_from(it).unwrap_or(1).max(1));
    let buckets = memory.buckets();
    let region = |own: &Option<String>| own.clone().unwrap_or(memory.options.region.clone());
    let mut rows: Vec<Bucket> = buckets
        .iter()
        .filter(|(name, _)| name.starts_with(&prefix))
        .filter(|(name, _)| input.continuation_token.as_ref().is_none_or(|it| *name > it))
        .filter(|(_, it)| {
            input.bucket_region.as_ref().is_none_or(|asked| *asked == region(&it.region))
        })
        .take(most + 1)
        .map(|(name, it)| Bucket {
            bucket_region: Some(region(&it.region)),
            creation_date: Some(it.created.into()),
            name: Some(name.clone()),
        })
        .collect();
    let more = rows.len() > most;
    rows.truncate(most);
    let token = if more { rows.last().and_then(|it| it.name.clone()) } else { None };
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(rows),
        continuation_token: token,
        owner: Some(owner(memory)),
        prefix: (!prefix.is_empty()).then_some(prefix),
    }))
}

pub(super) fn create_bucket(
    memory: &Memory,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let input = request.input;
    let region =
        input.create_bucket_configuration.and_then(|it| it.location_constraint).map(|it| {
            if it.as_str() == "EU" { "eu-west-1".to_owned() } else { it.as_str().to_owned() }
        });
    let public = input.acl.is_some_and(|it| it.as_str().starts_with("public-read"));
    let options = BucketOptions { region, public, versioned: false };
    if !memory.create_bucket_with(&input.bucket, options) {
        return Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it."
        ));
    }
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{}", input.bucket)) }))
}

pub(super) fn delete_bucket(
    memory: &Memory,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let mut buckets = memory.buckets();
    let bucket = found(&buckets, &request.input.bucket)?;
    if !bucket.objects.is_empty() {
        return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
    }
    buckets.remove(&request.input.bucket);
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(super) fn head_bucket(
    memory: &Memory,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    let buckets = memory.buckets();
    let bucket = buckets.get(&request.input.bucket).ok_or_else(no_such_bucket)?;
    let region = bucket.region.clone().unwrap_or(memory.options.region.clone());
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(region),
        ..HeadBucketOutput::default()
    }))
}

pub(super) fn get_bucket_location(
    memory: &Memory,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    let buckets = memory.buckets();
    let bucket = found(&buckets, &request.input.bucket)?;
    let region = bucket.region.clone().unwrap_or(memory.options.region.clone());
    // The first region has no name here, as on AWS.
    let constraint = (region != "us-east-1").then(|| BucketLocationConstraint::from(region));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: constraint }))
}

pub(super) fn get_bucket_versioning(
    memory: &Memory,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    let buckets = memory.buckets();
    let status = match found(&buckets, &request.input.bucket)?.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    Ok(S3Response::new(GetBucketVersioningOutput {
        status: status.map(BucketVersioningStatus::from_static),
        ..GetBucketVersioningOutput::default()
    }))
}

pub(super) fn put_bucket_versioning(
    memory: &Memory,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    let input = request.input;
    let mut buckets = memory.buckets();
    let bucket = found_mut(&mut buckets, &input.bucket)?;
    bucket.versioning = match input.versioning_configuration.status {
        Some(it) if it.as_str() == BucketVersioningStatus::ENABLED => Versioning::Enabled,
        Some(it) if it.as_str() == BucketVersioningStatus::SUSPENDED => Versioning::Suspended,
        _ => {
            return Err(s3_error!(
                IllegalVersioningConfigurationException,
                "The Versioning element must be specified"
            ));
        }
    };
    Ok(S3Response::new(PutBucketVersioningOutput::default()))
}
