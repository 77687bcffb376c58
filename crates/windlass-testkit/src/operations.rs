//! The operations of S3 over [`Memory`]: one table from s3s's trait to the functions that do it.
//!
//! Whether a caller may do it has been decided before.

#![allow(
    clippy::wildcard_imports,
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "every operation has the signature of s3s's trait, over inputs named as AWS names them"
)]

mod bucket;
mod copy;
mod delete;
mod list;
mod multipart;
mod read;
mod tag;
mod versions;
mod write;

use crate::identity::Known;
use crate::memory::{Bucket, Buckets, Memory};
use crate::object::Version;
use s3s::auth::Credentials;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

/// The implementation s3s calls.
pub(crate) struct Storage(pub(crate) Arc<Memory>);

macro_rules! operations {
    (
        now { $($name:ident($input:ty) -> $output:ty = $room:ident;)* }
        reading { $($slow:ident($slow_input:ty) -> $slow_output:ty = $slow_room:ident;)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for Storage {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $room::$name(&self.0, request)
            })*
            $(async fn $slow(&self, request: S3Request<$slow_input>) -> S3Result<S3Response<$slow_output>> {
                $slow_room::$slow(&self.0, request).await
            })*
        }
    };
}

operations! {
    now {
        abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart;
        complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart;
        copy_object(CopyObjectInput) -> CopyObjectOutput = copy;
        create_bucket(CreateBucketInput) -> CreateBucketOutput = bucket;
        create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart;
        delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = bucket;
        delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = tag;
        delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete;
        delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tag;
        delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete;
        get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = bucket;
        get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = tag;
        get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = bucket;
        get_object(GetObjectInput) -> GetObjectOutput = read;
        get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = read;
        get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tag;
        head_bucket(HeadBucketInput) -> HeadBucketOutput = bucket;
        head_object(HeadObjectInput) -> HeadObjectOutput = read;
        list_buckets(ListBucketsInput) -> ListBucketsOutput = bucket;
        list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart;
        list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = versions;
        list_objects(ListObjectsInput) -> ListObjectsOutput = list;
        list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list;
        list_parts(ListPartsInput) -> ListPartsOutput = multipart;
        put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = tag;
        put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = bucket;
        put_object_acl(PutObjectAclInput) -> PutObjectAclOutput = write;
        put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tag;
        restore_object(RestoreObjectInput) -> RestoreObjectOutput = write;
        upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy;
    }
    reading {
        put_object(PutObjectInput) -> PutObjectOutput = write;
        upload_part(UploadPartInput) -> UploadPartOutput = multipart;
    }
}

/// The attributes that the inputs of put, copy and multipart name alike.
macro_rules! attributes {
    ($input:expr, $encryption:expr) => {
        crate::object::Attributes {
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: crate::object::lasting_encoding($input.content_encoding.as_deref()),
            content_language: $input.content_language.take(),
            content_type: $input.content_type.take(),
            expires: $input.expires.take(),
            website_redirect: $input.website_redirect_location.take(),
            metadata: $input.metadata.take(),
            storage_class: $input.storage_class.take().map(|it| it.as_str().to_owned()),
            acl: $input.acl.take().map(|it| it.as_str().to_owned()),
            tags: crate::operations::tag::of_header($input.tagging.as_deref())?,
            encryption: $encryption,
            ..crate::object::Attributes::default()
        }
    };
}
pub(crate) use attributes;

/// The encryption that the inputs of put, copy and multipart ask for alike.
macro_rules! encryption {
    ($input:expr) => {
        crate::object::Encryption::asked(
            $input.server_side_encryption.as_ref(),
            $input.ssekms_key_id.as_deref(),
            $input.ssekms_encryption_context.as_deref(),
            crate::operations::customer!($input)?,
        )
    };
}
pub(crate) use encryption;

/// The customer's key of an input, checked.
macro_rules! customer {
    ($input:expr) => {
        crate::object::customer_key(
            $input.sse_customer_algorithm.as_deref(),
            $input.sse_customer_key.as_deref(),
            $input.sse_customer_key_md5.as_deref(),
        )
    };
}
pub(crate) use customer;

/// The customer's key of the source of a copy, checked.
macro_rules! source_customer {
    ($input:expr) => {
        crate::object::customer_key(
            $input.copy_source_sse_customer_algorithm.as_deref(),
            $input.copy_source_sse_customer_key.as_deref(),
            $input.copy_source_sse_customer_key_md5.as_deref(),
        )
    };
}
pub(crate) use source_customer;

fn found<'a>(buckets: &'a Buckets, name: &str) -> S3Result<&'a Bucket> {
    buckets.get(name).ok_or_else(no_such_bucket)
}

fn found_mut<'a>(buckets: &'a mut Buckets, name: &str) -> S3Result<&'a mut Bucket> {
    buckets.get_mut(name).ok_or_else(no_such_bucket)
}

fn no_such_bucket() -> s3s::S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist")
}

fn no_such_key() -> s3s::S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

fn precondition(header: &str) -> s3s::S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold: {header}"
    )
}

fn meets(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(asked) => asked.value() == etag,
    }
}

/// The version a request names, or the current one.
fn version(bucket: &Bucket, key: &str, id: Option<&str>) -> S3Result<Version> {
    let versions = bucket.objects.get(key);
    let Some(id) = id else {
        return match versions.and_then(|it| it.last()) {
            Some(version) if version.object.is_some() => Ok(version.clone()),
            Some(_) => {
                let mut error = no_such_key();
                let mut headers = http::HeaderMap::new();
                headers.insert("x-amz-delete-marker", http::HeaderValue::from_static("true"));
                error.set_headers(headers);
                Err(error)
            }
            None => Err(no_such_key()),
        };
    };
    match versions.and_then(|it| it.iter().find(|version| version.id == id)) {
        Some(version) if version.object.is_none() => Err(s3_error!(
            MethodNotAllowed,
            "The specified method is not allowed against this resource."
        )),
        Some(version) => Ok(version.clone()),
        None => Err(s3_error!(NoSuchVersion, "The specified version does not exist.")),
    }
}

/// The identity behind a request that passed the gate.
fn caller(memory: &Memory, credentials: Option<&Credentials>) -> Option<Known> {
    memory.identities().known.get(&credentials?.access_key).cloned()
}

fn owner(memory: &Memory) -> Owner {
    Owner {
        display_name: Some("testkit".to_owned()),
        id: Some(format!("{:0>64}", memory.options.account)),
    }
}

/// Text as the listing's encoding asks for.
fn encode(encoding: Option<&EncodingType>, text: &str) -> String {
    if encoding.is_some_and(|it| it.as_str() == EncodingType::URL) {
        crate::listing::url_encoded(text)
    } else {
        text.to_owned()
    }
}

/// The greatest number of items of a page.
fn limit(asked: Option<i32>) -> S3Result<usize> {
    let asked = asked.unwrap_or(1000).min(1000);
    usize::try_from(asked).map_err(|_| {
        s3_error!(InvalidArgument, "Argument max-keys must be an integer between 0 and 2147483647")
    })
}
