//! The stored columns of a file table: what files may differ in, and what then happens.

use crate::format::column_type;
use crate::schema::{Column, sql, widen};
use arrow::datatypes::{DataType, Field};
use std::collections::HashSet;
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

/// What is known of files besides their columns.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files have no names of columns: places count.
    pub(crate) nameless: bool,
    /// Names that columns of one file share but for their case, in lower case.
    pub(crate) twins: HashSet<String>,
    /// Columns that folders tell: files need not have them.
    pub(crate) folders: Vec<String>,
}

impl Found {
    fn is_folder(&self, name: &str) -> bool {
        self.folders.iter().any(|folder| folder == name)
    }

    /// For each stored column, which of those found are it: by name, else by a name in another case that
    /// is nobody else's. Where files have no names, by place, unless the table has the names that places
    /// give.
    fn places(&self, stored: &[SchemaColumn], learnt: &[Column]) -> Vec<Vec<usize>> {
        let named = |name: &str| learnt.iter().position(|found| found.field.name() == name);
        let by_place = |column: &SchemaColumn| is_place(&column.name);
        if self.nameless && !stored.iter().all(by_place) {
            let mut place = 0;
            let of = |column: &SchemaColumn| {
                if self.is_folder(&column.name) {
                    return Vec::new();
                }
                // Such as the name of the sheet.
                if let Some(at) = named(&column.name).filter(|_| !is_place(&column.name)) {
                    return vec![at];
                }
                place += 1;
                named(&format!("column_{place}")).into_iter().collect()
            };
            return stored.iter().map(of).collect();
        }
        let mut places: Vec<Vec<usize>> =
            stored.iter().map(|column| named(&column.name).into_iter().collect()).collect();
        for (at, found) in learnt.iter().enumerate() {
            let folded = found.field.name().to_lowercase();
            let taken = places.iter().any(|of| of.contains(&at));
            if taken || self.twins.contains(&folded) || self.is_folder(found.field.name()) {
                continue;
            }
            let mut same =
                (0..stored.len()).filter(|column| stored[*column].name.to_lowercase() == folded);
            if let (Some(only), None) = (same.next(), same.next())
                && !self.is_folder(&stored[only].name)
            {
                places[only].push(at);
            }
        }
        places
    }
}

/// Whether a name is one that a column without a name gets by its place.
fn is_place(name: &str) -> bool {
    name.strip_prefix("column_").is_some_and(|number| number.parse::<usize>().is_ok())
}

