//! What format files have: by option, by name, then by content.

use crate::careful::Careful;
use crate::delta::AsOf;
use crate::files::SourceFile;
use crate::packed::{Compression, split};
use arrow::datatypes::DataType;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;
use std::sync::Arc;
use windlass_formats::compress::Codec;
pub(crate) use windlass_formats::detect::Kind;
use windlass_formats::detect::by_extension;
use windlass_formats::encoding::Charset;
use windlass_formats::{
    ArrowIpc, Avro, Failure, FixedColumn, FixedWidth, Format, Json, Lines, OnError, Orc, Regex,
    RowRule, Rows, Sheets, Xlsx, Xml, character,
};
use windlass_types::{Error, ErrorCode, KeyPattern, OptionMap, OptionValue, Result};

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
    /// None: UTF-8, or UTF-16 by its byte order mark.
    pub(crate) encoding: Option<Charset>,
    /// Lines before the header, or before the first record, that are none.
    pub(crate) skip_rows: usize,
    /// Whether the files are no text, so that nothing is decoded.
    pub(crate) binary: bool,
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
            encoding: None,
            skip_rows: 0,
            binary: false,
            longest: 16 << 20,
        }
    }
}

/// Files of which the heads are read unless `SAMPLE_FILES` says more.
const FILES: usize = 8;

/// What the option `CONTENT_TYPE` says.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// [`Kind::Json`] is any layout of JSON.
    pub(crate) kind: Option<Kind>,
    /// Whether it is the folder of a Delta Lake table, and which state of that is read.
    pub(crate) delta: Option<AsOf>,
    pub(crate) infer: Infer,
    /// Files of which the heads are read.
    pub(crate) sample: usize,
    /// Names and types the person gave.
    pub(crate) types: Vec<(String, DataType)>,
    pub(crate) on_error: OnError,
    /// Whether the files are archives, and which of their members are read.
    pub(crate) zip: Option<bool>,
    pub(crate) members: Option<KeyPattern>,
    delimiter: Option<u8>,
    /// Whether there is a header is said.
    headed: bool,
    text: TextOptions,
    json: Json,
    xml: Xml,
    pub(crate) xlsx: Xlsx,
    fixed: FixedWidth,
    regex: Option<Regex>,
    /// The secret that opens locked workbooks.
    pub(crate) password_secret: Option<String>,
}

impl Default for Declared {
    fn default() -> Self {
        Self {
            kind: None,
            delta: None,
            infer: Infer::Sample,
            sample: FILES,
            types: Vec::new(),
            on_error: OnError::Fail,
            zip: None,
            members: None,
            delimiter: None,
            headed: false,
            text: TextOptions::default(),
            json: Json::default(),
            xml: Xml::default(),
            xlsx: Xlsx {
                sheets: Sheets::First,
                sheet_column: None,
                header: true,
                skip_rows: 0,
                empty: RowRule::Keep,
                complete: false,
                password: None,
            },
            fixed: FixedWidth {
                columns: Vec::new(),
                skip_rows: 0,
                skip_bytes: 0,
                line_delimited: true,
                strip: false,
                point: '.',
            },
            regex: None,
            password_secret: None,
        }
    }
}

/// What `CONTENT_TYPE` says, by upper-case names; a word alone is its `TYPE`.
pub(crate) fn content(options: &OptionMap) -> Vec<(String, &OptionValue)> {
    match options.get("CONTENT_TYPE") {
        Some(OptionValue::Group(items)) => {
            items.iter().map(|(name, value)| (name.to_ascii_uppercase(), value)).collect()
        }
        Some(value) => vec![("TYPE".to_owned(), value)],
        None => Vec::new(),
    }
}

/// Values of an option by the types they come in.
fn texts<'a>(name: &str, value: &'a OptionValue) -> Result<Vec<&'a str>> {
    match value {
        OptionValue::Text(text) | OptionValue::Word(text) => Ok(vec![text]),
        OptionValue::List(items) => items.iter().map(|item| text(name, item)).collect(),
        _ => Err(invalid(name, "has the wrong type")),
    }
}

