//! Standard input to an object, and an object to standard output.

use crate::digest::{Expected, Sum, hex, md5};
use crate::ends::{check, limit};
use crate::kinds::content_type;
use crate::object::broken;
use crate::options::CopyOptions;
use crate::parts::Sent;
use crate::request::{Action, Item, Progress, Side, Status};
use crate::run::{Run, collect, corrupt, interrupted, stat_source};
use crate::tuning::{Range, Tuning};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use windlass_s3::{ByteRange, GetOptions, ObjectMeta, Part, PutOptions, Upload};
use windlass_types::{Error, ErrorCode, ObjectPath, Result};

/// Parts of one size before they begin to grow: some services want them equal.
const EQUAL_PARTS: i32 = 5_000;

/// Parts written side by side.
const SIDE_BY_SIDE: usize = 4;

/// Writes all that `input` gives to the key `destination` names, verified. Nothing appears there
/// unless all of it arrived.
pub async fn copy_stream<R>(
    input: R,
    destination: Side,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Item>
where
    R: AsyncRead + Unpin + Send,
{
    let limits = CopyOptions::default();
    copy_stream_with(input, destination, limits, Tuning::default(), progress, cancel).await
}

/// The same with limits, and with what is given to the object: of the options those of bytes and requests
/// a second, of what is under way, and of its metadata, headers, tags, storage class and ACL.
pub async fn copy_stream_with<R>(
    mut input: R,
    mut destination: Side,
    limits: CopyOptions,
    tuning: Tuning,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Item>
where
    R: AsyncRead + Unpin + Send,
{
    let to = destination.location.object()?;
    if to.key.ends_with('/') {
        return Err(Error::new(
            ErrorCode::PathInvalid,
            "standard input has no name to put below a `/`",
        )
        .hint("write the whole key"));
    }
    crate::naming::check_destination(&to.key, destination.is_folder())?;
    if !destination.storage.tells_case_apart(&to.key, true).await {
        crate::names::check_windows(&to.key)?;
    }
    check(&destination, &destination, &limits)?;
    let options = limits.described(PutOptions {
        content_type: content_type(&to.key).map(str::to_owned),
        metadata: limits.metadata.clone().unwrap_or_default(),
        tags: limits.given_tags(),
        storage_class: limits.storage_class.clone(),
        acl: limits.acl.clone(),
        ..PutOptions::default()
    });
    limit(&mut [&mut destination], &limits);
    let run = Arc::new(Run::new(
        destination.clone(),
        destination,
        tuning,
        Arc::new(limits),
        Arc::clone(&progress),
        cancel.clone(),
    ));
    let giving_up = GivingUp::default();
    let work = async {
        let first = fill(&mut input, run.tuning.threshold).await?;
        if (first.len() as u64) < run.tuning.threshold {
            let size = first.len() as u64;
            run.pass(size).await?;
            let storage = &run.destination.storage;
            let result = run.retried(|| storage.put(&to, first.clone(), options.clone())).await?;
            if !result.proven {
                let sum = hex(&md5(&first));
                run.verify_written(&to, size, &sum, result.etag.as_deref(), None).await?;
            }
            progress.bytes(size);
            return Ok(size);
        }
        parts(&run, first, &mut input, &to, &options, &giving_up).await
    };
    let size = tokio::select! {
        () = cancel.cancelled() => Err(interrupted()),
        size = work => size,
    };
    // By now whatever was begun is being given up; the process may end after this.
    let giving_up = giving_up.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(giving_up) = giving_up {
        giving_up.await.map_err(broken)?;
    }
    let size = size?;
    progress.planned(1, size);
    let item = Item {
        action: Action::Copy,
        source: "-".to_owned(),
        destination: run.destination.address(&to.key),
        size,
        status: Status::Done,
        reason: None,
        code: None,
        hint: None,
    };
    progress.item(&item);
    Ok(item)
}

/// The task that gives an upload up, once there is one.
type GivingUp = Arc<Mutex<Option<JoinHandle<()>>>>;

/// Gives an upload up when it is dropped unfinished, also by an interruption.
struct Unfinished(Option<(Arc<Run>, Upload)>, GivingUp);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some((run, upload)) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let task = runtime.spawn(async move {
                if let Err(error) = run.destination.storage.abort_upload(&upload).await {
                    tracing::warn!(
                        key = upload.key,
                        error = error.chain(),
                        "an upload could not be given up"
                    );
                }
            });
            *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
    }
}

