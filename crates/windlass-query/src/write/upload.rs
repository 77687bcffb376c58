//! One file on its way: an upload in parts that is begun, filled, and left uncompleted.

use super::{DOUBLES, EQUAL_PARTS, FLYING, LARGEST_PART, MOST_PARTS, PART, REQUESTS, WriteRequest};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use windlass_s3::{Part, PartRange, PutOptions, PutResult, Storage, Upload};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Tries of one request whose failure may pass.
const TRIES: u32 = 5;

/// What a run remembers of its uploads, so that none is forgotten when it is killed.
#[async_trait]
pub trait UploadNotes: std::fmt::Debug + Send + Sync {
    /// Notes that an upload to this key is about to be begun.
    async fn begins(&self, to: &ObjectPath) -> Result<()>;

    /// Forgets that one was about to be begun.
    async fn not_begun(&self, to: &ObjectPath) -> Result<()>;

    /// Notes an upload, before its first part is sent.
    async fn begun(&self, upload: &Upload) -> Result<()>;

    /// Forgets an upload that was completed or given up.
    async fn ended(&self, upload: &Upload) -> Result<()>;
}

/// What a file is made of until it is seen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Parts at the storage.
    Parts {
        /// The upload they belong to.
        upload: Upload,
        /// In order.
        parts: Vec<Part>,
    },
    /// Bytes of a write that has one small file: seen with one request, or not at all. They are not
    /// part of what a run remembers.
    #[serde(skip)]
    Held(Bytes),
}

/// A file that was sent and is not seen yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Where it will be.
    pub object: ObjectPath,
    /// What it is made of.
    pub body: Body,
    /// Its bytes.
    pub size: u64,
    /// Its rows.
    pub rows: u64,
    /// The folder below the path, with its `/`.
    pub folder: String,
    /// Its content type.
    pub content_type: String,
    /// A text by which a storage that keeps uploads itself finds this one again.
    pub token: String,
}

impl WrittenFile {
    /// What goes with the request that makes it seen.
    pub fn options(&self, if_none_match: bool) -> PutOptions {
        PutOptions {
            content_type: Some(self.content_type.clone()),
            if_none_match,
            token: Some(self.token.clone()),
            ..PutOptions::default()
        }
    }
}

/// Does a request again where its failure may pass.
pub(super) async fn retried<T, F>(mut request: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>> + Send,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match request().await {
            Err(error) if error.class().is_retryable() && tries < TRIES => {
                tracing::debug!(error = error.chain(), tries, "a request is tried again");
                tokio::time::sleep(Duration::from_millis(100 << tries)).await;
            }
            other => return other,
        }
    }
}

/// Makes a file seen. With `if_none_match`, a key that exists is `object.changed`.
pub async fn publish(
    storage: &Storage,
    file: &WrittenFile,
    if_none_match: bool,
) -> Result<PutResult> {
    let options = file.options(if_none_match);
    match &file.body {
        Body::Held(bytes) => storage.put(&file.object, bytes.clone(), options).await,
        Body::Parts { upload, parts } => storage.complete_upload(upload, parts, &options).await,
    }
}

/// Gives a file up that nobody has seen.
pub async fn give_up(storage: &Storage, notes: &dyn UploadNotes, file: &WrittenFile) -> Result<()> {
    let Body::Parts { upload, .. } = &file.body else { return Ok(()) };
    retried(|| storage.abort_upload(upload)).await?;
    notes.ended(upload).await
}

/// What all uploads of a write share.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) request: Arc<WriteRequest>,
    pub(super) notes: Arc<dyn UploadNotes>,
    /// Bytes that may be on their way.
    flying: Arc<Semaphore>,
    requests: Arc<Semaphore>,
}

/// Bytes with the room they take.
pub(super) type Piece = (Bytes, OwnedSemaphorePermit);

fn closed<E>(_: E) -> Error {
    Error::new(ErrorCode::Interrupted, "the write was given up")
}

impl Sender {
    pub(super) fn new(request: Arc<WriteRequest>, notes: Arc<dyn UploadNotes>) -> Self {
        Self {
            request,
            notes,
            flying: Arc::new(Semaphore::new(FLYING)),
            requests: Arc::new(Semaphore::new(REQUESTS)),
        }
    }

    /// Waits for room for bytes.
    pub(super) async fn room(&self, bytes: Bytes) -> Result<Piece> {
        let size = u32::try_from(bytes.len().clamp(1, FLYING)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.flying).acquire_many_owned(size).await.map_err(closed)?;
        Ok((bytes, permit))
    }

    /// The text by which an upload is found again.
    pub(super) fn token(&self, object: &ObjectPath) -> String {
        format!("write {} {}", self.request.run, object.key)
    }

