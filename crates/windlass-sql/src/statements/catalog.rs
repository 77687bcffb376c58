//! Statements about the catalogue.

use crate::ast::{CatalogStatement, Direction, LineageAs, Statement};
use crate::parser::{Parser, Thing, Want};
use sqlparser::tokenizer::Token;
use windlass_types::Result;
use windlass_types::options::{COLUMN_OPTIONS, CONTAINER_OPTIONS};

/// What a container is called.
const CONTAINER: &str = "a container such as 'service.bucket.path' or 'connection:bucket/path'";

impl Parser<'_> {
    /// The name of a container, or its place as queries name it: `connection."bucket/path"`.
    pub(crate) fn container(&mut self) -> Result<String> {
        if !self.peek().is_some_and(|tok| matches!(tok.token, Token::Word(_))) {
            self.want(Want::Name(Thing::Connection));
            return self.text(CONTAINER);
        }
        let connection = self.name(Want::Name(Thing::Connection))?;
        self.advise(
            "write connection.\"bucket/path\", or a text in single quotes such as 'service.bucket.path'",
        );
        if !self.symbol(&Token::Period, ".") {
            return Err(self.fail());
        }
        let path = self.identifier(Want::Path(connection.as_str().to_owned()))?;
        Ok(format!("{connection}:{path}"))
    }

    /// What follows `ALTER CONTAINER`.
    pub(crate) fn alter_container(&mut self) -> Result<Statement> {
        let container = self.container()?;
        let column = if self.word("COLUMN") {
            Some(self.text("a column such as 'address.city'")?)
        } else {
            None
        };
        self.advise("write SET DESCRIPTION = 'text', or RESET DESCRIPTION");
        let defs = if column.is_some() { COLUMN_OPTIONS } else { CONTAINER_OPTIONS };
        let changes = self.changes(defs)?;
        Ok(Statement::Catalog(CatalogStatement::Alter { container, column, changes }))
    }

    /// `SEARCH 'words' [LIMIT n]`, if it follows.
    pub(crate) fn search(&mut self) -> Result<Option<Statement>> {
        if !self.word("SEARCH") {
            return Ok(None);
        }
        self.advise("write SEARCH 'words'");
        let question = self.text("words such as 'invoice email'")?;
        let limit = if self.word("LIMIT") { Some(self.count()?) } else { None };
        Ok(Some(Statement::Catalog(CatalogStatement::Search { question, limit })))
    }

    /// What follows `SHOW LINEAGE`.
    pub(crate) fn lineage(&mut self) -> Result<Statement> {
        self.advise("write SHOW LINEAGE OF 'connection:bucket/path'");
        self.need_word("OF")?;
        let of = self.container()?;
        let direction = Direction::ALL.into_iter().find(|direction| self.word(direction.as_str()));
        let depth = if self.word("DEPTH") { Some(self.count()?) } else { None };
        let mut shown = LineageAs::Tree;
        if self.word("AS") {
            shown = if self.word("DOT") {
                LineageAs::Dot
            } else {
                self.need_word("OPENLINEAGE")?;
                LineageAs::OpenLineage
            };
        }
        Ok(Statement::Catalog(CatalogStatement::Lineage { of, direction, depth, shown }))
    }
}
