//! From files behind a connection to a table: which are listed, which teach the columns.

use crate::date_pattern::DatePattern;
use crate::delta::LogTable;
use crate::files::{Place, SourceFile};
use crate::format::{Declared, Infer};
use crate::free;
use crate::listing::{Begun, Listed, begin};
use crate::partition::partitions;
use crate::prune::{Known, Prune};
use crate::store::QueryStore;
use crate::stored::{OnChange, SchemaColumn, StoredColumns};
use crate::table::{Chosen, FilesTable};
use arrow::datatypes::Field;
use chrono::{DateTime, Utc};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use windlass_s3::Storage;
use windlass_types::{ByteSize, Error, ErrorCode, OptionMap, OptionValue, Result};

/// Paths that are begun side by side.
const AT_ONCE: usize = 8;

/// A table of files before they are listed.
#[derive(Debug)]
pub(crate) struct FileSource {
    /// How the person wrote it.
    pub(crate) written: String,
    pub(crate) places: Vec<Place>,
    pub(crate) declared: Declared,
    pub(crate) pattern: Option<DatePattern>,
    pub(crate) on_change: Option<OnChange>,
    /// Of a file table: its schema and name, and its stored columns.
    pub(crate) stored: Option<StoredTable>,
}

/// A file table and its stored columns.
#[derive(Debug, Clone)]
pub(crate) struct StoredTable {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    pub(crate) columns: Option<StoredColumns>,
    /// The container that the columns are of, where it is not a file table.
    pub(crate) catalogued: Option<String>,
}

/// What was listed for a table, for EXPLAIN.
#[derive(Debug, Clone)]
pub(crate) struct WasListed {
    pub(crate) table: String,
    files: usize,
    bytes: u64,
    prefixes: Vec<String>,
    requests: u64,
    pruned: bool,
    /// The version of a Delta Lake table.
    version: Option<u64>,
}

impl std::fmt::Display for WasListed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 8;
        if let Some(version) = self.version {
            let table = &self.table;
            return write!(f, "{table}: Delta Lake, version={version}, files by its log");
        }
        let mut shown: Vec<&str> = self.prefixes.iter().take(SHOWN).map(String::as_str).collect();
        if self.prefixes.len() > SHOWN {
            shown.push("...");
        }
        write!(
            f,
            "{}: files={} ({}), listing={}, prefixes listed={} [{}], list requests={}",
            self.table,
            self.files,
            ByteSize(self.bytes),
            if self.pruned { "pruned by filters" } else { "whole" },
            self.prefixes.len(),
            shown.join(", "),
            self.requests
        )
    }
}

/// Reads the option `DATE_PATTERN`.
pub(crate) fn date_pattern(options: &OptionMap) -> Result<Option<DatePattern>> {
    match options.get("DATE_PATTERN") {
        Some(OptionValue::Text(text) | OptionValue::Word(text)) => {
            DatePattern::parse(text).map(Some)
        }
        _ => Ok(None),
    }
}

impl FileSource {
    /// Reads paths and options; `written` is how the person wrote the table.
    pub(crate) fn new(
        storage: &Storage,
        paths: &[String],
        options: &OptionMap,
        written: String,
    ) -> Result<Self> {
        let places = paths
            .iter()
            .map(|path| Place::parse(storage, path, &written))
            .collect::<Result<Vec<_>>>()?;
        let (declared, pattern) = (Declared::read(options)?, date_pattern(options)?);
        let on_change = OnChange::read(options);
        Ok(Self { written, places, declared, pattern, on_change, stored: None })
    }

    /// Whether it is a file table that has its columns without any file.
    fn has_columns(&self) -> bool {
        self.stored.as_ref().is_some_and(|stored| {
            stored.catalogued.is_none()
                && stored.columns.as_ref().is_some_and(|known| !known.columns.is_empty())
        })
    }

