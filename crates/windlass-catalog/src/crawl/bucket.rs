//! One bucket: what is known of it, its manifest, its listings, and all that is in it.

use super::containers::{self, Wanted};
use super::place::BucketPlace;
use super::router::{Leaf, Router};
use super::{Crawl, Event, Status};
use crate::find::Finder;
use crate::heap::{Heap, Object};
use crate::manifest::{self, Entry, Manifest, Scope, Source, entries_of};
use crate::model::{ContainerKind, Figures, Found, Listed, Seen};
use crate::world::Metrics;
use futures::StreamExt as _;
use std::sync::{Mutex, PoisonError};
use windlass_types::{Error, ErrorCode, Result};

/// Listings of one bucket side by side.
const LISTINGS: usize = 16;
/// Objects taken in at once.
const CHUNK: usize = 256;
/// Bytes of the largest manifest.
const MANIFEST: u64 = 16 << 20;

/// What the objects of a bucket go into.
struct Taken {
    router: Router,
    finder: Option<Finder>,
    /// The whole bucket, while all of it is listed.
    whole: Heap,
    objects: u64,
}

/// One listing that was tried.
struct Tried {
    prefix: String,
    /// Why it did not come to its end.
    failed: Option<Error>,
}

/// A bucket while it is walked.
pub(super) struct Walk<'a> {
    pub(super) crawl: &'a Crawl,
    pub(super) place: BucketPlace,
}

pub(super) async fn walk(crawl: &Crawl, name: &str) -> Result<()> {
    crawl.check()?;
    let world = &crawl.world;
    let manifest =
        async { if crawl.plan.manifests { own_manifest(crawl, name).await } else { Ok(None) } };
    let tags =
        async { if crawl.plan.tags { world.tags(name, None).await } else { Ok(Vec::new()) } };
    let (region, metrics, tags, own) =
        tokio::join!(world.region(name), world.metrics(name), tags, manifest);
    let place = BucketPlace { name: name.to_owned(), region, links: crawl.plan.links.clone() };
    let walk = Walk { crawl, place };
    let tags = match tags {
        Ok(tags) => tags,
        Err(error) => {
            let told = format!("its tags could not be read: {}", error.chain());
            crawl.tell(name, "", Status::Warning, told).await?;
            Vec::new()
        }
    };
    // What cannot be read of a manifest must not make anything look gone.
    let mut unread: Option<String> = None;
    let own = match own {
        Ok(own) => own,
        Err(error) => {
            unread = Some(format!("its manifest could not be read: {}", error.chain()));
            crawl.fail(name, manifest::FILE, &error).await?;
            None
        }
    };
    let global = match &crawl.plan.global {
        Some(Ok(manifest)) => Some(manifest),
        Some(Err(why)) => {
            unread.get_or_insert_with(|| format!("the global manifest could not be read: {why}"));
            None
        }
        None => None,
    };
    for warning in own.iter().flat_map(|manifest| &manifest.warnings) {
        crawl.tell(name, manifest::FILE, Status::Warning, warning.clone()).await?;
    }
    let (source, entries) = entries_of(name, global, own.as_ref(), crawl.plan.default.as_ref());
    walk.run(entries, source, tags, metrics, unread).await
}

/// The bucket's manifest; None: it has none.
async fn own_manifest(crawl: &Crawl, bucket: &str) -> Result<Option<Manifest>> {
    let bounds = &crawl.plan.bounds;
    let bound = !bounds.is_empty();
    if bound && !bounds.iter().any(|(name, prefix)| name == bucket && prefix.is_empty()) {
        // It lies outside of what the connection may see.
        return Ok(None);
    }
    let bytes = match crawl.world.read(bucket, manifest::FILE, MANIFEST).await {
        Ok(bytes) => bytes,
        Err(error) if error.code() == ErrorCode::ObjectNotFound => return Ok(None),
        // The listing will say so.
        Err(error) if error.code() == ErrorCode::BucketNotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = format!("{bucket}/{}", manifest::FILE);
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Error::new(ErrorCode::DocumentInvalid, format!("{name} is not UTF-8")).source(error)
    })?;
    Manifest::parse(&name, text, Scope::Bucket).map(Some)
}

/// Prefixes without those that others cover.
fn fewest(mut prefixes: Vec<String>) -> Vec<String> {
    prefixes.sort();
    let mut kept: Vec<String> = Vec::new();
    for prefix in prefixes {
        if !kept.last().is_some_and(|last| prefix.starts_with(last)) {
            kept.push(prefix);
        }
    }
    kept
}

