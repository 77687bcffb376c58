//! Tables that no manifest speaks of: keys become datasets, files and folders by their names alone.
//!
//! One pass over a listing, in any order; memory grows with the folders and tables, not with the keys.
//! A key belongs to the table whose root is the folder before its first dividing level
//! ([`own_root`]), or to the Delta or Iceberg table that it lies in.

use crate::glob::Glob;
use crate::heap::{FileKind, Heap, Object, family, kind_of};
use crate::levels::{Division, folder, is_artefact, own_root};
use crate::manifest::{ARCHIVES, Entry};
use std::collections::{BTreeMap, BTreeSet};

/// Differently named files of a folder that are told one by one; of more the folder is one table.
const LOOSE: usize = 32;

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Files of one format that belong together.
    Dataset,
    /// A table in Delta's layout.
    Delta,
    /// A table in Iceberg's layout.
    Iceberg,
    /// One file of data by itself.
    File,
    /// One archive.
    Archive,
    /// A folder of files that are no data, with all below it.
    Folder,
}

/// One container that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Below the bucket; of a file its key.
    pub path: String,
    /// What it is.
    pub what: What,
    /// Format, as names say it; None: by content.
    pub format: Option<String>,
    /// Its objects.
    pub heap: Heap,
    /// How the levels below it divide it.
    pub divisions: Vec<Division>,
    /// Why it is one; lines for people.
    pub why: Vec<String>,
}

/// What of a bucket was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Containers by path.
    pub all: BTreeMap<String, Finding>,
    /// Objects of writers' own bookkeeping.
    pub artefacts: u64,
    /// Objects that stand for folders.
    pub markers: u64,
    /// Objects that lie beside a container and are none of it.
    pub beside: u64,
    /// Which folder belongs to which folder container.
    folders: BTreeMap<String, String>,
}

/// Files of one family in one folder.
#[derive(Debug, Clone, Default)]
struct Group {
    heap: Heap,
    shapes: BTreeSet<String>,
    loose: BTreeMap<String, Object>,
    overflow: bool,
    /// The deepest that its files have.
    divisions: Vec<Division>,
    direct: bool,
}

#[derive(Debug, Clone, Default)]
struct Spot {
    groups: BTreeMap<&'static str, Group>,
    archives: BTreeMap<String, Object>,
    other: Heap,
    others: u64,
}

/// Gathers the keys of one bucket.
#[derive(Debug, Clone, Default)]
pub struct Finder {
    spots: BTreeMap<String, Spot>,
    delta: BTreeSet<String>,
    iceberg: BTreeSet<String>,
    artefacts: u64,
    markers: u64,
}

/// Files whose format their content says: Spark's and Hive's names without an extension.
const BY_CONTENT: &str = "?";

fn data_kind(key: &str) -> Option<&'static str> {
    let name = key.rsplit('/').next().unwrap_or(key);
    match kind_of(key) {
        FileKind { format: Some(format), .. } if format == family(format) => Some(format),
        FileKind { format: Some(_), .. } => Some("json"),
        FileKind { format: None, .. } => {
            let bare = !name.contains('.');
            let number = name.len() >= 3
                && name.starts_with(|c: char| c.is_ascii_digit())
                && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
            let part = name
                .strip_prefix("part-")
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            (bare && (number || part)).then_some(BY_CONTENT)
        }
    }
}

fn archive_word(key: &str) -> Option<&'static str> {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    let fits = |word: &&&str| name.strip_suffix(**word).is_some_and(|stem| stem.ends_with('.'));
    ARCHIVES.iter().filter(fits).max_by_key(|word| word.len()).copied()
}

/// A name without what differs between the files of one table: numbers, ids, extension.
fn shape(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or(key);
    let stem = name.split('.').next().unwrap_or(name);
    let mut shape = String::new();
    for part in stem.split_inclusive(['-', '_', ' ', '+']) {
        let (word, gap) = match part.char_indices().next_back() {
            Some((at, last)) if "-_ +".contains(last) => part.split_at(at),
            _ => (part, ""),
        };
        let hex = word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let numbered = word.bytes().any(|byte| byte.is_ascii_digit());
        if hex && (numbered || word.len() >= 8) {
            shape.push('#');
        } else if numbered {
            let letters = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len());
            shape.push_str(&word[..letters]);
            shape.push('#');
        } else if hex && shape.contains('#') {
            shape.push('#');
        } else {
            shape.push_str(word);
        }
        shape.push_str(gap);
    }
    while let Some(at) = shape.find("#-#").or_else(|| shape.find("#_#")) {
        shape.replace_range(at..at + 3, "#");
    }
    shape
}

