//! Is there an S3 service, and can we talk to it? Name, connection, TLS, clock, in that order.

use super::diagnose::{Facts, Finding, diagnose, diagnose_error};
use super::silence::{authority, silent};
use super::{Row, Session, Verdict};
use crate::policy::Verb;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

impl Session {
    /// Sends one request and takes any answer S3 would give: also a refusal has come from there.
    pub(super) async fn reach(&mut self) {
        let row = Row::required("reach endpoint", None);
        let place = self.targets().into_iter().next();
        let bucket = place.as_ref().map(|place| place.bucket.clone());
        let scene = self.scene(Verb::List, bucket.as_deref(), "");
        let (store, limits) = (self.store.clone(), self.limits);
        let late = silent(&scene, None);
        let work = async {
            let patience = limits.step.saturating_sub(limits.connect + Duration::from_millis(500));
            let asked = timeout(patience, async {
                // The base client: finding a bucket's region is another step.
                let client = match Session::client(&store).await {
                    Ok(client) => client,
                    Err(error) => return Err(diagnose_error(&error, &scene)),
                };
                let facts = match &place {
                    Some(place) => client
                        .list_objects_v2()
                        .bucket(&place.bucket)
                        .prefix(&place.prefix)
                        .max_keys(1)
                        .send()
                        .await
                        .err()
                        .map(|error| Facts::of(&error)),
                    None => client.list_buckets().send().await.err().map(|error| Facts::of(&error)),
                };
                match facts {
                    None => Ok(()),
                    Some(facts) if facts.is_s3() && !facts.is_clock(&scene) => Ok(()),
                    Some(facts) => Err(diagnose(&facts, &scene)),
                }
            })
            .await;
            match asked {
                Ok(Ok(())) => Verdict::Passed((), format!("`{}` answers", scene.endpoint)),
                Ok(Err(finding)) if finding.message.starts_with("timeout:") => {
                    Verdict::Failed(why_silent(&scene, limits.connect, finding).await)
                }
                Ok(Err(finding)) => Verdict::Failed(finding),
                Err(_) => {
                    let finding = silent(&scene, None);
                    Verdict::Failed(why_silent(&scene, limits.connect, finding).await)
                }
            }
        };
        self.step(row, late, work).await;
    }
}

/// After a timeout: does anything listen there at all? Only asked where no proxy stands between.
async fn why_silent(
    scene: &super::diagnose::Scene,
    limit: Duration,
    otherwise: Finding,
) -> Finding {
    if scene.spec.proxy.is_some() {
        return otherwise;
    }
    match timeout(limit, TcpStream::connect(authority(&scene.endpoint))).await {
        Ok(Ok(_)) => silent(scene, Some(true)),
        Ok(Err(_)) => otherwise,
        Err(_) => silent(scene, Some(false)),
    }
}
