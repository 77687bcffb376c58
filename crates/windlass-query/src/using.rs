//! `JOIN ... USING (columns)`: which table a bare name means then.
//!
//! SQL says that a column named in USING is one column: that of the left table, that of the right one in
//! a RIGHT JOIN, whichever is not NULL in a FULL JOIN (ISO 9075-2, 7.10). The engine knows the first of
//! these in some places and finds the name ambiguous in others. So conditions are written out, and names
//! too. What cannot be told without the columns of tables is left as it is.

use crate::free::folded;
use sqlparser::ast::{
    BinaryOperator, Distinct, ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint,
    JoinOperator, ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, TableWithJoins,
    VisitMut as _, VisitorMut, WildcardAdditionalOptions,
};
use std::ops::ControlFlow;

/// Writes out what USING says.
pub(crate) fn write_out(tree: &mut Statement) {
    let _ = tree.visit(&mut WriteOut);
}

struct WriteOut;

impl VisitorMut for WriteOut {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_mut() else {
            sides(&mut query.body);
            return ControlFlow::Continue(());
        };
        if let Some(merged) = written_out(select)
            && let Some(by) = &mut query.order_by
            && let OrderByKind::Expressions(items) = &mut by.kind
        {
            // A name of the answer comes before one of a table.
            let open: Vec<&Merged> =
                merged.iter().filter(|merged| !answers(select, &merged.name)).collect();
            for item in items {
                replace(&mut item.expr, &open);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The SELECTs of set operations: what sorts their rows has only the names of the answer.
fn sides(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            sides(left);
            sides(right);
        }
        SetExpr::Select(select) => {
            let _ = written_out(select);
        }
        _ => {}
    }
}

/// A column that is one of several tables.
#[derive(Debug, Clone)]
struct Merged {
    name: Ident,
    is: Expr,
}

/// What `*` shows of one table.
#[derive(Debug, Clone)]
struct Shown {
    table: Ident,
    without: Vec<Ident>,
}

/// What a line of joins has come to.
#[derive(Debug, Default, Clone)]
struct Line {
    merged: Vec<Merged>,
    tables: Vec<Shown>,
}

/// Writes USING out in one SELECT; answers what was merged. None: there is nothing to do, or not enough
/// is known.
fn written_out(select: &mut Select) -> Option<Vec<Merged>> {
    let uses = |from: &TableWithJoins| {
        from.joins.iter().any(|join| matches!(kind(join), Some((_, JoinConstraint::Using(_)))))
    };
    if !select.from.iter().any(uses) {
        return None;
    }
    let plain = WildcardAdditionalOptions::default();
    let is_plain = |item: &SelectItem| match item {
        SelectItem::Wildcard(options) => *options == plain,
        SelectItem::QualifiedWildcard(..)
        | SelectItem::UnnamedExpr(_)
        | SelectItem::ExprWithAlias { .. } => true,
        SelectItem::ExprWithAliases { .. } => false,
    };
    if !select.projection.iter().all(is_plain) {
        return None;
    }
    let mut from = select.from.clone();
    let mut all = Line::default();
    for item in &mut from {
        let line = line(item)?;
        // One name of two lines is of both.
        if line.merged.iter().any(|new| all.merged.iter().any(|old| same(&old.name, &new.name))) {
            return None;
        }
        all.merged.extend(line.merged);
        all.tables.extend(line.tables);
    }
    select.from = from;
    let every: Vec<&Merged> = all.merged.iter().collect();
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(_) => select.projection.extend(spread(&all)),
            SelectItem::UnnamedExpr(expr) => select.projection.push(named(expr, &every)),
            mut other => {
                if let SelectItem::ExprWithAlias { expr, .. } = &mut other {
                    replace(expr, &every);
                }
                select.projection.push(other);
            }
        }
    }
    let mut expressions: Vec<&mut Expr> =
        [&mut select.selection, &mut select.having, &mut select.qualify]
            .into_iter()
            .flatten()
            .collect();
    if let GroupByExpr::Expressions(grouped, _) = &mut select.group_by {
        expressions.extend(grouped);
    }
    if let Some(Distinct::On(distinct)) = &mut select.distinct {
        expressions.extend(distinct);
    }
    for expr in expressions {
        replace(expr, &every);
    }
    Some(all.merged)
}

