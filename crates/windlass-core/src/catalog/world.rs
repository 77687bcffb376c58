//! A storage as a crawl sees it, with what the catalogue knew before.

use super::columns::of_field;
use super::keep::Keeping;
use crate::windlass::Opened;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::Utc;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_catalog::Sample;
use windlass_catalog::heap::{Object, kind_of};
use windlass_catalog::world::{Before, Declared, Member, Metrics, Structure, World};
use windlass_query::{OneFile, learn_files, unpack};
use windlass_s3::{GetOptions, ListOptions, LocalStore, Storage};
use windlass_types::{
    EntryKind, Error, ErrorCode, LocalSpec, Location, Name, ObjectPath, OptionMap, OptionValue,
    Result,
};

/// A storage that is crawled.
pub(super) struct Reached {
    pub(super) opened: Opened,
    pub(super) storage: Storage,
    /// What keeps; None: nothing is kept, and nothing was known.
    pub(super) keeping: Option<Arc<tokio::sync::Mutex<Option<Keeping>>>>,
    /// Regions of buckets, asked for once.
    pub(super) regions: Mutex<HashMap<String, Option<String>>>,
}

impl Reached {
    pub(super) fn new(
        opened: Opened,
        keeping: Option<Arc<tokio::sync::Mutex<Option<Keeping>>>>,
    ) -> Self {
        let storage = opened.storage();
        Self { opened, storage, keeping, regions: Mutex::default() }
    }
}

fn content(declared: &Declared) -> OptionMap {
    let mut group: Vec<(String, OptionValue)> = Vec::new();
    if let Some(format) = &declared.format {
        // What is called JSON may be lines, and is found out.
        let word = if format == "jsonl" { "JSON".to_owned() } else { format.to_ascii_uppercase() };
        group.push(("TYPE".to_owned(), OptionValue::Word(word)));
    }
    if let Some(separator) = &declared.separator {
        group.push(("DELIMITER".to_owned(), OptionValue::Text(separator.clone())));
    }
    if group.is_empty() {
        return OptionMap::new();
    }
    OptionMap::from([("CONTENT_TYPE".to_owned(), OptionValue::Group(group))])
}

fn one(sample: &Sample) -> OneFile {
    OneFile { key: sample.key.clone(), size: sample.size, etag: sample.etag.clone() }
}

async fn learn(
    storage: &Storage,
    bucket: &str,
    files: &[OneFile],
    declared: &Declared,
) -> Result<Structure> {
    let learnt = learn_files(storage, bucket, files, &content(declared)).await?;
    let mut why = vec![format!(
        "columns are those of {} ({})",
        match files.len() {
            1 => "1 file".to_owned(),
            number => format!("{number} files"),
        },
        learnt.why
    )];
    let mut columns = Vec::with_capacity(learnt.fields.len());
    for (field, note) in &learnt.fields {
        columns.push(of_field(field));
        why.extend(note.as_ref().map(|note| format!("`{}`: {note}", field.name())));
    }
    Ok(Structure {
        columns,
        format: Some(learnt.format.to_owned()),
        rows: learnt.rows,
        why,
        bad: learnt.bad.into_iter().map(|(key, error)| (key, error.chain())).collect(),
        values: learnt.values,
    })
}

#[async_trait]
impl World for Reached {
    async fn buckets(&self) -> Result<Vec<String>> {
        if let Some(bucket) = &self.storage.binding().bucket {
            return Ok(vec![bucket.clone()]);
        }
        let root = Location { bucket: None, key: String::new() };
        let entries = self.storage.list(&root, ListOptions::default());
        entries
            .try_filter_map(
                async |entry| Ok((entry.kind == EntryKind::Bucket).then_some(entry.key)),
            )
            .try_collect()
            .await
    }

    fn list(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<Object>> {
        let location = Location { bucket: Some(bucket.to_owned()), key: prefix.to_owned() };
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        self.storage
            .list(&location, options)
            .try_filter_map(async |entry| {
                Ok((entry.kind == EntryKind::Object).then(|| Object {
                    key: entry.key,
                    size: entry.size.unwrap_or(0),
                    modified: entry.last_modified,
                    etag: entry.etag,
                    class: entry.storage_class,
                }))
            })
            .boxed()
    }

    async fn read(&self, bucket: &str, key: &str, most: u64) -> Result<Bytes> {
        let object = ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() };
        read_all(&self.storage, &object, most).await
    }

