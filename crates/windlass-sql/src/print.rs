//! Tree to text.
//!
//! `Display` masks secrets, so that nothing shows one by accident; [`Statement::to_sql`] prints
//! clear text, which parses back to an equal tree.

mod catalog;
mod jobs;
mod write;

pub use jobs::print_job;

use crate::ast::{
    DescribeTarget, Look, OptionSetting, SecretInput, Statement, TableName, is_secret,
};
use std::fmt::{self, Write as _};
use windlass_types::options::MASK;
use windlass_types::{ConnectionKind, Name, OptionMap, OptionValue};

impl Statement {
    /// Canonical text that parses back to an equal statement. Secrets are in clear text.
    pub fn to_sql(&self) -> String {
        Printed { statement: self, mask: false }.to_string()
    }
}

impl fmt::Display for Statement {
    /// Canonical text with secrets masked; [`crate::ParseMode::AllowMask`] reads it back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printed { statement: self, mask: true }.fmt(f)
    }
}

/// Prints the statement that would make a connection, secrets masked, an option a line.
pub fn print_connection(kind: ConnectionKind, name: &Name, options: &OptionMap) -> String {
    let mut text = format!("CREATE {} CONNECTION {name}", kind.as_str());
    for (option, value) in options {
        let setting = OptionSetting { name: option.clone(), value: value.clone() };
        let _ = write!(text, "\n  {}", Setting { setting: &setting, mask: true });
    }
    text.push(';');
    text
}

/// A name as SQL writes it: bare where that reads back, quoted otherwise. Any text is fine.
pub fn identifier(text: &str) -> String {
    let bare = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if bare { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Text as SQL writes it: in single quotes.
pub fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The value of an option as SQL writes it; a secret is masked.
pub fn print_value(option: &str, value: &OptionValue) -> String {
    let setting = OptionSetting { name: option.to_owned(), value: value.clone() };
    let text = Setting { setting: &setting, mask: true }.to_string();
    text.split_once(" = ").map_or_else(String::new, |(_, value)| value.to_owned())
}

struct Printed<'a> {
    statement: &'a Statement,
    mask: bool,
}

struct Setting<'a> {
    setting: &'a OptionSetting,
    mask: bool,
}

impl fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OptionSetting { name, value } = self.setting;
        write!(f, "{name} = ")?;
        match value {
            OptionValue::Secret(_) => value_text(f, value),
            _ if self.mask && is_secret(name) => f.write_str(&text_literal(MASK)),
            _ => value_text(f, value),
        }
    }
}

fn value_text(f: &mut fmt::Formatter<'_>, value: &OptionValue) -> fmt::Result {
    match value {
        OptionValue::Text(text) => f.write_str(&text_literal(text)),
        OptionValue::Integer(number) => write!(f, "{number}"),
        OptionValue::Bool(flag) => f.write_str(if *flag { "TRUE" } else { "FALSE" }),
        OptionValue::Interval(seconds) => f.write_str(&jobs::interval(*seconds)),
        OptionValue::List(items) => {
            f.write_char('(')?;
            for (index, item) in items.iter().enumerate() {
                f.write_str(if index == 0 { "" } else { ", " })?;
                value_text(f, item)?;
            }
            f.write_char(')')
        }
        OptionValue::Group(items) => {
            f.write_char('(')?;
            for (index, (name, item)) in items.iter().enumerate() {
                write!(f, "{}{name} = ", if index == 0 { "" } else { ", " })?;
                value_text(f, item)?;
            }
            f.write_char(')')
        }
        OptionValue::Secret(name) => write!(f, "SECRET {name}"),
        OptionValue::Word(word) => f.write_str(word),
        OptionValue::Sealed => f.write_str(&text_literal(MASK)),
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => write!(f, "{}", self.table),
        }
    }
}

/// Texts as a list: `('a', 'b')`.
fn quoted_list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| text_literal(text)).collect();
    format!("({})", texts.join(", "))
}

