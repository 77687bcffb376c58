//! Column names that differ from what was written only by case, and names of what a SELECT gives none.
//!
//! Bare names fold to lower case. Where the folded name is not a column but exactly one column differs
//! from it only by case, the statement is rewritten to name that one.

use crate::free::folded;
use crate::scope::tree;
use datafusion::common::SchemaError;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, VisitMut as _, VisitorMut,
    visit_expressions_mut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Names what a SELECT gives no name: a column that is cast keeps its own, everything else is called as
/// it is written (`sum(x)`), where the engine would say `sum(lake.t.x)` or `Utf8("a")`. What is there
/// twice is counted: of `SELECT x, x` the second is `x_2`. The engine takes a name once, where every
/// other SQL takes it as often as it is written.
pub(crate) fn name_all(statement: &mut Statement) {
    if let Some(tree) = tree(statement) {
        let _ = tree.visit(&mut Named);
    }
}

/// Every SELECT that set operations join.
fn selects(body: &mut SetExpr, each: &mut impl FnMut(&mut Select)) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            selects(left, each);
            selects(right, each);
        }
        SetExpr::Select(select) => each(select),
        _ => {}
    }
}

struct Named;

/// The column that is meant, if it is one.
fn column(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    }
}

/// The column that is cast.
fn cast(expr: &Expr) -> Option<&Ident> {
    match expr {
        Expr::Cast { expr, .. } => column(expr).or_else(|| cast(expr)),
        Expr::Nested(expr) => cast(expr),
        _ => None,
    }
}

/// Columns that come from one expression get their names from the engine.
fn is_many(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("unnest"))
}

impl Named {
    fn items(items: &mut [SelectItem]) {
        let mut taken: HashSet<String> = HashSet::new();
        let mut is_open = false;
        for item in &*items {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    taken.insert(folded(alias));
                }
                SelectItem::UnnamedExpr(expr) => taken.extend(column(expr).map(folded)),
                _ => is_open = true,
            }
        }
        let mut seen = HashSet::new();
        for item in items {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let text = expr.to_string();
            let is_first = seen.insert(text.clone());
            if (is_first && column(expr).is_some()) || is_many(expr) {
                continue;
            }
            let base = column(expr).map_or(text, folded);
            let own = cast(expr).filter(|_| !is_open).map(folded);
            let counted = (2..).map(|number| format!("{base}_{number}"));
            let mut names = own.into_iter().chain([base.clone()]).chain(counted);
            if let Some(free) = names.find(|name| taken.insert(name.clone())) {
                let alias = Ident::with_quote('"', free);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        selects(&mut query.body, &mut |select| Self::items(&mut select.projection));
        ControlFlow::Continue(())
    }
}

/// Whether a name is there twice that [`name_all`] could not see: through `*`, or written twice.
pub(crate) fn is_twice(error: &DataFusionError) -> bool {
    error.message().contains("unique expression names")
}

/// Counts what may be there twice: a name given twice, and columns written beside a `*`.
/// False where there is neither.
pub(crate) fn tell_apart(statement: &mut Statement) -> bool {
    let mut apart = Apart(false);
    if let Some(tree) = tree(statement) {
        let _ = tree.visit(&mut apart);
    }
    apart.0
}

struct Apart(bool);

impl Apart {
    fn items(&mut self, items: &mut [SelectItem]) {
        let is_open = |item: &SelectItem| {
            matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
        };
        let is_open = items.iter().any(is_open);
        let mut taken: HashSet<String> = HashSet::new();
        for item in items {
            let (expr, name) = match item {
                SelectItem::ExprWithAlias { expr, alias } => (expr, folded(alias)),
                SelectItem::UnnamedExpr(expr) => match column(expr).map(folded) {
                    Some(name) => (expr, name),
                    None => continue,
                },
                _ => continue,
            };
            let from =
                if is_open && column(expr).is_some_and(|own| folded(own) == name) { 2 } else { 1 };
            let counted = (from..).map(|number| match number {
                1 => name.clone(),
                _ => format!("{name}_{number}"),
            });
            let free = counted.into_iter().find(|name| taken.insert(name.clone()));
            if let Some(free) = free.filter(|free| *free != name) {
                let alias = Ident::with_quote('"', free);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                self.0 = true;
            }
        }
    }
}

