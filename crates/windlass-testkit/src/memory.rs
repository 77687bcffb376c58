//! The state behind the service, open to tests: buckets, identities, faults, the request log.
//!
//! One lock over the buckets: every operation is short and none waits while holding it.

use crate::fault::{Fault, FaultKind};
use crate::identity::{AssumedSession, Identities, Known, TestIdentity, TestRole};
use crate::log::{Log, RequestLog};
use crate::object::{Attributes, NULL_VERSION, Object, Restore, Version, Versions, now};
use crate::service::TestS3Options;
use bytes::Bytes;
use s3s::dto::Checksum;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;

/// How a bucket is made.
#[derive(Debug, Clone, Default)]
pub struct BucketOptions {
    /// Its region; a request signed for another one is sent there. `None` takes any signature
    /// unless the service has strict regions.
    pub region: Option<String>,
    /// Whether everyone may read and list it unsigned.
    pub public: bool,
    /// Whether it keeps versions.
    pub versioned: bool,
}

/// How a bucket lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListingStyle {
    /// As a walk over folders: siblings by name, a folder by its name without the slash, instead
    /// of by the bytes of whole keys. `start-after` with exactly a folder's name passes over it.
    pub by_segments: bool,
    /// The last row of a page is the first of the next one too.
    pub repeats: bool,
}

/// What is said about an object that is put directly.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Encoding`
    pub content_encoding: Option<String>,
    /// `x-amz-meta-…`
    pub metadata: Vec<(String, String)>,
    /// `STANDARD` without it.
    pub storage_class: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// `Last-Modified`; now without it.
    pub modified: Option<SystemTime>,
}

/// What is known of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Length in bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: SystemTime,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Encoding`
    pub content_encoding: Option<String>,
    /// `x-amz-meta-…`, by name.
    pub metadata: BTreeMap<String, String>,
    /// `STANDARD` if nothing was said.
    pub storage_class: String,
    /// The canned ACL it was written with.
    pub acl: Option<String>,
    /// `x-amz-server-side-encryption`, or `SSE-C`.
    pub encryption: Option<String>,
    /// The KMS key.
    pub kms_key: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Checksums by algorithm (`crc32`, `sha256`, …), base64.
    pub checksums: BTreeMap<String, String>,
    /// Its version, in a bucket that keeps them.
    pub version: Option<String>,
}

/// Whether a bucket keeps versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Versioning {
    #[default]
    Never,
    Enabled,
    Suspended,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) region: Option<String>,
    pub(crate) public: bool,
    pub(crate) created: SystemTime,
    pub(crate) versioning: Versioning,
    pub(crate) objects: BTreeMap<String, Versions>,
    pub(crate) uploads: BTreeMap<(String, String), Upload>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) listing: ListingStyle,
}

/// A multipart upload under way.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) started: SystemTime,
    pub(crate) attributes: Attributes,
    /// The header name of its checksum, and whether that is of the whole object.
    pub(crate) algorithm: Option<&'static str>,
    pub(crate) whole: bool,
    pub(crate) parts: BTreeMap<i32, Part>,
}

#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) body: Bytes,
    pub(crate) fingerprint: [u8; 16],
    pub(crate) modified: SystemTime,
    pub(crate) checksum: Checksum,
}

pub(crate) type Buckets = BTreeMap<String, Bucket>;

impl Bucket {
    fn new(options: BucketOptions) -> Self {
        Self {
            region: options.region,
            public: options.public,
            created: now(),
            versioning: if options.versioned { Versioning::Enabled } else { Versioning::Never },
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
            tags: Vec::new(),
            listing: ListingStyle::default(),
        }
    }

    /// The current version of a key, unless that is a delete marker.
    pub(crate) fn current(&self, key: &str) -> Option<(&Version, &Arc<Object>)> {
        let version = self.objects.get(key)?.last()?;
        version.object.as_ref().map(|object| (version, object))
    }

    /// Stores a version (an object, or a delete marker) as the newest of its key.
    pub(crate) fn store(&mut self, key: &str, version: Version) {
        let versions = self.objects.entry(key.to_owned()).or_default();
        if version.id == NULL_VERSION {
            versions.retain(|it| it.id != NULL_VERSION);
        }
        versions.push(version);
    }
}

/// Everything the service knows, for tests to arrange and to look at.
pub struct Memory {
    buckets: Mutex<Buckets>,
    identities: Mutex<Identities>,
    faults: Mutex<Vec<Fault>>,
    released: watch::Sender<bool>,
    pub(crate) log: Log,
    latency: watch::Sender<Duration>,
    sequence: AtomicU64,
    pub(crate) options: TestS3Options,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    pub(crate) fn new(options: TestS3Options) -> Self {
        let memory = Self {
            buckets: Mutex::default(),
            identities: Mutex::default(),
            faults: Mutex::default(),
            released: watch::Sender::new(false),
            log: Log::default(),
            latency: watch::Sender::new(options.latency),
            sequence: AtomicU64::new(0),
            options,
        };
        for identity in memory.options.identities.clone() {
            memory.add_identity(identity);
        }
        for role in memory.options.roles.clone() {
            memory.add_role(role);
        }
        memory
    }

