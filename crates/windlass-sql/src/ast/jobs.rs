//! What is said of files to be moved, and of jobs.

use super::{Change, OptionSetting, Statement};
use windlass_types::Name;
use windlass_types::options::{
    COPY_FILES_OPTIONS, MOVE_FILES_OPTIONS, OptionDef, SYNC_FILES_OPTIONS,
};

/// What is done with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilesVerb {
    /// Copied.
    Copy,
    /// Copied, and deleted where they came from.
    Move,
    /// Copied where they differ.
    Sync,
}

impl FilesVerb {
    /// Upper-case keyword.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "COPY",
            Self::Move => "MOVE",
            Self::Sync => "SYNC",
        }
    }

    /// The options it takes.
    pub const fn options(self) -> &'static [OptionDef] {
        match self {
            Self::Copy => COPY_FILES_OPTIONS,
            Self::Move => MOVE_FILES_OPTIONS,
            Self::Sync => SYNC_FILES_OPTIONS,
        }
    }
}

/// A place behind a connection: `connection LOCATION = 'path'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesPlace {
    /// The connection.
    pub connection: Name,
    /// Key, prefix or glob; relative, or `s3://bucket/key`; empty for everything.
    pub location: String,
}

/// `COPY|MOVE|SYNC FILES FROM place TO place options`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesStatement {
    /// What is done.
    pub verb: FilesVerb,
    /// From where.
    pub source: FilesPlace,
    /// To where.
    pub destination: FilesPlace,
    /// Checked options, in the order written.
    pub options: Vec<OptionSetting>,
}

/// `CREATE [OR REPLACE] JOB [IF NOT EXISTS] name [trigger] options AS work`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateJob {
    /// OR REPLACE was said.
    pub or_replace: bool,
    /// IF NOT EXISTS was said.
    pub if_not_exists: bool,
    /// Its name.
    pub name: Name,
    /// What starts it; None: it is started by hand.
    pub trigger: Option<Trigger>,
    /// Checked options, in the order written.
    pub options: Vec<OptionSetting>,
    /// What it does: a statement for which [`Statement::is_work`] is true.
    pub work: Box<Statement>,
}

/// One change of ALTER JOB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobChange {
    /// `SET trigger`
    Trigger(Trigger),
    /// `RESET SCHEDULE`: started by hand from now on.
    NoTrigger,
    /// `SET NAME = value`, `RESET NAME`
    Option(Change),
}

/// What starts a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// `SCHEDULE 'cron' [TIME ZONE 'zone']`
    Cron {
        /// Cron expression, as written.
        expression: String,
        /// IANA name of a time zone; None: UTC.
        zone: Option<String>,
    },
    /// `EVERY n UNIT`: seconds from start to start, at least 1.
    Every(u64),
    /// `EVERY DAY|WEEK|MONTH|QUARTER|YEAR ...` (M-J18)
    Calendar(Calendar),
    /// `ON ARRIVAL [IN connection LOCATION = 'path'] options`
    Arrival {
        /// Where; None: at the source of the work.
        place: Option<FilesPlace>,
        /// Checked options, in the order written.
        options: Vec<OptionSetting>,
    },
}

/// Days of the calendar, and times of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// What recurs.
    pub period: Period,
    /// Days of it. Of a day or a week: 1 is Monday, 7 Sunday; of other periods the nth day, from
    /// 1; of those that are ends the nth day before the end. Empty: every day, the first, the last.
    pub days: Vec<u16>,
    /// Times of day, `HH:MM`; none: 00:00.
    pub times: Vec<String>,
    /// IANA name of a time zone; None: UTC.
    pub zone: Option<String>,
    /// Days left out, `YYYY-MM-DD`.
    pub except: Vec<String>,
}

/// A span of the calendar, or the end of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// Sunday.
    WeekEnd,
    /// A month.
    Month,
    /// The last day of a month.
    MonthEnd,
    /// A quarter, from January, April, July or October.
    Quarter,
    /// The last day of a quarter.
    QuarterEnd,
    /// A year.
    Year,
    /// The last day of a year.
    YearEnd,
}

impl Period {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Day,
        Self::Week,
        Self::WeekEnd,
        Self::Month,
        Self::MonthEnd,
        Self::Quarter,
        Self::QuarterEnd,
        Self::Year,
        Self::YearEnd,
    ];

    /// Upper-case keyword.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::WeekEnd => "WEEK_END",
            Self::Month => "MONTH",
            Self::MonthEnd => "MONTH_END",
            Self::Quarter => "QUARTER",
            Self::QuarterEnd => "QUARTER_END",
            Self::Year => "YEAR",
            Self::YearEnd => "YEAR_END",
        }
    }

    /// The greatest day that `ON` can name.
    pub const fn longest(self) -> u16 {
        match self {
            Self::Day | Self::Week | Self::WeekEnd => 7,
            Self::Month | Self::MonthEnd => 31,
            Self::Quarter | Self::QuarterEnd => 92,
            Self::Year | Self::YearEnd => 366,
        }
    }

    /// Whether `ON` names days of the week.
    pub const fn has_weekdays(self) -> bool {
        matches!(self, Self::Day | Self::Week)
    }
}

/// Keywords of the days of a week, from Monday.
pub const WEEKDAYS: [&str; 7] =
    ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];

impl Statement {
    /// Whether a job can do it.
    pub const fn is_work(&self) -> bool {
        matches!(self, Self::Files(_) | Self::Write(_) | Self::Crawl(_))
    }
}
