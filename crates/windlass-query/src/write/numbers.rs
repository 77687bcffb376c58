//! Numbers in the names of files that come beside others: they begin after those that are there.

use super::WriteRequest;
use futures::TryStreamExt as _;
use windlass_s3::ListOptions;
use windlass_types::{EntryKind, Location, Result};

/// What `{n}` stands for in a pattern of names.
const NUMBER: &str = "{n}";

/// The number that the name of a file has by a pattern, whatever its extension; None: it is not of it.
fn number(name: &str, pattern: &str) -> Option<usize> {
    let (before, after) = pattern.split_once(NUMBER)?;
    let rest = name.strip_prefix(before)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let rest = rest.strip_prefix(after.replace(NUMBER, digits).as_str())?;
    (rest.is_empty() || rest.starts_with('.')).then(|| digits.parse().ok()).flatten()
}

/// The number of the first file in a folder. Lists the files whose names begin as its own will.
pub(super) async fn first(request: &WriteRequest, folder: &str) -> Result<usize> {
    let pattern = request.name();
    if !request.appends || request.is_one_file() || pattern.contains("{run}") {
        return Ok(0);
    }
    let Some((before, _)) = pattern.split_once(NUMBER) else { return Ok(0) };
    let folder = format!("{}{folder}", request.key);
    let location =
        Location { bucket: Some(request.bucket.clone()), key: format!("{folder}{before}") };
    let mut entries = request.storage.list(&location, ListOptions::default());
    let mut next = 0;
    loop {
        match entries.try_next().await {
            Ok(Some(entry)) if entry.kind == EntryKind::Object => {
                let name = entry.key.get(folder.len()..).unwrap_or_default();
                let found = number(name, pattern).map_or(0, |number| number.saturating_add(1));
                next = next.max(found);
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(next),
            // A folder that is not there yet has no files.
            Err(error) if error.is_absent() => return Ok(0),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_read_off_names_of_the_same_pattern() {
        for (name, pattern, expected) in [
            ("o-00000.csv", "o-{n}", Some(0)),
            ("o-00012.csv.gz", "o-{n}", Some(12)),
            ("o-123456.parquet", "o-{n}", Some(123_456)),
            ("o-7", "o-{n}", Some(7)),
            ("00003-of.csv", "{n}-of", Some(3)),
            ("3a3.csv", "{n}a{n}", Some(3)),
            ("3a4.csv", "{n}a{n}", None),
            ("o-.csv", "o-{n}", None),
            ("o-1x.csv", "o-{n}", None),
            ("p-00001.csv", "o-{n}", None),
            ("o-99999999999999999999999.csv", "o-{n}", None),
            ("o.csv", "o", None),
        ] {
            assert_eq!(number(name, pattern), expected, "{name} {pattern}");
        }
    }
}
