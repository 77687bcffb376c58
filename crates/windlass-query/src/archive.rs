//! ZIP archives: their members as files.

use crate::blocking::{Ranged, bridge};
use crate::error::from_io;
use crate::files::{Noted, SourceFile};
use crate::format::Declared;
use crate::text::{Bytewise, unreadable};
use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::{StreamExt as _, TryStreamExt as _};
use std::io;
use std::sync::Arc;
use windlass_formats::zip::{self, Member};
use windlass_formats::{Failure, source::Seekable};
use windlass_s3::access::ByteRange;
use windlass_types::{Error, ErrorCode, Result};

/// Archives looked into side by side.
const AT_ONCE: usize = 8;

/// Puts the members of archives in the place of the archives.
pub(crate) async fn expand(
    files: Vec<Arc<SourceFile>>,
    declared: &Declared,
    table: &str,
) -> Result<Vec<Arc<SourceFile>>> {
    let by_name = |file: &SourceFile| file.name().to_ascii_lowercase().ends_with(".zip");
    let some = declared.zip.unwrap_or_else(|| files.iter().any(|file| by_name(file)));
    let one =
        declared.zip.is_none() && declared.kind.is_none_or(windlass_formats::detect::Kind::is_text);
    // One file without a telling name is looked at.
    let looked = match files.as_slice() {
        [file] if one && !some && crate::format::kind_of(file.name()).is_none() => {
            is_archive(file).await?
        }
        _ => false,
    };
    if !some && !looked {
        return Ok(files);
    }
    let all = declared.zip == Some(true) || looked;
    let mut tasks = Vec::with_capacity(files.len());
    for file in files {
        tasks.push(async move {
            if !all && !by_name(&file) {
                return Ok(vec![file]);
            }
            members(file).await
        });
    }
    let found: Vec<Vec<Arc<SourceFile>>> =
        futures::stream::iter(tasks).buffered(AT_ONCE).try_collect().await?;
    let mut found: Vec<Arc<SourceFile>> = found.into_iter().flatten().collect();
    if let Some(pattern) = &declared.members {
        found
            .retain(|file| file.member.as_ref().is_none_or(|member| pattern.matches(&member.name)));
    }
    if found.is_empty() {
        let error = Error::new(
            ErrorCode::FormatEmpty,
            format!("the archives of `{table}` hold no file that is meant"),
        );
        return Err(match &declared.members {
            Some(_) => error.hint("MEMBERS is a glob of their paths, such as `**/*.csv`"),
            None => error.hint("they have no members but folders and hidden files"),
        });
    }
    Ok(found)
}

async fn is_archive(file: &Arc<SourceFile>) -> Result<bool> {
    let range = ByteRange::Bounded(0, file.size.min(4));
    let head: Vec<Bytes> = file.open(Some(range)).await?.try_collect().await?;
    if head.concat() != zip::MAGIC {
        return Ok(false);
    }
    let ranged = Ranged::new(Arc::clone(file));
    let book = blocking(move || zip::is_workbook(ranged.boxed())).await?;
    Ok(!book.map_err(|failure| unreadable(file, "ZIP", io::Error::other(failure.to_string())))?)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    SpawnedTask::spawn_blocking(work)
        .join()
        .await
        .map_err(|error| Error::new(ErrorCode::Internal, "an archive was not read").source(error))
}

async fn members(file: Arc<SourceFile>) -> Result<Vec<Arc<SourceFile>>> {
    let ranged = Ranged::new(Arc::clone(&file));
    let failed = ranged.failure();
    let size = file.size;
    let found = blocking(move || zip::members(ranged.boxed(), size)).await?;
    let found = found.map_err(|failure| {
        failed
            .take()
            .unwrap_or_else(|| unreadable(&file, "ZIP", io::Error::other(failure.to_string())))
    })?;
    let of = |member: Member| {
        Arc::new(SourceFile {
            storage: windlass_s3::Storage::clone(&file.storage),
            object: file.object.clone(),
            size: file.size,
            etag: file.etag.clone(),
            modified: file.modified,
            base: file.base,
            member: Some(Arc::new(member)),
            noted: Noted::default(),
        })
    };
    Ok(found.into_iter().map(of).collect())
}

/// The bytes of a member, as they are decompressed.
pub(crate) fn open(file: Arc<SourceFile>, member: Arc<Member>) -> Bytewise {
    bridge(move |send| {
        let ranged = Ranged::new(Arc::clone(&file));
        let failed = ranged.failure();
        let ranged: Box<dyn Seekable> = ranged.boxed();
        let read = zip::read(ranged, &member, &mut |bytes| send(Ok(Bytes::copy_from_slice(bytes))));
        if let Err(failure) = read {
            let error = failed.take().unwrap_or_else(|| said(&file, &failure));
            send(Err(io::Error::other(error)));
        }
    })
}

fn said(file: &SourceFile, failure: &Failure) -> Error {
    from_io(io::Error::other(failure.to_string()), file)
}
