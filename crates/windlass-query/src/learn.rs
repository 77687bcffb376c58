//! What some files hold, learnt for a catalogue: by what the format says of itself, else by the first
//! rows of each. No query, no engine.

use crate::blocking::Ranged;
use crate::files::{Noted, SourceFile};
use crate::footer;
use crate::format::{Declared, Kind, kind_of};
use crate::parted::{otherwise_parted, parts};
use crate::sample::{self, Sample, are_headless};
use crate::schema::merge;
use crate::text::unreadable;
use arrow::datatypes::{Field, Schema};
use datafusion::common::runtime::SpawnedTask;
use futures::StreamExt as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use windlass_formats::archive::{self, Unpacked};
use windlass_s3::Storage;
use windlass_types::{Error, ErrorCode, ObjectPath, OptionMap, Result};

/// Values of each column that are told.
const VALUES: usize = 100;

/// A file as it was listed.
#[derive(Debug, Clone)]
pub struct OneFile {
    /// Whole key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// `ETag`: another state of the file is not read.
    pub etag: Option<String>,
}

/// What files hold.
#[derive(Debug)]
pub struct LearntFiles {
    /// The format's word: `csv`, `tsv`, `jsonl`, `json`, `parquet`, ...
    pub format: &'static str,
    /// Columns with what is worth telling of each.
    pub fields: Vec<(Field, Option<String>)>,
    /// Rows of all of them, where the format counts them.
    pub rows: Option<u64>,
    /// How the format was known.
    pub why: String,
    /// Files that could not be read, with the error; at least one could.
    pub bad: Vec<(String, Error)>,
    /// Some values of columns of text.
    pub values: Vec<(String, Vec<String>)>,
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Csv => "csv",
        Kind::Tsv => "tsv",
        Kind::JsonLines => "jsonl",
        Kind::Json => "json",
        Kind::Parquet => "parquet",
        Kind::Avro => "avro",
        Kind::Arrow => "arrow",
        Kind::Orc => "orc",
        Kind::Xlsx => "xlsx",
        Kind::Xml => "xml",
        Kind::Fixed => "fixed",
        Kind::Regex => "regex",
        Kind::Lines => "lines",
    }
}

fn source(storage: &Storage, bucket: &str, file: &OneFile) -> Arc<SourceFile> {
    Arc::new(SourceFile {
        storage: Storage::clone(storage),
        object: ObjectPath { bucket: bucket.to_owned(), key: file.key.clone() },
        size: file.size,
        etag: file.etag.clone(),
        modified: None,
        member: None,
        base: 0,
        noted: Noted::default(),
    })
}

/// Learns what files of one table hold. `content`: options as of `CONTENT_TYPE`. An error only if none
/// of them can be read.
pub async fn learn_files(
    storage: &Storage,
    bucket: &str,
    files: &[OneFile],
    content: &OptionMap,
) -> Result<LearntFiles> {
    let mut declared = Declared::read(content)?;
    let mut sources = Vec::with_capacity(files.len());
    for file in files {
        let file = source(storage, bucket, file);
        // Of an archive with one text in it, as of a compressed text, the text is meant.
        match crate::archive::expand(vec![Arc::clone(&file)], &declared, &file.object.key).await {
            Ok(members) => sources.extend(members),
            Err(_) => sources.push(file),
        }
    }
    let first = sources.first().ok_or_else(|| Error::new(ErrorCode::FormatEmpty, "no file"))?;
    let (kind, why) = match declared.kind.or_else(|| kind_of(first.name())) {
        Some(kind) if declared.kind.is_some() => (kind, "the format is declared".to_owned()),
        Some(kind) => (kind, "the format is that of the names".to_owned()),
        None => {
            let (kind, why) = sample::by_content(first, &declared, &first.object.key).await?;
            (kind, format!("the format is that of the content: {why}"))
        }
    };
    let (mut read, mut why) = (all(&declared, kind, &sources).await, why);
    if let Some((other, how)) = otherwise_parted(schemas_of(&read), &declared, kind) {
        let again = all(&other, kind, &sources).await;
        if again.iter().all(Result::is_ok) && parts(schemas_of(&again)) {
            why = format!("{why}; {how}");
            read = again;
            declared = other;
        }
    }
    let bare = declared.headless(kind).filter(|_| {
        read.iter().all(Result::is_ok) && are_headless(read.iter().flatten().map(|(_, s, _)| s))
    });
    if let Some(declared) = bare {
        let again = all(&declared, kind, &sources).await;
        if again.iter().all(Result::is_ok) {
            why.push_str("; they have no header");
            read = again;
        }
    }
    let mut learnt = LearntFiles {
        format: word(kind),
        fields: vec![],
        rows: None,
        why,
        bad: vec![],
        values: vec![],
    };
    let (mut schemas, mut rows): (Vec<(String, Schema)>, Option<u64>) = (Vec::new(), Some(0));
    for (file, outcome) in sources.iter().zip(read) {
        match outcome {
            Ok((kind, sample, count)) => {
                learnt.format = word(kind);
                rows = rows.zip(count).map(|(all, count)| all + count);
                for (name, values) in sample.values {
                    match learnt.values.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => known.extend(values),
                        None => learnt.values.push((name, values)),
                    }
                }
                schemas.push((file.name().to_owned(), sample.schema));
            }
            Err(error) if error.code() == ErrorCode::Interrupted => return Err(error),
            Err(error) => learnt.bad.push((file.object.key.clone(), error)),
        }
    }
    if schemas.is_empty() {
        let bad = learnt.bad.into_iter().next().map(|(_, error)| error);
        return Err(bad.unwrap_or_else(|| Error::new(ErrorCode::FormatEmpty, "no file")));
    }
    learnt.rows = rows;
    let nullable = |name: &str| {
        schemas
            .iter()
            .any(|(_, schema)| schema.field_with_name(name).map_or(true, Field::is_nullable))
    };
    learnt.fields = merge(&schemas)
        .into_iter()
        .map(|column| {
            let nullable = nullable(column.field.name());
            (column.field.with_nullable(nullable), column.note)
        })
        .collect();
    Ok(learnt)
}

