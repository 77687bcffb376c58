//! Moving files: what a statement says, as the payload of a run, and as a request to the transfer.
//!
//! [`FilesWork::options`] is the one place where options of SQL become options of a copy.

use crate::engine::{CopyOptions, CopySide};
use crate::windlass::Windlass;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_sql::{FilesPlace, FilesStatement, FilesVerb};
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

    /// The options of the copy; an error for what cannot be done, or is not done yet.
    pub(crate) fn options(&self) -> Result<CopyOptions> {
        let mut options = CopyOptions {
            include: Vec::new(),
            exclude: Vec::new(),
            dry_run: false,
            delete_source: self.verb == Verb::Move,
            concurrency: 0,
            max_memory: 0,
        };
        if self.verb == Verb::Sync {
            return Err(unsupported("SYNC FILES", "COPY FILES copies everything"));
        }
        for (name, value) in &self.options {
            match name.as_str() {
                "INCLUDE" => options.include = patterns(value)?,
                "EXCLUDE" => options.exclude = patterns(value)?,
                "DRY_RUN" => options.dry_run = *value == OptionValue::Bool(true),
                "CONCURRENCY" => {
                    options.concurrency = usize::try_from(number(value)).unwrap_or_default();
                }
                "MAX_MEMORY" => options.max_memory = number(value),
                _ if is_usual(name, value) => {}
                name => return Err(unsupported(name, "leave it out")),
            }
        }
        Ok(options)
    }
}

/// Whether the value asks for what is done anyway.
fn is_usual(name: &str, value: &OptionValue) -> bool {
    match value {
        OptionValue::Bool(flag) => !flag,
        OptionValue::Text(text) => matches!(
            (name, text.as_str()),
            ("CHANGE_TEST", "ALWAYS") | ("IF_EXISTS", "OVERWRITE") | ("CHECK", "AUTO")
        ),
        _ => false,
    }
}

fn unsupported(what: &str, hint: &str) -> Error {
    Error::new(ErrorCode::StatementUnsupported, format!("{what} is not done yet")).hint(hint)
}

fn number(value: &OptionValue) -> u64 {
    match value {
        OptionValue::Integer(number) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}

fn patterns(value: &OptionValue) -> Result<Vec<String>> {
    let OptionValue::List(items) = value else { return Ok(Vec::new()) };
    let mut patterns = Vec::with_capacity(items.len());
    for item in items {
        if let OptionValue::Text(text) = item {
            KeyPattern::parse(text)?;
            patterns.push(text.clone());
        }
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
    ) -> Result<(CopySide, CopySide, CopyOptions)> {
        let options = work.options()?;
        let source = self.work_side(fabric, &work.source).await?;
        let destination = self.work_side(fabric, &work.destination).await?;
        KeyPattern::parse(&source.location.key)?;
        if destination.storage.read_only() && !options.dry_run {
            return Err(read_only(&work.destination.connection));
        }
        if source.storage.read_only() && options.delete_source && !options.dry_run {
            return Err(read_only(&work.source.connection));
        }
        Ok((source, destination, options))
    }
}

fn read_only(connection: &Name) -> Error {
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
        let options = work(
            "MOVE FILES FROM a LOCATION = 'x/' TO b LOCATION = 'y/' INCLUDE = '*.csv' EXCLUDE = ('tmp-*', '_*') \
             DRY_RUN = TRUE CONCURRENCY = 7 MAX_MEMORY = '64MiB' IF_EXISTS = OVERWRITE TRIGGER_FILE_ALWAYS = FALSE",
        )
        .options()
        .unwrap();
        assert!(options.dry_run && options.delete_source);
        assert_eq!((options.concurrency, options.max_memory), (7, 64 << 20));
        assert_eq!(options.include, ["*.csv"]);
        assert_eq!(options.exclude, ["tmp-*", "_*"]);
        let wrong = work("COPY FILES FROM a LOCATION = 'x' TO b LOCATION = 'y' INCLUDE = '['");
        assert_eq!(wrong.options().unwrap_err().code(), ErrorCode::PathInvalid);
    }

    #[test]
    fn a_payload_reads_back() {
        let work = work(
            "COPY FILES FROM a LOCATION = 's3://b/x' TO \"B\" LOCATION = '' NEWER_THAN = 2 DAYS METADATA = (MODE = DROP)",
        );
        let payload = work.to_payload().unwrap();
        assert_eq!(FilesWork::read(&payload).unwrap(), work);
        insta::assert_snapshot!(payload, @r#""#);
    }
}