/// One side of a join that keeps its rows, and on what it joins.
fn kind(join: &Join) -> Option<(Keeps, &JoinConstraint)> {
    Some(match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::CrossJoin(constraint) => (Keeps::Left, constraint),
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (Keeps::Right, constraint)
        }
        JoinOperator::FullOuter(constraint) => (Keeps::Both, constraint),
        _ => return None,
    })
}

/// Whose value of a merged column is never NULL for want of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Keeps {
    Left,
    Right,
    Both,
}

/// Writes out the joins of one line of FROM.
fn line(from: &mut TableWithJoins) -> Option<Line> {
    let first = Shown { table: table(&from.relation)?, without: Vec::new() };
    let mut line = Line { merged: Vec::new(), tables: vec![first] };
    for join in &mut from.joins {
        let right = table(&join.relation)?;
        let (keeps, constraint) = kind(join)?;
        let mut shown = Shown { table: right.clone(), without: Vec::new() };
        let columns = match constraint {
            JoinConstraint::Using(columns) => Some(columns.clone()),
            JoinConstraint::Natural => return None,
            JoinConstraint::On(_) | JoinConstraint::None => None,
        };
        let condition = match columns {
            Some(columns) => {
                let mut front = Vec::with_capacity(columns.len());
                let mut condition: Option<Expr> = None;
                for column in columns {
                    let [ObjectNamePart::Identifier(name)] = column.0.as_slice() else {
                        return None;
                    };
                    let left = line.left(name)?;
                    let right = Expr::CompoundIdentifier(vec![right.clone(), name.clone()]);
                    let equal = both(BinaryOperator::Eq, left.clone(), right.clone());
                    condition = Some(match condition {
                        Some(so_far) => both(BinaryOperator::And, so_far, equal),
                        None => equal,
                    });
                    let is = match keeps {
                        Keeps::Left => left,
                        Keeps::Right => right,
                        Keeps::Both => either(left, right),
                    };
                    front.push(Merged { name: name.clone(), is });
                    shown.without.push(name.clone());
                }
                line.merged.retain(|old| !front.iter().any(|new| same(&new.name, &old.name)));
                line.merged.splice(0..0, front);
                condition
            }
            None => None,
        };
        match (condition, constraint_of(join)) {
            (Some(condition), Some(constraint)) => *constraint = JoinConstraint::On(condition),
            (None, Some(JoinConstraint::On(condition))) => {
                replace(condition, &line.merged.iter().collect::<Vec<_>>());
            }
            _ => {}
        }
        line.tables.push(shown);
    }
    Some(line)
}

impl Line {
    /// What a column is on the left of a join. None where it may be of several tables.
    fn left(&mut self, name: &Ident) -> Option<Expr> {
        if let Some(merged) = self.merged.iter().find(|merged| same(&merged.name, name)) {
            return Some(merged.is.clone());
        }
        match self.tables.as_mut_slice() {
            [only] => {
                only.without.push(name.clone());
                Some(Expr::CompoundIdentifier(vec![only.table.clone(), name.clone()]))
            }
            _ => None,
        }
    }
}

fn constraint_of(join: &mut Join) -> Option<&mut JoinConstraint> {
    match &mut join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::CrossJoin(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}

/// The name by which columns of a table are told.
fn table(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, args: None, .. } => {
            name.0.last().and_then(ObjectNamePart::as_ident).cloned()
        }
        _ => None,
    }
}

fn same(one: &Ident, other: &Ident) -> bool {
    folded(one) == folded(other)
}

fn both(op: BinaryOperator, left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

/// `COALESCE(left, right)`.
fn either(left: Expr, right: Expr) -> Expr {
    call("coalesce", [left, right])
}

/// A call of a function.
pub(crate) fn call(name: &str, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    let args = arguments.into_iter().map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Whether a SELECT answers a column of this name.
fn answers(select: &Select, name: &Ident) -> bool {
    select.projection.iter().any(|item| match item {
        SelectItem::ExprWithAlias { alias, .. } => same(alias, name),
        SelectItem::UnnamedExpr(Expr::Identifier(own)) => same(own, name),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
            parts.last().is_some_and(|own| same(own, name))
        }
        _ => false,
    })
}

/// What `*` stands for: merged columns first, then the rest of each table.
fn spread(line: &Line) -> impl Iterator<Item = SelectItem> {
    let merged = line.merged.iter().map(|Merged { name, is }| SelectItem::ExprWithAlias {
        expr: is.clone(),
        alias: name.clone(),
    });
    let tables = line.tables.iter().map(|Shown { table, without }| {
        let without: Vec<ObjectName> =
            without.iter().map(|name| ObjectName::from(vec![name.clone()])).collect();
        let kind =
            SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![table.clone()]));
        let options = WildcardAdditionalOptions {
            opt_exclude: (!without.is_empty()).then_some(ExcludeSelectItem::Multiple(without)),
            ..WildcardAdditionalOptions::default()
        };
        SelectItem::QualifiedWildcard(kind, options)
    });
    merged.chain(tables)
}

