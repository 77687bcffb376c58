//! Deciding what to do with each listed object, without doing it.
//!
//! One entry in, at most one step out; nothing is remembered but what begins the last key.

use crate::naming::{Beside, Naming, check_destination};
use windlass_types::{Entry, EntryKind, KeyPattern, Result};

/// An object of the source as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Copy it to this key.
    Copy(Found, String),
    /// Leave it, for this reason.
    Skip(Found, String, String),
    /// It cannot be done, for this reason.
    Refuse(Found, String, String),
}

/// Which keys are wanted: include and exclude lists; exclude wins.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Empty: everything.
    pub include: Vec<KeyPattern>,
    /// Never these.
    pub exclude: Vec<KeyPattern>,
}

impl Filter {
    /// Whether a path below the source's base is wanted. A pattern without `/` also matches the
    /// file name alone.
    pub fn takes(&self, relative: &str) -> bool {
        let name = relative.rsplit('/').next().unwrap_or(relative);
        let any = |patterns: &[KeyPattern]| {
            patterns.iter().any(|pattern| {
                pattern.matches(relative)
                    || (!pattern.as_str().contains('/') && pattern.matches(name))
            })
        };
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

/// Turns a listing into steps.
#[derive(Debug)]
pub(crate) struct Planner {
    naming: Naming,
    filter: Filter,
    /// Source and destination are one bucket of one service.
    one_place: bool,
    /// The destination is a folder of a machine.
    to_folder: bool,
    beside: Beside,
    /// Entries that belong to the source, wanted or not.
    pub(crate) seen: u64,
}

impl Planner {
    pub(crate) fn new(
        naming: Naming,
        filter: Filter,
        one_place: bool,
        to_folder: bool,
    ) -> Result<Self> {
        if one_place {
            naming.check_within_one_place()?;
        }
        Ok(Self { naming, filter, one_place, to_folder, beside: Beside::default(), seen: 0 })
    }

    pub(crate) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The step for one entry; None if it is not wanted.
    pub(crate) fn step(&mut self, entry: Entry) -> Option<Step> {
        if entry.kind != EntryKind::Object {
            return None;
        }
        let relative = self.naming.source.relative(&entry.key)?;
        self.seen += 1;
        if !self.filter.takes(relative) {
            return None;
        }
        let to = self.naming.destination(&entry.key)?;
        let found = Found { size: entry.size, etag: entry.etag, key: entry.key };
        if to.is_empty() {
            return Some(Step::Skip(found, to, "only marks the folder itself".to_owned()));
        }
        if self.one_place && to == found.key {
            return Some(Step::Skip(
                found,
                to,
                "source and destination are the same object".to_owned(),
            ));
        }
        if self.one_place && self.naming.source.relative(&to).is_some() {
            let why = format!("`{to}` is itself part of the source");
            return Some(Step::Refuse(found, to, why));
        }
        if let Err(error) = check_destination(&to, self.to_folder) {
            return Some(Step::Refuse(found, to, error.message().to_owned()));
        }
        if self.to_folder {
            if to.ends_with('/') && found.size.is_some_and(|size| size > 0) {
                let why = format!("`{to}` would be a folder, which cannot hold bytes");
                return Some(Step::Refuse(found, to, why));
            }
            if let Some(file) = self.beside.check(&to) {
                let why = format!("`{file}` is a file there, so nothing can lie below it");
                return Some(Step::Refuse(found, to, why));
            }
        }
        Some(Step::Copy(found, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, size: u64) -> Entry {
        Entry {
            key: key.to_owned(),
            kind: EntryKind::Object,
            path: key.to_owned(),
            size: Some(size),
            last_modified: None,
            etag: None,
            storage_class: None,
        }
    }

    fn patterns(texts: &[&str]) -> Vec<KeyPattern> {
        texts.iter().map(|text| KeyPattern::parse(text).unwrap()).collect()
    }

    fn steps(planner: &mut Planner, keys: &[&str]) -> String {
        let lines: Vec<String> = keys
            .iter()
            .filter_map(|key| planner.step(entry(key, 1)))
            .map(|step| match step {
                Step::Copy(found, to) => format!("copy {} -> {to}", found.key),
                Step::Skip(found, _, why) => format!("skip {}: {why}", found.key),
                Step::Refuse(found, _, why) => format!("refuse {:?}: {why}", found.key),
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn keys_that_cannot_be_files_are_refused_and_the_others_go_on() {
        let naming = Naming::new("s/", "d/").unwrap();
        let mut planner = Planner::new(naming, Filter::default(), false, true).unwrap();
        let keys =
            ["s/", "s/../x", "s//x", "s/a", "s/a\0", "s/a-b", "s/a/c", "s/b/", "s/b/x", "t/x"];
        insta::assert_snapshot!(steps(&mut planner, &keys), @r#"
        refuse "s/": `d/` would be a folder, which cannot hold bytes
        refuse "s/../x": `d/../x` holds `..`, which leads outside the folder
        refuse "s//x": `d//x` has an empty level, which a folder cannot hold
        copy s/a -> d/a
        refuse "s/a\0": `d/a\u{0}` holds a NUL, which no file name can
        copy s/a-b -> d/a-b
        refuse "s/a/c": `d/a` is a file there, so nothing can lie below it
        refuse "s/b/": `d/b/` would be a folder, which cannot hold bytes
        copy s/b/x -> d/b/x
        "#);
        assert_eq!(planner.seen, 9);
    }

    #[test]
    fn exclude_wins_and_a_pattern_without_a_slash_sees_the_file_name() {
        let filter = Filter {
            include: patterns(&["*.csv", "in/**"]),
            exclude: patterns(&["tmp-*", "in/x/*"]),
        };
        let taken: Vec<&str> =
            ["a.csv", "d/b.csv", "d/b.txt", "in/c.txt", "in/x/c.csv", "d/tmp-1.csv"]
                .into_iter()
                .filter(|path| filter.takes(path))
                .collect();
        assert_eq!(taken, ["a.csv", "d/b.csv", "in/c.txt"]);
    }

    #[test]
    fn a_copy_within_one_place_does_not_touch_its_own_source() {
        let naming = Naming::new("a/b/", "a/").unwrap();
        let mut planner = Planner::new(naming, Filter::default(), true, false).unwrap();
        insta::assert_snapshot!(steps(&mut planner, &["a/b/x", "a/b/b/x"]), @r#"
        copy a/b/x -> a/x
        refuse "a/b/b/x": `a/b/x` is itself part of the source
        "#);
        let naming = Naming::new("a/", "a/").unwrap();
        let mut planner = Planner::new(naming, Filter::default(), true, false).unwrap();
        insta::assert_snapshot!(steps(&mut planner, &["a/x"]), @"skip a/x: source and destination are the same object");
        assert!(
            Planner::new(Naming::new("a/", "a/c/").unwrap(), Filter::default(), true, false)
                .is_err()
        );
    }
}
