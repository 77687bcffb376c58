//! DESCRIBE of a table: its columns, then what is known of its files.

use crate::as_views::plain;
use crate::schema::sql;
use crate::scope::Opened;
use crate::store::QueryStore;
use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::record_batch::RecordBatch;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

#[derive(Default)]
struct Row {
    name: String,
    kind: Option<String>,
    nullable: Option<bool>,
    role: &'static str,
    note: Option<String>,
}

/// The rows of DESCRIBE: role is `column`, `partition` or `note`.
pub(crate) async fn describe(table: &Opened, store: &Arc<QueryStore>) -> Result<RecordBatch> {
    let schema = plain(&table.provider().schema());
    let mut rows: Vec<Row> = schema
        .fields()
        .iter()
        .map(|field| Row {
            name: field.name().clone(),
            kind: Some(sql(field.data_type())),
            nullable: Some(field.is_nullable()),
            role: "column",
            note: None,
        })
        .collect();
    if let Opened::Files(files) = table {
        for row in &mut rows {
            if files.partition_fields().iter().any(|field| *field.name() == row.name) {
                row.role = "partition";
            }
            row.note = files
                .learnt
                .columns
                .iter()
                .find(|column| *column.field.name() == row.name)
                .and_then(|column| column.note.clone())
                .or_else(|| files.partition_note(&row.name));
        }
    }
    if let Opened::Delta(table) = table {
        for row in rows.iter_mut().filter(|row| table.partition_columns().contains(&row.name)) {
            row.role = "partition";
        }
    }
    let notes = match table {
        Opened::Files(files) => files.notes(),
        Opened::Delta(table) => table.notes(store).await?,
        Opened::Rows(_) => Vec::new(),
    };
    rows.extend(notes.into_iter().map(|(name, note)| Row {
        name: name.to_owned(),
        role: "note",
        note: Some(note),
        ..Row::default()
    }));
    let text = |texts: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let nullable: BooleanArray = rows.iter().map(|row| row.nullable).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("column_name", text(rows.iter().map(|row| Some(row.name.as_str())).collect()), false),
        ("data_type", text(rows.iter().map(|row| row.kind.as_deref()).collect()), true),
        ("nullable", Arc::new(nullable) as ArrayRef, true),
        ("role", text(rows.iter().map(|row| Some(row.role)).collect()), false),
        ("note", text(rows.iter().map(|row| row.note.as_deref()).collect()), true),
    ])
    .map_err(|error| Error::new(ErrorCode::Internal, "the description does not fit").source(error))
}
