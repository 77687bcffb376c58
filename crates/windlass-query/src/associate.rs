//! What AND, OR and NOT join beside IS DISTINCT FROM.
//!
//! The parser takes all that follows `a IS DISTINCT FROM` as its second operand, so that `a IS DISTINCT
//! FROM b AND c` would ask whether `a` differs from `b AND c`. SQL binds it tighter than all three.

use sqlparser::ast::{
    BinaryOperator, Expr, Statement, UnaryOperator, Value, VisitMut as _, VisitorMut,
};
use std::ops::ControlFlow;

/// Puts right what the parser has joined wrongly. What is in parentheses stays as it is.
pub(crate) fn associate(tree: &mut Statement) {
    let mut find = Find { found: false };
    let _ = tree.visit(&mut find);
    if find.found {
        let _ = tree.visit(&mut Associate);
    }
}

struct Find {
    found: bool,
}

impl VisitorMut for Find {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) = expr
            && is_logical(right)
        {
            self.found = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

struct Associate;

impl VisitorMut for Associate {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_logical(expr) || right_of(expr).is_some_and(is_logical) {
            let mut line = Line::default();
            line.take(std::mem::replace(expr, nothing()));
            *expr = line.joined();
        }
        ControlFlow::Continue(())
    }
}

fn nothing() -> Expr {
    Expr::value(Value::Null)
}

/// The operand that may hold too much.
fn right_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => Some(right),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            if is_logical(expr) {
                Some(expr)
            } else {
                right_of(expr)
            }
        }
        _ => None,
    }
}

fn is_logical(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. })
}

/// Operands and what joins them, in the order in which they were written.
#[derive(Default)]
struct Line {
    operands: Vec<Expr>,
    operators: Vec<BinaryOperator>,
}

impl Line {
    fn take(&mut self, expr: Expr) {
        // What is put around the first operand of what follows it.
        let (inner, around): (Expr, Box<dyn FnOnce(Expr) -> Expr>) = match expr {
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                // A long chain leans to the left: not taken by recursion.
                let (mut left, mut rest) = (*left, vec![(op, *right)]);
                while let Expr::BinaryOp {
                    left: first,
                    op: op @ (BinaryOperator::And | BinaryOperator::Or),
                    right,
                } = left
                {
                    rest.push((op, *right));
                    left = *first;
                }
                self.take(left);
                for (op, right) in rest.into_iter().rev() {
                    self.operators.push(op);
                    self.take(right);
                }
                return;
            }
            Expr::IsDistinctFrom(left, right) => {
                (*right, Box::new(|right| Expr::IsDistinctFrom(left, Box::new(right))))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                (*right, Box::new(|right| Expr::IsNotDistinctFrom(left, Box::new(right))))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => (
                *expr,
                Box::new(|expr| Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(expr) }),
            ),
            other => {
                self.operands.push(other);
                return;
            }
        };
        let at = self.operands.len();
        self.take(inner);
        let first = std::mem::replace(&mut self.operands[at], nothing());
        self.operands[at] = around(first);
    }

    /// AND binds tighter than OR.
    fn joined(self) -> Expr {
        let join = |op| {
            move |left: Expr, right: Expr| Expr::BinaryOp {
                left: Box::new(left),
                op,
                right: Box::new(right),
            }
        };
        let mut operands = self.operands.into_iter();
        let mut all: Vec<Expr> = Vec::new();
        let mut current = operands.next().unwrap_or_else(nothing);
        for (op, operand) in self.operators.into_iter().zip(operands) {
            if op == BinaryOperator::And {
                current = join(op)(current, operand);
            } else {
                all.push(std::mem::replace(&mut current, operand));
            }
        }
        all.push(current);
        all.into_iter()
            .reduce(|left, right| join(BinaryOperator::Or)(left, right))
            .unwrap_or_else(nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlparser::dialect::GenericDialect;
    use sqlparser::parser::Parser;

    /// The same text with each operand of AND, OR and NOT in parentheses.
    fn bracketed(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                format!("({} {op} {})", bracketed(left), bracketed(right))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(NOT {})", bracketed(expr)),
            Expr::IsDistinctFrom(left, right) => format!("({left} <> {})", bracketed(right)),
            Expr::IsNotDistinctFrom(left, right) => format!("({left} == {})", bracketed(right)),
            other => other.to_string(),
        }
    }

    fn read(condition: &str) -> String {
        let text = format!("SELECT 1 WHERE {condition}");
        let mut statements = Parser::parse_sql(&GenericDialect {}, &text).unwrap();
        associate(&mut statements[0]);
        let Statement::Query(query) = &statements[0] else { panic!("{text}") };
        let selection = query.body.as_select().and_then(|select| select.selection.as_ref());
        bracketed(selection.unwrap())
    }

    #[test]
    fn what_follows_is_distinct_from_is_joined_as_it_stands() {
        let conditions = [
            "a IS DISTINCT FROM b AND c > 5",
            "a IS NOT DISTINCT FROM b OR c AND d",
            "x AND a IS DISTINCT FROM b OR y",
            "x OR a IS DISTINCT FROM b AND y OR z",
            "NOT a IS DISTINCT FROM b AND c",
            "a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e",
            "a IS DISTINCT FROM (b AND c) AND d",
            "a IS DISTINCT FROM b + 1",
        ];
        insta::assert_snapshot!(conditions.map(read).join("\n"), @r"
        ((a <> b) AND c > 5)
        ((a == b) OR (c AND d))
        ((x AND (a <> b)) OR y)
        ((x OR ((a <> b) AND y)) OR z)
        ((NOT (a <> b)) AND c)
        (((a <> b) AND (c <> d)) OR e)
        ((a <> (b AND c)) AND d)
        (a <> b + 1)
        ");
    }
}
