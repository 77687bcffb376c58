//! Options: `NAME = value`, read and checked against the option tables.
//!
//! A value that reads well but is unknown, repeated or ill-typed is noted, and reading goes on, so
//! that masking sees the whole statement.

use crate::ParseMode;
use crate::ast::{Change, OptionSetting};
use crate::lex::Tok;
use crate::mask::{literal_mentions_secret, mentions_secret};
use crate::parser::{Parser, Thing, Want, error_at, is_known, located, looks_like_key};
use sqlparser::tokenizer::Token;
use windlass_types::options::{MASK, OptionDef, OptionType, check, nearest};
use windlass_types::{Error, ErrorCode, OptionValue, Result};

/// Lists in lists in lists are nobody's options.
const MAX_DEPTH: usize = 8;

pub(crate) const UNITS: &[(&str, &str, u64)] = &[
    ("SECONDS", "SECOND", 1),
    ("MINUTES", "MINUTE", 60),
    ("HOURS", "HOUR", 3600),
    ("DAYS", "DAY", 86_400),
];

/// Names of options already said.
#[derive(Default)]
pub(crate) struct Said(Vec<&'static str>);

impl Parser<'_> {
    /// Options up to the end, with commas or without.
    pub(crate) fn settings(&mut self, defs: &'static [OptionDef]) -> Result<Vec<OptionSetting>> {
        self.settings_until(defs, &mut Said::default(), &[])
    }

    /// Options up to one of these keywords, which is left standing; without any, up to the end.
    pub(crate) fn settings_until(
        &mut self,
        defs: &'static [OptionDef],
        said: &mut Said,
        stops: &[&'static str],
    ) -> Result<Vec<OptionSetting>> {
        let mut settings = Vec::new();
        loop {
            self.want_options(defs, said);
            for word in stops {
                self.want(Want::Keyword(word));
            }
            let stopped = if stops.is_empty() {
                self.want(Want::End);
                self.at_end()
            } else {
                self.peek().is_some_and(|tok| stops.iter().any(|word| tok.is(word)))
                    && !self.option_follows()
            };
            if stopped {
                return Ok(settings);
            }
            settings.extend(self.setting(defs, said, 0)?);
            self.sound = self.pos;
            if self.symbol(&Token::Comma, ",") {
                self.want_options(defs, said);
                if self.at_end() {
                    return Err(self.fail());
                }
            }
        }
    }

    /// SET and RESET up to the end.
    pub(crate) fn changes(&mut self, defs: &'static [OptionDef]) -> Result<Vec<Change>> {
        let mut said = Said::default();
        let mut changes = Vec::new();
        while !self.at_end() || changes.is_empty() {
            if self.word("SET") {
                loop {
                    changes.extend(self.setting(defs, &mut said, 0)?.map(Change::Set));
                    self.sound = self.pos;
                    self.symbol(&Token::Comma, ",");
                    self.want_options(defs, &said);
                    if !self.option_follows() {
                        break;
                    }
                }
            } else if self.word("RESET") {
                loop {
                    self.names_option();
                    changes.extend(
                        self.option_name(defs, &mut said)?
                            .map(|def| Change::Reset(def.name.to_owned())),
                    );
                    self.sound = self.pos;
                    if !self.symbol(&Token::Comma, ",")
                        || self.peek().is_none_or(|t| t.is("SET") || t.is("RESET"))
                    {
                        break;
                    }
                }
            } else if self.problem.is_some() && self.at_end() {
                break;
            } else {
                return Err(self.fail());
            }
        }
        self.word("SET");
        self.word("RESET");
        self.need_end()?;
        Ok(changes)
    }

    /// After RESET stands a name and no value, so a word there is one, known or not.
    fn names_option(&mut self) {
        let Some(tok) = self.peek() else { return };
        let Some(word) = tok.bare() else { return };
        if !looks_like_key(word) && !is_known(word) && !self.option_follows() {
            self.resetting = Some(self.pos);
        }
    }

    /// Whether `NAME =` follows.
    pub(crate) fn option_follows(&self) -> bool {
        self.peek().and_then(Tok::bare).is_some()
            && self.peek_at(1).is_some_and(|tok| tok.token == Token::Eq)
    }

    pub(crate) fn want_options(&mut self, defs: &'static [OptionDef], said: &Said) {
        if self.option_follows() {
            return; // keeps long statements quick: what follows fits, or has its own error
        }
        for def in defs.iter().filter(|def| !said.0.contains(&def.name)) {
            self.want(Want::Option(def.name));
        }
    }

    /// The name of an option. None: it reads as one, but is unknown or repeated.
    pub(crate) fn option_name(
        &mut self,
        defs: &'static [OptionDef],
        said: &mut Said,
    ) -> Result<Option<&'static OptionDef>> {
        self.want_options(defs, said);
        let Some(tok) = self.peek() else { return Err(self.fail()) };
        let Some(word) = tok.bare() else { return Err(self.fail()) };
        if let Some(def) = defs.iter().find(|def| def.name.eq_ignore_ascii_case(word)) {
            self.pos += 1;
            if !said.0.contains(&def.name) {
                said.0.push(def.name);
                return Ok(Some(def));
            }
            if self.problem.is_none() {
                let twice = format!("{} is given twice; the second is", def.name);
                let error = error_at(tok.place, ErrorCode::OptionInvalid, &twice);
                self.note(error.hint("keep one of the two"));
            }
            return Ok(None);
        }
        // Where a value may have gone astray, only what is surely meant as an option is named.
        let named = self.resetting == Some(self.pos);
        if !self.option_follows()
            && self.sensitive
            && !named
            && nearest(word, &names(defs)).is_none()
        {
            return Err(self.fail());
        }
        if looks_like_key(word) {
            self.secrets.push(tok.range.clone());
        }
        if self.problem.is_none() {
            self.note(located(&unknown(defs, word), tok.place));
        }
        self.pos += 1;
        Ok(None)
    }

    /// One `NAME = value`. None: it reads as one, but has a problem, which is noted.
    pub(crate) fn setting(
        &mut self,
        defs: &'static [OptionDef],
        said: &mut Said,
        depth: usize,
    ) -> Result<Option<OptionSetting>> {
        let def = self.option_name(defs, said)?;
        self.need_eq()?;
        let place = self.place();
        let first = self.pos;
        let value = self.value(def, depth)?;
        let range = self.tokens[first].range.start..self.tokens[self.pos - 1].range.end;
        let is_reference = matches!(value, OptionValue::Secret(_));
        let hides = def.is_none_or(|def| def.secret) && !is_reference
            || self.tokens[first..self.pos].iter().any(literal_mentions_secret);
        if hides {
            self.secrets.push(range);
        }
        let Some(def) = def else { return Ok(None) };
        let masked = matches!(&value, OptionValue::Text(text) if text == MASK);
        if masked && def.secret && self.mode == ParseMode::AllowMask {
            return Ok(Some(OptionSetting {
                name: def.name.to_owned(),
                value: OptionValue::Sealed,
            }));
        }
        let word = if let OptionValue::Word(word) = &value { Some(word.clone()) } else { None };
        let was_word = word.is_some();
        match check(def, Self::brief(def, value)) {
            Ok(value) => Ok(Some(OptionSetting { name: def.name.to_owned(), value })),
            Err(error) => {
                let mut error = located(&error, place);
                let near = word.and_then(|word| nearest(&word, &["TRUE", "FALSE"]));
                if let (OptionType::Bool, Some(near)) = (def.kind, near) {
                    error = error.hint(format!("did you mean {near}?"));
                } else if was_word
                    && matches!(
                        def.kind,
                        OptionType::Text | OptionType::TextList | OptionType::Size
                    )
                {
                    error = error.hint("text is in single quotes");
                }
                self.note(error);
                Ok(None)
            }
        }
    }

    /// A text that the option will refuse is not quoted whole, nor if it may hold a secret.
    fn brief(def: &OptionDef, value: OptionValue) -> OptionValue {
        match value {
            OptionValue::Text(text) | OptionValue::Word(text)
                if !matches!(
                    def.kind,
                    OptionType::Text | OptionType::TextList | OptionType::Moment
                ) && (text.len() > 40 || looks_like_key(&text) || mentions_secret(&text)) =>
            {
                OptionValue::Text("…".to_owned())
            }
            value => value,
        }
    }

    fn want_value(&mut self, def: Option<&'static OptionDef>) {
        let Some(def) = def else { return self.want(Want::Literal("a value")) };
        match def.kind {
            OptionType::Text => self.want(Want::Literal("a text")),
            OptionType::TextList => self.want(Want::Literal("a text or a list of texts")),
            OptionType::Integer(..) => self.want(Want::Literal("a whole number")),
            OptionType::Seconds(..) => self.want(Want::Literal("an interval such as `30 SECONDS`")),
            OptionType::Bool => {
                self.want(Want::Word("TRUE"));
                self.want(Want::Word("FALSE"));
            }
            OptionType::Choice(words) | OptionType::Choices(words) => self.want_words(words),
            OptionType::Size => self.want(Want::Literal("a size such as '10MB'")),
            OptionType::Bound => {
                self.want(Want::Literal("a whole number"));
                self.want(Want::Literal("a share such as '10%'"));
            }
            OptionType::Moment => {
                self.want(Want::Literal("a time such as '2026-01-31' or an age such as `2 DAYS`"));
            }
            OptionType::Group(defs) => {
                if let OptionType::Choice(words) = defs[0].kind {
                    self.want_words(words);
                }
                self.want(Want::Literal("a group in parentheses"));
            }
        }
        if def.secret {
            self.want(Want::Keyword("SECRET"));
        }
    }

    fn want_words(&mut self, words: &[&'static str]) {
        for word in words {
            self.want(Want::Word(word));
        }
    }

    fn value(&mut self, def: Option<&'static OptionDef>, depth: usize) -> Result<OptionValue> {
        self.want_value(def);
        let Some(tok) = self.peek() else { return Err(self.fail()) };
        match &tok.token {
            Token::SingleQuotedString(text) => {
                self.pos += 1;
                self.advise("a quote inside a text is written twice: `''`");
                Ok(OptionValue::Text(text.clone()))
            }
            Token::Minus | Token::Number(..) => self.number(),
            Token::LParen if depth >= MAX_DEPTH => {
                Err(self.error_here("the value is nested too deeply"))
            }
            Token::LParen => self.parenthesis(def, depth),
            Token::Word(word) if word.quote_style.is_none() => {
                self.pos += 1;
                Ok(match word.value.to_ascii_uppercase().as_str() {
                    "TRUE" => OptionValue::Bool(true),
                    "FALSE" => OptionValue::Bool(false),
                    "SECRET" => {
                        if self.option_follows() {
                            self.want(Want::Name(Thing::Secret));
                            return Err(self.fail());
                        }
                        OptionValue::Secret(self.name(Want::Name(Thing::Secret))?)
                    }
                    _ => {
                        self.advise("text is in single quotes");
                        OptionValue::Word(word.value.clone())
                    }
                })
            }
            _ => Err(self.fail()),
        }
    }

    fn number(&mut self) -> Result<OptionValue> {
        let negative = self.peek().is_some_and(|tok| tok.token == Token::Minus);
        let at = self.pos + usize::from(negative);
        let digits = match self.tokens.get(at).map(|tok| &tok.token) {
            Some(Token::Number(digits, false)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits
            }
            _ => return Err(self.error_here("this is not a whole number")),
        };
        let sign = if negative { "-" } else { "" };
        let number: i64 = format!("{sign}{digits}")
            .parse()
            .map_err(|_| self.error_here("the number is too large"))?;
        self.pos = at + 1;
        for (unit, _, _) in UNITS {
            self.want(Want::Word(unit));
        }
        let unit = UNITS
            .iter()
            .find(|(many, one, _)| self.peek().is_some_and(|t| t.is(many) || t.is(one)));
        let Some((_, _, seconds)) = unit else {
            let touches = |tok: &Tok| tok.range.start == self.tokens[at].range.end;
            if self.peek().is_some_and(|tok| tok.bare().is_some() && touches(tok)) {
                self.pos = at;
                return Err(self
                    .error_here("this is neither a number nor an interval")
                    .hint("a size with a unit is a text: `'10MB'`"));
            }
            return Ok(OptionValue::Integer(number));
        };
        let interval = u64::try_from(number)
            .ok()
            .and_then(|number| number.checked_mul(*seconds))
            .ok_or_else(|| self.error_here("the interval is out of range"))?;
        self.pos += 1;
        Ok(OptionValue::Interval(interval))
    }

    /// A list or a group, from its `(`.
    fn parenthesis(
        &mut self,
        def: Option<&'static OptionDef>,
        depth: usize,
    ) -> Result<OptionValue> {
        self.pos += 1;
        let group = match def.map(|def| def.kind) {
            Some(OptionType::Group(defs)) => Some(defs),
            _ => None,
        };
        if group.is_some() || self.option_follows() {
            return self.group(group, depth).map(OptionValue::Group);
        }
        let mut items = Vec::new();
        if self.symbol(&Token::RParen, ")") {
            return Ok(OptionValue::List(items));
        }
        loop {
            items.push(self.value(def, depth + 1)?);
            if self.symbol(&Token::RParen, ")") {
                return Ok(OptionValue::List(items));
            }
            if !self.symbol(&Token::Comma, ",") {
                return Err(self.fail());
            }
        }
    }

    pub(crate) fn group(
        &mut self,
        defs: Option<&'static [OptionDef]>,
        depth: usize,
    ) -> Result<Vec<(String, OptionValue)>> {
        let mut said = Said::default();
        let mut items = Vec::new();
        self.advise("a group holds NAME = value");
        loop {
            if self.symbol(&Token::RParen, ")") {
                return Ok(items);
            }
            match defs {
                Some(defs) => {
                    items.extend(
                        self.setting(defs, &mut said, depth + 1)?.map(|s| (s.name, s.value)),
                    );
                }
                // A group where none belongs: read it, so that the error is about that.
                None if self.option_follows() => {
                    let name =
                        self.peek().and_then(Tok::bare).unwrap_or_default().to_ascii_uppercase();
                    self.pos += 2;
                    items.push((name, self.value(None, depth + 1)?));
                }
                None => return Err(self.fail()),
            }
            self.symbol(&Token::Comma, ",");
            self.advise("a group holds NAME = value");
        }
    }
}

fn names(defs: &'static [OptionDef]) -> Vec<&'static str> {
    defs.iter().map(|def| def.name).collect()
}

/// The error for an unknown option; a word that may be a key is not quoted.
fn unknown(defs: &'static [OptionDef], word: &str) -> Error {
    if looks_like_key(word) {
        return Error::new(ErrorCode::OptionInvalid, "unknown option")
            .hint(format!("known are {}", names(defs).join(", ")));
    }
    windlass_types::options::unknown("option", &word.to_ascii_uppercase(), &names(defs))
}
