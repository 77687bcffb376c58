//! The report of a run: a line for each item, in a file here or behind a connection; and
//! reading one again, to repeat what failed.

use crate::session::{Place, Session};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{Answer, Item, Progress};
use windlass_core::json::objects;
use windlass_core::report::{Format, Writer};
use windlass_core::transfer::{Quiet, Side, Status, UNCHANGED, copy_stream, read_to};
use windlass_types::{Address, Error, ErrorCode, Result, RunId};

/// Hands everything on, counts reasons, and writes the report.
pub(super) struct Reporter {
    inner: Arc<dyn Progress>,
    state: Mutex<State>,
}

struct State {
    reasons: BTreeMap<String, u64>,
    report: Option<Report>,
}

struct Report {
    writer: Writer,
    to: To,
}

enum To {
    /// A file of this machine, written in place.
    Here,
    /// Written to a temporary file first.
    Elsewhere(Box<Place>),
}

fn failed(doing: &str, name: &str) -> impl FnOnce(std::io::Error) -> Error {
    let text = format!("cannot {doing} `{name}`");
    move |error| Error::new(ErrorCode::LocalFailed, text).source(error)
}

impl Reporter {
    /// Begins the report, if one is wanted.
    pub(super) async fn begin(
        session: &Session,
        name: Option<&str>,
        inner: Arc<dyn Progress>,
    ) -> Result<Arc<Self>> {
        let report = if let Some(name) = name {
            let format = Format::of_name(name)?;
            let (file, to) = if let Address::Local(path) = Address::parse(name)? {
                (File::create(path).map_err(failed("write", name))?, To::Here)
            } else {
                let place = session.remote_place(name).await?;
                place.object()?;
                let file = tempfile::tempfile().map_err(failed("write", name))?;
                (file, To::Elsewhere(Box::new(place)))
            };
            Some(Report { writer: Writer::begin(file, format, false)?, to })
        } else {
            None
        };
        let state = State { reasons: BTreeMap::new(), report };
        Ok(Arc::new(Self { inner, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often each reason was given, the most frequent first.
    pub(super) fn reasons(&self) -> Vec<(String, u64)> {
        let mut reasons: Vec<_> = self.state().reasons.clone().into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        reasons
    }

    /// Ends the report: also that of a run that failed. Does nothing the second time.
    pub(super) async fn end(&self) -> Result<()> {
        let report = self.state().report.take();
        let Some(report) = report else { return Ok(()) };
        let mut file = report.writer.end()?;
        let To::Elsewhere(place) = report.to else { return Ok(()) };
        file.rewind().map_err(failed("read", "the report"))?;
        let side = Side { storage: place.storage, location: place.location };
        let input = tokio::fs::File::from_std(file);
        copy_stream(input, side, Arc::new(Quiet), CancellationToken::new()).await?;
        Ok(())
    }
}

impl Progress for Reporter {
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
        {
            let mut state = self.state();
            if item.status == Status::Skipped
                && let Some(reason) = &item.reason
            {
                // What names a key is counted under what it says of it.
                let class = if reason.contains('`') {
                    "a name the destination cannot have"
                } else {
                    reason
                };
                *state.reasons.entry(class.to_owned()).or_default() += 1;
            }
            if let Some(report) = &mut state.report {
                report.writer.item(item);
            }
        }
        self.inner.item(item);
    }
}

/// Names of the list in `file`, one a line, of which `check` says whether they can be; empty lines are
/// none.
pub(super) fn names(
    text: &[u8],
    file: &str,
    check: impl Fn(&str) -> Result<()>,
) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |code, source: Box<dyn StdError + Send + Sync>| {
            Error::new(code, format!("line {} of `{file}` cannot be the name of a file", at + 1))
                .source(source)
                .hint("nothing was copied; a list has names below SRC, one a line")
        };
        let name = str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line))
            .map_err(|error| wrong(ErrorCode::PathInvalid, error.into()))?;
        let name = name.strip_prefix("./").unwrap_or(name);
        if !name.is_empty() {
            check(name).map_err(|error| wrong(error.code(), error.into()))?;
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The report of that name for reading, here or behind a connection.
async fn opened(session: &Session, name: &str) -> Result<File> {
    if let Address::Local(path) = Address::parse(name)? {
        return File::open(path).map_err(failed("read", name));
    }
    let place = session.remote_place(name).await?;
    let side = Side { storage: place.storage, location: place.location };
    let mut file = tempfile::tempfile().map_err(failed("read", name))?;
    let output = tokio::fs::File::from_std(file.try_clone().map_err(failed("read", name))?);
    read_to(side, output, None, Arc::new(Quiet), session.cancel.clone()).await?;
    file.rewind().map_err(failed("read", name))?;
    Ok(file)
}

/// Names below `base` of what failed, by the report of that name.
pub(super) async fn failed_by(session: &Session, name: &str, base: &str) -> Result<Vec<String>> {
    let format = Format::of_name(name)?;
    failed_names(opened(session, name).await?, format, name, base)
}

fn text<'a>(item: &'a serde_json::Value, name: &str) -> &'a str {
    item[name].as_str().unwrap_or_default()
}

