//! The report of a run: a line for each item, as CSV or JSON lines, here or behind a connection; and
//! reading one again, to repeat what failed.

use crate::session::{Place, Session};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{Item, Progress};
use windlass_core::transfer::{Quiet, Side, Status, UNCHANGED, copy_stream};
use windlass_types::{Address, Error, ErrorCode, Result};

/// Columns of the CSV form: the fields of an item.
const COLUMNS: &str = "action,source,destination,size,status,reason";

/// Hands everything on, counts reasons, and writes the report.
pub(super) struct Reporter {
    inner: Arc<dyn Progress>,
    state: Mutex<State>,
}

struct State {
    reasons: BTreeMap<String, u64>,
    report: Option<Report>,
    failure: Option<Error>,
}

struct Report {
    writer: BufWriter<File>,
    csv: bool,
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

/// Whether the end of a name says CSV; JSON lines otherwise said, or an error.
fn is_csv(name: &str) -> Result<bool> {
    match Path::new(name).extension().and_then(|end| end.to_str()) {
        Some("csv") => Ok(true),
        Some("jsonl" | "ndjson") => Ok(false),
        _ => Err(Error::new(
            ErrorCode::UsageInvalid,
            format!("the end of `{name}` does not say what the report is to be"),
        )
        .hint("end it in `.csv` or `.jsonl`")),
    }
}

fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn csv_line(item: &Item) -> Result<String> {
    let row = serde_json::to_value(item).map_err(|error| {
        Error::new(ErrorCode::Internal, "an item cannot be written").source(error)
    })?;
    let cells: Vec<String> = COLUMNS
        .split(',')
        .map(|name| match &row[name] {
            serde_json::Value::String(text) => cell(text),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        })
        .collect();
    Ok(cells.join(","))
}

impl Reporter {
    /// Begins the report, if one is wanted.
    pub(super) async fn begin(
        session: &Session,
        name: Option<&str>,
        inner: Arc<dyn Progress>,
    ) -> Result<Arc<Self>> {
        let report = match name {
            None => None,
            Some(name) => {
                let csv = is_csv(name)?;
                let (file, to) = match Address::parse(name)? {
                    Address::Local(path) => {
                        (File::create(path).map_err(failed("write", name))?, To::Here)
                    }
                    _ => {
                        let place = session.remote_place(name).await?;
                        place.object()?;
                        let file = tempfile::tempfile().map_err(failed("write", name))?;
                        (file, To::Elsewhere(Box::new(place)))
                    }
                };
                let mut writer = BufWriter::new(file);
                if csv {
                    writeln!(writer, "{COLUMNS}").map_err(failed("write", name))?;
                }
                Some(Report { writer, csv, to })
            }
        };
        let state = State { reasons: BTreeMap::new(), report, failure: None };
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

    /// Ends the report: also that of a run that failed.
    pub(super) async fn end(&self) -> Result<()> {
        let (report, failure) = {
            let mut state = self.state();
            (state.report.take(), state.failure.take())
        };
        if let Some(failure) = failure {
            return Err(failure);
        }
        let Some(report) = report else { return Ok(()) };
        let unwritten = || failed("write", "the report");
        let mut file =
            report.writer.into_inner().map_err(|error| unwritten()(error.into_error()))?;
        let To::Elsewhere(place) = report.to else { return Ok(()) };
        file.seek(SeekFrom::Start(0)).map_err(unwritten())?;
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
                let line = if report.csv {
                    csv_line(item)
                } else {
                    serde_json::to_string(item).map_err(|error| {
                        Error::new(ErrorCode::Internal, "an item cannot be written").source(error)
                    })
                };
                let written = line.and_then(|line| {
                    writeln!(report.writer, "{line}").map_err(failed("write", "the report"))
                });
                if let Err(error) = written {
                    state.failure.get_or_insert(error);
                }
            }
        }
        self.inner.item(item);
    }
}

/// Names of a list, one a line; empty lines are none.
pub(super) fn names(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix("./").unwrap_or(line).to_owned())
        .collect()
}

/// Names below `base` (an address) that a report says have failed.
pub(super) fn failed_names(path: &str, base: &str) -> Result<Vec<String>> {
    let csv = is_csv(path)?;
    let unreadable = |what: String| {
        Error::new(ErrorCode::FormatInvalid, format!("`{path}` is not a report: {what}"))
            .hint("give a file that `--report` wrote")
    };
    let file = File::open(path).map_err(failed("read", path))?;
    let mut found = Vec::new();
    let mut take = |source: &str, status: &str| -> Result<()> {
        if status == "failed" && !source.is_empty() {
            let name = source
                .strip_prefix(base)
                .ok_or_else(|| unreadable(format!("`{source}` does not lie below `{base}`")))?;
            found.push(name.to_owned());
        }
        Ok(())
    };
    let mut reader = BufReader::new(file);
    let mut header: Option<Vec<String>> = None;
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
            let text = |name: &str| item[name].as_str().unwrap_or_default();
            take(text("source"), text("status"))?;
        }
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
        let csv = folder.path().join("r.csv");
        let lines: Vec<String> = items.iter().map(|item| csv_line(item).unwrap()).collect();
        std::fs::write(&csv, format!("{COLUMNS}\n{}\n", lines.join("\n"))).unwrap();
        let jsonl = folder.path().join("r.jsonl");
        let lines: Vec<String> =
            items.iter().map(|item| serde_json::to_string(item).unwrap()).collect();
        std::fs::write(&jsonl, lines.join("\n")).unwrap();
        for path in [csv, jsonl] {
            let path = path.to_str().unwrap();
            assert_eq!(failed_names(path, "a:b/in/").unwrap(), ["odd \",\n.csv", "d/x"]);
            assert!(failed_names(path, "a:b/other/").is_err());
        }
        assert!(is_csv("r.txt").is_err());
    }

    #[test]
    fn a_list_of_names_has_one_a_line() {
        assert_eq!(names("a\r\n\n./b/c\n d \n"), ["a", "b/c", " d "]);
    }
}
