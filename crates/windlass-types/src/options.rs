//! Options of connections: one table that the parser, validation, docs and completion read.

mod cloud;
mod container;
mod content;
mod crawl;
mod files;
mod jobs;
mod kinds;
mod remote;
mod s3;
mod shared;
mod write;

pub use cloud::{AZURE_BLOB_OPTIONS, GCS_OPTIONS};
pub use container::{COLUMN_OPTIONS, CONTAINER_OPTIONS};
pub use content::CONTENT_TYPE_OPTIONS;
pub use crawl::CRAWL_OPTIONS;
pub use files::{
    COPY_FILES_OPTIONS, FILES_OPTIONS, METADATA_OPTIONS, MOVE_FILES_OPTIONS, REPORT_OPTIONS,
    SYNC_FILES_OPTIONS, TAGS_OPTIONS,
};
pub use jobs::{ARRIVAL_OPTIONS, JOB_OPTIONS};
pub use kinds::parse_moment;
pub use remote::{FTP_OPTIONS, HTTP_OPTIONS, SFTP_OPTIONS, WEBDAV_OPTIONS};
pub use s3::S3_OPTIONS;
pub use write::{CREATE_TABLE_AS_OPTIONS, FILE_FORMAT_OPTIONS, WRITE_OPTIONS};

use crate::error::{Error, ErrorCode, Result};
use crate::name::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What stands in the place of a secret when options are shown.
pub const MASK: &str = "********";

/// A value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionValue {
    /// `'text'`
    Text(String),
    /// `42`
    Integer(i64),
    /// `TRUE`
    Bool(bool),
    /// `5 MINUTES`, in seconds
    Interval(u64),
    /// `('a', 'b')`
    List(Vec<OptionValue>),
    /// `(TYPE = CSV, HEADER = TRUE)`
    Group(Vec<(String, OptionValue)>),
    /// `SECRET name`
    Secret(Name),
    /// A bare word: `CSV`, `AUTO`
    Word(String),
    /// Typed in and sealed in the vault under the owner's id and the option's name.
    Sealed,
}

/// Options by upper-case name.
pub type OptionMap = BTreeMap<String, OptionValue>;

/// What values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionType {
    /// Text.
    Text,
    /// A whole number in this range.
    Integer(i64, i64),
    /// TRUE or FALSE.
    Bool,
    /// Seconds, or an interval such as `30 SECONDS`, in this range of seconds.
    Seconds(u64, u64),
    /// One text or a list of texts.
    TextList,
    /// One of these words, as text or bare.
    Choice(&'static [&'static str]),
    /// A group of these options; a bare word or text stands for the first of them.
    Group(&'static [OptionDef]),
    /// Bytes: a whole number, or a text such as `'10MB'`.
    Size,
    /// A time such as `'2026-01-31T06:00:00Z'` or `'2026-01-31'`, or an age such as `2 DAYS`.
    Moment,
    /// Some of these words, as a list or one alone.
    Choices(&'static [&'static str]),
    /// A number of things, or a share of all such as `'10%'`.
    Bound,
}

impl OptionType {
    /// For the reference and for error texts.
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::Bool => "TRUE or FALSE".to_owned(),
            Self::Seconds(min, max) => {
                let example = match min {
                    0..=30 => "30 SECONDS".to_owned(),
                    31..=3600 => "1 HOUR".to_owned(),
                    _ => format!("{min} SECONDS"),
                };
                format!("seconds from {min} to {max}, or an interval such as `{example}`")
            }
            Self::TextList => "one text or a list of texts".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Group(defs) => {
                let names: Vec<&str> = defs.iter().map(|def| def.name).collect();
                format!("a word for {} or a group of {}", names[0], names.join(", "))
            }
            Self::Size => "a size such as `'10MB'` or a number of bytes".to_owned(),
            Self::Moment => "a time such as `'2026-01-31'` or an age such as `2 DAYS`".to_owned(),
            Self::Bound => "a whole number, or a share such as `'10%'`".to_owned(),
            Self::Choices(words) => format!("a list of {}", words.join(", ")),
        }
    }
}