fn failed_names(file: File, format: Format, path: &str, base: &str) -> Result<Vec<String>> {
    let unreadable = |what: String| {
        Error::new(ErrorCode::FormatInvalid, format!("`{path}` is not a report: {what}"))
            .hint("give a file that `--report` wrote")
    };
    let mut found = Vec::new();
    let mut take = |source: &str, status: &str| -> Result<()> {
        if status == "failed" && !source.is_empty() {
            found.push(windlass_core::report::below(base, source)?);
        }
        Ok(())
    };
    if format == Format::Parquet {
        let broken = |error: Box<dyn StdError>| unreadable(error.to_string());
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|error| broken(error.into()))?;
        for batch in batches {
            for item in objects(&batch.map_err(|error| broken(error.into()))?)? {
                take(text(&item, "source"), text(&item, "status"))?;
            }
        }
        return Ok(found);
    }
    let mut reader = BufReader::new(file);
    let mut header: Option<Vec<String>> = None;
    let csv = format == Format::Csv;
    while let Some(record) = next_record(&mut reader, csv).map_err(failed("read", path))? {
        if csv {
            let cells = csv_cells(&record);
            let Some(header) = &header else {
                header = Some(cells);
                continue;
            };
            let cell = |name: &str| {
                header.iter().position(|column| column == name).and_then(|at| cells.get(at))
            };
            let (Some(source), Some(status)) = (cell("source"), cell("status")) else {
                return Err(unreadable("a line has too few columns".to_owned()));
            };
            take(source, status)?;
        } else {
            let item: serde_json::Value =
                serde_json::from_str(&record).map_err(|error| unreadable(error.to_string()))?;
            take(text(&item, "source"), text(&item, "status"))?;
        }
    }
    Ok(found)
}

/// Names below `base` (an address) that failed in a run.
pub(super) async fn failed_in_run(
    session: &Session,
    run: RunId,
    base: &str,
) -> Result<Vec<String>> {
    let text = format!(
        "SELECT source FROM system.run_items WHERE run = '{run}' AND status = 'failed' AND source <> ''"
    );
    let engine = session.engine().await?;
    let mut ctx = session.ctx();
    let mut answers = engine.sql(&mut ctx, &text);
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        let Answer::Rows { mut batches, .. } = answer? else { continue };
        while let Some(batch) = batches.next().await {
            for row in objects(&batch?)? {
                let source = row["source"].as_str().unwrap_or_default();
                found.push(windlass_core::report::below(base, source)?);
            }
        }
    }
    if found.is_empty() {
        session.talk(&format!("nothing failed in the run `{run}`, or it is not known here"));
    }
    Ok(found)
}

/// The next line; of CSV the next record, whose quoted cells may hold line breaks.
fn next_record(reader: &mut impl std::io::BufRead, csv: bool) -> std::io::Result<Option<String>> {
    let mut record = String::new();
    loop {
        if reader.read_line(&mut record)? == 0 {
            return Ok((!record.trim().is_empty()).then_some(record));
        }
        let open = csv && record.matches('"').count() % 2 == 1;
        if !open && !record.trim().is_empty() {
            record.truncate(record.trim_end_matches(['\n', '\r']).len());
            return Ok(Some(record));
        }
    }
}

fn csv_cells(record: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    let mut rest = record.chars().peekable();
    while let Some(c) = rest.next() {
        let last = cells.len() - 1;
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => {
                rest.next();
                cells[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells[last].push(c),
        }
    }
    cells
}

/// Whether a reason is worth a word in the summary.
pub(super) fn is_notable(reason: &str) -> bool {
    reason != UNCHANGED
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::transfer::Action;

    fn item(source: &str, status: Status, reason: Option<&str>) -> Item {
        Item {
            action: Action::Copy,
            source: source.to_owned(),
            destination: "b:x".to_owned(),
            size: 1,
            status,
            reason: reason.map(str::to_owned),
            code: None,
            hint: None,
        }
    }

    #[test]
    fn a_report_is_read_back_and_names_what_failed() {
        let folder = tempfile::tempdir().unwrap();
        let items = [
            item("a:b/in/ok", Status::Done, None),
            item("a:b/in/odd \",\n.csv", Status::Failed, Some("it said \"no\", twice")),
            item("a:b/in/d/x", Status::Failed, Some("changed")),
        ];
        let written = |name: &str| {
            let path = folder.path().join(name);
            let format = Format::of_name(name).unwrap();
            let mut writer = Writer::begin(File::create(&path).unwrap(), format, false).unwrap();
            for item in &items {
                writer.item(item);
            }
            writer.end().unwrap();
            path
        };
        let (csv, jsonl) = (written("r.csv"), written("r.jsonl"));
        for path in [csv, jsonl, written("r.parquet")] {
            let name = path.to_str().unwrap();
            let below = |base| {
                failed_names(File::open(&path).unwrap(), Format::of_name(name).unwrap(), name, base)
            };
            assert_eq!(below("a:b/in/").unwrap(), ["odd \",\n.csv", "d/x"]);
            assert!(below("a:b/other/").is_err());
        }
    }

    #[test]
    fn a_list_of_names_has_one_a_line() {
        let fine = |_: &str| Ok(());
        assert_eq!(names(b"a\r\n\n./b/c\n d \n", "f", fine).unwrap(), ["a", "b/c", " d "]);
        let error = names(b"a\nb\xff\n", "f", fine).unwrap_err();
        assert!(error.message().starts_with("line 2 of `f`"), "{error:?}");
    }
}
