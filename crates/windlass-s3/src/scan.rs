//! Listing everything below a prefix, as many pages side by side as is worth it.
//!
//! The first page comes as it always did. If more follows and somebody reads on, the key space is
//! cut into ranges while it is read: where the order of the service makes a cut valid, where what
//! was seen says that much is left, and as often as a budget of requests allows. What is known of
//! the order is in [`crate::order`], where to cut in [`cut`], one range in [`range`], the reading
//! in [`driver`]. Nothing here knows how a page is fetched.

mod budget;
mod cut;
mod driver;
#[cfg(test)]
mod fake;
mod range;
#[cfg(test)]
mod tests;

use crate::order::ListingOrder;
use crate::row::Row;
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;
use windlass_types::{Error, ErrorCode, Result};

/// Keys on a full page, as services have it.
pub(crate) const PAGE: usize = 1000;

/// Requests of one listing in flight, unless the connection allows fewer.
pub(crate) const WORKERS: usize = 24;

/// One request for a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) prefix: String,
    /// Cut at `/`: one level.
    pub(crate) level: bool,
    pub(crate) token: Option<String>,
    pub(crate) start_after: Option<String>,
    /// Rows at most; None leaves it to the service.
    pub(crate) most: Option<i32>,
}

/// One page, decoded, in the order the service gave it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) truncated: bool,
    /// Where it goes on.
    pub(crate) token: Option<String>,
}

/// Whoever fetches pages of one bucket.
#[async_trait]
pub(crate) trait Pages: Send + Sync + 'static {
    /// Fetches one page.
    async fn page(&self, ask: Ask) -> Result<Answer>;
}

/// What is known of the order of a service: promised by it, or found out.
#[derive(Debug, Default)]
pub(crate) struct Orders(Mutex<Option<ListingOrder>>);

impl Orders {
    /// What was found; None before anything was.
    pub(crate) fn found(&self) -> Option<ListingOrder> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a finding. That there is no order is never taken back.
    pub(crate) fn note(&self, order: ListingOrder) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *found != Some(ListingOrder::None) {
            *found = Some(order);
        }
    }
}

/// What to list, and how.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    /// How errors name it.
    pub(crate) what: String,
    pub(crate) prefix: String,
    pub(crate) start_after: Option<String>,
    /// No key behind this one is wanted; where byte order is promised none is asked for.
    pub(crate) until: Option<String>,
    /// Rows come as a plain listing would give them; else as they arrive.
    pub(crate) ordered: bool,
    /// The second page is asked for only when the first was read through.
    pub(crate) lazy: bool,
    /// Requests in flight at most; 1 lists plainly.
    pub(crate) workers: usize,
    /// Requests that may be spent beyond a plain listing and a fifth of its pages, if fewer than usual.
    pub(crate) spare: Option<usize>,
    /// The order the service promises; None where it must be found out.
    pub(crate) promised: Option<ListingOrder>,
    pub(crate) orders: Arc<Orders>,
}

/// What the driver says to the reader.
enum Message {
    Rows(Vec<Row>),
    Failed(Error),
    End,
}

/// Lists everything below a prefix. Pages are fetched ahead of the reader, within bounded memory;
/// dropping the stream stops it.
pub(crate) fn list(pages: Arc<dyn Pages>, listing: Listing) -> BoxStream<'static, Result<Row>> {
    async_stream::try_stream! {
        let (sender, mut receiver) = mpsc::channel(1);
        let taken = Arc::new(Notify::new());
        let driver = driver::Driver::new(pages, listing, Arc::clone(&taken));
        let work = AbortOnDropHandle::new(tokio::spawn(driver.run(sender)));
        loop {
            match receiver.recv().await {
                Some(Message::Rows(rows)) => {
                    for row in rows {
                        yield row;
                    }
                    taken.notify_one();
                }
                Some(Message::Failed(error)) => Err(error)?,
                Some(Message::End) => break,
                // The driver ended without a word: never taken for the end of the listing.
                None => Err(Error::new(ErrorCode::Internal, "a listing stopped"))?,
            }
        }
        drop(work);
    }
    .boxed()
}
