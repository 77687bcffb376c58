//! What statements say, as values.
//!
//! Secrets in it do not show in `Debug` or `Display`; [`Statement::to_sql`] is the way to clear text.

mod catalog;
mod crawl;
mod jobs;
mod write;

pub use catalog::{CatalogStatement, Direction, LineageAs};
pub use crawl::CrawlStatement;
pub use jobs::{
    Calendar, CreateJob, FilesPlace, FilesStatement, FilesVerb, JobChange, Period, Trigger,
    WEEKDAYS,
};
pub use write::{WriteStatement, WriteTo};

use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use windlass_types::options::{JOB_OPTIONS, MASK};
use windlass_types::{ConnectionKind, Name, OptionValue, RunId};

/// One statement with where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// Its source text, without the `;`. May hold secrets: see [`crate::masked`].
    pub text: String,
    /// Where it begins in the whole text, in bytes.
    pub offset: usize,
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed")
            .field("statement", &self.statement)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE [OR REPLACE] kind CONNECTION [IF NOT EXISTS] name options`
    CreateConnection {
        /// OR REPLACE was said.
        or_replace: bool,
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// S3, LOCAL, SFTP and so on.
        kind: ConnectionKind,
        /// Its name.
        name: Name,
        /// Checked options, in the order written.
        options: Vec<OptionSetting>,
    },
    /// `ALTER kind CONNECTION name SET o = v RESET o`
    AlterConnection {
        /// S3, LOCAL, SFTP and so on.
        kind: ConnectionKind,
        /// Its name.
        name: Name,
        /// What changes, in the order written.
        changes: Vec<Change>,
    },
    /// `DROP CONNECTION [IF EXISTS] name`
    DropConnection {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `DESCRIBE CONNECTION name`, `DESCRIBE JOB name`, `DESCRIBE [TABLE] name`
    Describe {
        /// What to describe.
        target: DescribeTarget,
    },
    /// `SHOW what [LIKE 'pattern']`
    Show {
        /// Name of a system table, in lower case: `file_tables`.
        what: String,
        /// LIKE pattern.
        like: Option<String>,
    },
    /// `SHOW SCHEMA CHANGES [FOR table]`
    ShowSchemaChanges {
        /// The table; None: all.
        table: Option<TableName>,
    },
    /// `SHOW CREATE CONNECTION name`
    ShowCreate {
        /// Its name.
        name: Name,
    },
    /// `SHOW CREATE JOB name`
    ShowCreateJob {
        /// Its name.
        name: Name,
    },
    /// `TEST CONNECTION name [WITH WRITE]`
    Test {
        /// Its name.
        name: Name,
        /// WITH WRITE was said.
        write: bool,
    },
    /// `CREATE SECRET [IF NOT EXISTS] name = 'value' | FROM ENV 'X' | FROM FILE 'path'`
    CreateSecret {
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: Name,
        /// Where the value comes from.
        source: SecretInput,
    },
    /// `ALTER SECRET name = 'value' | FROM ENV 'X' | FROM FILE 'path'`
    AlterSecret {
        /// Its name.
        name: Name,
        /// Where the new value comes from.
        source: SecretInput,
    },
    /// `DROP SECRET [IF EXISTS] name`
    DropSecret {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `CREATE FILE TABLE [IF NOT EXISTS] name ON connection LOCATION = 'path' options [(columns)]`
    CreateFileTable {
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: TableName,
        /// The connection its files are behind.
        connection: Name,
        /// Key, prefix or glob; relative, or `s3://bucket/key`.
        location: String,
        /// Checked options, in the order written.
        options: Vec<OptionSetting>,
        /// Its columns, each as SQL has it: `price DECIMAL(10, 2)`; empty: as the files have them.
        columns: Vec<String>,
    },
    /// `DROP [FILE] TABLE [IF EXISTS] name`
    DropTable {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: TableName,
    },
    /// `CREATE [OR REPLACE] [TEMPORARY] VIEW [IF NOT EXISTS] name [(columns)] AS query`
    CreateView {
        /// OR REPLACE was said.
        or_replace: bool,
        /// TEMPORARY was said.
        temporary: bool,
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: TableName,
        /// Names of its columns; empty: as the query has them.
        columns: Vec<String>,
        /// The text of its query.
        query: String,
    },
    /// `DROP VIEW [IF EXISTS] name`
    DropView {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: TableName,
    },
    /// `CREATE [OR REPLACE] TEMPORARY TABLE [IF NOT EXISTS] name AS query`
    CreateTemporaryTable {
        /// OR REPLACE was said.
        or_replace: bool,
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: Name,
        /// The text of its query.
        query: String,
    },
    /// `PREVIEW what [LIMIT n]`
    Preview {
        /// What to look at.
        of: Look,
        /// Most rows.
        limit: Option<u64>,
    },
    /// `PROFILE what [FULL]`, `SUMMARIZE what [FULL]`
    Profile {
        /// What to look at.
        of: Look,
        /// FULL was said: every row.
        full: bool,
    },
    /// `CREATE SCHEMA [IF NOT EXISTS] name`
    CreateSchema {
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `DROP SCHEMA [IF EXISTS] name`
    DropSchema {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `CREATE FABRIC [IF NOT EXISTS] name`
    CreateFabric {
        /// IF NOT EXISTS was said.
        if_not_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `DROP FABRIC [IF EXISTS] name`
    DropFabric {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `USE FABRIC name`
    UseFabric {
        /// Its name.
        name: Name,
    },
    /// `LIST connection."path" [RECURSIVE] [LIMIT n]`
    List {
        /// The connection.
        connection: Name,
        /// What follows `CONN:`; empty for everything.
        path: String,
        /// RECURSIVE was said.
        recursive: bool,
        /// Most rows.
        limit: Option<u64>,
    },
    /// `COPY|MOVE|SYNC FILES FROM ... TO ...`
    Files(FilesStatement),
    /// `CREATE [OR REPLACE] JOB [IF NOT EXISTS] name ... AS ...`
    CreateJob(CreateJob),
    /// `ALTER JOB name SET ... RESET ...`
    AlterJob {
        /// Its name.
        name: Name,
        /// What changes, in the order written.
        changes: Vec<JobChange>,
    },
    /// `DROP JOB [IF EXISTS] name`
    DropJob {
        /// IF EXISTS was said.
        if_exists: bool,
        /// Its name.
        name: Name,
    },
    /// `PAUSE JOB name`, `RESUME JOB name`
    PauseJob {
        /// Its name.
        name: Name,
        /// PAUSE, not RESUME.
        pause: bool,
    },
    /// `RUN JOB name`
    RunJob {
        /// Its name.
        name: Name,
    },
    /// `CANCEL JOB name`: all its runs.
    CancelJob {
        /// Its name.
        name: Name,
    },
    /// `CANCEL RUN 'id'`
    CancelRun {
        /// The run.
        run: RunId,
    },
    /// `CRAWL connection options`
    Crawl(CrawlStatement),
    /// `EXPLAIN CRAWL connection options`
    ExplainCrawl(CrawlStatement),
    /// `SHOW MANIFEST FOR CONNECTION connection`
    ShowManifest {
        /// The connection.
        connection: Name,
    },
    /// `ALTER CONTAINER`, `SEARCH`, `SHOW LINEAGE`
    Catalog(CatalogStatement),
    /// `COPY ... TO`, `INSERT INTO connection."path"`, `CREATE FILE TABLE ... AS`
    Write(WriteStatement),
    /// Anything else: passed on to the query engine as it is.
    Engine(String),
}

/// One `NAME = value`, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct OptionSetting {
    /// Upper-case name.
    pub name: String,
    /// Checked value.
    pub value: OptionValue,
}

impl OptionSetting {
    /// Whether its value is a secret in clear text.
    pub fn is_secret(&self) -> bool {
        is_secret(&self.name) && !matches!(self.value, OptionValue::Secret(_))
    }
}

/// Whether options of this name hold secrets.
pub(crate) fn is_secret(name: &str) -> bool {
    ConnectionKind::ALL
        .iter()
        .flat_map(|kind| kind.options())
        .chain(JOB_OPTIONS)
        .any(|def| def.secret && def.name.eq_ignore_ascii_case(name))
}

impl fmt::Debug for OptionSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_secret() {
            write!(f, "{} = {MASK}", self.name)
        } else {
            write!(f, "{} = {:?}", self.name, self.value)
        }
    }
}

