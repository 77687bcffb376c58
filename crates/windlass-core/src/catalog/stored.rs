//! Containers as the store has them, and as crawls have them.

use windlass_catalog::{Column, Found, names};
use windlass_state::{SearchTexts, StoredContainer, StoredFigures};
use windlass_types::{Error, ErrorCode, Result};

/// What a crawl found, as it is stored.
pub(super) fn stored(service: &str, found: &Found) -> Result<StoredContainer> {
    let above: Vec<&str> =
        std::iter::once(service).chain(found.parents.iter().map(String::as_str)).collect();
    let parent = (!found.parents.is_empty()).then(|| names::fqn(above.iter().copied()));
    // The columns stand beside it: they are the largest part, and not always asked for.
    let bare = Found { columns: None, ..found.clone() };
    let figures = &found.figures;
    Ok(StoredContainer {
        bucket: found.bucket.clone(),
        path: found.path.clone(),
        kind: word(found.kind)?,
        name: found.name.clone(),
        fqn: names::fqn(above.into_iter().chain([found.name.as_str()])),
        parent_fqn: parent,
        full_path: found.full_path.clone(),
        detail: json(&bare)?,
        structure: found.columns.as_ref().map(json).transpose()?,
        fingerprint: found.fingerprint.clone(),
        figures: StoredFigures {
            size: figures.size,
            objects: figures.objects,
            rows: figures.rows,
            newest: figures.newest,
            oldest: figures.oldest,
        },
    })
}

/// What a crawl found, out of the store.
pub(super) fn found(stored: &StoredContainer) -> Result<Found> {
    let mut found: Found = read(&stored.detail)?;
    found.columns = stored.structure.as_deref().map(read::<Vec<Column>>).transpose()?;
    Ok(found)
}

/// The texts a container is found by: what the crawl says. People's notes stand beside them.
pub(super) fn texts(found: &Found) -> SearchTexts {
    let mut columns = String::new();
    let mut about = String::new();
    let each = found.columns.iter().flatten();
    each.for_each(|column| column_texts(column, &mut columns, &mut about));
    for (key, value) in &found.tags {
        about.push_str(key);
        about.push(' ');
        about.push_str(value);
        about.push('\n');
    }
    if !found.path.is_empty() {
        about.push_str(&found.bucket);
    }
    let place = if found.path.is_empty() { &found.bucket } else { &found.path };
    SearchTexts { name: place.clone(), columns, about }
}

fn column_texts(column: &Column, names: &mut String, about: &mut String) {
    names.push_str(&column.name);
    names.push('\n');
    if let Some(text) = &column.description {
        about.push_str(text);
        about.push('\n');
    }
    for hint in &column.hints {
        about.push_str(&hint.kind);
        about.push('\n');
    }
    column.children.iter().for_each(|child| column_texts(child, names, about));
}

/// The word of a kind of container.
fn word(kind: windlass_catalog::ContainerKind) -> Result<String> {
    Ok(json(&kind)?.trim_matches('"').to_owned())
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorCode::Internal, "a container cannot be written").source(error)
    })
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorCode::StateFailed, "the catalogue holds an unreadable container")
            .source(error)
            .hint("crawl again; `CRAWL` writes it anew")
    })
}
