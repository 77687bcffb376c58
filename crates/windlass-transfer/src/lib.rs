//! Plan and execute copies; compare and sum what is stored.
//!
//! Naming and the comparison are pure; executors do what they are told and verify it. Storages are
//! reached through [`windlass_s3::ObjectAccess`] only.

pub mod request;

pub use request::{Action, CopyRequest, Item, Progress, Quiet, Side, Status, Summary};

/// Objects and parts in flight unless asked otherwise.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Bytes of objects held unless asked otherwise.
pub const DEFAULT_MAX_MEMORY: u64 = 512 << 20;
