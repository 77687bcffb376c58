//! Syncs: what is planned, what is written over and deleted, and what never is.

use super::tests::{body, folder, go, pair, request, small};
use crate::fake::{Fake, Fault, Seen};
use crate::options::{CopyOptions, MaxDelete, OnTrouble};
use crate::request::{CopyRequest, Side};
use crate::{ChangeTest, IfExists, Status};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_types::ErrorCode;

fn syncing(source: Side, destination: Side, set: impl FnOnce(&mut CopyOptions)) -> CopyRequest {
    let mut request = request(source, destination);
    request.options.sync = true;
    set(&mut request.options);
    request
}

fn nothing(_: &mut CopyOptions) {}

#[tokio::test]
async fn a_sync_writes_what_differs_deletes_when_asked_and_then_plans_nothing() {
    let (one, two) = pair();
    for (key, text) in [("a/new", "1"), ("a/same", "2"), ("a/edited", "33"), ("a/grown", "444")] {
        one.set(key, text);
    }
    for (key, text) in [("same", "2"), ("edited", "xx"), ("grown", "4"), ("extra", "5")] {
        two.set(key, text);
    }
    let both = || (one.side("a/"), two.side(""));
    let (dry, seen) =
        go(syncing(both().0, both().1, |o| (o.delete, o.dry_run) = (true, true))).await;
    let dry = dry.unwrap();
    assert_eq!((dry.copied, dry.updated, dry.deleted, dry.skipped), (1, 2, 1, 1));
    insta::assert_snapshot!(seen.lines(), @r"
    Planned Copy one:b/a/new -> two:b/new 1 B
    Planned Delete  -> two:b/extra 1 B
    Planned Update one:b/a/edited -> two:b/edited 2 B
    Planned Update one:b/a/grown -> two:b/grown 3 B
    Skipped Skip one:b/a/same -> two:b/same 1 B (unchanged)
    ");
    assert_eq!(two.keys(), ["edited", "extra", "grown", "same"], "a dry run does nothing");
    let (done, _) = go(syncing(both().0, both().1, nothing)).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.updated, done.deleted), (1, 2, 0), "nothing is deleted unasked");
    let (done, _) = go(syncing(both().0, both().1, |o| o.delete = true)).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.updated, done.deleted, done.skipped), (0, 0, 1, 4));
    assert_eq!(two.keys(), ["edited", "grown", "new", "same"]);
    let requests = one.count("stat") + one.count("get") + two.count("stat") + two.count("get");
    let (done, _) = go(syncing(both().0, both().1, |o| o.delete = true)).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.updated, done.deleted), (0, 0, 0));
    let now = one.count("stat") + one.count("get") + two.count("stat") + two.count("get");
    assert_eq!(now, requests, "equal trees cost two listings and no request per key");
}

#[tokio::test]
async fn deletions_are_bounded_backed_up_and_never_follow_a_broken_listing() {
    let (one, two) = pair();
    one.set("a/k", "k");
    for key in ["k", "x/1", "x/2", "x/3"] {
        two.set(key, "k");
    }
    let limited = |bound| {
        syncing(one.side("a/"), two.side(""), |o| (o.delete, o.max_delete) = (true, Some(bound)))
    };
    for bound in [MaxDelete::Objects(2), MaxDelete::Percent(74)] {
        let (refused, _) = go(limited(bound)).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::TransferRefused);
        assert_eq!(two.keys().len(), 4);
    }
    let broken = Fake::with("one", |fake| fake.list_breaks = Some(1));
    broken.set("a/k", "k");
    let (failed, _) = go(syncing(broken.side("a/"), two.side(""), |o| o.delete = true)).await;
    assert_eq!(failed.unwrap_err().code(), ErrorCode::ConnectionTimeout);
    assert_eq!(two.keys().len(), 4);
    let (done, _) = go(syncing(one.side("a/"), two.side("x/"), |o| {
        (o.delete, o.backup_to) = (true, Some("old/".into()));
    }))
    .await;
    assert_eq!(done.unwrap().deleted, 3);
    assert_eq!(two.keys(), ["k", "old/1", "old/2", "old/3", "x/k"]);
    let (refused, _) = go(syncing(one.side("a/"), two.side("x/"), |o| {
        (o.delete, o.backup_to) = (true, Some("x/old/".into()));
    }))
    .await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::TransferRefused);
    let (refused, _) = go(syncing(two.side("x/"), two.side(""), |o| o.delete = true)).await;
    assert_eq!(
        refused.unwrap_err().code(),
        ErrorCode::TransferRefused,
        "it would delete its source"
    );
    let (done, _) = go(limited(MaxDelete::Percent(100))).await;
    assert_eq!(done.unwrap().deleted, 4);
    assert_eq!(two.keys(), ["k"]);
}

