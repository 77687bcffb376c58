//! Words of Windlass: ids, names, paths, options, errors.
//!
//! Nothing here does IO, knows a clock or is async. Every other room may use this one.

pub mod connection;
pub mod entry;
pub mod error;
pub mod glob;
pub mod ids;
pub mod job;
pub mod name;
pub mod options;
pub mod path;
pub mod process;
pub mod size;
mod sqlstate;

pub use connection::{ConnectionKind, ConnectionSpec, LocalSpec, RemoteSpec, S3Spec};
pub use entry::{Entry, EntryKind};
pub use error::{Error, ErrorClass, ErrorCode, Result};
pub use glob::KeyPattern;
pub use ids::{ConnectionId, FabricId, FileTableId, JobId, RunId, SecretId, ServiceId};
pub use job::{Cause, JobPolicy, JobState, Level, Missed, Overlap, Progress, RunItem, RunState};
pub use name::Name;
pub use options::{OptionDef, OptionMap, OptionValue};
pub use path::{Address, Location, ObjectPath, S3Url};
pub use process::ProcessName;
pub use size::ByteSize;
