//! Moving files: what a statement says, as the payload of a run, and as a request to the transfer.
//!
//! [`FilesWork::options`] is the one place where options of SQL become options of a copy.

use crate::engine::{CopyOptions, CopySide};
use crate::windlass::Windlass;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use windlass_s3::Links;
use windlass_sql::{FilesPlace, FilesStatement, FilesVerb};
use windlass_transfer::{ChangeTest, Check, IfExists, MaxDelete, OnTrouble};
use windlass_types::options::parse_moment;
use windlass_types::{
    Error, ErrorCode, FabricId, KeyPattern, Name, OptionMap, OptionValue, Result,
};

/// A place behind a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkPlace {
    /// The connection, by name.
    pub(crate) connection: Name,
    /// As it was written.
    pub(crate) location: String,
}

impl From<&FilesPlace> for WorkPlace {
    fn from(place: &FilesPlace) -> Self {
        Self { connection: place.connection.clone(), location: place.location.clone() }
    }
}

/// What is done with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    /// COPY.
    Copy,
    /// MOVE.
    Move,
    /// SYNC.
    Sync,
}

/// The payload of a run of the kind `files`. Stored: only add to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilesWork {
    /// What is done.
    pub(crate) verb: Verb,
    /// From where.
    pub(crate) source: WorkPlace,
    /// To where.
    pub(crate) destination: WorkPlace,
    /// Options as SQL has them: an age is one from the beginning of each run.
    #[serde(default)]
    pub(crate) options: OptionMap,
}

impl From<&FilesStatement> for FilesWork {
    fn from(statement: &FilesStatement) -> Self {
        Self {
            verb: match statement.verb {
                FilesVerb::Copy => Verb::Copy,
                FilesVerb::Move => Verb::Move,
                FilesVerb::Sync => Verb::Sync,
            },
            source: (&statement.source).into(),
            destination: (&statement.destination).into(),
            options: statement
                .options
                .iter()
                .map(|setting| (setting.name.clone(), setting.value.clone()))
                .collect(),
        }
    }
}

