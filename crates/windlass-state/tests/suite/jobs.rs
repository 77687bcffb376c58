//! Jobs and runs.

use crate::place::{Place, name};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use windlass_state::{
    Beat, Delivery, Fired, JobRow, NewAlert, NewConnection, NewJob, NewRun, NewUpload, RunClaim,
    RunEnd, RunEvent, RunFilter, RunLogBatch, RunMark, RunRow, Sealed, SecretOrigin, SeenShard,
    Store,
};
use windlass_types::error::ErrorBody;
use windlass_types::{
    Cause, ConnectionId, ConnectionKind, Error, ErrorCode, FabricId, JobPolicy, JobState, Level,
    OptionMap, Overlap, Progress, RunId, RunItem, RunState,
};

/// So many seconds after some time.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_780_000_000_123_456).unwrap() + TimeDelta::seconds(seconds)
}

fn new_job(job: &str) -> NewJob {
    NewJob {
        name: name(job),
        kind: "copy_files".to_owned(),
        definition: "CREATE JOB j AS COPY FILES ...".to_owned(),
        payload: json!({ "from": "a" }),
        trigger: json!({ "on": "every", "seconds": 60 }),
        policy: JobPolicy::default(),
        alerts: json!([]),
        connections: Vec::new(),
        secrets: Vec::new(),
        next_fire: Some(at(60)),
    }
}

async fn connection(store: &Store, fabric: FabricId, text: &str) -> ConnectionId {
    let new = NewConnection {
        name: name(text),
        kind: ConnectionKind::S3,
        options: OptionMap::new(),
        sealed: Sealed::new(),
    };
    store.insert_connection(fabric, new, at(0)).await.unwrap().id
}

async fn with_overlap(store: &Store, fabric: FabricId, job: &str, overlap: Overlap) -> JobRow {
    let policy = JobPolicy { overlap, ..JobPolicy::default() };
    store.create_job(fabric, NewJob { policy, ..new_job(job) }, at(0)).await.unwrap()
}

async fn run_of(store: &Store, job: &JobRow, now: DateTime<Utc>) -> (RunId, RunState) {
    let run = NewRun::of_job(job, Cause::Manual, now, Value::Null);
    store.insert_run(run, job.policy.overlap, now).await.unwrap()
}

async fn claim(store: &Store, run: RunId, owner: &str, now: i64) -> Option<(RunRow, RunClaim)> {
    store.claim_run(run, owner, at(now), at(now + 30)).await.unwrap()
}

fn end(state: RunState) -> RunEnd {
    RunEnd { state, summary: Some(json!({ "copied": 2 })), error: None, alerts: Vec::new() }
}

fn item(key: &str, status: &str) -> RunItem {
    RunItem {
        action: "copy".to_owned(),
        source: key.to_owned(),
        destination: format!("out/{key}"),
        size: Some(u64::from(u32::MAX) * 3),
        status: status.to_owned(),
        reason: (status == "failed").then(|| "denied".to_owned()),
        code: Some("object.changed".to_owned()),
        hint: None,
    }
}

