//! The words of the language: what `\?` and the reference say about each statement.

/// One statement of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Help {
    /// Its grammar: upper case is literal, `[ ]` may be left out, `|` chooses.
    pub syntax: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// A statement that parses.
    pub example: &'static str,
}

const fn row(syntax: &'static str, doc: &'static str, example: &'static str) -> Help {
    Help { syntax, doc, example }
}

/// Every statement of ours, in the order people need them.
pub const fn help() -> &'static [Help] {
    HELP
}

const HELP: &[Help] = &[
    row(
        "CREATE [OR REPLACE] S3 CONNECTION [IF NOT EXISTS] name [option = value ...]",
        "Tests a connection to S3 or a compatible service, and stores it.",
        "CREATE S3 CONNECTION landing BUCKET = 'acme-landing' AWS_PROFILE = 'acme' READ_ONLY = TRUE",
    ),
    row(
        "CREATE [OR REPLACE] LOCAL CONNECTION [IF NOT EXISTS] name ROOT = '/folder' [option = value ...]",
        "The same for a folder of this machine.",
        "CREATE LOCAL CONNECTION disk ROOT = '/srv/data'",
    ),
    row(
        "CREATE [OR REPLACE] SFTP|FTP|WEBDAV|HTTP CONNECTION [IF NOT EXISTS] name option = value ...",
        "The same for servers of files; each kind has its options.",
        "CREATE SFTP CONNECTION partner HOST = 'sftp.example.com' USER = 'acme' PRIVATE_KEY = SECRET partner_key HOST_KEY = 'SHA256:…'",
    ),
    row(
        "ALTER kind CONNECTION name SET option = value [SET ...] [RESET option ...]",
        "Changes options, after a test.",
        "ALTER S3 CONNECTION landing SET TIMEOUT = 30 SECONDS RESET COMMENT",
    ),
    row(
        "DROP CONNECTION [IF EXISTS] name",
        "Removes a connection nothing depends on.",
        "DROP CONNECTION IF EXISTS landing",
    ),
    row(
        "TEST CONNECTION name [WITH WRITE]",
        "Tries identity, role, endpoint, listing and reading; WITH WRITE also writing, under a key that is removed.",
        "TEST CONNECTION landing WITH WRITE",
    ),
    row(
        "DESCRIBE CONNECTION name",
        "Shows the options of a connection; secrets are masked.",
        "DESCRIBE CONNECTION landing",
    ),
    row(
        "SHOW CREATE CONNECTION name",
        "Prints the statement that makes a connection; secrets are masked.",
        "SHOW CREATE CONNECTION landing",
    ),
    row(
        "SHOW what [LIKE 'pattern']",
        "Rows of `system.what`: CONNECTIONS, SECRETS, FILE TABLES, SCHEMAS, FABRICS and others.",
        "SHOW CONNECTIONS LIKE 'land%'",
    ),
    row(
        "LIST connection[.\"path\"] [RECURSIVE] [LIMIT n]",
        "Lists buckets, or a folder, or with RECURSIVE everything below it.",
        "LIST landing.\"orders/\" RECURSIVE LIMIT 100",
    ),
    row(
        "CREATE SECRET [IF NOT EXISTS] name = 'value' | FROM ENV 'VARIABLE' | FROM FILE 'path'",
        "Seals a value that options can use as `SECRET name`; nothing reads it back.",
        "CREATE SECRET lab_key FROM ENV LAB_KEY",
    ),
    row(
        "ALTER SECRET name = 'value' | FROM ENV 'VARIABLE' | FROM FILE 'path'",
        "Gives a secret a new value.",
        "ALTER SECRET lab_key FROM FILE '/run/secrets/lab'",
    ),
    row("DROP SECRET [IF EXISTS] name", "Removes a secret nothing uses.", "DROP SECRET lab_key"),
    row(
        "CREATE FILE TABLE [IF NOT EXISTS] [schema.]name ON connection LOCATION = 'path' [option = value ...]",
        "Names files behind a connection, to be queried as a table.",
        "CREATE FILE TABLE orders ON landing LOCATION = 'orders/dt=*/*.csv' CONTENT_TYPE = (TYPE = CSV, HEADER = TRUE)",
    ),
    row(
        "DROP [FILE] TABLE [IF EXISTS] [schema.]name",
        "Removes a file table; its files stay.",
        "DROP FILE TABLE orders",
    ),
    row(
        "DESCRIBE [TABLE] name | connection.\"path\"",
        "Columns of a table, or of files.",
        "DESCRIBE landing.\"orders/*.parquet\"",
    ),
    row(
        "CREATE SCHEMA [IF NOT EXISTS] name",
        "Makes a schema for tables in the fabric in use.",
        "CREATE SCHEMA sales",
    ),
    row("DROP SCHEMA [IF EXISTS] name", "Removes an empty schema.", "DROP SCHEMA sales"),
    row(
        "CREATE FABRIC [IF NOT EXISTS] name",
        "Makes an environment of its own for connections, secrets and tables.",
        "CREATE FABRIC staging",
    ),
    row(
        "DROP FABRIC [IF EXISTS] name",
        "Removes a fabric that holds nothing.",
        "DROP FABRIC IF EXISTS staging",
    ),
    row("USE FABRIC name", "Makes a fabric the one that names belong to.", "USE FABRIC staging"),
];

