//! Containers one by one: figures, structure, hints; and how it is said when something fails.

use super::bucket::Walk;
use super::place::BucketPlace;
use super::router::{Draft, Leaf};
use super::{Event, Status};
use crate::find::{Finding, What};
use crate::heap::{Heap, Object, format_of, kind_of};
use crate::levels::Shown;
use crate::manifest::Entry;
use crate::model::{Column, ContainerKind, Found, Sample, Seen};
use crate::types;
use crate::world::{Declared, Member, Structure};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use windlass_types::{Error, ErrorCode, Result};

/// Containers of one bucket in work side by side; how many of them learn at once is the crawl's.
const AT_ONCE: usize = 64;
/// Bytes of the largest metadata of a table, or document that is a schema.
const METADATA: u64 = 32 << 20;
/// Commits of a Delta table's log that are read for its schema.
const COMMITS: usize = 8;

/// Where the structure of a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// In its files.
    Files,
    /// In the log of Delta.
    Delta,
    /// In Iceberg's metadata.
    Iceberg,
    /// In the files of an archive.
    Archive,
    /// It has none.
    Nothing,
}

/// A container that is to be finished.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) found: Found,
    heap: Heap,
    reads: Reads,
    declared: Declared,
    /// Columns of the path.
    partitions: Vec<Column>,
    /// What of its definition decides its structure.
    shape: String,
    /// Why its listing did not come to its end.
    pub(super) incomplete: Option<String>,
    /// A word of a manifest that is no format.
    strange: Option<String>,
    tagged: bool,
}

fn shown(columns: Vec<Shown>) -> Vec<Column> {
    let one = |shown: Shown| Column {
        partition: true,
        ..types::column(&shown.name, shown.data_type, shown.display, true)
    };
    columns.into_iter().map(one).collect()
}

impl Wanted {
    fn new(found: Found, heap: Heap, reads: Reads) -> Self {
        Self {
            found: Found { figures: heap.figures(), ..found },
            heap,
            reads,
            declared: Declared::default(),
            partitions: Vec::new(),
            shape: String::new(),
            incomplete: None,
            strange: None,
            tagged: false,
        }
    }

    /// What an entry of a manifest makes of the objects at a path.
    pub(super) fn of_entry(place: &BucketPlace, entry: &Entry, path: &str, draft: Draft) -> Self {
        let Draft { heap, file } = draft;
        if entry.is_archive() {
            let found = place.flat(path, ContainerKind::Archive);
            let mut wanted = Self::new(found, heap, Reads::Archive);
            wanted.declared.format.clone_from(&entry.format);
            wanted.found.why = vec![entry.said.clone()];
            wanted.shape = entry.shape();
            return wanted;
        }
        if entry.format.is_none() && entry.glob.is_none() {
            let mut wanted = Self::new(place.flat(path, ContainerKind::File), heap, Reads::Nothing);
            wanted.found.why = vec![format!("{}: no structure is asked for", entry.said)];
            wanted.tagged = wanted.heap.objects() == 1;
            return wanted;
        }
        let kind = if file { ContainerKind::File } else { ContainerKind::Dataset };
        let word = match &entry.format {
            Some(word) => Some(word.clone()),
            None => heap.formats().first().map(|(word, _)| (*word).to_owned()),
        };
        let known = word.as_deref().and_then(format_of);
        let mut wanted = Self::new(place.flat(path, kind), heap, Reads::Files);
        let found = &mut wanted.found;
        found.why = vec![entry.said.clone()];
        match (&word, known) {
            (Some(word), None) => {
                wanted.strange = Some(format!("`{word}` is no format that is read"));
            }
            (None, _) => wanted.strange = Some("no name of its files says a format".to_owned()),
            (Some(_), Some(kind)) => {
                found.formats = kind.format.map(str::to_owned).into_iter().collect();
                wanted.declared.format = kind.format.map(str::to_owned);
            }
        }
        found.compression = wanted.heap.compressions(wanted.declared.format.as_deref());
        found.separator.clone_from(&entry.separator);
        wanted.declared.separator.clone_from(&entry.separator);
        let mut partitioned = entry.partitioned;
        if !entry.partition_columns.is_empty() {
            partitioned |= entry.glob.is_some();
            wanted.partitions = entry
                .partition_columns
                .iter()
                .map(|column| {
                    let display =
                        column.display.clone().unwrap_or_else(|| column.data_type.clone());
                    let own = types::column(&column.name, &column.data_type, display, true);
                    Column { partition: true, description: column.description.clone(), ..own }
                })
                .collect();
        } else if entry.glob.is_some() && entry.detect_partitions {
            match wanted.heap.partitions.columns() {
                Ok(columns) => {
                    partitioned |= !columns.is_empty() || wanted.heap.partitions.deep_dates;
                    wanted.partitions = shown(columns);
                }
                Err(why) => found.why.push(format!("no partition columns: {why}")),
            }
        }
        found.partitioned = Some(partitioned);
        wanted.shape = entry.shape();
        wanted
    }

