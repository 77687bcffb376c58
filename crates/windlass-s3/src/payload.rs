//! What a request carries: bytes in memory, or a range of a file that is read as it is sent, so that
//! a part under way takes no memory.

use crate::access::FileRange;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How much of a file is read at once.
const PIECE: u64 = 256 * 1024;

/// Bytes that can be sent again.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Bytes(Bytes),
    File(FileRange),
}

impl Payload {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(range) => range.length,
        }
    }

    /// Shows all bytes, in order. Of a file this blocks.
    pub(crate) fn each(&self, mut see: impl FnMut(&[u8])) -> io::Result<()> {
        let range = match self {
            Self::Bytes(bytes) => {
                see(bytes);
                return Ok(());
            }
            Self::File(range) => range,
        };
        let mut piece = vec![0; usize::try_from(PIECE.min(range.length)).unwrap_or(0)];
        let mut done = 0;
        while done < range.length {
            let want = usize::try_from(range.length - done).unwrap_or(usize::MAX).min(piece.len());
            range.file.read_exact_at(&mut piece[..want], range.offset + done)?;
            see(&piece[..want]);
            done += want as u64;
        }
        Ok(())
    }

    /// Brings all bytes into memory.
    pub(crate) async fn read(&self) -> io::Result<Bytes> {
        let range = match self {
            Self::Bytes(bytes) => return Ok(bytes.clone()),
            Self::File(range) => range.clone(),
        };
        let read = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(range.length).map_err(io::Error::other)?;
            let mut buffer = crate::buffers::buffer(length);
            range.file.read_exact_at(&mut buffer, range.offset)?;
            Ok(crate::buffers::bytes_of(buffer))
        });
        read.await.map_err(io::Error::other)?
    }

    /// A body that sends it once.
    pub(crate) fn body(&self) -> Sending {
        Sending { payload: self.clone(), done: 0 }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

/// A payload on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    payload: Payload,
    done: u64,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = self.payload.len() - self.done;
        if left == 0 {
            return Poll::Ready(None);
        }
        let piece = match &self.payload {
            Payload::Bytes(bytes) => Ok(bytes.clone()),
            // Its checksum was computed a moment ago, so it is in the cache of the system.
            Payload::File(range) => {
                let mut piece = vec![0; usize::try_from(PIECE.min(left)).unwrap_or(0)];
                range
                    .file
                    .read_exact_at(&mut piece, range.offset + self.done)
                    .map(|()| Bytes::from(piece))
            }
        };
        Poll::Ready(Some(piece.map(|piece| {
            self.done += piece.len() as u64;
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.done == self.payload.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.payload.len() - self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::io::Write as _;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_range_of_a_file_is_the_same_bytes_however_it_is_taken() {
        let mut file = tempfile::tempfile().unwrap();
        let all: Vec<u8> = (0..900_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        file.write_all(&all).unwrap();
        let range = FileRange { file: Arc::new(file), offset: 7, length: 700_000 };
        let payload = Payload::File(range.clone());
        let expected = &all[7..700_007];
        let mut seen = Vec::new();
        payload.each(|piece| seen.extend_from_slice(piece)).unwrap();
        assert!(seen == expected);
        assert!(payload.read().await.unwrap() == expected);
        let body = payload.body();
        assert_eq!(body.size_hint().exact(), Some(700_000));
        assert!(body.collect().await.unwrap().to_bytes() == expected);
        let past = Payload::File(FileRange { offset: 300_000, ..range });
        assert_eq!(past.read().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(past.body().collect().await.is_err());
        let empty = Payload::from(Bytes::new());
        assert!(empty.body().is_end_stream());
    }
}
