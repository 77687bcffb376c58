//! An engine and a storage in memory, for the tests of commands.

use crate::console::{Captured, Console};
use crate::render::Format;
use crate::rows::{Columns, Kind};
use crate::{Wiring, args, run_on};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{
    Answer, ByteRange, Check, CopyOptions, CopySide, Ctx, Engine, GetOptions, Grade, Item,
    ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PresignMethod, Progress, PutOptions,
    PutResult, Storage, Summary, Upload, Verdict,
};
use windlass_core::transfer::{Action, Status};
use windlass_types::path::Binding;
use windlass_types::{
    Entry, EntryKind, Error, ErrorCode, Location, Name, ObjectPath, Result, RunId,
};

type Buckets = BTreeMap<String, BTreeMap<String, Bytes>>;

#[derive(Debug)]
pub(crate) struct MemoryStorage {
    name: Name,
    binding: Binding,
    pub(crate) read_only: bool,
    buckets: Mutex<Buckets>,
    parts: Mutex<BTreeMap<i32, Bytes>>,
    /// Keys whose deletion fails.
    pub(crate) stubborn: BTreeSet<String>,
    pub(crate) lists: AtomicUsize,
}

impl MemoryStorage {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: Name::new(name).unwrap(),
            binding: Binding::default(),
            read_only: false,
            buckets: Mutex::default(),
            parts: Mutex::default(),
            stubborn: BTreeSet::new(),
            lists: AtomicUsize::new(0),
        }
    }

    pub(crate) fn insert(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let mut buckets = self.buckets.lock().unwrap();
        let objects = buckets.entry(bucket.to_owned()).or_default();
        objects.insert(key.to_owned(), Bytes::copy_from_slice(bytes));
    }

    pub(crate) fn bytes(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.buckets.lock().unwrap().get(bucket)?.get(key).cloned()
    }

    pub(crate) fn keys(&self, bucket: &str) -> Vec<String> {
        self.buckets
            .lock()
            .unwrap()
            .get(bucket)
            .map_or_else(Vec::new, |objects| objects.keys().cloned().collect())
    }

    fn entry(&self, kind: EntryKind, bucket: &str, key: &str, size: Option<u64>) -> Entry {
        let object = kind == EntryKind::Object;
        Entry {
            key: if kind == EntryKind::Bucket { bucket } else { key }.to_owned(),
            kind,
            path: self.binding.relative(bucket, key),
            size,
            last_modified: object.then(time).flatten(),
            etag: object.then(|| "e1".to_owned()),
            storage_class: object.then(|| "STANDARD".to_owned()),
        }
    }

    fn meta(size: usize) -> ObjectMeta {
        ObjectMeta { size: size as u64, last_modified: time(), ..ObjectMeta::default() }
    }

    fn found(&self, object: &ObjectPath) -> Result<Bytes> {
        self.bytes(&object.bucket, &object.key).ok_or_else(|| {
            Error::new(ErrorCode::ObjectNotFound, format!("no object `{}`", object.key))
        })
    }
}

fn time() -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(1_767_225_600, 0)
}

#[async_trait]
impl ObjectAccess for MemoryStorage {
    fn name(&self) -> &Name {
        &self.name
    }
    fn binding(&self) -> &Binding {
        &self.binding
    }
    fn read_only(&self) -> bool {
        self.read_only
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let buckets = self.buckets.lock().unwrap();
        let mut entries: Vec<Entry> = Vec::new();
        match &location.bucket {
            None => {
                entries.extend(buckets.keys().map(|b| self.entry(EntryKind::Bucket, b, "", None)));
            }
            Some(bucket) => {
                for (key, bytes) in buckets.get(bucket).into_iter().flatten() {
                    let Some(rest) = key.strip_prefix(&location.key) else { continue };
                    if let Some(at) = rest.find('/').filter(|_| !options.recursive) {
                        let prefix = &key[..=location.key.len() + at];
                        if entries.last().is_none_or(|last| last.key != prefix) {
                            entries.push(self.entry(EntryKind::Prefix, bucket, prefix, None));
                        }
                    } else {
                        let size = Some(bytes.len() as u64);
                        entries.push(self.entry(EntryKind::Object, bucket, key, size));
                    }
                }
            }
        }
        futures::stream::iter(entries.into_iter().map(Ok)).boxed()
    }

