//! `cp` and `mv`: between connections and this machine, and standard input or output.

mod kept;
pub mod options;
mod pipe;
mod report;

use crate::commands::{Ending, counted};
use crate::failure::{Failure, Outcome};
use crate::progress::Watch;
use crate::session::{Place, Session};
use chrono::Utc;
use clap::Args;
use options::Options;
use report::Reporter;
use std::time::Instant;
use windlass_core::engine::{AtVersion, CopySide, Progress, Summary};
use windlass_core::report::key_in;
use windlass_core::transfer::naming::{Source, check_listed};
use windlass_core::transfer::{MaxDelete, Side};
use windlass_types::{Address, ByteSize, Error, ErrorCode};

/// What is to be done with what is copied.
#[derive(Debug, Clone)]
pub enum Verb {
    /// `cp`.
    Copy {
        /// This version of the source.
        version: Option<String>,
    },
    /// `mv`.
    Move {
        /// Remove the folders that it emptied.
        remove_empty_folders: bool,
    },
    /// `sync`.
    Sync {
        /// Delete what the source does not have.
        delete: bool,
        /// At most so much.
        max_delete: Option<MaxDelete>,
        /// Copy it there before.
        backup_to: Option<String>,
    },
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
  6. From a pipe:           gzip -c big.csv | windlass cp - landing:bucket/big.csv.gz
  7. As it was before:      windlass cp --version Zk3x landing:bucket/a.csv landing:bucket/a.csv"
)]
pub struct Copy {
    /// CONN:BUCKET/PREFIX, a local path, or `-` for standard input
    #[arg(value_name = "SRC")]
    pub source: String,
    /// CONN:BUCKET/PREFIX, a local path, or `-` for standard output
    #[arg(value_name = "DST")]
    pub destination: String,
    /// This version of SRC, which is one key, of those that `ls --versions` shows
    #[arg(long, value_name = "ID", help_heading = "What")]
    pub version: Option<String>,
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
  4. See first:            windlass mv --dry-run ./outbox/ landing:bucket/inbox/
  5. Leave no folders:     windlass mv --remove-empty-folders ./outbox/ landing:bucket/inbox/")]
pub struct Move {
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "SRC")]
    pub source: String,
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Remove the folders of SRC that the move emptied
    #[arg(long)]
    pub remove_empty_folders: bool,
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
            if args.version.is_some() {
                return Err(usage("a stream has no versions", "leave `--version` out").into());
            }
            let place = session.place(&args.destination).await?;
            let limits = args.options.engine(Utc::now(), None)?;
            let summary = pipe::upload(session, place, limits).await?;
            report(session, &summary, "copied")
        }
        (_, Address::Stdio) => {
            plain(&args.options)?;
            if !args.options.kept.is_empty() {
                return Err(usage(
                    "what is written to standard output has neither metadata nor tags",
                    "leave out what is to be given to the copy",
                )
                .into());
            }
            let mut place = session.existing_place(&args.source).await?;
            at_version(&mut place, args.version)?;
            if place.location.key.is_empty() || place.location.key.ends_with('/') {
                return Err(usage(
                    &format!("`{}` is a folder, and a stream is one object", place.typed()),
                    "name one object; `cat` reads an object whose key ends in `/`; a folder is copied into one, such as `./copy/`",
                )
                .into());
            }
            pipe::download(session, place, args.options.engine(Utc::now(), None)?).await
        }
        _ => {
            let verb = Verb::Copy { version: args.version };
            transfer(session, &args.source, &args.destination, args.options, verb).await
        }
    }
}

/// `mv`.
pub async fn move_(session: &Session, args: Move) -> Ending {
    if args.source == "-" || args.destination == "-" {
        return Err(usage("`mv` needs two places", "`cp` reads and writes streams").into());
    }
    let verb = Verb::Move { remove_empty_folders: args.remove_empty_folders };
    transfer(session, &args.source, &args.destination, args.options, verb).await
}

fn usage(message: &str, hint: &str) -> Error {
    Error::new(ErrorCode::UsageInvalid, message).hint(hint)
}

/// A stream is one object: there is nothing to choose from.
fn plain(options: &Options) -> Result<(), Error> {
    if options.is_plain() {
        return Ok(());
    }
    Err(usage(
        "a stream is one object: there are no names to match and nothing to compare",
        "leave the options that choose, compare and report out",
    ))
}

/// Reads a list of names below a place, from a file or standard input.
async fn list_of_names(
    session: &Session,
    file: &str,
    place: Place,
) -> Result<Vec<String>, Failure> {
    let source = Side { storage: place.storage, location: place.location };
    let console = session.console.clone();
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        if path != "-" {
            return std::fs::read(path);
        }
        let mut all = Vec::new();
        loop {
            let piece = console.read(64 << 10)?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&piece);
        }
    });
    let text =
        read.await.map_err(std::io::Error::other).and_then(|text| text).map_err(|error| {
            Error::new(ErrorCode::LocalFailed, format!("cannot read the names in `{file}`"))
                .source(error)
        })?;
    Ok(report::names(&text, file, |name| check_listed(name, &source))?)
}

