//! Rules of the calendar (M-J18): which days of which period, at which times, except holidays.

use crate::trigger::{instant_of, quoted};
use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::fmt;
use windlass_types::{Error, ErrorCode, Result};

macro_rules! periods {
    ($($(#[$doc:meta])+ $variant:ident = $text:literal, $first:literal, $last:literal;)+) => {
        /// Which days a rule picks, before `ON` narrows or moves them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Period { $($(#[$doc])+ $variant,)+ }

        impl Period {
            /// Every period.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word of the clause.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// What stands for an empty `ON`, and the greatest number it may hold; 0 is every day.
            const fn days(self) -> (u16, u16) {
                match self { $(Self::$variant => ($first, $last),)+ }
            }
        }
    };
}

periods! {
    /// Every day; `ON` keeps the named weekdays.
    Day = "DAY", 0, 7;
    /// Weekdays `ON`, Monday without.
    Week = "WEEK", 1, 7;
    /// The last day of the week, Sunday.
    WeekEnd = "WEEK_END", 1, 7;
    /// Days of the month `ON` (a month without that day is left out), the first without.
    Month = "MONTH", 1, 31;
    /// The last day of each month.
    MonthEnd = "MONTH_END", 1, 31;
    /// The first day of January, April, July and October.
    Quarter = "QUARTER", 1, 92;
    /// The last day of each quarter.
    QuarterEnd = "QUARTER_END", 1, 92;
    /// The first of January.
    Year = "YEAR", 1, 366;
    /// The last of December.
    YearEnd = "YEAR_END", 1, 366;
}

/// Names of the weekdays; the first three letters will do.
pub(crate) const WEEKDAYS: [&str; 7] =
    ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

impl Period {
    /// Whether `ON` holds weekdays; numbers of days otherwise.
    pub(crate) fn has_weekdays(self) -> bool {
        matches!(self, Self::Day | Self::Week)
    }

    /// Where a day stands in its period, from 1: from its beginning or, for the ends, its end.
    fn place(self, day: NaiveDate) -> u16 {
        let weekday = day.weekday().number_from_monday();
        let month = |month: u32| NaiveDate::from_ymd_opt(day.year(), month, 1).unwrap_or(day);
        let quarter = day.month0() / 3 * 3 + 1;
        // The day after the period: of the next month, or of the next year.
        let after = |first: u32| {
            if first > 12 {
                NaiveDate::from_ymd_opt(day.year() + 1, 1, 1).unwrap_or(day)
            } else {
                month(first)
            }
        };
        let since = |first: NaiveDate| (day - first).num_days() + 1;
        let until = |after: NaiveDate| (after - day).num_days();
        let place = match self {
            Self::Day | Self::Week => i64::from(weekday),
            Self::WeekEnd => i64::from(8 - weekday),
            Self::Month => i64::from(day.day()),
            Self::MonthEnd => until(after(day.month() + 1)),
            Self::Quarter => since(month(quarter)),
            Self::QuarterEnd => until(after(quarter + 3)),
            Self::Year => i64::from(day.ordinal()),
            Self::YearEnd => until(after(13)),
        };
        u16::try_from(place).unwrap_or(u16::MAX)
    }
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

/// Days that are looked at for the next one; the 366th day of a year comes within eight years.
const HORIZON: i64 = 366 * 9;

impl Calendar {
    /// Puts lists in order and drops repetitions.
    #[must_use]
    pub fn tidied(mut self) -> Self {
        self.on.sort_unstable();
        self.on.dedup();
        self.at.sort_unstable();
        self.at.dedup();
        self.except.sort_unstable();
        self.except.dedup();
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let (_, last) = self.period.days();
        if let Some(day) = self.on.iter().find(|day| **day == 0 || **day > last) {
            return Err(Error::new(
                ErrorCode::ScheduleInvalid,
                format!("`{day}` is not a day of EVERY {}: 1 to {last}", self.period.as_str()),
            ));
        }
        Ok(())
    }

    /// Decides when the rule next comes true, strictly after `now`.
    pub(crate) fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let (first, _) = self.period.days();
        let mut at = if self.at.is_empty() { vec![NaiveTime::MIN] } else { self.at.clone() };
        at.sort_unstable();
        // A local time of today may fire tomorrow, where the clock jumps over midnight.
        let today = now.with_timezone(&self.zone).date_naive() - TimeDelta::days(1);
        (0..HORIZON)
            .filter_map(|days| today.checked_add_signed(TimeDelta::days(days)))
            .filter(|day| {
                let place = self.period.place(*day);
                let wanted = match first {
                    0 => self.on.is_empty() || self.on.contains(&place),
                    first if self.on.is_empty() => place == first,
                    _ => self.on.contains(&place),
                };
                wanted && !self.except.contains(day)
            })
            .find_map(|day| {
                at.iter()
                    .map(|time| instant_of(self.zone, day.and_time(*time)))
                    .find(|instant| *instant > now)
            })
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EVERY {}", self.period.as_str())?;
        let list = |items: Vec<String>| format!("({})", items.join(", "));
        if !self.on.is_empty() {
            let days = self.on.iter().map(|day| {
                let name = WEEKDAYS.get(usize::from(*day).wrapping_sub(1)).map(|name| &name[..3]);
                match name {
                    Some(name) if self.period.has_weekdays() => name.to_owned(),
                    _ => day.to_string(),
                }
            });
            write!(f, " ON {}", list(days.collect()))?;
        }
        if !self.at.is_empty() {
            let times = self.at.iter().map(|time| {
                let seconds = chrono::Timelike::second(time) != 0;
                quoted(&time.format(if seconds { "%H:%M:%S" } else { "%H:%M" }).to_string())
            });
            write!(f, " AT {}", list(times.collect()))?;
        }
        if self.zone != Tz::UTC {
            write!(f, " TIME ZONE {}", quoted(self.zone.name()))?;
        }
        if !self.except.is_empty() {
            let days = self.except.iter().map(|day| quoted(&day.to_string()));
            write!(f, " EXCEPT {}", list(days.collect()))?;
        }
        Ok(())
    }
}
