//! DataFusion's errors as ours: one code, one line, no boilerplate.
//!
//! Errors of the storage travel through DataFusion boxed; here they come out as they went in.

use crate::files::SourceFile;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use sqlparser::parser::ParserError;
use std::error::Error as StdError;
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode};

/// What DataFusion said, in our words.
#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(crate) fn from_engine(error: DataFusionError) -> Error {
    if let Some(ours) = ours(&error) {
        return ours;
    }
    if let Some(unknown) = missing_column(&error) {
        return column(unknown);
    }
    let error = root(&error);
    let text = clean(&error.message());
    match error {
        DataFusionError::SQL(parser, _) => {
            let text = match parser.as_ref() {
                ParserError::ParserError(text) | ParserError::TokenizerError(text) => clean(text),
                ParserError::RecursionLimitExceeded => {
                    "the statement is nested too deeply".to_owned()
                }
            };
            Error::new(ErrorCode::SqlSyntax, text)
        }
        DataFusionError::Plan(_) | DataFusionError::Configuration(_) => {
            match text.split_once(" Did you mean ") {
                Some((text, near)) => Error::new(ErrorCode::SqlPlan, text.trim_end_matches('.'))
                    .hint(format!("did you mean {near}")),
                None => Error::new(ErrorCode::SqlPlan, text),
            }
        }
        DataFusionError::NotImplemented(_) => {
            Error::new(ErrorCode::SqlPlan, format!("not supported: {text}"))
        }
        DataFusionError::SchemaError(schema, _) => {
            Error::new(ErrorCode::SqlPlan, clean(&schema.to_string()))
        }
        DataFusionError::ResourcesExhausted(_) => {
            Error::new(ErrorCode::MemoryExceeded, "the query needs more memory than it may have")
                .source(std::io::Error::other(text))
                .hint("filter earlier, choose fewer columns or group by fewer values; or give the process more with WINDLASS_MEMORY_LIMIT")
        }
        DataFusionError::ParquetError(_) => {
            Error::new(ErrorCode::FormatInvalid, "a file cannot be read as Parquet")
                .source(std::io::Error::other(text))
        }
        DataFusionError::Internal(_) => Error::new(ErrorCode::Internal, text),
        _ => Error::new(ErrorCode::SqlExecution, text),
    }
}

/// What went wrong while a file was read: the storage's error as it was, or bytes that do not decompress.
pub(crate) fn from_io(error: std::io::Error, file: &SourceFile) -> Error {
    ours(&error).unwrap_or_else(|| {
        Error::new(ErrorCode::FormatInvalid, format!("`{}` cannot be decompressed", file.address()))
            .source(error)
    })
}

/// Our own error somewhere inside theirs.
fn ours(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(found) = error.downcast_ref::<Error>() {
        return Some(Error::from(ErrorBody::from(found)));
    }
    if let Some(DataFusionError::Collection(errors)) = error.downcast_ref::<DataFusionError>() {
        return errors.iter().find_map(|error| ours(error));
    }
    if let Some(DataFusionError::Shared(shared)) = error.downcast_ref::<DataFusionError>() {
        return ours(shared.as_ref());
    }
    if let Some(ParquetError::External(inner)) = error.downcast_ref::<ParquetError>() {
        return ours(inner.as_ref());
    }
    // io::Error's source() is that of what it wraps, so that one itself would be skipped.
    if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        return ours(inner);
    }
    error.source().and_then(ours)
}

fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) if !errors.is_empty() => root(&errors[0]),
        DataFusionError::External(inner) => {
            inner.downcast_ref::<DataFusionError>().map_or(error, root)
        }
        _ => error,
    }
}

/// The column that was not found, if that is what happened.
pub(crate) fn missing_column(error: &DataFusionError) -> Option<&SchemaError> {
    match root(error) {
        DataFusionError::SchemaError(schema, _)
            if matches!(schema.as_ref(), SchemaError::FieldNotFound { .. }) =>
        {
            Some(schema)
        }
        _ => None,
    }
}

