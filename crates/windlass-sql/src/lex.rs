//! Text to tokens with places, by sqlparser's tokenizer.
//!
//! Knows no grammar. A text that cannot be read to its end still gives the tokens before the fault.

use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};
use std::ops::Range;
use windlass_types::{Error, ErrorCode};

/// A place in a text as people count: from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A token that means something.
#[derive(Debug, Clone)]
pub(crate) struct Tok {
    pub(crate) token: Token,
    pub(crate) range: Range<usize>,
    pub(crate) place: Place,
    /// Where it ends: an error about a missing token points here.
    pub(crate) end: Place,
}

impl Tok {
    /// The word, if it is one without quotes.
    pub(crate) fn bare(&self) -> Option<&str> {
        match &self.token {
            Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    /// Whether it is this keyword.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.bare().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }
}

/// Why the text could not be read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) offset: usize,
    /// The first character of what could not be read.
    pub(crate) opening: Option<char>,
    message: String,
}

impl Fault {
    pub(crate) fn error(&self) -> Error {
        let (what, hint) = if self.message.starts_with("Unterminated dollar") {
            ("a dollar-quoted text is not closed", "end it as it began, such as `$$`")
        } else if self.message.starts_with("Unterminated") {
            (
                "a text is not closed",
                "end it with `'`; a quote inside a text is written twice: `''`",
            )
        } else if self.message.starts_with("Expected close delimiter") {
            (
                "a quoted name is not closed",
                "end it with `\"`; a quote inside a quoted name is written twice: `\"\"`",
            )
        } else if self.message.contains("multi-line comment") {
            ("a comment is not closed", "end it with `*/`; comments nest")
        } else {
            ("this cannot be read", "text is in single quotes, names in double quotes")
        };
        let Place { line, column } = self.place;
        Error::new(ErrorCode::SqlSyntax, format!("{what} at line {line}, column {column}"))
            .hint(hint)
    }
}

/// A text as tokens.
#[derive(Debug)]
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Tok>,
    pub(crate) comments: Vec<Range<usize>>,
    pub(crate) fault: Option<Fault>,
}

impl Lexed {
    /// The tokens of each statement, without the `;`; some may be empty.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &[Tok]> {
        self.tokens.split(|tok| tok.token == Token::SemiColon)
    }
}

/// From the first to the last of these tokens, in bytes.
pub(crate) fn extent(tokens: &[Tok]) -> Option<Range<usize>> {
    Some(tokens.first()?.range.start..tokens.last()?.range.end)
}

/// Reads a text into tokens, in time linear in its length.
pub(crate) fn lex(text: &str) -> Lexed {
    let dialect = crate::dialect();
    let mut spans: Vec<TokenWithSpan> = Vec::new();
    let result = Tokenizer::new(&dialect, text).tokenize_with_location_into_buf(&mut spans);
    let mut walk =
        Walk { rest: text.char_indices(), offset: 0, place: Place { line: 1, column: 1 } };
    let mut lexed = Lexed { tokens: Vec::new(), comments: Vec::new(), fault: None };
    for TokenWithSpan { token, span } in spans {
        let (start, place) = (walk.offset, walk.place);
        walk.to(Place { line: span.end.line, column: span.end.column });
        let range = start..walk.offset;
        match token {
            Token::Whitespace(
                Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_),
            ) => {
                lexed.comments.push(range);
            }
            Token::Whitespace(_) | Token::EOF => {}
            token => lexed.tokens.push(Tok { token, range, place, end: walk.place }),
        }
    }
    if let Err(error) = result {
        lexed.fault = Some(Fault {
            place: walk.place,
            offset: walk.offset,
            opening: text[walk.offset..].chars().next(),
            message: error.message,
        });
    }
    lexed
}

/// Follows the tokenizer's line and column through the text, for byte offsets.
struct Walk<'a> {
    rest: std::str::CharIndices<'a>,
    offset: usize,
    place: Place,
}

impl Walk<'_> {
    fn to(&mut self, end: Place) {
        while (self.place.line, self.place.column) < (end.line, end.column) {
            let Some((at, char)) = self.rest.next() else { return };
            self.offset = at + char.len_utf8();
            if char == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_knows_its_bytes_and_its_place() {
        let text = "LIST ä.\"x\ny\"\r\n -- note\n /* a /* b */ */ 'é''s' ; 5 MINUTES";
        let lexed = lex(text);
        let shown: Vec<String> = lexed
            .tokens
            .iter()
            .map(|t| format!("{}:{} {}", t.place.line, t.place.column, &text[t.range.clone()]))
            .collect();
        assert_eq!(
            shown.join(" | "),
            "1:1 LIST | 1:6 ä | 1:7 . | 1:8 \"x\ny\" | 4:18 'é''s' | 4:25 ; | 4:27 5 | 4:29 MINUTES"
        );
        assert_eq!(lexed.comments.len(), 2);
    }

    #[test]
    fn what_comes_before_a_fault_is_kept() {
        for (text, offset) in
            [("LIST 'a", 5), ("a \"b", 2), ("a /* b", 2), ("a $$ b", 2), ("x U&'\\zz'", 2)]
        {
            let fault = lex(text).fault.unwrap();
            assert_eq!(fault.offset, offset, "{text}");
        }
    }
}
