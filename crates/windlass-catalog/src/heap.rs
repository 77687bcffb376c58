//! What is remembered of the objects of one container: sums, and the few that are worth reading.
//!
//! Everything here comes out the same in whatever order the objects come, and takes as much memory
//! for a million as for ten.

use crate::levels::{COLD, Partitions};
use crate::model::{Figures, Sample, StorageClassFigures};
use chrono::{DateTime, Utc};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Most files that decide a structure.
const SAMPLES: usize = 4;

/// Why a file decides that is neither the newest nor the oldest nor the largest.
const BY_HASH: &str = "among the first by hash";

/// Objects below this many bytes are small.
const SMALL: u64 = 1 << 20;

/// One object as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Whole key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Last write.
    pub modified: Option<DateTime<Utc>>,
    /// Without quotes.
    pub etag: Option<String>,
    /// Storage class; None is the usual one.
    pub class: Option<String>,
}

impl Object {
    /// Whether reading it would take hours or cost extra.
    pub fn is_cold(&self) -> bool {
        self.class.as_deref().is_some_and(|class| COLD.contains(&class))
    }
}

/// Format and compression that the name of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKind {
    /// `csv`, `json`, `parquet`, ...; None: the name does not say.
    pub format: Option<&'static str>,
    /// `gzip`, `zstd`, ...
    pub compression: Option<&'static str>,
}

const COMPRESSIONS: &[(&str, &str)] = &[
    ("gz", "gzip"),
    ("gzip", "gzip"),
    ("zst", "zstd"),
    ("zstd", "zstd"),
    ("bz2", "bzip2"),
    ("xz", "xz"),
    ("snappy", "snappy"),
    ("sz", "snappy"),
    ("lz4", "lz4"),
    ("zip", "zip"),
];

const FORMATS: &[(&str, &str)] = &[
    ("csv", "csv"),
    ("tsv", "tsv"),
    ("tab", "tsv"),
    ("json", "json"),
    ("geojson", "json"),
    ("jsonl", "jsonl"),
    ("ndjson", "jsonl"),
    ("parquet", "parquet"),
    ("parq", "parquet"),
    ("pq", "parquet"),
    ("pqt", "parquet"),
    ("avro", "avro"),
    ("orc", "orc"),
    ("arrow", "arrow"),
    ("arrows", "arrow"),
    ("feather", "arrow"),
    ("ipc", "arrow"),
    ("xlsx", "xlsx"),
    ("xlsm", "xlsx"),
    ("xml", "xml"),
];

