//! One open file or folder of a server: its handle, and the requests that read and write through it.

use super::session::Session;
use super::{Sftp, item};
use crate::error::changed;
use crate::names::split;
use crate::tree::{Item, Sink};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use std::sync::{Arc, Mutex, PoisonError};
use windlass_types::{Error, Result};

/// Bytes of one read or write request: what every server takes.
const CHUNK: u64 = 32 << 10;

/// Requests of one file on their way at once.
pub(super) const IN_FLIGHT: usize = 32;

/// An open handle, closed when dropped.
pub(super) struct Open {
    sftp: Sftp,
    session: Arc<Session>,
    pub(super) handle: String,
    pub(super) path: String,
    closed: Mutex<bool>,
}

impl Open {
    pub(super) async fn new(sftp: &Sftp, path: &str, flags: OpenFlags) -> Result<Self> {
        let session = sftp.session().await?;
        let doing = if flags.contains(OpenFlags::WRITE) { "write" } else { "read" };
        let opened = session.sftp.open(sftp.path(path), flags, FileAttributes::empty()).await;
        let handle = opened.map_err(|error| sftp.error(&session, doing, path, error))?.handle;
        Ok(Self::of(sftp, &session, handle, path))
    }

    /// A handle that a session has opened.
    pub(super) fn of(sftp: &Sftp, session: &Arc<Session>, handle: String, path: &str) -> Self {
        let (sftp, session) = (sftp.clone(), Arc::clone(session));
        Self { sftp, session, handle, path: path.to_owned(), closed: Mutex::new(false) }
    }

    fn error(&self, doing: &str, error: SftpError) -> Error {
        self.sftp.error(&self.session, doing, &self.path, error)
    }

    pub(super) async fn state(&self) -> Result<Item> {
        let found = self.session.sftp.fstat(self.handle.as_str()).await;
        let found = found.map_err(|error| self.error("read", error))?;
        Ok(item(split(&self.path).1.to_owned(), &found.attrs))
    }

    /// Reads exactly these bytes; servers may answer with fewer at once.
    pub(super) async fn exactly(&self, from: u64, length: u64) -> Result<Bytes> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let want = u32::try_from(length - bytes.len() as u64).unwrap_or(u32::MAX);
            let offset = from + bytes.len() as u64;
            match self.session.sftp.read(self.handle.as_str(), offset, want).await {
                Ok(data) if data.data.is_empty() => return Err(changed(&self.path)),
                Ok(data) => bytes.extend(data.data),
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => {
                    return Err(changed(&self.path));
                }
                Err(error) => return Err(self.error("read", error)),
            }
        }
        Ok(bytes.into())
    }

    pub(super) async fn close(&self) -> Result<()> {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let closed = self.session.sftp.close(self.handle.as_str()).await;
        closed.map(drop).map_err(|error| self.error("close", error))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if *self.closed.lock().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        let (session, handle) = (Arc::clone(&self.session), std::mem::take(&mut self.handle));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { session.sftp.close(handle).await });
        }
    }
}

/// Offsets and lengths of the requests for these bytes.
pub(super) fn pieces(from: u64, length: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..length.div_ceil(CHUNK)).map(move |index| {
        let done = index * CHUNK;
        (from + done, CHUNK.min(length - done))
    })
}

#[async_trait]
impl Sink for Open {
    fn ordered(&self) -> bool {
        false
    }

    async fn write(&self, offset: u64, body: Bytes) -> Result<()> {
        let writes = pieces(0, body.len() as u64).map(|(at, length)| {
            let at_body = usize::try_from(at).unwrap_or(usize::MAX);
            let end = at_body + usize::try_from(length).unwrap_or_default();
            let piece = body.slice(at_body..end);
            async move {
                let piece = piece.to_vec();
                self.session.sftp.write(self.handle.as_str(), offset + at, piece).await
            }
        });
        let done = futures::stream::iter(writes)
            .buffer_unordered(IN_FLIGHT)
            .try_for_each(|_| std::future::ready(Ok(())))
            .await;
        done.map_err(|error| self.error("write", error))
    }

    async fn finish(&self) -> Result<()> {
        self.close().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_cover_a_range_without_gap() {
        let all: Vec<_> = pieces(10, CHUNK * 2 + 1).collect();
        assert_eq!(all, [(10, CHUNK), (10 + CHUNK, CHUNK), (10 + 2 * CHUNK, 1)]);
        assert_eq!(pieces(0, 0).count(), 0);
    }
}
