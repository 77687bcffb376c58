//! The three standard streams, and what is known of the window.
//!
//! Everything a command prints goes through here, so tests can read it and no line breaks a
//! progress bar.

use crate::failure::Failure;
use crate::render::text::safe;
use indicatif::ProgressBar;
use std::io::{BufRead as _, BufReader, BufWriter, IsTerminal as _, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes held before standard output is written.
const BUFFER: usize = 64 * 1024;

/// Standard streams; shared by everything that prints.
pub struct Console {
    out: Mutex<BufWriter<Box<dyn Write + Send>>>,
    err: Mutex<Box<dyn Write + Send>>,
    input: Mutex<BufReader<Box<dyn Read + Send>>>,
    bar: Mutex<Option<ProgressBar>>,
    /// Standard output is a terminal.
    pub out_terminal: bool,
    /// Standard error is a terminal.
    pub err_terminal: bool,
    /// Standard input is a terminal.
    pub in_terminal: bool,
    width: Option<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Console {
    /// The streams of this process.
    pub fn standard() -> Self {
        let out_terminal = std::io::stdout().is_terminal();
        Self {
            out: Mutex::new(BufWriter::with_capacity(BUFFER, Box::new(std::io::stdout()))),
            err: Mutex::new(Box::new(std::io::stderr())),
            input: Mutex::new(BufReader::new(Box::new(std::io::stdin()))),
            bar: Mutex::new(None),
            out_terminal,
            err_terminal: std::io::stderr().is_terminal(),
            in_terminal: std::io::stdin().is_terminal(),
            width: None,
        }
    }

    /// Columns of the window; None when standard output is not a terminal.
    pub fn width(&self) -> Option<usize> {
        if self.width.is_some() || !self.out_terminal {
            return self.width;
        }
        Some(crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns.max(20))))
    }

    /// Writes bytes to standard output.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        if self.out_terminal
            && let Some(bar) = &*lock(&self.bar)
        {
            return bar.suspend(|| self.write_through(bytes));
        }
        Ok(lock(&self.out).write_all(bytes)?)
    }

    fn write_through(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = lock(&self.out);
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// Writes text to standard output.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        self.write(text.as_bytes())
    }

    /// Writes a line to standard output.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    /// Sends what was written so far.
    pub fn flush(&self) -> Result<(), Failure> {
        Ok(lock(&self.out).flush()?)
    }

    /// Says a line on standard error; nobody listening is no failure.
    pub fn talk(&self, text: &str) {
        self.complain(&safe(text));
    }

    /// Says lines on standard error that are safe already.
    pub fn complain(&self, text: &str) {
        let say = || {
            let mut err = lock(&self.err);
            let _ = writeln!(err, "{text}").and_then(|()| err.flush());
        };
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Says `warning: text`.
    pub fn warn(&self, text: &str) {
        self.talk(&format!("warning: {text}"));
    }

    /// Says text without ending the line: a question.
    pub fn ask(&self, text: &str) -> std::io::Result<String> {
        {
            let mut err = lock(&self.err);
            write!(err, "{}", safe(text))?;
            err.flush()?;
        }
        let mut answer = String::new();
        lock(&self.input).read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }

    /// Reads standard input until `limit` bytes are there or it ends.
    pub fn read(&self, limit: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Read::take(&mut *lock(&self.input), limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Shows a progress bar below everything else that is printed.
    pub fn begin_progress(&self, bar: ProgressBar) {
        *lock(&self.bar) = Some(bar);
    }

    /// Takes the progress bar away.
    pub fn end_progress(&self) {
        if let Some(bar) = lock(&self.bar).take() {
            bar.finish_and_clear();
        }
    }
}

/// What a test reads back.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Captured(std::sync::Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Captured {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }
}

#[cfg(test)]
impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
impl Console {
    /// A console that is no terminal: (console, standard output, standard error).
    pub(crate) fn captured(input: &str) -> (Self, Captured, Captured) {
        let (out, err) = (Captured::default(), Captured::default());
        let console = Self::with_streams(Box::new(out.clone()), Box::new(err.clone()), input);
        (console, out, err)
    }

    pub(crate) fn with_streams(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        input: &str,
    ) -> Self {
        let input: Box<dyn Read + Send> =
            Box::new(std::io::Cursor::new(input.as_bytes().to_owned()));
        Self {
            out: Mutex::new(BufWriter::new(out)),
            err: Mutex::new(err),
            input: Mutex::new(BufReader::new(input)),
            bar: Mutex::new(None),
            out_terminal: false,
            err_terminal: false,
            in_terminal: false,
            width: None,
        }
    }

    pub(crate) fn on_a_terminal(mut self, width: usize) -> Self {
        (self.out_terminal, self.err_terminal, self.in_terminal) = (true, true, true);
        self.width = Some(width);
        self
    }
}
