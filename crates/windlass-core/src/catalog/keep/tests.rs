//! A crawl after another, on both databases.

use super::*;
use chrono::TimeDelta;
use std::sync::atomic::{AtomicI64, Ordering};
use windlass_catalog::{Column, ContainerKind, Figures};
use windlass_state::{DEFAULT_FABRIC, KeySource, NoteChange};
use windlass_testkit::servers::Postgres;
use windlass_types::Name;

/// A store, and a clock that goes on by a minute from crawl to crawl.
struct World {
    store: Arc<Store>,
    fabric: FabricId,
    minutes: AtomicI64,
    _home: tempfile::TempDir,
}

impl World {
    async fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state.db").display().to_string();
        all.push(Self::open(&file, home).await);
        if let Some(server) = Postgres::shared().await {
            all.push(Self::open(&server.database().await, tempfile::tempdir().unwrap()).await);
        }
        all
    }

    async fn open(url: &str, home: tempfile::TempDir) -> Self {
        let key = KeySource::own(home.path().join("key"));
        let store = Arc::new(Store::open(url, &key).await.unwrap());
        let fabric = store.fabric(&Name::new(DEFAULT_FABRIC).unwrap()).await.unwrap().id;
        Self { store, fabric, minutes: AtomicI64::new(0), _home: home }
    }

    async fn begin(&self, run: RunId) -> Keeping {
        let minutes = self.minutes.fetch_add(1, Ordering::SeqCst);
        let now = DateTime::from_timestamp(1_780_000_000, 0).unwrap() + TimeDelta::minutes(minutes);
        let service = NewService {
            fabric: self.fabric,
            name: "svc".to_owned(),
            description: None,
            connection: None,
        };
        Keeping::begin(Arc::clone(&self.store), service, run, now, Box::new(move || now))
            .await
            .unwrap()
    }

    /// One crawl: what it finds, what it listed.
    async fn crawl(&self, found: Vec<Found>, listed: &[Listed]) -> (Vec<Kept>, KeepSummary) {
        self.crawl_with(found, listed, false).await
    }

    async fn crawl_with(
        &self,
        found: Vec<Found>,
        listed: &[Listed],
        allow_mass: bool,
    ) -> (Vec<Kept>, KeepSummary) {
        let mut keeping = self.begin(RunId::new()).await;
        let mut kept = Vec::new();
        for one in found {
            kept.push(keeping.keep(one).await.unwrap());
        }
        let rule = DeletionRule { mark: true, allow_mass, excused: &|_, _| false };
        (kept, keeping.end(listed, rule).await.unwrap())
    }

    async fn status(&self, path: &str) -> String {
        let name = format!("s3://lake/{path}");
        let rows =
            self.store.containers_named(self.fabric, name.trim_end_matches('/')).await.unwrap();
        match rows.first() {
            None => "unknown".to_owned(),
            Some(row) => match &row.reason {
                Some(reason) => format!("{}: {reason}", row.status.as_str()),
                None => row.status.as_str().to_owned(),
            },
        }
    }

    async fn history(&self) -> Vec<String> {
        let rows = self.store.container_history(self.fabric, None).await.unwrap();
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        rows.into_iter()
            .map(|row| {
                let change = row.change;
                let (old, new) = (text(change.old), text(change.new));
                format!("{} {}: {old} > {new}", change.change, change.column)
            })
            .collect()
    }
}

fn column(name: &str, kind: &str) -> Column {
    windlass_catalog::types::column(name, kind, kind, true)
}

pub(in crate::catalog) fn found(path: &str, columns: &[(&str, &str)]) -> Found {
    let bucket = path.is_empty();
    Found {
        bucket: "lake".to_owned(),
        path: path.to_owned(),
        name: if bucket { "lake" } else { path }.to_owned(),
        parents: if bucket { vec![] } else { vec!["lake".to_owned()] },
        kind: if bucket { ContainerKind::Bucket } else { ContainerKind::Dataset },
        prefix: format!("/{path}"),
        full_path: format!("s3://lake/{path}").trim_end_matches('/').to_owned(),
        source_url: String::new(),
        formats: vec!["csv".to_owned()],
        compression: Vec::new(),
        separator: None,
        partitioned: Some(false),
        columns: (!bucket).then(|| columns.iter().map(|(name, kind)| column(name, kind)).collect()),
        figures: Figures { size: Some(1), objects: Some(1), ..Figures::default() },
        tags: Vec::new(),
        samples: Vec::new(),
        why: Vec::new(),
        fingerprint: "1".to_owned(),
        seen: Seen::Yes,
    }
}