    async fn learn(
        &self,
        bucket: &str,
        files: &[Sample],
        declared: &Declared,
    ) -> Result<Structure> {
        let files: Vec<OneFile> = files.iter().map(one).collect();
        learn(&self.storage, bucket, &files, declared).await
    }

    async fn unpack(&self, bucket: &str, archive: &Sample, format: &str) -> Result<Vec<Member>> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorCode::LocalFailed, "an archive cannot be unpacked").source(error)
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let wanted: fn(&str) -> bool = |name| kind_of(name).format.is_some();
        let files =
            unpack(&self.storage, bucket, &one(archive), format, folder.path(), wanted).await?;
        let spec = LocalSpec::build(&OptionMap::from([(
            "ROOT".to_owned(),
            OptionValue::Text(folder.path().to_string_lossy().into_owned()),
        )]))?;
        let local: Storage = Arc::new(LocalStore::open(Name::new("archive")?, spec)?);
        let mut members = Vec::with_capacity(files.len());
        for file in files {
            let structure = match &file.file {
                None => None,
                Some(Err(why)) => Some(Err(why.clone())),
                Some(Ok(path)) => Some(inner(&local, path, file.size).await),
            };
            members.push(Member { path: file.name, size: file.size, structure });
        }
        Ok(members)
    }

    async fn tags(&self, bucket: &str, key: Option<&str>) -> Result<Vec<(String, String)>> {
        match (key, &self.opened) {
            (Some(key), _) => {
                let object = ObjectPath { bucket: bucket.to_owned(), key: key.to_owned() };
                Ok(self.storage.tags(&object, None).await?.into_iter().collect())
            }
            (None, Opened::S3(store)) => store.bucket_tags(bucket).await,
            (None, _) => Ok(Vec::new()),
        }
    }

    async fn metrics(&self, bucket: &str) -> Result<Option<Metrics>> {
        let Opened::S3(store) = &self.opened else { return Ok(None) };
        let metrics = store.bucket_metrics(bucket, Utc::now().timestamp()).await?;
        Ok(metrics.map(|metrics| Metrics { objects: metrics.objects, size: metrics.size }))
    }

    async fn region(&self, bucket: &str) -> Option<String> {
        let Opened::S3(store) = &self.opened else { return None };
        let known = |regions: &Mutex<HashMap<String, Option<String>>>| {
            regions.lock().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned()
        };
        if let Some(region) = known(&self.regions) {
            return region;
        }
        let region = store.location_of(bucket).await;
        self.regions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(bucket.to_owned(), region.clone());
        region
    }

    async fn known(&self, bucket: &str, path: &str) -> Result<Option<Before>> {
        let Some(keeping) = &self.keeping else { return Ok(None) };
        let keeping = keeping.lock().await;
        let Some(keeping) = keeping.as_ref() else { return Ok(None) };
        let known = keeping.known(bucket, path).await?;
        // What comes back is looked at anew.
        let known = known.filter(|known| known.status != windlass_state::ContainerStatus::Deleted);
        Ok(known.map(|known| Before {
            fingerprint: known.found.fingerprint,
            columns: known.found.columns,
            formats: known.found.formats,
            rows: known.found.figures.rows,
            samples: known.found.samples,
            again: known.kept,
        }))
    }
}

/// The structure of a file that was unpacked.
async fn inner(local: &Storage, path: &Path, size: u64) -> std::result::Result<Structure, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bucket = local.binding().bucket.clone().unwrap_or_default();
    let file = OneFile { key: name, size, etag: None };
    match learn(local, &bucket, &[file], &Declared::default()).await {
        Ok(structure) if structure.columns.is_empty() => Err("it is empty".to_owned()),
        Ok(structure) => Ok(structure),
        Err(error) => Err(error.chain()),
    }
}

/// Reads an object of at most `most` bytes. Boxed: a future over references would not be `Send` for
/// every lifetime.
pub(super) fn read_all<'a>(
    storage: &'a Storage,
    object: &'a ObjectPath,
    most: u64,
) -> BoxFuture<'a, Result<Bytes>> {
    Box::pin(async move {
        let body = storage.get(object, GetOptions::default()).await?;
        let large = || {
            let address = storage.address(&object.bucket, &object.key);
            Error::new(ErrorCode::FormatInvalid, format!("`{address}` is larger than {most} bytes"))
        };
        if body.length > most {
            return Err(large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(body.length).unwrap_or_default());
        let mut stream = body.stream;
        while let Some(chunk) = stream.try_next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > most {
                return Err(large());
            }
        }
        Ok(Bytes::from(bytes))
    })
}
