//! What may be listed and read: the connection's place, or the account's buckets.

use super::diagnose::{Facts, Finding, Scene, diagnose, diagnose_error};
use super::{Row, Session, Verdict};
use crate::access::{ByteRange, GetOptions, ObjectAccess as _};
use crate::policy::Verb;
use aws_sdk_s3::types::{BucketLocationConstraint, ObjectStorageClass};
use futures::StreamExt as _;
use futures::future::join_all;
use windlass_types::ObjectPath;
use windlass_types::connection::{Identity, S3Spec};

/// A bucket and a string prefix in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) bucket: String,
    pub(super) prefix: String,
}

impl Target {
    fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// What was found to look into.
#[derive(Debug, Default)]
pub(super) struct Found {
    targets: Vec<Target>,
    /// The targets are those of the connection, not the first buckets that came.
    named: bool,
    /// Why there are none.
    reason: String,
}

/// Buckets of an account that are looked into.
const FEW: usize = 5;

/// The places a connection names: `VERIFY_PATH`, else its binding, else its display filters.
pub(super) fn named(spec: &S3Spec) -> Vec<Target> {
    if let Some(verify) = &spec.verify
        && let Some(bucket) = &verify.bucket
    {
        let mut prefix = verify.key.clone();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        return vec![Target { bucket: bucket.clone(), prefix }];
    }
    if let Some(bucket) = &spec.binding.bucket {
        return vec![Target { bucket: bucket.clone(), prefix: spec.binding.prefix.clone() }];
    }
    let filters = spec.display_filters.iter().take(FEW);
    filters.map(|url| Target { bucket: url.bucket.clone(), prefix: url.key.clone() }).collect()
}

impl Session {
    pub(super) fn targets(&self) -> Vec<Target> {
        named(self.store.spec())
    }

    /// Lists the places the connection names, one level; else the account's buckets.
    pub(super) async fn places(&mut self) -> Found {
        let targets = self.targets();
        if targets.is_empty() {
            return self.buckets().await;
        }
        let row = Row::required("list place", Some(Verb::List));
        let scenes: Vec<_> = targets
            .iter()
            .map(|target| self.scene(Verb::List, Some(&target.bucket), &target.prefix))
            .collect();
        let late = super::silence::silent(&scenes[0], None);
        let store = self.store.clone();
        let work = async {
            let listings = targets.iter().zip(&scenes).map(async |(target, scene)| {
                store
                    .try_send("ListObjectsV2", &target.bucket, |client| {
                        let request = client.list_objects_v2().bucket(&target.bucket);
                        request.prefix(&target.prefix).delimiter("/").max_keys(2).send()
                    })
                    .await
                    .map_err(|error| diagnose_error(&error, scene))?
                    .map_err(|error| diagnose(&Facts::of(&error), scene))
            });
            for listing in join_all(listings).await {
                if let Err(finding) = listing {
                    return Verdict::Failed(finding);
                }
            }
            let places: Vec<String> =
                targets.iter().map(|target| format!("`{}`", target.url())).collect();
            Verdict::Passed((), format!("{} can be listed", places.join(", ")))
        };
        if self.step(row, late, work).await.is_some() {
            return Found { targets, named: true, reason: String::new() };
        }
        let reason = "not tried: `list place` did not pass".to_owned();
        Found { targets: Vec::new(), named: true, reason }
    }

