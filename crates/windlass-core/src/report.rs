//! The report of a run: a line for each item, as CSV, JSON lines or Parquet, into a file of this
//! machine. Where that goes then is for its owner to say.

use crate::engine::{CopySide, Item};
use arrow::array::{ArrayRef, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use windlass_query::ParquetFile;
use windlass_transfer::Status;
use windlass_types::{Error, ErrorCode, Result};

/// The columns of a report: the fields of an item.
pub const COLUMNS: &str = "action,source,destination,size,status,reason,code,hint";

/// Items of one group of rows of a Parquet report.
const ROWS: usize = 4096;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a header.
    Csv,
    /// A JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
}

impl Format {
    /// What the end of a name says; an error if it says nothing.
    pub fn of_name(name: &str) -> Result<Self> {
        let end = Path::new(name).extension().and_then(|end| end.to_str());
        match end.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Error::new(
                ErrorCode::UsageInvalid,
                format!("the end of `{name}` does not say what the report is to be"),
            )
            .hint("end it in `.csv`, `.jsonl` or `.parquet`")),
        }
    }

    /// The end of names of this format, without the dot.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// A report that is being written. What fails is kept until [`Self::end`].
pub struct Writer {
    sink: Sink,
    only_failed: bool,
    failure: Option<Error>,
}

enum Sink {
    Csv(BufWriter<File>),
    Jsonl(BufWriter<File>),
    Parquet(Box<ParquetFile>, Vec<Item>),
}

fn unwritten(error: std::io::Error) -> Error {
    Error::new(ErrorCode::LocalFailed, "the report cannot be written").source(error)
}

fn odd(error: serde_json::Error) -> Error {
    Error::new(ErrorCode::Internal, "an item cannot be written").source(error)
}

impl Writer {
    /// Begins a report in `file`, of all items or of those that failed.
    pub fn begin(file: File, format: Format, only_failed: bool) -> Result<Self> {
        let sink = match format {
            Format::Csv => {
                let mut lines = BufWriter::new(file);
                writeln!(lines, "{COLUMNS}").map_err(unwritten)?;
                Sink::Csv(lines)
            }
            Format::Jsonl => Sink::Jsonl(BufWriter::new(file)),
            Format::Parquet => {
                Sink::Parquet(Box::new(ParquetFile::begin(file, schema())?), Vec::new())
            }
        };
        Ok(Self { sink, only_failed, failure: None })
    }

    /// Adds an item.
    pub fn item(&mut self, item: &Item) {
        if self.failure.is_some() || (self.only_failed && item.status != Status::Failed) {
            return;
        }
        let written = match &mut self.sink {
            Sink::Csv(lines) => {
                csv_line(item).and_then(|line| writeln!(lines, "{line}").map_err(unwritten))
            }
            Sink::Jsonl(lines) => serde_json::to_string(item)
                .map_err(odd)
                .and_then(|line| writeln!(lines, "{line}").map_err(unwritten)),
            Sink::Parquet(file, items) => {
                items.push(item.clone());
                if items.len() < ROWS {
                    Ok(())
                } else {
                    rows(&std::mem::take(items)).and_then(|rows| file.write(&rows))
                }
            }
        };
        self.failure = written.err();
    }

    /// Ends the report; answers its file, or what went wrong first.
    pub fn end(self) -> Result<File> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match self.sink {
            Sink::Csv(lines) | Sink::Jsonl(lines) => {
                lines.into_inner().map_err(|error| unwritten(error.into_error()))
            }
            Sink::Parquet(mut file, items) => {
                if !items.is_empty() {
                    file.write(&rows(&items)?)?;
                }
                file.end()
            }
        }
    }
}

