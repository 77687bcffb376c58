//! What starts a job: the clause of `CREATE JOB`, and the pure question when it fires next.
//!
//! ```text
//! EVERY 5 MINUTES
//! SCHEDULE '0 6 * * MON-FRI' TIME ZONE 'Europe/Berlin'
//! EVERY MONTH ON (1, 15) AT ('06:00', '18:00') TIME ZONE 'Europe/Berlin' EXCEPT ('2026-12-25')
//! ON ARRIVAL IN landing LOCATION = 's3://lake/in/' PATTERN = '*.csv' POLL = 1 MINUTES
//! ```

mod wall;

use crate::arrival::Arrival;
use crate::calendar::Calendar;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt;
use windlass_types::{Cause, Error, ErrorCode, Result};

pub(crate) use wall::instant_of;

/// Shortest interval, in seconds.
pub const SHORTEST: u64 = 1;

/// What starts a job. Printing it gives the clause; its grammar is that of statements, in `windlass-sql`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Trigger {
    /// `RUN JOB` only; its clause is empty.
    #[default]
    Manual,
    /// A fixed time after another, counted from when the job was made.
    Every {
        /// Seconds, at least [`SHORTEST`].
        seconds: u64,
    },
    /// A cron expression in a time zone.
    Cron {
        /// Five fields, or six with seconds first; `@daily` and its like.
        expression: String,
        /// The zone its fields are read in.
        zone: Tz,
    },
    /// A rule of the calendar (M-J18).
    Calendar(Calendar),
    /// Files arrive.
    Arrival(Arrival),
}

impl Trigger {
    /// What a run that it starts is caused by.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Manual => Cause::Manual,
            Self::Every { .. } => Cause::Interval,
            Self::Cron { .. } | Self::Calendar(_) => Cause::Schedule,
            Self::Arrival(_) => Cause::Arrival,
        }
    }

    /// Whether somebody must watch the clock or a folder for it.
    pub fn is_watched(&self) -> bool {
        !matches!(self, Self::Manual)
    }

    /// Checks what the types do not: the expression reads, the rule can come true.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Every { seconds } if *seconds < SHORTEST => {
                Err(Error::new(ErrorCode::ScheduleInvalid, "an interval is at least one second"))
            }
            Self::Every { seconds } if *seconds > 366 * 86_400 => {
                Err(Error::new(ErrorCode::ScheduleInvalid, "an interval is at most 366 days"))
            }
            Self::Manual | Self::Every { .. } => Ok(()),
            Self::Cron { expression, zone } => wall::cron(expression)
                .and_then(|cron| wall::next(&cron, *zone, DateTime::UNIX_EPOCH))
                .map(drop),
            Self::Calendar(calendar) => calendar.check(),
            Self::Arrival(arrival) => arrival.check(),
        }
    }

    /// Decides when it fires next, strictly after `now`. Intervals count from `anchor`, the time
    /// the job was made. For an arrival that is the next look at the folder; none for a manual job
    /// and for a schedule that is over.
    ///
    /// **Daylight saving.** A cron expression or a calendar rule speaks of local times. Each local
    /// time fires once: where the clock goes back and shows it twice, the first counts. A local
    /// time that the clock jumps over fires at the first instant after the jump. Only a cron
    /// expression that runs in every hour of the day is about elapsed time: it fires in both of
    /// two equal hours, and makes up for nothing in an hour that does not exist.
    pub fn next_after(&self, now: DateTime<Utc>, anchor: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Manual => None,
            Self::Every { seconds } => next_step(now, anchor, *seconds),
            Self::Arrival(arrival) => next_step(now, anchor, arrival.poll),
            Self::Cron { expression, zone } => {
                let cron = wall::cron(expression).ok()?;
                wall::next(&cron, *zone, now).ok()
            }
            Self::Calendar(calendar) => calendar.next_after(now),
        }
    }
}

/// The first multiple of `seconds` after `anchor` that lies after `now`.
fn next_step(now: DateTime<Utc>, anchor: DateTime<Utc>, seconds: u64) -> Option<DateTime<Utc>> {
    let step = i64::try_from(seconds.max(1)).ok()?.checked_mul(1_000_000)?;
    let passed = (now - anchor).num_microseconds()?.max(0);
    let steps = passed / step + 1;
    anchor.checked_add_signed(TimeDelta::microseconds(steps.checked_mul(step)?))
}

/// `5 MINUTES`: the largest unit that is whole.
pub(crate) fn interval_text(seconds: u64) -> String {
    let (count, unit) = [(86_400, "DAY"), (3_600, "HOUR"), (60, "MINUTE")]
        .into_iter()
        .find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size))
        .map_or((seconds, "SECOND"), |(size, unit)| (seconds / size, unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "S" })
}

/// Text in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual => Ok(()),
            Self::Every { seconds } => write!(f, "EVERY {}", interval_text(*seconds)),
            Self::Cron { expression, zone } => {
                write!(f, "SCHEDULE {}", quoted(expression))?;
                if *zone == Tz::UTC {
                    return Ok(());
                }
                write!(f, " TIME ZONE {}", quoted(zone.name()))
            }
            Self::Calendar(calendar) => calendar.fmt(f),
            Self::Arrival(arrival) => arrival.fmt(f),
        }
    }
}
