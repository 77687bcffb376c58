//! What `\?` and `\h` say.

/// Commands of the prompt.
pub(super) const COMMANDS: &str = r"\?             this help
\h [WORD]      statements, or those with WORD
\c [CONN]      connections, or the options of one
\d [TABLE]     file tables, or the columns of one
\o FORMAT      table, json, jsonl or csv
\x [on|off]    rows as blocks, a line a column, or as lines of a table
\timing        show how long each statement took, or stop it
\q             leave (Ctrl-D too)
Tab completes keywords, connections and paths: SELECT * FROM landing.<Tab>
Ctrl-C stops a statement, Ctrl-R searches the history, Alt-Enter begins a new line
";

/// The statements that have `word`, or all of them.
pub(super) fn statements(word: &str) -> String {
    let word = word.to_uppercase();
    let rows = windlass_core::sql::help().iter();
    let shown: Vec<String> = rows
        .filter(|row| row.syntax.to_uppercase().contains(&word))
        .map(|row| format!("{}\n    {}\n    e.g. {};\n", row.syntax, row.doc, row.example))
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
        assert_eq!(statements("").matches("    e.g. ").count(), windlass_core::sql::help().len());
    }
}