fn text<'a>(name: &str, value: &'a OptionValue) -> Result<&'a str> {
    match value {
        OptionValue::Text(text) | OptionValue::Word(text) => Ok(text),
        _ => Err(invalid(name, "has the wrong type")),
    }
}

fn flag(name: &str, value: &OptionValue) -> Result<bool> {
    match value {
        OptionValue::Bool(flag) => Ok(*flag),
        OptionValue::Text(text) | OptionValue::Word(text) => {
            match text.to_ascii_uppercase().as_str() {
                "TRUE" => Ok(true),
                "FALSE" => Ok(false),
                _ => Err(invalid(name, "is not TRUE or FALSE")),
            }
        }
        _ => Err(invalid(name, "has the wrong type")),
    }
}

fn number(name: &str, value: &OptionValue, least: usize) -> Result<usize> {
    let OptionValue::Integer(number) = value else {
        return Err(invalid(name, "has the wrong type"));
    };
    usize::try_from(*number).ok().filter(|number| *number >= least).ok_or_else(|| match least {
        0 => invalid(name, "is below 0"),
        _ => invalid(name, "is not a number above 0"),
    })
}

/// One of some words, each with what it means.
fn choice<T: Copy>(name: &str, value: &OptionValue, words: &[(&str, T)]) -> Result<T> {
    let word = text(name, value)?;
    if let Some((_, meaning)) = words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)) {
        return Ok(*meaning);
    }
    let (last, others) = words.split_last().expect("there are words");
    let others: Vec<&str> = others.iter().map(|(word, _)| *word).collect();
    Err(invalid(name, &format!("is not {} or {}", others.join(", "), last.0)))
}

const TYPES: &[(&str, Option<Kind>)] = &[
    ("AUTO", None),
    ("CSV", Some(Kind::Csv)),
    ("TSV", Some(Kind::Tsv)),
    ("JSON", Some(Kind::Json)),
    ("JSONL", Some(Kind::JsonLines)),
    ("PARQUET", Some(Kind::Parquet)),
    ("AVRO", Some(Kind::Avro)),
    ("ARROW", Some(Kind::Arrow)),
    ("ORC", Some(Kind::Orc)),
    ("XLSX", Some(Kind::Xlsx)),
    ("XML", Some(Kind::Xml)),
    ("FIXED_WIDTH", Some(Kind::Fixed)),
    ("REGEX", Some(Kind::Regex)),
    ("LINES", Some(Kind::Lines)),
    ("DELTA", None),
];

/// None and false: by name and content.
const DECLARED_COMPRESSIONS: &[(&str, Option<Compression>)] = &[
    ("AUTO", None),
    ("NONE", Some(Compression::None)),
    ("GZIP", Some(Compression::Gzip)),
    ("ZSTD", Some(Compression::Zstd)),
    ("BZIP2", Some(Compression::Bzip2)),
    ("XZ", Some(Compression::Xz)),
    ("SNAPPY", Some(Compression::Snappy)),
    ("LZ4", Some(Compression::Blocking(Codec::Lz4))),
];

impl Declared {
    /// Reads the options of a file table.
    pub(crate) fn read(options: &OptionMap) -> Result<Self> {
        let mut declared = Self { delta: AsOf::read(options)?, ..Self::default() };
        if let Some(value) = options.get("COMPRESSION") {
            declared.set("COMPRESSION", value)?;
        }
        for (name, value) in content(options) {
            declared.set(&name, value)?;
        }
        declared.check()?;
        Ok(declared)
    }

