//! Durable work: schedules, triggers, leases, runs, retries and alerts.
//!
//! What a job does is a [`JobKind`], given by core; this room decides when it runs, that it runs
//! once, and what is kept of it. The rows are in `windlass_state`. How leases keep two processes
//! apart is in `docs/adr/0004-jobs.md`.

pub mod alert;
pub mod arrival;
mod calendar;
pub mod clock;
mod context;
pub mod kind;
mod retry;
mod scheduler;
pub mod trigger;

pub use alert::{
    Alert, AlertSettings, AlertTarget, Occasion, SecretSource, Smtp, SmtpTls, Value,
    check_base_url, check_webhook,
};
pub use arrival::{Arrival, ArrivalSource, Arrived};
pub use calendar::{Calendar, Period};
pub use clock::{Clock, ManualClock, SystemClock};
pub use context::{Observer, RunContext, Stop};
pub use kind::{End, JobKind, Kinds, Outcome};
pub use scheduler::{Created, JobSpec, OneOff, Scheduler, SchedulerOptions};
pub use trigger::Trigger;
