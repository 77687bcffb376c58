//! What the failed items of a run have in common: of a run that did nothing, their error is its own.

use crate::request::{Item, Status, Summary};
use windlass_types::{Error, ErrorCode};

/// Looks at every item of a run.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    first: Option<First>,
    /// Not all are of one class.
    mixed: bool,
}

#[derive(Debug, Clone)]
struct First {
    code: ErrorCode,
    reason: String,
    hint: Option<String>,
}

impl Failures {
    /// Looks at an item.
    pub fn see(&mut self, item: &Item) {
        if item.status != Status::Failed {
            return;
        }
        let code = item.code.as_deref().and_then(|code| code.parse().ok());
        let code = code.unwrap_or(ErrorCode::TransferFailed);
        if let Some(first) = &self.first {
            self.mixed |= first.code.class() != code.class();
        } else {
            let reason = item.reason.clone().unwrap_or_else(|| "failed".to_owned());
            self.first = Some(First { code, reason, hint: item.hint.clone() });
        }
    }

    /// The error of a run in which every item failed: then nothing was done, and what went wrong is
    /// the answer. If all failures are of one class, its code is that of the first, so that who asked
    /// learns whether trying again can help; else it is `transfer.failed`.
    pub fn of_all(&self, summary: &Summary) -> Option<Error> {
        let done = summary.copied + summary.updated + summary.deleted + summary.skipped;
        if summary.failed == 0 || done > 0 {
            return None;
        }
        let items = if summary.failed == 1 { "item" } else { "items" };
        let message = format!("nothing was done: {} {items} failed", summary.failed);
        Some(match &self.first {
            Some(first) => {
                let code = if self.mixed { ErrorCode::TransferFailed } else { first.code };
                let hint = first.hint.clone().filter(|_| !self.mixed);
                let hint = hint.unwrap_or_else(|| {
                    "each item says why it failed; what failed at the source is still there"
                        .to_owned()
                });
                Error::new(code, message).source(first.reason.clone()).hint(hint)
            }
            None => Error::new(ErrorCode::TransferFailed, message),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Action;
    use windlass_types::RunId;

    fn failed(codes: &[&str]) -> (Failures, Summary) {
        let mut failures = Failures::default();
        for code in codes {
            failures.see(&Item {
                action: Action::Copy,
                source: "a:b/x".to_owned(),
                destination: "a:c/x".to_owned(),
                size: 1,
                status: Status::Failed,
                reason: Some(format!("because of {code}")),
                code: Some((*code).to_owned()),
                hint: None,
            });
        }
        let summary = Summary {
            run: RunId::new(),
            copied: 0,
            updated: 0,
            deleted: 0,
            skipped: 0,
            failed: codes.len() as u64,
            bytes: 0,
            seconds: 0.0,
            dry_run: false,
        };
        (failures, summary)
    }

    #[test]
    fn a_run_in_which_all_failed_has_the_error_of_its_items() {
        let code = |codes: &[&str]| {
            let (failures, summary) = failed(codes);
            failures.of_all(&summary).map(|error| error.code().as_str())
        };
        assert_eq!(code(&[]), None);
        assert_eq!(code(&["connection.busy"]), Some("connection.busy"));
        assert_eq!(code(&["connection.busy", "object.corrupt"]), Some("connection.busy"));
        assert_eq!(code(&["connection.denied", "connection.busy"]), Some("transfer.failed"));
        let (failures, summary) = failed(&["connection.denied", "path.outside"]);
        let error = failures.of_all(&summary).unwrap();
        insta::assert_snapshot!(format!("{error:?}"), @r"
        error[connection.denied]: nothing was done: 2 items failed: because of connection.denied
        hint: each item says why it failed; what failed at the source is still there
        ");
        let some = Summary { copied: 1, ..summary };
        assert!(failures.of_all(&some).is_none());
    }
}
