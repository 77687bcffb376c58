//! `presign`: a URL that works without credentials for a while.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::session::Session;
use crate::units::duration;
use clap::Args;
use std::time::Duration;
use windlass_core::engine::PresignMethod;
use windlass_types::{Address, Error, ErrorCode};

/// Sign a URL that works without credentials.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. To read for an hour:        windlass presign landing:bucket/report.pdf
  2. To read for a week:         windlass presign --expires 7d landing:bucket/report.pdf
  3. To write for ten minutes:   windlass presign --put --expires 10m landing:bucket/upload.bin")]
pub struct Presign {
    /// CONN:BUCKET/KEY; keys are literal
    #[arg(value_name = "PATH")]
    pub path: String,
    /// How long it works, at most 7 days
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub expires: Duration,
    /// To write instead of to read
    #[arg(long)]
    pub put: bool,
}

/// The longest a service accepts.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// `presign`.
pub async fn run(session: &Session, args: Presign) -> Ending {
    if args.expires.is_zero() || args.expires > LONGEST {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            "a signed URL works for 1 second to 7 days",
        )
        .hint("give `--expires 1h`, or up to `--expires 7d`")
        .into());
    }
    let Address::Remote { connection, path } = Address::parse(&args.path)? else {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            "only objects behind a connection can be signed",
        )
        .hint("write `CONN:BUCKET/KEY`")
        .into());
    };
    let (method, name) =
        if args.put { (PresignMethod::Put, "PUT") } else { (PresignMethod::Get, "GET") };
    let engine = session.engine().await?;
    let url = engine.presign(&session.ctx(), &connection, &path, method, args.expires).await?;
    if session.global.output.is_json() {
        let seconds = args.expires.as_secs();
        let row = serde_json::json!({ "url": url, "method": name, "expires_in": seconds });
        session.console.line(&row.to_string())?;
    } else {
        session.console.line(&url)?;
    }
    Ok(Outcome::Done)
}
