//! `rm`: deletes keys, or all below a prefix after saying how much that is.

use crate::commands::{Ending, counted};
use crate::failure::{Failure, Outcome};
use crate::render::Format;
use crate::render::text::safe;
use crate::session::{Place, Session, no_answer};
use clap::Args;
use futures::TryStreamExt as _;
use serde_json::json;
use windlass_core::engine::ListOptions;
use windlass_types::{ByteSize, Entry, EntryKind, Error, ErrorCode, Location, Result};

/// Delete objects.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. One object:                windlass rm landing:bucket/old.csv
  2. A folder, after asking:    windlass rm -r landing:bucket/old/
  3. What that would delete:    windlass rm -r --dry-run landing:bucket/old/
  4. Without asking:            windlass rm -r --yes landing:bucket/old/")]
pub struct Rm {
    /// CONN:BUCKET/KEY; keys are literal
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// Everything below each path, taken as a folder
    #[arg(short, long)]
    pub recursive: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be deleted; delete nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Keys deleted by one request.
const BATCH: usize = 1000;
/// How often a prefix is listed again until nothing is left: keys can appear, and some services
/// lose their place in a listing while keys go.
const PASSES: usize = 3;

#[derive(Debug, Default)]
struct Counts {
    deleted: u64,
    failed: u64,
    bytes: u64,
}

/// `rm`.
pub async fn run(session: &Session, args: Rm) -> Ending {
    let mut places = Vec::new();
    for path in &args.paths {
        let place = session.place(path).await?;
        if !args.recursive {
            check_key(&place)?;
        }
        if place.storage.read_only() && !args.dry_run {
            return Err(Error::new(
                ErrorCode::ConnectionReadOnly,
                format!("connection `{}` is READ_ONLY", place.storage.name()),
            )
            .hint("use a connection that may write")
            .into());
        }
        places.push(place);
    }
    let mut counts = Counts::default();
    for place in &places {
        if args.recursive {
            if !args.dry_run && !args.yes && !confirmed(session, place).await? {
                session.talk(if counts.deleted > 0 {
                    "not deleted"
                } else {
                    "nothing was deleted"
                });
                return Ok(Outcome::Failed);
            }
            below(session, &args, place, &mut counts).await?;
        } else {
            one(session, &args, place, &mut counts).await?;
        }
    }
    report(session, &args, &counts)?;
    Ok(if counts.failed > 0 { Outcome::Partial } else { Outcome::Done })
}

fn check_key(place: &Place) -> Result<()> {
    place.object().map(drop).map_err(|error| error.hint("`rm -r` deletes all below a prefix"))?;
    if place.is_local_folder() {
        return Err(Error::new(ErrorCode::PathInvalid, format!("`{}` is a folder", place.typed()))
            .hint("`rm -r` deletes a folder"));
    }
    Ok(())
}

async fn one(
    session: &Session,
    args: &Rm,
    place: &Place,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let object = place.object()?;
    // Deleting what is not there succeeds in S3; a person wants to hear of a slip. Who may delete
    // but not look is believed.
    let size = match place.storage.stat(&object, None).await {
        Ok(meta) => meta.size,
        Err(error) if error.code() == ErrorCode::ConnectionDenied => 0,
        Err(error) if error.code() == ErrorCode::ObjectNotFound => {
            return Err(error.hint("`rm -r` deletes all below a prefix").into());
        }
        Err(error) => return Err(error.into()),
    };
    if !args.dry_run {
        place.storage.delete(&object).await?;
    }
    counts.deleted += 1;
    counts.bytes += size;
    item(session, args, place, &object.key, size, None)
}

/// The place as a folder: `tmp` means `tmp/`, never `tmp2/`.
fn folder(place: &Place) -> Location {
    let mut location = place.location.clone();
    if !location.key.is_empty() && !location.key.ends_with('/') {
        location.key.push('/');
    }
    location
}

async fn below(
    session: &Session,
    args: &Rm,
    place: &Place,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let bucket = place.location.need_bucket()?.to_owned();
    let location = folder(place);
    let shown = place.storage.address(&bucket, &location.key);
    let options = ListOptions { recursive: true, ..ListOptions::default() };
    let mut found_any = false;
    for pass in 0..PASSES {
        let mut found: u64 = 0;
        let mut batch: Vec<Entry> = Vec::new();
        let mut entries = place.storage.list(&location, options.clone());
        loop {
            let entry = entries.try_next().await?;
            let ended = entry.is_none();
            batch.extend(entry.filter(|entry| entry.kind == EntryKind::Object));
            if batch.len() >= BATCH || (ended && !batch.is_empty()) {
                found += batch.len() as u64;
                delete(session, args, place, &bucket, std::mem::take(&mut batch), counts).await?;
            }
            if ended {
                break;
            }
        }
        found_any |= found > 0;
        // What failed is still there: listing it again would only fail again.
        if found == 0 || args.dry_run || counts.failed > 0 || pass + 1 == PASSES {
            break;
        }
    }
    if !found_any {
        return Err(nothing_below(place, &shown).into());
    }
    Ok(())
}

fn nothing_below(place: &Place, shown: &str) -> Error {
    let error = Error::new(ErrorCode::ObjectNotFound, format!("nothing is below `{shown}`"));
    if place.location.key.ends_with('/') || place.location.key.is_empty() {
        return error;
    }
    error.hint("`rm -r` takes its path as a folder; `rm` without `-r` deletes the key itself")
}

/// Whether the person says that all below the place may go.
async fn confirmed(session: &Session, place: &Place) -> Result<bool, Failure> {
    let location = folder(place);
    let shown = place.storage.address(place.location.need_bucket()?, &location.key);
    let console = &session.console;
    if !console.in_terminal || !console.err_terminal {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            "`rm -r` asks before it deletes, and there is no terminal to ask on",
        )
        .hint("give `--yes` to delete without being asked, or `--dry-run` to see what would go")
        .into());
    }
    let options = ListOptions { recursive: true, ..ListOptions::default() };
    let (mut objects, mut bytes) = (0, 0);
    let mut entries = place.storage.list(&location, options);
    while let Some(entry) = entries.try_next().await? {
        if entry.kind == EntryKind::Object {
            objects += 1;
            bytes += entry.size.unwrap_or(0);
        }
    }
    if objects == 0 {
        return Err(nothing_below(place, &shown).into());
    }
    let question = format!(
        "delete {} ({}) below `{shown}`? [y/N] ",
        counted(objects, "object"),
        ByteSize(bytes)
    );
    let asking = console.clone();
    let answer = tokio::task::spawn_blocking(move || asking.ask(&question))
        .await
        .map_err(|error| Error::new(ErrorCode::Internal, "asking failed").source(error))?
        .map_err(no_answer)?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

