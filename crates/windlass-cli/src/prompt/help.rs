//! What `\?` and `\h` say.

/// Commands of the prompt.
pub(super) const COMMANDS: &str = r"\?             this help
\h [WORD]      statements, or those with WORD
\c [CONN]      connections, or the options of one
\d [TABLE]     file tables, or the columns of one
\o FORMAT      table, json, jsonl or csv
\timing        show how long each statement took, or stop it
\q             leave (Ctrl-D too)
Tab completes keywords, connections and paths: SELECT * FROM landing.<Tab>
Ctrl-C stops a statement, Ctrl-R searches the history, Alt-Enter begins a new line
";

/// Statements and what they do.
const STATEMENTS: &[(&str, &str)] = &[
    ("CREATE [OR REPLACE] S3 CONNECTION [IF NOT EXISTS] n OPTION = value ...", "connect to S3"),
    ("CREATE LOCAL CONNECTION n ROOT = '/dir'", "connect to a folder"),
    ("ALTER S3 CONNECTION n SET OPTION = value | RESET OPTION", "change a connection"),
    ("DROP CONNECTION [IF EXISTS] n", "forget a connection"),
    ("TEST CONNECTION n [WITH WRITE]", "test a connection step by step"),
    ("SHOW CONNECTIONS [LIKE 'pattern']", "list connections"),
    ("DESCRIBE CONNECTION n", "options of a connection"),
    ("SHOW CREATE CONNECTION n", "the statement that makes it, secrets masked"),
    ("CREATE SECRET n = 'value' | FROM ENV 'NAME' | FROM FILE 'path'", "keep a secret"),
    ("ALTER SECRET n = 'value'", "change a secret"),
    ("DROP SECRET [IF EXISTS] n", "forget a secret"),
    ("SHOW SECRETS", "names, dates, use; never values"),
    ("LIST conn.\"bucket/prefix/\" [RECURSIVE]", "list what is there"),
    ("SELECT ... FROM conn.\"bucket/orders/*.csv\"", "query files where they are"),
    ("CREATE FILE TABLE [IF NOT EXISTS] n ON conn LOCATION = 's3://...'", "name files as a table"),
    ("DROP FILE TABLE [IF EXISTS] n", "forget a file table"),
    ("DESCRIBE table", "columns of a table or of files"),
    ("CREATE SCHEMA [IF NOT EXISTS] n", "a place for tables"),
    ("USE FABRIC n", "work in another fabric"),
];

/// The statements that have `word`, or all of them.
pub(super) fn statements(word: &str) -> String {
    let word = word.to_uppercase();
    let has = |form: &str| form.to_uppercase().contains(&word);
    let shown: Vec<String> = STATEMENTS
        .iter()
        .filter(|(form, what)| has(form) || has(what))
        .map(|(form, what)| format!("{form};\n      {what}\n"))
        .collect();
    if shown.is_empty() {
        return "no statement has that word; `\\h` shows them all\n".to_owned();
    }
    shown.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_finds_statements_by_a_word() {
        assert!(statements("secret").contains("CREATE SECRET"));
        assert!(!statements("secret").contains("USE FABRIC"));
        assert!(statements("nonsense").contains("no statement"));
        assert_eq!(statements("").matches(";\n").count(), STATEMENTS.len());
    }
}
