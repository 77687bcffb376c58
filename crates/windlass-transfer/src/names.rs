//! Names a destination cannot have, and the names they get instead. Pure.
//!
//! The rule of `--names rename` and `--case rename`: a level that cannot be is spelled with `_` for
//! what is not allowed in it, and the level that had to change gets `~` and eight hexadecimal digits
//! (of the MD5 of the name as it was) before its extension. So two names never become one, and the
//! same name always becomes the same.

use crate::digest::{hex, md5};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use windlass_types::{Error, ErrorCode, Result};

/// Longest name of a level, in bytes, with room for what is put before it while it is written.
const MAX_LEVEL: usize = 255;

/// Names that devices have where case does not tell names apart.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// Characters those destinations do not allow.
const FORBIDDEN: [char; 8] = ['<', '>', ':', '"', '|', '?', '*', '\\'];

/// The stem and the extension with its dot; of `.profile` all is stem.
fn extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    }
}

/// `report.pdf` becomes `report~1a2b3c4d.pdf`, and is cut where it would be too long.
pub(crate) fn marked(name: &str, original: &str) -> String {
    let (stem, end) = extension(name);
    let end = if end.len() > 32 { "" } else { end };
    let most = MAX_LEVEL - 9 - end.len();
    let mut cut = stem.len().min(most);
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    let sum = hex(&md5(original.as_bytes())[..4]);
    format!("{}~{sum}{end}", &stem[..cut])
}

/// Why a level cannot be a name where case does not tell names apart.
fn windows(level: &str) -> Option<&'static str> {
    let stem = level.split('.').next().unwrap_or(level).trim_end().to_ascii_lowercase();
    let device = DEVICES.iter().any(|device| {
        stem.strip_prefix(device).is_some_and(|number| match *device {
            "com" | "lpt" => matches!(number.as_bytes(), [b'1'..=b'9']),
            _ => number.is_empty(),
        })
    });
    if device {
        return Some("is the name of a device there");
    }
    if level.chars().any(|c| c < ' ' || FORBIDDEN.contains(&c)) {
        return Some("has a character that is not allowed there");
    }
    level.ends_with(['.', ' ']).then_some("ends in a dot or a space, which is lost there")
}

/// An error that says why a key cannot be a name where case does not tell names apart.
pub(crate) fn check_windows(key: &str) -> Result<()> {
    for level in key.split('/') {
        if let Some(why) = windows(level) {
            return Err(Error::new(ErrorCode::PathInvalid, format!("`{level}` {why}")));
        }
    }
    Ok(())
}

/// The name a key gets that cannot be one below a folder. `like_windows`: nor where case does not
/// tell names apart.
pub(crate) fn renamed(key: &str, like_windows: bool) -> String {
    renamed_for(key, like_windows, |_| false)
}

/// The same where the destination refuses some characters of its own.
pub(crate) fn renamed_for(key: &str, like_windows: bool, refused: fn(char) -> bool) -> String {
    let plain = key.strip_suffix('/').unwrap_or(key);
    let mut seen = 0;
    let levels: Vec<String> = plain
        .split('/')
        .map(|level| {
            seen += level.len() + 1;
            let original = &plain[..(seen - 1).min(plain.len())];
            let mut name: String = level
                .chars()
                .map(|c| match c {
                    '\0' => '_',
                    c if refused(c) => '_',
                    c if like_windows && (c < ' ' || FORBIDDEN.contains(&c)) => '_',
                    c => c,
                })
                .collect();
            if name.is_empty() || name == "." || name == ".." {
                name = "_".repeat(name.len().max(1));
            }
            if name.starts_with(".windlass-") {
                name.replace_range(..1, "_");
            }
            if like_windows {
                let kept = name.trim_end_matches(['.', ' ']).len();
                let lost = name.len() - kept;
                name.truncate(kept);
                name.push_str(&"_".repeat(lost));
                if windows(&name).is_some() {
                    name.insert(0, '_');
                }
            }
            if name != level || name.len() > MAX_LEVEL { marked(&name, original) } else { name }
        })
        .collect();
    let name = levels.join("/");
    // A folder that holds bytes becomes a file.
    if name == plain && plain.len() != key.len() { with_level(&name, name.len()) } else { name }
}

/// `key` with the level that ends at `end` marked.
pub(crate) fn with_level(key: &str, end: usize) -> String {
    let from = key[..end].rfind('/').map_or(0, |at| at + 1);
    format!("{}{}{}", &key[..from], marked(&key[from..end], &key[..end]), &key[end..])
}

/// The name of a copy that is kept beside what is there: its time is put before the extension.
pub(crate) fn beside(key: &str, stamp: &str) -> String {
    let from = key.rfind('/').map_or(0, |at| at + 1);
    let (stem, end) = extension(&key[from..]);
    format!("{}{stem}.{stamp}{end}", &key[..from])
}

/// Finds names that only case tells apart, levels above them included. Holds sixteen bytes for each
/// name of either end; used only where the destination does not tell case apart.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    /// Names that are written, as such destinations compare them, and how they are spelled.
    written: HashMap<u64, u64>,
    /// The same of what the destination has; there may be more than one spelling if it only says that
    /// it does not tell case apart.
    there: HashSet<u64>,
    there_spelled: HashSet<u64>,
    /// Names that are not written, since the destination has them otherwise.
    met: HashSet<u64>,
}