    /// What was found without a manifest.
    pub(super) fn of_finding(place: &BucketPlace, finding: Finding) -> Self {
        let Finding { path, what, format, heap, divisions, why } = finding;
        let (kind, reads) = match what {
            What::Dataset => (ContainerKind::Dataset, Reads::Files),
            What::Delta => (ContainerKind::Dataset, Reads::Delta),
            What::Iceberg => (ContainerKind::Dataset, Reads::Iceberg),
            What::File => (ContainerKind::File, Reads::Files),
            What::Archive => (ContainerKind::Archive, Reads::Archive),
            What::Folder => (ContainerKind::Folder, Reads::Nothing),
        };
        let mut wanted = Self::new(place.flat(&path, kind), heap, reads);
        wanted.found.why = why;
        wanted.declared.format.clone_from(&format);
        if matches!(reads, Reads::Files | Reads::Delta | Reads::Iceberg) {
            wanted.found.formats = match what {
                What::Delta => vec!["delta".to_owned()],
                What::Iceberg => vec!["iceberg".to_owned()],
                _ => format.into_iter().collect(),
            };
            wanted.found.compression = wanted.heap.compressions(wanted.declared.format.as_deref());
            wanted.found.partitioned = Some(!divisions.is_empty());
            match wanted.heap.partitions.columns() {
                Ok(columns) => wanted.partitions = shown(columns),
                Err(why) => wanted.found.why.push(format!("no partition columns: {why}")),
            }
        }
        wanted.shape = format!("{:?}", wanted.partitions);
        wanted
    }
}

/// Works on all of them, some side by side. What works on one takes much more memory than what is worked
/// on: it is made when its turn comes.
async fn side_by_side(
    mut all: impl Iterator<Item = impl Future<Output = Result<()>>>,
) -> Result<()> {
    let mut ends = FuturesUnordered::new();
    loop {
        while ends.len() < AT_ONCE
            && let Some(work) = all.next()
        {
            ends.push(work);
        }
        let Some(end) = ends.next().await else { return Ok(()) };
        end?;
    }
}

/// Files that are containers by themselves.
pub(super) async fn leaves(walk: &Walk<'_>, all: &[(Object, Leaf)]) -> Result<()> {
    side_by_side(all.iter().map(|(object, leaf)| self::leaf(walk, object, *leaf))).await
}

/// A file that is a container by itself.
async fn leaf(walk: &Walk<'_>, object: &Object, leaf: Leaf) -> Result<()> {
    let crawl = walk.crawl;
    if let Some(why) = crawl.plan.filter.path(&object.key).filter(|_| leaf == Leaf::Flat) {
        return crawl.tell(&walk.place.name, &object.key, Status::Skipped, why).await;
    }
    let mut heap = Heap::default();
    heap.count(object);
    let found = match leaf {
        Leaf::Tree => walk.place.in_tree(&object.key, ContainerKind::File),
        Leaf::Flat => walk.place.flat(&object.key, ContainerKind::File),
    };
    let mut found = Found {
        figures: heap.figures(),
        fingerprint: heap.fingerprint(""),
        why: vec!["a file that a manifest names".to_owned()],
        ..found
    };
    tags(walk, &mut found).await?;
    crawl.say(Event::Found(Box::new(found))).await
}

