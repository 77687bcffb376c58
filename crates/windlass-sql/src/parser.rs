//! The machinery of the parser: a cursor over tokens that remembers what would have fitted.
//!
//! What would have fitted where reading stopped makes both error texts and completion, so neither
//! has a grammar of its own. The grammar is in `statements` and `settings`.

use crate::ast::Statement;
use crate::help::{ENGINE_OBJECTS, ENGINE_SHOWS};
use crate::lex::{Place, Tok};
use crate::{KEYWORDS, ParseMode};
use sqlparser::tokenizer::Token;
use std::ops::Range;
use windlass_types::options::{OptionDef, nearest};
use windlass_types::{Error, ErrorCode, Name, Result};

/// Something that fits at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Want {
    Keyword(&'static str),
    /// A word that is the value of an option.
    Word(&'static str),
    /// Name of an option.
    Option(&'static str),
    /// An existing name.
    Name(Thing),
    /// A new name.
    New(Thing),
    /// A path behind this connection.
    Path(String),
    Symbol(&'static str),
    /// Text, number or the like: described, never completed.
    Literal(&'static str),
    /// The query engine's grammar goes on here.
    Engine,
    End,
}

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Connection,
    Secret,
    Fabric,
    Schema,
    Table,
    SystemTable,
    Job,
}

impl Thing {
    const fn describe(self) -> &'static str {
        match self {
            Self::Connection => "the name of a connection",
            Self::Secret => "the name of a secret",
            Self::Fabric => "the name of a fabric",
            Self::Schema => "the name of a schema",
            Self::Table => "the name of a table",
            Self::Job => "the name of a job",
            Self::SystemTable => "a system table such as CONNECTIONS",
        }
    }
}

/// Reads one statement.
pub(crate) struct Parser<'a> {
    pub(crate) tokens: &'a [Tok],
    pub(crate) source: &'a str,
    pub(crate) mode: ParseMode,
    pub(crate) pos: usize,
    /// What would have fitted at token `wanted_at`, the furthest looked at.
    pub(crate) wanted: Vec<Want>,
    pub(crate) wanted_at: usize,
    /// The first thing that reads well but means nothing, such as an unknown option.
    pub(crate) problem: Option<Error>,
    /// Bytes that hold secrets, or may.
    pub(crate) secrets: Vec<Range<usize>>,
    /// Tokens before this one stand where they belong.
    pub(crate) sound: usize,
    /// The statement may hold secrets: errors quote only words that cannot be one.
    pub(crate) sensitive: bool,
    /// The token that RESET names.
    pub(crate) resetting: Option<usize>,
    /// What to say if reading stops here.
    pub(crate) advice: Option<(usize, &'static str)>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(tokens: &'a [Tok], source: &'a str, mode: ParseMode) -> Self {
        Self {
            tokens,
            source,
            mode,
            pos: 0,
            wanted: Vec::new(),
            wanted_at: 0,
            problem: None,
            secrets: Vec::new(),
            sound: 0,
            sensitive: false,
            resetting: None,
            advice: None,
        }
    }

    /// The whole statement, or its first error.
    pub(crate) fn parse(&mut self) -> Result<Statement> {
        let statement = self.statement()?;
        match self.problem.take() {
            Some(problem) => Err(problem),
            None => Ok(statement),
        }
    }

    pub(crate) fn peek(&self) -> Option<&'a Tok> {
        self.tokens.get(self.pos)
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> Option<&'a Tok> {
        self.tokens.get(self.pos + ahead)
    }

    pub(crate) fn at_end(&self) -> bool {
        self.pos >= self.tokens.len()
    }

    pub(crate) fn want(&mut self, want: Want) {
        self.want_at(self.pos, want);
    }

    fn want_at(&mut self, at: usize, want: Want) {
        if at > self.wanted_at {
            self.wanted.clear();
            self.wanted_at = at;
        }
        if at == self.wanted_at && !self.wanted.contains(&want) {
            self.wanted.push(want);
        }
    }

    /// Takes these keywords if all of them follow.
    pub(crate) fn words(&mut self, words: &[&'static str]) -> bool {
        for (ahead, word) in words.iter().enumerate() {
            let at = self.pos + ahead;
            self.want_at(at, Want::Keyword(word));
            if !self.tokens.get(at).is_some_and(|tok| tok.is(word)) {
                return false;
            }
        }
        self.pos += words.len();
        true
    }

    /// Takes a keyword if it follows.
    pub(crate) fn word(&mut self, word: &'static str) -> bool {
        self.words(&[word])
    }

    /// Takes a keyword, which must follow.
    pub(crate) fn need_word(&mut self, word: &'static str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.fail()) }
    }

    /// Takes a symbol if it follows.
    pub(crate) fn symbol(&mut self, token: &Token, shown: &'static str) -> bool {
        self.want(Want::Symbol(shown));
        let found = self.peek().is_some_and(|tok| tok.token == *token);
        self.pos += usize::from(found);
        found
    }

    /// Takes `=`, which must follow.
    pub(crate) fn need_eq(&mut self) -> Result<()> {
        if self.symbol(&Token::Eq, "=") { Ok(()) } else { Err(self.fail()) }
    }

    /// The end, which must be here.
    pub(crate) fn need_end(&mut self) -> Result<()> {
        self.want(Want::End);
        if self.at_end() { Ok(()) } else { Err(self.fail()) }
    }

    /// Takes a text in single quotes, which must follow.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<String> {
        self.want(Want::Literal(what));
        match self.peek().map(|tok| &tok.token) {
            Some(Token::SingleQuotedString(text)) => {
                self.pos += 1;
                Ok(text.clone())
            }
            _ => Err(self.fail()),
        }
    }

    /// Takes a whole number from 0, which must follow.
    pub(crate) fn count(&mut self) -> Result<u64> {
        self.want(Want::Literal("a whole number"));
        match self.peek().map(|tok| &tok.token) {
            Some(Token::Number(digits, false)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                let number =
                    digits.parse().map_err(|_| self.error_here("the number is too large"))?;
                self.pos += 1;
                Ok(number)
            }
            _ => Err(self.fail()),
        }
    }

    /// Takes the text of an identifier: a bare word folded, a quoted one as it is.
    pub(crate) fn identifier(&mut self, want: Want) -> Result<String> {
        self.want(want);
        let Some(tok) = self.peek() else { return Err(self.fail()) };
        let Token::Word(word) = &tok.token else { return Err(self.fail()) };
        if word.quote_style.is_none()
            && !word.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            return Err(error_at(
                tok.place,
                ErrorCode::NameInvalid,
                "a bare name has only letters, digits and `_` of ASCII",
            )
            .hint("put any other name in double quotes"));
        }
        self.pos += 1;
        Ok(if word.quote_style.is_none() {
            word.value.to_ascii_lowercase()
        } else {
            word.value.clone()
        })
    }

    /// Takes a name, which must follow.
    pub(crate) fn name(&mut self, want: Want) -> Result<Name> {
        let place = self.place();
        let text = self.identifier(want)?;
        Name::new(text).map_err(|error| located(&error, place))
    }

    /// Takes a name that is to be made: it cannot be a reserved one.
    pub(crate) fn new_name(&mut self, thing: Thing) -> Result<Name> {
        let place = self.place();
        self.name(Want::New(thing))?.not_reserved().map_err(|error| located(&error, place))
    }

    /// Where the next token is, or the last one ended.
    pub(crate) fn place(&self) -> Place {
        self.place_of(self.pos)
    }

    fn place_of(&self, at: usize) -> Place {
        match (self.tokens.get(at), self.tokens.last()) {
            (Some(tok), _) => tok.place,
            (None, Some(last)) => last.end,
            (None, None) => Place { line: 1, column: 1 },
        }
    }

    /// Keeps the first problem; reading goes on.
    pub(crate) fn note(&mut self, problem: Error) {
        self.problem.get_or_insert(problem);
    }

    /// If reading stops at the next token, say this.
    pub(crate) fn advise(&mut self, hint: &'static str) {
        self.advice = Some((self.pos, hint));
    }

    /// An error at the next token.
    pub(crate) fn error_here(&self, what: &str) -> Error {
        error_at(self.place(), ErrorCode::SqlSyntax, what)
    }

    /// The error for what does not fit: says what would have, what is there, and where.
    pub(crate) fn fail(&mut self) -> Error {
        if let Some(problem) = self.problem.take() {
            return problem; // it came first in the text
        }
        self.pos = self.wanted_at;
        let found = self.peek().map_or_else(|| "the end".to_owned(), |tok| self.shown(tok));
        let error = self.error_here(&format!("expected {}, found {found}", self.expected()));
        match self.advice_here() {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn advice_here(&self) -> Option<String> {
        let keywords: Vec<&str> = self
            .wanted
            .iter()
            .filter_map(|want| match want {
                Want::Keyword(word) | Want::Option(word) | Want::Word(word) => Some(*word),
                _ => None,
            })
            .collect();
        let near = self.peek().and_then(Tok::bare).and_then(|word| nearest(word, &keywords));
        if let Some(near) = near {
            return Some(format!("did you mean {near}?"));
        }
        if let Some((at, hint)) = self.advice
            && at == self.pos
        {
            return Some(hint.to_owned());
        }
        let wants_text = self
            .wanted
            .iter()
            .any(|want| matches!(want, Want::Literal(what) if !what.ends_with("number")));
        let wants_name =
            self.wanted.iter().any(|want| matches!(want, Want::Name(_) | Want::New(_)));
        match self.peek().map(|tok| &tok.token) {
            Some(Token::Word(word)) if wants_text && word.quote_style.is_some() => {
                Some("text is in single quotes; double quotes are for names".to_owned())
            }
            Some(Token::Word(_)) if wants_text => Some("text is in single quotes".to_owned()),
            Some(Token::SingleQuotedString(_)) if wants_name => {
                Some("names are bare or in double quotes; single quotes are for text".to_owned())
            }
            Some(Token::Number(..)) if wants_name => {
                Some("a name that begins with a digit goes in double quotes".to_owned())
            }
            Some(token) if wants_text && is_literal(token) => Some(
                "text is in plain single quotes; a quote inside is written twice: `''`".to_owned(),
            ),
            _ => None,
        }
    }

    fn expected(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut options = false;
        for want in &self.wanted {
            let part = match want {
                // What may be left out, and the engine's rarer objects, only make the list long.
                Want::Keyword("OR" | "IF") if self.wanted.len() > 1 => continue,
                Want::Keyword(word)
                    if ENGINE_OBJECTS[1..].contains(word) || ENGINE_SHOWS[4..].contains(word) =>
                {
                    continue;
                }
                Want::Keyword(word) | Want::Word(word) => (*word).to_owned(),
                Want::Option(_) => {
                    if std::mem::replace(&mut options, true) {
                        continue;
                    }
                    "an option".to_owned()
                }
                Want::Name(thing) | Want::New(thing) => thing.describe().to_owned(),
                Want::Path(_) => "a path in double quotes".to_owned(),
                Want::Symbol(symbol) => format!("`{symbol}`"),
                Want::Literal(what) => (*what).to_owned(),
                Want::Engine => "a query".to_owned(),
                Want::End => "the end".to_owned(),
            };
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        match parts.pop() {
            None => "something else".to_owned(),
            Some(last) if parts.is_empty() => last,
            Some(last) => format!("{} or {last}", parts.join(", ")),
        }
    }

    /// A token as errors show it: literals never, words only if they cannot be a secret.
    pub(crate) fn shown(&self, tok: &Tok) -> String {
        match &tok.token {
            Token::Word(word) if word.quote_style.is_some() => "a name in double quotes".to_owned(),
            Token::Word(word) if self.may_show(&word.value) => format!("`{}`", word.value),
            Token::Word(_) => "a word".to_owned(),
            Token::Number(..) => "a number".to_owned(),
            Token::SingleQuotedString(_) => "a text".to_owned(),
            token if is_literal(token) => "another kind of literal".to_owned(),
            token => format!("`{token}`"),
        }
    }

    fn may_show(&self, word: &str) -> bool {
        word.len() <= 40
            && (!self.sensitive
                || is_known(word)
                || nearest(word, KEYWORDS).is_some_and(|near| near.len() > 3))
    }
}

/// Whether the word is one of the language: a keyword or an option.
pub(crate) fn is_known(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
        || known_option(word).is_some()
}

/// The option of this name, of whatever statement.
pub(crate) fn known_option(word: &str) -> Option<&'static OptionDef> {
    use windlass_types::ConnectionKind;
    use windlass_types::options::{
        ARRIVAL_OPTIONS, COLUMN_OPTIONS, CONTAINER_OPTIONS, CONTENT_TYPE_OPTIONS, CRAWL_OPTIONS,
        FILE_FORMAT_OPTIONS, FILE_TABLE_OPTIONS, FILES_OPTIONS, JOB_OPTIONS, METADATA_OPTIONS,
        REPORT_OPTIONS, TAGS_OPTIONS, WRITE_OPTIONS,
    };
    ConnectionKind::ALL
        .iter()
        .map(|kind| kind.options())
        .chain([
            FILE_TABLE_OPTIONS,
            CONTENT_TYPE_OPTIONS,
            FILES_OPTIONS,
            METADATA_OPTIONS,
            TAGS_OPTIONS,
            REPORT_OPTIONS,
            JOB_OPTIONS,
            ARRIVAL_OPTIONS,
            WRITE_OPTIONS,
            FILE_FORMAT_OPTIONS,
            CONTAINER_OPTIONS,
            COLUMN_OPTIONS,
            CRAWL_OPTIONS,
        ])
        .flatten()
        .find(|def| def.name.eq_ignore_ascii_case(word))
}

/// Whether a word could be a key that was typed in the wrong place: long and with digits.
pub(crate) fn looks_like_key(word: &str) -> bool {
    word.len() > 40 || (word.len() >= 12 && word.bytes().any(|b| b.is_ascii_digit()))
}

/// Whether the token holds text of the user's, however it is quoted. Words and numbers are not.
pub(crate) fn is_literal(token: &Token) -> bool {
    use Token as T;
    matches!(
        token,
        T::SingleQuotedString(_)
            | T::DoubleQuotedString(_)
            | T::TripleSingleQuotedString(_)
            | T::TripleDoubleQuotedString(_)
            | T::DollarQuotedString(_)
            | T::SingleQuotedByteStringLiteral(_)
            | T::DoubleQuotedByteStringLiteral(_)
            | T::TripleSingleQuotedByteStringLiteral(_)
            | T::TripleDoubleQuotedByteStringLiteral(_)
            | T::SingleQuotedRawStringLiteral(_)
            | T::DoubleQuotedRawStringLiteral(_)
            | T::TripleSingleQuotedRawStringLiteral(_)
            | T::TripleDoubleQuotedRawStringLiteral(_)
            | T::NationalStringLiteral(_)
            | T::QuoteDelimitedStringLiteral(_)
            | T::NationalQuoteDelimitedStringLiteral(_)
            | T::EscapedStringLiteral(_)
            | T::UnicodeStringLiteral(_)
            | T::HexStringLiteral(_)
            | T::Placeholder(_)
            | T::CustomBinaryOperator(_)
            | T::Char(_)
    )
}

/// An error at a place.
pub(crate) fn error_at(place: Place, code: ErrorCode, what: &str) -> Error {
    Error::new(code, format!("{what}{}", suffix(place)))
}

fn suffix(place: Place) -> String {
    format!(" at line {}, column {}", place.line, place.column)
}

/// The same error, which also says where.
pub(crate) fn located(error: &Error, place: Place) -> Error {
    let at = Error::new(error.code(), format!("{}{}", error.message(), suffix(place)));
    match error.hint_text() {
        Some(hint) => at.hint(hint),
        None => at,
    }
}
