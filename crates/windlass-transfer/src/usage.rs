//! Summing what lies somewhere.

use crate::naming::Source;
use crate::request::Side;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_s3::ListOptions;
use windlass_types::{EntryKind, Location, Result};

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub objects: u64,
    /// How large together.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// What lies somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All of it.
    pub total: Amount,
    /// By storage class; `STANDARD` where a service names none, `LOCAL` for folders of a machine.
    pub classes: BTreeMap<String, Amount>,
}

/// Sums what a key, prefix, bucket or glob names. A listing that fails is an error, never a sum.
pub async fn du(side: Side) -> Result<Usage> {
    side.location.need_bucket()?;
    let unnamed = if side.is_folder() { "LOCAL" } else { "STANDARD" };
    let mut usage = Usage::default();
    let source = Source::parse(&side.location.key)?;
    if let Source::Key(_) = source {
        let object = side.location.object()?;
        let meta = crate::run::stat_source(&side.storage, &object).await?;
        let class = meta.storage_class.unwrap_or_else(|| unnamed.to_owned());
        usage.total.add(meta.size);
        usage.classes.entry(class).or_default().add(meta.size);
        return Ok(usage);
    }
    let location =
        Location { bucket: side.location.bucket.clone(), key: source.prefix().to_owned() };
    let options = ListOptions { recursive: true, ..ListOptions::default() };
    let mut listing = side.storage.list(&location, options);
    while let Some(entry) = listing.try_next().await? {
        if entry.kind != EntryKind::Object || source.relative(&entry.key).is_none() {
            continue;
        }
        let bytes = entry.size.unwrap_or_default();
        usage.total.add(bytes);
        let class = entry.storage_class.as_deref().unwrap_or(unnamed);
        match usage.classes.get_mut(class) {
            Some(amount) => amount.add(bytes),
            None => usage.classes.entry(class.to_owned()).or_default().add(bytes),
        }
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[tokio::test]
    async fn sums_are_of_what_is_named_and_a_broken_listing_has_none() {
        let fake = Fake::with("one", |fake| fake.list_breaks = None);
        for (key, body) in [("a/1", "1"), ("a/b/22", "22"), ("c", "333")] {
            fake.set(key, body);
        }
        let sum = async |key: &str| du(fake.side(key)).await.map(|usage| usage.total);
        assert_eq!(sum("").await.unwrap(), Amount { objects: 3, bytes: 6 });
        assert_eq!(sum("a/").await.unwrap(), Amount { objects: 2, bytes: 3 });
        assert_eq!(sum("a/*").await.unwrap(), Amount { objects: 1, bytes: 1 });
        assert_eq!(sum("c").await.unwrap(), Amount { objects: 1, bytes: 3 });
        assert!(sum("d").await.is_err());
        let classes = du(fake.side("a/")).await.unwrap().classes;
        assert_eq!(classes["STANDARD"], Amount { objects: 2, bytes: 3 });
        let broken = Fake::with("two", |fake| fake.list_breaks = Some(0));
        assert!(du(broken.side("")).await.is_err());
    }
}