#[tokio::test]
async fn what_is_not_wanted_is_neither_copied_nor_deleted() {
    let (one, two) = pair();
    for (key, text) in [("a/big", "12345"), ("a/small", "1"), ("a/tmp/x", "1")] {
        one.set(key, text);
    }
    for key in ["big", "small", "tmp/y", "gone"] {
        two.set(key, "?");
    }
    let (done, _) = go(syncing(one.side("a/"), two.side(""), |o| {
        (o.delete, o.max_size, o.exclude) = (true, Some(3), vec!["tmp/**".into()]);
    }))
    .await;
    let done = done.unwrap();
    assert_eq!((done.updated, done.deleted, done.copied), (1, 1, 0));
    assert_eq!(two.keys(), ["big", "small", "tmp/y"]);
    assert_eq!(two.get_now("big").unwrap().bytes, "?");
}

#[tokio::test]
async fn a_destination_written_meanwhile_is_left_and_reported() {
    for existing in [None, Some("old")] {
        let (one, two) = pair();
        one.set("a/x", "mine");
        one.set("a/y", "y");
        if let Some(text) = existing {
            two.set("x", text);
        }
        two.fault("put", "x", 1, Fault::Change);
        let (done, seen) = go(syncing(one.side("a/"), two.side(""), nothing)).await;
        let done = done.unwrap();
        assert_eq!((done.copied, done.failed), (1, 1), "{}", seen.lines());
        assert!(seen.lines().contains("written meanwhile"), "{}", seen.lines());
        assert_ne!(two.get_now("x").unwrap().bytes, "mine");
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_no_conflict() {
    for size in [10, 1500] {
        let (one, two) = pair();
        one.set("a/x", body(size, 1));
        let operation = if size > 1000 { "complete_upload" } else { "put" };
        two.fault(operation, "x", 1, Fault::Lost);
        let (done, seen) = go(syncing(one.side("a/"), two.side(""), nothing)).await;
        assert_eq!(done.unwrap().copied, 1, "{}", seen.lines());
        assert_eq!(two.get_now("x").unwrap().bytes, body(size, 1));
    }
}

#[tokio::test]
async fn what_is_there_is_skipped_failed_or_kept_beside_as_asked() {
    let run = async |if_exists: IfExists| {
        let (one, two) = pair();
        one.set("a/both.txt", "new");
        one.set("a/only", "1");
        two.set("both.txt", "old");
        let mut request = request(one.side("a/"), two.side(""));
        request.options.if_exists = if_exists;
        let (done, _) = go(request.clone()).await;
        let done = done.unwrap();
        let (again, _) = go(request).await;
        assert_eq!(again.unwrap().copied, 0, "{if_exists:?} twice");
        let old = two.get_now("both.txt").unwrap().bytes;
        (done.copied, done.updated, done.skipped, done.failed, old, two.keys().len())
    };
    let (old, new) = (Bytes::from("old"), Bytes::from("new"));
    assert_eq!(run(IfExists::Skip).await, (1, 0, 1, 0, old.clone(), 2));
    assert_eq!(run(IfExists::Fail).await, (1, 0, 0, 1, old.clone(), 2));
    let (one, two) = pair();
    one.set("a/same", "1");
    two.set("same", "1");
    let mut same = request(one.side("a/"), two.side(""));
    same.options.if_exists = IfExists::Fail;
    let done = go(same).await.0.unwrap();
    assert_eq!((done.skipped, done.failed), (1, 0), "what is the same stands in no way");
    assert_eq!(run(IfExists::KeepBoth).await, (2, 0, 0, 0, old.clone(), 3));
    // Both clocks of the fakes start alike: the source's object is not newer.
    assert_eq!(run(IfExists::KeepNewer).await, (1, 0, 1, 0, old, 2));
    let (one, two) = pair();
    two.set("x", "old");
    one.set("filler", "1");
    one.set("a/x", new.clone());
    let mut request = request(one.side("a/x"), two.side("x"));
    request.options.change = Some(ChangeTest::Update);
    let (done, _) = go(request).await;
    assert_eq!(done.unwrap().updated, 1, "of a single key too");
    assert_eq!(two.get_now("x").unwrap().bytes, new);
}

#[tokio::test]
async fn etags_that_are_no_md5s_are_found_out_once_and_times_decide() {
    let one = Arc::new(Fake::new("one"));
    let two = Fake::with("two", |fake| fake.odd_etags = true);
    for key in 0..20_u8 {
        one.set(&format!("a/{key}"), body(10, key));
    }
    for _ in 0..21 {
        two.set("later", "the clock goes on");
    }
    let sync = || syncing(one.side("a/"), two.side("d/"), nothing);
    assert_eq!(go(sync()).await.0.unwrap().copied, 20);
    let gets = two.count("get");
    let (again, _) = go(sync()).await;
    assert_eq!(again.unwrap().updated, 0);
    assert!(two.count("get") <= gets + 2, "a sample, and once more if it is not as its ETag says");
    for _ in 0..40 {
        one.set("tick", "");
    }
    one.set("a/7", body(10, 99));
    let (edited, _) = go(sync()).await;
    assert_eq!(edited.unwrap().updated, 1, "a same-size edit is not missed (M-J4)");
}

#[tokio::test]
async fn between_folders_and_a_service_the_second_sync_plans_nothing() {
    let one = Arc::new(Fake::new("one"));
    for (key, size) in [("a/x", 10), ("a/d/large", 2500), ("a/d/marker/", 0)] {
        one.set(key, body(size, 1));
    }
    let root = tempfile::tempdir().unwrap();
    let down = || syncing(one.side("a/"), folder(root.path(), "got/"), |o| o.delete = true);
    assert_eq!(go(down()).await.0.unwrap().copied, 3);
    let again = go(down()).await.0.unwrap();
    assert_eq!((again.copied, again.updated, again.deleted, again.skipped), (0, 0, 0, 3));
    std::fs::write(root.path().join("got/x"), body(10, 2)).unwrap();
    std::fs::create_dir_all(root.path().join("got/old/deep")).unwrap();
    std::fs::write(root.path().join("got/old/deep/file"), "x").unwrap();
    let fixed = go(down()).await.0.unwrap();
    assert_eq!((fixed.updated, fixed.deleted), (1, 1), "same size, other time, other bytes");
    assert_eq!(std::fs::read(root.path().join("got/x")).unwrap(), body(10, 1));
    assert!(!root.path().join("got/old").exists(), "folders that became empty are gone");
    let two = Arc::new(Fake::new("two"));
    for _ in 0..9 {
        two.set("later", "the clock goes on");
    }
    let up = || syncing(folder(root.path(), "got/"), two.side("up/"), |o| o.delete = true);
    assert_eq!(go(up()).await.0.unwrap().copied, 2);
    let again = go(up()).await.0.unwrap();
    assert_eq!((again.copied, again.updated, again.deleted, again.skipped), (0, 0, 0, 2));
}

#[tokio::test]
async fn names_that_only_case_tells_apart_are_found_before_anything_is_written() {
    let one = Arc::new(Fake::new("one"));
    for key in ["a/Readme", "a/README", "a/Dir/x", "a/dir/y", "a/CON"] {
        one.set(key, key.to_owned());
    }
    let two = Fake::with("two", |fake| fake.one_case = true);
    let (refused, _) = go(request(one.side("a/"), two.side(""))).await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::TransferRefused);
    assert!(two.keys().is_empty());
    let mut renaming = request(one.side("a/"), two.side(""));
    (renaming.options.names, renaming.options.case) = (OnTrouble::Rename, OnTrouble::Rename);
    assert_eq!(go(renaming.clone()).await.0.unwrap().copied, 5);
    let folded: std::collections::BTreeSet<String> =
        two.keys().iter().map(|key| key.to_lowercase()).collect();
    assert_eq!(folded.len(), 5);
    (renaming.options.sync, renaming.options.delete) = (true, true);
    let again = go(renaming).await.0.unwrap();
    assert_eq!((again.copied, again.updated, again.deleted), (0, 0, 0));
}

#[tokio::test]
async fn a_name_that_the_destination_spells_otherwise_is_found_and_stays() {
    let one = Arc::new(Fake::new("one"));
    for key in ["a/Readme", "a/Later", "a/same"] {
        one.set(key, key.to_owned());
    }
    let two = Fake::with("two", |fake| fake.one_case = true);
    // One stands before the name of the source in a listing, one after it.
    let there = ["README", "extra", "later", "same"];
    for key in there {
        two.set(key, "a/same");
    }
    let sync = |case| syncing(one.side("a/"), two.side(""), |o| (o.delete, o.case) = (true, case));
    let mut compared = request(one.side("a/"), two.side(""));
    compared.options.if_exists = IfExists::Skip;
    for refused in [sync(OnTrouble::Fail), compared] {
        let error = go(refused).await.0.unwrap_err();
        assert_eq!(error.code(), ErrorCode::TransferRefused);
        assert!(error.message().contains("differs from a name that is there"), "{error}");
        assert!(error.message().starts_with("2 names"), "{error}");
        assert_eq!(two.keys(), there);
    }
    let lists = two.count("list");
    let left = go(sync(OnTrouble::Skip)).await.0.unwrap();
    assert_eq!((left.copied, left.deleted, left.skipped), (0, 1, 3));
    assert_eq!(two.keys(), ["README", "later", "same"], "the source has them, spelled otherwise");
    assert_eq!(two.count("list"), lists + 1, "it is listed once all the same");
    let renamed = go(sync(OnTrouble::Rename)).await.0.unwrap();
    assert_eq!((renamed.copied, renamed.deleted, renamed.skipped), (2, 0, 1));
    assert_eq!(two.keys().len(), 5);
    let again = go(sync(OnTrouble::Rename)).await.0.unwrap();
    assert_eq!((again.copied, again.updated, again.deleted, again.skipped), (0, 0, 0, 3));
}

#[tokio::test]
async fn what_is_piped_in_gets_no_name_that_is_reserved_where_case_is_not_told_apart() {
    for (one_case, good) in [(false, true), (true, false)] {
        let two = Fake::with("two", |fake| fake.one_case = one_case);
        let progress = Arc::new(Seen::default());
        let cancel = tokio_util::sync::CancellationToken::new();
        let done = crate::copy_stream(&b"x"[..], two.side("d/con.txt"), progress, cancel).await;
        assert_eq!(done.is_ok(), good, "{done:?}");
        assert_eq!(two.keys().len(), usize::from(good));
    }
}

#[tokio::test]
async fn a_move_empties_folders_and_a_trigger_tells_the_end() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("in/a/b")).unwrap();
    std::fs::create_dir_all(root.path().join("in/kept")).unwrap();
    std::fs::write(root.path().join("in/a/b/f"), "x").unwrap();
    std::fs::write(root.path().join("in/kept/tmp"), "x").unwrap();
    let two = Arc::new(Fake::new("two"));
    let request = || {
        let mut request = request(folder(root.path(), "in/"), two.side("out/"));
        request.options.delete_source = true;
        request.options.remove_empty_folders = true;
        request.options.exclude = vec!["tmp".into()];
        request.options.trigger = Some("_DONE".into());
        request
    };
    assert_eq!(go(request()).await.0.unwrap().copied, 1);
    assert!(!root.path().join("in/a").exists() && root.path().join("in/kept/tmp").exists());
    assert_eq!(two.keys(), ["out/_DONE", "out/a/b/f"]);
    two.set("out/_DONE", "seen");
    assert_eq!(go(request()).await.0.unwrap().copied, 0);
    assert_eq!(two.get_now("out/_DONE").unwrap().bytes, "seen", "nothing was to do (M-J11)");
    let mut always = request();
    always.options.trigger_always = true;
    go(always).await.0.unwrap();
    assert_eq!(two.get_now("out/_DONE").unwrap().bytes, "");
}

