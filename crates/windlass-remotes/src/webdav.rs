//! Files of a `WebDAV` server.
//!
//! A file is written by one request: at once where its length is known, in pieces as they come
//! where it is not. Renaming and copying are the server's. `Overwrite: F` makes "only if not there"
//! the server's check too.

mod xml;

use crate::error::{absent, changed, exists, failed, timeout};
use crate::http::{Http, Reply, etag, http_date, lengths, range_header};
use crate::names::{join, segments, split};
use crate::secrets::RemoteSecrets;
use crate::tree::{Item, Reading, Sink, Tree};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use tokio::sync::{Mutex, mpsc};
use tokio_util::task::AbortOnDropHandle;
use windlass_s3::ByteRange;
use windlass_types::connection::{RemoteSpec, WebDavSpec};
use windlass_types::{Error, ErrorCode, Result};

/// The properties asked for.
const PROPERTIES: &str = r#"<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getlastmodified/><getetag/><getcontenttype/></prop></propfind>"#;

/// Folders remembered as being there.
const REMEMBERED: usize = 4096;

/// A `WebDAV` server.
#[derive(Debug, Clone)]
pub(crate) struct WebDav(Arc<Inner>);

struct Inner {
    http: Http,
    endpoint: String,
    root: String,
    user: Option<String>,
    secrets: Arc<RemoteSecrets>,
    /// Folders that are known to be there.
    folders: std::sync::Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl WebDav {
    pub(crate) fn open(
        dav: &WebDavSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let http = Http::open(&dav.endpoint, dav.ca_file.as_deref(), spec, secrets, false)?;
        Ok(Self(Arc::new(Inner {
            http,
            endpoint: dav.endpoint.clone(),
            root: dav.root.clone(),
            user: dav.user.clone(),
            secrets: Arc::clone(secrets),
            folders: std::sync::Mutex::default(),
        })))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{}", self.0.endpoint, segments(&join(&self.0.root, path)))
    }

    /// A collection's URL ends in a slash; servers redirect to it otherwise.
    fn folder_url(&self, path: &str) -> String {
        let url = self.url(path);
        if url.ends_with('/') { url } else { format!("{url}/") }
    }

    fn request(&self, method: &str, url: &str) -> Result<RequestBuilder> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| Error::new(ErrorCode::Internal, "no such method").source(error))?;
        let request = self.0.http.request(method, url);
        let secrets = &self.0.secrets;
        Ok(match (&self.0.user, secrets.get("TOKEN")) {
            (Some(user), _) => request.basic_auth(user, secrets.get("PASSWORD")),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Reply> {
        self.0.http.send(request, 0).await
    }

    async fn properties(
        &self,
        url: &str,
        depth: &str,
        key: &str,
    ) -> Result<Option<Vec<xml::Found>>> {
        let request = self
            .request("PROPFIND", url)?
            .header("depth", depth)
            .header("content-type", "application/xml; charset=utf-8")
            .body(PROPERTIES);
        let reply = self.send(request).await?;
        match reply.status().as_u16() {
            404 | 410 => Ok(None),
            207 => xml::read(&reply.text().await?).map(Some).map_err(|error| {
                failed(format!("the server lists `{key}` in a way that cannot be read"))
                    .source(error)
                    .hint("check that ENDPOINT is a WebDAV address")
            }),
            // A web server that knows no WebDAV answers with a page, or with this.
            200 | 405 | 501 => Err(failed("the server does not speak WebDAV there")
                .hint("check ENDPOINT; the path of the WebDAV service belongs to it")),
            _ => Err(reply.refusal("list", key).await),
        }
    }
}

fn item(name: String, found: &xml::Found) -> Item {
    let modified = found.modified.as_deref().and_then(http_date);
    let size = if found.folder { 0 } else { found.size.unwrap_or_default() };
    Item {
        name,
        folder: found.folder,
        size,
        modified,
        etag: (!found.folder).then(|| state(found.etag.clone(), size, modified)),
        real: None,
        content_type: found.content_type.clone(),
    }
}

/// The server's `ETag`; where it gives none, size and time.
fn state(
    etag: Option<String>,
    size: u64,
    modified: Option<chrono::DateTime<chrono::Utc>>,
) -> String {
    etag.unwrap_or_else(|| format!("{size:x}-{:x}", modified.map_or(0, |time| time.timestamp())))
}

#[async_trait]
impl Tree for WebDav {
    fn check_new(&self, key: &str) -> Result<()> {
        if key.contains(['?', ';']) {
            // Servers that decode the destination before they split it would cut the name there.
            return Err(Error::new(
                ErrorCode::PathInvalid,
                format!("`{key}` holds `?` or `;`, at which some WebDAV servers cut a name"),
            )
            .hint("write it under another name"));
        }
        Ok(())
    }

    fn renaming_keeps_state(&self) -> bool {
        false
    }

    fn copy_group(&self) -> Option<String> {
        let user = self.0.user.as_deref().unwrap_or_default();
        Some(format!("webdav {user} {} {}", self.0.endpoint, self.0.root))
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Item>>> {
        let url = self.folder_url(folder);
        let Some(found) = self.properties(&url, "1", folder).await? else { return Ok(None) };
        let own = join(&self.0.root, folder);
        let own = xml::path_of(&self.0.endpoint).map(|base| join(base.trim_matches('/'), &own));
        let mut items = Vec::new();
        for one in &found {
            let path = xml::path_of(&one.href).ok_or_else(|| {
                failed(format!("the server lists `{folder}` with an address that cannot be read"))
            })?;
            let path = path.trim_matches('/');
            if Some(path) == own.as_deref() {
                if !one.folder {
                    return Ok(None);
                }
                continue;
            }
            items.push(item(split(path).1.to_owned(), one));
        }
        Ok(Some(items))
    }

    async fn stat(&self, path: &str) -> Result<Option<Item>> {
        let url = if path.is_empty() { self.folder_url(path) } else { self.url(path) };
        let found = match self.properties(&url, "0", path).await {
            // Some servers redirect a folder's address to the one with a slash.
            Err(error) if error.chain().contains("HTTP 30") => {
                self.properties(&self.folder_url(path), "0", path).await?
            }
            other => other?,
        };
        let name = split(path).1.to_owned();
        Ok(found.and_then(|found| found.first().map(|found| item(name, found))))
    }

    async fn read(
        &self,
        path: &str,
        range: Option<ByteRange>,
        expected: Option<&str>,
    ) -> Result<Option<Reading>> {
        let mut request =
            self.request("GET", &self.url(path))?.header("accept-encoding", "identity");
        let empty = range.is_some_and(|range| range_header(range).is_none());
        if let Some(range) = range.and_then(range_header) {
            request = request.header("range", range);
        }
        let reply = self.send(request).await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let past = reply.status() == StatusCode::RANGE_NOT_SATISFIABLE;
        if past || empty {
            let Some(item) = self.stat(path).await?.filter(|item| !item.folder) else {
                return Ok(None);
            };
            if past && item.size > 0 && matches!(range, Some(ByteRange::Last(_))) {
                return Err(failed(format!("the server cannot read a part of `{path}`")));
            }
            let stream = Box::pin(futures::stream::empty());
            return Ok(Some(Reading { item, length: 0, stream }));
        }
        if reply.status().is_redirection() {
            return Ok(None);
        }
        let reply = reply.good("read", path).await?;
        let Some((size, length)) = lengths(reply.status(), reply.headers()) else {
            return self.read_unsized(path, range, reply).await;
        };
        // A folder's page has a length too, but a server that gives pages says what it is.
        let modified = reply.header("last-modified").and_then(http_date);
        let item = Item {
            name: split(path).1.to_owned(),
            folder: false,
            size,
            modified,
            etag: Some(state(etag(reply.headers()), size, modified)),
            real: None,
            content_type: reply.header("content-type").map(str::to_owned),
        };
        if expected.is_some() && expected != item.etag.as_deref() {
            return Err(changed(path));
        }
        let (from, want) = crate::tree::cut(range, size);
        if reply.status() == StatusCode::OK && (from, want) != (0, size) {
            // The server does not do ranges: what was not asked for is passed over.
            let stream = skip(reply.body(), from, want);
            return Ok(Some(Reading { item, length: want, stream }));
        }
        Ok(Some(Reading { item, length, stream: reply.body() }))
    }

    async fn create(&self, path: &str, size: Option<u64>) -> Result<Box<dyn Sink>> {
        // Asked first: a request whose body comes slowly would learn of it only in the end.
        let folder = split(path).0;
        let known = |folders: &std::sync::Mutex<HashSet<String>>| {
            folders.lock().unwrap_or_else(PoisonError::into_inner).contains(folder)
        };
        if !known(&self.0.folders) {
            if !self.stat(folder).await?.is_some_and(|item| item.folder) {
                return Err(absent(folder));
            }
            let mut folders = self.0.folders.lock().unwrap_or_else(PoisonError::into_inner);
            if folders.len() >= REMEMBERED {
                folders.clear();
            }
            folders.insert(folder.to_owned());
        }
        let sink = Writing {
            dav: self.clone(),
            path: path.to_owned(),
            size,
            body: Mutex::default(),
            running: Mutex::default(),
        };
        if size.is_none() {
            sink.begin().await?;
        } else if size == Some(0) {
            sink.put(Bytes::new()).await?;
        }
        Ok(Box::new(sink))
    }

    async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.moved("MOVE", from, to, replace).await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.moved("COPY", from, to, false).await
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        let reply = self.send(self.request("MKCOL", &self.folder_url(path))?).await?;
        reply.good("make the folder", path).await.map(drop)
    }

    async fn remove(&self, path: &str) -> Result<()> {
        // DELETE removes a folder with all in it, so that must not be one.
        match self.stat(path).await? {
            None => return Err(absent(path)),
            Some(item) if item.folder => return Err(failed(format!("`{path}` is a folder"))),
            Some(_) => {}
        }
        let reply = self.send(self.request("DELETE", &self.url(path))?).await?;
        reply.good("delete", path).await.map(drop)
    }

    async fn remove_folder(&self, path: &str) -> Result<()> {
        match self.list(path).await? {
            None => return Err(absent(path)),
            Some(items) if !items.is_empty() => {
                return Err(failed(format!("`{path}` is not empty")));
            }
            Some(_) => {}
        }
        self.0.folders.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let reply = self.send(self.request("DELETE", &self.folder_url(path))?).await?;
        reply.good("delete the folder", path).await.map(drop)
    }
}

impl WebDav {
    async fn moved(&self, method: &str, from: &str, to: &str, replace: bool) -> Result<()> {
        if replace && self.stat(to).await?.is_some_and(|item| item.folder) {
            // Overwriting would remove it with all in it.
            return Err(crate::error::is_folder(to));
        }
        let request = self
            .request(method, &self.url(from))?
            .header("destination", self.url(to))
            .header("overwrite", if replace { "T" } else { "F" });
        let reply = self.send(request).await?;
        match reply.status() {
            StatusCode::PRECONDITION_FAILED => Err(exists(to)),
            StatusCode::MULTI_STATUS => {
                Err(failed(format!("the server could not write `{to}` as a whole")))
            }
            _ => reply.good("write", to).await.map(drop),
        }
    }

    /// A body whose length is not said: read whole files only, of which the size is asked for.
    async fn read_unsized(
        &self,
        path: &str,
        range: Option<ByteRange>,
        reply: Reply,
    ) -> Result<Option<Reading>> {
        let Some(item) = self.stat(path).await?.filter(|item| !item.folder) else {
            return Ok(None);
        };
        let (from, length) = crate::tree::cut(range, item.size);
        let stream = if reply.status() == StatusCode::OK {
            skip(reply.body(), from, length)
        } else {
            reply.body()
        };
        Ok(Some(Reading { item, length, stream }))
    }
}

/// The bytes from an offset on, as many as wanted.
pub(crate) fn skip(
    mut stream: futures::stream::BoxStream<'static, Result<Bytes>>,
    from: u64,
    length: u64,
) -> futures::stream::BoxStream<'static, Result<Bytes>> {
    use futures::StreamExt as _;
    async_stream::try_stream! {
        let (mut over, mut left) = (from, length);
        while left > 0
            && let Some(chunk) = stream.next().await
        {
            let mut chunk = chunk?;
            let passed = over.min(chunk.len() as u64);
            over -= passed;
            chunk = chunk.slice(usize::try_from(passed).unwrap_or(chunk.len())..);
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= chunk.len() as u64;
            if !chunk.is_empty() {
                yield chunk;
            }
        }
    }
    .boxed()
}

type Pieces = mpsc::Sender<std::result::Result<Bytes, std::io::Error>>;

/// A file on its way: one request.
struct Writing {
    dav: WebDav,
    path: String,
    size: Option<u64>,
    body: Mutex<Option<Pieces>>,
    running: Mutex<Option<AbortOnDropHandle<Result<()>>>>,
}

impl Writing {
    /// Sends the whole at once.
    async fn put(&self, body: Bytes) -> Result<()> {
        let length = body.len() as u64;
        let request = self.dav.request("PUT", &self.dav.url(&self.path))?.body(body);
        let reply = self.dav.0.http.send(request, length).await?;
        let done = stored(reply, &self.path).await;
        if done.is_err() {
            self.dav.0.folders.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        done
    }

    /// Begins a request whose body comes in pieces.
    async fn begin(&self) -> Result<()> {
        // One piece waits while the one before is sent: no more memory than that.
        let (sender, receiver) = mpsc::channel(1);
        let stream = futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<_>| async {
            receiver.recv().await.map(|piece| (piece, receiver))
        });
        let request = self
            .dav
            .request("PUT", &self.dav.url(&self.path))?
            .body(reqwest::Body::wrap_stream(stream));
        let (http, path) = (self.dav.0.http.clone(), self.path.clone());
        let task =
            tokio::spawn(async move { stored(http.send_slowly(request).await?, &path).await });
        *self.body.lock().await = Some(sender);
        *self.running.lock().await = Some(AbortOnDropHandle::new(task));
        Ok(())
    }

