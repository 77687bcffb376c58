//! The catalogue as system tables.

use super::stored::found;
use crate::rows::{Cell, Columns, Kind};
use crate::windlass::Windlass;
use serde_json::{Value, json};
use std::collections::HashMap;
use windlass_catalog::changes::dotted;
use windlass_catalog::{Column, Found, openmetadata};
use windlass_state::{ContainerFilter, ContainerRow, FabricRow as Fabric, NoteRow};
use windlass_types::Result;

/// Columns of `system.containers`: the first fourteen are a contract with other programs.
pub(crate) const CONTAINERS: Columns = &[
    ("service", Kind::Text),
    ("fqn", Kind::Text),
    ("name", Kind::Text),
    ("parent_fqn", Kind::Text),
    ("prefix", Kind::Text),
    ("full_path", Kind::Text),
    ("source_url", Kind::Text),
    ("size", Kind::Integer),
    ("object_count", Kind::Integer),
    ("file_formats", Kind::Text),
    ("is_partitioned", Kind::Bool),
    ("columns", Kind::Text),
    ("status", Kind::Text),
    ("reason", Kind::Text),
    ("kind", Kind::Text),
    ("rows", Kind::Integer),
    ("newest", Kind::Time),
    ("oldest", Kind::Time),
    ("description", Kind::Text),
    ("owners", Kind::Text),
    ("tags", Kind::Text),
    ("why", Kind::Text),
    ("changed_at", Kind::Time),
    ("first_seen", Kind::Time),
    ("last_seen", Kind::Time),
    ("compression", Kind::Text),
    ("separator", Kind::Text),
    ("small_objects", Kind::Integer),
    ("storage_classes", Kind::Text),
    ("figures_from", Kind::Text),
    ("figures_unknown", Kind::Text),
    ("bucket", Kind::Text),
    ("path", Kind::Text),
    ("run", Kind::Text),
];

/// Columns of `system.columns`.
pub(crate) const COLUMNS: Columns = &[
    ("service", Kind::Text),
    ("fqn", Kind::Text),
    ("column", Kind::Text),
    ("name", Kind::Text),
    ("ordinal", Kind::Integer),
    ("data_type", Kind::Text),
    ("type", Kind::Text),
    ("nullable", Kind::Bool),
    ("partition", Kind::Bool),
    ("length", Kind::Integer),
    ("precision", Kind::Integer),
    ("scale", Kind::Integer),
    ("description", Kind::Text),
    ("tags", Kind::Text),
    ("hints", Kind::Text),
    ("status", Kind::Text),
];

/// Columns of `system.container_history`.
pub(crate) const HISTORY: Columns = &[
    ("service", Kind::Text),
    ("fqn", Kind::Text),
    ("at", Kind::Time),
    ("change", Kind::Text),
    ("column", Kind::Text),
    ("old", Kind::Text),
    ("new", Kind::Text),
    ("size", Kind::Integer),
    ("object_count", Kind::Integer),
    ("rows", Kind::Integer),
    ("run", Kind::Text),
];

/// Containers that are read from the store at once.
const PAGE: u32 = 2000;

/// People's notes of one container.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    of: HashMap<String, NoteRow>,
}

impl Notes {
    /// From the notes of one container.
    pub(crate) fn new(rows: impl IntoIterator<Item = NoteRow>) -> Self {
        Self { of: rows.into_iter().map(|row| (row.column.clone(), row)).collect() }
    }

    /// What is said of the container itself.
    pub(crate) fn own(&self) -> Option<&NoteRow> {
        self.of.get("")
    }

    /// What is said of a column.
    pub(crate) fn column(&self, path: &str) -> Option<&NoteRow> {
        self.of.get(path).filter(|_| !path.is_empty())
    }

    /// Columns that are described, with their descriptions.
    pub(crate) fn columns_described(&self) -> Vec<(String, String)> {
        let columns = self.of.iter().filter(|(path, _)| !path.is_empty());
        columns.filter_map(|(path, note)| Some((path.clone(), note.description.clone()?))).collect()
    }

    /// The description of a column.
    pub(crate) fn described(&self, path: &str) -> Option<String> {
        self.column(path)?.description.clone()
    }
}

