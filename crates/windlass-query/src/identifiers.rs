//! Column names that differ from what was written only by case, and columns that are written twice.
//!
//! Bare names fold to lower case. Where the folded name is not a column but exactly one column differs
//! from it only by case, the statement is rewritten to name that one.

use crate::scope::tree;
use datafusion::common::SchemaError;
use datafusion::common::TableReference;
use datafusion::sql::parser::Statement;
use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectNamePart, Query, Select, SelectItem, SetExpr,
    VisitMut as _, VisitorMut, visit_expressions_mut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Gives what a SELECT has twice a name of its own: of `SELECT x, x` the second is `x_2`. The engine
/// takes a name once, where every other SQL takes it as often as it is written.
pub(crate) fn distinct(statement: &mut Statement) {
    if let Some(tree) = tree(statement) {
        let _ = tree.visit(&mut Distinct);
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

struct Distinct;

impl Distinct {
    fn items(items: &mut [SelectItem]) {
        let (mut seen, mut taken) = (HashSet::new(), HashSet::new());
        for item in items {
            let SelectItem::UnnamedExpr(expr) = item else { continue };
            let text = expr.to_string();
            let name = match expr {
                Expr::Identifier(ident) => ident.value.clone(),
                Expr::CompoundIdentifier(parts) => {
                    parts.last().map_or_else(String::new, |ident| ident.value.clone())
                }
                _ => text.clone(),
            };
            if seen.insert(text) {
                continue;
            }
            let mut free = (2..).map(|number| format!("{name}_{number}"));
            if let Some(free) = free.find(|name| taken.insert(name.clone())) {
                let alias = Ident::with_quote('"', free);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
    }
}

impl VisitorMut for Distinct {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        selects(&mut query.body, &mut |select| Self::items(&mut select.projection));
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
    let mut using = Using { name, real, changed };
    let _ = tree.visit(&mut using);
    using.changed
}

/// Renames a column in `JOIN ... USING (column)`, which is no expression.
struct Using<'a> {
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
        for part in columns.iter_mut().flat_map(|column| &mut column.0) {
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
        });
        ControlFlow::Continue(())
    }
}
