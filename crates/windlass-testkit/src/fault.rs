//! Faults on demand: what goes wrong, for which operation, how often.
//!
//! Only deciding whether a request is hit; the service does the damage.

use crate::identity::glob;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// `503 SlowDown`
    SlowDown,
    /// `500 InternalError`
    Internal,
    /// Any other error answer.
    Error {
        /// HTTP status.
        status: u16,
        /// S3 error code.
        code: String,
        /// Text for people.
        message: String,
    },
    /// It is carried out later, and answered then.
    Delay(Duration),
    /// It is carried out when the test says, and answered then.
    Hold,
    /// It is carried out at once, and answered later.
    Late(Duration),
    /// The connection ends in the middle of the answer's body, or before any answer if it has none.
    Close,
    /// The answer is complete as HTTP sees it, but its body is only the first half.
    Truncate,
    /// One byte in the middle of the answer's body is another one.
    CorruptByte,
}

/// A fault that waits for its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The operation's name (`GetObject`, `ListObjectsV2`, `AssumeRole`), or `*` for all.
    pub operation: String,
    /// Only for keys that match this glob.
    pub key: Option<String>,
    /// How many matching requests pass unharmed before.
    pub after: u64,
    /// How many requests are hit; then the fault is gone.
    pub times: u64,
    /// What happens to them.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault that hits the next request of `operation`, once.
    pub fn new(operation: impl Into<String>, kind: FaultKind) -> Self {
        Self { operation: operation.into(), key: None, after: 0, times: 1, kind }
    }

    /// Hits `times` requests.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Hits every request from now on.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Lets `after` requests pass first.
    #[must_use]
    pub fn after(mut self, after: u64) -> Self {
        self.after = after;
        self
    }

    /// Hits only keys that match `pattern` (`*` any text, `?` one character).
    #[must_use]
    pub fn on_key(mut self, pattern: impl Into<String>) -> Self {
        self.key = Some(pattern.into());
        self
    }

    fn concerns(&self, operation: &str, key: Option<&str>) -> bool {
        (self.operation == "*" || self.operation == operation)
            && self.key.as_deref().is_none_or(|it| key.is_some_and(|key| glob(it, key)))
    }
}

/// Takes the faults that hit this request, counting them down.
pub(crate) fn take(faults: &mut Vec<Fault>, operation: &str, key: Option<&str>) -> Vec<FaultKind> {
    let mut hit = Vec::new();
    for fault in faults.iter_mut().filter(|it| it.concerns(operation, key)) {
        if fault.after > 0 {
            fault.after -= 1;
        } else if fault.times > 0 {
            fault.times = if fault.times == u64::MAX { u64::MAX } else { fault.times - 1 };
            hit.push(fault.kind.clone());
        }
    }
    faults.retain(|it| it.times > 0);
    hit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_requests_it_was_made_for_and_no_more() {
        let mut faults =
            vec![Fault::new("GetObject", FaultKind::SlowDown).after(1).times(2).on_key("a/*")];
        let mut hits = Vec::new();
        for key in ["a/1", "b/1", "a/2", "a/3", "a/4"] {
            hits.push(take(&mut faults, "GetObject", Some(key)).len());
        }
        assert_eq!(hits, [0, 0, 1, 1, 0]);
        assert!(faults.is_empty());
        let mut faults = vec![Fault::new("*", FaultKind::Internal).always()];
        assert_eq!(take(&mut faults, "PutObject", None).len(), 1);
        assert_eq!(faults[0].times, u64::MAX);
    }
}
