//! Deciding what a copy is called, and which keys it takes. Pure.
//!
//! The rule is the contract's: below a folder or bucket, destination + (key minus source); of a
//! glob, the key minus what stands before the first level with a wildcard; a key goes into a
//! destination ending in `/`, or becomes it.

use crate::request::Side;
use std::borrow::Cow;
use std::collections::BTreeSet;
use windlass_s3::local::check_key;
use windlass_types::{Error, ErrorCode, KeyPattern, Result};

/// Longest key of S3, in bytes.
const MAX_KEY: usize = 1024;

/// What a source names.
#[derive(Debug, Clone)]
pub enum Source {
    /// One object.
    Key(String),
    /// Everything below: a bucket (empty) or a prefix ending in `/`.
    Folder(String),
    /// What matches.
    Glob(KeyPattern),
}

impl Source {
    /// Reads the key part of a location.
    pub fn parse(key: &str) -> Result<Self> {
        if KeyPattern::is_pattern(key) {
            // Folders that match stand for everything below them.
            let text: Cow<'_, str> =
                if key.ends_with('/') { format!("{key}**").into() } else { key.into() };
            return Ok(Self::Glob(KeyPattern::parse(&text)?));
        }
        Ok(if key.is_empty() || key.ends_with('/') {
            Self::Folder(key.to_owned())
        } else {
            Self::Key(key.to_owned())
        })
    }

    /// What a listing that finds all of it begins with.
    pub fn prefix(&self) -> &str {
        match self {
            Self::Key(key) | Self::Folder(key) => key,
            Self::Glob(pattern) => pattern.literal_prefix(),
        }
    }

    /// What names at the destination leave out.
    pub fn base(&self) -> &str {
        match self {
            Self::Key(key) => key.rfind('/').map_or("", |at| &key[..=at]),
            Self::Folder(folder) => folder,
            Self::Glob(pattern) => pattern.base(),
        }
    }

    /// The part of `key` below the base; None if the source does not have the key.
    pub fn relative<'k>(&self, key: &'k str) -> Option<&'k str> {
        let taken = match self {
            Self::Key(own) => own == key,
            Self::Folder(folder) => key.starts_with(folder.as_str()),
            Self::Glob(pattern) => pattern.matches(key),
        };
        if taken { key.strip_prefix(self.base()) } else { None }
    }
}

/// A source and what its objects are called at a destination.
#[derive(Debug, Clone)]
pub struct Naming {
    /// What is copied.
    pub source: Source,
    destination: String,
    exact: bool,
}

impl Naming {
    /// Names for a copy of the key, prefix or glob `source` to `destination`. Several objects go
    /// below a destination, also if it lacks the `/`.
    pub fn new(source: &str, destination: &str) -> Result<Self> {
        let source = Source::parse(source)?;
        let folder = destination.is_empty() || destination.ends_with('/');
        let exact = matches!(source, Source::Key(_)) && !folder;
        let mut destination = destination.to_owned();
        if !folder && !exact {
            destination.push('/');
        }
        Ok(Self { source, destination, exact })
    }

    /// What `key` is called at the destination; None if the source does not have it.
    pub fn destination(&self, key: &str) -> Option<String> {
        let relative = self.source.relative(key)?;
        Some(if self.exact {
            self.destination.clone()
        } else {
            format!("{}{relative}", self.destination)
        })
    }

    /// The folder that names at the destination begin with; of an exact key the key itself.
    pub(crate) fn target(&self) -> &str {
        &self.destination
    }

    /// Refuses a copy that would find its own copies: within one place, a folder into itself.
    pub(crate) fn check_within_one_place(&self) -> Result<()> {
        if self.goes_into_itself() {
            return Err(into_itself(&self.destination, self.source.prefix()));
        }
        Ok(())
    }

    /// Whether, if both names are of one place, a folder goes into itself.
    pub(crate) fn goes_into_itself(&self) -> bool {
        match &self.source {
            Source::Folder(folder) => {
                self.destination.starts_with(folder.as_str()) && self.destination != *folder
            }
            Source::Key(_) | Source::Glob(_) => false,
        }
    }
}

/// The error for a folder that would be copied into itself.
pub(crate) fn into_itself(destination: &str, source: &str) -> Error {
    let message = if source.is_empty() {
        format!("the destination `{destination}` lies inside the source, which is everything there")
    } else {
        format!("the destination `{destination}` lies inside the source `{source}`")
    };
    Error::new(ErrorCode::PathInvalid, message)
        .hint("copy to a place outside it, or name what to copy with a pattern")
}

