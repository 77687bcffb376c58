//! Characters that options name: delimiters, quotes, escapes.

use windlass_types::{Error, ErrorCode, Result};

/// The character that the option `name` says: itself, `TAB` or `\t`, or its number as in `\x01` and
/// `\u0001`. An error (`option.invalid`) for anything but one ASCII character.
pub fn character(name: &str, text: &str) -> Result<char> {
    let mut chars = text.chars();
    let said = match (chars.next(), chars.next()) {
        (Some(one), None) => Some(one),
        (None, _) => None,
        _ => spelled(text),
    };
    said.filter(char::is_ascii).ok_or_else(|| {
        Error::new(ErrorCode::OptionInvalid, format!("{name} is not one ASCII character")).hint(
            "write one character, such as `';'`; a tab is `'\\t'`, a control character such as `'\\x01'`",
        )
    })
}

fn spelled(text: &str) -> Option<char> {
    if text == "\\t" || text.eq_ignore_ascii_case("TAB") {
        return Some('\t');
    }
    let digits = match (text.strip_prefix("\\x"), text.strip_prefix("\\u")) {
        (Some(two), _) if two.len() == 2 => two,
        (_, Some(four)) if four.len() == 4 => four,
        _ => return None,
    };
    let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_itself_or_spelled() {
        let read = |text: &str| character("DELIMITER", text).ok();
        for (text, expected) in [
            (";", ';'),
            ("\\", '\\'),
            ("\t", '\t'),
            ("\\t", '\t'),
            ("TAB", '\t'),
            ("tab", '\t'),
            ("\x01", '\x01'),
            ("\\x01", '\x01'),
            ("\\x7C", '|'),
            ("\\u0001", '\x01'),
        ] {
            assert_eq!(read(text), Some(expected), "{text:?}");
        }
        for wrong in
            ["", "||", ";;", "ä", "\\x80", "\\x1", "\\x+1", "\\u01", "\\u00e4", "\\n", "tabs"]
        {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        let error = character("DELIMITER", "||").unwrap_err();
        assert_eq!(error.message(), "DELIMITER is not one ASCII character");
        assert!(error.hint_text().unwrap().contains("\\x01"));
    }
}
