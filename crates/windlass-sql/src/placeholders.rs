//! Where the parameters of a statement stand.

use crate::lex::{Tok, lex};
use sqlparser::tokenizer::Token;
use std::ops::Range;
use windlass_types::Result;

/// The highest number of a parameter: clients count them in two bytes.
const MOST: usize = 65_535;

/// A parameter in a text: `$1`, `$2`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// Its number, from 1.
    pub number: usize,
    /// Where it stands, in bytes.
    pub range: Range<usize>,
    /// It is all that a value is compared with by `= ANY ($1)`, so it must be a list.
    pub list: bool,
}

/// Finds the parameters of a text, in the order in which they stand.
pub fn placeholders(text: &str) -> Result<Vec<Placeholder>> {
    // Most statements are settled by their letters.
    if !text.contains('$') {
        return Ok(Vec::new());
    }
    let lexed = lex(text);
    if let Some(fault) = &lexed.fault {
        return Err(fault.error());
    }
    let mut found = Vec::new();
    for (at, tok) in lexed.tokens.iter().enumerate() {
        let Token::Placeholder(name) = &tok.token else { continue };
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        let Some(number) = number.filter(|number| (1..=MOST).contains(number)) else { continue };
        let list = is_list(&lexed.tokens, at);
        found.push(Placeholder { number, range: tok.range.clone(), list });
    }
    Ok(found)
}

/// Whether what stands at `at` is all between the parentheses of `= ANY (...)` and the like.
fn is_list(tokens: &[Tok], at: usize) -> bool {
    let before = at.checked_sub(3).map(|from| &tokens[from..at]);
    let Some([operator, word, open]) = before else { return false };
    let compares = matches!(
        operator.token,
        Token::Eq | Token::Neq | Token::Lt | Token::LtEq | Token::Gt | Token::GtEq
    );
    let quantifies = word.is("ANY") || word.is("SOME") || word.is("ALL");
    let closes = tokens.get(at + 1).is_some_and(|tok| tok.token == Token::RParen);
    compares && quantifies && open.token == Token::LParen && closes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_from_texts_names_and_comments() {
        let text =
            "SELECT 'ä $1', \"$2\", $$ $3 $$, a$4 /* $5 */ WHERE x = $7::int -- $6\n AND y=$2";
        let found = placeholders(text).unwrap();
        let shown: Vec<_> =
            found.iter().map(|one| (one.number, &text[one.range.clone()])).collect();
        assert_eq!(shown, [(7, "$7"), (2, "$2")]);
        assert!(placeholders("SELECT $0, $99999999").unwrap().is_empty());
        assert!(placeholders("SELECT 'open $1").is_err());
    }

    #[test]
    fn what_any_compares_with_is_a_list() {
        for (text, list) in [
            ("SELECT 1 WHERE n = ANY($1)", true),
            ("SELECT 1 WHERE n <> all ( $1 )", true),
            ("SELECT 1 WHERE n = ANY($1::text[])", false),
            ("SELECT ALL ($1)", false),
            ("$1", false),
        ] {
            assert_eq!(placeholders(text).unwrap()[0].list, list, "{text}");
        }
    }
}