#[tokio::test]
async fn archived_objects_are_reported_and_restored_on_request() {
    let (one, two) = pair();
    one.set("a/cold", "1");
    one.fault("get", "a/cold", 9, Fault::Archived);
    let mut request = request(one.side("a/"), two.side(""));
    assert_eq!(go(request.clone()).await.0.unwrap().failed, 1);
    assert_eq!(one.count("restore"), 0);
    request.options.restore_days = Some(3);
    let (done, seen) = go(request).await;
    assert_eq!(done.unwrap().failed, 1);
    assert_eq!(one.count("restore"), 1);
    assert!(seen.lines().contains("its restoration was asked for"), "{}", seen.lines());
}

#[tokio::test]
async fn only_the_names_of_a_list_are_asked_for() {
    let (one, two) = pair();
    for key in ["a/1", "a/2", "a/d/3"] {
        one.set(key, "x");
    }
    let mut request = request(one.side("a/"), two.side(""));
    request.options.files = Some(vec!["1".into(), "d/3".into(), "missing".into()]);
    let done = go(request).await.0.unwrap();
    assert_eq!((done.copied, done.failed), (2, 1));
    assert_eq!((two.keys(), one.count("list")), (vec!["1".to_owned(), "d/3".to_owned()], 0));
}

/// What happens to a tree.
#[derive(Debug, Clone)]
enum Change {
    Put(bool, String, usize, u8),
    Remove(bool, String),
}

