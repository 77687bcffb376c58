//! What a copy keeps of its source besides the bytes, and what it is given instead.
//!
//! Headers and metadata come with the bytes; tags are asked for where there are any; the storage
//! class is known from the listing. An ACL is never read: its grants name accounts that the
//! destination may not know.

use crate::kinds::content_type;
use crate::options::CopyOptions;
use crate::plan::Found;
use crate::run::Run;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use windlass_s3::{ObjectMeta, PutOptions};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Storage classes that somebody chose; others belong to a place, or to a service.
const CHOSEN: [&str; 7] = [
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "REDUCED_REDUNDANCY",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
];

/// The word for the storage class of the source.
const KEEP: &str = "KEEP";

/// What a run has found out that it cannot keep.
#[derive(Debug, Default)]
pub(crate) struct Keeps {
    /// The source does not tell its tags.
    no_tags: AtomicBool,
    /// The destination does not know the source's storage classes.
    no_classes: AtomicBool,
}

/// Where the metadata of an object came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// With its bytes: then the number of tags is said, if there are any.
    WithBytes,
    /// Alone: not every service says it there.
    Alone,
}

/// Whether a write was refused because of its storage class.
pub(crate) fn is_of_class(error: &Error) -> bool {
    error.causes().iter().any(|cause| cause.contains("InvalidStorageClass"))
}

impl CopyOptions {
    /// With the metadata and headers that are given to what is written; an empty header takes it away.
    pub(crate) fn described(&self, mut options: PutOptions) -> PutOptions {
        options.metadata.extend(self.add_metadata.clone());
        for (name, value) in &self.headers {
            let value = Some(value.clone()).filter(|value| !value.is_empty());
            match (name.as_str(), value) {
                ("content-type", value) => options.content_type = value,
                (name, Some(value)) => {
                    options.headers.insert(name.to_owned(), value);
                }
                (name, None) => {
                    options.headers.remove(name);
                }
            }
        }
        options
    }

    /// The tags of what had none before, if any are given.
    pub(crate) fn given_tags(&self) -> Option<BTreeMap<String, String>> {
        let mut tags = self.tags.clone().unwrap_or_default();
        tags.extend(self.add_tags.clone());
        Some(tags).filter(|tags| !tags.is_empty())
    }
}

impl Run {
    /// What goes with a copy that is written anew.
    pub(crate) async fn kept(
        &self,
        from: &ObjectPath,
        meta: &ObjectMeta,
        to: &ObjectPath,
        told: Told,
    ) -> Result<PutOptions> {
        let asked = &self.options;
        let kind = if self.source.is_folder() {
            content_type(&to.key).map(str::to_owned)
        } else {
            meta.content_type.clone()
        };
        let options = PutOptions {
            content_type: kind,
            headers: meta.headers.clone(),
            metadata: asked.metadata.clone().unwrap_or_else(|| meta.metadata.clone()),
            modified: meta.last_modified,
            tags: self.kept_tags(from, meta.tag_count, told).await?,
            storage_class: self.class(meta.storage_class.as_deref()),
            acl: asked.acl.clone(),
            link: meta.link,
            ..PutOptions::default()
        };
        Ok(asked.described(options))
    }

    /// What goes with a copy by the service itself, which keeps all that belongs to the object but
    /// the storage class, and what is to be another.
    pub(crate) async fn kept_inside(
        &self,
        from: &ObjectPath,
        state: &Found,
        to: &ObjectPath,
    ) -> Result<PutOptions> {
        if self.destination.is_folder() {
            return Ok(PutOptions::default());
        }
        let asked = &self.options;
        // A service copies an object to itself only if its metadata are replaced.
        let itself = self.source.is_same_place(&self.destination) && from.key == to.key;
        let mut options = if asked.describes() || itself {
            let meta = self.source.storage.stat(from, None).await?;
            let options = self.kept(from, &meta, to, Told::Alone).await?;
            PutOptions { replace: true, modified: None, ..options }
        } else {
            PutOptions {
                storage_class: self.class(state.storage_class.as_deref()),
                acl: asked.acl.clone(),
                ..PutOptions::default()
            }
        };
        options.tags = match (&asked.tags, asked.add_tags.is_empty()) {
            (None, true) => None,
            _ => self.kept_tags(from, None, Told::Alone).await?.or_else(|| Some(BTreeMap::new())),
        };
        Ok(options)
    }

    /// The tags of what is written; None: none, or those that the service copies.
    async fn kept_tags(
        &self,
        from: &ObjectPath,
        count: Option<u32>,
        told: Told,
    ) -> Result<Option<BTreeMap<String, String>>> {
        if !self.destination.storage.holds_properties() {
            return Ok(None);
        }
        let mut tags = match &self.options.tags {
            Some(tags) => tags.clone(),
            None => self.tags_of_source(from, count, told).await?,
        };
        tags.extend(self.options.add_tags.clone());
        Ok((!tags.is_empty()).then_some(tags))
    }

    async fn tags_of_source(
        &self,
        from: &ObjectPath,
        count: Option<u32>,
        told: Told,
    ) -> Result<BTreeMap<String, String>> {
        let storage = &self.source.storage;
        let silent = count.is_none();
        if count == Some(0)
            || (silent && told == Told::WithBytes)
            || (silent && self.keeps.no_tags.load(Ordering::Relaxed))
            || !storage.holds_properties()
        {
            return Ok(BTreeMap::new());
        }
        match self.retried(|| storage.tags(from, None)).await {
            // Who is not told how many there are may not be allowed to read them, or there is no
            // such thing here.
            Err(error)
                if silent
                    && matches!(
                        error.code(),
                        ErrorCode::ConnectionDenied
                            | ErrorCode::ConnectionRejected
                            | ErrorCode::UsageInvalid
                    ) =>
            {
                if !self.keeps.no_tags.swap(true, Ordering::Relaxed) {
                    tracing::debug!(error = error.chain(), "tags cannot be read");
                    self.progress.note(&format!(
                        "tags of large objects are not kept, because they cannot be read: {}",
                        error.message()
                    ));
                }
                Ok(BTreeMap::new())
            }
            Err(error) => {
                Err(Error::new(error.code(), format!("the tags of `{}` cannot be read", from.key))
                    .source(error)
                    .hint("allow s3:GetObjectTagging, or copy without tags: `--no-tags`"))
            }
            tags => tags,
        }
    }

    /// The storage class of what is written; None: the connection's.
    fn class(&self, of_source: Option<&str>) -> Option<String> {
        let storage = &self.destination.storage;
        let class = match self.options.storage_class.as_deref() {
            Some(word) if word.eq_ignore_ascii_case(KEEP) => of_source.or(Some("STANDARD")),
            Some(class) => Some(class),
            None if storage.storage_class().is_some()
                || !storage.holds_properties()
                || self.keeps.no_classes.load(Ordering::Relaxed) =>
            {
                None
            }
            None => of_source.filter(|class| CHOSEN.contains(class)),
        };
        class.map(str::to_owned)
    }

    /// Whether a write that failed is to be repeated without the source's storage class, which
    /// nobody asked for by name.
    pub(crate) fn without_class(&self, error: &Error) -> bool {
        let kept = self.options.storage_class.is_none()
            && self.destination.storage.storage_class().is_none()
            && is_of_class(error);
        if kept && !self.keeps.no_classes.swap(true, Ordering::Relaxed) {
            self.progress.note(
                "the destination does not know the storage classes of the source: objects are written with its own",
            );
        }
        kept
    }
}