/// What has the name that only case tells from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clash {
    /// An object that is written before.
    Written,
    /// What the destination has.
    There,
}

fn sum(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A name as such destinations compare it.
pub(crate) fn folded(key: &str) -> String {
    key.to_lowercase()
}

/// Of each level of a key its end, and its sum as it is compared and as it is spelled.
fn levels(key: &str) -> impl Iterator<Item = (usize, u64, u64)> {
    let ends = key.match_indices('/').map(|(at, _)| at).chain([key.len()]);
    ends.map(move |end| (end, sum(&folded(&key[..end])), sum(&key[..end])))
}

impl Cases {
    /// Notes a key that the destination has. To be told of before the first [`Self::check`].
    pub(crate) fn is_there(&mut self, key: &str) {
        for (_, fold, spelled) in levels(key) {
            self.there.insert(fold);
            self.there_spelled.insert(spelled);
        }
    }

    /// The end of the first level of `key` that an earlier key, or the destination, spells otherwise.
    pub(crate) fn check(&mut self, key: &str) -> Option<(usize, Clash)> {
        let mut new = Vec::new();
        for (end, fold, spelled) in levels(key) {
            match self.written.get(&fold) {
                Some(other) if *other != spelled => return Some((end, Clash::Written)),
                Some(_) => {}
                None if self.there.contains(&fold) && !self.there_spelled.contains(&spelled) => {
                    self.met.insert(sum(&folded(key)));
                    return Some((end, Clash::There));
                }
                None => new.push((fold, spelled)),
            }
        }
        self.written.extend(new);
        None
    }

    /// Whether the source has a name that only case tells from `key`, or this one.
    pub(crate) fn has(&self, key: &str) -> bool {
        let fold = sum(&folded(key));
        self.written.contains_key(&fold) || self.met.contains(&fold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naming::check_destination;
    use proptest::prelude::*;

    #[test]
    fn the_rule_gives_names_that_can_be() {
        let keys =
            ["a//b.csv", "../x", "./x.tar.gz", "a/b/", "a\0b", "/etc/passwd", ".windlass-x.part"];
        let text = keys.map(|key| format!("{key:?} -> {}", renamed(key, false))).join("\n");
        insta::assert_snapshot!(text);
        let keys =
            ["CON", "aux.txt", "a:b?.txt", "dir./x", "com10", "COM1.log", "x ", "ok/fine.txt"];
        let text = keys.map(|key| format!("{key:?} -> {}", renamed(key, true))).join("\n");
        insta::assert_snapshot!(text);
        assert_eq!(beside("a/b.tar.gz", "20261121T080000Z"), "a/b.tar.20261121T080000Z.gz");
        assert_eq!(beside("a/.profile", "T"), "a/.profile.T");
    }

    #[test]
    fn names_that_only_case_tells_apart_are_found_at_every_level() {
        let mut cases = Cases::default();
        assert_eq!(cases.check("a/B.txt"), None);
        assert_eq!(cases.check("a/B.txt"), None);
        assert_eq!(cases.check("a/b.TXT"), Some((7, Clash::Written)));
        assert_eq!(cases.check("A/c"), Some((1, Clash::Written)));
        assert_eq!(cases.check(&with_level("A/c", 1)), None);
        assert!(cases.has("a/b.txt") && !cases.has("a/c"));
    }

    #[test]
    fn what_the_destination_spells_otherwise_is_found_and_counts_as_the_sources() {
        let mut cases = Cases::default();
        for key in ["Dir/x", "README", "both", "Both"] {
            cases.is_there(key);
        }
        assert_eq!(cases.check("readme"), Some((6, Clash::There)));
        assert_eq!(cases.check("dir/y"), Some((3, Clash::There)));
        for same in ["Dir/x", "Dir/new", "other", "both"] {
            assert_eq!(cases.check(same), None, "{same}");
        }
        assert_eq!(cases.check("Both"), Some((4, Clash::Written)));
        let left: Vec<&str> = ["README", "Dir/Y", "Dir/x", "both", "extra", "Dir/z"]
            .into_iter()
            .filter(|key| !cases.has(key))
            .collect();
        assert_eq!(left, ["extra", "Dir/z"], "only what the source has in no spelling");
    }

    proptest! {
        #[test]
        fn a_renamed_key_can_be_a_file_and_stays_different(one in "[a.~/\\x00é]{1,9}", two in "[a.~/\\x00é]{1,9}") {
            let (first, second) = (renamed(&one, false), renamed(&two, false));
            prop_assert!(check_destination(&first, true).is_ok(), "{:?} -> {:?}", one, first);
            let trimmed = |key: &str| key.strip_suffix('/').unwrap_or(key).to_owned();
            if check_destination(&one, true).is_err() && check_destination(&two, true).is_err()
                && trimmed(&one) != trimmed(&two) {
                prop_assert_ne!(first, second);
            }
        }

        #[test]
        fn a_renamed_key_can_be_where_case_does_not_tell(key in "[aA.:*/ CONcom1\\x01]{1,12}") {
            let name = renamed(&key, true);
            prop_assert!(check_windows(&name).is_ok() && check_destination(&name, true).is_ok(), "{:?} -> {:?}", key, name);
        }
    }
}
