//! What a person may set for the statements after it: `SET`, `RESET`, `SHOW`.
//!
//! One table of parameters. Few change what Windlass does; most are there because PostgreSQL's clients
//! set them, and are taken only with values that are true here.

use crate::engine::{Answer, Grade};
use crate::rows::{self, Cell, Columns, Kind};
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_types::options::nearest;
use windlass_types::{Error, ErrorCode, Result};

/// What values a parameter takes.
#[derive(Debug, Clone, Copy)]
enum Takes {
    /// Any text.
    Any,
    /// One of these, whatever their case.
    Only(&'static [&'static str]),
    /// A time; a bare number is milliseconds.
    Time,
    /// A time zone.
    Zone,
    /// Nothing: it tells, and cannot be set.
    Told,
}

/// A parameter.
struct Parameter {
    name: &'static str,
    default: &'static str,
    takes: Takes,
    doc: &'static str,
}

const fn row(
    name: &'static str,
    default: &'static str,
    takes: Takes,
    doc: &'static str,
) -> Parameter {
    Parameter { name, default, takes, doc }
}

const ON_OFF: Takes = Takes::Only(&["on", "off", "true", "false", "yes", "no", "1", "0"]);
const ISOLATION: Takes = Takes::Only(&[
    "read uncommitted",
    "read committed",
    "repeatable read",
    "serializable",
    "default",
]);
const QUIET: &str = "of PostgreSQL; changes nothing";

const PARAMETERS: &[Parameter] = &[
    row("application_name", "", Takes::Any, "the client's name"),
    row("bytea_output", "hex", Takes::Only(&["hex"]), "how binary values are written as text"),
    row(
        "client_encoding",
        "UTF8",
        Takes::Only(&["utf8", "utf-8", "unicode", "sql_ascii"]),
        "the encoding of texts",
    ),
    row("client_min_messages", "notice", Takes::Any, QUIET),
    row(
        "datestyle",
        "ISO, YMD",
        Takes::Only(&["iso", "iso, mdy", "iso, dmy", "iso, ymd", "iso,mdy", "iso,dmy", "iso,ymd"]),
        "how times are written",
    ),
    row("default_transaction_isolation", "read committed", ISOLATION, QUIET),
    row("default_transaction_read_only", "off", ON_OFF, QUIET),
    row("enable_seqscan", "on", ON_OFF, QUIET),
    row(
        "extra_float_digits",
        "1",
        Takes::Any,
        "numbers are always written so that they read back the same",
    ),
    row("idle_in_transaction_session_timeout", "0", Takes::Time, QUIET),
    row("integer_datetimes", "on", Takes::Told, "how PostgreSQL's protocol carries times"),
    row("intervalstyle", "postgres", Takes::Only(&["postgres"]), "how intervals are written"),
    row("is_superuser", "off", Takes::Told, "whether the user may do all"),
    row("jit", "off", ON_OFF, QUIET),
    row("lc_monetary", "C", Takes::Any, QUIET),
    row("lock_timeout", "0", Takes::Time, QUIET),
    row("max_identifier_length", "63", Takes::Told, QUIET),
    row("max_index_keys", "32", Takes::Told, QUIET),
    row(
        "memory_limit",
        "",
        Takes::Told,
        "memory all queries of the process may hold; `WINDLASS_MEMORY_LIMIT` sets it",
    ),
    row("role", "none", Takes::Any, QUIET),
    row("row_security", "on", ON_OFF, QUIET),
    row(
        "search_path",
        "main, public",
        Takes::Any,
        "names without a schema always are those of `main`",
    ),
    row("server_encoding", "UTF8", Takes::Told, "the encoding of texts"),
    row("server_version", "15.4", Takes::Told, "the version of PostgreSQL this is like"),
    row("server_version_num", "150004", Takes::Told, "the same as a number"),
    row("session_authorization", "windlass", Takes::Any, QUIET),
    row(
        "standard_conforming_strings",
        "on",
        Takes::Only(&["on", "true", "yes", "1"]),
        "a backslash in a text is a backslash",
    ),
    row("statement_timeout", "0", Takes::Time, "how long a statement may take; 0 is for ever"),
    row("synchronous_commit", "on", Takes::Any, QUIET),
    row(
        "timezone",
        "UTC",
        Takes::Zone,
        "the zone in which PostgreSQL's protocol writes times that have one",
    ),
    row("transaction_isolation", "read committed", ISOLATION, QUIET),
    row("transaction_read_only", "off", ON_OFF, QUIET),
    row("work_mem", "4MB", Takes::Any, QUIET),
    row("xmloption", "content", Takes::Any, QUIET),
];