/// Notes of all containers of a fabric, by the container's number.
fn by_container(rows: Vec<NoteRow>) -> HashMap<i64, Notes> {
    let mut all: HashMap<i64, Notes> = HashMap::new();
    for row in rows {
        all.entry(row.container).or_default().of.insert(row.column.clone(), row);
    }
    all
}

/// Tags of a container: those of the service as `key=value`, then those of people.
pub(crate) fn tags(found: &Found, notes: &Notes) -> Vec<String> {
    let own = notes.own().map(|note| note.tags.clone()).unwrap_or_default();
    let theirs = found.tags.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={value}"),
    });
    theirs.chain(own).collect()
}

/// JSON of texts; NULL where there are none.
fn list(texts: &[String]) -> Cell {
    (!texts.is_empty()).then(|| Value::from(texts.to_vec()).to_string()).into()
}

/// The columns of a container as OpenMetadata has them, with people's notes.
pub(crate) fn columns_json(found: &Found, notes: &Notes) -> Option<Value> {
    let columns = found.columns.as_ref()?;
    Some(openmetadata::columns(columns, &|path| notes.described(path)))
}

/// A row of `system.containers`.
pub(crate) fn container_row(row: &ContainerRow, notes: &Notes) -> Result<Vec<Cell>> {
    let found = found(&row.found)?;
    let figures = &found.figures;
    let own = notes.own();
    let classes = (!figures.storage_classes.is_empty()).then(|| {
        let each = figures.storage_classes.iter();
        let map: serde_json::Map<String, Value> = each
            .map(|(name, of)| (name.clone(), json!({"size": of.size, "objects": of.objects})))
            .collect();
        Value::Object(map).to_string()
    });
    Ok(vec![
        row.service_name.as_str().into(),
        row.found.fqn.as_str().into(),
        found.name.as_str().into(),
        row.found.parent_fqn.clone().into(),
        found.prefix.as_str().into(),
        found.full_path.as_str().into(),
        found.source_url.as_str().into(),
        figures.size.into(),
        figures.objects.into(),
        Value::from(found.formats.clone()).to_string().into(),
        Cell::Bool(found.partitioned),
        columns_json(&found, notes).map(|value| value.to_string()).into(),
        row.status.as_str().into(),
        row.reason.clone().into(),
        row.found.kind.as_str().into(),
        figures.rows.into(),
        figures.newest.into(),
        figures.oldest.into(),
        own.and_then(|note| note.description.clone()).into(),
        list(own.map_or(&[], |note| &note.owners)),
        list(&tags(&found, notes)),
        (!found.why.is_empty()).then(|| found.why.join("; ")).into(),
        row.changed.into(),
        row.first_seen.into(),
        row.last_seen.into(),
        list(&found.compression),
        found.separator.clone().into(),
        figures.small_objects.into(),
        classes.into(),
        figures.origin.clone().into(),
        figures.unknown.clone().into(),
        found.bucket.as_str().into(),
        found.path.as_str().into(),
        row.run.to_string().into(),
    ])
}

/// Rows of `system.columns` of one container.
pub(crate) fn column_rows(row: &ContainerRow, notes: &Notes) -> Result<Vec<Vec<Cell>>> {
    let found = found(&row.found)?;
    let mut rows = Vec::new();
    each_column("", found.columns.as_deref().unwrap_or_default(), &mut |path, column| {
        let note = notes.column(path);
        let said = note.and_then(|note| note.description.clone());
        let hints: Vec<Value> = column
            .hints
            .iter()
            .map(|hint| {
                json!({"kind": hint.kind, "confidence": hint.confidence, "because": hint.because})
            })
            .collect();
        rows.push(vec![
            row.service_name.as_str().into(),
            row.found.fqn.as_str().into(),
            path.into(),
            column.name.as_str().into(),
            u64::from(column.ordinal).into(),
            column.data_type.as_str().into(),
            column.display.as_str().into(),
            column.nullable.into(),
            column.partition.into(),
            Cell::Integer(column.length),
            Cell::Integer(column.precision.map(i64::from)),
            Cell::Integer(column.scale.map(i64::from)),
            said.or_else(|| column.description.clone()).into(),
            list(note.map_or(&[], |note| &note.tags)),
            (!hints.is_empty()).then(|| Value::Array(hints).to_string()).into(),
            row.status.as_str().into(),
        ]);
    });
    Ok(rows)
}

