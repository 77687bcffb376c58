//! OpenMetadata's manifests (reference section 5), read tolerantly as section 18 says: an unknown
//! key of the whole is an error, one of an entry a warning; formats and types in any case of letters.

use crate::document::{At, Document};
use crate::glob::Glob;
use crate::heap::kind_of;
use crate::levels::EXCLUDED;
use serde::{Deserialize, Serialize};
use serde_json::json;
use windlass_types::Result;

/// Name of a bucket's own manifest, at its root.
pub const FILE: &str = "openmetadata.json";
/// Name of a global manifest below a prefix.
pub const GLOBAL_FILE: &str = "openmetadata_storage_manifest.json";

/// Words of archives.
pub const ARCHIVES: [&str; 6] = ["zip", "tar", "tar.gz", "tgz", "7z", "rar"];

const ENTRY_KEYS: &[&str] = &[
    "containerName",
    "dataPath",
    "structureFormat",
    "depth",
    "separator",
    "isPartitioned",
    "partitionColumns",
    "autoPartitionDetection",
    "excludePaths",
    "excludePatterns",
    "unstructuredData",
    "unstructuredFormats",
];

/// Which manifest it is: a bucket's own, or one for several buckets (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Entries of one bucket.
    Bucket,
    /// Every entry names its bucket in `containerName`.
    Global,
    /// As global; an entry without a bucket, or with `*`, is for every bucket (section 18).
    Default,
}

/// A manifest: entries in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its entries.
    pub entries: Vec<Entry>,
    /// What was strange but is no error, with file, line and path.
    pub warnings: Vec<String>,
}

/// A column that comes from the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionColumn {
    /// Name.
    pub name: String,
    /// OpenMetadata's word, upper case.
    pub data_type: String,
    /// As people are shown it.
    pub display: Option<String>,
    /// What it means.
    pub description: Option<String>,
}

/// One entry of a manifest (section 5.1).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "keys of a format that is not ours")]
pub struct Entry {
    /// Its bucket; None: the bucket the manifest lies in, or every one.
    pub container: Option<String>,
    /// The path without `/` at its ends; a glob if it has `*` or `?`.
    pub path: String,
    /// The glob, if the path is one.
    pub glob: Option<Glob>,
    /// Format as written, lower case.
    pub format: Option<String>,
    /// Levels below the path at which each folder is a container.
    pub depth: usize,
    /// Between fields.
    pub separator: Option<String>,
    /// What the manifest says of partitions.
    pub partitioned: bool,
    /// Columns from the path; they come before those of the files.
    pub partition_columns: Vec<PartitionColumn>,
    /// Find partition columns in the keys (globs only).
    pub detect_partitions: bool,
    /// Levels that exclude a key (globs only).
    pub exclude_levels: Vec<String>,
    /// Keys to skip (globs only).
    pub exclude: Vec<Glob>,
    /// Each matched object is a container without a structure.
    pub unstructured: bool,
    /// Ends of keys that are catalogued as files in their folders; `*` is every key.
    pub unstructured_formats: Option<Vec<String>>,
    /// Where it stands: file, line, path; for messages.
    pub said: String,
}

impl Entry {
    /// What every key of the entry begins with. Of a path that is read as folders it ends in `/`, so
    /// that a neighbour of a longer name is not taken in.
    pub fn prefix(&self) -> String {
        match &self.glob {
            Some(glob) => glob.prefix().to_owned(),
            None if self.path.is_empty() => String::new(),
            // Their list of unstructured files takes the path as it is (section 5.7).
            None if self.is_tree() || self.is_archive() || self.format.is_none() => {
                self.path.clone()
            }
            None if self.may_be_file() => self.path.clone(),
            None => format!("{}/", self.path),
        }
    }

    /// Whether its path may be one file that is a table by itself.
    pub fn may_be_file(&self) -> bool {
        let structured = self.format.is_some() && !self.is_archive();
        structured && self.glob.is_none() && self.depth == 0 && kind_of(&self.path).format.is_some()
    }

    /// Whether it makes a tree of folders and files.
    pub fn is_tree(&self) -> bool {
        self.glob.is_none() && self.format.is_none() && self.unstructured_formats.is_some()
    }