async fn jobs_are_kept_changed_and_dropped(place: Place) {
    let (store, fabric) = place.fresh().await;
    let landing = connection(&store, fabric, "landing").await;
    let lake = connection(&store, fabric, "lake").await;
    let new = NewJob { connections: vec![landing, lake, landing], ..new_job("nightly") };
    let job = store.create_job(fabric, new.clone(), at(0)).await.unwrap();
    assert_eq!(store.job(fabric, &name("nightly")).await.unwrap(), job);
    assert_eq!(store.jobs(fabric).await.unwrap(), std::slice::from_ref(&job));
    let again = store.create_job(fabric, new.clone(), at(0)).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::JobExists);
    let other = store.create_fabric(&name("dev"), at(0)).await.unwrap().id;
    let elsewhere = NewJob { connections: Vec::new(), ..new.clone() };
    store.create_job(other, elsewhere, at(0)).await.unwrap();
    let unknown = NewJob { connections: vec![ConnectionId::new()], ..new_job("x") };
    let unknown = store.create_job(fabric, unknown, at(0)).await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::ConnectionNotFound);

    // What a job uses is not dropped.
    assert_eq!(store.dependents(landing).await.unwrap(), ["job nightly"]);
    let used = store.delete_connection(fabric, &name("landing")).await.unwrap_err();
    assert_eq!(used.message(), "connection `landing` is used by job nightly");

    let hook = SecretString::from("https://hooks.example.com/t0ken".to_owned());
    let k = name("hook");
    let unknown = NewJob { secrets: vec![k.clone()], ..new_job("x") };
    let unknown = store.create_job(fabric, unknown, at(0)).await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::SecretNotFound);
    store.create_secret(fabric, &k, &hook, SecretOrigin::Value, at(0)).await.unwrap();
    let tells = NewJob { secrets: vec![k.clone()], ..new_job("tells") };
    store.create_job(fabric, tells, at(0)).await.unwrap();
    assert_eq!(store.secrets(fabric).await.unwrap()[0].used_by, [name("tells")]);
    let used = store.drop_secret(fabric, &k).await.unwrap_err();
    assert_eq!(used.message(), "secret `hook` is used by tells");
    store.drop_job(fabric, &name("tells")).await.unwrap();
    store.drop_secret(fabric, &k).await.unwrap();

    let changed = NewJob { connections: vec![lake], name: name("daily"), ..new };
    let altered = store.alter_job(&job, changed.clone(), at(5)).await.unwrap();
    assert_eq!((altered.id, altered.created, altered.updated), (job.id, job.created, at(5)));
    let stale = store.alter_job(&job, changed, at(6)).await.unwrap_err();
    assert_eq!(stale.code(), ErrorCode::JobChanged);
    store.delete_connection(fabric, &name("landing")).await.unwrap();

    let paused = store.set_job_state(job.id, JobState::Paused, None, at(7)).await.unwrap();
    assert_eq!((paused.state, paused.next_fire), (JobState::Paused, None));
    let (run, _) = run_of(&store, &altered, at(8)).await;
    store.drop_job(fabric, &name("daily")).await.unwrap();
    let gone = store.drop_job(fabric, &name("daily")).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::JobNotFound);
    let kept = store.run(run).await.unwrap();
    assert_eq!((kept.job, kept.job_name), (None, Some(name("daily"))));
    store.delete_connection(fabric, &name("lake")).await.unwrap();
}

async fn a_due_job_fires_once_however_many_try(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    assert!(store.due_jobs(at(59), 10).await.unwrap().is_empty());
    assert_eq!(store.due_jobs(at(60), 10).await.unwrap(), std::slice::from_ref(&job));
    let stores = [place.open().await, place.open().await, place.open().await];
    let fire = async |store: &Store| {
        let run = NewRun::of_job(&job, Cause::Interval, at(60), Value::Null);
        store.fire_job(&job, Some(at(120)), Some(run), None, at(61)).await.unwrap()
    };
    let (a, b, c) = tokio::join!(fire(&stores[0]), fire(&stores[1]), fire(&stores[2]));
    let fired = [a, b, c];
    assert_eq!(fired.iter().filter(|fired| **fired == Fired::Lost).count(), 2, "{fired:?}");
    let runs = store.runs(fabric, RunFilter::default()).await.unwrap();
    assert_eq!((runs.len(), runs[0].scheduled_for, runs[0].cause), (1, at(60), Cause::Interval));
    assert_eq!(store.job_by_id(job.id).await.unwrap().next_fire, Some(at(120)));
    // A paused job does not fire, nor one that was changed since it was read.
    let job = store.job_by_id(job.id).await.unwrap();
    store.set_job_state(job.id, JobState::Paused, job.next_fire, at(70)).await.unwrap();
    let lost = store.fire_job(&job, None, None, None, at(120)).await.unwrap();
    assert_eq!(lost, Fired::Lost);
    // A missed time leaves a trace.
    let job = store.set_job_state(job.id, JobState::Active, Some(at(120)), at(71)).await.unwrap();
    let why = Error::new(ErrorCode::RunLost, "nobody was there");
    let run = NewRun::of_job(&job, Cause::Interval, at(120), Value::Null);
    let skipped =
        store.fire_job(&job, Some(at(900)), Some(run), Some(&why), at(800)).await.unwrap();
    let Fired::Run(run, RunState::Skipped) = skipped else { panic!("{skipped:?}") };
    let run = store.run(run).await.unwrap();
    assert_eq!(run.error.unwrap().message, "nobody was there");
    assert_eq!(run.finished, Some(at(800)));
}