fn change() -> impl Strategy<Value = Change> {
    let key = "[ab]{1,2}(/[a.-]{1,2}){0,2}";
    prop_oneof![
        3 => (any::<bool>(), key, 0_usize..4, any::<u8>())
            .prop_map(|(at, key, size, seed)| Change::Put(at, key, size * 400, seed)),
        1 => (any::<bool>(), key).prop_map(|(at, key)| Change::Remove(at, key)),
    ]
}

fn fault() -> impl Strategy<Value = (bool, &'static str, String, Fault)> {
    let kinds = prop_oneof![
        Just(("get", Fault::Busy)),
        Just(("get", Fault::Cut)),
        Just(("get", Fault::Corrupt)),
        Just(("get", Fault::Change)),
        Just(("put", Fault::Busy)),
        Just(("put", Fault::Lost)),
        Just(("put", Fault::Corrupt)),
        Just(("put", Fault::Denied)),
        Just(("complete_upload", Fault::Lost)),
        Just(("upload_part", Fault::Busy)),
        Just(("copy", Fault::Lost)),
    ];
    (kinds, "[ab]{1,2}(/[a.-]{1,2}){0,2}").prop_map(|((operation, fault), key)| {
        let at_source = operation == "get";
        (at_source, operation, key, fault)
    })
}

