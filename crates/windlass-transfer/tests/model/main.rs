//! Random trees and random changes on both sides; then a run, and what it left is compared with a model
//! that knows nothing of how it is done. The same through a proxy that lets things go wrong.
//!
//! A failure names the seed of its round: `WINDLASS_SEED=… WINDLASS_ROUNDS=1` repeats it.

mod expected;
mod faults;
mod places;
mod trees;

use expected::Verb;
use places::{PAGE, Place, service};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use trees::{COPY_LIMIT, COPY_PART, Change, Names, PART, THRESHOLD, Tree};
use windlass_testkit::{Dice, TestS3};
use windlass_transfer::{
    CopyOptions, CopyRequest, Item, OnTrouble, Progress, Side, Status, Summary, Tuning, copy_with,
};
use windlass_types::Result;

/// Runs of one round.
const STEPS: usize = 4;

/// Seeds of the rounds of a test: the same ones every time, unless the environment says otherwise.
fn seeds(salt: u64, usual: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let rounds = number("WINDLASS_ROUNDS").unwrap_or(usual);
    let first = number("WINDLASS_SEED").unwrap_or(salt * 1_000_000);
    (0..rounds).map(move |round| first.wrapping_add(round))
}

/// From where to where.
struct Route {
    from: Place,
    to: Place,
    names: Names,
    /// Whether an edit of the destination that keeps the size is found, as the guide's table says.
    finds_edits: bool,
    /// How large objects are cut.
    tuning: Tuning,
}

impl Route {
    fn new(from: Place, to: Place, names: Names) -> Self {
        Self { from, to, names, finds_edits: true, tuning: tuning() }
    }

    /// What a run needs; the endpoints are those of proxies, if any.
    fn request(&self, verb: Verb, dice: &mut Dice, endpoints: [Option<&str>; 2]) -> CopyRequest {
        let options = CopyOptions {
            concurrency: *dice.pick(&[0, 1, 4]),
            max_memory: *dice.pick(&[0, 1 << 10, 20 << 10, 200 << 10]),
            ..verb.options()
        };
        // Two names for one service make no difference to what is done.
        let [from, to] = endpoints;
        CopyRequest::new(self.from.side("here", from), self.to.side("there", to), options)
    }

    async fn trees(&self) -> [Tree; 2] {
        [self.from.read().await.0, self.to.read().await.0]
    }

    /// What lies beside both; of two in one bucket without the other.
    async fn beside(&self) -> [Tree; 2] {
        let mut all = [self.from.read().await.1, self.to.read().await.1];
        if self.from.is_with(&self.to) {
            all[0].retain(|key, _| !key.starts_with("dst/"));
            all[1].retain(|key, _| !key.starts_with("src/"));
        }
        all
    }

    /// Random changes on both sides, and then time, so that what was changed is older than what the
    /// next run writes.
    async fn change(&self, dice: &mut Dice, source: &Tree, destination: &Tree) {
        let changes = trees::changes(dice, self.names, source, destination, true);
        self.from.change(&changes).await;
        let source = &self.from.read().await.0;
        let changes = trees::changes(dice, self.names, destination, source, self.finds_edits);
        self.to.change(&changes).await;
        if !self.age() {
            tokio::time::sleep(Duration::from_millis(1100)).await;
        }
    }

    fn age(&self) -> bool {
        if self.from.is_with(&self.to) {
            return self.from.age();
        }
        let can =
            !matches!((&self.from, &self.to), (Place::Weed { .. }, _) | (_, Place::Weed { .. }));
        can && self.from.age() && self.to.age()
    }
}

fn tuning() -> Tuning {
    Tuning {
        threshold: THRESHOLD as u64,
        part_size: PART as u64,
        copy_limit: COPY_LIMIT as u64,
        copy_part: COPY_PART as u64,
        pause: Duration::from_millis(5),
        ..Tuning::default()
    }
}

#[derive(Default)]
struct Lines(Mutex<Vec<Item>>);

impl Progress for Lines {
    fn item(&self, item: &Item) {
        self.0.lock().unwrap().push(item.clone());
    }
}

/// Runs to the end; what happened to each item comes along.
async fn run(request: CopyRequest, tuning: &Tuning) -> (Result<Summary>, Vec<Item>) {
    let tuning = tuning.clone();
    let lines = Arc::new(Lines::default());
    let done = copy_with(request, tuning, Arc::clone(&lines) as _, CancellationToken::new()).await;
    let items = std::mem::take(&mut *lines.0.lock().unwrap());
    (done, items)
}

