//! INSERT INTO a file table: the columns of a query become those of the table, and its rows go to the
//! folders that its files are in.

use super::folders::Layout;
use crate::as_views::plain;
use crate::date_pattern::DatePattern;
use crate::engine::Engine;
use crate::error::from_engine;
use crate::files::SourceFile;
use crate::format::column_type;
use crate::listing::begin;
use crate::partition::{pairs, partitions};
use crate::resolve::{self, Resolver};
use crate::schema::sql;
use crate::sources::FileSource;
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, Field};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider as _;
use datafusion::common::TableReference;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr, cast, lit, when,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// Columns that an error names.
const SHOWN: usize = 40;

/// What INSERT INTO says of a file table.
#[derive(Debug, Clone)]
pub struct InsertInto {
    /// The schema of the table.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// The columns that are listed; none: all, in order.
    pub columns: Vec<String>,
    /// The columns that the table was made with as folders: they count where no file is there yet.
    pub folders: Vec<String>,
    /// No file of the table stays.
    pub replaces: bool,
}

/// A column that a query gives.
#[derive(Debug)]
struct TableColumn {
    name: String,
    /// Its type; None: that of the query.
    kind: Option<DataType>,
    /// Its folders are named with two digits, as months are: `07`, not `7`.
    two_digits: bool,
}

/// The columns that rows must have to be added to a file table.
#[derive(Debug)]
pub struct InsertTarget {
    /// How the person writes the table.
    table: String,
    columns: Vec<TableColumn>,
    /// Which of them each column of the query is.
    given: Vec<usize>,
    /// They are listed.
    listed: bool,
}

fn refused(what: String) -> Error {
    Error::new(ErrorCode::SqlPlan, what)
}

fn counted(count: usize) -> String {
    if count == 1 { "1 column".to_owned() } else { format!("{count} columns") }
}

/// Names of the columns that the folders of a key say.
fn names(key: &str) -> Vec<String> {
    pairs(key).into_iter().map(|(name, _)| name).collect()
}

/// The files that say which columns paths have; None: it is a Delta Lake table.
async fn listed(source: &FileSource) -> Result<Option<Vec<Arc<SourceFile>>>> {
    let mut files = Vec::new();
    for place in &source.places {
        let mut begun = match begin(place.clone()).await {
            Ok(begun) => begun,
            // A folder that is not there yet has no files.
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error),
        };
        if begun.is_delta {
            return Ok(None);
        }
        // Files that are in no folder may come before those that are.
        if begun.has_more() && partitions(&begun.first.files, &[], None).fields.is_empty() {
            files.extend(begun.all().await?.files);
        } else {
            files.append(&mut begun.first.files);
        }
    }
    Ok(Some(files))
}

/// Whether the folders of a column of numbers are named with two digits.
fn two_digits(files: &[Arc<SourceFile>], field: &Field) -> bool {
    let padded = |file: &Arc<SourceFile>| {
        pairs(&file.object.key).into_iter().any(|(name, value)| {
            name == *field.name()
                && value.is_some_and(|value| value.len() == 2 && value.starts_with('0'))
        })
    };
    *field.data_type() == DataType::Int64 && files.iter().any(padded)
}