    async fn stat(&self, object: &ObjectPath, _: Option<&str>) -> Result<ObjectMeta> {
        Ok(Self::meta(self.found(object)?.len()))
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        let all = self.found(object)?;
        let size = all.len();
        let clamp = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(size);
        let part = match options.range {
            None => all,
            Some(ByteRange::Bounded(from, length)) => {
                all.slice(clamp(from)..clamp(from.saturating_add(length)))
            }
            Some(ByteRange::From(from)) => all.slice(clamp(from)..),
            Some(ByteRange::Last(length)) => all.slice(size - clamp(length)..),
        };
        let length = part.len() as u64;
        // In small pieces, as the network gives them.
        let pieces: Vec<Result<Bytes>> =
            part.chunks(3).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(ObjectBody {
            meta: Self::meta(size),
            length,
            stream: futures::stream::iter(pieces).boxed(),
        })
    }

    async fn put(&self, object: &ObjectPath, body: Bytes, _: PutOptions) -> Result<PutResult> {
        self.insert(&object.bucket, &object.key, &body);
        Ok(PutResult::default())
    }

    async fn create_upload(&self, object: &ObjectPath, _: PutOptions) -> Result<Upload> {
        Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id: "u1".to_owned() })
    }

    async fn upload_part(&self, _: &Upload, number: i32, body: Bytes) -> Result<Part> {
        self.parts.lock().unwrap().insert(number, body);
        Ok(Part { number, etag: String::new(), checksums: BTreeMap::new(), proven: false })
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        _: &PutOptions,
    ) -> Result<PutResult> {
        let held = self.parts.lock().unwrap();
        let whole: Vec<u8> = parts.iter().flat_map(|part| held[&part.number].to_vec()).collect();
        self.insert(&upload.bucket, &upload.key, &whole);
        Ok(PutResult::default())
    }

    async fn abort_upload(&self, _: &Upload) -> Result<()> {
        Ok(())
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        if self.stubborn.contains(&object.key) {
            return Err(Error::new(ErrorCode::ConnectionDenied, "no permission"));
        }
        if let Some(objects) = self.buckets.lock().unwrap().get_mut(&object.bucket) {
            objects.remove(&object.key);
        }
        Ok(())
    }

    async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.buckets.lock().unwrap().entry(bucket.to_owned()).or_default();
        Ok(())
    }

    async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.buckets.lock().unwrap().remove(bucket);
        Ok(())
    }
}

pub(crate) struct FakeEngine {
    pub(crate) storage: Arc<MemoryStorage>,
    pub(crate) checks: Vec<Check>,
}

impl FakeEngine {
    pub(crate) fn with(storage: MemoryStorage) -> Self {
        Self { storage: Arc::new(storage), checks: Vec::new() }
    }
}

