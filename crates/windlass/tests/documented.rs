//! What the documentation tells people to type is what the program takes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Every page written by hand.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![root.join("README.md")];
    for entry in std::fs::read_dir(root.join("docs/guide")).unwrap() {
        files.push(entry.unwrap().path());
    }
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

/// Lines of the fenced blocks of a language, with their fences' number.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), block.take()) {
            (Some(_), Some((wanted, lines))) => found.extend(wanted.then_some(lines)),
            (Some(said), None) => block = Some((said.trim() == language, String::new())),
            (None, Some((wanted, lines))) => block = Some((wanted, format!("{lines}{line}\n"))),
            (None, None) => {}
        }
    }
    found
}

/// Words of a line as a shell parts them, up to a pipe or a redirection.
fn words(line: &str) -> Vec<OsString> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        let last = words.last_mut().unwrap();
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => last.extend(rest.next()),
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') => words.push(String::new()),
            (None, '|' | '>' | '<' | ')') => break,
            (_, c) => last.push(c),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).map(OsString::from).collect()
}

/// The commands of a block. Two blanks part a command from what is said of it, or from another.
fn commands(block: &str) -> Vec<&str> {
    block
        .lines()
        .flat_map(|line| line.split("  "))
        .filter_map(|part| part.find("windlass ").map(|at| &part[at..]))
        .filter(|part| !part.contains('|') || !part.contains("list | show"))
        .collect()
}

#[test]
fn commands_of_the_documentation_are_read() {
    let mut seen = 0;
    for (file, text) in pages() {
        for block in blocks(&text, "") {
            for command in commands(&block) {
                seen += 1;
                let read = windlass_cli::parse(words(command));
                assert!(
                    matches!(read, Ok(_) | Err(0)),
                    "{}: `{command}` is not a command",
                    file.display()
                );
            }
        }
    }
    assert!(seen >= 30, "{seen}");
}

#[test]
fn statements_of_the_documentation_are_read() {
    let mut seen = 0;
    for (file, text) in pages() {
        for block in blocks(&text, "sql") {
            let run = windlass_types::RunId::new().to_string();
            match windlass_core::sql::parse(&block.replace("rn_…", &run)) {
                Ok(statements) => seen += statements.len(),
                Err(error) => panic!("{}: {}\n{block}", file.display(), error.chain()),
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn flags_of_the_documentation_are_known() {
    let known = windlass_cli::reference_markdown();
    for (file, text) in pages() {
        for at in text.match_indices("--").map(|(at, _)| at) {
            let before = text[..at].chars().next_back().unwrap_or(' ');
            let flag: String = text[at + 2..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            if !flag.starts_with(|c: char| c.is_ascii_lowercase())
                || before == '-'
                || before.is_alphanumeric()
            {
                continue;
            }
            // Those of other programs.
            if matches!(flag.as_str(), "release" | "locked") {
                continue;
            }
            let flag = format!("--{flag}");
            assert!(known.contains(&flag), "{}: no command takes `{flag}`", file.display());
        }
    }
}
