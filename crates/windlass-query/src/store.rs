//! The object store DataFusion sees: opaque paths that stand for exact keys and one state of each.
//!
//! `object_store::path::Path` cannot hold `//`, `.` or control characters, so a path here is only a
//! digest and a readable name. Listing and writing are not its business.

use crate::cache::{Caches, lasting};
use crate::error::from_engine;
use crate::files::SourceFile;
use crate::text::unreadable;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    coalesce_ranges,
};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use windlass_formats::bad::BadFiles;
use windlass_s3::access::ByteRange;
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode, ObjectPath};

/// Where one query tells of bad rows and files.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    files: Arc<BadFiles>,
    fabric: Arc<str>,
    query: u64,
    /// Files that something was told of.
    pub(crate) of: LeftOut,
}

/// The files of a query of which not every row could be read as it is; known once the query has ended.
#[derive(Debug, Clone, Default)]
pub struct LeftOut(Arc<Mutex<Left>>);

#[derive(Debug, Default)]
struct Left {
    /// Files, with the rows of each.
    files: HashMap<ObjectPath, u64>,
    /// Files that broke off, or could not be read at all.
    broken: HashSet<ObjectPath>,
    /// The first that was told.
    first: Option<String>,
    /// Bad rows may be read in part.
    in_part: bool,
}

/// Characters of the first reason that are told.
const REASON: usize = 200;

impl LeftOut {
    fn inner(&self) -> std::sync::MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this file is one of them.
    pub fn has(&self, bucket: &str, key: &str) -> bool {
        let file = ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() };
        let left = self.inner();
        left.files.contains_key(&file) || left.broken.contains(&file)
    }

    /// Rows that were left out or read in part.
    pub fn rows(&self) -> u64 {
        self.inner().files.values().sum()
    }

    /// What a person is told of them; None: everything was read.
    pub fn said(&self) -> Option<String> {
        let left = self.inner();
        let many = |number: u64, what: &str| {
            if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
        };
        let mut said = Vec::new();
        if !left.files.is_empty() {
            let rows = many(left.files.values().sum(), "row");
            let files = many(left.files.len() as u64, "file");
            let how = if left.in_part { "left out or read in part" } else { "left out" };
            let verb = if rows.starts_with("1 ") { "was" } else { "were" };
            said.push(format!("{rows} of {files} {verb} {how}"));
        }
        if !left.broken.is_empty() {
            let files = many(left.broken.len() as u64, "file");
            said.push(format!("{files} could not be read to the end"));
        }
        let first = left.first.as_ref()?;
        Some(format!("{}; see system.read_errors; first {first}", said.join(", ")))
    }

    fn add(&self, file: &SourceFile, line: Option<u64>, why: &str) {
        let mut left = self.inner();
        match line {
            // Formats without lines tell of rows by their number.
            Some(_) => match left.files.get_mut(&file.object) {
                Some(rows) => *rows += 1,
                None => drop(left.files.insert(file.object.clone(), 1)),
            },
            None if left.broken.contains(&file.object) => {}
            None => drop(left.broken.insert(file.object.clone())),
        }
        if left.first.is_none() {
            let place = line.map_or_else(String::new, |line| format!(", line {line}"));
            let why: String = why.chars().take(REASON).collect();
            left.first = Some(format!("`{}`{place}: {why}", file.address()));
        }
    }
}

impl Told {
    pub(crate) fn new(files: Arc<BadFiles>, fabric: &str, query: u64) -> Self {
        Self { files, fabric: fabric.into(), query, of: LeftOut::default() }
    }

    /// Says that bad rows may be read in part.
    pub(crate) fn in_part(&self) {
        self.of.inner().in_part = true;
    }

    /// Tells of a bad row of a file, or of the file if there is no line.
    pub(crate) fn add(&self, file: &SourceFile, line: Option<u64>, why: &str) {
        self.of.add(file, line, why);
        self.files.add((&self.fabric, self.query), Utc::now(), &file.address(), line, why);
    }

    /// Tells of a file that cannot be read at all.
    pub(crate) fn add_file(&self, file: &SourceFile, error: &Error) {
        self.add(file, None, &error.chain());
    }
}

/// The files of one query.
#[derive(Debug, Clone)]
pub(crate) struct QueryStore {
    pub(crate) told: Told,
    caches: Caches,
    files: Arc<RwLock<HashMap<Path, Known>>>,
    failure: Arc<Mutex<Option<ErrorBody>>>,
}

/// A file of a query.
#[derive(Debug, Clone)]
struct Known {
    file: Arc<SourceFile>,
    /// Its path is the same in each query, so that its bytes may be kept.
    lasting: bool,
}

/// Where the store is registered.
pub(crate) fn url() -> ObjectStoreUrl {
    ObjectStoreUrl::parse("windlass://files").expect("a constant URL parses")
}

impl QueryStore {
    /// The store of a query that tells `told` of what is bad.
    pub(crate) fn new(told: Told, caches: Caches) -> Self {
        Self { told, caches, files: Arc::default(), failure: Arc::default() }
    }

