//! Columns from folder names: `dt=2026-01-01/region=eu/`, and from dates in paths.

use crate::date_pattern::DatePattern;
use crate::files::SourceFile;
use arrow::datatypes::{DataType, Field};
use chrono::NaiveDate;
use datafusion::scalar::ScalarValue;
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// The folder of NULL, by everybody's convention.
pub(crate) const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns that the paths of some files make, and the values of each file, in the same order.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    pub(crate) fields: Vec<Field>,
    pub(crate) values: Vec<Vec<ScalarValue>>,
}

/// Decides columns and types: all whole numbers without zeros before them, or of at most two digits, are BIGINT,
/// all `yyyy-mm-dd` are DATE, else TEXT.
/// `others` are files that have a say in it besides those whose values are wanted.
pub(crate) fn partitions(
    files: &[Arc<SourceFile>],
    others: &[Arc<SourceFile>],
    pattern: Option<&DatePattern>,
) -> Partitions {
    let pairs: Vec<Vec<(String, Option<String>)>> =
        files.iter().chain(others).map(|file| pairs(&file.object.key)).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in pairs.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let texts = |name: &str| -> Vec<Option<&str>> {
        pairs
            .iter()
            .map(|pairs| {
                pairs.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
            })
            .collect()
    };
    let mut result =
        Partitions { fields: Vec::new(), values: files.iter().map(|_| Vec::new()).collect() };
    for name in names {
        let texts = texts(name);
        let kind = kind(&texts);
        for (row, text) in result.values.iter_mut().zip(texts) {
            row.push(value(&kind, text));
        }
        result.fields.push(Field::new(name, kind, true));
    }
    if let Some(pattern) = pattern {
        // A folder of the same name says it already.
        if !result.fields.iter().any(|field| field.name() == pattern.column()) {
            for (row, file) in result.values.iter_mut().zip(files) {
                row.push(pattern.value(pattern.moment(file.below())));
            }
            result.fields.push(Field::new(pattern.column(), pattern.kind(), true));
        }
    }
    result
}

/// What the folders of a key (all up to its last `/`) say, decoded; None is NULL.
pub(crate) fn pairs(key: &str) -> Vec<(String, Option<String>)> {
    let folders = key.rfind('/').map_or("", |at| &key[..at]);
    let mut pairs: Vec<(String, Option<String>)> = Vec::new();
    for level in folders.split('/') {
        if let Some((name, value)) = pair(level) {
            pairs.retain(|(earlier, _)| *earlier != name); // the innermost wins
            pairs.push((name, value));
        }
    }
    pairs
}

/// What one folder says.
pub(crate) fn pair(level: &str) -> Option<(String, Option<String>)> {
    let decode =
        |text: &str| percent_decode_str(text).decode_utf8().map_or(text.to_owned(), Into::into);
    let (name, value) = level.split_once('=')?;
    (!name.is_empty()).then(|| (decode(name), (value != NULL).then(|| decode(value))))
}

fn kind(texts: &[Option<&str>]) -> DataType {
    let mut known = texts.iter().flatten().peekable();
    if known.peek().is_none() {
        DataType::Utf8
    } else if are_numbers(known.clone().copied()) {
        DataType::Int64
    } else if known.all(|text| date(text).is_some()) {
        DataType::Date32
    } else {
        DataType::Utf8
    }
}

/// Whether all are whole numbers, and nothing but numbers: zeros before them are part of a postal code or
/// a name, unless none has more than two digits, as months, days and hours are written.
fn are_numbers<'a>(mut texts: impl Iterator<Item = &'a str> + Clone) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    let short = texts.clone().all(|text| text.len() <= 2);
    texts.all(|text| number(text).is_some_and(|number| short || number.to_string() == text))
}

fn date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
    let plain = bytes.len() == 10 && digits(0..4) && digits(5..7) && digits(8..10);
    plain.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten().and_then(|date| {
        i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
    })
}

/// The value a text of a folder has in a column of this type.
pub(crate) fn value(kind: &DataType, text: Option<&str>) -> ScalarValue {
    match kind {
        DataType::Int64 => ScalarValue::Int64(text.and_then(|text| text.parse().ok())),
        DataType::Date32 => ScalarValue::Date32(text.and_then(date)),
        _ => ScalarValue::Utf8(text.map(str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_before_a_number_are_part_of_a_text() {
        let of = |texts: &[&str]| kind(&texts.iter().map(|text| Some(*text)).collect::<Vec<_>>());
        for numbers in [["1", "12"], ["01", "12"], ["-1", "0"]] {
            assert_eq!(of(&numbers), DataType::Int64, "{numbers:?}");
        }
        for texts in [["01234", "1234"], ["007", "008"], ["+12", "2"]] {
            assert_eq!(of(&texts), DataType::Utf8, "{texts:?}");
        }
        assert_eq!(of(&["2024-01-31"]), DataType::Date32);
    }

    #[test]
    fn folder_names_are_decoded_and_the_default_partition_is_null() {
        assert_eq!(
            pairs("x/c=a%2Fb/n=__HIVE_DEFAULT_PARTITION__/=z/f=g.csv"),
            [("c".to_owned(), Some("a/b".to_owned())), ("n".to_owned(), None)]
        );
    }

    #[test]
    fn types_are_those_all_values_fit() {
        assert_eq!(kind(&[Some("1"), None, Some("02")]), DataType::Int64);
        assert_eq!(kind(&[Some("2026-01-31")]), DataType::Date32);
        assert_eq!(kind(&[Some("2026-02-31")]), DataType::Utf8);
        assert_eq!(kind(&[None]), DataType::Utf8);
    }
}
