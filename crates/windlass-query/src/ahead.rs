//! The bytes of one file in pieces, in order, fetched before they are asked for.
//!
//! A service far away gives each request slowly, so several are under way at once, and what they
//! give is kept. To one that is near a request is what costs, so each asks for much, and its answer
//! is taken no sooner than it is wanted. Which of them it is the first bytes tell.

use crate::files::SourceFile;
use datafusion::common::runtime::SpawnedTask;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use windlass_s3::access::ByteRange;
use windlass_types::{Error, ErrorCode, Result};

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

/// One request: the pieces that came, and what reads them.
struct Request {
    pieces: mpsc::Receiver<Vec<u8>>,
    task: SpawnedTask<Result<()>>,
}

impl Request {
    /// Asks for `length` bytes in pieces of `size`, of which so many are kept until they are taken.
    fn begin(
        file: Arc<SourceFile>,
        from: u64,
        length: u64,
        size: usize,
        kept: usize,
        soonest: Arc<Soonest>,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(kept);
        let task = SpawnedTask::spawn(async move {
            let begun = Instant::now();
            let mut stream = file.open(Some(ByteRange::Bounded(from, length))).await?;
            let mut left = length;
            let mut piece = Vec::new();
            while let Some(mut chunk) = stream.try_next().await? {
                if left == length && piece.is_empty() {
                    soonest.note(begun.elapsed());
                }
                while !chunk.is_empty() && left > 0 {
                    let size = usize::try_from(left).map_or(size, |left| left.min(size));
                    if piece.capacity() == 0 {
                        piece.reserve_exact(size);
                    }
                    let part = chunk.split_to((size - piece.len()).min(chunk.len()));
                    piece.extend_from_slice(&part);
                    if piece.len() == size {
                        left -= size as u64;
                        if sender.send(std::mem::take(&mut piece)).await.is_err() {
                            return Ok(()); // nobody wants more
                        }
                    }
                }
            }
            if left > 0 {
                let text = format!("`{}` ended {left} bytes early", file.address());
                return Err(Error::new(ErrorCode::ObjectCorrupt, text)
                    .hint("check the network and try again"));
            }
            Ok(())
        });
        Self { pieces, task }
    }

    /// Whether it ended well, after its last piece.
    async fn end(self) -> Result<()> {
        self.task
            .join()
            .await
            .map_err(|error| Error::new(ErrorCode::Internal, "a file was not read").source(error))?
    }
}

/// The bytes of a file from `offset` on, in pieces of `size`: where each begins, and the piece.
pub(crate) fn pieces(
    file: Arc<SourceFile>,
    offset: u64,
    size: usize,
) -> BoxStream<'static, Result<(u64, Vec<u8>)>> {
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
                let (file, soonest) = (Arc::clone(&file), Arc::clone(&soonest));
                requests.push_back(Request::begin(file, next, length, size, kept, soonest));
                next += length;
            }
            let Some(request) = requests.front_mut() else { break };
            if let Some(piece) = request.pieces.recv().await {
                let from = at;
                at += piece.len() as u64;
                yield (from, piece);
            } else if let Some(request) = requests.pop_front() {
                request.end().await?;
            }
        }
    }
    .boxed()
}
