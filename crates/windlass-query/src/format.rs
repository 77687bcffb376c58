//! What format files have: by option, by name, then by content.

use crate::files::SourceFile;
use arrow::datatypes::DataType;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;
use std::fmt;
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, OptionMap, OptionValue, Result};

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Csv,
    Tsv,
    Json,
    Parquet,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Json => "JSON lines",
            Self::Parquet => "Parquet",
        })
    }
}

/// A compression of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// How much of the files decides the types of their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Infer {
    /// The first rows of some files.
    Sample,
    /// Every row of every file.
    Full,
    /// Nothing: every column is text.
    None,
}

/// How text files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextOptions {
    pub(crate) header: bool,
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
    pub(crate) null: Option<String>,
    /// None: by the name of each file, then by its first bytes.
    pub(crate) compression: Option<Compression>,
    /// Most bytes of a first record or of a JSON line.
    pub(crate) longest: usize,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            header: true,
            delimiter: b',',
            quote: b'"',
            escape: None,
            comment: None,
            null: None,
            compression: None,
            longest: 16 << 20,
        }
    }
}

/// Files of which the heads are read unless `SAMPLE_FILES` says more.
const FILES: usize = 8;

/// What the option `CONTENT_TYPE` says.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) kind: Option<Kind>,
    pub(crate) infer: Infer,
    /// Files of which the heads are read.
    pub(crate) sample: usize,
    /// Names and types the person gave.
    pub(crate) types: Vec<(String, DataType)>,
    delimiter: Option<u8>,
    text: TextOptions,
}

impl Declared {
    /// Reads the options of a file table.
    pub(crate) fn read(options: &OptionMap) -> Result<Self> {
        let mut declared = Self {
            kind: None,
            infer: Infer::Sample,
            sample: FILES,
            types: Vec::new(),
            delimiter: None,
            text: TextOptions::default(),
        };
        if let Some(value) = options.get("COMPRESSION") {
            declared.set("COMPRESSION", value)?;
        }
        match options.get("CONTENT_TYPE") {
            Some(OptionValue::Group(items)) => {
                for (name, value) in items {
                    declared.set(&name.to_ascii_uppercase(), value)?;
                }
            }
            Some(value) => declared.set("TYPE", value)?,
            None => {}
        }
        Ok(declared)
    }

    fn set(&mut self, name: &str, value: &OptionValue) -> Result<()> {
        let text = match value {
            OptionValue::Text(text) | OptionValue::Word(text) => text.as_str(),
            OptionValue::Bool(flag) if name == "HEADER" => {
                self.text.header = *flag;
                return Ok(());
            }
            OptionValue::Integer(number) if matches!(name, "SAMPLE_FILES" | "MAX_LINE") => {
                let number = usize::try_from(*number).ok().filter(|number| *number > 0);
                let number = number.ok_or_else(|| invalid(name, "is not a number above 0"))?;
                if name == "MAX_LINE" {
                    self.text.longest = number.saturating_mul(1 << 20);
                } else {
                    self.sample = number;
                }
                return Ok(());
            }
            OptionValue::List(items) if name == "TYPES" => {
                for item in items {
                    let (OptionValue::Text(text) | OptionValue::Word(text)) = item else {
                        return Err(invalid(name, "has the wrong type"));
                    };
                    self.types.push(column(text)?);
                }
                return Ok(());
            }
            _ => return Err(invalid(name, "has the wrong type")),
        };
        match name {
            "TYPE" => {
                self.kind = match text.to_ascii_uppercase().as_str() {
                    "AUTO" => None,
                    "CSV" => Some(Kind::Csv),
                    "TSV" => Some(Kind::Tsv),
                    "JSON" => Some(Kind::Json),
                    "PARQUET" => Some(Kind::Parquet),
                    _ => return Err(invalid(name, "is not AUTO, CSV, TSV, JSON or PARQUET")),
                }
            }
            "COMPRESSION" => {
                self.text.compression = match text.to_ascii_uppercase().as_str() {
                    "AUTO" => None,
                    "NONE" => Some(Compression::None),
                    "GZIP" => Some(Compression::Gzip),
                    "ZSTD" => Some(Compression::Zstd),
                    "BZIP2" => Some(Compression::Bzip2),
                    "XZ" => Some(Compression::Xz),
                    _ => return Err(invalid(name, "is not AUTO, NONE, GZIP, ZSTD, BZIP2 or XZ")),
                }
            }
            "HEADER" => match text.to_ascii_uppercase().as_str() {
                "TRUE" => self.text.header = true,
                "FALSE" => self.text.header = false,
                _ => return Err(invalid(name, "is not TRUE or FALSE")),
            },
            "INFER" => {
                self.infer = match text.to_ascii_uppercase().as_str() {
                    "SAMPLE" => Infer::Sample,
                    "FULL" => Infer::Full,
                    "NONE" => Infer::None,
                    _ => return Err(invalid(name, "is not SAMPLE, FULL or NONE")),
                }
            }
            "TYPES" => self.types.push(column(text)?),
            "DELIMITER" => self.delimiter = Some(byte(name, text)?),
            "QUOTE" => self.text.quote = byte(name, text)?,
            "ESCAPE" => self.text.escape = Some(byte(name, text)?),
            "COMMENT" => self.text.comment = Some(byte(name, text)?),
            "NULL_VALUE" => self.text.null = Some(text.to_owned()),
            _ => return Err(invalid(name, "is not an option of CONTENT_TYPE")),
        }
        Ok(())
    }

