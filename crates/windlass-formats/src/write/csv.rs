//! Fields between delimiters, as RFC 4180 and its relatives.
//!
//! A text that would read as NULL is quoted, and NULL never is: so both come back. In a file of one
//! column, where nothing would be an empty line, NULL without a text is `""`.

use super::cells::{Cells, json_options};
use super::options::Quoting;
use super::text::Text;
use super::{FileFormat, Rows, Shared, unwritable};
use arrow::datatypes::SchemaRef;
use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use windlass_types::Result;

/// Text is handed on when so many bytes of it are there.
const PIECE: usize = 256 << 10;

pub(super) struct Csv {
    text: Text,
    style: Style,
    json: EncoderOptions,
    line: String,
    rows: u64,
}

struct Style {
    delimiter: String,
    quote: Option<char>,
    escape: Option<char>,
    null: String,
    end: &'static str,
    quoting: Quoting,
    alone: bool,
}

impl Csv {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        let style = Style {
            delimiter: format.delimiter.clone(),
            quote: format.quote,
            escape: format.escape,
            null: format.null.clone(),
            end: format.line_end.as_str(),
            quoting: format.quoting,
            alone: schema.fields().len() == 1,
        };
        let text = Text::new(format, out)?;
        let mut csv = Self { text, style, json: json_options(), line: String::new(), rows: 0 };
        if format.header {
            for (index, field) in schema.fields().iter().enumerate() {
                if index > 0 {
                    csv.line.push_str(&csv.style.delimiter);
                }
                csv.style.push(field.name(), true, &mut csv.line).map_err(|what| {
                    unwritable(format!("the name of column {} {what}", index + 1))
                })?;
            }
            csv.line.push_str(csv.style.end);
        }
        Ok(csv)
    }

    fn out(&mut self, least: usize) -> Result<()> {
        if self.line.len() < least {
            return Ok(());
        }
        self.text.push(&self.line)?;
        self.line.clear();
        Ok(())
    }
}

impl Style {
    /// Adds a value that is not null; or says why it cannot be.
    fn push(&self, value: &str, text: bool, line: &mut String) -> Result<(), &'static str> {
        let special = || {
            value.contains(&self.delimiter)
                || value.contains(['\n', '\r'])
                || self.quote.is_some_and(|quote| value.contains(quote))
                || self.escape.is_some_and(|escape| value.contains(escape))
                || value.starts_with('\u{feff}')
        };
        let quotes = match self.quoting {
            Quoting::Always => true,
            Quoting::Strings => text || special(),
            Quoting::Necessary => value == self.null || special(),
            Quoting::Never => false,
        };
        let Some(quote) = self.quote.filter(|_| quotes) else {
            if special() {
                return Err("needs quotes, which the options forbid");
            }
            line.push_str(value);
            return Ok(());
        };
        line.push(quote);
        match self.escape {
            Some(escape) => {
                for char in value.chars() {
                    if char == quote || char == escape {
                        line.push(escape);
                    }
                    line.push(char);
                }
            }
            None if value.contains(quote) => {
                let mut twice = [0; 8];
                let single = quote.encode_utf8(&mut twice[..4]).to_owned();
                line.push_str(&value.replace(quote, &format!("{single}{single}")));
            }
            None => line.push_str(value),
        }
        line.push(quote);
        Ok(())
    }
}

impl Rows for Csv {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let json = std::mem::take(&mut self.json);
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (array, field) in batch.columns().iter().zip(schema.fields()) {
            columns.push(Cells::new(array, field, &json)?);
        }
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter_mut().enumerate() {
                if index > 0 {
                    self.line.push_str(&self.style.delimiter);
                }
                if column.is_null(row) {
                    self.line.push_str(&self.style.null);
                    if self.style.alone
                        && self.style.null.is_empty()
                        && let Some(quote) = self.style.quote
                    {
                        self.line.push(quote);
                        self.line.push(quote);
                    }
                    continue;
                }
                cell.clear();
                column.push(row, &mut cell);
                self.style.push(&cell, column.is_text(), &mut self.line).map_err(|what| {
                    let name = schema.field(index).name();
                    let row = self.rows + row as u64 + 1;
                    unwritable(format!("the value of `{name}` in row {row} {what}"))
                        .hint("leave QUOTING out, or choose another DELIMITER")
                })?;
            }
            self.line.push_str(self.style.end);
            self.out(PIECE)?;
        }
        drop(columns);
        self.json = json;
        self.rows += batch.num_rows() as u64;
        self.out(1)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.out(1)?;
        self.text.finish()
    }
}
