use super::*;
use crate::fake::{Fake, Fault, Seen};
use crate::request::Side;
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;
use windlass_s3::local::LocalStore;
use windlass_types::{LocalSpec, Location};

pub(crate) fn small() -> Tuning {
    Tuning {
        threshold: 1000,
        part_size: 300,
        file_part: 300,
        copy_limit: 2000,
        copy_part: 700,
        pause: Duration::from_millis(1),
        ..Tuning::default()
    }
}

pub(crate) fn request(source: Side, destination: Side) -> CopyRequest {
    let options = CopyOptions { concurrency: 4, max_memory: 1 << 20, ..CopyOptions::default() };
    CopyRequest::new(source, destination, options)
}

fn moving(mut request: CopyRequest) -> CopyRequest {
    request.options.delete_source = true;
    request
}

pub(crate) fn body(size: usize, seed: u8) -> Bytes {
    (0..size)
        .map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap() ^ seed)
        .collect::<Vec<u8>>()
        .into()
}

pub(crate) async fn go(request: CopyRequest) -> (Result<Summary>, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let cancel = CancellationToken::new();
    let result = copy_with(request, small(), Arc::clone(&seen) as _, cancel).await;
    (result, seen)
}

pub(crate) fn pair() -> (Arc<Fake>, Arc<Fake>) {
    (Arc::new(Fake::new("one")), Arc::new(Fake::new("two")))
}

pub(crate) fn folder(root: &std::path::Path, key: &str) -> Side {
    let spec = LocalSpec { root: root.to_owned(), read_only: false, case_sensitive: None };
    let store = LocalStore::open(Name::new("disk").unwrap(), spec).unwrap();
    Side {
        storage: Arc::new(store),
        location: Location { bucket: Some(".".into()), key: key.into() },
    }
}

