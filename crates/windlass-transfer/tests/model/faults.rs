//! The same through a proxy that lets things go wrong: nothing is lost, nothing is wrong, and what was
//! not done is said.

use super::expected::Verb;
use super::places::{Place, service};
use super::trees::{self, Names, Tree};
use super::{Route, assert_same, base, run, seeds};
use futures::StreamExt as _;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use windlass_testkit::{Dice, Fault, FaultKind, FaultProxy, ProxyFault, Schedule};
use windlass_transfer::{Item, Status};
use windlass_types::ErrorCode;

/// How the rounds of a test ended.
#[derive(Debug, Default)]
struct Tally {
    whole: u32,
    in_part: u32,
    not: u32,
    hits: BTreeMap<ProxyFault, u64>,
}

/// Proxies before both ends.
struct Storm {
    proxies: [Option<FaultProxy>; 2],
}

impl Storm {
    async fn before(route: &Route) -> Self {
        let mut proxies = [None, None];
        for (proxy, place) in proxies.iter_mut().zip([&route.from, &route.to]) {
            if let Some(endpoint) = place.endpoint() {
                *proxy = Some(FaultProxy::start(&endpoint, Schedule::new(0)).await);
            }
        }
        Self { proxies }
    }

    fn endpoints(&self) -> [Option<String>; 2] {
        [0, 1].map(|side| self.proxies[side].as_ref().map(FaultProxy::endpoint))
    }

    fn set(&self, mut schedule: impl FnMut() -> Schedule) {
        for proxy in self.proxies.iter().flatten() {
            proxy.set(schedule());
        }
    }
}

/// Names below a side of which an item says that it ended so.
fn said<'a>(
    items: &'a [Item],
    base: &str,
    end: impl Fn(&Item) -> &str,
    status: &[Status],
) -> BTreeSet<&'a str> {
    items
        .iter()
        .filter(|item| status.contains(&item.status))
        .filter_map(|item| end(item).strip_prefix(base))
        .collect()
}

async fn round(route: &Route, seed: u64, per_mille: u16) -> Tally {
    let mut tally = Tally::default();
    let mut dice = Dice::new(seed);
    let start = trees::tree(&mut dice, route.names, 40);
    route.from.fill(&start).await;
    let storm = Storm::before(route).await;
    let endpoints = storm.endpoints();
    let endpoints = [endpoints[0].as_deref(), endpoints[1].as_deref()];
    for step in 0..3 {
        let [source, destination] = route.trees().await;
        route.change(&mut dice, &source, &destination).await;
        let [source, destination] = route.trees().await;
        if source.is_empty() {
            continue;
        }
        let beside = route.beside().await;
        let verb = Verb::roll(&mut dice);
        let what = format!("seed {seed}, step {step}, {verb:?}");
        // Answers of another time make clients sign for it, which a service refuses.
        let skewed = if dice.chance(100) { per_mille } else { 0 };
        storm.set(|| Schedule::stormy(dice.roll(), per_mille).with(ProxyFault::SkewedDate, skewed));
        let request = route.request(verb, &mut dice, endpoints);
        let bases = [base(&request.source), base(&request.destination)];
        let (done, items) = run(request, &route.tuning).await;
        storm.set(|| Schedule::new(0));
        let (left, wanted) = verb.after(&source, &destination);
        let now = route.trees().await;
        check(&what, [&source, &destination], &now, &wanted, verb);
        match done {
            Ok(summary) => {
                let of = |status: Status| items.iter().filter(move |it| it.status == status);
                assert_eq!(summary.failed, of(Status::Failed).count() as u64, "{what}: {items:?}");
                let failed = said(&items, &bases[0], |it| &it.source, &[Status::Failed]);
                let kept = [Status::Failed, Status::Skipped];
                let kept = said(&items, &bases[1], |it| &it.destination, &kept);
                // What was not done is said.
                for name in source.keys() {
                    let done = now[1].get(name) == Some(&source[name])
                        && now[0].contains_key(name) == left.contains_key(name);
                    let about = |item: &&Item| item.source.ends_with(name.as_str());
                    assert!(
                        done || failed.contains(name.as_str()),
                        "{what}: {name:?} was not done, but {:?}; before {:?}, after {:?}",
                        items.iter().filter(about).collect::<Vec<_>>(),
                        [&source, &destination].map(|tree| tree.get(name).map(Vec::len)),
                        now.each_ref().map(|tree| tree.get(name).map(Vec::len)),
                    );
                }
                for name in now[1].keys().filter(|name| !wanted.contains_key(*name)) {
                    assert!(
                        kept.contains(name.as_str()),
                        "{what}: {name:?} is still there: {items:?}"
                    );
                }
                if summary.failed == 0 {
                    assert_same(&now[0], &left, &format!("{what}: the source"));
                    assert_same(&now[1], &wanted, &format!("{what}: the destination"));
                    tally.whole += 1;
                } else {
                    tally.in_part += 1;
                }
            }
            Err(error) => {
                assert!(error.code() != ErrorCode::Internal, "{what}: {}", error.chain());
                tally.not += 1;
            }
        }
        // With the storm over, running it again completes it.
        if !(verb == Verb::Move && now[0].is_empty()) {
            let (again, items) =
                run(route.request(verb, &mut dice, endpoints), &route.tuning).await;
            let again = again.unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
            assert_eq!(again.failed, 0, "{what}: {items:?}");
        }
        let now = route.trees().await;
        assert_same(&now[0], &left, &format!("{what}: the source, in the end"));
        assert_same(&now[1], &wanted, &format!("{what}: the destination, in the end"));
        assert_eq!(route.beside().await, beside, "{what}: nothing beside the two is touched");
    }
    for proxy in storm.proxies.iter().flatten() {
        for (fault, count) in proxy.hits() {
            *tally.hits.entry(fault).or_default() += count;
        }
    }
    tally
}

