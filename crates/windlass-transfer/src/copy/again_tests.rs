//! Another attempt at a run that was killed, or failed: what was done is not done again, and is told.

use super::tests::{folder, go, pair, request, small};
use super::{CopyRequest, copy_with};
use crate::fake::Fake;
use crate::request::{Action, Item, Progress, Status};
use crate::{ChangeTest, Earlier, IfExists};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_types::{Error, ErrorCode, Result};

fn done(action: Action, source: &str, destination: &str) -> Item {
    Item {
        action,
        source: source.to_owned(),
        destination: destination.to_owned(),
        size: 3,
        status: Status::Done,
        reason: None,
        code: None,
        hint: None,
    }
}

/// Long after all fakes write.
fn late() -> DateTime<Utc> {
    DateTime::from_timestamp(4_102_444_800, 0).unwrap()
}

/// Before any fake writes, but not by much.
fn just_before() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn again(mut request: CopyRequest, began: DateTime<Utc>, items: Vec<Item>) -> CopyRequest {
    request.earlier = Some(Arc::new(Earlier::new(began, items)));
    request
}

#[tokio::test]
async fn what_an_attempt_has_copied_is_not_copied_again_and_all_else_is() {
    let (one, two) = pair();
    for (key, text) in [("a/known", "111"), ("a/new", "222"), ("a/there", "333"), ("a/x", "444")] {
        one.set(key, text);
    }
    // Known and the same; there before the run; known and somebody else's meanwhile.
    for (key, text) in [("known", "111"), ("there", "333"), ("x", "???")] {
        two.set(key, text);
    }
    let items = vec![
        done(Action::Update, "one:b/a/known", "two:b/known"),
        done(Action::Copy, "one:b/a/x", "two:b/x"),
    ];
    let (summary, seen) = go(again(request(one.side("a/"), two.side("")), late(), items)).await;
    let summary = summary.unwrap();
    assert_eq!((summary.copied, summary.updated, summary.skipped, summary.bytes), (3, 1, 0, 12));
    assert_eq!(two.count("put"), 3);
    assert_eq!(two.get_now("x").unwrap().bytes, "444");
    assert_eq!(seen.items.lock().unwrap().len(), 4);
    let lines = seen.lines();
    let told =
        "Done Update one:b/a/known -> two:b/known 3 B (done by an earlier attempt of this run)";
    assert!(lines.contains(told), "{lines}");
}

#[tokio::test]
async fn what_was_written_since_the_run_began_is_not_written_again() {
    // The clock of the service may be five minutes ahead of ours.
    for (minutes, puts) in [(6, 0), (4, 1), (-1, 1)] {
        let (one, two) = pair();
        one.set("a/x", "111");
        two.set("x", "111");
        let written = two.get_now("x").unwrap().meta.last_modified.unwrap();
        let began = written - TimeDelta::minutes(minutes);
        let (summary, _) = go(again(request(one.side("a/"), two.side("")), began, vec![])).await;
        assert_eq!(summary.unwrap().copied, 1);
        assert_eq!(two.count("put"), puts, "{minutes}");
        // What is of another state is written, whenever that was.
        one.set("a/x", "222");
        let (summary, _) = go(again(request(one.side("a/"), two.side("")), began, vec![])).await;
        assert_eq!(summary.unwrap().copied, 1);
        assert_eq!(two.get_now("x").unwrap().bytes, "222");
    }
}

#[tokio::test]
async fn an_object_that_is_given_something_where_it_is_is_given_it() {
    let (one, _) = pair();
    one.set("a/x", "111");
    let mut request = request(one.side("a/"), one.side("a/"));
    request.options.add_metadata.insert("k".to_owned(), "v".to_owned());
    let began = just_before() - TimeDelta::minutes(10);
    let (summary, seen) = go(again(request, began, vec![])).await;
    assert_eq!(summary.unwrap().copied, 1, "{}", seen.lines());
    assert_eq!(one.get_now("a/x").unwrap().meta.metadata["k"], "v");
}