/// The kind of a file as it turned out, what its head teaches, its rows.
type One = (Kind, Sample, Option<u64>);

async fn all(declared: &Declared, kind: Kind, files: &[Arc<SourceFile>]) -> Vec<Result<One>> {
    let work: Vec<futures::future::BoxFuture<'_, Result<One>>> =
        files.iter().map(|file| Box::pin(one(declared, kind, file)) as _).collect();
    futures::stream::iter(work).buffered(4).collect().await
}

fn schemas_of(read: &[Result<One>]) -> impl Iterator<Item = &Schema> {
    read.iter().flatten().map(|(_, sample, _)| &sample.schema)
}

/// One file; what is called JSON is lines first, which is soonest known to be wrong.
async fn one(declared: &Declared, kind: Kind, file: &Arc<SourceFile>) -> Result<One> {
    if kind == Kind::Parquet {
        let (schema, rows) = footer::read(file).await?;
        return Ok((kind, Sample::of(schema), Some(rows)));
    }
    let read = async |kind: Kind| {
        let text = declared.text(kind);
        let sample =
            sample::one(declared, kind, declared.format(kind)?, file, &text, VALUES).await?;
        Ok((kind, sample, None))
    };
    if !matches!(kind, Kind::Json | Kind::JsonLines) {
        return read(kind).await;
    }
    match read(Kind::JsonLines).await {
        Err(error) if error.code() == ErrorCode::FormatInvalid => match read(Kind::Json).await {
            Ok(read) => Ok(read),
            Err(other) => Err(if kind == Kind::Json { other } else { error }),
        },
        outcome => outcome,
    }
}

/// Unpacks the files of an archive that `wanted` names into a folder of this machine; answers all
/// files of the archive. A ZIP is read in ranges, only what is wanted.
pub async fn unpack(
    storage: &Storage,
    bucket: &str,
    archive: &OneFile,
    format: &str,
    into: &Path,
    wanted: fn(&str) -> bool,
) -> Result<Vec<Unpacked>> {
    let file = source(storage, bucket, archive);
    let ranged = Ranged::new(Arc::clone(&file));
    let failed = ranged.failure();
    let (format, into, size) = (format.to_owned(), into.to_owned(), file.size);
    let work = move || archive::unpack(ranged.boxed(), size, &format, &into, wanted);
    let unpacked = SpawnedTask::spawn_blocking(work).join().await.map_err(|error| {
        Error::new(ErrorCode::Internal, "an archive was not read").source(error)
    })?;
    unpacked.map_err(|failure| {
        let said = || {
            let error = unreadable(&file, "archive", io::Error::other(failure.to_string()));
            match &failure.hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            }
        };
        failed.take().unwrap_or_else(said)
    })
}
