//! What a run must not do by mistake: empty a destination, lose a backup, write over its own copies,
//! or say that nothing was done.

use super::tests::{body, folder, go, pair, request};
use crate::change::IfExists;
use crate::fake::{Fake, Fault};
use crate::options::{CopyOptions, OnTrouble};
use crate::request::{CopyRequest, Side};
use std::sync::Arc;
use windlass_types::{ErrorCode, RunId};

fn with(source: Side, destination: Side, set: impl FnOnce(&mut CopyOptions)) -> CopyRequest {
    let mut request = request(source, destination);
    set(&mut request.options);
    request
}

fn mirror(source: Side, destination: Side) -> CopyRequest {
    with(source, destination, |o| (o.sync, o.delete) = (true, true))
}

#[tokio::test]
async fn a_source_without_anything_deletes_nothing_whatever_it_is() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("empty")).unwrap();
    std::os::unix::fs::symlink("gone", root.path().join("empty/link")).unwrap();
    let (one, two) = pair();
    one.set("marked/", "");
    two.set("d/kept", "x");
    let empty = Arc::new(Fake::new("empty"));
    for (source, code) in [
        (folder(root.path(), "empty/"), ErrorCode::TransferRefused),
        (folder(&root.path().join("empty"), ""), ErrorCode::TransferRefused),
        (folder(root.path(), "absent/"), ErrorCode::ObjectNotFound),
        (empty.side(""), ErrorCode::TransferRefused),
        (empty.side("a/"), ErrorCode::ObjectNotFound),
        (one.side("marked/"), ErrorCode::TransferRefused),
    ] {
        for dry in [true, false] {
            let mut request = mirror(source.clone(), two.side("d/"));
            request.options.dry_run = dry;
            let error = go(request).await.0.unwrap_err();
            assert_eq!(error.code(), code, "{error:?}");
            assert!(error.hint_text().is_some());
        }
        assert!(two.get_now("d/kept").is_some());
    }
    // With nothing to delete there is nothing to refuse.
    go(mirror(folder(root.path(), "empty/"), two.side("other/"))).await.0.unwrap();
}

#[tokio::test]
async fn a_trigger_file_replaces_no_copy() {
    let (one, two) = pair();
    one.set("a/1", "1");
    one.set("a/_T", "data");
    let into = |set: fn(&mut CopyOptions)| {
        with(one.side("a/"), two.side("d/"), |o| {
            o.trigger = Some("_T".into());
            set(o);
        })
    };
    let refused = |request| async {
        let error = go(request).await.0.unwrap_err();
        assert_eq!(error.code(), ErrorCode::TransferRefused, "{error:?}");
    };
    refused(into(|o| o.sync = true)).await;
    refused(into(|o| o.files = Some(vec!["1".into(), "_T".into()]))).await;
    refused(with(one.side("a/_T"), two.side("d/"), |o| o.trigger = Some("_T".into()))).await;
    refused(with(one.side("a/1"), two.side("d/_T"), |o| o.trigger = Some("_T".into()))).await;
    refused(with(one.side("a/*"), two.side("d/"), |o| o.trigger = Some("_T".into()))).await;
    assert!(two.keys().is_empty(), "nothing is copied before");
    // What is not chosen is not copied.
    go(into(|o| o.exclude = vec!["_T".into()])).await.0.unwrap();
    assert_eq!(two.get_now("d/_T").unwrap().bytes, "");
    go(into(|o| o.max_size = Some(1))).await.0.unwrap();
    assert_eq!(two.get_now("d/_T").unwrap().bytes, "");
    // Where it cannot be known before, the copy stays and the run says so.
    one.fault("stat", "a/_T", 1, Fault::Denied);
    refused(into(|_| ())).await;
    assert_eq!(two.get_now("d/_T").unwrap().bytes, "data");
}

