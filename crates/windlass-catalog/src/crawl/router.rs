//! Which entries of a manifest an object belongs to, and what of it is a container (section 5.7).

use crate::heap::{Heap, Object};
use crate::levels::{folder, is_artefact, table_root};
use crate::manifest::Entry;
use std::collections::{BTreeMap, HashMap};

/// A container that an entry makes, while its objects come.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) heap: Heap,
    /// It is one file at the top of the bucket.
    pub(crate) file: bool,
}

/// A container by its path, the entry that makes it, and its objects.
pub(crate) type Made = (String, usize, Draft);

/// A file that is a container by itself, and is known as soon as it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// In a tree of folders.
    Tree,
    /// With the bucket as its parent.
    Flat,
}

/// Hands each object to the entries it belongs to.
#[derive(Debug, Default)]
pub(crate) struct Router {
    pub(crate) entries: Vec<Entry>,
    /// Entries by literal path.
    literal: HashMap<String, Vec<usize>>,
    globs: Vec<usize>,
    trees: Vec<usize>,
    /// Containers by path and entry.
    pub(crate) drafts: BTreeMap<(String, usize), Draft>,
    /// Levels above the files of trees.
    pub(crate) folders: BTreeMap<String, Heap>,
}

fn is_cut(key: &str) -> bool {
    // What their walk of unstructured files leaves out (section 5.6).
    key.contains("/_delta_log/") || key.contains("/_SUCCESS")
}