    /// What a format cannot do without.
    fn check(&self) -> Result<()> {
        let missing = |what: &str, hint: &str| {
            Err(Error::new(ErrorCode::OptionInvalid, what.to_owned()).hint(hint))
        };
        if self.kind == Some(Kind::Regex) && self.regex.is_none() {
            return missing(
                "TYPE = REGEX needs PATTERN",
                r"its named groups are the columns: PATTERN = '^(?P<level>\w+) (?P<text>.*)$'",
            );
        }
        if self.kind == Some(Kind::Fixed) && self.fixed.columns.is_empty() {
            return missing(
                "TYPE = FIXED_WIDTH needs COLUMNS",
                "write name, type, offset and length of each: COLUMNS = ('id BIGINT 0 5', 'name TEXT 5 20')",
            );
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &OptionValue) -> Result<()> {
        let said = |failure: Failure| {
            let error = Error::new(ErrorCode::OptionInvalid, format!("{name}: {}", failure.reason));
            match failure.hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        };
        match name {
            "TYPE" => self.kind = choice(name, value, TYPES)?,
            // What of a Delta Lake table is read: `AsOf::read` knows.
            "VERSION" | "TIMESTAMP" => {}
            "COMPRESSION" if text(name, value)?.eq_ignore_ascii_case("ZIP") => {
                self.zip = Some(true);
            }
            "COMPRESSION" => {
                self.text.compression = choice(name, value, DECLARED_COMPRESSIONS)?;
                self.zip = self.text.compression.map(|_| false);
            }
            "MEMBERS" => self.members = Some(KeyPattern::parse(text(name, value)?)?),
            "ENCODING" => {
                let charset = Charset::find(text(name, value)?)?;
                self.text.encoding = Some(charset);
            }
            "HEADER" => {
                self.text.header = flag(name, value)?;
                self.headed = true;
                self.xlsx.header = self.text.header;
            }
            "INFER" => {
                let words =
                    [("SAMPLE", Infer::Sample), ("FULL", Infer::Full), ("NONE", Infer::None)];
                self.infer = choice(name, value, &words)?;
            }
            "ON_ERROR" => {
                let words =
                    [("FAIL", OnError::Fail), ("SKIP", OnError::Skip), ("NULL", OnError::Null)];
                self.on_error = choice(name, value, &words)?;
            }
            "TYPES" => {
                self.types =
                    texts(name, value)?.into_iter().map(column).collect::<Result<Vec<_>>>()?;
            }
            "SAMPLE_FILES" => self.sample = number(name, value, 1)?,
            "MAX_LINE" => self.text.longest = number(name, value, 1)?.saturating_mul(1 << 20),
            "DELIMITER" => self.delimiter = Some(byte(name, text(name, value)?)?),
            "QUOTE" => self.text.quote = byte(name, text(name, value)?)?,
            "ESCAPE" => self.text.escape = Some(byte(name, text(name, value)?)?),
            "COMMENT" => self.text.comment = Some(byte(name, text(name, value)?)?),
            "NULL_VALUE" => self.text.null = Some(text(name, value)?.to_owned()),
            "SPLIT_ROOT_ARRAY" => self.json.split = flag(name, value)?,
            "STORE_JSON_AS_STRING" => {
                self.json.text_column = Some(text(name, value)?.to_owned());
            }
            "ROW_TAG" => self.xml.row_tag = Some(text(name, value)?.to_owned()),
            "ATTRIBUTE_PREFIX" => text(name, value)?.clone_into(&mut self.xml.attribute_prefix),
            "PATTERN" => self.regex = Some(Regex::new(text(name, value)?).map_err(said)?),
            "COLUMNS" => {
                self.fixed.columns =
                    texts(name, value)?.into_iter().map(place).collect::<Result<Vec<_>>>()?;
            }
            "SKIP_ROWS" => {
                self.fixed.skip_rows = number(name, value, 0)?;
                self.xlsx.skip_rows = self.fixed.skip_rows;
                self.text.skip_rows = self.fixed.skip_rows;
            }
            "SKIP_BYTES" => self.fixed.skip_bytes = number(name, value, 0)?,
            "LINE_DELIMITED" => self.fixed.line_delimited = flag(name, value)?,
            "STRIP_BLANKS" => self.fixed.strip = flag(name, value)?,
            "DECIMAL_POINT" => self.fixed.point = char::from(byte(name, text(name, value)?)?),
            "SHEET" => self.xlsx.sheets = Sheets::Named(vec![text(name, value)?.to_owned()]),
            "SHEETS" => {
                let names = texts(name, value)?;
                self.xlsx.sheets = match names.as_slice() {
                    [all] if all.eq_ignore_ascii_case("ALL") || *all == "*" => Sheets::All,
                    names => Sheets::Named(names.iter().map(|name| (*name).to_owned()).collect()),
                };
            }
            "SHEET_PREFIX" => self.xlsx.sheets = Sheets::Prefix(text(name, value)?.to_owned()),
            "SHEET_SUFFIX" => self.xlsx.sheets = Sheets::Suffix(text(name, value)?.to_owned()),
            "SHEET_CONTAINS" => self.xlsx.sheets = Sheets::Contains(text(name, value)?.to_owned()),
            "SHEET_COLUMN" => self.xlsx.sheet_column = Some(text(name, value)?.to_owned()),
            "PASSWORD_SECRET" => self.password_secret = Some(text(name, value)?.to_owned()),
            "EMPTY_ROWS" => {
                let words =
                    [("KEEP", RowRule::Keep), ("SKIP", RowRule::Skip), ("FAIL", RowRule::Bad)];
                self.xlsx.empty = choice(name, value, &words)?;
            }
            "INCOMPLETE_ROWS" => {
                self.xlsx.complete = choice(name, value, &[("KEEP", false), ("FAIL", true)])?;
            }
            _ => return Err(invalid(name, "is not an option of CONTENT_TYPE")),
        }
        Ok(())
    }

    /// The same, with fields parted by `delimiter`; None where that is said, or has no sense.
    pub(crate) fn parted_by(&self, delimiter: u8, kind: Kind) -> Option<Self> {
        let open = self.delimiter.is_none() && kind == Kind::Csv && self.text.header;
        open.then(|| Self { delimiter: Some(delimiter), ..self.clone() })
    }

    /// The same, with files whose first record is a row; None where that is said, or has no sense.
    pub(crate) fn headless(&self, kind: Kind) -> Option<Self> {
        let open = !self.headed && self.text.header && matches!(kind, Kind::Csv | Kind::Tsv);
        open.then(|| Self {
            text: TextOptions { header: false, ..self.text.clone() },
            ..self.clone()
        })
    }

    /// Whether there is a header is said, not seen.
    pub(crate) fn is_headed(&self) -> bool {
        self.headed
    }

    /// The elements of XML that are rows, where that is said.
    pub(crate) fn row_tag(&self) -> Option<&str> {
        self.xml.row_tag.as_deref()
    }

    /// The options of text files of this kind.
    pub(crate) fn text(&self, kind: Kind) -> TextOptions {
        let default = if kind == Kind::Tsv { b'\t' } else { b',' };
        let delimiter = self.delimiter.unwrap_or(default);
        TextOptions { delimiter, binary: !kind.is_text(), ..self.text.clone() }
    }

    /// Whether JSON is read in a way that lines side by side do not allow.
    pub(crate) fn is_json_of_its_own(&self) -> bool {
        self.json.text_column.is_some() || !self.json.split
    }

    /// What reads JSON lines row by row where it must: it makes texts of objects and lists.
    pub(crate) fn lines_of_json(&self) -> Arc<Json> {
        Arc::new(Json { lines: true, ..self.json.clone() })
    }

    /// What reads the rows of files of this kind; None as for [`Self::format`].
    pub(crate) fn rows(&self, kind: Kind) -> Result<Option<Arc<dyn Rows>>> {
        Ok(self.format(kind)?.map(|format| format as Arc<dyn Rows>))
    }

    /// What reads files of this kind one by one; None: CSV, JSON lines and Parquet, which are read in
    /// ranges side by side.
    pub(crate) fn format(&self, kind: Kind) -> Result<Option<Arc<dyn Format>>> {
        let careful = self.on_error != OnError::Fail;
        Ok(Some(match kind {
            Kind::Csv | Kind::Tsv if careful => Arc::new(Careful { options: self.text(kind) }),
            Kind::JsonLines if careful => self.lines_of_json(),
            Kind::Parquet | Kind::Csv | Kind::Tsv | Kind::JsonLines => return Ok(None),
            Kind::Json => Arc::new(self.json.clone()),
            Kind::Avro => Arc::new(Avro),
            Kind::Arrow => Arc::new(ArrowIpc),
            Kind::Orc => Arc::new(Orc),
            Kind::Xlsx => Arc::new(self.xlsx.clone()),
            Kind::Xml => {
                Arc::new(Xml { own_encoding: self.text.encoding.is_none(), ..self.xml.clone() })
            }
            Kind::Fixed => Arc::new(self.fixed.clone()),
            Kind::Lines => Arc::new(Lines),
            Kind::Regex => match &self.regex {
                Some(regex) => Arc::new(regex.clone()),
                None => return Err(invalid("PATTERN", "is missing")),
            },
        }))
    }
}

/// An error unless files can be read by these options of a file table, and each has a sense. Of tables
/// that are stored the latter is not asked.
pub(crate) fn check_options(options: &OptionMap) -> Result<()> {
    crate::takes::check(Declared::read(options)?.kind, options)
}

/// The word of TYPE of a format.
pub(crate) fn word_of(kind: Kind) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == Some(kind)).map_or("AUTO", |(word, _)| word)
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