#[tokio::test]
async fn a_sync_leaves_its_own_trigger_and_reports_alone() {
    let (one, two) = pair();
    one.set("a/1", "1");
    let run = RunId::new();
    let theirs = ["d/r.csv".to_owned(), format!("d/log/{run}.csv"), format!("d/log/{run}.jsonl")];
    for key in
        ["d/log/other.csv", "d/r.csv.old"].into_iter().chain(theirs.iter().map(String::as_str))
    {
        two.set(key, "report");
    }
    let sync = || {
        with(one.side("a/"), two.side("d/"), |o| {
            (o.sync, o.delete, o.trigger) = (true, true, Some("_DONE".into()));
            o.reports = vec!["d/r.csv".into(), "d/log/".into()];
        })
    };
    let done = go(sync()).await.0.unwrap();
    assert_eq!((done.copied, done.deleted), (1, 2));
    let mut kept: Vec<String> =
        theirs.into_iter().chain(["d/1".into(), "d/_DONE".into()]).collect();
    kept.sort();
    assert_eq!(two.keys(), kept);
    two.set("d/_DONE", "seen");
    let done = go(sync()).await.0.unwrap();
    assert_eq!((done.copied, done.updated, done.deleted), (0, 0, 0));
    assert_eq!(two.get_now("d/_DONE").unwrap().bytes, "seen", "not written again");
}

#[tokio::test]
async fn a_backup_is_kept_beside_an_earlier_one() {
    let (one, two) = pair();
    one.set("a/k", "k");
    for text in ["first", "second", "third"] {
        two.set("d/x.txt", text);
        let done = go(with(one.side("a/"), two.side("d/"), |o| {
            (o.sync, o.delete, o.backup_to) = (true, true, Some("old/".into()));
        }))
        .await;
        assert_eq!(done.0.unwrap().deleted, 1);
    }
    let mut backups: Vec<String> = two
        .keys()
        .into_iter()
        .filter(|key| key.starts_with("old/"))
        .map(|key| String::from_utf8(two.get_now(&key).unwrap().bytes.to_vec()).unwrap())
        .collect();
    backups.sort();
    assert_eq!(backups, ["first", "second", "third"]);
}

#[tokio::test]
async fn a_list_is_checked_before_anything_is_copied_and_names_count_once() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    std::fs::write(root.path().join("a/1"), "1").unwrap();
    let two = Arc::new(Fake::new("two"));
    let listed = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        with(folder(root.path(), "a/"), two.side(""), |o| {
            (o.files, o.delete_source) = (Some(names), true);
        })
    };
    for bad in ["../x", "/etc/passwd", "x//y", "a\0b"] {
        let error = go(listed(&["1", bad])).await.0.unwrap_err();
        let code = error.code();
        assert!(matches!(code, ErrorCode::PathInvalid | ErrorCode::PathOutside), "{error:?}");
        assert!(two.keys().is_empty(), "{bad:?}");
    }
    let done = go(listed(&["1", "1"])).await.0.unwrap();
    assert_eq!((done.copied, done.deleted, done.failed), (1, 1, 0));
}

#[tokio::test]
async fn a_move_that_cannot_delete_says_that_it_copied() {
    let (one, two) = pair();
    for key in ["a/1", "a/2"] {
        one.set(key, "x");
        one.fault("delete_if", key, 9, Fault::Denied);
    }
    let moving = |source| with(source, two.side("d/"), |o| o.delete_source = true);
    let (done, seen) = go(moving(one.side("a/"))).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.deleted, done.failed, done.bytes), (2, 0, 2, 2));
    assert!(seen.lines().contains("copied, but not deleted at the source"), "{}", seen.lines());
    assert_eq!((one.keys().len(), two.keys().len()), (2, 2));
    let error = go(moving(one.side("a/1"))).await.0.unwrap_err();
    assert_eq!(error.message(), "copied, but not deleted at the source");
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_said_to_be_left_out() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("a")).unwrap();
    std::fs::write(root.path().join("a/1"), "1").unwrap();
    symlink("nowhere", root.path().join("a/link")).unwrap();
    let two = Arc::new(Fake::new("two"));
    two.set("link", "of before");
    for sync in [false, true] {
        let (done, seen) = go(with(folder(root.path(), "a/"), two.side(""), |o| {
            (o.sync, o.delete) = (sync, sync);
        }))
        .await;
        let done = done.unwrap();
        assert_eq!((done.skipped, done.failed, done.deleted), (1 + u64::from(sync), 0, 0));
        assert!(seen.lines().contains("a link that leads to nothing"), "{}", seen.lines());
    }
    // Links of the destination are its own business.
    two.remove("link");
    let back = go(mirror(two.side(""), folder(root.path(), "a/"))).await.0.unwrap();
    assert_eq!((back.deleted, back.failed), (0, 0));
    assert!(root.path().join("a/link").is_symlink());
}

