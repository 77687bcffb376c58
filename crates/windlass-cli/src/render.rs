//! Rows become text: tables for people, JSON, JSON lines and CSV for programs.
//!
//! Everything streams; a table holds back only as many rows as it needs to choose its widths.

pub mod csv;
mod expanded;
pub mod json;
pub mod table;
pub mod text;

use crate::console::Console;
use crate::failure::Failure;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON array per statement, each on its own line.
    Json,
    /// One JSON object per row.
    Jsonl,
    /// RFC 4180, with an empty line between results.
    Csv,
}

impl Format {
    /// Whether errors are written as JSON too.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// How long a table waits for more rows before it shows those it has.
const PATIENCE: Duration = Duration::from_millis(800);

/// Prints the results of one command.
pub struct Printer {
    format: Format,
    printed: AtomicBool,
    expanded: bool,
}

enum Writer {
    Table(table::Table),
    Json(json::Json),
    Csv(csv::Csv),
}

impl Writer {
    fn batch(&mut self, batch: &RecordBatch, out: &mut String) {
        match self {
            Self::Table(table) => table.batch(batch, out),
            Self::Json(json) => json.batch(batch, out),
            Self::Csv(csv) => csv.batch(batch, out),
        }
    }

    fn finish(&mut self, out: &mut String) {
        match self {
            Self::Table(table) => table.finish(out),
            Self::Json(json) => json.finish(out),
            Self::Csv(_) => {}
        }
    }

    /// Whether rows are held back.
    fn holds_back(&self) -> bool {
        matches!(self, Self::Table(table) if table.holds_back())
    }
}

impl Printer {
    /// A printer of `format` that has printed nothing yet.
    pub fn new(format: Format) -> Self {
        Self { format, printed: AtomicBool::new(false), expanded: false }
    }

    /// The same, with each row of a table as a block of lines.
    #[must_use]
    pub fn expanded(mut self, expanded: bool) -> Self {
        self.expanded = expanded;
        self
    }

