//! What the tests of the scheduler share: a place for the state, and a kind that does as told.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use windlass_jobs::{
    Clock, JobKind, JobSpec, Kinds, ManualClock, Outcome, RunContext, Scheduler, SchedulerOptions,
    Trigger,
};
use windlass_state::{DEFAULT_FABRIC, KeySource, Store};
use windlass_testkit::servers::Postgres;
use windlass_types::{
    Error, ErrorCode, FabricId, JobPolicy, Level, Name, Progress, Result, RunId, RunItem,
};

pub(crate) struct Place {
    pub(crate) url: String,
    home: tempfile::TempDir,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { url: home.path().join("state.db").display().to_string(), home }
    }

    pub(crate) async fn postgres() -> Self {
        let server = Postgres::shared().await.expect("PostgreSQL is installed by `make setup`");
        Self { url: server.database().await, home: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn open(&self) -> Arc<Store> {
        let key = KeySource::own(self.home.path().join("key"));
        Arc::new(Store::open(&self.url, &key).await.unwrap())
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn start_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap()
}

pub(crate) async fn fabric(store: &Store) -> FabricId {
    store.fabric(&name(DEFAULT_FABRIC)).await.unwrap().id
}

/// What happened in all schedulers of a test, and what shall happen.
#[derive(Default)]
pub(crate) struct Told {
    /// Each begin of a run: id, attempt, whether it was resumed.
    pub(crate) begun: Mutex<Vec<(RunId, u32, bool)>>,
    /// Errors to fail with, by job; the last is used first.
    pub(crate) fail: Mutex<BTreeMap<String, Vec<ErrorCode>>>,
}

/// A kind whose payload says what it does: `{"do": "hang"}`, `partial`, `panic`, or it just ends.
pub(crate) struct Obedient(pub(crate) Arc<Told>);

#[async_trait::async_trait]
impl JobKind for Obedient {
    fn kind(&self) -> &'static str {
        "told"
    }

    fn check(&self, payload: &Value) -> Result<()> {
        if payload["do"] == "nonsense" {
            return Err(Error::new(ErrorCode::OptionInvalid, "that is nonsense"));
        }
        Ok(())
    }

    async fn run(&self, context: RunContext) -> Result<Outcome> {
        self.0.begun.lock().unwrap().push((context.run, context.attempt, context.resumed));
        let mark = context.mark("position").await?;
        context.event(Level::Info, format!("begins at {}", mark.as_deref().unwrap_or("the start")));
        context.set_mark("position", "halfway").await?;
        let job = context.job_name.as_ref().map(Name::to_string).unwrap_or_default();
        let told = self.0.fail.lock().unwrap().get_mut(&job).and_then(Vec::pop);
        if let Some(code) = told {
            return Err(Error::new(code, "told to fail"));
        }
        for index in 0..3 {
            let progress = Progress {
                planned_items: Some(3),
                done_items: index + 1,
                planned: true,
                ..Progress::default()
            };
            context.progress(progress);
            let item = RunItem {
                action: "copy".to_owned(),
                source: format!("k{index}"),
                destination: String::new(),
                size: Some(index),
                status: "done".to_owned(),
                reason: None,
                code: None,
                hint: None,
            };
            context.item(item).await?;
        }
        match context.payload["do"].as_str() {
            Some("hang") => {
                context.cancelled().await;
                Ok(Outcome::stopped(json!({ "copied": 3 })))
            }
            Some("ignore") => {
                std::future::pending::<()>().await;
                Ok(Outcome::succeeded(Value::Null))
            }
            // Ends when it is taken up again.
            Some("hang once") if !context.resumed => {
                context.cancelled().await;
                context.check()?;
                Ok(Outcome::succeeded(Value::Null))
            }
            Some("partial") => Ok(Outcome::partial(json!({ "failed": 1 }))),
            Some("panic") => panic!("told to panic"),
            _ => Ok(Outcome::succeeded(json!({ "copied": 3 }))),
        }
    }
}

pub(crate) fn every(seconds: u64) -> Trigger {
    Trigger::Every { seconds }
}

pub(crate) fn spec(job: &str, doing: &str, trigger: Trigger) -> JobSpec {
    JobSpec {
        name: name(job),
        kind: "told".to_owned(),
        definition: format!("CREATE JOB {job} {trigger} AS ..."),
        payload: json!({ "do": doing }),
        trigger,
        policy: JobPolicy::default(),
        alerts: Vec::new(),
        connections: Vec::new(),
    }
}

pub(crate) fn options(
    store: &Arc<Store>,
    told: &Arc<Told>,
    clock: Arc<dyn Clock>,
) -> SchedulerOptions {
    let kinds = Kinds::new().with(Arc::new(Obedient(Arc::clone(told))));
    let mut options = SchedulerOptions::new(Arc::clone(store), kinds, clock, "test".to_owned());
    options.poll = Duration::from_millis(20);
    options
}

/// One scheduler on one store, with a clock that the test moves.
pub(crate) struct Bench {
    pub(crate) store: Arc<Store>,
    pub(crate) fabric: FabricId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) told: Arc<Told>,
    pub(crate) scheduler: Scheduler,
    pub(crate) place: Place,
}

impl Bench {
    pub(crate) async fn new(change: impl FnOnce(&mut SchedulerOptions)) -> Self {
        let place = Place::sqlite();
        let store = place.open().await;
        let clock = Arc::new(ManualClock::new(start_time()));
        let told = Arc::new(Told::default());
        let mut options = options(&store, &told, clock.clone());
        change(&mut options);
        let fabric = fabric(&store).await;
        Self { scheduler: Scheduler::new(options), store, fabric, clock, told, place }
    }

    /// Moves the clock in small steps, as real time would, until `done`.
    pub(crate) async fn until<T>(&self, mut done: impl AsyncFnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_mins(2);
        while Instant::now() < end {
            if let Some(value) = done().await {
                return value;
            }
            self.clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it never happened");
    }
}
