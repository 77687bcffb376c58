//! Reading the heads of a few files to learn what all of them hold.

use crate::blocking;
use crate::error::from_io;
use crate::files::SourceFile;
use crate::format::{Declared, Infer, Kind, TextOptions, by_names};
use crate::found;
use crate::guarded;
use crate::headless::First;
use crate::parted::{otherwise_parted, parts};
use crate::read::Layout;
use crate::records::{Lines, last_start, line_end};
use crate::schema::{Column, loses, merge};
use crate::store::QueryStore;
use crate::text::{self, first_record, header};
use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStore;
use std::collections::HashSet;
use std::sync::Arc;
use windlass_formats::detect;
use windlass_formats::infer::{Guess, column_of_json, join, of_json_lists};
use windlass_formats::{Format, Limits, OnError, Rows, SHEETS};
use windlass_types::{Error, ErrorCode, Result};

/// Records of each that decide the types.
const RECORDS: usize = 1000;
/// Decompressed bytes of each that are read, unless they hold only a few records.
const BYTES: usize = 256 << 10;
/// Records that are read whatever bytes they take, up to [`MOST`].
const FEW: usize = 10;
/// Bytes of few records; one record is always read.
const MOST: usize = 32 << 20;

/// What was learnt.
#[derive(Debug)]
pub(crate) struct Learnt {
    pub(crate) kind: Kind,
    pub(crate) why: String,
    pub(crate) text: TextOptions,
    /// What reads the files one by one; None: they are read in ranges.
    pub(crate) rows: Option<Arc<dyn Rows>>,
    pub(crate) columns: Vec<Column>,
    pub(crate) sampled: usize,
    /// Files that cannot be read at all, and are left out.
    pub(crate) bad: HashSet<String>,
    /// Names that columns of one file share but for their case, in lower case.
    pub(crate) twins: HashSet<String>,
    /// What DESCRIBE says of how they are read.
    pub(crate) notes: Vec<(&'static str, String)>,
}

impl Learnt {
    /// Whether files name no columns, so that only places tell them apart.
    pub(crate) fn is_nameless(&self) -> bool {
        matches!(self.kind, Kind::Csv | Kind::Tsv | Kind::Xlsx) && !self.text.header
    }
}

/// What one file taught.
pub(crate) struct Sample {
    pub(crate) schema: Schema,
    /// The first values of columns of text, as many as were asked for.
    pub(crate) values: Vec<(String, Vec<String>)>,
    /// A column of text has objects or lists in some rows.
    mixed: bool,
    first: First,
    /// The sheets of a workbook that were read, a line each.
    sheets: Option<String>,
}

impl Sample {
    /// Of a file whose metadata says its columns.
    pub(crate) fn of(mut schema: Schema) -> Self {
        let first = First::taken(&mut schema.metadata);
        let sheets = schema.metadata.remove(SHEETS);
        Self { schema, values: Vec::new(), mixed: false, first, sheets }
    }
}

/// Bytes that tell a format.
const HEAD: usize = 64 << 10;

/// Files read side by side to learn from.
const AT_ONCE: usize = 8;

/// Reads the heads of some files, spread over all.
///
/// Files that hold nothing are an error unless columns are `known` without them; then none is learnt.
pub(crate) async fn learn(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    files: &[Arc<SourceFile>],
    declared: &Declared,
    table: &str,
    known: bool,
) -> Result<Learnt> {
    if files.is_empty() && known {
        let kind = declared.kind.unwrap_or(Kind::Csv);
        return Ok(Learnt {
            kind,
            why: "there is no file".to_owned(),
            text: declared.text(kind),
            rows: None,
            columns: Vec::new(),
            sampled: 0,
            bad: HashSet::new(),
            twins: HashSet::new(),
            notes: Vec::new(),
        });
    }
    let (kind, mut why) = match declared.kind {
        Some(kind) => (kind, "as declared".to_owned()),
        None => {
            if let Some(kind) = by_names(files, table)? {
                (kind, "by the names of the files".to_owned())
            } else {
                let (kind, why) = by_content(&files[0], declared, table).await?;
                (kind, format!("by the content of `{}`: {why}", files[0].name()))
            }
        }
    };
    // Of Parquet, a bad footer is all that can be told before the query runs.
    let skips = declared.on_error != OnError::Fail;
    let all = declared.infer == Infer::Full || (skips && kind == Kind::Parquet);
    let chosen = spread(files, if all { files.len() } else { declared.sample });
    let learning = Learning { state, store, declared, chosen: &chosen };
    // Most JSON is lines; that is tried first, since it is soonest known to be wrong.
    let lines = kind == Kind::Json && !declared.is_json_of_its_own();
    let tried = match kind {
        // Lines that are left out if they are bad would hide that it is no lines.
        Kind::Json if lines && skips => match other(&chosen, declared, Kind::JsonLines).await {
            Some((Kind::Json, said, _)) => {
                why = format!("{why}; {said}");
                Kind::Json
            }
            _ => Kind::JsonLines,
        },
        Kind::Json if lines => Kind::JsonLines,
        kind => kind,
    };
    let (kind, samples) = match learning.all(tried).await {
        Ok(samples) if samples.iter().any(Result::is_ok) || files.is_empty() => (tried, samples),
        outcome => {
            let error = match outcome {
                Ok(samples) => samples.into_iter().find_map(Result::err),
                Err(error) => Some(error),
            };
            let error = error.unwrap_or_else(|| empty(table));
            if error.code() != ErrorCode::FormatInvalid {
                return Err(error);
            }
            match other(&chosen, declared, tried).await {
                Some((other, said, name)) => {
                    let otherwise = declared.kind.is_none() && !other.resembles(kind);
                    if otherwise {
                        why = format!("by the content of `{name}`: {said}, whatever its name says");
                    } else {
                        why = format!("{why}; {said}");
                    }
                    (other, learning.all(other).await?)
                }
                None => return Err(error),
            }
        }
    };
    let schemas = samples.iter().flatten().map(|sample| &sample.schema);
    let parted = otherwise_parted(schemas, declared, kind);
    let (declared, samples) = match &parted {
        None => (declared, samples),
        Some((other, how)) => {
            let learning = Learning { state, store, declared: other, chosen: &chosen };
            let again = learning.all(kind).await.ok();
            let again = again.filter(|all| parts(all.iter().flatten().map(|one| &one.schema)));
            match again {
                None => (declared, samples),
                Some(again) => {
                    why = format!("{why}; {how}");
                    (other, again)
                }
            }
        }
    };
    let bare = declared.headless(kind).filter(|_| are_headless(samples.iter().flatten()));
    let (declared, samples) = match &bare {
        None => (declared, samples),
        Some(other) => {
            let learning = Learning { state, store, declared: other, chosen: &chosen };
            (other, learning.all(kind).await?)
        }
    };
    let text = declared.text(kind);
    let mut bad = HashSet::new();
    let mut schemas = Vec::with_capacity(samples.len());
    let mut mixed = false;
    let mut sheets: Vec<String> = Vec::new();
    for (file, sample) in chosen.iter().zip(samples) {
        let sample = match sample {
            Ok(sample) => sample,
            Err(error) if skips => {
                store.told.add_file(file, &error);
                bad.insert(file.address());
                continue;
            }
            Err(error) => return Err(error),
        };
        mixed |= sample.mixed;
        sheets.extend(sample.sheets.iter().flat_map(|all| all.lines()).map(str::to_owned));
        schemas.push((file.name().to_owned(), sample.schema));
    }
    if !known && schemas.iter().all(|(_, schema)| schema.fields().is_empty()) {
        return Err(empty(table));
    }
    let mut columns = merge(&schemas);
    let none = known && columns.is_empty();
    for (name, kind) in declared.types.iter().filter(|_| !none) {
        declare(&mut columns, name, kind)?;
    }
    mixed |= columns
        .iter()
        .any(|column| column.from.iter().any(|(kind, _)| loses(column.field.data_type(), kind)));
    let rows = if mixed && kind == Kind::JsonLines {
        Some(declared.lines_of_json() as _)
    } else {
        declared.rows(kind)?
    };
    let twins = schemas.iter().flat_map(|(_, schema)| twins(schema)).collect();
    let notes = found::notes(kind, declared, &text, &chosen, &sheets);
    Ok(Learnt { kind, why, text, rows, columns, sampled: schemas.len(), bad, twins, notes })
}

/// Whether no file of these that has columns has a header.
pub(crate) fn are_headless<'a>(samples: impl Iterator<Item = &'a Sample>) -> bool {
    let full = samples.filter(|sample| !sample.schema.fields().is_empty());
    let firsts: Vec<First> = full.map(|sample| sample.first).collect();
    firsts.contains(&First::Row) && !firsts.contains(&First::Names)
}