/// Every column, those within others after them, with its dotted path.
pub(crate) fn each_column(parent: &str, columns: &[Column], each: &mut dyn FnMut(&str, &Column)) {
    for column in columns {
        let path = dotted(parent, &column.name);
        each(&path, column);
        each_column(&path, &column.children, each);
    }
}

impl Windlass {
    /// Every container of a fabric with its notes, a page at a time, through `each`.
    async fn each_container(
        &self,
        fabric: &Fabric,
        each: &mut (dyn FnMut(&ContainerRow, &Notes) -> Result<()> + Send),
    ) -> Result<()> {
        let store = &self.inner.store;
        let notes = by_container(store.fabric_notes(fabric.id).await?);
        let none = Notes::default();
        let mut filter = ContainerFilter { limit: PAGE, ..ContainerFilter::default() };
        loop {
            let page = store.containers(fabric.id, &filter).await?;
            for row in &page {
                each(row, notes.get(&row.id).unwrap_or(&none))?;
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE as usize) else {
                return Ok(());
            };
            filter.after = Some((last.found.fqn.clone(), last.id));
        }
    }

    /// Rows of `system.containers`.
    pub(crate) async fn container_table(&self, fabric: &Fabric) -> Result<Vec<Vec<Cell>>> {
        let mut rows = Vec::new();
        let mut each = |row: &ContainerRow, notes: &Notes| {
            rows.push(container_row(row, notes)?);
            Ok(())
        };
        self.each_container(fabric, &mut each).await?;
        Ok(rows)
    }

    /// Rows of `system.columns`.
    pub(crate) async fn column_table(&self, fabric: &Fabric) -> Result<Vec<Vec<Cell>>> {
        let mut rows = Vec::new();
        let mut each = |row: &ContainerRow, notes: &Notes| {
            rows.extend(column_rows(row, notes)?);
            Ok(())
        };
        self.each_container(fabric, &mut each).await?;
        Ok(rows)
    }

    /// Rows of `system.container_history`: what changed, and figures when they did; the oldest first.
    pub(crate) async fn history_table(
        &self,
        fabric: &Fabric,
        container: Option<&ContainerRow>,
    ) -> Result<Vec<Vec<Cell>>> {
        let store = &self.inner.store;
        let mut names: HashMap<i64, (String, String)> = HashMap::new();
        if let Some(row) = container {
            names.insert(row.id, (row.service_name.clone(), row.found.fqn.clone()));
        } else {
            let mut each = |row: &ContainerRow, _: &Notes| {
                names.insert(row.id, (row.service_name.clone(), row.found.fqn.clone()));
                Ok(())
            };
            self.each_container(fabric, &mut each).await?;
        }
        let only = container.map(|row| row.id);
        let name = |id: &i64| names.get(id).cloned().unwrap_or_default();
        let mut rows = Vec::new();
        for row in store.container_history(fabric.id, only).await? {
            let (service, fqn) = name(&row.container);
            rows.push((
                (row.at, fqn.clone()),
                vec![
                    service.into(),
                    fqn.into(),
                    row.at.into(),
                    row.change.change.into(),
                    (!row.change.column.is_empty()).then_some(row.change.column).into(),
                    row.change.old.into(),
                    row.change.new.into(),
                    None::<u64>.into(),
                    None::<u64>.into(),
                    None::<u64>.into(),
                    row.run.to_string().into(),
                ],
            ));
        }
        for row in store.container_figures(fabric.id, only).await? {
            let (service, fqn) = name(&row.container);
            rows.push((
                (row.at, fqn.clone()),
                vec![
                    service.into(),
                    fqn.into(),
                    row.at.into(),
                    "figures".into(),
                    Cell::Text(None),
                    Cell::Text(None),
                    Cell::Text(None),
                    row.size.into(),
                    row.objects.into(),
                    row.rows.into(),
                    row.run.to_string().into(),
                ],
            ));
        }
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(rows.into_iter().map(|(_, cells)| cells).collect())
    }
}