async fn tags(walk: &Walk<'_>, found: &mut Found) -> Result<()> {
    let crawl = walk.crawl;
    if !crawl.plan.tags {
        return Ok(());
    }
    match crawl.world.tags(&found.bucket, Some(&found.path)).await {
        Ok(tags) => found.tags = tags,
        Err(error) => {
            let told = format!("its tags could not be read: {}", error.chain());
            crawl.tell(&found.bucket, &found.path, Status::Warning, told).await?;
        }
    }
    Ok(())
}

/// Finishes all of them.
pub(super) async fn finish_all(walk: &Walk<'_>, all: Vec<Wanted>) -> Result<()> {
    side_by_side(all.into_iter().map(|wanted| finish(walk, wanted))).await
}

async fn finish(walk: &Walk<'_>, mut wanted: Wanted) -> Result<()> {
    let crawl = walk.crawl;
    crawl.check()?;
    let bucket = walk.place.name.as_str();
    let path = wanted.found.path.clone();
    wanted.found.fingerprint = wanted.heap.fingerprint(&wanted.shape);
    if wanted.tagged {
        tags(walk, &mut wanted.found).await?;
    }
    if let Some(reason) = wanted.incomplete.take() {
        // Of a part nothing is concluded, and the next crawl looks again.
        wanted.found.fingerprint.clear();
        return not_seen(walk, wanted.found, reason).await;
    }
    if let Some(reason) = wanted.strange.take() {
        let error = Error::new(ErrorCode::FormatInvalid, reason);
        crawl.fail(bucket, &path, &error).await?;
        wanted.found.fingerprint.clear();
        return not_seen(walk, wanted.found, error.message().to_owned()).await;
    }
    if wanted.reads == Reads::Nothing || !crawl.plan.structure {
        return crawl.say(Event::Found(Box::new(wanted.found))).await;
    }
    if wanted.reads != Reads::Archive {
        let before = crawl.world.known(bucket, &path).await?.filter(|before| {
            before.fingerprint == wanted.found.fingerprint
                && before.columns.is_some()
                && (before.again || !crawl.plan.full)
        });
        if let Some(before) = before {
            let mut found = wanted.found;
            found.columns = before.columns;
            found.formats = before.formats;
            found.figures.rows = before.rows;
            found.samples = before.samples;
            found.why.push("nothing changed since its structure was learnt".to_owned());
            return crawl.say(Event::Found(Box::new(found))).await;
        }
    }
    let learnt = {
        let _permit = crawl.learning.acquire().await;
        match wanted.reads {
            Reads::Archive => return archive(walk, wanted).await,
            Reads::Delta => delta(walk, &wanted).await,
            Reads::Iceberg => iceberg(walk, &wanted).await,
            Reads::Files | Reads::Nothing => Ok(None),
        }
        .transpose()
    };
    let learnt = if let Some(learnt) = learnt {
        learnt.map(|structure| (structure, Vec::new()))
    } else {
        let _permit = crawl.learning.acquire().await;
        files(walk, &wanted).await
    };
    let found = wanted.found;
    let (structure, samples) = match learnt {
        Ok(learnt) => learnt,
        Err(error) if error.code() == ErrorCode::Interrupted => return Err(error),
        Err(error) => {
            crawl.fail(bucket, &path, &error).await?;
            let found = Found { fingerprint: String::new(), ..found };
            return not_seen(walk, found, error.chain()).await;
        }
    };
    for (key, reason) in &structure.bad {
        let told = format!("left out of its structure: {reason}");
        crawl.tell(bucket, key, Status::Failed, told).await?;
    }
    let found = put(found, structure, samples, &wanted.partitions, wanted.heap.objects());
    crawl.say(Event::Found(Box::new(found))).await
}