/// One column of several that files have under names of different case.
fn together(mut one: Column, other: Column) -> Column {
    one.field.set_data_type(match (one.known, other.known) {
        (true, true) => widen(one.field.data_type(), other.field.data_type()),
        (true, false) => one.field.data_type().clone(),
        _ => other.field.data_type().clone(),
    });
    one.known |= other.known;
    one.from.extend(other.from);
    one.names.extend(other.names);
    one.decimal = None;
    one.note = None;
    one
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
    files: &Found,
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
    let places = files.places(&stored.columns, &learnt);
    let names: Vec<String> = learnt.iter().map(|found| found.field.name().clone()).collect();
    let mut learnt: Vec<Option<Column>> = learnt.into_iter().map(Some).collect();
    for (column, places) in stored.columns.iter().zip(&places) {
        let found = places.iter().filter_map(|at| learnt[*at].take()).reduce(together);
        let own = column_type(&column.kind);
        let Some(mut found) = found else {
            // Files that hold nothing lack nothing.
            if !names.is_empty() && !files.is_folder(&column.name) {
                agreed.changes.push(change(column, "missing", None));
            }
            agreed.columns.push(Column {
                field: Field::new(&column.name, own.unwrap_or(DataType::Utf8), true),
                note: Some("not in the files read".to_owned()),
                known: false,
                from: Vec::new(),
                decimal: None,
                names: Vec::new(),
            });
            continue;
        };
        if found.names.iter().any(|name| *name != column.name) {
            let called = format!("`{}` in the files", found.names.join("`, `"));
            found.note = Some(match found.note {
                Some(note) => format!("{called}; {note}"),
                None => called,
            });
            found.field.set_name(&column.name);
        }
        if sql(found.field.data_type()) != column.kind
            && let Some(own) = own
        {
            let kind = found.field.data_type();
            // Digits before the point fit into a decimal, or the query says which do not.
            let number = matches!(own, DataType::Decimal128(..)) && kind.is_numeric();
            // Those after it may be more than a column has that was found and not declared.
            let digits = match (kind, &found.decimal) {
                (DataType::Decimal128(..), _) => Some(kind),
                (_, decimal) => decimal.as_ref(),
            };
            let wide = match digits {
                Some(digits) if number && !declared => widen(&own, digits),
                _ if number => own.clone(),
                _ => widen(&own, kind),
            };
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
    let wanted = stored.columns.iter().any(|column| !files.is_folder(&column.name));
    if declared && wanted && !names.is_empty() && places.iter().all(Vec::is_empty) {
        agreed.refused = Some(nothing_declared(&stored.columns, &names, table));
        agreed.keep = None;
    } else if policy == OnChange::Fail && !agreed.changes.is_empty() {
        agreed.refused = Some(refused(&agreed.changes, table));
    }
    agreed
}

/// The error of files that have not one of the columns that were declared.
fn nothing_declared(columns: &[SchemaColumn], names: &[String], table: &str) -> Error {
    let columns: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    Error::new(
        ErrorCode::FormatInvalid,
        format!(
            "files of `{table}` have none of its columns `{}`; they have `{}`",
            columns.join("`, `"),
            names.join("`, `")
        ),
    )
    .hint("declare the columns by the names that the files have; where CSV files or sheets have no names, say HEADER = FALSE, and columns are taken by their place")
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
            "missing" => Some(format!("`{}` is in no file that was read", change.column)),
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
        Column {
            field: Field::new(name, kind, true),
            note: None,
            known: true,
            from,
            decimal: None,
            names: vec![name.to_owned()],
        }
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

    /// With the names that the files have, as the query reads them.
    fn read(agreed: &Agreed) -> String {
        let columns: Vec<String> = agreed
            .columns
            .iter()
            .map(|column| format!("{}={}", column.field.name(), column.names.join("+")))
            .collect();
        columns.join(", ")
    }

    #[test]
    fn columns_are_found_by_any_case_where_one_fits() {
        let found = || vec![column("ID", DataType::Int64), column("Price", DataType::Float64)];
        let agreed = agree(found(), Some(&stored(true)), None, "t", &Found::default());
        assert_eq!(read(&agreed), "id=ID, price=Price");
        assert!(agreed.changes.is_empty() && agreed.refused.is_none());
        // Another file writes it otherwise.
        let more = || [found(), vec![column("id", DataType::Int64)]].concat();
        let agreed = agree(more(), Some(&stored(false)), None, "t", &Found::default());
        assert_eq!(read(&agreed), "id=id+ID, price=Price");
        assert!(agreed.keep.is_none());
        // In one file they are two columns.
        let twins = Found { twins: HashSet::from(["id".to_owned()]), ..Found::default() };
        let agreed = agree(more(), Some(&stored(false)), None, "t", &twins);
        assert_eq!(read(&agreed), "id=id, price=Price, ID=ID");
    }

    #[test]
    fn columns_of_files_without_names_are_those_at_their_place() {
        let found = |places: usize| -> Vec<Column> {
            (1..=places).map(|at| column(&format!("column_{at}"), DataType::Int64)).collect()
        };
        let nameless = Found { nameless: true, folders: vec!["id".into()], ..Found::default() };
        let agreed = agree(found(1), Some(&stored(true)), None, "t", &nameless);
        assert_eq!(read(&agreed), "id=, price=column_1");
        let nameless = Found { nameless: true, ..Found::default() };
        let agreed = agree(found(3), Some(&stored(true)), None, "t", &nameless);
        assert_eq!(read(&agreed), "id=column_1, price=column_2");
        assert_eq!(agreed.left_out, ["column_3"]);
        let merge = Some(OnChange::Merge);
        let agreed = agree(found(3), Some(&stored(true)), merge, "t", &nameless);
        assert_eq!(read(&agreed), "id=column_1, price=column_2, column_3=column_3");
        let agreed = agree(found(1), Some(&stored(true)), None, "t", &nameless);
        assert_eq!(read(&agreed), "id=column_1, price=");
    }

    #[test]
    fn columns_that_no_file_has_are_refused_and_so_is_a_table_that_has_none_of_them() {
        let some = vec![column("id", DataType::Int64)];
        let agreed = agree(some, Some(&stored(true)), Some(OnChange::Fail), "t", &Found::default());
        let said = agreed.refused.unwrap().to_string();
        assert!(said.ends_with("`price` is in no file that was read"), "{said}");
        for policy in [None, Some(OnChange::Merge), Some(OnChange::Fail), Some(OnChange::Ignore)] {
            let other = vec![column("a", DataType::Int64)];
            let agreed = agree(other, Some(&stored(true)), policy, "t", &Found::default());
            let said = agreed.refused.as_ref().unwrap().to_string();
            assert!(said.contains("have none of its columns `id`, `price`"), "{said}");
            assert!(agreed.keep.is_none());
            let empty = agree(Vec::new(), Some(&stored(true)), policy, "t", &Found::default());
            assert!(empty.refused.is_none() && empty.changes.is_empty());
        }
    }

    #[test]
    fn decimals_that_were_found_get_the_digits_of_new_files() {
        let columns = vec![SchemaColumn { name: "price".into(), kind: "DECIMAL(22, 2)".into() }];
        let table = |declared| StoredColumns { columns: columns.clone(), declared };
        let double = || Column {
            decimal: Some(DataType::Decimal128(5, 4)),
            ..column("price", DataType::Float64)
        };
        let agreed = agree(vec![double()], Some(&table(false)), None, "t", &Found::default());
        assert_eq!(shown(&agreed), "price DECIMAL(24, 4) | type price");
        let agreed = agree(vec![double()], Some(&table(true)), None, "t", &Found::default());
        assert_eq!(shown(&agreed), "price DECIMAL(22, 2) | ");
    }

    #[test]
    fn what_fits_is_no_change_and_what_does_not_is_widened_ignored_or_refused() {
        let fits = vec![column("id", DataType::Int32), column("price", DataType::Int64)];
        let agreed = agree(fits, Some(&stored(false)), None, "t", &Found::default());
        assert_eq!(shown(&agreed), "id BIGINT, price DOUBLE | ");
        assert!(agreed.keep.is_none() && agreed.refused.is_none());
        let other = || vec![column("id", DataType::Utf8), column("more", DataType::Boolean)];
        let merged = agree(other(), Some(&stored(false)), None, "t", &Found::default());
        assert_eq!(
            shown(&merged),
            "id TEXT, price DOUBLE, more BOOLEAN | type id, missing price, added more"
        );
        assert!(merged.keep.is_some());
        let ignored = agree(other(), Some(&stored(true)), None, "t", &Found::default());
        assert_eq!(shown(&ignored), "id BIGINT, price DOUBLE | type id, missing price, added more");
        assert!(ignored.keep.is_none() && ignored.lenient);
        let failed =
            agree(other(), Some(&stored(false)), Some(OnChange::Fail), "t", &Found::default());
        insta::assert_snapshot!(failed.refused.unwrap(), @"files of `t` differ from its columns: `id` is BIGINT in the table, TEXT in `b.csv`; `price` is in no file that was read; `more` is not in the table, BOOLEAN in `b.csv`");
    }
}