    /// Whether its path is one archive.
    pub fn is_archive(&self) -> bool {
        self.glob.is_none()
            && self.format.as_deref().is_some_and(|format| ARCHIVES.contains(&format))
    }

    /// What of it decides the structure that is found: part of a container's fingerprint.
    pub fn shape(&self) -> String {
        format!("{:?}|{:?}|{:?}", self.format, self.separator, self.partition_columns)
    }
}

impl Manifest {
    /// Reads a manifest; `name` is what messages call the file.
    pub fn parse(name: &str, text: &str, scope: Scope) -> Result<Self> {
        Self::read(&Document::json(name, text)?.root(), scope)
    }

    /// Reads a manifest that is part of another document.
    pub fn read(at: &At<'_>, scope: Scope) -> Result<Self> {
        at.only(&["entries"])?;
        let mut manifest = Self::default();
        for item in at.need("entries")?.list()? {
            let entry = entry(&item, scope, &mut manifest.warnings)?;
            manifest.entries.push(entry);
        }
        Ok(manifest)
    }

    /// The entries for a bucket.
    pub fn of(&self, bucket: &str) -> Vec<Entry> {
        let wanted = |entry: &&Entry| entry.container.as_deref().is_none_or(|name| name == bucket);
        self.entries.iter().filter(wanted).cloned().collect()
    }
}

fn entry(at: &At<'_>, scope: Scope, warnings: &mut Vec<String>) -> Result<Entry> {
    warnings
        .extend(at.unknown(ENTRY_KEYS)?.into_iter().map(|(_, what)| format!("{what}; skipped")));
    let text = |key: &str| -> Result<Option<String>> {
        at.get(key)?.map(|at| at.text().map(str::to_owned)).transpose()
    };
    let flag = |key: &str| -> Result<bool> { at.get(key)?.map_or(Ok(false), |at| at.flag()) };
    let container = match scope {
        Scope::Bucket => None,
        Scope::Global => Some(at.need("containerName")?.text()?.to_owned()),
        Scope::Default => text("containerName")?.filter(|name| name != "*"),
    };
    let path_at = at.need("dataPath")?;
    let path = path_at.text()?.trim_matches('/').to_owned();
    let glob = Glob::is(&path).then(|| Glob::new(&path)).transpose();
    let glob = glob.map_err(|error| path_at.error(error.message()))?;
    let format = text("structureFormat")?.map(|word| word.trim().to_ascii_lowercase());
    let separator = text("separator")?;
    if separator.as_ref().is_some_and(|text| text != "\\t" && text.len() != 1) {
        return Err(at.need("separator")?.error("must be one ASCII character, or `\\t`"));
    }
    let depth = at.get("depth")?.map_or(Ok(0), |at| at.number(0, 100))?;
    let mut depth = usize::try_from(depth).unwrap_or_default();
    if glob.is_some() && depth > 0 {
        warnings.push(at.says("`depth` means nothing to a glob; skipped"));
        depth = 0;
    }
    let partition_columns = match at.get("partitionColumns")? {
        None => Vec::new(),
        Some(at) => at.list()?.iter().map(column).collect::<Result<_>>()?,
    };
    let exclude_levels = match at.get("excludePaths")? {
        None => EXCLUDED.iter().map(|level| (*level).to_owned()).collect(),
        Some(at) => at.texts()?,
    };
    let exclude = match at.get("excludePatterns")? {
        None => Vec::new(),
        Some(list) => list
            .list()?
            .iter()
            .map(|at| Glob::new(at.text()?).map_err(|error| at.error(error.message())))
            .collect::<Result<_>>()?,
    };
    let entry = Entry {
        container,
        glob,
        format,
        depth,
        separator,
        partitioned: flag("isPartitioned")?,
        partition_columns,
        detect_partitions: flag("autoPartitionDetection")?,
        exclude_levels,
        exclude,
        unstructured: flag("unstructuredData")?,
        unstructured_formats: at.get("unstructuredFormats")?.map(|at| at.texts()).transpose()?,
        said: at.says(format!("(`{path}`)")),
        path,
    };
    if entry.path.is_empty() && entry.glob.is_none() && !entry.is_tree() {
        return Err(path_at
            .error("is empty")
            .hint("name a folder of the bucket, or a glob such as `**/*.csv`"));
    }
    Ok(entry)
}