    pub(crate) fn buckets(&self) -> MutexGuard<'_, Buckets> {
        lock(&self.buckets)
    }

    pub(crate) fn identities(&self) -> MutexGuard<'_, Identities> {
        lock(&self.identities)
    }

    /// The next number; ids made of it are unique and sort by time.
    pub(crate) fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The id the next version of a key in such a bucket gets.
    pub(crate) fn version_id(&self, versioning: Versioning) -> String {
        match versioning {
            Versioning::Enabled => format!("v{:031x}", self.next()),
            Versioning::Never | Versioning::Suspended => NULL_VERSION.to_owned(),
        }
    }

    /// Makes a bucket in the service's region, unless it exists.
    pub fn create_bucket(&self, name: &str) {
        self.create_bucket_with(name, BucketOptions::default());
    }

    /// Makes a bucket, unless it exists; the answer is whether it was made.
    pub fn create_bucket_with(&self, name: &str, options: BucketOptions) -> bool {
        let mut buckets = self.buckets();
        if buckets.contains_key(name) {
            return false;
        }
        buckets.insert(name.to_owned(), Bucket::new(options));
        true
    }

    /// Makes a bucket list in another way from now on; the answer is whether there is one.
    pub fn set_listing(&self, bucket: &str, style: ListingStyle) -> bool {
        self.buckets().get_mut(bucket).map(|it| it.listing = style).is_some()
    }

    /// Removes a bucket with everything in it.
    pub fn remove_bucket(&self, name: &str) -> bool {
        self.buckets().remove(name).is_some()
    }

    /// The names of all buckets.
    pub fn bucket_names(&self) -> Vec<String> {
        self.buckets().keys().cloned().collect()
    }

    /// Stores an object, making its bucket if needed; the answer is its `ETag` without quotes.
    pub fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> String {
        self.put_with(bucket, key, body, PutOptions::default())
    }

    /// Stores an object with attributes.
    pub fn put_with(
        &self,
        bucket: &str,
        key: &str,
        body: impl Into<Bytes>,
        options: PutOptions,
    ) -> String {
        let attributes = Attributes {
            content_type: options.content_type,
            content_encoding: options.content_encoding,
            metadata: (!options.metadata.is_empty())
                .then(|| options.metadata.into_iter().collect()),
            storage_class: options.storage_class,
            tags: options.tags,
            ..Attributes::default()
        };
        let object = Object::new(body.into(), attributes);
        let etag = object.etag.clone();
        let mut buckets = self.buckets();
        let place = buckets
            .entry(bucket.to_owned())
            .or_insert_with(|| Bucket::new(BucketOptions::default()));
        let id = self.version_id(place.versioning);
        let modified = options.modified.unwrap_or_else(now);
        place.store(key, Version { id, modified, object: Some(Arc::new(object)) });
        etag
    }

    /// The bytes of an object.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let buckets = self.buckets();
        buckets.get(bucket)?.current(key).map(|(_, object)| object.body.clone())
    }

    /// What is known of an object.
    pub fn info(&self, bucket: &str, key: &str) -> Option<ObjectInfo> {
        let buckets = self.buckets();
        let (version, object) = buckets.get(bucket)?.current(key)?;
        let attributes = &object.attributes;
        Some(ObjectInfo {
            size: object.body.len() as u64,
            etag: object.etag.clone(),
            modified: version.modified,
            content_type: attributes.content_type.clone(),
            content_encoding: attributes.content_encoding.clone(),
            metadata: attributes
                .metadata
                .iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            storage_class: attributes
                .storage_class
                .clone()
                .unwrap_or_else(|| "STANDARD".to_owned()),
            acl: attributes.acl.clone(),
            encryption: match attributes.encryption.customer_md5() {
                Some(_) => Some("SSE-C".to_owned()),
                None => attributes.encryption.server().map(|it| it.as_str().to_owned()),
            },
            kms_key: attributes.encryption.kms_key(),
            tags: attributes.tags.clone(),
            checksums: crate::object::ALGORITHMS
                .into_iter()
                .filter_map(|name| {
                    let value = crate::object::of(&attributes.checksum, name)?;
                    Some((name.to_owned(), value.clone()))
                })
                .collect(),
            version: version.shown_id(),
        })
    }

    /// Ends the restorations that were asked for: those objects can be read.
    pub fn finish_restores(&self) {
        let mut buckets = self.buckets();
        let versions = buckets.values_mut().flat_map(|bucket| bucket.objects.values_mut());
        for object in versions.flatten().filter_map(|version| version.object.as_mut()) {
            if object.attributes.restore == Restore::Asked {
                Arc::make_mut(object).attributes.restore = Restore::Done;
            }
        }
    }

    /// Removes a key with all its versions.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.buckets().get_mut(bucket).is_some_and(|it| it.objects.remove(key).is_some())
    }

    /// Lets time pass for a bucket: everything in it was written so much earlier.
    pub fn age(&self, bucket: &str, by: Duration) {
        let mut buckets = self.buckets();
        let versions = buckets.get_mut(bucket).into_iter().flat_map(|it| it.objects.values_mut());
        for version in versions.flatten() {
            version.modified = version.modified.checked_sub(by).unwrap_or(version.modified);
        }
    }

    /// All keys of a bucket, in order; none if it does not exist.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let buckets = self.buckets();
        let Some(bucket) = buckets.get(bucket) else { return Vec::new() };
        let live = |it: &&String| bucket.current(it).is_some();
        bucket.objects.keys().filter(live).cloned().collect()
    }

    /// The multipart uploads of a bucket that are under way: key and upload id.
    pub fn uploads(&self, bucket: &str) -> Vec<(String, String)> {
        self.buckets()
            .get(bucket)
            .map(|it| it.uploads.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// How many parts the unfinished uploads of a bucket have.
    pub fn part_count(&self, bucket: &str) -> usize {
        let buckets = self.buckets();
        let uploads = buckets.get(bucket).into_iter().flat_map(|it| it.uploads.values());
        uploads.map(|upload| upload.parts.len()).sum()
    }

    /// Makes an identity known, replacing one of the same access key id.
    pub fn add_identity(&self, identity: TestIdentity) {
        let account = &self.options.account;
        let id = identity.access_key_id.clone();
        let known = Known {
            arn: format!("arn:aws:iam::{account}:user/{id}"),
            user_id: format!("AIDA{id}"),
            temporary: identity.session_token.is_some(),
            identity,
        };
        self.identities().known.insert(id, known);
    }

    /// Forgets an identity: its requests answer `InvalidAccessKeyId`.
    pub fn remove_identity(&self, access_key_id: &str) {
        self.identities().known.remove(access_key_id);
    }

    /// Makes a role known, replacing one of the same ARN.
    pub fn add_role(&self, role: TestRole) {
        self.identities().roles.insert(role.arn.clone(), role);
    }

    /// What STS has handed out, oldest first.
    pub fn sessions(&self) -> Vec<AssumedSession> {
        self.identities().sessions.clone()
    }

    /// Makes everything that STS has handed out expire at once, whatever its holders believe.
    pub fn expire_sessions(&self) {
        let past = SystemTime::now() - Duration::from_secs(1);
        let mut identities = self.identities();
        let sessions: Vec<_> =
            identities.sessions.iter().map(|it| it.access_key_id.clone()).collect();
        for id in sessions {
            if let Some(known) = identities.known.get_mut(&id) {
                known.identity.expires = Some(past);
            }
        }
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        lock(&self.faults).push(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    /// Lets go what is held by [`FaultKind::Hold`], also what will be.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    pub(crate) async fn hold(&self) {
        // It fails where the service is gone.
        let _ = self.released.subscribe().wait_for(|released| *released).await;
    }

    pub(crate) fn take_faults(&self, operation: &str, key: Option<&str>) -> Vec<FaultKind> {
        crate::fault::take(&mut lock(&self.faults), operation, key)
    }

    /// Delays every answer from now on. Those that wait already wait for the new time, too: with zero
    /// they are all let go.
    pub fn set_latency(&self, latency: Duration) {
        self.latency.send_replace(latency);
    }

    pub(crate) async fn delay(&self) {
        let mut latency = self.latency.subscribe();
        let start = Instant::now();
        loop {
            let delay = *latency.borrow_and_update();
            // Timers wait for the next millisecond.
            if start.elapsed() >= delay {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(start + delay) => return,
                Ok(()) = latency.changed() => {}
            }
        }
    }

    /// The last requests (at most 50,000), oldest first.
    pub fn requests(&self) -> Vec<RequestLog> {
        self.log.all()
    }

    /// How many requests of one operation the log holds; `*` counts all.
    pub fn count(&self, operation: &str) -> usize {
        self.log.count(operation)
    }

    /// Empties the request log.
    pub fn clear_requests(&self) {
        self.log.clear();
    }

    /// The greatest number of requests that were answered side by side.
    pub fn peak_concurrency(&self) -> usize {
        self.log.peak()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(TestS3Options::default())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("buckets", &self.bucket_names()).finish_non_exhaustive()
    }
}
