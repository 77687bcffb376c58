//! One scheduler: what becomes of runs, by a clock that the test moves.

use crate::support::{Bench, Told, every, fabric, name, options, spec, start_time};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_jobs::{
    Arrival, ArrivalSource, Arrived, Observer, OneOff, Scheduler, SystemClock, Trigger,
};
use windlass_state::{RunFilter, RunRow};
use windlass_types::{
    Cause, Error, ErrorCode, FabricId, JobPolicy, JobState, Level, Missed, Overlap, Progress,
    Result, RunId, RunItem, RunState,
};

async fn ended(bench: &Bench, run: RunId) -> RunRow {
    let waiting = bench.scheduler.wait(run);
    tokio::pin!(waiting);
    loop {
        tokio::select! {
            row = &mut waiting => return row.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(2)) => {
                bench.clock.advance(Duration::from_millis(200));
            }
        }
    }
}

async fn runs(bench: &Bench) -> Vec<RunRow> {
    let mut runs = bench.store.runs(bench.fabric, RunFilter::default()).await.unwrap();
    runs.reverse();
    runs
}

fn serve(bench: &Bench) -> CancellationToken {
    let cancel = CancellationToken::new();
    let (scheduler, token) = (bench.scheduler.clone(), cancel.clone());
    tokio::spawn(async move { scheduler.run_until(token).await });
    cancel
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn progress(&self, progress: &Progress) {
        self.0
            .lock()
            .unwrap()
            .push(format!("{} of {:?}", progress.done_items, progress.planned_items));
    }
    fn event(&self, level: Level, message: &str) {
        self.0.lock().unwrap().push(format!("{level}: {message}"));
    }
    fn item(&self, item: &RunItem) {
        self.0.lock().unwrap().push(format!("{} {}", item.action, item.source));
    }
}

#[tokio::test]
async fn a_job_runs_without_any_server_and_is_seen_as_it_goes() {
    let bench = Bench::new(|_| {}).await;
    let created =
        bench.scheduler.create_job(bench.fabric, spec("j", "end", Trigger::Manual)).await.unwrap();
    assert_eq!(created.warning, None);
    let seen = Arc::new(Seen::default());
    let run = bench.scheduler.run_now(bench.fabric, &name("j"), Some(seen.clone())).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.cause, row.attempt), (RunState::Succeeded, Cause::Manual, 1));
    assert_eq!(row.summary, Some(json!({ "copied": 3 })));
    assert_eq!((row.progress.done_items, row.progress.planned), (3, true));
    assert_eq!(bench.store.run_items(run, None, 0, 9).await.unwrap().len(), 3);
    insta::assert_snapshot!(seen.0.lock().unwrap().join("\n"));
    // A statement that is its own run.
    let one = OneOff::new("told", bench.fabric, "COPY FILES".to_owned(), json!({}));
    let run = bench.scheduler.start(one, None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!(
        (row.state, row.job, row.definition.as_str()),
        (RunState::Succeeded, None, "COPY FILES")
    );
}