/// An expression of a SELECT, under the name that it had.
fn named(mut expr: Expr, merged: &[&Merged]) -> SelectItem {
    let alias = match &expr {
        Expr::Identifier(ident) => {
            merged.iter().any(|m| same(&m.name, ident)).then(|| ident.clone())
        }
        _ => None,
    };
    replace(&mut expr, merged);
    match alias {
        Some(alias) => SelectItem::ExprWithAlias { expr, alias },
        None => SelectItem::UnnamedExpr(expr),
    }
}

/// Puts what it is in the place of a bare name. Queries inside have names of their own.
fn replace(expr: &mut Expr, merged: &[&Merged]) {
    if !merged.is_empty() {
        let _ = expr.visit(&mut Replace { merged, inside: 0 });
    }
}

struct Replace<'a> {
    merged: &'a [&'a Merged],
    inside: usize,
}

impl VisitorMut for Replace<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0
            && let Expr::Identifier(ident) = expr
            && let Some(merged) = self.merged.iter().find(|merged| same(&merged.name, ident))
        {
            *expr = merged.is.clone();
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::GenericDialect;
    use sqlparser::parser::Parser;

    fn said(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        write_out(&mut statements[0]);
        statements[0].to_string()
    }

    #[test]
    fn names_in_using_are_written_out() {
        let queries = [
            "SELECT id, u FROM a JOIN b USING (id) WHERE id = 1 ORDER BY id",
            "SELECT * FROM a RIGHT JOIN b USING (id)",
            "SELECT id + 1, count(*) FROM s.a FULL JOIN b AS x USING (id, k) GROUP BY id HAVING max(k) > 1 ORDER BY max(id)",
            "SELECT * FROM a FULL JOIN b USING (id) JOIN c USING (id) JOIN d ON d.k = id",
            "SELECT u FROM a JOIN b USING (id) WHERE id IN (SELECT id FROM t)",
            "SELECT * FROM (SELECT id FROM a LEFT JOIN b USING (ID) LIMIT 1) AS q, r",
        ];
        insta::assert_snapshot!(queries.map(said).join("\n"), @r#"
        SELECT a.id AS id, u FROM a JOIN b ON a.id = b.id WHERE a.id = 1 ORDER BY id
        SELECT b.id AS id, a.* EXCLUDE (id), b.* EXCLUDE (id) FROM a RIGHT JOIN b ON a.id = b.id
        SELECT coalesce(a.id, x.id) + 1, count(*) FROM s.a FULL JOIN b AS x ON a.id = x.id AND a.k = x.k GROUP BY coalesce(a.id, x.id) HAVING max(coalesce(a.k, x.k)) > 1 ORDER BY max(coalesce(a.id, x.id))
        SELECT coalesce(a.id, b.id) AS id, a.* EXCLUDE (id), b.* EXCLUDE (id), c.* EXCLUDE (id), d.* FROM a FULL JOIN b ON a.id = b.id JOIN c ON coalesce(a.id, b.id) = c.id JOIN d ON d.k = coalesce(a.id, b.id)
        SELECT u FROM a JOIN b ON a.id = b.id WHERE a.id IN (SELECT id FROM t)
        SELECT * FROM (SELECT a.ID AS id FROM a LEFT JOIN b ON a.ID = b.ID LIMIT 1) AS q, r
        "#);
    }

    #[test]
    fn what_cannot_be_told_stays() {
        for sql in [
            "SELECT id FROM a JOIN b ON a.x = b.x JOIN c USING(id)",
            "SELECT * EXCLUDE (u) FROM a JOIN b USING(id)",
            "SELECT id FROM a JOIN (b JOIN c USING(id)) USING(id)",
            "SELECT id FROM a NATURAL JOIN b JOIN c USING(id)",
            "SELECT id FROM a LEFT SEMI JOIN b USING(id)",
        ] {
            assert_eq!(said(sql), sql);
        }
    }
}
