//! Delta Lake tables in place: which files a table has, and which rows of them, its log says.
//!
//! `deltalake-core` reads the log and plans the scan, over the storage of the connection. Deletion
//! vectors and column mapping are its business too.

use crate::delta_scan::LogScan;
use crate::files::Place;
use crate::format::content;
use crate::store::{QueryStore, bytes_of, unsupported};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use deltalake_core::delta_datafusion::DeltaScanNext;
use deltalake_core::kernel::Snapshot;
use deltalake_core::logstore::{LogStore, StorageConfig, default_logstore};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use url::Url;
use windlass_s3::ListingOrder;
use windlass_s3::access::{ByteRange, ListOptions};
use windlass_types::options::parse_moment;
use windlass_types::{
    ByteSize, Entry, EntryKind, Error, ErrorCode, Location, ObjectPath, OptionMap, OptionValue,
    Result,
};

/// The folder of a table's log, within that of the table.
pub(crate) const LOG: &str = "_delta_log/";

/// The word of TYPE.
const TYPE: &str = "DELTA";

/// Tables that were opened. Stores are found by the host of a URL, and footers are kept by path: so
/// each table has a host and a path of its own.
static OPENED: AtomicU64 = AtomicU64::new(0);

/// Which state of a table is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// The newest.
    #[default]
    Newest,
    /// This version.
    Version(u64),
    /// The newest that was there at this time.
    Time(DateTime<Utc>),
}

/// Whether a folder has the log of a Delta Lake table. The first page says so, or that there is none,
/// unless names before the log's fill it; then it is looked for among Parquet files.
pub(crate) async fn has_log(
    place: &Place,
    entries: &[Entry],
    more: bool,
    requests: &Arc<AtomicU64>,
) -> Result<bool> {
    if place.is_pattern() {
        return Ok(false);
    }
    let log = format!("{}{}", place.folder(), LOG);
    if entries.iter().any(|entry| entry.key.starts_with(&log)) {
        return Ok(true);
    }
    let before = entries.iter().map(|entry| &entry.key).max().is_none_or(|key| *key < log);
    if !more || !before || !entries.iter().any(|entry| entry.key.ends_with(".parquet")) {
        return Ok(false);
    }
    requests.fetch_add(1, Ordering::Relaxed);
    let location = Location { bucket: Some(place.bucket.clone()), key: log };
    let options = ListOptions { recursive: true, lazy: true, ..ListOptions::default() };
    Ok(place.storage.list(&location, options).try_next().await?.is_some())
}

impl AsOf {
    /// What `CONTENT_TYPE` says of it; None: the type is another, or none.
    pub(crate) fn read(options: &OptionMap) -> Result<Option<Self>> {
        let (mut as_of, mut other, mut delta) = (None, None, false);
        for (name, value) in content(options) {
            let read = match (name.as_str(), value) {
                ("TYPE", OptionValue::Text(kind) | OptionValue::Word(kind)) => {
                    delta = kind.eq_ignore_ascii_case(TYPE);
                    continue;
                }
                ("VERSION", OptionValue::Integer(version)) => {
                    u64::try_from(*version).ok().map(Self::Version)
                }
                ("TIMESTAMP", OptionValue::Text(time)) => parse_moment(time).map(Self::Time),
                ("TIMESTAMP", OptionValue::Interval(age)) => {
                    let age = i64::try_from(*age).ok().and_then(TimeDelta::try_seconds);
                    age.and_then(|age| Utc::now().checked_sub_signed(age)).map(Self::Time)
                }
                ("VERSION" | "TIMESTAMP", _) => None,
                _ => {
                    other.get_or_insert(name);
                    continue;
                }
            };
            let wrong = |what: String| Error::new(ErrorCode::OptionInvalid, what);
            let read = read.ok_or_else(|| wrong(format!("{name} is none")))?;
            if as_of.replace(read).is_some() {
                let what = "VERSION and TIMESTAMP each choose a state of the table".to_owned();
                return Err(wrong(what).hint("say one of them"));
            }
        }
        let beside = ["DATE_PATTERN", "ON_SCHEMA_CHANGE", "COMPRESSION"];
        let beside = beside.into_iter().find(|name| options.contains_key(*name));
        if let Some(other) = other.or_else(|| beside.map(str::to_owned)).filter(|_| delta) {
            let what = format!("{other} has no sense for a Delta Lake table");
            return Err(Error::new(ErrorCode::OptionInvalid, what).hint(
                "its log says how it is read; beside TYPE = DELTA there are VERSION and TIMESTAMP",
            ));
        }
        match as_of {
            Some(_) if !delta => Err(Error::new(
                ErrorCode::OptionInvalid,
                "VERSION and TIMESTAMP are of Delta Lake tables alone",
            )
            .hint(
                "write TYPE = DELTA beside it, or read_delta('connection', 'path', version => 3)",
            )),
            as_of => Ok(delta.then(|| as_of.unwrap_or_default())),
        }
    }
}

