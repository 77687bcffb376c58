//! JSON as people write it: one document, an array of rows, values one after the other, lines.

mod cut;
mod rewrite;

use crate::format::{Failure, Format, Limits, OnError, Reading, Rows, or_end, reason};
use crate::infer::{column_of_json, join, of_json};
use crate::number;
use crate::source::Source;
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder;
use cut::{Cutter, Value};
use rewrite::Rewrite;
use std::sync::Arc;

/// The column of values that are no objects.
pub(crate) const VALUE: &str = "value";

/// JSON of any layout.
#[derive(Debug, Clone)]
pub struct Json {
    /// Whether the items of an array at the root are rows; else the array is one value.
    pub split: bool,
    /// Whether each line is one value; a line that is none does not spoil the next.
    pub lines: bool,
    /// A column that holds the text of each row.
    pub text_column: Option<String>,
}

impl Default for Json {
    fn default() -> Self {
        Self { split: true, lines: false, text_column: None }
    }
}

const NO_OBJECT: &str = "it is not an object";

/// Bytes of rows that are decoded together.
const PIECE: usize = 1 << 20;

/// Rows on their way to a batch.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// End of each row and its line.
    rows: Vec<(usize, u64)>,
}

impl Piece {
    fn row(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.rows[at - 1].0 };
        &self.bytes[start..self.rows[at].0]
    }
}

fn decoder(schema: &SchemaRef, strict: bool, rows: usize) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(Arc::clone(schema))
        .with_coerce_primitive(true)
        .with_strict_mode(strict)
        .with_batch_size(rows)
        .build_decoder()
}

fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
    let mut batches = Vec::new();
    loop {
        let used = decoder.decode(bytes)?;
        bytes = &bytes[used..];
        batches.extend(decoder.flush()?);
        if bytes.is_empty() {
            return Ok(batches);
        }
    }
}

impl Json {
    fn cutter(&self, source: &dyn Source, longest: usize) -> Result<Cutter, Failure> {
        Ok(Cutter::new(source.stream()?, self.split, self.lines, longest)?)
    }

    /// The type of one row.
    fn kind(&self, value: &Value<'_>) -> Result<Fields, String> {
        Ok(match of_json(value.bytes)? {
            DataType::Struct(fields) => fields,
            _ if self.lines => return Err(NO_OBJECT.to_owned()),
            other => vec![Field::new(VALUE, other, true)].into(),
        })
    }
}

impl Rows for Json {
    fn label(&self) -> &'static str {
        if self.lines { "JSON lines" } else { "JSON" }
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut cutter = self.cutter(source, reading.longest)?;
        let mut known = reading.strict.clone();
        if let (Some(schema), Some(name)) = (&known, &self.text_column)
            && schema.field_with_name(name).is_err()
        {
            known = None;
        }
        let mut rows = Gathered {
            schema: Arc::clone(&reading.schema),
            strict: known.is_some(),
            objects: self.lines,
            rewrite: Rewrite { text_column: self.text_column.as_deref(), texts: false },
            piece: Piece::default(),
            before: 0,
        };
        let mut ended = Ok(());
        while let Some(value) = reading.next(cutter.next().map_err(Failure::from), &mut ended)? {
            rows.push(&value);
            if (rows.piece.rows.len() >= reading.rows || rows.piece.bytes.len() >= PIECE)
                && !rows.flush(reading)?
            {
                return Ok(());
            }
        }
        rows.flush(reading)?;
        ended
    }
}

impl Format for Json {
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        // Columns of lines are learnt by this only where bad rows are left out.
        self.learn(source, limits, self.lines)
    }

    fn infer_broken(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, true)
    }
}

impl Json {
    fn learn(&self, source: &dyn Source, limits: &Limits, broken: bool) -> Result<Schema, Failure> {
        let mut cutter = self.cutter(source, limits.longest)?;
        let mut found = DataType::Null;
        let (mut rows, mut read, mut wrong) = (0, 0, None);
        loop {
            let next = cutter.next().map_err(Failure::from);
            let Some(value) = or_end(next, broken && rows > 0)? else { break };
            read += value.bytes.len();
            match self.kind(&value) {
                Ok(fields) => found = join(&found, &DataType::Struct(fields)),
                // Which rows are bad is the business of who reads them.
                Err(reason) => wrong = wrong.or(Some((value.line, reason))),
            }
            rows += 1;
            if limits.enough(rows, read) {
                break;
            }
        }
        let fields = match (found, wrong) {
            (DataType::Struct(fields), _) => fields,
            (_, Some((line, reason))) => {
                return Err(Failure { line: Some(line), ..Failure::new(reason) });
            }
            _ => return Ok(Schema::empty()),
        };
        let mut fields: Vec<Field> =
            fields.iter().map(|field| column_of_json(field, limits.text)).collect();
        if let Some(name) = &self.text_column {
            fields.retain(|field| field.name() != name);
            fields.push(Field::new(name, DataType::Utf8, true));
        }
        Ok(Schema::new(fields))
    }
}

/// What turns rows into batches.
struct Gathered<'a> {
    schema: SchemaRef,
    strict: bool,
    /// Whether a row that is no object is a bad one.
    objects: bool,
    rewrite: Rewrite<'a>,
    piece: Piece,
    /// Rows of the file before those that are gathered.
    before: u64,
}

