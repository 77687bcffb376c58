//! Full-text search in both databases: FTS5 of SQLite, `tsvector` of PostgreSQL. Both are given
//! words, letters and digits only, so that both find the same; what is better is decided by
//! `catalog_search.rs`.

use super::Dialect;

impl Dialect {
    /// The question as the database reads it: every word must be there, or, of the last `begins`
    /// words, begin one that is. With `top`, one of them must be in a name or a note.
    pub(crate) fn question(self, words: &[String], begins: usize, top: bool) -> Vec<String> {
        let whole = words.len().saturating_sub(begins);
        let each: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(at, word)| match (self, at >= whole) {
                (Self::Sqlite, true) => format!("\"{word}\"*"),
                (Self::Sqlite, false) => format!("\"{word}\""),
                (Self::Postgres, true) => format!("'{word}':*"),
                (Self::Postgres, false) => format!("'{word}'"),
            })
            .collect();
        match (self, top) {
            (Self::Sqlite, false) => vec![each.join(" AND ")],
            (Self::Sqlite, true) => {
                vec![format!(
                    "({{name notes}} : ({})) AND ({})",
                    each.join(" OR "),
                    each.join(" AND ")
                )]
            }
            (Self::Postgres, false) => vec![each.join(" & ")],
            (Self::Postgres, true) => vec![each.join(" & "), each.join(" | ")],
        }
    }

    /// Containers that fit, and their words: of a fabric, at most so many, for a question.
    pub(crate) fn candidates_sql(self, top: bool) -> &'static str {
        match (self, top) {
            // A cross join keeps the order: the index first.
            (Self::Sqlite, _) => {
                "SELECT c.id, container_search.name, container_search.columns, container_search.about, container_search.notes FROM container_search CROSS JOIN containers c ON c.id = container_search.rowid WHERE container_search MATCH $3 AND c.service_id IN (SELECT id FROM catalog_services WHERE fabric_id = $1) AND c.status <> 'deleted' LIMIT $2"
            }
            (Self::Postgres, false) => {
                "SELECT c.id, f.name, f.columns, f.about, f.notes FROM container_search f JOIN containers c ON c.id = f.container_id JOIN catalog_services s ON s.id = c.service_id WHERE f.words @@ CAST($3 AS tsquery) AND s.fabric_id = $1 AND c.status <> 'deleted' LIMIT $2"
            }
            (Self::Postgres, true) => {
                "SELECT c.id, f.name, f.columns, f.about, f.notes FROM container_search f JOIN containers c ON c.id = f.container_id JOIN catalog_services s ON s.id = c.service_id WHERE f.words @@ CAST($3 AS tsquery) AND f.top @@ CAST($4 AS tsquery) AND s.fabric_id = $1 AND c.status <> 'deleted' LIMIT $2"
            }
        }
    }

    /// Writes the words of what a crawl said of a container: its number, its name, its columns, what
    /// is said of it.
    pub(crate) fn put_found_sql(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "INSERT OR REPLACE INTO container_search (rowid, name, columns, about, notes) SELECT $1, $2, $3, $4, COALESCE((SELECT notes FROM container_search WHERE rowid = $1), '')"
            }
            Self::Postgres => {
                "INSERT INTO container_search (container_id, name, columns, about, notes) VALUES ($1, $2, $3, $4, '') ON CONFLICT (container_id) DO UPDATE SET name = excluded.name, columns = excluded.columns, about = excluded.about"
            }
        }
    }

    /// Writes the words of what people say of a container: its number, and them.
    pub(crate) fn put_noted_sql(self) -> &'static str {
        match self {
            Self::Sqlite => "UPDATE container_search SET notes = $2 WHERE rowid = $1",
            Self::Postgres => "UPDATE container_search SET notes = $2 WHERE container_id = $1",
        }
    }
}
