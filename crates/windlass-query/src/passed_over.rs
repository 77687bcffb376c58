//! What a statement asks for and the engine would pass over without a word.

use sqlparser::ast::{
    Query, SetExpr, SetOperator, SetQuantifier, Statement as Tree, TableFactor, Visit as _, Visitor,
};
use std::ops::ControlFlow;
use windlass_types::{Error, ErrorCode, Result};

struct Look;

/// What the engine would pass over.
enum Passed {
    Sample,
    /// INTERSECT ALL or EXCEPT ALL.
    Counts(SetOperator),
}

/// The first set operation that counts equal rows.
fn counting(body: &SetExpr) -> Option<SetOperator> {
    match body {
        SetExpr::SetOperation { left, right, op, set_quantifier } => {
            let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName)
                && *op != SetOperator::Union;
            if counts { Some(*op) } else { counting(left).or_else(|| counting(right)) }
        }
        _ => None,
    }
}

impl Visitor for Look {
    type Break = Passed;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Passed> {
        match counting(&query.body) {
            Some(operator) => ControlFlow::Break(Passed::Counts(operator)),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Passed> {
        match factor {
            TableFactor::Table { sample: Some(_), .. }
            | TableFactor::Derived { sample: Some(_), .. } => ControlFlow::Break(Passed::Sample),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// An error if the statement asks for a sample of a table, where it would get all rows, or for set operations
/// that count equal rows, where each row would come as often as in the first query.
pub(crate) fn refuse(tree: &Tree) -> Result<()> {
    match tree.visit(&mut Look) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(Passed::Counts(operator)) => Err(Error::new(
            ErrorCode::SqlPlan,
            format!("{operator} ALL is not possible here"),
        )
        .hint(format!("{operator} without ALL takes each row once; to count rows, number equal ones in both queries with row_number() OVER (PARTITION BY columns) and select that too"))),
        ControlFlow::Break(Passed::Sample) => Err(Error::new(
            ErrorCode::SqlPlan,
            "TABLESAMPLE is not possible here",
        )
        .hint("take a part of the rows by a condition such as `random() < 0.1`, or look at some with PREVIEW")),
    }
}