/// An error that says why unless `key` can be written to a destination.
pub(crate) fn check_destination(key: &str, is_folder: bool) -> Result<()> {
    if is_folder {
        return check_key(key);
    }
    if key.len() > MAX_KEY {
        return Err(Error::new(
            ErrorCode::PathInvalid,
            format!("a key has at most 1,024 bytes; this one would have {}", key.len()),
        ));
    }
    if key.contains('\0') {
        return Err(Error::new(ErrorCode::PathInvalid, "a key cannot hold a NUL"));
    }
    Ok(())
}

/// An error for a name of a list that no object of `source` can have.
pub fn check_listed(name: &str, source: &Side) -> Result<()> {
    let base = Source::parse(&source.location.key)?.base().to_owned();
    check_destination(&format!("{base}{name}"), source.is_folder())
}

/// What stands for `left` on the other side of a comparison: the places that a copy of `left` to
/// `right` would write.
pub fn counterpart(left: &str, right: &str) -> Result<String> {
    if KeyPattern::is_pattern(right) {
        return Ok(right.to_owned());
    }
    let naming = Naming::new(left, right)?;
    Ok(match &naming.source {
        Source::Key(key) => naming.destination(key).unwrap_or_default(),
        Source::Folder(_) => naming.destination.clone(),
        Source::Glob(pattern) => {
            format!("{}{}", naming.destination, &pattern.as_str()[pattern.base().len()..])
        }
    })
}

/// Finds keys that would need one name to be both file and folder, in a listing in byte order.
/// Holds the keys that begin the last one, at most as many as a key has bytes; and the names that were
/// changed, which come in no order.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    open: Vec<String>,
    changed: BTreeSet<String>,
}

