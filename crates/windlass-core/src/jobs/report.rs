//! What the statement of a copy says of whole runs: where its report goes, and of which earlier run
//! only the failures are repeated.

use super::files::{FilesWork, WorkPlace};
use crate::engine::{CopySide, Item, Progress};
use crate::report::{Format, Writer};
use crate::windlass::Windlass;
use futures::future::BoxFuture;
use std::io::Seek as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use windlass_transfer::naming::Source;
use windlass_transfer::{Quiet, Side, copy_stream};
use windlass_types::{Error, ErrorCode, FabricId, Name, OptionValue, Result, RunId};

/// Failed items read from the store at once.
const PAGE: u32 = 1000;

/// Where a report goes.
pub(crate) struct ReportTo {
    side: CopySide,
    format: Format,
    only_failed: bool,
}

fn text<'v>(group: &'v [(String, OptionValue)], name: &str) -> Option<&'v str> {
    group.iter().find(|(known, _)| known == name).and_then(|(_, value)| match value {
        OptionValue::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

impl FilesWork {
    /// The run whose failures are to be repeated.
    pub(crate) fn failed_of(&self) -> Result<Option<RunId>> {
        match self.options.get("FAILED_OF") {
            Some(OptionValue::Text(text)) => text.parse().map(Some).map_err(|_| {
                Error::new(ErrorCode::OptionInvalid, format!("`{text}` is not the id of a run"))
                    .hint("`SHOW RUNS` lists them")
            }),
            _ => Ok(None),
        }
    }
}

impl Windlass {
    /// Names below the source that failed in a run.
    pub(crate) async fn failed_in(
        &self,
        run: RunId,
        fabric: FabricId,
        source: &CopySide,
    ) -> Result<Vec<String>> {
        let row = self.inner.store.run(run).await?;
        if row.fabric != fabric {
            return Err(Error::new(
                ErrorCode::RunNotFound,
                format!("no run `{run}` in this fabric"),
            ));
        }
        let naming = Source::parse(&source.location.key)?;
        let bucket = source.location.bucket.as_deref().unwrap_or_default();
        let base = source.storage.address(bucket, naming.base());
        let (mut names, mut after) = (Vec::new(), 0);
        loop {
            let items = self.inner.store.run_items(run, Some("failed"), after, PAGE).await?;
            let Some((last, _)) = items.last() else { return Ok(names) };
            after = *last;
            for (_, item) in items {
                // A deletion that failed at the destination has no source; a sync finds it again.
                if !item.source.is_empty() {
                    names.push(crate::report::below(&base, &item.source)?);
                }
            }
        }
    }

    /// Where the report of a run goes, if one is wanted; no request is sent.
    pub(crate) async fn work_report(
        &self,
        fabric: FabricId,
        work: &FilesWork,
        run: RunId,
    ) -> Result<Option<ReportTo>> {
        let Some((group, mut side)) = self.report_side(fabric, work).await? else {
            return Ok(None);
        };
        let format = match text(group, "FORMAT") {
            Some("PARQUET") => Format::Parquet,
            Some("JSONL") => Format::Jsonl,
            Some(_) => Format::Csv,
            None if is_folder(&side.location.key) => Format::Csv,
            None => Format::of_name(&side.location.key)?,
        };
        if is_folder(&side.location.key) {
            side.location.key = format!("{}{run}.{}", side.location.key, format.ending());
        }
        let only_failed = text(group, "ITEMS") == Some("FAILED");
        Ok(Some(ReportTo { side, format, only_failed }))
    }

    /// What REPORT says, and the file or folder it names.
    pub(crate) async fn report_side<'w>(
        &self,
        fabric: FabricId,
        work: &'w FilesWork,
    ) -> Result<Option<(&'w [(String, OptionValue)], CopySide)>> {
        let Some(OptionValue::Group(group)) = work.options.get("REPORT") else { return Ok(None) };
        let invalid = |message: &str, hint: &str| {
            Error::new(ErrorCode::OptionInvalid, message.to_owned()).hint(hint.to_owned())
        };
        let location = text(group, "LOCATION").ok_or_else(|| {
            invalid("REPORT has no LOCATION", "write `REPORT = (LOCATION = 'reports/')`")
        })?;
        let connection = match text(group, "CONNECTION") {
            Some(name) => Name::parse(name)?,
            None => work.destination.connection.clone(),
        };
        let place = WorkPlace { connection, location: location.to_owned() };
        let side = self.work_side(fabric, &place).await?;
        if side.storage.read_only() {
            return Err(super::files::read_only(&place.connection));
        }
        Ok(Some((group, side)))
    }
}

fn is_folder(key: &str) -> bool {
    key.is_empty() || key.ends_with('/')
}

/// Hands everything on, and writes the report.
pub(crate) struct Reporting {
    inner: Arc<dyn Progress>,
    writer: Mutex<Option<Writer>>,
    to: CopySide,
}

impl Reporting {
    /// Begins a report in a temporary file.
    pub(crate) fn begin(to: ReportTo, inner: Arc<dyn Progress>) -> Result<Arc<Self>> {
        let file = tempfile::tempfile().map_err(unwritten)?;
        let writer = Writer::begin(file, to.format, to.only_failed)?;
        Ok(Arc::new(Self { inner, writer: Mutex::new(Some(writer)), to: to.side }))
    }

    /// Writes it where it belongs; does nothing the second time.
    pub(crate) async fn end(&self) -> Result<()> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return Ok(()) };
        let mut file = writer.end()?;
        file.rewind().map_err(unwritten)?;
        let to = Side { storage: self.to.storage.clone(), location: self.to.location.clone() };
        let input = tokio::fs::File::from_std(file);
        copy_stream(input, to, Arc::new(Quiet), CancellationToken::new()).await?;
        Ok(())
    }
}

fn unwritten(error: std::io::Error) -> Error {
    Error::new(ErrorCode::LocalFailed, "the report cannot be written").source(error)
}

impl Progress for Reporting {
    fn planned(&self, items: u64, bytes: u64) {
        self.inner.planned(items, bytes);
    }

    fn bytes(&self, n: u64) {
        self.inner.bytes(n);
    }

    fn note(&self, text: &str) {
        self.inner.note(text);
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.inner.room()
    }

    fn before_trigger(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            self.end().await?;
            self.inner.before_trigger().await
        })
    }

    fn item(&self, item: &Item) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.as_mut() {
            writer.item(item);
        }
        drop(writer);
        self.inner.item(item);
    }
}