/// What begins a statement of the query engine's.
pub(crate) const ENGINE_STATEMENTS: &[&str] = &[
    "SELECT",
    "WITH",
    "VALUES",
    "EXPLAIN",
    "INSERT",
    "UPDATE",
    "DELETE",
    "MERGE",
    "COPY",
    "FROM",
    "SET",
    "RESET",
    "BEGIN",
    "START",
    "COMMIT",
    "ROLLBACK",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "ANALYZE",
    "TRUNCATE",
    "TABLE",
];

/// What the query engine can CREATE, ALTER or DROP.
pub(crate) const ENGINE_OBJECTS: &[&str] = &[
    "TABLE",
    "VIEW",
    "EXTERNAL",
    "UNBOUNDED",
    "FUNCTION",
    "DATABASE",
    "TEMPORARY",
    "TEMP",
    "INDEX",
];

/// What the query engine can SHOW.
pub(crate) const ENGINE_SHOWS: &[&str] = &[
    "TABLES",
    "COLUMNS",
    "FUNCTIONS",
    "ALL",
    "VARIABLES",
    "VARIABLE",
    "TIME",
    "TIMEZONE",
    "FULL",
    "EXTENDED",
];

/// Keywords that completion offers inside a query.
pub(crate) const QUERY_KEYWORDS: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "CROSS",
    "ON",
    "USING",
    "UNION",
    "ALL",
    "EXCEPT",
    "INTERSECT",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "ASC",
    "DESC",
    "TRUE",
    "FALSE",
    "INTERVAL",
    "OVER",
    "PARTITION",
    "WITH",
    "VALUES",
    "INTO",
];

/// Every keyword, sorted.
pub const KEYWORDS: &[&str] = &[
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLUMNS",
    "COMMIT",
    "CONNECTION",
    "CONNECTIONS",
    "COPY",
    "CREATE",
    "CROSS",
    "DATABASE",
    "DAY",
    "DAYS",
    "DEALLOCATE",
    "DELETE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ENV",
    "EXCEPT",
    "EXECUTE",
    "EXISTS",
    "EXPLAIN",
    "EXTENDED",
    "EXTERNAL",
    "FABRIC",
    "FABRICS",
    "FALSE",
    "FILE",
    "FROM",
    "FTP",
    "FULL",
    "FUNCTION",
    "FUNCTIONS",
    "GROUP",
    "HAVING",
    "HOUR",
    "HOURS",
    "HTTP",
    "IF",
    "ILIKE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LIST",
    "LOCAL",
    "LOCATION",
    "MERGE",
    "MINUTE",
    "MINUTES",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "PREPARE",
    "RECURSIVE",
    "REPLACE",
    "RESET",
    "RIGHT",
    "ROLLBACK",
    "S3",
    "SCHEMA",
    "SCHEMAS",
    "SECOND",
    "SECONDS",
    "SECRET",
    "SECRETS",
    "SELECT",
    "SET",
    "SFTP",
    "SHOW",
    "START",
    "TABLE",
    "TABLES",
    "TEMP",
    "TEMPORARY",
    "TEST",
    "THEN",
    "TIME",
    "TIMEZONE",
    "TRUE",
    "TRUNCATE",
    "UNBOUNDED",
    "UNION",
    "UPDATE",
    "USE",
    "USING",
    "VALUES",
    "VARIABLE",
    "VARIABLES",
    "VIEW",
    "WEBDAV",
    "WHEN",
    "WHERE",
    "WITH",
    "WRITE",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Statement, parse};

    #[test]
    fn the_keywords_are_sorted_and_hold_every_word_of_the_grammar() {
        assert!(KEYWORDS.is_sorted());
        let of_syntax = HELP.iter().flat_map(|row| {
            row.syntax.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| {
                word.len() > 1 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            })
        });
        let lists = [ENGINE_STATEMENTS, ENGINE_OBJECTS, ENGINE_SHOWS, QUERY_KEYWORDS];
        for word in of_syntax.chain(lists.into_iter().flatten().copied()) {
            assert!(KEYWORDS.contains(&word) || ["VARIABLE", "ROOT"].contains(&word), "{word}");
        }
    }

    #[test]
    fn every_example_parses_as_ours() {
        for row in HELP {
            let parsed = parse(row.example).unwrap();
            assert!(!matches!(parsed[0].statement, Statement::Engine(_)), "{}", row.example);
        }
    }
}