/// Columns of `SHOW ALL`.
const ALL: Columns = &[("name", Kind::Text), ("setting", Kind::Text), ("description", Kind::Text)];

/// Parameters of one client, and those of the process behind them.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// Values where nobody sets others: from the process.
    defaults: BTreeMap<String, String>,
    set: BTreeMap<String, String>,
}

/// A statement about parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetStatement {
    /// `SET name = value`; the last value of a list.
    Set(String, String),
    /// `SET name = DEFAULT`, `RESET name`.
    Reset(String),
    /// `RESET ALL`.
    ResetAll,
    /// `SHOW ALL`.
    ShowAll,
    /// `SHOW name`.
    Show(String),
}

/// Other ways to write the name of a parameter.
fn canonical(words: &str) -> String {
    match words.to_ascii_lowercase().as_str() {
        "time zone" | "time_zone" => "timezone".to_owned(),
        "names" => "client_encoding".to_owned(),
        "transaction isolation level" | "transaction_isolation_level" => {
            "transaction_isolation".to_owned()
        }
        "session authorization" | "session_authorization" => "session_authorization".to_owned(),
        other => other.to_owned(),
    }
}

/// Reads `SET`, `RESET` and the `SHOW` of parameters; None if it is none of them.
pub fn read(text: &str) -> Result<Option<SetStatement>> {
    let (first, rest) = word(text);
    match first.to_ascii_lowercase().as_str() {
        "reset" => {
            let rest = rest.trim();
            if rest.eq_ignore_ascii_case("all") {
                return Ok(Some(SetStatement::ResetAll));
            }
            Ok(Some(SetStatement::Reset(canonical(&rest.replace('"', "")))))
        }
        "show" => {
            let rest = rest.trim().replace('"', "");
            if rest.eq_ignore_ascii_case("all") {
                return Ok(Some(SetStatement::ShowAll));
            }
            let name = canonical(&rest);
            let known = find(&name).is_some() || (name.contains('.') && !name.contains(' '));
            Ok(known.then_some(SetStatement::Show(name)))
        }
        "set" => set(rest).map(Some),
        _ => Ok(None),
    }
}

fn set(rest: &str) -> Result<SetStatement> {
    let wrong = || {
        Error::new(ErrorCode::SqlSyntax, "this SET cannot be read")
            .hint("write SET parameter = value; SHOW ALL lists the parameters")
    };
    let (mut name, mut rest) = word(rest);
    if ["session", "local"].iter().any(|scope| name.eq_ignore_ascii_case(scope)) {
        let (next, after) = word(rest);
        if next.eq_ignore_ascii_case("characteristics") {
            // SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL ...: there are no transactions.
            return Ok(SetStatement::Reset("transaction_isolation".to_owned()));
        }
        (name, rest) = (next, after);
    }
    if name.eq_ignore_ascii_case("transaction") {
        return Ok(SetStatement::Reset("transaction_isolation".to_owned()));
    }
    if name.eq_ignore_ascii_case("time") {
        let (zone, after) = word(rest);
        if !zone.eq_ignore_ascii_case("zone") {
            return Err(wrong());
        }
        return value("timezone", after).ok_or_else(wrong);
    }
    if name.eq_ignore_ascii_case("names") {
        return value("client_encoding", rest).ok_or_else(wrong);
    }
    let rest = rest.trim_start();
    let after = if let Some(after) = rest.strip_prefix('=') {
        after
    } else {
        let (to, after) = word(rest);
        if !to.eq_ignore_ascii_case("to") {
            return Err(wrong());
        }
        after
    };
    value(&canonical(&name.replace('"', "")), after).ok_or_else(wrong)
}

/// The value of SET: one or more texts, numbers or words with commas between them.
fn value(name: &str, text: &str) -> Option<SetStatement> {
    let text = text.trim().trim_end_matches(';').trim_end();
    if text.is_empty() || name.is_empty() {
        return None;
    }
    if text.eq_ignore_ascii_case("default") {
        return Some(SetStatement::Reset(name.to_owned()));
    }
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\'' {
            out.push(c);
            continue;
        }
        loop {
            match chars.next()? {
                '\'' if chars.peek() == Some(&'\'') => {
                    chars.next();
                    out.push('\'');
                }
                '\'' => break,
                c => out.push(c),
            }
        }
    }
    Some(SetStatement::Set(name.to_owned(), out))
}

/// The first word and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(|c: char| c.is_whitespace() || c == '=' || c == ';').unwrap_or(text.len());
    text.split_at(end)
}

fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name)
}

fn unknown(name: &str) -> Error {
    let known: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
    let near =
        nearest(name, &known).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    Error::new(ErrorCode::OptionInvalid, format!("no parameter `{name}`"))
        .hint(format!("{near}SHOW ALL lists the parameters"))
}

