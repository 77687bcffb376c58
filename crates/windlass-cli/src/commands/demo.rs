//! `demo`: everything, on sample data.

use crate::commands::Ending;
use crate::session::Session;
use clap::Args;

/// See everything work on sample data.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. The tour:                      windlass demo
  2. The tour, then your own turn:  windlass demo --prompt")]
pub struct Demo {
    /// Open a prompt on the sample data afterwards
    #[arg(long)]
    pub prompt: bool,
}

/// `demo`.
pub async fn run(session: &Session, args: Demo) -> Ending {
    crate::demo::run(session, args.prompt).await
}
