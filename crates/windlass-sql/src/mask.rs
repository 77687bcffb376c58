//! Cutting secrets out of statement texts, for history, audit and logs.
//!
//! A statement that reads well loses exactly its secrets. From where one stops reading well, only
//! the words of the language are kept: a missing quote shifts what is text and what is not.

use crate::ParseMode;
use crate::ast::{Statement, is_secret};
use crate::lex::{Tok, extent, lex};
use crate::parser::{Parser, is_known, is_literal, looks_like_key};
use sqlparser::tokenizer::Token;
use std::ops::Range;
use windlass_types::options::MASK;

/// The same text with secrets masked. Never fails, and masks more when unsure.
pub fn masked(text: &str) -> String {
    let lexed = lex(text);
    let mut cuts: Vec<Range<usize>> = Vec::new();
    let mut broken = lexed.fault.is_some();
    let mut sensitive = broken;
    for tokens in lexed.statements() {
        let Some(range) = extent(tokens) else { continue };
        if broken {
            cut_all_but_words(tokens, &mut cuts);
            continue;
        }
        let mut parser = Parser::new(tokens, &text[range], ParseMode::AllowMask);
        let statement = parser.statement();
        sensitive |= parser.sensitive;
        cuts.append(&mut parser.secrets);
        match statement {
            Err(_) => {
                broken = true;
                sensitive = true;
                let (sound, rest) = tokens.split_at(parser.sound.min(tokens.len()));
                let quoting = sound.iter().filter(|tok| literal_mentions_secret(tok));
                cuts.extend(quoting.map(|tok| tok.range.clone()));
                cut_all_but_words(rest, &mut cuts);
            }
            Ok(statement) => {
                let all =
                    matches!(statement, Statement::Engine(_)) && tokens.iter().any(names_secret);
                sensitive |= all;
                let literals = tokens.iter().filter(|tok| is_literal(&tok.token));
                cuts.extend(
                    literals
                        .filter(|tok| all || literal_mentions_secret(tok))
                        .map(|tok| tok.range.clone()),
                );
            }
        }
    }
    if let Some(fault) = &lexed.fault {
        cuts.push(fault.offset..text.len());
    }
    let comments =
        lexed.comments.iter().filter(|range| sensitive || may_hold_code(&text[(*range).clone()]));
    let mut edits: Vec<(Range<usize>, &str)> = comments
        .map(|range| (range.clone(), comment_mask(&text[range.clone()])))
        .chain(cuts.into_iter().map(|range| (range, "'********'")))
        .collect();
    edits.sort_by_key(|(range, _)| range.start);
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for (range, mask) in edits {
        if range.start >= done {
            result.push_str(&text[done..range.start]);
            result.push_str(mask);
        }
        done = done.max(range.end);
    }
    result.push_str(&text[done..]);
    result
}

fn comment_mask(comment: &str) -> &'static str {
    match (comment.starts_with("--"), comment.ends_with('\n')) {
        (true, true) => "-- ********\n",
        (true, false) => "-- ********",
        (false, _) => "/* ******** */",
    }
}

/// Cuts every run of tokens that are neither words of the language nor its punctuation.
fn cut_all_but_words(tokens: &[Tok], cuts: &mut Vec<Range<usize>>) {
    let mut run: Option<Range<usize>> = None;
    for tok in tokens {
        let keep = match &tok.token {
            Token::Eq | Token::Comma | Token::LParen | Token::RParen | Token::Period => true,
            _ => tok.bare().is_some_and(is_known),
        };
        if keep {
            cuts.extend(run.take());
        } else {
            let start = run.take().map_or(tok.range.start, |run| run.start);
            run = Some(start..tok.range.end);
        }
    }
    cuts.extend(run);
}

/// Whether a statement of the engine's names what only a secret is named by.
fn names_secret(tok: &Tok) -> bool {
    tok.bare().is_some_and(|word| word.eq_ignore_ascii_case("SECRET") || is_secret(word))
}

/// Whether a literal seems to quote a statement with a secret in it.
pub(crate) fn literal_mentions_secret(tok: &Tok) -> bool {
    match &tok.token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
            mentions_secret(text)
        }
        Token::DollarQuotedString(text) => mentions_secret(&text.value),
        _ => false,
    }
}