    /// Lists the first page of each path.
    pub(crate) async fn begin(self, now: DateTime<Utc>) -> Result<Opening> {
        if self.declared.delta.is_some() {
            return Ok(Opening { source: self, begun: Vec::new(), now });
        }
        let mut tasks: Vec<BoxFuture<'_, Result<Begun>>> = Vec::new();
        let known = self.has_columns();
        for place in &self.places {
            let place = place.clone();
            tasks.push(Box::pin(async move {
                match begin(place.clone()).await {
                    // A folder that is not there yet has no files.
                    Err(error) if known && !place.is_exact() && error.is_absent() => {
                        Ok(Begun::nothing(place))
                    }
                    outcome => outcome,
                }
            }));
        }
        let begun: Vec<Begun> =
            futures::stream::iter(tasks).buffered(AT_ONCE).try_collect().await?;
        for path in &begun {
            if path.first.files.is_empty() && !path.has_more() && !path.is_delta && !known {
                return Err(path.place.nothing(path.first.empty));
            }
        }
        Ok(Opening { source: self, begun, now })
    }
}

/// A table of which first pages are listed.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) source: FileSource,
    begun: Vec<Begun>,
    now: DateTime<Utc>,
}

impl Opening {
    /// Whether filters could spare listing: more files follow, and paths tell columns.
    pub(crate) fn may_prune(&self, names_file: bool) -> bool {
        let first = self.first();
        self.begun.iter().any(Begun::has_more)
            && self.source.declared.infer != Infer::Full
            && !first.is_empty()
            && (names_file
                || self.source.pattern.is_some()
                || !partitions(&first, &[], None).fields.is_empty())
    }

    /// Whether it is a Delta Lake table: as declared, or by its log where no format is.
    pub(crate) fn is_delta(&self) -> bool {
        let source = &self.source;
        source.declared.delta.is_some()
            || (source.declared.kind.is_none() || self.catalogued().is_some())
                && self.begun.iter().any(|begun| begun.is_delta)
    }

    /// An error where a Delta Lake table lies further down: not all of its files are its own.
    fn refuse_inner(&self, folder: Option<&str>) -> Result<()> {
        let (Some(folder), None) = (folder, self.source.declared.kind) else { return Ok(()) };
        let Some(place) = self.source.places.first() else { return Ok(()) };
        let table = place.storage.address(&place.bucket, folder);
        Err(Error::new(
            ErrorCode::FormatInvalid,
            format!("`{}` has the Delta Lake table `{table}` in it", self.source.written),
        )
        .hint("read that folder by itself; read_parquet reads all files that lie there, replaced ones too"))
    }