/// Says in what two trees differ, without their bytes.
#[track_caller]
fn assert_same(found: &Tree, wanted: &Tree, what: &str) {
    let mut wrong = Vec::new();
    for (name, bytes) in wanted {
        match found.get(name) {
            None => wrong.push(format!("{name:?} ({} bytes) is missing", bytes.len())),
            Some(other) if other != bytes => {
                wrong.push(format!("{name:?} has {} bytes, not the {}", other.len(), bytes.len()));
            }
            Some(_) => {}
        }
    }
    let more = found.keys().filter(|name| !wanted.contains_key(*name));
    wrong.extend(more.map(|name| format!("{name:?} is too much")));
    assert!(wrong.is_empty(), "{what}:\n{}", wrong.join("\n"));
}

/// The most requests that a run may send: two listings that were split on the way, and for each object
/// what its parts need. Deletions and the question whether `ETag`s are sums come to that.
fn most_requests(source: &Tree, destination: &Tree, written: &[&Vec<u8>]) -> usize {
    let pages = |tree: &Tree| (tree.len() / PAGE + 1) * 6 / 5 + 50;
    let objects: usize = written.iter().map(|bytes| 6 + 2 * bytes.len().div_ceil(PART)).sum();
    pages(source) + pages(destination) + objects + 20
}