/// `cp`, `mv` and `sync` between two places.
pub(super) async fn transfer(
    session: &Session,
    source: &str,
    destination: &str,
    options: Options,
    verb: Verb,
) -> Ending {
    let mut source = session.existing_place(source).await?;
    let mut destination = session.place(destination).await?;
    into_folder(&mut destination);
    if matches!(verb, Verb::Sync { .. }) {
        // Two folders are meant, with or without the last `/`.
        into_folder(&mut source);
    }
    let side = |place: Place| CopySide { storage: place.storage, location: place.location };
    let files = match (&options.files_from, &options.only_failed) {
        (Some(file), _) => Some(list_of_names(session, file, source.clone()).await?),
        (None, Some(report)) => {
            let location = &source.location;
            let naming = Source::parse(&location.key)?;
            let bucket = location.bucket.as_deref().unwrap_or_default();
            let base = source.storage.address(bucket, naming.base());
            Some(match report.parse::<windlass_types::RunId>() {
                Ok(run) => report::failed_in_run(session, run, &base).await?,
                // A report may be named after its run, and has an extension then.
                Err(error) if report.starts_with("rn_") && !report.contains('.') => {
                    let what = format!("`{report}` is no id of a run");
                    return Err(usage(&what, "`SHOW RUNS` lists them").source(error).into());
                }
                Err(_) => report::failed_by(session, report, &base).await?,
            })
        }
        (None, None) => None,
    };
    let mut how = options.engine(Utc::now(), files)?;
    if let Some(report) = &options.report {
        let report = side(session.place(report).await?);
        how.reports.extend(key_in(&side(destination.clone()), &report));
    }
    let done = match verb {
        Verb::Copy { version } => {
            at_version(&mut source, version)?;
            "copied"
        }
        Verb::Move { remove_empty_folders } => {
            (how.delete_source, how.remove_empty_folders) = (true, remove_empty_folders);
            "moved"
        }
        Verb::Sync { delete, max_delete, backup_to } => {
            how.sync = true;
            (how.delete, how.max_delete, how.backup_to) = (delete, max_delete, backup_to);
            "copied"
        }
    };
    how.check()?;
    let engine = session.engine().await?;
    let watch = Watch::begin(session, options.dry_run, Instant::now());
    let inner: std::sync::Arc<dyn Progress> = watch.clone();
    let reporter = Reporter::begin(session, options.report.as_deref(), inner).await?;
    let result = engine
        .copy(
            &session.ctx(),
            side(source),
            side(destination),
            how,
            reporter.clone(),
            session.cancel.clone(),
        )
        .await;
    // Nobody reading the items is why it was cancelled, and ends quietly.
    watch.end()?;
    let written = reporter.end().await;
    let summary = result?;
    if let Some(error) = watch.all_failed(&summary) {
        if session.global.output.is_json() {
            report(session, &summary, "")?;
        }
        return Err(error.into());
    }
    written?;
    for (reason, count) in reporter.reasons() {
        if report::is_notable(&reason) {
            session.talk(&format!("{} skipped: {reason}", counted(count, "object")));
        }
    }
    report(session, &summary, done)
}

/// Reads a place in this version from now on; it must be one key.
fn at_version(place: &mut Place, version: Option<String>) -> Result<(), Error> {
    let Some(version) = version else { return Ok(()) };
    let key = &place.location.key;
    if key.is_empty() || key.ends_with('/') || windlass_types::KeyPattern::is_pattern(key) {
        return Err(usage("a version is one of a single object", "name one key with `--version`"));
    }
    place.storage = std::sync::Arc::new(AtVersion::new(place.storage.clone(), version));
    Ok(())
}

/// An existing folder of this machine cannot become a file: things go into it, whether or not the
/// last `/` was typed.
pub(super) fn into_folder(destination: &mut Place) {
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
    // Of a move every source is deleted: that is no news. If not, it is a copy so far.
    let (verb, deleted) = match verb {
        "moved" if summary.dry_run || summary.deleted == summary.copied + summary.updated => {
            (verb, 0)
        }
        "moved" => ("copied", summary.deleted),
        verb => (verb, summary.deleted),
    };
    let verb = if summary.dry_run { format!("would be {verb}") } else { verb.to_owned() };
    let mut text = format!(
        "{} {verb} ({}) in {:.1} s",
        counted(summary.copied, "object"),
        ByteSize(summary.bytes),
        summary.seconds
    );
    for (number, what) in [
        (summary.updated, "updated"),
        (deleted, "deleted"),
        (summary.skipped, "skipped"),
        (summary.failed, "failed"),
    ] {
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
        let moved = |deleted| summary_line(&Summary { deleted, ..summary.clone() }, "moved");
        assert_eq!(
            moved(1199),
            "1,200 objects copied (3.0 MiB) in 1.2 s, 1199 deleted, 2 skipped, 1 failed"
        );
        assert!(moved(1200).starts_with("1,200 objects moved (3.0 MiB) in 1.2 s, 2 skipped"));
        let planned = Summary { dry_run: true, ..summary };
        assert!(summary_line(&planned, "moved").starts_with("1,200 objects would be moved"));
    }
}