/// One change of ALTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `SET NAME = value`
    Set(OptionSetting),
    /// `RESET NAME`: back to the default.
    Reset(String),
}

impl Change {
    /// The option it changes.
    pub fn option(&self) -> &str {
        match self {
            Self::Set(setting) => &setting.name,
            Self::Reset(name) => name,
        }
    }
}

/// What DESCRIBE describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescribeTarget {
    /// A connection.
    Connection(Name),
    /// A container: its fully qualified name, `connection:path` or `s3://bucket/path`.
    Container(String),
    /// A job.
    Job(Name),
    /// A table: its unquoted parts, the last of which may be a path.
    Table(Vec<String>),
    /// The text of a call that reads files, such as `read_csv('connection', 'path')`.
    Call(String),
}

/// What PREVIEW and PROFILE look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A table: its unquoted parts, the last of which may be a path.
    Table(Vec<String>),
    /// The text of a query.
    Query(String),
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretInput {
    /// Given in the statement.
    Literal(SecretText),
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}

/// A secret text that compares, but does not show.
#[derive(Clone)]
pub struct SecretText(SecretString);

impl SecretText {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The clear text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SecretText {}

/// Name of a table, perhaps with its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    /// Schema, if said.
    pub schema: Option<Name>,
    /// Table.
    pub table: Name,
}
