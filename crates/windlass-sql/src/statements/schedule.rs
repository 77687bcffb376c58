//! The grammar of what starts a job.

use super::super::ast::{Calendar, Period, Trigger, WEEKDAYS};
use crate::lex::Tok;
use crate::parser::{Parser, Want, error_at};
use crate::settings::{Said, UNITS};
use sqlparser::tokenizer::Token;
use windlass_types::options::ARRIVAL_OPTIONS;
use windlass_types::{ErrorCode, Result};

/// Longest time between two runs, in seconds: a leap year.
const LONGEST: u64 = 366 * 86_400;

impl Parser<'_> {
    /// SCHEDULE, EVERY or ON ARRIVAL, if one follows.
    pub(super) fn trigger(&mut self) -> Result<Option<Trigger>> {
        let trigger = if self.word("SCHEDULE") {
            let expression = self.text("a cron expression such as '0 6 * * 1-5'")?;
            Trigger::Cron { expression, zone: self.zone()? }
        } else if self.word("EVERY") {
            self.every()?
        } else if self.plain_word("ON") {
            self.need_word("ON")?;
            self.need_word("ARRIVAL")?;
            let place = if self.word("IN") { Some(self.files_place()?) } else { None };
            Trigger::Arrival { place, options: self.arrival_options()? }
        } else {
            self.want(Want::Keyword("ON"));
            return Ok(None);
        };
        self.sound = self.pos;
        Ok(Some(trigger))
    }

    /// The options of an arrival stand before those of the job.
    fn arrival_options(&mut self) -> Result<Vec<crate::OptionSetting>> {
        let mut said = Said::default();
        let mut options = Vec::new();
        loop {
            let ours = |word| ARRIVAL_OPTIONS.iter().any(|def| def.name.eq_ignore_ascii_case(word));
            if !self.option_follows() || !self.peek().and_then(Tok::bare).is_some_and(ours) {
                self.want_options(ARRIVAL_OPTIONS, &said);
                return Ok(options);
            }
            options.extend(self.setting(ARRIVAL_OPTIONS, &mut said, 0)?);
            self.sound = self.pos;
            if self.peek_at(1).and_then(Tok::bare).is_some_and(ours) {
                self.symbol(&Token::Comma, ",");
            }
        }
    }

    fn zone(&mut self) -> Result<Option<String>> {
        if !self.words(&["TIME", "ZONE"]) {
            return Ok(None);
        }
        self.text("a time zone such as 'Europe/Paris'").map(Some)
    }

    fn every(&mut self) -> Result<Trigger> {
        self.advise("write EVERY 5 MINUTES, or EVERY DAY AT '06:00'");
        for period in Period::ALL {
            if self.word(period.as_str()) {
                return self.calendar(period).map(Trigger::Calendar);
            }
        }
        self.interval().map(Trigger::Every)
    }

    /// `5 MINUTES`, in seconds.
    fn interval(&mut self) -> Result<u64> {
        let place = self.place();
        let number = self.count()?;
        let Some((_, _, seconds)) = UNITS.iter().find(|(many, one, _)| {
            self.want(Want::Keyword(many));
            self.peek().is_some_and(|tok| tok.is(many) || tok.is(one))
        }) else {
            return Err(self.fail());
        };
        self.pos += 1;
        let interval = number.checked_mul(*seconds).filter(|n| (1..=LONGEST).contains(n));
        interval.ok_or_else(|| {
            error_at(place, ErrorCode::OptionInvalid, "the interval is out of range")
                .hint("give one from 1 SECONDS to 366 DAYS")
        })
    }

    fn calendar(&mut self, period: Period) -> Result<Calendar> {
        let mut days = Vec::new();
        if self.word("ON") {
            days = self.some(|parser| parser.day(period))?;
        }
        let times = if self.word("AT") { self.some(Self::time_of_day)? } else { Vec::new() };
        let zone = self.zone()?;
        let except = if self.word("EXCEPT") { self.some(Self::date)? } else { Vec::new() };
        Ok(Calendar { period, days, times, zone, except })
    }

    /// One thing, or several in parentheses.
    fn some<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if !self.symbol(&Token::LParen, "(") {
            return Ok(vec![one(self)?]);
        }
        let mut items = Vec::new();
        loop {
            items.push(one(self)?);
            if self.symbol(&Token::RParen, ")") {
                return Ok(items);
            }
            if !self.symbol(&Token::Comma, ",") {
                return Err(self.fail());
            }
        }
    }

    fn day(&mut self, period: Period) -> Result<u16> {
        if period.has_weekdays() {
            for (day, weekday) in (1_u16..).zip(WEEKDAYS) {
                self.want(Want::Word(weekday));
                let short = &weekday[..3];
                if self.peek().is_some_and(|tok| tok.is(weekday) || tok.is(short)) {
                    self.pos += 1;
                    return Ok(day);
                }
            }
            return Err(self.fail());
        }
        let place = self.place();
        let day = self.count()?;
        match u16::try_from(day) {
            Ok(day) if (1..=period.longest()).contains(&day) => Ok(day),
            _ => {
                let (word, longest) = (period.as_str(), period.longest());
                let what = format!("a {word} has days 1 to {longest}; this is not one");
                Err(error_at(place, ErrorCode::OptionInvalid, &what))
            }
        }
    }

    fn time_of_day(&mut self) -> Result<String> {
        let place = self.place();
        let text = self.text("a time such as '06:00'")?;
        let good = matches!(text.split_once(':'), Some((hour, minute))
            if two_digits(hour).is_some_and(|h| h < 24) && two_digits(minute).is_some_and(|m| m < 60));
        if !good {
            let wrong = error_at(place, ErrorCode::OptionInvalid, "this is not a time of day");
            self.note(wrong.hint("write `'06:00'` or `'18:30'`"));
        }
        Ok(text)
    }

    fn date(&mut self) -> Result<String> {
        let place = self.place();
        let text = self.text("a date such as '2026-12-25'")?;
        let parts: Vec<&str> = text.split('-').collect();
        let good = matches!(parts[..], [y, m, d]
            if y.len() == 4 && y.bytes().all(|b| b.is_ascii_digit())
                && two_digits(m).is_some_and(|m| (1..=12).contains(&m))
                && two_digits(d).is_some_and(|d| (1..=31).contains(&d)));
        if !good {
            let wrong = error_at(place, ErrorCode::OptionInvalid, "this is not a date");
            self.note(wrong.hint("write `'2026-12-25'`"));
        }
        Ok(text)
    }
}

fn two_digits(text: &str) -> Option<u8> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
