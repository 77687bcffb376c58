//! `--server URL`: the same verbs, done by a server.

mod storage;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use storage::RemoteStorage;
use tokio_util::sync::CancellationToken;
use windlass_core::engine::{
    Answer, Check, CopyOptions, CopySide, Ctx, Engine, Grade, PresignMethod, Progress, Storage,
    Summary, Verdict,
};
use windlass_server::wire::{
    ANSWERS, CopyBody, CopyEvent, FrameKind, Frames, StorageInfo, end_of, not_ours, read_rows,
};
use windlass_types::error::ErrorBody;
use windlass_types::{Error, ErrorCode, Name, Result};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Remote {
    http: reqwest::Client,
    base: reqwest::Url,
}

#[derive(serde::Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(serde::Deserialize)]
struct DoneBody {
    message: String,
    warnings: Vec<String>,
}

fn unreachable(base: &reqwest::Url, error: reqwest::Error) -> Error {
    Error::new(ErrorCode::ServerUnreachable, format!("no answer from the server `{base}`"))
        .source(error.without_url())
        .hint("start it with `windlass serve`, or check the URL given with `--server`")
}

impl Remote {
    /// A client for `http://host:port`. No request is sent.
    pub fn new(url: &str) -> Result<Self> {
        let bad = || {
            Error::new(ErrorCode::UsageInvalid, format!("`{url}` is not the URL of a server"))
                .hint("write `http://127.0.0.1:8650`")
        };
        let base = reqwest::Url::parse(url).map_err(|error| bad().source(error))?;
        if base.host().is_none() || !matches!(base.scheme(), "http" | "https") {
            return Err(bad());
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| Error::new(ErrorCode::Internal, "no HTTP client").source(error))?;
        Ok(Self { http, base })
    }

    /// A request below `/api/v1`.
    fn request(&self, method: reqwest::Method, segments: &[&str]) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        }
        self.http.request(method, url)
    }

    /// Sends; an error answer becomes the error it describes.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        let response = request.send().await.map_err(|error| unreachable(&self.base, error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        match response.json::<ErrorAnswer>().await {
            Ok(answer) => Err(answer.error.into()),
            Err(_) => {
                Err(not_ours().source(std::io::Error::other(format!("HTTP status {status}"))))
            }
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T> {
        self.send(request)
            .await?
            .json()
            .await
            .map_err(|error| not_ours().source(error.without_url()))
    }

    /// The JSON lines of an answer, as they come.
    fn lines(response: reqwest::Response) -> impl futures::Stream<Item = Result<Vec<u8>>> + Send {
        async_stream::try_stream! {
            let mut pending = Vec::new();
            let mut bytes = response.bytes_stream();
            while let Some(piece) = bytes.next().await {
                let piece = piece.map_err(cut)?;
                pending.extend_from_slice(&piece);
                while let Some(end) = pending.iter().position(|b| *b == b'\n') {
                    let rest = pending.split_off(end + 1);
                    let mut line = std::mem::replace(&mut pending, rest);
                    line.pop();
                    yield line;
                }
            }
        }
    }
}

fn cut(error: reqwest::Error) -> Error {
    Error::new(ErrorCode::ServerUnreachable, "the server's answer was cut short")
        .source(error.without_url())
        .hint("see the server's log; ask again")
}