/// Whether a comment may be a statement that was commented out, or a key.
fn may_hold_code(comment: &str) -> bool {
    comment.contains(['\'', '"', '='])
        || mentions_secret(comment)
        || comment.split(|c: char| !c.is_ascii_alphanumeric()).any(looks_like_key)
}

/// Whether a text seems to quote a statement with a secret in it.
pub(crate) fn mentions_secret(text: &str) -> bool {
    const SIGNS: &[&str] =
        &["SECRET", "AWS_ACCESS_KEY", "SESSION_TOKEN", "CUSTOMER_MANAGED_KEY", MASK];
    text.len() >= 6 && {
        let upper = text.to_ascii_uppercase();
        SIGNS.iter().any(|sign| upper.contains(sign))
    }
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn exactly_the_secrets_of_a_good_statement_are_masked() {
        let texts = [
            "CREATE S3 CONNECTION c REGION='eu', -- mine\n AWS_ACCESS_KEY_ID = 'k' AWS_SECRET_ACCESS_KEY='s''x' AWS_SESSION_TOKEN = SECRET t HEADERS = ('a: b', 'c: d') PROXY='http://u:p@h'; SELECT 'k' -- fine",
            "ALTER S3 CONNECTION c SET LABEL='x' SET PROXY = 'p' RESET REGION",
            "create secret n = 'v'; alter secret n='w'; create secret e from env X; SHOW SECRETS",
            "SELECT * FROM c.\"a/b\" WHERE x = 'secret'' = 1' AND y = 'y' -- all of it",
            "SELECT 1 WHERE secret = 'y'",
            // A slip in a name keeps the rest readable.
            "CREATE S3 CONNECTION c REGIO='eu', AWS_SECRET_ACESS_KEY = 's' LABEL = 'l'",
            "CREATE S3 CONNECTION c ROLE_DURATION = 1 LABEL = 'l' LABEL = 'm'",
        ];
        insta::assert_snapshot!(texts.map(masked).join("\n\n"));
    }

    #[test]
    fn text_that_does_not_read_keeps_only_words() {
        for text in [
            "CREATE SECRET n 'CANARY'",
            "CREATE SECRET CANARY",
            "CREATE SECRET n = CANARY",
            "CREATE SECRET n = \"CANARY\"",
            "CREATE SECRET n = E'CANARY'",
            "CREATE SECRET n = $$CANARY$$",
            "CREATE SECRET n = 'x' 'CANARY'",
            "CREATE SECRET n = 'CANARY",
            "CREATE SECRET n = ; SELECT 'CANARY'",
            "CREAT SECRT n = 'CANARY'",
            "CREATE SECRT n = 'CANARY'",
            "SECRET n = 'CANARY'",
            "EXPLAIN CREATE SECRET n = 'CANARY'",
            "SELECT 'CREATE SECRET n = ''CANARY'''",
            "-- CREATE SECRET n = 'CANARY'",
            "/* CREATE SECRET n = 'CANARY' */ SELECT 1",
            "CREATE SECRET n = 'x'; -- CANARY",
            "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY 'CANARY'",
            "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY = CANARY",
            "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY = CANARY/CANARY+x= REGION = 'r'",
            "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY = LABEL = 'CANARY'",
            "CREATE S3 CONNECTION c REGION = 'x'' AWS_SECRET_ACCESS_KEY = 'CANARY'",
            "CREATE S3 CONNECTION c REGION = 'x AWS_SECRET_ACCESS_KEY = ''CANARY' LABEL='l'",
            "CREATE S3 CONNECTION c REGION = x' AWS_SECRET_ACCESS_KEY = 'CANARY'",
            "CREATE S3 CONNECTION c AWS_SECRET_KEY = 'CANARY'",
            "CREATE S4 CONNECTION c AWS_SECRET_ACCESS_KEY = 'CANARY'",
            "CREATE CONNECTION c PROXY = 'CANARY'",
            "CREATE S3 CONNECTION c HEADERS = ('a: CANARY', b: CANARY)",
            "ALTER CONNECTION c SET PROXY = 'CANARY'",
            "ALTER S3 CONNECTION c PROXY = 'CANARY'",
        ] {
            let masked = masked(text);
            assert!(!masked.contains("CANARY"), "{text} became {masked}");
            if let Err(error) = crate::parse(text) {
                assert!(!format!("{error:?}").contains("CANARY"), "{text} said {error:?}");
            }
        }
    }
}
