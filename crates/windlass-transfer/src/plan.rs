//! Deciding what to do with each listed object, without doing it.
//!
//! One entry in, at most one step out; nothing is remembered but what begins the last key, names that
//! had to be changed, and the spellings of names, at both ends, where the destination does not tell case
//! apart.

use crate::names::{Cases, Clash, check_windows, marked, renamed, renamed_for, with_level};
use crate::naming::{Beside, Naming, check_destination};
use crate::options::{CopyOptions, OnTrouble};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use windlass_s3::Storage;
use windlass_types::{Entry, EntryKind, Error, KeyPattern, Result};

/// The reason of what needs nothing.
pub const UNCHANGED: &str = "unchanged";

/// An object of the source as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<DateTime<Utc>>,
    /// Unless it is the ordinary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) storage_class: Option<String>,
}

impl Found {
    /// The row it came from, as far as it is kept.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            key: self.key.clone(),
            kind: EntryKind::Object,
            path: String::new(),
            size: self.size,
            last_modified: self.modified,
            etag: self.etag.clone(),
            storage_class: self.storage_class.clone(),
        }
    }
}

impl From<Entry> for Found {
    fn from(entry: Entry) -> Self {
        Self {
            key: entry.key,
            size: entry.size,
            etag: entry.etag,
            modified: entry.last_modified,
            storage_class: entry.storage_class.filter(|class| class != "STANDARD"),
        }
    }
}

/// What is known of the destination's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Existing {
    /// Nothing, and nothing need be.
    Unknown,
    /// Nothing yet: ask before writing.
    Ask,
    /// It is not there, and must not be when it is written.
    Absent,
    /// This is there, and must still be there when it is written over.
    There(Box<Entry>),
    /// The same, if its bytes are other than the source's.
    Differing(Box<Entry>),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Copy it to this key.
    Copy(Found, String, Existing),
    /// Copy it under another name, made from this key.
    Beside(Found, String),
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
    /// Whether a path below the source's base is wanted. A pattern without `/`, also before it, also
    /// matches the name alone. What names a folder names all below it; a pattern ending in `/` is only meant for
    /// folders.
    pub fn takes(&self, relative: &str) -> bool {
        (self.include.is_empty() || names(&self.include, relative))
            && !names(&self.exclude, relative)
    }
}

/// Whether one of the patterns names this path, or a folder that it lies in.
fn names(patterns: &[KeyPattern], relative: &str) -> bool {
    let any = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        patterns.iter().any(|pattern| {
            pattern.matches(path) || (!pattern.as_str().contains('/') && pattern.matches(name))
        })
    };
    if patterns.is_empty() {
        return false;
    }
    let mut folders = relative.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    any(relative)
        || folders.any(|at| any(&relative[..at]) || names_folder(patterns, &relative[..=at]))
}

/// Whether a pattern ending in `/` names this folder, by its path or by its name.
fn names_folder(patterns: &[KeyPattern], folder: &str) -> bool {
    let above = &folder[..folder.len() - 1];
    let name = &folder[above.rfind('/').map_or(0, |at| at + 1)..];
    patterns.iter().filter(|pattern| pattern.as_str().ends_with('/')).any(|pattern| {
        let by_name = !pattern.as_str()[..pattern.as_str().len() - 1].contains('/');
        pattern.matches(folder) || (by_name && pattern.matches(name))
    })
}

/// Which objects are wanted, by what a listing says of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    newer_than: Option<DateTime<Utc>>,
    older_than: Option<DateTime<Utc>>,
    min_size: Option<u64>,
    max_size: Option<u64>,
}

impl Wanted {
    pub(crate) fn new(options: &CopyOptions) -> Self {
        let CopyOptions { newer_than, older_than, min_size, max_size, .. } = *options;
        Self { newer_than, older_than, min_size, max_size }
    }

    /// What has no time or size passes no bound of it.
    pub(crate) fn takes(&self, entry: &Entry) -> bool {
        let time = |holds: &dyn Fn(DateTime<Utc>) -> bool| entry.last_modified.is_some_and(holds);
        let size = |holds: &dyn Fn(u64) -> bool| entry.size.is_some_and(holds);
        self.newer_than.is_none_or(|bound| time(&|at| at >= bound))
            && self.older_than.is_none_or(|bound| time(&|at| at < bound))
            && self.min_size.is_none_or(|bound| size(&|bytes| bytes >= bound))
            && self.max_size.is_none_or(|bound| size(&|bytes| bytes <= bound))
    }
}

