//! Rows in a file: what `--report` of a check writes, as CSV, JSON lines or Parquet by the end of its
//! name, on this machine or behind a connection.

use crate::failure::Failure;
use crate::render::Format;
use crate::render::csv::Csv;
use crate::render::json::Json;
use crate::rows::{Cell, Columns, batch, schema};
use crate::session::{Place, Session};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use windlass_core::transfer::{Quiet, Side, copy_stream};
use windlass_types::{Address, Error, ErrorCode, Result};

/// Rows of a Parquet row group: what is held in memory before it is written.
const ROW_GROUP: usize = 64 << 10;

/// Rows printed together at most.
const CHUNK: usize = 1000;

/// A file of rows that is being written.
pub(crate) struct TableFile {
    name: String,
    rows: Rows,
    /// Where it goes when it is whole; None if it is written in place.
    to: Option<Box<Place>>,
}

enum Rows {
    Csv(Csv, BufWriter<File>),
    Json(Json, BufWriter<File>),
    Parquet(Box<ArrowWriter<File>>),
}

impl TableFile {
    /// Begins the file, if one is wanted.
    pub(crate) async fn wanted(
        session: &Session,
        name: Option<&str>,
        columns: Columns,
    ) -> Result<Option<Self>> {
        match name {
            Some(name) => Self::begin(session, name, &schema(columns)).await.map(Some),
            None => Ok(None),
        }
    }

    async fn begin(session: &Session, name: &str, schema: &SchemaRef) -> Result<Self> {
        let end = Path::new(name).extension().and_then(|end| end.to_str()).unwrap_or_default();
        if !matches!(end, "csv" | "jsonl" | "ndjson" | "parquet") {
            return Err(Error::new(
                ErrorCode::UsageInvalid,
                format!("the end of `{name}` does not say what the report is to be"),
            )
            .hint("end it in `.csv`, `.jsonl` or `.parquet`"));
        }
        let failed = |error: std::io::Error| unwritten(name, error);
        let (file, to) = if let Address::Local(path) = Address::parse(name)? {
            (File::create(path).map_err(failed)?, None)
        } else {
            let place = session.remote_place(name).await?;
            place.object()?;
            (tempfile::tempfile().map_err(failed)?, Some(Box::new(place)))
        };
        let rows = match end {
            "csv" => {
                let (mut text, mut writer) = (String::new(), BufWriter::new(file));
                let csv = Csv::new(schema, false, &mut text);
                writer.write_all(text.as_bytes()).map_err(failed)?;
                Rows::Csv(csv, writer)
            }
            "parquet" => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP))
                    .build();
                let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties));
                Rows::Parquet(Box::new(writer.map_err(|error| unwritten(name, error))?))
            }
            _ => Rows::Json(Json::lines(schema), BufWriter::new(file)),
        };
        Ok(Self { name: name.to_owned(), rows, to })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut text = String::new();
        match &mut self.rows {
            Rows::Csv(csv, writer) => {
                csv.batch(batch, &mut text);
                writer.write_all(text.as_bytes()).map_err(|error| unwritten(&self.name, error))
            }
            Rows::Json(json, writer) => {
                json.batch(batch, &mut text);
                writer.write_all(text.as_bytes()).map_err(|error| unwritten(&self.name, error))
            }
            Rows::Parquet(writer) => {
                writer.write(batch).map_err(|error| unwritten(&self.name, error))
            }
        }
    }

    /// Ends the file, and takes it where it belongs.
    async fn end(self) -> Result<()> {
        let failed = |error: std::io::Error| unwritten(&self.name, error);
        let file = match self.rows {
            Rows::Csv(_, writer) | Rows::Json(_, writer) => {
                writer.into_inner().map_err(|error| failed(error.into_error()))
            }
            Rows::Parquet(writer) => {
                writer.into_inner().map_err(|error| unwritten(&self.name, error))
            }
        };
        let mut file = file?;
        let Some(place) = self.to else { return Ok(()) };
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let side = Side { storage: place.storage, location: place.location };
        let input = tokio::fs::File::from_std(file);
        copy_stream(input, side, Arc::new(Quiet), CancellationToken::new()).await?;
        Ok(())
    }
}

fn unwritten(
    name: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>,
) -> Error {
    Error::new(ErrorCode::LocalFailed, format!("cannot write `{name}`"))
        .source(std::io::Error::other(error))
}

/// Prints what is found as it comes, a line each for people and a row each for programs, and writes
/// the rows to the report too. The report is ended also when the finding fails.
pub(crate) async fn tell<T: Send>(
    session: &Session,
    columns: Columns,
    report: Option<TableFile>,
    found: BoxStream<'_, Result<T>>,
    line: impl Fn(&T) -> String + Send + Sync,
    row: impl Fn(T) -> Vec<Cell> + Send + Sync,
) -> Result<(), Failure> {
    let table = session.global.output == Format::Table;
    let report = Mutex::new(report);
    let chunks = found
        .ready_chunks(CHUNK)
        .flat_map(|chunk| {
            let (mut text, mut rows, mut failed) = (String::new(), Vec::new(), None);
            for one in chunk {
                match one {
                    Ok(one) => {
                        if table {
                            text.push_str(&line(&one));
                            text.push('\n');
                        }
                        rows.push(row(one));
                    }
                    Err(error) => failed = Some(error),
                }
            }
            let mut out = Vec::new();
            if !rows.is_empty() {
                out.push(batch(columns, &rows).and_then(|rows| {
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(report) = &mut *report {
                        report.write(&rows)?;
                    }
                    Ok((text, rows))
                }));
            }
            out.extend(failed.map(Err));
            futures::stream::iter(out)
        })
        .boxed();
    let ended = if table {
        let mut chunks = chunks;
        loop {
            match chunks.next().await {
                None => break Ok(()),
                Some(Err(error)) => break Err(error.into()),
                Some(Ok((text, _))) => {
                    let shown = session.console.print(&text).and_then(|()| session.console.flush());
                    if let Err(failure) = shown {
                        break Err(failure);
                    }
                }
            }
        }
    } else {
        let rows = chunks.map_ok(|(_, rows)| rows).boxed();
        session.printer.rows(&session.console, schema(columns), rows).await.map(drop)
    };
    let report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    let written = match report {
        Some(report) => report.end().await,
        None => Ok(()),
    };
    ended?;
    Ok(written?)
}