fn unseen(path: &str, reason: &str) -> Found {
    Found { seen: Seen::No { reason: reason.to_owned() }, columns: None, ..found(path, &[]) }
}

fn listed(bucket: &str, prefix: &str, incomplete: Option<&str>) -> Listed {
    Listed {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        incomplete: incomplete.map(str::to_owned),
    }
}

/// A bucket and ten datasets in it.
fn ten() -> Vec<Found> {
    let each = (0..10).map(|number| found(&format!("t{number}"), &[("id", "BIGINT")]));
    std::iter::once(found("", &[])).chain(each).collect()
}

fn whole() -> Vec<Listed> {
    vec![listed("", "", None), listed("lake", "", None)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_crawl_says_what_is_new_changed_and_the_same() {
    for world in World::all().await {
        let (kept, summary) = world.crawl(ten(), &whole()).await;
        assert!(kept.iter().all(|kept| *kept == Kept::New));
        assert_eq!(summary, KeepSummary { new: 11, ..KeepSummary::default() });
        let (kept, summary) = world.crawl(ten(), &whole()).await;
        assert!(kept.iter().all(|kept| *kept == Kept::Same));
        assert_eq!(summary.same, 11);
        assert_eq!(world.history().await.len(), 11, "nothing changed");

        let mut again = ten();
        again[1] = found("t0", &[("id", "TEXT"), ("more", "DATE")]);
        again[2].figures.size = Some(7);
        let (kept, _) = world.crawl(again, &whole()).await;
        assert_eq!(kept[1..4], [Kept::Changed, Kept::Same, Kept::Same]);
        let history = world.history().await;
        let mut last: Vec<&str> = history.iter().skip(11).map(String::as_str).collect();
        last.sort_unstable();
        assert_eq!(last, ["column_added more: - > DATE", "column_type id: BIGINT > TEXT"]);
        let sizes: Vec<_> = world.store.container_figures(world.fabric, None).await.unwrap();
        assert_eq!(sizes.iter().filter(|row| row.size == Some(7)).count(), 1);
        let fqn = world.store.containers_named(world.fabric, "svc.lake.t0").await.unwrap();
        assert_eq!(fqn[0].found.parent_fqn.as_deref(), Some("svc.lake"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_read_stays_with_its_structure() {
    for world in World::all().await {
        world.crawl(ten(), &whole()).await;
        let mut again = ten();
        again[1] = unseen("t0", "access denied");
        let (kept, summary) = world.crawl(again, &whole()).await;
        assert_eq!((kept[1], summary.not_seen, summary.deleted), (Kept::NotSeen, 1, 0));
        assert_eq!(world.status("t0").await, "not_seen: access denied");
        let keeping = world.begin(RunId::new()).await;
        let known = keeping.known("lake", "t0").await.unwrap().unwrap();
        assert_eq!(known.found.columns.unwrap()[0].name, "id");
        assert_eq!(known.status, ContainerStatus::NotSeen);
        drop(keeping);
        // Not seen for the first time: it is known that it is there.
        let (kept, _) = world.crawl(vec![unseen("new", "throttled")], &[]).await;
        assert_eq!(kept, [Kept::NotSeen]);
        assert_eq!(world.status("new").await, "not_seen: throttled");
        let (kept, _) =
            world.crawl(vec![found("new", &[("a", "TEXT")]), ten().remove(1)], &[]).await;
        assert_eq!(kept, [Kept::New, Kept::Same]);
        assert_eq!(world.status("t0").await, "active");
        let history = world.history().await;
        assert!(
            history.contains(&"seen_again : not_seen: access denied > -".to_owned()),
            "{history:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_listed_to_the_end_and_is_gone_is_deleted_and_comes_back_with_its_history() {
    for world in World::all().await {
        world.crawl(ten(), &whole()).await;
        let without = || ten().into_iter().filter(|one| one.path != "t3").collect::<Vec<_>>();
        // The listing broke off (reference section 10): nothing is deleted.
        let broken = [listed("", "", None), listed("lake", "", Some("connection reset"))];
        let (_, summary) = world.crawl(without(), &broken).await;
        assert_eq!((summary.deleted, summary.not_seen), (0, 1));
        assert_eq!(world.status("t3").await, "not_seen: connection reset");
        // Nobody looked there.
        let (_, summary) = world.crawl(without(), &[listed("lake", "t1/", None)]).await;
        assert_eq!((summary.deleted, summary.not_seen), (0, 0));
        // The whole bucket was listed.
        let (_, summary) = world.crawl(without(), &whole()).await;
        assert_eq!((summary.deleted, summary.refused), (1, None));
        assert_eq!(world.status("t3").await, "deleted");
        let (_, summary) = world.crawl(without(), &whole()).await;
        assert_eq!(summary.deleted, 0, "once");
        let (kept, summary) = world.crawl(ten(), &whole()).await;
        assert_eq!((kept[4], summary.back), (Kept::Back, 1));
        assert_eq!(world.status("t3").await, "active");
        let row = &world.store.containers_named(world.fabric, "svc.lake.t3").await.unwrap()[0];
        let rows = world.store.container_history(world.fabric, Some(row.id)).await.unwrap();
        let words: Vec<&str> = rows.iter().map(|row| row.change.change.as_str()).collect();
        assert_eq!(words, ["found", "not_seen", "deleted", "back"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_a_switch_and_a_mass_keep_what_was_not_found() {
    for world in World::all().await {
        world.crawl(ten(), &whole()).await;
        let few = || ten().into_iter().take(7).collect::<Vec<_>>();
        // 4 of 11 are more than 30 %.
        let (_, summary) = world.crawl(few(), &whole()).await;
        assert_eq!(summary.refused, Some(Refused { gone: 4, of: 11 }));
        assert_eq!((summary.deleted, summary.not_seen), (0, 4));
        assert_eq!(
            world.status("t9").await,
            "not_seen: 4 of 11 containers were not found, more than 30 %; none was marked deleted"
        );
        let none = |_: &str, path: &str| path == "t9";
        for (mark, deleted) in [(false, 0), (true, 3)] {
            let mut keeping = world.begin(RunId::new()).await;
            for one in few() {
                keeping.keep(one).await.unwrap();
            }
            let rule = DeletionRule { mark, allow_mass: true, excused: &none };
            assert_eq!(keeping.end(&whole(), rule).await.unwrap().deleted, deleted);
        }
        assert_eq!(world.status("t8").await, "deleted");
        assert!(world.status("t9").await.starts_with("not_seen"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_its_bucket_goes_what_lay_in_it() {
    for world in World::all().await {
        world.crawl(ten(), &whole()).await;
        let (_, summary) = world.crawl_with(vec![], &[listed("", "", None)], true).await;
        assert_eq!(summary.deleted, 11);
        assert_eq!(world.status("").await, "deleted");
        assert_eq!(world.status("t1").await, "deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_run_goes_on_and_counts_each_container_once() {
    for world in World::all().await {
        let run = RunId::new();
        let mut first = world.begin(run).await;
        let begun = first.begun;
        for one in ten().into_iter().take(5) {
            first.keep(one).await.unwrap();
        }
        first.flush().await.unwrap();
        drop(first);
        let mut second = world.begin(run).await;
        second.begun = begun;
        assert!(second.known("lake", "t0").await.unwrap().unwrap().kept);
        assert!(second.known("lake", "t9").await.unwrap().is_none());
        let all = ten();
        for one in all.into_iter().skip(4) {
            second.keep(one).await.unwrap();
        }
        // The same place twice in one crawl is one container.
        second.keep(found("t9", &[("id", "BIGINT")])).await.unwrap();
        let rule = DeletionRule { mark: true, allow_mass: false, excused: &|_, _| false };
        let summary = second.end(&whole(), rule).await.unwrap();
        assert_eq!((summary.new, summary.deleted), (6, 0));
        assert_eq!(world.status("t0").await, "active");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_stay_when_a_container_goes_and_comes_back() {
    for world in World::all().await {
        world.crawl(ten(), &whole()).await;
        let row =
            world.store.containers_named(world.fabric, "svc.lake.t3").await.unwrap().remove(0);
        let note = NoteChange { description: Some("ours".to_owned()), ..NoteChange::default() };
        world.store.note_container(row.id, "", &note, Utc::now()).await.unwrap();
        let without: Vec<Found> = ten().into_iter().filter(|one| one.path != "t3").collect();
        world.crawl(without, &whole()).await;
        assert_eq!(world.status("t3").await, "deleted");
        world.crawl(ten(), &whole()).await;
        let notes = world.store.container_notes(row.id).await.unwrap();
        assert_eq!(notes[0].description.as_deref(), Some("ours"));
        let hits = world.store.search_containers(world.fabric, "ours", 9, 0).await.unwrap();
        assert_eq!(hits.len(), 1);
    }
}