/// What the destination is, as far as names go.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Target {
    /// Source and destination are one bucket of one service.
    pub(crate) one_place: bool,
    /// It is a folder of a machine.
    pub(crate) is_folder: bool,
    /// It tells names apart that differ in case only.
    pub(crate) tells_case: bool,
    pub(crate) names: OnTrouble,
    pub(crate) case: OnTrouble,
    /// An object may be written over itself, since something is given to it.
    pub(crate) in_place: bool,
    /// The source's listing shows links that lead nowhere, as objects without a size.
    pub(crate) shows_lost_links: bool,
}

/// Turns a listing into steps.
#[derive(Debug)]
pub(crate) struct Planner {
    naming: Naming,
    filter: Filter,
    target: Target,
    /// Where names are written that it may refuse.
    to: Option<Storage>,
    beside: Beside,
    cases: Cases,
    /// Names at the destination that were chosen where the source's own could not be.
    renamed: HashSet<String>,
    /// Entries that belong to the source, wanted or not.
    pub(crate) seen: u64,
    /// Whether one of them is more than the mark of the folder itself, or a link that leads nowhere.
    pub(crate) has_some: bool,
    /// Names that the destination cannot have, where that refuses the plan; and the first of them.
    pub(crate) impossible: u64,
    pub(crate) first_impossible: Option<String>,
}

/// Why a name cannot be.
enum Trouble {
    Name(String),
    /// The level that ends here is a file there.
    File(String, usize),
    /// The level that ends here is spelled otherwise.
    Case(String, usize),
}

impl Planner {
    pub(crate) fn new(naming: Naming, filter: Filter, target: Target) -> Result<Self> {
        if target.one_place {
            naming.check_within_one_place()?;
        }
        Ok(Self {
            naming,
            filter,
            target,
            to: None,
            beside: Beside::default(),
            cases: Cases::default(),
            renamed: HashSet::new(),
            seen: 0,
            has_some: false,
            impossible: 0,
            first_impossible: None,
        })
    }

    pub(crate) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// Whether the destination tells apart names that differ in case only.
    pub(crate) fn tells_case(&self) -> bool {
        self.target.tells_case
    }

    /// Notes a key of a destination that does not: before the first step.
    pub(crate) fn is_there(&mut self, key: &str) {
        self.cases.is_there(key);
    }

