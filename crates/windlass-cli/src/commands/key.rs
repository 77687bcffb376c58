//! `key rotate`: reseals what is sealed under a new master key.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::session::Session;
use clap::{Args, Subcommand};

/// The master key that seals secrets.
#[derive(Debug, Args)]
pub struct Key {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do with the master key.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a new master key and reseal every secret with it
    #[command(after_help = "Examples:
  1. After a key may have been seen:   windlass key rotate")]
    Rotate,
}

/// `key`.
pub async fn run(session: &Session, args: Key) -> Ending {
    let Verb::Rotate = args.verb;
    let resealed = session.engine().await?.rotate_key().await?;
    if session.global.output.is_json() {
        session.console.line(&serde_json::json!({ "resealed": resealed }).to_string())?;
    } else {
        let values = if resealed == 1 { "value" } else { "values" };
        session.console.line(&format!("{resealed} sealed {values} resealed with a new key"))?;
    }
    Ok(Outcome::Done)
}
