//! Guesses that a column holds personal data: by its name, and by values of the files that were read
//! anyway. Nothing of the values is kept.

use crate::model::{Column, Hint};
use regex::Regex;
use std::sync::LazyLock;

/// Share of values, in percent, from which they say something.
const LEAST: usize = 60;

struct Kind {
    word: &'static str,
    /// Words a name is made of.
    names: &'static [&'static str],
    /// Confidence of the name alone.
    named: u8,
    fits: Option<fn(&str) -> bool>,
}

static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,24}$").ok()
});

fn is_email(text: &str) -> bool {
    EMAIL.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// With a `+`, or groups of digits: a bare number is no phone.
fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let written = text.starts_with('+') || text.starts_with('(') || text.contains([' ', '-', '/']);
    (7..=15).contains(&digits)
        && written
        && text.chars().all(|c| c.is_ascii_digit() || "+()- ./".contains(c))
        && !crate::levels::is_date(text)
        && !text.contains("--")
        // Dates with times are no phones.
        && text.matches('-').count() < 4
        && !is_day(text)
}

fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['-', '/', '.', ' ']).collect();
    parts.len() >= 3
        && parts[..3].iter().all(|part| (1..=4).contains(&part.len()))
        && parts[..3].iter().any(|part| part.len() == 4)
        && !text.starts_with(['+', '('])
        && parts[..3]
            .iter()
            .filter_map(|part| part.parse::<u32>().ok())
            .filter(|n| *n <= 31)
            .count()
            == 2
}

/// 13 to 19 digits whose check digit is right.
fn is_card(text: &str) -> bool {
    let mut digits: Vec<u32> = Vec::new();
    for letter in text.chars() {
        match letter.to_digit(10) {
            Some(digit) => digits.push(digit),
            None if letter == ' ' || letter == '-' => {}
            None => return false,
        }
    }
    if !(13..=19).contains(&digits.len()) || !matches!(digits[0], 2..=6) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Two letters, two digits, and a remainder of 1.
fn is_iban(text: &str) -> bool {
    let text: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    if !(15..=34).contains(&text.len())
        || !text.iter().all(u8::is_ascii_alphanumeric)
        || !text[..2].iter().all(u8::is_ascii_uppercase)
        || !text[2..4].iter().all(u8::is_ascii_digit)
    {
        return false;
    }
    let rest = text[4..].iter().chain(&text[..4]).fold(0u32, |rest, byte| {
        let value = u32::from(match byte {
            b'0'..=b'9' => byte - b'0',
            letter => letter.to_ascii_uppercase() - b'A' + 10,
        });
        (if value > 9 { rest * 100 } else { rest * 10 } + value) % 97
    });
    rest == 1
}

const KINDS: &[Kind] = &[
    Kind { word: "email", names: &["email", "mail", "e_mail"], named: 60, fits: Some(is_email) },
    Kind {
        word: "phone",
        names: &["phone", "mobile", "telephone", "tel", "fax", "msisdn"],
        named: 60,
        fits: Some(is_phone),
    },
    Kind {
        word: "card",
        names: &["card_number", "credit_card", "creditcard", "card_no", "pan"],
        named: 60,
        fits: Some(is_card),
    },
    Kind { word: "iban", names: &["iban"], named: 80, fits: Some(is_iban) },
    Kind {
        word: "person_name",
        names: &[
            "first_name",
            "last_name",
            "full_name",
            "surname",
            "given_name",
            "family_name",
            "firstname",
            "lastname",
            "fullname",
            "maiden_name",
            "customer_name",
        ],
        named: 60,
        fits: None,
    },
];

/// The name in lower case, its words apart by `_`: `firstName` is `first_name`.
fn words(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && lower {
            out.push('_');
        }
        lower = letter.is_lowercase();
        out.extend(if letter.is_alphanumeric() { letter.to_lowercase().next() } else { Some('_') });
    }
    out
}

fn named(name: &str, kind: &Kind) -> bool {
    let name = format!("_{}_", words(name));
    kind.names.iter().any(|word| name.contains(&format!("_{word}_")))
}

