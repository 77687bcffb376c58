//! Statements about the catalogue as text.

use super::{Printed, text_literal};
use crate::ast::CatalogStatement;
use std::fmt;

impl Printed<'_> {
    pub(super) fn catalog(
        &self,
        f: &mut fmt::Formatter<'_>,
        statement: &CatalogStatement,
    ) -> fmt::Result {
        match statement {
            CatalogStatement::Alter { container, column, changes } => {
                write!(f, "ALTER CONTAINER {}", text_literal(container))?;
                column.iter().try_for_each(|c| write!(f, " COLUMN {}", text_literal(c)))?;
                changes.iter().try_for_each(|change| self.change(f, change))
            }
            CatalogStatement::Search { question, limit } => {
                write!(f, "SEARCH {}", text_literal(question))?;
                limit.iter().try_for_each(|limit| write!(f, " LIMIT {limit}"))
            }
            CatalogStatement::Lineage { of, direction, depth, shown } => {
                write!(f, "SHOW LINEAGE OF {}", text_literal(of))?;
                direction.iter().try_for_each(|one| write!(f, " {}", one.as_str()))?;
                depth.iter().try_for_each(|depth| write!(f, " DEPTH {depth}"))?;
                shown.as_str().iter().try_for_each(|word| write!(f, " AS {word}"))
            }
        }
    }
}
