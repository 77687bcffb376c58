//! Words of jobs and runs: states, policies, progress, and the rows of a run's log.
//!
//! What the states mean is here; who may move a run from one to another is the store's business.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])+ $variant,)+ }

        impl $name {
            /// Every value, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word, in lower case.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::Error;
            /// Reads the word without regard to case.
            fn from_str(text: &str) -> crate::Result<Self> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|known| known.as_str().eq_ignore_ascii_case(text))
                    .ok_or_else(|| {
                        let known: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                        crate::Error::new(
                            crate::ErrorCode::OptionInvalid,
                            format!("`{text}` is not one of {}", known.join(", ")),
                        )
                    })
            }
        }
    };
}

words! {
    /// Whether the trigger of a job is watched.
    JobState {
        /// The trigger starts runs.
        Active = "active",
        /// Only `RUN JOB` starts runs.
        Paused = "paused",
    }
}

words! {
    /// Where a run is in its life.
    RunState {
        /// Waits for its time and for somebody to take it.
        Queued = "queued",
        /// Somebody holds its lease.
        Running = "running",
        /// Did everything.
        Succeeded = "succeeded",
        /// Ended, but some items failed.
        Partial = "partial",
        /// Ended with an error.
        Failed = "failed",
        /// Stopped by a person.
        Cancelled = "cancelled",
        /// Never began; the reason is in its error.
        Skipped = "skipped",
    }
}

impl RunState {
    /// Whether nothing changes any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

words! {
    /// What a trigger does while an earlier run of its job goes on.
    Overlap {
        /// Records a skipped run. An arrival is not lost: it starts a run once the earlier one ended.
        Skip = "skip",
        /// Lets one run wait; while one waits, later ones are skipped.
        Queue = "queue",
        /// Starts it beside the other.
        Allow = "allow",
    }
}

words! {
    /// What happens to times that passed while nobody watched.
    Missed {
        /// One run for all of them.
        RunOnce = "run_once",
        /// A skipped run is recorded, and the next time is waited for.
        Skip = "skip",
    }
}

words! {
    /// What started a run.
    Cause {
        /// `RUN JOB`, or a statement that is its own run.
        Manual = "manual",
        /// An interval passed.
        Interval = "interval",
        /// A cron expression or a calendar rule came true.
        Schedule = "schedule",
        /// Files arrived.
        Arrival = "arrival",
    }
}

words! {
    /// How grave a line of a run's log is.
    Level {
        /// Said in passing.
        Info = "info",
        /// Something did not go as planned, and the run went on.
        Warning = "warning",
        /// Something failed.
        Error = "error",
    }
}

/// How the runs of a job behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobPolicy {
    /// What happens when the trigger fires while a run goes on.
    pub overlap: Overlap,
    /// What happens to times that passed while nobody watched.
    pub missed: Missed,
    /// Further attempts after a failure that trying again can cure.
    pub retries: u32,
    /// Seconds before the first further attempt; each next wait is twice as long, up to an hour.
    pub retry_delay: u64,
    /// Longest an attempt may take, in seconds.
    pub time_limit: Option<u64>,
}

impl Default for JobPolicy {
    fn default() -> Self {
        Self {
            overlap: Overlap::Skip,
            missed: Missed::RunOnce,
            retries: 2,
            retry_delay: 30,
            time_limit: None,
        }
    }
}

/// How far a run is. What is not known yet is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Items the plan holds so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_items: Option<u64>,
    /// Bytes the plan holds so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_bytes: Option<u64>,
    /// Items that have ended, whatever their end.
    #[serde(default)]
    pub done_items: u64,
    /// Bytes that have arrived.
    #[serde(default)]
    pub done_bytes: u64,
    /// Items that failed.
    #[serde(default)]
    pub failed_items: u64,
    /// Whether the plan is complete: `planned_*` will not grow any more.
    #[serde(default)]
    pub planned: bool,
    /// Seconds that are left, by estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// One line of the log of items (M-L2): what was done to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunItem {
    /// What was done: `copy`, `update`, `delete`, `skip`, ...
    pub action: String,
    /// From where; empty for a deletion.
    pub source: String,
    /// Where to; empty where there is none.
    pub destination: String,
    /// Size in bytes, where it is known.
    pub size: Option<u64>,
    /// How it ended: `done`, `skipped`, `failed`.
    pub status: String,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// Of one that failed, the code of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of one that failed, what to do, where there is advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_print_and_read_back() {
        for state in RunState::ALL {
            assert_eq!(state.to_string().to_uppercase().parse::<RunState>().unwrap(), *state);
            let json = serde_json::to_string(state).unwrap();
            assert_eq!(json, format!("\"{state}\""));
        }
        insta::assert_snapshot!(
            "sometimes".parse::<Overlap>().unwrap_err(),
            @"`sometimes` is not one of skip, queue, allow"
        );
        assert!(RunState::Skipped.is_final() && !RunState::Queued.is_final());
    }
}