/// Names that columns of one file share but for their case, in lower case.
fn twins(schema: &Schema) -> HashSet<String> {
    let mut seen = HashSet::new();
    let names = schema.fields().iter().map(|field| field.name().to_lowercase());
    names.filter(|name| !seen.insert(name.clone())).collect()
}

fn empty(table: &str) -> Error {
    Error::new(ErrorCode::FormatEmpty, format!("every file of `{table}` is empty"))
        .hint("they hold neither rows nor names of columns")
}

/// What the heads of the chosen files are read with.
struct Learning<'a> {
    state: &'a dyn Session,
    store: &'a Arc<QueryStore>,
    declared: &'a Declared,
    chosen: &'a [Arc<SourceFile>],
}

impl Learning<'_> {
    /// What each file teaches, read as `kind`. An error of a file that is not of that kind stands in its
    /// place where bad files are left out; any other fails.
    async fn all(&self, kind: Kind) -> Result<Vec<Result<Sample>>> {
        let text = self.declared.text(kind);
        let format = self.declared.format(kind)?;
        let skips = self.declared.on_error != OnError::Fail;
        // Boxed one by one: a closure over references would not be `Send` for every lifetime.
        let mut heads: Vec<BoxFuture<'_, Result<Result<Sample>>>> =
            Vec::with_capacity(self.chosen.len());
        for file in self.chosen {
            let (text, format) = (&text, format.clone());
            heads.push(Box::pin(async move {
                match self.one(kind, format, file, text).await {
                    Err(error) if skips && error.code() == ErrorCode::FormatInvalid => {
                        Ok(Err(error))
                    }
                    outcome => outcome.map(Ok),
                }
            }));
        }
        futures::stream::iter(heads).buffered(AT_ONCE).try_collect().await
    }

    async fn one(
        &self,
        kind: Kind,
        format: Option<Arc<dyn Format>>,
        file: &Arc<SourceFile>,
        text: &TextOptions,
    ) -> Result<Sample> {
        if kind != Kind::Parquet {
            return one(self.declared, kind, format, file, text, 0).await;
        }
        if file.member.is_some() {
            return Err(text::unreadable(file, "Parquet", "it is inside of an archive")
                .hint("Parquet is read where it is a file of its own"));
        }
        Ok(Sample::of(parquet(self.state, self.store, file).await?))
    }
}

