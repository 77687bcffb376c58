//! Deciding what runs where: fires triggers, takes runs, watches over them, ends them.
//!
//! Any number of schedulers may share one store. Which of them does what is decided by single
//! conditional updates in the store, never by talking to each other.

mod execute;
mod fire;
mod verbs;

use crate::alert::{Alert, AlertSettings};
use crate::clock::Clock;
use crate::context::{Inner, Observer};
use crate::{ArrivalSource, Kinds, Trigger};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use windlass_state::{JobRow, Store};
use windlass_types::{ConnectionId, FabricId, JobId, JobPolicy, Name, RunId};

/// A job as core asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// Name, unique in the fabric.
    pub name: Name,
    /// The word of its kind.
    pub kind: String,
    /// The statement, with every secret masked.
    pub definition: String,
    /// What the kind needs to know. Never a secret, never a path of this machine.
    pub payload: Value,
    /// What starts it.
    pub trigger: Trigger,
    /// How its runs behave.
    pub policy: JobPolicy,
    /// Who is told.
    pub alerts: Vec<Alert>,
    /// Connections that cannot be dropped while the job is there.
    pub connections: Vec<ConnectionId>,
}

/// A statement that is its own run, without a job.
#[derive(Debug, Clone)]
pub struct OneOff {
    /// The word of its kind.
    pub kind: String,
    /// The fabric.
    pub fabric: FabricId,
    /// The statement or command, with every secret masked.
    pub definition: String,
    /// What the kind needs to know.
    pub payload: Value,
    /// Anything else to remember, such as the run whose failures it repeats; null if nothing.
    pub detail: Value,
    /// Further attempts and time limit. Overlap does not matter here.
    pub policy: JobPolicy,
}

impl OneOff {
    /// A run of `kind` that is tried once.
    pub fn new(kind: &str, fabric: FabricId, definition: String, payload: Value) -> Self {
        Self {
            kind: kind.to_owned(),
            fabric,
            definition,
            payload,
            detail: Value::Null,
            policy: JobPolicy { retries: 0, ..JobPolicy::default() },
        }
    }
}

/// A job that was made or changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The job.
    pub job: JobRow,
    /// What the person should know, as that nobody is there to fire the trigger.
    pub warning: Option<String>,
}

/// What a scheduler is made of.
pub struct SchedulerOptions {
    /// The state.
    pub store: Arc<Store>,
    /// What it can run.
    pub kinds: Kinds,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who it is, for people: `host:process`. An id is added, so that two are never the same.
    pub owner: String,
    /// Looks for arrived files; without it, arrival triggers wait.
    pub arrivals: Option<Arc<dyn ArrivalSource>>,
    /// Delivery of alerts.
    pub alerts: AlertSettings,
    /// Seed of the jitter of retries.
    pub seed: u64,
    /// Most runs at once in this process.
    pub max_runs: usize,
    /// How long a run stays whose owner has gone silent. Heartbeats come at a third of it.
    pub lease: Duration,
    /// How often the store is asked for something to do.
    pub poll: Duration,
    /// How long runs may take to stop when the process ends.
    pub grace: Duration,
    /// Days for which ended runs are kept (M-L2: 180).
    pub keep_days: u32,
}

impl SchedulerOptions {
    /// The usual settings: 4 runs at once, a lease of 30 seconds, a look every second.
    pub fn new(store: Arc<Store>, kinds: Kinds, clock: Arc<dyn Clock>, owner: String) -> Self {
        Self {
            store,
            kinds,
            clock,
            owner,
            arrivals: None,
            alerts: AlertSettings::default(),
            seed: 0,
            max_runs: 4,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(20),
            keep_days: 180,
        }
    }
}

/// Fires, takes and runs. Cheap to clone; clones are the same scheduler.
///
/// ```ignore
/// let scheduler = Scheduler::new(SchedulerOptions::new(store, kinds, clock, owner));
/// // `serve`: fires triggers and takes runs until it is told to stop.
/// scheduler.run_until(cancel).await?;
/// // The command line, with or without a `serve` process elsewhere:
/// let created = scheduler.create_job(fabric, spec).await?;       // CREATE JOB
/// let run = scheduler.run_now(fabric, &name, None).await?;       // RUN JOB
/// let row = scheduler.wait(run).await?;
/// let run = scheduler.start(OneOff::new(..), Some(bars)).await?; // windlass cp
/// ```
#[derive(Clone)]
pub struct Scheduler(Arc<State>);

pub(crate) struct State {
    pub(crate) options: SchedulerOptions,
    /// The owner's name with its id.
    pub(crate) owner: String,
    /// Runs of this process.
    pub(crate) running: Mutex<BTreeMap<RunId, Arc<Inner>>>,
    /// Who sees runs of this process as they go, further attempts included.
    pub(crate) observers: Mutex<BTreeMap<RunId, Arc<dyn Observer>>>,
    /// Wakes the loop and those who wait for a run.
    pub(crate) wake: Notify,
    /// Whether this process runs the loop.
    pub(crate) looping: AtomicBool,
    /// Jobs whose folder is being looked at, and whether the last look failed.
    pub(crate) looks: Mutex<BTreeMap<JobId, fire::LookState>>,
}

impl Scheduler {
    fn now(&self) -> DateTime<Utc> {
        self.0.options.clock.now()
    }

    fn store(&self) -> &Store {
        &self.0.options.store
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<RunId, Arc<Inner>>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs_here(&self, run: RunId) -> bool {
        self.running().contains_key(&run)
    }
}
