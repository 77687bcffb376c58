//! Sheets of XLSX workbooks, row by row.
//!
//! What a workbook keeps apart from its sheets (texts, styles) is in memory; its size is bounded.

use crate::format::{Failure, Format, Limits, OnError, Reading, Rows};
use crate::locked::unlock;
use crate::schema::widen;
use crate::source::{Seekable, Source};
use crate::typed::Texts;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use calamine::{
    DataRef, DataType as _, ExcelDateTime, Reader as _, SheetType, Xlsx as Workbook, XlsxError,
};
use chrono::{NaiveDateTime, Timelike as _};
use secrecy::SecretString;
use std::collections::HashMap;
use std::io::{self, BufReader, Read as _};
use std::sync::Arc;

/// Which sheets are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sheets {
    /// The first one.
    First,
    /// All of them.
    All,
    /// Those of these names, in this order; each must be there.
    Named(Vec<String>),
    /// Those whose names begin so.
    Prefix(String),
    /// Those whose names end so.
    Suffix(String),
    /// Those whose names have this in them.
    Contains(String),
}

/// XLSX (P-2.5).
#[derive(Debug, Clone)]
pub struct Xlsx {
    /// Which sheets are read.
    pub sheets: Sheets,
    /// A column with the name of the sheet.
    pub sheet_column: Option<String>,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Rows before the header, or before the first row, that are none.
    pub skip_rows: usize,
    /// Rows without a value: kept as NULLs, left out, or bad.
    pub empty: RowRule,
    /// Whether a row must have a value in every column.
    pub complete: bool,
    /// What opens workbooks that are locked.
    pub password: Option<SecretString>,
}

/// What becomes of rows without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowRule {
    /// They are rows of NULL.
    Keep,
    /// They are left out.
    Skip,
    /// They are bad rows.
    Bad,
}

/// The metadata of the columns of a workbook that names the sheets that were read, a line each.
pub const SHEETS: &str = "windlass.sheets";

/// Bytes of texts and styles of a workbook.
const KEPT: u64 = 512 << 20;
/// What the format allows.
const ROWS: u32 = 1 << 20;
const COLUMNS: u32 = 1 << 14;

type Book = Workbook<BufReader<Box<dyn Seekable>>>;

impl From<XlsxError> for Failure {
    fn from(error: XlsxError) -> Self {
        match error {
            XlsxError::Password => Self::new("it is protected by a password"),
            other => Self::new(other.to_string()),
        }
    }
}

fn open(source: &dyn Source, password: Option<&SecretString>) -> Result<Book, Failure> {
    let unlocked = unlock(source, password)?;
    let file = || -> io::Result<_> {
        let file: Box<dyn Seekable> = match &unlocked {
            Some(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            None => source.ranges()?,
        };
        Ok(BufReader::with_capacity(64 << 10, file))
    };
    // The sizes a ZIP file declares may be wrong; what is decompressed counts.
    if let Ok(mut archive) = zip::ZipArchive::new(file()?) {
        let mut left = KEPT;
        for at in 0..archive.len() {
            let Ok(entry) = archive.by_index(at) else { continue };
            let name = entry.name().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
            let kept = name.rsplit('.').next().is_some_and(|end| matches!(end, "xml" | "rels"));
            if !kept || name.contains("/worksheets/sheet") || name.contains("/chart") {
                continue;
            }
            let read = io::copy(&mut entry.take(left + 1), &mut io::sink()).unwrap_or_default();
            if read > left {
                let limit = KEPT >> 20;
                return Err(Failure::new(format!(
                    "its texts and styles take more than {limit} MiB of memory"
                ))
                .hint("split the workbook, or save it as CSV"));
            }
            left -= read;
        }
    }
    Ok(Workbook::new(file()?)?)
}

/// A value of a cell.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Whole(i64),
    Number(f64),
    Bool(bool),
    Time(NaiveDateTime),
}

impl Value {
    fn read(cell: &DataRef<'_>) -> Option<Self> {
        Some(match cell {
            DataRef::Empty | DataRef::Error(_) => return None,
            DataRef::SharedString(text) => Self::text(text)?,
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
                Self::text(text)?
            }
            DataRef::Int(number) => Self::Whole(*number),
            #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
            DataRef::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Self::Whole(*number as i64)
            }
            DataRef::Float(number) => Self::Number(*number),
            DataRef::Bool(flag) => Self::Bool(*flag),
            DataRef::DateTime(time) => Self::time(cell, time)?,
        })
    }

    fn text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::Text(text.to_owned()))
    }

    /// A time, or the text of what has no date.
    fn time(cell: &DataRef<'_>, time: &ExcelDateTime) -> Option<Self> {
        if time.is_duration() || time.as_f64() < 1.0 {
            let seconds = cell.as_duration()?.num_seconds();
            let (hours, rest) = (seconds / 3600, seconds % 3600);
            return Some(Self::Text(format!("{hours:02}:{:02}:{:02}", rest / 60, rest % 60)));
        }
        time.as_datetime().map(Self::Time)
    }

    fn kind(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Whole(_) => DataType::Int64,
            Self::Number(_) => DataType::Float64,
            Self::Bool(_) => DataType::Boolean,
            Self::Time(time) if time.num_seconds_from_midnight() == 0 && time.nanosecond() == 0 => {
                DataType::Date32
            }
            Self::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }

    /// As text that can be cast to `kind`.
    fn show(&self, kind: &DataType) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
            Self::Time(time) => match (kind, self.kind()) {
                (DataType::Date32, _) | (DataType::Utf8, DataType::Date32) => {
                    time.format("%Y-%m-%d").to_string()
                }
                _ => time.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            },
        }
    }
}