/// However a run ended: nothing is lost, and nothing is there that never was.
fn check(what: &str, before: [&Tree; 2], now: &[Tree; 2], wanted: &Tree, verb: Verb) {
    let [source, destination] = before;
    for (name, bytes) in source {
        let still = now[0].get(name) == Some(bytes);
        let moved = verb == Verb::Move && now[1].get(name) == Some(bytes);
        assert!(still || moved, "{what}: {name:?} is lost");
    }
    for (name, bytes) in &now[1] {
        let known = [source.get(name), destination.get(name)].contains(&Some(bytes));
        assert!(known, "{what}: {name:?} has {} bytes that nobody wrote", bytes.len());
    }
    // What the destination alone had is there, unless it was to be deleted.
    for (name, bytes) in destination.iter().filter(|(name, _)| !source.contains_key(*name)) {
        let there = now[1].get(name) == Some(bytes);
        assert!(there || !wanted.contains_key(name), "{what}: {name:?} is gone");
    }
}

impl Tally {
    fn add(mut self, other: Self) -> Self {
        self.whole += other.whole;
        self.in_part += other.in_part;
        self.not += other.not;
        for (fault, count) in other.hits {
            *self.hits.entry(fault).or_default() += count;
        }
        self
    }

    /// That there was a storm, and that most runs came through.
    fn check(&self) {
        assert!(self.hits.values().sum::<u64>() > 20, "{self:?}");
        assert!(self.whole > self.not, "{self:?}");
    }
}

/// Rounds side by side, because storms are spent waiting.
async fn storms<R>(seeds: impl Iterator<Item = u64>, per_mille: u16, route: impl Fn(u64) -> R)
where
    R: Future<Output = Route>,
{
    let rounds = futures::stream::iter(seeds.map(|seed| {
        let route = route(seed);
        async move { round(&route.await, seed, per_mille).await }
    }));
    let tally = rounds.buffer_unordered(4).fold(Tally::default(), async |all, one| all.add(one));
    tally.await.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_and_failures_are_said_within_a_service() {
    storms(seeds(11, 4), 12, async |seed| {
        let s3 = service().await;
        let to = *Dice::new(seed).pick(&["lake", "copy"]);
        let from = Place::bucket(&s3, "lake", "src/");
        Route::new(from, Place::bucket(&s3, to, "dst/"), Names::OfKeys)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_and_failures_are_said_between_services() {
    storms(seeds(12, 4), 12, async |_| {
        let from = Place::bucket(&service().await, "lake", "src/");
        Route::new(from, Place::bucket(&service().await, "lake", "dst/"), Names::OfKeys)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_and_failures_are_said_with_a_folder() {
    storms(seeds(13, 4), 15, async |seed| {
        let bucket = Place::bucket(&service().await, "lake", "src/");
        let down = seed % 2 == 0;
        let (from, to) = if down { (bucket, Place::folder()) } else { (Place::folder(), bucket) };
        Route { finds_edits: down, ..Route::new(from, to, Names::OfFiles) }
    })
    .await;
}

/// A clock that is wrong ends a run, wherever it shows, and the run says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named_and_nothing_is_waited_for() {
    for end in [0, 1] {
        let s3 = service().await;
        let from = Place::bucket(&s3, "lake", "src/");
        let to = Place::bucket(&service().await, "lake", "dst/");
        let route = Route::new(from, to, Names::OfFiles);
        route.from.fill(&trees::tree(&mut Dice::new(1), Names::OfFiles, 30)).await;
        let before = route.trees().await[0].clone();
        let storm = Storm::before(&route).await;
        let proxy = storm.proxies[end].as_ref().unwrap();
        proxy.set(Schedule::new(1).with(ProxyFault::TooSkewed, 1000));
        let endpoints = storm.endpoints();
        let endpoints = [endpoints[0].as_deref(), endpoints[1].as_deref()];
        let mut request = route.request(Verb::Move, &mut Dice::new(1), endpoints);
        // One at a time, so that much is planned and not begun.
        request.options.concurrency = 1;
        let running = run(request, &route.tuning);
        let (done, _) = tokio::time::timeout(Duration::from_mins(5), running).await.unwrap();
        let error = done.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConnectionCredentials);
        assert!(error.chain().contains("clock"), "{}", error.chain());
        assert_eq!(route.trees().await[0], before);
    }
}

/// Whether `ETag`s are sums is asked of one object: a bit lost there must not hide every edit.
#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_does_not_hide_edits_that_keep_the_size() {
    for end in [0, 1] {
        let services = [service().await, service().await];
        let from = Place::bucket(&services[0], "lake", "src/");
        let to = Place::bucket(&services[1], "lake", "dst/");
        let route = Route::new(from, to, Names::OfFiles);
        let tree =
            |fill: u8| -> Tree { (0..20).map(|n| (format!("f{n}"), vec![fill; 9])).collect() };
        route.from.fill(&tree(1)).await;
        // Later, so only the sums tell.
        tokio::time::sleep(Duration::from_millis(5)).await;
        route.to.fill(&tree(2)).await;
        services[end].state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte));
        let (done, items) =
            run(route.request(Verb::Sync, &mut Dice::new(1), [None, None]), &route.tuning).await;
        assert_eq!(done.unwrap().updated, 20, "{items:?}");
        assert_same(&route.trees().await[1], &tree(1), "the destination");
    }
}
