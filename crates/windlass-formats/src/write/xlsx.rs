//! Workbooks of Excel. Rows go to a file of this machine as they come, and the workbook is put
//! together at the end, in memory: its size is that of the file, which a sheet's million rows bound.
//!
//! What Excel cannot hold as it is stays exact as text: whole numbers beyond 2^53, decimals of more
//! than 15 digits, times before 1900. A text of more than 32,767 characters is an error.

use super::cells::{Cells, json_options};
use super::{FileFormat, Rows, Shared, failed, unwritable};
use arrow::array::{Array, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType,
};
use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use rust_xlsxwriter::{Format as Style, Workbook, Worksheet};
use std::collections::HashMap;
use std::io::Write as _;
use windlass_types::{Error, Result};

/// Rows of a sheet.
const ROWS: u32 = 1_048_576;
/// Columns of a sheet.
const COLUMNS: usize = 16_384;
/// Sheets of a workbook that is split by a column.
const SHEETS: usize = 1_000;
/// Whole numbers up to here are exact.
const EXACT: i64 = 1 << 53;
/// Days from the first day of Excel's calendar that is right (1900-03-01) to 1970-01-01.
const EPOCH: f64 = 25_569.0;
const FIRST: f64 = 61.0;

pub(super) struct Xlsx {
    book: Workbook,
    out: Shared,
    schema: SchemaRef,
    header: bool,
    sheet: String,
    split: Option<usize>,
    /// Place and next row of each sheet.
    sheets: HashMap<String, (usize, u32)>,
    json: EncoderOptions,
    styles: Styles,
    rows: u64,
}

struct Styles {
    bold: Style,
    date: Style,
    time: Style,
}

fn sheet_name(text: &str) -> Result<&str> {
    let wrong = text.is_empty()
        || text.chars().count() > 31
        || text.contains(['[', ']', ':', '*', '?', '/', '\\'])
        || text.starts_with('\'')
        || text.ends_with('\'');
    if wrong {
        return Err(unwritable(format!("`{text}` cannot be the name of a sheet"))
            .hint("a name has 1 to 31 characters, and none of [ ] : * ? / \\"));
    }
    Ok(text)
}

impl Xlsx {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        if schema.fields().len() > COLUMNS {
            return Err(unwritable(format!(
                "a sheet has at most {COLUMNS} columns, not {}",
                schema.fields().len()
            )));
        }
        let split = format
            .sheet_column
            .as_ref()
            .map(|wanted| {
                schema.fields().iter().position(|field| field.name() == wanted).ok_or_else(|| {
                    unwritable(format!("SHEET_COLUMN names `{wanted}`, which is no column"))
                })
            })
            .transpose()?;
        let mut book = Self {
            book: Workbook::new(),
            out,
            schema: schema.clone(),
            header: format.header,
            sheet: sheet_name(&format.sheet)?.to_owned(),
            split,
            sheets: HashMap::new(),
            json: json_options(),
            styles: Styles {
                bold: Style::new().set_bold(),
                date: Style::new().set_num_format("yyyy-mm-dd"),
                time: Style::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
            },
            rows: 0,
        };
        if split.is_none() {
            let name = book.sheet.clone();
            book.place(&name)?;
        }
        Ok(book)
    }

    /// The sheet of this name and its next row; begins it if it is new.
    fn place(&mut self, name: &str) -> Result<(usize, u32)> {
        // Excel does not tell the case of names apart.
        let known = name.to_lowercase();
        if let Some(place) = self.sheets.get(&known) {
            return Ok(*place);
        }
        if self.sheets.len() >= SHEETS {
            return Err(unwritable(format!("SHEET_COLUMN has more than {SHEETS} values"))
                .hint("write a file for each with PARTITIONED_BY"));
        }
        let number = self.sheets.len();
        let sheet = self.book.add_worksheet_with_constant_memory().map_err(failed)?;
        sheet.set_name(sheet_name(name)?).map_err(failed)?;
        let mut row = 0;
        if self.header {
            let fields = self.schema.fields().iter().enumerate();
            let fields = fields.filter(|(at, _)| Some(*at) != self.split);
            for (column, (_, field)) in fields.enumerate() {
                let column = u16::try_from(column).unwrap_or(u16::MAX);
                sheet
                    .write_string_with_format(0, column, field.name(), &self.styles.bold)
                    .map_err(failed)?;
            }
            row = 1;
        }
        self.sheets.insert(known, (number, row));
        Ok((number, row))
    }
}

/// The values of a column as Excel has them.
enum Column<'a> {
    Number(arrow::array::Float64Array),
    /// Whole numbers, and the text of those that are too large.
    Whole(arrow::array::Int64Array),
    Flag(&'a arrow::array::BooleanArray),
    Date(arrow::array::ArrayRef),
    Time(arrow::array::ArrayRef),
    Text,
}