/// What the head of a file teaches that is not Parquet; `values`: how many of each column are told.
pub(crate) async fn one(
    declared: &Declared,
    kind: Kind,
    format: Option<Arc<dyn Format>>,
    file: &Arc<SourceFile>,
    text: &TextOptions,
    values: usize,
) -> Result<Sample> {
    let infer = declared.infer;
    match (kind, format) {
        (_, Some(format)) => {
            let limits = Limits {
                rows: RECORDS,
                bytes: BYTES,
                full: infer == Infer::Full,
                text: infer == Infer::None,
                longest: text.longest,
            };
            let on_error = declared.on_error;
            Ok(Sample::of(blocking::infer(format, file, text, limits, on_error).await?))
        }
        (Kind::JsonLines, None) => json(file, text, infer, values).await,
        (_, None) => csv(file, kind, text, infer, values).await,
    }
}

/// What the first of these files says it is that is not of this kind, if it may be of another.
async fn other(
    files: &[Arc<SourceFile>],
    declared: &Declared,
    kind: Kind,
) -> Option<(Kind, &'static str, String)> {
    for file in files {
        let (head, whole) = head(file, declared).await.ok()?;
        let Some((found, why)) = detect::by_content(&head, whole) else { continue };
        let json = kind == Kind::JsonLines && found == Kind::Json;
        // What is said holds; of what goes by names, only what content says for sure.
        let free = declared.kind.is_none() && !found.resembles(kind) && found != Kind::Csv;
        if json && declared.kind != Some(Kind::JsonLines) || free {
            return Some((found, why, file.name().to_owned()));
        }
    }
    None
}

