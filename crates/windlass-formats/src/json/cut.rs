//! Where values of JSON begin and end, without holding more than one of them.

use crate::source::{line, too_long, without_mark};
use std::io::{self, BufRead};

/// One value.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) bytes: &'a [u8],
    /// The line it begins in.
    pub(super) line: u64,
}

/// Hands out values one by one.
#[allow(clippy::struct_excessive_bools, reason = "two say how it is cut, two where it is")]
pub(super) struct Cutter {
    stream: Box<dyn BufRead + Send>,
    split: bool,
    lines: bool,
    longest: usize,
    /// Line ends before what is read next.
    ended: u64,
    /// Arrays that are taken apart: at most the one at the root.
    within: bool,
    /// Whether the next of `within` needs no comma before it.
    first: bool,
    buffer: Vec<u8>,
}

const IN_ARRAY: &str = "the file ends inside of its array";

/// A separator that some streams of JSON put before each value (RFC 7464).
const RECORD: u8 = 0x1e;

impl Cutter {
    pub(super) fn new(
        mut stream: Box<dyn BufRead + Send>,
        split: bool,
        lines: bool,
        longest: usize,
    ) -> io::Result<Self> {
        without_mark(&mut *stream)?;
        let buffer = Vec::new();
        Ok(Self { stream, split, lines, longest, ended: 0, within: false, first: true, buffer })
    }

    /// The next value; what is not JSON is handed out as far as it can be told from the next.
    pub(super) fn next(&mut self) -> io::Result<Option<Value<'_>>> {
        if self.lines {
            return self.line();
        }
        let Some(first) = self.begin()? else { return Ok(None) };
        let begun = self.ended + 1;
        self.buffer.clear();
        match first {
            b'{' | b'[' => self.nested()?,
            b'"' => self.text()?,
            _ => self.word()?,
        }
        Ok(Some(Value { bytes: &self.buffer, line: begun }))
    }

    fn line(&mut self) -> io::Result<Option<Value<'_>>> {
        loop {
            let read = line(&mut *self.stream, &mut self.buffer, self.longest)?;
            let Some(text) = read else { return Ok(None) };
            self.ended += 1;
            if !text.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Value { bytes: self.buffer.trim_ascii(), line: self.ended }))
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.stream.fill_buf()?.first().copied())
    }

    fn wrong<T>(&self, what: &str) -> io::Result<T> {
        Err(io::Error::other(format!("line {}: {what}", self.ended + 1)))
    }

    /// The first byte of the next value, past blanks and what parts values.
    fn begin(&mut self) -> io::Result<Option<u8>> {
        let mut comma = false;
        loop {
            let Some(byte) = self.peek()? else {
                return if self.within { self.wrong(IN_ARRAY) } else { Ok(None) };
            };
            match byte {
                b'\n' => self.ended += 1,
                b' ' | b'\t' | b'\r' | RECORD => {}
                b',' if self.within && !self.first && !comma => comma = true,
                b']' if self.within && !comma => self.within = false,
                b'[' if self.split && !self.within => {
                    self.within = true;
                    self.first = true;
                }
                b',' | b']' | b'}' | b':' => {
                    return self.wrong(&format!("a value is expected, not `{}`", char::from(byte)));
                }
                _ if self.within && !self.first && !comma => {
                    return self.wrong("`,` or `]` is expected");
                }
                _ => {
                    self.first = false;
                    return Ok(Some(byte));
                }
            }
            self.stream.consume(1);
        }
    }

    /// Appends bytes as long as `more` says of each whether it belongs to the value and whether the
    /// value goes on after it.
    fn take(&mut self, mut more: impl FnMut(u8) -> (bool, bool)) -> io::Result<bool> {
        loop {
            let chunk = self.stream.fill_buf()?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let mut used = 0;
            let mut ended = false;
            for byte in chunk {
                let (belongs, goes_on) = more(*byte);
                if belongs {
                    used += 1;
                    self.ended += u64::from(*byte == b'\n');
                }
                if !goes_on {
                    ended = true;
                    break;
                }
            }
            self.buffer.extend_from_slice(&chunk[..used]);
            self.stream.consume(used);
            if self.buffer.len() > self.longest {
                return Err(too_long("a value", self.longest));
            }
            if ended {
                return Ok(true);
            }
        }
    }

    fn nested(&mut self) -> io::Result<()> {
        let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
        let whole = self.take(|byte| {
            if quoted {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => quoted = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => quoted = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
            }
            (true, depth > 0)
        })?;
        if whole { Ok(()) } else { self.wrong("the file ends inside of a value") }
    }

    fn text(&mut self) -> io::Result<()> {
        let (mut begun, mut escaped) = (false, false);
        let whole = self.take(|byte| {
            let ends = begun && !escaped && byte == b'"';
            escaped = begun && !escaped && byte == b'\\';
            begun = true;
            (true, !ends)
        })?;
        if whole { Ok(()) } else { self.wrong("the file ends inside of a text") }
    }

    fn word(&mut self) -> io::Result<()> {
        let whole = self.take(|byte| {
            let ends = byte.is_ascii_whitespace() || b",]}{[\":\x1e".contains(&byte);
            (!ends, !ends)
        })?;
        // A number that breaks off is another number.
        if whole || !self.within { Ok(()) } else { self.wrong(IN_ARRAY) }
    }
}