#[tokio::test]
async fn small_and_large_objects_arrive_with_all_that_belongs_to_them() {
    let (one, two) = pair();
    for (key, size) in [("a/0", 0), ("a/1", 1), ("a/b/999", 999), ("a/1000", 1000), ("a/big", 4321)]
    {
        one.set(key, body(size, 7));
    }
    one.set("other", "x");
    let (summary, seen) = go(request(one.side("a/"), two.side("out/"))).await;
    let summary = summary.unwrap();
    assert_eq!((summary.copied, summary.failed, summary.bytes), (5, 0, 6321));
    assert_eq!(seen.bytes.load(Ordering::SeqCst), 6321);
    assert_eq!(*seen.planned.lock().unwrap(), (5, 6321));
    insta::assert_snapshot!(seen.lines(), @r"
    Done Copy one:b/a/0 -> two:b/out/0 0 B
    Done Copy one:b/a/1 -> two:b/out/1 1 B
    Done Copy one:b/a/1000 -> two:b/out/1000 1000 B
    Done Copy one:b/a/b/999 -> two:b/out/b/999 999 B
    Done Copy one:b/a/big -> two:b/out/big 4321 B
    ");
    for key in ["0", "1", "1000", "b/999", "big"] {
        let (from, to) = (
            one.get_now(&format!("a/{key}")).unwrap(),
            two.get_now(&format!("out/{key}")).unwrap(),
        );
        assert_eq!(from.bytes, to.bytes, "{key}");
        assert_eq!(to.meta.content_type.as_deref(), Some("text/x-test"), "{key}");
    }
    assert_eq!(two.open_uploads(), 0);
}

#[tokio::test]
async fn a_wrong_byte_is_tried_again_and_at_last_a_failed_item() {
    for (key, size) in [("a/small", 10), ("a/large", 1500)] {
        let (one, two) = pair();
        one.set(key, body(size, 1));
        one.set("a/good", "good");
        one.fault("get", key, 1, Fault::Corrupt);
        let (summary, _) = go(request(one.side("a/"), two.side(""))).await;
        assert_eq!(summary.unwrap().failed, 0, "one wrong byte is healed");
        assert_eq!(two.get_now(&key[2..]).unwrap().bytes, body(size, 1));

        let (one, two) = pair();
        one.set(key, body(size, 1));
        one.set("a/good", "good");
        one.fault("get", key, 1000, Fault::Corrupt);
        let (summary, seen) = go(request(one.side("a/"), two.side(""))).await;
        let summary = summary.unwrap();
        assert_eq!((summary.copied, summary.failed), (1, 1));
        assert!(seen.lines().contains("do not have the checksum"), "{}", seen.lines());
        assert_eq!(two.keys(), ["good"]);
        assert_eq!(two.open_uploads(), 0);
    }
}

#[tokio::test]
async fn what_shrinks_while_it_is_read_counts_as_what_was_copied() {
    let (one, two) = pair();
    one.set("a/x", body(10, 1));
    one.fault("get", "a/x", 1, Fault::Shrink);
    let (summary, seen) = go(request(one.side("a/"), two.side(""))).await;
    assert_eq!(summary.unwrap().bytes, 0);
    assert!(two.get_now("x").unwrap().bytes.is_empty());
    assert!(seen.lines().contains("two:b/x 0 B"), "{}", seen.lines());
}

#[tokio::test]
async fn what_the_destination_spoils_is_noticed_and_removed() {
    for (operation, size) in [("put", 10), ("upload_part", 1500)] {
        let (one, two) = pair();
        one.set("a/x", body(size, 1));
        two.fault(operation, "x", 1, Fault::Corrupt);
        let (summary, _) = go(request(one.side("a/"), two.side(""))).await;
        assert_eq!(summary.unwrap().copied, 1);
        assert_eq!(two.get_now("x").unwrap().bytes, body(size, 1));
        two.fault(operation, "x", 1000, Fault::Corrupt);
        let (summary, seen) = go(request(one.side("a/"), two.side(""))).await;
        assert_eq!(summary.unwrap().failed, 1, "{}", seen.lines());
        assert!(two.keys().is_empty());
    }
}

#[tokio::test]
async fn etags_that_are_no_md5_cost_one_reading_and_nothing_else() {
    let one = Arc::new(Fake::new("one"));
    let two = Fake::with("two", |fake| fake.odd_etags = true);
    for key in 0..5 {
        one.set(&format!("a/{key}"), body(10, key));
    }
    one.set("a/large", body(1500, 3));
    let mut request = request(one.side("a/"), two.side(""));
    request.options.concurrency = 1;
    let (summary, seen) = go(request).await;
    assert_eq!(summary.unwrap().copied, 6, "{}", seen.lines());
    assert_eq!(two.count("get"), 1);
}

#[tokio::test]
async fn stored_checksums_are_checked_also_in_parts() {
    let one = Fake::with("one", |fake| fake.crc = true);
    let two = Arc::new(Fake::new("two"));
    one.set("a/large", body(2500, 3));
    one.set("a/small", body(25, 3));
    let (summary, _) = go(request(one.side("a/"), two.side(""))).await;
    assert_eq!(summary.unwrap().copied, 2);
    one.fault("get", "a/large", 1000, Fault::Corrupt);
    one.fault("get", "a/small", 1000, Fault::Corrupt);
    let (summary, _) = go(request(one.side("a/"), two.side("again/"))).await;
    assert_eq!(summary.unwrap().failed, 2);
}

#[tokio::test]
async fn a_source_that_changes_is_read_once_more_and_then_given_up() {
    for size in [10, 1500] {
        let (one, two) = pair();
        one.set("a/x", body(size, 1));
        one.fault("get", "a/x", 1, Fault::Change);
        let (summary, _) = go(request(one.side("a/"), two.side(""))).await;
        assert_eq!(summary.unwrap().copied, 1);
        assert_eq!(two.get_now("x").unwrap().bytes, one.get_now("a/x").unwrap().bytes);
        one.fault("get", "a/x", 1000, Fault::Change);
        let (summary, seen) = go(request(one.side("a/"), two.side("again/"))).await;
        assert_eq!(summary.unwrap().failed, 1);
        assert!(seen.lines().ends_with("(changed while reading)"), "{}", seen.lines());
        assert_eq!(two.open_uploads(), 0);
    }
}

#[tokio::test]
async fn one_failure_does_not_stop_the_others() {
    let (one, two) = pair();
    for key in ["a/1", "a/2", "a/3", "a/4"] {
        one.set(key, key.to_owned());
    }
    one.fault("get", "a/2", 1000, Fault::Denied);
    one.fault("get", "a/3", 2, Fault::Busy);
    one.fault("get", "a/4", 2, Fault::Cut);
    let (summary, seen) = go(request(one.side("a/"), two.side(""))).await;
    let summary = summary.unwrap();
    assert_eq!((summary.copied, summary.failed), (3, 1), "{}", seen.lines());
    assert_eq!(two.keys(), ["1", "3", "4"]);
    let (result, _) = go(request(one.side("a/2"), two.side(""))).await;
    assert_eq!(
        result.unwrap_err().code(),
        ErrorCode::ConnectionDenied,
        "of one key it is the error"
    );
}

#[tokio::test]
async fn a_listing_that_fails_is_never_a_success() {
    let one = Fake::with("one", |fake| fake.list_breaks = Some(2));
    let two = Arc::new(Fake::new("two"));
    for key in ["a/1", "a/2", "a/3"] {
        one.set(key, key.to_owned());
    }
    let (result, seen) = go(request(one.side("a/"), two.side(""))).await;
    assert_eq!(result.unwrap_err().code(), ErrorCode::ConnectionTimeout);
    assert_eq!(seen.items.lock().unwrap().len(), 2, "what was begun is finished");
    let (result, _) = go(request(two.side("none/"), one.side(""))).await;
    assert_eq!(result.unwrap_err().code(), ErrorCode::ObjectNotFound);
    let (result, _) = go(request(two.side("n*"), one.side(""))).await;
    assert_eq!(result.unwrap_err().code(), ErrorCode::ObjectNotFound);
    let (result, _) = go(request(two.side("1/"), one.side(""))).await;
    assert!(result.is_err());
    let (result, _) = go(request(two.side("none"), one.side(""))).await;
    assert_eq!(
        result.unwrap_err().hint_text(),
        Some("for everything below it write `two:b/none/`")
    );
}

#[tokio::test]
async fn a_dry_run_says_all_and_does_nothing() {
    let (one, two) = pair();
    for key in ["a/1.csv", "a/2.txt", "a/tmp/3.csv"] {
        one.set(key, "123");
    }
    let mut request = request(one.side("a/"), two.side("out/"));
    request.options.dry_run = true;
    request.options.include = vec!["*.csv".to_owned()];
    request.options.exclude = vec!["tmp/**".to_owned()];
    let (summary, seen) = go(request).await;
    let summary = summary.unwrap();
    assert_eq!((summary.copied, summary.bytes, summary.dry_run), (1, 3, true));
    assert_eq!(seen.lines(), "Planned Copy one:b/a/1.csv -> two:b/out/1.csv 3 B");
    assert!(two.keys().is_empty());
    let line = serde_json::to_string(&seen.items.lock().unwrap()[0]).unwrap();
    insta::assert_snapshot!(line, @r#"{"action":"copy","source":"one:b/a/1.csv","destination":"two:b/out/1.csv","size":3,"status":"planned","reason":null}"#);
}

#[tokio::test]
async fn inside_a_service_no_byte_passes_through_here() {
    let one = Fake::with("one", |fake| fake.group = Some("s".into()));
    one.set("a/small", body(100, 1));
    one.set("a/large", body(5000, 1));
    let (summary, _) = go(request(one.side("a/"), one.side("b/"))).await;
    assert_eq!(summary.unwrap().copied, 2);
    assert_eq!((one.count("get"), one.count("copy "), one.count("copy_part")), (0, 1, 8));
    assert_eq!(one.get_now("b/large").unwrap().bytes, body(5000, 1));
    assert_eq!(one.get_now("b/large").unwrap().meta.content_type.as_deref(), Some("text/x-test"));
    let (summary, seen) = go(request(one.side("a/"), one.side("a/"))).await;
    assert_eq!(summary.unwrap().skipped, 2, "{}", seen.lines());
    let (result, _) = go(request(one.side("a/"), one.side("a/x/"))).await;
    assert_eq!(result.unwrap_err().code(), ErrorCode::PathInvalid);
    one.fault("copy", "a/small", 1, Fault::Change);
    let (summary, _) = go(request(one.side("a/small"), one.side("c"))).await;
    assert_eq!(summary.unwrap().copied, 1);
    assert_eq!(one.get_now("c").unwrap().bytes, one.get_now("a/small").unwrap().bytes);
}

#[tokio::test]
async fn a_move_deletes_only_what_was_copied_and_has_not_changed() {
    let (one, two) = pair();
    for key in ["a/1", "a/2", "a/3"] {
        one.set(key, body(20, 1));
    }
    two.fault("put", "1", 1000, Fault::Denied);
    let moving = |source, destination| self::moving(request(source, destination));
    let (summary, seen) = go(moving(one.side("a/"), two.side(""))).await;
    let summary = summary.unwrap();
    assert_eq!((summary.copied, summary.deleted, summary.failed), (2, 2, 1), "{}", seen.lines());
    assert_eq!(
        (one.keys(), two.keys()),
        (vec!["a/1".to_owned()], vec!["2".to_owned(), "3".to_owned()])
    );
    one.set("a/4", "four");
    one.fault("stat", "a/4", 1, Fault::Change);
    let (result, seen) = go(moving(one.side("a/4*"), two.side(""))).await;
    assert_eq!(result.unwrap().failed, 1);
    assert!(seen.lines().contains("so it was not deleted"), "{}", seen.lines());
    assert!(one.get_now("a/4").is_some(), "{}", seen.lines());
    let fixed = Fake::with("fixed", |fake| fake.read_only = true);
    let (result, _) = go(moving(fixed.side("a/"), two.side(""))).await;
    assert_eq!(result.unwrap_err().code(), ErrorCode::ConnectionReadOnly);
}

#[tokio::test]
async fn an_object_moved_onto_itself_by_another_name_is_not_lost() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("in")).unwrap();
    std::fs::write(root.path().join("in/f"), "x").unwrap();
    let moving = moving(request(folder(root.path(), "in/"), folder(&root.path().join("in"), "")));
    let (summary, seen) = go(moving).await;
    assert_eq!(summary.unwrap().skipped, 1, "{}", seen.lines());
    assert_eq!(std::fs::read(root.path().join("in/f")).unwrap(), b"x");
}