/// A table that is open, in one state.
pub(crate) struct LogTable {
    pub(crate) provider: Arc<dyn TableProvider>,
    snapshot: Arc<Snapshot>,
    log: Arc<dyn LogStore>,
    written: String,
}

impl LogTable {
    /// Reads the log of the table in the folder `place`; `written` is how the person wrote it.
    pub(crate) async fn open(
        store: &Arc<QueryStore>,
        place: &Place,
        as_of: AsOf,
        written: &str,
    ) -> Result<Self> {
        let failed = |error: DeltaTableError| match error {
            DeltaTableError::NotATable(_) | DeltaTableError::InvalidVersion(_) => {
                no_state(written, as_of)
            }
            error if error.to_string().contains("LogSegment end version") => {
                no_state(written, as_of)
            }
            error => failed(store, written, DataFusionError::External(Box::new(error))),
        };
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let url = format!("windlass://delta-{number}/{number}/");
        let url = Url::parse(&url).expect("it has a host and a path");
        let root: Arc<dyn ObjectStore> = Arc::new(Folder {
            place: place.clone(),
            number: format!("{number}/"),
            failures: Arc::clone(store),
        });
        let within = Arc::new(PrefixStore::new(Arc::clone(&root), number.to_string()));
        let log = default_logstore(within, root, &url, &StorageConfig::default());
        let version = match as_of {
            AsOf::Newest => None,
            AsOf::Version(version) => Some(version),
            AsOf::Time(time) => {
                let mut table = DeltaTable::new(Arc::clone(&log));
                table.load_with_datetime(time).await.map_err(failed)?;
                // Before the first version, that is what it gives.
                let version = table.version();
                let state = table.snapshot().map_err(failed)?;
                let made = version.and_then(|version| state.version_timestamp(version));
                if made.is_some_and(|made| made > time.timestamp_millis()) {
                    return Err(no_state(written, as_of));
                }
                version
            }
        };
        let snapshot = Snapshot::try_new(log.as_ref(), version).await.map_err(failed)?;
        let snapshot = Arc::new(snapshot);
        let builder = DeltaScanNext::builder()
            .with_log_store(Arc::clone(&log))
            .with_snapshot(Arc::clone(&snapshot));
        let inner = builder.await.map_err(|error| self::failed(store, written, error))?;
        let (store, name) = (Arc::clone(store), written.to_owned());
        let provider = Arc::new(LogScan { inner, store, written: name });
        Ok(Self { provider, snapshot, log, written: written.to_owned() })
    }

    /// The version of the table.
    pub(crate) fn version(&self) -> u64 {
        self.snapshot.version()
    }

    /// The columns that the table is partitioned by.
    pub(crate) fn partition_columns(&self) -> &[String] {
        self.snapshot.metadata().partition_columns()
    }

    /// The error of a column for free, which it has not.
    pub(crate) fn no_free(&self, column: &str) -> Error {
        let table = &self.written;
        let what = format!("`{table}` is a Delta Lake table, which has no {column}");
        Error::new(ErrorCode::SqlPlan, what)
            .hint("read_parquet names its files one by one, deleted ones among them")
    }