#[tokio::test]
async fn what_cannot_be_a_job_is_refused() {
    let bench = Bench::new(|_| {}).await;
    let create = async |spec| bench.scheduler.create_job(bench.fabric, spec).await.unwrap_err();
    assert_eq!(
        create(spec("j", "nonsense", Trigger::Manual)).await.code(),
        ErrorCode::OptionInvalid
    );
    let mut unknown = spec("j", "end", Trigger::Manual);
    unknown.kind = "dance".to_owned();
    assert_eq!(create(unknown).await.code(), ErrorCode::StateNewer);
    let mut alert = spec("j", "end", Trigger::Manual);
    alert.alerts = serde_json::from_value(
        json!([{ "on": ["failed"], "to": "webhook", "url": { "text": "http://169.254.169.254/" } }]),
    )
    .unwrap();
    assert_eq!(create(alert).await.code(), ErrorCode::OptionInvalid);
    let missing = bench.scheduler.run_now(bench.fabric, &name("j"), None).await.unwrap_err();
    assert_eq!(missing.code(), ErrorCode::JobNotFound);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_and_another_is_not() {
    let bench = Bench::new(|_| {}).await;
    bench.scheduler.create_job(bench.fabric, spec("busy", "end", Trigger::Manual)).await.unwrap();
    bench.scheduler.create_job(bench.fabric, spec("denied", "end", Trigger::Manual)).await.unwrap();
    let busy = vec![ErrorCode::ConnectionBusy; 2];
    bench.told.fail.lock().unwrap().insert("busy".to_owned(), busy);
    bench.told.fail.lock().unwrap().insert("denied".to_owned(), vec![ErrorCode::ConnectionDenied]);
    let run = bench.scheduler.run_now(bench.fabric, &name("busy"), None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.attempt, row.resumed), (RunState::Succeeded, 3, false));
    let waited = (row.finished.unwrap() - start_time()).num_seconds();
    // The clock of the test runs on while the machine is busy.
    assert!((22 + 45..=3600).contains(&waited), "{waited}");
    let lines: Vec<String> = bench
        .store
        .run_events(run, 0, 99)
        .await
        .unwrap()
        .iter()
        .map(|event| format!("{} {}", event.level, event.message))
        .collect();
    assert!(lines[1].starts_with("warning attempt 1 failed: told to fail; the next begins in "));
    assert_eq!(lines[2], "info begins at halfway");

    let run = bench.scheduler.run_now(bench.fabric, &name("denied"), None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.attempt), (RunState::Failed, 1));
    assert_eq!(row.error.unwrap().code, "connection.denied");
    // And one that never passes.
    let busy = vec![ErrorCode::ConnectionBusy; 9];
    bench.told.fail.lock().unwrap().insert("busy".to_owned(), busy);
    let run = bench.scheduler.run_now(bench.fabric, &name("busy"), None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.attempt), (RunState::Failed, 3));
}

#[tokio::test]
async fn a_job_has_retries_and_a_delay_of_its_own() {
    let bench = Bench::new(|_| {}).await;
    for (job, retries, least) in [("never", 0, 0), ("once", 1, 90)] {
        let mut spec = spec(job, "end", Trigger::Manual);
        (spec.policy.retries, spec.policy.retry_delay) = (retries, 120);
        bench.scheduler.create_job(bench.fabric, spec).await.unwrap();
        let busy = vec![ErrorCode::ConnectionBusy; 9];
        bench.told.fail.lock().unwrap().insert(job.to_owned(), busy);
        let run = bench.scheduler.run_now(bench.fabric, &name(job), None).await.unwrap();
        let row = ended(&bench, run).await;
        assert_eq!((row.state, row.attempt), (RunState::Failed, retries + 1), "{job}");
        // A quarter less at most than what the job says.
        let waited = (row.finished.unwrap() - row.scheduled_for).num_seconds();
        assert!(waited >= least, "{job}: {waited}");
    }
}

#[tokio::test]
async fn a_partial_run_says_so_and_a_broken_one_does_not_hurt_others() {
    let bench = Bench::new(|_| {}).await;
    for doing in ["partial", "panic"] {
        bench
            .scheduler
            .create_job(bench.fabric, spec(doing, doing, Trigger::Manual))
            .await
            .unwrap();
    }
    let run = bench.scheduler.run_now(bench.fabric, &name("partial"), None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.summary), (RunState::Partial, Some(json!({ "failed": 1 }))));
    assert_eq!(row.error.unwrap().code, "transfer.partial");
    let run = bench.scheduler.run_now(bench.fabric, &name("panic"), None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!(row.state, RunState::Failed);
    assert_eq!(row.error.unwrap().message, "the work broke: told to panic");
}

