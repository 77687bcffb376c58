//! Plan and execute copies, moves and syncs; compare and sum what is stored.
//!
//! Naming, the change test and the comparison are pure; executors do what they are told and verify it. Storages are
//! reached through [`windlass_s3::ObjectAccess`] only.

mod beside;
mod book;
mod both;
pub mod change;
mod content;
pub mod copy;
pub mod diff;
mod digest;
mod earlier;
mod ends;
mod extras;
mod failures;
#[cfg(test)]
mod fake;
pub mod filter;
mod inside;
mod journal;
mod kept;
pub mod kinds;
mod lanes;
mod leave;
mod limited;
mod lost;
pub mod names;
pub mod naming;
mod object;
pub mod options;
mod ordered;
mod own;
mod pace;
mod parts;
mod plan;
mod readback;
pub mod request;
mod run;
mod sort;
mod spool;
pub mod stdio;
pub mod tuning;
pub mod undelete;
pub mod usage;
mod width;

pub use change::{ChangeTest, IfExists};
pub use copy::{copy, copy_with};
pub use diff::{DiffOptions, Difference, diff};
pub use earlier::Earlier;
pub use failures::Failures;
pub use filter::EntryFilter;
pub use journal::{Journal, Left, MadeOf};
pub use options::{Check, CopyOptions, MaxDelete, OnTrouble};
pub use plan::{Filter, UNCHANGED};
pub use request::{Action, CopyRequest, Item, Progress, Quiet, Side, Status, Summary};
pub use sort::SortLimits;
pub use stdio::{copy_stream, copy_stream_with, read_to, read_to_with};
pub use tuning::Tuning;
pub use undelete::{UndeleteOptions, Undeleted, undelete};
pub use usage::{Amount, Usage, du};

/// Objects and parts in flight unless asked otherwise.
pub const DEFAULT_CONCURRENCY: usize = 32;

/// Bytes of objects held unless asked otherwise.
pub const DEFAULT_MAX_MEMORY: u64 = 256 << 20;
