//! What changed of a container between two crawls.

use crate::model::{Column, Found};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What changed.
    pub kind: ChangeKind,
    /// The column, as a dotted path; empty where it is no column's.
    pub column: String,
    /// What it was.
    pub old: Option<String>,
    /// What it is.
    pub new: Option<String>,
}

/// What can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was found for the first time.
    Found,
    /// A column came.
    ColumnAdded,
    /// A column went.
    ColumnRemoved,
    /// A column has another type.
    ColumnType,
    /// It has a structure, or none any more.
    Structure,
    /// Its files are of other formats.
    Formats,
    /// Its keys began or ceased to carry partitions, or other ones.
    Partitions,
    /// A bucket became a dataset, a dataset a folder.
    Kind,
    /// It could not be read.
    NotSeen,
    /// It could be read again.
    SeenAgain,
    /// A complete listing did not have it.
    Deleted,
    /// It is back after it was deleted.
    Back,
}

impl ChangeKind {
    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::ColumnAdded => "column_added",
            Self::ColumnRemoved => "column_removed",
            Self::ColumnType => "column_type",
            Self::Structure => "structure",
            Self::Formats => "formats",
            Self::Partitions => "partitions",
            Self::Kind => "kind",
            Self::NotSeen => "not_seen",
            Self::SeenAgain => "seen_again",
            Self::Deleted => "deleted",
            Self::Back => "back",
        }
    }
}

/// How what was found differs from what was found before: kind, formats, partitions, columns.
/// Figures, tags, samples and the order of columns are no changes.
pub fn changes(old: &Found, new: &Found) -> Vec<Change> {
    let mut all = Vec::new();
    let mut differ = |kind, before: String, after: String| {
        if before != after {
            all.push(Change { kind, column: String::new(), old: Some(before), new: Some(after) });
        }
    };
    let word = |found: &Found| format!("{:?}", found.kind).to_lowercase();
    differ(ChangeKind::Kind, word(old), word(new));
    let formats = |found: &Found| {
        let mut formats = found.formats.clone();
        formats.sort();
        formats.dedup();
        formats.join(", ")
    };
    differ(ChangeKind::Formats, formats(old), formats(new));
    let partitions = |found: &Found| match (&found.columns, found.partitioned) {
        (Some(columns), _) if columns.iter().any(|column| column.partition) => {
            let names = columns.iter().filter(|column| column.partition);
            names.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
        }
        (_, Some(true)) => "yes".to_owned(),
        _ => "none".to_owned(),
    };
    differ(ChangeKind::Partitions, partitions(old), partitions(new));
    match (&old.columns, &new.columns) {
        (Some(before), Some(after)) => columns("", before, after, &mut all),
        (None, None) => {}
        (before, after) => all.push(Change {
            kind: ChangeKind::Structure,
            column: String::new(),
            old: before.as_ref().map(|columns| count(columns)),
            new: after.as_ref().map(|columns| count(columns)),
        }),
    }
    all
}

fn count(columns: &[Column]) -> String {
    match columns.len() {
        1 => "1 column".to_owned(),
        many => format!("{many} columns"),
    }
}

/// The path of a column within another.
pub fn dotted(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// Differences of columns: removed ones, changed and added ones, each level by itself.
fn columns(parent: &str, old: &[Column], new: &[Column], all: &mut Vec<Change>) {
    let find = |list: &[Column], name: &str| list.iter().position(|column| column.name == name);
    for column in old {
        if find(new, &column.name).is_none() {
            all.push(Change {
                kind: ChangeKind::ColumnRemoved,
                column: dotted(parent, &column.name),
                old: Some(column.display.clone()),
                new: None,
            });
        }
    }
    for column in new {
        let path = dotted(parent, &column.name);
        let Some(at) = find(old, &column.name) else {
            all.push(Change {
                kind: ChangeKind::ColumnAdded,
                column: path,
                old: None,
                new: Some(column.display.clone()),
            });
            continue;
        };
        let before = &old[at];
        let nested = before.data_type == column.data_type
            && before.array_data_type == column.array_data_type
            && !before.children.is_empty()
            && !column.children.is_empty();
        let known = all.len();
        if nested {
            columns(&path, &before.children, &column.children, all);
        }
        // Of a struct whose members say what changed, its own text says nothing more.
        if before.display != column.display && all.len() == known {
            all.push(Change {
                kind: ChangeKind::ColumnType,
                column: path,
                old: Some(before.display.clone()),
                new: Some(column.display.clone()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{column, dataset, structure};

    fn shown(old: &Found, new: &Found) -> Vec<String> {
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        changes(old, new)
            .into_iter()
            .map(|change| {
                let (kind, column) = (change.kind.as_str(), change.column);
                format!("{kind} {column}: {} > {}", text(change.old), text(change.new))
            })
            .collect()
    }

    #[test]
    fn nothing_changes_when_only_figures_and_the_order_of_columns_do() {
        let old = dataset("orders", &[("a", "BIGINT"), ("b", "TEXT")]);
        let mut new = dataset("orders", &[("b", "TEXT"), ("a", "BIGINT")]);
        new.figures.size = Some(7);
        new.why.push("newer".to_owned());
        assert!(changes(&old, &new).is_empty());
    }

    #[test]
    fn columns_come_go_and_change_their_types() {
        let old = dataset("orders", &[("a", "BIGINT"), ("b", "TEXT"), ("c", "DATE")]);
        let new = dataset("orders", &[("a", "TEXT"), ("c", "DATE"), ("d", "DOUBLE")]);
        assert_eq!(
            shown(&old, &new),
            [
                "column_removed b: TEXT > -",
                "column_type a: BIGINT > TEXT",
                "column_added d: - > DOUBLE"
            ]
        );
    }

    #[test]
    fn a_change_within_a_struct_is_told_of_the_member() {
        let old = structure("p", vec![column("x", "BIGINT"), column("y", "BIGINT")]);
        let new = structure("p", vec![column("x", "TEXT"), column("z", "BIGINT")]);
        let (mut before, mut after) = (dataset("t", &[]), dataset("t", &[]));
        before.columns = Some(vec![old]);
        after.columns = Some(vec![new]);
        assert_eq!(
            shown(&before, &after),
            [
                "column_removed p.y: BIGINT > -",
                "column_type p.x: BIGINT > TEXT",
                "column_added p.z: - > BIGINT"
            ]
        );
        // A struct that becomes text is one change, not one of each member.
        after.columns = Some(vec![column("p", "TEXT")]);
        assert_eq!(shown(&before, &after), ["column_type p: STRUCT<x BIGINT, y BIGINT> > TEXT"]);
    }

    #[test]
    fn formats_partitions_and_structure_are_told() {
        let old = dataset("t", &[("a", "TEXT")]);
        let mut new = old.clone();
        new.formats = vec!["parquet".to_owned()];
        new.partitioned = Some(true);
        let mut day = column("day", "DATE");
        day.partition = true;
        new.columns = Some(vec![day, column("a", "TEXT")]);
        assert_eq!(
            shown(&old, &new),
            ["formats : csv > parquet", "partitions : none > day", "column_added day: - > DATE"]
        );
        new = old.clone();
        new.columns = None;
        assert_eq!(shown(&old, &new), ["structure : 1 column > -"]);
    }
}