impl Finder {
    /// Takes an object in.
    pub fn add(&mut self, object: &Object) {
        let key = object.key.as_str();
        if key.ends_with('/') {
            self.markers += 1;
            return;
        }
        if let Some(root) = log_root(key) {
            self.delta.insert(root.to_owned());
            self.artefacts += 1;
            return;
        }
        if is_artefact(key) {
            self.artefacts += 1;
            return;
        }
        if let Some(root) = metadata_root(key) {
            self.iceberg.insert(root.to_owned());
        }
        let (root, divisions) = own_root(key);
        let spot = match self.spots.get_mut(root) {
            Some(spot) => spot,
            None => self.spots.entry(root.to_owned()).or_default(),
        };
        let Some(kind) = data_kind(key) else {
            let mut other = Some(object.clone());
            if archive_word(key).is_some() {
                spot.archives.insert(key.to_owned(), object.clone());
                // The first by name, whatever order they come in.
                other = (spot.archives.len() > LOOSE)
                    .then(|| spot.archives.pop_last())
                    .flatten()
                    .map(|(_, object)| object);
            }
            if let Some(other) = other {
                spot.other.count(&other);
                spot.others += 1;
            }
            return;
        };
        let group = spot.groups.entry(kind).or_default();
        group.heap.add(root, object);
        group.direct |= divisions.is_empty();
        let depth = |levels: &[Division]| {
            (levels.len(), levels.iter().map(|level| *level as u8).collect::<Vec<_>>())
        };
        if depth(&divisions) > depth(&group.divisions) {
            group.divisions = divisions;
        }
        if group.overflow {
            return;
        }
        group.shapes.insert(shape(key));
        group.loose.insert(key.to_owned(), object.clone());
        if group.loose.len() > LOOSE {
            // It is one table, whatever else comes: what would tell its files apart is let go.
            group.overflow = true;
            group.loose = BTreeMap::new();
            group.shapes = BTreeSet::new();
        }
    }

    /// Ends it: what of all that was seen is a container.
    pub fn end(mut self) -> Findings {
        let mut found =
            Findings { artefacts: self.artefacts, markers: self.markers, ..Findings::default() };
        for (roots, what, why) in [
            (std::mem::take(&mut self.delta), What::Delta, "it has a `_delta_log`"),
            (std::mem::take(&mut self.iceberg), What::Iceberg, "it has Iceberg's `metadata`"),
        ] {
            for root in roots {
                self.take_table(&root, what, why, &mut found);
            }
        }
        let mut others: Vec<(String, Heap)> = Vec::new();
        for (root, spot) in self.spots {
            settle(&root, spot, &mut found, &mut others);
        }
        roll_up(others, &mut found);
        found
    }

    /// Everything at and below the root of a table that says itself that it is one.
    fn take_table(&mut self, root: &str, what: What, why: &str, found: &mut Findings) {
        let inside = |path: &str| {
            root.is_empty()
                || path == root
                || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
        };
        // A folder of a partition is no table, and within another table it is that one's business.
        if found.all.values().any(|other| {
            matches!(other.what, What::Delta | What::Iceberg)
                && (other.path == root
                    || root.strip_prefix(&other.path).is_some_and(|rest| rest.starts_with('/')))
        }) || root.is_empty()
            || own_root(&format!("{root}/x")).0 != root
        {
            return;
        }
        let paths: Vec<String> = self
            .spots
            .range(root.to_owned()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(root))
            .filter(|path| inside(path))
            .cloned()
            .collect();
        let mut heap = Heap::default();
        let mut divisions = Vec::new();
        for path in paths {
            let Some(spot) = self.spots.remove(&path) else { continue };
            for (kind, group) in spot.groups {
                if kind == "json" || path.ends_with("/metadata") {
                    found.beside += group.heap.objects();
                    continue;
                }
                let longest = group.divisions;
                if longest.len() > divisions.len() {
                    divisions = longest;
                }
                heap.join(&group.heap);
            }
            found.beside += spot.others + spot.archives.len() as u64;
        }
        let finding = Finding {
            path: root.to_owned(),
            what,
            format: heap
                .formats()
                .first()
                .map(|(format, _)| (*format).to_owned())
                .or_else(|| Some("parquet".to_owned())),
            heap,
            divisions,
            why: vec![why.to_owned()],
        };
        found.all.insert(root.to_owned(), finding);
    }
}

