//! Patterns of times as `PostgreSQL` writes them (`YYYY-MM-DD`), as those the engine knows (`%Y-%m-%d`).
//!
//! Letters and their meaning: `PostgreSQL`'s table "Template Patterns for Date/Time Formatting".

/// What each pattern is to the engine, and without leading zeros or blanks; longer ones before those they begin with.
const PATTERNS: &[(&str, &str, &str)] = &[
    ("IYYY", "%G", "%G"),
    ("YYYY", "%Y", "%-Y"),
    ("YY", "%y", "%-y"),
    ("MONTH", "%B", "%B"),
    ("MON", "%b", "%b"),
    ("MM", "%m", "%-m"),
    ("MI", "%M", "%-M"),
    ("MS", "%3f", "%3f"),
    ("US", "%6f", "%6f"),
    ("IDDD", "", ""),
    ("DDD", "%j", "%-j"),
    ("DD", "%d", "%-d"),
    ("DAY", "%A", "%A"),
    ("DY", "%a", "%a"),
    ("ID", "%u", "%u"),
    ("HH24", "%H", "%-H"),
    ("HH12", "%I", "%-I"),
    ("HH", "%I", "%-I"),
    ("SSSS", "", ""),
    ("SS", "%S", "%-S"),
    ("AM", "%p", "%p"),
    ("PM", "%p", "%p"),
    ("IW", "%V", "%-V"),
    ("Q", "%q", "%q"),
];

/// The pattern as the engine knows it. None where it is one already, holds no time, or something the engine lacks.
pub(crate) fn as_percent(pattern: &str) -> Option<String> {
    if pattern.contains('%') {
        return None;
    }
    let mut percent = String::new();
    let mut is_time = false;
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (text, after) = rest[1..].split_once('"')?;
            percent.push_str(text);
            rest = after;
            continue;
        }
        let upper = rest.to_ascii_uppercase();
        let (is_short, at) = match upper.strip_prefix("FM") {
            Some(after) if first.is_ascii() => (true, after),
            _ => (false, upper.as_str()),
        };
        if let Some((name, long, short)) = PATTERNS.iter().find(|(name, ..)| at.starts_with(name)) {
            let spelled = if is_short { short } else { long };
            if spelled.is_empty() {
                return None;
            }
            // `am` is written small where the pattern is.
            let begin = if is_short { 2 } else { 0 };
            let is_small = rest[begin..].starts_with(['a', 'p']);
            percent.push_str(if is_small && *long == "%p" { "%P" } else { spelled });
            is_time = true;
            rest = &rest[begin + name.len()..];
            continue;
        }
        if is_short || first.is_ascii_alphabetic() && first != 'T' {
            return None;
        }
        percent.push(first);
        rest = &rest[first.len_utf8()..];
    }
    is_time.then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_percents() {
        for (theirs, own) in [
            ("YYYY-MM-DD", "%Y-%m-%d"),
            ("yyyymmdd", "%Y%m%d"),
            ("YYYY-MM-DD\"T\"HH24:MI:SS.MS", "%Y-%m-%dT%H:%M:%S.%3f"),
            ("YYYY-MM-DDTHH24:MI:SS", "%Y-%m-%dT%H:%M:%S"),
            ("FMDD Mon, YY", "%-d %b, %y"),
            ("Dy, HH12:MI am", "%a, %I:%M %P"),
            ("IYYY-\"W\"IW", "%G-W%V"),
            ("Qé YYYY", "%qé %Y"),
        ] {
            assert_eq!(as_percent(theirs).as_deref(), Some(own), "{theirs}");
        }
    }

    #[test]
    fn what_is_no_pattern_of_a_time_stays() {
        for other in ["%Y", "999.99", "", "FM990", "WW", "J", "\"open", "SSSS", "Éa"] {
            assert_eq!(as_percent(other), None, "{other}");
        }
    }
}