/// A file has the time of its source; when it was made says who wrote it.
#[tokio::test]
async fn a_file_that_was_there_before_the_run_is_written_again() {
    let one = Arc::new(Fake::new("one"));
    one.set("a/x", "111");
    let root = tempfile::tempdir().unwrap();
    let to = || folder(root.path(), "out/");
    go(request(one.side("a/"), to())).await.0.unwrap();
    assert_eq!(one.count("get"), 1);
    let (summary, _) = go(again(request(one.side("a/"), to()), late(), vec![])).await;
    assert_eq!((summary.unwrap().copied, one.count("get")), (1, 2));
    let (summary, _) = go(again(request(one.side("a/"), to()), just_before(), vec![])).await;
    assert_eq!(summary.unwrap().copied, 1);
    // Not every file system knows when a file was made.
    let known = std::fs::metadata(root.path().join("out/x")).unwrap().created().is_ok();
    assert_eq!(one.count("get"), if known { 2 } else { 3 });
}

#[tokio::test]
async fn a_destination_that_may_not_be_listed_is_written_again() {
    let one = Arc::new(Fake::new("one"));
    let two = Fake::with("two", |fake| fake.list_breaks = Some(0));
    one.set("a/x", "111");
    two.set("x", "111");
    let items = vec![done(Action::Copy, "one:b/a/x", "two:b/x")];
    let (summary, _) = go(again(request(one.side("a/"), two.side("")), late(), items)).await;
    assert_eq!((summary.unwrap().copied, two.count("put")), (1, 1));
}

#[tokio::test]
async fn what_must_not_be_there_may_be_there_by_an_earlier_attempt() {
    let (one, two) = pair();
    one.set("a/x", "111");
    two.set("x", "111");
    let mut request = request(one.side("a/"), two.side(""));
    (request.options.if_exists, request.options.change) =
        (IfExists::Fail, Some(ChangeTest::Always));
    let (summary, _) = go(request.clone()).await;
    assert_eq!(summary.unwrap().failed, 1);
    let items = vec![done(Action::Copy, "one:b/a/x", "two:b/x")];
    let (summary, _) = go(again(request, late(), items)).await;
    let summary = summary.unwrap();
    assert_eq!((summary.copied, summary.failed, two.count("put")), (1, 0, 0));
}

#[tokio::test]
async fn what_was_moved_away_or_deleted_is_told_and_counted_and_the_trigger_file_written() {
    for key in ["a/", "a/x"] {
        let (one, two) = pair();
        two.set("out/x", "111");
        let items = vec![
            done(Action::Move, "one:b/a/x", "two:b/out/x"),
            done(Action::Delete, "", "two:b/out/gone"),
        ];
        let mut request = request(one.side(key), two.side("out/"));
        request.options.delete_source = true;
        request.options.trigger = Some("_DONE".to_owned());
        let (summary, seen) = go(again(request, late(), items)).await;
        let summary = summary.unwrap();
        assert_eq!((summary.copied, summary.deleted, summary.bytes), (1, 2, 3), "{key}");
        assert_eq!(seen.items.lock().unwrap().len(), 2);
        assert!(two.get_now("out/_DONE").is_some());
    }
    // What came to the source since is moved too.
    let (one, two) = pair();
    one.set("a/x", "999");
    two.set("x", "111");
    let items = vec![done(Action::Move, "one:b/a/x", "two:b/x")];
    let mut request = request(one.side("a/"), two.side(""));
    request.options.delete_source = true;
    let (summary, seen) = go(again(request, late(), items)).await;
    assert_eq!(summary.unwrap().copied, 1);
    assert!(one.keys().is_empty() && two.get_now("x").unwrap().bytes == "999");
    assert_eq!(seen.items.lock().unwrap().len(), 1);
}

/// Writes a report before the trigger file, or fails to.
struct Reports {
    two: Arc<Fake>,
    fails: bool,
}

impl Progress for Reports {
    fn before_trigger(&self) -> BoxFuture<'_, Result<()>> {
        assert!(self.two.get_now("_DONE").is_none());
        self.two.set("report", "r");
        let result = if self.fails {
            Err(Error::new(ErrorCode::LocalFailed, "no room for the report"))
        } else {
            Ok(())
        };
        Box::pin(std::future::ready(result))
    }
}

#[tokio::test]
async fn the_trigger_file_comes_after_the_report_or_not_at_all() {
    for fails in [false, true] {
        let (one, two) = pair();
        one.set("a/x", "111");
        let mut request = request(one.side("a/"), two.side(""));
        request.options.trigger = Some("_DONE".to_owned());
        let progress = Arc::new(Reports { two: Arc::clone(&two), fails });
        let ended = copy_with(request, small(), progress, CancellationToken::new()).await;
        assert_eq!(ended.is_err(), fails);
        assert!(two.get_now("report").is_some());
        assert_eq!(two.get_now("_DONE").is_none(), fails);
    }
}