fn schema() -> SchemaRef {
    let fields = COLUMNS.split(',').map(|name| match name {
        "size" => Field::new(name, DataType::UInt64, false),
        "reason" | "code" | "hint" => Field::new(name, DataType::Utf8, true),
        name => Field::new(name, DataType::Utf8, false),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The word of an action or status.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn rows(items: &[Item]) -> Result<RecordBatch> {
    let texts = |of: &dyn Fn(&Item) -> Option<String>| -> ArrayRef {
        Arc::new(items.iter().map(of).collect::<StringArray>())
    };
    let columns = vec![
        texts(&|item| Some(word(&item.action))),
        texts(&|item| Some(item.source.clone())),
        texts(&|item| Some(item.destination.clone())),
        Arc::new(UInt64Array::from_iter_values(items.iter().map(|item| item.size))),
        texts(&|item| Some(word(&item.status))),
        texts(&|item| item.reason.clone()),
        texts(&|item| item.code.clone()),
        texts(&|item| item.hint.clone()),
    ];
    RecordBatch::try_new(schema(), columns)
        .map_err(|error| Error::new(ErrorCode::Internal, "items cannot be rows").source(error))
}

fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn csv_line(item: &Item) -> Result<String> {
    let row = serde_json::to_value(item).map_err(odd)?;
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

/// Which of the addresses of a report, or of a run's items, are names below `base`; an error for one
/// that is not.
pub fn below(base: &str, source: &str) -> Result<String> {
    let name = source.strip_prefix(base).and_then(|name| {
        // The address of a bucket ends in nothing, and a `/` follows it that is part of no key.
        let whole = base.is_empty() || base.ends_with(['/', ':']);
        if whole { Some(name) } else { name.strip_prefix('/') }
    });
    name.map(str::to_owned).ok_or_else(|| {
        Error::new(
            ErrorCode::UsageInvalid,
            format!("`{source}`, which failed then, does not lie below `{base}`"),
        )
        .hint("name the source of that run")
    })
}

/// The key of a report in the bucket of a copy's destination, if it lies there.
pub fn key_in(destination: &CopySide, report: &CopySide) -> Option<String> {
    let (to, at) = (&destination.storage, &report.location);
    match (to.local_path(""), report.storage.local_path(&at.key)) {
        (Some(root), Some(path)) => {
            let folder = if at.key.ends_with('/') { "/" } else { "" };
            path.strip_prefix(root).ok()?.to_str().map(|key| format!("{key}{folder}"))
        }
        (None, None) => {
            let same =
                to.name() == report.storage.name() && destination.location.bucket == at.bucket;
            same.then(|| at.key.clone())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _};
    use windlass_transfer::Action;

    fn item(status: Status, reason: Option<&str>) -> Item {
        Item {
            action: Action::Copy,
            source: "a:b/odd \",\n.csv".to_owned(),
            destination: "b:x".to_owned(),
            size: 7,
            status,
            reason: reason.map(str::to_owned),
            code: reason.map(|_| "object.changed".to_owned()),
            hint: None,
        }
    }

    fn written(format: Format, only_failed: bool) -> Vec<u8> {
        let mut writer = Writer::begin(tempfile::tempfile().unwrap(), format, only_failed).unwrap();
        writer.item(&item(Status::Done, None));
        writer.item(&item(Status::Failed, Some("it said \"no\", twice")));
        let mut file = writer.end().unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn names_below_a_bucket_have_no_slash_before_them() {
        let below = |base, source| super::below(base, source).ok();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(below("lake:b/in/", "lake:b/in/x"), some("x"));
        assert_eq!(below("lake:b", "lake:b/in/x"), some("in/x"));
        assert_eq!(below("lake:b", "lake:b//x"), some("/x"));
        assert_eq!(below("lake:", "lake:in/x"), some("in/x"), "bound to the bucket");
        assert_eq!(below("lake:b", "lake:b2/x"), None);
    }

    #[test]
    fn a_report_has_a_line_for_each_item_in_every_format() {
        let text = |format, failed| String::from_utf8(written(format, failed)).unwrap();
        assert_eq!(
            text(Format::Csv, false),
            "action,source,destination,size,status,reason,code,hint\n\
             copy,\"a:b/odd \"\",\n.csv\",b:x,7,done,,,\n\
             copy,\"a:b/odd \"\",\n.csv\",b:x,7,failed,\"it said \"\"no\"\", twice\",object.changed,\n"
        );
        assert_eq!(
            text(Format::Jsonl, true),
            "{\"action\":\"copy\",\"source\":\"a:b/odd \\\",\\n.csv\",\"destination\":\"b:x\",\"size\":7,\"status\":\"failed\",\
             \"reason\":\"it said \\\"no\\\", twice\",\"code\":\"object.changed\"}\n"
        );
        let parquet = written(Format::Parquet, false);
        assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
        assert!(Format::of_name("r.txt").is_err());
        assert_eq!(Format::of_name("b/r.PARQUET").unwrap(), Format::Parquet);
    }
}
