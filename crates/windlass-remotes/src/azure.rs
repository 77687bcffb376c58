//! Azure Blob Storage: containers are buckets, blobs are objects, uploads are lists of blocks.
//!
//! Blocks belong to a blob, not to an upload: their names hold the upload's id. What is never
//! committed is not listed, and the service drops it after a week.

mod client;
mod sign;
mod xml;

use crate::cloud::{
    Door, SYSTEM_HEADERS, bad_key, bucket_exists, delete_each, is_nothing, keeps_all, no_bucket,
    not_empty, refused, user_metadata,
};
use crate::error::{changed, failed, unsupported};
use crate::http::{Reply, etag, http_date, lengths, range_header};
use crate::names::random;
use crate::secrets::RemoteSecrets;
use crate::store::whole;
use crate::tree::cut;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use client::{Call, Client};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use md5::{Digest as _, Md5};
use reqwest::StatusCode;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use windlass_s3::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PresignMethod,
    PutOptions, PutResult, Upload,
};
use windlass_types::connection::{AzureBlobSpec, RemoteSpec};
use windlass_types::path::Binding;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Name, ObjectPath, Result};

/// Rows of one page of a listing.
const PAGE: &str = "5000";

/// How long a signature lives that lets the service read the source of a copy.
const SOURCE_SIGNATURE: Duration = Duration::from_hours(1);

/// A storage account.
#[derive(Debug)]
pub(crate) struct AzureBlob {
    door: Door,
    client: Client,
    /// What was asked for when uploads were begun: blocks carry none of it.
    begun: Mutex<HashMap<String, PutOptions>>,
}

impl AzureBlob {
    pub(crate) fn open(
        name: Name,
        azure: &AzureBlobSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let door = Door { name, binding: azure.binding.clone(), read_only: spec.read_only };
        Ok(Self { door, client: Client::open(azure, spec, secrets)?, begun: Mutex::default() })
    }

    fn reads(&self, object: &ObjectPath) -> Result<()> {
        self.door.reads(object)?;
        check_key(&object.key)
    }

    fn writes(&self, object: &ObjectPath) -> Result<()> {
        self.door.writes(object)?;
        check_key(&object.key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, PutOptions>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A URL from which the service itself may read an object.
    fn source(&self, from: &ObjectPath) -> Result<String> {
        let lifetime = chrono::TimeDelta::from_std(SOURCE_SIGNATURE).unwrap_or_default();
        self.client.readable_url(from, chrono::Utc::now() + lifetime)
    }

    /// None of the bytes of an object that is there.
    async fn nothing(&self, object: &ObjectPath, options: &GetOptions) -> Result<ObjectBody> {
        let meta = self.stat(object, options.version.as_deref()).await?;
        if options.if_match.is_some() && options.if_match != meta.etag {
            return Err(changed(&object.key));
        }
        Ok(ObjectBody { meta, length: 0, stream: futures::stream::empty().boxed() })
    }

    /// Waits for a copy that the service goes on with by itself; answers what the copy became.
    async fn copied(&self, to: &ObjectPath, mut reply: Reply) -> Result<PutResult> {
        let id = reply.header("x-ms-copy-id").map(str::to_owned);
        let mut pause = Duration::from_millis(100);
        while reply.header("x-ms-copy-status") == Some("pending") {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
            reply = self.client.send(Call::head(to), "copy").await?;
            if reply.header("x-ms-copy-id") != id.as_deref() {
                return Err(changed(&to.key));
            }
        }
        if reply.header("x-ms-copy-status").is_none_or(|status| status == "success") {
            return Ok(result(&reply));
        }
        Err(failed(format!("the service gave up copying to `{}`", to.key)))
    }
}

/// Names that Azure, or the addresses it is asked with, would change.
fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.chars().count() > 1024 {
        return Err(bad_key(key, "is no name of a blob: it has 1 to 1,024 characters"));
    }
    if key.split('/').any(|level| matches!(level, "." | "..")) {
        return Err(bad_key(key, "holds `.` or `..`, which addresses of blobs cannot"));
    }
    if key.split('/').any(|level| level.ends_with('.')) {
        return Err(bad_key(key, "has a `.` at the end of a level, which Azure may cut off"));
    }
    if key.contains('\\') {
        return Err(bad_key(key, "holds `\\`, which Azure takes for `/`"));
    }
    if key.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(bad_key(key, "holds control characters, which Azure does not take"));
    }
    Ok(())
}

