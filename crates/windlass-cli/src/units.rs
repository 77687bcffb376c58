//! Small values of arguments: durations, moments, byte ranges.

use chrono::{DateTime, NaiveDate, Utc};
use std::time::Duration;
use windlass_core::engine::ByteRange;

/// Reads `90s`, `30m`, `1h`, `7d`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration; write `90s`, `30m`, `1h`, `7d` or `1h30m`");
    let mut total: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = rest[digits..].trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let factor = match rest[..letters].to_ascii_lowercase().as_str() {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 604_800,
            _ => return Err(bad()),
        };
        rest = rest[letters..].trim_start();
        total = number.checked_mul(factor).and_then(|n| n.checked_add(total)).ok_or_else(bad)?;
    }
    Ok(Duration::from_secs(total))
}

/// A moment: a time, a day, or a duration before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A fixed time.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(Duration),
}

impl Moment {
    /// The time it means.
    pub(crate) fn resolve(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => chrono::Duration::from_std(duration)
                .ok()
                .and_then(|duration| now.checked_sub_signed(duration))
                .unwrap_or(DateTime::<Utc>::MIN_UTC),
        }
    }
}

/// Reads `2h`, `7d`, `2026-01-31` or `2026-01-31T12:00:00Z`.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(time.with_timezone(&Utc)));
    }
    if let Ok(day) = text.parse::<NaiveDate>()
        && let Some(midnight) = day.and_hms_opt(0, 0, 0)
    {
        return Ok(Moment::At(midnight.and_utc()));
    }
    duration(text).map(Moment::Ago).map_err(|_| {
        format!("`{text}` is not a time; write `2h`, `7d`, `2026-01-31` or `2026-01-31T12:00:00Z`")
    })
}

/// A range of bytes as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range(pub ByteRange);

/// Reads `0-99` (both ends included), `100-` or `-50` (the last 50).
pub(crate) fn range(text: &str) -> Result<Range, String> {
    let bad =
        || format!("`{text}` is not a range; write `0-99`, `100-` or `-50` for the last 50 bytes");
    let (from, to) = text.split_once('-').ok_or_else(bad)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
    let range = match (from, to) {
        ("", "") => return Err(bad()),
        ("", last) => ByteRange::Last(number(last)?),
        (first, "") => ByteRange::From(number(first)?),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            let length = last.checked_sub(first).and_then(|n| n.checked_add(1)).ok_or_else(bad)?;
            ByteRange::Bounded(first, length)
        }
    };
    Ok(Range(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_and_nonsense_is_refused() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        assert_eq!(duration("2 hours"), Ok(Duration::from_hours(2)));
        for bad in ["", "h", "1", "1y", "-1h", "99999999999999999999d", "9999999999999999w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_written_as_in_http() {
        assert_eq!(range("0-99"), Ok(Range(ByteRange::Bounded(0, 100))));
        assert_eq!(range("100-"), Ok(Range(ByteRange::From(100))));
        assert_eq!(range("-50"), Ok(Range(ByteRange::Last(50))));
        for bad in ["", "-", "5", "9-5", "a-b", "0-18446744073709551615"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_times_days_or_ages() {
        let now = DateTime::parse_from_rfc3339("2026-01-31T12:00:00Z").unwrap().to_utc();
        assert_eq!(moment("2h").unwrap().resolve(now).to_rfc3339(), "2026-01-31T10:00:00+00:00");
        assert_eq!(
            moment("2026-01-01").unwrap().resolve(now).to_rfc3339(),
            "2026-01-01T00:00:00+00:00"
        );
        assert!(moment("yesterday").is_err());
        assert_eq!(moment("9999999999d").unwrap().resolve(now), DateTime::<Utc>::MIN_UTC);
    }
}
