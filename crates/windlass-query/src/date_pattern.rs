//! `DATE_PATTERN`: the dated part of a key, in the letters Java knows (U-I4 to U-I7).

use crate::date_letters::{Token, tokens};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Datelike as _, NaiveDate, NaiveDateTime, TimeDelta, Timelike as _};
use datafusion::scalar::ScalarValue;
use std::fmt::Write as _;
use windlass_types::{Error, ErrorCode, Result};

/// The column of a pattern of days.
pub(crate) const DATE: &str = "path_date";
/// The column of a pattern that goes down to hours or minutes.
pub(crate) const TIME: &str = "path_time";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
}

const LETTERS: &[(&str, Unit)] = &[
    ("yyyy", Unit::Year),
    ("MM", Unit::Month),
    ("dd", Unit::Day),
    ("HH", Unit::Hour),
    ("mm", Unit::Minute),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Digits(Unit, usize),
}

/// A pattern that what follows LOCATION begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatePattern {
    pieces: Vec<Piece>,
    finest: Unit,
}

fn refused(text: &str, why: &str) -> Error {
    Error::new(ErrorCode::OptionInvalid, format!("DATE_PATTERN `{text}` {why}")).hint(
        "write yyyy, MM, dd, HH and mm in this order, other text as it is and letters in single quotes: 'yyyy/MM/dd', '''dt=''yyyy-MM-dd'",
    )
}

impl DatePattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut finest: Option<Unit> = None;
        for token in tokens(text).map_err(|why| refused(text, why))? {
            let word = match token {
                Token::Text(literal) => {
                    pieces.push(Piece::Text(literal));
                    continue;
                }
                Token::Letters(word) => word,
            };
            let (_, unit) = LETTERS
                .iter()
                .find(|(letters, _)| *letters == word)
                .ok_or_else(|| refused(text, &format!("has `{word}`, which is no unit of it")))?;
            // Each unit once, the coarse before the fine: then keys are in order of time.
            let next = finest.map_or(Unit::Year, |unit| match unit {
                Unit::Year => Unit::Month,
                Unit::Month => Unit::Day,
                Unit::Day => Unit::Hour,
                Unit::Hour | Unit::Minute => Unit::Minute,
            });
            if *unit != next || finest == Some(Unit::Minute) {
                return Err(refused(text, "does not go from years to finer units, each once"));
            }
            finest = Some(*unit);
            pieces.push(Piece::Digits(*unit, word.len()));
        }
        let finest = finest.ok_or_else(|| refused(text, "has no date"))?;
        Ok(Self { pieces, finest })
    }

    /// The name of its column.
    pub(crate) fn column(&self) -> &'static str {
        if self.finest > Unit::Day { TIME } else { DATE }
    }

    /// The type of its column.
    pub(crate) fn kind(&self) -> DataType {
        if self.finest > Unit::Day {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        } else {
            DataType::Date32
        }
    }

    /// The moment a key says, if what is below the location begins with the pattern.
    pub(crate) fn moment(&self, below: &str) -> Option<NaiveDateTime> {
        let (mut year, mut month, mut day, mut hour, mut minute) = (0, 1, 1, 0, 0);
        let mut rest = below;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Piece::Digits(unit, length) => {
                    let digits = rest.get(..*length)?;
                    if !digits.bytes().all(|b| b.is_ascii_digit()) {
                        return None;
                    }
                    let number: u32 = digits.parse().ok()?;
                    match unit {
                        Unit::Year => year = number,
                        Unit::Month => month = number,
                        Unit::Day => day = number,
                        Unit::Hour => hour = number,
                        Unit::Minute => minute = number,
                    }
                    rest = &rest[*length..];
                }
            }
        }
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?.and_hms_opt(hour, minute, 0)
    }

    /// The value of its column.
    pub(crate) fn value(&self, moment: Option<NaiveDateTime>) -> ScalarValue {
        if self.finest > Unit::Day {
            let micros = moment.map(|moment| moment.and_utc().timestamp_micros());
            ScalarValue::TimestampMicrosecond(micros, None)
        } else {
            ScalarValue::Date32(moment.and_then(|moment| {
                let days = moment.date().signed_duration_since(NaiveDate::default()).num_days();
                i32::try_from(days).ok()
            }))
        }
    }

    /// What keys of moments from `from` to `to` (both included) begin with; None: too many to say.
    pub(crate) fn prefixes(
        &self,
        from: NaiveDateTime,
        to: NaiveDateTime,
        most: usize,
    ) -> Option<Vec<String>> {
        if from > to {
            return Some(Vec::new());
        }
        // By the finest unit that does not make too many of them.
        for unit in [Unit::Minute, Unit::Hour, Unit::Day, Unit::Month, Unit::Year] {
            if unit > self.finest {
                continue;
            }
            let mut found: Vec<String> = Vec::new();
            let mut at = floor(from, unit)?;
            while at <= to && found.len() <= most {
                found.push(self.text(at, unit));
                at = next(at, unit)?;
            }
            if found.len() <= most {
                found.dedup();
                return Some(found);
            }
        }
        None
    }

    /// How keys of this moment begin, down to a unit.
    fn text(&self, moment: NaiveDateTime, last: Unit) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Digits(unit, _) if *unit > last => break,
                Piece::Digits(unit, length) => {
                    let number = match unit {
                        Unit::Year => moment.year().unsigned_abs(),
                        Unit::Month => moment.month(),
                        Unit::Day => moment.day(),
                        Unit::Hour => moment.hour(),
                        Unit::Minute => moment.minute(),
                    };
                    let _ = write!(text, "{number:0length$}");
                }
            }
        }
        text
    }
}

