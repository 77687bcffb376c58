//! What can be asked of a copy, a move or a sync, as plain values: the command line, the server and
//! SQL all fill this one record. Contradictions are found by [`CopyOptions::check`], once.

use crate::change::{ChangeTest, IfExists};
use crate::own::check_trigger;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use windlass_s3::Links;
use windlass_types::{Error, ErrorCode, KeyPattern, Result};

/// How to copy, move or sync. The default copies everything, over what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct CopyOptions {
    /// Only names (below the source's base) that match one of these patterns; empty: all.
    pub include: Vec<String>,
    /// No names that match one of these; wins over `include`.
    pub exclude: Vec<String>,
    /// Only objects for which this SQL expression is true.
    #[serde(rename = "where")]
    pub where_: Option<String>,
    /// Only objects written at or after this time.
    pub newer_than: Option<DateTime<Utc>>,
    /// Only objects written before this time.
    pub older_than: Option<DateTime<Utc>>,
    /// Only objects of at least so many bytes.
    pub min_size: Option<u64>,
    /// Only objects of at most so many bytes.
    pub max_size: Option<u64>,
    /// Only these names below the source's folder, which is then not listed.
    pub files: Option<Vec<String>>,
    /// Say what would be done, do nothing.
    pub dry_run: bool,
    /// Delete each source once its copy is verified, if it is still what was copied.
    pub delete_source: bool,
    /// After a move, remove the folders that it emptied.
    pub remove_empty_folders: bool,
    /// Write only what is missing or differs.
    pub sync: bool,
    /// Delete at the destination what the source does not have. Only with `sync`.
    pub delete: bool,
    /// Refuse to delete anything when it would be more than this.
    pub max_delete: Option<MaxDelete>,
    /// Key prefix in the destination's bucket where what is deleted is copied before.
    pub backup_to: Option<String>,
    /// What counts as changed; None: `default` for a sync, `always` otherwise.
    pub change: Option<ChangeTest>,
    /// What to do where the destination has something else.
    pub if_exists: IfExists,
    /// What to do with a name the destination cannot have.
    pub names: OnTrouble,
    /// What to do with names that only case tells apart, where the destination does not.
    pub case: OnTrouble,
    /// User metadata that replaces that of the source.
    pub metadata: Option<BTreeMap<String, String>>,
    /// User metadata besides.
    pub add_metadata: BTreeMap<String, String>,
    /// System headers instead of the source's, by lower-case name, `content-type` among them; an
    /// empty value takes one away.
    pub headers: BTreeMap<String, String>,
    /// Tags that replace those of the source.
    pub tags: Option<BTreeMap<String, String>>,
    /// Tags besides.
    pub add_tags: BTreeMap<String, String>,
    /// Storage class of what is written; `KEEP`: the source's. None: the connection's, or if it has
    /// none the source's, where the destination knows it.
    pub storage_class: Option<String>,
    /// Canned ACL of what is written; None: the connection's.
    pub acl: Option<String>,
    /// What symbolic links of a folder are.
    pub links: Links,
    /// How a copy is verified.
    pub check: Check,
    /// Ask for archived objects to be restored for so many days.
    pub restore_days: Option<u32>,
    /// Name below the destination of an empty object that is written at the end of a run without
    /// failures that changed something.
    pub trigger: Option<String>,
    /// Write it also when nothing was to do.
    pub trigger_always: bool,
    /// Keys of the destination's bucket where reports of runs are written, which are neither compared
    /// nor deleted; of one ending in `/`, what is named after a run in that folder.
    pub reports: Vec<String>,
    /// Objects and parts in flight; 0: [`crate::DEFAULT_CONCURRENCY`].
    pub concurrency: usize,
    /// Bytes of objects held at most; 0: [`crate::DEFAULT_MAX_MEMORY`].
    pub max_memory: u64,
    /// Bytes a second that may pass through this process; 0: as many as can.
    pub bandwidth: u64,
    /// Requests begun a second; 0: as many as can.
    pub requests_per_second: u32,
}

/// How a copy is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// By what the services say of what they stored.
    #[default]
    Auto,
    /// By reading it again at the destination.
    ReadBack,
}

/// System headers that can be given: those that travel with an object.
const HEADERS: [&str; 6] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