/// Reads a time: `500`, `500ms`, `2s`, `1 min`, `0`. Zero is None: no limit.
pub fn timeout(text: &str) -> Result<Option<Duration>> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "ms" => Some(1),
        "s" | "sec" | "second" | "seconds" => Some(1000),
        "min" | "m" | "minute" | "minutes" => Some(60_000),
        "h" | "hour" | "hours" => Some(3_600_000),
        "d" | "day" | "days" => Some(86_400_000),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
    match millis {
        Some(0) => Ok(None),
        Some(millis) => Ok(Some(Duration::from_millis(millis))),
        None => Err(Error::new(ErrorCode::OptionInvalid, format!("`{text}` is not a time"))
            .hint("write milliseconds, or `500ms`, `30s`, `5min`, `1h`; 0 is no limit")),
    }
}

impl Session {
    /// Gives a parameter a value of the process. Not checked: the process has.
    pub fn default_to(&mut self, name: &str, value: impl Into<String>) {
        self.defaults.insert(name.to_owned(), value.into());
    }

    /// Takes the defaults of a process, where it has none.
    pub(crate) fn adopt(&mut self, process: Self) {
        for (name, value) in process.defaults {
            self.defaults.entry(name).or_insert(value);
        }
    }

    /// Sets a parameter; answers the value as it is kept.
    pub fn set(&mut self, name: &str, value: &str) -> Result<String> {
        let name = canonical(name);
        let Some(parameter) = find(&name) else {
            // Names with a dot are the client's own, as in PostgreSQL.
            if name.contains('.') {
                self.set.insert(name, value.to_owned());
                return Ok(value.to_owned());
            }
            return Err(unknown(&name));
        };
        let refused = |hint: String| {
            Error::new(
                ErrorCode::OptionInvalid,
                format!("`{}` cannot be `{value}`", parameter.name),
            )
            .hint(hint)
        };
        let value = match parameter.takes {
            Takes::Any => value.to_owned(),
            Takes::Only(known) => {
                if !known.iter().any(|one| one.eq_ignore_ascii_case(value.trim())) {
                    return Err(refused(format!("it takes {}", known.join(", "))));
                }
                // What is kept is what drivers compare with.
                match parameter.name {
                    "client_encoding" | "datestyle" => parameter.default.to_owned(),
                    _ => value.to_ascii_lowercase(),
                }
            }
            Takes::Time => match timeout(value)? {
                None => "0".to_owned(),
                Some(time) if time.subsec_millis() == 0 => format!("{}s", time.as_secs()),
                Some(time) => format!("{}ms", time.as_millis()),
            },
            Takes::Zone => {
                let zone = value.trim();
                let known = zone.parse::<chrono_tz::Tz>().is_ok();
                let short =
                    ["utc", "gmt", "z", "local"].iter().any(|z| z.eq_ignore_ascii_case(zone));
                match (known, short) {
                    (true, _) => zone.to_owned(),
                    (false, true) => "UTC".to_owned(),
                    _ => {
                        return Err(refused("write a name such as `Europe/Berlin`".to_owned()));
                    }
                }
            }
            Takes::Told => return Err(refused("it cannot be set here".to_owned())),
        };
        self.set.insert(name, value.clone());
        Ok(value)
    }

    /// Gives a parameter its default back.
    pub fn reset(&mut self, name: &str) -> Result<()> {
        let name = canonical(name);
        if self.set.remove(&name).is_none() && find(&name).is_none() && !name.contains('.') {
            return Err(unknown(&name));
        }
        Ok(())
    }

