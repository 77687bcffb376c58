//! `ls`: buckets, folders and objects, as they come.

mod versions;

use crate::commands::Ending;
use crate::failure::{Failure, Outcome};
use crate::render::Format;
use crate::render::text::safe;
use crate::rows::{Cell, Columns, Kind, batch, schema};
use crate::session::{Place, Session};
use crate::units::{Moment, moment};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use clap::Args;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use windlass_core::engine::ListOptions;
use windlass_core::transfer::Filter as Names;
use windlass_types::{ByteSize, Entry, EntryKind, KeyPattern, Location, Result};

/// List buckets, folders and objects.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. Buckets:                     windlass ls landing:
  2. A folder:                    windlass ls landing:bucket/orders/
  3. Everything below:            windlass ls -r landing:bucket/orders/
  4. By pattern:                  windlass ls 'landing:bucket/orders/dt=*/*.csv'
  5. Large and new:               windlass ls -r --min-size 100MB --newer-than 7d landing:bucket
  6. For programs, as it comes:   windlass ls -r -o jsonl landing:bucket
  7. What a bucket still keeps:   windlass ls -r --versions landing:bucket/orders/")]
pub struct Ls {
    /// CONN:[BUCKET[/PREFIX]], or a pattern
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Everything below, not one level
    #[arg(short, long)]
    pub recursive: bool,
    /// Every version and delete marker that the bucket keeps, of a key the newest first
    #[arg(long)]
    pub versions: bool,
    /// What to leave out.
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many rows
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub limit: Option<usize>,
}

/// What to leave out of a listing.
#[derive(Debug, Default, Args)]
pub struct Filter {
    /// Only names below the path that match; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = KeyPattern::filter)]
    pub include: Vec<KeyPattern>,
    /// No names below the path that match; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = KeyPattern::filter)]
    pub exclude: Vec<KeyPattern>,
    /// Only objects of at least this size: `64KiB`, `10MB`
    #[arg(long, value_name = "SIZE")]
    pub min_size: Option<ByteSize>,
    /// Only objects of at most this size
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,
    /// Only what was written since: `2h`, `7d`, `2026-01-31`, or a time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub newer_than: Option<Moment>,
    /// Only what was written before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub older_than: Option<Moment>,
}

impl Filter {
    /// The rule for names, which is that of copies.
    pub(crate) fn names(&mut self) -> Names {
        Names {
            include: std::mem::take(&mut self.include),
            exclude: std::mem::take(&mut self.exclude),
        }
    }

    /// Whether size and time of an entry let it stay.
    pub(super) fn keeps(&self, entry: &Entry, now: DateTime<Utc>) -> bool {
        let size = |holds: &dyn Fn(u64) -> bool| entry.size.is_some_and(holds);
        let time = |holds: &dyn Fn(DateTime<Utc>) -> bool| entry.last_modified.is_some_and(holds);
        self.min_size.is_none_or(|least| size(&|n| n >= least.0))
            && self.max_size.is_none_or(|most| size(&|n| n <= most.0))
            && self.newer_than.is_none_or(|moment| time(&|t| t >= moment.resolve(now)))
            && self.older_than.is_none_or(|moment| time(&|t| t < moment.resolve(now)))
    }
}

/// What a path asks to list.
pub(crate) struct Listing {
    /// Where the service begins.
    pub location: Location,
    /// All levels.
    pub recursive: bool,
    /// What the whole key must match.
    pub pattern: Option<KeyPattern>,
    /// What is cut from keys to show names.
    pub base: String,
}

impl Listing {
    /// Decides it: a path with wildcards lists what its literal beginning holds.
    pub(crate) fn of(place: &Place, recursive: bool) -> Result<Self> {
        let mut location = place.location.clone();
        let bound = place.storage.binding().prefix.as_str();
        let typed = location.key.strip_prefix(bound).unwrap_or(&location.key);
        let mut pattern = None;
        let mut recursive = recursive;
        if KeyPattern::is_pattern(typed) {
            let parsed = KeyPattern::parse(&format!("{}{typed}", literal(bound)))?;
            let prefix = typed[..windlass_types::glob::literal_prefix(typed).len()].to_owned();
            recursive |= typed[prefix.len()..].trim_end_matches('/').contains('/');
            location.key = format!("{bound}{prefix}");
            pattern = Some(parsed);
        } else if place.is_local_folder()
            && !location.key.is_empty()
            && !location.key.ends_with('/')
        {
            // Of a local folder a person means what is in it.
            location.key.push('/');
        }
        let base = location.key.rfind('/').map_or("", |at| &location.key[..=at]).to_owned();
        Ok(Self { location, recursive, pattern, base })
    }

    /// The key as shown: below what was listed.
    pub(crate) fn name<'a>(&self, entry: &'a Entry) -> &'a str {
        entry.key.strip_prefix(self.base.as_str()).unwrap_or(&entry.key)
    }

    /// Whether its name lets an entry stay.
    fn shows(&self, entry: &Entry, names: &Names) -> bool {
        let name = self.name(entry);
        self.matches(entry)
            && !(name.is_empty() && entry.key == self.base)
            && names.takes(name.trim_end_matches('/'))
    }

    /// Whether an entry is asked for.
    pub(crate) fn matches(&self, entry: &Entry) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(entry.key.trim_end_matches('/')))
    }
}

/// A pattern that matches exactly this text.
fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if matches!(c, '*' | '?' | '[' | '{') {
            out.extend(['[', c, ']']);
        } else {
            out.push(c);
        }
        out
    })
}