fn column(array: &dyn Array) -> Result<Column<'_>> {
    let to = |kind: &DataType| cast(array, kind).map_err(super::of_arrow);
    Ok(match array.data_type() {
        DataType::Boolean => Column::Flag(array.as_boolean()),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            Column::Whole(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            Column::Number(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
        }
        DataType::Decimal32(p, _)
        | DataType::Decimal64(p, _)
        | DataType::Decimal128(p, _)
        | DataType::Decimal256(p, _)
            if *p <= 15 =>
        {
            Column::Number(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
        }
        DataType::Date32 | DataType::Date64 => {
            Column::Date(to(&DataType::Timestamp(TimeUnit::Microsecond, None))?)
        }
        // Excel knows no zones: what has one stays text.
        DataType::Timestamp(_, None) => {
            Column::Time(to(&DataType::Timestamp(TimeUnit::Microsecond, None))?)
        }
        _ => Column::Text,
    })
}

/// A moment as Excel counts: days from the end of 1899.
#[allow(clippy::cast_precision_loss, reason = "microseconds of thousands of years fit")]
fn days(array: &arrow::array::ArrayRef, row: usize) -> Option<f64> {
    let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
    let days = micros as f64 / 86_400e6 + EPOCH;
    (FIRST..2_958_466.0).contains(&days).then_some(days)
}

impl Styles {
    /// Writes one value; false: it is for the text of it.
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    fn cell(
        &self,
        sheet: &mut Worksheet,
        place: (u32, u16),
        column: &Column<'_>,
        row: usize,
    ) -> Result<bool> {
        let (at, to) = place;
        let written = match column {
            Column::Flag(flags) => sheet.write_boolean(at, to, flags.value(row)),
            Column::Whole(numbers) if numbers.value(row).abs() <= EXACT => {
                sheet.write_number(at, to, numbers.value(row) as f64)
            }
            Column::Number(numbers) if numbers.value(row).is_finite() => {
                sheet.write_number(at, to, numbers.value(row))
            }
            Column::Date(array) => match days(array, row) {
                Some(days) => sheet.write_number_with_format(at, to, days, &self.date),
                None => return Ok(false),
            },
            Column::Time(array) => match days(array, row) {
                Some(days) => sheet.write_number_with_format(at, to, days, &self.time),
                None => return Ok(false),
            },
            Column::Whole(_) | Column::Number(_) | Column::Text => return Ok(false),
        };
        written.map(|_| true).map_err(failed)
    }
}

fn too_long(name: &str, row: u64, error: rust_xlsxwriter::XlsxError) -> Error {
    unwritable(format!("the value of `{name}` in row {row} does not fit a cell"))
        .source(error)
        .hint("a cell holds at most 32,767 characters; cut it in the query with left(), or write another format")
}

impl Rows for Xlsx {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let json = std::mem::take(&mut self.json);
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (array, field) in batch.columns().iter().zip(schema.fields()) {
            columns.push((column(array)?, Cells::new(array, field, &json)?));
        }
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            let name = match self.split {
                None => self.sheet.clone(),
                Some(split) => {
                    let cells = &mut columns[split].1;
                    text.clear();
                    if cells.is_null(row) {
                        text.push_str(&self.sheet);
                    } else {
                        cells.push(row, &mut text);
                    }
                    text.clone()
                }
            };
            let (number, at) = self.place(&name)?;
            if at >= ROWS {
                return Err(unwritable(format!("a sheet has at most {ROWS} rows"))
                    .hint("write a file for each part with PARTITIONED_BY, or another format"));
            }
            let sheet = self.book.worksheet_from_index(number).map_err(failed)?;
            let mut to = 0;
            for (index, (column, cells)) in columns.iter_mut().enumerate() {
                if Some(index) == self.split {
                    continue;
                }
                if !cells.is_null(row) && !self.styles.cell(sheet, (at, to), column, row)? {
                    text.clear();
                    cells.push(row, &mut text);
                    sheet.write_string(at, to, &text).map_err(|error| {
                        too_long(schema.field(index).name(), self.rows + row as u64 + 1, error)
                    })?;
                }
                to += 1;
            }
            self.sheets.insert(name.to_lowercase(), (number, at + 1));
        }
        drop(columns);
        self.json = json;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.sheets.is_empty() {
            let name = self.sheet.clone();
            self.place(&name)?;
        }
        let bytes = self.book.save_to_buffer().map_err(failed)?;
        self.out.write_all(&bytes).map_err(failed)
    }
}
