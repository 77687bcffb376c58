//! A storage in memory with faults, for the tests of this crate.

mod seen;

pub(crate) use seen::Seen;

use crate::digest::{hex, md5, multipart_etag};
use crate::request::Side;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::BoxStream;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use windlass_s3::{
    ByteRange, GetOptions, ListOptions, ListingOrder, ObjectAccess, ObjectBody, ObjectMeta, Part,
    PutOptions, PutResult, StoredPart, Upload,
};
use windlass_types::path::Binding;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Name, ObjectPath, Result};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One byte is another.
    Corrupt,
    /// The body ends early, without saying so.
    Cut,
    /// Refused for now.
    Busy,
    /// Refused.
    Denied,
    /// The object is written to just before.
    Change,
    /// All its bytes are gone just before.
    Shrink,
    /// Takes long.
    Slow,
    /// Done, but the answer says otherwise.
    Lost,
    /// In an archive.
    Archived,
}

#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) meta: ObjectMeta,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    uploads: HashMap<String, (PutOptions, BTreeMap<i32, Bytes>)>,
    /// Operation, key, times left, what.
    faults: Vec<(&'static str, String, u32, Fault)>,
    log: Vec<String>,
    clock: i64,
}

/// Seconds of the one clock that all fakes have.
static CLOCK: AtomicI64 = AtomicI64::new(1);

/// One bucket, `b`.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a way to be odd")]
pub(crate) struct Fake {
    name: Name,
    binding: Binding,
    pub(crate) group: Option<String>,
    /// The order of listings that `SeaweedFS` has: by level, folders among files by name.
    pub(crate) by_segments: bool,
    /// Listings are in no order; every third key comes once more at the end.
    pub(crate) disordered: bool,
    /// Promises byte order.
    pub(crate) promised: bool,
    /// Recursive listings ask for one folder after another.
    pub(crate) walks: bool,
    /// `ETag`s that are no MD5s.
    pub(crate) odd_etags: bool,
    pub(crate) read_only: bool,
    /// A listing fails after so many entries.
    pub(crate) list_breaks: Option<usize>,
    /// Takes no notice of conditions.
    pub(crate) careless: bool,
    /// Shows every key twice.
    pub(crate) repeats: bool,
    /// Names that differ in case only are one name.
    pub(crate) one_case: bool,
    /// Holds conditions against the `ETag`s of parts where one is asked for.
    pub(crate) parts_differ: bool,
    /// Tells this length of every part of an object.
    pub(crate) part: Option<u64>,
    /// Gives `ETag`s that prove nothing.
    pub(crate) blind: bool,
    /// Stores these checksums and gives `ETag`s that prove nothing.
    pub(crate) crc: bool,
    /// Notes the listings that are given turns.
    pub(crate) takes_turns: bool,
    /// How often it has asked to slow down.
    pub(crate) slow_downs: AtomicU64,
    state: Mutex<State>,
    held: Arc<AtomicI64>,
    pub(crate) most_held: AtomicI64,
    ids: AtomicU64,
}

