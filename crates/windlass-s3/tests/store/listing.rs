//! Listings.

use crate::{list, store, text};
use futures::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use windlass_s3::{ListOptions, ListingOrder, ObjectAccess as _, S3Store, Turns};
use windlass_testkit::{Fault, FaultKind, ListingStyle, SeaweedFs, TestS3};
use windlass_types::{EntryKind, ErrorCode, Location, OptionValue};

fn recursive() -> ListOptions {
    ListOptions { recursive: true, ordered: true, ..ListOptions::default() }
}

#[tokio::test]
async fn three_pages_come_whole_in_order_and_exact() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let mut keys: Vec<String> = (0..2500).map(|n| format!("data/{n:05}.csv")).collect();
    for odd in [
        "data//x",
        "data/./y",
        "data/a b+c%20.txt",
        "data/\u{1}\u{7f}",
        "data/ä",
        "data/z&<>\"'",
        "data/",
    ] {
        keys.push(odd.to_owned());
    }
    keys.sort();
    for key in &keys {
        s3.state().put("lake", key, "x");
    }
    let store = store(&s3, &[]);
    let found = list(&store, Some("lake"), "", recursive()).await.unwrap();
    assert_eq!(found.iter().map(|e| e.key.clone()).collect::<Vec<_>>(), keys);
    assert!(
        found.iter().all(|e| e.kind == EntryKind::Object && e.path == format!("lake/{}", e.key))
    );
    let used = s3.state().count("ListObjectsV2");
    assert!(used * 10 <= 3 * 12 + 500, "{used}");
    let start = ListOptions { start_after: Some("data/02490.csv".to_owned()), ..recursive() };
    let rest = list(&store, Some("lake"), "data/0", start).await.unwrap();
    assert_eq!(rest.first().unwrap().key, "data/02491.csv");
    assert_eq!(rest.len(), 9);
}

/// Counts turns.
#[derive(Debug, Default)]
struct Counted(AtomicUsize);

#[async_trait::async_trait]
impl Turns for Counted {
    async fn turn(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn each_request_of_a_listing_waits_for_its_turn() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for n in 0..2500 {
        s3.state().put("lake", &format!("{n:04}/x"), "x");
    }
    let store = store(&s3, &[]);
    assert!(store.takes_turns());
    for recursive in [true, false] {
        s3.state().clear_requests();
        let turns = Arc::new(Counted::default());
        let given: Arc<dyn Turns> = turns.clone();
        let options = ListOptions { recursive, turns: Some(given), ..ListOptions::default() };
        assert_eq!(list(&store, Some("lake"), "", options).await.unwrap().len(), 2500);
        let (taken, sent) = (turns.0.load(Ordering::SeqCst), s3.state().count("ListObjectsV2"));
        // What is asked only to be faster may be given up before it is sent.
        assert!(sent >= 3 && taken >= sent, "{taken} turns for {sent} requests");
    }
}

#[tokio::test]
async fn one_level_has_folders_and_objects_in_one_order() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for n in 0..2300 {
        s3.state().put("lake", &format!("f{n:04}/part"), "x");
    }
    for key in ["a.txt", "f0100", "f0100-x", "z.txt", "odd +%/k"] {
        s3.state().put("lake", key, "xyz");
    }
    let store = store(&s3, &[]);
    let found = list(&store, Some("lake"), "", ListOptions::default()).await.unwrap();
    assert_eq!(found.len(), 2305);
    assert!(found.windows(2).all(|pair| pair[0].key < pair[1].key));
    let folder = found.iter().find(|e| e.key == "odd +%/").unwrap();
    assert_eq!(
        (folder.kind, folder.path.as_str(), folder.size),
        (EntryKind::Prefix, "lake/odd +%/", None)
    );
    let object = found.iter().find(|e| e.key == "a.txt").unwrap();
    assert_eq!((object.kind, object.size), (EntryKind::Object, Some(3)));
    assert!(object.etag.as_ref().is_some_and(|etag| !etag.contains('"')));
}

#[tokio::test]
async fn first_rows_need_one_page_and_a_dropped_listing_stops() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for n in 0..5000 {
        s3.state().put("lake", &format!("{n:05}"), "x");
    }
    let store = store(&s3, &[]);
    let location = Location { bucket: Some("lake".to_owned()), key: String::new() };
    let first: Vec<_> = store.list(&location, recursive()).take(10).collect().await;
    assert_eq!(first.len(), 10);
    assert!(s3.state().count("ListObjectsV2") <= 2);
}

