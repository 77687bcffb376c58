//! `cp - DST`: a stream of unknown length becomes one object.

use crate::failure::Failure;
use crate::session::{Place, Session};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::time::Instant;
use windlass_core::engine::{Part, PutOptions, Summary, Upload};
use windlass_types::{Error, ErrorCode, Result, RunId};

/// Bytes of the first parts.
const PART: u64 = 8 << 20;
/// Parts after which their size doubles: 10,000 of them then hold far more than a service takes.
const GROWTH: i32 = 1000;
/// Parts that a service takes.
const MOST_PARTS: i32 = 10_000;
/// Parts on their way at once.
const IN_FLIGHT: usize = 4;

/// Uploads standard input; what ended early leaves nothing behind.
pub(super) async fn upload(
    session: &Session,
    place: &Place,
    dry_run: bool,
) -> std::result::Result<Summary, Failure> {
    let began = Instant::now();
    let object = place.object()?;
    if object.key.ends_with('/') {
        return Err(Error::new(ErrorCode::UsageInvalid, "a stream needs a whole key")
            .hint("write the name too: `CONN:BUCKET/FOLDER/NAME`")
            .into());
    }
    let mut bytes: u64 = 0;
    if !dry_run {
        let first = read(session, PART).await?;
        bytes = first.len() as u64;
        if bytes < PART {
            place.storage.put(&object, first, PutOptions::default()).await?;
        } else {
            let options = PutOptions::default();
            let upload = place.storage.create_upload(&object, options.clone()).await?;
            let stored = match parts(session, place, &upload, first, &mut bytes).await {
                Ok(parts) => place.storage.complete_upload(&upload, &parts, &options).await,
                Err(error) => Err(error),
            };
            if let Err(error) = stored {
                if let Err(left) = place.storage.abort_upload(&upload).await {
                    session.console.warn(&format!(
                        "the unfinished upload `{}` was not removed: {}",
                        upload.id,
                        left.chain()
                    ));
                }
                return Err(error.into());
            }
        }
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

async fn parts(
    session: &Session,
    place: &Place,
    upload: &Upload,
    first: Bytes,
    bytes: &mut u64,
) -> Result<Vec<Part>> {
    let mut done: Vec<Part> = Vec::new();
    let mut flying = FuturesUnordered::new();
    let mut next = Some(first);
    let mut number = 1;
    while let Some(body) = next {
        if number > MOST_PARTS {
            return Err(Error::new(ErrorCode::UsageInvalid, "standard input is too long for one object"));
        }
        let storage = &place.storage;
        flying.push(async move { storage.upload_part(upload, number, body).await });
        number += 1;
        // Reading goes on while parts are on their way.
        let size = PART << (number / GROWTH).min(9);
        let mut reading = std::pin::pin!(read(session, size));
        let body = loop {
            tokio::select! {
                biased;
                Some(part) = flying.next(), if !flying.is_empty() => done.push(part?),
                body = &mut reading => break body?,
            }
        };
        while flying.len() >= IN_FLIGHT {
            if let Some(part) = flying.next().await {
                done.push(part?);
            }
        }
        *bytes += body.len() as u64;
        next = Some(body).filter(|body| !body.is_empty());
    }
    while let Some(part) = flying.next().await {
        done.push(part?);
    }
    done.sort_by_key(|part| part.number);
    Ok(done)
}

/// Reads standard input on a thread that may wait.
async fn read(session: &Session, limit: u64) -> Result<Bytes> {
    let console = session.console.clone();
    let reading = tokio::task::spawn_blocking(move || console.read(limit));
    tokio::select! {
        bytes = reading => bytes
            .map_err(std::io::Error::other)
            .and_then(|read| read)
            .map(Bytes::from)
            .map_err(|error| {
                Error::new(ErrorCode::LocalFailed, "cannot read standard input").source(error)
            }),
        () = session.cancel.cancelled() => Err(crate::interrupted()),
    }
}