impl VisitorMut for Apart {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        selects(&mut query.body, &mut |select| self.items(&mut select.projection));
        ControlFlow::Continue(())
    }
}

/// Rewrites the column `error` says is missing; false if nothing could be.
pub(crate) fn correct(statement: &mut Statement, error: &SchemaError) -> bool {
    let SchemaError::FieldNotFound { field, valid_fields } = error else { return false };
    let mut same: Vec<&str> = valid_fields
        .iter()
        .filter(|valid| {
            field.relation.is_none() || valid.relation.is_none() || valid.relation == field.relation
        })
        .map(|valid| valid.name.as_str())
        .filter(|name| *name != field.name && name.to_lowercase() == field.name.to_lowercase())
        .collect();
    same.sort_unstable();
    same.dedup();
    match same.as_slice() {
        [only] => rewrite(statement, field.relation.as_ref(), &field.name, only),
        _ => false,
    }
}

fn rewrite(
    statement: &mut Statement,
    relation: Option<&TableReference>,
    name: &str,
    real: &str,
) -> bool {
    let Some(tree) = tree(statement) else { return false };
    let mut changed = false;
    let folds = |ident: &Ident, to: &str| match ident.quote_style {
        None => ident.value.to_ascii_lowercase() == to,
        Some(_) => ident.value == to,
    };
    let mut replace = |ident: &mut Ident| {
        if ident.quote_style.is_none() && folds(ident, name) {
            *ident = Ident::with_quote('"', real);
            changed = true;
        }
    };
    let _ = visit_expressions_mut(tree, |expr| {
        match expr {
            Expr::Identifier(ident) if relation.is_none() => replace(ident),
            Expr::CompoundIdentifier(parts) => {
                if let [.., table, column] = parts.as_mut_slice()
                    && relation.is_none_or(|relation| folds(table, relation.table()))
                {
                    replace(column);
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    let mut using = Using { relation, name, real, changed };
    let _ = tree.visit(&mut using);
    using.changed
}

/// Renames a column in `JOIN ... USING (column)` and `table.* EXCLUDE (column)`, which are no expressions.
struct Using<'a> {
    relation: Option<&'a TableReference>,
    name: &'a str,
    real: &'a str,
    changed: bool,
}

impl Using<'_> {
    fn join(&mut self, join: &mut JoinOperator) {
        let (JoinOperator::Join(JoinConstraint::Using(columns))
        | JoinOperator::Inner(JoinConstraint::Using(columns))
        | JoinOperator::Left(JoinConstraint::Using(columns))
        | JoinOperator::LeftOuter(JoinConstraint::Using(columns))
        | JoinOperator::Right(JoinConstraint::Using(columns))
        | JoinOperator::RightOuter(JoinConstraint::Using(columns))
        | JoinOperator::FullOuter(JoinConstraint::Using(columns))
        | JoinOperator::LeftSemi(JoinConstraint::Using(columns))
        | JoinOperator::LeftAnti(JoinConstraint::Using(columns))) = join
        else {
            return;
        };
        for column in columns {
            self.rename(column);
        }
    }

    fn excluded(&mut self, item: &mut SelectItem) {
        let SelectItem::QualifiedWildcard(
            SelectItemQualifiedWildcardKind::ObjectName(table),
            options,
        ) = item
        else {
            return;
        };
        let last = table.0.last().and_then(ObjectNamePart::as_ident).map(folded);
        if self.relation.is_some_and(|relation| last.as_deref() != Some(relation.table())) {
            return;
        }
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Multiple(columns)) => {
                for column in columns {
                    self.rename(column);
                }
            }
            Some(ExcludeSelectItem::Single(column)) => self.rename(column),
            None => {}
        }
    }

    fn rename(&mut self, column: &mut ObjectName) {
        for part in &mut column.0 {
            if let ObjectNamePart::Identifier(ident) = part
                && ident.quote_style.is_none()
                && ident.value.to_ascii_lowercase() == self.name
            {
                *ident = Ident::with_quote('"', self.real);
                self.changed = true;
            }
        }
    }
}

impl VisitorMut for Using<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        selects(&mut query.body, &mut |select| {
            let joins = select.from.iter_mut().flat_map(|table| &mut table.joins);
            joins.for_each(|join| self.join(&mut join.join_operator));
            for item in &mut select.projection {
                self.excluded(item);
            }
        });
        ControlFlow::Continue(())
    }
}