#[tokio::test]
async fn to_a_folder_and_back_keeps_bytes_times_and_refuses_what_cannot_be() {
    let (one, two) = pair();
    let keys =
        ["d/../../evil", "d//x", "d/a", "d/a/b", "d/large.csv", "d/sub/ok.json", "d/marker/"];
    for key in keys {
        one.set(
            key,
            if key == "d/large.csv" {
                body(4000, 9)
            } else if key.ends_with('/') {
                Bytes::new()
            } else {
                body(5, 1)
            },
        );
    }
    let root = tempfile::tempdir().unwrap();
    let (refused, _) = go(request(one.side("d/"), folder(root.path(), "got/"))).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TransferRefused);
    assert!(refused.message().starts_with("3 names cannot be written"), "{refused:?}");
    assert!(!root.path().join("got").exists(), "nothing is written of a plan that cannot be");
    let mut leaving = request(one.side("d/"), folder(root.path(), "got/"));
    leaving.options.names = crate::OnTrouble::Skip;
    let (summary, seen) = go(leaving).await;
    let summary = summary.unwrap();
    insta::assert_snapshot!(seen.lines(), @r"
    Done Copy one:b/d/a -> disk:got/a 5 B
    Done Copy one:b/d/large.csv -> disk:got/large.csv 4000 B
    Done Copy one:b/d/marker/ -> disk:got/marker/ 0 B
    Done Copy one:b/d/sub/ok.json -> disk:got/sub/ok.json 5 B
    Skipped Skip one:b/d/../../evil -> disk:got/../../evil 5 B (`got/../../evil` holds `..`, which leads outside the folder)
    Skipped Skip one:b/d//x -> disk:got//x 5 B (`got//x` has an empty level, which a folder cannot hold)
    Skipped Skip one:b/d/a/b -> disk:got/a/b 5 B (`got/a` is a file there, so nothing can lie below it)
    ");
    assert_eq!((summary.copied, summary.skipped, summary.failed), (4, 3, 0));
    assert_eq!(std::fs::read(root.path().join("got/large.csv")).unwrap(), body(4000, 9));
    let time = root.path().join("got/a").metadata().unwrap().modified().unwrap();
    assert_eq!(Some(time.into()), one.get_now("d/a").unwrap().meta.last_modified);
    let (summary, _) = go(request(folder(root.path(), "got/"), two.side("back/"))).await;
    assert_eq!(summary.unwrap().copied, 3);
    assert_eq!(two.get_now("back/large.csv").unwrap().bytes, body(4000, 9));
    let kind = |key| two.get_now(key).unwrap().meta.content_type;
    assert_eq!(kind("back/large.csv").as_deref(), Some("text/csv"));
    assert_eq!(kind("back/sub/ok.json").as_deref(), Some("application/json"));
    let (summary, _) =
        go(request(folder(root.path(), "got/large.csv"), folder(root.path(), "twice/"))).await;
    assert_eq!(summary.unwrap().copied, 1);
    assert_eq!(std::fs::read(root.path().join("twice/large.csv")).unwrap(), body(4000, 9));
    let (summary, _) = go(request(folder(root.path(), "got/marker/"), two.side("none/"))).await;
    assert_eq!(summary.unwrap().copied, 0, "an empty folder is there, and nothing is in it");
}