impl Engine {
    /// What a file table makes of rows that are added to it; `layout` then has its folders. None: its
    /// columns are not known yet, and those of the query are taken as they are.
    pub async fn insert_target(
        &self,
        into: &InsertInto,
        layout: &mut Layout,
        fabric: &str,
        resolver: &dyn Resolver,
    ) -> Result<Option<InsertTarget>> {
        let name = TableReference::partial(into.schema.as_str(), into.table.as_str());
        let source = match resolve::source(fabric, resolver, &[], &name).await? {
            resolve::Source::Files(source) => *source,
            resolve::Source::Rows(_) | resolve::Source::View(_) => return Ok(None),
        };
        let (table, pattern) = (source.written.clone(), source.pattern.clone());
        // What is wrong with a Delta Lake table is said where it is written to.
        let Some(files) = listed(&source).await? else { return Ok(None) };
        let folders = partitions(&files, &[], None).fields;
        let to_come =
            if files.is_empty() && layout.partitioned_by.is_empty() { &*into.folders } else { &[] };
        layout.partitioned_by.extend_from_slice(to_come);
        // What LOCATION says itself is the same for all rows.
        let fixed: Vec<String> =
            source.places.iter().flat_map(|place| names(&place.prefix())).collect();
        let made = layout.date.as_ref().map_or_else(Vec::new, |date| {
            let mut folder = String::new();
            date.folder(&layout.now, &mut folder);
            names(&folder)
        });
        let date = pattern
            .as_ref()
            .map(DatePattern::column)
            .filter(|name| folders.iter().all(|field| field.name() != name));
        let in_path = |name: &String| {
            fixed.contains(name)
                || folders.iter().any(|field| field.name() == name)
                || date.is_some_and(|date| date == name)
        };
        let known = self.file_columns(source, !files.is_empty(), fabric, resolver.now()).await?;
        let mut columns = match known {
            Some(known) => known,
            None if !into.columns.is_empty() => {
                into.columns.iter().map(|name| TableColumn::new(name, None)).collect()
            }
            None if date.is_some() && layout.date_column.is_none() => {
                return Err(refused(format!(
                    "`{table}` has a DATE_PATTERN, and its columns are not known yet"
                ))
                .hint("say which column of the query is the date: OPTIONS (DATE_COLUMN = 'at')"));
            }
            None => return Ok(None),
        };
        columns.retain(|column| !in_path(&column.name));
        if let Some(hides) = columns.iter().find(|column| made.contains(&column.name)) {
            return Err(refused(format!(
                "folders of DATE_PATTERN would hide the column `{}` of `{table}`",
                hides.name
            ))
            .hint("write DATE_PATTERN without that name"));
        }
        let by: Vec<&Field> = folders
            .iter()
            .filter(|field| !fixed.contains(field.name()) && !made.contains(field.name()))
            .collect();
        for field in &by {
            columns.push(TableColumn {
                name: field.name().clone(),
                kind: Some(field.data_type().clone()),
                two_digits: two_digits(&files, field),
            });
        }
        for name in to_come {
            if !columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)) {
                columns.push(TableColumn::new(name, None));
            }
        }
        let said = &layout.partitioned_by;
        let same = said.len() == by.len()
            && by.iter().all(|field| said.iter().any(|s| s.eq_ignore_ascii_case(field.name())));
        let free = files.is_empty() || into.replaces;
        if said.is_empty() {
            layout.partitioned_by = by.iter().map(|field| field.name().clone()).collect();
        } else if !same && !free {
            let folders: Vec<&str> = by.iter().map(|field| field.name().as_str()).collect();
            let are = match folders.as_slice() {
                [] => "are not in folders of columns".to_owned(),
                folders => format!("are in folders of {}", folders.join(", ")),
            };
            return Err(refused(format!(
                "the files of `{table}` {are}, not as PARTITIONED_BY says"
            ))
            .hint("leave PARTITIONED_BY out, or replace all files with MODE = OVERWRITE"));
        }
        if let (Some(date), Some(pattern)) = (date, &pattern) {
            if !layout.partitioned_by.is_empty() {
                return Err(refused(format!(
                    "`{table}` has folders of DATE_PATTERN and of {}, which INSERT INTO cannot make together",
                    layout.partitioned_by.join(", ")
                ))
                .hint("COPY (query) TO the folder of the values that are added"));
            }
            if layout.date_column.is_none() {
                columns.push(TableColumn::new(date, Some(pattern.kind())));
                layout.date_column = Some(date.to_owned());
                layout.date_goes = true;
            }
        }
        InsertTarget::new(table, columns, &into.columns).map(Some)
    }

    /// The columns of a file table as they are stored, else as its files have them.
    async fn file_columns(
        &self,
        source: FileSource,
        has_files: bool,
        fabric: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<TableColumn>>> {
        let stored = source.stored.as_ref().and_then(|stored| stored.columns.as_ref());
        let stored: Option<Vec<TableColumn>> = stored.map(|stored| {
            let columns = stored.columns.iter();
            columns
                .map(|column| TableColumn::new(&column.name, column_type(&column.kind)))
                .collect()
        });
        // The name of a type says neither how fine times are nor how nested values are made.
        let exact = |column: &TableColumn| {
            column.kind.as_ref().is_some_and(|kind| !matches!(kind, DataType::Timestamp(..)))
        };
        match stored {
            Some(columns) if !has_files || columns.iter().all(exact) => return Ok(Some(columns)),
            None if !has_files => return Ok(None),
            _ => {}
        }
        let session = self.session(fabric)?;
        let opening = source.begin(now).await?;
        let opened = opening.few(&session.state, &session.store).await?;
        let schema = plain(&opened.schema());
        let columns = schema.fields().iter();
        let columns = columns
            .map(|field| TableColumn::new(field.name(), Some(field.data_type().clone())))
            .collect();
        Ok(Some(columns))
    }
}