/// When ALTER and OR REPLACE may change an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alter {
    /// Always.
    Free,
    /// Only while nothing depends on the connection.
    NoDependents,
    /// Never after creation.
    Never,
}

impl Alter {
    /// For the reference.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Free => "yes",
            Self::NoDependents => "only without dependents",
            Self::Never => "no",
        }
    }
}

/// One row of an option table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionDef {
    /// Upper-case name.
    pub name: &'static str,
    /// What it takes.
    pub kind: OptionType,
    /// Sealed at rest and masked when shown; may be `SECRET name`.
    pub secret: bool,
    /// Whether it can change later.
    pub alter: Alter,
    /// The default, as the reference says it.
    pub default: &'static str,
    /// What it means.
    pub doc: &'static str,
}

const fn def(
    name: &'static str,
    kind: OptionType,
    secret: bool,
    alter: Alter,
    default: &'static str,
    doc: &'static str,
) -> OptionDef {
    OptionDef { name, kind, secret, alter, default, doc }
}

/// An option that is no secret and may be changed at any time.
const fn free(
    name: &'static str,
    kind: OptionType,
    default: &'static str,
    doc: &'static str,
) -> OptionDef {
    def(name, kind, false, Free, default, doc)
}

use shared::{SKIP_VALIDATION, case_sensitive};

use Alter::{Free, Never, NoDependents};
use OptionType::{Bool, Choice, Group, Integer, Seconds, Text, TextList};

/// Options of `CREATE LOCAL CONNECTION`.
pub const LOCAL_OPTIONS: &[OptionDef] = &[
    def("ROOT", Text, false, NoDependents, "", "Absolute path of the folder; required."),
    def("LABEL", Text, false, Free, "", "A short name for people."),
    def("COMMENT", Text, false, Free, "", "A description."),
    def("READ_ONLY", Bool, false, Never, "FALSE", "Nothing may write or delete through it."),
    case_sensitive("found out at the folder that is written to"),
    SKIP_VALIDATION,
];

/// Options of `CREATE FILE TABLE`.
pub const FILE_TABLE_OPTIONS: &[OptionDef] = &[
    def(
        "CONTENT_TYPE",
        Group(CONTENT_TYPE_OPTIONS),
        false,
        Free,
        "AUTO",
        "How the files are read: a word such as CSV, or a group `(TYPE = CSV, HEADER = TRUE)` (U-I17).",
    ),
    def(
        "DATE_PATTERN",
        Text,
        false,
        Free,
        "none",
        "Dates that keys begin with below LOCATION, in Java's letters and zero-padded: `'yyyy/MM/dd'`, `'''dt=''yyyy-MM-dd''/h=''HH'` (U-I4, U-I5). They are the column `path_date`, or `path_time`; files of dates to come wait (U-I7).",
    ),
    def(
        "ON_SCHEMA_CHANGE",
        Choice(&["MERGE", "FAIL", "IGNORE"]),
        false,
        Free,
        "MERGE, or IGNORE where columns are declared",
        "What happens where files have other columns than the stored ones: those are widened, the query fails, or only the stored ones are read.",
    ),
    OptionDef {
        doc: "Compression of the files that INSERT INTO adds, unless that says another; whatever it is, files are read by their names and first bytes.",
        ..write::COMPRESSION
    },
    OptionDef {
        doc: "Columns whose values become folders where INSERT INTO finds no file yet; where it finds some, theirs count.",
        ..write::PARTITIONED_BY
    },
    OptionDef {
        doc: "A file of INSERT INTO that has grown to this size is followed by another.",
        ..write::MAX_FILE_SIZE
    },
    OptionDef {
        default: "{run}-{n}",
        doc: "Name of the files that INSERT INTO adds, without extension: `{n}` is a number, which begins after those that are there, `{run}` the id of the run; one without either is that of a single file, and is not taken.",
        ..write::FILE_NAME
    },
    def("COMMENT", Text, false, Free, "", "A description."),
];

