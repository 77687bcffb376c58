//! What a copy keeps of its source, and what it is given instead, as arguments.

use clap::Args;
use std::collections::BTreeMap;
use windlass_core::engine::CopyOptions;
use windlass_types::{Error, ErrorCode, Result};

/// What is kept. Without these: headers, user metadata, tags and storage class; no ACL.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is kept")]
pub struct Kept {
    /// User metadata of what is written, instead of that of SRC; may be repeated
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub metadata: Vec<(String, String)>,
    /// User metadata besides; may be repeated
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub add_metadata: Vec<(String, String)>,
    /// Tags of what is written, instead of those of SRC; may be repeated
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub tags: Vec<(String, String)>,
    /// Tags besides; may be repeated
    #[arg(long, value_name = "K=V", value_parser = pair)]
    pub add_tags: Vec<(String, String)>,
    /// No tags of SRC
    #[arg(long, conflicts_with = "tags")]
    pub no_tags: bool,
    /// Storage class of what is written; `keep` is that of SRC
    #[arg(long, value_name = "CLASS")]
    pub storage_class: Option<String>,
    /// Canned ACL of what is written, such as `bucket-owner-full-control`
    #[arg(long, value_name = "ACL")]
    pub acl: Option<String>,
    /// Content type instead of that of SRC; empty: none
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
    /// Cache control instead
    #[arg(long, value_name = "TEXT")]
    pub cache_control: Option<String>,
    /// Content disposition instead
    #[arg(long, value_name = "TEXT")]
    pub content_disposition: Option<String>,
    /// Content encoding instead
    #[arg(long, value_name = "TEXT")]
    pub content_encoding: Option<String>,
    /// Content language instead
    #[arg(long, value_name = "TEXT")]
    pub content_language: Option<String>,
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form KEY=VALUE")),
    }
}

fn map(pairs: &[(String, String)], option: &str) -> Result<BTreeMap<String, String>> {
    let all: BTreeMap<String, String> = pairs.iter().cloned().collect();
    if all.len() == pairs.len() {
        return Ok(all);
    }
    Err(Error::new(ErrorCode::UsageInvalid, format!("a key of `{option}` is given twice"))
        .hint("give each key once"))
}

impl Kept {
    fn headers(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("content-type", &self.content_type),
            ("cache-control", &self.cache_control),
            ("content-disposition", &self.content_disposition),
            ("content-encoding", &self.content_encoding),
            ("content-language", &self.content_language),
        ]
    }

    /// Whether none is given.
    pub(super) fn is_empty(&self) -> bool {
        let pairs = [&self.metadata, &self.add_metadata, &self.tags, &self.add_tags];
        pairs.iter().all(|pairs| pairs.is_empty())
            && !self.no_tags
            && self.storage_class.is_none()
            && self.acl.is_none()
            && self.headers().iter().all(|(_, value)| value.is_none())
    }

    /// Sets them.
    pub(super) fn set(&self, options: &mut CopyOptions) -> Result<()> {
        let given = |pairs: &[(String, String)], option| -> Result<_> {
            Ok(Some(map(pairs, option)?).filter(|map| !map.is_empty()))
        };
        options.metadata = given(&self.metadata, "--metadata")?;
        options.add_metadata = map(&self.add_metadata, "--add-metadata")?;
        options.tags = given(&self.tags, "--tags")?.or(self.no_tags.then(BTreeMap::new));
        options.add_tags = map(&self.add_tags, "--add-tags")?;
        options.storage_class.clone_from(&self.storage_class);
        options.acl.clone_from(&self.acl);
        for (name, value) in self.headers() {
            if let Some(value) = value {
                options.headers.insert(name.to_owned(), value.clone());
            }
        }
        Ok(())
    }
}
