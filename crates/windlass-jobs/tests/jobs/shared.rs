//! Several schedulers on one store: each run once, none lost. On both databases.

use crate::support::{Place, Told, every, fabric, name, options, spec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_jobs::{Scheduler, SystemClock, Trigger};
use windlass_state::RunFilter;
use windlass_types::{JobPolicy, Overlap, RunState};

async fn four_schedulers_fire_and_run_everything_once(place: Place) {
    let told = Arc::new(Told::default());
    let cancel = CancellationToken::new();
    let store = place.open().await;
    let fabric = fabric(&store).await;
    let mut loops = Vec::new();
    let mut schedulers = Vec::new();
    for _ in 0..4 {
        let scheduler = Scheduler::new(options(&place.open().await, &told, Arc::new(SystemClock)));
        schedulers.push(scheduler.clone());
        let cancel = cancel.clone();
        loops.push(tokio::spawn(async move { scheduler.run_until(cancel).await }));
    }
    for job in 0..6 {
        let mut spec = spec(&format!("j{job}"), "end", every(1));
        spec.policy = JobPolicy { overlap: Overlap::Allow, ..JobPolicy::default() };
        schedulers[job % 4].create_job(fabric, spec).await.unwrap();
    }
    let fired = async || store.runs(fabric, RunFilter::default()).await.unwrap().len();
    let enough = async {
        while fired().await < 12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(4), enough).await.unwrap();
    for job in 0..6 {
        schedulers[job % 4].pause_job(fabric, &name(&format!("j{job}"))).await.unwrap();
    }
    let mut runs = Vec::new();
    for _ in 0..12_000 {
        runs = store.runs(fabric, RunFilter::default()).await.unwrap();
        if runs.iter().all(|run| run.state.is_final()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cancel.cancel();
    for one in loops {
        one.await.unwrap().unwrap();
    }
    assert!(runs.iter().all(|run| run.state == RunState::Succeeded), "{runs:?}");
    assert!(runs.len() >= 12, "{}", runs.len());
    // Each time of each job once, and none left out unless the machine stood still.
    let mut times: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for run in &runs {
        let job = run.job_name.as_ref().unwrap().to_string();
        let new = times.entry(job).or_default().insert(run.scheduled_for.timestamp_micros());
        assert!(new, "{run:?} fired twice");
    }
    let begun = told.begun.lock().unwrap().clone();
    let ids: BTreeSet<_> = begun.iter().map(|(run, ..)| *run).collect();
    assert_eq!(begun.len(), ids.len(), "a run was begun twice");
    assert_eq!(ids, runs.iter().map(|run| run.id).collect());
    assert!(begun.iter().all(|(_, attempt, resumed)| *attempt == 1 && !resumed));
    assert!(store.presences(chrono::DateTime::UNIX_EPOCH).await.unwrap().is_empty(), "all left");
}

async fn the_run_of_a_killed_owner_goes_on_elsewhere(place: Place) {
    let told = Arc::new(Told::default());
    let store = place.open().await;
    let fabric = fabric(&store).await;
    // The first process: a runtime of its own, so that it can be killed.
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let first =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let theirs = Arc::clone(&told);
    let place = Arc::new(place);
    let home = Arc::clone(&place);
    first.spawn(async move {
        let mut options = options(&home.open().await, &theirs, Arc::new(SystemClock));
        options.lease = Duration::from_secs(4);
        let scheduler = Scheduler::new(options);
        scheduler.create_job(fabric, spec("j", "hang once", Trigger::Manual)).await.unwrap();
        let run = scheduler.run_now(fabric, &name("j"), None).await.unwrap();
        sender.send(run).unwrap();
        scheduler.wait(run).await
    });
    let run = receiver.await.unwrap();
    while store.marks(run).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let held = store.run(run).await.unwrap();
    assert_eq!((held.state, held.takeovers), (RunState::Running, 0), "its heart beats");
    first.shutdown_background();

    let cancel = CancellationToken::new();
    let mut loops = Vec::new();
    for _ in 0..3 {
        let options = options(&place.open().await, &told, Arc::new(SystemClock));
        let scheduler = Scheduler::new(options);
        let cancel = cancel.clone();
        loops.push(tokio::spawn(async move { scheduler.run_until(cancel).await }));
    }
    let mut row = store.run(run).await.unwrap();
    for _ in 0..12_000 {
        row = store.run(run).await.unwrap();
        if row.state.is_final() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cancel.cancel();
    for one in loops {
        one.await.unwrap().unwrap();
    }
    assert_eq!((row.state, row.attempt, row.resumed), (RunState::Succeeded, 1, true));
    assert_eq!(row.takeovers, 1);
    assert_eq!(*told.begun.lock().unwrap(), [(run, 1, false), (run, 1, true)]);
    let lines: Vec<String> = store
        .run_events(run, 0, 99)
        .await
        .unwrap()
        .into_iter()
        .map(|event| format!("{} {} {}", event.seq, event.level, event.message))
        .collect();
    insta::assert_snapshot!("taken_over", lines.join("\n"));
    // Six items, three of each; their places go on.
    assert_eq!(store.log_ends(run).await.unwrap().1, 6);
}

macro_rules! shared_suite {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Place::sqlite()).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    super::$test(super::Place::postgres().await).await;
                }
            )+
        }
    };
}

shared_suite!(
    four_schedulers_fire_and_run_everything_once,
    the_run_of_a_killed_owner_goes_on_elsewhere,
);