    /// Whether each row of a table is a block of lines.
    pub fn is_expanded(&self) -> bool {
        self.expanded
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints one result as its rows arrive; answers how many rows there were.
    pub async fn rows(
        &self,
        console: &Console,
        schema: SchemaRef,
        mut batches: BoxStream<'_, windlass_types::Result<RecordBatch>>,
    ) -> Result<u64, Failure> {
        let mut out = String::new();
        let again = self.printed.swap(true, Ordering::Relaxed);
        let mut writer = match self.format {
            Format::Table => {
                Writer::Table(table::Table::new(&schema, console.width()).expanded(self.expanded))
            }
            Format::Json => Writer::Json(json::Json::array(&schema, &mut out)),
            Format::Jsonl => Writer::Json(json::Json::lines(&schema)),
            Format::Csv => {
                if again {
                    out.push('\n');
                }
                Writer::Csv(csv::Csv::new(&schema, console.out_terminal, &mut out))
            }
        };
        let mut count: u64 = 0;
        let ended = loop {
            let next = if writer.holds_back() {
                let waited = tokio::time::timeout(PATIENCE, batches.next()).await;
                let Ok(next) = waited else {
                    if let Writer::Table(table) = &mut writer {
                        table.settle(&mut out);
                    }
                    flush(console, &mut out)?;
                    continue;
                };
                next
            } else {
                batches.next().await
            };
            match next {
                Some(Ok(batch)) => {
                    count += batch.num_rows() as u64;
                    writer.batch(&batch, &mut out);
                    // Nothing is begun before there is a row: what fails earlier prints nothing.
                    if count > 0 {
                        flush(console, &mut out)?;
                    }
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        };
        match ended {
            Ok(()) => {
                writer.finish(&mut out);
                flush(console, &mut out)?;
                if let Writer::Table(table) = &writer
                    && let Some(note) = table.note()
                {
                    console.talk(&note);
                }
                Ok(count)
            }
            Err(error) => {
                // Rows that came are shown; a JSON array stays open, so that nobody takes it for
                // the whole answer.
                match &mut writer {
                    _ if count == 0 => out.clear(),
                    Writer::Table(table) => table.finish(&mut out),
                    Writer::Json(json) => json.abandon(&mut out),
                    Writer::Csv(_) => {}
                }
                flush(console, &mut out)?;
                Err(error.into())
            }
        }
    }

    /// Prints one result that is all there.
    pub async fn batch(&self, console: &Console, batch: RecordBatch) -> Result<u64, Failure> {
        self.rows(console, batch.schema(), futures::stream::iter([Ok(batch)]).boxed()).await
    }
}

fn flush(console: &Console, out: &mut String) -> Result<(), Failure> {
    if !out.is_empty() {
        console.print(out)?;
        out.clear();
        console.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Cell, Columns, Kind, batch};
    use windlass_types::{Error, ErrorCode};

    const COLUMNS: Columns = &[("name", Kind::Text), ("size", Kind::Integer)];

    fn sample() -> RecordBatch {
        batch(
            COLUMNS,
            &[
                vec![Cell::from("a,b"), Cell::from(1_u64)],
                vec![Cell::from("c"), Cell::Integer(None)],
            ],
        )
        .unwrap()
    }

    async fn printed(format: Format, results: usize) -> String {
        let (console, out, _) = Console::captured("");
        let printer = Printer::new(format);
        for _ in 0..results {
            assert_eq!(printer.batch(&console, sample()).await.unwrap(), 2);
        }
        out.text()
    }

    #[tokio::test]
    async fn json_is_one_array_per_result_each_on_its_own_line() {
        assert_eq!(
            printed(Format::Json, 2).await,
            "[{\"name\":\"a,b\",\"size\":1},{\"name\":\"c\",\"size\":null}]\n".repeat(2)
        );
        assert_eq!(
            printed(Format::Jsonl, 1).await,
            "{\"name\":\"a,b\",\"size\":1}\n{\"name\":\"c\",\"size\":null}\n"
        );
    }

    #[tokio::test]
    async fn csv_results_are_separated_by_an_empty_line() {
        assert_eq!(
            printed(Format::Csv, 2).await,
            "name,size\n\"a,b\",1\nc,\n\nname,size\n\"a,b\",1\nc,\n"
        );
    }

    #[tokio::test]
    async fn a_result_without_rows_is_still_a_result() {
        for (format, text) in [
            (Format::Json, "[]\n"),
            (Format::Jsonl, ""),
            (Format::Csv, "name,size\n"),
            (Format::Table, "┌──────┬──────┐\n│ name │ size │\n├──────┼──────┤\n└──────┴──────┘\n"),
        ] {
            let (console, out, _) = Console::captured("");
            let none = futures::stream::empty().boxed();
            Printer::new(format).rows(&console, sample().schema(), none).await.unwrap();
            assert_eq!(out.text(), text);
        }
    }

    #[tokio::test]
    async fn an_array_that_broke_off_does_not_look_whole() {
        let (console, out, _) = Console::captured("");
        let broken = futures::stream::iter([
            Ok(sample().slice(0, 1)),
            Err(Error::new(ErrorCode::ConnectionTimeout, "late")),
        ])
        .boxed();
        let result = Printer::new(Format::Json).rows(&console, sample().schema(), broken).await;
        assert!(matches!(result, Err(Failure::Error(_))));
        assert_eq!(out.text(), "[{\"name\":\"a,b\",\"size\":1}\n");
    }

    #[tokio::test]
    async fn what_fails_before_its_first_row_prints_nothing() {
        for format in [Format::Json, Format::Jsonl, Format::Csv, Format::Table] {
            let (console, out, _) = Console::captured("");
            let broken = futures::stream::iter([
                Ok(sample().slice(0, 0)),
                Err(Error::new(ErrorCode::BucketNotFound, "none")),
            ])
            .boxed();
            let result = Printer::new(format).rows(&console, sample().schema(), broken).await;
            assert!(matches!(result, Err(Failure::Error(_))));
            assert_eq!(out.text(), "", "{format:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_does_not_wait_for_ever_to_choose_its_widths() {
        let (console, out, _) = Console::captured("");
        let never = futures::stream::iter([Ok(sample())]).chain(futures::stream::pending()).boxed();
        let printer = Printer::new(Format::Table);
        let printing = printer.rows(&console, sample().schema(), never);
        let waited = tokio::time::timeout(PATIENCE * 3, printing).await;
        assert!(waited.is_err() && out.text().contains("a,b"));
    }
}
