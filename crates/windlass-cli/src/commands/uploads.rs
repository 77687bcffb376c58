//! `uploads`: multipart uploads that were begun and never ended, and giving them up.

use crate::commands::{Ending, counted};
use crate::failure::Outcome;
use crate::render::Format;
use crate::rows::{Cell, Columns, Kind, batch};
use crate::session::Session;
use crate::units::{Moment, moment};
use chrono::Utc;
use clap::Args;
use futures::TryStreamExt as _;
use windlass_types::{Error, ErrorCode};

/// List uploads that were never ended, and give them up.
#[derive(Debug, Args)]
#[command(
    after_help = "What a killed upload has sent stays with the service, and costs, until it is given up.

Examples:
  1. What there is:              windlass uploads landing:bucket
  2. Give up all in a folder:    windlass uploads landing:bucket/in/ --abort
  3. Only those of last week:    windlass uploads landing:bucket --abort --older-than 7d"
)]
pub struct Uploads {
    /// CONN:BUCKET[/PREFIX]
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Give them up: their parts are deleted
    #[arg(long)]
    pub abort: bool,
    /// Only those begun before: `1d`, `12h`, or a date; `--abort` takes 1d unless told otherwise
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub older_than: Option<Moment>,
}

const COLUMNS: Columns = &[
    ("path", Kind::Text),
    ("started", Kind::Time),
    ("upload", Kind::Text),
    ("status", Kind::Text),
];

/// `uploads`.
pub async fn run(session: &Session, args: Uploads) -> Ending {
    let place = session.remote_place(&args.path).await?;
    let bucket = place.location.need_bucket()?.to_owned();
    if args.abort && place.storage.read_only() {
        return Err(Error::new(
            ErrorCode::ConnectionReadOnly,
            format!("connection `{}` is READ_ONLY", place.storage.name()),
        )
        .hint("use a connection that may write")
        .into());
    }
    let now = Utc::now();
    // An upload that another process is at work on must not be taken from it by default.
    let before = match args.older_than {
        Some(moment) => Some(moment.resolve(now)),
        None if args.abort => Some(now - chrono::TimeDelta::days(1)),
        None => None,
    };
    let mut open = place.storage.list_uploads(&bucket, &place.location.key);
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let (mut aborted, mut failed, mut young) = (0_u64, 0_u64, 0_u64);
    while let Some(found) = open.try_next().await? {
        if before.is_some_and(|before| found.started.is_none_or(|started| started >= before)) {
            young += 1;
            continue;
        }
        let path = place.storage.binding().relative(&bucket, &found.upload.key);
        let mut status = "open";
        if args.abort {
            match place.storage.abort_upload(&found.upload).await {
                Ok(()) => (aborted, status) = (aborted + 1, "aborted"),
                Err(error) => {
                    session.console.warn(&format!("`{path}` was not given up: {}", error.chain()));
                    (failed, status) = (failed + 1, "failed");
                }
            }
        }
        rows.push(vec![
            path.into(),
            Cell::Time(found.started),
            found.upload.id.into(),
            status.into(),
        ]);
    }
    let shown = !rows.is_empty() || session.global.output != Format::Table;
    if shown {
        session.printer.batch(&session.console, batch(COLUMNS, &rows)?).await?;
    }
    said(session, &args, rows.len() as u64, (aborted, failed, young));
    if failed > 0 {
        return Ok(if aborted > 0 { Outcome::Partial } else { Outcome::Failed });
    }
    Ok(Outcome::Done)
}

fn said(session: &Session, args: &Uploads, found: u64, counts: (u64, u64, u64)) {
    let (aborted, failed, young) = counts;
    let mut text = if args.abort {
        format!("{} given up", counted(aborted, "upload"))
    } else {
        counted(found, "upload")
    };
    if failed > 0 {
        text = format!("{text}, {failed} failed");
    }
    if young > 0 {
        text = format!("{text}, {young} left as too young; `--older-than` says how old");
    }
    session.talk(&text);
}
