//! The stored columns of a file table: what files may differ in, and what then happens.

use crate::format::column_type;
use crate::schema::{Column, sql, widen};
use arrow::datatypes::{DataType, Field};
use windlass_types::{Error, ErrorCode, OptionMap, OptionValue};

/// A column of a file table as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// Its type, as SQL names it.
    pub kind: String,
}

/// The stored columns of a file table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredColumns {
    /// The columns, in order.
    pub columns: Vec<SchemaColumn>,
    /// They were declared, not found.
    pub declared: bool,
}

/// How files differ from the stored columns of their table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// The column.
    pub column: String,
    /// `added`, `type` or `missing`.
    pub change: &'static str,
    /// The stored type; empty for a column that was added.
    pub old_type: String,
    /// The type that was found; empty for a column that is missing.
    pub new_type: String,
    /// The types found, and a file of each.
    pub files: String,
}

/// What happens where files differ from the stored columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnChange {
    /// The columns are widened.
    Merge,
    /// The query fails.
    Fail,
    /// The stored columns are read, and no others.
    Ignore,
}

impl OnChange {
    /// Reads the option `ON_SCHEMA_CHANGE`; None: it is not said.
    pub(crate) fn read(options: &OptionMap) -> Option<Self> {
        match options.get("ON_SCHEMA_CHANGE") {
            Some(OptionValue::Text(text) | OptionValue::Word(text)) => {
                Some(match text.to_ascii_uppercase().as_str() {
                    "FAIL" => Self::Fail,
                    "IGNORE" => Self::Ignore,
                    _ => Self::Merge,
                })
            }
            _ => None,
        }
    }
}

/// What files and stored columns come to.
pub(crate) struct Agreed {
    pub(crate) columns: Vec<Column>,
    /// What is to be stored; None: it stays.
    pub(crate) keep: Option<StoredColumns>,
    pub(crate) changes: Vec<SchemaChange>,
    /// The error of a query whose files must not differ.
    pub(crate) refused: Option<Error>,
    /// Columns of the files that are not read.
    pub(crate) left_out: Vec<String>,
    /// Files may have columns that nobody knows of.
    pub(crate) lenient: bool,
}

/// Brings what was learnt from files to what is stored.
pub(crate) fn agree(
    learnt: Vec<Column>,
    stored: Option<&StoredColumns>,
    on_change: Option<OnChange>,
    table: &str,
) -> Agreed {
    let declared = stored.is_some_and(|stored| stored.declared);
    let policy = on_change.unwrap_or(if declared { OnChange::Ignore } else { OnChange::Merge });
    let mut agreed = Agreed {
        columns: Vec::new(),
        keep: None,
        changes: Vec::new(),
        refused: None,
        left_out: Vec::new(),
        lenient: policy == OnChange::Ignore,
    };
    let Some(stored) = stored else {
        if policy == OnChange::Fail {
            agreed.refused = among_themselves(&learnt, table);
        }
        // What is refused must not be what the next query goes by.
        if agreed.refused.is_none() {
            agreed.keep = Some(schema_of(&learnt, false));
        }
        agreed.columns = learnt;
        return agreed;
    };
    let mut learnt: Vec<Option<Column>> = learnt.into_iter().map(Some).collect();
    for column in &stored.columns {
        let found = learnt
            .iter_mut()
            .find(|known| known.as_ref().is_some_and(|k| *k.field.name() == column.name))
            .and_then(Option::take);
        let own = column_type(&column.kind);
        let Some(mut found) = found else {
            agreed.changes.push(change(column, "missing", None));
            agreed.columns.push(Column {
                field: Field::new(&column.name, own.unwrap_or(DataType::Utf8), true),
                note: Some("not in the files read".to_owned()),
                known: false,
                from: Vec::new(),
            });
            continue;
        };
        if sql(found.field.data_type()) != column.kind
            && let Some(own) = own
        {
            let kind = found.field.data_type();
            // Digits before the point fit into a decimal, or the query says which do not.
            let number = matches!(own, DataType::Decimal128(..)) && kind.is_numeric();
            let wide = if number { own.clone() } else { widen(&own, kind) };
            if found.known && sql(&wide) != column.kind {
                agreed.changes.push(change(column, "type", Some(&found)));
                found.field.set_data_type(if policy == OnChange::Merge { wide } else { own });
            } else {
                found.field.set_data_type(own);
            }
        }
        agreed.columns.push(found);
    }
    for added in learnt.into_iter().flatten() {
        let new = SchemaColumn { name: added.field.name().clone(), kind: String::new() };
        agreed.changes.push(change(&new, "added", Some(&added)));
        if policy == OnChange::Merge {
            agreed.columns.push(added);
        } else {
            agreed.left_out.push(new.name);
        }
    }
    let differs = agreed.changes.iter().any(|change| change.change != "missing");
    if policy == OnChange::Merge && differs {
        agreed.keep = Some(schema_of(&agreed.columns, declared));
    }
    if policy == OnChange::Fail && differs {
        agreed.refused = Some(refused(&agreed.changes, table));
    }
    agreed
}