fn find(table: &[(&str, &'static str)], word: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, word)| *word)
}

/// What the name at the end of a key says.
pub fn kind_of(key: &str) -> FileKind {
    let name = key.rsplit('/').next().unwrap_or(key);
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return FileKind { format: None, compression: None };
    };
    if let Some(format) = find(FORMATS, extension) {
        // `x.snappy.parquet` is squeezed inside.
        return FileKind { format: Some(format), compression: None };
    }
    let compression = find(COMPRESSIONS, extension);
    let inner = stem.rsplit_once('.').map(|(_, extension)| extension);
    let format = compression.and(inner).and_then(|extension| find(FORMATS, extension));
    FileKind { format, compression: format.and(compression) }
}

/// The format that a manifest's word means, and the compression it says; None: no such format.
pub fn format_of(word: &str) -> Option<FileKind> {
    let kind = kind_of(&format!("x.{word}"));
    kind.format.map(|_| kind)
}

/// Whether two formats are two ways to write one: JSON with a value a line, or otherwise.
pub fn family(format: &str) -> &str {
    if format == "jsonl" { "json" } else { format }
}

/// A number that tells texts apart, the same everywhere and for ever (FNV-1a).
pub fn hash(text: &str, seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The last letters shall change every bit.
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

/// The objects of one kind: how many, and those worth reading.
#[derive(Debug, Clone, Default, PartialEq)]
struct Tally {
    objects: u64,
    size: u64,
    newest: Option<Object>,
    oldest: Option<Object>,
    largest: Option<Object>,
    /// The first by hash, in their order.
    first: Vec<(u64, Object)>,
}

/// Keeps the better one; of equal ones that with the smaller key.
fn keep(slot: &mut Option<Object>, object: &Object, better: impl Fn(&Object, &Object) -> Ordering) {
    let wins = slot.as_ref().is_none_or(|held| {
        better(object, held).then_with(|| held.key.cmp(&object.key)) == Ordering::Greater
    });
    if wins {
        *slot = Some(object.clone());
    }
}

impl Tally {
    fn add(&mut self, object: &Object) {
        self.objects += 1;
        self.size += object.size;
        if object.size > 0 && !object.is_cold() {
            self.candidate(object);
        }
    }

    fn candidate(&mut self, object: &Object) {
        keep(&mut self.newest, object, |a, b| a.modified.cmp(&b.modified));
        keep(&mut self.oldest, object, |a, b| b.modified.cmp(&a.modified));
        keep(&mut self.largest, object, |a, b| a.size.cmp(&b.size));
        let place = (hash(&object.key, 0), &object.key);
        let at = self.first.partition_point(|(hash, held)| (*hash, &held.key) < place);
        if at < SAMPLES && self.first.get(at).is_none_or(|(_, held)| held.key != object.key) {
            self.first.truncate(SAMPLES - 1);
            self.first.reserve_exact(1);
            self.first.insert(at, (place.0, object.clone()));
        }
    }

    fn join(&mut self, other: &Self) {
        self.objects += other.objects;
        self.size += other.size;
        let best = [&other.newest, &other.oldest, &other.largest].into_iter().flatten();
        for object in best.chain(other.first.iter().map(|(_, object)| object)) {
            self.candidate(object);
        }
    }
}

/// What is remembered of the objects of one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heap {
    /// In order. A map would take memory for eleven, and there are as many heaps as containers.
    kinds: Vec<(FileKind, Tally)>,
    classes: BTreeMap<String, StorageClassFigures>,
    newest: Option<DateTime<Utc>>,
    oldest: Option<DateTime<Utc>>,
    small: u64,
    print: u128,
    /// What its keys say of partitions.
    pub partitions: Partitions,
}

impl Heap {
    /// Adds an object of the container with this root.
    pub fn add(&mut self, root: &str, object: &Object) {
        self.count(object);
        self.partitions.add(root, &object.key);
    }

    /// Adds an object, without looking at its levels.
    pub fn count(&mut self, object: &Object) {
        self.tally(kind_of(&object.key)).add(object);
        let class = object.class.as_deref().unwrap_or("STANDARD");
        if !self.classes.contains_key(class) {
            self.classes.insert(class.to_owned(), StorageClassFigures::default());
        }
        if let Some(figures) = self.classes.get_mut(class) {
            figures.size += object.size;
            figures.objects += 1;
        }
        if let Some(modified) = object.modified {
            self.newest = Some(self.newest.map_or(modified, |known| known.max(modified)));
            self.oldest = Some(self.oldest.map_or(modified, |known| known.min(modified)));
        }
        self.small += u64::from(object.size < SMALL);
        let state = match (&object.etag, object.modified) {
            (Some(etag), _) => etag.clone(),
            (None, Some(modified)) => modified.timestamp_micros().to_string(),
            (None, None) => String::new(),
        };
        let text = format!("{}\0{}\0{state}", object.key, object.size);
        let number = (u128::from(hash(&text, 1)) << 64) | u128::from(hash(&text, 2));
        self.print = self.print.wrapping_add(number);
    }

    fn tally(&mut self, kind: FileKind) -> &mut Tally {
        let at = match self.kinds.binary_search_by_key(&kind, |(known, _)| *known) {
            Ok(at) => at,
            Err(at) => {
                self.kinds.reserve_exact(1);
                self.kinds.insert(at, (kind, Tally::default()));
                at
            }
        };
        &mut self.kinds[at].1
    }

    /// Adds all of another container.
    pub fn join(&mut self, other: &Self) {
        for (kind, tally) in &other.kinds {
            self.tally(*kind).join(tally);
        }
        for (class, figures) in &other.classes {
            let own = self.classes.entry(class.clone()).or_default();
            own.size += figures.size;
            own.objects += figures.objects;
        }
        self.newest = self.newest.max(other.newest);
        self.oldest = match (self.oldest, other.oldest) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.small += other.small;
        self.print = self.print.wrapping_add(other.print);
        self.partitions.join(&other.partitions);
    }

    /// Objects.
    pub fn objects(&self) -> u64 {
        self.kinds.iter().map(|(_, tally)| tally.objects).sum()
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.kinds.iter().map(|(_, tally)| tally.size).sum()
    }

    /// Sizes and counts, from the listing.
    pub fn figures(&self) -> Figures {
        Figures {
            size: Some(self.size()),
            objects: Some(self.objects()),
            rows: None,
            newest: self.newest,
            oldest: self.oldest,
            small_objects: Some(self.small),
            storage_classes: self.classes.clone(),
            origin: Some("listing".to_owned()),
            unknown: None,
        }
    }

    /// A text that changes when an object comes, goes or changes, or `shape` does.
    pub fn fingerprint(&self, shape: &str) -> String {
        format!("{}-{:032x}-{:016x}", self.objects(), self.print, hash(shape, 3))
    }

    /// Formats that names say, and how many objects of each, the most first.
    pub fn formats(&self) -> Vec<(&'static str, u64)> {
        let mut counts: BTreeMap<&'static str, (u64, u64)> = BTreeMap::new();
        for (kind, tally) in &self.kinds {
            if let Some(format) = kind.format {
                let count = counts.entry(format).or_default();
                count.0 += tally.objects;
                count.1 += tally.size;
            }
        }
        let mut all: Vec<_> = counts.into_iter().collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.into_iter().map(|(format, (objects, _))| (format, objects)).collect()
    }

    /// Words of the compressions that names of this format's files say.
    pub fn compressions(&self, format: Option<&str>) -> Vec<String> {
        let of = |kind: &&FileKind| {
            format.is_none_or(|word| kind.format.map(family) == Some(family(word)))
        };
        let mut all: Vec<String> = self
            .kinds
            .iter()
            .map(|(kind, _)| kind)
            .filter(of)
            .filter_map(|kind| kind.compression.map(str::to_owned))
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// The files that decide the structure: newest, oldest, largest, and the first by hash until
    /// there are `most`; of this format if there are such, else of any. Nothing empty and nothing
    /// that is archived.
    pub fn samples(&self, format: Option<&str>, most: usize) -> Vec<Sample> {
        let of = |kind: &FileKind| {
            format.is_some_and(|word| kind.format.map(family) == Some(family(word)))
        };
        let mut tally = Tally::default();
        for own in [true, false] {
            let wanted = self.kinds.iter().filter(|(kind, _)| of(kind) == own);
            wanted.for_each(|(_, other)| tally.join(other));
            if tally.newest.is_some() {
                break;
            }
        }
        let mut samples: Vec<Sample> = Vec::new();
        let best =
            [(&tally.newest, "newest"), (&tally.oldest, "oldest"), (&tally.largest, "largest")];
        let best = best.into_iter().filter_map(|(object, why)| Some((object.as_ref()?, why)));
        let filling = tally.first.iter().map(|(_, object)| (object, BY_HASH));
        for (object, why) in best.chain(filling) {
            match samples.iter().position(|sample| sample.key == object.key) {
                Some(at) if why != BY_HASH => {
                    samples[at].chosen.push_str(", ");
                    samples[at].chosen.push_str(why);
                }
                None if samples.len() < most => samples.push(Sample {
                    key: object.key.clone(),
                    etag: object.etag.clone(),
                    size: object.size,
                    chosen: why.to_owned(),
                }),
                _ => {}
            }
        }
        samples
    }

    /// Why there is nothing to read of a container that has objects.
    pub fn unreadable(&self) -> &'static str {
        match (self.objects(), self.size()) {
            (0, _) => "nothing is there",
            (_, 0) => "every file is empty",
            _ => "every file is in cold storage",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(key: &str, size: u64, at: i64) -> Object {
        Object {
            key: key.to_owned(),
            size,
            modified: DateTime::from_timestamp(at, 0),
            etag: None,
            class: (size % 7 == 3).then(|| "GLACIER".to_owned()),
        }
    }

    #[test]
    fn names_say_format_and_compression() {
        let of = |name| (kind_of(name).format, kind_of(name).compression);
        assert_eq!(of("a/x.CSV.gz"), (Some("csv"), Some("gzip")));
        assert_eq!(of("p.snappy.parquet"), (Some("parquet"), None));
        assert_eq!(of("x.parquet.snappy"), (Some("parquet"), Some("snappy")));
        assert_eq!(of("x.json.zip"), (Some("json"), Some("zip")));
        assert_eq!(of("v.csv/part-0"), (None, None));
        assert_eq!(of("x.zip"), (None, None));
        assert_eq!(format_of("pq").unwrap().format, Some("parquet"));
        assert_eq!(format_of("csv.gz").unwrap().compression, Some("gzip"));
        assert!(format_of("weird").is_none());
    }

    #[test]
    fn files_are_chosen_by_what_they_are_not_by_chance() {
        let mut heap = Heap::default();
        for (key, size, at) in [
            ("t/a.csv", 10, 5),
            ("t/b.csv", 99, 3),
            ("t/c.csv", 1, 9),
            ("t/d.txt", 1000, 99),
            ("t/e.csv", 0, 100),
            ("t/f.csv", 10, 200),
        ] {
            let class = (key == "t/f.csv").then(|| "DEEP_ARCHIVE".to_owned());
            heap.add("t", &Object { class, ..object(key, size, at) });
        }
        let chosen = |format, most| {
            heap.samples(format, most)
                .into_iter()
                .map(|s| format!("{} {}", s.key, s.chosen))
                .collect::<Vec<_>>()
        };
        let first = chosen(Some("csv"), 4);
        assert_eq!(first[0], "t/c.csv newest");
        assert!(first[1].starts_with("t/b.csv oldest, largest"), "{first:?}");
        assert_eq!(
            chosen(Some("parquet"), 1),
            ["t/d.txt newest, largest"],
            "none of that name: any"
        );
        assert_eq!(chosen(Some("csv"), 1).len(), 1);

        // Where few files were written at one time, all of them decide.
        let mut heap = Heap::default();
        for name in ["a", "b", "c", "d"] {
            heap.add("t", &object(&format!("t/{name}.csv"), 9, 1));
        }
        let mut all: Vec<String> =
            heap.samples(Some("csv"), 4).into_iter().map(|sample| sample.key).collect();
        all.sort();
        assert_eq!(all, ["t/a.csv", "t/b.csv", "t/c.csv", "t/d.csv"]);
    }

    proptest! {
        #[test]
        fn order_changes_nothing(
            objects in proptest::collection::vec(("[a-c]/(dt=[0-9]/)?[a-d]{1,2}\\.(csv|json|txt)", 0u64..50, 0i64..20), 0..40),
            cut in 0usize..40,
            turn in 0usize..40,
        ) {
            let mut objects: Vec<Object> = objects.into_iter().map(|(key, size, at)| object(&key, size, at)).collect();
            objects.sort_by(|a, b| a.key.cmp(&b.key));
            objects.dedup_by(|a, b| a.key == b.key);
            let heap = |objects: &[Object]| {
                let mut heap = Heap::default();
                for object in objects {
                    heap.count(object);
                }
                heap
            };
            let whole = heap(&objects);
            let mut turned = objects.clone();
            if !turned.is_empty() {
                turned.rotate_left(turn % objects.len());
            }
            prop_assert_eq!(&heap(&turned), &whole);
            let cut = cut.min(objects.len());
            let mut joined = heap(&objects[cut..]);
            joined.join(&heap(&objects[..cut]));
            prop_assert_eq!(joined.fingerprint("x"), whole.fingerprint("x"));
            prop_assert_eq!(joined.samples(Some("csv"), 4), whole.samples(Some("csv"), 4));
            prop_assert_eq!(joined.figures(), whole.figures());
        }
    }
}
