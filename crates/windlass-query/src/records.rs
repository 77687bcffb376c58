//! Where records of text end: lines, and CSV records with line ends inside quotes.
//!
//! A line ends with `\n`, `\r\n` or a lone `\r`, as in arrow's CSV reader.

use crate::format::TextOptions;

/// Where the first record ends: after a line end, outside quotes if `quoting` is given. A quote
/// opens only at the start of a field, as in arrow's reader. A `\r` that ends `bytes` is not yet an
/// end, since `\n` may follow.
pub(crate) fn record_end(bytes: &[u8], quoting: Option<&TextOptions>) -> Option<usize> {
    let Some(options) = quoting else { return line_end(bytes) };
    if options.comment.is_some() && bytes.first() == options.comment.as_ref() {
        return line_end(bytes);
    }
    let (mut quoted, mut start, mut at) = (false, true, 0);
    while let Some(byte) = bytes.get(at) {
        if quoted {
            if options.escape == Some(*byte) && options.escape != Some(options.quote) {
                at += 1;
            } else if *byte == options.quote {
                if bytes.get(at + 1) == Some(&options.quote) {
                    at += 1;
                } else {
                    quoted = false;
                }
            }
        } else if *byte == b'\n' {
            return Some(at + 1);
        } else if *byte == b'\r' {
            return match bytes.get(at + 1) {
                Some(b'\n') => Some(at + 2),
                Some(_) => Some(at + 1),
                None => None,
            };
        } else {
            quoted = start && *byte == options.quote;
            start = *byte == options.delimiter;
        }
        at += 1;
    }
    None
}

/// Where the first line ends, whatever quotes it has.
pub(crate) fn line_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    match (bytes[at], bytes.get(at + 1)) {
        (b'\n', _) => Some(at + 1),
        (_, Some(b'\n')) => Some(at + 2),
        (_, Some(_)) => Some(at + 1),
        (_, None) => None,
    }
}

/// Where the last record that is not whole begins; `bytes` begin with the start of a record.
pub(crate) fn last_start(bytes: &[u8], quoting: Option<&TextOptions>) -> usize {
    if quoting.is_none_or(|options| !bytes.contains(&options.quote)) {
        let Some(at) = bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) else {
            return 0;
        };
        // A last `\r` may be half of a line end.
        let half = bytes[at] == b'\r' && at + 1 == bytes.len();
        return if half { last_start(&bytes[..at], quoting) } else { at + 1 };
    }
    let mut start = 0;
    while let Some(end) = record_end(&bytes[start..], quoting) {
        start += end;
    }
    start
}

/// Counts line ends over chunks.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) ended: u64,
    half: bool,
}

impl Lines {
    /// Goes on over `bytes`.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.half => self.half = false,
                b'\n' => self.ended += 1,
                b'\r' => {
                    self.ended += 1;
                    self.half = true;
                }
                _ => self.half = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> TextOptions {
        TextOptions { comment: Some(b'#'), ..TextOptions::default() }
    }

    #[test]
    fn records_end_at_any_line_end_outside_quotes() {
        let options = options();
        let end = |text: &str| record_end(text.as_bytes(), Some(&options));
        assert_eq!(end("a,b\rc"), Some(4));
        assert_eq!(end("a,b\r\nc"), Some(5));
        assert_eq!(end("a,b\r"), None);
        assert_eq!(end("a,\"b\r\n\"\nc"), Some(8));
        assert_eq!(end("# it's \"\nc"), Some(9));
    }

    #[test]
    fn the_last_start_is_outside_quotes() {
        let options = options();
        let start = |text: &str| last_start(text.as_bytes(), Some(&options));
        assert_eq!(start("1,2\n3,4\n5"), 8);
        assert_eq!(start("1,2\n3,\"4\n5"), 4);
        assert_eq!(start("1,2\n3,4\r"), 4);
        assert_eq!(start("1"), 0);
    }

    #[test]
    fn lines_are_counted_over_chunks() {
        let mut lines = Lines::default();
        lines.pass(b"a\r");
        lines.pass(b"\nb\rc\n");
        assert_eq!(lines.ended, 3);
    }
}
