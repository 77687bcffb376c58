//! Reading the clause of a trigger.

use super::Trigger;
use crate::arrival::Arrival;
use crate::calendar::{Calendar, Period};
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;
use windlass_types::{Error, ErrorCode, Name, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A bare word or number, as it was written.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// Text in single quotes.
    Text(String),
    /// `(`, `)`, `,`, `=`
    Mark(char),
}

/// Reads a clause; empty text is a manual trigger.
pub(super) fn parse(text: &str) -> Result<Trigger> {
    let mut clause = Clause { tokens: tokens(text)?, at: 0 };
    let trigger = if clause.tokens.is_empty() {
        Trigger::Manual
    } else if clause.word("SCHEDULE") {
        let expression = clause.text("a cron expression")?;
        Trigger::Cron { expression, zone: clause.zone()? }
    } else if clause.word("EVERY") {
        clause.every()?
    } else if clause.word("ON") {
        clause.expect("ARRIVAL")?;
        clause.arrival()?
    } else {
        return Err(clause.wrong("SCHEDULE, EVERY or ON ARRIVAL"));
    };
    if clause.at < clause.tokens.len() {
        return Err(clause.wrong("the end of the clause"));
    }
    Ok(trigger)
}

struct Clause {
    tokens: Vec<Token>,
    at: usize,
}