#[async_trait]
impl Engine for Remote {
    fn sql<'a>(&'a self, ctx: &'a mut Ctx, text: &'a str) -> BoxStream<'a, Result<Answer>> {
        async_stream::try_stream! {
            let body = json!({ "sql": text, "fabric": ctx.fabric });
            let request = self.request(reqwest::Method::POST, &["sql"]).header("accept", ANSWERS).json(&body);
            let response = self.send(request).await?;
            let (sender, mut frames) = tokio::sync::mpsc::channel(8);
            // Rows of one answer must be readable while the next answers are still to come.
            tokio::spawn(async move {
                let mut cutter = Frames::default();
                let mut bytes = response.bytes_stream().map_err(cut);
                while let Some(piece) = bytes.next().await {
                    let mut result = piece.map(|piece| cutter.push(&piece));
                    while result.is_ok() {
                        match cutter.next_frame() {
                            Ok(Some(frame)) => {
                                if sender.send(Ok(frame)).await.is_err() {
                                    return;
                                }
                            }
                            Ok(None) => break,
                            Err(error) => result = Err(error),
                        }
                    }
                    if let Err(error) = result {
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                }
            });
            while let Some(frame) = frames.recv().await {
                let (kind, payload) = frame?;
                match kind {
                    FrameKind::Done => {
                        let done: DoneBody = serde_json::from_slice(&payload).map_err(|error| not_ours().source(error))?;
                        yield Answer::Done { message: done.message, warnings: done.warnings };
                    }
                    FrameKind::Fabric => ctx.fabric = String::from_utf8_lossy(&payload).into_owned(),
                    FrameKind::Error => Err(error_of(&payload))?,
                    FrameKind::End => Err(not_ours())?,
                    FrameKind::Arrow => {
                        let (schema, first) = read_rows(&payload)?;
                        let verdict = Verdict::new(Grade::Good);
                        let (back, returned) = tokio::sync::oneshot::channel();
                        let batches = rows(frames, first, Arc::clone(&verdict), back).boxed();
                        yield Answer::Rows { schema, batches, verdict };
                        // The reader of the rows hands the frames back when it has read them all.
                        frames = returned.await.map_err(|_| {
                            Error::new(ErrorCode::Interrupted, "the rows were not read to their end")
                        })?;
                    }
                }
            }
        }
        .boxed()
    }

    async fn storage(&self, ctx: &Ctx, connection: &Name) -> Result<Storage> {
        let info: StorageInfo = self
            .json(
                self.request(
                    reqwest::Method::GET,
                    &["connections", connection.as_str(), "storage"],
                )
                .query(&[("fabric", &ctx.fabric)]),
            )
            .await?;
        Ok(Arc::new(RemoteStorage::new(self.clone(), ctx.fabric.clone(), connection.clone(), info)))
    }

    async fn copy(
        &self,
        _: &Ctx,
        source: CopySide,
        destination: CopySide,
        options: CopyOptions,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Summary> {
        let names = self.server_names(&source, &destination);
        let Some((from, to, fabric)) = names else {
            // One side is this machine: its bytes go through the API.
            return windlass_core::copy_between(
                source,
                destination,
                options,
                None,
                progress,
                cancel,
            )
            .await;
        };
        let body = CopyBody {
            fabric,
            source: from,
            source_bucket: source.location.bucket,
            source_key: source.location.key,
            destination: to,
            destination_bucket: destination.location.bucket,
            destination_key: destination.location.key,
            options,
        };
        let response =
            self.send(self.request(reqwest::Method::POST, &["copy"]).json(&body)).await?;
        let mut lines = Self::lines(response).boxed();
        loop {
            let line = tokio::select! {
                line = lines.next() => line,
                () = cancel.cancelled() => {
                    return Err(Error::new(ErrorCode::Interrupted, "the copy was interrupted"));
                }
            };
            let line = line.ok_or_else(not_ours)??;
            match serde_json::from_slice(&line).map_err(|error| not_ours().source(error))? {
                CopyEvent::Planned(items, bytes) => progress.planned(items, bytes),
                CopyEvent::Bytes(count) => progress.bytes(count),
                CopyEvent::Note(text) => progress.note(&text),
                CopyEvent::Item(item) => progress.item(&item),
                CopyEvent::Summary(summary) => return Ok(*summary),
                CopyEvent::Error(body) => return Err(body.into()),
            }
        }
    }

    async fn policy(
        &self,
        ctx: &Ctx,
        connection: &Name,
        purpose: &str,
    ) -> Result<serde_json::Value> {
        self.json(
            self.request(reqwest::Method::GET, &["connections", connection.as_str(), "policy"])
                .query(&[("fabric", ctx.fabric.as_str()), ("purpose", purpose)]),
        )
        .await
    }

    async fn doctor(&self) -> Result<Vec<Check>> {
        self.json(self.request(reqwest::Method::GET, &["doctor"])).await
    }

    async fn rotate_key(&self) -> Result<u64> {
        let answer: serde_json::Value =
            self.json(self.request(reqwest::Method::POST, &["key", "rotate"])).await?;
        answer["resealed"].as_u64().ok_or_else(not_ours)
    }

    async fn connection_names(&self, ctx: &Ctx) -> Result<Vec<Name>> {
        let rows: Vec<serde_json::Value> = self
            .json(
                self.request(reqwest::Method::GET, &["connections"])
                    .query(&[("fabric", &ctx.fabric)]),
            )
            .await?;
        rows.iter().filter_map(|row| row["name"].as_str()).map(Name::new).collect()
    }

    async fn presign(
        &self,
        ctx: &Ctx,
        connection: &Name,
        path: &str,
        method: PresignMethod,
        expires: Duration,
    ) -> Result<String> {
        let body = json!({ "path": path, "method": method, "expires": expires.as_secs() });
        let request = self
            .request(reqwest::Method::POST, &["connections", connection.as_str(), "presign"])
            .query(&[("fabric", &ctx.fabric)])
            .json(&body);
        let answer: serde_json::Value = self.json(request).await?;
        answer["url"].as_str().map(str::to_owned).ok_or_else(not_ours)
    }
}

impl Remote {
    /// Connections and fabric of both sides, if both are the server's.
    fn server_names(
        &self,
        source: &CopySide,
        destination: &CopySide,
    ) -> Option<(String, String, String)> {
        let group = |side: &CopySide| {
            side.storage
                .server_side_copy_group()
                .and_then(|group| group.strip_prefix(&format!("{}#", self.base)).map(str::to_owned))
        };
        let fabric = group(source)?;
        if group(destination)? != fabric {
            return None;
        }
        Some((
            source.storage.name().as_str().to_owned(),
            destination.storage.name().as_str().to_owned(),
            fabric,
        ))
    }
}

type Frame = Result<(FrameKind, bytes::Bytes)>;
type FrameReceiver = tokio::sync::mpsc::Receiver<Frame>;

fn error_of(payload: &[u8]) -> Error {
    match serde_json::from_slice::<ErrorBody>(payload) {
        Ok(body) => body.into(),
        Err(error) => not_ours().source(error),
    }
}

/// The batches of one answer; gives the frames back at its end.
fn rows(
    mut frames: FrameReceiver,
    first: Vec<arrow::record_batch::RecordBatch>,
    verdict: Arc<Verdict>,
    back: tokio::sync::oneshot::Sender<FrameReceiver>,
) -> impl futures::Stream<Item = Result<arrow::record_batch::RecordBatch>> + Send {
    async_stream::try_stream! {
        for batch in first {
            yield batch;
        }
        loop {
            let Some(frame) = frames.recv().await else { Err(not_ours())? };
            let (kind, payload) = frame?;
            match kind {
                FrameKind::Arrow => {
                    for batch in read_rows(&payload)?.1 {
                        yield batch;
                    }
                }
                FrameKind::End => {
                    let (grade, warnings) = end_of(&payload);
                    verdict.set(grade);
                    for text in warnings {
                        verdict.warn(text);
                    }
                    break;
                }
                FrameKind::Error => Err(error_of(&payload))?,
                FrameKind::Done | FrameKind::Fabric => Err(not_ours())?,
            }
        }
        let _ = back.send(frames);
    }
}
