//! Fields at fixed places of a record (P-2.5).

use crate::format::{Failure, Format, Limits, Reading, Rows, or_end};
use crate::source::{Source, line, too_long, without_mark};
use crate::typed::{Guesses, Texts};
use arrow::datatypes::{DataType, Field, Schema};
use std::io::{self, BufRead};

/// One column: its place in characters; the first is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedColumn {
    /// Its name.
    pub name: String,
    /// Its type; None: by its values.
    pub kind: Option<DataType>,
    /// Characters before it.
    pub offset: usize,
    /// Its characters.
    pub length: usize,
}

/// How records and fields are laid out.
#[derive(Debug, Clone)]
pub struct FixedWidth {
    /// The columns.
    pub columns: Vec<FixedColumn>,
    /// Records at the start of the file that are none.
    pub skip_rows: usize,
    /// Characters between records that are not part of them, when lines do not end them.
    pub skip_bytes: usize,
    /// Whether each line is a record; else records follow each other.
    pub line_delimited: bool,
    /// Whether blanks at the end of a text are no part of it.
    pub strip: bool,
    /// The decimal point.
    pub point: char,
}

/// The next record; None at the end.
struct Records<'a> {
    layout: &'a FixedWidth,
    stream: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    longest: usize,
    number: u64,
}

impl FixedWidth {
    /// Characters of a record.
    fn width(&self) -> usize {
        self.columns.iter().map(|column| column.offset + column.length).max().unwrap_or(0)
    }

    fn open(&self, source: &dyn Source, longest: usize) -> Result<Records<'_>, Failure> {
        let mut stream = source.stream()?;
        without_mark(&mut *stream)?;
        let buffer = Vec::new();
        let mut records = Records { layout: self, stream, buffer, longest, number: 0 };
        for _ in 0..self.skip_rows {
            if records.next()?.is_none() {
                break;
            }
        }
        Ok(records)
    }

    /// The value of a column; None: blank, or beyond the end of the record.
    fn value<'t>(&self, record: &'t str, column: &FixedColumn) -> Option<&'t str> {
        let place = |characters: usize| {
            if record.is_ascii() {
                return characters.min(record.len());
            }
            record.char_indices().nth(characters).map_or(record.len(), |(at, _)| at)
        };
        let text = &record[place(column.offset)..place(column.offset + column.length)];
        let is_text = column.kind.as_ref().is_none_or(|kind| *kind == DataType::Utf8);
        let text = match (is_text, self.strip) {
            (false, _) => text.trim(),
            (true, true) => text.trim_end(),
            (true, false) => text,
        };
        (!text.trim().is_empty()).then_some(text)
    }

    /// The number a text says, with the decimal point of Rust.
    fn number(&self, column: &FixedColumn, value: &str) -> Option<String> {
        let numeric = column.kind.as_ref().is_some_and(DataType::is_numeric);
        (numeric && self.point != '.').then(|| value.replace(self.point, "."))
    }
}

impl Records<'_> {
    fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.number += 1;
        let number = self.number;
        if self.layout.line_delimited {
            let text = line(&mut *self.stream, &mut self.buffer, self.longest)?;
            return Ok(text.map(|text| (number, text)));
        }
        self.buffer.clear();
        let width = self.layout.width();
        let between = if number == 1 { 0 } else { self.layout.skip_bytes };
        self.take(between)?;
        self.buffer.clear();
        let taken = self.take(width)?;
        // A file may end with line ends.
        let blank = self.buffer.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0x1a));
        if taken == 0 || (taken < width && blank) {
            return Ok(None);
        }
        Ok(Some((number, self.buffer.as_slice())))
    }

    /// Appends so many characters to the buffer, as far as there are.
    fn take(&mut self, characters: usize) -> io::Result<usize> {
        let mut taken = 0;
        while taken < characters {
            let chunk = self.stream.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let mut bytes = 0;
            for byte in chunk {
                // A byte that goes on with a character belongs to the one before.
                let begins = byte & 0xc0 != 0x80;
                if begins && taken == characters {
                    break;
                }
                taken += usize::from(begins);
                bytes += 1;
            }
            self.buffer.extend_from_slice(&chunk[..bytes]);
            self.stream.consume(bytes);
            if self.buffer.len() > self.longest {
                return Err(too_long("a record", self.longest));
            }
        }
        // The rest of the last character.
        while taken > 0
            && let chunk = self.stream.fill_buf()?
            && chunk.first().is_some_and(|byte| byte & 0xc0 == 0x80)
        {
            self.buffer.push(chunk[0]);
            self.stream.consume(1);
        }
        Ok(taken)
    }
}

impl Rows for FixedWidth {
    fn label(&self) -> &'static str {
        "fixed width"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut texts = Texts::new(reading);
        let mut records = self.open(source, reading.longest)?;
        // The types of the table decide what is trimmed.
        let columns: Vec<Option<FixedColumn>> = reading
            .schema
            .fields()
            .iter()
            .map(|field| {
                let found = self.columns.iter().find(|column| column.name == *field.name())?;
                Some(FixedColumn { kind: Some(field.data_type().clone()), ..found.clone() })
            })
            .collect();
        let mut ended = Ok(());
        while let Some((number, record)) =
            reading.next(records.next().map_err(Failure::from), &mut ended)?
        {
            let Ok(text) = std::str::from_utf8(record) else {
                texts.pass();
                reading.reject(Some(number), "it is not UTF-8; say what it is with ENCODING")?;
                continue;
            };
            if text.is_empty() && self.line_delimited {
                continue;
            }
            let values: Vec<Option<std::borrow::Cow<'_, str>>> = columns
                .iter()
                .map(|column| {
                    let column = column.as_ref()?;
                    let value = self.value(text, column)?;
                    Some(self.number(column, value).map_or(value.into(), Into::into))
                })
                .collect();
            texts.push(number, |column| values[column].as_deref());
            if texts.is_full() && !texts.flush(reading)? {
                return Ok(());
            }
        }
        texts.flush(reading)?;
        ended
    }
}

impl Format for FixedWidth {
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, false)
    }

    fn infer_broken(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, true)
    }
}

impl FixedWidth {
    fn learn(&self, source: &dyn Source, limits: &Limits, broken: bool) -> Result<Schema, Failure> {
        let mut guesses = Guesses::new(self.columns.iter().map(|column| column.name.clone()));
        let mut records = self.open(source, limits.longest)?;
        let (mut rows, mut read) = (0, 0);
        if self.columns.iter().any(|column| column.kind.is_none()) {
            loop {
                let next = records.next().map_err(Failure::from);
                let Some((_, record)) = or_end(next, broken && rows > 0)? else { break };
                read += record.len();
                rows += 1;
                let Ok(text) = std::str::from_utf8(record) else { continue };
                for (at, column) in self.columns.iter().enumerate() {
                    if let Some(value) = self.value(text, column) {
                        guesses.add(at, value.trim());
                    }
                }
                if limits.enough(rows, read) {
                    break;
                }
            }
        }
        let learnt = guesses.schema(limits.text);
        let fields: Vec<Field> = self
            .columns
            .iter()
            .zip(learnt.fields())
            .map(|(column, guess)| match &column.kind {
                Some(kind) => Field::new(&column.name, kind.clone(), true),
                None => guess.as_ref().clone(),
            })
            .collect();
        Ok(Schema::new(fields))
    }
}