/// One entry of `COLUMNS`: a column, the characters before it and its characters.
fn place(text: &str) -> Result<FixedColumn> {
    let wrong = || {
        invalid("COLUMNS", &format!("does not place a column in `{text}`"))
            .hint("write `'name TYPE OFFSET LENGTH'`, such as `'price DECIMAL(10, 2) 25 8'`; the first character is 0, and TYPE may be left out")
    };
    let (rest, length) = text.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
    let (rest, offset) = rest.trim().rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
    let length = length.parse().ok().filter(|length| (1..=1 << 20).contains(length));
    let offset = offset.parse().ok().filter(|offset: &usize| *offset < 1 << 24);
    let (Some(length), Some(offset)) = (length, offset) else { return Err(wrong()) };
    let rest = rest.trim();
    let (name, kind) = match column(rest) {
        Ok((name, kind)) => (name, Some(kind)),
        Err(_) if !rest.contains(char::is_whitespace) && !rest.is_empty() => {
            (rest.trim_matches('"').to_owned(), None)
        }
        Err(_) => return Err(wrong()),
    };
    Ok(FixedColumn { name, kind, offset, length })
}

fn byte(name: &str, text: &str) -> Result<u8> {
    let one = character(name, text)?;
    u8::try_from(one).map_err(|_| invalid(name, "is not one ASCII character"))
}