impl FilesWork {
    /// Reads a payload.
    pub(crate) fn read(payload: &Value) -> Result<Self> {
        serde_json::from_value(payload.clone()).map_err(|error| {
            Error::new(ErrorCode::StateNewer, "what the job does cannot be read")
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

    /// The options of the copy, for a run that begins `now`; an error for what cannot be done, or
    /// is not done yet. `BACKUP_TO` is left as it was written.
    pub(crate) fn options(&self, now: DateTime<Utc>) -> Result<CopyOptions> {
        let mut options = CopyOptions {
            delete_source: self.verb == Verb::Move,
            sync: self.verb == Verb::Sync,
            ..CopyOptions::default()
        };
        for (name, value) in &self.options {
            set_option(&mut options, name, value, now)?;
        }
        self.failed_of()?;
        options.check()?;
        Ok(options)
    }
}

/// Sets one option of a copy.
#[allow(clippy::too_many_lines, reason = "a row for each option")]
fn set_option(
    options: &mut CopyOptions,
    name: &str,
    value: &OptionValue,
    now: DateTime<Utc>,
) -> Result<()> {
    let flag = *value == OptionValue::Bool(true);
    let word = text(value).unwrap_or_default();
    match name {
        "INCLUDE" => options.include = patterns(value)?,
        "EXCLUDE" => options.exclude = patterns(value)?,
        "WHERE" => options.where_ = text(value),
        "NEWER_THAN" => options.newer_than = moment(value, now),
        "OLDER_THAN" => options.older_than = moment(value, now),
        "MIN_SIZE" => options.min_size = Some(number(value)),
        "MAX_SIZE" => options.max_size = Some(number(value)),
        "DELETE" => options.delete = flag,
        "MAX_DELETE" => {
            options.max_delete = Some(match text(value) {
                Some(share) => share.parse()?,
                None => MaxDelete::Objects(number(value)),
            });
        }
        "BACKUP_TO" => options.backup_to = text(value),
        "CHANGE_TEST" => options.change = Some(change_test(&word)),
        "IF_EXISTS" => options.if_exists = if_exists(&word),
        "NAMES" => options.names = on_trouble(&word),
        "CASE" => options.case = on_trouble(&word),
        "SYMLINKS" => options.links = links(&word),
        "METADATA" => described(options, value)?,
        "TAGS" => tagged(options, value)?,
        "STORAGE_CLASS" => options.storage_class = text(value),
        "ACL" => options.acl = text(value),
        // Found out and written by the run itself: they concern no single object.
        "FAILED_OF" | "REPORT" => {}
        "RESTORE_DAYS" => options.restore_days = u32::try_from(number(value)).ok(),
        "TRIGGER_FILE" => options.trigger = text(value),
        "TRIGGER_FILE_ALWAYS" => options.trigger_always = flag,
        "REMOVE_EMPTY_FOLDERS" => options.remove_empty_folders = flag,
        "DRY_RUN" => options.dry_run = flag,
        "BANDWIDTH" => options.bandwidth = some(name, value)?,
        "CONCURRENCY" => {
            options.concurrency = usize::try_from(number(value)).unwrap_or_default();
        }
        "REQUESTS_PER_SECOND" => {
            options.requests_per_second = u32::try_from(number(value)).unwrap_or(u32::MAX);
        }
        "MAX_MEMORY" => options.max_memory = some(name, value)?,
        "CHECK" => {
            options.check = if word == "READ_BACK" { Check::ReadBack } else { Check::Auto };
        }
        name => return Err(unsupported(&format!("{name} = {}", shown(name, value)))),
    }
    Ok(())
}

fn shown(name: &str, value: &OptionValue) -> String {
    windlass_sql::print_value(name, value)
}

fn unsupported(what: &str) -> Error {
    Error::new(ErrorCode::StatementUnsupported, format!("`{what}` is not done yet"))
        .hint("leave it out, or give another value; docs/guide/files.md says what can be done")
}

fn text(value: &OptionValue) -> Option<String> {
    match value {
        OptionValue::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn texts(value: &OptionValue) -> Vec<String> {
    match value {
        OptionValue::List(items) => items.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

fn number(value: &OptionValue) -> u64 {
    match value {
        OptionValue::Integer(number) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}

/// A size that is not 0, which would let nothing be copied.
fn some(name: &str, value: &OptionValue) -> Result<u64> {
    match number(value) {
        0 => Err(Error::new(
            ErrorCode::OptionInvalid,
            format!("with `{name} = 0` nothing could be copied"),
        )
        .hint(format!("leave {name} out, or give a size such as `'10MB'`"))),
        size => Ok(size),
    }
}

/// A time, or an age from `now`; an age beyond all times is the first of them.
fn moment(value: &OptionValue, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match value {
        OptionValue::Interval(seconds) => Some(
            i64::try_from(*seconds)
                .ok()
                .and_then(TimeDelta::try_seconds)
                .and_then(|age| now.checked_sub_signed(age))
                .unwrap_or(DateTime::<Utc>::MIN_UTC),
        ),
        other => parse_moment(&text(other)?),
    }
}

fn change_test(word: &str) -> ChangeTest {
    match word {
        "SIZE_ONLY" => ChangeTest::SizeOnly,
        "CHECKSUM" => ChangeTest::Checksum,
        "UPDATE" => ChangeTest::Update,
        "ALWAYS" => ChangeTest::Always,
        _ => ChangeTest::Default,
    }
}

fn if_exists(word: &str) -> IfExists {
    match word {
        "SKIP" => IfExists::Skip,
        "FAIL" => IfExists::Fail,
        "KEEP_NEWER" => IfExists::KeepNewer,
        "KEEP_BOTH" => IfExists::KeepBoth,
        _ => IfExists::Overwrite,
    }
}

fn on_trouble(word: &str) -> OnTrouble {
    match word {
        "SKIP" => OnTrouble::Skip,
        "RENAME" => OnTrouble::Rename,
        _ => OnTrouble::Fail,
    }
}

fn links(word: &str) -> Links {
    match word {
        "SKIP" => Links::Skip,
        "KEEP" => Links::Keep,
        _ => Links::Follow,
    }
}

/// `METADATA = (MODE = DROP, SET = ('name: value'), CONTENT_TYPE = 'text/csv')`
fn described(options: &mut CopyOptions, value: &OptionValue) -> Result<()> {
    let OptionValue::Group(items) = value else { return Ok(()) };
    for (name, value) in items {
        match name.as_str() {
            "MODE" if text(value).as_deref() == Some("DROP") => {
                options.metadata = Some(BTreeMap::new());
            }
            "MODE" => {}
            "SET" => {
                for line in texts(value) {
                    let (name, value) = pair(&line, ':', "METADATA")?;
                    options.add_metadata.insert(name.to_ascii_lowercase(), value);
                }
            }
            header => {
                let header = header.to_ascii_lowercase().replace('_', "-");
                let value = text(value).filter(|text| text != "NONE");
                options.headers.insert(header, value.unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// `TAGS = (MODE = DROP, SET = ('name=value'))`
fn tagged(options: &mut CopyOptions, value: &OptionValue) -> Result<()> {
    let OptionValue::Group(items) = value else { return Ok(()) };
    for (name, value) in items {
        match name.as_str() {
            "MODE" if text(value).as_deref() == Some("DROP") => {
                options.tags = Some(BTreeMap::new());
            }
            "SET" => {
                for line in texts(value) {
                    let (name, value) = pair(&line, '=', "TAGS")?;
                    options.add_tags.insert(name, value);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn pair(line: &str, sign: char, option: &str) -> Result<(String, String)> {
    let (name, value) = line.split_once(sign).ok_or_else(|| {
        Error::new(ErrorCode::OptionInvalid, format!("a value of SET in {option} has no `{sign}`"))
            .hint(format!("write `'name{sign} value'`"))
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn patterns(value: &OptionValue) -> Result<Vec<String>> {
    let patterns = texts(value);
    for pattern in &patterns {
        KeyPattern::filter(pattern)?;
    }
    Ok(patterns)
}

impl Windlass {
    /// Opens a place; an error if the connection may not name it.
    pub(crate) async fn work_side(&self, fabric: FabricId, place: &WorkPlace) -> Result<CopySide> {
        let row = self.connection_in(fabric, &place.connection).await?;
        let storage = self.open_row(&row).await?.storage();
        let location = storage.binding().resolve_any(&place.location)?;
        location.need_bucket()?;
        Ok(CopySide { storage, location })
    }

    /// Both ends and the options, or what is wrong with them; no request is sent.
    pub(crate) async fn work_sides(
        &self,
        fabric: FabricId,
        work: &FilesWork,
        now: DateTime<Utc>,
    ) -> Result<(CopySide, CopySide, CopyOptions)> {
        let mut options = work.options(now)?;
        let source = self.work_side(fabric, &work.source).await?;
        let destination = self.work_side(fabric, &work.destination).await?;
        KeyPattern::parse(&source.location.key)?;
        if let Some(condition) = &options.where_ {
            crate::filter::compiled(condition, now).map(drop)?;
        }
        if let Some(folder) = &options.backup_to {
            let backup = destination.storage.binding().resolve_any(folder)?;
            if backup.bucket != destination.location.bucket {
                return Err(Error::new(
                    ErrorCode::OptionInvalid,
                    "BACKUP_TO is in another bucket than the destination",
                )
                .hint("name a folder of the destination's bucket"));
            }
            options.backup_to = Some(backup.key);
        }
        if let Some((_, report)) = self.report_side(fabric, work).await? {
            options.reports.extend(crate::report::key_in(&destination, &report));
        }
        if let Some(run) = work.failed_of()? {
            options.files = Some(self.failed_in(run, fabric, &source).await?);
            options.check()?;
        }
        if destination.storage.read_only() && !options.dry_run {
            return Err(read_only(&work.destination.connection));
        }
        if source.storage.read_only() && options.delete_source && !options.dry_run {
            return Err(read_only(&work.source.connection));
        }
        Ok((source, destination, options))
    }
}

pub(super) fn read_only(connection: &Name) -> Error {
    Error::new(
        ErrorCode::ConnectionReadOnly,
        format!("connection `{}` is READ_ONLY", connection.as_str()),
    )
    .hint("write through another connection")
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_sql::Statement;

    fn work(text: &str) -> FilesWork {
        match windlass_sql::parse(text).unwrap().remove(0).statement {
            Statement::Files(files) => (&files).into(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn options_of_sql_become_options_of_a_copy() {
        let now = parse_moment("2026-06-15").unwrap();
        let options = |text: &str| work(text).options(now);
        let moved = options(
            "MOVE FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/' INCLUDE = '*.csv' EXCLUDE = ('tmp-*', '_*') \
             DRY_RUN = TRUE CONCURRENCY = 7 MAX_MEMORY = '64MiB' IF_EXISTS = KEEP_BOTH REMOVE_EMPTY_FOLDERS = TRUE \
             NEWER_THAN = 2 DAYS OLDER_THAN = '2026-06-14T12:00:00Z' TRIGGER_FILE = '_DONE' TRIGGER_FILE_ALWAYS = TRUE",
        )
        .unwrap();
        assert!(moved.dry_run && moved.delete_source && moved.remove_empty_folders);
        assert_eq!((moved.concurrency, moved.max_memory), (7, 64 << 20));
        assert_eq!(
            (moved.include, moved.exclude),
            (vec!["*.csv".to_owned()], vec!["tmp-*".to_owned(), "_*".to_owned()])
        );
        assert_eq!(moved.newer_than, parse_moment("2026-06-13"));
        assert_eq!(moved.older_than, parse_moment("2026-06-14T12:00:00Z"));
        assert_eq!((moved.if_exists, moved.trigger_always), (IfExists::KeepBoth, true));
        let synced = options(
            "SYNC FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/' DELETE = TRUE MAX_DELETE = '10%' BACKUP_TO = 'old/' \
             CHANGE_TEST = SIZE_ONLY WHERE = 'size > 5' MIN_SIZE = 1 MAX_SIZE = '1MB' NAMES = RENAME CASE = SKIP \
             METADATA = (MODE = DROP, SET = ('a: b')) SYMLINKS = FOLLOW",
        )
        .unwrap();
        assert!(synced.sync && synced.delete && !synced.delete_source);
        assert_eq!(synced.max_delete, Some(MaxDelete::Percent(10)));
        assert_eq!((synced.min_size, synced.max_size), (Some(1), Some(1_000_000)));
        assert_eq!((synced.names, synced.case), (OnTrouble::Rename, OnTrouble::Skip));
        let pairs = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(
            (synced.metadata, synced.add_metadata),
            (Some(BTreeMap::new()), pairs("a", "b"))
        );
        let kept = options(
            "COPY FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/' TAGS = (SET = ('t=1')) ACL = private STORAGE_CLASS = 'GLACIER_IR' \
             SYMLINKS = SKIP METADATA = (CONTENT_TYPE = 'text/csv') CHECK = READ_BACK REQUESTS_PER_SECOND = 50 REPORT = 'r/'",
        )
        .unwrap();
        assert_eq!((kept.tags, kept.add_tags, kept.metadata), (None, pairs("t", "1"), None));
        assert_eq!(kept.headers, pairs("content-type", "text/csv"));
        assert_eq!(
            (kept.acl.as_deref(), kept.storage_class.as_deref()),
            (Some("private"), Some("GLACIER_IR"))
        );
        assert_eq!(
            (kept.links, kept.check, kept.requests_per_second),
            (Links::Skip, Check::ReadBack, 50)
        );
        let copy = |more: &str| {
            options(&format!("COPY FILES FROM a LOCATION = 'x' TO b LOCATION = 'y' {more}"))
                .map(drop)
                .map_err(|error| error.code())
        };
        assert_eq!(copy("INCLUDE = '['"), Err(ErrorCode::PathInvalid));
        assert_eq!(copy("BANDWIDTH = 0"), Err(ErrorCode::OptionInvalid));
        assert_eq!(copy("MAX_MEMORY = 0"), Err(ErrorCode::OptionInvalid));
        assert_eq!(copy("TRIGGER_FILE = 'done/'"), Err(ErrorCode::UsageInvalid));
        assert_eq!(copy("TAGS = (SET = ('t'))"), Err(ErrorCode::OptionInvalid));
        assert_eq!(copy("STORAGE_CLASS = 'no such'"), Err(ErrorCode::UsageInvalid));
        for defs in [windlass_types::options::FILES_OPTIONS] {
            for def in defs {
                let value = OptionValue::Text(String::new());
                let set = set_option(&mut CopyOptions::default(), def.name, &value, now);
                let unknown = set.is_err_and(|e| e.code() == ErrorCode::StatementUnsupported);
                assert!(!unknown, "{} is done by nobody", def.name);
            }
        }
        assert!(
            work("SYNC FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/' MAX_DELETE = 1")
                .options(now)
                .is_err()
        );
    }

    #[test]
    fn a_payload_reads_back() {
        let work = work(
            "COPY FILES FROM a LOCATION = 's3://b/x' TO \"B\" LOCATION = '' NEWER_THAN = 2 DAYS METADATA = (MODE = DROP)",
        );
        let payload = work.to_payload().unwrap();
        assert_eq!(FilesWork::read(&payload).unwrap(), work);
        insta::assert_snapshot!(payload, @r#"{"verb":"copy","source":{"connection":"a","location":"s3://b/x"},"destination":{"connection":"B","location":""},"options":{"METADATA":{"group":[["MODE",{"text":"DROP"}]]},"NEWER_THAN":{"interval":172800}}}"#);
    }
}