/// A row: its number in the sheet from 1, and its values; none of a row without any.
type Row = (u64, Vec<Option<Value>>);

/// Takes a row with the names of the columns; says whether it wants more.
type TakeRow<'a> = dyn FnMut(&[String], Row) -> Result<bool, Failure> + 'a;

impl Xlsx {
    /// The names of the sheets that are read.
    fn chosen(&self, book: &Book) -> Result<Vec<String>, Failure> {
        let names = book.sheet_names();
        let pick = |keep: &dyn Fn(&str) -> bool| -> Vec<String> {
            names.iter().filter(|name| keep(name)).cloned().collect()
        };
        let all = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let chosen = match &self.sheets {
            Sheets::First => names.iter().take(1).cloned().collect(),
            Sheets::All => names.clone(),
            Sheets::Prefix(text) => pick(&|name| name.starts_with(text.as_str())),
            Sheets::Suffix(text) => pick(&|name| name.ends_with(text.as_str())),
            Sheets::Contains(text) => pick(&|name| name.contains(text.as_str())),
            Sheets::Named(wanted) => {
                for name in wanted {
                    if !names.contains(name) {
                        return Err(Failure::new(format!("it has no sheet `{name}`"))
                            .hint(format!("its sheets are {}", all())));
                    }
                }
                wanted.clone()
            }
        };
        if chosen.is_empty() {
            return Err(Failure::new("none of its sheets is meant")
                .hint(format!("its sheets are {}", all())));
        }
        Ok(chosen)
    }

    /// Goes over the rows of a sheet; `take` gets the names of the columns with each.
    fn rows(&self, book: &mut Book, sheet: &str, take: &mut TakeRow<'_>) -> Result<(), Failure> {
        let mut cells = book.worksheet_cells_reader(sheet)?;
        let mut names: Option<Vec<String>> = None;
        let mut row: Row = (0, Vec::new());
        // Rows between those with values are told as rows without any.
        let mut next = self.skip_rows as u64 + 1;
        loop {
            let cell = cells.next_cell()?;
            let place = cell.as_ref().map(calamine::Cell::get_position);
            if let Some((at, column)) = place
                && (at >= ROWS || column >= COLUMNS)
            {
                return Err(Failure::new(format!(
                    "sheet `{sheet}` has a cell beyond XLSX's bounds"
                )));
            }
            let number = place.map(|(at, _)| u64::from(at) + 1);
            if number != Some(row.0) && row.1.iter().any(Option::is_some) {
                let whole = std::mem::take(&mut row.1);
                if let Some(names) = &mut names {
                    // Values right of the header are columns without a name.
                    (names.len()..whole.len())
                        .for_each(|at| names.push(format!("column_{}", at + 1)));
                }
                if row.0 > self.skip_rows as u64 {
                    if names.is_none() && self.header {
                        names = Some(header(&whole));
                    } else {
                        let known = names.get_or_insert_with(|| {
                            (1..=whole.len()).map(|number| format!("column_{number}")).collect()
                        });
                        for gap in next..row.0 {
                            if !take(known, (gap, Vec::new()))? {
                                return Ok(());
                            }
                        }
                        if !take(known, (row.0, whole))? {
                            return Ok(());
                        }
                    }
                    next = row.0 + 1;
                }
            }
            let (Some(cell), Some(number)) = (cell, number) else { return Ok(()) };
            if number != row.0 {
                row = (number, Vec::new());
            }
            let column = cell.get_position().1 as usize;
            if let Some(value) = Value::read(cell.get_value()) {
                if row.1.len() <= column {
                    row.1.resize(column + 1, None);
                }
                row.1[column] = Some(value);
            }
        }
    }
}