const COLUMNS: Columns = &[
    ("key", Kind::Text),
    ("kind", Kind::Text),
    ("path", Kind::Text),
    ("size", Kind::Integer),
    ("last_modified", Kind::Time),
    ("etag", Kind::Text),
    ("storage_class", Kind::Text),
];

/// Rows printed together at most; a page of the service is printed as soon as it is there.
const CHUNK: usize = 1000;

/// `ls`.
pub async fn run(session: &Session, mut args: Ls) -> Ending {
    let names = args.filter.names();
    let place = session.existing_place(&args.path).await?;
    let listing = Listing::of(&place, args.recursive)?;
    if args.versions {
        return versions::run(session, &args, &names, &place, &listing).await;
    }
    let now = Utc::now();
    let options = ListOptions {
        recursive: listing.recursive,
        display: true,
        ordered: true,
        ..ListOptions::default()
    };
    let limit = args.limit.unwrap_or(usize::MAX);
    let entries = place
        .storage
        .list(&listing.location, options)
        .try_filter(|entry| {
            let keeps = listing.shows(entry, &names) && args.filter.keeps(entry, now);
            futures::future::ready(keeps)
        })
        .take(limit)
        .boxed();
    if session.global.output == Format::Table {
        lines(session, entries, |entry| line(entry, listing.name(entry))).await?;
    } else {
        let batches = entries
            .ready_chunks(CHUNK)
            .flat_map(|chunk| futures::stream::iter(batches(COLUMNS, row, chunk)))
            .boxed();
        session.printer.rows(&session.console, schema(COLUMNS), batches).await?;
    }
    Ok(Outcome::Done)
}

/// The rows that came, then the error that ended them.
fn batches<T>(
    columns: Columns,
    row: impl Fn(T) -> Vec<Cell>,
    chunk: Vec<Result<T>>,
) -> Vec<Result<RecordBatch>> {
    let mut rows = Vec::with_capacity(chunk.len());
    let mut failed = None;
    for entry in chunk {
        match entry {
            Ok(entry) => rows.push(row(entry)),
            Err(error) => failed = Some(error),
        }
    }
    let mut out = Vec::new();
    if !rows.is_empty() {
        out.push(batch(columns, &rows));
    }
    out.extend(failed.map(Err));
    out
}

fn row(entry: Entry) -> Vec<Cell> {
    vec![
        entry.key.into(),
        entry.kind.as_str().into(),
        entry.path.into(),
        Cell::Integer(entry.size),
        Cell::Time(entry.last_modified),
        entry.etag.into(),
        entry.storage_class.into(),
    ]
}

async fn lines<T>(
    session: &Session,
    entries: BoxStream<'_, Result<T>>,
    line: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    let mut chunks = entries.ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let mut out = String::new();
        let mut failed = None;
        for entry in chunk {
            match entry {
                Ok(entry) => {
                    out.push_str(&line(&entry));
                    out.push('\n');
                }
                Err(error) => failed = Some(error),
            }
        }
        session.console.print(&out)?;
        session.console.flush()?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Size, time, storage class, name.
fn line(entry: &Entry, name: &str) -> String {
    let size = entry.size.map_or_else(String::new, |size| ByteSize(size).to_string());
    let time = entry
        .last_modified
        .map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string());
    let class = entry.storage_class.as_deref().unwrap_or_default();
    let name = match entry.kind {
        // A name that is all of its key, such as `//x`, must not vanish.
        _ if name.is_empty() => &entry.key,
        _ => name,
    };
    let slash = if entry.kind == EntryKind::Bucket { "/" } else { "" };
    format!("{size:>10}  {time:<20}  {:<12}  {}{slash}", safe(class), safe(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, size: u64) -> Entry {
        Entry {
            key: key.to_owned(),
            kind: EntryKind::Object,
            path: format!("b/{key}"),
            size: Some(size),
            last_modified: DateTime::from_timestamp(1_767_225_600, 0),
            etag: None,
            storage_class: Some("STANDARD".to_owned()),
        }
    }

    #[test]
    fn a_line_has_size_time_class_and_a_harmless_name() {
        assert_eq!(
            line(&entry("a\u{1b}[2J.csv", 1536), "a\u{1b}[2J.csv"),
            "   1.5 KiB  2026-01-01 00:00:00Z  STANDARD      a\\u{1b}[2J.csv"
        );
        let folder = Entry {
            kind: EntryKind::Prefix,
            size: None,
            last_modified: None,
            storage_class: None,
            ..entry("a/", 0)
        };
        assert_eq!(line(&folder, "a/").trim(), "a/");
    }

    #[test]
    fn filters_leave_out_what_they_say() {
        let now = DateTime::from_timestamp(1_767_225_600 + 7200, 0).unwrap();
        let keeps = |filter: &Filter| filter.keeps(&entry("x/a.csv", 100), now);
        assert!(keeps(&Filter::default()));
        assert!(!keeps(&Filter { min_size: Some(ByteSize(101)), ..Filter::default() }));
        assert!(keeps(&Filter { max_size: Some(ByteSize(100)), ..Filter::default() }));
        let ago = |text: &str| moment(text).ok();
        assert!(!keeps(&Filter { newer_than: ago("1h"), ..Filter::default() }));
        assert!(keeps(&Filter { newer_than: ago("2h"), ..Filter::default() }));
        assert!(keeps(&Filter { older_than: ago("1h"), ..Filter::default() }));
    }

    #[test]
    fn a_bound_folder_with_special_characters_is_matched_as_it_is() {
        let pattern = KeyPattern::parse(&format!("{}*.csv", literal("a[1]*/"))).unwrap();
        assert!(pattern.matches("a[1]*/x.csv") && !pattern.matches("a1x/x.csv"));
    }
}