fn schema_of(columns: &[Column], declared: bool) -> StoredColumns {
    let columns = columns
        .iter()
        .map(|column| SchemaColumn {
            name: column.field.name().clone(),
            kind: sql(column.field.data_type()),
        })
        .collect();
    StoredColumns { columns, declared }
}

fn change(column: &SchemaColumn, change: &'static str, found: Option<&Column>) -> SchemaChange {
    SchemaChange {
        column: column.name.clone(),
        change,
        old_type: column.kind.clone(),
        new_type: found.map_or_else(String::new, |found| sql(found.field.data_type())),
        files: found.map_or_else(String::new, places),
    }
}

/// The types a column has, with a file of each.
fn places(column: &Column) -> String {
    let places: Vec<String> =
        column.from.iter().map(|(kind, file)| format!("{} in `{file}`", sql(kind))).collect();
    places.join(", ")
}

fn refused(changes: &[SchemaChange], table: &str) -> Error {
    let said: Vec<String> = changes
        .iter()
        .filter_map(|change| match change.change {
            "type" => Some(format!(
                "`{}` is {} in the table, {}",
                change.column, change.old_type, change.files
            )),
            "added" => Some(format!("`{}` is not in the table, {}", change.column, change.files)),
            _ => None,
        })
        .collect();
    Error::new(
        ErrorCode::FormatInvalid,
        format!("files of `{table}` differ from its columns: {}", said.join("; ")),
    )
    .hint("ON_SCHEMA_CHANGE is FAIL; with MERGE the columns are widened, with IGNORE they stay; SHOW SCHEMA CHANGES lists what was seen")
}

/// The error of files that differ among themselves.
fn among_themselves(columns: &[Column], table: &str) -> Option<Error> {
    let said: Vec<String> = columns
        .iter()
        .filter(|column| column.from.len() > 1)
        .map(|column| format!("`{}` is {}", column.field.name(), places(column)))
        .collect();
    (!said.is_empty()).then(|| {
        Error::new(
            ErrorCode::FormatInvalid,
            format!("the files of `{table}` differ: {}", said.join("; ")),
        )
        .hint("ON_SCHEMA_CHANGE is FAIL; with MERGE, which is the default, types are widened")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: DataType) -> Column {
        let from = vec![(kind.clone(), "b.csv".to_owned())];
        Column { field: Field::new(name, kind, true), note: None, known: true, from }
    }

    fn stored(declared: bool) -> StoredColumns {
        let of = |name: &str, kind: &str| SchemaColumn { name: name.into(), kind: kind.into() };
        StoredColumns { columns: vec![of("id", "BIGINT"), of("price", "DOUBLE")], declared }
    }

    fn shown(agreed: &Agreed) -> String {
        let columns: Vec<String> = agreed
            .columns
            .iter()
            .map(|c| format!("{} {}", c.field.name(), sql(c.field.data_type())))
            .collect();
        let changes: Vec<String> =
            agreed.changes.iter().map(|c| format!("{} {}", c.change, c.column)).collect();
        format!("{} | {}", columns.join(", "), changes.join(", "))
    }

    #[test]
    fn what_fits_is_no_change_and_what_does_not_is_widened_ignored_or_refused() {
        let fits = vec![column("id", DataType::Int32), column("price", DataType::Int64)];
        let agreed = agree(fits, Some(&stored(false)), None, "t");
        assert_eq!(shown(&agreed), "id BIGINT, price DOUBLE | ");
        assert!(agreed.keep.is_none() && agreed.refused.is_none());
        let other = || vec![column("id", DataType::Utf8), column("more", DataType::Boolean)];
        let merged = agree(other(), Some(&stored(false)), None, "t");
        assert_eq!(
            shown(&merged),
            "id TEXT, price DOUBLE, more BOOLEAN | type id, missing price, added more"
        );
        assert!(merged.keep.is_some());
        let ignored = agree(other(), Some(&stored(true)), None, "t");
        assert_eq!(shown(&ignored), "id BIGINT, price DOUBLE | type id, missing price, added more");
        assert!(ignored.keep.is_none() && ignored.lenient);
        let failed = agree(other(), Some(&stored(false)), Some(OnChange::Fail), "t");
        insta::assert_snapshot!(failed.refused.unwrap(), @"files of `t` differ from its columns: `id` is BIGINT in the table, TEXT in `b.csv`; `more` is not in the table, BOOLEAN in `b.csv`");
    }
}
