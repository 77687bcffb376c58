//! Plan and execute copies; compare and sum what is stored.
//!
//! Naming and the comparison are pure; executors do what they are told and verify it. Storages are
//! reached through [`windlass_s3::ObjectAccess`] only.

pub mod copy;
pub mod diff;
mod digest;
#[cfg(test)]
mod fake;
pub mod kinds;
pub mod naming;
mod object;
mod plan;
pub mod request;
mod run;
mod sort;
pub mod stdio;
pub mod tuning;
pub mod usage;

pub use copy::{copy, copy_with};
pub use diff::{DiffOptions, Difference, diff};
pub use plan::Filter;
pub use request::{Action, CopyRequest, Item, Progress, Quiet, Side, Status, Summary};
pub use sort::SortLimits;
pub use stdio::{copy_stream, copy_stream_with, read_to, read_to_with};
pub use tuning::Tuning;
pub use usage::{Amount, Usage, du};

/// Objects and parts in flight unless asked otherwise.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Bytes of objects held unless asked otherwise.
pub const DEFAULT_MAX_MEMORY: u64 = 512 << 20;
