//! Finding containers by words.

use crate::Store;
use crate::catalog::{ContainerRow, SELECT};
use crate::error::{failed, row_number};
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::HashMap;
use windlass_types::{FabricId, Result};

/// Most words that are kept of one text, and of one question.
const WORDS: usize = 4000;
const ASKED: usize = 16;

/// Most letters of a word.
const LETTERS: usize = 100;

/// Containers that are compared, at least, before the best are answered.
const CANDIDATES: usize = 1500;

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
    chars
        .iter()
        .flat_map(|c| c.to_lowercase())
        .filter(|c| c.is_alphanumeric())
        .take(LETTERS)
        .collect()
}

/// A container that fits, with its words.
struct Candidate {
    id: i64,
    score: f64,
    name: String,
}

/// What a hit weighs: in the name, in people's notes, in columns, in what else is said; and of a
/// word that only begins as the one asked for, how much of that.
const WEIGHTS: [f64; 4] = [10.0, 6.0, 4.0, 2.0];
const BEGINS: f64 = 0.6;

/// How well words fit: the best hit of each, and a little for a short name.
fn score(asked: &[String], texts: [&str; 4]) -> f64 {
    let hit = |word: &str| {
        let of = texts.iter().zip(WEIGHTS).map(|(text, weight)| {
            let best = text
                .split(' ')
                .filter(|own| own.starts_with(word))
                .map(|own| if own.len() == word.len() { 1.0 } else { BEGINS });
            weight * best.fold(0.0, f64::max)
        });
        of.fold(0.0, f64::max)
    };
    let length = u32::try_from(texts[0].split(' ').count()).unwrap_or(u32::MAX);
    asked.iter().map(|word| hit(word)).sum::<f64>() + 1.0 / (1.0 + f64::from(length))
}

impl Store {
    /// Containers of a fabric that have every word of the question, the last of which may be only
    /// begun; where these are fewer than asked for, each may be. The best come first. Those that are
    /// deleted are left out. A question without words finds nothing. Of more than some thousand that
    /// fit, those are looked at first that have a word in their names.
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
        let wanted = (limit as usize).saturating_add(offset as usize);
        if asked.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let most = wanted.max(CANDIDATES);
        let mut found: HashMap<i64, Candidate> = HashMap::new();
        // Whole words first: they rank before others, and cost the least. Then the last word may be
        // one that somebody still types; all may be only where that finds too few, for it costs most.
        let all = asked.len();
        let stages = [(0, most), (1, most), (all, if all > 1 { wanted.min(most) } else { 0 })];
        for (begins, enough) in stages {
            for top in [true, false] {
                if found.len() < enough {
                    self.candidates(fabric, &asked, begins, top, most, &mut found).await?;
                }
            }
        }
        let mut found: Vec<Candidate> = found.into_values().collect();
        found.sort_by(|one, other| {
            let better = other.score.total_cmp(&one.score);
            better.then_with(|| one.name.cmp(&other.name)).then(one.id.cmp(&other.id))
        });
        let page: Vec<Candidate> =
            found.into_iter().skip(offset as usize).take(limit as usize).collect();
        let ids: Vec<i64> = page.iter().map(|hit| hit.id).collect();
        let mut rows = self.containers_by_id(&ids).await?;
        let hit = |one: &Candidate| {
            let container = rows.remove(&one.id)?;
            Some(Hit { container, score: one.score })
        };
        Ok(page.iter().filter_map(hit).collect())
    }

    async fn candidates(
        &self,
        fabric: FabricId,
        asked: &[String],
        begins: usize,
        top: bool,
        most: usize,
        found: &mut HashMap<i64, Candidate>,
    ) -> Result<()> {
        let doing = "search the catalogue";
        let mut query = sqlx::query(self.dialect.candidates_sql(top))
            .bind(fabric.to_string())
            .bind(i64::try_from(most).unwrap_or(i64::MAX));
        for text in self.dialect.question(asked, begins, top) {
            query = query.bind(text);
        }
        for row in query.fetch_all(&self.pool).await.map_err(failed(doing))? {
            let id = row_number(&row, "id")?;
            if found.contains_key(&id) {
                continue;
            }
            let text = |name: &str| -> Result<&str> { row.try_get(name).map_err(failed(doing)) };
            let name = text("name")?;
            let texts = [name, text("notes")?, text("columns")?, text("about")?];
            let score = score(asked, texts);
            found.insert(id, Candidate { id, score, name: name.to_owned() });
        }
        Ok(())
    }

    /// Containers by their numbers.
    async fn containers_by_id(&self, ids: &[i64]) -> Result<HashMap<i64, ContainerRow>> {
        let mut all = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(500) {
            let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
            let sql = format!("{SELECT} WHERE c.id IN ({})", places.join(", "));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in ids {
                query = query.bind(*id);
            }
            for row in query.fetch_all(&self.pool).await.map_err(failed("read containers"))? {
                let row = ContainerRow::read(&row)?;
                all.insert(row.id, row);
            }
        }
        Ok(all)
    }
}

/// The words of a question: parts are asked for one by one, never the whole made of them.
fn question_words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let text = text.strip_prefix("s3://").unwrap_or(text);
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
    fn a_hit_in_the_name_is_better_than_in_a_column_and_a_whole_word_than_a_beginning() {
        let asked = ["order".to_owned()];
        let of = |texts| score(&asked, texts);
        let name = of(["order", "", "", ""]);
        let begins = of(["orders", "", "", ""]);
        let note = of(["x", "order", "", ""]);
        let column = of(["x", "", "order id", ""]);
        let about = of(["x", "", "", "order"]);
        assert!(name > begins && begins > column);
        assert!(name > note && note > column && column > about && about > of(["x", "", "", ""]));
        assert!(name > of(["order a b c d", "", "", ""]), "shorter is nearer");
    }

    #[test]
    fn a_question_asks_for_each_part() {
        assert_eq!(question_words("invoiceEmail raw/or"), ["invoice", "email", "raw", "or"]);
    }
}
