//! What format a file has: by its first bytes, by its name, and why.

use crate::infer::of_json;
use crate::{arrow_ipc, avro, orc, zip};
use std::fmt;

/// A format of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fields between commas, or another delimiter.
    Csv,
    /// Fields between tabs.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// JSON of any other layout.
    Json,
    /// Parquet.
    Parquet,
    /// Avro.
    Avro,
    /// Arrow IPC, file or stream.
    Arrow,
    /// ORC.
    Orc,
    /// Workbooks.
    Xlsx,
    /// XML.
    Xml,
    /// Fields at fixed places.
    Fixed,
    /// Lines taken apart by a pattern.
    Regex,
    /// Plain lines.
    Lines,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::JsonLines => "JSON lines",
            Self::Json => "JSON",
            Self::Parquet => "Parquet",
            Self::Avro => "Avro",
            Self::Arrow => "Arrow IPC",
            Self::Orc => "ORC",
            Self::Xlsx => "XLSX",
            Self::Xml => "XML",
            Self::Fixed => "fixed width",
            Self::Regex => "lines by a pattern",
            Self::Lines => "lines of text",
        })
    }
}

impl Kind {
    /// Whether its files are text, in some encoding.
    pub fn is_text(self) -> bool {
        !matches!(self, Self::Parquet | Self::Avro | Self::Arrow | Self::Orc | Self::Xlsx)
    }

    /// Whether it is a way to write the same thing: JSON in lines or not, CSV with tabs.
    pub fn resembles(self, other: Self) -> bool {
        let family = |kind| match kind {
            Self::Json | Self::JsonLines => 0,
            Self::Csv | Self::Tsv | Self::Lines | Self::Fixed | Self::Regex => 1,
            Self::Xml => 2,
            Self::Parquet => 3,
            Self::Avro => 4,
            Self::Arrow => 5,
            Self::Orc => 6,
            Self::Xlsx => 7,
        };
        family(self) == family(other)
    }
}

/// The format the extension of a name says; compressions are taken off before.
pub fn by_extension(extension: &str) -> Option<Kind> {
    Some(match extension.to_ascii_lowercase().as_str() {
        "csv" => Kind::Csv,
        "tsv" | "tab" => Kind::Tsv,
        "json" | "geojson" => Kind::Json,
        "jsonl" | "ndjson" => Kind::JsonLines,
        "parquet" | "parq" | "pq" => Kind::Parquet,
        "avro" => Kind::Avro,
        "arrow" | "arrows" | "feather" | "ipc" => Kind::Arrow,
        "orc" => Kind::Orc,
        "xlsx" | "xlsm" => Kind::Xlsx,
        "xml" => Kind::Xml,
        "log" => Kind::Lines,
        _ => return None,
    })
}

/// The format that is no text and that the first bytes say.
pub fn by_magic(bytes: &[u8]) -> Option<(Kind, &'static str)> {
    for (magic, kind, why) in [
        (&b"PAR1"[..], Kind::Parquet, "it begins with `PAR1`"),
        (avro::MAGIC, Kind::Avro, "it begins with `Obj` and 1"),
        (arrow_ipc::MAGIC, Kind::Arrow, "it begins with `ARROW1`"),
        (b"\xff\xff\xff\xff", Kind::Arrow, "it begins as a stream of Arrow does"),
        (orc::MAGIC, Kind::Orc, "it begins with `ORC`"),
        (zip::MAGIC, Kind::Xlsx, "it is an archive with `xl/workbook.xml`"),
    ] {
        // `ORC` may as well begin a text.
        let text =
            kind == Kind::Orc && bytes.get(3).is_some_and(|byte| (b' '..0x7f).contains(byte));
        if bytes.starts_with(magic) && !text {
            return Some((kind, why));
        }
    }
    None
}