    /// Gives `file` a path: the same as in other queries, as long as it is the same file.
    pub(crate) fn add(&self, file: &Arc<SourceFile>) -> ObjectMeta {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let readable: String = file
            .name()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '_' })
            .collect();
        let lasting = lasting(file);
        let known = Known { file: Arc::clone(file), lasting: lasting.is_some() };
        // The caches see the paths of every query: one that does not last must be this query's alone.
        let id = lasting.unwrap_or_else(|| format!("q{}.{}", self.told.query, files.len()));
        let location = Path::from(format!("{id}-{readable}"));
        files.insert(location.clone(), known);
        meta(location, file)
    }

    /// What the engine said, unless it is the storage's failure turned into text: then that.
    ///
    /// The Parquet reader flattens the errors of its input on some of its ways.
    pub(crate) fn explain(&self, error: DataFusionError) -> Error {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match failure.map(Error::from) {
            Some(failure) if error.to_string().contains(failure.message()) => failure,
            _ => from_engine(error),
        }
    }

    /// What is wrong with a file whose footer could not be read.
    pub(crate) fn of_footer(&self, file: &SourceFile, error: DataFusionError) -> Error {
        let error = self.explain(error);
        let of_file = [ErrorCode::FormatInvalid, ErrorCode::SqlExecution, ErrorCode::Internal]
            .contains(&error.code());
        if of_file { unreadable(file, "Parquet", error) } else { error }
    }

    /// Our error in theirs, so that it comes out again as it went in.
    pub(crate) fn carry(&self, error: Error) -> object_store::Error {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| ErrorBody::from(&error));
        object_store::Error::Generic { store: "windlass", source: Box::new(error) }
    }

    pub(crate) fn find(&self, location: &Path) -> Result<Arc<SourceFile>> {
        self.known(location).map(|known| known.file)
    }

    fn known(&self, location: &Path) -> Result<Known> {
        let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
        files.get(location).cloned().ok_or_else(|| object_store::Error::NotFound {
            path: location.to_string(),
            source: "not a file of this query".into(),
        })
    }
}

/// Bytes between two ranges that are read rather than asking twice.
const GAP: u64 = 256 << 10;

/// The bytes that a request asks for of a file of `size` bytes. None if it has not all of them: decoders
/// take it for granted that they get what they ask for.
pub(crate) fn bytes_of(asked: Option<&GetRange>, size: u64) -> Option<Range<u64>> {
    match asked {
        None => Some(0..size),
        Some(GetRange::Bounded(range)) => (range.end <= size).then(|| range.clone()),
        Some(GetRange::Offset(start)) => Some((*start).min(size)..size),
        Some(GetRange::Suffix(length)) => Some(size.saturating_sub(*length)..size),
    }
}

fn meta(location: Path, file: &SourceFile) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: file.modified.unwrap_or(DateTime::UNIX_EPOCH),
        size: file.size,
        e_tag: file.etag.clone(),
        version: None,
    }
}

pub(crate) fn unsupported(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "the store of a query".to_owned(),
    }
}

impl fmt::Display for QueryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("windlass")
    }
}

#[async_trait]
impl ObjectStore for QueryStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let file = self.find(location)?;
        let range = bytes_of(options.range.as_ref(), file.size).ok_or_else(|| {
            let what = format!("`{}` speaks of bytes that it has not", file.address());
            self.carry(Error::new(ErrorCode::FormatInvalid, what).hint("it is cut off or damaged"))
        })?;
        let result = |stream| GetResult {
            payload: GetResultPayload::Stream(stream),
            meta: meta(location.clone(), &file),
            range: range.clone(),
            attributes: object_store::Attributes::default(),
        };
        if options.head || range.start >= range.end {
            return Ok(result(futures::stream::empty().boxed()));
        }
        let whole = range.start == 0 && range.end == file.size;
        let part = (!whole).then(|| ByteRange::Bounded(range.start, range.end - range.start));
        let body = file.open(part).await.map_err(|error| self.carry(error))?;
        let this = self.clone();
        Ok(result(body.map(move |bytes| bytes.map_err(|error| this.carry(error))).boxed()))
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let lasting = self.known(location)?.lasting;
        let mut found: Vec<Option<Bytes>> =
            ranges.iter().map(|range| self.caches.range(location, range)).collect();
        let (wanted, places): (Vec<Range<u64>>, Vec<usize>) = (0..ranges.len())
            .filter(|at| found[*at].is_none())
            .map(|at| (ranges[at].clone(), at))
            .unzip();
        let read = AtomicU64::new(0);
        let fetch = |range: Range<u64>| {
            read.fetch_add(range.end - range.start, Ordering::Relaxed);
            let options = GetOptions::default().with_range(Some(range));
            async move { self.get_opts(location, options).await?.bytes().await }
        };
        let got = coalesce_ranges(&wanted, fetch, GAP).await?;
        let bytes: u64 = wanted.iter().map(|range| range.end - range.start).sum();
        let alone = bytes > read.into_inner() / 8 * 7;
        for ((at, range), bytes) in places.into_iter().zip(&wanted).zip(got) {
            if lasting {
                self.caches.keep(location, range, &bytes, alone);
            }
            found[at] = Some(bytes);
        }
        Ok(found.into_iter().flatten().collect())
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(unsupported("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        futures::stream::iter([Err(unsupported("delete"))]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::iter([Err(unsupported("list"))]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(unsupported("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("copy"))
    }
}