async fn the_overlap_rule_holds_when_runs_are_made_and_taken(place: Place) {
    let (store, fabric) = place.fresh().await;
    let skip = with_overlap(&store, fabric, "skip", Overlap::Skip).await;
    let (first, state) = run_of(&store, &skip, at(0)).await;
    assert_eq!(state, RunState::Queued);
    assert_eq!(run_of(&store, &skip, at(0)).await.1, RunState::Skipped);
    let (_, token) = claim(&store, first, "a", 0).await.unwrap();
    assert_eq!(run_of(&store, &skip, at(1)).await.1, RunState::Skipped);
    assert!(store.finish_run(token, end(RunState::Succeeded), at(2)).await.unwrap());
    assert_eq!(run_of(&store, &skip, at(3)).await.1, RunState::Queued);

    let queue = with_overlap(&store, fabric, "queue", Overlap::Queue).await;
    let (first, _) = run_of(&store, &queue, at(0)).await;
    let (_, token) = claim(&store, first, "a", 0).await.unwrap();
    let (second, state) = run_of(&store, &queue, at(1)).await;
    assert_eq!(state, RunState::Queued);
    assert_eq!(run_of(&store, &queue, at(1)).await.1, RunState::Skipped, "one waits");
    assert!(claim(&store, second, "b", 1).await.is_none());
    assert!(!store.free_runs(at(1), 100).await.unwrap().iter().any(|(id, _)| *id == second));
    store.finish_run(token, end(RunState::Failed), at(2)).await.unwrap();
    assert!(claim(&store, second, "b", 2).await.is_some());

    let allow = with_overlap(&store, fabric, "allow", Overlap::Allow).await;
    for _ in 0..3 {
        let (run, _) = run_of(&store, &allow, at(0)).await;
        assert!(claim(&store, run, "a", 0).await.is_some());
    }
}

async fn a_run_is_held_by_one_and_taken_over_from_the_silent(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Skip).await;
    let (run, _) = run_of(&store, &job, at(0)).await;
    let stores = [place.open().await, place.open().await, place.open().await];
    let (a, b, c) = tokio::join!(
        claim(&stores[0], run, "a", 0),
        claim(&stores[1], run, "b", 0),
        claim(&stores[2], run, "c", 0),
    );
    let mut held: Vec<(RunRow, RunClaim)> = [a, b, c].into_iter().flatten().collect();
    assert_eq!(held.len(), 1);
    let (row, first) = held.remove(0);
    assert_eq!((row.attempt, row.resumed, row.started), (1, false, Some(at(0))));
    assert_eq!(store.beat_run(first, at(20), at(50)).await.unwrap(), Beat::Held { cancel: false });
    assert!(claim(&store, run, "d", 50).await.is_none(), "the lease still runs");
    assert_eq!(store.free_runs(at(51), 9).await.unwrap(), [(run, "copy_files".to_owned())]);
    let (row, second) = claim(&store, run, "d", 51).await.unwrap();
    assert_eq!((row.attempt, row.resumed, row.takeovers), (1, true, 1));
    assert_eq!((row.started, row.attempt_started), (Some(at(0)), Some(at(0))));
    // The first owner wakes up and can do nothing.
    assert_eq!(store.beat_run(first, at(52), at(99)).await.unwrap(), Beat::Lost);
    assert_eq!(store.look_at_run(first).await.unwrap(), Beat::Lost);
    let batch = RunLogBatch { items: vec![(1, item("x", "done"))], ..RunLogBatch::default() };
    assert!(!store.write_log(first, &batch).await.unwrap());
    let mark = [RunMark { name: "at".to_owned(), value: "x".to_owned() }];
    assert!(!store.set_marks(first, &mark).await.unwrap());
    assert!(!store.finish_run(first, end(RunState::Failed), at(53)).await.unwrap());
    assert!(!store.requeue_run(first, None, at(53)).await.unwrap());
    assert!(store.run_items(run, None, 0, 9).await.unwrap().is_empty());
    // Given back, it goes on elsewhere as the same attempt; failed, as the next.
    assert!(store.requeue_run(second, None, at(60)).await.unwrap());
    assert!(claim(&store, run, "e", 59).await.is_none());
    let (row, third) = claim(&store, run, "e", 60).await.unwrap();
    assert_eq!((row.attempt, row.resumed, row.attempt_started), (1, true, Some(at(0))));
    let why = ErrorBody::from(&Error::new(ErrorCode::ConnectionBusy, "slow down"));
    assert!(store.requeue_run(third, Some(why), at(90)).await.unwrap());
    let waiting = store.run(run).await.unwrap();
    assert_eq!((waiting.state, waiting.attempt), (RunState::Queued, 2));
    assert_eq!(waiting.error.unwrap().code, "connection.busy");
    let (row, fourth) = claim(&store, run, "a", 90).await.unwrap();
    assert_eq!((row.attempt, row.resumed, row.attempt_started), (2, false, Some(at(90))));
    assert!(row.error.is_none());
    assert!(store.finish_run(fourth, end(RunState::Succeeded), at(95)).await.unwrap());
    let done = store.run(run).await.unwrap();
    assert_eq!((done.state, done.finished), (RunState::Succeeded, Some(at(95))));
    assert_eq!(done.summary, Some(json!({ "copied": 2 })));
    assert_eq!(store.state_before(job.id, RunId::new()).await.unwrap(), Some(RunState::Succeeded));
    assert_eq!(store.state_before(job.id, run).await.unwrap(), None);
}

