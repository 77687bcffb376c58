//! Full-text search in both databases: FTS5 of SQLite, `tsvector` of PostgreSQL. Both are given
//! words, so that both find the same.

use super::Dialect;

/// Words of one text, with how much a hit in it weighs.
pub(crate) struct Weighted<'a> {
    pub(crate) words: &'a [String],
    /// Of PostgreSQL: `A` to `D`.
    pub(crate) weight: char,
}

/// Most places of one word that PostgreSQL keeps, and the last place of all.
const PLACES: usize = 255;
const LAST: usize = 16_383;

/// The text of words for FTS5: a word after the other.
pub(crate) fn plain(words: &[String]) -> String {
    words.join(" ")
}

/// The text of a `tsvector`. Words are letters and digits only, so nothing needs escaping.
pub(crate) fn vector(parts: &[Weighted<'_>]) -> String {
    let mut places: std::collections::BTreeMap<&str, Vec<String>> =
        std::collections::BTreeMap::new();
    let mut place = 0;
    for part in parts {
        for word in part.words {
            place = (place + 1).min(LAST);
            let at = places.entry(word).or_default();
            if at.len() < PLACES {
                at.push(format!("{place}{}", part.weight));
            }
        }
    }
    let texts: Vec<String> =
        places.iter().map(|(word, at)| format!("'{word}':{}", at.join(","))).collect();
    texts.join(" ")
}

impl Dialect {
    /// Every word must be there, or begin one that is.
    pub(crate) fn search_query(self, words: &[String]) -> String {
        let each: Vec<String> = words
            .iter()
            .map(|word| match self {
                Self::Sqlite => format!("\"{word}\"*"),
                Self::Postgres => format!("'{word}':*"),
            })
            .collect();
        each.join(match self {
            Self::Sqlite => " AND ",
            Self::Postgres => " & ",
        })
    }

    /// The best containers of a fabric: the query, the fabric, how many, after how many.
    pub(crate) fn search_sql(self) -> &'static str {
        match self {
            // Lower is better in bm25.
            Self::Sqlite => {
                "SELECT c.*, s.name AS service_name, -f.score AS score FROM (SELECT rowid AS id, bm25(container_search, 10.0, 4.0, 2.0, 6.0) AS score FROM container_search WHERE container_search MATCH $1) f JOIN containers c ON c.id = f.id JOIN catalog_services s ON s.id = c.service_id WHERE s.fabric_id = $2 AND c.status <> 'deleted' ORDER BY f.score, c.fqn LIMIT $3 OFFSET $4"
            }
            Self::Postgres => {
                "SELECT c.*, s.name AS service_name, CAST(ts_rank('{0.2, 0.4, 0.6, 1.0}', f.words, CAST($1 AS tsquery)) AS DOUBLE PRECISION) AS score FROM container_search f JOIN containers c ON c.id = f.container_id JOIN catalog_services s ON s.id = c.service_id WHERE f.words @@ CAST($1 AS tsquery) AND s.fabric_id = $2 AND c.status <> 'deleted' ORDER BY score DESC, c.fqn LIMIT $3 OFFSET $4"
            }
        }
    }

    /// Writes what a crawl said of a container: its number, and the texts of [`Dialect::found_texts`].
    pub(crate) fn put_found_sql(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "INSERT OR REPLACE INTO container_search (rowid, name, columns, about, notes) SELECT $1, $2, $3, $4, COALESCE((SELECT notes FROM container_search WHERE rowid = $1), '')"
            }
            Self::Postgres => {
                "INSERT INTO container_search (container_id, found, noted) VALUES ($1, CAST($2 AS tsvector), '') ON CONFLICT (container_id) DO UPDATE SET found = excluded.found"
            }
        }
    }

    /// What [`Dialect::put_found_sql`] takes after the number.
    pub(crate) fn found_texts(
        self,
        name: &[String],
        columns: &[String],
        about: &[String],
    ) -> Vec<String> {
        match self {
            Self::Sqlite => vec![plain(name), plain(columns), plain(about)],
            Self::Postgres => vec![vector(&[
                Weighted { words: name, weight: 'A' },
                Weighted { words: columns, weight: 'B' },
                Weighted { words: about, weight: 'C' },
            ])],
        }
    }

    /// Writes what people say of a container: its number and the text of [`Dialect::noted_text`].
    pub(crate) fn put_noted_sql(self) -> &'static str {
        match self {
            Self::Sqlite => "UPDATE container_search SET notes = $2 WHERE rowid = $1",
            Self::Postgres => {
                "UPDATE container_search SET noted = CAST($2 AS tsvector) WHERE container_id = $1"
            }
        }
    }

    /// What [`Dialect::put_noted_sql`] takes after the number.
    pub(crate) fn noted_text(self, words: &[String]) -> String {
        match self {
            Self::Sqlite => plain(words),
            Self::Postgres => vector(&[Weighted { words, weight: 'B' }]),
        }
    }
}