/// The format the name of a file says.
pub(crate) fn kind_of(name: &str) -> Option<Kind> {
    by_extension(split(name).0.rsplit_once('.')?.1)
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
        [(Some(Kind::Json | Kind::JsonLines), ..), (Some(Kind::Json | Kind::JsonLines), ..)] => {
            Ok(Some(Kind::Json))
        }
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
    fn names_tell_the_format() {
        assert_eq!(kind_of("a.CSV.gz"), Some(Kind::Csv));
        assert_eq!(kind_of("a.ndjson.zst"), Some(Kind::JsonLines));
        assert_eq!(kind_of("a.avro"), Some(Kind::Avro));
        assert_eq!(kind_of("part-00000"), None);
    }

    #[test]
    fn places_of_columns_are_read() {
        let read = |text: &str| place(text).map(|c| (c.name, c.kind, c.offset, c.length)).ok();
        let price = Some(DataType::Decimal128(10, 2));
        assert_eq!(read("price DECIMAL(10, 2) 25 8"), Some(("price".to_owned(), price, 25, 8)));
        assert_eq!(read("id 0 5"), Some(("id".to_owned(), None, 0, 5)));
        for wrong in ["id", "id 0", "id TEXT 0", "id TEXT 0 0", "id NOTYPE 0 1", "", " 1 2"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
