//! Statements about the catalogue: DESCRIBE and ALTER CONTAINER, SEARCH.

use super::stored::found;
use super::tables::{Notes, each_column, tags};
use crate::engine::{Answer, Grade};
use crate::rows::{self, Cell, Columns, Kind, done};
use crate::windlass::Windlass;
use chrono::Utc;
use windlass_catalog::{Column, Found};
use windlass_sql::{CatalogStatement, Change};
use windlass_state::{ContainerRow, FabricRow as Fabric, Hit, NoteChange, words};
use windlass_types::options::nearest;
use windlass_types::{ByteSize, Error, ErrorCode, OptionValue, Result};

const DESCRIBE: Columns = &[("property", Kind::Text), ("value", Kind::Text), ("note", Kind::Text)];

/// Columns of `SEARCH`.
pub(crate) const SEARCH: Columns = &[
    ("score", Kind::Real),
    ("fqn", Kind::Text),
    ("kind", Kind::Text),
    ("full_path", Kind::Text),
    ("matches", Kind::Text),
    ("description", Kind::Text),
    ("status", Kind::Text),
];

/// Containers that SEARCH answers unless it is told.
const FOUND: u64 = 20;

/// Columns that are named as matching.
const NAMED: usize = 5;

impl Windlass {
    /// What a statement about the catalogue says.
    pub(crate) async fn catalog_statement(
        &self,
        fabric: &Fabric,
        statement: CatalogStatement,
    ) -> Result<Answer> {
        match statement {
            CatalogStatement::Alter { container, column, changes } => {
                self.note(fabric, &container, column.as_deref(), changes).await
            }
            CatalogStatement::Search { question, limit } => {
                let limit = u32::try_from(limit.unwrap_or(FOUND)).unwrap_or(u32::MAX);
                let hits =
                    self.inner.store.search_containers(fabric.id, &question, limit, 0).await?;
                let mut cells = Vec::with_capacity(hits.len());
                for hit in &hits {
                    cells.push(self.hit_row(hit, &question).await?);
                }
                rows::answer(SEARCH, &cells, Grade::Good)
            }
            CatalogStatement::Lineage { of, direction, depth, shown } => {
                self.show_lineage(fabric, &of, direction, depth, shown).await
            }
        }
    }

    async fn hit_row(&self, hit: &Hit, question: &str) -> Result<Vec<Cell>> {
        let row = &hit.container;
        let notes = self.notes_of(row).await?;
        let matches = matches(&found(&row.found)?, question);
        Ok(vec![
            hit.score.into(),
            row.found.fqn.as_str().into(),
            row.found.kind.as_str().into(),
            row.found.full_path.as_str().into(),
            (!matches.is_empty()).then(|| matches.join(", ")).into(),
            notes.own().and_then(|note| note.description.clone()).into(),
            row.status.as_str().into(),
        ])
    }

    /// People's notes of a container.
    pub(crate) async fn notes_of(&self, row: &ContainerRow) -> Result<Notes> {
        Ok(Notes::new(self.inner.store.container_notes(row.id).await?))
    }

    async fn note(
        &self,
        fabric: &Fabric,
        name: &str,
        column: Option<&str>,
        changes: Vec<Change>,
    ) -> Result<Answer> {
        let row = self.find_container(fabric, name).await?;
        if let Some(column) = column {
            known_column(&found(&row.found)?, &row.found.fqn, column)?;
        }
        let mut note = NoteChange::default();
        for change in changes {
            let (option, value) = match change {
                Change::Set(setting) => (setting.name, Some(setting.value)),
                Change::Reset(name) => (name, None),
            };
            match option.as_str() {
                "DESCRIPTION" => note.description = Some(text(value)),
                "OWNERS" => note.owners = Some(texts(value)),
                "TAGS" => note.tags = Some(texts(value)),
                other => {
                    return Err(Error::new(
                        ErrorCode::Internal,
                        format!("the option `{other}` of a container has no meaning"),
                    ));
                }
            }
        }
        self.inner
            .store
            .note_container(row.id, column.unwrap_or_default(), &note, Utc::now())
            .await?;
        let of = column.map_or_else(String::new, |column| format!("column `{column}` of "));
        Ok(done(format!("{of}container `{}` noted", row.found.fqn), vec![]))
    }

    /// DESCRIBE CONTAINER: one row a property, then one a column.
    pub(crate) async fn describe_container(&self, fabric: &Fabric, name: &str) -> Result<Answer> {
        let row = self.find_container(fabric, name).await?;
        let notes = self.notes_of(&row).await?;
        let found = found(&row.found)?;
        let mut cells = properties(&row, &found, &notes);
        each_column("", found.columns.as_deref().unwrap_or_default(), &mut |path, column| {
            let mut says: Vec<String> = Vec::new();
            if column.partition {
                says.push("from the path".to_owned());
            }
            if !column.nullable {
                says.push("never null".to_owned());
            }
            says.extend(notes.described(path).or_else(|| column.description.clone()));
            says.extend(notes.column(path).map(|note| &note.tags).into_iter().flatten().cloned());
            says.extend(column.hints.iter().map(|hint| {
                format!("perhaps {} ({} %: {})", hint.kind, hint.confidence, hint.because)
            }));
            let says = (!says.is_empty()).then(|| says.join("; "));
            cells.push(vec![
                format!("column {path}").into(),
                column.display.as_str().into(),
                says.into(),
            ]);
        });
        rows::answer(DESCRIBE, &cells, Grade::Good)
    }
}