#[async_trait]
impl Engine for FakeEngine {
    /// Answers by the first word: rows for SELECT, a failed row for TEST, an error for BAD, a
    /// wait without end for WAIT, a sentence for all else.
    fn sql<'a>(&'a self, _: &'a mut Ctx, text: &'a str) -> BoxStream<'a, Result<Answer>> {
        let statements = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        futures::stream::iter(statements)
            .then(|text| async move {
                let rows = |good: bool| {
                    let batch = if text == "SELECT name FROM system.jobs ORDER BY name" {
                        let columns: Columns = &[("name", Kind::Text)];
                        crate::rows::batch(columns, &[vec!["nightly".into()]])?
                    } else {
                        let columns: Columns = &[("n", Kind::Integer)];
                        crate::rows::batch(columns, &[vec![7_u64.into()]])?
                    };
                    Ok(Answer::Rows {
                        schema: batch.schema(),
                        batches: futures::stream::iter([Ok(batch)]).boxed(),
                        verdict: Verdict::new(if good { Grade::Good } else { Grade::Bad }),
                    })
                };
                match text.split(' ').next().unwrap_or_default() {
                    "SELECT" | "SHOW" | "DESCRIBE" => rows(true),
                    "TEST" => rows(false),
                    "BAD" => Err(Error::new(ErrorCode::SqlSyntax, "`BAD` is not a statement")),
                    "WAIT" => futures::future::pending().await,
                    _ => Ok(Answer::Done {
                        message: format!("done: {text}"),
                        warnings: vec!["beware".to_owned()],
                    }),
                }
            })
            .boxed()
    }

    async fn storage(&self, _: &Ctx, connection: &Name) -> Result<Storage> {
        if connection == self.storage.name() {
            return Ok(self.storage.clone());
        }
        Err(Error::new(ErrorCode::ConnectionNotFound, format!("no connection `{connection}`")))
    }

    /// Copies one object, and says so.
    async fn copy(
        &self,
        _: &Ctx,
        source: CopySide,
        destination: CopySide,
        options: CopyOptions,
        progress: Arc<dyn Progress>,
        _: CancellationToken,
    ) -> Result<Summary> {
        let failed = source.location.key.contains("fail");
        progress.planned(1, 5);
        progress.bytes(5);
        progress.item(&Item {
            action: Action::Copy,
            source: source.location.key,
            destination: destination.location.key,
            size: 5,
            status: match (options.dry_run, failed) {
                (true, _) => Status::Planned,
                (_, true) => Status::Failed,
                _ => Status::Done,
            },
            reason: failed.then(|| "it changed".to_owned()),
            code: failed.then(|| "object.changed".to_owned()),
            hint: None,
        });
        Ok(Summary {
            run: RunId::new(),
            copied: u64::from(!failed),
            updated: 0,
            deleted: u64::from(options.delete_source),
            skipped: 0,
            failed: u64::from(failed),
            bytes: 5,
            seconds: 0.5,
            dry_run: options.dry_run,
        })
    }

    async fn policy(&self, _: &Ctx, connection: &Name, purpose: &str) -> Result<serde_json::Value> {
        Ok(serde_json::json!({ "Version": connection.as_str(), "Purpose": purpose }))
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        Ok(self.checks.clone())
    }

    async fn rotate_key(&self) -> Result<u64> {
        Ok(1)
    }

    async fn connection_names(&self, _: &Ctx) -> Result<Vec<Name>> {
        Ok(vec![self.storage.name().clone()])
    }

    async fn presign(
        &self,
        _: &Ctx,
        connection: &Name,
        path: &str,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        Ok(format!("https://{connection}/{path}?{method:?}&{}", expires.as_secs()))
    }
}

/// What a command printed, and its exit code.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command line against an engine.
pub(crate) async fn ran(
    engine: Arc<FakeEngine>,
    line: &[&str],
    console: (Console, Captured, Captured),
) -> Ran {
    let (console, out, err) = console;
    let args = std::iter::once("windlass").chain(line.iter().copied()).map(OsString::from);
    let mut refused = (Vec::new(), Vec::new());
    let cli = match args::parse_to(args, &mut refused.0, &mut refused.1) {
        Ok(cli) => cli,
        Err(code) => {
            let text = |bytes| String::from_utf8(bytes).unwrap();
            return Ran { code, out: text(refused.0), err: text(refused.1) };
        }
    };
    assert!(matches!(
        cli.global.output,
        Format::Table | Format::Json | Format::Jsonl | Format::Csv
    ));
    let wiring = Wiring::new(move |_| {
        let engine: Arc<dyn Engine> = engine.clone();
        async move { Ok(engine) }
    });
    let code = run_on(cli, wiring, Arc::new(console), CancellationToken::new()).await;
    Ran { code, out: out.text(), err: err.text() }
}