#[tokio::test]
async fn a_listing_that_fails_in_the_middle_ends_with_the_error() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for n in 0..2100 {
        s3.state().put("lake", &format!("{n:05}"), "x");
    }
    let refused =
        FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() };
    s3.state().add_fault(Fault::new("ListObjectsV2", refused).after(1));
    let store = store(&s3, &[]);
    let location = Location { bucket: Some("lake".to_owned()), key: String::new() };
    let all: Vec<_> = store.list(&location, recursive()).collect().await;
    assert_eq!(all.len(), 1001);
    let error = all.last().unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionDenied);
    assert!(error.message().contains("s3:ListBucket"), "{error:?}");
}

#[tokio::test]
async fn buckets_are_listed_or_taken_from_the_display_filters() {
    let s3 = TestS3::start().await;
    for bucket in ["alpha", "beta", "gamma"] {
        s3.state().create_bucket(bucket);
        s3.state().put(bucket, "raw/2025/a", "x");
        s3.state().put(bucket, "raw/2026/b", "x");
        s3.state().put(bucket, "tmp/c", "x");
    }
    let names = |entries: Vec<windlass_types::Entry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.key).collect()
    };
    let all = store(&s3, &[]);
    assert_eq!(
        names(list(&all, None, "", ListOptions::default()).await.unwrap()),
        ["alpha", "beta", "gamma"]
    );
    let filters = OptionValue::List(vec![text("s3://beta/raw/2026"), text("s3://alpha/")]);
    let shown = store(&s3, &[("PATH_DISPLAY_FILTERS", filters)]);
    s3.state().clear_requests();
    let display = || ListOptions { display: true, ..ListOptions::default() };
    assert_eq!(names(list(&shown, None, "", display()).await.unwrap()), ["alpha", "beta"]);
    assert_eq!(s3.state().count("ListBuckets"), 0);
    assert_eq!(names(list(&shown, Some("beta"), "", display()).await.unwrap()), ["raw/"]);
    assert_eq!(names(list(&shown, Some("beta"), "raw/", display()).await.unwrap()), ["raw/2026/"]);
    assert_eq!(names(list(&shown, Some("alpha"), "", display()).await.unwrap()), ["raw/", "tmp/"]);
    assert!(list(&shown, Some("gamma"), "", display()).await.unwrap().is_empty());
    // Not access control: data is read without them.
    assert_eq!(
        names(list(&shown, Some("beta"), "", ListOptions::default()).await.unwrap()),
        ["raw/", "tmp/"]
    );
    assert_eq!(names(list(&shown, None, "", ListOptions::default()).await.unwrap()).len(), 3);
}

#[tokio::test]
async fn a_bound_connection_shows_paths_from_its_folder() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "raw/a/b.csv", "x");
    let store = store(&s3, &[("BUCKET", text("lake")), ("PREFIX", text("raw"))]);
    let found = list(&store, Some("lake"), "raw/", ListOptions::default()).await.unwrap();
    assert_eq!((found[0].key.as_str(), found[0].path.as_str()), ("raw/a/", "a/"));
    assert_eq!(list(&store, None, "", ListOptions::default()).await.unwrap().len(), 1);
    assert_eq!(s3.state().count("ListBuckets"), 0);
    let error = list(&store, Some("lake"), "", ListOptions::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PathOutside);
}

/// Keys of every shape that the two orders see differently.
fn mixed() -> Vec<String> {
    let mut keys: Vec<String> = (0..4000).map(|n| format!("x/a/{n:04}")).collect();
    keys.extend((0..1500).map(|n| format!("x/a-{n:04}")));
    keys.extend((0..1500).map(|n| format!("x/a.d/{n:04}/v")));
    keys.extend(["x/B", "x/a.txt", "x/a0", "x-y", "y/é/1", "x.z/1"].map(str::to_owned));
    keys
}

async fn all(store: &S3Store, bucket: &str, prefix: &str, ordered: bool) -> Vec<String> {
    let options = ListOptions { recursive: true, ordered, ..ListOptions::default() };
    let entries = list(store, Some(bucket), prefix, options).await.unwrap();
    entries.into_iter().map(|entry| entry.key).collect()
}

