//! `sql`: statements from an argument, a file, a pipe, or typed at the prompt.

use crate::commands::{Ending, counted, text_of};
use crate::failure::Outcome;
use crate::prompt;
use crate::render::text::safe;
use crate::render::{Format, Printer};
use crate::session::Session;
use clap::Args;
use futures::StreamExt as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windlass_core::engine::{Answer, Ctx, Grade};
use windlass_types::{Error, ErrorCode, Result};

/// Run statements, or open a prompt.
#[derive(Debug, Args)]
#[command(
    after_help = "Statements end with `;`. Secrets are better given by `-c -`, `-f` or CREATE SECRET ... FROM ENV
than on the command line, where other users of the machine can see them.

Examples:
  1. A prompt:         windlass sql
  2. One statement:    windlass sql -c 'SHOW CONNECTIONS'
  3. A file:           windlass sql -f setup.sql
  4. A pipe:           windlass sql -c - < setup.sql
  5. For programs:     windlass sql -o json -c 'SELECT * FROM landing.\"bucket/orders/*.csv\"'"
)]
pub struct Sql {
    /// These statements; `-` reads them from standard input
    #[arg(short, long, value_name = "SQL", conflicts_with = "file", allow_hyphen_values = true)]
    pub command: Option<String>,
    /// The statements of this file; `-` reads standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl Sql {
    /// Whether it opens a prompt.
    pub(crate) const fn is_prompt(&self) -> bool {
        self.command.is_none() && self.file.is_none()
    }
}

/// `sql`.
pub async fn run(session: &Session, args: Sql) -> Ending {
    let text = match (args.command, args.file) {
        (Some(text), _) if text == "-" => standard_input(session).await?,
        (Some(text), _) => text,
        (None, Some(file)) if file.as_os_str() == "-" => standard_input(session).await?,
        (None, Some(file)) => text_of(&file).await?,
        (None, None) if session.console.in_terminal && std::io::stdout().is_terminal() => {
            return prompt::run(session).await;
        }
        (None, None) => standard_input(session).await?,
    };
    execute(session, &session.printer, &mut session.ctx(), &text, false).await
}

async fn standard_input(session: &Session) -> Result<String> {
    let console = session.console.clone();
    let bytes = tokio::task::spawn_blocking(move || console.read(u64::MAX))
        .await
        .map_err(std::io::Error::other)
        .and_then(|read| read)
        .map_err(|error| {
            Error::new(ErrorCode::LocalFailed, "cannot read standard input").source(error)
        })?;
    String::from_utf8(bytes).map_err(|error| {
        Error::new(ErrorCode::FormatInvalid, "standard input is not UTF-8")
            .source(error.utf8_error())
    })
}

/// Runs statements one after another and prints each answer; `timed` says how long each took.
pub(crate) async fn execute(
    session: &Session,
    printer: &Printer,
    ctx: &mut Ctx,
    text: &str,
    timed: bool,
) -> Ending {
    let engine = session.engine().await?;
    let mut outcome = Outcome::Done;
    let mut answers = engine.sql(ctx, text);
    let mut began = Instant::now();
    while let Some(answer) = answers.next().await {
        match answer? {
            Answer::Rows { schema, batches, verdict } => {
                let rows = printer.rows(&session.console, schema, batches).await?;
                for warning in verdict.warnings() {
                    session.console.warn(&warning);
                }
                if timed {
                    session.talk(&format!(
                        "({} in {})",
                        counted(rows, "row"),
                        took(began.elapsed())
                    ));
                }
                outcome = outcome.and(match verdict.grade() {
                    Grade::Good => Outcome::Done,
                    Grade::Bad => Outcome::Failed,
                    Grade::Partial => Outcome::Partial,
                });
            }
            Answer::Done { message, warnings } => {
                for warning in warnings {
                    session.console.warn(&warning);
                }
                if printer.format() == Format::Table {
                    session.console.line(&safe(&message))?;
                    session.console.flush()?;
                } else {
                    session.talk(&message);
                }
                if timed {
                    session.talk(&format!("(in {})", took(began.elapsed())));
                }
            }
        }
        began = Instant::now();
    }
    Ok(outcome)
}

/// `12 ms`, `3.4 s`.
fn took(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