    /// What became of the request.
    async fn outcome(&self) -> Result<()> {
        let Some(task) = self.running.lock().await.take() else { return Ok(()) };
        match tokio::time::timeout(self.dav.0.http.timeout(), task).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                Err(Error::new(ErrorCode::Internal, "an upload stopped").source(error))
            }
            Err(_) => Err(timeout(&format!("storing `{}`", self.path))),
        }
    }
}

/// 409 is the answer where the folder is missing.
async fn stored(reply: Reply, path: &str) -> Result<()> {
    match reply.status().as_u16() {
        409 => Err(absent(path)),
        _ => reply.good("write", path).await.map(drop),
    }
}

#[async_trait]
impl Sink for Writing {
    fn ordered(&self) -> bool {
        true
    }

    async fn write(&self, _offset: u64, body: Bytes) -> Result<()> {
        if self.size.is_some() {
            return self.put(body).await;
        }
        let mut pieces = self.body.lock().await;
        let Some(sender) = pieces.as_ref() else {
            return Err(failed(format!("`{}` is not being written any more", self.path)));
        };
        // In small pieces, so that a pause is a pause of the network and not of a large piece.
        let mut rest = body;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(256 << 10));
            let sent = tokio::time::timeout(self.dav.0.http.timeout(), sender.send(Ok(piece)));
            match sent.await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => {
                    *pieces = None;
                    let outcome = self.outcome().await;
                    return Err(outcome.err().unwrap_or_else(|| {
                        failed(format!("the server stopped reading `{}`", self.path))
                    }));
                }
                Err(_) => return Err(timeout(&format!("sending `{}`", self.path))),
            }
        }
        Ok(())
    }

    async fn finish(&self) -> Result<()> {
        *self.body.lock().await = None;
        self.outcome().await
    }
}
