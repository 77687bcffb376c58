//! Local times and instants: the only place that knows what daylight saving does.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use windlass_types::{Error, ErrorCode, Result};

/// Reads a cron expression.
pub(super) fn cron(expression: &str) -> Result<Cron> {
    expression.parse().map_err(|error: croner::errors::CronError| {
        Error::new(
            ErrorCode::ScheduleInvalid,
            format!("the cron expression `{expression}` cannot be read"),
        )
        .source(error)
        .hint("it has five fields: minute, hour, day of the month, month, day of the week")
    })
}

/// Decides when an expression first comes true after `now`. See [`super::Trigger::next_after`]
/// for what happens when the clock changes.
pub(super) fn next(cron: &Cron, zone: Tz, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    if cron.pattern.hours.values().len() == 24 {
        return next_elapsed(cron, zone, now);
    }
    // Local times in order give instants in order, so the first local time after the one shown
    // now, whose instant lies ahead, is the answer. In the second of two equal hours that skips
    // the local times that have fired already.
    let mut local = whole_seconds(now.with_timezone(&zone).naive_local());
    loop {
        local = next_local(cron, local, false)?;
        let instant = instant_of(zone, local);
        if instant > now {
            return Ok(instant);
        }
    }
}

/// The same for an expression of every hour: each instant whose local time matches.
fn next_elapsed(cron: &Cron, zone: Tz, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let (mut from, mut inclusive) = (now, false);
    loop {
        let offset = offset_at(zone, from);
        let local = whole_seconds(from.naive_utc() + offset);
        let found = (next_local(cron, local, inclusive)? - offset).and_utc();
        match change_between(zone, from, found) {
            None => return Ok(found),
            // The clock changes first: go on from there, by the new offset.
            Some(change) => (from, inclusive) = (change, true),
        }
    }
}

/// The first local time that matches; daylight saving does not exist here.
fn next_local(cron: &Cron, after: NaiveDateTime, inclusive: bool) -> Result<NaiveDateTime> {
    let found = cron.find_next_occurrence(&after.and_utc(), inclusive).map_err(|error| {
        Error::new(
            ErrorCode::ScheduleInvalid,
            format!("the cron expression `{}` never comes true", cron.as_str()),
        )
        .source(error)
    })?;
    Ok(found.naive_utc())
}

/// The instant at which a local time fires: the first of two, or the first after a jump over it.
pub(crate) fn instant_of(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => {
            instant.with_timezone(&Utc)
        }
        LocalResult::None => {
            // Before the jump the clock shows less, after it more; no zone is further than this
            // from UTC.
            let (low, high) =
                (local.and_utc() - TimeDelta::days(2), local.and_utc() + TimeDelta::days(2));
            first_instant(low, high, |instant| instant.with_timezone(&zone).naive_local() >= local)
        }
    }
}

fn offset_at(zone: Tz, instant: DateTime<Utc>) -> TimeDelta {
    let seconds = zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc();
    TimeDelta::seconds(i64::from(seconds))
}

/// The first instant after `from`, and not after `until`, at which the clock changes.
fn change_between(zone: Tz, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let before = offset_at(zone, from);
    let mut low = from;
    while low < until {
        let high = (low + TimeDelta::days(1)).min(until);
        if offset_at(zone, high) != before {
            return Some(first_instant(low, high, |instant| offset_at(zone, instant) != before));
        }
        low = high;
    }
    None
}

/// The first second in `(low, high]` for which something holds that holds at `high` and stays.
fn first_instant(
    low: DateTime<Utc>,
    high: DateTime<Utc>,
    holds: impl Fn(DateTime<Utc>) -> bool,
) -> DateTime<Utc> {
    let (mut low, mut high) = (low.timestamp(), high.timestamp());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if DateTime::from_timestamp(middle, 0).is_none_or(&holds) {
            high = middle;
        } else {
            low = middle;
        }
    }
    DateTime::from_timestamp(high, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

fn whole_seconds(local: NaiveDateTime) -> NaiveDateTime {
    DateTime::from_timestamp(local.and_utc().timestamp(), 0)
        .map_or(local, |instant| instant.naive_utc())
}
