//! Figures and tags of buckets: what `CloudWatch` counts once a day, and what people said of a bucket.

use crate::error;
use crate::store::S3Store;
use aws_sdk_cloudwatch::config::Region;
use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use windlass_types::connection::Identity;
use windlass_types::{Error, ErrorCode, Result};

/// Storage types whose bytes are added up; what lies in a storage class is counted under its own.
const TYPES: &[&str] = &[
    "StandardStorage",
    "StandardIAStorage",
    "StandardIASizeOverhead",
    "OneZoneIAStorage",
    "OneZoneIASizeOverhead",
    "ReducedRedundancyStorage",
    "GlacierInstantRetrievalStorage",
    "GlacierInstantRetrievalSizeOverhead",
    "GlacierStorage",
    "GlacierStagingStorage",
    "GlacierObjectOverhead",
    "GlacierS3ObjectOverhead",
    "DeepArchiveStorage",
    "DeepArchiveStagingStorage",
    "DeepArchiveObjectOverhead",
    "DeepArchiveS3ObjectOverhead",
    "IntelligentTieringFAStorage",
    "IntelligentTieringIAStorage",
    "IntelligentTieringAIAStorage",
    "IntelligentTieringAAStorage",
    "IntelligentTieringDAAStorage",
    "ExpressOneZone",
];

/// Seconds in which the last count is looked for: it is made once a day, and late.
const WINDOW: i64 = 2 * 86_400;

/// What `CloudWatch` counted last of a bucket; None: it has no count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BucketMetrics {
    /// Objects, of all storage types.
    pub objects: Option<u64>,
    /// Bytes, of all storage types.
    pub size: Option<u64>,
}

impl S3Store {
    /// Asks `CloudWatch` in the bucket's own region; None where there is none to be asked: with
    /// ENDPOINT and without `CLOUDWATCH_ENDPOINT`, or without credentials. `now`: seconds.
    pub async fn bucket_metrics(&self, bucket: &str, now: i64) -> Result<Option<BucketMetrics>> {
        let spec = self.spec();
        if (spec.endpoint.is_some() && spec.cloudwatch_endpoint.is_none())
            || spec.identity == Identity::Anonymous
        {
            return Ok(None);
        }
        let config = self.sdk_config().await?;
        let mut builder = aws_sdk_cloudwatch::config::Builder::from(&config)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .region(Region::new(self.region_of(bucket).await?));
        if let Some(url) = &spec.cloudwatch_endpoint {
            builder = builder.endpoint_url(url);
        }
        let client = aws_sdk_cloudwatch::Client::from_conf(builder.build());
        let answer = client
            .get_metric_data()
            .set_metric_data_queries(Some(
                std::iter::once(query(bucket, "objects", "NumberOfObjects", "AllStorageTypes"))
                    .chain(TYPES.iter().enumerate().map(|(at, kind)| {
                        query(bucket, &format!("size{at}"), "BucketSizeBytes", kind)
                    }))
                    .collect(),
            ))
            .start_time(DateTime::from_secs(now - WINDOW))
            .end_time(DateTime::from_secs(now))
            .scan_by(ScanBy::TimestampDescending)
            .send()
            .await
            .map_err(|failure| {
                self.clean(error::map("GetMetricData", bucket, self.connection(), failure))
            })?;
        let mut metrics = BucketMetrics::default();
        for result in answer.metric_data_results() {
            let Some(value) = result.values().first() else { continue };
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            let value = value.max(0.0) as u64;
            match result.id() {
                Some("objects") => metrics.objects = Some(value),
                _ => metrics.size = Some(metrics.size.unwrap_or(0) + value),
            }
        }
        Ok(Some(metrics))
    }

    /// Asks where a bucket says it is; None where it will not say. What says nothing is in the oldest
    /// region at AWS, and anywhere elsewhere.
    pub async fn location_of(&self, bucket: &str) -> Option<String> {
        let answer = self
            .send("GetBucketLocation", bucket, "", |client| {
                client.get_bucket_location().bucket(bucket).send()
            })
            .await
            .ok()?;
        let name = answer.location_constraint.as_ref().map(|name| name.as_str());
        match name.filter(|name| !name.is_empty()) {
            None => self.spec().endpoint.is_none().then(|| "us-east-1".to_owned()),
            Some("EU") => Some("eu-west-1".to_owned()),
            Some(region) => Some(region.to_owned()),
        }
    }

    /// Asks for the tags of a bucket, by name; none where it has none.
    pub async fn bucket_tags(&self, bucket: &str) -> Result<Vec<(String, String)>> {
        let answer = self
            .send("GetBucketTagging", bucket, "", |client| {
                client.get_bucket_tagging().bucket(bucket).send()
            })
            .await;
        match answer {
            Ok(answer) => {
                Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
            }
            Err(error) if is_no_tags(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// That a bucket has no tags is an error of the service.
fn is_no_tags(error: &Error) -> bool {
    error.chain().contains("NoSuchTagSet") || error.code() == ErrorCode::ObjectNotFound
}

fn query(bucket: &str, id: &str, name: &str, kind: &str) -> MetricDataQuery {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("AWS/S3")
        .metric_name(name)
        .dimensions(dimension("BucketName", bucket))
        .dimensions(dimension("StorageType", kind))
        .build();
    let stat = MetricStat::builder().metric(metric).period(86_400).stat("Average").build();
    MetricDataQuery::builder().id(id).metric_stat(stat).build()
}
