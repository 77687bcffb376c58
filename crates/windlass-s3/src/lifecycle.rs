//! The ends of an object's life: deleting it only as it is, and bringing it back from an archive.

use crate::store::{S3Store, target};
use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, Tier};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Deletes a key if it still has this `ETag`. In a versioned bucket that adds a delete marker.
pub(crate) async fn delete_if(store: &S3Store, object: &ObjectPath, etag: &str) -> Result<()> {
    let condition = format!("\"{etag}\"");
    store
        .send("DeleteObject", &object.bucket, &object.key, |client| {
            client
                .delete_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .if_match(&condition)
                .send()
        })
        .await?;
    Ok(())
}

/// Asks for an archived object to be readable for so many days, at the usual speed. One that is
/// being restored already is.
pub(crate) async fn restore(store: &S3Store, object: &ObjectPath, days: u32) -> Result<()> {
    let days = i32::try_from(days).map_err(|error| {
        Error::new(ErrorCode::UsageInvalid, format!("{days} days are too many")).source(error)
    })?;
    let what = target(&object.bucket, &object.key);
    let wrong = |error| {
        Error::new(ErrorCode::Internal, format!("restoring `{what}` cannot be asked for"))
            .source(error)
    };
    let tier = GlacierJobParameters::builder().tier(Tier::Standard).build().map_err(wrong)?;
    let request = RestoreRequest::builder().days(days).glacier_job_parameters(tier).build();
    let answer = store
        .send("RestoreObject", &object.bucket, &object.key, |client| {
            client
                .restore_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .restore_request(request.clone())
                .send()
        })
        .await;
    match answer {
        Ok(_) => Ok(()),
        Err(error)
            if error.causes().iter().any(|cause| cause.contains("RestoreAlreadyInProgress")) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
