//! `cp` and `mv`: between connections and this machine, and standard input or output.

mod pipe;

use crate::commands::{Ending, counted};
use crate::failure::Outcome;
use crate::progress::Watch;
use crate::session::{Place, Session};
use clap::Args;
use std::time::Instant;
use windlass_core::engine::{CopyOptions, CopySide, Summary};
use windlass_types::{Address, ByteSize, Error, ErrorCode, KeyPattern};

/// What `cp` and `mv` share.
#[derive(Debug, Args)]
pub struct Options {
    /// Only names below SRC that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No names below SRC that match; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Show what would be done; do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Objects and parts in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: Option<u16>,
    /// Bytes of objects held in memory at most
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<ByteSize>,
}

/// Copy objects and files.
#[derive(Debug, Args)]
#[command(
    after_help = "SRC ending in `/`, or a bucket, is everything below it; a pattern is what matches; else one key.
DST ending in `/` is a folder to copy into.

Examples:
  1. Download a folder:     windlass cp landing:bucket/orders/ ./orders/
  2. Upload a file:         windlass cp report.pdf landing:bucket/reports/
  3. Between connections:   windlass cp landing:raw/2026/ lake:archive/2026/
  4. By pattern:            windlass cp 'landing:bucket/orders/*.csv' ./orders/
  5. See first:             windlass cp --dry-run landing:bucket/orders/ ./orders/
  6. From a pipe:           gzip -c big.csv | windlass cp - landing:bucket/big.csv.gz"
)]
pub struct Copy {
    /// CONN:BUCKET/PREFIX, a local path, or `-` for standard input
    #[arg(value_name = "SRC")]
    pub source: String,
    /// CONN:BUCKET/PREFIX, a local path, or `-` for standard output
    #[arg(value_name = "DST")]
    pub destination: String,
    /// How.
    #[command(flatten)]
    pub options: Options,
}

/// Move objects and files.
#[derive(Debug, Args)]
#[command(after_help = "Each source is deleted once its copy is verified.

Examples:
  1. Rename:               windlass mv landing:bucket/a.csv landing:bucket/b.csv
  2. Move a folder:        windlass mv landing:bucket/new/ landing:bucket/done/
  3. Upload and clean up:  windlass mv ./outbox/ landing:bucket/inbox/
  4. See first:            windlass mv --dry-run ./outbox/ landing:bucket/inbox/")]
pub struct Move {
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "SRC")]
    pub source: String,
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "DST")]
    pub destination: String,
    /// How.
    #[command(flatten)]
    pub options: Options,
}

/// `cp`.
pub async fn copy(session: &Session, args: Copy) -> Ending {
    let (from, to) = (Address::parse(&args.source)?, Address::parse(&args.destination)?);
    match (&from, &to) {
        (Address::Stdio, Address::Stdio) => {
            Err(usage("one of SRC and DST must be a place", "`cat` copies a stream").into())
        }
        (Address::Stdio, _) => {
            plain(&args.options)?;
            let place = session.place(&args.destination).await?;
            let summary = pipe::upload(session, place, args.options.dry_run).await?;
            report(session, &summary, "copied")
        }
        (_, Address::Stdio) => {
            plain(&args.options)?;
            let place = session.existing_place(&args.source).await?;
            pipe::download(session, place, args.options.dry_run).await
        }
        _ => transfer(session, &args.source, &args.destination, args.options, false).await,
    }
}

/// `mv`.
pub async fn move_(session: &Session, args: Move) -> Ending {
    if args.source == "-" || args.destination == "-" {
        return Err(usage("`mv` needs two places", "`cp` reads and writes streams").into());
    }
    transfer(session, &args.source, &args.destination, args.options, true).await
}

fn usage(message: &str, hint: &str) -> Error {
    Error::new(ErrorCode::UsageInvalid, message).hint(hint)
}

/// A stream is one object: there is nothing to choose from.
fn plain(options: &Options) -> Result<(), Error> {
    if options.include.is_empty() && options.exclude.is_empty() {
        return Ok(());
    }
    Err(usage("a stream has no names to match", "leave `--include` and `--exclude` out"))
}

async fn transfer(
    session: &Session,
    source: &str,
    destination: &str,
    options: Options,
    move_: bool,
) -> Ending {
    for glob in options.include.iter().chain(&options.exclude) {
        KeyPattern::parse(glob)?;
    }
    let source = session.existing_place(source).await?;
    let mut destination = session.place(destination).await?;
    into_folder(&mut destination);
    let engine = session.engine().await?;
    let watch = Watch::begin(session, options.dry_run, Instant::now());
    let dry_run = options.dry_run;
    let options = CopyOptions {
        include: options.include,
        exclude: options.exclude,
        dry_run,
        delete_source: move_,
        concurrency: options.concurrency.map_or(0, usize::from),
        max_memory: options.max_memory.map_or(0, |size| size.0),
    };
    let side = |place: Place| CopySide { storage: place.storage, location: place.location };
    let result = engine
        .copy(
            &session.ctx(),
            side(source),
            side(destination),
            options,
            watch.clone(),
            session.cancel.clone(),
        )
        .await;
    // Nobody reading the items is why it was cancelled, and ends quietly.
    watch.end()?;
    let summary = result?;
    let verb = if move_ { "moved" } else { "copied" };
    report(session, &summary, verb)
}

/// An existing folder of this machine cannot become a file: things go into it, whether or not the
/// last `/` was typed.
fn into_folder(destination: &mut Place) {
    let key = &mut destination.location.key;
    let open = !key.is_empty() && !key.ends_with('/');
    if open && matches!(&destination.address, Address::Local(path) if path.is_dir()) {
        key.push('/');
    }
}

fn report(session: &Session, summary: &Summary, verb: &str) -> Ending {
    if session.global.output.is_json() {
        let text = serde_json::to_string(summary).map_err(|error| {
            Error::new(ErrorCode::Internal, "the summary cannot be written as JSON").source(error)
        })?;
        session.console.line(&text)?;
    } else {
        session.talk(&summary_line(summary, verb));
    }
    Ok(if summary.failed > 0 { Outcome::Partial } else { Outcome::Done })
}

fn summary_line(summary: &Summary, verb: &str) -> String {
    let verb = if summary.dry_run { format!("would be {verb}") } else { verb.to_owned() };
    let mut text = format!(
        "{} {verb} ({}) in {:.1} s",
        counted(summary.copied, "object"),
        ByteSize(summary.bytes),
        summary.seconds
    );
    for (number, what) in
        [(summary.updated, "updated"), (summary.skipped, "skipped"), (summary.failed, "failed")]
    {
        if number > 0 {
            text = format!("{text}, {number} {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_types::RunId;

    #[test]
    fn the_summary_names_what_was_not_copied() {
        let summary = Summary {
            run: RunId::new(),
            copied: 1200,
            updated: 0,
            deleted: 0,
            skipped: 2,
            failed: 1,
            bytes: 3 << 20,
            seconds: 1.25,
            dry_run: false,
        };
        assert_eq!(
            summary_line(&summary, "copied"),
            "1,200 objects copied (3.0 MiB) in 1.2 s, 2 skipped, 1 failed"
        );
    }
}