/// Metadata of Azure has names of programs and values of plain text.
fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<()> {
    for (name, value) in metadata {
        let mut letters = name.bytes();
        let good = letters.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !good || !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(Error::new(
                ErrorCode::OptionInvalid,
                format!("Azure cannot hold the metadata `{}`", name.escape_debug()),
            )
            .hint("its names have letters, digits and `_`, its values plain ASCII; set other metadata with METADATA"));
        }
    }
    Ok(())
}

/// Headers of what is written: type, system headers, metadata.
fn described(mut call: Call, options: &PutOptions) -> Result<Call> {
    check_metadata(&options.metadata)?;
    if let Some(kind) = &options.content_type {
        call = call.header("x-ms-blob-content-type", kind);
    }
    for (name, value) in &options.headers {
        if SYSTEM_HEADERS.contains(&name.as_str()) {
            call = call.header(&format!("x-ms-blob-{name}"), value);
        }
    }
    for (name, value) in &options.metadata {
        call = call.header(&format!("x-ms-meta-{}", name.to_ascii_lowercase()), value);
    }
    Ok(call)
}

/// The conditions of a write.
fn conditional(mut call: Call, options: &PutOptions) -> Call {
    if options.if_none_match {
        call = call.header("if-none-match", "*");
    }
    if let Some(etag) = &options.if_match {
        call = call.header("if-match", &format!("\"{etag}\""));
    }
    call
}

fn result(reply: &Reply) -> PutResult {
    PutResult {
        etag: etag(reply.headers()),
        version: reply.header("x-ms-version-id").map(str::to_owned),
        proven: true,
    }
}

fn meta(reply: &Reply, size: u64) -> ObjectMeta {
    let text = |name: &str| reply.header(name).map(str::to_owned);
    let tier = text("x-ms-access-tier");
    // With a range, `content-md5` would be that of the range.
    let sum = text("x-ms-blob-content-md5")
        .or_else(|| text("content-md5").filter(|_| reply.status() == StatusCode::OK));
    let headers = SYSTEM_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?)));
    ObjectMeta {
        size,
        last_modified: reply.header("last-modified").and_then(http_date),
        etag: etag(reply.headers()),
        version: text("x-ms-version-id"),
        archived: tier.as_deref() == Some("Archive"),
        storage_class: tier,
        content_type: text("content-type"),
        headers: headers.collect(),
        metadata: user_metadata(reply.headers(), "x-ms-meta-"),
        checksums: sum.map(|sum| ("MD5".to_owned(), sum)).into_iter().collect(),
        encryption: None,
        kms_key: None,
        tag_count: None,
        link: false,
    }
}

/// Name of a block: all of an upload have one length, and no other upload has them.
fn block(upload: &Upload, number: i32) -> String {
    STANDARD.encode(format!("{}-{number:05}", upload.id))
}

/// A block has no `ETag` of its own.
fn part(number: i32, proven: bool) -> Part {
    Part { number, etag: format!("{number}"), checksums: BTreeMap::new(), proven }
}

