//! Google Cloud Storage: objects by its JSON interface, their bytes by the XML one, whose answers hold
//! all metadata.
//!
//! An object's generation is its `ETag` here: every write makes a new one, and every condition of the
//! service is about generations.

mod client;
mod resource;
mod sign;
mod token;
mod upload;

use crate::cloud::{
    Door, bad_key, bucket_exists, corrupt, delete_each, is_nothing, keeps_all, not_empty, refused,
};
use crate::error::{changed, failed};
use crate::http::{lengths, range_header};
use crate::names::{random, segment};
use crate::secrets::RemoteSecrets;
use crate::store::{unknown, whole};
use async_trait::async_trait;
use bytes::Bytes;
use client::Client;
use crc_fast::CrcAlgorithm;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::{Body, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use upload::{Session, crc32c};
use windlass_s3::{
    GetOptions, ListOptions, ListingOrder, ObjectAccess, ObjectBody, ObjectMeta, Part,
    PresignMethod, PutOptions, PutResult, Upload,
};
use windlass_types::connection::{GcsSpec, RemoteSpec};
use windlass_types::path::Binding;
use windlass_types::{Entry, EntryKind, Error, ErrorCode, Location, Name, ObjectPath, Result};

/// Most rows of one page of a listing.
const PAGE: u32 = 1000;

/// The buckets of a project.
#[derive(Debug)]
pub(crate) struct Gcs {
    door: Door,
    client: Client,
    uploads: Mutex<HashMap<String, Arc<Session>>>,
}

/// `ifGenerationMatch` and its like; a state that is no generation is nobody's.
fn generation(etag: &str, key: &str) -> Result<String> {
    let digits = !etag.is_empty() && etag.bytes().all(|b| b.is_ascii_digit());
    if digits { Ok(etag.to_owned()) } else { Err(changed(key)) }
}

/// The conditions of a write, as parameters that begin with `&`.
fn conditions(options: &PutOptions, key: &str) -> Result<String> {
    if options.if_none_match {
        return Ok("&ifGenerationMatch=0".to_owned());
    }
    match &options.if_match {
        Some(etag) => Ok(format!("&ifGenerationMatch={}", generation(etag, key)?)),
        None => Ok(String::new()),
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > 1024 {
        return Err(bad_key(key, "is no name of an object: it has 1 to 1,024 bytes"));
    }
    if matches!(key, "." | "..") || key.starts_with(".well-known/acme-challenge/") {
        return Err(bad_key(key, "is a name that Google Cloud Storage does not take"));
    }
    if key.contains(['\r', '\n']) {
        return Err(bad_key(key, "holds a line end, which Google Cloud Storage does not take"));
    }
    Ok(())
}

fn bucket_path(bucket: &str) -> ObjectPath {
    ObjectPath { bucket: bucket.to_owned(), key: String::new() }
}

fn object_of(upload: &Upload) -> ObjectPath {
    ObjectPath { bucket: upload.bucket.clone(), key: upload.key.clone() }
}

impl Gcs {
    pub(crate) fn open(
        name: Name,
        gcs: &GcsSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let door = Door { name, binding: gcs.binding.clone(), read_only: spec.read_only };
        let client = Client::open(gcs, spec, secrets)?;
        Ok(Self { door, client, uploads: Mutex::default() })
    }

    fn reads(&self, object: &ObjectPath) -> Result<()> {
        self.door.reads(object)?;
        check_key(&object.key)
    }

    fn writes(&self, object: &ObjectPath) -> Result<()> {
        self.door.writes(object)?;
        check_key(&object.key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, upload: &Upload) -> Result<Arc<Session>> {
        self.lock().get(&upload.id).cloned().ok_or_else(|| unknown(&upload.id))
    }

    async fn remove(&self, object: &ObjectPath, more: &str) -> Result<()> {
        self.writes(object)?;
        let url = format!("{}{more}", self.client.object(object));
        self.client.json(Method::DELETE, &url, None, "delete", object).await.map(drop)
    }
}

/// Address of a listing's first page.
fn listing(client: &Client, location: &Location, options: &ListOptions) -> Result<String> {
    let Some(bucket) = &location.bucket else {
        return Ok(format!(
            "{}?maxResults={PAGE}&project={}&fields=nextPageToken,items(name,timeCreated)",
            client.buckets(),
            segment(client.project()?)
        ));
    };
    let delimiter = if options.recursive { "" } else { "&delimiter=%2F" };
    let after = options.start_after.as_deref().map(segment);
    Ok(format!(
        "{}?maxResults={PAGE}&fields=nextPageToken,prefixes,items(name,size,timeCreated,generation,storageClass)&prefix={}{delimiter}{}",
        client.objects(bucket),
        segment(&location.key),
        after.map_or_else(String::new, |after| format!("&startOffset={after}"))
    ))
}

/// One page of objects, with folders where they belong among them.
fn rows(door: &Door, bucket: &str, page: &Value) -> Vec<Entry> {
    let items = page["items"].as_array().into_iter().flatten().filter_map(|item| {
        let key = resource::text(&item["name"])?;
        Some(Entry {
            path: door.binding.relative(bucket, &key),
            key,
            kind: EntryKind::Object,
            size: Some(resource::size(&item["size"])),
            last_modified: resource::time(&item["timeCreated"]),
            etag: resource::text(&item["generation"]),
            storage_class: resource::text(&item["storageClass"]),
        })
    });
    let prefixes = page["prefixes"].as_array().into_iter().flatten();
    let prefixes = prefixes.filter_map(|prefix| Some(door.prefix(bucket, resource::text(prefix)?)));
    let mut rows: Vec<Entry> = items.chain(prefixes).collect();
    rows.sort_by(|one, two| one.key.cmp(&two.key));
    rows
}

#[async_trait]
impl ObjectAccess for Gcs {
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
        self.client.copy_group()
    }

    fn listing_order(&self, _bucket: &str) -> ListingOrder {
        ListingOrder::Bytes
    }

    fn promises_order(&self, _bucket: &str) -> bool {
        true
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        if let Err(error) = self.door.lists(location) {
            return refused(error);
        }
        let url = match listing(&self.client, location, &options) {
            Ok(url) => url,
            Err(error) => return refused(error),
        };
        let (client, door, bucket) =
            (self.client.clone(), self.door.clone(), location.bucket.clone());
        async_stream::try_stream! {
            let place = bucket_path(bucket.as_deref().unwrap_or_default());
            let mut next: Option<String> = None;
            loop {
                let asked = match &next {
                    Some(token) => format!("{url}&pageToken={}", segment(token)),
                    None => url.clone(),
                };
                let page = client.json(Method::GET, &asked, None, "list", &place).await?;
                match &bucket {
                    Some(bucket) => {
                        for entry in rows(&door, bucket, &page) {
                            if options.start_after.as_ref().is_none_or(|after| entry.key > *after) {
                                yield entry;
                            }
                        }
                    }
                    None => {
                        for item in page["items"].as_array().into_iter().flatten() {
                            let name = item["name"].as_str().unwrap_or_default();
                            yield door.bucket(name, resource::time(&item["timeCreated"]));
                        }
                    }
                }
                let token = resource::text(&page["nextPageToken"]);
                if token.is_some() && token == next {
                    Err(failed("the service lists the same page again and again"))?;
                }
                let Some(token) = token else { break };
                next = Some(token);
            }
        }
        .boxed()
    }

    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta> {
        self.reads(object)?;
        let mut url = format!("{}?fields={}", self.client.object(object), resource::FIELDS);
        if let Some(version) = version {
            url = format!("{url}&generation={}", segment(version));
        }
        let found = self.client.json(Method::GET, &url, None, "read", object).await?;
        Ok(resource::meta(&found))
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        self.reads(object)?;
        let mut url = self.client.bytes(object);
        if let Some(version) = &options.version {
            url = format!("{url}?generation={}", segment(version));
        }
        // Without this, what is stored compressed would come decompressed.
        let mut request =
            self.client.request(Method::GET, &url).await?.header("accept-encoding", "gzip");
        if let Some(range) = options.range.and_then(range_header) {
            request = request.header("range", range);
        }
        if let Some(etag) = &options.if_match {
            let state = generation(etag, &object.key)?;
            request = request.header("x-goog-if-generation-match", state);
        }
        let reply = if is_nothing(options.range) {
            None
        } else {
            Some(self.client.send(request, 0).await?)
        };
        let some = reply.filter(|reply| reply.status() != StatusCode::RANGE_NOT_SATISFIABLE);
        let Some(reply) = some else {
            let meta = self.stat(object, options.version.as_deref()).await?;
            if options.if_match.is_some() && options.if_match != meta.etag {
                return Err(changed(&object.key));
            }
            return Ok(ObjectBody { meta, length: 0, stream: futures::stream::empty().boxed() });
        };
        if !reply.status().is_success() {
            return Err(self.client.refusal(reply, "read", object).await);
        }
        let (size, length) = lengths(reply.status(), reply.headers()).ok_or_else(|| {
            failed(format!("the service does not say how long `{}` is", object.key))
        })?;
        // An empty object has no last bytes, so it is sent whole.
        let meta = resource::meta_of(&reply, size);
        if options.range.is_some() && reply.status() == StatusCode::OK {
            let (from, want) = crate::tree::cut(options.range, size);
            let stream = crate::webdav::skip(reply.body(), from, want);
            return Ok(ObjectBody { meta, length: want, stream });
        }
        Ok(ObjectBody { meta, length, stream: whole(reply.body(), length, object.key.clone()) })
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.writes(object)?;
        // The service holds what arrived against this sum.
        let sum = crc32c(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &body));
        let about = resource::described(&object.key, &options, Some(sum.clone()));
        let border = random();
        let kind = options.content_type.as_deref().unwrap_or("application/octet-stream");
        let head = format!(
            "--{border}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{about}\r\n--{border}\r\ncontent-type: {kind}\r\n\r\n"
        );
        let tail = format!("\r\n--{border}--\r\n");
        let length = (head.len() + body.len() + tail.len()) as u64;
        let url = format!(
            "{}?uploadType=multipart{}&fields={}",
            self.client.uploads(&object.bucket),
            conditions(&options, &object.key)?,
            resource::FIELDS
        );
        // Three pieces, so that the bytes are not copied.
        let pieces = [Bytes::from(head), body, Bytes::from(tail)].map(Ok::<_, std::io::Error>);
        let request = self
            .client
            .request(Method::POST, &url)
            .await?
            .header("content-type", format!("multipart/related; boundary={border}"))
            .header("content-length", length)
            .body(Body::wrap_stream(futures::stream::iter(pieces)));
        let reply = self.client.send(request, length).await?;
        let written = self.client.answer(reply, "write", object).await?;
        if written["crc32c"].as_str().is_some_and(|told| told != sum) {
            self.client.discard(object, &written).await;
            return Err(corrupt(&object.key));
        }
        Ok(resource::result(&written))
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        self.writes(object)?;
        let url = format!(
            "{}?uploadType=resumable{}&fields={}",
            self.client.uploads(&object.bucket),
            conditions(&options, &object.key)?,
            resource::FIELDS
        );
        let about = resource::described(&object.key, &options, None);
        let request = self
            .client
            .request(Method::POST, &url)
            .await?
            .header("content-type", "application/json; charset=utf-8")
            .body(about.to_string());
        let reply = self.client.send(request, 0).await?;
        if !reply.status().is_success() {
            return Err(self.client.refusal(reply, "write", object).await);
        }
        // Only the name of the upload is taken from the address: bytes and tokens go nowhere else.
        let address = reply.header("location").and_then(|text| url::Url::parse(text).ok());
        let name = address.as_ref().and_then(|address| {
            address.query_pairs().find(|(name, _)| name == "upload_id").map(|(_, id)| id)
        });
        let Some(name) = name else {
            return Err(failed("the service began an upload without saying where"));
        };
        let url = format!(
            "{}?uploadType=resumable&upload_id={}",
            self.client.uploads(&object.bucket),
            segment(&name)
        );
        let id = random();
        let session = Session::new(self.client.clone(), object.clone(), url, options);
        self.lock().insert(id.clone(), Arc::new(session));
        Ok(Upload { bucket: object.bucket.clone(), key: object.key.clone(), id })
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        self.writes(&object_of(upload))?;
        let session = self.session(upload)?;
        let length = body.len();
        session.turns.part(&*session, number, body).await?;
        let etag = format!("{number}-{length:x}");
        Ok(Part { number, etag, checksums: BTreeMap::new(), proven: true })
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let object = object_of(upload);
        self.writes(&object)?;
        let session = self.session(upload)?;
        let mut numbers: Vec<i32> = parts.iter().map(|part| part.number).collect();
        numbers.sort_unstable();
        let size = session.turns.whole(&numbers)?;
        // Conditions belong to the beginning of an upload; other ones are asked for now.
        let begun = &session.options;
        if (options.if_none_match, &options.if_match) != (begun.if_none_match, &begun.if_match) {
            let now = match self.stat(&object, None).await {
                Ok(meta) => meta.etag,
                Err(error) if error.code() == ErrorCode::ObjectNotFound => None,
                Err(error) => return Err(error),
            };
            let wrong = options.if_none_match && now.is_some()
                || options.if_match.is_some() && options.if_match != now;
            if wrong {
                return Err(changed(&upload.key));
            }
        }
        let written = session.end().await?;
        self.lock().remove(&upload.id);
        let found = resource::size(&written["size"]);
        if found != size {
            self.client.discard(&object, &written).await;
            return Err(crate::error::cut(&upload.key, size, found));
        }
        Ok(resource::result(&written))
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let session = self.lock().remove(&upload.id);
        match session {
            Some(session) => session.give_up().await,
            None => Ok(()),
        }
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
        let source = match if_match {
            Some(etag) => format!("&ifSourceGenerationMatch={}", generation(etag, &from.key)?),
            None => String::new(),
        };
        let url = format!(
            "{}/rewriteTo/b/{}/o/{}?fields=done,rewriteToken,resource({}){}{source}",
            self.client.object(from),
            segment(&to.bucket),
            segment(&to.key),
            resource::FIELDS,
            conditions(&options, &to.key)?
        );
        let mut next = url.clone();
        loop {
            // Large objects are copied over several calls.
            let answer = self.client.json(Method::POST, &next, None, "copy", from).await?;
            if answer["done"].as_bool() == Some(true) {
                return Ok(resource::result(&answer["resource"]));
            }
            let Some(token) = answer["rewriteToken"].as_str() else {
                return Err(failed(format!("the service stopped copying `{}`", from.key)));
            };
            next = format!("{url}&rewriteToken={}", segment(token));
        }
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        match self.remove(object, "").await {
            Err(error) if error.code() == ErrorCode::ObjectNotFound => Ok(()),
            other => other,
        }
    }

    async fn delete_if(&self, object: &ObjectPath, etag: &str) -> Result<()> {
        let state = generation(etag, &object.key)?;
        self.remove(object, &format!("?ifGenerationMatch={state}")).await
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<(String, Error)>> {
        Ok(delete_each(self, bucket, keys).await)
    }

    async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.door.owns(bucket)?;
        let url = format!("{}?project={}", self.client.buckets(), segment(self.client.project()?));
        let body = Some(json!({ "name": bucket }));
        let place = bucket_path(bucket);
        match self.client.json(Method::POST, &url, body, "create", &place).await {
            Err(error) if error.code() == ErrorCode::ObjectChanged => Err(bucket_exists(bucket)),
            other => other.map(drop),
        }
    }

    async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.door.owns(bucket)?;
        let url = format!("{}/{}", self.client.buckets(), segment(bucket));
        match self.client.json(Method::DELETE, &url, None, "delete", &bucket_path(bucket)).await {
            Err(error) if error.code() == ErrorCode::ObjectChanged => Err(not_empty(bucket)),
            other => other.map(drop),
        }
    }

    async fn presign(
        &self,
        object: &ObjectPath,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        match method {
            PresignMethod::Get => self.reads(object)?,
            PresignMethod::Put => self.writes(object)?,
        }
        let Some(account) = self.client.account() else {
            return Err(Error::new(
                ErrorCode::UsageInvalid,
                "an ANONYMOUS connection cannot sign URLs",
            )
            .hint("use a connection with SERVICE_ACCOUNT_JSON"));
        };
        sign::url(account, &self.client, object, method, expires, chrono::Utc::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generations_are_states() {
        assert_eq!(generation("17", "k").unwrap(), "17");
        for other in ["", "00-0", "0x8D", "17&x=1"] {
            assert_eq!(generation(other, "k").unwrap_err().code(), ErrorCode::ObjectChanged);
        }
    }

    #[test]
    fn folders_stand_among_the_keys_of_their_page() {
        let door = Door {
            name: Name::new("lake").unwrap(),
            binding: Binding::default(),
            read_only: false,
        };
        let page = json!({ "items": [{ "name": "a-b", "size": "1" }, { "name": "a0" }], "prefixes": ["a/"] });
        let keys: Vec<String> = rows(&door, "b", &page).into_iter().map(|row| row.path).collect();
        assert_eq!(keys, ["b/a-b", "b/a/", "b/a0"]);
    }
}
