//! The walk: buckets, what their manifests name, what is found without one; each container with its
//! structure, figures and tags. What cannot be read is said to be so, and is not said to be gone.

mod bucket;
mod containers;
mod place;
mod router;

use crate::filter::Filter;
use crate::find::Finder;
use crate::manifest::{self, Manifest};
use crate::model::{Found, Listed};
use crate::world::World;
use futures::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use windlass_types::{Error, ErrorCode, Result};

pub use place::Links;

/// Buckets walked side by side.
const BUCKETS: usize = 4;
/// Containers whose structure is learnt side by side.
const CONTAINERS: usize = 32;

/// What is to be crawled, and how.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "switches of one crawl, each for itself")]
pub struct Plan {
    /// Buckets by name; none: all that can be listed.
    pub buckets: Vec<String>,
    /// Buckets and prefixes within which everything stays; none: everywhere.
    pub bounds: Vec<(String, String)>,
    /// What is left out.
    pub filter: Filter,
    /// The global manifest, or why it could not be read.
    pub global: Option<std::result::Result<Manifest, String>>,
    /// The fallback manifest.
    pub default: Option<Manifest>,
    /// Whether tables are found that no manifest names.
    pub discover: bool,
    /// Whether the manifests of buckets are read.
    pub manifests: bool,
    /// Whether tags are read.
    pub tags: bool,
    /// Whether structures are learnt; without, only names and figures are found.
    pub structure: bool,
    /// Whether structures are learnt again where nothing changed.
    pub full: bool,
    /// Files read of each container, at most.
    pub samples: usize,
    /// Objects that are counted, at most, of a bucket whose figures nobody else knows.
    pub count_limit: u64,
    /// How links are made.
    pub links: Links,
}

/// How something ended that the log of a run is to tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Left out, as it should be.
    Skipped,
    /// Something went wrong; the crawl is partial.
    Failed,
    /// Worth knowing.
    Warning,
}

/// One line of the log of a crawl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The bucket.
    pub bucket: String,
    /// The path, key or entry; empty for the bucket itself.
    pub path: String,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub reason: String,
    /// The code of an error.
    pub code: Option<String>,
}

/// What a crawl says as it goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A container.
    Found(Box<Found>),
    /// A place that was to be listed.
    Listed(Listed),
    /// A line of the log.
    Told(Told),
    /// This many containers are known to come, besides those told of before.
    Planned(u64),
}

/// What every part of a crawl has at hand.
pub(crate) struct Crawl {
    pub(crate) plan: Plan,
    pub(crate) world: Arc<dyn World>,
    out: mpsc::Sender<Event>,
    cancel: CancellationToken,
    learning: Semaphore,
    listed: AtomicU64,
}

impl Crawl {
    /// Says something; an error if nobody listens any more, or it was told to stop.
    pub(crate) async fn say(&self, event: Event) -> Result<()> {
        self.check()?;
        self.out.send(event).await.map_err(|_| stopped())
    }

    pub(crate) async fn tell(
        &self,
        bucket: &str,
        path: &str,
        status: Status,
        reason: impl Into<String>,
    ) -> Result<()> {
        let told = Told {
            bucket: bucket.to_owned(),
            path: path.to_owned(),
            status,
            reason: reason.into(),
            code: None,
        };
        self.say(Event::Told(told)).await
    }