impl Fake {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: Name::new(name).unwrap(),
            binding: Binding::default(),
            group: None,
            by_segments: false,
            promised: false,
            walks: false,
            disordered: false,
            odd_etags: false,
            read_only: false,
            list_breaks: None,
            careless: false,
            one_case: false,
            repeats: false,
            crc: false,
            parts_differ: false,
            part: None,
            blind: false,
            takes_turns: false,
            slow_downs: AtomicU64::new(0),
            state: Mutex::default(),
            held: Arc::default(),
            most_held: AtomicI64::new(0),
            ids: AtomicU64::new(0),
        }
    }

    pub(crate) fn with(name: &str, set: impl FnOnce(&mut Self)) -> Arc<Self> {
        let mut fake = Self::new(name);
        set(&mut fake);
        Arc::new(fake)
    }

    pub(crate) fn side(self: &Arc<Self>, key: &str) -> Side {
        Side {
            storage: Arc::clone(self) as _,
            location: Location { bucket: Some("b".into()), key: key.into() },
        }
    }

    pub(crate) fn set(&self, key: &str, bytes: impl Into<Bytes>) {
        let options =
            PutOptions { content_type: Some("text/x-test".into()), ..PutOptions::default() };
        self.store(key, bytes.into(), &options, None);
    }

    pub(crate) fn get_now(&self, key: &str) -> Option<Object> {
        self.state.lock().unwrap().objects.get(key).cloned()
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state.lock().unwrap().objects.remove(key);
    }

    pub(crate) fn no_faults(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    pub(crate) fn fault(&self, operation: &'static str, key: &str, times: u32, fault: Fault) {
        self.state.lock().unwrap().faults.push((operation, key.to_owned(), times, fault));
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.state.lock().unwrap().log.iter().filter(|line| line.starts_with(operation)).count()
    }

    pub(crate) fn open_uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// Notes a request and answers what goes wrong with it.
    async fn enter(&self, operation: &'static str, key: &str) -> Result<Option<Fault>> {
        tokio::task::yield_now().await;
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.log.push(format!("{operation} {key}"));
            let hit = state
                .faults
                .iter_mut()
                .find(|(op, on, left, _)| *op == operation && on == key && *left > 0);
            hit.map(|hit| {
                hit.2 -= 1;
                hit.3
            })
        };
        match fault {
            Some(Fault::Busy) => Err(Error::new(ErrorCode::ConnectionBusy, "slow down")),
            Some(Fault::Archived) => Err(Error::new(ErrorCode::ObjectArchived, "archived")),
            Some(Fault::Denied) => Err(Error::new(ErrorCode::ConnectionDenied, "denied")),
            Some(Fault::Change) => {
                let bytes = self.get_now(key).map(|object| object.bytes).unwrap_or_default();
                let turned: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
                self.set(key, turned);
                Ok(None)
            }
            Some(Fault::Shrink) => {
                self.set(key, Bytes::new());
                Ok(None)
            }
            Some(Fault::Slow) => {
                tokio::time::sleep(std::time::Duration::from_hours(1)).await;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    fn store(
        &self,
        key: &str,
        bytes: Bytes,
        options: &PutOptions,
        etag: Option<String>,
    ) -> PutResult {
        let mut state = self.state.lock().unwrap();
        let now = CLOCK.fetch_add(1, Ordering::SeqCst);
        state.clock = now;
        let mut etag = etag.unwrap_or_else(|| hex(&md5(&bytes)));
        let mut checksums = BTreeMap::new();
        if self.crc {
            use base64::Engine as _;
            let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &bytes);
            let text = base64::engine::general_purpose::STANDARD.encode(crc.to_be_bytes());
            checksums.insert("CRC64NVME".to_owned(), text);
        }
        if self.crc || self.blind {
            etag = format!("{}-x", state.clock);
        }
        if self.odd_etags {
            etag = hex(&md5(format!("{key} {}", state.clock).as_bytes()));
        }
        let meta = ObjectMeta {
            size: bytes.len() as u64,
            last_modified: DateTime::<Utc>::from_timestamp(1_700_000_000 + state.clock, 0),
            etag: Some(etag.clone()),
            content_type: options.content_type.clone(),
            headers: options.headers.clone(),
            metadata: options.metadata.clone(),
            checksums,
            ..ObjectMeta::default()
        };
        state.objects.insert(key.to_owned(), Object { bytes, meta });
        PutResult { etag: Some(etag), version: None, proven: false }
    }

    /// Checks the conditions of a write.
    fn holds(&self, key: &str, none: bool, etag: Option<&str>) -> Result<()> {
        let changed =
            || Error::new(ErrorCode::ObjectChanged, format!("`{key}` is not as expected"));
        match self.get_now(key) {
            _ if self.careless => Ok(()),
            Some(_) if none => Err(changed()),
            None if etag.is_some() => {
                Err(Error::new(ErrorCode::ObjectNotFound, format!("no object `{key}`")))
            }
            Some(object) if etag.is_some() && object.meta.etag.as_deref() != etag => Err(changed()),
            _ => Ok(()),
        }
    }

    fn find(&self, key: &str) -> Result<Object> {
        self.get_now(key)
            .ok_or_else(|| Error::new(ErrorCode::ObjectNotFound, format!("no object `{key}`")))
    }
}

/// The error of something that was done all the same.
fn lost(fault: Option<Fault>) -> Result<()> {
    if fault == Some(Fault::Lost) {
        return Err(Error::new(ErrorCode::ConnectionBusy, "internal error"));
    }
    Ok(())
}

fn spoil(bytes: &Bytes, fault: Option<Fault>) -> Bytes {
    let mut bytes = bytes.to_vec();
    match fault {
        Some(Fault::Corrupt) => {
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
        }
        Some(Fault::Cut) => {
            bytes.pop();
        }
        _ => {}
    }
    bytes.into()
}

/// Counts the bytes that somebody holds.
struct Held(Bytes, Arc<AtomicI64>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(i64::try_from(self.0.len()).unwrap(), Ordering::SeqCst);
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
        self.read_only
    }

    fn server_side_copy_group(&self) -> Option<String> {
        self.group.clone()
    }

    fn listing_order(&self, _bucket: &str) -> ListingOrder {
        if self.promised { ListingOrder::Bytes } else { ListingOrder::None }
    }

    fn promises_order(&self, _bucket: &str) -> bool {
        self.promised
    }

    fn walks_folders(&self) -> bool {
        self.walks
    }

    fn takes_turns(&self) -> bool {
        self.takes_turns
    }

    fn slow_downs(&self) -> u64 {
        self.slow_downs.load(Ordering::SeqCst)
    }

    async fn tells_case_apart(&self, _key: &str, _may_write: bool) -> bool {
        !self.one_case
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        let mut state = self.state.lock().unwrap();
        state.log.push(format!("list {}", location.key));
        state.log.extend(options.turns.is_some().then(|| "turns".to_owned()));
        let mut keys: Vec<&String> =
            state.objects.keys().filter(|key| key.starts_with(&location.key)).collect();
        if let Some(after) = &options.start_after {
            keys.retain(|key| *key > after);
        }
        if self.by_segments {
            keys.sort_by_key(|key| key.split('/').map(str::to_owned).collect::<Vec<_>>());
        }
        if self.disordered {
            keys.sort_by_key(|key| md5(key.as_bytes()));
            keys.extend(keys.clone().into_iter().step_by(3));
        }
        let mut folders = std::collections::BTreeSet::new();
        let mut rows: Vec<Result<Entry>> = keys
            .into_iter()
            .filter_map(|key| {
                if !options.recursive
                    && let Some(at) = key[location.key.len()..].find('/')
                {
                    let folder = key[..=location.key.len() + at].to_owned();
                    return folders.insert(folder.clone()).then(|| {
                        let mut entry = crate::plan::Found {
                            key: folder,
                            size: None,
                            etag: None,
                            modified: None,
                            storage_class: None,
                        }
                        .entry();
                        entry.kind = EntryKind::Prefix;
                        Ok(entry)
                    });
                }
                let meta = &state.objects[key].meta;
                Some(Ok(Entry {
                    key: key.clone(),
                    kind: EntryKind::Object,
                    path: format!("b/{key}"),
                    size: Some(meta.size),
                    last_modified: meta.last_modified,
                    etag: meta.etag.clone(),
                    storage_class: None,
                }))
            })
            .collect();
        if self.repeats {
            rows = rows
                .into_iter()
                .flatten()
                .flat_map(|entry| [Ok(entry.clone()), Ok(entry)])
                .collect();
        }
        if let Some(at) = self.list_breaks {
            rows.truncate(at);
            rows.push(Err(Error::new(ErrorCode::ConnectionTimeout, "the listing took too long")));
        }
        futures::stream::iter(rows).boxed()
    }

    async fn stat(&self, object: &ObjectPath, _version: Option<&str>) -> Result<ObjectMeta> {
        self.enter("stat", &object.key).await?;
        Ok(self.find(&object.key)?.meta)
    }

    async fn part_length(&self, object: &ObjectPath, _: &str, _: i32) -> Result<Option<u64>> {
        if !self.parts_differ {
            return Ok(self.part);
        }
        Err(Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", object.key)))
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        let fault = self.enter("get", &object.key).await?;
        let Object { bytes, meta } = self.find(&object.key)?;
        if options.if_match.is_some() && options.if_match != meta.etag {
            return Err(Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", object.key)));
        }
        let bytes = match options.range {
            None => bytes,
            Some(ByteRange::Bounded(from, length)) => {
                let to = (from + length).min(meta.size);
                bytes.slice(usize::try_from(from).unwrap()..usize::try_from(to).unwrap())
            }
            Some(other) => panic!("{other:?} is not used"),
        };
        let length = bytes.len() as u64;
        let bytes = spoil(&bytes, fault);
        let size = i64::try_from(bytes.len()).unwrap();
        let now = self.held.fetch_add(size, Ordering::SeqCst) + size;
        self.most_held.fetch_max(now, Ordering::SeqCst);
        let held = Bytes::from_owner(Held(bytes, Arc::clone(&self.held)));
        Ok(ObjectBody { meta, length, stream: futures::stream::iter([Ok(held)]).boxed() })
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        let fault = self.enter("put", &object.key).await?;
        self.holds(&object.key, options.if_none_match, options.if_match.as_deref())?;
        let body = spoil(&Bytes::copy_from_slice(&body), fault);
        let done = self.store(&object.key, body, &options, None);
        lost(fault)?;
        Ok(done)
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        self.enter("create_upload", &object.key).await?;
        let id = self.ids.fetch_add(1, Ordering::SeqCst).to_string();
        self.state.lock().unwrap().uploads.insert(id.clone(), (options, BTreeMap::new()));
        Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id })
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        let fault = self.enter("upload_part", &upload.key).await?;
        let body = spoil(&Bytes::copy_from_slice(&body), fault);
        let part = part_of(number, &body);
        let mut state = self.state.lock().unwrap();
        let (_, parts) = state.uploads.get_mut(&upload.id).expect("an upload that was begun");
        parts.insert(number, body);
        Ok(part)
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<StoredPart>> {
        let state = self.state.lock().unwrap();
        let stored = |(number, body): (&i32, &Bytes)| StoredPart {
            part: part_of(*number, body),
            size: body.len() as u64,
        };
        Ok(state.uploads[&upload.id].1.iter().map(stored).collect())
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        conditions: &PutOptions,
    ) -> Result<PutResult> {
        let fault = self.enter("complete_upload", &upload.key).await?;
        self.holds(&upload.key, conditions.if_none_match, conditions.if_match.as_deref())?;
        let (options, stored) = self
            .state
            .lock()
            .unwrap()
            .uploads
            .remove(&upload.id)
            .expect("an upload that was begun");
        let numbers: Vec<i32> = parts.iter().map(|part| part.number).collect();
        assert_eq!(numbers, stored.keys().copied().collect::<Vec<_>>());
        let sums: Vec<[u8; 16]> = stored.values().map(|body| md5(body)).collect();
        let whole: Vec<u8> = stored.values().flatten().copied().collect();
        let done = self.store(&upload.key, whole.into(), &options, Some(multipart_etag(&sums)));
        lost(fault)?;
        Ok(done)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.enter("abort_upload", &upload.key).await?;
        self.state.lock().unwrap().uploads.remove(&upload.id);
        Ok(())
    }

    async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        given: PutOptions,
    ) -> Result<PutResult> {
        let fault = self.enter("copy", &from.key).await?;
        self.holds(&to.key, given.if_none_match, given.if_match.as_deref())?;
        let object = self.find(&from.key)?;
        if if_match.is_some() && if_match != object.meta.etag.as_deref() {
            return Err(Error::new(ErrorCode::ObjectChanged, format!("`{}` changed", from.key)));
        }
        let options = PutOptions {
            content_type: object.meta.content_type,
            headers: object.meta.headers,
            metadata: if given.metadata.is_empty() { object.meta.metadata } else { given.metadata },
            ..PutOptions::default()
        };
        let done = self.store(&to.key, spoil(&object.bytes, fault), &options, None);
        lost(fault)?;
        Ok(done)
    }

    async fn copy_part(
        &self,
        from: &ObjectPath,
        offset: u64,
        length: u64,
        if_match: Option<&str>,
        upload: &Upload,
        number: i32,
    ) -> Result<Part> {
        self.enter("copy_part", &from.key).await?;
        let object = self.find(&from.key)?;
        assert_eq!(if_match, object.meta.etag.as_deref());
        let from = usize::try_from(offset).unwrap();
        let body = object.bytes.slice(from..from + usize::try_from(length).unwrap());
        let part = part_of(number, &body);
        let mut state = self.state.lock().unwrap();
        state.uploads.get_mut(&upload.id).unwrap().1.insert(number, body);
        Ok(part)
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.enter("delete", &object.key).await?;
        self.state.lock().unwrap().objects.remove(&object.key);
        Ok(())
    }

    async fn restore(&self, object: &ObjectPath, days: u32) -> Result<()> {
        assert_eq!(days, 3);
        self.enter("restore", &object.key).await.map(drop)
    }

    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        self.enter("delete_if", &object.key).await?;
        self.holds(&object.key, false, Some(etag))?;
        self.state.lock().unwrap().objects.remove(&object.key);
        Ok(())
    }

    async fn delete_many_if(
        &self,
        bucket: &str,
        objects: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        let mut failed = Vec::new();
        for (key, etag) in objects {
            let object = ObjectPath { bucket: bucket.to_owned(), key: key.clone() };
            if let Err(error) = self.delete_if(&object, etag).await {
                failed.push((object.key, error));
            }
        }
        Ok(failed)
    }

    async fn create_bucket(&self, _bucket: &str) -> Result<()> {
        Ok(())
    }

    async fn delete_bucket(&self, _bucket: &str) -> Result<()> {
        Ok(())
    }
}

fn part_of(number: i32, body: &[u8]) -> Part {
    Part { number, etag: hex(&md5(body)), checksums: BTreeMap::new(), proven: false }
}