    async fn begin(&self, object: &ObjectPath) -> Result<Upload> {
        let _request = self.requests.acquire().await.map_err(closed)?;
        self.notes.begins(object).await?;
        let options = PutOptions {
            content_type: Some(self.request.format.content_type().to_owned()),
            token: Some(self.token(object)),
            // Some services take conditions with the beginning of an upload.
            if_none_match: self.request.only_new(object),
            ..PutOptions::default()
        };
        let storage = &self.request.storage;
        let created = retried(|| storage.create_upload(object, options.clone())).await;
        if created.is_err() {
            self.notes.not_begun(object).await?;
        }
        let upload = created?;
        if let Err(error) = self.notes.begun(&upload).await {
            let _ = storage.abort_upload(&upload).await;
            return Err(error);
        }
        Ok(upload)
    }

    async fn part(
        &self,
        upload: Arc<Upload>,
        number: i32,
        offset: u64,
        piece: Piece,
    ) -> Result<Part> {
        let (bytes, _room) = piece;
        let _request = self.requests.acquire().await.map_err(closed)?;
        let storage = &self.request.storage;
        retried(|| async {
            if storage.placed_in(&upload).is_none() {
                return storage.upload_part(&upload, number, bytes.clone()).await;
            }
            // Where a part lies is noted beside it, so that another process can complete it.
            let range = PartRange { number, offset, length: bytes.len() as u64 };
            let stream = futures::stream::iter([Ok(bytes.clone())]).boxed();
            storage.write_part(&upload, range, stream, Box::new(|_| {})).await
        })
        .await
    }

    /// Sends what comes as parts of one upload, until no more comes. Gives it up on a failure.
    pub(super) async fn send(
        self,
        object: ObjectPath,
        folder: String,
        mut pieces: mpsc::Receiver<Piece>,
    ) -> Result<WrittenFile> {
        let upload = Arc::new(self.begin(&object).await?);
        let mut sending: JoinSet<Result<Part>> = JoinSet::new();
        let sent = async {
            let mut parts = Vec::new();
            let (mut number, mut offset, mut open) = (0_i32, 0, true);
            while open || !sending.is_empty() {
                tokio::select! {
                    Some(done) = sending.join_next(), if !sending.is_empty() => {
                        parts.push(done.map_err(broken)??);
                    }
                    piece = pieces.recv(), if open => match piece {
                        None => open = false,
                        Some(piece) => {
                            number += 1;
                            if usize::try_from(number).is_ok_and(|number| number > MOST_PARTS) {
                                return Err(too_large(&object));
                            }
                            let length = piece.0.len() as u64;
                            let (sender, upload) = (self.clone(), Arc::clone(&upload));
                            sending.spawn(async move { sender.part(upload, number, offset, piece).await });
                            offset += length;
                        }
                    },
                }
            }
            parts.sort_by_key(|part| part.number);
            Ok((parts, offset))
        };
        match sent.await {
            Ok((parts, size)) => Ok(WrittenFile {
                token: self.token(&object),
                object,
                body: Body::Parts { upload: upload.as_ref().clone(), parts },
                size,
                rows: 0,
                folder,
                content_type: self.request.format.content_type().to_owned(),
            }),
            Err(error) => {
                sending.shutdown().await;
                self.abort(&upload).await;
                Err(error)
            }
        }
    }

    async fn abort(&self, upload: &Upload) {
        let storage = &self.request.storage;
        let given_up = async {
            retried(|| storage.abort_upload(upload)).await?;
            self.notes.ended(upload).await
        };
        if let Err(error) = given_up.await {
            let error = error.chain();
            tracing::warn!(key = upload.key, error, "an upload could not be given up");
        }
    }
}

/// A task that broke.
pub(super) fn broken(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, "sending a file broke").source(error)
}

fn too_large(object: &ObjectPath) -> Error {
    Error::new(
        ErrorCode::FormatUnwritable,
        format!("`{}` is larger than a file can be", object.key),
    )
    .hint("write a folder of files with MAX_FILE_SIZE")
}

/// What a part is at most, of a file of which so many parts were sent. Nobody knows how large a file will
/// be, and it may have [`MOST_PARTS`] only: they grow late, to hold what a service takes as one object.
pub(super) const fn part_size(sent: usize) -> usize {
    let doubled = sent.saturating_sub(EQUAL_PARTS) / DOUBLES;
    let doubled = if doubled < 16 { doubled } else { 16 };
    let size = PART << doubled;
    if size < LARGEST_PART { size } else { LARGEST_PART }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_the_largest_object_is_held_by_as_many_as_there_may_be() {
        assert_eq!([0, 1, EQUAL_PARTS].map(part_size), [PART; 3]);
        let sizes: Vec<u64> = (0..MOST_PARTS).map(|sent| part_size(sent) as u64).collect();
        assert!(sizes.windows(2).all(|pair| pair[0] <= pair[1]), "parts do not shrink");
        assert!(
            sizes.iter().all(|size| *size <= 5 << 30),
            "no part is larger than a service takes"
        );
        let all: u64 = sizes.iter().sum();
        assert!(all >= 5 << 40, "{all} bytes are less than the 5 TiB of an object");
        // Files of usual sizes have parts of one size, and not much of them in memory.
        assert_eq!(sizes[..EQUAL_PARTS].iter().sum::<u64>(), 5_000 * (8 << 20));
    }
}
