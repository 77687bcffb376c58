//! What is crawled and what is not: buckets and paths are two settings of ours, and one of OpenMetadata's.

use regex::{Regex, RegexBuilder};
use windlass_types::{Error, ErrorCode, KeyPattern, Result};

/// Why something is left out; None: it is not.
pub type Verdict = Option<String>;

/// OpenMetadata's `containerFilterPattern` with its own meaning (reference section 6): expressions
/// that match at the beginning, in any case of letters, for buckets and paths alike.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    includes: Vec<Regex>,
    excludes: Vec<Regex>,
}

impl Patterns {
    /// Compiles both lists; an expression that is none is an error that quotes it.
    pub fn new(includes: &[String], excludes: &[String]) -> Result<Self> {
        let compile = |list: &[String]| -> Result<Vec<Regex>> {
            list.iter().map(|text| expression(text)).collect()
        };
        Ok(Self { includes: compile(includes)?, excludes: compile(excludes)? })
    }

    fn refuses(&self, name: &str) -> Verdict {
        if let Some(by) = self.excludes.iter().find(|regex| regex.is_match(name)) {
            return Some(format!("excluded by `{}`", said(by)));
        }
        let wanted =
            self.includes.is_empty() || self.includes.iter().any(|regex| regex.is_match(name));
        (!wanted).then(|| "matches none of the includes".to_owned())
    }
}

fn said(regex: &Regex) -> &str {
    regex.as_str().strip_prefix("^(?:").and_then(|text| text.strip_suffix(')')).unwrap_or_default()
}

/// One expression, anchored at the start only.
fn expression(text: &str) -> Result<Regex> {
    // By itself first: `)(` must not become sound by what is put around it.
    Regex::new(text)
        .and_then(|_| RegexBuilder::new(&format!("^(?:{text})")).case_insensitive(true).build())
        .map_err(|error| {
            let why = error.to_string();
            let why =
                why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Error::new(
                ErrorCode::OptionInvalid,
                format!("`{text}` is not a regular expression: {why}"),
            )
        })
}

/// What is crawled.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Globs of buckets that are crawled; none: all.
    pub buckets: Vec<KeyPattern>,
    /// Globs of buckets that are not.
    pub exclude_buckets: Vec<KeyPattern>,
    /// Globs of paths below a bucket that are crawled; none: all.
    pub paths: Vec<KeyPattern>,
    /// Globs of paths that are not.
    pub exclude_paths: Vec<KeyPattern>,
    /// OpenMetadata's one setting for both.
    pub patterns: Patterns,
    /// Buckets named one by one, to which its pattern is not applied (section 2, `bucketNames`).
    pub named: bool,
}

fn by_globs(name: &str, include: &[KeyPattern], exclude: &[KeyPattern]) -> Verdict {
    if let Some(glob) = exclude.iter().find(|glob| glob.matches(name)) {
        return Some(format!("excluded by `{}`", glob.as_str()));
    }
    let wanted = include.is_empty() || include.iter().any(|glob| glob.matches(name));
    (!wanted).then(|| "matches none of what is included".to_owned())
}

impl Filter {
    /// Why a bucket is left out.
    pub fn bucket(&self, name: &str) -> Verdict {
        by_globs(name, &self.buckets, &self.exclude_buckets)
            .or_else(|| if self.named { None } else { self.patterns.refuses(name) })
    }

    /// Why a path of a container is left out. A glob of a path also covers what is below it.
    pub fn path(&self, path: &str) -> Verdict {
        let mut part = path;
        let mut verdict = by_globs(path, &self.paths, &self.exclude_paths);
        while let Some(at) = part.rfind('/') {
            part = &part[..at];
            match by_globs(part, &self.paths, &self.exclude_paths) {
                Some(why) if why.starts_with("excluded") => verdict = Some(why),
                None if verdict.as_deref().is_some_and(|why| !why.starts_with("excluded")) => {
                    verdict = None;
                }
                _ => {}
            }
        }
        verdict.or_else(|| self.patterns.refuses(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(includes: &[&str], excludes: &[&str]) -> Filter {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let patterns = Patterns::new(&own(includes), &own(excludes)).unwrap();
        Filter { patterns, ..Filter::default() }
    }

    #[test]
    fn one_pattern_of_openmetadata_filters_buckets_and_paths_alike() {
        let filter = patterns(&["golden-structured"], &[]);
        assert_eq!(filter.bucket("GOLDEN-structured-2"), None, "not anchored at the end, any case");
        assert!(filter.bucket("x-golden-structured").is_some());
        assert!(filter.path("csv/orders").is_some(), "no path begins with the bucket's name [02]");
        let both = patterns(&["golden", "csv/"], &["csv/orders_old"]);
        assert_eq!(both.path("csv/orders"), None);
        assert_eq!(both.path("csv/orders_old").as_deref(), Some("excluded by `csv/orders_old`"));
        let named = Filter { named: true, ..patterns(&["nothing"], &[]) };
        assert_eq!(named.bucket("any"), None, "[05]");
        let error = Patterns::new(&["(".to_owned()], &[]).unwrap_err();
        assert!(error.message().starts_with("`(` is not a regular expression: "), "{error}");
        assert!(Patterns::new(&[")|(".to_owned()], &[]).is_err());
    }

    #[test]
    fn buckets_and_paths_are_two_settings_of_ours() {
        let globs =
            |list: &[&str]| list.iter().map(|text| KeyPattern::parse(text).unwrap()).collect();
        let filter = Filter {
            buckets: globs(&["golden-*"]),
            paths: globs(&["csv", "wh/**", "{logs,events}/20[0-9][0-9]"]),
            exclude_paths: globs(&["wh/tmp*"]),
            ..Filter::default()
        };
        assert_eq!((filter.bucket("golden-x"), filter.path("csv/orders")), (None, None));
        assert!(filter.path("logs/2024/01").is_none() && filter.path("logs/old").is_some());
        assert!(filter.bucket("other").is_some() && filter.path("json/x").is_some());
        assert!(filter.path("wh/tmp1/a").is_some() && filter.path("wh/a/b").is_none());
    }
}