async fn not_seen(walk: &Walk<'_>, found: Found, reason: String) -> Result<()> {
    let found = Found { seen: Seen::No { reason }, columns: None, ..found };
    walk.crawl.say(Event::Found(Box::new(found))).await
}

/// A container with its structure: columns of the path first.
fn put(
    found: Found,
    structure: Structure,
    samples: Vec<Sample>,
    partitions: &[Column],
    objects: u64,
) -> Found {
    let Structure { columns, format, rows, why, bad, values } = structure;
    let by_path = |column: &Column| partitions.iter().any(|one| one.name == column.name);
    // A table's own metadata knows which of its columns are in the path.
    let mut all: Vec<Column> = columns.iter().filter(|column| column.partition).cloned().collect();
    let told: Vec<String> = all.iter().map(|column| column.name.clone()).collect();
    all.extend(partitions.iter().filter(|column| !told.contains(&column.name)).cloned());
    let doubled: Vec<String> = columns
        .iter()
        .filter(|column| !column.partition && by_path(column))
        .map(|column| column.name.clone())
        .collect();
    all.extend(columns.into_iter().filter(|column| !column.partition && !by_path(column)));
    types::number(&mut all);
    crate::hints::mark(&mut all, &values);
    let mut found = Found { columns: Some(all), ..found };
    if found.formats.is_empty() {
        found.formats.extend(format);
    }
    // Every file was looked at, or the table's metadata counts them.
    let known = samples.is_empty() || samples.len() as u64 == objects;
    found.figures.rows = rows.filter(|_| known && bad.is_empty());
    found.why.extend(why);
    for name in doubled {
        found.why.push(format!("`{name}` is in the files too; the path decides"));
    }
    found.samples = samples;
    found
}

/// The structure of files, by a few of them.
async fn files(walk: &Walk<'_>, wanted: &Wanted) -> Result<(Structure, Vec<Sample>)> {
    let crawl = walk.crawl;
    let format = wanted.declared.format.as_deref();
    let samples = wanted.heap.samples(format, crawl.plan.samples);
    if samples.is_empty() {
        return Err(Error::new(ErrorCode::FormatEmpty, wanted.heap.unreadable()));
    }
    let mut structure = crawl.world.learn(&walk.place.name, &samples, &wanted.declared).await?;
    if structure.columns.is_empty() {
        return Err(Error::new(
            ErrorCode::FormatEmpty,
            "its files have neither rows nor names of columns",
        ));
    }
    let has = |name: &str| structure.columns.iter().any(|column| column.name == name);
    let schema = (has("$schema") && has("properties"))
        || has("schema")
        || (has("schemas") && has("current-schema-id"));
    let first = &samples[0];
    if schema
        && first.size <= METADATA
        && structure.format.as_deref().is_some_and(|format| format.starts_with("json"))
    {
        let bytes = crawl.world.read(&walk.place.name, &first.key, METADATA).await?;
        let document: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        if let Some(columns) = document.as_ref().and_then(types::of_document) {
            structure.columns = columns;
            structure.values.clear();
            structure.why.push(format!("`{}` is itself a schema", first.key));
        }
    }
    Ok((structure, samples))
}

/// Keys and times below a folder; an error if it cannot be listed.
async fn below(walk: &Walk<'_>, prefix: &str) -> Result<Vec<Object>> {
    let mut objects = walk.crawl.world.list(&walk.place.name, prefix);
    let mut all = Vec::new();
    while let Some(object) = objects.next().await {
        let object = object?;
        if object.key.rsplit_once('.').is_some_and(|(_, end)| end == "json")
            && object.size <= METADATA
        {
            all.push(object);
        }
    }
    Ok(all)
}

