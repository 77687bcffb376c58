//! Looking for arrived files.

use crate::windlass::Inner;
use async_trait::async_trait;
use futures::StreamExt as _;
use std::sync::Weak;
use windlass_jobs::{Arrival, ArrivalSource, Arrived};
use windlass_s3::ListOptions;
use windlass_types::{EntryKind, FabricId, KeyPattern, Result};

/// Folders behind connections.
pub(crate) struct Folders(pub(crate) Weak<Inner>);

#[async_trait]
impl ArrivalSource for Folders {
    async fn list(
        &self,
        fabric: FabricId,
        arrival: &Arrival,
        found: &mut (dyn FnMut(Arrived) + Send),
    ) -> Result<()> {
        let windlass = super::engine(&self.0)?;
        let place = super::files::WorkPlace {
            connection: arrival.connection.clone(),
            location: arrival.location.clone(),
        };
        let side = windlass.work_side(fabric, &place).await?;
        let mut location = side.location;
        // A glob is listed from its literal part, a pattern is held against what follows it.
        let whole = KeyPattern::is_pattern(&location.key)
            .then(|| KeyPattern::parse(&location.key))
            .transpose()?;
        let pattern = arrival.pattern.as_deref().map(KeyPattern::parse).transpose()?;
        let base = whole.as_ref().map_or(location.key.as_str(), KeyPattern::base).to_owned();
        if let Some(whole) = &whole {
            location.key = whole.literal_prefix().to_owned();
        }
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        let mut entries = side.storage.list(&location, options);
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            if entry.kind != EntryKind::Object || entry.key.ends_with('/') {
                continue;
            }
            let relative = entry.key.strip_prefix(&base).unwrap_or(&entry.key);
            let name = relative.rsplit('/').next().unwrap_or(relative);
            let fits = |pattern: &KeyPattern| {
                pattern.matches(relative)
                    || (!pattern.as_str().contains('/') && pattern.matches(name))
            };
            if whole.as_ref().is_some_and(|whole| !whole.matches(&entry.key))
                || pattern.as_ref().is_some_and(|pattern| !fits(pattern))
            {
                continue;
            }
            found(Arrived {
                key: entry.key,
                size: entry.size.unwrap_or_default(),
                etag: entry.etag,
                last_modified: entry.last_modified,
            });
        }
        Ok(())
    }
}
