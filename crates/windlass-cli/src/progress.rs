//! How a copy is watched: a bar on a terminal, a line every few seconds elsewhere, an object per
//! item for programs.

use crate::console::Console;
use crate::failure::Failure;
use crate::render::Format;
use crate::render::text::safe;
use crate::session::Session;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{Item, Progress, Summary};
use windlass_core::transfer::{Action, Failures, Status, UNCHANGED};
use windlass_types::{ByteSize, Error};

/// Time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// Watches one copy.
pub(crate) struct Watch {
    console: Arc<Console>,
    format: Format,
    dry_run: bool,
    /// Stops the copy when nobody reads its items any more.
    cancel: CancellationToken,
    bar: Option<ProgressBar>,
    lines: bool,
    talks: bool,
    state: Mutex<State>,
}

struct State {
    items: u64,
    bytes: u64,
    planned_items: u64,
    planned_bytes: u64,
    began: Instant,
    spoke: Instant,
    failure: Option<Failure>,
    /// What failed so far.
    failures: Failures,
    /// The hints of failed items that were said; each is said once.
    hints: HashSet<String>,
}

impl Watch {
    pub(crate) fn begin(session: &Session, dry_run: bool, now: Instant) -> Arc<Self> {
        let console = session.console.clone();
        let shows = session.shows_progress() && !dry_run;
        let bar = (shows && console.err_terminal).then(bar);
        if let Some(bar) = &bar {
            console.begin_progress(bar.clone());
        }
        Arc::new(Self {
            format: session.global.output,
            dry_run,
            cancel: session.cancel.clone(),
            lines: shows && bar.is_none(),
            talks: !session.global.quiet,
            bar,
            console,
            state: Mutex::new(State {
                items: 0,
                bytes: 0,
                planned_items: 0,
                planned_bytes: 0,
                began: now,
                spoke: now,
                failure: None,
                failures: Failures::default(),
                hints: HashSet::new(),
            }),
        })
    }

    /// Ends it; the failure of printing an item, if there was one.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        self.console.end_progress();
        self.state().failure.take().map_or(Ok(()), Err)
    }

    /// The error of a run in which every item failed.
    pub(crate) fn all_failed(&self, summary: &Summary) -> Option<Error> {
        self.state().failures.of_all(summary)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, state: &mut State) {
        if !self.lines || state.spoke.elapsed() < PAUSE {
            return;
        }
        state.spoke = Instant::now();
        let text = if self.format == Format::Jsonl {
            progress_json(state, state.began.elapsed())
        } else {
            progress_line(state, state.began.elapsed())
        };
        self.console.talk(&text);
    }

    /// Whether a hint was not said before. No more are remembered than a person would read.
    fn is_new(&self, hint: &str) -> bool {
        let mut state = self.state();
        state.hints.len() < 20 && state.hints.insert(hint.to_owned())
    }

    fn print(&self, text: &str) {
        if let Err(failure) = self.console.line(text) {
            self.state().failure.get_or_insert(failure);
            self.cancel.cancel();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    let style =
        "{bar:24} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta} {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar
}

/// Bytes a second, and the seconds that the rest takes at that rate.
fn pace(state: &State, elapsed: Duration) -> (u64, Option<u64>) {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for people"
    )]
    let rate = (state.bytes as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let left = state.planned_bytes.saturating_sub(state.bytes);
    (rate, (rate > 0 && left > 0).then(|| left / rate))
}

/// An object on one line: what is planned is null until it is known.
fn progress_json(state: &State, elapsed: Duration) -> String {
    let (rate, left) = pace(state, elapsed);
    let planned = |count: u64| (state.planned_items > 0).then_some(count);
    serde_json::json!({ "progress": {
        "items": state.items,
        "planned_items": planned(state.planned_items),
        "bytes": state.bytes,
        "planned_bytes": planned(state.planned_bytes),
        "bytes_per_second": rate,
        "seconds_left": left,
    } })
    .to_string()
}

fn progress_line(state: &State, elapsed: Duration) -> String {
    let (rate, left) = pace(state, elapsed);
    let mut text = format!(
        "{} of {} items, {} of {}, {}/s",
        state.items,
        state.planned_items,
        ByteSize(state.bytes),
        ByteSize(state.planned_bytes),
        ByteSize(rate)
    );
    if let Some(left) = left {
        text = format!("{text}, {left} s left");
    }
    text
}

impl Progress for Watch {
    fn planned(&self, items: u64, bytes: u64) {
        let mut state = self.state();
        (state.planned_items, state.planned_bytes) = (items, bytes);
        drop(state);
        if let Some(bar) = &self.bar {
            bar.set_length(bytes);
        }
    }

    fn bytes(&self, n: u64) {
        let mut state = self.state();
        state.bytes += n;
        self.line(&mut state);
        drop(state);
        if let Some(bar) = &self.bar {
            bar.inc(n);
        }
    }

    fn note(&self, text: &str) {
        if self.talks {
            self.console.talk(text);
        }
    }

    fn item(&self, item: &Item) {
        let unchanged = item.status == Status::Skipped && item.reason.as_deref() == Some(UNCHANGED);
        let mut state = self.state();
        state.items += u64::from(item.status != Status::Skipped);
        let (done, planned) = (state.items, state.planned_items);
        self.line(&mut state);
        drop(state);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{done}/{planned}"));
        }
        if item.status == Status::Failed {
            let reason = item.reason.as_deref().unwrap_or("failed");
            self.state().failures.see(item);
            let name = if item.source.is_empty() { &item.destination } else { &item.source };
            self.console.warn(&format!("`{name}`: {reason}"));
            if let Some(hint) = &item.hint
                && self.is_new(hint)
            {
                self.console.talk(&format!("hint: {hint}"));
            }
        }
        match self.format {
            Format::Jsonl => match serde_json::to_string(item) {
                Ok(text) => self.print(&text),
                Err(error) => self.console.warn(&format!("an item cannot be shown: {error}")),
            },
            Format::Table if self.dry_run && !unchanged => self.print(&plan_line(item)),
            _ => {}
        }
    }
}

/// `copy a -> b (1 B)`, and why not, where it is not done.
pub(crate) fn plan_line(item: &Item) -> String {
    let verb = match item.action {
        Action::Copy => "copy",
        Action::Move => "move",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Skip => "skip",
    };
    let mut text = if item.source.is_empty() {
        format!("{verb:<6} {} ({})", safe(&item.destination), ByteSize(item.size))
    } else {
        format!(
            "{verb:<6} {} -> {} ({})",
            safe(&item.source),
            safe(&item.destination),
            ByteSize(item.size)
        )
    };
    if let Some(reason) = &item.reason {
        text = format!("{text}: {}", safe(reason));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let now = Instant::now();
        let state = State {
            items: 3,
            bytes: 10 << 20,
            planned_items: 9,
            planned_bytes: 40 << 20,
            began: now,
            spoke: now,
            failure: None,
            failures: Failures::default(),
            hints: HashSet::new(),
        };
        assert_eq!(
            progress_line(&state, Duration::from_secs(5)),
            "3 of 9 items, 10.0 MiB of 40.0 MiB, 2.0 MiB/s, 15 s left"
        );
    }

    #[test]
    fn the_plan_is_readable_and_harmless() {
        let item = Item {
            action: Action::Copy,
            source: "a:b/x\u{1b}".to_owned(),
            destination: "/tmp/x".to_owned(),
            size: 1,
            status: Status::Planned,
            reason: None,
            code: None,
            hint: None,
        };
        assert_eq!(plan_line(&item), "copy   a:b/x\\u{1b} -> /tmp/x (1 B)");
    }
}
