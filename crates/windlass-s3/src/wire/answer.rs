//! What comes back: a successful answer, its body read whole, or silence.

use super::xml::Fault;
use super::{Body, Wire};
use crate::error;
use crate::list::Page;
use http::HeaderMap;

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    /// The whole body, but of a read and of a listing.
    pub(crate) text: Vec<u8>,
    /// What a listing has.
    pub(super) page: Option<Result<Page, Fault>>,
    /// The body of a read.
    pub(crate) body: Option<Body>,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Why there was no answer.
pub(super) struct Silence {
    pub(super) text: String,
    pub(super) timed_out: bool,
    /// The connection had been idle and the service closed it: nothing was done.
    pub(super) stale: bool,
}

impl Wire {
    /// The text of a body, or as much of it as `most` and a piece.
    pub(super) async fn text(&self, body: &mut Body, most: usize) -> Result<Vec<u8>, Silence> {
        let expected = body.length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut text = Vec::with_capacity(expected.min(4 * 1024 * 1024));
        self.read(body, most, |bytes| text.extend_from_slice(bytes)).await?;
        Ok(text)
    }

    /// Reads a body, piece by piece, until there were `most` bytes.
    pub(super) async fn read(
        &self,
        body: &mut Body,
        most: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Silence> {
        let mut taken = 0;
        while taken < most {
            match tokio::time::timeout(self.line.timeout, body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    taken += bytes.len();
                    take(&bytes);
                }
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    let text = error::text_of(&error);
                    return Err(Silence { text, timed_out: false, stale: false });
                }
                Err(_) => {
                    let text = format!("no byte for {} seconds", self.line.timeout.as_secs());
                    return Err(Silence { text, timed_out: true, stale: false });
                }
            }
        }
        Ok(())
    }
}
