//! Our statements: text to tree to text.
//!
//! Decides what a text says, and refuses to know what exists: no IO, no clock, no store. What is
//! not ours is passed on to the query engine as text ([`Statement::Engine`]).

mod ast;
mod complete;
mod help;
mod lex;
mod mask;
mod parser;
mod placeholders;
mod print;
mod reference;
mod settings;
mod statements;

pub use ast::{
    Calendar, CatalogStatement, Change, CrawlStatement, CreateJob, DescribeTarget, Direction,
    FilesPlace, FilesStatement, FilesVerb, JobChange, LineageAs, Look, OptionSetting, Parsed,
    Period, SecretInput, SecretText, Statement, TableName, Trigger, WEEKDAYS, WriteStatement,
    WriteTo,
};
pub use complete::{Completion, Suggestion, complete};
pub use help::{Help, KEYWORDS, help};
pub use mask::masked;
pub use placeholders::{Placeholder, placeholders};
pub use print::{identifier, print_connection, print_job, print_value, text_literal};
pub use reference::reference_markdown;

use windlass_types::Result;

/// Whether the mask `'********'` may stand where a secret belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseMode {
    /// No: what people send. The mask is not a value.
    Strict,
    /// Yes, and it reads as a sealed value: text that SHOW CREATE printed.
    AllowMask,
}

/// The dialect whose tokens we read; the query engine should be given the same.
pub fn dialect() -> sqlparser::dialect::PostgreSqlDialect {
    sqlparser::dialect::PostgreSqlDialect {}
}

/// Decides where statements begin and end: byte offset and text of each, without the `;`.
/// Empty statements and comments before a statement are left out.
pub fn split(text: &str) -> Result<Vec<(usize, String)>> {
    let lexed = lex::lex(text);
    if let Some(fault) = &lexed.fault {
        return Err(fault.error());
    }
    Ok(lexed
        .statements()
        .filter_map(lex::extent)
        .map(|range| (range.start, text[range].to_owned()))
        .collect())
}

/// Reads all statements of a text, or says what is wrong with the first that is wrong, and where.
pub fn parse(text: &str) -> Result<Vec<Parsed>> {
    parse_with(text, ParseMode::Strict)
}

/// [`parse`], with a say about masks.
pub fn parse_with(text: &str, mode: ParseMode) -> Result<Vec<Parsed>> {
    let lexed = lex::lex(text);
    if let Some(fault) = &lexed.fault {
        return Err(fault.error());
    }
    let mut statements = Vec::new();
    for tokens in lexed.statements() {
        let Some(range) = lex::extent(tokens) else { continue };
        let source = &text[range.clone()];
        let statement = parser::Parser::new(tokens, source, mode).parse()?;
        statements.push(Parsed { statement, text: source.to_owned(), offset: range.start });
    }
    Ok(statements)
}
