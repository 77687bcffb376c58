//! Text that cannot harm a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar as _;
use windlass_core::value::is_harmful;

/// The text with harmful characters written as `\n`, `\t`, `\u{1b}`.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Columns of the window that the text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text cut to `limit` columns, ending in `…` if something was cut.
pub fn fit(text: &str, limit: usize) -> Cow<'_, str> {
    if width(text) <= limit {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut out = String::new();
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > limit {
            break;
        }
        used += wide;
        out.push(c);
    }
    if limit > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// Makes bytes of a file harmless for a terminal, keeping lines and tabs; characters may be cut
/// between calls.
#[derive(Debug, Default)]
pub struct Screen {
    /// A character whose end has not come yet.
    rest: Vec<u8>,
}

impl Screen {
    /// What to show for these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.rest);
        let mut out = String::with_capacity(held.len());
        let mut left: &[u8] = &held;
        while !left.is_empty() {
            match std::str::from_utf8(left) {
                Ok(text) => {
                    show(text, &mut out);
                    left = &[];
                }
                Err(error) => {
                    let (valid, after) = left.split_at(error.valid_up_to());
                    show(std::str::from_utf8(valid).unwrap_or_default(), &mut out);
                    let Some(bad) = error.error_len() else {
                        self.rest = after.to_vec();
                        break;
                    };
                    for byte in &after[..bad] {
                        let _ = write!(out, "\\x{byte:02x}");
                    }
                    left = &after[bad..];
                }
            }
        }
        out
    }

    /// What to show for a character that never ended.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.rest).iter().fold(String::new(), |mut out, byte| {
            let _ = write!(out, "\\x{byte:02x}");
            out
        })
    }
}

fn show(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if is_harmful(c) => out.push_str(&safe(c.encode_utf8(&mut [0; 4]))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evil_key_cannot_speak_to_the_terminal() {
        assert_eq!(
            safe("a\u{1b}]0;x\u{7}\u{9b}31m\r\n\u{202e}b"),
            "a\\u{1b}]0;x\\u{7}\\u{9b}31m\\r\\n\\u{202e}b"
        );
        assert!(matches!(safe("größe 表"), Cow::Borrowed(_)));
    }

    #[test]
    fn cut_text_fits_and_says_so() {
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit("表表表", 4), "表…");
        assert_eq!(fit("abcd", 4), "abcd");
        assert_eq!(width(&fit("表表表", 3)), 3);
    }

    #[test]
    fn a_character_cut_in_two_is_shown_whole() {
        let mut screen = Screen::default();
        let mut out = screen.push("a\tö".as_bytes().split_at(3).0);
        out += &screen.push(&[0xb6, b'\n', 0xff, 0x1b, 0xc2]);
        out += &screen.push(&[0x9b]);
        out += &screen.finish();
        assert_eq!(out, "a\tö\n\\xff\\u{1b}\\u{9b}");
    }
}
