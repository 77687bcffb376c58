//! What may follow at the cursor: what the parser would have taken there.

use crate::ParseMode;
use crate::help::QUERY_KEYWORDS;
use crate::lex::{Tok, lex};
use crate::parser::{Parser, Thing, Want};
use sqlparser::tokenizer::Token;

/// What may stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Where the text to be replaced begins, in bytes; it ends at the cursor.
    pub start: usize,
    /// What is typed of it so far, unquoted.
    pub partial: String,
    /// What fits. Words are already narrowed to those that begin as `partial` does.
    pub suggestions: Vec<Suggestion>,
}

/// One thing that may stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Suggestion {
    /// A keyword.
    Keyword(&'static str),
    /// The name of an option; ` = ` follows.
    Option(&'static str),
    /// A word that is the value of an option.
    Value(&'static str),
    /// The name of a connection.
    Connection,
    /// The name of a secret.
    Secret,
    /// The name of a fabric.
    Fabric,
    /// The name of a schema.
    Schema,
    /// The name of a table.
    Table,
    /// The name of a job.
    Job,
    /// The name of a system table, without `system.`.
    SystemTable,
    /// A path behind this connection, in double quotes; `partial` is what is typed of it.
    Path {
        /// The connection, or the schema, before the dot.
        connection: String,
    },
}

/// Decides what may follow at `cursor` (a byte offset) of a text.
pub fn complete(text: &str, cursor: usize) -> Completion {
    let mut cursor = cursor.min(text.len());
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let text = &text[..cursor];
    let lexed = lex(text);
    let mut tokens: &[Tok] = &lexed.tokens;
    let (start, partial) = match &lexed.fault {
        Some(fault) if fault.opening == Some('"') => {
            (fault.offset, text[fault.offset + 1..].replace("\"\"", "\""))
        }
        Some(_) => {
            return Completion { start: cursor, partial: String::new(), suggestions: vec![] };
        }
        None => match tokens.split_last() {
            Some((last, before)) if last.range.end == cursor && last.bare().is_some() => {
                tokens = before;
                (last.range.start, text[last.range.clone()].to_owned())
            }
            _ if lexed
                .comments
                .last()
                .is_some_and(|range| range.end == cursor && !text.ends_with('\n')) =>
            {
                return Completion { start: cursor, partial: String::new(), suggestions: vec![] };
            }
            _ => (cursor, String::new()),
        },
    };
    let quoted = lexed.fault.is_some();
    let begin = tokens.iter().rposition(|tok| tok.token == Token::SemiColon).map_or(0, |at| at + 1);
    let tokens = &tokens[begin..];
    let mut suggestions = suggestions(tokens);
    suggestions.retain(|suggestion| match suggestion {
        Suggestion::Keyword(word) | Suggestion::Option(word) | Suggestion::Value(word) => {
            !quoted
                && word.get(..partial.len()).is_some_and(|head| head.eq_ignore_ascii_case(&partial))
        }
        _ => true,
    });
    Completion { start, partial, suggestions }
}

fn path(connection: String) -> Suggestion {
    Suggestion::Path { connection }
}

fn suggestions(tokens: &[Tok]) -> Vec<Suggestion> {
    // `conn.` wants a path wherever it stands.
    if let [.., name, dot] = tokens
        && dot.token == Token::Period
    {
        return match &name.token {
            Token::Word(word) if word.quote_style.is_some() => vec![path(word.value.clone())],
            Token::Word(word) => vec![path(word.value.to_ascii_lowercase())],
            _ => Vec::new(),
        };
    }
    let mut parser = Parser::new(tokens, "", ParseMode::AllowMask);
    let _ = parser.statement(); // an error is where reading stopped, which is the question
    if parser.wanted_at != tokens.len() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for want in &parser.wanted {
        match want {
            Want::Keyword(word) => found.push(Suggestion::Keyword(word)),
            Want::Word(word) => found.push(Suggestion::Value(word)),
            Want::Option(name) => found.push(Suggestion::Option(name)),
            Want::Name(thing) => found.push(match thing {
                Thing::Connection => Suggestion::Connection,
                Thing::Secret => Suggestion::Secret,
                Thing::Fabric => Suggestion::Fabric,
                Thing::Schema => Suggestion::Schema,
                Thing::Table => Suggestion::Table,
                Thing::Job => Suggestion::Job,
                Thing::SystemTable => Suggestion::SystemTable,
            }),
            Want::Path(connection) => found.push(path(connection.clone())),
            Want::Engine => found.extend(in_query(tokens)),
            Want::New(_) | Want::Symbol(_) | Want::Literal(_) | Want::End => {}
        }
    }
    found
}

/// Inside a query: after FROM and the like, something with rows; else a keyword.
fn in_query(tokens: &[Tok]) -> Vec<Suggestion> {
    const BEFORE_ROWS: &[&str] = &["FROM", "JOIN", "INTO", "UPDATE", "TABLE"];
    let rows = tokens.last().is_some_and(|tok| BEFORE_ROWS.iter().any(|word| tok.is(word)));
    if rows {
        return vec![Suggestion::Connection, Suggestion::Schema, Suggestion::Table];
    }
    QUERY_KEYWORDS.iter().map(|word| Suggestion::Keyword(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let completion = complete(text, text.len());
        format!("{}+{:?}: {:?}", completion.start, completion.partial, completion.suggestions)
    }

    #[test]
    fn what_may_follow_is_what_the_parser_would_take() {
        let lines: Vec<String> = [
            "S",
            "CREATE S3 ",
            "DROP ",
            "TEST CONNECTION ",
            "TEST CONNECTION lan",
            "TEST CONNECTION landing ",
            "CREATE S3 CONNECTION c RE",
            "CREATE S3 CONNECTION c REGION = 'x' RE",
            "CREATE S3 CONNECTION c READ_ONLY = ",
            "CREATE S3 CONNECTION c CHECKSUMS = a",
            "CREATE S3 CONNECTION c PROXY = SECRET ",
            "CREATE S3 CONNECTION c PROXY = 'no",
            "ALTER S3 CONNECTION c ",
            "ALTER S3 CONNECTION c RESET ROLE_",
            "LIST ",
            "LIST landing.",
            "LIST landing.\"orders/dt",
            "LIST landing.\"orders/\" ",
            "SELECT 1; SHOW F",
            "SELECT * FROM ",
            "SELECT * FROM landing.\"or",
            "SELECT * FROM t WH",
            "CREATE FILE TABLE t ON c LOCATION = 'x' CONTENT_TYPE = (T",
            "DESCRIBE ",
            "nonsense ",
            "COPY ",
            "SYNC ",
            "SYNC FILES FROM ",
            "SYNC FILES FROM a LOCATION = 'x' ",
            "COPY FILES FROM a LOCATION = 'x' TO b LOCATION = 'y' IF_EXISTS = ",
            "COPY FILES FROM a LOCATION = 'x' TO b LOCATION = 'y' METADATA = (",
            "CREATE JOB j ",
            "CREATE JOB j EVERY ",
            "CREATE JOB j EVERY WEEK ON (",
            "CREATE JOB j EVERY MONTH ",
            "CREATE JOB j EVERY WEEK_END ",
            "CREATE JOB j ON ARRIVAL P",
            "CREATE JOB j OVERLAP = ",
            "CREATE JOB j ALERT_ON = (FAILED, ",
            "CREATE JOB j OVERLAP = SKIP A",
            "CREATE JOB j AS ",
            "ALTER JOB j SET ",
            "ALTER JOB j RESET ",
            "RUN JOB ",
            "CANCEL ",
            "ALTER CONTAINER 'x' ",
            "ALTER CONTAINER 'x' COLUMN 'a' SET ",
            "SEARCH 'x' ",
            "SHOW LINEAGE ",
            "SHOW LINEAGE OF 'x' ",
            "SHOW LINEAGE OF 'x' AS ",
        ]
        .iter()
        .map(|text| format!("{text}\n    {}", shown(text)))
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn any_cursor_is_fine() {
        let text = "CREATE S3 CONNECTION \"ä\" REGION = 'ü' -- ö\n; LIST x.\"ß";
        for cursor in 0..text.len() + 3 {
            let completion = complete(text, cursor);
            assert!(completion.start <= cursor);
        }
    }
}