    /// The options of text files of this kind.
    pub(crate) fn text(&self, kind: Kind) -> TextOptions {
        let default = if kind == Kind::Tsv { b'\t' } else { b',' };
        TextOptions { delimiter: self.delimiter.unwrap_or(default), ..self.text.clone() }
    }
}

/// An error unless files can be read by these options of a file table.
pub(crate) fn check_options(options: &OptionMap) -> Result<()> {
    Declared::read(options).map(drop)
}

fn invalid(name: &str, why: &str) -> Error {
    Error::new(ErrorCode::OptionInvalid, format!("{name} {why}"))
}

/// The type SQL names, if columns of files have such.
pub(crate) fn column_type(kind: &str) -> Option<DataType> {
    column(&format!("x {kind}")).ok().map(|(_, kind)| kind)
}

/// One entry of `TYPES`: a column as SQL defines it, such as `price DECIMAL(10, 2)`.
pub(crate) fn column(text: &str) -> Result<(String, DataType)> {
    let wrong = || {
        invalid("TYPES", &format!("has no column and type in `{text}`")).hint(
            "write `'name TYPE'` with BOOLEAN, INTEGER, BIGINT, BIGINT UNSIGNED, REAL, DOUBLE, DECIMAL(p, s), TEXT, DATE, TIME, TIMESTAMP or TIMESTAMP WITH TIME ZONE",
        )
    };
    let dialect = GenericDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(|_| wrong())?;
    let name = parser.parse_identifier().map_err(|_| wrong())?;
    let kind = parser.parse_data_type().map_err(|_| wrong())?;
    if parser.peek_token().token != Token::EOF {
        return Err(wrong());
    }
    let kind = crate::schema::arrow(&kind).ok_or_else(wrong)?;
    let name = match name.quote_style {
        None => name.value.to_ascii_lowercase(),
        Some(_) => name.value,
    };
    Ok((name, kind))
}

fn byte(name: &str, text: &str) -> Result<u8> {
    match text {
        "\\t" => Ok(b'\t'),
        _ if text.len() == 1 => Ok(text.as_bytes()[0]),
        _ => Err(invalid(name, "is not one ASCII character")
            .hint("write one character, such as `';'`; a tab is `'\\t'`")),
    }
}

const COMPRESSIONS: &[(&str, Compression)] = &[
    ("gz", Compression::Gzip),
    ("gzip", Compression::Gzip),
    ("zst", Compression::Zstd),
    ("zstd", Compression::Zstd),
    ("bz2", Compression::Bzip2),
    ("xz", Compression::Xz),
];

