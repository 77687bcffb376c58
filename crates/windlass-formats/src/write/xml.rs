//! XML: an element a row, an element or attribute a column; NULL is left out.
//!
//! A structure is an element with elements in it, a list an element for each of its items, anything
//! else that is nested is JSON text. Letters that a name cannot have are `_xHHHH_`, as in SQL/XML.

use super::cells::{Cells, json_options};
use super::options::Charset;
use super::text::Text;
use super::{FileFormat, Rows, Shared, unwritable};
use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::json::writer::EncoderOptions;
use arrow::record_batch::RecordBatch;
use std::fmt::Write as _;
use windlass_types::Result;

const PIECE: usize = 256 << 10;

pub(super) struct Xml {
    text: Text,
    root: String,
    row: String,
    attributes: Vec<usize>,
    names: Vec<String>,
    json: EncoderOptions,
    out: String,
    rows: u64,
}

fn begins(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn goes_on(c: char) -> bool {
    begins(c) || c.is_numeric() || matches!(c, '-' | '.')
}

/// Whether a text can be the name of an element.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(begins) && text.chars().all(goes_on)
}

/// The name of a column as a name of XML.
fn name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if (at == 0 && begins(c)) || (at > 0 && goes_on(c)) {
            name.push(c);
        } else {
            let _ = write!(name, "_x{:04X}_", u32::from(c));
        }
    }
    if name.is_empty() { "_".to_owned() } else { name }
}

/// Adds text with what XML has another meaning for written out; or the character it cannot hold.
fn escape(text: &str, to: &mut String) -> Result<(), char> {
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\r' => to.push_str("&#13;"),
            '\n' => to.push_str("&#10;"),
            '\t' => to.push_str("&#9;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => return Err(c),
            c => to.push(c),
        }
    }
    Ok(())
}

impl Xml {
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, out: Shared) -> Result<Self> {
        let mut attributes = Vec::new();
        for wanted in &format.attributes {
            let found = schema.fields().iter().position(|field| field.name() == wanted);
            let at = found.ok_or_else(|| {
                unwritable(format!("ATTRIBUTES names `{wanted}`, which is no column"))
            })?;
            if super::cells::is_nested(schema.field(at).data_type()) {
                return Err(unwritable(format!("`{wanted}` is nested and cannot be an attribute")));
            }
            attributes.push(at);
        }
        let encoding = match format.charset {
            Charset::Utf8 => "UTF-8".to_owned(),
            Charset::Utf16Le | Charset::Utf16Be => "UTF-16".to_owned(),
            Charset::Other(other) => other.name().to_owned(),
            // As they are registered.
            Charset::Page(858) => "IBM00858".to_owned(),
            Charset::Page(page) => format!("IBM{page}"),
        };
        let mut xml = Self {
            text: Text::new(format, out)?,
            root: format.root.clone(),
            row: format.row.clone(),
            attributes,
            names: schema.fields().iter().map(|field| name(field.name())).collect(),
            json: json_options(),
            out: String::new(),
            rows: 0,
        };
        let _ =
            writeln!(xml.out, "<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n<{}>", xml.root);
        Ok(xml)
    }

    fn hand_on(&mut self, least: usize) -> Result<()> {
        if self.out.len() >= least {
            self.text.push(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }
}

/// Adds the elements of a value.
fn element(
    tag: &str,
    array: &ArrayRef,
    field: &FieldRef,
    row: usize,
    json: &EncoderOptions,
    out: &mut String,
) -> Result<(), String> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return Ok(());
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let _ = write!(out, "<{tag}>");
            let columns = array.as_struct();
            for (column, field) in columns.columns().iter().zip(fields) {
                element(&name(field.name()), column, field, row, json, out)?;
            }
            let _ = write!(out, "</{tag}>");
            Ok(())
        }
        DataType::List(of) | DataType::LargeList(of) | DataType::FixedSizeList(of, _) => {
            let items = match array.data_type() {
                DataType::List(_) => array.as_list::<i32>().value(row),
                DataType::LargeList(_) => array.as_list::<i64>().value(row),
                _ => array.as_fixed_size_list().value(row),
            };
            for item in 0..items.len() {
                element(tag, &items, of, item, json, out)?;
            }
            Ok(())
        }
        _ => {
            let mut cell = String::new();
            let mut cells =
                Cells::new(array, field, json).map_err(|error| error.message().to_owned())?;
            cells.push(row, &mut cell);
            let _ = write!(out, "<{tag}>");
            escape(&cell, out).map_err(forbidden)?;
            let _ = write!(out, "</{tag}>");
            Ok(())
        }
    }
}

fn forbidden(c: char) -> String {
    format!("has the character U+{:04X}, which XML cannot hold", u32::from(c))
}

impl Rows for Xml {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let json = std::mem::take(&mut self.json);
        let mut flat = Vec::with_capacity(batch.num_columns());
        for (array, field) in batch.columns().iter().zip(schema.fields()) {
            let nested = super::cells::is_nested(field.data_type());
            flat.push(if nested { None } else { Some(Cells::new(array, field, &json)?) });
        }
        let mut cell = String::new();
        for row in 0..batch.num_rows() {
            let number = self.rows + row as u64 + 1;
            let wrong = |at: usize, what: String| {
                unwritable(format!(
                    "the value of `{}` in row {number} {what}",
                    schema.field(at).name()
                ))
                .hint("take it out in the query, with replace() or regexp_replace()")
            };
            let _ = write!(self.out, "<{}", self.row);
            for at in &self.attributes {
                let Some(cells) = flat[*at].as_mut().filter(|cells| !cells.is_null(row)) else {
                    continue;
                };
                cell.clear();
                cells.push(row, &mut cell);
                let _ = write!(self.out, " {}=\"", self.names[*at]);
                escape(&cell, &mut self.out).map_err(|c| wrong(*at, forbidden(c)))?;
                self.out.push('"');
            }
            self.out.push('>');
            for (at, cells) in flat.iter_mut().enumerate() {
                if self.attributes.contains(&at) {
                    continue;
                }
                let tag = &self.names[at];
                match cells {
                    None => element(
                        tag,
                        batch.column(at),
                        &schema.fields()[at],
                        row,
                        &json,
                        &mut self.out,
                    )
                    .map_err(|what| wrong(at, what))?,
                    Some(cells) if cells.is_null(row) => {}
                    Some(cells) => {
                        cell.clear();
                        cells.push(row, &mut cell);
                        let _ = write!(self.out, "<{tag}>");
                        escape(&cell, &mut self.out).map_err(|c| wrong(at, forbidden(c)))?;
                        let _ = write!(self.out, "</{tag}>");
                    }
                }
            }
            let _ = writeln!(self.out, "</{}>", self.row);
            self.hand_on(PIECE)?;
        }
        drop(flat);
        self.json = json;
        self.rows += batch.num_rows() as u64;
        self.hand_on(1)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let _ = writeln!(self.out, "</{}>", self.root);
        self.hand_on(1)?;
        self.text.finish()
    }
}