/// What is known of a container beside its columns.
fn properties(row: &ContainerRow, found: &Found, notes: &Notes) -> Vec<Vec<Cell>> {
    let mut cells: Vec<Vec<Cell>> = Vec::new();
    let mut say = |property: &str, value: Option<String>, note: Option<String>| {
        if value.is_some() || note.is_some() {
            cells.push(vec![property.into(), value.into(), note.into()]);
        }
    };
    let join = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(", "));
    let time = |time: Option<chrono::DateTime<Utc>>| {
        time.map(|time| windlass_types::entry::rfc3339(&time))
    };
    let own = notes.own();
    let figures = &found.figures;
    say("fqn", Some(row.found.fqn.clone()), None);
    say("service", Some(row.service_name.clone()), None);
    say("kind", Some(row.found.kind.clone()), None);
    say("full_path", Some(found.full_path.clone()), None);
    say("source_url", Some(found.source_url.clone()), None);
    say("status", Some(row.status.as_str().to_owned()), row.reason.clone());
    say("description", own.and_then(|note| note.description.clone()), None);
    say("owners", own.and_then(|note| join(&note.owners)), None);
    say("tags", join(&tags(found, notes)), None);
    say("formats", join(&found.formats), join(&found.compression));
    say("separator", found.separator.clone(), None);
    say("partitioned", found.partitioned.map(|yes| yes.to_string()), None);
    let origin = figures.origin.as_ref().map(|origin| format!("from {origin}"));
    let unknown = figures.unknown.as_ref().map(|why| format!("unknown: {why}"));
    let note = |known: bool| if known { origin.clone() } else { unknown.clone() };
    let size = figures.size.map(|size| ByteSize(size).to_string());
    say("size", size, note(figures.size.is_some()));
    let count = |number: Option<u64>| number.map(|number| number.to_string());
    say("objects", count(figures.objects), note(figures.objects.is_some()));
    say("small_objects", count(figures.small_objects), None);
    for (class, of) in &figures.storage_classes {
        let value = format!("{} in {} objects", ByteSize(of.size), of.objects);
        say(&format!("storage class {class}"), Some(value), None);
    }
    say("rows", count(figures.rows), None);
    say("newest", time(figures.newest), None);
    say("oldest", time(figures.oldest), None);
    say("first_seen", time(row.first_seen), None);
    say("last_seen", time(row.last_seen), None);
    say("changed_at", time(row.changed), None);
    for why in &found.why {
        say("why", Some(why.clone()), None);
    }
    for sample in &found.samples {
        say("sample", Some(sample.key.clone()), Some(sample.chosen.clone()));
    }
    cells
}

/// Names of columns that have one of the words asked for, or one that begins so.
pub(crate) fn matches(found: &Found, question: &str) -> Vec<String> {
    let asked = words(question);
    let mut named = Vec::new();
    each_column("", found.columns.as_deref().unwrap_or_default(), &mut |path, column| {
        let own = words(&column.name);
        let fits = asked.iter().any(|word| own.iter().any(|own| own.starts_with(word.as_str())));
        if fits && named.len() < NAMED {
            named.push(path.to_owned());
        }
    });
    named
}

/// An error unless there is such a column.
fn known_column(found: &Found, fqn: &str, column: &str) -> Result<()> {
    let mut paths: Vec<String> = Vec::new();
    let columns: &[Column] = found.columns.as_deref().unwrap_or_default();
    each_column("", columns, &mut |path, _| paths.push(path.to_owned()));
    if paths.iter().any(|path| path == column) {
        return Ok(());
    }
    let known: Vec<&str> = paths.iter().map(String::as_str).collect();
    let near =
        nearest(column, &known).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let hint = format!(
        "{near}`DESCRIBE CONTAINER` lists its columns; a member of a struct is `parent.member`"
    );
    Err(Error::new(ErrorCode::ContainerNotFound, format!("`{fqn}` has no column `{column}`"))
        .hint(hint))
}

fn text(value: Option<OptionValue>) -> String {
    match value {
        Some(OptionValue::Text(text) | OptionValue::Word(text)) => text,
        _ => String::new(),
    }
}

fn texts(value: Option<OptionValue>) -> Vec<String> {
    match value {
        Some(OptionValue::List(items)) => items.into_iter().map(|item| text(Some(item))).collect(),
        Some(other) => vec![text(Some(other))],
        None => Vec::new(),
    }
}