async fn a_cancelled_run_stops_or_never_begins(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    let (queued, _) = run_of(&store, &job, at(0)).await;
    assert_eq!(store.cancel_run(queued, at(1)).await.unwrap(), RunState::Cancelled);
    assert!(claim(&store, queued, "a", 2).await.is_none());
    let ended = store.cancel_run(queued, at(3)).await.unwrap_err();
    assert_eq!(ended.code(), ErrorCode::RunEnded);
    let (running, _) = run_of(&store, &job, at(0)).await;
    let (_, token) = claim(&store, running, "a", 0).await.unwrap();
    assert_eq!(store.cancel_run(running, at(1)).await.unwrap(), RunState::Running);
    assert_eq!(store.look_at_run(token).await.unwrap(), Beat::Held { cancel: true });
    assert_eq!(store.beat_run(token, at(1), at(9)).await.unwrap(), Beat::Held { cancel: true });
    // Its owner has died: nobody else will end it.
    let (dead, _) = run_of(&store, &job, at(0)).await;
    let (_, token) = claim(&store, dead, "a", 0).await.unwrap();
    assert!(!store.expire_run(dead, "b", at(1)).await.unwrap());
    assert!(store.expire_run(dead, "a", at(1)).await.unwrap());
    assert_eq!(store.cancel_run(dead, at(1)).await.unwrap(), RunState::Cancelled);
    assert_eq!(store.beat_run(token, at(1), at(9)).await.unwrap(), Beat::Lost);
    let unknown = store.cancel_run(RunId::new(), at(0)).await.unwrap_err();
    assert_eq!(unknown.code(), ErrorCode::RunNotFound);
    assert_eq!(store.open_runs(job.id).await.unwrap().len(), 1);
}

async fn a_run_leaves_its_log(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    let (run, _) = run_of(&store, &job, at(0)).await;
    let (_, token) = claim(&store, run, "a", 0).await.unwrap();
    assert_eq!(store.log_ends(run).await.unwrap(), (0, 0));
    let progress = Progress { planned_items: Some(1_050), done_bytes: 7, ..Progress::default() };
    let items: Vec<(i64, RunItem)> = (1..=1_050)
        .map(|seq| {
            (seq, item(&format!("k{seq}\0é"), if seq % 500 == 0 { "failed" } else { "done" }))
        })
        .collect();
    let event = |seq: i64| RunEvent {
        seq,
        at: at(seq),
        level: Level::Warning,
        message: format!("line {seq}"),
    };
    let events = (1..=201).map(event).collect();
    let batch = RunLogBatch { progress: Some(progress), events, items };
    assert!(store.write_log(token, &batch).await.unwrap());
    assert_eq!(store.log_ends(run).await.unwrap(), (201, 1_050));
    assert_eq!(store.run(run).await.unwrap().progress, progress);
    let failed = store.run_items(run, Some("failed"), 0, 100).await.unwrap();
    assert_eq!(failed.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [500, 1_000]);
    let RunItem { source, size, reason, .. } = &failed[0].1;
    assert_eq!(source, "k500\u{fffd}é");
    assert_eq!((size, reason.as_deref()), (&Some(12_884_901_885), Some("denied")));
    assert_eq!(store.run_items(run, None, 1_000, 10).await.unwrap().len(), 10);
    assert_eq!(store.run_events(run, 200, 10).await.unwrap(), [event(201)]);
    let shown = store.fabric_items(fabric, Some("j"), Some("failed"), 9).await.unwrap();
    assert_eq!(shown.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [run, run]);
    assert_eq!(store.fabric_items(fabric, None, None, 9).await.unwrap().len(), 9);
    assert!(store.fabric_items(fabric, Some("other"), None, 9).await.unwrap().is_empty());
    assert_eq!(store.fabric_events(fabric, Some("j"), 9).await.unwrap().len(), 9);
    assert!(store.fabric_events(fabric, Some("other"), 9).await.unwrap().is_empty());

    let mark = |value: &str| [RunMark { name: "position".to_owned(), value: value.to_owned() }];
    assert!(store.set_marks(token, &mark("a")).await.unwrap());
    assert!(store.set_marks(token, &mark("b")).await.unwrap());
    assert_eq!(store.marks(run).await.unwrap(), mark("b"));
}

