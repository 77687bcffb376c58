//! What options say of a file that is to be written.

use super::{Compression, Format};
use crate::character::character;
use crate::encoding;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use windlass_types::options::FILE_FORMAT_OPTIONS;
use windlass_types::{Error, ErrorCode, OptionValue, Result};

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    /// `\n`
    Lf,
    /// `\r\n`
    CrLf,
    /// `\r`
    Cr,
}

impl LineEnd {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// Which values are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Those that could not be read back without.
    Necessary,
    /// All that are not NULL.
    Always,
    /// Text.
    Strings,
    /// None; a value that needs it is an error.
    Never,
}

/// How characters become bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Charset {
    Utf8,
    Utf16Le,
    Utf16Be,
    Other(&'static Encoding),
    /// A code page of DOS.
    Page(u16),
}

/// How one file is written.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFormat {
    /// The format.
    pub format: Format,
    /// Its compression; of formats with their own, the one inside.
    pub compression: Compression,
    pub(super) header: bool,
    pub(super) delimiter: String,
    pub(super) quote: Option<char>,
    pub(super) escape: Option<char>,
    pub(super) null: String,
    pub(super) line_end: LineEnd,
    pub(super) quoting: Quoting,
    pub(super) charset: Charset,
    pub(super) bom: bool,
    pub(super) root: String,
    pub(super) row: String,
    pub(super) attributes: Vec<String>,
    pub(super) sheet: String,
    pub(super) sheet_column: Option<String>,
}

const COMPRESSIONS: &[Compression] = &[
    Compression::None,
    Compression::Gzip,
    Compression::Zstd,
    Compression::Bzip2,
    Compression::Xz,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Brotli,
];

/// The format and the compression that the name of a file says, in that order.
pub fn named(name: &str) -> (Option<Format>, Option<Compression>) {
    let lower = name.to_ascii_lowercase();
    let file = lower.rsplit('/').next().unwrap_or(&lower);
    let mut parts = file.rsplit('.');
    let mut extension = parts.next().unwrap_or_default();
    let compression = match extension {
        "gz" | "gzip" => Some(Compression::Gzip),
        "zst" | "zstd" => Some(Compression::Zstd),
        "bz2" => Some(Compression::Bzip2),
        "xz" => Some(Compression::Xz),
        "sz" | "snappy" => Some(Compression::Snappy),
        "lz4" => Some(Compression::Lz4),
        _ => None,
    };
    if compression.is_some() {
        extension = parts.next().unwrap_or_default();
    }
    let format = match extension {
        _ if parts.next().is_none() => None,
        "csv" => Some(Format::Csv),
        "tsv" | "tab" => Some(Format::Tsv),
        "jsonl" | "ndjson" => Some(Format::JsonLines),
        "json" => Some(Format::JsonArray),
        "parquet" | "parq" | "pq" => Some(Format::Parquet),
        "arrow" | "feather" | "ipc" => Some(Format::Arrow),
        "avro" => Some(Format::Avro),
        "xlsx" => Some(Format::Xlsx),
        "xml" => Some(Format::Xml),
        _ => None,
    };
    (format, compression)
}

fn word(text: &str) -> Option<Format> {
    Some(match text {
        "CSV" => Format::Csv,
        "TSV" => Format::Tsv,
        "JSON" | "JSONL" => Format::JsonLines,
        "JSON_ARRAY" => Format::JsonArray,
        "PARQUET" => Format::Parquet,
        "ARROW" => Format::Arrow,
        "AVRO" => Format::Avro,
        "XLSX" => Format::Xlsx,
        "XML" => Format::Xml,
        _ => return None,
    })
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::OptionInvalid, what)
}

fn text(value: &OptionValue) -> Option<&str> {
    match value {
        OptionValue::Text(text) | OptionValue::Word(text) => Some(text),
        _ => None,
    }
}

/// One character, or none for the empty text.
fn char_of(name: &str, text: &str) -> Result<Option<char>> {
    if text.is_empty() { Ok(None) } else { character(name, text).map(Some) }
}

/// The encoding of this name: those that are read are written.
fn charset(label: &str) -> Result<Charset> {
    if label.eq_ignore_ascii_case("UTF16") {
        return Ok(Charset::Utf16Le);
    }
    Ok(match encoding::Charset::find(label)? {
        encoding::Charset::Page(page) => Charset::Page(page),
        encoding::Charset::Web(web) if web == UTF_8 => Charset::Utf8,
        encoding::Charset::Web(web) if web == UTF_16LE => Charset::Utf16Le,
        encoding::Charset::Web(web) if web == UTF_16BE => Charset::Utf16Be,
        encoding::Charset::Web(web) => Charset::Other(web),
    })
}