impl CopyOptions {
    /// The test in force.
    pub(crate) fn test(&self) -> ChangeTest {
        self.change.unwrap_or(
            if self.sync || matches!(self.if_exists, IfExists::KeepBoth | IfExists::Fail) {
                ChangeTest::Default
            } else {
                ChangeTest::Always
            },
        )
    }

    /// Whether something is given to what is written besides its bytes.
    pub(crate) fn gives(&self) -> bool {
        self.describes()
            || self.tags.is_some()
            || !self.add_tags.is_empty()
            || self.storage_class.is_some()
            || self.acl.is_some()
    }

    /// Whether metadata or headers are given.
    pub(crate) fn describes(&self) -> bool {
        self.metadata.is_some() || !self.add_metadata.is_empty() || !self.headers.is_empty()
    }

    /// Whether what the destination has decides what is done.
    pub(crate) fn compares(&self) -> bool {
        self.sync || self.test() != ChangeTest::Always || self.if_exists != IfExists::Overwrite
    }

    /// Finds options that contradict each other.
    pub fn check(&self) -> Result<()> {
        let refused = |what: &str, hint: String| {
            Err(Error::new(ErrorCode::UsageInvalid, what.to_owned()).hint(hint))
        };
        if self.delete && !self.sync {
            return refused("only a sync deletes at the destination", "sync instead".to_owned());
        }
        if self.sync && self.delete_source {
            return refused("a sync does not delete its source", "move instead".to_owned());
        }
        if !self.delete && (self.max_delete.is_some() || self.backup_to.is_some()) {
            return refused(
                "a limit or a backup of what is deleted needs something to be deleted",
                format!(
                    "add {}, or leave {} and {} out",
                    named("delete"),
                    named("max-delete"),
                    named("backup-to")
                ),
            );
        }
        if self.delete && self.if_exists == IfExists::KeepBoth {
            return refused(
                "a copy that is kept beside another has a name that the source does not have, which would be deleted",
                format!("leave {} out, or say what else is done with what exists", named("delete")),
            );
        }
        if self.delete && self.files.is_some() {
            return refused(
                "a list of files does not say what is not there any more",
                format!("leave {} or the list of files out", named("delete")),
            );
        }
        if self.remove_empty_folders && !self.delete_source {
            return refused(
                "only a move empties folders",
                format!("move, or leave {} out", named("remove-empty-folders")),
            );
        }
        if let Some(name) = &self.trigger {
            check_trigger(name)?;
        }
        if let Some(name) = self.headers.keys().find(|name| !HEADERS.contains(&name.as_str())) {
            return refused(
                &format!("`{name}` is no header that an object keeps"),
                format!("those are {}", HEADERS.join(", ")),
            );
        }
        let texts = self.storage_class.iter().chain(&self.acl);
        let odd = |text: &&String| {
            text.is_empty()
                || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if let Some(text) = texts.into_iter().find(odd) {
            return refused(
                &format!("`{}` is no storage class and no ACL", text.escape_default()),
                "write a name such as `STANDARD_IA`, or `bucket-owner-full-control`".to_owned(),
            );
        }
        if let Some(prefix) = &self.backup_to
            && !prefix.ends_with('/')
        {
            return refused(
                "a place for backups is a folder",
                format!("end {} with `/`", named("backup-to")),
            );
        }
        Ok(())
    }

    /// Reads a list of patterns.
    pub(crate) fn patterns(texts: &[String]) -> Result<Vec<KeyPattern>> {
        texts.iter().map(|text| KeyPattern::filter(text)).collect()
    }
}

/// A bound of deletions: a number of objects, or a share of what the destination has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum MaxDelete {
    /// So many objects.
    Objects(u64),
    /// So many of a hundred objects at the destination, 0 to 100.
    Percent(u8),
}