    /// What DESCRIBE says besides the columns; reads the whole log.
    pub(crate) async fn notes(
        &self,
        store: &Arc<QueryStore>,
    ) -> Result<Vec<(&'static str, String)>> {
        let (mut files, mut bytes, mut deleted) = (0_u64, 0_u64, 0_u64);
        let mut views = self.snapshot.file_views(self.log.as_ref(), None);
        let failed = |error: DeltaTableError| {
            failed(store, &self.written, DataFusionError::External(Box::new(error)))
        };
        while let Some(file) = views.try_next().await.map_err(failed)? {
            files += 1;
            bytes += u64::try_from(file.size()).unwrap_or_default();
            deleted += u64::from(file.deletion_vector_descriptor().is_some());
        }
        let mut notes = vec![
            ("format", format!("Delta Lake, version {}, it has a `_delta_log`", self.version())),
            ("files", format!("{files} ({}), by the log", ByteSize(bytes))),
        ];
        if deleted > 0 {
            notes.push(("deleted", format!("rows of {deleted} files, by deletion vectors")));
        }
        Ok(notes)
    }
}

/// What went wrong with a table: the storage's own error where it is that.
pub(crate) fn failed(store: &QueryStore, written: &str, error: DataFusionError) -> Error {
    const LONGEST: usize = 300;
    let text = error.to_string();
    let of_table = |what: String, hint: &str| Error::new(ErrorCode::FormatInvalid, what).hint(hint);
    if text.to_ascii_lowercase().contains("no suitable object store found") {
        return of_table(
            format!("the log of `{written}` names files outside of its folder"),
            "such are clones that share files with another table; Windlass reads what lies in the table's own folder",
        );
    }
    let error = store.explain(error);
    if !matches!(error.code(), ErrorCode::SqlExecution | ErrorCode::Internal) {
        return error;
    }
    // What follows are places in the library and parts of its memory.
    let line = text.lines().next().unwrap_or_default();
    let line = line.split('\u{2039}').next().unwrap_or_default();
    let line = line.split("[ParsedLogPath").next().unwrap_or_default();
    let why: String = line.chars().take(LONGEST).collect();
    of_table(
        format!("`{written}` cannot be read as a Delta Lake table"),
        "its log says what Windlass cannot follow, or is damaged; VERSION chooses an earlier state of the table",
    )
    .source(std::io::Error::other(why))
}

/// The error of a state that cannot be found.
fn no_state(written: &str, as_of: AsOf) -> Error {
    let (what, hint) = match as_of {
        AsOf::Version(version) => (
            format!("`{written}` has no version {version} that can be read"),
            "DESCRIBE tells the newest version; those before the last checkpoint go when the log is cleaned up",
        ),
        AsOf::Time(time) => (
            format!(
                "`{written}` was not there at {}, as far as its log still tells",
                time.to_rfc3339()
            ),
            "choose a later TIMESTAMP, or a VERSION",
        ),
        AsOf::Newest => (
            format!("`{written}` is no Delta Lake table: there is no log with a commit"),
            "a Delta Lake table is the folder that has `_delta_log`; read_parquet reads files without one",
        ),
    };
    Error::new(ErrorCode::FormatInvalid, what).hint(hint)
}

/// The folder of a table as a store of objects: reads, and lists what is below it.
#[derive(Debug, Clone)]
struct Folder {
    place: Place,
    /// What paths begin with in place of the folder.
    number: String,
    failures: Arc<QueryStore>,
}

impl Folder {
    fn prefix(&self) -> String {
        self.place.folder()
    }

    fn object(&self, location: &Path) -> Option<ObjectPath> {
        let below = location.as_ref().strip_prefix(&self.number)?;
        let key = format!("{}{below}", self.prefix());
        Some(ObjectPath { bucket: self.place.bucket.clone(), key })
    }

    /// The path of a key; None: it has no such path, as no file of a Delta Lake table has.
    fn path(&self, key: &str) -> Option<Path> {
        let below = key.strip_prefix(&self.prefix())?;
        Path::parse(format!("{}{below}", self.number)).ok()
    }

