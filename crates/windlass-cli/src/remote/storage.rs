//! A connection of the server, used as a storage: bytes go through its API.

use super::{Remote, cut};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Write as _;
use windlass_core::engine::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, OpenUpload, Part,
    PutOptions, PutResult, Upload, VersionEntry,
};
use windlass_server::wire::{
    LENGTH_HEADER, META_HEADER, OPTIONS_HEADER, StorageInfo, WireOptions, not_ours,
};
use windlass_types::error::ErrorBody;
use windlass_types::path::Binding;
use windlass_types::{Entry, Error, Location, Name, ObjectPath, Result};

/// One connection of a server.
#[derive(Debug, Clone)]
pub(super) struct RemoteStorage {
    remote: Remote,
    fabric: String,
    name: Name,
    binding: Binding,
    read_only: bool,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Line<T> {
    Error { error: ErrorBody },
    Value(T),
}

#[derive(serde::Deserialize)]
struct DeleteAnswer {
    failed: Vec<DeleteFailure>,
}

#[derive(serde::Deserialize)]
struct DeleteFailure {
    key: String,
    error: ErrorBody,
}

/// JSON for a header: ASCII only.
fn header_json(options: PutOptions) -> String {
    let text = serde_json::to_string(&WireOptions::from(options)).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

impl RemoteStorage {
    pub(super) fn new(remote: Remote, fabric: String, name: Name, info: StorageInfo) -> Self {
        let binding = Binding { bucket: info.bucket, prefix: info.prefix };
        Self { remote, fabric, name, binding, read_only: info.read_only }
    }

    fn request(&self, method: Method, what: &[&str]) -> RequestBuilder {
        let segments = [&["connections", self.name.as_str()], what].concat();
        self.remote.request(method, &segments).query(&[("fabric", &self.fabric)])
    }

    fn on(&self, method: Method, what: &[&str], object: &ObjectPath) -> RequestBuilder {
        self.request(method, what).query(&[("bucket", &object.bucket), ("key", &object.key)])
    }

    /// What the server lists, one value a line.
    fn values<T: DeserializeOwned + Send + 'static>(
        &self,
        request: RequestBuilder,
    ) -> BoxStream<'static, Result<T>> {
        let remote = self.remote.clone();
        async_stream::try_stream! {
            let response = remote.send(request).await?;
            let mut lines = Remote::lines(response).boxed();
            while let Some(line) = lines.next().await {
                match serde_json::from_slice(&line?).map_err(|error| not_ours().source(error))? {
                    Line::Value(value) => yield value,
                    Line::Error { error } => Err(Error::from(error))?,
                }
            }
        }
        .boxed()
    }

    fn on_upload(&self, method: Method, what: &[&str], upload: &Upload) -> RequestBuilder {
        self.request(method, what).query(&[
            ("bucket", &upload.bucket),
            ("key", &upload.key),
            ("upload", &upload.id),
        ])
    }
}

#[async_trait]
impl ObjectAccess for RemoteStorage {
    fn name(&self) -> &Name {
        &self.name
    }

    fn binding(&self) -> &Binding {
        &self.binding
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    /// The server decides how it copies between its connections.
    fn server_side_copy_group(&self) -> Option<String> {
        Some(format!("{}#{}", self.remote.base, self.fabric))
    }

    /// What the server's connection cannot hold, the server refuses.
    fn holds_properties(&self) -> bool {
        true
    }

    /// Of a folder the server is asked, which makes no file for it.
    async fn tells_case_apart(&self, key: &str, _may_write: bool) -> bool {
        if self.binding.bucket.as_deref() != Some(windlass_core::local::BUCKET) {
            return true;
        }
        let request = self.request(Method::GET, &["storage"]).query(&[("key", key)]);
        let asked: Result<StorageInfo> = self.remote.json(request).await;
        asked.ok().and_then(|info| info.tells_case_apart).unwrap_or(true)
    }

    fn list(&self, location: &Location, options: ListOptions) -> BoxStream<'static, Result<Entry>> {
        let mut request = self
            .request(Method::GET, &["entries"])
            .query(&[("key", location.key.as_str())])
            .query(&[("recursive", options.recursive), ("display", options.display)])
            .query(&[("ordered", options.ordered)]);
        if let Some(bucket) = &location.bucket {
            request = request.query(&[("bucket", bucket)]);
        }
        if let Some(after) = &options.start_after {
            request = request.query(&[("start_after", after)]);
        }
        self.values(request)
    }

    async fn stat(&self, object: &ObjectPath, version: Option<&str>) -> Result<ObjectMeta> {
        let mut request = self.on(Method::GET, &["stat"], object);
        if let Some(version) = version {
            request = request.query(&[("version", version)]);
        }
        self.remote.json(request).await
    }

