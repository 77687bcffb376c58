//! `diff`: which names are on one side only, and which differ.

use crate::commands::copy::into_folder;
use crate::commands::{Ending, counted};
use crate::failure::Outcome;
use crate::render::text::safe;
use crate::rows::{Cell, Columns, Kind};
use crate::session::{Place, Session};
use crate::table_file::{TableFile, tell};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::atomic::{AtomicU64, Ordering};
use windlass_core::transfer::naming::counterpart;
use windlass_core::transfer::{DiffOptions, Difference, Filter, Side, diff, diff::Kind as Found};
use windlass_types::{ByteSize, Entry, KeyPattern};

/// Compare two places.
#[derive(Debug, Args)]
#[command(
    after_help = "Names are paired as `sync LEFT RIGHT` would pair them, and both places must be there.

`<` is on the left only, `>` on the right only, `!` differs, `=` is the same. Sizes are compared, and
contents where the listings (or files of this machine) tell them; `--checksum` looks further: at checksums that
both services keep, and at the bytes where nothing else tells.

Examples:
  1. A folder with its copy:          windlass diff landing:bucket/orders/ ./orders/
  2. Two connections:                 windlass diff landing:raw/ lake:raw/
  3. Byte by byte where needed:       windlass diff --checksum landing:raw/ lake:raw/
  4. In a script, exit 1 on any:      windlass diff --exit-code landing:raw/ lake:raw/
  5. Is all of it there, as proof:    windlass diff --one-way --all --report proof.parquet ./orders/ lake:raw/"
)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Diff {
    /// CONN:BUCKET/PREFIX, a pattern, or a local path
    #[arg(value_name = "LEFT")]
    pub left: String,
    /// CONN:BUCKET/PREFIX, a pattern, or a local path
    #[arg(value_name = "RIGHT")]
    pub right: String,
    /// Only names that match; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = KeyPattern::filter)]
    pub include: Vec<KeyPattern>,
    /// No names that match; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = KeyPattern::filter)]
    pub exclude: Vec<KeyPattern>,
    /// Show what is the same too
    #[arg(long)]
    pub all: bool,
    /// Compare bytes where sizes are all that the listings tell: stored checksums, or reading both
    #[arg(short, long, alias = "content", conflicts_with = "size_only")]
    pub checksum: bool,
    /// Compare sizes alone
    #[arg(long)]
    pub size_only: bool,
    /// Leave out what only RIGHT has
    #[arg(long)]
    pub one_way: bool,
    /// Exit 1 when something differs
    #[arg(long)]
    pub exit_code: bool,
    /// Write a row for each finding to this file: `.csv`, `.jsonl` or `.parquet`; a local path or CONN:PATH
    #[arg(long, value_name = "FILE")]
    pub report: Option<String>,
}

const COLUMNS: Columns = &[
    ("path", Kind::Text),
    ("kind", Kind::Text),
    ("by", Kind::Text),
    ("left_size", Kind::Integer),
    ("right_size", Kind::Integer),
];

/// `diff`.
pub async fn run(session: &Session, args: Diff) -> Ending {
    let mut left = session.existing_place(&args.left).await?;
    let mut right = session.existing_place(&args.right).await?;
    into_folder(&mut left);
    into_folder(&mut right);
    right.location.key = counterpart(&left.location.key, &right.location.key)?;
    let options = DiffOptions {
        filter: Filter { include: args.include, exclude: args.exclude },
        same: args.all,
        content: args.checksum,
        size_only: args.size_only,
        one_way: args.one_way,
        ..DiffOptions::default()
    };
    let report = TableFile::wanted(session, args.report.as_deref(), COLUMNS).await?;
    let differing = AtomicU64::new(0);
    let found = diff(side(left), side(right), options).inspect_ok(|found| {
        if found.kind != Found::Same {
            differing.fetch_add(1, Ordering::Relaxed);
        }
    });
    tell(session, COLUMNS, report, found.boxed(), line, row).await?;
    let differing = differing.load(Ordering::Relaxed);
    session.talk(&match differing {
        0 => "no differences".to_owned(),
        differing => counted(differing, "difference"),
    });
    Ok(if args.exit_code && differing > 0 { Outcome::Failed } else { Outcome::Done })
}

fn side(place: Place) -> Side {
    Side { storage: place.storage, location: place.location }
}

fn size(entry: Option<&Entry>) -> Option<u64> {
    entry.and_then(|entry| entry.size)
}

fn kind(found: Found) -> (&'static str, char) {
    match found {
        Found::OnlyLeft => ("only_left", '<'),
        Found::OnlyRight => ("only_right", '>'),
        Found::Differs => ("differs", '!'),
        Found::Same => ("same", '='),
    }
}

fn row(found: Difference) -> Vec<Cell> {
    vec![
        found.path.into(),
        kind(found.kind).0.into(),
        found.by.into(),
        Cell::Integer(size(found.left.as_ref())),
        Cell::Integer(size(found.right.as_ref())),
    ]
}

fn line(found: &Difference) -> String {
    let sizes = [size(found.left.as_ref()), size(found.right.as_ref())];
    let [left, right] = sizes.map(|size| size.map(|size| ByteSize(size).to_string()));
    let detail = match (left, right) {
        (Some(left), Some(right)) if left != right => format!("{left}, {right}"),
        (Some(one), _) | (_, Some(one)) => one,
        _ => String::new(),
    };
    let by = match (found.kind, found.by.as_deref()) {
        (Found::Differs, Some(by)) => format!(" in {by}"),
        (Found::Same, Some(by)) => format!(" by {by}"),
        _ => String::new(),
    };
    format!("{} {} ({detail}){by}", kind(found.kind).1, safe(&found.path))
}