/// Rows that can be read, on their way to a batch.
#[derive(Default)]
struct Good {
    bytes: Vec<u8>,
    numbers: Vec<u64>,
}

impl Good {
    fn push(&mut self, row: &[u8], number: u64) {
        self.bytes.extend_from_slice(row);
        self.numbers.push(number);
    }
}

/// Hands out batches with the numbers of their rows; false: no more is wanted.
fn hand(
    batches: Vec<RecordBatch>,
    mut numbers: impl Iterator<Item = u64>,
    reading: &mut Reading<'_>,
) -> Result<bool, Failure> {
    for batch in batches {
        let rows = batch.num_rows();
        let batch = number::filled(batch, numbers.by_ref().take(rows))?;
        if !(reading.out)(batch) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Gathered<'_> {
    fn push(&mut self, value: &Value<'_>) {
        let plain = value.bytes.starts_with(b"{") && !self.rewrite.is_needed();
        if plain || self.check(value.bytes).is_err() {
            self.piece.bytes.extend_from_slice(value.bytes);
        } else {
            self.rewrite.row(value.bytes, &self.schema, &mut self.piece.bytes);
        }
        self.piece.bytes.push(b'\n');
        self.piece.rows.push((self.piece.bytes.len(), value.line));
    }

    /// What is wrong with a row, whatever its columns are.
    fn check(&self, row: &[u8]) -> Result<(), String> {
        let kind = of_json(row)?;
        if self.objects && !matches!(kind, DataType::Struct(_)) {
            return Err(NO_OBJECT.to_owned());
        }
        Ok(())
    }

    /// Decodes what was gathered; false: no more is wanted.
    fn flush(&mut self, reading: &mut Reading<'_>) -> Result<bool, Failure> {
        let piece = std::mem::take(&mut self.piece);
        if piece.rows.is_empty() {
            return Ok(true);
        }
        let before = self.before;
        self.before += piece.rows.len() as u64;
        let mut fast = decoder(&self.schema, self.strict, reading.rows)?;
        // A row that is no JSON could join with the next one to something that is.
        let whole = reading.on_error == OnError::Fail
            || (0..piece.rows.len()).all(|at| self.check(piece.row(at)).is_ok());
        if whole && let Ok(batches) = decode(&mut fast, &piece.bytes) {
            return hand(batches, before + 1.., reading);
        }
        // Row by row: good ones stay together as far as they follow each other.
        let mut good = Good::default();
        for (at, number) in (0..piece.rows.len()).zip(before + 1..) {
            let line = piece.rows[at].1;
            let row = piece.row(at);
            let failed = match self.one(row) {
                Ok(()) => {
                    good.push(row, number);
                    continue;
                }
                Err(reason) => reason,
            };
            // An object where text is wanted is its text.
            let mut texts = Vec::new();
            let lenient = Rewrite { text_column: None, texts: true };
            if self.check(row).is_ok() {
                lenient.row(row, &self.schema, &mut texts);
                texts.push(b'\n');
                if self.one(&texts).is_ok() {
                    self.rewrite.texts = true;
                    good.push(&texts, number);
                    continue;
                }
            }
            if !self.emit(&mut good, reading)? {
                return Ok(false);
            }
            reading.reject(Some(line), &failed)?;
            if reading.on_error == OnError::Null
                && self.check(row).is_ok()
                && !(reading.out)(number::filled(self.parts(&texts)?, [number])?)
            {
                return Ok(false);
            }
        }
        self.emit(&mut good, reading)
    }

    fn emit(&self, good: &mut Good, reading: &mut Reading<'_>) -> Result<bool, Failure> {
        let good = std::mem::take(good);
        if good.bytes.is_empty() {
            return Ok(true);
        }
        let mut decoder = decoder(&self.schema, self.strict, reading.rows)?;
        hand(decode(&mut decoder, &good.bytes)?, good.numbers.into_iter(), reading)
    }

    /// An error unless the row alone can be read.
    fn one(&self, row: &[u8]) -> Result<(), String> {
        self.check(row)?;
        let failed = |error: ArrowError| reason(&error);
        let mut decoder = decoder(&self.schema, self.strict, 8).map_err(failed)?;
        match decode(&mut decoder, row).map_err(failed)?.iter().map(RecordBatch::num_rows).sum() {
            1usize => Ok(()),
            _ => Err("it is not one value".to_owned()),
        }
    }

    /// The row with NULL for each column that cannot be read.
    fn parts(&self, row: &[u8]) -> Result<RecordBatch, Failure> {
        let columns: Vec<ArrayRef> = self
            .schema
            .fields()
            .iter()
            .map(|field| {
                let alone = Arc::new(Schema::new(vec![Arc::clone(field)]));
                let read = decoder(&alone, false, 8).and_then(|mut d| decode(&mut d, row));
                match read.ok().and_then(|batches| batches.into_iter().next()) {
                    Some(batch) => Arc::clone(batch.column(0)),
                    None => new_null_array(field.data_type(), 1),
                }
            })
            .collect();
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

#[cfg(test)]
mod tests;
