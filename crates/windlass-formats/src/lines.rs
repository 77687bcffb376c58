//! Plain lines, and lines that a regular expression takes apart.

use crate::format::{Failure, Format, Limits, OnError, Reading, Rows};
use crate::number;
use crate::source::{Source, line, without_mark};
use crate::typed::{Guesses, Texts};
use arrow::datatypes::{DataType, Field, Schema};

/// Each line is a row of one column, `line`.
#[derive(Debug, Clone, Copy)]
pub struct Lines;

/// Each line is a row; the groups of a pattern are its columns.
#[derive(Debug, Clone)]
pub struct Regex {
    pattern: regex::Regex,
    names: Vec<String>,
}

impl Regex {
    /// The pattern's named groups are the columns; without names, all groups: `group_1`, ...
    pub fn new(pattern: &str) -> Result<Self, Failure> {
        let pattern = regex::RegexBuilder::new(pattern)
            .size_limit(16 << 20)
            .build()
            .map_err(|error| Failure::new(format!("the pattern is wrong: {error}")))?;
        let groups: Vec<Option<&str>> = pattern.capture_names().skip(1).collect();
        let told: Vec<String> = groups.iter().flatten().map(|name| (*name).to_owned()).collect();
        if groups.is_empty() {
            return Err(Failure::new("the pattern has no group")
                .hint(r"write what a column is in a named group, such as `(?P<status>\d+)`"));
        }
        let names = if told.is_empty() {
            (1..=groups.len()).map(|number| format!("group_{number}")).collect()
        } else {
            told
        };
        Ok(Self { pattern, names })
    }

    fn group<'t>(&self, captures: &regex::Captures<'t>, column: usize) -> Option<&'t str> {
        let name = &self.names[column];
        match captures.name(name) {
            Some(found) => Some(found.as_str()),
            None if name.starts_with("group_") => captures.get(column + 1).map(|m| m.as_str()),
            None => None,
        }
    }
}

/// Goes over the lines; `take` says whether to go on.
fn each(
    source: &dyn Source,
    longest: usize,
    mut take: impl FnMut(u64, usize, Result<&str, &[u8]>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut stream = source.stream()?;
    without_mark(&mut *stream)?;
    let (mut buffer, mut number, mut read) = (Vec::new(), 0, 0);
    loop {
        let text = line(&mut *stream, &mut buffer, longest)
            .map_err(|error| Failure { line: Some(number + 1), ..Failure::from(error) })?;
        let Some(text) = text else { return Ok(()) };
        number += 1;
        read += text.len() + 1;
        if !take(number, read, std::str::from_utf8(text).map_err(|_| text))? {
            return Ok(());
        }
    }
}

/// Hands over the last rows, also those before a break unless that fails.
fn finish(
    texts: &mut Texts,
    reading: &mut Reading<'_>,
    ended: Result<(), Failure>,
    more: bool,
) -> Result<(), Failure> {
    if more && (ended.is_ok() || reading.on_error != OnError::Fail) {
        texts.flush(reading)?;
    }
    ended
}

const NOT_UTF8: &str = "it is not UTF-8; say what it is with ENCODING";

impl Rows for Lines {
    fn label(&self) -> &'static str {
        "lines of text"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut texts = Texts::new(reading);
        let longest = reading.longest;
        let numbers = number::place(&reading.schema);
        let mut more = true;
        let ended = each(source, longest, |number, _, text| {
            if let Ok(text) = text {
                texts.push(number, |column| (Some(column) != numbers).then_some(text));
            } else {
                texts.pass();
                reading.reject(Some(number), NOT_UTF8)?;
            }
            if texts.is_full() {
                more = texts.flush(reading)?;
            }
            Ok(more)
        });
        finish(&mut texts, reading, ended, more)
    }
}

impl Format for Lines {
    fn infer(&self, _: &dyn Source, _: &Limits) -> Result<Schema, Failure> {
        Ok(Schema::new(vec![Field::new("line", DataType::Utf8, true)]))
    }
}

impl Rows for Regex {
    fn label(&self) -> &'static str {
        "lines by a pattern"
    }

    fn read(&self, source: &dyn Source, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let mut texts = Texts::new(reading);
        let longest = reading.longest;
        let places: Vec<Option<usize>> = reading
            .schema
            .fields()
            .iter()
            .map(|field| self.names.iter().position(|name| name == field.name()))
            .collect();
        let mut more = true;
        let ended = each(source, longest, |number, _, text| {
            let captures = match text {
                Ok("") => return Ok(true),
                Ok(text) => self.pattern.captures(text),
                Err(_) => {
                    texts.pass();
                    reading.reject(Some(number), NOT_UTF8)?;
                    return Ok(true);
                }
            };
            if let Some(captures) = captures {
                texts.push(number, |column| {
                    places[column]
                        .and_then(|place| self.group(&captures, place))
                        .filter(|value| !value.is_empty())
                });
            } else {
                texts.pass();
                reading.reject(Some(number), "it does not match the pattern")?;
            }
            if texts.is_full() {
                more = texts.flush(reading)?;
            }
            Ok(more)
        });
        finish(&mut texts, reading, ended, more)
    }
}

impl Format for Regex {
    fn infer(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, false)
    }

    fn infer_broken(&self, source: &dyn Source, limits: &Limits) -> Result<Schema, Failure> {
        self.learn(source, limits, true)
    }
}

impl Regex {
    fn learn(&self, source: &dyn Source, limits: &Limits, broken: bool) -> Result<Schema, Failure> {
        let mut guesses = Guesses::new(self.names.iter().cloned());
        let mut rows = 0;
        let ended = each(source, limits.longest, |_, read, text| {
            if let Some(captures) = text.ok().and_then(|text| self.pattern.captures(text)) {
                for column in 0..self.names.len() {
                    if let Some(value) = self.group(&captures, column).filter(|v| !v.is_empty()) {
                        guesses.add(column, value);
                    }
                }
                rows += 1;
            }
            // Lines that do not match count, or a wrong pattern would read the whole file.
            Ok(!limits.enough(rows.max(read / 1024), read))
        });
        if !broken || rows == 0 {
            ended?;
        }
        Ok(guesses.schema(limits.text))
    }
}
