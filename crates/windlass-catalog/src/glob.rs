//! Paths with wildcards as OpenMetadata's manifests have them (reference section 5.4).
//!
//! A grammar of its own: `*` and `?` stay within a level, `**` is any number of levels, everything
//! else is literal. Windlass's other globs also know `[..]` and `{a,b}`.

use regex::Regex;
use serde::{Deserialize, Serialize};
use windlass_types::{Error, ErrorCode, Result};

/// A path with wildcards, matched against whole keys, with regard to case.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    regex: Regex,
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Glob {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

impl Glob {
    /// Whether a path has wildcards.
    pub fn is(path: &str) -> bool {
        path.contains(['*', '?'])
    }

    /// Reads a path.
    pub fn new(text: &str) -> Result<Self> {
        let regex =
            regex::RegexBuilder::new(&pattern(text)).size_limit(1 << 20).build().map_err(|_| {
                Error::new(ErrorCode::PathInvalid, format!("the glob `{text}` is too long"))
            })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a whole key matches.
    pub fn matches(&self, key: &str) -> bool {
        self.regex.is_match(key)
    }

    /// What every matching key begins with: the levels before the first wildcard, with their `/`.
    pub fn prefix(&self) -> &str {
        let wild = self.text.find(['*', '?']).unwrap_or(self.text.len());
        let end = self.text.get(..wild).and_then(|head| head.rfind('/')).map_or(0, |at| at + 1);
        &self.text[..end]
    }
}

fn pattern(glob: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = glob;
    if rest == "**" {
        return "(?s)^.*$".to_owned();
    }
    if let Some(after) = rest.strip_prefix("**/") {
        regex.push_str("(?:.*/)?");
        rest = after;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("/**/") {
            regex.push_str("/(?:.*/)?");
            // What follows may begin with `**/` again.
            rest = after.strip_prefix("**/").unwrap_or(after);
        } else if rest == "/**" {
            regex.push_str("(?:/.*)?");
            rest = "";
        } else if let Some(after) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('*') {
            regex.push_str("[^/]*");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('?') {
            regex.push_str("[^/]");
            rest = after;
        } else if let Some(letter) = rest.chars().next() {
            regex.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4])));
            rest = &rest[letter.len_utf8()..];
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(glob: &str, keys: &[&str]) -> Vec<String> {
        let glob = Glob::new(glob).unwrap();
        keys.iter().filter(|key| glob.matches(key)).map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn stars_stay_within_a_level_and_two_cross_levels() {
        let keys =
            ["data/w1/events/e.parquet", "data/w1/deep/events/e.parquet", "data/events/e.parquet"];
        assert_eq!(all("data/*/events/*.parquet", &keys), &keys[..1]);
        assert_eq!(all("data/**/*.parquet", &keys), keys);
        assert_eq!(all("data/**/events/*.parquet", &keys), keys);
        assert_eq!(all("**/events/*", &keys), keys);
        assert_eq!(all("data/**", &["data/x/y", "data", "database/x"]), ["data/x/y", "data"]);
        assert_eq!(all("**/x.csv", &["x.csv", "a/b/x.csv", "ax.csv"]), ["x.csv", "a/b/x.csv"]);
    }

    #[test]
    fn only_stars_and_question_marks_are_special() {
        assert_eq!(all("q/t?/x.csv", &["q/t1/x.csv", "q/t22/x.csv", "q/t//x.csv"]), ["q/t1/x.csv"]);
        assert!(!Glob::is("[ab]/x.csv") && Glob::is("a*"));
        assert_eq!(
            all("[ab]/{x}+.csv*", &["[ab]/{x}+.csv", "a/x.csv", "[ab]/{x}+acsv"]),
            ["[ab]/{x}+.csv"]
        );
        assert!(all("A/*", &["a/x"]).is_empty(), "case matters");
    }

    #[test]
    fn the_levels_before_the_first_wildcard_are_listed() {
        for (glob, prefix) in
            [("a/b/*.csv", "a/b/"), ("*.csv", ""), ("a/b?c/d", "a/"), ("**/x", ""), ("a/**", "a/")]
        {
            assert_eq!(Glob::new(glob).unwrap().prefix(), prefix);
        }
    }

    /// The same grammar, level by level.
    fn model(glob: &[&str], key: &[&str]) -> bool {
        match (glob.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"**", rest)), _) => (0..=key.len()).any(|skip| model(rest, &key[skip..])),
            (Some((level, glob)), Some((name, key))) => {
                one(level.as_bytes(), name.as_bytes()) && model(glob, key)
            }
            _ => false,
        }
    }

    fn one(glob: &[u8], name: &[u8]) -> bool {
        match (glob.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| one(rest, &name[skip..])),
            (Some((b'?', glob)), Some((_, name))) => one(glob, name),
            (Some((a, glob)), Some((b, name))) => a == b && one(glob, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_glob_is_what_a_walk_over_its_levels_says(
            glob in proptest::collection::vec(prop_oneof![Just("**".to_owned()), "[ab*?]{1,3}".prop_filter("", |t| !t.contains("**"))], 1..5),
            key in proptest::collection::vec("[ab]{1,3}", 1..6),
        ) {
            // Two of them side by side are one.
            let mut levels: Vec<&str> = glob.iter().map(String::as_str).collect();
            levels.dedup_by(|a, b| *a == "**" && *b == "**");
            let names: Vec<&str> = key.iter().map(String::as_str).collect();
            let text = levels.join("/");
            let wanted = model(&levels, &names);
            prop_assert_eq!(Glob::new(&text).unwrap().matches(&names.join("/")), wanted, "{} {:?}", text, names);
        }
    }
}