    /// Gives all parameters their defaults back.
    pub fn reset_all(&mut self) {
        self.set.clear();
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<String> {
        let name = canonical(name);
        let found = self.set.get(&name).or_else(|| self.defaults.get(&name)).cloned();
        found.or_else(|| find(&name).map(|parameter| parameter.default.to_owned()))
    }

    /// Every parameter with its value.
    pub fn all(&self) -> Vec<(String, String)> {
        let known = PARAMETERS.iter().map(|parameter| parameter.name.to_owned());
        let own = self.set.keys().filter(|name| find(name).is_none()).cloned();
        known.chain(own).map(|name| (name.clone(), self.get(&name).unwrap_or_default())).collect()
    }

    /// How long a statement may take.
    pub fn statement_timeout(&self) -> Option<Duration> {
        timeout(&self.get("statement_timeout")?).ok().flatten()
    }

    /// Does what a statement says.
    pub(crate) fn run(&mut self, statement: SetStatement) -> Result<Answer> {
        match statement {
            SetStatement::Set(name, value) => {
                let value = self.set(&name, &value)?;
                let mut warnings = Vec::new();
                if name == "search_path" && !value.split(',').any(is_default_schema) {
                    warnings.push(
                        "names without a schema still are those of `main`; write connection.\"path\" or schema.table"
                            .to_owned(),
                    );
                }
                Ok(rows::done(format!("`{name}` is `{value}`"), warnings))
            }
            SetStatement::Reset(name) => {
                self.reset(&name)?;
                let value = self.get(&name).unwrap_or_default();
                Ok(rows::done(format!("`{name}` is `{value}`"), vec![]))
            }
            SetStatement::ResetAll => {
                self.reset_all();
                Ok(rows::done("all parameters have their defaults", vec![]))
            }
            SetStatement::Show(name) => {
                let value = self.get(&name).ok_or_else(|| unknown(&name))?;
                Ok(rows::one_text(&name, value))
            }
            SetStatement::ShowAll => {
                let rows: Vec<Vec<Cell>> = self
                    .all()
                    .into_iter()
                    .map(|(name, value)| {
                        let doc = find(&name).map_or("", |parameter| parameter.doc);
                        vec![name.into(), value.into(), doc.into()]
                    })
                    .collect();
                rows::answer(ALL, &rows, Grade::Good)
            }
        }
    }
}

fn is_default_schema(name: &str) -> bool {
    let name = name.trim().trim_matches('"');
    name.is_empty() || ["main", "public", "$user", "pg_catalog"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> SetStatement {
        read(text).unwrap().unwrap()
    }

    #[test]
    fn every_way_to_write_set_is_read() {
        let is = |text: &str, name: &str, value: &str| {
            assert_eq!(set(text), SetStatement::Set(name.to_owned(), value.to_owned()), "{text}");
        };
        is("SET statement_timeout = '5s'", "statement_timeout", "5s");
        is("set statement_timeout=500", "statement_timeout", "500");
        is("SET SESSION DateStyle TO 'ISO, MDY'", "datestyle", "ISO, MDY");
        is("SET LOCAL search_path TO a, \"b\"", "search_path", "a, \"b\"");
        is("SET TIME ZONE 'Europe/Berlin'", "timezone", "Europe/Berlin");
        is("SET NAMES 'UTF8'", "client_encoding", "UTF8");
        is("SET application_name = 'it''s'", "application_name", "it's");
        assert_eq!(set("RESET ALL"), SetStatement::ResetAll);
        assert_eq!(set("SET jit TO DEFAULT"), SetStatement::Reset("jit".to_owned()));
        assert_eq!(set("SHOW TIME ZONE"), SetStatement::Show("timezone".to_owned()));
        assert_eq!(
            set("SHOW TRANSACTION ISOLATION LEVEL"),
            SetStatement::Show("transaction_isolation".to_owned())
        );
        assert_eq!(read("SHOW CONNECTIONS").unwrap(), None);
        assert_eq!(read("SELECT 1").unwrap(), None);
        assert!(read("SET x").is_err() && read("SET x = 'open").is_err() && read("SET").is_err());
    }

    #[test]
    fn a_parameter_takes_only_what_is_true_here() {
        let mut session = Session::default();
        assert_eq!(session.set("statement_timeout", "1min").unwrap(), "60s");
        assert_eq!(session.statement_timeout(), Some(Duration::from_mins(1)));
        assert_eq!(session.set("client_encoding", "utf-8").unwrap(), "UTF8");
        assert_eq!(session.set("TimeZone", "Europe/Berlin").unwrap(), "Europe/Berlin");
        assert!(session.set("client_encoding", "LATIN1").is_err());
        assert!(session.set("DateStyle", "German").is_err());
        assert!(session.set("timezone", "Mars/Olympus").is_err());
        assert!(session.set("statement_timeout", "soon").is_err());
        assert!(session.set("server_version", "9.1").is_err());
        assert!(session.set("my.thing", "7").is_ok());
        assert_eq!(session.get("my.thing").as_deref(), Some("7"));
        let unknown = format!("{:?}", session.set("statement_timeot", "1").unwrap_err());
        assert!(unknown.contains("did you mean `statement_timeout`"), "{unknown}");
        session.reset_all();
        assert_eq!(session.statement_timeout(), None);
    }

    #[test]
    fn what_the_process_says_holds_until_the_client_says_other() {
        let mut session = Session::default();
        session.default_to("statement_timeout", "30s");
        assert_eq!(session.statement_timeout(), Some(Duration::from_secs(30)));
        session.set("statement_timeout", "0").unwrap();
        assert_eq!(session.statement_timeout(), None);
        session.reset("statement_timeout").unwrap();
        assert_eq!(session.statement_timeout(), Some(Duration::from_secs(30)));
    }
}
