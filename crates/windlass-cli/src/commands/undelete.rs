//! `undelete`: deleted objects of a versioned bucket are brought back.

use crate::commands::{Ending, counted};
use crate::failure::Outcome;
use crate::render::text::safe;
use crate::rows::{Cell, Columns, Kind};
use crate::session::{Place, Session};
use crate::table_file::{TableFile, tell};
use crate::units::{Moment, moment};
use chrono::Utc;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use windlass_core::transfer::undelete::NOTHING_LEFT;
use windlass_core::transfer::{Filter, Side, Status, UndeleteOptions, Undeleted, undelete};
use windlass_types::{ByteSize, Error, ErrorCode, KeyPattern};

/// Bring back deleted objects of a versioned bucket.
#[derive(Debug, Args)]
#[command(
    after_help = "A versioned bucket keeps what is deleted behind a delete marker. This removes the markers on top of a key; no
version of an object is touched. PATH ending in `/`, or a bucket, is everything below it; a pattern is what
matches; else one key.

Examples:
  1. See first:                   windlass undelete --dry-run landing:bucket/orders/
  2. A folder:                    windlass undelete landing:bucket/orders/
  3. What went in the last hour:  windlass undelete --newer-than 1h landing:bucket
  4. With a report:               windlass undelete --report back.csv landing:bucket/orders/"
)]
pub struct Undelete {
    /// CONN:BUCKET/PREFIX, a pattern, or one key
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Only names below PATH that match; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = KeyPattern::filter)]
    pub include: Vec<KeyPattern>,
    /// No names below PATH that match; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = KeyPattern::filter)]
    pub exclude: Vec<KeyPattern>,
    /// Only what was deleted since: `2h`, `7d`, `2026-01-31`, or a time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub newer_than: Option<Moment>,
    /// Only what was deleted before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub older_than: Option<Moment>,
    /// At most so many objects; the rest stays deleted
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Show what would be brought back; do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Write a row for each object to this file: `.csv`, `.jsonl` or `.parquet`; a local path or CONN:PATH
    #[arg(long, value_name = "FILE")]
    pub report: Option<String>,
}

const COLUMNS: Columns = &[
    ("key", Kind::Text),
    ("path", Kind::Text),
    ("version", Kind::Text),
    ("size", Kind::Integer),
    ("deleted_at", Kind::Time),
    ("markers", Kind::Integer),
    ("status", Kind::Text),
    ("reason", Kind::Text),
];

#[derive(Debug, Default)]
struct Counts {
    back: u64,
    bytes: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    fn add(&mut self, one: &Undeleted) {
        match one.status {
            Status::Planned | Status::Done => {
                self.back += 1;
                self.bytes += one.size.unwrap_or_default();
            }
            Status::Failed => self.failed += 1,
            Status::Skipped => self.skipped += 1,
        }
    }
}

/// `undelete`.
pub async fn run(session: &Session, args: Undelete) -> Ending {
    let place = session.remote_place(&args.path).await?;
    place.location.need_bucket()?;
    if place.storage.read_only() && !args.dry_run {
        return Err(Error::new(
            ErrorCode::ConnectionReadOnly,
            format!("connection `{}` is READ_ONLY", place.storage.name()),
        )
        .hint("use a connection that may write")
        .into());
    }
    let now = Utc::now();
    let options = UndeleteOptions {
        filter: Filter { include: args.include.clone(), exclude: args.exclude.clone() },
        newer_than: args.newer_than.map(|moment| moment.resolve(now)),
        older_than: args.older_than.map(|moment| moment.resolve(now)),
        limit: args.limit,
        dry_run: args.dry_run,
    };
    let report = TableFile::wanted(session, args.report.as_deref(), COLUMNS).await?;
    let side = Side { storage: place.storage.clone(), location: place.location.clone() };
    let mut counts = Counts::default();
    let found = undelete(side, options).inspect_ok(|one| counts.add(one)).boxed();
    let row = |one: Undeleted| row(one, &place);
    tell(session, COLUMNS, report, found, line, row).await?;
    session.talk(&said(&args, &counts));
    Ok(match (counts.failed, counts.back) {
        (0, _) => Outcome::Done,
        (_, 0) => Outcome::Failed,
        _ => Outcome::Partial,
    })
}

fn reason(one: &Undeleted) -> Option<String> {
    match (&one.error, one.status) {
        (Some(error), _) => Some(error.chain()),
        (None, Status::Skipped) => Some(NOTHING_LEFT.to_owned()),
        _ => None,
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Planned => "planned",
        Status::Done => "done",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
    }
}

fn row(one: Undeleted, place: &Place) -> Vec<Cell> {
    let bucket = place.location.bucket.as_deref().unwrap_or_default();
    let path = place.storage.binding().relative(bucket, &one.key);
    let reason = reason(&one);
    vec![
        one.key.into(),
        path.into(),
        one.version.into(),
        Cell::Integer(one.size),
        Cell::Time(one.deleted),
        one.markers.into(),
        status(one.status).into(),
        reason.into(),
    ]
}

fn line(one: &Undeleted) -> String {
    let mark = match one.status {
        Status::Planned | Status::Done => '+',
        Status::Failed => '!',
        Status::Skipped => '-',
    };
    let size = one.size.map_or_else(String::new, |size| format!(" ({})", ByteSize(size)));
    let why = reason(one).map_or_else(String::new, |why| format!(": {}", safe(&why)));
    format!("{mark} {}{size}{why}", safe(&one.key))
}

fn said(args: &Undelete, counts: &Counts) -> String {
    let verb = if args.dry_run { "would be brought back" } else { "brought back" };
    let mut text =
        format!("{} {verb} ({})", counted(counts.back, "object"), ByteSize(counts.bytes));
    for (number, what) in [(counts.skipped, NOTHING_LEFT), (counts.failed, "failed")] {
        if number > 0 {
            text = format!("{text}, {number} {what}");
        }
    }
    let found = counts.back + counts.skipped + counts.failed;
    if args.limit == Some(found) && found > 0 {
        text.push_str("; `--limit` was reached, there may be more");
    }
    let folder = args.path.ends_with('/') || KeyPattern::is_pattern(&args.path);
    if found == 0 && !folder {
        text = format!("{text}; a folder is written with a `/` at its end");
    }
    text
}
