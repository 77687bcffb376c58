//! Statements that belong to PostgreSQL's sessions rather than to Windlass: transactions, cursors,
//! `COPY ... TO STDOUT`, clean-up.

use windlass_types::{Error, ErrorCode, Result};

/// Format of `COPY ... TO STDOUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyFormat {
    pub(crate) csv: bool,
    pub(crate) header: bool,
    pub(crate) delimiter: char,
    pub(crate) null: String,
}

/// A statement of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    Begin,
    Commit,
    Rollback,
    /// Taken and forgotten: the tag to answer.
    Quiet(&'static str),
    DiscardAll,
    /// A prepared statement; None is all.
    Deallocate(Option<String>),
    Declare {
        name: String,
        query: String,
    },
    /// None is all that is left.
    Fetch {
        name: String,
        count: Option<u64>,
        /// MOVE: rows are skipped.
        skip: bool,
    },
    /// A cursor; None is all.
    Close(Option<String>),
    CopyOut {
        query: String,
        format: CopyFormat,
    },
    CopyIn,
}

/// A word or sign with its place in the text.
struct Token<'a> {
    text: &'a str,
    at: usize,
}

impl Token<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Words, numbers, quoted texts and signs; comments are left out.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at += text[at..].find("*/").map_or(text.len() - at, |end| end + 2);
                continue;
            }
            quote @ (b'\'' | b'"') => {
                at += 1;
                while at < bytes.len() {
                    if bytes[at] == quote {
                        at += 1;
                        if bytes.get(at) != Some(&quote) {
                            break;
                        }
                    }
                    at += 1;
                }
            }
            b if b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80 => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric()
                        || b"_$".contains(&bytes[at])
                        || bytes[at] >= 0x80)
                {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        out.push(Token { text: &text[start..at.min(text.len())], at: start });
    }
    out
}

/// A name as PostgreSQL folds it.
fn name(token: &str) -> String {
    match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => token.to_ascii_lowercase(),
    }
}

fn literal(token: &str) -> String {
    match token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) => inner.replace("''", "'"),
        None => token.to_owned(),
    }
}

/// Words that begin a statement of the session.
const KNOWN: &[&str] = &[
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "discard",
    "deallocate",
    "declare",
    "fetch",
    "move",
    "close",
    "copy",
    "listen",
    "unlisten",
    "notify",
    "lock",
];

/// Reads a statement of the session; None if it is another's.
pub(crate) fn read(text: &str) -> Result<Option<Words>> {
    // The first word settles most statements.
    let head: String = text
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .take(12)
        .collect::<String>()
        .to_ascii_lowercase();
    if !head.is_empty() && !KNOWN.contains(&head.as_str()) {
        return Ok(None);
    }
    let tokens = tokens(text);
    let Some(first) = tokens.first() else { return Ok(None) };
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    Ok(Some(match first.text.to_ascii_lowercase().as_str() {
        "begin" => Words::Begin,
        "start" if is(1, "transaction") => Words::Begin,
        "commit" | "end" => Words::Commit,
        "rollback" if is(1, "to") || is(2, "to") => Words::Quiet("ROLLBACK"),
        "rollback" | "abort" => Words::Rollback,
        "savepoint" => Words::Quiet("SAVEPOINT"),
        "release" => Words::Quiet("RELEASE"),
        "listen" => Words::Quiet("LISTEN"),
        "unlisten" => Words::Quiet("UNLISTEN"),
        "notify" => Words::Quiet("NOTIFY"),
        "lock" => Words::Quiet("LOCK TABLE"),
        "discard" => Words::DiscardAll,
        "deallocate" => {
            let at = if is(1, "prepare") { 2 } else { 1 };
            let which = tokens.get(at).ok_or_else(|| unread("DEALLOCATE name"))?;
            Words::Deallocate((!which.is("all")).then(|| name(which.text)))
        }
        "declare" => declare(text, &tokens)?,
        "fetch" | "move" => fetch(&tokens, first.is("move"))?,
        "close" => {
            let which = tokens.get(1).ok_or_else(|| unread("CLOSE name"))?;
            Words::Close((!which.is("all")).then(|| name(which.text)))
        }
        "copy" => return copy(text, &tokens),
        _ => return Ok(None),
    }))
}

fn unread(how: &str) -> Error {
    Error::new(ErrorCode::SqlSyntax, "this statement cannot be read").hint(format!("write {how}"))
}