fn column(error: &SchemaError) -> Error {
    let SchemaError::FieldNotFound { field, valid_fields } = error else {
        return Error::new(ErrorCode::SqlPlan, clean(&error.to_string()));
    };
    let mut names: Vec<&str> = Vec::new();
    for valid in valid_fields {
        if !names.contains(&valid.name.as_str()) {
            names.push(&valid.name);
        }
    }
    let name = field.name.as_str();
    let same: Vec<&str> =
        names.iter().copied().filter(|known| known.to_lowercase() == name.to_lowercase()).collect();
    let message = match &field.relation {
        Some(relation) => format!("no column `{name}` in `{}`", relation.table()),
        None => format!("no column `{name}`"),
    };
    let quoted: Vec<String> = same.iter().map(|name| format!("\"{name}\"")).collect();
    if same.len() > 1 {
        return Error::new(
            ErrorCode::SqlPlan,
            format!("{message}: {} differ only by case", quoted.join(" and ")),
        )
        .hint("put the one you mean in double quotes");
    }
    if let Some(quoted) = quoted.first() {
        return Error::new(ErrorCode::SqlPlan, message).hint(format!("did you mean {quoted}?"));
    }
    if names.is_empty() {
        return Error::new(ErrorCode::SqlPlan, message)
            .hint("text is in single quotes; double quotes are for names");
    }
    let near = windlass_types::options::nearest(name, &names)
        .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let most = 40;
    let more = if names.len() > most { ", ..." } else { "" };
    names.truncate(most);
    Error::new(ErrorCode::SqlPlan, message)
        .hint(format!("{near}columns are {}{more}", names.join(", ")))
}

/// Words that begin the parts of a query.
const PARTS: &[&str] = &[
    "SELECT", "DISTINCT", "FROM", "JOIN", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET",
    "UNION", "WITH", "VALUES", "CASE", "WHEN", "THEN", "ELSE", "BETWEEN",
];

/// A syntax error with its place, said as ours are, and with what to do.
pub(crate) fn syntax(sql: &str, error: Error) -> Error {
    if error.code() != ErrorCode::SqlSyntax || error.hint_text().is_some() {
        return error;
    }
    let said =
        error.message().replace(" at Line: ", " at line ").replace(", Column: ", ", column ");
    let mut said = match said.strip_prefix("expected: ") {
        Some(rest) => format!("expected {}", rest.replacen(", found: ", ", found ", 1)),
        None => said,
    };
    if let Some(start) = said.strip_suffix("found EOF") {
        said = format!("{start}found the end");
    }
    if !said.contains(" at line ") {
        let text = sql.trim_end();
        let line = text.lines().count().max(1);
        let column = text.lines().last().map_or(0, |line| line.chars().count()) + 1;
        said = format!("{said} at line {line}, column {column}");
    }
    let found = said.split(", found ").nth(1).and_then(|rest| rest.split(' ').next());
    // The word that does not fit, or one before it, may be a slip of a known one.
    let words: Vec<&str> = sql.split_whitespace().collect();
    let at = found.and_then(|found| words.iter().position(|word| *word == found));
    let near = at
        .into_iter()
        .flat_map(|at| [Some(at), at.checked_sub(1)])
        .flatten()
        .map(|at| words[at])
        .filter(|word| word.len() > 3 && !PARTS.iter().any(|part| part.eq_ignore_ascii_case(word)))
        .find_map(|word| windlass_types::options::nearest(word, PARTS));
    let hint = match near {
        Some(near) => format!("did you mean {near}?"),
        None => "a query reads SELECT columns FROM connection.\"path\" [WHERE …] [GROUP BY …] [ORDER BY …] [LIMIT n]".to_owned(),
    };
    Error::new(ErrorCode::SqlSyntax, said).hint(hint)
}

/// One line without DataFusion's prefixes, back traces and apologies.
fn clean(text: &str) -> String {
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let text = text.split("This issue was likely caused by").next().unwrap_or(text);
    let text = text.split("This was likely caused by a bug").next().unwrap_or(text);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for prefix in [
        "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, ",
        "SQL error: ",
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "Schema error: ",
        "Parquet error: ",
        "External error: ",
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            text = rest.to_owned();
        }
    }
    let text = text.trim_end_matches(['.', ' ']);
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // A word of its own capitals (`SELECT`) stays.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_says_where_and_what_to_do() {
        let said = |sql: &str, text: &str| {
            let error = syntax(sql, Error::new(ErrorCode::SqlSyntax, text));
            format!("{}; {}", error.message(), error.hint_text().unwrap())
        };
        insta::assert_snapshot!(
            [
                said("SELECT", "expected: an expression, found: EOF"),
                said(
                    "SELECT *\nFORM x",
                    "expected: end of statement, found: x at Line: 2, Column: 6"
                ),
                said("SELECT 1 +", "expected: an expression, found: EOF"),
            ]
            .join("\n"),
            @r#"
        expected an expression, found the end at line 1, column 7; a query reads SELECT columns FROM connection."path" [WHERE …] [GROUP BY …] [ORDER BY …] [LIMIT n]
        expected end of statement, found x at line 2, column 6; did you mean FROM?
        expected an expression, found the end at line 1, column 11; a query reads SELECT columns FROM connection."path" [WHERE …] [GROUP BY …] [ORDER BY …] [LIMIT n]
        "#
        );
    }
}