/// The options of `FILE_FORMAT` that have sense for a format.
const fn options_of(format: Format) -> &'static [&'static str] {
    match format {
        Format::Csv | Format::Tsv => &[
            "TYPE",
            "HEADER",
            "DELIMITER",
            "QUOTE",
            "ESCAPE",
            "NULL_VALUE",
            "LINE_END",
            "QUOTING",
            "ENCODING",
            "BOM",
        ],
        Format::JsonLines | Format::JsonArray => &["TYPE", "ENCODING", "BOM"],
        Format::Parquet | Format::Arrow | Format::Avro => &["TYPE"],
        Format::Xlsx => &["TYPE", "HEADER", "SHEET", "SHEET_COLUMN"],
        Format::Xml => &["TYPE", "ENCODING", "BOM", "ROOT_TAG", "ROW_TAG", "ATTRIBUTES"],
    }
}

/// An error where the extension of a name speaks of a compression that the file will not have: nobody
/// could read it.
fn agree(
    name: &str,
    by_name: Option<Compression>,
    format: Format,
    said: Option<Compression>,
) -> Result<()> {
    if name.to_ascii_lowercase().ends_with(".zip") {
        return Err(invalid("the name is that of a ZIP archive, which is not written")
            .hint("end it with `.gz` or `.zst`, or with the extension of its format"));
    }
    let Some(by_name) = by_name else { return Ok(()) };
    if !format.is_text() {
        return Err(invalid(format!(
            "the name says {}, and {} files are not compressed as a whole",
            by_name.word(),
            format.word()
        ))
        .hint(format!(
            "end it with `.{}`; COMPRESSION is that inside of the file",
            format.extension()
        )));
    }
    match said {
        Some(said) if said != by_name => Err(invalid(format!(
            "the name says {}, and COMPRESSION {}",
            by_name.word(),
            said.word()
        ))
        .hint("leave COMPRESSION out, or end the name otherwise")),
        _ => Ok(()),
    }
}

impl FileFormat {
    /// A format with nothing else said.
    pub fn of(format: Format) -> Self {
        Self {
            format,
            compression: if format == Format::Parquet {
                Compression::Snappy
            } else {
                Compression::None
            },
            header: true,
            delimiter: if format == Format::Tsv { "\t" } else { "," }.to_owned(),
            quote: Some('"'),
            escape: None,
            null: String::new(),
            line_end: LineEnd::Lf,
            quoting: Quoting::Necessary,
            charset: Charset::Utf8,
            bom: false,
            root: "rows".to_owned(),
            row: "row".to_owned(),
            attributes: Vec::new(),
            sheet: "Sheet1".to_owned(),
            sheet_column: None,
        }
    }

    /// Reads what was said: the group `FILE_FORMAT`, the option `COMPRESSION`, and the name of the
    /// file, which says what is not said otherwise. Names of the group that only reading knows are
    /// left aside. `usual` is the format if nothing says one.
    pub fn read(
        group: &[(String, OptionValue)],
        compression: Option<&str>,
        name: &str,
        usual: Option<Format>,
    ) -> Result<Self> {
        let (by_name, squeezed) = named(name);
        let said = group.iter().find(|(name, _)| name == "TYPE").and_then(|(_, value)| text(value));
        let said = said.filter(|said| *said != "AUTO").map(|said| {
            word(said).ok_or_else(|| {
                invalid(format!("{said} is not a format that is written")).hint(
                    "known are CSV, TSV, JSON, JSON_ARRAY, PARQUET, ARROW, AVRO, XLSX and XML",
                )
            })
        });
        let format = said.transpose()?.or(by_name).or(usual).ok_or_else(|| {
            invalid("the name of the file says no format").hint(
                "add FILE_FORMAT = (TYPE = CSV), or one of TSV, JSON, JSON_ARRAY, PARQUET, ARROW, AVRO, XLSX, XML",
            )
        })?;
        let mut read = Self::of(format);
        let inside = group.iter().find(|(name, _)| name == "COMPRESSION");
        let inside = inside.and_then(|(_, value)| text(value)).filter(|word| *word != "AUTO");
        let compression = compression.filter(|word| *word != "AUTO").or(inside);
        let compression = compression.map(|word| {
            let known = COMPRESSIONS.iter().copied().find(|known| known.word() == word);
            known.ok_or_else(|| invalid(format!("{word} is not a compression that is written")))
        });
        let compression = compression.transpose()?;
        agree(name, squeezed, format, compression)?;
        if let Some(compression) = compression.or(squeezed) {
            read.compression = compression;
        }
        for (name, value) in group {
            read.set(name, value)?;
        }
        read.check()?;
        Ok(read)
    }

