//! A storage of one bucket `lake` in memory, which counts and can refuse.

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use windlass_s3::access::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PutOptions,
    PutResult, Upload,
};
use windlass_types::path::Binding;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Name, ObjectPath, Result};

#[derive(Debug)]
pub(super) struct Fake {
    name: Name,
    pub(super) binding: Binding,
    objects: Mutex<BTreeMap<String, (Bytes, u64)>>,
    gets: Mutex<Vec<String>>,
    denied: Mutex<Option<String>>,
    /// Who reads it; None: nobody that could be told from others.
    pub(super) identity: Option<String>,
    /// How long it takes to answer a read.
    pub(super) slow: Duration,
}

impl Fake {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: Name::new(name).unwrap(),
            binding: Binding { bucket: Some("lake".to_owned()), prefix: String::new() },
            objects: Mutex::default(),
            gets: Mutex::default(),
            denied: Mutex::default(),
            identity: None,
            slow: Duration::ZERO,
        }
    }

    pub(super) fn put_object(&self, key: &str, bytes: &[u8]) {
        let mut objects = self.objects.lock().unwrap();
        let version = objects.get(key).map_or(1, |(_, version)| version + 1);
        objects.insert(key.to_owned(), (Bytes::copy_from_slice(bytes), version));
    }

    /// Keys read since the last call, each once, in order.
    pub(super) fn take_gets(&self) -> Vec<String> {
        let mut gets = std::mem::take(&mut *self.gets.lock().unwrap());
        gets.sort();
        gets.dedup();
        gets
    }

    /// Reads since the last call.
    pub(super) fn count_gets(&self) -> usize {
        std::mem::take(&mut *self.gets.lock().unwrap()).len()
    }

    /// Refuses to read keys with this text in them.
    pub(super) fn deny(&self, text: &str) {
        *self.denied.lock().unwrap() = Some(text.to_owned());
    }

    fn object(&self, object: &ObjectPath) -> Result<(Bytes, ObjectMeta)> {
        let objects = self.objects.lock().unwrap();
        let (bytes, version) = objects.get(&object.key).ok_or_else(|| {
            Error::new(ErrorCode::ObjectNotFound, format!("no object `{}`", object.key))
        })?;
        let size = bytes.len() as u64;
        Ok((
            bytes.clone(),
            ObjectMeta { size, etag: Some(format!("v{version}")), ..ObjectMeta::default() },
        ))
    }
}

#[async_trait]
impl ObjectAccess for Fake {
    fn name(&self) -> &Name {
        &self.name
    }

    fn binding(&self) -> &Binding {
        &self.binding
    }

    fn read_only(&self) -> bool {
        false
    }

    fn server_side_copy_group(&self) -> Option<String> {
        self.identity.clone()
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        let objects = self.objects.lock().unwrap();
        let after = options.start_after.clone().unwrap_or_default();
        let mut entries: Vec<Entry> = Vec::new();
        for (key, (bytes, version)) in objects.iter() {
            let Some(below) = key.strip_prefix(location.key.as_str()) else { continue };
            let slash = below.find('/').filter(|_| !options.recursive);
            let name = match slash {
                Some(slash) => &key[..=location.key.len() + slash],
                None => key.as_str(),
            };
            if *name <= *after || entries.last().is_some_and(|last| last.key == name) {
                continue;
            }
            let object = slash.is_none();
            entries.push(Entry {
                key: name.to_owned(),
                kind: if object { EntryKind::Object } else { EntryKind::Prefix },
                path: name.to_owned(),
                size: object.then_some(bytes.len() as u64),
                last_modified: object.then(|| DateTime::from_timestamp(1_700_000_000, 0).unwrap()),
                etag: object.then(|| format!("v{version}")),
                storage_class: None,
            });
        }
        let requests = options.requests.unwrap_or_default();
        let entries = entries.into_iter().enumerate().map(move |(at, entry)| {
            if at % crate::listing::PAGE == 0 {
                requests.fetch_add(1, Ordering::Relaxed);
            }
            Ok(entry)
        });
        futures::stream::iter(entries).boxed()
    }

    async fn stat(&self, object: &ObjectPath, _: Option<&str>) -> Result<ObjectMeta> {
        Ok(self.object(object)?.1)
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.gets.lock().unwrap().push(object.key.clone());
        if !self.slow.is_zero() {
            tokio::time::sleep(self.slow).await;
        }
        if self.denied.lock().unwrap().as_ref().is_some_and(|text| object.key.contains(text)) {
            return Err(Error::new(
                ErrorCode::ConnectionDenied,
                format!("no permission to read `{}`", object.key),
            )
            .hint("it needs s3:GetObject"));
        }
        let (bytes, meta) = self.object(object)?;
        if options.if_match.is_some() && options.if_match != meta.etag {
            return Err(Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", object.key)));
        }
        let size = bytes.len();
        let at = |offset: u64| usize::try_from(offset).unwrap().min(size);
        let part = match options.range {
            None => bytes,
            Some(ByteRange::Bounded(from, length)) => bytes.slice(at(from)..at(from + length)),
            Some(ByteRange::From(from)) => bytes.slice(at(from)..),
            Some(ByteRange::Last(length)) => bytes.slice(size - at(length)..),
        };
        // In small pieces, so that every boundary is crossed.
        let pieces: Vec<Result<Bytes>> = (0..part.len())
            .step_by(7)
            .map(|from| Ok(part.slice(from..(from + 7).min(part.len()))))
            .collect();
        Ok(ObjectBody {
            meta,
            length: part.len() as u64,
            stream: futures::stream::iter(pieces).boxed(),
        })
    }

    async fn put(&self, _: &ObjectPath, _: Bytes, _: PutOptions) -> Result<PutResult> {
        panic!("a query wrote")
    }

    async fn create_upload(&self, _: &ObjectPath, _: PutOptions) -> Result<Upload> {
        panic!("a query wrote")
    }

    async fn upload_part(&self, _: &Upload, _: i32, _: Bytes) -> Result<Part> {
        panic!("a query wrote")
    }

    async fn complete_upload(&self, _: &Upload, _: &[Part], _: &PutOptions) -> Result<PutResult> {
        panic!("a query wrote")
    }

    async fn abort_upload(&self, _: &Upload) -> Result<()> {
        panic!("a query wrote")
    }

    async fn delete(&self, _: &ObjectPath) -> Result<()> {
        panic!("a query wrote")
    }

    async fn create_bucket(&self, _: &str) -> Result<()> {
        panic!("a query wrote")
    }

    async fn delete_bucket(&self, _: &str) -> Result<()> {
        panic!("a query wrote")
    }
}