/// What the name and some values of a column hint at, the surest first.
pub fn hints(name: &str, values: &[String]) -> Vec<Hint> {
    let values: Vec<&str> =
        values.iter().map(|value| value.trim()).filter(|value| !value.is_empty()).collect();
    let mut hints: Vec<Hint> = Vec::new();
    for kind in KINDS {
        let by_name = named(name, kind);
        let fits = kind.fits.map_or(0, |fits| values.iter().filter(|value| fits(value)).count());
        let share = if values.is_empty() { 0 } else { fits * 100 / values.len() };
        let hint = if share >= LEAST {
            let confidence =
                u8::try_from(share.min(95) + if by_name { 5 } else { 0 }).unwrap_or(100);
            // A few values prove little.
            let confidence = if values.len() < 5 { confidence.min(70) } else { confidence };
            let also = if by_name { ", and the column's name" } else { "" };
            Some((confidence, format!("{fits} of {} sampled values{also}", values.len())))
        } else if by_name && (values.is_empty() || kind.fits.is_none()) {
            Some((kind.named, "the column's name".to_owned()))
        } else if by_name {
            Some((
                kind.named / 2,
                format!("the column's name; {fits} of {} sampled values fit", values.len()),
            ))
        } else {
            None
        };
        if let Some((confidence, because)) = hint {
            hints.push(Hint { kind: kind.word.to_owned(), confidence, because });
        }
    }
    hints.sort_by_key(|hint| std::cmp::Reverse(hint.confidence));
    hints
}

/// Gives columns and all within them their hints.
pub fn mark(columns: &mut [Column], values: &[(String, Vec<String>)]) {
    for column in columns {
        let known = values.iter().find(|(name, _)| *name == column.name);
        let textual =
            matches!(column.data_type.as_str(), "STRING" | "TEXT" | "VARCHAR" | "INT" | "BIGINT");
        if textual {
            column.hints = hints(&column.name, known.map_or(&[], |(_, values)| values));
        }
        mark(&mut column.children, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(name: &str, values: &[&str]) -> String {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let all: Vec<String> = hints(name, &values)
            .iter()
            .map(|hint| format!("{} {} ({})", hint.kind, hint.confidence, hint.because))
            .collect();
        all.join("; ")
    }

    #[test]
    fn values_and_names_hint_at_personal_data_with_a_confidence() {
        let mails = ["a@x.org", "b.c@y.co.uk", "d@z.de", "e+f@q.io", "g@h.com"];
        assert_eq!(kinds("contact", &mails), "email 95 (5 of 5 sampled values)");
        assert_eq!(
            kinds("userEmail", &mails),
            "email 100 (5 of 5 sampled values, and the column's name)"
        );
        assert_eq!(kinds("e-mail", &[]), "email 60 (the column's name)");
        assert_eq!(
            kinds("iban", &["GB82 WEST 1234 5698 7654 32"]),
            "iban 70 (1 of 1 sampled values, and the column's name)"
        );
        assert_eq!(
            kinds("n", &["4111 1111 1111 1111", "5500005555555559"]),
            "card 70 (2 of 2 sampled values)"
        );
        assert_eq!(
            kinds("n", &["+49 30 123456", "(030) 123-4567"]),
            "phone 70 (2 of 2 sampled values)"
        );
        assert_eq!(kinds("first_name", &["Ann", "Bob"]), "person_name 60 (the column's name)");
    }

    #[test]
    fn what_only_looks_alike_is_no_hint() {
        for values in [
            &["2024-01-01", "2024-01-02"][..],
            &["2024-01-01 10:00:00"],
            &["01/02/2024", "31.12.2023"],
            &["1234567", "7654321"],
            &["4111111111111112"],
            &["GB82WEST12345698765433"],
            &["a@b", "@x.org"],
            &["12 34", "56 78"],
            &["10.0.0.1", "192.168.1.1"],
        ] {
            assert_eq!(kinds("x", values), "", "{values:?}");
        }
        assert_eq!(kinds("mailbox_id", &[]), "");
        assert_eq!(kinds("span", &[]), "");
        assert_eq!(
            kinds("mail", &["yes", "no"]),
            "email 30 (the column's name; 0 of 2 sampled values fit)"
        );
    }
}