/// Names of columns: blank ones by number, repeated ones with a number.
fn header(row: &[Option<Value>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(row.len());
    for (at, value) in row.iter().enumerate() {
        let text = value.as_ref().map(|value| value.show(&DataType::Utf8)).unwrap_or_default();
        let name = match text.trim() {
            "" => format!("column_{}", at + 1),
            name => name.to_owned(),
        };
        let mut unique = name.clone();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    names
}

impl Rows for Xlsx {
    fn label(&self) -> &'static str {
        "XLSX"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut book = open(source, self.password.as_ref())?;
        let mut texts = Texts::new(reading);
        let kinds: Vec<(String, DataType)> = reading
            .schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect();
        for sheet in self.chosen(&book)? {
            let mut more = true;
            let mut checked = 0;
            self.rows(&mut book, &sheet, &mut |names, (number, row)| {
                if checked != names.len() {
                    reading.check_names(names.iter().map(String::as_str))?;
                    checked = names.len();
                }
                if row.is_empty() {
                    match self.empty {
                        RowRule::Skip => return Ok(true),
                        RowRule::Bad => {
                            let why = format!("sheet `{sheet}`: the row is empty");
                            texts.pass();
                            reading.reject(Some(number), &why)?;
                            return Ok(true);
                        }
                        RowRule::Keep => {}
                    }
                }
                let complete = self.complete && !row.is_empty();
                let missing = complete
                    .then(|| (0..names.len()).find(|at| row.get(*at).is_none_or(Option::is_none)));
                if let Some(Some(missing)) = missing {
                    let why = format!("sheet `{sheet}`: column `{}` has no value", names[missing]);
                    reading.reject(Some(number), &why)?;
                    if reading.on_error == OnError::Skip {
                        texts.pass();
                        return Ok(true);
                    }
                }
                let values: Vec<Option<String>> = kinds
                    .iter()
                    .map(|(name, kind)| {
                        if self.sheet_column.as_ref() == Some(name) {
                            return Some(sheet.clone());
                        }
                        let at = names.iter().position(|known| known == name)?;
                        Some(row.get(at)?.as_ref()?.show(kind))
                    })
                    .collect();
                texts.push(number, |column| values[column].as_deref());
                if texts.is_full() {
                    more = texts.flush(reading)?;
                }
                Ok(more)
            })?;
            if !more {
                return Ok(());
            }
        }
        texts.flush(reading)?;
        Ok(())
    }

    /// The first sheet with a value that is none of those that are meant.
    fn unread(&self, source: &dyn Source) -> Result<Option<String>, Failure> {
        let mut book = open(source, self.password.as_ref())?;
        let chosen = self.chosen(&book)?;
        let sheets = book.sheets_metadata().iter();
        let others: Vec<String> = sheets
            .filter(|sheet| sheet.typ == SheetType::WorkSheet && !chosen.contains(&sheet.name))
            .map(|sheet| sheet.name.clone())
            .collect();
        for sheet in others {
            if first_row(&mut book, &sheet, 0)?.is_some() {
                return Ok(Some(format!("the sheet `{sheet}`")));
            }
        }
        Ok(None)
    }
}

impl Format for Xlsx {
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        let mut book = open(source, self.password.as_ref())?;
        let mut order: Vec<String> = Vec::new();
        let mut kinds: HashMap<String, DataType> = HashMap::new();
        let chosen = self.chosen(&book)?;
        let read = HashMap::from([(SHEETS.to_owned(), chosen.join("\n"))]);
        for sheet in chosen {
            let mut rows = 0;
            let mut learn = |names: &[String], row: &[Option<Value>]| {
                for (at, name) in names.iter().enumerate() {
                    if !kinds.contains_key(name) {
                        order.push(name.clone());
                        kinds.insert(name.clone(), DataType::Null);
                    }
                    if let Some(Some(value)) = row.get(at) {
                        let kind = widen(&kinds[name], &value.kind());
                        kinds.insert(name.clone(), kind);
                    }
                }
            };
            let mut last: Vec<String> = Vec::new();
            self.rows(&mut book, &sheet, &mut |names, (_, row)| {
                learn(names, &row);
                last = names.to_vec();
                rows += 1;
                Ok(limits.full || rows < limits.rows)
            })?;
            if rows == 0 && self.header {
                // A sheet of a header alone has columns too.
                if let Some(first) = first_row(&mut book, &sheet, self.skip_rows)? {
                    learn(&header(&first), &[]);
                }
            }
        }
        let field = |name: &String| {
            let kind = if limits.text { DataType::Utf8 } else { kinds[name].clone() };
            Field::new(name, kind, true)
        };
        let mut fields: Vec<Field> = order.iter().map(field).collect();
        if let Some(name) = &self.sheet_column {
            fields.retain(|field| field.name() != name);
            fields.push(Field::new(name, DataType::Utf8, true));
        }
        Ok(Schema::new_with_metadata(fields, read))
    }
}

/// The first row with a value.
fn first_row(
    book: &mut Book,
    sheet: &str,
    skip: usize,
) -> Result<Option<Vec<Option<Value>>>, Failure> {
    let plain = Xlsx {
        sheets: Sheets::First,
        sheet_column: None,
        header: false,
        skip_rows: skip,
        empty: RowRule::Skip,
        complete: false,
        password: None,
    };
    let mut first = None;
    plain.rows(book, sheet, &mut |_, (_, row)| {
        first = Some(row);
        Ok(false)
    })?;
    Ok(first)
}