impl Router {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        let mut router = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            if entry.glob.is_some() {
                router.globs.push(at);
            } else if entry.is_tree() {
                router.trees.push(at);
            } else {
                router.literal.entry(entry.path.clone()).or_default().push(at);
            }
        }
        Self { entries, ..router }
    }

    /// Forgets every object.
    pub(crate) fn clear(&mut self) {
        self.drafts.clear();
        self.folders.clear();
    }

    fn draft(&mut self, path: &str, entry: usize) -> &mut Draft {
        self.drafts.entry((path.to_owned(), entry)).or_default()
    }

    /// Takes an object in; answers whether some entry is about it, and what it is by itself.
    pub(crate) fn add(&mut self, object: &Object) -> (bool, Option<Leaf>) {
        let key = object.key.as_str();
        let mut claimed = false;
        let mut part = key;
        while !part.is_empty() {
            if let Some(entries) = self.literal.get(part) {
                claimed = true;
                for entry in entries.clone() {
                    self.literal(entry, object);
                }
            }
            part = folder(part);
        }
        if key.ends_with('/') {
            return (claimed, None);
        }
        let mut leaf = None;
        for at in 0..self.globs.len() {
            let entry = &self.entries[self.globs[at]];
            let Some(glob) = &entry.glob else { continue };
            if !glob.matches(key)
                || is_artefact(key)
                || object.is_cold()
                || key.split('/').any(|level| entry.exclude_levels.iter().any(|cut| cut == level))
                || entry.exclude.iter().any(|glob| glob.matches(key))
            {
                continue;
            }
            claimed = true;
            if entry.unstructured {
                leaf = leaf.or(Some(Leaf::Flat));
                continue;
            }
            let root = table_root(key).to_owned();
            let entry = self.globs[at];
            if root.is_empty() {
                // Theirs drops it silently.
                let draft = self.draft(key, entry);
                draft.file = true;
                draft.heap.count(object);
            } else {
                self.draft(&root, entry).heap.add(&root, object);
            }
        }
        for at in 0..self.trees.len() {
            let entry = &self.entries[self.trees[at]];
            let ends = entry.unstructured_formats.as_deref().unwrap_or_default();
            let wanted = key.starts_with(&entry.path)
                && ends.iter().any(|end| end == "*" || key.ends_with(end.as_str()))
                && !is_cut(key);
            if wanted {
                claimed = true;
                if leaf != Some(Leaf::Tree) {
                    leaf = Some(Leaf::Tree);
                    let mut above = folder(key);
                    while !above.is_empty() {
                        self.folders.entry(above.to_owned()).or_default().count(object);
                        above = folder(above);
                    }
                }
            }
        }
        (claimed, leaf)
    }

    /// An object at or below the path of a literal entry.
    fn literal(&mut self, at: usize, object: &Object) {
        let entry = &self.entries[at];
        let (path, depth) = (entry.path.clone(), entry.depth);
        let key = object.key.as_str();
        let structured = entry.format.is_some() && !entry.is_archive();
        if !structured {
            // Of a folder without a format only that it is there matters; figures are free.
            if !key.ends_with('/') && (key == path || !entry.is_archive()) {
                self.draft(&path, at).heap.count(object);
            }
            return;
        }
        if key == path && entry.may_be_file() {
            // Theirs looks for files below it, and finds none.
            let draft = self.draft(&path, at);
            draft.file = true;
            draft.heap.count(object);
            return;
        }
        if key == path || key.ends_with('/') || is_artefact(key) {
            return;
        }
        if depth == 0 {
            self.draft(&path, at).heap.add(&path, object);
            return;
        }
        let below = key.get(path.len() + 1..).unwrap_or_default();
        let mut ends = below.match_indices('/').map(|(end, _)| end);
        if let Some(end) = ends.nth(depth - 1) {
            let root = key[..path.len() + 1 + end].to_owned();
            self.draft(&root, at).heap.add(&root, object);
        }
    }

    /// The containers: of those with one path that of the first entry; and the entries that made none
    /// or only repeated others.
    pub(crate) fn end(&mut self) -> (Vec<Made>, Vec<(usize, &'static str)>) {
        let drafts = std::mem::take(&mut self.drafts);
        let mut all: Vec<Made> = Vec::new();
        let mut made = vec![false; self.entries.len()];
        let mut told: Vec<(usize, &'static str)> = Vec::new();
        for ((path, entry), draft) in drafts {
            if draft.heap.objects() == 0 {
                continue;
            }
            made[entry] = true;
            match all.last() {
                Some((known, ..)) if *known == path => {
                    told.push((entry, "an entry before it makes the same container"));
                }
                _ => all.push((path, entry, draft)),
            }
        }
        told.dedup();
        for (at, made) in made.iter().enumerate() {
            let leaves = self.entries[at].is_tree() || self.entries[at].unstructured;
            if !made && !leaves {
                told.push((at, "nothing is there"));
            }
        }
        (all, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, Scope};

    fn route(entries: &str, keys: &[&str]) -> String {
        let manifest =
            Manifest::parse("m", &format!("{{\"entries\": [{entries}]}}"), Scope::Bucket).unwrap();
        let mut router = Router::new(manifest.entries);
        let mut lines = Vec::new();
        for key in keys {
            let class = key.contains("cold").then(|| "GLACIER".to_owned());
            let object =
                Object { key: (*key).to_owned(), size: 1, modified: None, etag: None, class };
            if let (_, Some(leaf)) = router.add(&object) {
                lines.push(format!("{leaf:?} {key}"));
            }
        }
        lines.extend(router.folders.keys().map(|path| format!("Folder {path}")));
        let (all, told) = router.end();
        lines.extend(all.iter().map(|(path, _, draft)| format!("{path} {}", draft.heap.objects())));
        lines.extend(told.iter().map(|(entry, why)| format!("entry {entry}: {why}")));
        lines.join("\n")
    }

    #[test]
    fn globs_make_the_tables_of_section_5_4() {
        let said = route(
            r#"{"dataPath": "data/*/events/*.parquet"},
               {"dataPath": "wh/**/*.parquet", "excludePaths": ["skip_me"], "excludePatterns": ["wh/pat/**"]},
               {"dataPath": "q/t?/x.csv"}, {"dataPath": "img/**/*.png", "unstructuredData": true},
               {"dataPath": "*.csv"}, {"dataPath": "nothing/*/here.csv"}, {"dataPath": "[ab]/x.csv", "structureFormat": "csv"}"#,
            &[
                "data/w1/events/e.parquet",
                "data/w1/deep/events/e.parquet",
                "wh/o/dt=1/b=2/p.parquet",
                "wh/o/dt=2/b=2/p.parquet",
                "wh/o/_delta_log/0.json",
                "wh/logs/20240101/x.parquet",
                "wh/skip_me/x.parquet",
                "wh/pat/t/x.parquet",
                "wh/cold/x.parquet",
                "q/t1/x.csv",
                "q/t22/x.csv",
                "img/a/b/2.png",
                "img/a/3.txt",
                "rootfile.csv",
                "a/x.csv",
            ],
        );
        insta::assert_snapshot!(said);
    }

    #[test]
    fn literal_paths_depths_and_trees_make_those_of_section_5_7() {
        let said = route(
            r#"{"dataPath": "csv/orders", "structureFormat": "csv"}, {"dataPath": "/csv/orders/", "structureFormat": "csv"},
               {"dataPath": "depth2", "structureFormat": "csv", "depth": 2}, {"dataPath": "photos", "unstructuredFormats": ["png"]},
               {"dataPath": "single/file.bin"}, {"dataPath": "folder"}, {"dataPath": "arc/x.zip", "structureFormat": "zip"},
               {"dataPath": "does/not/exist", "structureFormat": "csv"}"#,
            &[
                "csv/orders/p.csv",
                "csv/orders/_SUCCESS",
                "csv/orders_old/p.csv",
                "depth2/a/x/f.csv",
                "depth2/a/y/z/f.csv",
                "depth2/a/shallow.csv",
                "photos/2024/a.png",
                "photos/2024/a.txt",
                "photos_extra/z.png",
                "single/file.bin",
                "folder/a",
                "folder/b/c",
                "arc/x.zip",
                "arc/x.zip.bak",
            ],
        );
        insta::assert_snapshot!(said);
    }
}
