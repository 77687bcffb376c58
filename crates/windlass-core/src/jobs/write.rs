//! Writing the rows of a query to files: what a statement says, as the payload of a run, and as a
//! request to the engine.

mod after;
mod commit;
mod insert;
mod kind;
mod notes;
mod recover;
mod session;
mod statement;

pub(crate) use kind::WriteKind;
pub(crate) use recover::{give_up_noted, is_of_write};

use super::files::read_only;
use crate::windlass::Windlass;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_query::write::{DatePattern, FileFormat, Format, Layout, named};
use windlass_s3::{ListOptions, Storage};
use windlass_types::{
    Error, ErrorCode, FabricId, KeyPattern, Location, Name, OptionMap, OptionValue, Result,
};

/// The word of the kind that writes files.
pub(crate) const WRITE: &str = "write";

/// What becomes of files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// They are an error.
    Error,
    /// They stay.
    Append,
    /// They go.
    Overwrite,
    /// Those in the folders that are written go.
    OverwritePartitions,
}

/// What becomes of the files that were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum After {
    /// They stay.
    Keep,
    /// They are deleted.
    Delete,
    /// They go to this folder of their connection.
    Move(String),
}

/// The table that is made of what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteTable {
    /// Its schema, if said.
    pub(crate) schema: Option<Name>,
    /// Its name.
    pub(crate) name: Name,
}

/// The file table that rows are added to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteInto {
    /// Its schema.
    pub(crate) schema: Name,
    /// Its name.
    pub(crate) table: Name,
    /// The columns that are listed; none: all, in order.
    #[serde(default)]
    pub(crate) columns: Vec<String>,
}

/// The payload of a run of the kind `write`. Stored: only add to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriteWork {
    /// The connection, by name.
    pub(crate) connection: Name,
    /// As it was written.
    pub(crate) location: String,
    /// Options as SQL has them.
    #[serde(default)]
    pub(crate) options: OptionMap,
    /// The query.
    pub(crate) query: String,
    /// INSERT INTO was said, which adds to a folder.
    #[serde(default)]
    pub(crate) insert: bool,
    /// The table that is made of it.
    #[serde(default)]
    pub(crate) table: Option<WriteTable>,
    /// The table that INSERT INTO names; a payload of before it was noted has none.
    #[serde(default)]
    pub(crate) into: Option<WriteInto>,
    /// The token under which this process has the temporary tables of the session that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
}

/// A payload that can be done.
#[derive(Debug)]
pub(crate) struct WritePlan {
    pub(crate) storage: Storage,
    pub(crate) bucket: String,
    /// The key of the one file, or a prefix.
    pub(crate) key: String,
    pub(crate) format: FileFormat,
    pub(crate) layout: Layout,
    pub(crate) mode: Mode,
    pub(crate) after: After,
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorCode::OptionInvalid, what)
}

fn no_partitions() -> Error {
    invalid("MODE = OVERWRITE_PARTITIONS is for files in folders of partitions")
        .hint("add PARTITIONED_BY or DATE_PATTERN, or use MODE = OVERWRITE")
}

fn text<'a>(options: &'a OptionMap, name: &str) -> Option<&'a str> {
    match options.get(name) {
        Some(OptionValue::Text(text)) => Some(text),
        _ => None,
    }
}