#[tokio::test]
async fn folders_have_no_metadata_and_say_so() {
    let root = tempfile::tempdir().unwrap();
    let (one, _) = pair();
    one.set("a/1", "1");
    let sets: [fn(&mut CopyOptions); 3] = [
        |o| o.metadata = Some([("x".to_owned(), "y".to_owned())].into()),
        |o| o.add_metadata = [("x".to_owned(), "y".to_owned())].into(),
        |o| o.headers = [("content-type".to_owned(), "text/csv".to_owned())].into(),
    ];
    for set in sets {
        let into = with(one.side("a/"), folder(root.path(), "to/"), set);
        let error = go(into).await.0.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UsageInvalid, "{error:?}");
    }
    let dropped = with(one.side("a/"), folder(root.path(), "to/"), |o| {
        o.metadata = Some([].into());
    });
    go(dropped).await.0.unwrap();
}

#[tokio::test]
async fn what_got_another_name_is_not_deleted_by_the_next_sync() {
    let root = tempfile::tempdir().unwrap();
    let one = Arc::new(Fake::new("one"));
    for key in ["a/b", "a/b/c", "a//e", "a/../up", "a/./d"] {
        one.set(key, key.to_owned());
    }
    let again = |most: Option<&str>| {
        with(one.side("a/"), folder(root.path(), "d/"), |o| {
            (o.sync, o.delete, o.names) = (true, true, OnTrouble::Rename);
            o.max_delete = most.map(|most| most.parse().unwrap());
        })
    };
    assert_eq!(go(again(None)).await.0.unwrap().copied, 5);
    std::fs::write(root.path().join("d/old"), "old").unwrap();
    let (done, seen) = go(again(Some("1"))).await;
    let done = done.unwrap();
    assert_eq!((done.copied, done.deleted, done.skipped), (0, 1, 5), "{}", seen.lines());
    let done = go(again(None)).await.0.unwrap();
    assert_eq!((done.copied, done.deleted, done.skipped), (0, 0, 5));
}

#[tokio::test]
async fn a_sync_that_deletes_keeps_nothing_beside() {
    let (one, two) = pair();
    one.set("a/x", "1");
    let (refused, _) = go(with(one.side("a/"), two.side(""), |o| {
        (o.sync, o.delete, o.if_exists) = (true, true, IfExists::KeepBoth);
    }))
    .await;
    assert_eq!(refused.unwrap_err().code(), ErrorCode::UsageInvalid);
    assert!(two.keys().is_empty());
}

#[tokio::test]
async fn a_listed_name_that_the_service_refuses_fails_alone() {
    let (one, two) = pair();
    one.set("a/good", "1");
    one.set("a/bad", "1");
    for operation in ["stat", "get"] {
        one.fault(operation, "a/bad", 99, Fault::Denied);
    }
    let listed = with(one.side("a/"), two.side(""), |o| {
        o.files = Some(vec!["bad".to_owned(), "good".to_owned()]);
    });
    let done = go(listed).await.0.unwrap();
    assert_eq!((done.copied, done.failed), (1, 1));
    assert_eq!(two.keys(), ["good"]);
}

#[tokio::test]
async fn a_condition_that_holds_for_whole_objects_only_does_not_stop_a_copy() {
    let one = Fake::with("one", |fake| fake.parts_differ = true);
    let root = tempfile::tempdir().unwrap();
    let up = Arc::new(Fake::new("up"));
    up.set("x", body(5000, 1));
    assert_eq!(go(request(up.side("x"), one.side("a/large"))).await.0.unwrap().copied, 1);
    assert!(one.get_now("a/large").unwrap().meta.etag.unwrap().contains('-'));
    let (done, seen) = go(request(one.side("a/"), folder(root.path(), "d/"))).await;
    assert_eq!(done.unwrap().copied, 1, "{}", seen.lines());
    assert_eq!(std::fs::read(root.path().join("d/large")).unwrap(), body(5000, 1));
}

