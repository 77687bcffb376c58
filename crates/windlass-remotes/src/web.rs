//! Files of a web server, for reading.
//!
//! A web server has no listing as such. What there is is said by an index: a text the connection
//! names, with one path a line, or else the pages that Apache, nginx and others make of a folder.

mod page;

use crate::error::{absent, changed, failed};
use crate::http::{Http, Reply, etag, http_date, lengths, range_header};
use crate::names::{join, segments, split};
use crate::secrets::RemoteSecrets;
use crate::tree::{Item, Reading, Tree, cut};
use crate::webdav::skip;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_s3::ByteRange;
use windlass_types::connection::{HttpSpec, RemoteSpec};
use windlass_types::{Error, ErrorCode, Result};

/// A web server.
#[derive(Debug, Clone)]
pub(crate) struct Web(Arc<Inner>);

struct Inner {
    http: Http,
    endpoint: String,
    user: Option<String>,
    index: Option<String>,
    headers: Vec<(String, String)>,
    secrets: Arc<RemoteSecrets>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Web {
    pub(crate) fn open(
        web: &HttpSpec,
        spec: &RemoteSpec,
        secrets: &Arc<RemoteSecrets>,
    ) -> Result<Self> {
        let http = Http::open(&web.endpoint, web.ca_file.as_deref(), spec, secrets, true)?;
        Ok(Self(Arc::new(Inner {
            http,
            endpoint: web.endpoint.clone(),
            user: web.user.clone(),
            index: web.index.clone(),
            headers: secrets.headers()?,
            secrets: Arc::clone(secrets),
        })))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{}", self.0.endpoint, segments(path))
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let mut request = self.0.http.request(method, url).header("accept-encoding", "identity");
        for (name, value) in &self.0.headers {
            request = request.header(name, value);
        }
        match (&self.0.user, self.0.secrets.get("TOKEN")) {
            (Some(user), _) => request.basic_auth(user, self.0.secrets.get("PASSWORD")),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        }
    }

    async fn get(&self, url: &str) -> Result<Reply> {
        self.0.http.send(self.request(Method::GET, url), 0).await
    }

    /// Asks for the metadata of one path.
    async fn head(&self, path: &str) -> Result<Option<Item>> {
        let reply = self.0.http.send(self.request(Method::HEAD, &self.url(path)), 0).await?;
        match reply.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            // Some servers know no HEAD.
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Ok(self.read(path, None, None).await?.map(|reading| reading.item))
            }
            _ if reply.status().is_redirection() => Ok(Some(folder(split(path).1.to_owned()))),
            _ => {
                let url = reply.url_path();
                let reply = reply.good("read", path).await?;
                // Sent to the same address with a slash behind it: a folder.
                if url.ends_with('/') && !path.is_empty() {
                    return Ok(Some(folder(split(path).1.to_owned())));
                }
                let size = lengths(reply.status(), reply.headers()).map_or(0, |(size, _)| size);
                Ok(Some(file(path, size, &reply)))
            }
        }
    }

    /// Lists what the index file says.
    async fn indexed(&self, index: &str, wanted: &str) -> Result<Option<Vec<Item>>> {
        let reply = self.get(&self.url(index)).await?;
        if reply.status() == StatusCode::NOT_FOUND {
            return Err(Error::new(
                ErrorCode::ObjectNotFound,
                format!("there is no INDEX `{index}`"),
            )
            .hint("correct INDEX; it is a path below ENDPOINT"));
        }
        let text = reply.good("read", index).await?.text().await?;
        let mut names: BTreeMap<String, bool> = BTreeMap::new();
        let mut there = wanted.is_empty();
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            let path = line.strip_prefix("./").unwrap_or(line);
            if path.is_empty() || path.starts_with('#') || path.starts_with('/') {
                continue;
            }
            let rest = if wanted.is_empty() {
                Some(path)
            } else {
                path.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('/'))
            };
            let Some(rest) = rest else { continue };
            there = true;
            match rest.split_once('/') {
                Some((name, _)) if !name.is_empty() => names.insert(name.to_owned(), true),
                None if !rest.is_empty() => names.insert(rest.to_owned(), false),
                _ => continue,
            };
        }
        if !there {
            return Ok(None);
        }
        let names = names.into_iter().collect();
        self.items(wanted, names).await.map(Some)
    }

    /// Asks for size, time and state of each file, several at once: pages round or leave them out.
    async fn items(&self, wanted: &str, names: Vec<(String, bool)>) -> Result<Vec<Item>> {
        let asked = futures::stream::iter(names).map(|(name, is_folder)| async move {
            if is_folder {
                return Ok(Some(folder(name)));
            }
            let found = self.head(&join(wanted, &name)).await?;
            // A name the index still has and the server no longer is not there.
            Ok::<_, Error>(found.map(|item| Item { name, ..item }))
        });
        let mut items = Vec::new();
        let mut asked = std::pin::pin!(asked.buffered(16));
        while let Some(item) = asked.next().await {
            items.extend(item?);
        }
        Ok(items)
    }
}