#[tokio::test]
async fn a_run_stops_when_it_is_cancelled_here_or_elsewhere() {
    let bench = Bench::new(|options| options.grace = Duration::from_secs(5)).await;
    for (job, doing) in [("a", "hang"), ("b", "hang"), ("c", "ignore")] {
        bench.scheduler.create_job(bench.fabric, spec(job, doing, Trigger::Manual)).await.unwrap();
    }
    let run = bench.scheduler.run_now(bench.fabric, &name("a"), None).await.unwrap();
    bench.scheduler.cancel(run).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!(
        (row.state, row.error.unwrap().code.as_str()),
        (RunState::Cancelled, "run.cancelled")
    );
    assert_eq!(bench.scheduler.cancel(run).await.unwrap_err().code(), ErrorCode::RunEnded);
    // Another process asks.
    let run = bench.scheduler.run_now(bench.fabric, &name("b"), None).await.unwrap();
    let other =
        Scheduler::new(options(&bench.place.open().await, &bench.told, Arc::new(SystemClock)));
    other.cancel(run).await.unwrap();
    assert_eq!(ended(&bench, run).await.state, RunState::Cancelled);
    // One that does not listen is dropped.
    let run = bench.scheduler.run_now(bench.fabric, &name("c"), None).await.unwrap();
    bench.scheduler.cancel(run).await.unwrap();
    assert_eq!(ended(&bench, run).await.state, RunState::Cancelled);
}

#[tokio::test]
async fn a_time_limit_ends_an_attempt() {
    let bench = Bench::new(|_| {}).await;
    let mut limited = spec("j", "hang", Trigger::Manual);
    limited.policy.time_limit = Some(60);
    bench.scheduler.create_job(bench.fabric, limited).await.unwrap();
    let run = bench.scheduler.run_now(bench.fabric, &name("j"), None).await.unwrap();
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.attempt), (RunState::Failed, 1));
    assert_eq!(row.error.unwrap().message, "it took longer than 60 seconds");
    let took = (row.finished.unwrap() - row.started.unwrap()).num_seconds();
    // The clock of the test runs on while the machine is busy.
    assert!(took >= 60, "{took}");
}

#[tokio::test]
async fn a_process_that_ends_gives_its_runs_back() {
    let bench = Bench::new(|_| {}).await;
    let cancel = serve(&bench);
    bench.scheduler.create_job(bench.fabric, spec("j", "hang once", every(60))).await.unwrap();
    bench.until(async || (!bench.told.begun.lock().unwrap().is_empty()).then_some(())).await;
    cancel.cancel();
    let run = bench
        .until(async || {
            let run = runs(&bench).await.remove(0);
            (run.state == RunState::Queued).then_some(run)
        })
        .await;
    assert_eq!((run.attempt, run.resumed, run.takeovers), (1, true, 0));
    let other =
        Scheduler::new(options(&bench.place.open().await, &bench.told, bench.clock.clone()));
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let end = tokio::spawn(async move { other.run_until(token).await });
    let run = bench
        .until(async || {
            let run = runs(&bench).await.remove(0);
            (run.state == RunState::Succeeded).then_some(run)
        })
        .await;
    assert_eq!((run.attempt, run.resumed), (1, true));
    cancel.cancel();
    bench.until(async || end.is_finished().then_some(())).await;
}

#[tokio::test]
async fn overlap_decides_what_run_job_does() {
    let bench = Bench::new(|_| {}).await;
    for (job, overlap) in
        [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("allow", Overlap::Allow)]
    {
        let mut spec = spec(job, "hang", Trigger::Manual);
        spec.policy.overlap = overlap;
        bench.scheduler.create_job(bench.fabric, spec).await.unwrap();
    }
    let run = async |job: &str| bench.scheduler.run_now(bench.fabric, &name(job), None).await;
    let first = run("skip").await.unwrap();
    let error = run("skip").await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (ErrorCode::JobRunning, "job skip is running already")
    );
    bench.scheduler.cancel(first).await.unwrap();
    let (first, second) = (run("queue").await.unwrap(), run("queue").await.unwrap());
    assert_eq!(bench.store.run(second).await.unwrap().state, RunState::Queued);
    bench.scheduler.cancel(first).await.unwrap();
    ended(&bench, first).await;
    let waits = bench.scheduler.clone();
    tokio::spawn(async move { waits.wait(second).await });
    bench
        .until(async || {
            (bench.store.run(second).await.unwrap().state == RunState::Running).then_some(())
        })
        .await;
    bench.scheduler.cancel(second).await.unwrap();
    for _ in 0..3 {
        let run = run("allow").await.unwrap();
        assert_eq!(bench.store.run(run).await.unwrap().state, RunState::Running);
    }
    // Dropping the job asks them to stop.
    bench.scheduler.drop_job(bench.fabric, &name("allow")).await.unwrap();
    bench
        .until(async || runs(&bench).await.iter().all(|run| run.state.is_final()).then_some(()))
        .await;
}

