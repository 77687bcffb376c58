//! `head`: the first lines or bytes of an object.

use crate::commands::Ending;
use crate::commands::cat::pour;
use crate::failure::Outcome;
use crate::render::text::Screen;
use crate::session::Session;
use clap::Args;
use futures::StreamExt as _;
use windlass_core::engine::{ByteRange, GetOptions};
use windlass_types::ByteSize;

/// Show the beginning of an object.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. Ten lines:    windlass head landing:bucket/orders.csv
  2. One line:     windlass head -n 1 landing:bucket/orders.csv
  3. 64 bytes:     windlass head -c 64 landing:bucket/data.bin")]
pub struct Head {
    /// CONN:BUCKET/KEY; keys are literal
    #[arg(value_name = "PATH")]
    pub path: String,
    /// So many lines
    #[arg(short = 'n', long, default_value_t = 10)]
    pub lines: u64,
    /// So many bytes instead: `64`, `1KiB`
    #[arg(short = 'c', long, conflicts_with = "lines")]
    pub bytes: Option<ByteSize>,
}

/// `head`.
pub async fn run(session: &Session, args: Head) -> Ending {
    let place = session.place(&args.path).await?;
    if let Some(ByteSize(limit)) = args.bytes {
        if limit > 0 {
            let range = Some(ByteRange::Bounded(0, limit));
            pour(session, &place, GetOptions { range, ..GetOptions::default() }).await?;
        }
        return Ok(Outcome::Done);
    }
    let mut left = args.lines;
    if left == 0 {
        return Ok(Outcome::Done);
    }
    let mut body = place.storage.get(&place.object()?, GetOptions::default()).await?;
    let mut screen = session.console.out_terminal.then(Screen::default);
    while left > 0 {
        let Some(bytes) = body.stream.next().await else { break };
        let bytes = bytes?;
        let mut end = bytes.len();
        for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            left -= 1;
            if left == 0 {
                end = at + 1;
                break;
            }
        }
        match &mut screen {
            Some(screen) => session.console.print(&screen.push(&bytes[..end]))?,
            None => session.console.write(&bytes[..end])?,
        }
    }
    if let Some(screen) = &mut screen {
        session.console.print(&screen.finish())?;
    }
    Ok(Outcome::Done)
}