    async fn buckets(&mut self) -> Found {
        let row = Row::required("list buckets", Some(Verb::ListBuckets));
        let scene = self.scene(Verb::ListBuckets, None, "");
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            let client = match Session::client(&store).await {
                Ok(client) => client,
                Err(error) => return Verdict::Failed(diagnose_error(&error, &scene)),
            };
            match client.list_buckets().send().await {
                Ok(answer) => {
                    let names: Vec<String> = answer
                        .buckets()
                        .iter()
                        .filter_map(|bucket| bucket.name().map(str::to_owned))
                        .collect();
                    let more = if answer.continuation_token().is_some() { " and more" } else { "" };
                    let message = match names.len() {
                        0 => "there is no bucket yet".to_owned(),
                        1 => format!("1 bucket{more}"),
                        count => format!("{count} buckets{more}"),
                    };
                    Verdict::Passed(names, message)
                }
                Err(error) => Verdict::Failed(diagnose(&Facts::of(&error), &scene)),
            }
        };
        match self.step(row, late, work).await {
            Some(names) => Found {
                targets: names
                    .into_iter()
                    .take(FEW)
                    .map(|bucket| Target { bucket, prefix: String::new() })
                    .collect(),
                named: false,
                reason: "there is no bucket".to_owned(),
            },
            None => Found {
                reason: "not tried: `list buckets` did not pass".to_owned(),
                ..Found::default()
            },
        }
    }