/// The format the first bytes say, which are decompressed and, of text, UTF-8; and what of them says
/// it. `whole`: the file is no longer.
pub fn by_content(bytes: &[u8], whole: bool) -> Option<(Kind, &'static str)> {
    if let Some(found) = by_magic(bytes) {
        return Some(found);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The head may end inside a character.
        Err(error) if bytes.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches(['\u{feff}', '\u{1e}']).trim_start();
    if text.strip_prefix('[').is_some_and(json_follows) {
        return Some((Kind::Json, "it begins with `[`"));
    }
    if text.starts_with('{') {
        return Some(object(text, whole));
    }
    if let Some(rest) = text.strip_prefix('<') {
        let tag = rest.starts_with(|c: char| c.is_alphabetic() || "?!_".contains(c));
        if tag {
            return Some((Kind::Xml, "it begins with a tag"));
        }
    }
    let first = text.lines().next().filter(|line| !line.trim().is_empty())?;
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    if text.starts_with(['[', '<']) {
        return Some((Kind::Lines, "it is text of no other format"));
    }
    Some(if first.contains('\t') && !first.contains(',') {
        (Kind::Tsv, "its first line has tabs")
    } else {
        (Kind::Csv, "it is text")
    })
}

/// Whether what follows a bracket is JSON rather than, say, the time of a log.
fn json_follows(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty()
        || text.starts_with(['{', '[', ']', '"'])
        || ["true", "false", "null"].iter().any(|word| text.starts_with(word))
        || text
            .trim_start_matches(|c: char| c.is_ascii_digit() || "-+.eE".contains(c))
            .trim_start()
            .starts_with([',', ']'])
}

/// Lines of objects, or objects laid out otherwise.
fn object(text: &str, whole: bool) -> (Kind, &'static str) {
    let lines = (Kind::JsonLines, "its first line is a JSON object");
    let Some(line) = text.lines().next() else { return lines };
    let cut = line.len() == text.len() && !whole;
    if cut {
        return lines;
    }
    match of_json(line.as_bytes()) {
        Err(why) if why.contains("more after the value") => {
            (Kind::Json, "its first line has several JSON objects")
        }
        Err(why) if why.contains("the line ends") => {
            // A line that is cut short among whole ones is a bad line.
            let whole = text
                .lines()
                .skip(1)
                .take(20)
                .filter(|line| of_json(line.as_bytes()).is_ok_and(|kind| kind.is_nested()));
            match whole.count() {
                0 => (Kind::Json, "its first line begins a JSON object"),
                _ => lines,
            }
        }
        _ => lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(bytes: &[u8]) -> Option<Kind> {
        by_content(bytes, true).map(|(kind, _)| kind)
    }

    #[test]
    fn content_tells_format_where_the_name_does_not() {
        assert_eq!(kind(b"PAR1\x15"), Some(Kind::Parquet));
        assert_eq!(kind(b"\xef\xbb\xbf {\"a\":1}"), Some(Kind::JsonLines));
        assert_eq!(kind(b"a\tb\n1\t2"), Some(Kind::Tsv));
        assert_eq!(kind(b"a,b\n1,\xc3"), Some(Kind::Csv));
        assert_eq!(kind(b"\x89PNG\r\n"), None);
        assert_eq!(kind(b"Obj\x01\x02"), Some(Kind::Avro));
        assert_eq!(kind(b"ARROW1\0\0"), Some(Kind::Arrow));
        assert_eq!(kind(b"ORC\n\x03"), Some(Kind::Orc));
        assert_eq!(kind(b"ORCS,ELVES\n1,2"), Some(Kind::Csv));
        assert_eq!(kind(b"<?xml version='1.0'?><a/>"), Some(Kind::Xml));
        assert_eq!(kind(b"<34>Oct 11 22:14:15 su: failed"), Some(Kind::Lines));
    }

    #[test]
    fn layouts_of_json_are_told_apart() {
        assert_eq!(kind(b"{\"a\":1}\n{\"a\":2}\n"), Some(Kind::JsonLines));
        assert_eq!(kind(b"{\n  \"a\": 1\n}\n"), Some(Kind::Json));
        assert_eq!(kind(b"{\"a\":1}{\"a\":2}"), Some(Kind::Json));
        assert_eq!(kind(b"{\"a\":1}\n{\"a\":"), Some(Kind::JsonLines));
        assert_eq!(kind(b"{\"a\":\n{\"a\":2}\n{\"a\":3}\n"), Some(Kind::JsonLines));
        assert_eq!(kind(b" [ {\"a\":1}]"), Some(Kind::Json));
        assert_eq!(kind(b"[1, 2]"), Some(Kind::Json));
        assert_eq!(kind(b"[2026-01-01 10:00:00] started"), Some(Kind::Lines));
        assert_eq!(by_content(b"{\"a\":\"xxxx", false).unwrap().0, Kind::JsonLines);
    }
}
