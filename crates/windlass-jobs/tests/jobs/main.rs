//! Jobs from outside: runs, several schedulers on one store, alerts.

mod alerts;
mod scheduler;
mod shared;
mod support;
