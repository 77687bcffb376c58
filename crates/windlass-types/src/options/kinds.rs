//! Checks of the kinds of value that only jobs and transfers take.

use super::{OptionDef, OptionType, OptionValue, describe, unknown};
use crate::error::{Error, ErrorCode, Result};
use crate::size::ByteSize;
use chrono::{DateTime, NaiveDate, Utc};

/// Reads a time: RFC 3339, or a date, which means its first moment in UTC.
pub fn parse_moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
}

/// Whether the text is `0%` to `100%`.
fn is_share(text: &str) -> bool {
    let digits = text.strip_suffix('%').unwrap_or_default();
    digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u8>().is_ok_and(|n| n <= 100)
}

/// One form of each: `Size` an integer, `Moment` a text or an interval, `Choices` a list of texts.
pub(super) fn check(def: &OptionDef, value: OptionValue) -> Result<OptionValue> {
    use OptionValue as V;
    let ill = |found: String| {
        Error::new(
            ErrorCode::OptionInvalid,
            format!("{} takes {}, not {found}", def.name, def.kind.describe()),
        )
    };
    match (def.kind, value) {
        (OptionType::Size, V::Integer(bytes)) if bytes >= 0 => Ok(V::Integer(bytes)),
        (OptionType::Size, V::Text(text)) => text
            .parse::<ByteSize>()
            .ok()
            .and_then(|size| i64::try_from(size.0).ok())
            .map(V::Integer)
            .ok_or_else(|| {
                ill(format!("the text '{text}'")).hint("write `'64KiB'`, `'10MB'` or `'1GiB'`")
            }),
        (OptionType::Bound, V::Integer(number)) if number >= 0 => Ok(V::Integer(number)),
        (OptionType::Bound, V::Text(text)) if is_share(&text) => Ok(V::Text(text)),
        (OptionType::Moment, V::Interval(seconds)) => Ok(V::Interval(seconds)),
        (OptionType::Moment, V::Text(text)) if parse_moment(&text).is_some() => Ok(V::Text(text)),
        (OptionType::Choices(words), value) => {
            let items = match value {
                V::List(items) => items,
                one => vec![one],
            };
            let mut chosen: Vec<OptionValue> = Vec::with_capacity(items.len());
            for item in items {
                let (V::Text(text) | V::Word(text)) = item else {
                    return Err(ill(describe(&item, false)));
                };
                let word = words
                    .iter()
                    .find(|word| word.eq_ignore_ascii_case(&text))
                    .ok_or_else(|| unknown(&format!("value of {}", def.name), &text, words))?;
                let value = V::Text((*word).to_owned());
                if !chosen.contains(&value) {
                    chosen.push(value);
                }
            }
            Ok(V::List(chosen))
        }
        (_, other) => Err(ill(describe(&other, def.secret))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JOB_OPTIONS, SYNC_FILES_OPTIONS, check, find};
    use super::*;

    fn files(name: &str, value: OptionValue) -> Result<OptionValue> {
        check(find(SYNC_FILES_OPTIONS, name).unwrap(), value)
    }

    #[test]
    fn sizes_times_and_lists_of_words_have_one_form() {
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let word = |text: &str| OptionValue::Word(text.to_owned());
        assert_eq!(files("MIN_SIZE", text("10MB")).unwrap(), OptionValue::Integer(10_000_000));
        assert!(files("MIN_SIZE", text("10 apples")).is_err());
        assert!(files("MIN_SIZE", OptionValue::Integer(-1)).is_err());
        assert!(files("NEWER_THAN", OptionValue::Interval(3600)).is_ok());
        assert!(files("NEWER_THAN", text("2026-02-29")).is_err());
        for share in ["0%", "10%", "100%"] {
            assert_eq!(files("MAX_DELETE", text(share)).unwrap(), text(share));
        }
        assert!(files("MAX_DELETE", OptionValue::Integer(5)).is_ok());
        for wrong in ["101%", "%", "+1%", "5", "-1%"] {
            assert!(files("MAX_DELETE", text(wrong)).is_err());
        }
        let on = find(JOB_OPTIONS, "ALERT_ON").unwrap();
        let list = OptionValue::List(vec![word("failed"), text("PARTIAL"), word("FAILED")]);
        assert_eq!(
            check(on, list).unwrap(),
            OptionValue::List(vec![text("FAILED"), text("PARTIAL")])
        );
        insta::assert_snapshot!(check(on, word("fail")).unwrap_err(), @"unknown value of ALERT_ON `fail`");
    }

    #[test]
    fn a_date_is_its_first_moment() {
        assert_eq!(parse_moment("2026-01-31"), parse_moment("2026-01-31T00:00:00Z"));
        assert_eq!(parse_moment("2026-01-31T02:00:00+02:00"), parse_moment("2026-01-31"));
        assert_eq!(parse_moment("yesterday"), None);
    }
}