fn tree(fake: &Fake, prefix: &str) -> BTreeMap<String, Bytes> {
    fake.keys()
        .into_iter()
        .filter_map(|key| {
            let bytes = fake.get_now(&key)?.bytes;
            Some((key.strip_prefix(prefix)?.to_owned(), bytes))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn after_a_sync_the_destination_is_the_source_and_a_second_plans_nothing(
        rounds in proptest::collection::vec(proptest::collection::vec(change(), 0..12), 1..4),
        faults in proptest::collection::vec(fault(), 0..4),
        by_segments in any::<[bool; 2]>(),
        one_service in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let make = |name, by_segments| Fake::with(name, |fake: &mut Fake| {
                fake.by_segments = by_segments;
                fake.group = one_service.then(|| "g".to_owned());
            });
            let one = make("one", by_segments[0]);
            let two = if one_service { Arc::clone(&one) } else { make("two", by_segments[1]) };
            one.set("s/zz", "always there");
            for (round, changes) in rounds.into_iter().enumerate() {
                for change in changes {
                    let at_source =
                        matches!(change, Change::Put(true, ..) | Change::Remove(true, _));
                    let (at, prefix) = if at_source { (&one, "s/") } else { (&two, "d/") };
                    match change {
                        Change::Put(_, key, size, seed) => at.set(&format!("{prefix}{key}"), body(size, seed)),
                        Change::Remove(_, key) => at.remove(&format!("{prefix}{key}")),
                    }
                }
                if round == 0 {
                    for (at_source, operation, key, fault) in &faults {
                        let (at, prefix) = if *at_source { (&one, "s/") } else { (&two, "d/") };
                        at.fault(operation, &format!("{prefix}{key}"), 2, *fault);
                    }
                }
                let before = tree(&two, "d/");
                let sync = || syncing(one.side("s/"), two.side("d/"), |o| o.delete = true);
                let (done, seen) = go(sync()).await;
                let done = done.unwrap();
                let (source, now) = (tree(&one, "s/"), tree(&two, "d/"));
                let failed: Vec<String> = seen.items.lock().unwrap().iter()
                    .filter(|item| item.status == Status::Failed)
                    .map(|item| item.destination.rsplit_once("d/").map(|(_, _)| {
                        item.destination.strip_prefix(&format!("{}:b/d/", two_name(one_service))).unwrap().to_owned()
                    }).unwrap())
                    .collect();
                assert_eq!(failed.len() as u64, done.failed, "every failure is a line");
                for (key, bytes) in &source {
                    if !failed.contains(key) {
                        assert_eq!(now.get(key), Some(bytes), "{key}: {}", seen.lines());
                    }
                }
                for key in now.keys() {
                    // Without failures nothing is left that the source does not have.
                    assert!(source.contains_key(key) || (done.failed > 0 && before.contains_key(key)), "{key}");
                }
                one.no_faults();
                two.no_faults();
                let (healed, seen) = go(sync()).await;
                let healed = healed.unwrap();
                assert_eq!(healed.failed, 0, "{}", seen.lines());
                assert_eq!(tree(&two, "d/"), tree(&one, "s/"));
                let (third, seen) = go(sync()).await;
                let third = third.unwrap();
                assert_eq!((third.copied, third.updated, third.deleted), (0, 0, 0), "{}", seen.lines());
                assert_eq!(two.open_uploads(), 0);
            }
        });
    }
}