/// Gives the column the type the person said.
fn declare(columns: &mut [Column], name: &str, kind: &DataType) -> Result<()> {
    let exact = columns.iter().position(|column| column.field.name() == name);
    let mut same = (0..columns.len())
        .filter(|at| columns[*at].field.name().to_lowercase() == name.to_lowercase());
    let only = same.next().filter(|_| same.next().is_none());
    let Some(at) = exact.or(only) else {
        let names: Vec<&str> = columns.iter().map(|column| column.field.name().as_str()).collect();
        return Err(Error::new(
            ErrorCode::OptionInvalid,
            format!("TYPES names a column `{name}` that the files read do not have"),
        )
        .hint(format!("columns are {}", names.join(", "))));
    };
    columns[at].field.set_data_type(kind.clone());
    columns[at].note = Some("as declared".to_owned());
    Ok(())
}

/// First, last and evenly between.
fn spread(files: &[Arc<SourceFile>], most: usize) -> Vec<Arc<SourceFile>> {
    if files.len() <= most {
        return files.to_vec();
    }
    let gaps = most.saturating_sub(1).max(1);
    (0..most).map(|step| Arc::clone(&files[step * (files.len() - 1) / gaps])).collect()
}

pub(crate) async fn by_content(
    file: &Arc<SourceFile>,
    declared: &Declared,
    table: &str,
) -> Result<(Kind, &'static str)> {
    let (head, whole) = head(file, declared).await?;
    if head.is_empty() {
        return Ok((Kind::Csv, "it is empty")); // compressed nothing, which is said as of every empty file
    }
    detect::by_content(&head, whole).ok_or_else(|| {
        Error::new(
            ErrorCode::FormatInvalid,
            format!("neither name nor content of `{}` says what format it has", file.address()),
        )
        .hint(format!(
            "choose the files of `{table}` with a glob, or say it: CREATE FILE TABLE ... CONTENT_TYPE = CSV (or TSV, JSON, XML, AVRO, LINES, ...)"
        ))
    })
}

/// The first bytes, decompressed: enough to know a format by; and whether they are all.
async fn head(file: &Arc<SourceFile>, declared: &Declared) -> Result<(Vec<u8>, bool)> {
    let (mut stream, _) = text::open(Arc::clone(file), &declared.text(Kind::Csv), true).await?;
    let mut bytes = Vec::new();
    while bytes.len() < HEAD {
        match stream.try_next().await.map_err(|error| from_io(error, file))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok((bytes, true)),
        }
    }
    Ok((bytes, false))
}

/// Whether a sample of so many records and bytes is enough.
fn enough(records: usize, bytes: usize, infer: Infer) -> bool {
    infer != Infer::Full
        && (records >= RECORDS
            || (bytes >= BYTES && records >= FEW)
            || (bytes >= MOST && records > 0))
}

