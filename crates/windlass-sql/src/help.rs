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
        "CREATE [OR REPLACE] AZURE_BLOB CONNECTION [IF NOT EXISTS] name option = value ...",
        "The same for Azure Blob Storage.",
        "CREATE AZURE_BLOB CONNECTION archive ACCOUNT = 'acmestore' ACCOUNT_KEY = SECRET acmestore_key CONTAINER = 'archive'",
    ),
    row(
        "CREATE [OR REPLACE] GCS CONNECTION [IF NOT EXISTS] name option = value ...",
        "The same for Google Cloud Storage.",
        "CREATE GCS CONNECTION models SERVICE_ACCOUNT_JSON = SECRET models_key BUCKET = 'acme-models'",
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
        "Rows of `system.what`: CONNECTIONS, SECRETS, FILE TABLES, SCHEMAS, FABRICS, JOBS, RUNS and others.",
        "SHOW CONNECTIONS LIKE 'land%'",
    ),
    row(
        "SHOW SCHEMA CHANGES [FOR [schema.]name]",
        "How files differed from the stored columns of their table.",
        "SHOW SCHEMA CHANGES FOR orders",
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
        "CREATE FILE TABLE [IF NOT EXISTS] [schema.]name ON connection LOCATION = 'path' [option = value ...] [(column type, ...)]",
        "Names files behind a connection, to be queried as a table; without columns it has those of the files.",
        "CREATE FILE TABLE orders ON landing LOCATION = 'orders/dt=*/*.csv' CONTENT_TYPE = (TYPE = CSV, HEADER = TRUE)",
    ),
    row(
        "CREATE FILE TABLE [IF NOT EXISTS] [schema.]name ON connection LOCATION = 'path' [option = value ...] AS query",
        "Writes the rows of a query to files, and names them. Options are those of COPY TO, with CONTENT_TYPE for FILE_FORMAT.",
        "CREATE FILE TABLE totals ON landing LOCATION = 'totals/' PARTITIONED_BY = ('dt') AS SELECT dt, sum(amount) AS amount FROM landing.\"orders/\" GROUP BY dt",
    ),
    row(
        "DROP [FILE] TABLE [IF EXISTS] [schema.]name",
        "Removes a file table; its files stay.",
        "DROP FILE TABLE orders",
    ),
    row(
        "DESCRIBE [TABLE] name | connection.\"path\" | read_csv(...)",
        "Columns of a table, or of files.",
        "DESCRIBE landing.\"orders/*.parquet\"",
    ),
    row(
        "CREATE [OR REPLACE] [TEMPORARY] VIEW [IF NOT EXISTS] [schema.]name [(column, ...)] AS query",
        "Gives a query a name; TEMPORARY: until the session ends.",
        "CREATE VIEW large_orders AS SELECT * FROM landing.\"orders/\" WHERE amount > 1000",
    ),
    row("DROP VIEW [IF EXISTS] [schema.]name", "Removes a view.", "DROP VIEW large_orders"),
    row(
        "CREATE [OR REPLACE] TEMPORARY TABLE [IF NOT EXISTS] name AS query",
        "Keeps the rows of a query until the session ends; DROP TABLE removes them sooner.",
        "CREATE TEMPORARY TABLE today AS SELECT * FROM landing.\"orders/\" WHERE dt = '2026-11-01'",
    ),
    row(
        "PREVIEW name | connection.\"path\" | read_csv(...) | (query) [LIMIT n]",
        "First rows (100 unless said), reading no more than they need.",
        "PREVIEW landing.\"orders/\" LIMIT 10",
    ),
    row(
        "PROFILE | SUMMARIZE name | connection.\"path\" | read_csv(...) | (query) [FULL]",
        "Columns of a table by what is in them: of its first rows, or with FULL of all.",
        "PROFILE landing.\"orders/\" FULL",
    ),
    row(
        "CRAWL name option = value [option = value ...]",
        "Looks at what is behind a connection and keeps it in the catalogue: containers, their columns, figures and tags. What could not be read is not said to be gone.",
        "CRAWL landing EXCLUDE = ('tmp/**') TAGS = TRUE",
    ),
    row(
        "EXPLAIN CRAWL name option = value [option = value ...]",
        "What a crawl would find by names alone, what it would leave out, and why; nothing is kept.",
        "EXPLAIN CRAWL landing",
    ),
    row(
        "SHOW MANIFEST FOR CONNECTION name",
        "Of each bucket an openmetadata.json that says what is found in it.",
        "SHOW MANIFEST FOR CONNECTION landing",
    ),
    row(
        "DESCRIBE CONTAINER connection.\"path\"|'name'|'connection:path'",
        "What the catalogue knows of a container: its columns, figures, notes, history.",
        "DESCRIBE CONTAINER landing.\"acme-landing/orders/\"",
    ),
    row(
        "ALTER CONTAINER connection.\"path\"|'name'|'connection:path' [COLUMN 'path'] SET option = value [SET ...] [RESET option ...]",
        "Notes what people know: DESCRIPTION, OWNERS, TAGS. No crawl changes it.",
        "ALTER CONTAINER 'landing:acme-landing/orders' SET DESCRIPTION = 'one row an order' OWNERS = ('sales')",
    ),
    row(
        "SEARCH 'words' [LIMIT n]",
        "Containers that have all these words, or words that begin so, in names, columns, descriptions, owners or tags; the best first.",
        "SEARCH 'invoice email'",
    ),
    row(
        "SHOW LINEAGE OF connection.\"path\"|'name'|'connection:path' [UPSTREAM|DOWNSTREAM] [DEPTH n] [AS DOT|OPENLINEAGE]",
        "Where the data of a place came from and went to, as runs of Windlass read and wrote it.",
        "SHOW LINEAGE OF 'landing:acme-landing/orders' DOWNSTREAM DEPTH 3",
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
    row(
        "COPY (query)|table TO 'connection:path' [OPTIONS (option = value, ...)]",
        "Writes the rows of a query to files, and answers what was written. A path that ends in `/` takes files below it, any other is one file.",
        "COPY (SELECT * FROM landing.\"orders/*.csv\" WHERE amount > 10) TO 'landing:big/orders.parquet' OPTIONS (MODE = OVERWRITE)",
    ),
    row(
        "INSERT INTO connection.\"path\"|[schema.]table [(column, ...)] [OPTIONS (option = value, ...)] query",
        "The same; files are added to those of a folder, or of a file table, whose columns are given in order or as listed.",
        "INSERT INTO landing.\"log/\" OPTIONS (FILE_FORMAT = JSON, COMPRESSION = GZIP) SELECT * FROM system.runs",
    ),
    row(
        "COPY FILES FROM connection LOCATION = 'path' TO connection LOCATION = 'path' [option = value ...]",
        "Copies files, and answers what was done. A path that ends in `/` is everything below it; a pattern is what matches.",
        "COPY FILES FROM landing LOCATION = 'orders/*.csv' TO disk LOCATION = 'orders/' EXCLUDE = ('tmp-*')",
    ),
    row(
        "MOVE FILES FROM connection LOCATION = 'path' TO connection LOCATION = 'path' [option = value ...]",
        "The same; each source is deleted once its copy is verified.",
        "MOVE FILES FROM landing LOCATION = 'new/' TO landing LOCATION = 'done/' IF_EXISTS = KEEP_BOTH",
    ),
    row(
        "SYNC FILES FROM connection LOCATION = 'path' TO connection LOCATION = 'path' [option = value ...]",
        "Copies what differs; with DELETE the destination becomes what the source is.",
        "SYNC FILES FROM disk LOCATION = 'site/' TO landing LOCATION = 's3://acme-site/www/' DELETE = TRUE MAX_DELETE = 100",
    ),
    row(
        "CREATE [OR REPLACE] JOB [IF NOT EXISTS] name [trigger] [option = value ...] AS statement",
        "Stores work under a name. The statement is COPY, MOVE or SYNC FILES; the trigger is one of the four below, and without one the job is started by RUN JOB.",
        "CREATE JOB nightly SCHEDULE '30 2 * * *' TIME ZONE 'Europe/Paris' RETRIES = 3 AS SYNC FILES FROM landing LOCATION = 'orders/' TO disk LOCATION = 'orders/'",
    ),
    row(
        "CREATE JOB name SCHEDULE 'cron' [TIME ZONE 'zone'] ... AS statement",
        "Started at the times of a cron expression: minute, hour, day, month, day of the week; UTC unless a zone is said.",
        "CREATE JOB weekdays SCHEDULE '0 6 * * 1-5' AS COPY FILES FROM landing LOCATION = 'a/' TO disk LOCATION = 'a/'",
    ),
    row(
        "CREATE JOB name EVERY n SECONDS|MINUTES|HOURS|DAYS ... AS statement",
        "Started again and again, so long from start to start.",
        "CREATE JOB often EVERY 5 MINUTES OVERLAP = SKIP AS MOVE FILES FROM landing LOCATION = 'new/' TO disk LOCATION = 'in/'",
    ),
    row(
        "CREATE JOB name EVERY DAY|WEEK|WEEK_END|MONTH|MONTH_END|QUARTER|QUARTER_END|YEAR|YEAR_END [ON (day, ...)] [AT ('HH:MM', ...)] [TIME ZONE 'zone'] [EXCEPT ('date', ...)] ... AS statement",
        "Started on days of the calendar. ON names days of the week after DAY and WEEK, and counts days from 1 after MONTH, QUARTER and YEAR, backwards from the end after MONTH_END and its like; without ON it is every day, Monday, the first day, the last. Without AT it is midnight.",
        "CREATE JOB closing EVERY MONTH ON (1, 15) AT ('06:00', '18:00') TIME ZONE 'Europe/Paris' EXCEPT ('2027-01-01') AS COPY FILES FROM landing LOCATION = 'a/' TO disk LOCATION = 'a/'",
    ),
    row(
        "CREATE JOB name ON ARRIVAL [IN connection LOCATION = 'path'] [option = value ...] ... AS statement",
        "Started when files arrive, at the source of the statement unless another place is said.",
        "CREATE JOB inbox ON ARRIVAL PATTERN = '*.csv' POLL = 30 SECONDS AS MOVE FILES FROM landing LOCATION = 'inbox/' TO disk LOCATION = 'inbox/'",
    ),
    row(
        "ALTER JOB name SET option = value|trigger [SET ...] [RESET option|SCHEDULE ...]",
        "Changes options or the trigger; RESET SCHEDULE leaves a job that is started by hand.",
        "ALTER JOB nightly SET EVERY DAY AT '03:00' SET RETRIES = 5 RESET COMMENT",
    ),
    row(
        "DROP JOB [IF EXISTS] name",
        "Removes a job that is not running; what it did stays in `system.runs`.",
        "DROP JOB IF EXISTS nightly",
    ),
    row("PAUSE JOB name", "Lets no trigger start it until RESUME JOB.", "PAUSE JOB nightly"),
    row("RESUME JOB name", "Lets its trigger start it again.", "RESUME JOB nightly"),
    row("RUN JOB name", "Runs it now, waits for the end, answers the run.", "RUN JOB nightly"),
    row("CANCEL JOB name", "Stops the runs of a job.", "CANCEL JOB nightly"),
    row("CANCEL RUN 'id'", "Stops one run.", "CANCEL RUN 'rn_01997e6d0000700080000000000000a1'"),
    row("DESCRIBE JOB name", "Shows what is known of a job.", "DESCRIBE JOB nightly"),
    row(
        "SHOW CREATE JOB name",
        "Prints the statement that makes a job; secrets are masked.",
        "SHOW CREATE JOB nightly",
    ),
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
pub(crate) const ENGINE_OBJECTS: &[&str] =
    &["TABLE", "EXTERNAL", "UNBOUNDED", "FUNCTION", "DATABASE", "INDEX"];

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
    "ARRIVAL",
    "AS",
    "ASC",
    "AT",
    "AZURE_BLOB",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CANCEL",
    "CASE",
    "CAST",
    "CHANGES",
    "COLUMN",
    "COLUMNS",
    "COMMIT",
    "CONNECTION",
    "CONNECTIONS",
    "CONTAINER",
    "CONTAINERS",
    "COPY",
    "CRAWL",
    "CREATE",
    "CROSS",
    "DATABASE",
    "DAY",
    "DAYS",
    "DEALLOCATE",
    "DELETE",
    "DEPTH",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "DOT",
    "DOWNSTREAM",
    "DROP",
    "ELSE",
    "END",
    "ENV",
    "EVERY",
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
    "FILES",
    "FOR",
    "FROM",
    "FTP",
    "FULL",
    "FUNCTION",
    "FUNCTIONS",
    "GCS",
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
    "JOB",
    "JOBS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "LINEAGE",
    "LIST",
    "LOCAL",
    "LOCATION",
    "MANIFEST",
    "MERGE",
    "MINUTE",
    "MINUTES",
    "MONTH",
    "MONTH_END",
    "MOVE",
    "NOT",
    "NULL",
    "OF",
    "OFFSET",
    "ON",
    "OPENLINEAGE",
    "OPTIONS",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "PAUSE",
    "PREPARE",
    "PREVIEW",
    "PROFILE",
    "QUARTER",
    "QUARTER_END",
    "RECURSIVE",
    "REPLACE",
    "RESET",
    "RESUME",
    "RIGHT",
    "ROLLBACK",
    "RUN",
    "RUNS",
    "S3",
    "SCHEDULE",
    "SCHEMA",
    "SCHEMAS",
    "SEARCH",
    "SECOND",
    "SECONDS",
    "SECRET",
    "SECRETS",
    "SELECT",
    "SET",
    "SFTP",
    "SHOW",
    "START",
    "SUMMARIZE",
    "SYNC",
    "TABLE",
    "TABLES",
    "TEMP",
    "TEMPORARY",
    "TEST",
    "THEN",
    "TIME",
    "TIMEZONE",
    "TO",
    "TRUE",
    "TRUNCATE",
    "UNBOUNDED",
    "UNION",
    "UPDATE",
    "UPSTREAM",
    "USE",
    "USING",
    "VALUES",
    "VARIABLE",
    "VARIABLES",
    "VIEW",
    "WEBDAV",
    "WEEK",
    "WEEK_END",
    "WHEN",
    "WHERE",
    "WITH",
    "WRITE",
    "YEAR",
    "YEAR_END",
    "ZONE",
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
            assert!(
                KEYWORDS.contains(&word)
                    || ["VARIABLE", "ROOT", "HH", "MM", "DD", "YYYY"].contains(&word),
                "{word}"
            );
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