    async fn below(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
    ) -> object_store::Result<Vec<ObjectMeta>> {
        let Some(folder) = (match prefix {
            None => Some(self.prefix()),
            Some(path) if format!("{path}/") == self.number => Some(self.prefix()),
            Some(path) => self.object(path).map(|object| format!("{}/", object.key)),
        }) else {
            return Ok(Vec::new());
        };
        let storage = &self.place.storage;
        let location = Location { bucket: Some(self.place.bucket.clone()), key: folder };
        let bytes = storage.listing_order(&self.place.bucket) == ListingOrder::Bytes;
        let start_after =
            after.filter(|_| bytes).and_then(|path| self.object(path)).map(|object| object.key);
        let options =
            ListOptions { recursive: true, ordered: true, start_after, ..ListOptions::default() };
        let mut entries = storage.list(&location, options);
        let mut found = Vec::new();
        while let Some(entry) =
            entries.try_next().await.map_err(|error| self.failures.carry(error))?
        {
            let path = self.path(&entry.key).filter(|_| entry.kind == EntryKind::Object);
            let Some(location) = path else { continue };
            if after.is_none_or(|after| location > *after) {
                found.push(ObjectMeta {
                    location,
                    last_modified: entry.last_modified.unwrap_or(DateTime::UNIX_EPOCH),
                    size: entry.size.unwrap_or_default(),
                    e_tag: entry.etag,
                    version: None,
                });
            }
        }
        // The log is read in order of versions, whatever order the storage lists in.
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("windlass")
    }
}

fn absent(location: &Path) -> object_store::Error {
    object_store::Error::NotFound {
        path: location.to_string(),
        source: "not a file of this table".into(),
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        let object = self.object(location).ok_or_else(|| absent(location))?;
        let storage = &self.place.storage;
        let asked = options.range;
        let below = location.as_ref().strip_prefix(&self.number).unwrap_or_default();
        let error = |error: Error| match error.code() {
            // Some files of a log need not be there; those of the table must.
            ErrorCode::ObjectNotFound | ErrorCode::LocalNotFound if below.starts_with(LOG) => {
                absent(location)
            }
            ErrorCode::ObjectNotFound | ErrorCode::LocalNotFound => {
                let file = storage.address(&object.bucket, &object.key);
                let what = format!("`{file}` is gone, though its table's log has it");
                self.failures.carry(Error::new(ErrorCode::ObjectNotFound, what).hint(
                    "VACUUM takes away what older versions need; a newer version may have all of its files",
                ))
            }
            _ => self.failures.carry(error),
        };
        let (meta, stream) = if options.head {
            let meta = storage.stat(&object, None).await.map_err(error)?;
            (meta, futures::stream::empty().boxed())
        } else {
            let range = asked.as_ref().map(|range| match range {
                GetRange::Bounded(range) => {
                    ByteRange::Bounded(range.start, range.end - range.start)
                }
                GetRange::Offset(start) => ByteRange::From(*start),
                GetRange::Suffix(length) => ByteRange::Last(*length),
            });
            let options = windlass_s3::access::GetOptions { range, ..Default::default() };
            let body = storage.get(&object, options).await.map_err(error)?;
            (body.meta, body.stream)
        };
        let size = meta.size;
        let range = bytes_of(asked.as_ref(), size).ok_or_else(|| {
            let file = storage.address(&object.bucket, &object.key);
            let error = format!("`{file}` is not the file that the table's log speaks of");
            self.failures.carry(
                Error::new(ErrorCode::FormatInvalid, error)
                    .hint("it was replaced by another, or is cut off; its table is damaged"),
            )
        })?;
        let failures = Arc::clone(&self.failures);
        Ok(GetResult {
            payload: GetResultPayload::Stream(
                stream.map(move |bytes| bytes.map_err(|error| failures.carry(error))).boxed(),
            ),
            meta: ObjectMeta {
                location: location.clone(),
                last_modified: meta.last_modified.unwrap_or(DateTime::UNIX_EPOCH),
                size,
                e_tag: meta.etag,
                version: None,
            },
            range,
            attributes: object_store::Attributes::default(),
        })
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.listed(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.listed(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(unsupported("list"))
    }

    async fn put_opts(
        &self,
        _: &Path,
        _: PutPayload,
        _: PutOptions,
    ) -> object_store::Result<PutResult> {
        Err(unsupported("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(unsupported("put"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        futures::stream::iter([Err(unsupported("delete"))]).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(unsupported("copy"))
    }
}

impl Folder {
    fn listed(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (this, prefix, after) = (self.clone(), prefix.cloned(), after.cloned());
        let found = async move { this.below(prefix.as_ref(), after.as_ref()).await };
        futures::stream::once(found)
            .map_ok(|found| futures::stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }
}
