//! `mb` and `rb`: make and remove buckets.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::render::Format;
use crate::session::{Place, Session};
use clap::Args;
use windlass_types::{Error, ErrorCode, Result};

/// Make a bucket.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. A new bucket:   windlass mb landing:acme-orders")]
pub struct Make {
    /// CONN:BUCKET
    #[arg(value_name = "CONN:BUCKET")]
    pub path: String,
}

/// Remove an empty bucket.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. Remove a bucket:             windlass rb landing:acme-orders
  2. Remove what is in it first:  windlass rm -r landing:acme-orders")]
pub struct Remove {
    /// CONN:BUCKET
    #[arg(value_name = "CONN:BUCKET")]
    pub path: String,
}

/// `mb`.
pub async fn make(session: &Session, args: Make) -> Ending {
    let place = session.remote_place(&args.path).await?;
    let bucket = bucket(&place)?;
    place.storage.create_bucket(bucket).await?;
    said(session, bucket, "made")
}

/// `rb`.
pub async fn remove(session: &Session, args: Remove) -> Ending {
    let place = session.remote_place(&args.path).await?;
    let bucket = bucket(&place)?;
    place.storage.delete_bucket(bucket).await?;
    said(session, bucket, "removed")
}

fn bucket(place: &Place) -> Result<&str> {
    let Some(bucket) = place.location.bucket.as_deref() else {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            format!("`{}` names no bucket", place.typed()),
        )
        .hint(format!("write `{}BUCKET`", place.typed().trim_end_matches('/'))));
    };
    if let Some(bound) = &place.storage.binding().bucket
        && bound == windlass_core::local::BUCKET
    {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            format!("`{}` is a folder of this machine, which has no buckets", place.storage.name()),
        )
        .hint("folders are made by writing into them; `rm -r` removes one"));
    }
    if let Some(bound) = &place.storage.binding().bucket
        && !place.location.key.is_empty()
    {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            format!(
                "connection `{}` is bound to the bucket `{bound}`: it can name no other",
                place.storage.name()
            ),
        )
        .hint("use a connection without BUCKET, and write `CONN:BUCKET`"));
    }
    if place.location.key.trim_end_matches('/').is_empty() {
        return Ok(bucket);
    }
    Err(Error::new(ErrorCode::UsageInvalid, format!("`{}` is more than a bucket", place.typed()))
        .hint("write `CONN:BUCKET` alone; folders need not be made"))
}

fn said(session: &Session, bucket: &str, done: &str) -> Ending {
    match session.global.output {
        Format::Table => session.console.line(&format!("bucket `{bucket}` {done}"))?,
        _ => session.talk(&format!("bucket `{bucket}` {done}")),
    }
    Ok(Outcome::Done)
}