fn column(at: &At<'_>) -> Result<PartitionColumn> {
    let text = |key: &str| -> Result<Option<String>> {
        at.get(key)?.map(|at| at.text().map(str::to_owned)).transpose()
    };
    let kind = at.need("dataType")?;
    let data_type = kind.text()?.trim().to_ascii_uppercase();
    let word = data_type.split(['(', '<']).next().unwrap_or_default().trim().to_owned();
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(kind
            .error(format!("`{data_type}` is no type"))
            .hint("write a type such as DATE, INT, BIGINT, STRING, TIMESTAMP"));
    }
    Ok(PartitionColumn {
        name: at.need("name")?.text()?.to_owned(),
        display: text("dataTypeDisplay")?
            .or_else(|| (word != data_type).then(|| data_type.clone())),
        data_type: word,
        description: text("description")?,
    })
}

/// Where the entries of a bucket came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The global manifest.
    Global,
    /// The bucket's own.
    Bucket,
    /// The default one.
    Default,
    /// Nowhere: there are none.
    None,
}

/// The entries of a bucket by precedence (section 5.3): the first of the three that has any.
pub fn entries_of(
    bucket: &str,
    global: Option<&Manifest>,
    own: Option<&Manifest>,
    default: Option<&Manifest>,
) -> (Source, Vec<Entry>) {
    for (source, manifest) in
        [(Source::Global, global), (Source::Bucket, own), (Source::Default, default)]
    {
        let entries = manifest.map(|manifest| manifest.of(bucket)).unwrap_or_default();
        if !entries.is_empty() {
            return (source, entries);
        }
    }
    (Source::None, Vec::new())
}

