//! Columns for free: `_file` and its like, which every file table has and `*` does not show.
//!
//! Where a SELECT names one, the tables it can mean are replaced by the same tables with these
//! columns, and `*` is told to leave them out. All others are planned as if there were none.

use crate::files::SourceFile;
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias,
    TableFactor, VisitMut, VisitorMut, visit_expressions, visit_expressions_mut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// What a person types to name the file.
pub(crate) const FILE: &str = "_file";
/// Its bytes.
pub(crate) const SIZE: &str = "_file_size";
/// When it was last written.
pub(crate) const MODIFIED: &str = "_file_last_modified";
/// The number of the row in it, from 1.
pub(crate) const ROW: &str = "_row_number";

/// All of them, in the order of a table's schema; the row number is last, as Parquet's reader has it.
pub(crate) const NAMES: [&str; 4] = [FILE, SIZE, MODIFIED, ROW];

/// Between the name of a table and its free columns.
const MARK: char = '\u{1}';

/// The column of this name.
pub(crate) fn field(name: &str) -> Field {
    match name {
        SIZE => Field::new(name, DataType::Int64, true),
        MODIFIED => {
            Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
        }
        ROW => Field::new(name, DataType::Int64, false),
        _ => Field::new(name, DataType::Utf8, true),
    }
}

/// What a column of this name says of every row of a file.
pub(crate) fn value(name: &str, file: &SourceFile) -> Option<ScalarValue> {
    match name {
        SIZE => Some(ScalarValue::Int64(i64::try_from(file.size).ok())),
        MODIFIED => Some(ScalarValue::TimestampMicrosecond(
            file.modified.map(|time| time.timestamp_micros()),
            Some("UTC".into()),
        )),
        FILE => Some(ScalarValue::Utf8(Some(file.address()))),
        _ => None,
    }
}

/// The table a name of [`extend`]'s stands for, and the free columns it has.
pub(crate) fn marked(table: &str) -> (&str, Vec<&'static str>) {
    match table.split_once(MARK) {
        None => (table, Vec::new()),
        Some((table, names)) => (
            table,
            NAMES.into_iter().filter(|name| names.split(MARK).any(|n| n == *name)).collect(),
        ),
    }
}

/// All names that [`extend`] may give a table.
pub(crate) fn combinations(table: &str) -> impl Iterator<Item = String> {
    (1_u8..1 << NAMES.len()).map(move |bits| {
        let names = NAMES.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
        names.fold(table.to_owned(), |table, (_, name)| format!("{table}{MARK}{name}"))
    })
}

fn free(ident: &Ident) -> Option<&'static str> {
    NAMES.into_iter().find(|name| match ident.quote_style {
        None => ident.value.eq_ignore_ascii_case(name),
        Some(_) => ident.value == **name,
    })
}

/// The text of a name: folded unless it is quoted.
pub(crate) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_ascii_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

/// Gives the tables that need them their free columns. `others` are the names of relations that
/// are no files: CTEs, views, system tables.
pub(crate) fn extend<T: VisitMut>(tree: &mut T, others: &dyn Fn(&ObjectName) -> bool) {
    let _ = VisitMut::visit(tree, &mut Extend { others });
}

struct Extend<'a> {
    others: &'a dyn Fn(&ObjectName) -> bool,
}

impl VisitorMut for Extend<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut order: Vec<Expr> = Vec::new();
        if let Some(by) = &query.order_by
            && let OrderByKind::Expressions(items) = &by.kind
        {
            order.extend(items.iter().map(|item| item.expr.clone()));
        }
        let order_renamed = self.body(&mut query.body, &order);
        if let Some(by) = &mut query.order_by
            && let OrderByKind::Expressions(items) = &mut by.kind
        {
            for item in items {
                shorten(&mut item.expr, &order_renamed);
            }
        }
        ControlFlow::Continue(())
    }
}

