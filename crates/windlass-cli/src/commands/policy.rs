//! `policy`: the least IAM policy for what a connection is used for.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::render::Format;
use crate::session::Session;
use clap::{Args, ValueEnum};
use windlass_types::{Error, ErrorCode, Name};

/// Print the least IAM policy that a connection needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. To browse and read:          windlass policy landing
  2. To write and delete too:     windlass policy landing --for full
  3. To catalogue, into a file:   windlass policy landing --for catalog > policy.json")]
pub struct Policy {
    /// The connection
    #[arg(value_name = "CONN")]
    pub connection: Name,
    /// What it will be used for
    #[arg(long = "for", value_enum, default_value_t, value_name = "PURPOSE")]
    pub purpose: Purpose,
}

/// What a connection is used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// Browse, read, query.
    #[default]
    Read,
    /// Also write and delete.
    Full,
    /// Also read sizes and tags for the catalogue.
    Catalog,
}

/// `policy`.
pub async fn run(session: &Session, args: Policy) -> Ending {
    let purpose = match args.purpose {
        Purpose::Read => "read",
        Purpose::Full => "full",
        Purpose::Catalog => "catalog",
    };
    let engine = session.engine().await?;
    let policy = engine.policy(&session.ctx(), &args.connection, purpose).await?;
    let text = match session.global.output {
        Format::Jsonl => Ok(policy.to_string()),
        _ => serde_json::to_string_pretty(&policy),
    };
    let text = text.map_err(|error| {
        Error::new(ErrorCode::Internal, "the policy cannot be written as JSON").source(error)
    })?;
    session.console.line(&text)?;
    Ok(Outcome::Done)
}
