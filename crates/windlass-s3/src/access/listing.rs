//! How to list, and what a listing may cost.

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// How to list.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "switches of one request, each for itself")]
pub struct ListOptions {
    /// All objects below, instead of one level with its prefixes.
    pub recursive: bool,
    /// Apply the connection's display filters: for browsing, not for data.
    pub display: bool,
    /// Begin after this key; only meaningful for services that list in byte order.
    pub start_after: Option<String>,
    /// Keys behind this one are not wanted. They may come all the same, but where the service promises
    /// byte order a recursive listing reads no further.
    pub until: Option<String>,
    /// Entries come in the order that the service gives them, whatever that is
    /// ([`ObjectAccess::listing_order`](super::ObjectAccess::listing_order)). Without it those of a
    /// recursive listing come as they arrive, which is faster.
    pub ordered: bool,
    /// Ask for no page of a recursive listing before the one before it is read through: for readers
    /// that may need only the first.
    pub lazy: bool,
    /// Counts the requests of the listing, where the storage knows them.
    pub requests: Option<Arc<AtomicU64>>,
    /// Requests that a recursive listing may cost, to be faster, beyond those of one that asks for page
    /// after page and a fifth of them; None: as many as are usual.
    pub spare: Option<usize>,
    /// Each request waits for its turn, where
    /// [`ObjectAccess::takes_turns`](super::ObjectAccess::takes_turns).
    pub turns: Option<Arc<dyn Turns>>,
}

/// Says when another request may begin.
#[async_trait]
pub trait Turns: Send + Sync + std::fmt::Debug {
    /// Waits until it may.
    async fn turn(&self);
}