fn when(said: bool, words: &'static str) -> &'static str {
    if said { words } else { "" }
}

impl Printed<'_> {
    fn settings(&self, f: &mut fmt::Formatter<'_>, options: &[OptionSetting]) -> fmt::Result {
        for setting in options {
            write!(f, " {}", Setting { setting, mask: self.mask })?;
        }
        Ok(())
    }

    fn query(&self, text: &str) -> String {
        if self.mask { crate::masked(text) } else { text.to_owned() }
    }

    fn look(&self, look: &Look) -> String {
        match look {
            Look::Table(parts) => {
                parts.iter().map(|part| identifier(part)).collect::<Vec<_>>().join(".")
            }
            Look::Query(text) => format!("({})", self.query(text)),
        }
    }

    fn secret(&self, f: &mut fmt::Formatter<'_>, source: &SecretInput) -> fmt::Result {
        match source {
            SecretInput::Literal(_) if self.mask => write!(f, " = {}", text_literal(MASK)),
            SecretInput::Literal(text) => write!(f, " = {}", text_literal(text.expose())),
            SecretInput::Env(variable) => write!(f, " FROM ENV {}", text_literal(variable)),
            SecretInput::File(path) => write!(f, " FROM FILE {}", text_literal(path)),
        }
    }
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exists = |said| when(said, "IF EXISTS ");
        let not_exists = |said| when(said, "IF NOT EXISTS ");
        match self.statement {
            Statement::CreateConnection { or_replace, if_not_exists, kind, name, options } => {
                let replace = when(*or_replace, "OR REPLACE ");
                let kind = kind.as_str();
                write!(
                    f,
                    "CREATE {replace}{kind} CONNECTION {}{name}",
                    not_exists(*if_not_exists)
                )?;
                self.settings(f, options)
            }
            Statement::AlterConnection { kind, name, changes } => {
                write!(f, "ALTER {} CONNECTION {name}", kind.as_str())?;
                changes.iter().try_for_each(|change| self.change(f, change))
            }
            Statement::DropConnection { if_exists, name } => {
                write!(f, "DROP CONNECTION {}{name}", exists(*if_exists))
            }
            Statement::Describe { target: DescribeTarget::Connection(name) } => {
                write!(f, "DESCRIBE CONNECTION {name}")
            }
            Statement::Describe { target: DescribeTarget::Container(name) } => {
                write!(f, "DESCRIBE CONTAINER {}", text_literal(name))
            }
            Statement::Describe { target: DescribeTarget::Job(name) } => {
                write!(f, "DESCRIBE JOB {name}")
            }
            Statement::Describe { target: DescribeTarget::Call(call) } => {
                // Only as a statement can it be read, and its secrets be found.
                write!(f, "{}", self.query(&format!("DESCRIBE {call}")))
            }
            Statement::Describe { target: DescribeTarget::Table(parts) } => {
                let parts: Vec<String> = parts.iter().map(|part| identifier(part)).collect();
                write!(f, "DESCRIBE TABLE {}", parts.join("."))
            }
            Statement::Show { what, like } => {
                write!(f, "SHOW {}", what.to_ascii_uppercase())?;
                like.iter().try_for_each(|like| write!(f, " LIKE {}", text_literal(like)))
            }
            Statement::ShowCreate { name } => write!(f, "SHOW CREATE CONNECTION {name}"),
            Statement::ShowCreateJob { name } => write!(f, "SHOW CREATE JOB {name}"),
            Statement::Test { name, write } => {
                write!(f, "TEST CONNECTION {name}{}", when(*write, " WITH WRITE"))
            }
            Statement::CreateSecret { if_not_exists, name, source } => {
                write!(f, "CREATE SECRET {}{name}", not_exists(*if_not_exists))?;
                self.secret(f, source)
            }
            Statement::AlterSecret { name, source } => {
                write!(f, "ALTER SECRET {name}")?;
                self.secret(f, source)
            }
            Statement::DropSecret { if_exists, name } => {
                write!(f, "DROP SECRET {}{name}", exists(*if_exists))
            }
            Statement::ShowSchemaChanges { table } => {
                f.write_str("SHOW SCHEMA CHANGES")?;
                table.iter().try_for_each(|table| write!(f, " FOR {table}"))
            }
            Statement::CreateFileTable {
                if_not_exists,
                name,
                connection,
                location,
                options,
                columns,
            } => {
                let location = text_literal(location);
                let not_exists = not_exists(*if_not_exists);
                write!(
                    f,
                    "CREATE FILE TABLE {not_exists}{name} ON {connection} LOCATION = {location}"
                )?;
                self.settings(f, options)?;
                match columns.as_slice() {
                    [] => Ok(()),
                    columns => write!(f, " ({})", columns.join(", ")),
                }
            }
            Statement::DropTable { if_exists, name } => {
                write!(f, "DROP TABLE {}{name}", exists(*if_exists))
            }
            Statement::CreateView {
                or_replace,
                temporary,
                if_not_exists,
                name,
                columns,
                query,
            } => {
                let replace = when(*or_replace, "OR REPLACE ");
                let temporary = when(*temporary, "TEMPORARY ");
                let not_exists = not_exists(*if_not_exists);
                write!(f, "CREATE {replace}{temporary}VIEW {not_exists}{name}")?;
                if !columns.is_empty() {
                    let columns: Vec<String> = columns.iter().map(|c| identifier(c)).collect();
                    write!(f, " ({})", columns.join(", "))?;
                }
                write!(f, " AS {}", self.query(query))
            }
            Statement::DropView { if_exists, name } => {
                write!(f, "DROP VIEW {}{name}", exists(*if_exists))
            }
            Statement::CreateTemporaryTable { or_replace, if_not_exists, name, query } => {
                let replace = when(*or_replace, "OR REPLACE ");
                let not_exists = not_exists(*if_not_exists);
                let query = self.query(query);
                write!(f, "CREATE {replace}TEMPORARY TABLE {not_exists}{name} AS {query}")
            }
            Statement::Preview { of, limit } => {
                write!(f, "PREVIEW {}", self.look(of))?;
                limit.iter().try_for_each(|limit| write!(f, " LIMIT {limit}"))
            }
            Statement::Profile { of, full } => {
                write!(f, "PROFILE {}{}", self.look(of), when(*full, " FULL"))
            }
            Statement::CreateSchema { if_not_exists, name } => {
                write!(f, "CREATE SCHEMA {}{name}", not_exists(*if_not_exists))
            }
            Statement::DropSchema { if_exists, name } => {
                write!(f, "DROP SCHEMA {}{name}", exists(*if_exists))
            }
            Statement::CreateFabric { if_not_exists, name } => {
                write!(f, "CREATE FABRIC {}{name}", not_exists(*if_not_exists))
            }
            Statement::DropFabric { if_exists, name } => {
                write!(f, "DROP FABRIC {}{name}", exists(*if_exists))
            }
            Statement::UseFabric { name } => write!(f, "USE FABRIC {name}"),
            Statement::List { connection, path, recursive, limit } => {
                write!(f, "LIST {connection}")?;
                if !path.is_empty() {
                    write!(f, ".{}", quoted(path))?;
                }
                f.write_str(when(*recursive, " RECURSIVE"))?;
                limit.iter().try_for_each(|limit| write!(f, " LIMIT {limit}"))
            }
            Statement::Files(files) => self.files(f, files),
            Statement::CreateJob(job) => self.create_job(f, job),
            Statement::AlterJob { name, changes } => {
                write!(f, "ALTER JOB {name}")?;
                self.job_changes(f, changes)
            }
            Statement::DropJob { if_exists, name } => {
                write!(f, "DROP JOB {}{name}", exists(*if_exists))
            }
            Statement::PauseJob { name, pause } => {
                write!(f, "{} JOB {name}", if *pause { "PAUSE" } else { "RESUME" })
            }
            Statement::RunJob { name } => write!(f, "RUN JOB {name}"),
            Statement::CancelJob { name } => write!(f, "CANCEL JOB {name}"),
            Statement::CancelRun { run } => write!(f, "CANCEL RUN '{run}'"),
            Statement::Crawl(crawl) => {
                write!(f, "CRAWL {}", crawl.connection)?;
                self.settings(f, &crawl.options)
            }
            Statement::ExplainCrawl(crawl) => {
                write!(f, "EXPLAIN CRAWL {}", crawl.connection)?;
                self.settings(f, &crawl.options)
            }
            Statement::ShowManifest { connection } => {
                write!(f, "SHOW MANIFEST FOR CONNECTION {connection}")
            }
            Statement::Catalog(statement) => self.catalog(f, statement),
            Statement::Write(write) => self.write(f, write),
            Statement::Engine(text) if self.mask => f.write_str(&crate::masked(text)),
            Statement::Engine(text) => f.write_str(text),
        }
    }
}
