//! Figures and tags of buckets: what `CloudWatch` counts once a day, and what people said of a bucket.

use crate::region;
use crate::store::S3Store;
use crate::wire::{Fault, IN_QUERY, Xml};
use percent_encoding::utf8_percent_encode;
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
        let region = self.region_of(bucket).await?;
        self.ask_metrics(bucket, &region, now).await.map(Some)
    }

    /// Where `CloudWatch` of a region is asked.
    pub(crate) fn metrics_address(&self, region: &str) -> String {
        match &self.spec().cloudwatch_endpoint {
            Some(url) => url.clone(),
            None => format!("https://monitoring.{region}.{}", crate::probe::domain(region)),
        }
    }

    /// Asks `CloudWatch` of a region, which is there, for the last counts of a bucket.
    pub(crate) async fn ask_metrics(
        &self,
        bucket: &str,
        region: &str,
        now: i64,
    ) -> Result<BucketMetrics> {
        let address = self.metrics_address(region);
        let scope = ("monitoring", region);
        let answer =
            self.wire().await?.query("GetMetricData", &address, scope, form(bucket, now)).await;
        read(&answer.map_err(|error| self.clean(error))?).map_err(|fault| {
            Error::new(ErrorCode::ConnectionFailed, "the answer of GetMetricData cannot be read")
                .source(std::io::Error::other(fault))
        })
    }

    /// Finds where a bucket is, asked once; None where it will not say. With ENDPOINT it is what the
    /// service says: what says nothing may be anywhere.
    pub async fn location_of(&self, bucket: &str) -> Option<String> {
        if self.spec().endpoint.is_none() {
            return self.true_region(bucket).await;
        }
        let answer = self
            .send("GetBucketLocation", bucket, "", |client| {
                client.get_bucket_location().bucket(bucket).send()
            })
            .await
            .ok()?;
        region::named(answer.location_constraint.as_ref())
    }

    /// Asks for the tags of a bucket, by name; none where it has none.
    pub async fn bucket_tags(&self, bucket: &str) -> Result<Vec<(String, String)>> {
        let answer = self
            .send("GetBucketTagging", bucket, "", |client| {
                client.get_bucket_tagging().bucket(bucket).send()
            })
            .await;
        match answer {
            Ok(answer) => Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect()),
            Err(error) if is_no_tags(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// That a bucket has no tags is an error of the service.
fn is_no_tags(error: &Error) -> bool {
    error.chain().contains("NoSuchTagSet") || error.code() == ErrorCode::ObjectNotFound
}

/// The form that asks for the last counts.
fn form(bucket: &str, now: i64) -> String {
    let time = |seconds: i64| {
        chrono::DateTime::from_timestamp(seconds, 0)
            .unwrap_or_default()
            .format("%Y-%m-%dT%H:%M:%SZ")
    };
    let mut form = format!(
        "Action=GetMetricData&Version=2010-08-01&ScanBy=TimestampDescending&StartTime={}&EndTime={}",
        encoded(&time(now - WINDOW).to_string()),
        encoded(&time(now).to_string())
    );
    let sizes =
        TYPES.iter().enumerate().map(|(at, kind)| (format!("size{at}"), "BucketSizeBytes", *kind));
    let all =
        std::iter::once(("objects".to_owned(), "NumberOfObjects", "AllStorageTypes")).chain(sizes);
    for ((id, name, kind), number) in all.zip(1..) {
        let query = format!("&MetricDataQueries.member.{number}");
        let stat = format!("{query}.MetricStat");
        let dimensions = format!("{stat}.Metric.Dimensions.member");
        for (key, value) in [
            (format!("{query}.Id"), id.as_str()),
            (format!("{stat}.Period"), "86400"),
            (format!("{stat}.Stat"), "Average"),
            (format!("{stat}.Metric.Namespace"), "AWS/S3"),
            (format!("{stat}.Metric.MetricName"), name),
            (format!("{dimensions}.1.Name"), "BucketName"),
            (format!("{dimensions}.1.Value"), bucket),
            (format!("{dimensions}.2.Name"), "StorageType"),
            (format!("{dimensions}.2.Value"), kind),
        ] {
            form.push_str(&key);
            form.push('=');
            form.push_str(&encoded(value));
        }
    }
    form
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, IN_QUERY).to_string()
}

/// The newest value of each result: `GetMetricDataResponse/GetMetricDataResult/MetricDataResults/member`.
fn read(text: &[u8]) -> Result<BucketMetrics, Fault> {
    let mut metrics = BucketMetrics::default();
    let mut xml = Xml::new(text);
    xml.root()?;
    while let Some(name) = xml.child()? {
        if name != b"GetMetricDataResult" {
            xml.skip()?;
            continue;
        }
        while let Some(name) = xml.child()? {
            if name != b"MetricDataResults" {
                xml.skip()?;
                continue;
            }
            while xml.child()?.is_some() {
                result(&mut xml, &mut metrics)?;
            }
        }
    }
    Ok(metrics)
}

fn result(xml: &mut Xml<'_>, metrics: &mut BucketMetrics) -> Result<(), Fault> {
    let (mut id, mut value) = (String::new(), None);
    while let Some(name) = xml.child()? {
        match name {
            b"Id" => id = xml.string()?,
            b"Values" => {
                while xml.child()?.is_some() {
                    let text = xml.string()?;
                    value = value.or(text.trim().parse::<f64>().ok());
                }
            }
            _ => xml.skip()?,
        }
    }
    let Some(value) = value else { return Ok(()) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let value = value.max(0.0) as u64;
    if id == "objects" {
        metrics.objects = Some(value);
    } else {
        metrics.size = Some(metrics.size.unwrap_or(0) + value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts_of_all_storage_types_are_added_up() {
        let member = |id: &str, values: &[&str]| {
            let values: Vec<String> =
                values.iter().map(|value| format!("<member>{value}</member>")).collect();
            let values = values.concat();
            format!(
                "<member><Id>{id}</Id><Label>x</Label><Timestamps/><Values>{values}</Values><StatusCode>Complete</StatusCode></member>"
            )
        };
        let text = |members: &str| {
            format!(
                "<GetMetricDataResponse xmlns=\"x\"><GetMetricDataResult><MetricDataResults>{members}</MetricDataResults><Messages/></GetMetricDataResult><ResponseMetadata/></GetMetricDataResponse>"
            )
        };
        let some = [
            member("objects", &["12345.0", "7"]),
            member("size0", &["987654321"]),
            member("size1", &["1"]),
            member("size2", &[]),
        ]
        .concat();
        let metrics = read(text(&some).as_bytes()).unwrap();
        assert_eq!(metrics, BucketMetrics { objects: Some(12345), size: Some(987_654_322) });
        assert_eq!(read(text("").as_bytes()).unwrap(), BucketMetrics::default());
        assert!(read(b"<html><p>no").is_err());
    }
}