#[tokio::test]
async fn a_schedule_fires_while_it_is_watched_and_makes_up_for_missed_times() {
    let bench = Bench::new(|_| {}).await;
    let create = async |job: &str, missed: Missed| {
        let mut spec = spec(
            job,
            "end",
            Trigger::Cron { expression: "0 * * * *".to_owned(), zone: chrono_tz::Europe::Berlin },
        );
        spec.policy = JobPolicy { missed, ..JobPolicy::default() };
        bench.scheduler.create_job(bench.fabric, spec).await.unwrap()
    };
    let created = create("once", Missed::RunOnce).await;
    assert_eq!(
        created.warning.as_deref(),
        Some(
            "no `windlass serve` process is there to fire the trigger of job `once`; until one is, `RUN JOB` runs it"
        )
    );
    create("skip", Missed::Skip).await;
    let first = created.job.next_fire.unwrap();
    // Nobody is there for three and a half hours.
    bench.clock.advance(Duration::from_mins(210));
    let cancel = serve(&bench);
    bench.until(async || (runs(&bench).await.len() == 2).then_some(())).await;
    let found: Vec<String> = bench
        .until(async || {
            let runs = runs(&bench).await;
            runs.iter().all(|run| run.state.is_final()).then_some(runs)
        })
        .await
        .iter()
        .map(|run| {
            assert_eq!(run.scheduled_for, first);
            format!("{} {} {}", run.job_name.as_ref().unwrap(), run.state, run.cause)
        })
        .collect();
    let mut found = found;
    found.sort();
    assert_eq!(found, ["once succeeded schedule", "skip skipped schedule"]);
    let created = create("third", Missed::Skip).await;
    assert_eq!(created.warning, None, "somebody is there");
    // A paused job does not fire, and what passes meanwhile is not missed.
    let paused = bench.scheduler.pause_job(bench.fabric, &name("third")).await.unwrap();
    assert_eq!((paused.state, paused.next_fire), (JobState::Paused, None));
    bench.clock.advance(Duration::from_hours(2));
    let resumed = bench.scheduler.resume_job(bench.fabric, &name("third")).await.unwrap();
    assert!(resumed.job.next_fire.unwrap() > start_time() + chrono::TimeDelta::seconds(19_800));
    cancel.cancel();
}

/// A folder that the test fills.
#[derive(Default)]
struct Folder {
    files: Mutex<Vec<Arrived>>,
    broken: Mutex<bool>,
    looks: AtomicUsize,
}

#[async_trait::async_trait]
impl ArrivalSource for Folder {
    async fn list(
        &self,
        _: FabricId,
        arrival: &Arrival,
        found: &mut (dyn FnMut(Arrived) + Send),
    ) -> Result<()> {
        assert_eq!(arrival.location, "in/");
        self.looks.fetch_add(1, Ordering::SeqCst);
        let files = self.files.lock().unwrap().clone();
        let broken = *self.broken.lock().unwrap();
        for file in files {
            found(file);
            if broken {
                return Err(Error::new(ErrorCode::ConnectionUnreachable, "the list broke off"));
            }
        }
        Ok(())
    }
}

