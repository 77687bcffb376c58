//! The lines and figures of a run.

use crate::earlier::BEFORE;
use crate::plan::Found;
use crate::request::{Action, Item, Status, Summary};
use crate::run::Run;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode};

/// How a step ended well.
#[derive(Debug)]
pub(crate) enum Done {
    /// Written under this key; over something else, or not.
    Written(String, bool),
    /// The same of a move, whose source could not be deleted then.
    Undeleted(String, bool, Error),
    /// Left alone, for this reason.
    Left(String),
}

pub(crate) struct Book {
    pub(crate) moves: bool,
    pub(crate) run: Arc<Run>,
    pub(crate) summary: Summary,
    /// Why nothing more can be done.
    pub(crate) fatal: Option<Error>,
    /// The last failure.
    pub(crate) last: Option<Error>,
    /// Something was copied to where the trigger file is to be.
    pub(crate) on_trigger: bool,
}

impl Book {
    fn line(
        &self,
        action: Action,
        found: &Found,
        to: &str,
        status: Status,
        reason: Option<String>,
        error: Option<&Error>,
    ) {
        self.tell(&Item {
            action,
            source: self.run.source.address(&found.key),
            destination: self.run.destination.address(to),
            size: found.size.unwrap_or_default(),
            status,
            reason,
            code: error.map(code),
            hint: error.and_then(hint),
        });
    }

    fn tell(&self, item: &Item) {
        if let Some(earlier) = &self.run.earlier {
            earlier.meet(item);
        }
        self.run.progress.item(item);
    }

    pub(crate) fn skipped(&mut self, found: &Found, to: &str, why: String) {
        if let Some(action) = self.done_before(found, to, &why) {
            self.written(found, to, action == Action::Update);
            self.line(action, found, to, Status::Done, Some(BEFORE.to_owned()), None);
            return;
        }
        self.summary.skipped += 1;
        self.line(Action::Skip, found, to, Status::Skipped, Some(why), None);
    }

    /// What an earlier attempt of this run did to an object that is left alone now. What a move leaves
    /// alone was put there after that.
    fn done_before(&self, found: &Found, to: &str, why: &str) -> Option<Action> {
        let earlier = self.run.earlier.as_ref().filter(|_| !self.moves)?;
        let (from, to) = (self.run.source.address(&found.key), self.run.destination.address(to));
        earlier.action(&from, &to).or((why == BEFORE).then_some(Action::Copy))
    }

    /// Enters what this attempt of a run has not met, and an earlier one did.
    pub(crate) fn tell_rest(&mut self) {
        let rest = self.run.earlier.as_ref().map(|earlier| earlier.take_rest());
        for item in rest.unwrap_or_default() {
            let summary = &mut self.summary;
            match item.action {
                Action::Copy => summary.copied += 1,
                Action::Move => {
                    summary.copied += 1;
                    summary.deleted += 1;
                }
                Action::Update => summary.updated += 1,
                Action::Delete => summary.deleted += 1,
                Action::Skip => {}
            }
            if item.action != Action::Delete {
                summary.bytes += item.size;
            }
            self.run.progress.item(&item);
        }
    }

    /// Enters how a step ended; of a dry run, how it would.
    pub(crate) fn enter(&mut self, found: &Found, to: &str, outcome: windlass_types::Result<Done>) {
        let moves = self.moves;
        let action = |over: bool| match (moves, over) {
            (true, _) => Action::Move,
            (false, true) => Action::Update,
            (false, false) => Action::Copy,
        };
        match outcome {
            Ok(Done::Written(to, over)) => {
                self.written(found, &to, over);
                self.summary.deleted += u64::from(self.moves);
                let status = if self.summary.dry_run { Status::Planned } else { Status::Done };
                self.line(action(over), found, &to, status, None, None);
            }
            Ok(Done::Undeleted(to, over, error)) => {
                self.written(found, &to, over);
                tracing::warn!(key = found.key, error = error.chain(), "not deleted");
                self.failed(action(over), found, &to, error);
            }
            Ok(Done::Left(why)) => self.skipped(found, to, why),
            Err(error) if error.code() == ErrorCode::Interrupted => {}
            Err(error) => {
                tracing::warn!(key = found.key, error = error.chain(), "not copied");
                self.failed(action(false), found, to, error);
            }
        }
    }

    fn written(&mut self, found: &Found, to: &str, over: bool) {
        if over {
            self.summary.updated += 1;
        } else {
            self.summary.copied += 1;
        }
        self.summary.bytes += found.size.unwrap_or_default();
        self.on_trigger |= self.run.own.trigger.as_deref() == Some(to);
    }

    fn failed(&mut self, action: Action, found: &Found, to: &str, error: Error) {
        self.summary.failed += 1;
        self.line(action, found, to, Status::Failed, Some(reason(&error)), Some(&error));
        if ends_all(&error) {
            self.fatal = Some(error);
        } else {
            self.last = Some(error);
        }
    }

    /// Enters a deletion at the destination.
    pub(crate) fn deleted(&mut self, found: &Found, outcome: Result<Done, &Error>) {
        let error = outcome.as_ref().err().copied();
        let (status, why) = match outcome {
            Ok(Done::Left(why)) => (Status::Skipped, Some(why)),
            Ok(_) if self.summary.dry_run => (Status::Planned, None),
            Ok(_) => (Status::Done, None),
            Err(error) => (Status::Failed, Some(reason(error))),
        };
        match status {
            Status::Skipped => self.summary.skipped += 1,
            Status::Failed => self.summary.failed += 1,
            Status::Planned | Status::Done => self.summary.deleted += 1,
        }
        self.tell(&Item {
            action: Action::Delete,
            source: String::new(),
            destination: self.run.destination.address(&found.key),
            size: found.size.unwrap_or_default(),
            status,
            reason: why,
            code: error.map(code),
            hint: error.and_then(hint),
        });
    }
}

fn code(error: &Error) -> String {
    error.code().as_str().to_owned()
}

fn hint(error: &Error) -> Option<String> {
    error.hint_text().map(str::to_owned)
}

/// What the line of a failed item says.
fn reason(error: &Error) -> String {
    if error.code() == ErrorCode::ObjectChanged {
        error.message().to_owned()
    } else {
        error.chain()
    }
}

/// Whether every other object would fail alike.
pub(crate) fn ends_all(error: &Error) -> bool {
    matches!(
        error.code(),
        ErrorCode::BucketNotFound
            | ErrorCode::ConnectionCredentials
            | ErrorCode::ConnectionReadOnly
            | ErrorCode::Internal
    )
}