fn two_name(one_service: bool) -> &'static str {
    if one_service { "one" } else { "two" }
}

#[tokio::test]
async fn a_listing_that_repeats_a_key_is_still_one_tree() {
    let (one, two) = pair();
    let repeating = Fake::with("one", |fake| fake.repeats = true);
    for key in ["a/1", "a/2", "a/3"] {
        one.set(key, key.to_owned());
        repeating.set(key, key.to_owned());
    }
    let _ = small();
    let (done, _) = go(syncing(repeating.side("a/"), two.side(""), |o| o.delete = true)).await;
    assert_eq!(done.unwrap().copied, 3);
    let (again, _) = go(syncing(one.side("a/"), two.side(""), |o| o.delete = true)).await;
    let again = again.unwrap();
    assert_eq!((again.copied, again.updated, again.deleted), (0, 0, 0));
}

#[tokio::test]
async fn a_source_is_deleted_by_condition_where_that_is_honoured_and_looked_at_elsewhere() {
    for careless in [false, true] {
        let one = Fake::with("one", |fake| fake.careless = careless);
        let two = Arc::new(Fake::new("two"));
        for key in 0..5 {
            one.set(&format!("a/{key}"), "x");
        }
        let mut request = request(one.side("a/"), two.side(""));
        request.options.delete_source = true;
        let seen = Arc::new(Seen::default());
        let done = crate::copy_with(
            request,
            small(),
            Arc::clone(&seen) as _,
            tokio_util::sync::CancellationToken::new(),
        );
        assert_eq!(done.await.unwrap().deleted, 5);
        assert!(one.keys().is_empty());
        let notes = seen.notes.lock().unwrap().join("\n");
        let (condition, looked) =
            (notes.contains("If-Match"), notes.contains("looked at just before"));
        assert_eq!((condition, looked), (!careless, careless), "{notes}");
        assert_eq!(one.count("delete_if"), if careless { 1 } else { 6 });
    }
}
