//! CSV whose bad records are left out or read in part: front to back, record by record where it must.

use crate::format::TextOptions;
use crate::headless::First;
use crate::records::{Lines, line_end, record_end};
use crate::text::{format, header, null_pattern, without_mark};
use arrow::array::{ArrayRef, AsArray as _, StringArray, new_null_array};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Decoder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use std::io::{self, BufRead};
use std::sync::Arc;
use windlass_formats::infer::Guess;
use windlass_formats::source::too_long;
use windlass_formats::{Failure, Format, Limits, OnError, Place, Reading, Rows, Source, typed};

/// CSV, read with care.
#[derive(Debug)]
pub(crate) struct Careful {
    pub(crate) options: TextOptions,
}

/// Bytes that are cut into records at a time.
const PIECE: usize = 256 << 10;
/// Fields beyond those of the header that a record may have to be read in part.
const MORE: usize = 256;

/// A record: where it is in the buffer, and where in the file.
struct Record {
    start: usize,
    end: usize,
    place: Place,
}

struct Records<'a> {
    stream: Box<dyn BufRead + Send>,
    options: &'a TextOptions,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    done: usize,
    lines: Lines,
    /// Records that were handed out or told as bad.
    number: u64,
    ended: bool,
    /// Why the file ended too soon; what came before is handed out first.
    failed: Option<io::Error>,
}

impl<'a> Records<'a> {
    fn open(source: &dyn Source, options: &'a TextOptions) -> io::Result<Self> {
        let stream = source.stream()?;
        let buffer = Vec::new();
        let lines = Lines::default();
        let mut records =
            Self { stream, options, buffer, done: 0, lines, number: 0, ended: false, failed: None };
        records.fill(3)?;
        let mark = records.buffer.len() - without_mark(&records.buffer).len();
        records.buffer.drain(..mark);
        for _ in 0..options.skip_rows {
            while line_end(&records.buffer).is_none() && !records.ended {
                if records.buffer.len() > options.longest {
                    return Err(too_long("a line", options.longest));
                }
                records.fill(records.buffer.len() + PIECE)?;
            }
            let end = line_end(&records.buffer).unwrap_or(records.buffer.len());
            records.lines.pass(&records.buffer[..end]);
            records.buffer.drain(..end);
        }
        Ok(records)
    }

    fn fill(&mut self, bytes: usize) -> io::Result<()> {
        while self.buffer.len() < bytes && !self.ended {
            let chunk = match self.stream.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if self.buffer.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    self.ended = true;
                    return Ok(());
                }
            };
            let taken = chunk.len();
            self.ended = taken == 0;
            self.buffer.extend_from_slice(chunk);
            self.stream.consume(taken);
        }
        Ok(())
    }

    /// The next records; `bad` is told of a line whose quote is never closed.
    fn next(
        &mut self,
        most: usize,
        bad: &mut dyn FnMut(u64) -> Result<(), Failure>,
    ) -> Result<Option<Vec<Record>>, Failure> {
        self.buffer.drain(..self.done);
        self.done = 0;
        let mut wanted = PIECE;
        loop {
            self.fill(wanted)?;
            let mut found = Vec::new();
            while self.done < self.buffer.len() && found.len() < most {
                let rest = &self.buffer[self.done..];
                let blank = matches!(rest, [b'\n' | b'\r', ..]);
                let comment =
                    self.options.comment.is_some() && rest.first() == self.options.comment.as_ref();
                let quoting = (!blank && !comment).then_some(self.options);
                let length = match record_end(rest, quoting) {
                    Some(length) => length,
                    None if !self.ended && rest.len() <= self.options.longest => break,
                    None if self.ended && self.is_last(rest, quoting) => rest.len(),
                    // A record that the file breaks off in is none.
                    None if self.failed.is_some() => break,
                    // A quote that is never closed would take the rest of the file with it.
                    None => match line_end(rest) {
                        Some(length) if quoting.is_some() => {
                            bad(self.lines.ended + 1)?;
                            self.number += 1;
                            self.pass(length);
                            continue;
                        }
                        _ if self.ended => rest.len(),
                        // What was found before it is handed out first.
                        _ if !found.is_empty() => break,
                        _ => return Err(too_long("a record", self.options.longest).into()),
                    },
                };
                if !blank && !comment {
                    self.number += 1;
                    let place = Place { line: self.lines.ended + 1, number: self.number };
                    found.push(Record { start: self.done, end: self.done + length, place });
                }
                self.pass(length);
            }
            if !found.is_empty() {
                return Ok(Some(found));
            }
            if let Some(error) = self.failed.take() {
                return Err(error.into());
            }
            if self.ended && self.done == self.buffer.len() {
                return Ok(None);
            }
            self.buffer.drain(..self.done);
            self.done = 0;
            wanted = self.buffer.len() * 2 + PIECE;
        }
    }

    /// Whether the rest of the file is one record, with a last `\r` or no line end at all.
    fn is_last(&self, rest: &[u8], quoting: Option<&TextOptions>) -> bool {
        // What comes before a break may have more to come.
        (self.failed.is_none() || rest.ends_with(b"\r"))
            && record_end(&[rest, b"\n".as_slice()].concat(), quoting) == Some(rest.len() + 1)
    }

    fn pass(&mut self, length: usize) {
        self.lines.pass(&self.buffer[self.done..self.done + length]);
        self.done += length;
    }

    fn bytes(&self, record: &Record) -> &[u8] {
        &self.buffer[record.start..record.end]
    }
}