fn texts(options: &OptionMap, name: &str) -> Vec<String> {
    match options.get(name) {
        Some(OptionValue::List(items)) => items
            .iter()
            .filter_map(|item| match item {
                OptionValue::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

impl WriteWork {
    /// Reads a payload.
    pub(crate) fn read(payload: &Value) -> Result<Self> {
        serde_json::from_value(payload.clone()).map_err(|error| {
            Error::new(ErrorCode::StateNewer, "what the run writes cannot be read")
                .source(error)
                .hint("it was written by a newer Windlass; use that one, or make the job anew")
        })
    }

    /// As a payload.
    pub(crate) fn to_payload(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| {
            Error::new(ErrorCode::Internal, "what a run does cannot be written").source(error)
        })
    }

    /// What becomes of the files that are there.
    fn mode(&self, one_file: bool) -> Result<Mode> {
        let mode = match text(&self.options, "MODE") {
            Some("APPEND") => Mode::Append,
            Some("OVERWRITE") => Mode::Overwrite,
            Some("OVERWRITE_PARTITIONS") => Mode::OverwritePartitions,
            None if self.insert && !one_file => Mode::Append,
            _ => Mode::Error,
        };
        match mode {
            Mode::Append if one_file => Err(invalid("nothing can be added to one file")
                .hint("end the path with `/` to add files below it, or use MODE = OVERWRITE")),
            // A file table knows its partitions; they are looked at when it is written.
            Mode::OverwritePartitions
                if one_file
                    || (self.into.is_none()
                        && texts(&self.options, "PARTITIONED_BY").is_empty()
                        && text(&self.options, "DATE_PATTERN").is_none()) =>
            {
                Err(no_partitions())
            }
            mode => Ok(mode),
        }
    }

    fn after(&self) -> Result<After> {
        let location = text(&self.options, "AFTER_READ_LOCATION");
        match (text(&self.options, "AFTER_READ"), location) {
            (Some("DELETE"), None) => Ok(After::Delete),
            (Some("MOVE"), Some(location)) if location.ends_with('/') => {
                Ok(After::Move(location.to_owned()))
            }
            (Some("MOVE"), Some(_)) => {
                Err(invalid("AFTER_READ_LOCATION is a folder, and ends with `/`"))
            }
            (Some("MOVE"), None) => Err(invalid("AFTER_READ = MOVE does not say where to")
                .hint("add AFTER_READ_LOCATION = 'done/'")),
            (_, Some(_)) => Err(invalid("AFTER_READ_LOCATION is for AFTER_READ = MOVE")),
            _ => Ok(After::Keep),
        }
    }

    fn layout(&self, one_file: bool, now: DateTime<Utc>) -> Result<Layout> {
        let options = &self.options;
        let date = text(options, "DATE_PATTERN").map(DatePattern::parse).transpose()?;
        let layout = Layout {
            partitioned_by: texts(options, "PARTITIONED_BY"),
            date_column: text(options, "DATE_COLUMN").map(str::to_owned),
            date_goes: false,
            date,
            now,
            max_file_size: match options.get("MAX_FILE_SIZE") {
                Some(OptionValue::Integer(size)) => u64::try_from(*size).ok().filter(|s| *s > 0),
                _ => None,
            },
            file_name: text(options, "FILE_NAME").map(str::to_owned),
        };
        if layout.date_column.is_some() && layout.date.is_none() {
            return Err(invalid("DATE_COLUMN is for DATE_PATTERN, which is not given"));
        }
        for (at, name) in layout.partitioned_by.iter().enumerate() {
            if layout.partitioned_by[..at].contains(name) {
                return Err(invalid(format!("PARTITIONED_BY names `{name}` twice")));
            }
        }
        if one_file {
            for name in ["PARTITIONED_BY", "DATE_PATTERN", "MAX_FILE_SIZE", "FILE_NAME"] {
                if options.contains_key(name) {
                    return Err(invalid(format!(
                        "{name} is for files below a folder, and the path is that of one file"
                    ))
                    .hint("end the path with `/`, or leave the option out"));
                }
            }
        }
        if options.get("SINGLE") == Some(&OptionValue::Bool(true)) && layout.max_file_size.is_some()
        {
            return Err(invalid("SINGLE and MAX_FILE_SIZE contradict each other")
                .hint("keep one of the two"));
        }
        if let Some(name) = &layout.file_name {
            if name.contains('/') || name.is_empty() {
                return Err(invalid("FILE_NAME is the name of a file, without `/`"));
            }
            if !name.contains("{n}") && layout.max_file_size.is_some() {
                return Err(invalid("FILE_NAME has no `{n}`, so that files would have one name")
                    .hint("write FILE_NAME = 'orders-{n}'"));
            }
            let other = name.replace("{n}", "").replace("{run}", "");
            if other.contains(['{', '}']) {
                return Err(invalid("FILE_NAME knows `{n}` and `{run}`, and no other braces"));
            }
        }
        Ok(layout)
    }

    /// What the options say of one file.
    fn format(&self, key: &str, there: Option<Format>) -> Result<FileFormat> {
        let said = self.options.get("FILE_FORMAT");
        let group = said.or_else(|| self.options.get("CONTENT_TYPE"));
        let group: &[(String, OptionValue)] = match group {
            Some(OptionValue::Group(items)) => items,
            _ => &[],
        };
        let usual = there.or(self.table.as_ref().map(|_| Format::Parquet));
        let compression = text(&self.options, "COMPRESSION");
        let format = FileFormat::read(group, compression, key, usual)?;
        // What a table that is there says is of reading it too.
        if said.is_some() || self.table.is_some() {
            format.refuse_others(group)?;
        }
        if self.options.contains_key("MAX_FILE_SIZE") && !format.can_be_cut() {
            return Err(invalid(format!(
                "MAX_FILE_SIZE has no sense for {} files, which are put together as a whole",
                format.format.word()
            ))
            .hint("leave it out, or spread rows over files with PARTITIONED_BY"));
        }
        Ok(format)
    }

    fn says_format(&self) -> bool {
        let group = self.options.get("FILE_FORMAT").or_else(|| self.options.get("CONTENT_TYPE"));
        matches!(group, Some(OptionValue::Group(items)) if items.iter().any(|(name, value)| {
            name == "TYPE" && *value != OptionValue::Text("AUTO".to_owned())
        }))
    }

    /// Checks what can be checked without IO.
    pub(crate) fn check(&self, now: DateTime<Utc>) -> Result<()> {
        let one_file = !self.location.is_empty() && !self.location.ends_with('/');
        self.mode(one_file)?;
        self.after()?;
        self.layout(one_file, now).map(drop)
    }
}

/// Whether a place has files: the name of the first.
pub(super) async fn first_file(
    storage: &Storage,
    bucket: &str,
    prefix: &str,
) -> Result<Option<String>> {
    let place = Location { bucket: Some(bucket.to_owned()), key: prefix.to_owned() };
    let options = ListOptions { recursive: true, ordered: true, ..ListOptions::default() };
    let mut entries = storage.list(&place, options);
    while let Some(entry) = entries.next().await {
        match entry {
            Ok(entry) if !entry.key.ends_with('/') => return Ok(Some(entry.key)),
            Ok(_) => {}
            // A folder that is not there yet has no files.
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Windlass {
    /// What a payload means now.
    pub(crate) async fn write_plan(
        &self,
        fabric: FabricId,
        work: &WriteWork,
        now: DateTime<Utc>,
    ) -> Result<WritePlan> {
        let row = self.connection_in(fabric, &work.connection).await?;
        let storage = self.open_row(&row).await?.storage();
        let location = storage.binding().resolve_any(&work.location)?;
        let bucket = location.need_bucket()?.to_owned();
        let key = location.key;
        let one_file = !key.is_empty() && !key.ends_with('/');
        if KeyPattern::is_pattern(&work.location) {
            return Err(Error::new(ErrorCode::PathInvalid, "a pattern cannot be written to")
                .hint("end the path with `/` to write files below it"));
        }
        let mode = work.mode(one_file)?;
        let after = work.after()?;
        let layout = work.layout(one_file, now)?;
        if mode == Mode::Overwrite && key.is_empty() {
            return Err(invalid("MODE = OVERWRITE would replace everything in the bucket")
                .hint("write below a folder"));
        }
        if storage.read_only() {
            return Err(read_only(&work.connection));
        }
        let there = if one_file || work.says_format() || !work.insert {
            None
        } else {
            // What is added to a folder is of the format that is there.
            first_file(&storage, &bucket, &key).await?.and_then(|key| named(&key).0)
        };
        let name = if one_file { key.as_str() } else { "" };
        let format = work.format(name, there)?;
        Ok(WritePlan { storage, bucket, key, format, layout, mode, after })
    }
}
