//! `cat`: objects to standard output, byte for byte.

use crate::commands::Ending;
use crate::failure::{Failure, Outcome};
use crate::render::text::Screen;
use crate::session::{Place, Session};
use crate::units::{Range, range};
use clap::Args;
use futures::StreamExt as _;
use windlass_core::engine::GetOptions;
use windlass_types::{Error, ErrorCode};

/// Write objects to standard output.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. One object:           windlass cat landing:bucket/notes.txt
  2. Some bytes:           windlass cat --range 0-1023 landing:bucket/data.bin
  3. The last 100 bytes:   windlass cat --range=-100 landing:bucket/data.bin
  4. Several, in a row:    windlass cat landing:bucket/a.csv landing:bucket/b.csv
  5. As it was before:     windlass cat --version Zk3x landing:bucket/notes.txt")]
pub struct Cat {
    /// CONN:BUCKET/KEY; keys are literal
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// Only these bytes: `0-99`, `100-`, or `-50` for the last 50
    #[arg(long, value_parser = range, allow_hyphen_values = true)]
    pub range: Option<Range>,
    /// This version, of those that `ls --versions` shows
    #[arg(long, value_name = "ID")]
    pub version: Option<String>,
}

/// `cat`.
pub async fn run(session: &Session, args: Cat) -> Ending {
    if args.version.is_some() && args.paths.len() > 1 {
        return Err(Error::new(ErrorCode::UsageInvalid, "a version is one of a single object")
            .hint("give one path with `--version`")
            .into());
    }
    for path in &args.paths {
        let place = session.place(path).await?;
        pour(
            session,
            &place,
            GetOptions {
                range: args.range.map(|r| r.0),
                version: args.version.clone(),
                ..GetOptions::default()
            },
        )
        .await?;
    }
    Ok(Outcome::Done)
}

/// Writes an object to standard output; a terminal gets no control characters.
pub(crate) async fn pour(
    session: &Session,
    place: &Place,
    options: GetOptions,
) -> Result<u64, Failure> {
    let mut body = place.storage.get(&place.object()?, options).await?;
    let mut screen = session.console.out_terminal.then(Screen::default);
    let mut written = 0;
    while let Some(bytes) = body.stream.next().await {
        let bytes = bytes?;
        written += bytes.len() as u64;
        match &mut screen {
            Some(screen) => session.console.print(&screen.push(&bytes))?,
            None => session.console.write(&bytes)?,
        }
    }
    if let Some(screen) = &mut screen {
        session.console.print(&screen.finish())?;
    }
    session.console.flush()?;
    Ok(written)
}