/// One use of a free column: the last part of what stands before it, and its name.
type Use = (Option<String>, &'static str);

impl Extend<'_> {
    fn body(&self, body: &mut SetExpr, order: &[Expr]) -> Vec<Vec<String>> {
        match body {
            SetExpr::Select(select) => self.select(select, order),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, &[]);
                self.body(right, &[]);
                Vec::new()
            }
            _ => Vec::new(), // a query in parentheses is visited for itself
        }
    }

    /// Answers the full names of tables that have an alias now.
    fn select(&self, select: &mut Select, order: &[Expr]) -> Vec<Vec<String>> {
        let uses = uses(select, order);
        if uses.is_empty() {
            return Vec::new();
        }
        // Who is asked for a bare name: a subquery that names it itself, else the tables.
        let derived = select
            .from
            .iter()
            .flat_map(|from| {
                std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
            })
            .any(|factor| match factor {
                TableFactor::Table { name, args: None, .. } => (self.others)(name),
                _ => NAMES.iter().any(|name| factor.to_string().contains(name)),
            });
        let mut renamed: Vec<Vec<String>> = Vec::new();
        let mut extended: Vec<(Ident, BTreeSet<&'static str>)> = Vec::new();
        let mut every: Vec<Option<Ident>> = Vec::new();
        let factors = select.from.iter_mut().flat_map(|from| {
            std::iter::once(&mut from.relation)
                .chain(from.joins.iter_mut().map(|join| &mut join.relation))
        });
        for factor in factors {
            let alias = match &*factor {
                TableFactor::Table { alias: Some(alias), .. }
                | TableFactor::Derived { alias: Some(alias), .. } => Some(alias.name.clone()),
                TableFactor::Table { name, .. } => {
                    name.0.last().and_then(ObjectNamePart::as_ident).cloned()
                }
                _ => None,
            };
            every.push(alias.clone());
            let TableFactor::Table { name, args: None, alias: given, .. } = factor else {
                continue;
            };
            let Some(alias) = alias else { continue };
            if (self.others)(name) {
                continue;
            }
            let wanted: BTreeSet<&'static str> = uses
                .iter()
                .filter(|(of, _)| match of {
                    Some(of) => *of == folded(&alias),
                    None => !derived,
                })
                .map(|(_, name)| *name)
                .collect();
            if wanted.is_empty() {
                continue;
            }
            if given.is_none() {
                renamed.push(name.0.iter().filter_map(|p| p.as_ident().map(folded)).collect());
                *given = Some(TableAlias {
                    explicit: true,
                    name: alias.clone(),
                    columns: Vec::new(),
                    at: None,
                });
            }
            if let Some(ObjectNamePart::Identifier(last)) = name.0.last_mut() {
                let names: Vec<String> = NAMES
                    .iter()
                    .filter(|name| wanted.contains(**name))
                    .map(|name| format!("{MARK}{name}"))
                    .collect();
                *last = Ident::with_quote('"', format!("{}{}", folded(last), names.concat()));
            }
            extended.push((alias, wanted));
        }
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                shorten(expr, &renamed);
            }
        }
        shorten_all(select, &renamed);
        wildcards(select, &extended, &every);
        renamed
    }
}

/// The free columns that a SELECT names, itself or in subqueries of its expressions.
fn uses(select: &Select, order: &[Expr]) -> BTreeSet<Use> {
    let mut uses: BTreeSet<Use> = BTreeSet::new();
    let mut note = |expr: &Expr| {
        let _ = visit_expressions(expr, |expr| look(expr, &mut uses));
    };
    order.iter().for_each(&mut note);
    let mut using: Vec<&'static str> = Vec::new();
    for join in select.from.iter().flat_map(|from| &from.joins) {
        match constraint(&join.join_operator) {
            Some(JoinConstraint::On(expr)) => note(expr),
            Some(JoinConstraint::Using(columns)) => {
                using.extend(columns.iter().filter_map(|c| c.0.last()?.as_ident().and_then(free)));
            }
            _ => {}
        }
    }
    // What it selects from is other queries' business.
    let mut rest = select.clone();
    rest.from.clear();
    let _ = visit_expressions(&rest, |expr| look(expr, &mut uses));
    uses.extend(using.into_iter().map(|name| (None, name)));
    uses
}

