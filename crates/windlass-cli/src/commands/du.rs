//! `du`: sums of sizes, per folder and in all.

use crate::commands::Ending;
use crate::commands::ls::Listing;
use crate::failure::Outcome;
use crate::render::Format;
use crate::render::text::safe;
use crate::rows::{Cell, Columns, Kind, batch};
use crate::session::Session;
use clap::Args;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use windlass_core::engine::ListOptions;
use windlass_types::{ByteSize, EntryKind, Error, ErrorCode};

/// Sum up sizes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. Per folder, then in all:   windlass du landing:bucket/
  2. In all:                    windlass du -s landing:bucket/orders/")]
pub struct Du {
    /// CONN:BUCKET[/PREFIX], or a pattern
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Only the sum of all
    #[arg(short, long)]
    pub summary: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    objects: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, size: u64) {
        self.objects += 1;
        self.bytes += size;
    }
}

const COLUMNS: Columns =
    &[("path", Kind::Text), ("objects", Kind::Integer), ("bytes", Kind::Integer)];

/// `du`.
pub async fn run(session: &Session, args: Du) -> Ending {
    let place = session.existing_place(&args.path).await?;
    if place.location.bucket.is_none() {
        return Err(Error::new(ErrorCode::UsageInvalid, "`du` sums up one bucket or folder")
            .hint("write `CONN:BUCKET/PREFIX`")
            .into());
    }
    let mut listing = Listing::of(&place, true)?;
    let named = &listing.location.key;
    if listing.pattern.is_none() && !named.is_empty() && !named.ends_with('/') {
        listing.base = format!("{named}/");
    }
    let options = ListOptions { recursive: true, display: true, ..ListOptions::default() };
    let mut all = Sum::default();
    let mut folders: BTreeMap<String, Sum> = BTreeMap::new();
    let mut entries = place.storage.list(&listing.location, options);
    while let Some(entry) = entries.try_next().await? {
        // `du conn:bucket/tmp` means the folder and the object of that name, never `tmp2`.
        let inside = listing.pattern.is_some()
            || entry
                .key
                .strip_prefix(listing.location.key.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || listing.location.key.is_empty();
        if entry.kind != EntryKind::Object || !inside || !listing.matches(&entry) {
            continue;
        }
        let size = entry.size.unwrap_or(0);
        all.add(size);
        if args.summary {
            continue;
        }
        if let Some(rest) = entry.key.strip_prefix(listing.base.as_str())
            && let Some(at) = rest.find('/')
        {
            let folder = entry.key[..=listing.base.len() + at].to_owned();
            folders.entry(folder).or_default().add(size);
        }
    }
    let bucket = place.location.need_bucket()?;
    let relative = |key: &str| place.storage.binding().relative(bucket, key);
    let mut sums: Vec<(String, Sum)> =
        folders.iter().map(|(key, sum)| (relative(key), *sum)).collect();
    sums.push((relative(&place.location.key), all));
    if session.global.output == Format::Table {
        for (path, sum) in sums {
            let path = if path.is_empty() { "." } else { &path };
            session.console.line(&format!(
                "{:>10}  {:>12}  {}",
                ByteSize(sum.bytes).to_string(),
                crate::commands::counted(sum.objects, "object"),
                safe(path)
            ))?;
        }
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<Cell>> = sums
        .into_iter()
        .map(|(path, sum)| vec![path.into(), sum.objects.into(), sum.bytes.into()])
        .collect();
    session.printer.batch(&session.console, batch(COLUMNS, &rows)?).await?;
    Ok(Outcome::Done)
}