    /// The path of a source's entry below its base, if it belongs to the source and its name is
    /// wanted.
    pub(crate) fn path<'e>(&mut self, entry: &'e Entry) -> Option<&'e str> {
        if entry.kind != EntryKind::Object {
            return None;
        }
        let relative = self.naming.source.relative(&entry.key)?;
        self.seen += 1;
        let lost = self.target.shows_lost_links && entry.size.is_none();
        self.has_some |= !relative.is_empty() && !lost;
        self.filter.takes(relative).then_some(relative)
    }

    /// Whether an object at this path below the destination could have come from the source.
    pub(crate) fn could_have(&self, path: &str) -> bool {
        let key = format!("{}{path}", self.naming.source.base());
        self.naming.source.relative(&key).is_some() && self.filter.takes(path)
    }

    /// Whether something of the source has this key at the destination, though under another name: one
    /// that it was given, or another spelling of it. Known once the source is listed.
    pub(crate) fn has_otherwise(&self, key: &str) -> bool {
        self.renamed.contains(key) || (!self.target.tells_case && self.cases.has(key))
    }

    /// Whether [`Self::has_otherwise`] holds of anything.
    pub(crate) fn has_any_otherwise(&self) -> bool {
        !self.renamed.is_empty() || !self.target.tells_case
    }

    /// The step for one entry of which [`Self::path`] said that it is wanted, as if nothing were at
    /// the destination; and whether its name had to be changed.
    pub(crate) fn step(&mut self, entry: Entry) -> Option<(Step, bool)> {
        let mut to = self.naming.destination(&entry.key)?;
        let found = Found::from(entry);
        let plain = |step| Some((step, false));
        if to.is_empty() {
            return plain(Step::Skip(found, to, "only marks the folder itself".to_owned()));
        }
        if self.target.shows_lost_links && found.size.is_none() {
            let why = "a link that leads to nothing that can be read, or no file";
            return plain(Step::Skip(found, to, why.to_owned()));
        }
        let itself = self.target.one_place && to == found.key;
        if itself && !self.target.in_place {
            return plain(Step::Skip(
                found,
                to,
                "source and destination are the same object".to_owned(),
            ));
        }
        if self.target.one_place && !itself && self.naming.source.relative(&to).is_some() {
            let why = format!("`{to}` is itself part of the source");
            return plain(Step::Refuse(found, to, why));
        }
        // Each rename solves one trouble of one level; a key has not more than these.
        for attempt in 0..64 {
            let Some(trouble) = self.trouble(&found, &to, attempt > 0) else {
                if attempt > 0 {
                    self.renamed.insert(to.clone());
                }
                let step = Step::Copy(found, to, Existing::Unknown);
                return Some((step, attempt > 0));
            };
            let (why, rule, other) = match trouble {
                Trouble::Name(why) => {
                    let folder = self.naming.target();
                    // What marks the folder itself, and holds bytes, gets a name in it.
                    let other = if to == folder && folder.ends_with('/') {
                        format!("{folder}{}", marked("_", folder))
                    } else if self.refused(&to).is_some() {
                        let refused = |c| c < ' ' || "?;".contains(c);
                        renamed_for(&to, !self.target.tells_case, refused)
                    } else {
                        renamed(&to, !self.target.tells_case)
                    };
                    (why, self.target.names, other)
                }
                Trouble::File(why, end) => (why, self.target.names, with_level(&to, end)),
                Trouble::Case(why, end) => (why, self.target.case, with_level(&to, end)),
            };
            match rule {
                OnTrouble::Rename => to = other,
                OnTrouble::Skip => return plain(Step::Skip(found, to, why)),
                OnTrouble::Fail => {
                    self.impossible += 1;
                    self.first_impossible.get_or_insert_with(|| why.clone());
                    return plain(Step::Refuse(found, to, why));
                }
            }
        }
        let why = "no name could be found for it".to_owned();
        plain(Step::Refuse(found, to, why))
    }

    /// The same for a destination that may refuse names of its own.
    pub(crate) fn written_to(mut self, storage: &Storage) -> Self {
        self.to = Some(Storage::clone(storage));
        self
    }

    fn refused(&self, to: &str) -> Option<Error> {
        self.to.as_ref().and_then(|storage| storage.check_name(to).err())
    }

    fn trouble(&mut self, found: &Found, to: &str, changed: bool) -> Option<Trouble> {
        let Target { is_folder, tells_case, .. } = self.target;
        if let Err(error) = check_destination(to, is_folder) {
            return Some(Trouble::Name(error.message().to_owned()));
        }
        if let Some(error) = self.refused(to) {
            return Some(Trouble::Name(error.message().to_owned()));
        }
        if !tells_case && let Err(error) = check_windows(to) {
            return Some(Trouble::Name(error.message().to_owned()));
        }
        if is_folder && to.ends_with('/') && found.size.is_some_and(|size| size > 0) {
            let why = format!("`{to}` would be a folder, which cannot hold bytes");
            return Some(Trouble::Name(why));
        }
        if !tells_case && let Some((end, clash)) = self.cases.check(to) {
            let other = match clash {
                Clash::Written => "another name",
                Clash::There => "a name that is there",
            };
            let why = format!("`{}` differs from {other} in case only", &to[..end]);
            return Some(Trouble::Case(why, end));
        }
        if is_folder && let Some(end) = self.beside.check(to, changed) {
            let level = &to[..end];
            let why = if end < to.len() {
                format!("`{level}` is a file there, so nothing can lie below it")
            } else {
                format!("`{level}` is a folder there, so it cannot be a file")
            };
            return Some(Trouble::File(why, end));
        }
        None
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
        texts.iter().map(|text| KeyPattern::filter(text).unwrap()).collect()
    }

    fn target(one_place: bool, is_folder: bool) -> Target {
        Target {
            one_place,
            is_folder,
            tells_case: true,
            names: OnTrouble::Fail,
            case: OnTrouble::Fail,
            in_place: false,
            shows_lost_links: false,
        }
    }

    fn steps(planner: &mut Planner, keys: &[&str]) -> String {
        let lines: Vec<String> = keys
            .iter()
            .filter_map(|key| {
                let entry = entry(key, 1);
                planner.path(&entry)?;
                planner.step(entry)
            })
            .map(|(step, _)| match step {
                Step::Copy(found, to, _) => format!("copy {} -> {to}", found.key),
                Step::Beside(found, to) => format!("beside {} -> {to}", found.key),
                Step::Skip(found, _, why) => format!("skip {}: {why}", found.key),
                Step::Refuse(found, _, why) => format!("refuse {:?}: {why}", found.key),
            })
            .collect();
        lines.join("\n")
    }

    #[test]
    fn keys_that_cannot_be_files_are_refused_and_the_others_go_on() {
        let naming = Naming::new("s/", "d/").unwrap();
        let mut planner = Planner::new(naming, Filter::default(), target(false, true)).unwrap();
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
    fn what_includes_a_folder_includes_all_below_it() {
        let paths = ["c", "c/x", "d/c/x", "cc/x", "x/y"];
        let taken = |include: &str| -> Vec<&str> {
            let filter = Filter { include: patterns(&[include]), exclude: vec![] };
            paths.into_iter().filter(|path| filter.takes(path)).collect()
        };
        assert_eq!(taken("c"), ["c", "c/x", "d/c/x"]);
        assert_eq!(taken("c/"), ["c/x", "d/c/x"]);
        assert_eq!(taken("d/c"), ["d/c/x"]);
        assert_eq!(taken("d/*/"), ["d/c/x"]);
        // Whatever one of the two takes, the other leaves.
        for pattern in ["c", "c/", "d/c", "*c", "**/x", "d/**", "[x]"] {
            for path in paths {
                let include = Filter { include: patterns(&[pattern]), exclude: vec![] };
                let exclude = Filter { include: vec![], exclude: patterns(&[pattern]) };
                assert_ne!(include.takes(path), exclude.takes(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn what_excludes_a_folder_excludes_all_below_it() {
        let takes = |exclude: &str, path: &str| {
            Filter { include: Vec::new(), exclude: patterns(&[exclude]) }.takes(path)
        };
        for exclude in ["tmp", "tmp/", "t*p", "tmp/**", "**/tmp/**", "{tmp,old}"] {
            assert!(!takes(exclude, "tmp/a/b"), "{exclude}");
            assert!(takes(exclude, "a/tmp-b/c"), "{exclude}");
        }
        for exclude in ["tmp", "tmp/", "**/tmp/**", "a/tmp", "a/tmp/", "*/tmp/**"] {
            assert!(!takes(exclude, "a/tmp/c/d"), "{exclude}");
        }
        assert!(takes("tmp/**", "a/tmp/c"), "anchored at the base");
        for exclude in ["/tmp", "/tmp/", "./tmp", "/t*p", "/tmp/**"] {
            assert!(!takes(exclude, "tmp/a/b"), "{exclude}");
            assert!(takes(exclude, "a/tmp/c") && takes(exclude, "a/tmp"), "{exclude}");
        }
        assert!(takes("tmp/", "a/tmp"), "a file");
        assert!(!takes("tmp", "a/tmp"));
    }

    #[test]
    fn a_copy_within_one_place_does_not_touch_its_own_source() {
        let naming = Naming::new("a/b/", "a/").unwrap();
        let mut planner = Planner::new(naming, Filter::default(), target(true, false)).unwrap();
        insta::assert_snapshot!(steps(&mut planner, &["a/b/x", "a/b/b/x"]), @r#"
        copy a/b/x -> a/x
        refuse "a/b/b/x": `a/b/x` is itself part of the source
        "#);
        let naming = Naming::new("a/", "a/").unwrap();
        let mut planner = Planner::new(naming, Filter::default(), target(true, false)).unwrap();
        insta::assert_snapshot!(steps(&mut planner, &["a/x"]), @"skip a/x: source and destination are the same object");
        assert!(
            Planner::new(
                Naming::new("a/", "a/c/").unwrap(),
                Filter::default(),
                target(true, false)
            )
            .is_err()
        );
    }

    #[test]
    fn names_that_cannot_be_get_others_or_are_left_out_as_asked() {
        let keys =
            ["s/../x", "s//x", "s/a", "s/a/b.csv", "s/a/c", "s/A", "s/CON", "s/dir/", "s/z."];
        let mut text = String::new();
        for rule in [OnTrouble::Rename, OnTrouble::Skip] {
            let naming = Naming::new("s/", "").unwrap();
            let target =
                Target { tells_case: false, names: rule, case: rule, ..target(false, true) };
            let mut planner = Planner::new(naming, Filter::default(), target).unwrap();
            text = format!("{text}{rule:?}\n{}\n", steps(&mut planner, &keys));
            assert_eq!(planner.impossible, 0);
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn sizes_and_ages_bound_what_is_wanted() {
        let mut options =
            CopyOptions { min_size: Some(2), max_size: Some(3), ..CopyOptions::default() };
        let takes = |options: &CopyOptions, entry: &Entry| Wanted::new(options).takes(entry);
        let sizes: Vec<u64> = (0..6).filter(|size| takes(&options, &entry("k", *size))).collect();
        assert_eq!(sizes, [2, 3]);
        let time = |second| DateTime::from_timestamp(second, 0);
        (options.newer_than, options.older_than) = (time(5), time(8));
        let at = |second| Entry { last_modified: time(second), ..entry("k", 2) };
        let times: Vec<i64> = (0..12).filter(|second| takes(&options, &at(*second))).collect();
        assert_eq!(times, [5, 6, 7]);
        assert!(!takes(&options, &entry("k", 2)), "what has no time is not newer than anything");
    }
}