    async fn get(&self, object: &ObjectPath, options: GetOptions) -> Result<ObjectBody> {
        let mut request = self.on(Method::GET, &["object"], object);
        request = match options.range {
            None => request,
            Some(ByteRange::Bounded(offset, length)) => {
                request.query(&[("offset", offset), ("length", length)])
            }
            Some(ByteRange::From(offset)) => request.query(&[("offset", offset)]),
            Some(ByteRange::Last(last)) => request.query(&[("last", last)]),
        };
        for (name, value) in [("if_match", options.if_match), ("version", options.version)] {
            if let Some(value) = value {
                request = request.query(&[(name, value)]);
            }
        }
        let response = self.remote.send(request).await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let meta = header(META_HEADER)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(not_ours)?;
        let length =
            header(LENGTH_HEADER).and_then(|text| text.parse().ok()).ok_or_else(not_ours)?;
        // Content-Length guards the end: a body cut short is an error of the HTTP client.
        Ok(ObjectBody { meta, length, stream: response.bytes_stream().map_err(cut).boxed() })
    }

    async fn put(
        &self,
        object: &ObjectPath,
        body: Bytes,
        options: PutOptions,
    ) -> Result<PutResult> {
        let request = self
            .on(Method::PUT, &["object"], object)
            .header(OPTIONS_HEADER, header_json(options))
            .body(body);
        self.remote.json(request).await
    }

    async fn create_upload(&self, object: &ObjectPath, options: PutOptions) -> Result<Upload> {
        let request =
            self.on(Method::POST, &["upload"], object).header(OPTIONS_HEADER, header_json(options));
        self.remote.json(request).await
    }

    async fn upload_part(&self, upload: &Upload, number: i32, body: Bytes) -> Result<Part> {
        let request =
            self.on_upload(Method::PUT, &["part"], upload).query(&[("number", number)]).body(body);
        self.remote.json(request).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[Part],
        options: &PutOptions,
    ) -> Result<PutResult> {
        let request = self
            .on_upload(Method::POST, &["complete"], upload)
            .header(OPTIONS_HEADER, header_json(options.clone()))
            .json(parts);
        self.remote.json(request).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.remote
            .send(self.on_upload(Method::DELETE, &["upload", "abort"], upload))
            .await
            .map(drop)
    }

    async fn delete(&self, object: &ObjectPath) -> Result<()> {
        self.remote.send(self.on(Method::DELETE, &["object"], object)).await.map(drop)
    }

    async fn delete_many(&self, bucket: &str, keys: &[String]) -> Result<Vec<(String, Error)>> {
        let request = self
            .request(Method::POST, &["delete"])
            .json(&json!({ "bucket": bucket, "keys": keys }));
        let answer: DeleteAnswer = self.remote.json(request).await?;
        Ok(answer.failed.into_iter().map(|failure| (failure.key, failure.error.into())).collect())
    }

    fn list_uploads(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<OpenUpload>> {
        let place = [("bucket", bucket), ("key", prefix)];
        self.values(self.request(Method::GET, &["uploads"]).query(&place))
    }

    fn list_versions(
        &self,
        location: &Location,
        recursive: bool,
    ) -> BoxStream<'static, Result<VersionEntry>> {
        let bucket = match location.need_bucket() {
            Ok(bucket) => bucket,
            Err(error) => return futures::stream::iter([Err(error)]).boxed(),
        };
        let place = [("bucket", bucket), ("key", &location.key)];
        let request = self.request(Method::GET, &["versions"]).query(&place);
        self.values(request.query(&[("recursive", recursive)]))
    }

    async fn delete_versions(
        &self,
        bucket: &str,
        versions: &[(String, String)],
    ) -> Result<Vec<(String, Error)>> {
        let request = self
            .request(Method::POST, &["versions", "delete"])
            .json(&json!({ "bucket": bucket, "versions": versions }));
        let answer: DeleteAnswer = self.remote.json(request).await?;
        Ok(answer.failed.into_iter().map(|failure| (failure.key, failure.error.into())).collect())
    }

    async fn create_bucket(&self, bucket: &str) -> Result<()> {
        self.remote
            .send(self.request(Method::PUT, &["bucket"]).query(&[("bucket", bucket)]))
            .await
            .map(drop)
    }

    async fn delete_bucket(&self, bucket: &str) -> Result<()> {
        self.remote
            .send(self.request(Method::DELETE, &["bucket"]).query(&[("bucket", bucket)]))
            .await
            .map(drop)
    }
}
