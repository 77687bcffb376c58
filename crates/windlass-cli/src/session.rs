//! One run of a command: its streams, its engine (opened when first needed), its places.

use crate::args::Global;
use crate::console::Console;
use crate::failure::Failure;
use crate::render::Printer;
use crate::{OpenRequest, Wiring};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{Ctx, Engine, Storage};
use windlass_types::{Address, Error, ErrorCode, Location, Name, Result};

/// What a command works with.
pub struct Session {
    /// Options of every command.
    pub global: Global,
    /// The streams.
    pub console: Arc<Console>,
    /// Prints results in the format asked for.
    pub printer: Printer,
    /// Cancelled when the person asks to stop.
    pub cancel: CancellationToken,
    pub(crate) wiring: Wiring,
    engine: OnceCell<Arc<dyn Engine>>,
}

/// A place that was named on the command line, with the storage it is in.
#[derive(Clone)]
pub struct Place {
    /// The storage.
    pub storage: Storage,
    /// The place in it.
    pub location: Location,
    /// What was typed.
    pub address: Address,
}

impl Session {
    /// A session; nothing is opened yet.
    pub fn new(
        global: Global,
        wiring: Wiring,
        console: Arc<Console>,
        cancel: CancellationToken,
    ) -> Self {
        let printer = Printer::new(global.output);
        Self { global, console, printer, cancel, wiring, engine: OnceCell::new() }
    }

    /// The engine; opened by the first call.
    pub async fn engine(&self) -> Result<Arc<dyn Engine>> {
        let request =
            OpenRequest { home: self.global.home.clone(), server: self.global.server.clone() };
        self.engine.get_or_try_init(|| self.wiring.open(request)).await.cloned()
    }

    /// Lets what was asked to stop come to its end.
    pub async fn close(&self) {
        if let Some(engine) = self.engine.get() {
            engine.close().await;
        }
    }

    /// Who asks, and in which fabric.
    pub fn ctx(&self) -> Ctx {
        match &self.global.fabric {
            Some(fabric) => Ctx { fabric: fabric.clone(), ..Ctx::default() },
            None => Ctx::default(),
        }
    }

    /// Whether progress is shown.
    pub fn shows_progress(&self) -> bool {
        !self.global.quiet && !self.global.no_progress
    }

    /// Says something about the work, unless it should be quiet.
    pub fn talk(&self, text: &str) {
        if !self.global.quiet {
            self.console.talk(text);
        }
    }

    /// Opens what a path names.
    pub async fn place(&self, text: &str) -> Result<Place> {
        match Address::parse(text)? {
            Address::Remote { connection, path } => self.remote(connection, path).await,
            Address::Local(path) => local_place(path),
            Address::Stdio => Err(Error::new(
                ErrorCode::UsageInvalid,
                "`-` stands for standard input or output only in `cp`",
            )
            .hint("write `CONN:BUCKET/KEY`, or `./-` for a file of that name")),
        }
    }

    /// Opens what a path names, to read from it: a local path must be there, or be a pattern. Who
    /// forgets the colon of a connection should not be told that it is empty.
    pub async fn existing_place(&self, text: &str) -> Result<Place> {
        let place = self.place(text).await?;
        if let Address::Local(path) = &place.address
            && !windlass_types::KeyPattern::is_pattern(text)
            && path.symlink_metadata().is_err()
        {
            return Err(Error::new(
                ErrorCode::LocalNotFound,
                format!("no file or folder `{text}`"),
            )
            .hint(format!("a connection is written with a colon: `{text}:`")));
        }
        Ok(place)
    }

    /// Opens a place behind a connection; a local path is refused.
    pub async fn remote_place(&self, text: &str) -> Result<Place> {
        match Address::parse(text)? {
            Address::Remote { connection, path } => self.remote(connection, path).await,
            _ => Err(Error::new(
                ErrorCode::UsageInvalid,
                format!("`{text}` names nothing behind a connection"),
            )
            .hint("write `CONN:BUCKET/KEY`; `windlass connection list` shows the connections")),
        }
    }

    async fn remote(&self, connection: Name, path: String) -> Result<Place> {
        let storage = self.engine().await?.storage(&self.ctx(), &connection).await?;
        let location = storage.binding().resolve_any(&path)?;
        Ok(Place { storage, location, address: Address::Remote { connection, path } })
    }
}

/// A bare path of this machine.
fn local_place(path: PathBuf) -> Result<Place> {
    let (storage, location) = windlass_core::local::local_side(&path)?;
    Ok(Place { storage: Arc::new(storage), location, address: Address::Local(path) })
}

impl Place {
    /// What was typed, for messages.
    pub fn typed(&self) -> String {
        self.address.to_string()
    }

    /// Whether it is an existing folder of this machine.
    pub fn is_local_folder(&self) -> bool {
        matches!(&self.address, Address::Local(path) if path.is_dir())
    }

    /// The object it names, or an error that says one is needed.
    pub fn object(&self) -> Result<windlass_types::ObjectPath> {
        self.location.object()
    }
}

/// Wraps an error of reading the person's answer.
pub(crate) fn no_answer(error: std::io::Error) -> Failure {
    Error::new(ErrorCode::LocalFailed, "cannot read the answer").source(error).into()
}
