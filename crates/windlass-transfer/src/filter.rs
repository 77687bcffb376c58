//! Choosing what a listing gives: a filter from elsewhere, and folders that need not be listed.

use futures::StreamExt;
use futures::stream::BoxStream;
use windlass_s3::{ListOptions, Storage};
use windlass_types::{Entry, EntryKind, KeyPattern, Location, Result};

/// A condition on rows of a listing that this room cannot evaluate: the expression of `--where`.
pub trait EntryFilter: Send + Sync + std::fmt::Debug {
    /// Whether each entry is wanted, in their order. An error says that the condition cannot be
    /// evaluated on them; it ends the run.
    fn takes(&self, entries: &[Entry]) -> Result<Vec<bool>>;
}

/// Folders below the base, with their `/`, that an exclude of `FOLDER/**` names without wildcards.
fn left_out(base: &str, exclude: &[String]) -> Vec<String> {
    let mut folders: Vec<String> = exclude
        .iter()
        .filter_map(|text| text.strip_suffix("**"))
        .filter(|folder| folder.len() > 1 && folder.ends_with('/'))
        .filter(|folder| !KeyPattern::is_pattern(folder))
        .map(|folder| format!("{base}{folder}"))
        .collect();
    folders.sort_unstable();
    folders
}

/// Lists all objects below a place but those of excluded folders. These are never asked for: levels
/// that hold one are listed one by one, everything else as a whole. `ordered` asks for the order of
/// the service ([`ListOptions::ordered`]).
pub(crate) fn listed(
    storage: &Storage,
    location: Location,
    base: &str,
    exclude: &[String],
    ordered: bool,
) -> BoxStream<'static, Result<Entry>> {
    let whole = ListOptions { recursive: true, ordered, ..ListOptions::default() };
    let folders: Vec<String> = left_out(base, exclude)
        .into_iter()
        .filter(|folder| folder.starts_with(&location.key))
        .collect();
    if folders.is_empty() {
        return storage.list(&location, whole);
    }
    let storage = std::sync::Arc::clone(storage);
    async_stream::try_stream! {
        // Depth first, so that the order of the levels is the order of the whole.
        let mut stack = vec![storage.list(&location, ListOptions::default())];
        while let Some(level) = stack.last_mut() {
            let Some(entry) = level.next().await else {
                stack.pop();
                continue;
            };
            let entry = entry?;
            if entry.kind != EntryKind::Prefix {
                yield entry;
                continue;
            }
            if folders.iter().any(|folder| entry.key.starts_with(folder.as_str())) {
                continue;
            }
            let above = folders.iter().any(|folder| folder.starts_with(&entry.key));
            let how = if above { ListOptions::default() } else { whole.clone() };
            let below = Location { bucket: location.bucket.clone(), key: entry.key };
            stack.push(storage.list(&below, how));
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;
    use futures::TryStreamExt;
    use std::sync::Arc;

    #[tokio::test]
    async fn excluded_folders_are_not_listed() {
        let fake = Arc::new(Fake::new("one"));
        for key in ["s/a", "s/in/x/1", "s/in/y", "s/tmp/1", "s/tmp/d/2", "s/tmp-not", "s/z/1"] {
            fake.set(key, "1");
        }
        let exclude = ["tmp/**".to_owned(), "in/x/**".to_owned(), "*.bak".to_owned()];
        let storage: Storage = fake.clone();
        let location = Location { bucket: Some("b".into()), key: "s/".into() };
        let rows = listed(&storage, location, "s/", &exclude, true);
        let keys: Vec<String> = rows.map_ok(|entry| entry.key).try_collect().await.unwrap();
        assert_eq!(keys, ["s/a", "s/in/y", "s/tmp-not", "s/z/1"]);
        assert_eq!(fake.count("list s/tmp/"), 0);
        assert_eq!(fake.count("list s/in/x/"), 0);
        assert_eq!(fake.count("list s/z/"), 1);
    }
}