async fn csv(
    file: &Arc<SourceFile>,
    kind: Kind,
    options: &TextOptions,
    infer: Infer,
    values: usize,
) -> Result<Sample> {
    let (mut stream, _) = text::open(Arc::clone(file), options, infer != Infer::Full).await?;
    let bad = |error: ArrowError| text::unreadable(file, &kind.to_string(), error);
    let mut bytes: Vec<u8> = Vec::new();
    let mut whole = false;
    while !whole && first_record(text::without_mark(&bytes), options, false).is_none() {
        if bytes.len() > options.longest {
            return Err(text::endless(file, kind, options, 0));
        }
        match stream.try_next().await.map_err(|error| from_io(error, file))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => whole = true,
        }
    }
    let lines = text::without_mark(&bytes);
    if let Some((found, why)) = detect::by_magic(lines) {
        return Err(not_text(file, kind, found, why));
    }
    let Some(names) = header(lines, options, whole).map_err(bad)? else {
        return Ok(Sample::of(Schema::empty()));
    };
    if infer == Infer::None {
        let fields: Vec<Field> =
            names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect();
        return Ok(Sample::of(Schema::new(fields)));
    }
    let (start, end) = first_record(lines, options, whole).unwrap_or_default();
    let mut rest = lines[if options.header { end } else { start }..].to_vec();
    let layout = Layout::of_text(&names, options);
    // The texts of the header, which may be a row.
    let header = match layout.decoder(1) {
        Ok(mut decoder) if options.header => decoder.all(&lines[start..end]).unwrap_or_default(),
        _ => Vec::new(),
    };
    let mut guesses = vec![Guess::default(); names.len()];
    let mut told: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    let (mut records, mut read) = (0, rest.len());
    loop {
        // Records are taken when as many bytes are there as were looked at in vain, doubled.
        let end = if whole { rest.len() } else { last_start(&rest, Some(options)) };
        let mut decoder = layout.decoder(RECORDS).map_err(bad)?;
        // The query that reads wrong records says where they are.
        let Ok(batches) = decoder.all(&rest[..end]) else { break };
        for batch in &batches {
            for (column, guess) in batch.columns().iter().zip(&mut guesses) {
                let column = column.as_string::<i32>();
                let left = match infer {
                    Infer::Full => usize::MAX,
                    _ => RECORDS.saturating_sub(records),
                };
                column.iter().take(left).flatten().for_each(|value| guess.add(value));
            }
            for (column, told) in batch.columns().iter().zip(&mut told) {
                let left = values.saturating_sub(told.len());
                let texts = column.as_string::<i32>().iter().flatten();
                told.extend(texts.take(left).map(str::to_owned));
            }
            records += batch.num_rows();
        }
        rest.drain(..end);
        // A quote that is never closed must not bring in the whole file.
        if whole || enough(records, read, infer) || rest.len() > options.longest.max(MOST) {
            break;
        }
        let wanted = (rest.len() * 2).max(BYTES.min(64 << 10));
        while !whole && rest.len() < wanted {
            match stream.try_next().await.map_err(|error| from_io(error, file))? {
                Some(chunk) => {
                    read += chunk.len();
                    rest.extend_from_slice(&chunk);
                }
                None => whole = true,
            }
        }
    }
    let fields: Vec<Field> =
        names.iter().zip(&guesses).map(|(name, guess)| guess.field(name)).collect();
    let values = names.into_iter().zip(told).filter(|(_, told)| !told.is_empty()).collect();
    let first = header.first().map_or_else(First::default, |row| First::of(row, &guesses));
    Ok(Sample { values, first, ..Sample::of(Schema::new(fields)) })
}