/// The root of the Delta table whose log a key is part of.
fn log_root(key: &str) -> Option<&str> {
    let at = key.find("/_delta_log/")?;
    Some(&key[..at])
}

/// The root of the Iceberg table whose metadata a key is.
fn metadata_root(key: &str) -> Option<&str> {
    let (folder, name) = key.rsplit_once('/')?;
    name.ends_with(".metadata.json").then(|| folder.strip_suffix("/metadata")).flatten()
}

fn plural(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// What the files of one root are.
fn settle(root: &str, spot: Spot, found: &mut Findings, others: &mut Vec<(String, Heap)>) {
    let weight = |group: &Group| (group.heap.objects(), group.heap.size());
    let main = spot
        .groups
        .iter()
        .max_by(|(a, one), (b, two)| weight(one).cmp(&weight(two)).then_with(|| b.cmp(a)));
    let main = main.map(|(kind, _)| *kind);
    let several = spot.groups.len() > 1;
    let archives = spot.archives;
    for (kind, group) in spot.groups {
        let format = (kind != BY_CONTENT).then(|| kind.to_owned());
        let label = format.clone().unwrap_or_else(|| "data".to_owned());
        let objects = group.heap.objects();
        let divisions = group.divisions;
        let together = !divisions.is_empty() || group.shapes.len() == 1 || group.overflow;
        if Some(kind) == main && together && !root.is_empty() {
            let mut why = vec![match divisions.first() {
                Some(Division::Hive) => {
                    format!("{} of {label} below levels `name=value`", plural(objects, "file"))
                }
                Some(Division::Date) => {
                    format!("{} of {label} below folders of dates", plural(objects, "file"))
                }
                Some(Division::Calendar) => format!(
                    "{} of {label} below folders of years and months",
                    plural(objects, "file")
                ),
                None if objects == 1 => format!("the folder's one file is {label}"),
                None if group.shapes.len() == 1 => {
                    format!("{} of {label} with names of one shape", plural(objects, "file"))
                }
                None => format!(
                    "{} of {label}, too many to be files by themselves",
                    plural(objects, "file")
                ),
            }];
            if group.direct && !divisions.is_empty() {
                why.push("some of its files lie in no partition".to_owned());
            }
            let path = root.to_owned();
            found.all.insert(
                path.clone(),
                Finding { path, what: What::Dataset, format, heap: group.heap, divisions, why },
            );
        } else if group.overflow || !divisions.is_empty() {
            // A file by itself would be one of very many.
            found.beside += objects;
            others.push((format!("{root}\0{kind}"), group.heap));
        } else {
            let why = if several && Some(kind) != main {
                format!("it is {label}, and most of its folder is {}", main.unwrap_or_default())
            } else if root.is_empty() {
                "it lies at the top of the bucket".to_owned()
            } else {
                format!(
                    "the {} of its folder have names of {} shapes",
                    plural(objects, "file"),
                    group.shapes.len()
                )
            };
            for (key, object) in group.loose {
                let mut heap = Heap::default();
                heap.count(&object);
                let finding = Finding {
                    path: key.clone(),
                    what: What::File,
                    format: format.clone(),
                    heap,
                    divisions: Vec::new(),
                    why: vec![why.clone()],
                };
                found.all.insert(key, finding);
            }
        }
    }
    for (key, object) in archives {
        let mut heap = Heap::default();
        heap.count(&object);
        let format = archive_word(&key).map(str::to_owned);
        let why = vec!["it is an archive".to_owned()];
        let finding = Finding {
            path: key.clone(),
            what: What::Archive,
            format,
            heap,
            divisions: Vec::new(),
            why,
        };
        found.all.insert(key, finding);
    }
    if spot.others > 0 {
        others.push((root.to_owned(), spot.other));
    }
}

/// Folders of files that are no data become one container each tree that holds nothing else.
fn roll_up(others: Vec<(String, Heap)>, found: &mut Findings) {
    let mut above: BTreeSet<String> = BTreeSet::new();
    for path in found.all.keys() {
        let mut part = path.as_str();
        while let Some((parent, _)) = part.rsplit_once('/') {
            if !above.insert(parent.to_owned()) {
                break;
            }
            part = parent;
        }
    }
    let mut folders: BTreeMap<String, (Heap, u64)> = BTreeMap::new();
    for (path, heap) in others {
        if path.contains('\0') {
            if let Some(finding) = found.all.get_mut(path.split('\0').next().unwrap_or_default()) {
                finding.why.push(format!(
                    "{} of another format beside it",
                    plural(heap.objects(), "file")
                ));
            }
            continue;
        }
        if path.is_empty() {
            found.beside += heap.objects();
            continue;
        }
        if let Some(finding) = found.all.get_mut(&path) {
            finding
                .why
                .push(format!("{} that are no data beside it", plural(heap.objects(), "file")));
            found.beside += heap.objects();
            continue;
        }
        let mut top = path.as_str();
        while let Some((parent, _)) = top.rsplit_once('/') {
            if above.contains(parent) || found.all.contains_key(parent) {
                break;
            }
            top = parent;
        }
        let top = if above.contains(&path) { path.as_str() } else { top };
        let slot = folders.entry(top.to_owned()).or_default();
        slot.0.join(&heap);
        slot.1 += 1;
        found.folders.insert(path.clone(), top.to_owned());
    }
    for (path, (heap, count)) in folders {
        let why = format!(
            "{} in {}, none of a known format of data",
            plural(heap.objects(), "file"),
            plural(count, "folder")
        );
        let finding = Finding {
            path: path.clone(),
            what: What::Folder,
            format: None,
            heap,
            divisions: Vec::new(),
            why: vec![why],
        };
        found.all.insert(path, finding);
    }
}

impl Findings {
    /// The container that a key belongs to; None: it is an artefact, a marker or beside one.
    pub fn owner(&self, key: &str) -> Option<&Finding> {
        if key.ends_with('/') || log_root(key).is_some() || is_artefact(key) {
            return None;
        }
        // A table that says itself that it is one takes everything below it.
        let mut part = folder(key);
        while !part.is_empty() {
            if let Some(table) =
                self.all.get(part).filter(|f| matches!(f.what, What::Delta | What::Iceberg))
            {
                let kind = data_kind(key);
                let data = kind.is_some_and(|kind| kind != "json")
                    && !own_root(key).0.ends_with("/metadata");
                return data.then_some(table);
            }
            part = folder(part);
        }
        if let Some(file) =
            self.all.get(key).filter(|f| matches!(f.what, What::File | What::Archive))
        {
            return Some(file);
        }
        let root = own_root(key).0;
        match (data_kind(key), self.all.get(root)) {
            (Some(kind), Some(set)) if set.what == What::Dataset => {
                (set.format.as_deref().unwrap_or(BY_CONTENT) == kind).then_some(set)
            }
            (Some(_), _) => None,
            (None, _) => self.folders.get(root).and_then(|top| self.all.get(top)),
        }
    }

    /// The entries of a manifest that says the same, as far as OpenMetadata can say it.
    pub fn entries(&self) -> Vec<Entry> {
        let nested = |path: &str| {
            let below = format!("{path}/");
            self.all
                .range(below.clone()..)
                .next()
                .is_some_and(|(other, _)| other.starts_with(&below))
        };
        // Whose format only the files say is found again by its keys; so are folders, of which an
        // entry would make each file a container.
        let said = |finding: &&Finding| match finding.what {
            What::Folder => false,
            What::Dataset | What::File => finding.format.is_some(),
            What::Delta | What::Iceberg | What::Archive => true,
        };
        self.all
            .values()
            .filter(said)
            .map(|finding| {
                let mut entry = Entry { path: finding.path.clone(), ..Entry::default() };
                entry.format.clone_from(&finding.format);
                let data = matches!(finding.what, What::Dataset | What::Delta | What::Iceberg);
                let hive = finding.divisions.first() == Some(&Division::Hive);
                if data && (hive || nested(&finding.path)) {
                    let deep = if finding.divisions.is_empty() { "" } else { "**/" };
                    let extension = finding
                        .format
                        .as_ref()
                        .map_or(String::new(), |format| format!(".{format}*"));
                    entry.path = format!("{}/{deep}*{extension}", finding.path);
                    entry.glob = Glob::new(&entry.path).ok();
                    entry.detect_partitions = hive;
                }
                entry.partitioned = data && !finding.divisions.is_empty();
                entry
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "find/tests.rs"]
mod tests;
