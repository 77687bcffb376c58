//! `doctor`: checks the installation, also when it is too broken to open.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::rows::{Columns, Kind, batch};
use crate::session::Session;
use clap::Args;
use windlass_core::engine::Check;

/// Check the installation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. Home, key, state, clock, network, identity:   windlass doctor")]
pub struct Doctor {}

const COLUMNS: Columns =
    &[("check", Kind::Text), ("status", Kind::Text), ("message", Kind::Text), ("hint", Kind::Text)];

/// `doctor`.
pub async fn run(session: &Session, _: Doctor) -> Ending {
    let checks = match session.engine().await {
        Ok(engine) => engine.doctor().await?,
        // What cannot be opened is the finding.
        Err(error) => vec![Check {
            check: "open".to_owned(),
            status: "failed".to_owned(),
            message: format!("{} ({})", error.chain(), error.code()),
            hint: error.hint_text().map(str::to_owned),
        }],
    };
    let failed = checks.iter().any(|check| check.status == "failed");
    let rows: Vec<_> = checks
        .into_iter()
        .map(|c| vec![c.check.into(), c.status.into(), c.message.into(), c.hint.into()])
        .collect();
    session.printer.batch(&session.console, batch(COLUMNS, &rows)?).await?;
    Ok(if failed { Outcome::Failed } else { Outcome::Done })
}