async fn parts<R>(
    run: &Arc<Run>,
    first: Bytes,
    input: &mut R,
    to: &ObjectPath,
    options: &PutOptions,
    giving_up: &GivingUp,
) -> Result<u64>
where
    R: AsyncRead + Unpin + Send,
{
    let storage = &run.destination.storage;
    let upload = run.retried(|| storage.create_upload(to, options.clone())).await?;
    let mut unfinished = Unfinished(Some((Arc::clone(run), upload.clone())), Arc::clone(giving_up));
    let mut total = 0;
    let mut done: Vec<Sent> = Vec::new();
    let mut tasks: JoinSet<Result<Sent>> = JoinSet::new();
    let mut body = first;
    let mut size = run.tuning.threshold;
    for number in 1.. {
        if number > 10_000 {
            return Err(Error::new(
                ErrorCode::UsageInvalid,
                "standard input is larger than an object can be",
            ));
        }
        if number > EQUAL_PARTS && number % 500 == 0 {
            size = (size * 2).min(1 << 30);
        }
        let length = body.len() as u64;
        let last = length < size;
        if !body.is_empty() || number == 1 {
            total += length;
            if tasks.len() >= SIDE_BY_SIDE
                && let Some(part) = tasks.join_next().await
            {
                done.push(part.map_err(broken)??);
            }
            let (run, upload) = (Arc::clone(run), upload.clone());
            tasks.spawn(async move {
                run.pass(length).await?;
                run.send(&upload, number, body.into(), &Expected::Nothing).await
            });
        }
        if last {
            break;
        }
        body = fill(input, size).await?;
    }
    while let Some(part) = tasks.join_next().await {
        done.push(part.map_err(broken)??);
    }
    done.sort_by_key(|sent| sent.part.number);
    let parts: Vec<Part> = done.iter().map(|sent| sent.part.clone()).collect();
    let result = storage.complete_upload(&upload, &parts, options).await?;
    unfinished.0 = None;
    run.verify_parts(to, total, &done, result.etag.as_deref()).await?;
    Ok(total)
}

/// Reads `size` bytes, or fewer at the end.
async fn fill<R: AsyncRead + Unpin>(input: &mut R, size: u64) -> Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(64 << 10);
    let mut input = input.take(size);
    loop {
        let read = input.read_buf(&mut bytes).await.map_err(|error| {
            Error::new(ErrorCode::LocalFailed, "cannot read standard input").source(error)
        })?;
        if read == 0 {
            return Ok(bytes.freeze());
        }
        if bytes.capacity() == bytes.len() {
            bytes.reserve(bytes.len().clamp(64 << 10, 8 << 20));
        }
    }
}

/// Writes the object that `source` names, or a range of it, to `output` in order; large ones are
/// read ahead in parts. The whole of an object is verified, but only once all of it was written.
pub async fn read_to<W>(
    source: Side,
    output: W,
    range: Option<ByteRange>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<u64>
where
    W: AsyncWrite + Unpin + Send,
{
    let limits = CopyOptions::default();
    read_to_with(source, output, range, limits, Tuning::default(), progress, cancel).await
}

/// The same with limits, as of [`copy_stream_with`].
pub async fn read_to_with<W>(
    mut source: Side,
    mut output: W,
    range: Option<ByteRange>,
    limits: CopyOptions,
    tuning: Tuning,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<u64>
where
    W: AsyncWrite + Unpin + Send,
{
    let from = source.location.object()?;
    limit(&mut [&mut source], &limits);
    let meta = stat_source(&source.storage, &from).await?;
    let (first, length) = cut(range, meta.size);
    progress.planned(1, length);
    let limits = Arc::new(limits);
    let run =
        Run::new(source.clone(), source, tuning, limits, Arc::clone(&progress), cancel.clone());
    let expected =
        if range.is_none() { Expected::of(&from.bucket, &meta) } else { Expected::Nothing };
    let mut sum = Sum::new(&expected);
    let work = async {
        let mut parts = futures::stream::iter(run.tuning.ranges(length, run.tuning.part_size))
            .map(|range| {
                let range = Range { offset: first + range.offset, ..range };
                read_part(&run, &from, range, &meta)
            })
            .buffered(SIDE_BY_SIDE);
        while let Some(bytes) = parts.try_next().await? {
            sum.update(&bytes);
            output.write_all(&bytes).await.map_err(written)?;
            progress.bytes(bytes.len() as u64);
        }
        output.flush().await.map_err(written)
    };
    tokio::select! {
        () = cancel.cancelled() => return Err(interrupted()),
        done = work => done?,
    }
    if sum.holds() { Ok(length) } else { Err(corrupt(&from.key)) }
}

/// One part; of an object that fits in one, without asking for a range, so that it is verified
/// before anything is written.
async fn read_part(run: &Run, from: &ObjectPath, range: Range, meta: &ObjectMeta) -> Result<Bytes> {
    if range.length < meta.size {
        return run.part(from, range, meta.etag.as_deref()).await;
    }
    run.retried(|| async {
        run.pass(range.length).await?;
        let options = GetOptions { if_match: meta.etag.clone(), ..GetOptions::default() };
        let body = run.source.storage.get(from, options).await?;
        let mut sum = Sum::new(&Expected::of(&from.bucket, meta));
        let bytes = collect(body, range.length, &from.key, |chunk| sum.update(chunk)).await?;
        if sum.holds() { Ok(bytes) } else { Err(corrupt(&from.key)) }
    })
    .await
}

/// A closed pipe keeps its kind in the source, so that the edge can end quietly.
fn written(error: std::io::Error) -> Error {
    Error::new(ErrorCode::LocalFailed, "cannot write the output").source(error)
}

/// First byte and number of bytes of a range of `size` bytes.
fn cut(range: Option<ByteRange>, size: u64) -> (u64, u64) {
    match range {
        None => (0, size),
        Some(ByteRange::Bounded(from, length)) => {
            (from.min(size), length.min(size - from.min(size)))
        }
        Some(ByteRange::From(from)) => (from.min(size), size - from.min(size)),
        Some(ByteRange::Last(length)) => (size - length.min(size), length.min(size)),
    }
}

#[cfg(test)]
mod tests;