impl TableColumn {
    fn new(name: &str, kind: Option<DataType>) -> Self {
        Self { name: name.to_owned(), kind, two_digits: false }
    }

    /// A column of a query as one of the table.
    fn of(&self, found: Expr, from: &DataType, table: &str) -> Result<Expr> {
        let Some(kind) = &self.kind else { return Ok(found) };
        if from != kind && !can_cast_types(from, kind) {
            return Err(refused(format!(
                "`{}` of `{table}` is {}, and the query has {} for it",
                self.name,
                sql(kind),
                sql(from)
            ))
            .hint("columns are taken by their position; cast it in the query"));
        }
        let value = cast(found, kind.clone());
        if !self.two_digits {
            return Ok(value);
        }
        let text = cast(value.clone(), DataType::Utf8);
        let padded = binary_expr(lit("0"), Operator::StringConcat, text.clone());
        when(value.between(lit(0_i64), lit(9_i64)), padded).otherwise(text).map_err(from_engine)
    }

    /// What it is where the query does not give it.
    fn null(&self) -> Result<Expr> {
        let kind = self.kind.as_ref().unwrap_or(&DataType::Utf8);
        let null = ScalarValue::try_from(kind).map_err(from_engine)?;
        Ok(Expr::Literal(null, None))
    }
}

impl InsertTarget {
    fn new(table: String, columns: Vec<TableColumn>, list: &[String]) -> Result<Self> {
        let mut target = Self { table, columns, given: Vec::new(), listed: !list.is_empty() };
        if list.is_empty() {
            target.given = (0..target.columns.len()).collect();
        }
        for name in list {
            let at = target.find(name)?;
            if target.given.contains(&at) {
                return Err(refused(format!("INSERT INTO lists the column `{name}` twice"))
                    .hint("list each column once"));
            }
            target.given.push(at);
        }
        Ok(target)
    }

    /// The column of this name, or the only one that differs in case.
    fn find(&self, name: &str) -> Result<usize> {
        if let Some(at) = self.columns.iter().position(|column| column.name == name) {
            return Ok(at);
        }
        let same = |column: &TableColumn| column.name.eq_ignore_ascii_case(name);
        let mut near = (0..self.columns.len()).filter(|at| same(&self.columns[*at]));
        match (near.next(), near.next()) {
            (Some(at), None) => Ok(at),
            _ => Err(refused(format!("no column `{name}` to insert into `{}`", self.table))
                .hint(format!("its columns are {}", self.shown()))),
        }
    }

    fn shown(&self) -> String {
        let mut names: Vec<&str> =
            self.columns.iter().take(SHOWN).map(|column| column.name.as_str()).collect();
        if self.columns.len() > SHOWN {
            names.push("...");
        }
        names.join(", ")
    }

    /// The rows of a query with the names and types of the table, in its order.
    pub(super) fn project(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let found = plan.schema().columns();
        if found.len() != self.given.len() {
            let (table, shown) = (&self.table, self.shown());
            let (found, given) = (counted(found.len()), counted(self.given.len()));
            return Err(if self.listed {
                refused(format!(
                    "the query has {found}, and INSERT INTO lists {given} of `{table}`"
                ))
                .hint(format!("give one for each that is listed; its columns are {shown}"))
            } else {
                refused(format!("the query has {found}, and `{table}` {given}: {shown}"))
                    .hint("give all in this order, or list those that are given: INSERT INTO table (column, ...)")
            });
        }
        let mut expressions = Vec::with_capacity(self.columns.len());
        for (at, column) in self.columns.iter().enumerate() {
            let expression = match self.given.iter().position(|given| *given == at) {
                Some(from) => {
                    let kind = plan.schema().field(from).data_type();
                    column.of(Expr::Column(found[from].clone()), kind, &self.table)?
                }
                None => column.null()?,
            };
            expressions.push(expression.alias(column.name.clone()));
        }
        LogicalPlanBuilder::from(plan)
            .project(expressions)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_engine)
    }
}