async fn text(walk: &Walk<'_>, key: &str) -> Result<String> {
    let bytes = walk.crawl.world.read(&walk.place.name, key, METADATA).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What the log of a Delta table says; None: its last commits say nothing of columns.
async fn delta(walk: &Walk<'_>, wanted: &Wanted) -> Result<Option<Structure>> {
    let mut commits = below(walk, &format!("{}/_delta_log/", wanted.found.path)).await?;
    commits.retain(|object| {
        let name = object.key.rsplit('/').next().unwrap_or_default();
        name.len() == 25 && name[..20].bytes().all(|byte| byte.is_ascii_digit())
    });
    commits.sort_by(|a, b| b.key.cmp(&a.key));
    // The newest few, then the first of all: what it says was changed by none of those.
    let oldest = commits.last().cloned();
    commits.truncate(COMMITS);
    for object in commits.iter().chain(&oldest) {
        if let Some(columns) = types::delta(&text(walk, &object.key).await?) {
            let why = vec![format!("columns are those of the commit `{}`", object.key)];
            return Ok(Some(Structure { columns, why, ..Structure::default() }));
        }
    }
    Ok(None)
}

/// What the newest metadata of an Iceberg table says.
async fn iceberg(walk: &Walk<'_>, wanted: &Wanted) -> Result<Option<Structure>> {
    let mut files = below(walk, &format!("{}/metadata/", wanted.found.path)).await?;
    files.retain(|object| object.key.ends_with(".metadata.json"));
    let version = |object: &Object| {
        let name = object.key.rsplit('/').next().unwrap_or_default().trim_start_matches('v');
        let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap_or(0)
    };
    let Some(newest) =
        files.iter().max_by_key(|object| (version(object), object.modified, object.key.clone()))
    else {
        return Ok(None);
    };
    let document: Option<serde_json::Value> =
        serde_json::from_str(&text(walk, &newest.key).await?).ok();
    let Some((columns, rows)) = document.as_ref().and_then(types::iceberg) else { return Ok(None) };
    let why = vec![format!("columns are those of `{}`", newest.key)];
    Ok(Some(Structure { columns, rows, why, ..Structure::default() }))
}

/// An archive and the files in it, each with its own structure.
async fn archive(walk: &Walk<'_>, wanted: Wanted) -> Result<()> {
    let crawl = walk.crawl;
    let bucket = walk.place.name.as_str();
    let Wanted { mut found, heap, declared, .. } = wanted;
    let format = declared.format.unwrap_or_default();
    let path = found.path.clone();
    let sample = heap.samples(None, 1).into_iter().next();
    let members = match &sample {
        Some(sample) => crawl.world.unpack(bucket, sample, &format).await,
        None => Err(Error::new(ErrorCode::FormatEmpty, heap.unreadable())),
    };
    let members: Vec<Member> = match members {
        Ok(members) => members,
        Err(error) => {
            crawl.fail(bucket, &path, &error).await?;
            found.fingerprint.clear();
            return not_seen(walk, found, error.chain()).await;
        }
    };
    found.samples.extend(sample);
    found.why.push(format!("{} files within", members.len()));
    crawl.say(Event::Found(Box::new(found))).await?;
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    for member in &members {
        *names.entry(base(&member.path)).or_default() += 1;
    }
    for member in members {
        let alone = names.get(&base(&member.path)).copied() == Some(1);
        let mut inner = walk.place.member(&path, &member.path, alone);
        inner.figures.size = Some(member.size);
        inner.figures.origin = Some("archive".to_owned());
        let kind = kind_of(&member.path);
        inner.formats = kind.format.map(str::to_owned).into_iter().collect();
        inner.compression = kind.compression.map(str::to_owned).into_iter().collect();
        match member.structure {
            Some(Ok(structure)) => {
                inner.partitioned = Some(false);
                inner = put(inner, structure, Vec::new(), &[], 1);
            }
            Some(Err(reason)) => {
                let at = inner.path.clone();
                crawl.tell(bucket, &at, Status::Failed, reason.clone()).await?;
                not_seen(walk, inner, reason).await?;
                continue;
            }
            None => {}
        }
        crawl.say(Event::Found(Box::new(inner))).await?;
    }
    Ok(())
}