fn declare(text: &str, tokens: &[Token<'_>]) -> Result<Words> {
    let wrong = || unread("DECLARE name CURSOR FOR query");
    let cursor = tokens.iter().position(|token| token.is("cursor")).ok_or_else(wrong)?;
    let words = &tokens[1..cursor];
    if words.iter().skip(1).any(|word| word.is("scroll")) && !words.iter().any(|word| word.is("no"))
    {
        return Err(Error::new(ErrorCode::StatementUnsupported, "a cursor reads forward only")
            .hint("leave SCROLL out"));
    }
    let until = tokens[cursor..].iter().position(|token| token.is("for")).ok_or_else(wrong)?;
    let query = tokens.get(cursor + until + 1).ok_or_else(wrong)?;
    let name = name(words.first().ok_or_else(wrong)?.text);
    Ok(Words::Declare { name, query: text[query.at..].to_owned() })
}

fn fetch(tokens: &[Token<'_>], skip: bool) -> Result<Words> {
    let backward = ["backward", "prior", "first", "last", "absolute", "relative"];
    let mut count = Some(1);
    let mut which = None;
    for token in &tokens[1..] {
        if token.is("all") {
            count = None;
        } else if let Ok(number) = token.text.parse::<u64>() {
            count = Some(number);
        } else if backward.iter().any(|word| token.is(word)) || token.text == "-" {
            return Err(Error::new(ErrorCode::StatementUnsupported, "a cursor reads forward only")
                .hint("write FETCH count FROM name"));
        } else if !["forward", "next", "from", "in"].iter().any(|word| token.is(word)) {
            which = Some(name(token.text));
        }
    }
    let name = which.ok_or_else(|| unread("FETCH count FROM name"))?;
    Ok(Words::Fetch { name, count, skip })
}

fn copy(text: &str, tokens: &[Token<'_>]) -> Result<Option<Words>> {
    if tokens.windows(2).any(|two| two[0].is("from") && two[1].is("stdin")) {
        return Ok(Some(Words::CopyIn));
    }
    let Some(to) = tokens.windows(2).position(|two| two[0].is("to") && two[1].is("stdout")) else {
        return Ok(None);
    };
    let source = tokens.get(1).filter(|token| token.at < tokens[to].at);
    let source = source.ok_or_else(|| unread("COPY (query) TO STDOUT"))?;
    let inner = text[source.at..tokens[to].at].trim();
    let query = match inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(query) => query.to_owned(),
        // COPY table (columns) TO STDOUT.
        None => match inner.split_once('(') {
            Some((table, columns)) => {
                format!("SELECT {} FROM {table}", columns.trim_end_matches(')'))
            }
            None => format!("SELECT * FROM {inner}"),
        },
    };
    let mut options =
        tokens[to + 2..].iter().filter(|token| !"(),=".contains(token.text)).peekable();
    let mut format = CopyFormat { csv: false, header: false, delimiter: '\0', null: String::new() };
    let mut null = None;
    while let Some(option) = options.next() {
        let unknown = || {
            Error::new(
                ErrorCode::StatementUnsupported,
                format!("COPY TO STDOUT does not know `{}`", option.text),
            )
            .hint("it takes FORMAT text or csv, HEADER, DELIMITER, NULL and ENCODING 'UTF8'")
        };
        let mut value = || options.next().map(|token| literal(token.text)).ok_or_else(unknown);
        match option.text.to_ascii_lowercase().as_str() {
            "with" => {}
            "csv" => format.csv = true,
            "format" => match value()?.to_ascii_lowercase().as_str() {
                "csv" => format.csv = true,
                "text" => format.csv = false,
                _ => return Err(unknown()),
            },
            "header" => {
                let off = options.peek().is_some_and(|token| token.is("false") || token.is("off"));
                let said =
                    off || options.peek().is_some_and(|token| token.is("true") || token.is("on"));
                if said {
                    options.next();
                }
                format.header = !off;
            }
            "delimiter" => {
                let text = value()?;
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => format.delimiter = c,
                    _ => return Err(unknown()),
                }
            }
            "null" => null = Some(value()?),
            "encoding" => {
                if !["utf8", "utf-8"].contains(&value()?.to_ascii_lowercase().as_str()) {
                    return Err(unknown());
                }
            }
            _ => return Err(unknown()),
        }
    }
    if format.delimiter == '\0' {
        format.delimiter = if format.csv { ',' } else { '\t' };
    }
    format.null = null.unwrap_or_else(|| if format.csv { String::new() } else { "\\N".to_owned() });
    Ok(Some(Words::CopyOut { query, format }))
}

impl CopyFormat {
    /// Appends one row.
    pub(crate) fn row(&self, cells: impl Iterator<Item = Option<String>>, out: &mut Vec<u8>) {
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                out.extend(self.delimiter.to_string().bytes());
            }
            match cell {
                None => out.extend(self.null.bytes()),
                Some(text) if self.csv => {
                    let quoted = text == self.null
                        || text == "\\."
                        || text.contains(|c| c == self.delimiter || "\"\r\n".contains(c));
                    if quoted {
                        out.push(b'"');
                        out.extend(text.replace('"', "\"\"").bytes());
                        out.push(b'"');
                    } else {
                        out.extend(text.bytes());
                    }
                }
                Some(text) => {
                    for c in text.chars() {
                        match c {
                            '\\' => out.extend(b"\\\\"),
                            '\n' => out.extend(b"\\n"),
                            '\r' => out.extend(b"\\r"),
                            '\t' => out.extend(b"\\t"),
                            c if c == self.delimiter => {
                                out.push(b'\\');
                                out.extend(c.to_string().bytes());
                            }
                            c => out.extend(c.to_string().bytes()),
                        }
                    }
                }
            }
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str) -> Words {
        read(text).unwrap().unwrap()
    }

    #[test]
    fn statements_of_sessions_are_told_from_those_of_windlass() {
        assert_eq!(is("BEGIN READ ONLY"), Words::Begin);
        assert_eq!(is("/* tool */ start transaction"), Words::Begin);
        assert_eq!(is("ROLLBACK TO SAVEPOINT s"), Words::Quiet("ROLLBACK"));
        assert_eq!(is("rollback"), Words::Rollback);
        assert_eq!(
            is("DEALLOCATE PREPARE \"_pg3_1\""),
            Words::Deallocate(Some("_pg3_1".to_owned()))
        );
        assert_eq!(is("CLOSE ALL"), Words::Close(None));
        for other in [
            "SELECT 1",
            "COPY FILES FROM a.\"x/\" TO b.\"y/\"",
            "COPY (SELECT 1) TO 'a:b/c.csv'",
            "",
        ] {
            assert_eq!(read(other).unwrap(), None, "{other}");
        }
    }

    #[test]
    fn cursors_read_forward() {
        assert_eq!(
            is("DECLARE _psql_cursor NO SCROLL CURSOR FOR\nSELECT 'for' FROM t"),
            Words::Declare {
                name: "_psql_cursor".to_owned(),
                query: "SELECT 'for' FROM t".to_owned()
            }
        );
        assert_eq!(
            is("FETCH FORWARD 100 FROM \"C\""),
            Words::Fetch { name: "C".to_owned(), count: Some(100), skip: false }
        );
        assert_eq!(
            is("MOVE FORWARD ALL IN c"),
            Words::Fetch { name: "c".to_owned(), count: None, skip: true }
        );
        assert!(read("FETCH BACKWARD 1 FROM c").is_err());
        assert!(read("DECLARE c SCROLL CURSOR FOR SELECT 1").is_err());
    }

    #[test]
    fn copy_to_the_client_knows_its_formats() {
        let Words::CopyOut { query, format } =
            is("COPY (SELECT a, ')' FROM t) TO STDOUT WITH (FORMAT csv, HEADER, DELIMITER ';')")
        else {
            panic!("not a copy")
        };
        assert_eq!(query, "SELECT a, ')' FROM t");
        assert!(format.csv && format.header && format.delimiter == ';' && format.null.is_empty());
        let mut out = Vec::new();
        format.row([Some("a;b".to_owned()), None, Some(String::new())].into_iter(), &mut out);
        assert_eq!(out, b"\"a;b\";;\"\"\n");
        let Words::CopyOut { query, format } = is("copy t (a, b) to stdout") else {
            panic!("not a copy")
        };
        assert_eq!(query, "SELECT a, b FROM t ");
        let mut out = Vec::new();
        format.row([Some("a\tb\\".to_owned()), None].into_iter(), &mut out);
        assert_eq!(out, b"a\\tb\\\\\t\\N\n");
        assert_eq!(is("COPY t FROM STDIN"), Words::CopyIn);
        assert!(read("COPY t TO STDOUT (FORMAT binary)").is_err());
    }
}