fn file(key: &str, etag: &str) -> Arrived {
    // All of one time: it tells nothing.
    Arrived {
        key: key.to_owned(),
        size: 1,
        etag: Some(etag.to_owned()),
        last_modified: Some(start_time()),
    }
}

async fn arrivals(
    settle: u64,
    existing: bool,
    overlap: Overlap,
    doing: &str,
) -> (Bench, Arc<Folder>) {
    let folder = Arc::new(Folder::default());
    let source = folder.clone();
    let bench = Bench::new(|options| options.arrivals = Some(source)).await;
    let trigger = Trigger::Arrival(Arrival {
        connection: name("landing"),
        location: "in/".to_owned(),
        pattern: None,
        poll: 10,
        settle,
        existing,
    });
    let mut spec = spec("j", doing, trigger);
    spec.policy.overlap = overlap;
    bench.scheduler.create_job(bench.fabric, spec).await.unwrap();
    (bench, folder)
}

/// Lets polls pass until so many runs were fired, and two whole looks more; then what each was told.
async fn told(bench: &Bench, folder: &Folder, expected: usize) -> Vec<Value> {
    let fired = async || {
        let runs = runs(bench).await;
        let fired = runs.iter().filter(|run| run.state != RunState::Skipped);
        fired.map(|run| run.detail.clone()).collect::<Vec<Value>>()
    };
    bench.until(async || (fired().await.len() >= expected).then_some(())).await;
    // One look at a time: where the third begins the second has ended.
    let third = folder.looks.load(Ordering::SeqCst) + 3;
    bench.until(async || (folder.looks.load(Ordering::SeqCst) >= third).then_some(())).await;
    fired().await
}

#[tokio::test]
async fn every_arrival_fires_once_whatever_its_time_says() {
    let (bench, folder) = arrivals(0, true, Overlap::Skip, "end").await;
    folder.files.lock().unwrap().extend([file("a", "1"), file("b", "1")]);
    let cancel = serve(&bench);
    assert_eq!(told(&bench, &folder, 1).await, [json!({ "arrived": 2, "first": ["a", "b"] })]);
    // Of the same time, and sorted before what was there.
    folder.files.lock().unwrap().push(file("0", "1"));
    assert_eq!(told(&bench, &folder, 2).await[1], json!({ "arrived": 1, "first": ["0"] }));
    // Replaced; removed and back again.
    folder.files.lock().unwrap()[0] = file("a", "2");
    assert_eq!(told(&bench, &folder, 3).await[2], json!({ "arrived": 1, "first": ["a"] }));
    let taken = folder.files.lock().unwrap().remove(0);
    assert_eq!(told(&bench, &folder, 3).await.len(), 3);
    folder.files.lock().unwrap().push(taken);
    assert_eq!(told(&bench, &folder, 4).await[3], json!({ "arrived": 1, "first": ["a"] }));
    // A list that broke off decides nothing, and says so once.
    *folder.broken.lock().unwrap() = true;
    folder.files.lock().unwrap().push(file("c", "1"));
    bench
        .until(async || {
            runs(&bench).await.iter().any(|run| run.state == RunState::Skipped).then_some(())
        })
        .await;
    assert_eq!(told(&bench, &folder, 4).await.len(), 4);
    *folder.broken.lock().unwrap() = false;
    assert_eq!(told(&bench, &folder, 5).await[4], json!({ "arrived": 1, "first": ["c"] }));
    let skipped: Vec<RunRow> =
        runs(&bench).await.into_iter().filter(|run| run.state == RunState::Skipped).collect();
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].error.as_ref().unwrap().message, "the list broke off");
    cancel.cancel();
}

