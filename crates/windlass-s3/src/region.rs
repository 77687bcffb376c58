//! Which region a bucket is in, found once and remembered.
//!
//! With ENDPOINT there is one place and nothing to find. An answer that says "elsewhere" replaces
//! what was remembered; asking again happens once, in [`crate::store`].

use crate::error;
use crate::store::S3Store;
use async_trait::async_trait;
use aws_sdk_s3::types::BucketLocationConstraint;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use windlass_types::{Error, ErrorCode, Result};

/// Where regions are kept between processes.
#[async_trait]
pub trait RegionMemory: Send + Sync + Debug {
    /// Reads the region of a bucket.
    async fn get(&self, bucket: &str) -> Option<String>;

    /// Writes the region of a bucket. A failure is not worth one of the caller's.
    async fn put(&self, bucket: &str, region: &str);
}

/// Remembers nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct ForgetfulRegions;

#[async_trait]
impl RegionMemory for ForgetfulRegions {
    async fn get(&self, _bucket: &str) -> Option<String> {
        None
    }

    async fn put(&self, _bucket: &str, _region: &str) {}
}

/// Remembers while the process lives.
#[derive(Debug, Default)]
pub struct MemoryRegions(Mutex<HashMap<String, String>>);

#[async_trait]
impl RegionMemory for MemoryRegions {
    async fn get(&self, bucket: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned()
    }

    async fn put(&self, bucket: &str, region: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket.to_owned(), region.to_owned());
    }
}

/// The region in an ARN, which the SDK goes to by itself.
pub(crate) fn of_arn(bucket: &str) -> Option<&str> {
    bucket.strip_prefix("arn:")?.split(':').nth(2).filter(|region| !region.is_empty())
}

/// The region that an answer to `GetBucketLocation` names; the oldest at AWS has no name there.
pub(crate) fn named(constraint: Option<&BucketLocationConstraint>) -> Option<String> {
    let name = constraint.map(BucketLocationConstraint::as_str).filter(|name| !name.is_empty())?;
    Some(if name == "EU" { "eu-west-1".to_owned() } else { name.to_owned() })
}

/// Asks the service where a bucket is; None if it will not say.
pub(crate) async fn discover(store: &S3Store, bucket: &str) -> Result<Option<String>> {
    let client = store.base_client().await?;
    let failure = match client.head_bucket().bucket(bucket).send().await {
        Ok(answer) => {
            let here = store.start_region().await?;
            return Ok(Some(answer.bucket_region.unwrap_or(here)));
        }
        Err(failure) => failure,
    };
    // Even a refusal names the region.
    if let Some(raw) = failure.raw_response() {
        if let Some(region) = raw.headers().get("x-amz-bucket-region") {
            return Ok(Some(region.to_owned()));
        }
        if raw.status().as_u16() == 404 {
            return Err(Error::new(ErrorCode::BucketNotFound, format!("no bucket `{bucket}`"))
                .hint(format!(
                    "`windlass ls {}:` shows the buckets these credentials may list",
                    store.connection()
                )));
        }
    } else {
        return Err(store.clean(error::map("HeadBucket", bucket, store.connection(), failure)));
    }
    match client.get_bucket_location().bucket(bucket).send().await {
        Ok(answer) => {
            let named = named(answer.location_constraint.as_ref());
            Ok(Some(named.unwrap_or_else(|| "us-east-1".to_owned())))
        }
        // The request that wanted the region says better what is wrong.
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use windlass_testkit::{BucketOptions, TestIdentity, TestS3, TestS3Options};
    use windlass_types::{Name, OptionMap, OptionValue, S3Spec};

    fn store(s3: &TestS3, id: &str, secret: &str) -> S3Store {
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let options = OptionMap::from([
            ("ENDPOINT".to_owned(), text(&s3.endpoint())),
            ("ALLOW_HTTP".to_owned(), OptionValue::Bool(true)),
            ("AWS_ACCESS_KEY_ID".to_owned(), text(id)),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), text(secret)),
        ]);
        let secrets = crate::Secrets {
            access_key_id: Some(id.into()),
            secret_access_key: Some(secret.into()),
            ..crate::Secrets::default()
        };
        let spec = S3Spec::build(&options).unwrap();
        S3Store::open(Name::new("n").unwrap(), spec, secrets, Arc::new(ForgetfulRegions)).unwrap()
    }

    #[tokio::test]
    async fn a_region_is_found_also_by_those_who_may_not_enter() {
        let s3 = TestS3::start_with(TestS3Options {
            strict_regions: true,
            identities: vec![TestIdentity::new("AKIANOBODYNOBODY0001", "nothing-allowed")],
            ..TestS3Options::default()
        })
        .await;
        let region =
            |text: &str| BucketOptions { region: Some(text.to_owned()), ..Default::default() };
        s3.state().create_bucket_with("far", region("ap-south-1"));
        s3.state().create_bucket("near");
        let (id, secret) = s3.admin();
        for (id, secret) in
            [(id.as_str(), secret.as_str()), ("AKIANOBODYNOBODY0001", "nothing-allowed")]
        {
            let store = store(&s3, id, secret);
            assert_eq!(
                discover(&store, "far").await.unwrap().as_deref(),
                Some("ap-south-1"),
                "{id}"
            );
        }
        let admin = store(&s3, &id, &secret);
        assert_eq!(discover(&admin, "near").await.unwrap().as_deref(), Some("us-east-1"));
        let error = discover(&admin, "nowhere").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::BucketNotFound);
    }

    #[test]
    fn an_arn_carries_its_region() {
        assert_eq!(of_arn("arn:aws:s3:eu-west-1:1:accesspoint/a"), Some("eu-west-1"));
        assert_eq!(of_arn("arn:aws:s3::1:accesspoint/a.mrap"), None);
        assert_eq!(of_arn("plain"), None);
    }
}
