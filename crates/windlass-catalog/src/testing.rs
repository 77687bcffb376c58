//! Containers for tests.

use crate::model::{Column, ContainerKind, Figures, Found, Seen};

/// A column of a type.
pub(crate) fn column(name: &str, kind: &str) -> Column {
    let word = kind.split(['(', '<']).next().unwrap_or_default();
    crate::types::column(name, word, kind, true)
}

/// A struct.
pub(crate) fn structure(name: &str, children: Vec<Column>) -> Column {
    let members: Vec<String> =
        children.iter().map(|child| format!("{} {}", child.name, child.display)).collect();
    Column { children, ..column(name, &format!("STRUCT<{}>", members.join(", "))) }
}

/// A dataset of CSV files in the bucket `lake`.
pub(crate) fn dataset(path: &str, columns: &[(&str, &str)]) -> Found {
    Found {
        bucket: "lake".to_owned(),
        path: path.to_owned(),
        name: path.to_owned(),
        parents: vec!["lake".to_owned()],
        kind: ContainerKind::Dataset,
        prefix: format!("/{path}"),
        full_path: format!("s3://lake/{path}"),
        source_url: format!("https://console/lake/{path}/"),
        formats: vec!["csv".to_owned()],
        compression: Vec::new(),
        separator: None,
        partitioned: Some(false),
        columns: Some(columns.iter().map(|(name, kind)| column(name, kind)).collect()),
        figures: Figures { size: Some(100), objects: Some(2), ..Figures::default() },
        tags: Vec::new(),
        samples: Vec::new(),
        why: vec!["two files of one format".to_owned()],
        fingerprint: "1".to_owned(),
        seen: Seen::Yes,
    }
}
