//! `-` in `cp`: standard input becomes an object, an object becomes standard output.

use crate::commands::Ending;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::progress::Watch;
use crate::session::{Place, Session};
use bytes::Bytes;
use futures::Stream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::AsyncWrite;
use tokio_util::io::StreamReader;
use windlass_core::engine::{CopyOptions, Summary};
use windlass_core::transfer::{Side, Tuning, copy_stream_with, read_to_with};
use windlass_types::RunId;

/// Bytes read from standard input at once.
const CHUNK: u64 = 256 * 1024;

fn side(place: Place) -> Side {
    Side { storage: place.storage, location: place.location }
}

/// Uploads standard input; what ended early leaves nothing behind.
pub(super) async fn upload(
    session: &Session,
    place: Place,
    limits: CopyOptions,
) -> Result<Summary, Failure> {
    let dry_run = limits.dry_run;
    let began = Instant::now();
    place.object()?;
    let mut bytes = 0;
    if !dry_run {
        let watch = Watch::begin(session, dry_run, began);
        let input = StreamReader::new(Box::pin(input(session.console.clone())));
        let (to, tuning) = (side(place), Tuning::default());
        let cancel = session.cancel.clone();
        let result = copy_stream_with(input, to, limits, tuning, watch.clone(), cancel).await;
        watch.end()?;
        bytes = result?.size;
    }
    Ok(Summary {
        run: RunId::new(),
        copied: 1,
        updated: 0,
        deleted: 0,
        skipped: 0,
        failed: 0,
        bytes,
        seconds: began.elapsed().as_secs_f64(),
        dry_run,
    })
}

/// Writes an object to standard output, verified.
pub(super) async fn download(session: &Session, place: Place, limits: CopyOptions) -> Ending {
    if limits.dry_run {
        place.storage.stat(&place.object()?, None).await?;
        return Ok(Outcome::Done);
    }
    let watch = Watch::begin(session, false, Instant::now());
    let closed = Arc::new(AtomicBool::new(false));
    let output = Output { console: session.console.clone(), closed: closed.clone() };
    let (from, tuning) = (side(place), Tuning::default());
    let cancel = session.cancel.clone();
    let result = read_to_with(from, output, None, limits, tuning, watch.clone(), cancel).await;
    watch.end()?;
    if closed.load(Ordering::Relaxed) {
        return Err(Failure::ClosedPipe);
    }
    result?;
    Ok(Outcome::Done)
}

/// Standard input, read on threads that may wait.
fn input(console: Arc<Console>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::try_unfold(console, |console| async move {
        let reading = console.clone();
        let bytes = tokio::task::spawn_blocking(move || reading.read(CHUNK))
            .await
            .map_err(io::Error::other)??;
        Ok((!bytes.is_empty()).then(|| (Bytes::from(bytes), console)))
    })
}

/// Standard output; remembers that its reader has gone.
struct Output {
    console: Arc<Console>,
    closed: Arc<AtomicBool>,
}

impl Output {
    fn done<T>(&self, value: T, result: Result<(), Failure>) -> Poll<io::Result<T>> {
        Poll::Ready(match result {
            Ok(()) => Ok(value),
            Err(Failure::ClosedPipe) => {
                self.closed.store(true, Ordering::Relaxed);
                Err(io::ErrorKind::BrokenPipe.into())
            }
            Err(Failure::Error(error)) => Err(io::Error::other(error)),
        })
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.done(bytes.len(), self.console.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.done((), self.console.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