/// Writes a manifest of entries, for `openmetadata.json`.
pub fn print(entries: &[Entry]) -> String {
    let entries: Vec<serde_json::Value> = entries
        .iter()
        .map(|entry| {
            let mut all = json!({ "dataPath": entry.path });
            let mut put = |key: &str, value: serde_json::Value| all[key] = value;
            if let Some(format) = &entry.format {
                put("structureFormat", json!(format));
            }
            if entry.depth > 0 {
                put("depth", json!(entry.depth));
            }
            if let Some(separator) = &entry.separator {
                put("separator", json!(separator));
            }
            if entry.partitioned {
                put("isPartitioned", json!(true));
            }
            if !entry.partition_columns.is_empty() {
                let columns = entry.partition_columns.iter().map(|column| {
                    let mut all = json!({ "name": column.name, "dataType": column.data_type });
                    if let Some(display) = &column.display {
                        all["dataTypeDisplay"] = json!(display);
                    }
                    if let Some(text) = &column.description {
                        all["description"] = json!(text);
                    }
                    all
                });
                put("partitionColumns", columns.collect());
            }
            if entry.detect_partitions {
                put("autoPartitionDetection", json!(true));
            }
            if entry.unstructured {
                put("unstructuredData", json!(true));
            }
            if let Some(formats) = &entry.unstructured_formats {
                put("unstructuredFormats", json!(formats));
            }
            all
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&json!({ "entries": entries })).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse("b/openmetadata.json", text, Scope::Bucket)
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_said_with_line_and_path() {
        let wrong = |text: &str| {
            let error = parse(text).unwrap_err();
            format!(
                "{error}{}",
                error.hint_text().map_or(String::new(), |hint| format!(" ({hint})"))
            )
        };
        insta::assert_snapshot!([
            wrong(r#"{"entries": [{"structureFormat": "csv"}]}"#),
            wrong("{\"entries\": [],\n \"version\": 1}"),
            wrong("{\"entries\": [{\"dataPath\": \"a\",\n\"partitionColumns\": [{\"name\": \"d\", \"dataType\": 5}]}]}"),
            wrong(r#"{"entries": [{"dataPath": "a", "separator": "||"}]}"#),
            wrong(r#"{"entries": {}}"#),
            wrong(r#"{"entries": [{"dataPath": "/", "structureFormat": "csv"}]}"#),
            wrong("[]"),
        ].join("\n"));
        let error =
            Manifest::parse("g", r#"{"entries": [{"dataPath": "a"}]}"#, Scope::Global).unwrap_err();
        assert_eq!(error.message(), "g:1: `entries.0.containerName` is required");
    }

    #[test]
    fn what_theirs_is_silent_about_or_stumbles_over_is_read() {
        let manifest = parse(
            r#"{"entries": [{"dataPath": "/csv/orders/", "structureFormat": "CSV", "structureFromat": "x",
                "partitionColumns": [{"name": "d", "dataType": "date", "extra": 1}]}]}"#,
        )
        .unwrap();
        let entry = &manifest.entries[0];
        assert_eq!((entry.path.as_str(), entry.format.as_deref()), ("csv/orders", Some("csv")));
        assert_eq!(entry.partition_columns[0].data_type, "DATE");
        assert_eq!(
            manifest.warnings,
            [
                "b/openmetadata.json:1: `entries.0.structureFromat` is not known here; did you mean `structureFormat`?; skipped"
            ]
        );
    }

    #[test]
    fn the_first_manifest_that_has_entries_for_a_bucket_counts() {
        let read = |scope, text: &str| Manifest::parse("m", text, scope).unwrap();
        let global =
            read(Scope::Global, r#"{"entries": [{"containerName": "a", "dataPath": "g"}]}"#);
        let own = read(Scope::Bucket, r#"{"entries": [{"dataPath": "o"}]}"#);
        let empty = read(Scope::Bucket, r#"{"entries": []}"#);
        let default = read(
            Scope::Default,
            r#"{"entries": [{"containerName": "b", "dataPath": "d"}, {"dataPath": "every"}, {"containerName": "*", "dataPath": "e2"}]}"#,
        );
        let paths = |bucket, own| {
            let (source, entries) = entries_of(bucket, Some(&global), own, Some(&default));
            (source, entries.into_iter().map(|entry| entry.path).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(paths("a", Some(&own)), (Source::Global, "g".to_owned()));
        assert_eq!(paths("b", Some(&own)), (Source::Bucket, "o".to_owned()));
        assert_eq!(paths("b", Some(&empty)), (Source::Default, "d every e2".to_owned()));
        assert_eq!(paths("c", None), (Source::Default, "every e2".to_owned()));
        assert_eq!(entries_of("x", None, None, None), (Source::None, vec![]));
    }

    #[test]
    fn a_neighbour_of_a_longer_name_is_not_taken_in() {
        let prefix = |text: &str| parse(text).unwrap().entries[0].prefix();
        assert_eq!(
            prefix(r#"{"entries": [{"dataPath": "csv/orders", "structureFormat": "csv"}]}"#),
            "csv/orders/"
        );
        assert_eq!(
            prefix(r#"{"entries": [{"dataPath": "photos", "unstructuredFormats": ["png"]}]}"#),
            "photos"
        );
        assert_eq!(prefix(r#"{"entries": [{"dataPath": "a/b/*.csv"}]}"#), "a/b/");
        assert_eq!(
            prefix(r#"{"entries": [{"dataPath": "a/x.zip", "structureFormat": "ZIP"}]}"#),
            "a/x.zip"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_fail_otherwise_than_with_an_error(text in "\\PC{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("{{\"entries\": [{text}]}}"));
        }

        #[test]
        fn what_is_printed_is_read_back(
            path in "[a-z][a-z/*]{0,10}[a-z]",
            format in proptest::option::of("csv|json|parquet"),
            depth in 0usize..3,
            separator in proptest::option::of("[;|]"),
            detect in any::<bool>(),
        ) {
            let glob = Glob::is(&path).then(|| Glob::new(&path).unwrap());
            let depth = if glob.is_some() { 0 } else { depth };
            let entry = Entry {
                path, glob, format, depth, separator, detect_partitions: detect,
                exclude_levels: EXCLUDED.iter().map(|level| (*level).to_owned()).collect(),
                partition_columns: vec![PartitionColumn { name: "d".into(), data_type: "DATE".into(), display: None, description: Some("x".into()) }],
                ..Entry::default()
            };
            let mut back = parse(&print(std::slice::from_ref(&entry))).unwrap();
            prop_assert!(back.warnings.is_empty());
            back.entries[0].said.clear();
            prop_assert_eq!(&back.entries, &[entry]);
        }
    }
}