#[tokio::test]
async fn memory_is_bounded_however_much_is_copied_at_once() {
    let (one, two) = pair();
    for key in 0..40_u8 {
        one.set(&format!("a/{key}"), body(if key % 4 == 0 { 40_000 } else { 900 }, key));
    }
    let mut request = request(one.side("a/"), two.side(""));
    request.options.concurrency = 32;
    request.options.max_memory = 16 << 10;
    let (summary, _) = go(request).await;
    assert_eq!(summary.unwrap().copied, 40);
    let most = one.most_held.load(Ordering::SeqCst);
    assert!(most <= 16 << 10, "{most} bytes were held");
    assert!(most > 4 << 10, "only {most} bytes were held: nothing went side by side");
}

#[tokio::test]
async fn an_interruption_leaves_nothing_unfinished() {
    let (one, two) = pair();
    one.set("a/large", body(5000, 1));
    two.fault("upload_part", "large", 1, Fault::Slow);
    let seen = Arc::new(Seen::default());
    let cancel = CancellationToken::new();
    let work = tokio::spawn(copy_with(
        request(one.side("a/"), two.side("")),
        small(),
        Arc::clone(&seen) as _,
        cancel.clone(),
    ));
    while two.count("upload_part") == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cancel.cancel();
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Interrupted);
    assert_eq!((two.open_uploads(), two.keys().len()), (0, 0));
}