async fn uploads_are_known_until_they_are_ended(place: Place) {
    let (store, fabric) = place.fresh().await;
    let lake = connection(&store, fabric, "lake").await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    let (run, _) = run_of(&store, &job, at(0)).await;
    let (_, token) = claim(&store, run, "a", 0).await.unwrap();
    let key = "k".repeat(1_024);
    let mut upload = NewUpload {
        connection: lake,
        bucket: "b".to_owned(),
        key: key.clone(),
        upload_id: "u0".to_owned(),
        source: json!({ "etag": "x" }),
    };
    assert!(store.save_upload(token, &upload, at(1)).await.unwrap());
    "u1".clone_into(&mut upload.upload_id);
    assert!(store.save_upload(token, &upload, at(2)).await.unwrap());
    let stored = store.uploads_at(lake, "b", &key).await.unwrap();
    assert_eq!((stored.len(), &stored[0].row.upload), (1, &upload));
    let left = &stored[0];
    assert_eq!((left.row.updated, left.owner.as_deref()), (at(2), Some("a")));
    assert!(left.running && !left.queued && left.lease_until.is_some(), "its run goes on");
    store.finish_run(token, end(RunState::Cancelled), at(3)).await.unwrap();
    assert!(!store.save_upload(token, &upload, at(4)).await.unwrap());
    let all = store.all_uploads().await.unwrap();
    assert_eq!((all.len(), all[0].running, all[0].queued), (1, false, false));
    // Nothing forgets an upload that somebody must abort.
    assert_eq!(store.prune_runs(at(100)).await.unwrap(), 0);

    let (other, _) = run_of(&store, &job, at(5)).await;
    let (_, taker) = claim(&store, other, "b", 5).await.unwrap();
    assert!(!store.take_upload(token, &all[0].row, at(6)).await.unwrap(), "its run has ended");
    assert!(store.take_upload(taker, &all[0].row, at(6)).await.unwrap());
    assert!(!store.take_upload(taker, &all[0].row, at(7)).await.unwrap(), "taken already");
    let there = store.uploads_at(lake, "b", &key).await.unwrap();
    assert_eq!((there.len(), there[0].row.run, there[0].running), (1, other, true));
    store.finish_run(taker, end(RunState::Succeeded), at(8)).await.unwrap();
    store.forget_upload(&upload).await.unwrap();
    assert_eq!(store.prune_runs(at(100)).await.unwrap(), 2);
    assert_eq!(store.run(run).await.unwrap_err().code(), ErrorCode::RunNotFound);
}

async fn of_an_item_that_was_tried_again_the_last_word_stays(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    let (run, _) = run_of(&store, &job, at(0)).await;
    let (_, first) = claim(&store, run, "a", 0).await.unwrap();
    let write = async |token, from: i64, words: &[(&str, &str)]| {
        let items = (from..).zip(words).map(|(seq, (key, status))| (seq, item(key, status)));
        let batch = RunLogBatch { items: items.collect(), ..RunLogBatch::default() };
        assert!(store.write_log(token, &batch).await.unwrap());
    };
    let shown = async || {
        let items = store.run_items(run, None, 0, 99).await.unwrap();
        let words =
            items.iter().map(|(seq, item)| format!("{seq} {} {}", item.source, item.status));
        words.collect::<Vec<_>>().join(", ")
    };
    write(first, 1, &[("a", "done"), ("b", "failed"), ("c", "failed"), ("d", "skipped")]).await;
    let (_, second) = claim(&store, run, "b", 51).await.unwrap();
    assert!(!store.settle_items(first, None).await.unwrap(), "it was taken over");
    write(second, 5, &[("b", "done"), ("e", "failed")]).await;
    // An attempt that ended early has not met all.
    assert!(store.settle_items(second, None).await.unwrap());
    assert_eq!(shown().await, "1 a done, 3 c failed, 4 d skipped, 5 b done, 6 e failed");
    write(second, 7, &[("a", "failed"), ("e", "failed")]).await;
    assert!(store.settle_items(second, Some(6)).await.unwrap());
    assert_eq!(shown().await, "5 b done, 7 a failed, 8 e failed");
}

