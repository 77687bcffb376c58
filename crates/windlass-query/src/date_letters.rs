//! The letters of `DATE_PATTERN`, as Java knows them: what reading and writing understand alike.

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// Text, without its quotes.
    Text(String),
    /// A run of one letter.
    Letters(&'a str),
}

/// The pieces of a pattern: runs of a letter, and all else as it is. Letters that mean themselves are in single
/// quotes; two quotes are one. The error says what the pattern has.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, &'static str> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("''") {
            literal.push('\'');
            rest = after;
        } else if let Some(mut quoted) = rest.strip_prefix('\'') {
            loop {
                let (text, after) =
                    quoted.split_once('\'').ok_or("has a quote that is not closed")?;
                literal.push_str(text);
                rest = after;
                let Some(more) = after.strip_prefix('\'') else { break };
                literal.push('\'');
                quoted = more;
            }
        } else if first.is_ascii_alphabetic() {
            let same = rest.len() - rest.trim_start_matches(first).len();
            if !literal.is_empty() {
                tokens.push(Token::Text(std::mem::take(&mut literal)));
            }
            tokens.push(Token::Letters(&rest[..same]));
            rest = &rest[same..];
        } else {
            literal.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        tokens.push(Token::Text(literal));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_letters_and_two_are_one() {
        let text = |text: &str| Token::Text(text.to_owned());
        assert_eq!(tokens("yyyyMM").unwrap(), [Token::Letters("yyyy"), Token::Letters("MM")]);
        assert_eq!(tokens("'dt='yyyy").unwrap(), [text("dt="), Token::Letters("yyyy")]);
        assert_eq!(
            tokens("'o''clock 'HH''").unwrap(),
            [text("o'clock "), Token::Letters("HH"), text("'")]
        );
        assert!(tokens("'dt=yyyy").is_err());
    }
}
