//! What `cp`, `mv` and `sync` share, as arguments; and what it means for the engine.

use super::kept::Kept;
use crate::units::{Moment, moment};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use windlass_core::engine::{CopyOptions, Links};
use windlass_core::transfer::{ChangeTest, Check, IfExists, OnTrouble};
use windlass_types::{ByteSize, Error, ErrorCode, KeyPattern, Result};

/// What `cp`, `mv` and `sync` share.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Options {
    /// Only names below SRC that match; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "What")]
    pub include: Vec<String>,
    /// No names below SRC that match, also if included; may be repeated
    #[arg(long, value_name = "GLOB", help_heading = "What")]
    pub exclude: Vec<String>,
    /// Only objects for which a SQL expression over key, path (below SRC), size, `last_modified`, etag and `storage_class` is true
    #[arg(long = "where", value_name = "EXPR", help_heading = "What")]
    pub where_: Option<String>,
    /// Only objects written since then: a time, a day, or an age such as `2h`
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "What")]
    pub newer_than: Option<Moment>,
    /// Only objects written before then: a time, a day, or an age such as `7d`
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "What")]
    pub older_than: Option<Moment>,
    /// Only objects of at least this size
    #[arg(long, value_name = "SIZE", help_heading = "What")]
    pub min_size: Option<ByteSize>,
    /// Only objects of at most this size
    #[arg(long, value_name = "SIZE", help_heading = "What")]
    pub max_size: Option<ByteSize>,
    /// Only the names in this file, one a line, below SRC; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = "What")]
    pub files_from: Option<String>,
    /// Only what failed: by a report (`--report`), or by the id of a run
    #[arg(long, value_name = "REPORT|RUN", conflicts_with = "files_from", help_heading = "What")]
    pub only_failed: Option<String>,
    /// Write over what is there only if it is older
    #[arg(short, long, group = "test", help_heading = "What is there already")]
    pub update: bool,
    /// Objects of one size are the same
    #[arg(long, group = "test", help_heading = "What is there already")]
    pub size_only: bool,
    /// Objects are the same if their bytes are; read where nothing else tells
    #[arg(short, long, group = "test", help_heading = "What is there already")]
    pub checksum: bool,
    /// Write everything again
    #[arg(long, group = "test", help_heading = "What is there already")]
    pub always: bool,
    /// What to do where DST has something else
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        help_heading = "What is there already"
    )]
    pub if_exists: There,
    /// What to do with names that DST cannot have
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "Names")]
    pub names: Trouble,
    /// What to do with names that only case tells apart, where DST does not
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "Names")]
    pub case: Trouble,
    /// What is kept.
    #[command(flatten)]
    pub kept: Kept,
    /// What symbolic links below a local SRC are
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "What")]
    pub links: Link,
    /// Ask for archived objects to be readable for DAYS; run it again some hours later
    #[arg(long, value_name = "DAYS", num_args = 0..=1, require_equals = true, default_missing_value = "7", value_parser = clap::value_parser!(u32).range(1..=365), help_heading = "The run")]
    pub restore: Option<u32>,
    /// Show what would be done; do nothing
    #[arg(short = 'n', long, help_heading = "The run")]
    pub dry_run: bool,
    /// Write a line for each item to this file: `.csv`, `.jsonl` or `.parquet`; a local path or CONN:PATH
    #[arg(long, value_name = "FILE", help_heading = "The run")]
    pub report: Option<String>,
    /// Write an empty object of this name below DST when something was done and nothing failed
    #[arg(long, value_name = "NAME", help_heading = "The run")]
    pub trigger_file: Option<String>,
    /// Write it also when nothing was to do
    #[arg(long, requires = "trigger_file", help_heading = "The run")]
    pub trigger_file_always: bool,
    /// Bytes a second at most that pass through this machine
    #[arg(long, value_name = "SIZE", help_heading = "The run")]
    pub bandwidth: Option<ByteSize>,
    /// Requests begun a second at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "The run")]
    pub requests_per_second: Option<u32>,
    /// How a copy is verified
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "The run")]
    pub check: Verify,
    /// Objects and parts in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "The run")]
    pub concurrency: Option<u16>,
    /// Bytes of objects held in memory at most
    #[arg(long, value_name = "SIZE", help_heading = "The run")]
    pub max_memory: Option<ByteSize>,
}

