//! The command line: arguments in, answers out.
//!
//! It speaks to [`windlass_core::engine::Engine`] only, so the same commands work in this process
//! and against a server. Who opens the engine is the binary's business ([`Wiring`]).

pub mod args;
pub mod commands;
pub mod complete;
pub mod console;
pub mod demo;
pub mod failure;
mod progress;
mod prompt;
mod reference;
pub mod remote;
pub mod render;
mod rows;
pub mod session;
mod table_file;
mod units;

#[cfg(test)]
mod fake;

pub use args::{Cli, parse};
pub use console::Console;
pub use failure::{Failure, Outcome};
pub use reference::reference_markdown;
pub use session::Session;

use futures::future::BoxFuture;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::Engine;
use windlass_types::{Error, ErrorCode, Result};

/// What a command needs an engine of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenRequest {
    /// `--home` or `$WINDLASS_HOME`; None means the default folder.
    pub home: Option<PathBuf>,
    /// `--server` or `$WINDLASS_SERVER`; None means this process.
    pub server: Option<String>,
}

type Opener = dyn Fn(OpenRequest) -> BoxFuture<'static, Result<Arc<dyn Engine>>> + Send + Sync;

/// What the demo works on: an engine with a home of its own, and an S3 service in this process.
pub struct DemoParts {
    /// Engine.
    pub engine: Arc<dyn Engine>,
    /// URL of the service.
    pub endpoint: String,
    /// Access key id that may read what the demo shows.
    pub access_key_id: String,
    /// Environment variable from which the engine gets the secret access key.
    pub secret_variable: String,
    /// Empty folder for copies.
    pub folder: PathBuf,
    /// Keeps the service and the folders until the end.
    pub keep: Box<dyn std::any::Any + Send + Sync>,
}

type DemoOpener = dyn Fn() -> BoxFuture<'static, Result<DemoParts>> + Send + Sync;

/// What the binary gives the command line: how to get an engine, and the demo's parts.
#[derive(Clone)]
pub struct Wiring {
    open: Arc<Opener>,
    demo: Option<Arc<DemoOpener>>,
}

impl Wiring {
    /// A wiring whose engine comes from `open`; called at most once, by commands that need it.
    pub fn new<F, Fut>(open: F) -> Self
    where
        F: Fn(OpenRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn Engine>>> + Send + 'static,
    {
        Self { open: Arc::new(move |request| Box::pin(open(request))), demo: None }
    }

    /// Adds the demo's parts.
    #[must_use]
    pub fn with_demo<F, Fut>(mut self, demo: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<DemoParts>> + Send + 'static,
    {
        self.demo = Some(Arc::new(move || Box::pin(demo())));
        self
    }

    /// Makes the demo's parts.
    pub async fn open_demo(&self) -> Result<DemoParts> {
        match &self.demo {
            Some(demo) => demo().await,
            None => {
                Err(Error::new(ErrorCode::UsageInvalid, "this program was built without the demo")
                    .hint("use the `windlass` binary"))
            }
        }
    }

    /// Opens the engine.
    pub async fn open(&self, request: OpenRequest) -> Result<Arc<dyn Engine>> {
        (self.open)(request).await
    }
}

/// Parses and runs; answers the exit code.
pub async fn main(args: impl IntoIterator<Item = OsString>, wiring: Wiring) -> u8 {
    match parse(args) {
        Ok(cli) => run(cli, wiring).await,
        Err(code) => code,
    }
}

/// Runs a parsed command on the standard streams; answers the exit code.
///
/// Threads may still wait for standard input afterwards, so the process should end with
/// [`std::process::exit`] rather than by waiting for the runtime.
pub async fn run(cli: Cli, wiring: Wiring) -> u8 {
    let console = Arc::new(Console::standard());
    let cancel = CancellationToken::new();
    if !cli.command.handles_interrupts() || !console.in_terminal {
        tokio::spawn(watch_signals(cancel.clone()));
    }
    run_on(cli, wiring, console, cancel).await
}

/// Runs a parsed command on `console` until it ends or `cancel` is cancelled.
pub async fn run_on(
    cli: Cli,
    wiring: Wiring,
    console: Arc<Console>,
    cancel: CancellationToken,
) -> u8 {
    let structured = cli.global.output.is_json();
    let winds_down = cli.command.winds_down();
    let session = Session::new(cli.global, wiring, console.clone(), cancel.clone());
    let command = commands::run(&session, cli.command);
    let result = if winds_down {
        command.await
    } else {
        tokio::select! {
            biased;
            result = command => result,
            () = cancel.cancelled() => Err(interrupted().into()),
        }
    };
    session.close().await;
    console.end_progress();
    let result = match (result, console.flush()) {
        (Ok(_), Err(failure)) => Err(failure),
        (result, _) => result,
    };
    failure::finish(&console, structured, result)
}

/// The error of a command that was stopped by the person.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorCode::Interrupted, "interrupted")
}

/// The first signal asks to stop, the second one does not ask.
async fn watch_signals(cancel: CancellationToken) {
    let mut seen = false;
    loop {
        if !next_signal().await {
            return;
        }
        if seen {
            std::process::exit(i32::from(windlass_types::ErrorClass::Interrupted.exit_code()));
        }
        seen = true;
        cancel.cancel();
    }
}

#[cfg(unix)]
async fn next_signal() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return tokio::signal::ctrl_c().await.is_ok();
    };
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.is_ok(),
        asked = terminate.recv() => asked.is_some(),
    }
}

#[cfg(not(unix))]
async fn next_signal() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
