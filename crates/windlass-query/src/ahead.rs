//! The bytes of one file in pieces, in order, made ready before they are asked for.
//!
//! A service far away gives each request slowly, so several are under way at once, and what they
//! give is kept. To one that is near a request is what costs, so each asks for much, and its answer
//! is taken no sooner than it is wanted. Which of them it is the first bytes tell. What is compressed
//! is unpacked by a task of its own.

use crate::error::from_io;
use crate::files::SourceFile;
use crate::text::Bytewise;
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use windlass_s3::access::ByteRange;
use windlass_types::{Error, ErrorCode, Result};

/// Pieces in order, each with where it begins.
pub(crate) type Pieces = BoxStream<'static, Result<(u64, Vec<u8>)>>;

/// Bytes of a request while the service may be far; small in tests, so that their files take several.
pub(crate) const SHORT: u64 = if cfg!(test) { 4096 } else { 4 << 20 };

/// Bytes of a request to a service that is near.
const LONG: u64 = 8 * SHORT;

/// Requests under way to a service that is far.
const SHORT_AT_ONCE: usize = 4;

/// Requests under way to a service that is near, or of which nothing is known.
const FEW_AT_ONCE: usize = 2;

/// A service that has given a first byte within this time is near.
const NEAR: Duration = Duration::from_millis(25);

/// How soon the service gave a first byte at best, in microseconds.
#[derive(Debug)]
struct Soonest(AtomicU64);

impl Soonest {
    fn note(&self, time: Duration) {
        self.0.fetch_min(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Length of the next request, how many may be under way with it, and whether all that it gives
    /// is kept.
    fn how(&self) -> (u64, usize, bool) {
        match self.0.load(Ordering::Relaxed) {
            u64::MAX => (SHORT, FEW_AT_ONCE, false),
            soonest if Duration::from_micros(soonest) < NEAR => (LONG, FEW_AT_ONCE, false),
            _ => (SHORT, SHORT_AT_ONCE, true),
        }
    }
}

/// Pieces that came, and the task that makes them.
struct Ahead {
    pieces: mpsc::Receiver<Vec<u8>>,
    /// Answers how many bytes there were.
    task: SpawnedTask<Result<u64>>,
}

impl Ahead {
    /// Cuts what `stream` gives into pieces of `size`, of which so many are kept until they are taken.
    fn begin<S>(
        stream: impl Future<Output = Result<S>> + Send + 'static,
        size: usize,
        kept: usize,
    ) -> Self
    where
        S: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let (sender, pieces) = mpsc::channel(kept);
        let task = SpawnedTask::spawn(async move {
            let mut stream = stream.await?;
            let (mut total, mut piece) = (0, Vec::new());
            while let Some(mut chunk) = stream.try_next().await? {
                total += chunk.len() as u64;
                while !chunk.is_empty() {
                    if piece.capacity() == 0 {
                        piece.reserve_exact(size);
                    }
                    let part = chunk.split_to((size - piece.len()).min(chunk.len()));
                    piece.extend_from_slice(&part);
                    if piece.len() == size && sender.send(std::mem::take(&mut piece)).await.is_err()
                    {
                        return Ok(total); // nobody wants more
                    }
                }
            }
            if !piece.is_empty() {
                drop(sender.send(piece).await);
            }
            Ok(total)
        });
        Self { pieces, task }
    }

    /// Asks for `length` bytes of a file.
    fn request(
        file: &Arc<SourceFile>,
        from: u64,
        length: u64,
        size: usize,
        kept: usize,
        soonest: &Arc<Soonest>,
    ) -> Self {
        let (file, soonest) = (Arc::clone(file), Arc::clone(soonest));
        let size = usize::try_from(length).map_or(size, |length| length.min(size));
        let stream = async move {
            let begun = Instant::now();
            let stream = file.open(Some(ByteRange::Bounded(from, length))).await?;
            Ok(stream.inspect(move |_| soonest.note(begun.elapsed())))
        };
        Self::begin(stream, size, kept)
    }

    /// Bytes that there were, after the last piece; an error if that was not the end.
    async fn end(self) -> Result<u64> {
        done(self.task).await
    }
}

/// What a task answers.
pub(crate) async fn done<T: Send + 'static>(task: SpawnedTask<Result<T>>) -> Result<T> {
    let gone = |error| Error::new(ErrorCode::Internal, "a file was not read").source(error);
    task.join().await.map_err(gone)?
}

/// The bytes that `stream` gives, of which the first is at `offset`, in pieces of `size`.
pub(crate) fn unpacked(
    file: Arc<SourceFile>,
    offset: u64,
    stream: Bytewise,
    size: usize,
) -> Pieces {
    async_stream::try_stream! {
        let stream = stream.map_err(move |error| from_io(error, &file));
        let mut ahead = Ahead::begin(std::future::ready(Ok(stream)), size, 1);
        let mut at = offset;
        while let Some(piece) = ahead.pieces.recv().await {
            let from = at;
            at += piece.len() as u64;
            yield (from, piece);
        }
        ahead.end().await?;
    }
    .boxed()
}

/// The bytes of a file from `offset` on, in pieces of `size`: where each begins, and the piece.
pub(crate) fn pieces(file: Arc<SourceFile>, offset: u64, size: usize) -> Pieces {
    async_stream::try_stream! {
        let soonest = Arc::new(Soonest(AtomicU64::new(u64::MAX)));
        let (mut at, mut next) = (offset, offset);
        let mut requests = VecDeque::new();
        loop {
            while next < file.size {
                let (length, most, all) = soonest.how();
                if requests.len() >= most {
                    break;
                }
                let length = length.min(file.size - next);
                let whole = usize::try_from(length).unwrap_or(usize::MAX).div_ceil(size);
                let kept = if all { whole } else { 1 };
                let request = Ahead::request(&file, next, length, size, kept, &soonest);
                requests.push_back((length, request));
                next += length;
            }
            let Some((_, request)) = requests.front_mut() else { break };
            if let Some(piece) = request.pieces.recv().await {
                let from = at;
                at += piece.len() as u64;
                yield (from, piece);
            } else if let Some((wanted, request)) = requests.pop_front() {
                let given = request.end().await?;
                if given != wanted {
                    let text = format!("`{}` gave {given} bytes instead of {wanted}", file.address());
                    Err(Error::new(ErrorCode::ObjectCorrupt, text)
                        .hint("check the network and try again"))?;
                }
            }
        }
    }
    .boxed()
}
