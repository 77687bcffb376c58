//! `sync`: makes a place like another, writing only what differs.

use crate::commands::Ending;
use crate::commands::copy::options::Options;
use crate::commands::copy::{Verb, transfer};
use crate::session::Session;
use clap::Args;
use windlass_types::{Error, ErrorCode};

/// Make a place like another.
#[derive(Debug, Args)]
#[command(
    after_help = "Objects that DST lacks or that differ are copied; names are those of `cp`. What only DST has stays, without --delete.

Examples:
  1. Download what is new:      windlass sync landing:bucket/orders/ ./orders/
  2. Make an exact copy:        windlass sync --delete landing:raw/ lake:raw/
  3. With a safety net:         windlass sync --delete --max-delete 5% --backup-to lake:old/ landing:raw/ lake:raw/
  4. See first:                 windlass sync --delete --dry-run landing:raw/ lake:raw/
  5. Compare every byte:        windlass sync --checksum ./data/ landing:bucket/data/"
)]
pub struct Sync {
    /// CONN:BUCKET/PREFIX, a pattern, or a local path
    #[arg(value_name = "SRC")]
    pub source: String,
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Delete at DST what SRC does not have, at the end
    #[arg(long)]
    pub delete: bool,
    /// Delete nothing if it would be more than N objects, or N% of those at DST
    #[arg(long, value_name = "N|N%", requires = "delete")]
    pub max_delete: Option<String>,
    /// Copy what is deleted to this folder of the same bucket before
    #[arg(long, value_name = "PLACE", requires = "delete")]
    pub backup_to: Option<String>,
    /// How.
    #[command(flatten)]
    pub options: Options,
}

/// `sync`.
pub async fn run(session: &Session, args: Sync) -> Ending {
    if args.source == "-" || args.destination == "-" {
        return Err(Error::new(ErrorCode::UsageInvalid, "`sync` needs two places")
            .hint("`cp` reads and writes streams")
            .into());
    }
    let max_delete = args.max_delete.as_deref().map(str::parse).transpose()?;
    let backup_to = match &args.backup_to {
        None => None,
        Some(text) => {
            let (place, to) = (session.place(text).await?, session.place(&args.destination).await?);
            let same = place.storage.name() == to.storage.name()
                && place.location.bucket == to.location.bucket;
            if !same {
                return Err(Error::new(
                    ErrorCode::UsageInvalid,
                    format!("`{text}` is not in the connection and bucket of the destination"),
                )
                .hint("give `--backup-to` a folder beside the destination, ending in `/`")
                .into());
            }
            Some(place.location.key)
        }
    };
    let verb = Verb::Sync { delete: args.delete, max_delete, backup_to };
    transfer(session, &args.source, &args.destination, args.options, verb).await
}