#[tokio::test]
async fn a_large_listing_is_read_side_by_side_in_either_order_and_whole() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for key in mixed() {
        s3.state().put("lake", &key, "x");
    }
    s3.state().set_latency(Duration::from_millis(20));
    for (by_segments, order) in [(false, ListingOrder::Bytes), (true, ListingOrder::Segments)] {
        s3.state().set_listing("lake", ListingStyle { by_segments, repeats: false });
        let mut expected = mixed();
        expected.sort_by(|a, b| order.compare(a, b));
        for prefix in ["", "x/", "x/a"] {
            let below: Vec<String> =
                expected.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
            let store = store(&s3, &[]);
            assert_eq!(store.listing_order("lake"), ListingOrder::None);
            s3.state().clear_requests();
            assert_eq!(all(&store, "lake", prefix, true).await, below, "{prefix:?} {order:?}");
            let used = s3.state().count("ListObjectsV2");
            assert!(used * 10 <= (below.len() / 1000 + 1) * 12 + 500, "{used}");
            let mut rows = all(&store, "lake", prefix, false).await;
            rows.sort_by(|a, b| order.compare(a, b));
            assert_eq!(rows, below);
            // The first page of `x/a` has no folder to ask about, but a later one has.
            assert_eq!(store.listing_order("lake"), order, "{prefix:?}");
            assert!(!store.promises_order("lake"));
        }
    }
    assert!(s3.state().peak_concurrency() >= 4, "{}", s3.state().peak_concurrency());
}

#[tokio::test]
async fn keys_that_come_on_two_pages_are_shown_once() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for n in 0..3500 {
        s3.state().put("lake", &format!("{}/{n:05}", n % 3), "x");
    }
    for by_segments in [false, true] {
        s3.state().set_listing("lake", ListingStyle { by_segments, repeats: true });
        let mut rows = all(&store(&s3, &[]), "lake", "", false).await;
        rows.sort();
        assert_eq!(rows, s3.state().keys("lake"));
    }
}

/// A store of a real server that walks folders.
async fn seaweed(bucket: &str, keys: &[String]) -> S3Store {
    let server = SeaweedFs::shared().await;
    let client = server.client();
    client.create_bucket(bucket, "us-east-1").await;
    futures::stream::iter(keys)
        .for_each_concurrent(16, |key| {
            let client = &client;
            async move { client.put(bucket, key, "x").await }
        })
        .await;
    let keys = server.full();
    let options = [
        ("ENDPOINT", text(&server.endpoint())),
        ("ALLOW_HTTP", OptionValue::Bool(true)),
        ("AWS_ACCESS_KEY_ID", text(&keys.access_key_id)),
        ("AWS_SECRET_ACCESS_KEY", text(&keys.secret_access_key)),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let secrets = windlass_s3::Secrets {
        access_key_id: Some(keys.access_key_id.clone().into()),
        secret_access_key: Some(keys.secret_access_key.clone().into()),
        ..windlass_s3::Secrets::default()
    };
    crate::open(windlass_types::S3Spec::build(&options.into()).unwrap(), secrets)
}

#[tokio::test]
async fn a_real_service_that_walks_folders_is_listed_whole_and_side_by_side() {
    let mut expected: Vec<String> =
        mixed().into_iter().filter(|key| !key.ends_with(['7', '3'])).collect();
    // A file may be a folder too, there.
    expected.extend(["x/a/0005/below", "x/a/0999/below", "z/f", "z/f/1"].map(str::to_owned));
    let store = seaweed("side-by-side", &expected).await;
    expected.sort_by(|a, b| ListingOrder::Segments.compare(a, b));
    for prefix in ["", "x/", "x/a/", "x/a"] {
        let below: Vec<String> =
            expected.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        assert_eq!(all(&store, "side-by-side", prefix, true).await, below, "{prefix:?}");
        let mut rows = all(&store, "side-by-side", prefix, false).await;
        rows.sort_by(|a, b| ListingOrder::Segments.compare(a, b));
        assert_eq!(rows, below, "{prefix:?}");
    }
    assert_eq!(store.listing_order("side-by-side"), ListingOrder::Segments);
}
