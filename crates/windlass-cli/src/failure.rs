//! How a command ends: exit codes, and errors as people and programs read them.

use crate::console::Console;
use crate::render::text::safe;
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode};

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// All done.
    #[default]
    Done,
    /// Done, but some items failed.
    Partial,
    /// The answer itself says that something failed: a test step, a check.
    Failed,
}

impl Outcome {
    /// Exit code of the process.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partial => 3,
            Self::Failed => 1,
        }
    }

    /// The worse of two.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Partial, _) | (_, Self::Partial) => Self::Partial,
            _ => Self::Done,
        }
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// An error to report.
    Error(Error),
    /// Whoever read standard output has gone: nothing to report.
    ClosedPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<std::io::Error> for Failure {
    /// For writes to standard output.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Error::new(ErrorCode::LocalFailed, "cannot write to standard output").source(error).into()
    }
}

/// Reports what there is to report; answers the exit code.
pub fn finish(console: &Console, structured: bool, result: Result<Outcome, Failure>) -> u8 {
    match result {
        Ok(outcome) => outcome.exit_code(),
        Err(Failure::ClosedPipe) => 0,
        Err(Failure::Error(error)) => {
            console.complain(&if structured {
                structured_text(&error)
            } else {
                plain_text(&error)
            });
            error.class().exit_code()
        }
    }
}

/// `error[CODE]: what happened`, then causes, then the hint; safe for a terminal.
pub fn plain_text(error: &Error) -> String {
    let mut text = format!("error[{}]: {}", error.code(), safe(&one_line(error.message())));
    for cause in error.causes() {
        text.push_str("\n  because: ");
        text.push_str(&safe(&cause));
    }
    if let Some(hint) = error.hint_text() {
        text.push_str("\nhint: ");
        text.push_str(&safe(&one_line(hint)));
    }
    text
}

/// `{"error": {code, message, causes, hint}}` on one line.
pub fn structured_text(error: &Error) -> String {
    serde_json::json!({ "error": ErrorBody::from(error) }).to_string()
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_types::ErrorClass;

    fn error() -> Error {
        Error::new(ErrorCode::ObjectNotFound, "no object `a\u{1b}[31m`")
            .source(std::io::Error::other("404 NoSuchKey"))
            .hint("list the bucket")
    }

    #[test]
    fn an_error_is_a_line_then_causes_then_a_hint_and_never_an_escape_sequence() {
        insta::assert_snapshot!(plain_text(&error()), @r"
        error[object.not_found]: no object `a\u{1b}[31m`
          because: 404 NoSuchKey
        hint: list the bucket
        ");
    }

    #[test]
    fn an_error_is_one_json_object_for_programs() {
        let value: serde_json::Value = serde_json::from_str(&structured_text(&error())).unwrap();
        assert_eq!(value["error"]["code"], "object.not_found");
        assert_eq!(value["error"]["causes"][0], "404 NoSuchKey");
        assert_eq!(value["error"]["hint"], "list the bucket");
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        let (console, _, err) = Console::captured("");
        let code = |result| finish(&console, false, result);
        assert_eq!(code(Ok(Outcome::Done)), 0);
        assert_eq!(code(Ok(Outcome::Failed)), 1);
        assert_eq!(code(Ok(Outcome::Partial)), 3);
        assert_eq!(code(Err(Failure::ClosedPipe)), 0);
        assert!(err.text().is_empty());
        let of = |kind| code(Err(Error::new(kind, "x").into()));
        assert_eq!(of(ErrorCode::ConnectionDenied), 1);
        assert_eq!(of(ErrorCode::ConnectionTimeout), 2);
        assert_eq!(of(ErrorCode::Internal), 2);
        assert_eq!(of(ErrorCode::Interrupted), 130);
        assert_eq!(ErrorClass::Interrupted.exit_code(), 130);
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(matches!(failure, Failure::ClosedPipe));
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert!(matches!(failure, Failure::Error(_)));
    }
}
