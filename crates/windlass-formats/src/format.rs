//! What a format must say of itself: the columns of one file, and its rows.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use std::fmt;
use std::io;

use crate::source::Source;

/// A way to read the rows of files whose columns are known.
pub trait Rows: fmt::Debug + Send + Sync {
    /// What people call it, such as `Avro`.
    fn label(&self) -> &'static str;

    /// Hands the rows of one file to `reading.out`, with at least those of `reading.schema` that the
    /// file has, by name; types may be others that can be cast.
    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure>;

    /// What of one file its options leave unread, such as ``the sheet `May` ``; None: nothing.
    fn unread(&self, _source: &dyn Source) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

/// A way to read files.
pub trait Format: Rows {
    /// The columns of one file, by its first rows; none for a file without rows and header.
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure>;

    /// The same where a bad file ends where it is bad: by the rows before that, if there are any.
    fn infer_broken(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.infer(source, limits)
    }
}

/// The next row for who learns columns; a failure is the end if the rows before it decide.
pub(crate) fn or_end<T>(
    next: Result<Option<T>, Failure>,
    decided: bool,
) -> Result<Option<T>, Failure> {
    if decided && next.is_err() { Ok(None) } else { next }
}

/// How much is read to learn columns.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows.
    pub rows: usize,
    /// Decompressed bytes, once a few rows were seen.
    pub bytes: usize,
    /// Every row of the file decides, whatever the other bounds say.
    pub full: bool,
    /// Columns are text; nested values keep their shape.
    pub text: bool,
    /// Bytes of the longest line, value or element.
    pub longest: usize,
}

impl Limits {
    /// Whether enough was seen.
    pub fn enough(&self, rows: usize, bytes: usize) -> bool {
        !self.full && (rows >= self.rows || (bytes >= self.bytes && rows >= 10))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 1000, bytes: 256 << 10, full: false, text: false, longest: 16 << 20 }
    }
}

/// What becomes of rows that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The query fails.
    #[default]
    Fail,
    /// The row is left out, and told.
    Skip,
    /// What of the row cannot be read is NULL, and told; a row of which nothing can be is left out.
    Null,
}

/// One reading of one file.
pub struct Reading<'a> {
    /// The wanted columns with the types of the table; at least one.
    pub schema: SchemaRef,
    /// All columns of the table, if a column of the file that is none of them is an error.
    pub strict: Option<SchemaRef>,
    /// Rows of a batch.
    pub rows: usize,
    /// Bytes of the longest line, value or element.
    pub longest: usize,
    /// What becomes of bad rows.
    pub on_error: OnError,
    /// Told of each bad row that does not fail: line, reason.
    pub bad: &'a mut dyn FnMut(Option<u64>, &str),
    /// Takes a batch; false: no more are wanted.
    pub out: &'a mut dyn FnMut(RecordBatch) -> bool,
}

impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Reading<'_> {
    /// The next row. Unless bad files fail, what breaks off is the end: the rows before it are handed out,
    /// and then `ended` is the answer.
    pub(crate) fn next<T>(
        &self,
        next: Result<Option<T>, Failure>,
        ended: &mut Result<(), Failure>,
    ) -> Result<Option<T>, Failure> {
        match next {
            Err(failure) if self.on_error != OnError::Fail => {
                *ended = Err(failure);
                Ok(None)
            }
            next => next,
        }
    }

    /// Fails, or tells of a bad row and goes on.
    pub fn reject(&mut self, line: Option<u64>, reason: &str) -> Result<(), Failure> {
        if self.on_error == OnError::Fail {
            return Err(Failure { line, ..Failure::new(reason) });
        }
        (self.bad)(line, reason);
        Ok(())
    }

    /// An error if the file has columns the table does not.
    pub fn check_names<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<(), Failure> {
        let Some(known) = &self.strict else { return Ok(()) };
        for name in names {
            if known.field_with_name(name).is_err() {
                return Err(Failure { unknown: Some(name.to_owned()), ..Failure::new("") });
            }
        }
        Ok(())
    }
}

/// Why a file could not be read.
#[derive(Debug)]
pub struct Failure {
    /// The line, where there are lines; the first is 1.
    pub line: Option<u64>,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
    /// A column of the file that is none of the table.
    pub unknown: Option<String>,
}

impl Failure {
    /// A failure without a line.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { line: None, reason: reason.into(), hint: None, unknown: None }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::new(reason(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Arrow's message without its prefix.
pub(crate) fn reason(error: &ArrowError) -> String {
    match error {
        ArrowError::CsvError(text)
        | ArrowError::JsonError(text)
        | ArrowError::ParseError(text)
        | ArrowError::CastError(text)
        | ArrowError::SchemaError(text)
        | ArrowError::AvroError(text)
        | ArrowError::InvalidArgumentError(text) => text.clone(),
        other => other.to_string(),
    }
}