impl Beside {
    /// The end of the level of `key` that an earlier key needs to be a file, or of the whole `key` if
    /// that has to be a folder. `changed`: it is not the name in the listing.
    pub(crate) fn check(&mut self, key: &str, changed: bool) -> Option<usize> {
        if !changed {
            while self.open.last().is_some_and(|file| !key.starts_with(file.as_str())) {
                self.open.pop();
            }
        }
        let below = |file: &str| {
            key.strip_prefix(file).is_some_and(|rest| rest.starts_with('/')).then_some(file.len())
        };
        let clash = self.open.iter().find_map(|file| below(file)).or_else(|| {
            let levels = key.match_indices('/').map(|(at, _)| at);
            levels.into_iter().find(|at| self.changed.contains(&key[..*at]))
        });
        let clash = clash.or_else(|| {
            // Below a changed name lie changed names only.
            let folder = format!("{key}/");
            let next = self.changed.range(folder.clone()..).next();
            next.is_some_and(|other| other.starts_with(&folder)).then_some(key.len())
        });
        if clash.is_none() && changed {
            self.changed.insert(key.to_owned());
        } else if clash.is_none() && !key.ends_with('/') {
            self.open.push(key.to_owned());
        }
        clash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(source: &str, key: &str, destination: &str) -> Option<String> {
        Naming::new(source, destination).unwrap().destination(key)
    }

    #[test]
    fn names_follow_the_contract() {
        let rows = [
            ("a/b/", "a/b/c/d.csv", "out/"),
            ("a/b/", "a/b/c/d.csv", ""),
            ("a/b/", "a/b/c/d.csv", "out"),
            ("a/b/", "a/bc", "out/"),
            ("", "a/b", "out/"),
            ("a/b.csv", "a/b.csv", "out/"),
            ("a/b.csv", "a/b.csv", ""),
            ("a/b.csv", "a/b.csv", "out"),
            ("a/b.csv", "a/b.csv.gz", "out"),
            ("o/dt=*/x.csv", "o/dt=1/x.csv", "out/"),
            ("o/dt=*/", "o/dt=1/y/x.csv", "out/"),
            ("*.csv", "x.csv", "out/"),
            ("a/x[?].csv", "a/x?.csv", "out/"),
            ("a//", "a//b", "out/"),
        ];
        let text = rows.map(|(source, key, destination)| {
            let name = named(source, key, destination);
            format!(
                "{source} has {key} -> {destination} = {}",
                name.as_deref().unwrap_or("not taken")
            )
        });
        insta::assert_snapshot!(text.join("\n"), @r"
        a/b/ has a/b/c/d.csv -> out/ = out/c/d.csv
        a/b/ has a/b/c/d.csv ->  = c/d.csv
        a/b/ has a/b/c/d.csv -> out = out/c/d.csv
        a/b/ has a/bc -> out/ = not taken
         has a/b -> out/ = out/a/b
        a/b.csv has a/b.csv -> out/ = out/b.csv
        a/b.csv has a/b.csv ->  = b.csv
        a/b.csv has a/b.csv -> out = out
        a/b.csv has a/b.csv.gz -> out = not taken
        o/dt=*/x.csv has o/dt=1/x.csv -> out/ = out/dt=1/x.csv
        o/dt=*/ has o/dt=1/y/x.csv -> out/ = out/dt=1/y/x.csv
        *.csv has x.csv -> out/ = out/x.csv
        a/x[?].csv has a/x?.csv -> out/ = out/x?.csv
        a// has a//b -> out/ = out/b
        ");
    }

    #[test]
    fn a_folder_does_not_go_into_itself() {
        let refused = |source, destination| {
            Naming::new(source, destination).unwrap().check_within_one_place().is_err()
        };
        assert!(refused("a/", "a/b/") && refused("", "x/") && refused("a/", "a/b"));
        assert!(!refused("a/", "b/") && !refused("a/", "a/") && !refused("a/b/", "a/"));
        assert!(!refused("a/*.csv", "a/out/"));
    }

    #[test]
    fn a_name_is_not_both_file_and_folder() {
        let mut beside = Beside::default();
        let mut keys = ["a", "a!", "a-b/c", "a/x", "a/y/z", "b/", "b/c", "c", "c.d", "c.d/e"];
        keys.sort_unstable();
        let clashes: Vec<String> = keys
            .iter()
            .filter_map(|key| {
                beside.check(key, false).map(|end| format!("{key} below {}", &key[..end]))
            })
            .collect();
        assert_eq!(clashes, ["a/x below a", "a/y/z below a", "c.d/e below c.d"]);
        // What was renamed comes in no order.
        let mut beside = Beside::default();
        assert_eq!(beside.check("_~1", true), None);
        assert_eq!(beside.check("__~2/x", true), None);
        assert_eq!(beside.check("b", false), None);
        assert_eq!(beside.check("_~1/x", true), Some(3));
        assert_eq!(beside.check("__~2", true), Some(4));
        assert_eq!(beside.check("b/_~3", true), Some(1));
    }

    fn key() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[ab./é]{1,12}").unwrap()
    }

    proptest! {
        #[test]
        fn different_keys_have_different_names(
            source in "([ab]{1,2}/){0,2}", destination in "([xy]{1,2}/){0,2}", one in key(), two in key(),
        ) {
            let naming = Naming::new(&source, &destination).unwrap();
            let (one, two) = (format!("{source}{one}"), format!("{source}{two}"));
            let (first, second) = (naming.destination(&one).unwrap(), naming.destination(&two).unwrap());
            prop_assert_eq!(one == two, first == second);
            prop_assert!(first.starts_with(&destination));
            prop_assert_eq!(first.len() - destination.len(), one.len() - source.len());
        }

        #[test]
        fn names_of_a_glob_are_names_of_its_folder(key in key()) {
            let key = format!("base/{key}");
            let glob = Naming::new("base/**", "out/").unwrap().destination(&key);
            if let Some(name) = glob {
                prop_assert_eq!(Some(name), Naming::new("base/", "out/").unwrap().destination(&key));
            }
        }

        #[test]
        fn what_is_let_through_stays_below_a_folder(key in "[a./\\x00é]{0,9}") {
            if check_destination(&key, true).is_ok() {
                let path = std::path::Path::new("/root").join(&key);
                prop_assert!(path.starts_with("/root"));
                prop_assert!(path.components().skip(2).all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }

        #[test]
        fn beside_agrees_with_comparing_all(mut keys in proptest::collection::vec("[ab/!]{1,6}", 0..12)) {
            keys.sort_unstable();
            keys.dedup();
            let mut beside = Beside::default();
            let mut kept: Vec<String> = Vec::new();
            for key in keys {
                let clash = kept.iter().any(|file| key.starts_with(&format!("{file}/")));
                prop_assert_eq!(beside.check(&key, false).is_some(), clash, "{}", key);
                if !clash && !key.ends_with('/') { kept.push(key); }
            }
        }
    }
}