fn folder(name: String) -> Item {
    Item { name, folder: true, size: 0, modified: None, etag: None, real: None, content_type: None }
}

fn file(path: &str, size: u64, reply: &Reply) -> Item {
    let modified: Option<DateTime<Utc>> = reply.header("last-modified").and_then(http_date);
    let state = etag(reply.headers())
        .unwrap_or_else(|| format!("{size:x}-{:x}", modified.map_or(0, |time| time.timestamp())));
    Item {
        name: split(path).1.to_owned(),
        folder: false,
        size,
        modified,
        etag: Some(state),
        real: None,
        content_type: reply.header("content-type").map(str::to_owned),
    }
}

#[async_trait]
impl Tree for Web {
    async fn list(&self, path: &str) -> Result<Option<Vec<Item>>> {
        if let Some(index) = &self.0.index {
            return self.indexed(index, path).await;
        }
        let url = self.url(path);
        let url = if url.ends_with('/') { url } else { format!("{url}/") };
        let reply = self.get(&url).await?;
        match reply.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE if !path.is_empty() => return Ok(None),
            StatusCode::FORBIDDEN => {
                return Err(no_index(path, "it does not list this folder (HTTP 403)"));
            }
            _ => {}
        }
        let base = reply.url_path();
        let reply = reply.good("list", path).await?;
        let kind = reply.header("content-type").unwrap_or_default().to_owned();
        if !kind.starts_with("text/html") && !kind.starts_with("application/xhtml") {
            return Err(no_index(path, "its answer is no index page"));
        }
        let text = reply.text().await?;
        let names = page::read(&text, &base)
            .ok_or_else(|| no_index(path, "its page is not an index of a folder"))?;
        self.items(path, names).await.map(Some)
    }

    async fn stat(&self, path: &str) -> Result<Option<Item>> {
        if path.is_empty() {
            return Ok(Some(folder(String::new())));
        }
        self.head(path).await
    }

    async fn read(
        &self,
        path: &str,
        range: Option<ByteRange>,
        state: Option<&str>,
    ) -> Result<Option<Reading>> {
        let wanted = range.and_then(range_header);
        if range.is_some() && wanted.is_none() {
            let Some(item) = self.head(path).await?.filter(|item| !item.folder) else {
                return Ok(None);
            };
            let stream = futures::stream::empty().boxed();
            return Ok(Some(Reading { item, length: 0, stream }));
        }
        let mut request = self.request(Method::GET, &self.url(path));
        if let Some(range) = wanted {
            request = request.header("range", range);
        }
        let reply = self.0.http.send(request, 0).await?;
        match reply.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let Some(item) = self.head(path).await?.filter(|item| !item.folder) else {
                    return Ok(None);
                };
                let stream = futures::stream::empty().boxed();
                return Ok(Some(Reading { item, length: 0, stream }));
            }
            status if status.is_redirection() => return Ok(None),
            _ => {}
        }
        if reply.url_path().ends_with('/') {
            return Ok(None);
        }
        let reply = reply.good("read", path).await?;
        let Some((size, length)) = lengths(reply.status(), reply.headers()) else {
            return Err(failed(format!("the server does not say how long `{path}` is"))
                .hint("a page made on the fly is not a file; only files can be read safely"));
        };
        let item = file(path, size, &reply);
        if state.is_some() && state != item.etag.as_deref() {
            return Err(changed(path));
        }
        let (from, want) = cut(range, size);
        if reply.status() == StatusCode::OK && (from, want) != (0, size) {
            // The server does not do ranges: what was not asked for is passed over.
            return Ok(Some(Reading {
                item,
                length: want,
                stream: skip(reply.body(), from, want),
            }));
        }
        Ok(Some(Reading { item, length, stream: reply.body() }))
    }

    async fn remove(&self, path: &str) -> Result<()> {
        Err(absent(path))
    }
}

fn no_index(path: &str, why: &str) -> Error {
    let shown = if path.is_empty() { "ENDPOINT" } else { path };
    Error::new(ErrorCode::UsageInvalid, format!("the web server cannot list `{shown}`: {why}"))
        .hint("files can still be read by their keys; to list, name a file of paths as INDEX")
}
