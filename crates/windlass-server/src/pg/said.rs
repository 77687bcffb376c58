//! Errors, notices and tags as PostgreSQL's protocol has them.

use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{CommandComplete, ErrorResponse, NoticeResponse};
use windlass_types::Error;

/// An error as a message: its code and causes are in DETAIL, its advice in HINT.
pub(crate) fn error(error: &Error, fatal: bool) -> PgWireBackendMessage {
    let message =
        if error.causes().is_empty() { error.message().to_owned() } else { error.chain() };
    let mut info = ErrorInfo::new(
        if fatal { "FATAL" } else { "ERROR" }.to_owned(),
        error.code().sqlstate().to_owned(),
        message,
    );
    info.severity_nonlocalized = Some(info.severity.clone());
    info.detail = Some(format!("Windlass error code {}", error.code()));
    info.hint = error.hint_text().map(str::to_owned);
    PgWireBackendMessage::ErrorResponse(ErrorResponse::from(info))
}

/// An error of the protocol itself, with a state of its own.
pub(crate) fn plain(
    severity: &str,
    state: &str,
    message: impl Into<String>,
    hint: Option<&str>,
) -> ErrorInfo {
    let mut info = ErrorInfo::new(severity.to_owned(), state.to_owned(), message.into());
    info.severity_nonlocalized = Some(info.severity.clone());
    info.hint = hint.map(str::to_owned);
    info
}

/// A sentence of a statement, or a warning.
pub(crate) fn notice(text: &str, warning: bool) -> PgWireBackendMessage {
    let (severity, state) = if warning { ("WARNING", "01000") } else { ("NOTICE", "00000") };
    PgWireBackendMessage::NoticeResponse(NoticeResponse::from(plain(severity, state, text, None)))
}

/// The end of a statement.
pub(crate) fn complete(tag: impl Into<String>) -> PgWireBackendMessage {
    PgWireBackendMessage::CommandComplete(CommandComplete::new(tag.into()))
}

/// What kinds of things statements make, change and drop.
const OBJECTS: &[&str] =
    &["CONNECTION", "SECRET", "TABLE", "VIEW", "SCHEMA", "FABRIC", "JOB", "RUN", "FILES"];

/// The tag of a statement without rows: its verb and what it is about.
pub(crate) fn tag(text: &str) -> String {
    let mut words = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .take(6)
        .map(str::to_ascii_uppercase);
    let verb = words.next().unwrap_or_default();
    match words.find(|word| OBJECTS.contains(&word.as_str())) {
        Some(object) => format!("{verb} {object}"),
        None => verb,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_verb_and_a_thing() {
        assert_eq!(
            tag("create or replace s3 connection landing REGION = 'x'"),
            "CREATE CONNECTION"
        );
        assert_eq!(tag("DROP TABLE IF EXISTS t"), "DROP TABLE");
        assert_eq!(tag("SET statement_timeout = 5"), "SET");
        assert_eq!(tag("USE FABRIC lab"), "USE FABRIC");
    }
}
