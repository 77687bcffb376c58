//! The prompt of `windlass sql`: typed statements, history, completion, Ctrl-C for one statement.

mod complete;
mod help;
mod history;
mod input;

use crate::commands::{Ending, sql};
use crate::failure::{Failure, Outcome, plain_text};
use crate::render::{Format, Printer};
use crate::session::Session;
use clap::ValueEnum as _;
use complete::Words;
use history::Masked;
use input::Whole;
use reedline::{
    ColumnarMenu, EditCommand, Emacs, KeyCode, KeyModifiers, MenuBuilder as _, Prompt,
    PromptEditMode, PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal,
    default_emacs_keybindings,
};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_core::engine::Ctx;
use windlass_types::{Error, ErrorCode, Name};

const MENU: &str = "completion";

/// What stays between statements.
struct State {
    ctx: Ctx,
    printer: Printer,
    timing: bool,
}

/// What a `\` command asks for.
enum Meta {
    Leave,
    Nothing,
    Run(String),
}

struct Sign(String);

impl Prompt for Sign {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.0)
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("      ...> ")
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        Cow::Owned(format!("(search `{}`) ", search.term))
    }
}

/// Opens the prompt; ends with `\q` or Ctrl-D.
pub(crate) async fn run(session: &Session) -> Ending {
    let engine = session.engine().await?;
    session.talk("statements end with `;`, `\\?` shows help, Tab completes, `\\q` leaves");
    let mut state =
        State { ctx: session.ctx(), printer: Printer::new(session.global.output), timing: true };
    let shared = Arc::new(Mutex::new(state.ctx.clone()));
    let words = Words::new(engine, shared.clone(), tokio::runtime::Handle::current());
    let mut editor = editor(words, history_file(session));
    loop {
        let sign = Sign(match state.ctx.fabric.as_str() {
            "default" => "windlass".to_owned(),
            fabric => format!("windlass:{fabric}"),
        });
        // The editor waits for keys on a thread that may.
        let read = tokio::task::spawn_blocking(move || {
            let signal = editor.read_line(&sign);
            (editor, signal)
        });
        let (back, signal) = read
            .await
            .map_err(|error| Error::new(ErrorCode::Internal, "the prompt ended").source(error))?;
        editor = back;
        let line = match signal {
            Ok(Signal::Success(line)) => line,
            Ok(Signal::CtrlD) => return Ok(Outcome::Done),
            Ok(_) => continue,
            Err(error) => {
                return Err(Error::new(ErrorCode::LocalFailed, "cannot read the terminal")
                    .source(error)
                    .into());
            }
        };
        let line = line.trim();
        let statement = match line.strip_prefix('\\') {
            Some(command) => match meta(session, &mut state, command)? {
                Meta::Leave => return Ok(Outcome::Done),
                Meta::Nothing => continue,
                Meta::Run(statement) => statement,
            },
            None if line.is_empty() => continue,
            None => line.to_owned(),
        };
        let running =
            sql::execute(session, &state.printer, &mut state.ctx, &statement, state.timing);
        let ended = tokio::select! {
            ended = running => ended,
            _ = tokio::signal::ctrl_c() => Err(crate::interrupted().into()),
        };
        match ended.and_then(|_| session.console.flush()) {
            Ok(()) => {}
            Err(Failure::Error(error)) => session.console.complain(&plain_text(&error)),
            Err(failure) => return Err(failure),
        }
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = state.ctx.clone();
    }
}

fn meta(session: &Session, state: &mut State, command: &str) -> Result<Meta, Failure> {
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim().trim_end_matches(';').trim();
    let run = |statement: String| Ok(Meta::Run(statement));
    match word.trim_end_matches(';') {
        "q" | "quit" | "exit" => return Ok(Meta::Leave),
        "?" => session.console.print(help::COMMANDS)?,
        "h" | "help" => session.console.print(&help::statements(rest))?,
        "c" if rest.is_empty() => return run("SHOW CONNECTIONS;".to_owned()),
        "c" => match Name::parse(rest) {
            Ok(name) => return run(format!("DESCRIBE CONNECTION {name};")),
            Err(error) => session.console.complain(&plain_text(&error)),
        },
        "d" if rest.is_empty() => return run("SHOW FILE TABLES;".to_owned()),
        "d" => return run(format!("DESCRIBE {rest};")),
        "timing" => {
            state.timing = match rest {
                "on" => true,
                "off" => false,
                _ => !state.timing,
            };
            session.talk(if state.timing { "timing is on" } else { "timing is off" });
        }
        "o" => match Format::from_str(rest, true) {
            Ok(format) => {
                state.printer = Printer::new(format).expanded(state.printer.is_expanded());
            }
            Err(_) => session.talk("`\\o` takes table, json, jsonl or csv"),
        },
        "x" => {
            let on = match rest {
                "on" => true,
                "off" => false,
                _ => !state.printer.is_expanded(),
            };
            state.printer = Printer::new(state.printer.format()).expanded(on);
            session.talk(if on {
                "a row is shown as a block of lines"
            } else {
                "a row is shown as a line; where the window is too narrow for that, as a block"
            });
        }
        other => session.talk(&format!("`\\{other}` is not known; `\\?` shows what is")),
    }
    session.console.flush()?;
    Ok(Meta::Nothing)
}

fn editor(words: Words, history: Option<PathBuf>) -> Reedline {
    let mut keys = default_emacs_keybindings();
    keys.add_binding(
        KeyModifiers::NONE,
        KeyCode::Tab,
        ReedlineEvent::UntilFound(vec![
            ReedlineEvent::Menu(MENU.to_owned()),
            ReedlineEvent::MenuNext,
        ]),
    );
    keys.add_binding(
        KeyModifiers::ALT,
        KeyCode::Enter,
        ReedlineEvent::Edit(vec![EditCommand::InsertNewline]),
    );
    let menu = ColumnarMenu::default().with_name(MENU).with_columns(2);
    let editor = Reedline::create()
        .with_completer(Box::new(words))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_partial_completions(true)
        .with_quick_completions(true)
        .with_validator(Box::new(Whole))
        .with_edit_mode(Box::new(Emacs::new(keys)));
    // A history that cannot be kept is no reason not to work.
    match history.and_then(|file| Masked::open(file).ok()) {
        Some(history) => editor.with_history(Box::new(history)),
        None => editor,
    }
}

/// Where typed statements are kept: beside the state, or in the default home with a server.
fn history_file(session: &Session) -> Option<PathBuf> {
    let environment = Arc::new(|name: &str| std::env::var(name).ok());
    let home = session.global.home.as_deref();
    let settings = windlass_core::Settings::from_environment(home, environment).ok()?;
    settings.prepare_home().ok()?;
    Some(settings.home.join("history"))
}
