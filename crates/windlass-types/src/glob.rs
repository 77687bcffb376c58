//! Patterns over keys: one grammar for every filter and file table (M-J9).
//!
//! `*` within a level, `**` across levels, `?` one character, `[..]` a set or range, `{a,b}`
//! alternatives. To match a special character write it as a set: `[?]`.

use crate::error::{Error, ErrorCode, Result};

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct KeyPattern {
    text: String,
    matcher: globset::GlobMatcher,
}

/// Characters that make a text a pattern.
const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

impl KeyPattern {
    /// Compiles `text`.
    pub fn parse(text: &str) -> Result<Self> {
        let glob = globset::GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(false)
            .empty_alternates(true)
            .build()
            .map_err(|error| {
                Error::new(ErrorCode::PathInvalid, format!("`{text}` is not a pattern"))
                    .source(std::io::Error::other(error.kind().to_string()))
                    .hint("to match a special character itself, put it in a set: `[?]`, `[[]`")
            })?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// Compiles what chooses among names below a place. A leading `/` or `./` anchors it there: it is
    /// no part of what is matched, but stays in the [text](Self::as_str).
    pub fn filter(text: &str) -> Result<Self> {
        let bare = Self::anchored(text).unwrap_or(text);
        if bare.is_empty() {
            return Err(Error::new(
                ErrorCode::UsageInvalid,
                format!("`{text}` is no pattern: it would match no name"),
            )
            .hint("leave it out to choose everything; `tmp` names it at any depth, `/tmp` only at the top"));
        }
        Ok(Self { text: text.to_owned(), matcher: Self::parse(bare)?.matcher })
    }

    /// What follows the `/` or `./` by which a filter is anchored; None if it is not.
    pub fn anchored(text: &str) -> Option<&str> {
        text.strip_prefix("./").or_else(|| text.strip_prefix('/'))
    }

    /// Whether the text has any wildcard.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(SPECIAL)
    }

    /// Whether `key` matches the whole pattern.
    pub fn matches(&self, key: &str) -> bool {
        self.matcher.is_match(key)
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text before the first wildcard: every match begins with it, so a listing can too.
    pub fn literal_prefix(&self) -> &str {
        literal_prefix(&self.text)
    }

    /// The part before the first level with a wildcard, with its `/`: what a copy leaves out of names.
    pub fn base(&self) -> &str {
        let literal = self.literal_prefix();
        literal.rfind('/').map_or("", |at| &literal[..=at])
    }
}

/// The text before the first wildcard.
pub fn literal_prefix(text: &str) -> &str {
    text.find(SPECIAL).map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_the_contract() {
        let yes = |pattern: &str, key: &str| KeyPattern::parse(pattern).unwrap().matches(key);
        assert!(yes("a/*.csv", "a/x.csv") && !yes("a/*.csv", "a/b/x.csv"));
        assert!(yes("a/**/x.csv", "a/x.csv") && yes("a/**/x.csv", "a/b/c/x.csv"));
        assert!(yes("**/*.parquet", "x.parquet") && yes("a/**", "a/b/c"));
        assert!(yes("a?c", "abc") && !yes("a?c", "a/c"));
        assert!(yes("[a-c]x", "bx") && yes("a[?]b", "a?b") && !yes("a[?]b", "axb"));
        assert!(yes("{a,b}/x", "b/x") && yes("x.csv{,.gz}", "x.csv"));
        assert!(yes("a\\b", "a\\b"));
        assert!(KeyPattern::parse("a[").is_err());
    }

    #[test]
    fn a_filter_may_be_anchored_but_not_empty() {
        for text in ["/tmp", "./tmp"] {
            let pattern = KeyPattern::filter(text).unwrap();
            assert!(pattern.matches("tmp") && !pattern.matches("a/tmp"), "{text}");
            assert_eq!(pattern.as_str(), text);
        }
        assert!(KeyPattern::filter("//x").unwrap().matches("/x"), "an empty level");
        for text in ["", "/", "./"] {
            let error = KeyPattern::filter(text).unwrap_err();
            assert_eq!(error.code(), ErrorCode::UsageInvalid, "{text}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn the_base_is_what_a_copy_leaves_out() {
        let pattern = KeyPattern::parse("orders/dt=2026-*/x.csv").unwrap();
        assert_eq!(pattern.base(), "orders/");
        assert_eq!(pattern.literal_prefix(), "orders/dt=2026-");
    }
}