fn split(name: &str) -> (&str, Compression) {
    if let Some((stem, extension)) = name.rsplit_once('.') {
        for (known, kind) in COMPRESSIONS {
            if extension.eq_ignore_ascii_case(known) {
                return (stem, *kind);
            }
        }
    }
    (name, Compression::None)
}

/// The compression the name of a file says.
pub(crate) fn compression_of(name: &str) -> Compression {
    split(name).1
}

/// The compression the first bytes of a file say.
pub(crate) fn compression_in(bytes: &[u8]) -> Compression {
    match bytes {
        [0x1f, 0x8b, 8, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// The format the name of a file says.
pub(crate) fn kind_of(name: &str) -> Option<Kind> {
    let extension = split(name).0.rsplit_once('.')?.1.to_ascii_lowercase();
    Some(match extension.as_str() {
        "csv" => Kind::Csv,
        "tsv" | "tab" => Kind::Tsv,
        "json" | "jsonl" | "ndjson" => Kind::Json,
        "parquet" | "parq" | "pq" => Kind::Parquet,
        _ => return None,
    })
}

/// The format the first (decompressed) bytes of a file say.
pub(crate) fn kind_in(bytes: &[u8]) -> Option<Kind> {
    if bytes.starts_with(b"PAR1") {
        return Some(Kind::Parquet);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The head may end inside a character.
        Err(error) if bytes.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('{') {
        return Some(Kind::Json);
    }
    let first = text.lines().next().filter(|line| !line.trim().is_empty())?;
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) || text.starts_with(['[', '<']) {
        return None;
    }
    Some(if first.contains('\t') && !first.contains(',') { Kind::Tsv } else { Kind::Csv })
}

/// The one format the names of all files say; None: no name says any.
pub(crate) fn by_names(files: &[Arc<SourceFile>], table: &str) -> Result<Option<Kind>> {
    let mut found: Vec<(Option<Kind>, usize, &SourceFile)> = Vec::new();
    for file in files {
        let kind = kind_of(file.name());
        match found.iter_mut().find(|(known, _, _)| *known == kind) {
            Some((_, count, _)) => *count += 1,
            None => found.push((kind, 1, file)),
        }
    }
    match found.as_slice() {
        [] | [(None, ..)] => Ok(None),
        [(Some(kind), ..)] => Ok(Some(*kind)),
        several => {
            let counts: Vec<String> = several
                .iter()
                .map(|(kind, count, first)| {
                    let kind =
                        kind.map_or_else(|| "of no known format".to_owned(), |k| k.to_string());
                    format!("{count} {kind} (`{}`)", first.name())
                })
                .collect();
            Err(Error::new(
                ErrorCode::FormatInvalid,
                format!("`{table}` has files of several formats: {}", counts.join(", ")),
            )
            .hint("choose one with a glob such as `**/*.csv`, or say it: CREATE FILE TABLE ... CONTENT_TYPE = CSV"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_format_and_compression() {
        assert_eq!(kind_of("a.CSV.gz"), Some(Kind::Csv));
        assert_eq!(compression_of("a.CSV.gz"), Compression::Gzip);
        assert_eq!(kind_of("a.ndjson.zst"), Some(Kind::Json));
        assert_eq!(kind_of("part-00000"), None);
    }

    #[test]
    fn content_tells_format_where_the_name_does_not() {
        assert_eq!(kind_in(b"PAR1\x15"), Some(Kind::Parquet));
        assert_eq!(kind_in(b"\xef\xbb\xbf {\"a\":1}"), Some(Kind::Json));
        assert_eq!(kind_in(b"a\tb\n1\t2"), Some(Kind::Tsv));
        assert_eq!(kind_in(b"a,b\n1,\xc3"), Some(Kind::Csv));
        assert_eq!(kind_in(b"\x89PNG\r\n"), None);
    }
}