/// What symbolic links are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// What they lead to
    #[default]
    Follow,
    /// Left out
    Skip,
    /// Links, also at a local DST
    Keep,
}

/// How a copy is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// By what the services say of what they stored
    #[default]
    Auto,
    /// By reading it again at DST
    ReadBack,
}

/// What to do where the destination has something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum There {
    /// Write over it
    #[default]
    Overwrite,
    /// Leave it
    Skip,
    /// Report the item as failed
    Fail,
    /// Write over it only if it is older
    KeepNewer,
    /// Write beside it, under a name with the time of the source
    KeepBoth,
}

/// What to do with what the destination cannot hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Trouble {
    /// Refuse everything before anything is written
    #[default]
    Fail,
    /// Leave it out
    Skip,
    /// Give it another name
    Rename,
}

impl From<Trouble> for OnTrouble {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Fail => Self::Fail,
            Trouble::Skip => Self::Skip,
            Trouble::Rename => Self::Rename,
        }
    }
}

impl Options {
    /// Whether nothing is chosen, compared or reported: all that a stream can do.
    pub(super) fn is_plain(&self) -> bool {
        self.include.is_empty()
            && self.exclude.is_empty()
            && self.where_.is_none()
            && self.newer_than.is_none()
            && self.older_than.is_none()
            && self.min_size.is_none()
            && self.max_size.is_none()
            && self.files_from.is_none()
            && self.only_failed.is_none()
            && !(self.update || self.size_only || self.checksum)
            && self.if_exists == There::Overwrite
            && self.report.is_none()
            && self.trigger_file.is_none()
            && self.links == Link::Follow
            && self.check == Verify::Auto
    }

    /// As the engine takes them. `files` was read from where `files_from` or `only_failed` said.
    pub(super) fn engine(
        &self,
        now: DateTime<Utc>,
        files: Option<Vec<String>>,
    ) -> Result<CopyOptions> {
        for glob in self.include.iter().chain(&self.exclude) {
            KeyPattern::filter(glob)?;
        }
        let none = ByteSize(0);
        for (given, flag) in [(self.bandwidth, "--bandwidth"), (self.max_memory, "--max-memory")] {
            if given == Some(none) {
                return Err(Error::new(
                    ErrorCode::UsageInvalid,
                    format!("with `{flag} 0` nothing could be copied"),
                )
                .hint(format!("leave `{flag}` out, or give a size such as `10MB`")));
            }
        }
        let change = [
            (self.update, ChangeTest::Update),
            (self.size_only, ChangeTest::SizeOnly),
            (self.checksum, ChangeTest::Checksum),
            (self.always, ChangeTest::Always),
        ];
        let mut options = CopyOptions {
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            where_: self.where_.clone(),
            newer_than: self.newer_than.map(|time| time.resolve(now)),
            older_than: self.older_than.map(|time| time.resolve(now)),
            min_size: self.min_size.map(|size| size.0),
            max_size: self.max_size.map(|size| size.0),
            files,
            dry_run: self.dry_run,
            change: change.into_iter().find_map(|(asked, test)| asked.then_some(test)),
            if_exists: match self.if_exists {
                There::Overwrite => IfExists::Overwrite,
                There::Skip => IfExists::Skip,
                There::Fail => IfExists::Fail,
                There::KeepNewer => IfExists::KeepNewer,
                There::KeepBoth => IfExists::KeepBoth,
            },
            names: self.names.into(),
            case: self.case.into(),
            links: match self.links {
                Link::Follow => Links::Follow,
                Link::Skip => Links::Skip,
                Link::Keep => Links::Keep,
            },
            check: match self.check {
                Verify::Auto => Check::Auto,
                Verify::ReadBack => Check::ReadBack,
            },
            requests_per_second: self.requests_per_second.unwrap_or(0),
            restore_days: self.restore,
            trigger: self.trigger_file.clone(),
            trigger_always: self.trigger_file_always,
            concurrency: self.concurrency.map_or(0, usize::from),
            max_memory: self.max_memory.map_or(0, |size| size.0),
            bandwidth: self.bandwidth.map_or(0, |size| size.0),
            ..CopyOptions::default()
        };
        self.kept.set(&mut options)?;
        Ok(options)
    }
}