impl MaxDelete {
    /// Whether `delete` of `all` objects is within it.
    pub fn allows(self, delete: u64, all: u64) -> bool {
        match self {
            Self::Objects(most) => delete <= most,
            Self::Percent(share) => u128::from(delete) * 100 <= u128::from(all) * u128::from(share),
        }
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects(most) => write!(f, "{most}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl From<MaxDelete> for String {
    fn from(bound: MaxDelete) -> Self {
        bound.to_string()
    }
}

impl TryFrom<String> for MaxDelete {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for MaxDelete {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(ErrorCode::UsageInvalid, format!("`{text}` is not a bound of deletions"))
                .hint("write a number of objects, `100`, or a share of them, `10%`")
        };
        match text.strip_suffix('%') {
            Some(share) => match share.parse() {
                Ok(share @ 0..=100) => Ok(Self::Percent(share)),
                _ => Err(bad()),
            },
            None => text.parse().map(Self::Objects).map_err(|_| bad()),
        }
    }
}

/// What to do with what the destination cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTrouble {
    /// Refuse the whole plan before anything is written.
    #[default]
    Fail,
    /// Leave it out, and say so.
    Skip,
    /// Give it another name, by the rule of [`crate::names`].
    Rename,
}

/// An option of `cp`, `mv` and `sync` by both its names: a hint is shown at the command line, and in
/// answers to SQL and over HTTP.
pub(crate) fn named(flag: &str) -> String {
    format!("`--{flag}` ({} in SQL)", flag.to_ascii_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_hints_name_are_there_in_sql() {
        use windlass_types::options::FILES_OPTIONS;
        for flag in [
            "names",
            "case",
            "dry-run",
            "delete",
            "max-delete",
            "backup-to",
            "check",
            "exclude",
            "remove-empty-folders",
        ] {
            let text = named(flag);
            let sql = text.split(['(', ' ']).find(|word| {
                word.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !word.is_empty()
            });
            assert!(FILES_OPTIONS.iter().any(|def| Some(def.name) == sql), "{text}");
        }
    }

    #[test]
    fn a_bound_is_a_number_or_a_share_and_reads_back() {
        for text in ["0", "100", "0%", "10%", "100%"] {
            assert_eq!(text.parse::<MaxDelete>().unwrap().to_string(), text);
        }
        for text in ["", "%", "101%", "-1", "ten", "1 %"] {
            assert!(text.parse::<MaxDelete>().is_err(), "{text}");
        }
        assert!(MaxDelete::Percent(10).allows(1, 10) && !MaxDelete::Percent(10).allows(2, 10));
        assert!(MaxDelete::Percent(100).allows(u64::MAX, u64::MAX));
        assert!(MaxDelete::Objects(0).allows(0, 9) && !MaxDelete::Objects(0).allows(1, 9));
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |set: fn(&mut CopyOptions)| {
            let mut options = CopyOptions::default();
            set(&mut options);
            options.check().is_err()
        };
        assert!(refused(|o| o.delete = true));
        assert!(refused(|o| (o.sync, o.delete_source) = (true, true)));
        assert!(refused(|o| (o.sync, o.max_delete) = (true, Some(MaxDelete::Objects(1)))));
        assert!(refused(|o| (o.sync, o.delete, o.files) = (true, true, Some(vec![]))));
        assert!(refused(|o| o.remove_empty_folders = true));
        assert!(refused(|o| {
            (o.sync, o.delete) = (true, true);
            o.backup_to = Some("x".into());
        }));
        for name in ["", "../_T", "done/", "/x", "a//b", "."] {
            let options = CopyOptions { trigger: Some(name.into()), ..CopyOptions::default() };
            assert!(options.check().is_err(), "{name}");
        }
        assert!(!refused(|o| o.trigger = Some("a/_DONE".into())));
        assert!(refused(|o| o.storage_class = Some("a b".into())));
        assert!(refused(|o| o.acl = Some(String::new())));
        assert!(refused(|o| o.headers = [("x-amz-acl".to_owned(), String::new())].into()));
        assert!(!refused(|o| (o.sync, o.delete) = (true, true)));
    }

    #[test]
    fn options_survive_the_wire_and_unknown_defaults_are_filled_in() {
        let options = CopyOptions {
            max_delete: Some(MaxDelete::Percent(5)),
            change: Some(ChangeTest::SizeOnly),
            if_exists: IfExists::KeepBoth,
            ..CopyOptions::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        assert!(text.contains(r#""max_delete":"5%""#) && text.contains(r#""change":"size-only""#));
        assert_eq!(serde_json::from_str::<CopyOptions>(&text).unwrap(), options);
        assert_eq!(serde_json::from_str::<CopyOptions>("{}").unwrap(), CopyOptions::default());
    }
}