/// Finds an option without regard to case; else an error that suggests the nearest and lists all.
pub fn find(defs: &'static [OptionDef], name: &str) -> Result<&'static OptionDef> {
    if let Some(found) = defs.iter().find(|def| def.name.eq_ignore_ascii_case(name)) {
        return Ok(found);
    }
    let names: Vec<&str> = defs.iter().map(|def| def.name).collect();
    Err(unknown("option", &name.to_ascii_uppercase(), &names))
}

/// The error for an unknown word: suggests the nearest, lists the known.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> Error {
    let suggestion =
        nearest(word, known).map_or_else(String::new, |near| format!("did you mean {near}? "));
    Error::new(ErrorCode::OptionInvalid, format!("unknown {what} `{word}`"))
        .hint(format!("{suggestion}known are {}", known.join(", ")))
}

/// The known word nearest to `word`, if it is near enough to be a slip.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 64 {
        return None; // not a slip of the pen, and the distance is quadratic
    }
    let word = word.to_ascii_uppercase();
    known
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_uppercase()), *candidate))
        .filter(|(distance, candidate)| {
            // Of a word of one or two letters every letter counts.
            let length = candidate.len().min(word.len());
            *distance <= (candidate.len() / 3).max(1) && *distance * 2 <= length
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits from one word to the other in bytes, two letters exchanged counting as one; the words are
/// ASCII keywords.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (above[j] + usize::from(x != y)).min(row[j] + 1).min(above[j + 1] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Options whose empty text says something: nothing written, or that there is no such character.
const EMPTY_MEANS: &[&str] =
    &["LABEL", "COMMENT", "NULL_VALUE", "DELIMITER", "QUOTE", "ESCAPE", "ATTRIBUTE_PREFIX"];

/// Checks a value against its definition and brings it to one form: `Choice` to its listed
/// spelling as `Text`, `Seconds` to `Interval`, one text of a `TextList` to a `List`.
pub fn check(def: &OptionDef, value: OptionValue) -> Result<OptionValue> {
    use OptionValue as V;
    let ill = |found: String| {
        Error::new(
            ErrorCode::OptionInvalid,
            format!("{} takes {}, not {found}", def.name, def.kind.describe()),
        )
    };
    match (def.kind, value) {
        (_, V::Secret(name)) if def.secret => Ok(V::Secret(name)),
        (_, V::Secret(_)) => Err(Error::new(
            ErrorCode::OptionInvalid,
            format!("{} does not take a secret", def.name),
        )
        .hint(if def.name.ends_with("_SECRET") {
            "it takes the name of a secret as text: 'name'"
        } else {
            "give its value as text; it is not stored sealed"
        })),
        (_, V::Sealed) if def.secret => Ok(V::Sealed),
        (_, V::Text(text)) if def.secret && text == MASK => Err(Error::new(
            ErrorCode::OptionInvalid,
            format!("{} is the mask, not a value", def.name),
        )
        .hint("SHOW CREATE masks secrets; give the value again, or `SECRET name`")),
        (Text, V::Text(text)) if text.is_empty() && !EMPTY_MEANS.contains(&def.name) => {
            Err(Error::new(
                ErrorCode::OptionInvalid,
                format!("{} is given as an empty text, which would mean nothing", def.name),
            )
            .hint(format!(
                "leave {} out for its default, or take it back with `ALTER … RESET {}`",
                def.name, def.name
            )))
        }
        (Text, V::Text(text)) => Ok(V::Text(text)),
        (Bool, V::Bool(flag)) => Ok(V::Bool(flag)),
        (Integer(min, max), V::Integer(number)) if (min..=max).contains(&number) => {
            Ok(V::Integer(number))
        }
        (Seconds(min, max), V::Integer(number))
            if u64::try_from(number).is_ok_and(|n| (min..=max).contains(&n)) =>
        {
            Ok(V::Interval(number.unsigned_abs()))
        }
        (Seconds(min, max), V::Interval(seconds)) if (min..=max).contains(&seconds) => {
            Ok(V::Interval(seconds))
        }
        (TextList, V::Text(text)) => Ok(V::List(vec![V::Text(text)])),
        (TextList, V::List(items)) if items.iter().all(|item| matches!(item, V::Text(_))) => {
            Ok(V::List(items))
        }
        (Choice(words), V::Text(text) | V::Word(text)) => words
            .iter()
            .find(|word| word.eq_ignore_ascii_case(&text))
            .map(|word| V::Text((*word).to_owned()))
            .ok_or_else(|| unknown(&format!("value of {}", def.name), &text, words)),
        (Group(defs), value @ (V::Text(_) | V::Word(_))) => {
            let first = &defs[0];
            Ok(V::Group(vec![(first.name.to_owned(), check(first, value)?)]))
        }
        (Group(defs), V::Group(items)) => {
            let mut checked: Vec<(String, OptionValue)> = Vec::with_capacity(items.len());
            for (name, value) in items {
                let inner = find(defs, &name)?;
                if checked.iter().any(|(seen, _)| seen == inner.name) {
                    return Err(Error::new(
                        ErrorCode::OptionInvalid,
                        format!("{} is given twice in {}", inner.name, def.name),
                    ));
                }
                checked.push((inner.name.to_owned(), check(inner, value)?));
            }
            Ok(V::Group(checked))
        }
        (
            OptionType::Size | OptionType::Moment | OptionType::Choices(_) | OptionType::Bound,
            value,
        ) => kinds::check(def, value),
        (_, other) => Err(ill(describe(&other, def.secret))),
    }
}

fn describe(value: &OptionValue, secret: bool) -> String {
    use OptionValue as V;
    if secret {
        return "a value of that kind".to_owned();
    }
    match value {
        V::Text(text) => format!("the text '{text}'"),
        V::Integer(number) => number.to_string(),
        V::Bool(flag) => flag.to_string().to_uppercase(),
        V::Interval(seconds) => format!("{seconds} SECONDS"),
        V::List(_) => "a list".to_owned(),
        V::Group(_) => "a group".to_owned(),
        V::Word(word) => format!("the word {word}"),
        V::Secret(_) | V::Sealed => "a secret".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = find(S3_OPTIONS, "aws_secret_acess_key").unwrap_err();
        assert!(
            error
                .hint_text()
                .unwrap()
                .starts_with("did you mean AWS_SECRET_ACCESS_KEY? known are ")
        );
        assert_eq!(nearest("TABEL", &["TABLE", "FILE"]), Some("TABLE"));
        assert_eq!(nearest("a", &["z", "ab"]), None);
        assert_eq!(nearest("landin", &["landing"]), Some("landing"));
        assert!(
            !find(S3_OPTIONS, "zzz").unwrap_err().hint_text().unwrap().contains("did you mean")
        );
    }

    #[test]
    fn values_are_checked_and_brought_to_one_form() {
        let value = |name, value| check(find(S3_OPTIONS, name).unwrap(), value);
        assert_eq!(
            value("ROLE_DURATION", OptionValue::Integer(900)).unwrap(),
            OptionValue::Interval(900)
        );
        assert_eq!(
            value("checksums", OptionValue::Word("none".into())).unwrap(),
            OptionValue::Text("NONE".into())
        );
        insta::assert_snapshot!(value("ROLE_DURATION", OptionValue::Integer(5)).unwrap_err(),
            @"ROLE_DURATION takes seconds from 900 to 43200, or an interval such as `1 HOUR`, not 5");
        insta::assert_snapshot!(value("AWS_SECRET_ACCESS_KEY", OptionValue::Text(MASK.into())).unwrap_err(),
            @"AWS_SECRET_ACCESS_KEY is the mask, not a value");
        for name in ["BUCKET", "PREFIX", "STORAGE_CLASS", "AWS_PROFILE", "AWS_SESSION_TOKEN"] {
            let error = value(name, OptionValue::Text(String::new())).unwrap_err();
            assert!(error.hint_text().unwrap().contains("leave"), "{name}: {error}");
        }
        assert!(value("COMMENT", OptionValue::Text(String::new())).is_ok());
        assert!(value("REGION", OptionValue::Secret(Name::parse("x").unwrap())).is_err());
    }
}