    /// Asks for the region of the first bucket.
    pub(super) async fn region(&mut self, found: &Found) {
        let row = Row::warns("bucket region", Verb::BucketRegion);
        let Some(target) = found.targets.first() else {
            return self.skip_unless_blocked(&row, &found.reason);
        };
        let scene = self.scene(Verb::BucketRegion, Some(&target.bucket), "");
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            let asked = store
                .try_send("GetBucketLocation", &target.bucket, |client| {
                    client.get_bucket_location().bucket(&target.bucket).send()
                })
                .await;
            match asked {
                Ok(Ok(answer)) => {
                    let region = answer.location_constraint().map(BucketLocationConstraint::as_str);
                    located(region.unwrap_or_default(), &target.bucket, &scene)
                }
                Ok(Err(error)) => {
                    let facts = Facts::of(&error);
                    match facts.location() {
                        Some(region) => located(&region, &target.bucket, &scene),
                        None => Verdict::Failed(diagnose(&facts, &scene)),
                    }
                }
                Err(error) => Verdict::Failed(diagnose_error(&error, &scene)),
            }
        };
        self.step(row, late, work).await;
    }

    fn skip_unless_blocked(&mut self, row: &Row, reason: &str) {
        let reason = self.blocked.clone().unwrap_or_else(|| reason.to_owned());
        self.skip(row, reason);
    }

    /// Lists objects at any depth, and picks one to read.
    pub(super) async fn objects(&mut self, found: &Found) -> Result<ObjectPath, String> {
        let row = if found.named || self.blocked.is_some() {
            Row::required("list objects", Some(Verb::List))
        } else {
            Row::warns("list objects", Verb::List)
        };
        let Some(first) = found.targets.first() else {
            self.skip_unless_blocked(&row, &found.reason);
            return Err(self.blocked.clone().unwrap_or_else(|| found.reason.clone()));
        };
        let scenes: Vec<_> = found
            .targets
            .iter()
            .map(|target| self.scene(Verb::List, Some(&target.bucket), &target.prefix))
            .collect();
        let late = super::silence::silent(&scenes[0], None);
        let store = self.store.clone();
        let url = first.url();
        let work = async {
            let listings = found.targets.iter().zip(&scenes).map(async |(target, scene)| {
                let answer = store
                    .try_send("ListObjectsV2", &target.bucket, |client| {
                        let request = client.list_objects_v2().bucket(&target.bucket);
                        request.prefix(&target.prefix).max_keys(100).send()
                    })
                    .await
                    .map_err(|error| diagnose_error(&error, scene))?
                    .map_err(|error| diagnose(&Facts::of(&error), scene))?;
                let more = if answer.is_truncated() == Some(true) { " or more" } else { "" };
                let count = answer.contents().len();
                let noun = if count == 1 { "object" } else { "objects" };
                let message = format!("{count}{more} {noun} in `{}`", target.url());
                let archived = |class: &ObjectStorageClass| {
                    matches!(class, ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive)
                };
                let sample = answer
                    .contents()
                    .iter()
                    .find(|object| {
                        object.size().unwrap_or(0) > 0
                            && !object.storage_class().is_some_and(archived)
                    })
                    .and_then(|object| object.key())
                    .map(|key| ObjectPath { bucket: target.bucket.clone(), key: key.to_owned() });
                Ok::<_, Finding>((message, sample))
            });
            let mut best: Option<(String, Option<ObjectPath>)> = None;
            let mut worst = None;
            for listing in join_all(listings).await {
                match listing {
                    Ok(listed) if best.as_ref().is_none_or(|(_, sample)| sample.is_none()) => {
                        best = Some(match best {
                            Some(first) if listed.1.is_none() => first,
                            _ => listed,
                        });
                    }
                    Ok(_) => {}
                    Err(finding) => worst = worst.or(Some(finding)),
                }
            }
            match (best, worst) {
                (Some(_), Some(finding)) if found.named => Verdict::Failed(finding),
                (Some((message, sample)), _) => Verdict::Passed(sample, message),
                (None, Some(finding)) => Verdict::Failed(finding),
                (None, None) => Verdict::Skipped("there is no bucket".to_owned()),
            }
        };
        match self.step(row, late, work).await {
            Some(Some(sample)) => Ok(sample),
            Some(None) => Err(format!("nothing to read in `{url}` yet")),
            None => Err(self
                .blocked
                .clone()
                .unwrap_or_else(|| "not tried: `list objects` did not pass".to_owned())),
        }
    }

    /// Reads one byte.
    pub(super) async fn read(&mut self, sample: Result<ObjectPath, String>) {
        let row = Row::warns("read an object", Verb::Read);
        let object = match sample {
            Ok(object) => object,
            Err(reason) => return self.skip_unless_blocked(&row, &reason),
        };
        let scene = self.scene(Verb::Read, Some(&object.bucket), &object.key);
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            let options =
                GetOptions { range: Some(ByteRange::Bounded(0, 1)), ..GetOptions::default() };
            let read = async {
                let mut body = store.get(&object, options).await?;
                body.stream.next().await.transpose()
            };
            match read.await {
                Ok(_) => Verdict::Passed((), format!("one byte of `s3://{object}`")),
                Err(error) => Verdict::Failed(diagnose_error(&error, &scene)),
            }
        };
        self.step(row, late, work).await;
    }

    /// Asks `CloudWatch` for metrics, where there is one that may be asked.
    pub(super) async fn metrics(&mut self) {
        let row = Row::warns("CloudWatch metrics", Verb::Metrics);
        let spec = self.store.spec().clone();
        if spec.endpoint.is_some() && spec.cloudwatch_endpoint.is_none() {
            let reason = "ENDPOINT is set and CLOUDWATCH_ENDPOINT is not: nothing is sent to AWS";
            return self.skip_unless_blocked(&row, reason);
        }
        if spec.identity == Identity::Anonymous {
            return self.skip_unless_blocked(&row, "CloudWatch takes no anonymous requests");
        }
        let mut scene = self.scene(Verb::Metrics, None, "");
        let region = spec.region.as_deref().unwrap_or("us-east-1").to_owned();
        scene.endpoint = self.store.metrics_address(&region);
        let late = super::silence::silent(&scene, None);
        let store = self.store.clone();
        let work = async {
            // A bucket that nobody has: only the permission is asked for.
            let now = scene.now.timestamp();
            match store.ask_metrics("windlass-probe", &region, now).await {
                Ok(_) => Verdict::Passed((), "figures of buckets may be asked for".to_owned()),
                Err(error) => Verdict::Failed(diagnose_error(&error, &scene)),
            }
        };
        self.step(row, late, work).await;
    }
}

/// Where a bucket is, by the name AWS gives a region here: its two oldest have others.
fn located(name: &str, bucket: &str, scene: &Scene) -> Verdict<()> {
    let region = match name {
        "" => "us-east-1",
        "EU" => "eu-west-1",
        region => region,
    };
    let other = match &scene.spec.region {
        Some(set) if set != region && scene.spec.endpoint.is_none() => {
            format!("; REGION is `{set}`, requests go to where the bucket is")
        }
        _ => String::new(),
    };
    Verdict::Passed((), format!("`{bucket}` is in `{region}`{other}"))
}