    /// Opens it as a Delta Lake table.
    pub(crate) async fn delta(self, store: &Arc<QueryStore>) -> Result<(LogTable, WasListed)> {
        let FileSource { written, places, declared, stored, .. } = self.source;
        let [place] = places.as_slice() else {
            return Err(Error::new(
                ErrorCode::PathInvalid,
                format!("`{written}` has a Delta Lake table among several paths"),
            )
            .hint("read each Delta Lake table by itself, and join them with UNION ALL"));
        };
        if place.is_pattern() {
            return Err(Error::new(
                ErrorCode::PathInvalid,
                format!("`{written}` is a pattern; a Delta Lake table is one folder"),
            )
            .hint("name the folder that has `_delta_log`"));
        }
        if stored.and_then(|stored| stored.columns).is_some_and(|columns| columns.declared) {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                format!("`{written}` declares columns; those of a Delta Lake table are its log's"),
            )
            .hint("create the file table without columns"));
        }
        let as_of = declared.delta.unwrap_or_default();
        let table = LogTable::open(store, place, as_of, &written).await?;
        let told = WasListed {
            table: written,
            files: 0,
            bytes: 0,
            prefixes: Vec::new(),
            requests: 0,
            pruned: false,
            version: Some(table.version()),
        };
        Ok((table, told))
    }

    fn first(&self) -> Vec<Arc<SourceFile>> {
        self.due(self.begun.iter().flat_map(|begun| begun.first.files.clone()).collect())
    }

    /// Without files of dates to come (U-I7), and each once.
    fn due(&self, mut files: Vec<Arc<SourceFile>>) -> Vec<Arc<SourceFile>> {
        if let Some(pattern) = &self.source.pattern {
            let now = self.now.naive_utc();
            files.retain(|file| pattern.moment(file.below()).is_none_or(|moment| moment <= now));
        }
        if self.begun.len() > 1 {
            let mut seen = HashSet::new();
            files.retain(|file| seen.insert((file.object.bucket.clone(), file.object.key.clone())));
        }
        files
    }

    /// Half of the files that may be read for the schema, from the first pages.
    fn sample(&self) -> Vec<Arc<SourceFile>> {
        spread(&self.first(), self.source.declared.sample.div_ceil(2))
    }

    /// The table as the first pages show it: enough to plan with.
    pub(crate) async fn provisional(
        &self,
        state: &SessionState,
        store: &Arc<QueryStore>,
    ) -> Result<FilesTable> {
        let chosen = Chosen {
            files: self.first(),
            others: Vec::new(),
            teachers: self.sample(),
            pattern: self.source.pattern.clone(),
            stored: self.stored(),
            catalogued: self.catalogued(),
            on_change: self.source.on_change,
        };
        FilesTable::open(state, store, chosen, &self.source.declared, &self.source.written).await
    }

    /// Lists every file and learns their columns.
    pub(crate) async fn whole(
        mut self,
        state: &SessionState,
        store: &Arc<QueryStore>,
    ) -> Result<(FilesTable, WasListed)> {
        let mut all = Listed::default();
        let known = self.source.has_columns();
        for begun in &mut self.begun {
            let listed = begun.all().await?;
            if listed.files.is_empty() && !known {
                return Err(begun.place.nothing(listed.empty));
            }
            all.files.extend(listed.files);
            all.prefixes.extend(listed.prefixes);
            all.delta = all.delta.or(listed.delta);
        }
        self.refuse_inner(all.delta.as_deref())?;
        all.files = self.due(all.files);
        if all.files.is_empty() && !known {
            return Err(self.begun[0].place.nothing(0));
        }
        let told = self.told(&all, false);
        let chosen = Chosen {
            files: all.files,
            others: Vec::new(),
            teachers: Vec::new(),
            pattern: self.source.pattern.clone(),
            stored: self.stored(),
            catalogued: self.catalogued(),
            on_change: self.source.on_change,
        };
        let (declared, written) = (&self.source.declared, &self.source.written);
        Ok((FilesTable::open(state, store, chosen, declared, written).await?, told))
    }

    /// Lists what these scans of the table, each with its filters, can want.
    pub(crate) async fn pruned(
        self,
        state: &SessionState,
        store: &Arc<QueryStore>,
        provisional: &FilesTable,
        scans: Vec<Vec<Expr>>,
    ) -> Result<(FilesTable, WasListed)> {
        let fields = provisional.with_free(&free::NAMES).told_fields();
        let pattern = self.source.pattern.clone();
        let Some(prune) = Prune::new(state, fields.clone(), scans, pattern) else {
            return self.whole(state, store).await;
        };
        let mut kept = Listed::default();
        for begun in &self.begun {
            if begun.has_more() {
                let Some(listed) = begun.pruned(&prune).await? else {
                    return self.whole(state, store).await;
                };
                kept.files.extend(listed.files);
                kept.prefixes.extend(listed.prefixes);
                kept.delta = kept.delta.or(listed.delta);
            } else {
                kept.files.extend(begun.first.files.iter().cloned());
            }
            kept.delta = kept.delta.or_else(|| begun.first.delta.clone());
        }
        self.refuse_inner(kept.delta.as_deref())?;
        kept.files = self.due(kept.files);
        let first = self.first();
        let types = partitions(&kept.files, &first, self.source.pattern.as_ref()).fields;
        // A folder that does not fit the types of the first page may be one of many.
        let same = fields
            .iter()
            .filter(|field| types.iter().any(|other| other.name() == field.name()))
            .all(|field| types.iter().any(|other| other == field));
        if !same {
            return self.whole(state, store).await;
        }
        let columns = partitions(&kept.files, &first, self.source.pattern.as_ref());
        let rows: Vec<Known> = kept
            .files
            .iter()
            .zip(&columns.values)
            .map(|(file, values)| {
                let value = |field: &Field| {
                    let at = columns.fields.iter().position(|f| f.name() == field.name());
                    at.map(|at| values[at].clone()).or_else(|| free::value(field.name(), file))
                };
                fields.iter().map(value).collect()
            })
            .collect();
        let mut keep = prune.keep(&rows).into_iter();
        kept.files.retain(|_| keep.next() == Some(true));
        let told = self.told(&kept, true);
        let mut teachers = self.sample();
        let most = self.source.declared.sample - teachers.len().min(self.source.declared.sample);
        for file in spread(&kept.files, most.max(1)) {
            if !teachers.iter().any(|known| known.object == file.object) {
                teachers.push(file);
            }
        }
        let chosen = Chosen {
            files: kept.files,
            others: first,
            teachers,
            pattern: self.source.pattern.clone(),
            stored: self.stored(),
            catalogued: self.catalogued(),
            on_change: self.source.on_change,
        };
        let (declared, written) = (&self.source.declared, &self.source.written);
        Ok((FilesTable::open(state, store, chosen, declared, written).await?, told))
    }

    /// The first pages alone, as a table: for who wants to see a few rows.
    pub(crate) async fn few(
        self,
        state: &SessionState,
        store: &Arc<QueryStore>,
    ) -> Result<FilesTable> {
        let files = self.first();
        if files.is_empty() {
            return Ok(self.whole(state, store).await?.0);
        }
        self.refuse_inner(self.begun.iter().find_map(|begun| begun.first.delta.as_deref()))?;
        let chosen = Chosen {
            files,
            others: vec![],
            teachers: vec![],
            pattern: self.source.pattern.clone(),
            stored: self.stored(),
            catalogued: self.catalogued(),
            on_change: self.source.on_change,
        };
        let (declared, written) = (&self.source.declared, &self.source.written);
        FilesTable::open(state, store, chosen, declared, written).await
    }

    fn stored(&self) -> Option<StoredColumns> {
        self.source.stored.as_ref().and_then(|stored| stored.columns.clone())
    }

    fn catalogued(&self) -> Option<String> {
        self.source.stored.as_ref().and_then(|stored| stored.catalogued.clone())
    }

    fn told(&self, listed: &Listed, pruned: bool) -> WasListed {
        let requests = self.begun.iter().map(|begun| begun.requests.load(Ordering::Relaxed)).sum();
        WasListed {
            table: self.source.written.clone(),
            files: listed.files.len(),
            bytes: listed.files.iter().map(|file| file.size).sum(),
            prefixes: listed.prefixes.clone(),
            requests,
            pruned,
            version: None,
        }
    }
}

/// First, last and evenly between.
fn spread(files: &[Arc<SourceFile>], most: usize) -> Vec<Arc<SourceFile>> {
    if files.len() <= most {
        return files.to_vec();
    }
    let gaps = most.saturating_sub(1).max(1);
    (0..most).map(|step| Arc::clone(&files[step * (files.len() - 1) / gaps])).collect()
}

/// An error unless files can be read by these options of a file table.
pub fn check_options(options: &OptionMap) -> Result<()> {
    crate::format::check_options(options)?;
    date_pattern(options)?;
    Ok(())
}

/// Reads columns as they are declared, each as SQL has it: `price DECIMAL(10, 2)`.
pub fn declared_columns(texts: &[String]) -> Result<StoredColumns> {
    let mut columns: Vec<SchemaColumn> = Vec::with_capacity(texts.len());
    for text in texts {
        let (name, kind) = crate::format::column(text)?;
        if columns.iter().any(|column| column.name == name) {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                format!("the column `{name}` is declared twice"),
            ));
        }
        columns.push(SchemaColumn { name, kind: crate::schema::sql(&kind) });
    }
    Ok(StoredColumns { columns, declared: true })
}
