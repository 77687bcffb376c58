//! Rules of the calendar (M-J18): which days of which period, at which times, except holidays.

use crate::trigger::quoted;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt;
use windlass_types::{Error, ErrorCode, Result};

/// Which days a rule picks, before `ON` narrows or moves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// Every day; `ON` keeps the named weekdays.
    Day,
    /// Weekdays `ON`, Monday without.
    Week,
    /// The last day of the week, Sunday.
    WeekEnd,
    /// Days of the month `ON` (1 to 31; a month without that day is left out), the first without.
    Month,
    /// The last day of each month.
    MonthEnd,
    /// The first day of January, April, July and October.
    Quarter,
    /// The last day of each quarter.
    QuarterEnd,
    /// The first of January.
    Year,
    /// The last of December.
    YearEnd,
}

/// A rule of the calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// The period that repeats.
    pub period: Period,
    /// `ON`: for a day or a week weekdays, 1 Monday to 7 Sunday; for the others the nth day of the
    /// period, counted from its end where the period's name ends in `_END`. Empty: see [`Period`].
    #[serde(default)]
    pub on: Vec<u16>,
    /// `AT`: local times of those days; midnight if empty.
    #[serde(default)]
    pub at: Vec<NaiveTime>,
    /// The zone of days and times.
    pub zone: Tz,
    /// `EXCEPT`: days on which nothing starts.
    #[serde(default)]
    pub except: Vec<NaiveDate>,
}