/// Decodes so many records of so many columns to text.
fn decoder(
    columns: usize,
    options: &TextOptions,
    truncated: bool,
    rows: usize,
) -> Result<Decoder, ArrowError> {
    let fields: Vec<Field> =
        (0..columns).map(|at| Field::new(at.to_string(), DataType::Utf8, true)).collect();
    let mut builder = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_format(format(options)?.with_truncated_rows(truncated))
        // A batch that is full takes no more bytes, and a record ends with the `\r` of a `\r\n`.
        .with_batch_size(rows + 1);
    if let Some(null) = null_pattern(options)? {
        builder = builder.with_null_regex(null);
    }
    Ok(builder.build_decoder())
}

fn decode(mut decoder: Decoder, mut bytes: &[u8]) -> Result<Option<RecordBatch>, ArrowError> {
    loop {
        let used = decoder.decode(bytes)?;
        bytes = &bytes[used..];
        if bytes.is_empty() {
            decoder.decode(&[])?;
            return decoder.flush();
        }
        if used == 0 {
            return Err(ArrowError::CsvError("it is not one record".to_owned()));
        }
    }
}

/// What arrow said of a record, without the lines it counted.
fn said(error: &ArrowError) -> String {
    let text = match error {
        ArrowError::CsvError(text) | ArrowError::ParseError(text) => text.clone(),
        other => other.to_string(),
    };
    let Some((before, after)) = text.split_once(" for line ") else { return text };
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Names of columns, and the header as one row of texts.
type Names = (Vec<String>, Option<RecordBatch>);

impl Careful {
    /// The names of the columns, and the texts of the header; None: there is no record.
    fn names(&self, records: &mut Records<'_>) -> Result<Option<Names>, Failure> {
        let Some(first) = records.next(1, &mut |_| Ok(()))? else { return Ok(None) };
        let options = TextOptions { skip_rows: 0, ..self.options.clone() };
        let bytes = records.bytes(&first[0]);
        let Some(names) = header(bytes, &options, true)? else { return Ok(None) };
        let text = options.header.then(|| decoder(names.len(), &options, false, 1));
        let text = text.and_then(|decoder| decode(decoder.ok()?, bytes).ok()?);
        if !self.options.header {
            // It is read again as a row.
            records.done = first[0].start;
            records.lines = Lines::default();
            records.lines.ended = first[0].place.line - 1;
        }
        records.number = 0;
        Ok(Some((names, text)))
    }

    /// Texts of good records, with their places; bad ones go to `bad`, and in part to the texts if that
    /// says so.
    fn texts(
        &self,
        records: &Records<'_>,
        found: &[Record],
        columns: usize,
        bad: &mut dyn FnMut(u64, &str) -> Result<bool, Failure>,
    ) -> Result<Vec<(RecordBatch, Vec<Place>)>, Failure> {
        let places = |found: &[Record]| found.iter().map(|record| record.place).collect::<Vec<_>>();
        let together = |found: &[Record]| -> Vec<u8> {
            found.iter().flat_map(|record| records.bytes(record).iter().copied()).collect()
        };
        let whole = decode(decoder(columns, &self.options, false, found.len())?, &together(found));
        if let Ok(Some(batch)) = &whole
            && batch.num_rows() == found.len()
        {
            return Ok(vec![(batch.clone(), places(found))]);
        }
        // Halves, until the bad ones are alone.
        if found.len() > 1 {
            let (left, right) = found.split_at(found.len() / 2);
            let mut texts = self.texts(records, left, columns, bad)?;
            texts.extend(self.texts(records, right, columns, bad)?);
            return Ok(texts);
        }
        let why = match &whole {
            Err(error) => said(error),
            Ok(_) => "it is not one record".to_owned(),
        };
        let record = &found[0];
        if !bad(record.place.line, &why)? {
            return Ok(Vec::new());
        }
        let wide = decoder(columns + MORE, &self.options, true, 1)?;
        match decode(wide, records.bytes(record)) {
            Ok(Some(batch)) if batch.num_rows() == 1 => {
                let kept: Vec<usize> = (0..columns).collect();
                Ok(vec![(batch.project(&kept)?, places(found))])
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl Rows for Careful {
    fn label(&self) -> &'static str {
        if self.options.delimiter == b'\t' { "TSV" } else { "CSV" }
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut records = Records::open(source, &self.options)?;
        let Some((names, _)) = self.names(&mut records)? else { return Ok(()) };
        reading.check_names(names.iter().map(String::as_str))?;
        let schema = Arc::clone(&reading.schema);
        let places: Vec<Option<usize>> = schema
            .fields()
            .iter()
            .map(|field| names.iter().position(|name| name == field.name()))
            .collect();
        let part = reading.on_error == OnError::Null;
        loop {
            let found = records.next(reading.rows, &mut |line| {
                reading.reject(Some(line), "a quote is not closed")
            })?;
            let Some(found) = found else { return Ok(()) };
            let texts = self.texts(&records, &found, names.len(), &mut |line, why| {
                reading.reject(Some(line), why)?;
                Ok(part)
            })?;
            for (batch, found) in texts {
                let columns: Vec<ArrayRef> = places
                    .iter()
                    .map(|place| match place {
                        Some(at) => Arc::clone(batch.column(*at)),
                        None => new_null_array(&DataType::Utf8, batch.num_rows()),
                    })
                    .collect();
                if let Some(batch) = typed(&schema, &columns, &found, reading)?
                    && !(reading.out)(batch)
                {
                    return Ok(());
                }
            }
        }
    }
}

impl Format for Careful {
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        let mut records = Records::open(source, &self.options)?;
        let Some((names, first)) = self.names(&mut records)? else { return Ok(Schema::empty()) };
        let mut guesses = vec![Guess::default(); names.len()];
        let (mut rows, mut read) = (0, 0);
        loop {
            let found = match records.next(1000, &mut |_| Ok(())) {
                Ok(Some(found)) if !limits.text => found,
                // Where the file breaks off is said when it is read.
                Err(failure) if rows == 0 => return Err(failure),
                _ => break,
            };
            for (batch, _) in self.texts(&records, &found, names.len(), &mut |_, _| Ok(false))? {
                for (column, guess) in batch.columns().iter().zip(&mut guesses) {
                    let column: &StringArray = column.as_string::<i32>();
                    column.iter().flatten().for_each(|value| guess.add(value));
                }
                rows += batch.num_rows();
            }
            read += found.last().map_or(0, |record| record.end);
            if limits.enough(rows, read) {
                break;
            }
        }
        let field = |(name, guess): (&String, &Guess)| {
            if limits.text { Field::new(name, DataType::Utf8, true) } else { guess.field(name) }
        };
        let first = first.filter(|_| !limits.text).map(|first| First::of(&first, &guesses));
        let fields: Vec<Field> = names.iter().zip(&guesses).map(field).collect();
        Ok(Schema::new_with_metadata(fields, first.unwrap_or_default().metadata()))
    }
}
