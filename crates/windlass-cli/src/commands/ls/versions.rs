//! `ls --versions`: what a versioned bucket keeps of the past.

use super::{CHUNK, Ls, Names, batches, line, lines};
use crate::commands::Ending;
use crate::failure::Outcome;
use crate::render::Format;
use crate::render::text::safe;
use crate::rows::{Cell, Columns, Kind, schema};
use crate::session::{Place, Session};
use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _};
use windlass_core::engine::VersionEntry;

const COLUMNS: Columns = &[
    ("key", Kind::Text),
    ("kind", Kind::Text),
    ("path", Kind::Text),
    ("version", Kind::Text),
    ("latest", Kind::Boolean),
    ("delete_marker", Kind::Boolean),
    ("size", Kind::Integer),
    ("last_modified", Kind::Time),
    ("etag", Kind::Text),
    ("storage_class", Kind::Text),
];

/// Lists versions in the format asked for.
pub(super) async fn run(
    session: &Session,
    args: &Ls,
    names: &Names,
    place: &Place,
    listing: &super::Listing,
) -> Ending {
    let now = Utc::now();
    listing.location.need_bucket()?;
    let rows = place
        .storage
        .list_versions(&listing.location, listing.recursive)
        .try_filter(|row| {
            let keeps = listing.shows(&row.entry, names) && args.filter.keeps(&row.entry, now);
            futures::future::ready(keeps)
        })
        .take(args.limit.unwrap_or(usize::MAX))
        .boxed();
    if session.global.output == Format::Table {
        lines(session, rows, |row| text(row, listing.name(&row.entry))).await?;
    } else {
        let batches = rows
            .ready_chunks(CHUNK)
            .flat_map(|chunk| futures::stream::iter(batches(COLUMNS, cells, chunk)))
            .boxed();
        session.printer.rows(&session.console, schema(COLUMNS), batches).await?;
    }
    Ok(Outcome::Done)
}

fn cells(row: VersionEntry) -> Vec<Cell> {
    let is = |yes: bool| Cell::Boolean(row.version.is_some().then_some(yes));
    let (latest, marker) = (is(row.latest), is(row.delete_marker));
    vec![
        row.entry.key.into(),
        row.entry.kind.as_str().into(),
        row.entry.path.into(),
        row.version.into(),
        latest,
        marker,
        Cell::Integer(row.entry.size),
        Cell::Time(row.entry.last_modified),
        row.entry.etag.into(),
        row.entry.storage_class.into(),
    ]
}

/// A line of `ls`, with the version and what it is before the name.
fn text(row: &VersionEntry, name: &str) -> String {
    let Some(version) = &row.version else { return line(&row.entry, name) };
    let mut entry = row.entry.clone();
    if row.delete_marker {
        entry.storage_class = Some("deleted".to_owned());
    }
    let latest = if row.latest { "latest" } else { "" };
    let before = line(&entry, "").trim_end().to_owned();
    let before = before.strip_suffix(&*safe(&entry.key)).unwrap_or(&before).trim_end().to_owned();
    format!("{before:<46}  {:<32}  {latest:<6}  {}", safe(version), safe(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use windlass_types::{Entry, EntryKind};

    #[test]
    fn a_line_says_which_version_it_is_and_what_it_does() {
        let entry = Entry {
            key: "a/x.csv".to_owned(),
            kind: EntryKind::Object,
            path: "b/a/x.csv".to_owned(),
            size: Some(1536),
            last_modified: DateTime::from_timestamp(1_767_225_600, 0),
            etag: None,
            storage_class: Some("STANDARD".to_owned()),
        };
        let row = |latest: bool, delete_marker: bool| VersionEntry {
            entry: Entry { size: (!delete_marker).then_some(1536), ..entry.clone() },
            version: Some("v1".to_owned()),
            latest,
            delete_marker,
        };
        let lines = [text(&row(true, true), "x.csv"), text(&row(false, false), "x.csv")];
        insta::assert_snapshot!(lines.join("\n"), @r"
                2026-01-01 00:00:00Z  deleted       v1                                latest  x.csv
       1.5 KiB  2026-01-01 00:00:00Z  STANDARD      v1                                        x.csv
        ");
    }
}