async fn delete(
    session: &Session,
    args: &Rm,
    place: &Place,
    bucket: &str,
    batch: Vec<Entry>,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let keys: Vec<String> = batch.iter().map(|entry| entry.key.clone()).collect();
    let failed =
        if args.dry_run { Vec::new() } else { place.storage.delete_many(bucket, &keys).await? };
    let failed: std::collections::HashMap<String, Error> = failed.into_iter().collect();
    for entry in batch {
        let size = entry.size.unwrap_or(0);
        let error = failed.get(&entry.key);
        if error.is_some() {
            counts.failed += 1;
        } else {
            counts.deleted += 1;
            counts.bytes += size;
        }
        item(session, args, place, &entry.key, size, error)?;
    }
    Ok(())
}

/// Shows one key, where that is wanted.
fn item(
    session: &Session,
    args: &Rm,
    place: &Place,
    key: &str,
    size: u64,
    error: Option<&Error>,
) -> Result<(), Failure> {
    let bucket = place.location.bucket.as_deref().unwrap_or_default();
    let name = place.storage.address(bucket, key);
    let status = match error {
        Some(_) => "failed",
        None if args.dry_run => "planned",
        None => "done",
    };
    if let Some(error) = error {
        session.console.warn(&format!("`{name}` was not deleted: {}", error.chain()));
    }
    match session.global.output {
        Format::Jsonl => session.console.line(
            &json!({
                "action": "delete",
                "source": null,
                "destination": name,
                "size": size,
                "status": status,
                "reason": error.map(Error::chain),
            })
            .to_string(),
        ),
        Format::Table if args.dry_run => {
            session.console.line(&format!("delete {} ({})", safe(&name), ByteSize(size)))
        }
        _ => Ok(()),
    }
}

fn report(session: &Session, args: &Rm, counts: &Counts) -> Result<(), Failure> {
    if session.global.output.is_json() {
        return session.console.line(
            &json!({
                "deleted": counts.deleted,
                "failed": counts.failed,
                "bytes": counts.bytes,
                "dry_run": args.dry_run,
            })
            .to_string(),
        );
    }
    let verb = if args.dry_run { "would be deleted" } else { "deleted" };
    let mut text =
        format!("{} {verb} ({})", counted(counts.deleted, "object"), ByteSize(counts.bytes));
    if counts.failed > 0 {
        text = format!("{text}, {} failed", counts.failed);
    }
    session.talk(&text);
    Ok(())
}