async fn old_runs_are_deleted_with_their_logs(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    for index in 0..103 {
        let (run, _) = run_of(&store, &job, at(index)).await;
        let (_, token) = claim(&store, run, "a", index).await.unwrap();
        let batch = RunLogBatch { items: vec![(1, item("x", "done"))], ..RunLogBatch::default() };
        store.write_log(token, &batch).await.unwrap();
        if index < 102 {
            let mut end = end(RunState::Succeeded);
            end.alerts.push(NewAlert { target: json!({}), body: json!({}) });
            store.finish_run(token, end, at(index)).await.unwrap();
        }
    }
    assert_eq!(store.prune_runs(at(101)).await.unwrap(), 100);
    assert_eq!(store.prune_runs(at(101)).await.unwrap(), 1);
    let left = store.runs(fabric, RunFilter::default()).await.unwrap();
    assert_eq!(left.len(), 2, "the newest, and the one that goes on");
    let filter =
        RunFilter { job: Some(job.id), state: Some(RunState::Running), ..RunFilter::default() };
    assert_eq!(store.runs(fabric, filter).await.unwrap().len(), 1);
    let filter = RunFilter { since: Some(at(102)), limit: Some(1), ..RunFilter::default() };
    assert_eq!(store.runs(fabric, filter).await.unwrap().len(), 1);
    let count = place.execute("SELECT CAST(COUNT(*) AS TEXT) FROM run_items").await;
    assert_eq!(count.trim(), "2");
}

async fn what_arrived_is_noted_with_its_run_or_not_at_all(place: Place) {
    let (store, fabric) = place.fresh().await;
    let shard = |shard, prints: &str| SeenShard { shard, prints: prints.to_owned() };
    let job = with_overlap(&store, fabric, "skip", Overlap::Skip).await;
    let run =
        |job: &JobRow| Some(NewRun::of_job(job, Cause::Arrival, at(0), json!({ "arrived": 1 })));
    let fired =
        store.arrive(&job, &[shard(1, "a"), shard(2, "b")], run(&job), at(1)).await.unwrap();
    assert!(matches!(fired, Fired::Run(_, RunState::Queued)), "{fired:?}");
    // Another look that began before that one ended.
    assert_eq!(store.arrive(&job, &[shard(3, "c")], run(&job), at(2)).await.unwrap(), Fired::Lost);
    // While the run is open, what is new stays new.
    let job = store.job_by_id(job.id).await.unwrap();
    assert_eq!(store.arrive(&job, &[shard(3, "c")], run(&job), at(3)).await.unwrap(), Fired::Busy);
    assert_eq!(store.seen(job.id).await.unwrap(), [shard(1, "a"), shard(2, "b")]);
    // What vanished may be forgotten meanwhile.
    assert_eq!(store.arrive(&job, &[shard(2, "")], None, at(4)).await.unwrap(), Fired::Moved);
    assert_eq!(store.seen(job.id).await.unwrap(), [shard(1, "a")]);

    let job = with_overlap(&store, fabric, "queue", Overlap::Queue).await;
    let first = store.arrive(&job, &[shard(1, "a")], run(&job), at(1)).await.unwrap();
    assert!(matches!(first, Fired::Run(_, RunState::Queued)), "{first:?}");
    let job = store.job_by_id(job.id).await.unwrap();
    let along = store.arrive(&job, &[shard(2, "b")], run(&job), at(2)).await.unwrap();
    assert_eq!(along, Fired::Moved, "the run that waits takes it along");
    // Another trigger has seen nothing.
    let job = store.job_by_id(job.id).await.unwrap();
    let other = NewJob { trigger: json!({ "on": "manual" }), ..new_job("queue") };
    let job = store.alter_job(&job, other, at(9)).await.unwrap();
    assert_eq!((store.seen(job.id).await.unwrap().len(), job.seen_version), (0, 0));
}

