//! The expression of `--where` as a filter of transfers: the query engine evaluates it, transfers
//! know only that something judges rows.

use chrono::{DateTime, Utc};
use std::error::Error as StdError;
use std::sync::Arc;
use windlass_query::EntryExpr;
use windlass_transfer::EntryFilter;
use windlass_types::{Entry, Error, ErrorCode, Result};

#[derive(Debug)]
struct Where(EntryExpr);

impl EntryFilter for Where {
    fn takes(&self, base: &str, entries: &[Entry]) -> Result<Vec<bool>> {
        self.0.matches(base, entries)
    }
}

/// Compiles an expression over `key`, `path`, `size`, `last_modified`, `etag` and `storage_class`, for a run
/// that begins `now`.
pub(crate) fn compiled(text: &str, now: DateTime<Utc>) -> Result<Arc<dyn EntryFilter>> {
    match EntryExpr::compile(text, now) {
        Ok(expression) => Ok(Arc::new(Where(expression))),
        Err(error) => Err(beyond_one(text, &error).unwrap_or(error)),
    }
}

/// The error of a condition that asks about more than one object, if it is that. The engine only
/// prints its tree of what it cannot do, so the names in it decide.
fn beyond_one(text: &str, error: &Error) -> Option<Error> {
    let names = ["AggregateFunction(", "WindowFunction(", "Subquery", "Exists("];
    let mut cause = StdError::source(error);
    while let Some(inner) = cause {
        let said = inner.to_string();
        if names.iter().any(|name| said.contains(name)) {
            let what = format!("the condition `{text}` asks about more than one object");
            return Some(Error::new(ErrorCode::UsageInvalid, what).hint(
                "a condition looks at one object at a time, so it can have no aggregates, windows or subqueries",
            ));
        }
        cause = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_about_more_than_one_object_is_refused_in_short() {
        let refused = |text: &str| compiled(text, DateTime::UNIX_EPOCH).map(drop).unwrap_err();
        for text in ["sum(size) over () > 0", "count(*) > 1", "max(size) = size"] {
            let error = refused(text);
            assert_eq!(error.code(), ErrorCode::UsageInvalid, "{text}: {error:?}");
            assert!(error.chain().len() < 150, "{}", error.chain());
            assert!(error.hint_text().is_some_and(|hint| hint.contains("one object at a time")));
        }
        assert_eq!(refused("colour = 1").code(), ErrorCode::SqlPlan);
        compiled("size > 1", DateTime::UNIX_EPOCH).map(drop).unwrap();
    }
}
