//! Finding containers by words.

use crate::Store;
use crate::catalog::ContainerRow;
use crate::error::failed;
use sqlx::Row as _;
use windlass_types::{FabricId, Result};

/// Most words that are kept of one text, and of one question.
const WORDS: usize = 4000;
const ASKED: usize = 16;

/// A container that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The container.
    pub container: ContainerRow,
    /// How well it fits: more is better, only to be compared within one answer.
    pub score: f64,
}

/// The words of a text, lower case: letters and digits between anything else, with the parts of
/// `snake_case` and `camelCase`, and what is made of parts as a whole too.
pub fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let whole = |c: char| c.is_alphanumeric() || c == '_';
    for group in text.split(|c: char| !whole(c)).filter(|group| !group.is_empty()) {
        let first = all.len();
        for part in group.split('_').filter(|part| !part.is_empty()) {
            camel(part, &mut all);
        }
        if all.len() > first + 1 {
            let joined = all[first..].concat();
            all.push(joined);
        }
        if all.len() >= WORDS {
            all.truncate(WORDS);
            break;
        }
    }
    all
}

/// The parts of `camelCase`, `HTTPServer`: a capital begins one after a small letter or a digit, and before a small one.
fn camel(part: &str, all: &mut Vec<String>) {
    let chars: Vec<char> = part.chars().collect();
    let mut begin = 0;
    for at in 1..chars.len() {
        let (before, here) = (chars[at - 1], chars[at]);
        let after = chars.get(at + 1);
        let rises = here.is_uppercase()
            && (!before.is_uppercase() || after.is_some_and(|c| c.is_lowercase()));
        if rises && before.is_alphabetic() {
            all.push(lower(&chars[begin..at]));
            begin = at;
        }
    }
    all.push(lower(&chars[begin..]));
}

/// Lower case, without marks that the two databases would see differently.
fn lower(chars: &[char]) -> String {
    chars.iter().flat_map(|c| c.to_lowercase()).filter(|c| c.is_alphanumeric()).collect()
}

impl Store {
    /// Containers of a fabric that have every word of the question, or one that begins so; the best first.
    /// Those that are deleted are left out. A question without words finds nothing.
    pub async fn search_containers(
        &self,
        fabric: FabricId,
        question: &str,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Hit>> {
        let mut asked: Vec<String> = Vec::new();
        for word in question_words(question) {
            if !asked.contains(&word) && asked.len() < ASKED {
                asked.push(word);
            }
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let doing = "search the catalogue";
        sqlx::query(self.dialect.search_sql())
            .bind(self.dialect.search_query(&asked))
            .bind(fabric.to_string())
            .bind(i64::from(limit))
            .bind(i64::from(offset))
            .fetch_all(&self.pool)
            .await
            .map_err(failed(doing))?
            .iter()
            .map(|row| {
                Ok(Hit {
                    container: ContainerRow::read(row)?,
                    score: row.try_get("score").map_err(failed(doing))?,
                })
            })
            .collect()
    }
}

/// The words of a question: parts are asked for one by one, never the whole made of them.
fn question_words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for part in text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()) {
        camel(part, &mut all);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_within_names() {
        let found = |text: &str| words(text).join(" ");
        assert_eq!(found("invoice_email"), "invoice email invoiceemail");
        assert_eq!(found("customerEmailV2"), "customer email v2 customeremailv2");
        assert_eq!(found("HTTPServer"), "http server httpserver");
        assert_eq!(found("raw/orders-2024.csv"), "raw orders 2024 csv");
        assert_eq!(found("Größe_mm"), "größe mm größemm");
        assert_eq!(found("'; DROP \"x\"*"), "drop x");
        assert!(words("__ - ..").is_empty());
    }

    #[test]
    fn a_question_asks_for_each_part() {
        assert_eq!(question_words("invoiceEmail raw/or"), ["invoice", "email", "raw", "or"]);
    }
}
