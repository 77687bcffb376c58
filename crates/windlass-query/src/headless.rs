//! Whether the first record of CSV names columns, or is a row like those after it.

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;
use std::collections::HashMap;
use windlass_formats::infer::Guess;

/// What the first record of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum First {
    /// The names of the columns.
    #[default]
    Names,
    /// A row like those after it.
    Row,
    /// A row, if the first records of other files are: nothing after it tells.
    Either,
}

/// The metadata of a schema that tells it; None: it is the names.
const KEY: &str = "windlass.first";

impl First {
    /// What it is, given as one row of texts before rows of which these are the guesses.
    pub(crate) fn of(first: &RecordBatch, guesses: &[Guess]) -> Self {
        if guesses.iter().all(|guess| guess.kind() == DataType::Null) {
            return if has_value(first) { Self::Either } else { Self::Names };
        }
        if is_row(first, guesses) { Self::Row } else { Self::Names }
    }

    /// The metadata of a schema.
    pub(crate) fn metadata(self) -> HashMap<String, String> {
        let told = match self {
            Self::Names => None,
            Self::Row => Some("row"),
            Self::Either => Some("either"),
        };
        told.into_iter().map(|told| (KEY.to_owned(), told.to_owned())).collect()
    }

    /// Takes it out of the metadata of a schema.
    pub(crate) fn taken(metadata: &mut HashMap<String, String>) -> Self {
        match metadata.remove(KEY).as_deref() {
            Some("row") => Self::Row,
            Some(_) => Self::Either,
            None => Self::Names,
        }
    }
}

/// Whether a record has a number, a time or a truth value.
fn has_value(record: &RecordBatch) -> bool {
    record.columns().iter().any(|column| {
        let mut guess = Guess::default();
        column.as_string::<i32>().iter().flatten().for_each(|value| guess.add(value));
        !matches!(guess.kind(), DataType::Utf8 | DataType::Null)
    })
}

/// Whether the first record has values of the types that the rows after it have: numbers, times or truth
/// values in each column of such.
fn is_row(first: &RecordBatch, guesses: &[Guess]) -> bool {
    let (mut texts, mut years, mut typed) = (false, Vec::new(), 0);
    for (column, guess) in first.columns().iter().zip(guesses) {
        let column = column.as_string::<i32>();
        let value = (column.len() == 1 && column.is_valid(0)).then(|| column.value(0));
        match guess.kind() {
            DataType::Utf8 => texts = true,
            // Of a column without values, a name is all there is.
            DataType::Null if value.is_some() => return false,
            DataType::Null => {}
            _ => {
                let Some(value) = value else { return false };
                let mut with = guess.clone();
                with.add(value);
                if with.kind() == DataType::Utf8 {
                    return false;
                }
                typed += 1;
                years.extend(year(value));
            }
        }
    }
    // Beside a column of text, years in a row are what a table is spread over.
    let spread = texts && typed > 1 && years.len() == typed && years.is_sorted_by(|a, b| a < b);
    typed > 0 && !spread
}

fn year(value: &str) -> Option<u16> {
    value.parse().ok().filter(|year| (1500..2500).contains(year))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    /// What the first of these records is; empty fields are NULL.
    fn first(records: &[&str]) -> First {
        let fields = |record: &&str| -> Vec<Option<String>> {
            let texts = record.split(',').map(str::to_owned);
            texts.map(|text| Some(text).filter(|text| !text.is_empty())).collect()
        };
        let first = fields(&records[0]);
        let mut guesses = vec![Guess::default(); first.len()];
        for record in &records[1..] {
            for (value, guess) in fields(record).into_iter().zip(&mut guesses) {
                if let Some(value) = &value {
                    guess.add(value);
                }
            }
        }
        let columns = first.into_iter().enumerate().map(|(at, value)| {
            (at.to_string(), Arc::new(StringArray::from(vec![value])) as ArrayRef)
        });
        First::of(&RecordBatch::try_from_iter(columns).unwrap(), &guesses)
    }

    #[test]
    fn a_first_record_of_the_types_of_the_others_is_a_row() {
        for records in [
            &["1,2", "3,4"][..],
            &["1.5,x,2026-01-01", "2,y,2026-01-02T10:00:00"],
            &["true,a", "false,b"],
            &["2019,2020", "5,6"],
            &["alice,30,1990", "bob,31,1989"],
        ] {
            assert_eq!(first(records), First::Row, "{records:?}");
        }
        for records in [
            &["id,n", "1,2"][..],
            &["1,n", "2,3"],
            &["a,b", "x,y"],
            &["id,n"],
            &["1,", "2,3"],
            &["1,note", "2,"],
            &["true,7", "1,8"],
            &["country,2019,2020", "de,1,2"],
        ] {
            assert_eq!(first(records), First::Names, "{records:?}");
        }
        assert_eq!(first(&["1,x"]), First::Either);
        for first in [First::Names, First::Row, First::Either] {
            assert_eq!(First::taken(&mut first.metadata()), first);
        }
    }
}