async fn alerts_wait_until_they_are_delivered(place: Place) {
    let (store, fabric) = place.fresh().await;
    let job = with_overlap(&store, fabric, "j", Overlap::Allow).await;
    let (run, _) = run_of(&store, &job, at(0)).await;
    let (_, held) = claim(&store, run, "a", 0).await.unwrap();
    let alert = |to: &str| NewAlert { target: json!({ "to": to }), body: json!({ "run": run }) };
    let mut end = end(RunState::Failed);
    end.alerts = vec![alert("x"), alert("y")];
    store.finish_run(held, end, at(1)).await.unwrap();
    assert!(store.take_alerts(at(0), at(9), 9).await.unwrap().is_empty());
    let taken = store.take_alerts(at(2), at(60), 9).await.unwrap();
    assert_eq!(taken.iter().map(|alert| alert.attempts).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(taken[0].fabric, fabric);
    assert!(store.take_alerts(at(2), at(60), 9).await.unwrap().is_empty(), "somebody has them");
    store.alert_delivered(&taken[0].id, Delivery::Sent, None, at(3)).await.unwrap();
    store.alert_delivered(&taken[1].id, Delivery::Pending, Some("503"), at(10)).await.unwrap();
    let again = store.take_alerts(at(10), at(60), 9).await.unwrap();
    assert_eq!((again.len(), again[0].attempts), (1, 2));
    let all = store.alerts(run).await.unwrap();
    assert_eq!(all[0].state, Delivery::Sent);
    assert_eq!(all[1].error.as_deref(), Some("503"));
}

async fn who_is_there_is_known(place: Place) {
    let (store, _) = place.fresh().await;
    store.present("a", at(0)).await.unwrap();
    store.present("b", at(0)).await.unwrap();
    store.present("a", at(50)).await.unwrap();
    let there = store.presences(at(30)).await.unwrap();
    assert_eq!((there.len(), there[0].owner.as_str(), there[0].started), (1, "a", at(0)));
    store.present("c", at(86_400 + 30)).await.unwrap();
    assert_eq!(store.presences(at(-99)).await.unwrap().len(), 2, "b is forgotten");
    store.absent("a").await.unwrap();
    assert_eq!(store.presences(at(-99)).await.unwrap()[0].owner, "c");
}

async fn a_store_of_the_first_version_goes_on(place: Place) {
    let first = if place.url.starts_with("postgres") {
        include_str!("../../migrations/postgres/0001_first.sql")
    } else {
        include_str!("../../migrations/sqlite/0001_first.sql")
    };
    place.execute(first).await;
    place.execute(include_str!("fixtures/v1.sql")).await;
    let (store, fabric) = place.fresh().await;
    let landing = store.connection(fabric, &name("landing")).await.unwrap();
    assert_eq!(store.dependents(landing.id).await.unwrap(), ["file table main.orders"]);
    assert_eq!(store.note("seeded").await.unwrap().as_deref(), Some("yes"));
    let new = NewJob { connections: vec![landing.id], ..new_job("j") };
    store.create_job(fabric, new, at(0)).await.unwrap();
    assert_eq!(store.dependents(landing.id).await.unwrap()[1], "job j");
}

async fn the_schema_is_as_reviewed(place: Place) {
    place.open().await.close().await;
    if place.url.starts_with("postgres") {
        let columns = place
            .execute("SELECT table_name || '.' || column_name || ' ' || data_type || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position")
            .await;
        let rest = place
            .execute("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' ORDER BY 1")
            .await;
        insta::assert_snapshot!("schema_postgres", format!("{columns}\n{rest}"));
    } else {
        let schema = place
            .execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name")
            .await;
        insta::assert_snapshot!("schema_sqlite", schema);
    }
}

state_suite!(
    jobs_are_kept_changed_and_dropped,
    a_due_job_fires_once_however_many_try,
    the_overlap_rule_holds_when_runs_are_made_and_taken,
    a_run_is_held_by_one_and_taken_over_from_the_silent,
    a_cancelled_run_stops_or_never_begins,
    a_run_leaves_its_log,
    of_an_item_that_was_tried_again_the_last_word_stays,
    uploads_are_known_until_they_are_ended,
    old_runs_are_deleted_with_their_logs,
    what_arrived_is_noted_with_its_run_or_not_at_all,
    alerts_wait_until_they_are_delivered,
    who_is_there_is_known,
    a_store_of_the_first_version_goes_on,
    the_schema_is_as_reviewed,
);
