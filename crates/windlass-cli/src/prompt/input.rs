//! When Enter ends the input: a `\` command, nothing, or statements whose last one has its `;`.

use reedline::{ValidationResult, Validator};

/// Asks for more lines until the input is whole.
pub(super) struct Whole;

impl Validator for Whole {
    fn validate(&self, line: &str) -> ValidationResult {
        if is_whole(line) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

/// Whether the last statement has its `;`: outside quotes and comments, with nothing after it.
fn has_ended(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut ended = true;
    while at < bytes.len() {
        let rest = &text[at..];
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                loop {
                    let Some(found) = text[at + 1..].find(char::from(quote)) else {
                        return false;
                    };
                    at += 1 + found;
                    if bytes.get(at + 1) != Some(&quote) {
                        break;
                    }
                    at += 1;
                }
                at += 1;
                ended = false;
            }
            b'-' if rest.starts_with("--") => match rest.find('\n') {
                Some(end) => at += end + 1,
                None => return ended,
            },
            b'/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) => at += end + 2,
                None => return false,
            },
            b'$' => {
                let tag = rest[1..].find('$').map(|end| &rest[..end + 2]).filter(|tag| {
                    tag[1..tag.len() - 1].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                });
                match tag {
                    Some(tag) => match rest[tag.len()..].find(tag) {
                        Some(end) => at += end + 2 * tag.len(),
                        None => return false,
                    },
                    None => at += 1,
                }
                ended = false;
            }
            b';' => {
                ended = true;
                at += 1;
            }
            byte => {
                if !byte.is_ascii_whitespace() {
                    ended = false;
                }
                at += 1;
                while !text.is_char_boundary(at) {
                    at += 1;
                }
            }
        }
    }
    ended
}

fn is_whole(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.is_empty() || trimmed.starts_with('\\') || has_ended(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_whole_at_its_semicolon_but_not_inside_quotes_or_comments() {
        for whole in [
            "",
            "\\q",
            "SELECT 1;",
            "SELECT ';';",
            "SELECT 1; -- done",
            "SELECT $a$;$a$;",
            "SELECT 'it''s';",
            "SELECT \"a;\"\"b\";",
            "SELECT 1 /* ; */;\n",
            "SELECT 'ö';",
            "-- note",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT /* ;",
            "SELECT $a$;",
            "SELECT \"a;",
            "SELECT 1; SELECT 2",
            "SELECT 'it'';",
        ] {
            assert!(!is_whole(open), "{open}");
        }
    }
}