    pub(crate) async fn fail(&self, bucket: &str, path: &str, error: &Error) -> Result<()> {
        let told = Told {
            bucket: bucket.to_owned(),
            path: path.to_owned(),
            status: Status::Failed,
            reason: error.chain(),
            code: Some(error.code().to_string()),
        };
        self.say(Event::Told(told)).await
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    pub(crate) fn count(&self) {
        self.listed.fetch_add(1, Ordering::Relaxed);
    }
}

fn stopped() -> Error {
    Error::new(ErrorCode::Interrupted, "the crawl was stopped")
}

/// Crawls; answers how many objects were listed. What is found comes out of the receiver while it
/// runs, which must be read. Ends with an error only when it was stopped, or the buckets could not be
/// listed at all; then that is said as a [`Listed`] too.
pub async fn crawl(
    plan: Plan,
    world: Arc<dyn World>,
    out: mpsc::Sender<Event>,
    cancel: CancellationToken,
) -> Result<u64> {
    let crawl = Arc::new(Crawl {
        plan,
        world,
        out,
        cancel,
        learning: Semaphore::new(CONTAINERS),
        listed: AtomicU64::new(0),
    });
    let buckets = crawl.buckets().await?;
    let mut walks = futures::stream::iter(buckets.into_iter().map(|name| {
        let crawl = Arc::clone(&crawl);
        async move { bucket::walk(&crawl, &name).await }
    }))
    .buffer_unordered(BUCKETS);
    while let Some(end) = walks.next().await {
        end?;
    }
    drop(walks);
    Ok(crawl.listed.load(Ordering::Relaxed))
}

/// Lists what a plan bounds; answers of each bucket the manifest that says what is found in it.
/// Manifests that are there are not read.
pub async fn manifests(plan: &Plan, world: &dyn World) -> Result<Vec<(String, String)>> {
    let bounds = &plan.bounds;
    let mut buckets: Vec<String> = if bounds.is_empty() {
        world.buckets().await?
    } else {
        bounds.iter().map(|(bucket, _)| bucket.clone()).collect()
    };
    buckets.dedup();
    let mut all = Vec::new();
    for bucket in buckets {
        let own = bounds.iter().filter(|(name, _)| *name == bucket);
        let mut prefixes: Vec<String> = own.map(|(_, prefix)| prefix.clone()).collect();
        if bounds.is_empty() {
            prefixes.push(String::new());
        }
        let mut finder = Finder::default();
        for prefix in prefixes {
            let mut objects = world.list(&bucket, &prefix);
            while let Some(object) = objects.next().await {
                let object = object?;
                if object.key != manifest::FILE {
                    finder.add(&object);
                }
            }
        }
        all.push((bucket, manifest::print(&finder.end().entries())));
    }
    Ok(all)
}

impl Crawl {
    /// The buckets to walk; which are left out, and why, is said.
    async fn buckets(&self) -> Result<Vec<String>> {
        let bound: Vec<String> =
            self.plan.bounds.iter().map(|(bucket, _)| bucket.clone()).collect();
        let all = if !self.plan.buckets.is_empty() {
            self.plan.buckets.clone()
        } else if !bound.is_empty() {
            bound.clone()
        } else {
            match self.world.buckets().await {
                Ok(buckets) => {
                    let listed =
                        Listed { bucket: String::new(), prefix: String::new(), incomplete: None };
                    self.say(Event::Listed(listed)).await?;
                    buckets
                }
                Err(error) => {
                    let incomplete = Some(error.chain());
                    let listed =
                        Listed { bucket: String::new(), prefix: String::new(), incomplete };
                    self.say(Event::Listed(listed)).await?;
                    return Err(error);
                }
            }
        };
        for pattern in &self.plan.filter.buckets {
            if !all.iter().any(|name| pattern.matches(name)) {
                let why = format!("no bucket is called as BUCKETS says: `{}`", pattern.as_str());
                self.tell("", "BUCKETS", Status::Failed, why).await?;
            }
        }
        let mut kept: Vec<String> = Vec::new();
        for name in all {
            if kept.contains(&name) {
                continue;
            }
            let outside = !bound.is_empty() && !bound.contains(&name);
            let why = if outside {
                Some("outside of what the connection shows".to_owned())
            } else {
                self.plan.filter.bucket(&name)
            };
            match why {
                None => kept.push(name),
                Some(why) => {
                    self.tell(&name, "", Status::Skipped, &why).await?;
                    let incomplete = Some(format!("left out: {why}"));
                    let listed = Listed { bucket: name, prefix: String::new(), incomplete };
                    self.say(Event::Listed(listed)).await?;
                }
            }
        }
        Ok(kept)
    }
}

#[cfg(test)]
#[path = "crawl/tests.rs"]
mod tests;
