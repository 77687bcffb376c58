//! Which folder a row goes to: Hive's `column=value/`, and folders of dates.

use crate::date_letters::{Token, tokens};
use crate::partition::NULL;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit, TimestampSecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::fmt::Write as _;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// What Hive and Spark escape in names of folders, and what globs and URLs have a meaning for.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'\'')
    .add(b'*')
    .add(b'/')
    .add(b':')
    .add(b'=')
    .add(b'?')
    .add(b'\\')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'{')
    .add(b'}');

/// Which rows go into which file.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Columns that become folders, and are not in the files.
    pub partitioned_by: Vec<String>,
    /// Folders of dates, below those.
    pub date: Option<DatePattern>,
    /// The column of the date; without one it is `now`.
    pub date_column: Option<String>,
    /// That column is not in the files: a table reads it from the path.
    pub date_goes: bool,
    /// When the run began.
    pub now: DateTime<Utc>,
    /// Bytes at which a file is followed by another.
    pub max_file_size: Option<u64>,
    /// The name of a file, with `{n}` and `{run}`.
    pub file_name: Option<String>,
}

/// A pattern of Java's letters for dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatePattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Letters(&'static str),
}

const LETTERS: [(&str, &str); 6] =
    [("yyyy", "%Y"), ("yy", "%y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("mm", "%M")];

impl DatePattern {
    /// Reads a pattern such as `yyyy/MM/dd/HH` or `'dt='yyyy-MM-dd`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::new(ErrorCode::OptionInvalid, format!("DATE_PATTERN {what}")).hint(
                "letters are yyyy, yy, MM, dd, HH and mm; other text goes in quotes: `'''dt=''yyyy-MM-dd'`",
            )
        };
        let mut pieces: Vec<Piece> = Vec::new();
        for token in tokens(text).map_err(|why| wrong(why.to_owned()))? {
            pieces.push(match token {
                Token::Text(literal) => Piece::Text(literal),
                Token::Letters(word) => {
                    let found = LETTERS.iter().find(|(letters, _)| *letters == word);
                    let (_, format) = found.ok_or_else(|| wrong(format!("has `{word}`")))?;
                    Piece::Letters(format)
                }
            });
        }
        if !pieces.iter().any(|piece| matches!(piece, Piece::Letters(_))) {
            return Err(wrong("has no letter of a date".to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The folder of a moment, with its `/`.
    pub(super) fn folder(&self, at: &DateTime<Utc>, to: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Letters(format) => {
                    let _ = write!(to, "{}", at.format(format));
                }
            }
        }
        if !to.ends_with('/') {
            to.push('/');
        }
    }
}

/// Finds the folders of rows, and the columns that stay.
#[derive(Debug)]
pub(super) struct Folders {
    partitions: Vec<(String, usize)>,
    date: Option<DatePattern>,
    date_column: Option<usize>,
    now: DateTime<Utc>,
    stays: Vec<usize>,
    pub(super) schema: SchemaRef,
}

/// A column of a query, by its name or by the only one that differs in case.
fn column(schema: &Schema, name: &str, option: &str) -> Result<usize> {
    if let Ok(at) = schema.index_of(name) {
        return Ok(at);
    }
    let fields = schema.fields().iter().enumerate();
    let near: Vec<usize> = fields
        .filter(|(_, field)| field.name().eq_ignore_ascii_case(name))
        .map(|(at, _)| at)
        .collect();
    if let [one] = near.as_slice() {
        Ok(*one)
    } else {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let shown: Vec<&str> = names.iter().take(20).copied().collect();
        Err(Error::new(
            ErrorCode::OptionInvalid,
            format!("{option} names `{name}`, which is no column of the query"),
        )
        .hint(format!("its columns are {}", shown.join(", "))))
    }
}

impl Folders {
    pub(super) fn new(schema: &SchemaRef, layout: &Layout) -> Result<Self> {
        let mut partitions = Vec::new();
        for name in &layout.partitioned_by {
            let at = column(schema, name, "PARTITIONED_BY")?;
            let field = schema.field(at);
            if field.data_type().is_nested() {
                return Err(Error::new(
                    ErrorCode::OptionInvalid,
                    format!("`{name}` is nested and cannot be a folder"),
                ));
            }
            let shown = utf8_percent_encode(field.name(), ESCAPED).to_string();
            partitions.push((shown, at));
        }
        let date_column = layout
            .date_column
            .as_ref()
            .filter(|_| layout.date.is_some())
            .map(|name| column(schema, name, "DATE_COLUMN"))
            .transpose()?;
        if let Some(at) = date_column {
            let field = schema.field(at);
            if !matches!(
                field.data_type(),
                DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
            ) {
                return Err(Error::new(
                    ErrorCode::OptionInvalid,
                    format!("DATE_COLUMN `{}` is neither a date nor a timestamp", field.name()),
                )
                .hint("cast it in the query: `CAST(x AS TIMESTAMP) AS x`"));
            }
        }
        let goes = |at: &usize| {
            partitions.iter().any(|(_, column)| column == at)
                || (layout.date_goes && date_column == Some(*at))
        };
        let stays: Vec<usize> = (0..schema.fields().len()).filter(|at| !goes(at)).collect();
        if stays.is_empty() {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                if partitions.is_empty() {
                    "the query has no columns"
                } else {
                    "PARTITIONED_BY names every column, so none is left for the files"
                },
            ));
        }
        let kept = schema.project(&stays).map_err(crate::write::of_arrow)?;
        Ok(Self {
            partitions,
            date: layout.date.clone(),
            date_column,
            now: layout.now,
            stays,
            schema: Arc::new(kept),
        })
    }

    /// Whether all rows go to one folder.
    pub(super) fn is_one(&self) -> bool {
        self.partitions.is_empty() && self.date_column.is_none()
    }

    /// The folder of each row of a batch.
    pub(super) fn of(&self, batch: &RecordBatch) -> Result<Vec<String>> {
        let mut folders = vec![String::new(); batch.num_rows()];
        let options = FormatOptions::new();
        let mut text = String::new();
        for (name, at) in &self.partitions {
            let array = batch.column(*at);
            let shown = ArrayFormatter::try_new(array, &options).map_err(crate::write::of_arrow)?;
            for (row, folder) in folders.iter_mut().enumerate() {
                folder.push_str(name);
                folder.push('=');
                if array.is_null(row) {
                    folder.push_str(NULL);
                } else {
                    text.clear();
                    let _ = write!(text, "{}", shown.value(row));
                    if let Some(rest) = text.strip_prefix('_').filter(|_| text == NULL) {
                        // A text that only looks like the name for NULL.
                        folder.push_str("%5F");
                        folder.push_str(rest);
                    } else {
                        let _ = write!(folder, "{}", utf8_percent_encode(&text, ESCAPED));
                    }
                }
                folder.push('/');
            }
        }
        let Some(date) = &self.date else { return Ok(folders) };
        let Some(at) = self.date_column else {
            for folder in &mut folders {
                date.folder(&self.now, folder);
            }
            return Ok(folders);
        };
        let seconds = cast(batch.column(at), &DataType::Timestamp(TimeUnit::Second, None))
            .map_err(crate::write::of_arrow)?;
        let seconds = seconds.as_primitive::<TimestampSecondType>();
        for (row, folder) in folders.iter_mut().enumerate() {
            let moment = seconds.is_valid(row).then(|| seconds.value(row));
            if let Some(moment) = moment.and_then(|moment| DateTime::from_timestamp(moment, 0)) {
                date.folder(&moment, folder);
            } else {
                folder.push_str(NULL);
                folder.push('/');
            }
        }
        Ok(folders)
    }

    /// The columns of a batch that stay in the files.
    pub(super) fn stays(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        batch.project(&self.stays).map_err(crate::write::of_arrow)
    }

    /// The folder when there is only one.
    pub(super) fn only(&self) -> String {
        let mut folder = String::new();
        if let Some(date) = &self.date {
            date.folder(&self.now, &mut folder);
        }
        folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_of_dates_makes_folders() {
        let at = DateTime::from_timestamp(-1, 0).unwrap();
        let folder = |pattern: &str| {
            let mut to = String::new();
            DatePattern::parse(pattern).unwrap().folder(&at, &mut to);
            to
        };
        assert_eq!(folder("yyyy/MM/dd/HH/mm"), "1969/12/31/23/59/");
        assert_eq!(folder("'dt='yyyy-MM-dd/"), "dt=1969-12-31/");
        assert_eq!(folder("'it''s' yy"), "it's 69/");
        for wrong in ["yyy", "ss", "'open", "2026/01"] {
            assert!(DatePattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
