//! The same through a proxy that lets things go wrong: nothing is lost, nothing is wrong, and what was
//! not done is said.

use super::expected::Verb;
use super::places::{Place, service};
use super::trees::{self, Names, Tree};
use super::{Route, assert_same, base, run, seeds};
use std::collections::{BTreeMap, BTreeSet};
use windlass_testkit::{Dice, FaultProxy, ProxyFault, Schedule};
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

async fn round(route: &Route, seed: u64, per_mille: u16, tally: &mut Tally) {
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
        println!(
            "{what}, {} at once, {} bytes",
            request.options.concurrency, request.options.max_memory
        );
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
                    println!("{what}: {:?}", of(Status::Failed).collect::<Vec<_>>());
                    tally.in_part += 1;
                }
            }
            Err(error) => {
                println!("{what}: {}: {}", error.code(), error.chain());
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
    /// That there was a storm, and that most runs came through.
    fn check(&self) {
        println!("{self:?}");
        assert!(self.hits.values().sum::<u64>() > 20, "{self:?}");
        assert!(self.whole > self.not, "{self:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_and_failures_are_said_within_a_service() {
    let mut tally = Tally::default();
    for seed in seeds(11, 4) {
        let s3 = service().await;
        let to = *Dice::new(seed).pick(&["lake", "copy"]);
        let route = Route::new(
            Place::bucket(&s3, "lake", "src/"),
            Place::bucket(&s3, to, "dst/"),
            Names::OfKeys,
        );
        round(&route, seed, 12, &mut tally).await;
    }
    tally.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_and_failures_are_said_between_services() {
    let mut tally = Tally::default();
    for seed in seeds(12, 4) {
        let (one, two) = (service().await, service().await);
        let route = Route::new(
            Place::bucket(&one, "lake", "src/"),
            Place::bucket(&two, "lake", "dst/"),
            Names::OfKeys,
        );
        round(&route, seed, 12, &mut tally).await;
    }
    tally.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_wrong_and_failures_are_said_with_a_folder() {
    let mut tally = Tally::default();
    for seed in seeds(13, 4) {
        let s3 = service().await;
        let bucket = Place::bucket(&s3, "lake", "src/");
        let (from, to, finds_edits) = if seed % 2 == 0 {
            (bucket, Place::folder(), true)
        } else {
            (Place::folder(), bucket, false)
        };
        let route = Route { finds_edits, ..Route::new(from, to, Names::OfFiles) };
        round(&route, seed, 15, &mut tally).await;
    }
    tally.check();
}

/// A clock that is wrong ends a run, and the run says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named() {
    let s3 = service().await;
    let from = Place::bucket(&s3, "lake", "src/");
    let route = Route::new(from, Place::folder(), Names::OfFiles);
    route.from.fill(&trees::tree(&mut Dice::new(1), Names::OfFiles, 10)).await;
    let storm = Storm::before(&route).await;
    storm.set(|| Schedule::new(1).with(ProxyFault::TooSkewed, 1000));
    let endpoints = storm.endpoints();
    let endpoints = [endpoints[0].as_deref(), None];
    let (done, _) =
        run(route.request(Verb::Move, &mut Dice::new(1), endpoints), &route.tuning).await;
    let error = done.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionCredentials);
    assert!(error.chain().contains("clock"), "{}", error.chain());
    assert!(!route.trees().await[0].is_empty());
}