#[tokio::test]
async fn files_that_arrive_while_a_run_goes_on_are_taken_by_the_next() {
    let (bench, folder) = arrivals(0, true, Overlap::Skip, "hang").await;
    folder.files.lock().unwrap().push(file("a", "1"));
    let cancel = serve(&bench);
    assert_eq!(told(&bench, &folder, 1).await.len(), 1);
    folder.files.lock().unwrap().extend([file("b", "1"), file("c", "1")]);
    assert_eq!(told(&bench, &folder, 1).await.len(), 1);
    bench.scheduler.cancel(runs(&bench).await[0].id).await.unwrap();
    assert_eq!(told(&bench, &folder, 2).await[1], json!({ "arrived": 2, "first": ["b", "c"] }));
    cancel.cancel();
}

#[tokio::test]
async fn files_may_have_to_settle_and_those_of_before_may_not_count() {
    let (bench, folder) = arrivals(600, false, Overlap::Allow, "end").await;
    let old = |key: &str| Arrived { last_modified: None, ..file(key, "1") };
    folder.files.lock().unwrap().push(old("a"));
    let cancel = serve(&bench);
    assert_eq!(told(&bench, &folder, 0).await.len(), 0);
    folder.files.lock().unwrap().push(file("new", "1"));
    assert_eq!(told(&bench, &folder, 0).await.len(), 0, "it may still change");
    bench.clock.advance(Duration::from_mins(10));
    assert_eq!(told(&bench, &folder, 1).await, [json!({ "arrived": 1, "first": ["new"] })]);
    cancel.cancel();
}

#[tokio::test]
async fn a_statement_that_was_interrupted_goes_on_when_it_is_given_again() {
    let bench = Bench::new(|_| {}).await;
    let what = |to: &str| {
        let payload = json!({ "do": "hang once", "to": to });
        OneOff::new("told", bench.fabric, format!("COPY TO {to}"), payload)
    };
    let told = Arc::new(Told::default());
    let first = Scheduler::new(options(&bench.place.open().await, &told, bench.clock.clone()));
    let nobody = |_: &str| false;
    let (run, resumed) = first.resume_or_start(what("a"), &nobody, None).await.unwrap();
    assert!(!resumed);
    // It lives: another process begins its own.
    let (other, resumed) = bench.scheduler.resume_or_start(what("a"), &nobody, None).await.unwrap();
    assert!(!resumed && other != run);
    bench.scheduler.cancel(other).await.unwrap();
    ended(&bench, other).await;
    // It is known to be dead, though its lease still runs.
    let owner = first.owner().to_owned();
    let dead = move |name: &str| name == owner;
    let (third, resumed) = bench.scheduler.resume_or_start(what("b"), &dead, None).await.unwrap();
    assert!(!resumed, "another statement");
    bench.scheduler.cancel(third).await.unwrap();
    let (again, resumed) = bench.scheduler.resume_or_start(what("a"), &dead, None).await.unwrap();
    assert!(resumed && again == run);
    let row = ended(&bench, run).await;
    assert_eq!((row.state, row.resumed), (RunState::Succeeded, true));
}

#[tokio::test]
async fn a_job_changes_and_keeps_what_it_waits_for() {
    let bench = Bench::new(|_| {}).await;
    let job =
        bench.scheduler.create_job(bench.fabric, spec("j", "end", every(3600))).await.unwrap().job;
    bench.clock.advance(Duration::from_mins(30));
    let altered =
        bench.scheduler.alter_job(&job, spec("j", "partial", every(3600))).await.unwrap().job;
    assert_eq!(altered.next_fire, job.next_fire);
    let stale =
        bench.scheduler.alter_job(&job, spec("j", "end", Trigger::Manual)).await.unwrap_err();
    assert_eq!(stale.code(), ErrorCode::JobChanged);
    let altered =
        bench.scheduler.alter_job(&altered, spec("j", "end", Trigger::Manual)).await.unwrap().job;
    assert_eq!(altered.next_fire, None);
    let told = Arc::new(Told::default());
    let other = Scheduler::new(options(&bench.store, &told, bench.clock.clone()));
    assert_eq!(other.trigger(&altered).unwrap().to_string(), "");
    assert_eq!(fabric(&bench.store).await, bench.fabric);
}
