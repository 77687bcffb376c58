//! XML: elements as rows, their attributes and parts as columns, repeated parts as lists.
//!
//! Rows are read one by one; a document type is not followed, so that no entity can grow.

mod shape;
mod tree;

use crate::encoding::{Charset, Decoding};
use crate::format::{Failure, Format, Limits, OnError, Reading, Rows, or_end, reason};
use crate::number;
use crate::source::{Source, without_mark};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use shape::Shape;
use std::sync::Arc;
use tree::{Elements, Node};

/// XML.
#[derive(Debug, Clone)]
pub struct Xml {
    /// The name of the elements that are rows, wherever they are; None: those below the root.
    pub row_tag: Option<String>,
    /// What stands before the names of attributes.
    pub attribute_prefix: String,
    /// Whether the encoding is the one the file says of itself; else it comes in UTF-8.
    pub own_encoding: bool,
}

impl Default for Xml {
    fn default() -> Self {
        Self { row_tag: None, attribute_prefix: "_".to_owned(), own_encoding: true }
    }
}

/// The column of the text of an element that also has attributes or parts.
const TEXT: &str = "_VALUE";

/// Rows decoded together; trees take more memory than their text.
const ROWS: usize = 1024;

impl Xml {
    fn open(&self, source: &dyn Source, longest: usize) -> Result<Elements, Failure> {
        let mut stream = source.stream()?;
        without_mark(&mut *stream)?;
        if self.own_encoding
            && let Some(charset) = declared(stream.fill_buf()?)
        {
            stream = Box::new(Decoding::new(stream, charset));
        }
        Ok(Elements::new(stream, self.row_tag.clone(), self.attribute_prefix.clone(), longest))
    }
}

/// The encoding that the first line of XML says, unless that is UTF-8. What can be read as bytes is
/// not UTF-16, whatever it says.
fn declared(start: &[u8]) -> Option<Charset> {
    let start = &start[..start.len().min(200)];
    let text = String::from_utf8_lossy(start);
    let line = text.strip_prefix("<?xml")?.split("?>").next()?;
    let rest = line.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let charset = Charset::find(rest[1..].split(quote).next()?).ok()?;
    (!charset.is_utf8() && !charset.name().starts_with("UTF-16")).then_some(charset)
}

/// The row as an object: one without attributes and parts has its text only.
fn row(node: Node) -> Node {
    let leaf = node.parts.is_empty();
    let mut node = node;
    if leaf && !node.text.trim().is_empty() {
        let text = std::mem::take(&mut node.text);
        node.parts.push((TEXT.to_owned(), Node { text, parts: Vec::new() }));
    }
    node
}

impl Rows for Xml {
    fn label(&self) -> &'static str {
        "XML"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut rows = self.open(source, reading.longest)?;
        let schema = Arc::clone(&reading.schema);
        let mut nodes: Vec<(u64, Node)> = Vec::new();
        let mut before = 0;
        let mut ended = Ok(());
        while let Some((line, node)) = reading.next(rows.next(), &mut ended)? {
            let node = row(node);
            reading.check_names(node.parts.iter().map(|(name, _)| name.as_str()))?;
            nodes.push((line, node));
            if nodes.len() >= reading.rows.min(ROWS)
                && !flush(&schema, &mut nodes, &mut before, reading)?
            {
                return Ok(());
            }
        }
        flush(&schema, &mut nodes, &mut before, reading)?;
        ended
    }
}

impl Format for Xml {
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, false)
    }

    fn infer_broken(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, true)
    }
}

impl Xml {
    fn learn(&self, source: &dyn Source, limits: &Limits, broken: bool) -> Result<Schema, Failure> {
        let mut rows = self.open(source, limits.longest)?;
        let mut shape = Shape::default();
        let mut count = 0;
        while let Some((_, node)) = or_end(rows.next(), broken && count > 0)? {
            shape.add(&row(node));
            count += 1;
            if limits.enough(count, rows.read()) {
                break;
            }
        }
        if count == 0 {
            let Some(tag) = &self.row_tag else { return Ok(Schema::empty()) };
            return Err(Failure::new(format!("it has no element `{tag}`"))
                .hint("ROW_TAG is the name of the element that is a row, without its prefix"));
        }
        match shape.kind(limits.text) {
            DataType::Struct(fields) => {
                Ok(Schema::new(fields.iter().map(|field| shape.told(field)).collect::<Vec<_>>()))
            }
            _ => Ok(Schema::empty()),
        }
    }
}

fn decoder(schema: &SchemaRef, rows: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(Arc::clone(schema))
        .with_coerce_primitive(true)
        .with_batch_size(rows)
        .build_decoder()
}

fn decode(
    schema: &SchemaRef,
    rows: &[serde_json::Value],
) -> Result<Option<RecordBatch>, ArrowError> {
    let mut decoder = decoder(schema, rows.len())?;
    decoder.serialize(rows)?;
    decoder.flush()
}

/// Hands out rows, which come after so many of the file; false: no more is wanted.
fn flush(
    schema: &SchemaRef,
    nodes: &mut Vec<(u64, Node)>,
    before: &mut u64,
    reading: &mut Reading<'_>,
) -> Result<bool, Failure> {
    let nodes = std::mem::take(nodes);
    if nodes.is_empty() {
        return Ok(true);
    }
    let first = *before + 1;
    *before += nodes.len() as u64;
    let values: Result<Vec<_>, _> =
        nodes.iter().map(|(_, node)| shape::object(node, schema.fields())).collect();
    if let Ok(values) = &values
        && let Ok(batch) = decode(schema, values)
    {
        let Some(batch) = batch else { return Ok(true) };
        let rows = batch.num_rows();
        return Ok((reading.out)(number::filled(batch, (first..).take(rows))?));
    }
    for ((line, node), number) in nodes.iter().zip(first..) {
        let value = shape::object(node, schema.fields());
        let read = value.and_then(|value| decode(schema, &[value]).map_err(|error| reason(&error)));
        let batch = match read {
            Ok(batch) => batch,
            Err(why) => {
                reading.reject(Some(*line), &why)?;
                (reading.on_error == OnError::Null).then(|| parts(schema, node)).transpose()?
            }
        };
        if let Some(batch) = batch
            && !(reading.out)(number::filled(batch, [number])?)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The row with NULL for each column that cannot be read.
fn parts(schema: &SchemaRef, node: &Node) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field: &Arc<Field>| {
            let alone = Arc::new(Schema::new(vec![Arc::clone(field)]));
            let read = shape::object(node, alone.fields())
                .ok()
                .and_then(|value| decode(&alone, &[value]).ok().flatten());
            match read {
                Some(batch) => Arc::clone(batch.column(0)),
                None => new_null_array(field.data_type(), 1),
            }
        })
        .collect();
    RecordBatch::try_new(Arc::clone(schema), columns)
}

#[cfg(test)]
mod tests;
