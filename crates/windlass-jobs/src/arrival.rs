//! The arrival of files: what is watched, and how nothing that arrives is missed.

use crate::trigger::{interval_text, quoted};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use windlass_types::{Error, ErrorCode, FabricId, KeyPattern, Name, Result};

/// Which files are waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Connection, by name.
    pub connection: Name,
    /// Where to look, as it was written: `s3://bucket/prefix/` or relative to the connection.
    pub location: String,
    /// Glob over what follows the location; everything if absent.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Seconds between two looks.
    pub poll: u64,
    /// Seconds for which a file must not have changed before it counts as arrived.
    #[serde(default)]
    pub settle: u64,
    /// Whether files that are there when the job is made count as arrived.
    #[serde(default = "yes")]
    pub existing: bool,
}

fn yes() -> bool {
    true
}

/// A file that a look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Its key, or path.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// `ETag`, where there is one.
    pub etag: Option<String>,
    /// When it last changed, where that is known.
    pub last_modified: Option<DateTime<Utc>>,
}

/// Looks at folders; given by core.
#[async_trait::async_trait]
pub trait ArrivalSource: Send + Sync {
    /// Lists every file that matches, in any order, and hands each to `found`. An error says that
    /// the list is incomplete; nothing is decided from it. Which of them are new is not the
    /// source's question.
    async fn list(
        &self,
        fabric: FabricId,
        arrival: &Arrival,
        found: &mut (dyn FnMut(Arrived) + Send),
    ) -> Result<()>;
}

impl Arrival {
    /// Checks the pattern and the times.
    pub(crate) fn check(&self) -> Result<()> {
        if self.poll == 0 {
            return Err(Error::new(ErrorCode::ScheduleInvalid, "POLL is at least one second"));
        }
        if self.location.is_empty() {
            return Err(Error::new(ErrorCode::PathInvalid, "an arrival needs a LOCATION"));
        }
        match &self.pattern {
            Some(pattern) => KeyPattern::new(pattern).map(drop),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ON ARRIVAL IN {} LOCATION = {}", self.connection, quoted(&self.location))?;
        if let Some(pattern) = &self.pattern {
            write!(f, " PATTERN = {}", quoted(pattern))?;
        }
        write!(f, " POLL = {}", interval_text(self.poll))?;
        if self.settle > 0 {
            write!(f, " SETTLE = {}", interval_text(self.settle))?;
        }
        if !self.existing {
            f.write_str(" EXISTING = FALSE")?;
        }
        Ok(())
    }
}