fn md5(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

#[async_trait]
impl ObjectAccess for AzureBlob {
    fn name(&self) -> &Name {
        &self.door.name
    }

    fn binding(&self) -> &Binding {
        &self.door.binding
    }

    fn read_only(&self) -> bool {
        self.door.read_only
    }

    fn copies_any_size(&self) -> bool {
        true
    }

    fn server_side_copy_group(&self) -> Option<String> {
        self.client.copy_group(&self.door.name)
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        if let Err(error) = self.door.lists(location) {
            return refused(error);
        }
        let (client, door, prefix) = (self.client.clone(), self.door.clone(), location.key.clone());
        let bucket = location.bucket.clone();
        async_stream::try_stream! {
            let mut next: Option<String> = None;
            loop {
                let page = client
                    .page(bucket.as_deref(), &prefix, !options.recursive, PAGE, next.as_deref())
                    .await?;
                for found in page.found {
                    let Some(bucket) = &bucket else {
                        yield door.bucket(&found.name, found.modified);
                        continue;
                    };
                    let before = options.start_after.as_deref().is_some_and(|after| found.name.as_str() <= after);
                    if before {
                        continue;
                    }
                    if found.prefix {
                        yield door.prefix(bucket, found.name);
                        continue;
                    }
                    yield Entry {
                        path: door.binding.relative(bucket, &found.name),
                        key: found.name,
                        kind: EntryKind::Object,
                        size: Some(found.size),
                        last_modified: found.modified,
                        etag: found.etag,
                        storage_class: found.tier,
                    };
                }
                if page.next.is_some() && page.next == next {
                    Err(failed("the service lists the same page again and again"))?;
                }
                let Some(marker) = page.next else { break };
                next = Some(marker);
            }
        }
        .boxed()
    }

    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta> {
        self.reads(object)?;
        let call = Call::head(object).version(version);
        let reply = self.client.send(call, "read").await?;
        let size = reply.header("content-length").and_then(|text| text.parse().ok());
        Ok(meta(&reply, size.unwrap_or_default()))
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.reads(object)?;
        let mut options = options;
        // The service knows no ranges from the end.
        if let Some(ByteRange::Last(length)) = options.range {
            let meta = self.stat(object, options.version.as_deref()).await?;
            if options.if_match.is_some() && options.if_match != meta.etag {
                return Err(changed(&object.key));
            }
            let length = length.min(meta.size);
            options.range = Some(ByteRange::Bounded(meta.size - length, length));
            options.if_match = meta.etag;
        }
        let mut call = Call::get(object).version(options.version.as_deref());
        if let Some(range) = options.range.and_then(range_header) {
            call = call.header("x-ms-range", &range);
        }
        if let Some(etag) = &options.if_match {
            call = call.header("if-match", &format!("\"{etag}\""));
        }
        let reply =
            if is_nothing(options.range) { None } else { self.client.ask(call).await.map(Some)? };
        let past = |reply: &Reply| reply.status() == StatusCode::RANGE_NOT_SATISFIABLE;
        let Some(reply) = reply.filter(|reply| !past(reply)) else {
            return self.nothing(object, &options).await;
        };
        let reply = self.client.good(reply, "read", object).await?;
        let Some((size, length)) = lengths(reply.status(), reply.headers()) else {
            let body = self.nothing(object, &options).await?;
            // An emulator sends what lies past the end as a range that ends before it begins.
            if cut(options.range, body.meta.size).1 == 0 {
                return Ok(body);
            }
            return Err(failed(format!("the service does not say how long `{}` is", object.key)));
        };
        let meta = meta(&reply, size);
        Ok(ObjectBody { meta, length, stream: whole(reply.body(), length, object.key.clone()) })
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.writes(object)?;
        // The service holds what arrived against this sum, and keeps it.
        let call = Call::put(object)
            .header("x-ms-blob-type", "BlockBlob")
            .header("content-md5", &STANDARD.encode(md5(&body)))
            .body(body);
        let call = conditional(described(call, &options)?, &options);
        self.client.send(call, "write").await.map(|reply| result(&reply))
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        self.writes(object)?;
        check_metadata(&options.metadata)?;
        let id = random();
        self.lock().insert(id.clone(), options);
        Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id })
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        let object = ObjectPath { bucket: upload.bucket.clone(), key: upload.key.clone() };
        self.writes(&object)?;
        // The service holds what arrived against this sum.
        let call = Call::put(&object)
            .query("comp", "block")
            .query("blockid", block(upload, number))
            .header("content-md5", &STANDARD.encode(md5(&body)))
            .body(body);
        self.client.send(call, "write").await?;
        Ok(part(number, true))
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let object = ObjectPath { bucket: upload.bucket.clone(), key: upload.key.clone() };
        self.writes(&object)?;
        let begun = self.lock().get(&upload.id).cloned().unwrap_or_default();
        let said = |options: &PutOptions| keeps_all(options).is_err();
        let about = if said(options) { options } else { &begun };
        let mut numbers: Vec<i32> = parts.iter().map(|part| part.number).collect();
        numbers.sort_unstable();
        let blocks = numbers.iter().fold(String::new(), |mut text, number| {
            let _ = write!(text, "<Latest>{}</Latest>", block(upload, *number));
            text
        });
        let body =
            format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{blocks}</BlockList>");
        let call = Call::put(&object).query("comp", "blocklist").body(Bytes::from(body));
        let call = conditional(described(call, about)?, options);
        let reply = self.client.send(call, "write").await?;
        self.lock().remove(&upload.id);
        Ok(result(&reply))
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.lock().remove(&upload.id);
        Ok(())
    }

    async fn copy(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        if_match: Option<&str>,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.reads(from)?;
        self.writes(to)?;
        keeps_all(&options)?;
        let mut call = Call::put(to).header("x-ms-copy-source", &self.client.own_url(from));
        if let Some(etag) = if_match {
            call = call.header("x-ms-source-if-match", &format!("\"{etag}\""));
        }
        let call = conditional(call, &options);
        let reply = match self.client.send(call, "copy").await {
            Err(error) if error.code() == ErrorCode::ObjectNotFound => {
                return Err(crate::error::absent(&from.key).source(error.chain()));
            }
            other => other?,
        };
        self.copied(to, reply).await
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
        let object = ObjectPath { bucket: upload.bucket.clone(), key: upload.key.clone() };
        self.reads(from)?;
        self.writes(&object)?;
        let range = range_header(ByteRange::Bounded(offset, length))
            .ok_or_else(|| unsupported("copying an empty part"))?;
        let mut call = Call::put(&object)
            .query("comp", "block")
            .query("blockid", block(upload, number))
            .header("x-ms-copy-source", &self.source(from)?)
            .header("x-ms-source-range", &range);
        if let Some(etag) = if_match {
            call = call.header("x-ms-source-if-match", &format!("\"{etag}\""));
        }
        self.client.send(call, "copy").await?;
        Ok(part(number, false))
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.writes(object)?;
        match self.client.send(Call::delete(object), "delete").await {
            Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(()),
            other => other.map(drop),
        }
    }

    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        self.writes(object)?;
        let call = Call::delete(object).header("if-match", &format!("\"{etag}\""));
        match self.client.send(call, "delete").await {
            // What is not there does not match either: the two are told apart by asking.
            Err(error) if error.code() == ErrorCode::ObjectChanged => {
                self.stat(object, None).await?;
                Err(error)
            }
            other => other.map(drop),
        }
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<(String, Error)>> {
        Ok(delete_each(self, bucket, keys).await)
    }

    async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.door.owns(bucket)?;
        let call = Call::container("PUT", bucket);
        match self.client.send(call, "create").await {
            Err(error) if error.code() == ErrorCode::ObjectChanged => Err(bucket_exists(bucket)),
            other => other.map(drop),
        }
    }

    async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.door.owns(bucket)?;
        // The service would remove it with all in it. Asked just before, snapshots and versions too.
        if !self.client.is_empty(bucket).await? {
            return Err(not_empty(bucket));
        }
        match self.client.send(Call::container("DELETE", bucket), "delete").await {
            Err(error) if error.code() == ErrorCode::ObjectNotFound => Err(no_bucket(bucket)),
            other => other.map(drop),
        }
    }

    async fn presign(
        &self,
        object: &ObjectPath,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        let permissions = match method {
            PresignMethod::Get => {
                self.reads(object)?;
                "r"
            }
            PresignMethod::Put => {
                self.writes(object)?;
                "cw"
            }
        };
        let lifetime = chrono::TimeDelta::from_std(expires).unwrap_or(chrono::TimeDelta::days(7));
        self.client.signed_url(object, permissions, chrono::Utc::now() + lifetime)?.ok_or_else(
            || {
                Error::new(
                    ErrorCode::UsageInvalid,
                    "only a connection with ACCOUNT_KEY can sign URLs",
                )
                .hint("use such a connection")
            },
        )
    }
}
