//! Jobs, and what they do, as text.

use super::{Printed, Setting, quoted_list, text_literal, when};
use crate::ast::{
    Calendar, Change, CreateJob, FilesPlace, FilesStatement, JobChange, Trigger, WEEKDAYS,
};
use std::fmt::{self, Display};

impl Display for FilesPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} LOCATION = {}", self.connection, text_literal(&self.location))
    }
}

/// An interval of seconds, as SQL writes it.
pub(super) fn interval(seconds: u64) -> String {
    let (number, unit) = match seconds {
        s if s > 0 && s % 86_400 == 0 => (s / 86_400, "DAYS"),
        s if s > 0 && s % 3600 == 0 => (s / 3600, "HOURS"),
        s if s > 0 && s % 60 == 0 => (s / 60, "MINUTES"),
        s => (s, "SECONDS"),
    };
    format!("{number} {unit}")
}

impl Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { expression, zone } => {
                write!(f, "SCHEDULE {}", text_literal(expression))?;
                time_zone(f, zone.as_deref())
            }
            Self::Every(seconds) => write!(f, "EVERY {}", interval(*seconds)),
            Self::Calendar(calendar) => calendar.fmt(f),
            Self::Arrival { place, options } => {
                f.write_str("ON ARRIVAL")?;
                place.iter().try_for_each(|place| write!(f, " IN {place}"))?;
                options
                    .iter()
                    .try_for_each(|setting| write!(f, " {}", Setting { setting, mask: true }))
            }
        }
    }
}

fn time_zone(f: &mut fmt::Formatter<'_>, zone: Option<&str>) -> fmt::Result {
    zone.iter().try_for_each(|zone| write!(f, " TIME ZONE {}", text_literal(zone)))
}

impl Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EVERY {}", self.period.as_str())?;
        if !self.days.is_empty() {
            let day = |day: &u16| match usize::from(*day) {
                day @ 1..=7 if self.period.has_weekdays() => WEEKDAYS[day - 1].to_owned(),
                day => day.to_string(),
            };
            let days: Vec<String> = self.days.iter().map(day).collect();
            write!(f, " ON ({})", days.join(", "))?;
        }
        if !self.times.is_empty() {
            write!(f, " AT {}", quoted_list(&self.times))?;
        }
        time_zone(f, self.zone.as_deref())?;
        if !self.except.is_empty() {
            write!(f, " EXCEPT {}", quoted_list(&self.except))?;
        }
        Ok(())
    }
}

/// Prints a job with secrets masked, an option a line: what SHOW CREATE JOB answers.
pub fn print_job(job: &CreateJob) -> String {
    use std::fmt::Write as _;
    let mut text = format!("CREATE JOB {}", job.name);
    if let Some(trigger) = &job.trigger {
        let _ = write!(text, "\n  {trigger}");
    }
    for setting in &job.options {
        let _ = write!(text, "\n  {}", Setting { setting, mask: true });
    }
    let _ = match &*job.work {
        crate::Statement::Files(files) => {
            let verb = files.verb.as_str();
            let _ = write!(text, "\nAS {verb} FILES\n  FROM {}", files.source);
            let _ = write!(text, "\n  TO {}", files.destination);
            files
                .options
                .iter()
                .try_for_each(|setting| write!(text, "\n  {}", Setting { setting, mask: true }))
        }
        other => write!(text, "\nAS {other}"),
    };
    text.push(';');
    text
}

impl Printed<'_> {
    pub(super) fn files(&self, f: &mut fmt::Formatter<'_>, files: &FilesStatement) -> fmt::Result {
        let FilesStatement { verb, source, destination, options } = files;
        write!(f, "{} FILES FROM {source} TO {destination}", verb.as_str())?;
        self.settings(f, options)
    }

    pub(super) fn create_job(&self, f: &mut fmt::Formatter<'_>, job: &CreateJob) -> fmt::Result {
        let replace = when(job.or_replace, "OR REPLACE ");
        let not_exists = when(job.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE {replace}JOB {not_exists}{}", job.name)?;
        job.trigger.iter().try_for_each(|trigger| write!(f, " {trigger}"))?;
        self.settings(f, &job.options)?;
        write!(f, " AS {}", Printed { statement: &job.work, mask: self.mask })
    }

    pub(super) fn job_changes(
        &self,
        f: &mut fmt::Formatter<'_>,
        changes: &[JobChange],
    ) -> fmt::Result {
        changes.iter().try_for_each(|change| match change {
            JobChange::Trigger(trigger) => write!(f, " SET {trigger}"),
            JobChange::NoTrigger => f.write_str(" RESET SCHEDULE"),
            JobChange::Option(change) => self.change(f, change),
        })
    }

    pub(super) fn change(&self, f: &mut fmt::Formatter<'_>, change: &Change) -> fmt::Result {
        match change {
            Change::Set(setting) => write!(f, " SET {}", Setting { setting, mask: self.mask }),
            Change::Reset(option) => write!(f, " RESET {option}"),
        }
    }
}
