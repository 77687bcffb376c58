//! The grammar of writing files.

use crate::ast::{FilesPlace, OptionSetting, Statement, WriteStatement, WriteTo};
use crate::lex::Tok;
use crate::parser::{Parser, Thing, Want};
use sqlparser::tokenizer::Token;
use windlass_types::options::{CREATE_TABLE_AS_OPTIONS, WRITE_OPTIONS};
use windlass_types::{Error, ErrorCode, Name, Result};

/// What begins a query.
const QUERY: [&str; 5] = ["SELECT", "WITH", "VALUES", "TABLE", "FROM"];

/// The connection and the path of `connection:path`; an `s3://` text goes through the connection `s3`.
fn place(text: &str) -> Result<FilesPlace> {
    let (connection, location) = match text.split_once(':') {
        _ if text.starts_with("s3://") => ("s3", text),
        Some((connection, location)) if !connection.contains('/') => (connection, location),
        _ => {
            return Err(Error::new(
                ErrorCode::PathInvalid,
                "the text after TO names no connection",
            )
            .hint("write `'CONNECTION:BUCKET/KEY'`; a path that ends in `/` takes many files"));
        }
    };
    Ok(FilesPlace { connection: Name::new(connection)?, location: location.to_owned() })
}

impl Parser<'_> {
    /// The text of tokens from `from` up to `to`.
    fn text_of(&self, from: usize, to: usize) -> String {
        let base = self.tokens.first().map_or(0, |tok| tok.range.start);
        match (self.tokens.get(from), to.checked_sub(1).and_then(|last| self.tokens.get(last))) {
            (Some(first), Some(last)) if from < to => {
                self.source[first.range.start - base..last.range.end - base].to_owned()
            }
            _ => String::new(),
        }
    }

    /// Where the parenthesis that opens here is closed.
    fn closed_at(&self) -> Option<usize> {
        let mut depth = 0_usize;
        for (at, tok) in self.tokens.iter().enumerate().skip(self.pos) {
            match tok.token {
                Token::LParen => depth += 1,
                Token::RParen => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// `COPY (query) TO 'connection:path' [OPTIONS (...)]`, `INSERT INTO connection."path" [(column,
    /// ...)] [OPTIONS (...)] query`, if it begins so. What else these words begin is the engine's.
    pub(super) fn write_statement(&mut self) -> Result<Option<Statement>> {
        let begin = self.pos;
        let found = if self.word("COPY") {
            self.copy()?
        } else if self.words(&["INSERT", "INTO"]) {
            self.insert()?
        } else {
            None
        };
        if found.is_none() {
            self.pos = begin;
        }
        Ok(found.map(Statement::Write))
    }

    fn copy(&mut self) -> Result<Option<WriteStatement>> {
        let query = if self.symbol(&Token::LParen, "(") {
            self.pos -= 1;
            let Some(end) = self.closed_at() else {
                return Err(self.error_here("the parenthesis is not closed"));
            };
            let query = self.text_of(self.pos + 1, end);
            self.pos = end + 1;
            query
        } else {
            let from = self.pos;
            self.identifier(Want::Name(Thing::Table))?;
            while self.symbol(&Token::Period, ".") {
                self.identifier(Want::Name(Thing::Table))?;
            }
            format!("SELECT * FROM {}", self.text_of(from, self.pos))
        };
        if !self.word("TO") {
            return Ok(None);
        }
        if self.peek().is_some_and(|tok| tok.is("STDOUT")) {
            return Ok(None);
        }
        self.advise("write TO 'CONNECTION:BUCKET/KEY'");
        let at = self.place();
        let text = self.text("a path such as 'connection:bucket/key'")?;
        let place = place(&text).map_err(|error| crate::parser::located(&error, at))?;
        let options = self.write_options()?;
        Ok(Some(WriteStatement { to: WriteTo::Place(place), options, query }))
    }

    fn insert(&mut self) -> Result<Option<WriteStatement>> {
        let mut parts = vec![self.identifier(Want::Name(Thing::Connection))?];
        while parts.len() < 3 && self.symbol(&Token::Period, ".") {
            let want = Want::Path(parts[parts.len() - 1].clone());
            parts.push(self.identifier(want)?);
        }
        // Names with a fabric are the engine's, which refuses them.
        if parts.len() > 2 {
            return Ok(None);
        }
        let columns = self.column_list()?;
        let options = self.write_options()?;
        let query = self.query()?;
        let last = parts.pop().unwrap_or_default();
        let to = WriteTo::Named { first: parts.pop(), last, columns };
        Ok(Some(WriteStatement { to, options, query }))
    }

    /// `(column, ...)`, if it follows; a parenthesis may begin the query too.
    fn column_list(&mut self) -> Result<Vec<String>> {
        let opens = self.peek().is_some_and(|tok| tok.token == Token::LParen);
        let query = |tok: &Tok| tok.token == Token::LParen || QUERY.iter().any(|word| tok.is(word));
        if !opens || self.peek_at(1).is_none_or(query) {
            return Ok(Vec::new());
        }
        self.pos += 1;
        self.names_of_columns()
    }

    /// `column, ...)`, whose parenthesis is open.
    pub(crate) fn names_of_columns(&mut self) -> Result<Vec<String>> {
        let mut columns = Vec::new();
        loop {
            columns.push(self.identifier(Want::Literal("the name of a column"))?);
            if !self.symbol(&Token::Comma, ",") {
                break;
            }
        }
        if !self.symbol(&Token::RParen, ")") {
            return Err(self.fail());
        }
        Ok(columns)
    }

    /// `OPTIONS (NAME = value, ...)`, if it follows.
    fn write_options(&mut self) -> Result<Vec<OptionSetting>> {
        if !self.word("OPTIONS") {
            return Ok(Vec::new());
        }
        self.advise("write OPTIONS (NAME = value, ...)");
        if !self.symbol(&Token::LParen, "(") {
            return Err(self.fail());
        }
        let settings = self.group(Some(WRITE_OPTIONS), 0)?;
        Ok(settings.into_iter().map(|(name, value)| OptionSetting { name, value }).collect())
    }

    /// A query up to the end of the statement.
    fn query(&mut self) -> Result<String> {
        for word in QUERY {
            self.want(Want::Keyword(word));
        }
        let begins =
            |tok: &Tok| tok.token == Token::LParen || QUERY.iter().any(|word| tok.is(word));
        if !self.peek().is_some_and(begins) {
            return Err(self.fail());
        }
        let query = self.text_of(self.pos, self.tokens.len());
        self.pos = self.tokens.len();
        self.want(Want::Engine);
        Ok(query)
    }

    /// Whether `AS query` follows outside of parentheses.
    pub(super) fn query_follows(&self) -> bool {
        let mut depth = 0_usize;
        for tok in &self.tokens[self.pos..] {
            match tok.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ if depth == 0 && tok.is("AS") => return true,
                _ => {}
            }
        }
        false
    }

    /// The rest of `CREATE FILE TABLE ... AS query`, from its options.
    pub(super) fn table_of_query(&mut self, to: WriteTo) -> Result<Statement> {
        let mut said = crate::settings::Said::default();
        let options = self.settings_until(CREATE_TABLE_AS_OPTIONS, &mut said, &["AS"])?;
        self.need_word("AS")?;
        let query = self.query()?;
        Ok(Statement::Write(WriteStatement { to, options, query }))
    }
}