impl Clause {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    /// Takes the next token, if it is this word.
    fn word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(text)) if text.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn mark(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.word(word) { Ok(()) } else { Err(self.wrong(word)) }
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let Some(Token::Text(text)) = self.peek() else {
            return Err(self.wrong(&format!("{what} in single quotes")));
        };
        let text = text.clone();
        self.at += 1;
        Ok(text)
    }

    fn wrong(&self, expected: &str) -> Error {
        let found = match self.peek() {
            None => "its end".to_owned(),
            Some(Token::Word(text)) => format!("`{text}`"),
            Some(Token::Quoted(text)) => format!("`\"{text}\"`"),
            Some(Token::Text(text)) => format!("`'{text}'`"),
            Some(Token::Mark(mark)) => format!("`{mark}`"),
        };
        Error::new(
            ErrorCode::ScheduleInvalid,
            format!("the trigger expects {expected} and has {found}"),
        )
        .hint("for example EVERY 5 MINUTES, or SCHEDULE '0 6 * * *' TIME ZONE 'Europe/Berlin'")
    }

    fn zone(&mut self) -> Result<Tz> {
        if !self.word("TIME") {
            return Ok(Tz::UTC);
        }
        self.expect("ZONE")?;
        let text = self.text("a time zone")?;
        let known = chrono_tz::TZ_VARIANTS;
        let found = known.into_iter().find(|zone| zone.name().eq_ignore_ascii_case(&text));
        found.ok_or_else(|| {
            Error::new(ErrorCode::ScheduleInvalid, format!("`{text}` is not a time zone"))
                .hint("use a name of the IANA list, such as `Europe/Berlin` or `UTC`")
        })
    }

    /// `5 MINUTES`, in seconds.
    fn interval(&mut self) -> Result<u64> {
        let count: u64 = self.number("a number")?;
        let units =
            [("SECOND", 1), ("MINUTE", 60), ("HOUR", 3_600), ("DAY", 86_400), ("WEEK", 604_800)];
        let found =
            units.into_iter().find(|(unit, _)| self.word(unit) || self.word(&format!("{unit}S")));
        let (_, size) =
            found.ok_or_else(|| self.wrong("SECONDS, MINUTES, HOURS, DAYS or WEEKS"))?;
        count
            .checked_mul(size)
            .ok_or_else(|| Error::new(ErrorCode::ScheduleInvalid, "the interval is too long"))
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let number = match self.peek() {
            Some(Token::Word(text)) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.wrong(what))?;
        self.at += 1;
        Ok(number)
    }

    /// One item, or several in parentheses.
    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if !self.mark('(') {
            return Ok(vec![one(self)?]);
        }
        let mut items = vec![one(self)?];
        while self.mark(',') {
            items.push(one(self)?);
        }
        if self.mark(')') { Ok(items) } else { Err(self.wrong("`,` or `)`")) }
    }

    fn every(&mut self) -> Result<Trigger> {
        let period = Period::ALL.iter().copied().find(|period| self.word(period.as_str()));
        let Some(period) = period else {
            return Ok(Trigger::Every { seconds: self.interval()? });
        };
        let mut calendar =
            Calendar { period, on: Vec::new(), at: Vec::new(), zone: Tz::UTC, except: Vec::new() };
        if self.word("ON") {
            calendar.on = self.list(|clause| clause.day(period))?;
        }
        if self.word("AT") {
            calendar.at = self.list(|clause| {
                let text = clause.text("a time")?;
                NaiveTime::parse_from_str(&text, "%H:%M")
                    .or_else(|_| NaiveTime::parse_from_str(&text, "%H:%M:%S"))
                    .map_err(|_| {
                        Error::new(ErrorCode::ScheduleInvalid, format!("`{text}` is not a time"))
                            .hint("write it as `06:00`, in 24 hours")
                    })
            })?;
        }
        calendar.zone = self.zone()?;
        if self.word("EXCEPT") {
            calendar.except = self.list(|clause| {
                let text = clause.text("a date")?;
                NaiveDate::parse_from_str(&text, "%Y-%m-%d").map_err(|_| {
                    Error::new(ErrorCode::ScheduleInvalid, format!("`{text}` is not a date"))
                        .hint("write it as `2026-12-25`")
                })
            })?;
        }
        calendar.tidy();
        Ok(Trigger::Calendar(calendar))
    }

    fn day(&mut self, period: Period) -> Result<u16> {
        if !period.has_weekdays() {
            return self.number("the number of a day");
        }
        let found = crate::calendar::WEEKDAYS
            .into_iter()
            .position(|name| self.word(name) || self.word(&name[..3]));
        let found = found.and_then(|index| u16::try_from(index + 1).ok());
        found.ok_or_else(|| self.wrong("a day of the week, MON to SUN"))
    }

    fn arrival(&mut self) -> Result<Trigger> {
        self.expect("IN")?;
        let connection = match self.peek() {
            Some(Token::Word(text)) => Name::parse(text)?,
            Some(Token::Quoted(text)) => Name::new(text.clone())?,
            _ => return Err(self.wrong("the name of a connection")),
        };
        self.at += 1;
        let mut location = None;
        let mut arrival = Arrival {
            connection,
            location: String::new(),
            pattern: None,
            poll: 60,
            settle: 0,
            existing: true,
        };
        let mut given: Vec<&str> = Vec::new();
        while self.at < self.tokens.len() {
            let option = ["LOCATION", "PATTERN", "POLL", "SETTLE", "EXISTING"]
                .into_iter()
                .find(|option| self.word(option))
                .ok_or_else(|| self.wrong("LOCATION, PATTERN, POLL, SETTLE or EXISTING"))?;
            if given.contains(&option) {
                return Err(Error::new(
                    ErrorCode::OptionInvalid,
                    format!("{option} is given twice"),
                ));
            }
            given.push(option);
            self.mark('=');
            match option {
                "LOCATION" => location = Some(self.text("a location")?),
                "PATTERN" => arrival.pattern = Some(self.text("a pattern")?),
                "POLL" => arrival.poll = self.interval()?,
                "SETTLE" => arrival.settle = self.interval()?,
                _ => {
                    arrival.existing = self.word("TRUE");
                    if !arrival.existing {
                        self.expect("FALSE")?;
                    }
                }
            }
        }
        arrival.location = location.ok_or_else(|| self.wrong("LOCATION = '...'"))?;
        Ok(Trigger::Arrival(arrival))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&char) = chars.peek() {
        match char {
            '\'' | '"' => {
                chars.next();
                let inner = closed(&mut chars, char)?;
                tokens.push(if char == '\'' { Token::Text(inner) } else { Token::Quoted(inner) });
            }
            '(' | ')' | ',' | '=' => {
                chars.next();
                tokens.push(Token::Mark(char));
            }
            _ if char.is_whitespace() => {
                chars.next();
            }
            _ if char.is_alphanumeric() || char == '_' => {
                let mut word = String::new();
                while let Some(&char) = chars.peek()
                    && (char.is_alphanumeric() || char == '_')
                {
                    word.push(char);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
            _ => {
                return Err(Error::new(
                    ErrorCode::ScheduleInvalid,
                    format!("`{char}` has no meaning in a trigger"),
                ));
            }
        }
    }
    Ok(tokens)
}

/// The text up to a quote that is not doubled.
fn closed(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> Result<String> {
    let mut inner = String::new();
    while let Some(char) = chars.next() {
        if char != quote {
            inner.push(char);
        } else if chars.peek() == Some(&quote) {
            inner.push(quote);
            chars.next();
        } else {
            return Ok(inner);
        }
    }
    Err(Error::new(ErrorCode::ScheduleInvalid, "a quote in the trigger is not closed"))
}