async fn round(route: &Route, servers: &[&Arc<TestS3>], seed: u64) {
    let mut dice = Dice::new(seed);
    let start = trees::tree(&mut dice, route.names, 50);
    route.from.fill(&start).await;
    for step in 0..STEPS {
        let [source, destination] = route.trees().await;
        route.change(&mut dice, &source, &destination).await;
        let [source, destination] = route.trees().await;
        if source.is_empty() {
            continue;
        }
        let beside = route.beside().await;
        let verb = Verb::roll(&mut dice);
        let what = format!("seed {seed}, step {step}, {verb:?}");
        let clear = || servers.iter().for_each(|server| server.state().clear_requests());
        let count = |operation: &str| -> usize {
            servers.iter().map(|server| server.state().count(operation)).sum()
        };
        clear();
        let (done, items) = run(route.request(verb, &mut dice, [None, None]), &route.tuning).await;
        let summary = done.unwrap_or_else(|error| panic!("{what}: {}", error.chain()));
        let failed: Vec<&Item> = items.iter().filter(|it| it.status == Status::Failed).collect();
        assert!(summary.failed == 0 && failed.is_empty(), "{what}: {failed:?}");
        let (left, wanted) = verb.after(&source, &destination);
        let [now_source, now] = route.trees().await;
        assert_same(&now_source, &left, &format!("{what}: the source"));
        assert_same(&now, &wanted, &format!("{what}: the destination"));
        assert_eq!(route.beside().await, beside, "{what}: nothing beside the two is touched");
        assert_eq!(route.to.unfinished().await, [""; 0], "{what}");
        let written: Vec<&Vec<u8>> = source
            .iter()
            .filter(|(name, bytes)| !verb.syncs() || destination.get(*name) != Some(*bytes))
            .map(|(_, bytes)| bytes)
            .collect();
        let most = most_requests(&source, &destination, &written);
        assert!(count("*") <= most, "{what}: {} requests, at most {most}", count("*"));
        let gone = destination.keys().filter(|name| !wanted.contains_key(*name)).count() as u64;
        if verb.syncs() {
            assert_eq!(summary.deleted, gone, "{what}");
            clear();
            let (again, items) =
                run(route.request(verb, &mut dice, [None, None]), &route.tuning).await;
            let again = again.unwrap();
            let planned: Vec<&Item> =
                items.iter().filter(|item| item.status != Status::Skipped).collect();
            assert!(planned.is_empty(), "{what}: a second one does {planned:?}");
            assert_eq!(again.copied + again.updated + again.deleted + again.failed, 0, "{what}");
            let most = most_requests(&source, &now, &[]);
            assert!(count("*") <= most, "{what}: again {} requests, at most {most}", count("*"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_within_a_service_is_what_the_model_says() {
    for seed in seeds(1, 12) {
        let s3 = service().await;
        let to = *Dice::new(seed).pick(&["lake", "copy"]);
        let route = Route::new(
            Place::bucket(&s3, "lake", "src/"),
            Place::bucket(&s3, to, "dst/"),
            Names::OfKeys,
        );
        round(&route, &[&s3], seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_between_services_is_what_the_model_says() {
    for seed in seeds(2, 12) {
        let (one, two) = (service().await, service().await);
        let route = Route::new(
            Place::bucket(&one, "lake", "src/"),
            Place::bucket(&two, "lake", "dst/"),
            Names::OfKeys,
        );
        round(&route, &[&one, &two], seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_in_a_folder_is_what_the_model_says() {
    for seed in seeds(3, 8) {
        let s3 = service().await;
        let from = Place::bucket(&s3, "lake", "src/");
        let route = Route::new(from, Place::folder(), Names::OfFiles);
        round(&route, &[&s3], seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_of_a_folder_is_what_the_model_says() {
    for seed in seeds(4, 8) {
        let s3 = service().await;
        let to = Place::bucket(&s3, "lake", "dst/");
        let route = Route { finds_edits: false, ..Route::new(Place::folder(), to, Names::OfFiles) };
        round(&route, &[&s3], seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_between_folders_is_what_the_model_says() {
    for seed in seeds(5, 8) {
        let (from, to) = (Place::folder(), Place::folder());
        round(&Route::new(from, to, Names::OfFiles), &[], seed).await;
    }
}

/// The same with a service that lists folder by folder, and takes no small parts.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_leaves_on_seaweedfs_is_what_the_model_says() {
    let tuning = || Tuning { threshold: 6 << 20, part_size: 5 << 20, ..Tuning::default() };
    for seed in seeds(6, 1) {
        let s3 = service().await;
        let from = Place::bucket(&s3, "lake", "src/");
        let large = Change::Write("large".to_owned(), Dice::new(seed).bytes(11 << 20));
        from.change(&[large]).await;
        let to = Place::weed(&format!("model-to-{seed}"), "dst/").await;
        let route = Route { tuning: tuning(), ..Route::new(from, to, Names::OfFiles) };
        round(&route, &[], seed).await;
        let from = Place::weed(&format!("model-from-{seed}"), "src/").await;
        let route = Route::new(from, Place::folder(), Names::OfFiles);
        round(&route, &[], seed).await;
    }
}

/// No silent misses: what a folder cannot have is named, and the rest is there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_folder_cannot_have_is_left_out_by_name_or_refused_as_a_whole() {
    for seed in seeds(7, 8) {
        let mut dice = Dice::new(seed);
        let s3 = service().await;
        let from = Place::bucket(&s3, "lake", "src/");
        let route = Route::new(from, Place::folder(), Names::OfKeys);
        let source = trees::tree(&mut dice, Names::OfKeys, 40);
        route.from.fill(&source).await;
        for names in [OnTrouble::Fail, OnTrouble::Skip, OnTrouble::Rename] {
            let mut request = route.request(Verb::Copy, &mut dice, [None, None]);
            request.options.names = names;
            let base = base(&request.source);
            let (done, items) = run(request, &route.tuning).await;
            let there = route.trees().await[1].clone();
            let Ok(summary) = done else {
                assert!(names == OnTrouble::Fail && there.is_empty(), "seed {seed}: {done:?}");
                continue;
            };
            let failed: Vec<&Item> =
                items.iter().filter(|it| it.status == Status::Failed).collect();
            assert!(summary.failed == 0, "seed {seed}, {names:?}: {failed:?}");
            for (name, bytes) in &source {
                let item = items
                    .iter()
                    .find(|item| item.source == format!("{base}{name}"))
                    .unwrap_or_else(|| {
                        panic!("seed {seed}, {names:?}: nothing is said of {name:?}")
                    });
                if item.status == Status::Skipped {
                    assert!(names == OnTrouble::Skip, "seed {seed}, {names:?}: {item:?}");
                } else if !(bytes.is_empty() && (name.is_empty() || name.ends_with('/'))) {
                    let file = item.destination.rsplit_once("/t/").unwrap().1;
                    assert!(there.get(file) == Some(bytes), "seed {seed}, {names:?}: {item:?}");
                }
            }
        }
    }
}

/// However many pages are read side by side.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_would_be_file_and_folder_is_found_before_anything_is_written() {
    let s3 = service().await;
    let from = Place::bucket(&s3, "lake", "src/");
    let route = Route::new(from, Place::folder(), Names::OfKeys);
    let mut source: Tree = (0..600).map(|n| (format!("{}/f{n}", n % 60), vec![1])).collect();
    // Between the two there are pages of other names.
    source.extend((0..60).map(|n| (format!("7/f7!{n}"), vec![1])));
    source.insert("7/f7".to_owned(), vec![2]);
    source.insert("7/f7/x".to_owned(), vec![2]);
    route.from.fill(&source).await;
    for verb in [Verb::Copy, Verb::Sync] {
        let request = route.request(verb, &mut Dice::new(1), [None, None]);
        let (done, items) = run(request, &route.tuning).await;
        let error = done.expect_err("it was not refused");
        assert_eq!(error.code(), windlass_types::ErrorCode::TransferRefused, "{items:?}");
        assert!(route.trees().await[1].is_empty());
    }
}

/// How items begin that name something of a side.
fn base(side: &Side) -> String {
    side.storage.address(side.location.bucket.as_deref().unwrap_or_default(), &side.location.key)
}