fn look(expr: &Expr, uses: &mut BTreeSet<Use>) -> ControlFlow<()> {
    match expr {
        Expr::Identifier(ident) => uses.extend(free(ident).map(|name| (None, name))),
        Expr::CompoundIdentifier(parts) => {
            if let [.., table, column] = parts.as_slice() {
                uses.extend(free(column).map(|name| (Some(folded(table)), name)));
            }
        }
        _ => {}
    }
    ControlFlow::Continue(())
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::CrossJoin(c)
        | JoinOperator::Semi(c)
        | JoinOperator::LeftSemi(c)
        | JoinOperator::RightSemi(c)
        | JoinOperator::Anti(c)
        | JoinOperator::LeftAnti(c)
        | JoinOperator::RightAnti(c) => Some(c),
        _ => None,
    }
}

/// `schema.table.column` is `table.column` once the table has an alias.
fn shorten<T: VisitMut>(tree: &mut T, renamed: &[Vec<String>]) {
    if renamed.is_empty() {
        return;
    }
    let _ = visit_expressions_mut(tree, |expr| {
        if let Expr::CompoundIdentifier(parts) = expr
            && parts.len() > 2
        {
            let table: Vec<String> = parts[..parts.len() - 1].iter().map(folded).collect();
            if renamed.iter().any(|name| name.ends_with(&table)) {
                parts.drain(..parts.len() - 2);
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

fn shorten_all(select: &mut Select, renamed: &[Vec<String>]) {
    if !renamed.is_empty() {
        shorten(select, renamed);
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) = item
            {
                let parts: Vec<String> =
                    name.0.iter().filter_map(|p| p.as_ident().map(folded)).collect();
                if parts.len() > 1 && renamed.iter().any(|full| full.ends_with(&parts)) {
                    name.0.drain(..parts.len() - 1);
                }
            }
        }
    }
}

/// Leaves the free columns out of `*`.
fn wildcards(
    select: &mut Select,
    extended: &[(Ident, BTreeSet<&'static str>)],
    every: &[Option<Ident>],
) {
    if extended.is_empty() {
        return;
    }
    let joined_by_name = select.from.iter().flat_map(|from| &from.joins).any(|join| {
        matches!(
            constraint(&join.join_operator),
            Some(JoinConstraint::Using(_) | JoinConstraint::Natural)
        )
    });
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(mut options) => {
                // One name of several tables cannot be excluded: each table is spelled out.
                let all: Option<Vec<Ident>> = every.iter().cloned().collect();
                if extended.len() > 1
                    && !joined_by_name
                    && options.opt_exclude.is_none()
                    && options.opt_except.is_none()
                    && options.opt_replace.is_none()
                    && let Some(all) = all
                {
                    for table in all {
                        let mut options = options.clone();
                        if let Some((_, names)) = extended.iter().find(|(a, _)| *a == table) {
                            exclude(&mut options.opt_exclude, names);
                        }
                        items.push(SelectItem::QualifiedWildcard(
                            SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![
                                table,
                            ])),
                            options,
                        ));
                    }
                } else {
                    let names = extended.iter().flat_map(|(_, names)| names).copied().collect();
                    exclude(&mut options.opt_exclude, &names);
                    items.push(SelectItem::Wildcard(options));
                }
            }
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                mut options,
            ) => {
                let last = name.0.last().and_then(ObjectNamePart::as_ident).map(folded);
                let of = extended.iter().find(|(alias, _)| Some(folded(alias)) == last);
                if let Some((_, names)) = of {
                    exclude(&mut options.opt_exclude, names);
                }
                items.push(SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ));
            }
            other => items.push(other),
        }
    }
    select.projection = items;
}

fn exclude(given: &mut Option<ExcludeSelectItem>, names: &BTreeSet<&'static str>) {
    let mut all = match given.take() {
        None => Vec::new(),
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        Some(ExcludeSelectItem::Multiple(names)) => names,
    };
    let said: Vec<&'static str> = all
        .iter()
        .filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident).and_then(free))
        .collect();
    all.extend(
        names
            .iter()
            .filter(|name| !said.contains(name))
            .map(|name| ObjectName::from(vec![Ident::new(*name)])),
    );
    *given = Some(ExcludeSelectItem::Multiple(all));
}