#[tokio::test]
async fn what_is_written_after_it_was_listed_is_not_deleted() {
    for (operation, key) in [("stat", "d/1"), ("delete_if", "d/2")] {
        let (one, two) = pair();
        one.set("a/k", "k");
        for key in ["d/1", "d/2", "d/3"] {
            two.set(key, "old");
        }
        // One is looked at; the others are deleted under the ETags that they were listed with.
        two.fault(operation, key, 1, Fault::Change);
        let (done, seen) = go(mirror(one.side("a/"), two.side("d/"))).await;
        let done = done.unwrap();
        assert_eq!((done.deleted, done.failed), (2, 0), "{}", seen.lines());
        assert!(seen.lines().contains("so it was not deleted"), "{}", seen.lines());
        assert_eq!(two.keys(), [key, "d/k"]);
        assert_eq!(two.count("stat"), if key == "d/1" { 2 } else { 1 });
    }
    // A service that takes no notice of the condition deletes as ever.
    let (one, two) = (Fake::new("one"), Fake::with("two", |fake| fake.careless = true));
    one.set("a/k", "k");
    for key in ["d/1", "d/2", "d/3"] {
        two.set(key, "old");
    }
    let done = go(mirror(Arc::new(one).side("a/"), two.side("d/"))).await.0.unwrap();
    assert_eq!((done.deleted, two.keys().len()), (3, 1));
    assert_eq!((two.count("delete_if"), two.count("delete ")), (1, 3));
}

#[tokio::test]
async fn a_folder_does_not_go_into_itself_whatever_it_is_called() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("a/b")).unwrap();
    std::fs::write(root.path().join("a/1"), "1").unwrap();
    std::os::unix::fs::symlink("a", root.path().join("link")).unwrap();
    let bare = |path: &str| {
        let (store, location) = windlass_s3::local::local_side(&root.path().join(path)).unwrap();
        Side { storage: Arc::new(store), location }
    };
    for (source, destination) in [
        (folder(root.path(), "a/"), folder(&root.path().join("a"), "b/")),
        (folder(root.path(), "a/"), bare("a/b/")),
        (bare("a/"), folder(root.path(), "a/new/x/")),
        (bare("a/"), bare("link/new/")),
    ] {
        let error = go(request(source, destination)).await.0.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PathInvalid, "{error:?}");
        assert!(error.message().contains("lies inside the source"), "{error:?}");
    }
    assert!(!root.path().join("a/new").exists());
    let error = go(request(bare("a/"), bare("a/b/"))).await.0.unwrap_err();
    let root_path = root.path().display();
    assert_eq!(
        error.message(),
        format!("the destination `{root_path}/a/b/` lies inside the source `{root_path}/a/`")
    );
    let error = go(request(bare("none"), bare("b/"))).await.0.unwrap_err();
    let hint = format!("for everything below it write `{root_path}/none/`");
    assert_eq!(error.hint_text(), Some(hint.as_str()));
    go(request(bare("a/"), folder(root.path(), "b/"))).await.0.unwrap();
}

#[tokio::test]
async fn what_the_service_may_not_copy_goes_through_this_machine_if_that_helps() {
    for helps in [true, false] {
        let one = Fake::with("one", |fake| fake.group = Some("s".into()));
        for key in 0..5 {
            one.set(&format!("a/{key}"), "x");
            one.fault("copy", &format!("a/{key}"), 9, Fault::Denied);
            if !helps {
                one.fault("put", &format!("b/{key}"), 9, Fault::Denied);
            }
        }
        let (done, seen) = go(request(one.side("a/"), one.side("b/"))).await;
        let done = done.unwrap();
        let expected = if helps { (5, 0, 5) } else { (0, 5, 1) };
        assert_eq!((done.copied, done.failed, one.count("put")), expected, "{}", seen.lines());
        let notes = seen.notes.lock().unwrap().join("\n");
        assert_eq!(notes.contains("pass through this machine"), helps, "{notes}");
    }
}

#[tokio::test]
async fn a_source_that_changes_all_the_time_is_said_to_whatever_the_destination_is() {
    let (one, two) = pair();
    one.set("a/x", "1");
    one.fault("get", "a/x", 99, Fault::Change);
    let (done, seen) = go(with(one.side("a/"), two.side(""), |o| o.sync = true)).await;
    assert_eq!(done.unwrap().failed, 1);
    assert!(seen.lines().contains("changed while reading"), "{}", seen.lines());
}
