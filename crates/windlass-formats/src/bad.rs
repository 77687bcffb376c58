//! What could not be read: counts per file, and the first rows of each with line and reason.

use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Rows of one file that are told with their reasons; all are counted.
const TOLD: usize = 10;
/// Files that are remembered; the oldest go first.
const FILES: usize = 1000;
/// Characters of a reason.
const LENGTH: usize = 500;

/// A bad row, or a file that is bad as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The line, from 1; None: the whole file, or a format without lines.
    pub line: Option<u64>,
    /// What is wrong with it.
    pub reason: String,
}

/// What one query could not read of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The fabric of the query; others may not see it.
    pub fabric: String,
    /// The query that read it, a number of this process.
    pub query: u64,
    /// When the first of it was found.
    pub time: DateTime<Utc>,
    /// What a person types to name the file.
    pub file: String,
    /// Bad rows in all.
    pub rows: u64,
    /// The first of them.
    pub first: Vec<Rejected>,
}

/// The bad files of the last queries of a process, bounded.
#[derive(Debug, Default)]
pub struct BadFiles(Mutex<VecDeque<BadFile>>);

impl BadFiles {
    /// Notes a bad row (`line`) or file of a query.
    pub fn add(
        &self,
        (fabric, query): (&str, u64),
        time: DateTime<Utc>,
        file: &str,
        line: Option<u64>,
        why: &str,
    ) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = files.iter().rposition(|known| known.query == query && known.file == file);
        let at = at.unwrap_or_else(|| {
            if files.len() == FILES {
                files.pop_front();
            }
            files.push_back(BadFile {
                fabric: fabric.to_owned(),
                query,
                time,
                file: file.to_owned(),
                rows: 0,
                first: Vec::new(),
            });
            files.len() - 1
        });
        let known = &mut files[at];
        known.rows += 1;
        if known.first.len() < TOLD {
            let reason = why.chars().take(LENGTH).collect();
            known.first.push(Rejected { line, reason });
        }
    }

    /// All that is known, oldest first.
    pub fn all(&self) -> Vec<BadFile> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_counted_and_the_first_are_told() {
        let bad = BadFiles::default();
        for line in 1..=25 {
            bad.add(("f", 1), DateTime::UNIX_EPOCH, "a.csv", Some(line), "too short");
        }
        bad.add(("f", 2), DateTime::UNIX_EPOCH, "a.csv", None, "truncated");
        let all = bad.all();
        assert_eq!((all[0].rows, all[0].first.len(), all[0].first[9].line), (25, 10, Some(10)));
        assert_eq!((all[1].rows, all[1].first[0].line), (1, None));
        for query in 0..2000 {
            bad.add(("f", query), DateTime::UNIX_EPOCH, "b.csv", None, "truncated");
        }
        assert_eq!(bad.all().len(), 1000);
    }
}