fn floor(moment: NaiveDateTime, unit: Unit) -> Option<NaiveDateTime> {
    let date = moment.date();
    Some(match unit {
        Unit::Year => NaiveDate::from_ymd_opt(date.year(), 1, 1)?.and_hms_opt(0, 0, 0)?,
        Unit::Month => date.with_day(1)?.and_hms_opt(0, 0, 0)?,
        Unit::Day => date.and_hms_opt(0, 0, 0)?,
        Unit::Hour => date.and_hms_opt(moment.hour(), 0, 0)?,
        Unit::Minute => date.and_hms_opt(moment.hour(), moment.minute(), 0)?,
    })
}

fn next(moment: NaiveDateTime, unit: Unit) -> Option<NaiveDateTime> {
    match unit {
        Unit::Year => floor(moment, unit)?.with_year(moment.year() + 1),
        Unit::Month => moment.checked_add_months(chrono::Months::new(1)),
        Unit::Day => moment.checked_add_signed(TimeDelta::days(1)),
        Unit::Hour => moment.checked_add_signed(TimeDelta::hours(1)),
        Unit::Minute => moment.checked_add_signed(TimeDelta::minutes(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
    }

    #[test]
    fn a_pattern_reads_the_beginning_of_a_key() {
        let pattern = DatePattern::parse("'dt='yyyy-MM-dd'/h='HH").unwrap();
        assert_eq!(pattern.moment("dt=2025-01-31/h=07/x.csv"), Some(at("2025-01-31 07:00")));
        assert_eq!(pattern.moment("dt=2025-1-31/h=07/x.csv"), None);
        assert_eq!(pattern.moment("dt=2025-02-31/h=07/x.csv"), None);
        assert_eq!(pattern.moment("x/dt=2025-01-31/h=07/x.csv"), None);
        assert_eq!(pattern.column(), TIME);
        assert_eq!(DatePattern::parse("yyyy/MM").unwrap().column(), DATE);
    }

    #[test]
    fn what_cannot_be_in_order_is_refused() {
        for text in ["", "dd-MM-yyyy", "yyyy/M/d", "yyyy''MM''MM", "dt=yyyy", "'dt=yyyy", "MM"] {
            assert!(DatePattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_of_moments_is_a_few_prefixes() {
        let pattern = DatePattern::parse("yyyy/MM/dd/HH").unwrap();
        let of = |from: &str, to: &str, most| pattern.prefixes(at(from), at(to), most).unwrap();
        assert_eq!(
            of("2026-01-31 23:10", "2026-02-01 00:00", 8),
            ["2026/01/31/23", "2026/02/01/00"]
        );
        assert_eq!(of("2026-01-31 00:00", "2026-02-01 23:59", 8), ["2026/01/31/", "2026/02/01/"]);
        assert_eq!(of("2025-06-01 00:00", "2026-02-01 00:00", 3), ["2025/", "2026/"]);
        assert!(of("2026-02-01 00:00", "2025-06-01 00:00", 3).is_empty());
    }
}
