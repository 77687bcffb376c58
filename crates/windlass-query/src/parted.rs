//! What parts the fields of text where commas do not: seen in the names of columns.

use crate::format::{Declared, Kind};
use arrow::datatypes::Schema;

/// What is declared with another delimiter, where the names of columns are parted by one, and the words
/// that say so. Whether it does part the rows is seen by reading again: [`parts`].
pub(crate) fn otherwise_parted<'a>(
    schemas: impl Iterator<Item = &'a Schema>,
    declared: &Declared,
    kind: Kind,
) -> Option<(Declared, String)> {
    let delimiter = parted_by(schemas)?;
    let shown = char::from(delimiter).escape_default();
    let how = format!("its fields are parted by `{shown}`");
    Some((declared.parted_by(delimiter, kind)?, how))
}

/// What may part fields where each file seems to have one column: the most frequent of the usual
/// ones in the names of all.
fn parted_by<'a>(schemas: impl Iterator<Item = &'a Schema>) -> Option<u8> {
    let mut names = Vec::new();
    for schema in schemas {
        match schema.fields().as_ref() {
            [] => {}
            [field] => names.push(field.name()),
            _ => return None,
        }
    }
    let count = |delimiter: u8| {
        names.iter().map(|name| name.matches(char::from(delimiter)).count()).min().unwrap_or(0)
    };
    let most = [b';', b'\t', b'|'].into_iter().rev().max_by_key(|delimiter| count(*delimiter))?;
    (count(most) > 0).then_some(most)
}

/// Whether each file that has columns has several.
pub(crate) fn parts<'a>(mut schemas: impl Iterator<Item = &'a Schema>) -> bool {
    schemas.all(|schema| schema.fields().len() != 1)
}
