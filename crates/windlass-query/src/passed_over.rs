//! What a statement asks for and the engine would pass over without a word.

use sqlparser::ast::{Statement as Tree, TableFactor, Visit as _, Visitor};
use std::ops::ControlFlow;
use windlass_types::{Error, ErrorCode, Result};

struct Sampled;

impl Visitor for Sampled {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { sample: Some(_), .. }
            | TableFactor::Derived { sample: Some(_), .. } => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// An error if the statement asks for a sample of a table: it would get all rows.
pub(crate) fn refuse(tree: &Tree) -> Result<()> {
    match tree.visit(&mut Sampled) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(
            ErrorCode::SqlPlan,
            "TABLESAMPLE is not possible here",
        )
        .hint("take a part of the rows by a condition such as `random() < 0.1`, or look at some with PREVIEW")),
    }
}