async fn json(
    file: &Arc<SourceFile>,
    options: &TextOptions,
    infer: Infer,
    values: usize,
) -> Result<Sample> {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    let (mut stream, _) = text::open(Arc::clone(file), options, infer != Infer::Full).await?;
    let mut kind = DataType::Null;
    let mut rest: Vec<u8> = Vec::new();
    let mut count = Lines::default();
    let (mut records, mut read, mut seen, mut whole) = (0, 0, 0, false);
    let mut mixed = false;
    while !whole {
        match stream.try_next().await.map_err(|error| from_io(error, file))? {
            Some(chunk) => {
                read += chunk.len();
                rest.extend_from_slice(&chunk);
            }
            None => whole = true,
        }
        // No line end among the bytes looked at before: only what came is looked at.
        if !whole && !rest[seen..].iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            seen = rest.len();
            // A long array is soonest known by how it begins.
            if records == 0 && text::without_mark(&rest).trim_ascii_start().starts_with(b"[") {
                object(file, b"[", 1, 0)?;
            }
            if rest.len() > options.longest {
                let at = (read - rest.len()) as u64;
                return Err(text::endless(file, Kind::JsonLines, options, at));
            }
            continue;
        }
        let mut start = 0;
        loop {
            let line = match line_end(&rest[start..]) {
                Some(end) => &rest[start..start + end],
                None if whole && start < rest.len() => &rest[start..],
                None => break,
            };
            if line.len() > options.longest {
                let at = (read - rest.len() + start) as u64;
                return Err(text::endless(file, Kind::JsonLines, options, at));
            }
            let value = text::without_mark(line).trim_ascii();
            if !value.is_empty() && (records < RECORDS || infer == Infer::Full) {
                let (found, lists) = object(file, value, count.ended + 1, records)?;
                if records < values {
                    tell(value, &mut told);
                }
                let joined = join(&kind, &found);
                mixed |= lists
                    || (joined != kind && loses(&joined, &kind))
                    || (joined != found && loses(&joined, &found));
                kind = joined;
                records += 1;
            }
            count.pass(line);
            start += line.len();
        }
        rest.drain(..start);
        seen = rest.len().saturating_sub(1);
        if enough(records, read, infer) {
            break;
        }
    }
    let fields = match kind {
        DataType::Struct(fields) => fields,
        _ => Fields::empty(),
    };
    let text = infer == Infer::None;
    let fields: Vec<Field> = fields.iter().map(|field| column_of_json(field, text)).collect();
    Ok(Sample { values: told, mixed, ..Sample::of(Schema::new(fields)) })
}

/// Adds the texts that an object has to those of its columns.
fn tell(object: &[u8], told: &mut Vec<(String, Vec<String>)>) {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(object) else { return };
    for (name, value) in members {
        let serde_json::Value::String(text) = value else { continue };
        match told.iter_mut().find(|(known, _)| *known == name) {
            Some((_, texts)) => texts.push(text),
            None => told.push((name, vec![text])),
        }
    }
}

/// The type of the object that is line number `line`, and whether a list of it has an object or a list
/// as a text.
fn object(file: &SourceFile, value: &[u8], line: u64, before: usize) -> Result<(DataType, bool)> {
    if before == 0
        && let Some((found, why)) = detect::by_magic(value)
    {
        return Err(not_text(file, Kind::JsonLines, found, why));
    }
    if before == 0 && value.starts_with(b"[") {
        return Err(Error::new(
            ErrorCode::FormatInvalid,
            format!("`{}` is a JSON array, not JSON lines", file.address()),
        )
        .hint("say so: CREATE FILE TABLE ... CONTENT_TYPE = JSON"));
    }
    let wrong = |why: String| {
        let why = std::io::Error::other(format!("line {line}: {why}"));
        text::unreadable(file, &Kind::JsonLines.to_string(), why)
            .hint("every line is one JSON object; `jq -c .` writes them so")
    };
    match of_json_lists(value).map_err(wrong)? {
        (kind @ DataType::Struct(_), lists) => Ok((kind, lists)),
        _ => Err(wrong("it is not an object".to_owned())),
    }
}

/// The error of a file that is text by its name alone.
fn not_text(file: &SourceFile, kind: Kind, found: Kind, why: &str) -> Error {
    text::unreadable(file, &kind.to_string(), format!("it is {found}: {why}"))
        .hint(format!("leave its kind out, or say what it is: CONTENT_TYPE = {found}"))
}

async fn parquet(
    state: &dyn Session,
    store: &Arc<QueryStore>,
    file: &Arc<SourceFile>,
) -> Result<Schema> {
    let meta = store.add(file);
    let objects: Arc<dyn ObjectStore> = Arc::clone(store) as _;
    let format = ParquetFormat::default().with_force_view_types(false);
    let metas = [meta];
    let read = guarded::footer(format.infer_schema(state, &objects, &metas)).await;
    let schema = read.map_err(|error| store.of_footer(file, error))?;
    Ok(schema.as_ref().clone().with_metadata(std::collections::HashMap::default()))
}