impl Walk<'_> {
    fn name(&self) -> &str {
        &self.place.name
    }

    /// Prefixes of the bucket within which everything stays.
    fn bounds(&self) -> Vec<String> {
        let bounds = &self.crawl.plan.bounds;
        if bounds.is_empty() {
            return vec![String::new()];
        }
        let own = bounds.iter().filter(|(bucket, _)| bucket == self.name());
        fewest(own.map(|(_, prefix)| prefix.clone()).collect())
    }

    /// What is to be listed for these entries, within the bounds.
    fn prefixes(&self, entries: &[Entry]) -> Vec<String> {
        let bounds = self.bounds();
        let within = |prefix: String| -> Vec<String> {
            if bounds.iter().any(|bound| prefix.starts_with(bound)) {
                return vec![prefix];
            }
            bounds.iter().filter(|bound| bound.starts_with(&prefix)).cloned().collect()
        };
        fewest(entries.iter().flat_map(|entry| within(entry.prefix())).collect())
    }

    async fn run(
        &self,
        entries: Vec<Entry>,
        source: Source,
        tags: Vec<(String, String)>,
        metrics: Result<Option<Metrics>>,
        unread: Option<String>,
    ) -> Result<()> {
        let plan = &self.crawl.plan;
        let entries = self.kept(entries).await?;
        let wanted = self.prefixes(&entries);
        let counted = matches!(&metrics, Ok(Some(Metrics { objects: Some(_), size: Some(_) })));
        let taken = Mutex::new(Taken {
            router: Router::new(entries),
            // Beside a manifest that cannot be read, what is found might be what it names.
            finder: (plan.discover && unread.is_none()).then(Finder::default),
            whole: Heap::default(),
            objects: 0,
        });
        // The whole bucket, where it is wanted, or somebody has to count its objects.
        let mut whole = plan.discover || !counted;
        let mut tried = Vec::new();
        let mut limit = None;
        if whole {
            let most = (!plan.discover).then_some(plan.count_limit);
            tried = self.list(self.bounds(), &taken, most).await?;
            let full = most.is_some_and(|most| locked(&taken).objects >= most);
            let failed = tried.iter().any(|one| one.failed.is_some());
            if let Some(error) = gone(&tried) {
                return self.gone(error).await;
            }
            if full {
                limit = Some(format!(
                    "more than {} objects, and no CloudWatch to ask",
                    plan.count_limit
                ));
            }
            if !plan.discover && (full || failed) {
                // What the entries are about may be little, and may be allowed.
                {
                    let mut taken = locked(&taken);
                    taken.router.clear();
                    taken.whole = Heap::default();
                }
                whole = false;
                let why = tried.into_iter().find_map(|one| one.failed);
                limit = limit.or_else(|| why.map(|error| error.chain()));
                tried = self.list(wanted.clone(), &taken, None).await?;
            }
        } else {
            tried.extend(self.list(wanted.clone(), &taken, None).await?);
        }
        if let Some(error) = gone(&tried) {
            return self.gone(error).await;
        }
        let mut taken = taken.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.places(&tried, &wanted, whole, unread.as_deref()).await?;
        let failed: Vec<(String, String)> = tried
            .iter()
            .filter_map(|one| one.failed.as_ref().map(|error| (one.prefix.clone(), error.chain())))
            .collect();
        self.bucket(&taken, whole, tags, metrics, &failed, limit, source, unread.as_deref())
            .await?;
        let containers = self.gather(&mut taken, &failed).await?;
        self.crawl.say(Event::Planned(containers.len() as u64)).await?;
        containers::finish_all(self, containers).await
    }

    /// It is not there, nor anything in it.
    async fn gone(&self, error: &Error) -> Result<()> {
        self.crawl.fail(self.name(), "", error).await?;
        self.listed("", None).await
    }

    /// Entries whose paths the filter lets pass; of globs the containers are looked at later.
    async fn kept(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let mut kept = Vec::new();
        for entry in entries {
            let why = match &entry.glob {
                Some(_) => None,
                None => self.crawl.plan.filter.path(&entry.path),
            };
            match why {
                None => kept.push(entry),
                Some(why) => {
                    self.crawl.tell(self.name(), &entry.path, Status::Skipped, &why).await?;
                    let path = entry.path.clone();
                    self.listed(&path, Some(format!("left out: {why}"))).await?;
                }
            }
        }
        Ok(kept)
    }

    async fn listed(&self, prefix: &str, incomplete: Option<String>) -> Result<()> {
        let listed =
            Listed { bucket: self.name().to_owned(), prefix: prefix.to_owned(), incomplete };
        self.crawl.say(Event::Listed(listed)).await
    }

    /// Says of every place whether it was listed to its end.
    async fn places(
        &self,
        tried: &[Tried],
        wanted: &[String],
        whole: bool,
        unread: Option<&str>,
    ) -> Result<()> {
        if let Some(why) = unread {
            self.listed("", Some(why.to_owned())).await?;
        }
        for one in tried {
            if let Some(error) = &one.failed {
                self.crawl.fail(self.name(), &one.prefix, error).await?;
                self.listed(&one.prefix, Some(error.chain())).await?;
            } else if self.crawl.plan.discover {
                self.listed(&one.prefix, None).await?;
            }
        }
        if !self.crawl.plan.discover {
            // What no manifest speaks of was not looked for, whether or not it was listed.
            let ended = |prefix: &&String| {
                tried.iter().any(|one| one.failed.is_none() && (whole || one.prefix == **prefix))
            };
            for prefix in wanted.iter().filter(ended) {
                self.listed(prefix, None).await?;
            }
        }
        Ok(())
    }

    /// Lists prefixes side by side; `most`: objects after which it is enough.
    async fn list(
        &self,
        prefixes: Vec<String>,
        taken: &Mutex<Taken>,
        most: Option<u64>,
    ) -> Result<Vec<Tried>> {
        let lists = prefixes.into_iter().map(|prefix| async move {
            let failed = self.list_one(&prefix, taken, most).await?;
            Ok::<_, Error>(Tried { prefix, failed })
        });
        let mut all = Vec::new();
        let mut lists = futures::stream::iter(lists).buffer_unordered(LISTINGS);
        while let Some(one) = lists.next().await {
            all.push(one?);
        }
        all.sort_by(|a: &Tried, b| a.prefix.cmp(&b.prefix));
        Ok(all)
    }

    async fn list_one(
        &self,
        prefix: &str,
        taken: &Mutex<Taken>,
        most: Option<u64>,
    ) -> Result<Option<Error>> {
        let mut chunks = self.crawl.world.list(self.name(), prefix).ready_chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            self.crawl.check()?;
            let mut leaves: Vec<(Object, Leaf)> = Vec::new();
            let mut failed = None;
            let full = {
                let mut taken = locked(taken);
                for object in chunk {
                    match object {
                        Ok(object) => leaves.extend(taken.take(object, self.crawl)),
                        Err(error) => failed = Some(error),
                    }
                }
                most.is_some_and(|most| taken.objects >= most)
            };
            containers::leaves(self, &leaves).await?;
            if failed.is_some() || full {
                return Ok(failed);
            }
        }
        Ok(None)
    }

    /// The bucket's own container.
    #[allow(clippy::too_many_arguments, reason = "all that is known of a bucket, used once")]
    async fn bucket(
        &self,
        taken: &Taken,
        whole: bool,
        tags: Vec<(String, String)>,
        metrics: Result<Option<Metrics>>,
        failed: &[(String, String)],
        limit: Option<String>,
        source: Source,
        unread: Option<&str>,
    ) -> Result<()> {
        let ended = whole && failed.is_empty();
        let mut figures = if ended { taken.whole.figures() } else { Figures::default() };
        let why_not = match &metrics {
            Err(error) => {
                let told = format!("CloudWatch: {}", error.chain());
                self.crawl.tell(self.name(), "", Status::Warning, told.clone()).await?;
                Some(told)
            }
            Ok(None) => Some("there is no CloudWatch to ask".to_owned()),
            Ok(Some(Metrics { objects: None, size: None })) => {
                Some("CloudWatch has no figures of it".to_owned())
            }
            Ok(Some(_)) => None,
        };
        let metrics = metrics.ok().flatten().unwrap_or_default();
        if metrics.objects.is_some() || metrics.size.is_some() {
            let by_listing = ended && (metrics.objects.is_none() || metrics.size.is_none());
            figures.objects = metrics.objects.or(figures.objects);
            figures.size = metrics.size.or(figures.size);
            let origin = if by_listing { "cloudwatch, listing" } else { "cloudwatch" };
            figures.origin = Some(origin.to_owned());
        }
        if figures.size.is_none() || figures.objects.is_none() {
            let reason = failed.first().map(|(_, why)| why.clone()).or(limit).or(why_not);
            figures.unknown = Some(reason.unwrap_or_else(|| "it was not counted".to_owned()));
        }
        let why = match (unread, source) {
            (Some(unread), _) => unread.to_owned(),
            (None, Source::Global) => "its entries are those of the global manifest".to_owned(),
            (None, Source::Bucket) => format!("its entries are those of its `{}`", manifest::FILE),
            (None, Source::Default) => "its entries are those of the default manifest".to_owned(),
            (None, Source::None) if self.crawl.plan.discover => {
                "no manifest; its tables are found by their keys".to_owned()
            }
            (None, Source::None) => "no manifest".to_owned(),
        };
        // Nothing of it could be listed: that it is there is all that is known.
        let seen = match failed.first() {
            Some((_, reason)) if taken.objects == 0 && self.crawl.plan.discover => {
                Seen::No { reason: reason.clone() }
            }
            _ => Seen::Yes,
        };
        let fingerprint = if ended { taken.whole.fingerprint("") } else { String::new() };
        let why = vec![why];
        let found = Found { figures, tags, why, fingerprint, seen, ..self.place.bucket() };
        self.crawl.say(Event::Found(Box::new(found))).await
    }

    /// The containers to be finished, of manifests and of findings.
    async fn gather(&self, taken: &mut Taken, failed: &[(String, String)]) -> Result<Vec<Wanted>> {
        let reason = |path: &str| {
            let below = format!("{path}/");
            failed.iter().find(|(prefix, _)| below.starts_with(prefix)).map(|(_, why)| why.clone())
        };
        let mut all: Vec<Wanted> = Vec::new();
        for (path, heap) in std::mem::take(&mut taken.router.folders) {
            let mut found = self.place.in_tree(&path, ContainerKind::Folder);
            found.figures = heap.figures();
            found.fingerprint = heap.fingerprint("");
            found.why = vec!["a level above files that a manifest names".to_owned()];
            self.crawl.say(Event::Found(Box::new(found))).await?;
        }
        let (drafts, told) = taken.router.end();
        for (at, why) in told {
            let entry = &taken.router.entries[at];
            match reason(&entry.path).filter(|_| why.starts_with("nothing")) {
                // Its place could not be listed: it may be there.
                Some(reason) if entry.glob.is_none() && entry.depth == 0 => {
                    let kind = if entry.format.is_some() {
                        ContainerKind::Dataset
                    } else {
                        ContainerKind::File
                    };
                    let mut found = self.place.flat(&entry.path, kind);
                    found.formats.extend(entry.format.clone());
                    found.figures.unknown = Some(reason.clone());
                    found.seen = Seen::No { reason };
                    self.crawl.say(Event::Found(Box::new(found))).await?;
                }
                Some(_) => {}
                None => {
                    let told = format!("{} makes no container: {why}", entry.said);
                    self.crawl.tell(self.name(), &entry.path, Status::Skipped, told).await?;
                }
            }
        }
        for (path, at, draft) in drafts {
            let entry = &taken.router.entries[at];
            all.push(Wanted::of_entry(&self.place, entry, &path, draft));
        }
        if let Some(finder) = taken.finder.take() {
            let findings = finder.end();
            if findings.artefacts > 0 {
                let told = format!("{} artefacts of writers are no data", findings.artefacts);
                self.crawl.tell(self.name(), "", Status::Skipped, told).await?;
            }
            let named: std::collections::BTreeSet<String> =
                all.iter().map(|wanted| wanted.found.path.clone()).collect();
            for finding in findings.all.into_values() {
                if !named.contains(&finding.path) {
                    all.push(Wanted::of_finding(&self.place, finding));
                }
            }
        }
        let mut kept = Vec::with_capacity(all.len());
        for mut wanted in all {
            let path = wanted.found.path.clone();
            if let Some(why) = self.crawl.plan.filter.path(&path) {
                self.crawl.tell(self.name(), &path, Status::Skipped, &why).await?;
                self.listed(&path, Some(format!("left out: {why}"))).await?;
                continue;
            }
            wanted.incomplete = reason(&path).map(|why| format!("its listing did not end: {why}"));
            kept.push(wanted);
        }
        Ok(kept)
    }
}

/// The error of a bucket that is not there.
fn gone(tried: &[Tried]) -> Option<&Error> {
    let errors = tried.iter().filter_map(|one| one.failed.as_ref());
    errors.into_iter().find(|error| error.code() == ErrorCode::BucketNotFound)
}

fn locked(taken: &Mutex<Taken>) -> std::sync::MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taken {
    /// Takes an object in; answers it if it is a container by itself.
    fn take(&mut self, object: Object, crawl: &Crawl) -> Option<(Object, Leaf)> {
        crawl.count();
        self.objects += 1;
        if !object.key.ends_with('/') {
            self.whole.count(&object);
        }
        let (claimed, leaf) = self.router.add(&object);
        if let Some(finder) = &mut self.finder
            && !claimed
            && object.key != manifest::FILE
        {
            finder.add(&object);
        }
        leaf.map(|leaf| (object, leaf))
    }
}
