//! Queries with names, and a look into tables.

use crate::ast::{Look, OptionSetting, Statement, TableName};
use crate::parser::{Parser, Thing, Want, error_at, located};
use sqlparser::tokenizer::Token;
use windlass_types::options::OptionDef;
use windlass_types::{ErrorCode, Result};

/// What makes a query of a call.
const EVERY: &str = "SELECT * FROM ";

impl Parser<'_> {
    /// `[TEMPORARY] VIEW ...` or `TEMPORARY TABLE ...`, if one of them follows CREATE.
    pub(crate) fn create_view(
        &mut self,
        or_replace: bool,
        replace_at: crate::lex::Place,
    ) -> Result<Option<Statement>> {
        let temporary_table = self.words(&["TEMPORARY", "TABLE"]) || self.words(&["TEMP", "TABLE"]);
        let temporary_view = !temporary_table
            && (self.words(&["TEMPORARY", "VIEW"]) || self.words(&["TEMP", "VIEW"]));
        if !temporary_table && !temporary_view && !self.word("VIEW") {
            return Ok(None);
        }
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        if or_replace && if_not_exists {
            return Err(error_at(
                replace_at,
                ErrorCode::SqlSyntax,
                "OR REPLACE and IF NOT EXISTS contradict each other",
            )
            .hint("keep one of the two"));
        }
        let name = self.new_table()?;
        if temporary_table {
            self.advise("write CREATE TEMPORARY TABLE name AS SELECT ...");
            self.need_word("AS")?;
            let query = self.rest()?;
            let name = self.unqualified(name)?;
            return Ok(Some(Statement::CreateTemporaryTable {
                or_replace,
                if_not_exists,
                name,
                query,
            }));
        }
        let columns =
            if self.symbol(&Token::LParen, "(") { self.names_of_columns()? } else { Vec::new() };
        self.advise("write CREATE VIEW name AS SELECT ...");
        self.need_word("AS")?;
        let query = self.rest()?;
        if temporary_view {
            self.unqualified(name.clone())?;
        }
        Ok(Some(Statement::CreateView {
            or_replace,
            temporary: temporary_view,
            if_not_exists,
            name,
            columns,
            query,
        }))
    }

    /// A name of a table that is to be made.
    pub(crate) fn new_table(&mut self) -> Result<TableName> {
        let place = self.place();
        let name = self.table_name(Want::New(Thing::Table))?;
        name.table.clone().not_reserved().map_err(|error| located(&error, place))?;
        if let Some(schema) = name.schema.clone().filter(|schema| schema.as_str() != "main") {
            schema.not_reserved().map_err(|error| located(&error, place))?;
        }
        Ok(name)
    }

    fn unqualified(&self, name: TableName) -> Result<windlass_types::Name> {
        match name.schema {
            None => Ok(name.table),
            Some(_) => Err(self
                .error_here("what is temporary is in no schema")
                .hint("give it a name of one part")),
        }
    }

    /// `PREVIEW`, `PROFILE` or `SUMMARIZE`, if one of them follows.
    pub(crate) fn look(&mut self) -> Result<Option<Statement>> {
        if self.word("PREVIEW") {
            let of = self.looked_at(&["LIMIT"])?;
            let limit = if self.word("LIMIT") { Some(self.count()?) } else { None };
            return Ok(Some(Statement::Preview { of, limit }));
        }
        if self.word("PROFILE") || self.word("SUMMARIZE") {
            let of = self.looked_at(&["FULL"])?;
            return Ok(Some(Statement::Profile { of, full: self.word("FULL") }));
        }
        Ok(None)
    }

    /// The text of a call, if one begins here.
    pub(crate) fn call(&mut self) -> Result<Option<String>> {
        let begins = self.peek().is_some_and(|tok| tok.bare().is_some())
            && self.peek_at(1).is_some_and(|tok| tok.token == Token::LParen);
        if !begins {
            return Ok(None);
        }
        Ok(match self.looked_at(&[])? {
            Look::Query(query) => query.strip_prefix(EVERY).map(str::to_owned),
            Look::Table(_) => None,
        })
    }

    /// What to look at: a table, a call, or a query, up to one of these words or the end.
    fn looked_at(&mut self, stops: &[&'static str]) -> Result<Look> {
        let query = ["SELECT", "WITH", "VALUES"];
        let begins = |parser: &Self, at: usize| {
            parser.peek_at(at).is_some_and(|tok| query.iter().any(|word| tok.is(word)))
        };
        let call = self.peek().is_some_and(|tok| tok.bare().is_some())
            && self.peek_at(1).is_some_and(|tok| tok.token == Token::LParen);
        let wrapped = self.peek().is_some_and(|tok| tok.token == Token::LParen);
        if wrapped || call {
            let from = self.pos;
            let mut depth = 0_usize;
            while let Some(tok) = self.peek() {
                self.pos += 1;
                match tok.token {
                    Token::LParen => depth += 1,
                    Token::RParen => depth -= 1,
                    _ => {}
                }
                if depth == 0 && (wrapped || tok.token == Token::RParen) {
                    break;
                }
            }
            if depth > 0 {
                self.want(Want::Symbol(")"));
                return Err(self.fail());
            }
            let text = self.between(from, self.pos);
            return Ok(if wrapped {
                Look::Query(text[1..text.len() - 1].trim().to_owned())
            } else {
                Look::Query(format!("{EVERY}{text}"))
            });
        }
        if begins(self, 0) {
            let from = self.pos;
            // A last FULL is ours; a LIMIT is the query's.
            let last = self.tokens.len() - 1;
            let ends = stops == ["FULL"] && last > from && self.tokens[last].is("FULL");
            self.pos = if ends { last } else { self.tokens.len() };
            return Ok(Look::Query(self.between(from, self.pos)));
        }
        self.want(Want::Name(Thing::Connection));
        let mut parts = vec![self.identifier(Want::Name(Thing::Table))?];
        while parts.len() < 4 && self.symbol(&Token::Period, ".") {
            let want = Want::Path(parts[parts.len() - 1].clone());
            parts.push(self.identifier(want)?);
        }
        self.advise("a path goes in double quotes: PREVIEW connection.\"bucket/prefix/\"");
        Ok(Look::Table(parts))
    }

    /// The source text of tokens.
    fn between(&self, from: usize, to: usize) -> String {
        let start = self.tokens.first().map_or(0, |tok| tok.range.start);
        match (self.tokens.get(from), to.checked_sub(1).and_then(|last| self.tokens.get(last))) {
            (Some(first), Some(last)) if from < to => {
                self.source[first.range.start - start..last.range.end - start].to_owned()
            }
            _ => String::new(),
        }
    }

    /// The text up to the end, which must be a query.
    fn rest(&mut self) -> Result<String> {
        self.want(Want::Engine);
        let query = ["SELECT", "WITH", "VALUES", "TABLE", "FROM"];
        let begins = self
            .peek()
            .is_some_and(|tok| tok.token == Token::LParen || query.iter().any(|word| tok.is(word)));
        if !begins {
            return Err(self.fail());
        }
        let text = self.between(self.pos, self.tokens.len());
        self.pos = self.tokens.len();
        self.want(Want::Engine);
        Ok(text)
    }

    /// Options, then columns in parentheses, if there are any.
    pub(crate) fn options_and_columns(
        &mut self,
        defs: &'static [OptionDef],
    ) -> Result<(Vec<OptionSetting>, Vec<String>)> {
        // A group is the value of an option; columns stand after no `=`.
        let mut depth = 0_usize;
        let mut begin = None;
        for at in self.pos..self.tokens.len() {
            match self.tokens[at].token {
                Token::LParen => {
                    if depth == 0 && self.tokens[at - 1].token != Token::Eq {
                        begin = Some(at);
                        break;
                    }
                    depth += 1;
                }
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        let Some(begin) = begin else { return Ok((self.settings(defs)?, Vec::new())) };
        let all = self.tokens;
        self.tokens = &all[..begin];
        let options = self.settings(defs);
        self.tokens = all;
        let options = options?;
        self.pos = begin + 1;
        let mut columns = Vec::new();
        loop {
            let from = self.pos;
            self.identifier(Want::Literal("the name of a column"))?;
            let mut depth = 0_usize;
            while let Some(tok) = self.peek() {
                match tok.token {
                    Token::LParen => depth += 1,
                    Token::RParen if depth > 0 => depth -= 1,
                    Token::RParen => break,
                    Token::Comma if depth == 0 => break,
                    _ => {}
                }
                self.pos += 1;
            }
            if self.pos == from + 1 {
                self.want(Want::Literal("the type of the column"));
                return Err(self.fail());
            }
            columns.push(self.between(from, self.pos));
            if !self.symbol(&Token::Comma, ",") {
                break;
            }
        }
        if !self.symbol(&Token::RParen, ")") {
            return Err(self.fail());
        }
        Ok((options, columns))
    }
}