    fn set(&mut self, name: &str, value: &OptionValue) -> Result<()> {
        let words = text(value).unwrap_or_default();
        match name {
            "HEADER" => self.header = *value == OptionValue::Bool(true),
            "BOM" => self.bom = *value == OptionValue::Bool(true),
            "DELIMITER" => self.delimiter = character(name, words)?.to_string(),
            "QUOTE" => self.quote = char_of(name, words)?,
            "ESCAPE" => {
                self.escape = char_of(name, words)?.filter(|escape| Some(*escape) != self.quote);
            }
            "NULL_VALUE" => words.clone_into(&mut self.null),
            "LINE_END" => {
                self.line_end = match words {
                    "CRLF" => LineEnd::CrLf,
                    "CR" => LineEnd::Cr,
                    _ => LineEnd::Lf,
                }
            }
            "QUOTING" => {
                self.quoting = match words {
                    "ALWAYS" => Quoting::Always,
                    "STRINGS" => Quoting::Strings,
                    "NEVER" => Quoting::Never,
                    _ => Quoting::Necessary,
                }
            }
            "ENCODING" => self.charset = charset(words)?,
            "ROOT_TAG" => words.clone_into(&mut self.root),
            "ROW_TAG" => words.clone_into(&mut self.row),
            "ATTRIBUTES" => {
                if let OptionValue::List(items) = value {
                    self.attributes = items.iter().filter_map(text).map(str::to_owned).collect();
                }
            }
            "SHEET" => words.clone_into(&mut self.sheet),
            "SHEET_COLUMN" => self.sheet_column = Some(words.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// What contradicts itself.
    fn check(&self) -> Result<()> {
        let format = self.format;
        let known: &[Compression] = match format {
            Format::Parquet => &[
                Compression::None,
                Compression::Gzip,
                Compression::Zstd,
                Compression::Snappy,
                Compression::Lz4,
                Compression::Brotli,
            ],
            Format::Arrow => &[Compression::None, Compression::Zstd, Compression::Lz4],
            Format::Avro => &[
                Compression::None,
                Compression::Gzip,
                Compression::Zstd,
                Compression::Bzip2,
                Compression::Xz,
                Compression::Snappy,
            ],
            Format::Xlsx => &[Compression::None],
            _ => &COMPRESSIONS[..7],
        };
        if !known.contains(&self.compression) {
            let words: Vec<&str> = known.iter().map(|known| known.word()).collect();
            return Err(invalid(format!(
                "{} files are not compressed with {}",
                format.word(),
                self.compression.word()
            ))
            .hint(format!("known for them are {}", words.join(", "))));
        }
        if self.delimiter.contains(['\n', '\r']) {
            return Err(invalid("DELIMITER is a line end"));
        }
        if self.quote.is_some_and(|quote| self.delimiter.contains(quote)) {
            return Err(invalid("DELIMITER and QUOTE are the same character"));
        }
        if self.quote.is_none() && matches!(self.quoting, Quoting::Always | Quoting::Strings) {
            return Err(invalid("there is no QUOTE to quote with")
                .hint("leave QUOTE = '' out, or say QUOTING = NEVER"));
        }
        if format == Format::Xml {
            for tag in [&self.root, &self.row] {
                if !super::xml::is_name(tag) {
                    return Err(invalid(format!("`{tag}` is not the name of an element of XML")));
                }
            }
        }
        Ok(())
    }

    /// An error (`option.invalid`) for an option of the group that has no sense for files of this format.
    /// What only reading knows is left aside.
    pub fn refuse_others(&self, group: &[(String, OptionValue)]) -> Result<()> {
        let takes = options_of(self.format);
        let known = |name: &str| FILE_FORMAT_OPTIONS.iter().any(|def| def.name == name);
        let mut names = group.iter().map(|(name, _)| name.as_str());
        match names.find(|name| known(name) && !takes.contains(name)) {
            Some(other) => Err(invalid(format!("{} files take no {other}", self.format.word()))
                .hint(format!("what they take of FILE_FORMAT is {}", takes.join(", ")))),
            None => Ok(()),
        }
    }

    /// The extension of files of this format and compression, such as `csv.gz`.
    pub fn extension(&self) -> String {
        let extension = self.format.extension();
        match self.compression.extension().filter(|_| self.format.is_text()) {
            Some(squeezed) => format!("{extension}.{squeezed}"),
            None => extension.to_owned(),
        }
    }

    /// The content type of the files.
    pub const fn content_type(&self) -> &'static str {
        match self.compression {
            Compression::Gzip if self.format.is_text() => "application/gzip",
            Compression::Zstd if self.format.is_text() => "application/zstd",
            Compression::None => self.format.content_type(),
            _ if self.format.is_text() => "application/octet-stream",
            _ => self.format.content_type(),
        }
    }

    /// Whether files say of a column with this name nothing but the name, and keep that as it is.
    pub fn keeps_name_alone(&self, name: &str) -> bool {
        match self.format {
            Format::Csv | Format::Tsv | Format::Xlsx => !name.is_empty() && name.trim() == name,
            Format::JsonLines | Format::JsonArray => true,
            // An attribute is read under another name, and so is a letter that XML does not have.
            Format::Xml => {
                self.attributes.is_empty()
                    && name.starts_with(|first: char| first.is_ascii_alphabetic())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            }
            Format::Parquet | Format::Arrow | Format::Avro => false,
        }
    }

    /// The least size a file should have before another is begun is looked at in pieces of so many
    /// rows: a workbook cannot be cut.
    pub const fn can_be_cut(&self) -> bool {
        !matches!(self.format, Format::Xlsx)
    }
}
