//! How much at once, and how fast: a limit of requests under way that follows what the service
//! bears, and a limit of bytes a second.
//!
//! A service that asks to slow down halves the limit, at most once in a while; every few answers in
//! a row raise it by one, up to what was asked for.

use crate::run::closed;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windlass_types::Result;

/// Halving again sooner would punish one burst of refusals many times.
const BREATH: Duration = Duration::from_millis(500);

/// Bytes that may pass at once after a pause, in seconds of the limit.
const BURST: f64 = 0.25;

/// The limits of one run.
pub(crate) struct Pace {
    shared: Arc<Shared>,
    bucket: Option<Mutex<Bucket>>,
}

struct Shared {
    slots: Arc<Semaphore>,
    most: usize,
    /// Slots in force.
    limit: AtomicUsize,
    /// Slots to be taken away when they come back.
    owed: AtomicUsize,
    /// Answers since the last change.
    well: AtomicUsize,
    slowed: Mutex<Option<Instant>>,
}

struct Bucket {
    a_second: f64,
    /// Bytes that may pass; below zero: they are being waited for.
    left: f64,
    at: Instant,
}

/// A request under way.
pub(crate) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let owed = self
            .shared
            .owed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| owed.checked_sub(1));
        if owed.is_ok()
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
        }
    }
}

impl Pace {
    /// At most `most` requests at once, and `bandwidth` bytes a second, if it is not 0.
    pub(crate) fn new(most: usize, bandwidth: u64) -> Self {
        let most = most.max(1);
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let a_second = bandwidth as f64;
        let bucket = Bucket { a_second, left: a_second * BURST, at: Instant::now() };
        Self {
            shared: Arc::new(Shared {
                slots: Arc::new(Semaphore::new(most)),
                most,
                limit: AtomicUsize::new(most),
                owed: AtomicUsize::new(0),
                well: AtomicUsize::new(0),
                slowed: Mutex::default(),
            }),
            bucket: (bandwidth > 0).then(|| Mutex::new(bucket)),
        }
    }

    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> Result<Slot> {
        let permit = Arc::clone(&self.shared.slots).acquire_owned().await.map_err(closed)?;
        Ok(Slot { permit: Some(permit), shared: Arc::clone(&self.shared) })
    }

    /// Takes bytes from the bucket; answers how long to wait before they pass.
    pub(crate) fn pass(&self, bytes: u64) -> Duration {
        let Some(bucket) = &self.bucket else { return Duration::ZERO };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(bucket.at).as_secs_f64() * bucket.a_second;
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let bytes = bytes as f64;
        bucket.left = (bucket.left + gained).min(bucket.a_second * BURST) - bytes;
        bucket.at = now;
        if bucket.left >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-bucket.left / bucket.a_second).unwrap_or(Duration::MAX)
    }

    /// A request was answered.
    pub(crate) fn went_well(&self) {
        let shared = &self.shared;
        let limit = shared.limit.load(Ordering::Relaxed);
        if limit >= shared.most || shared.well.fetch_add(1, Ordering::Relaxed) + 1 < limit.max(8) {
            return;
        }
        shared.well.store(0, Ordering::Relaxed);
        let raised = shared.limit.fetch_update(Ordering::AcqRel, Ordering::Acquire, |limit| {
            (limit < shared.most).then_some(limit + 1)
        });
        if raised.is_err() {
            return;
        }
        let owed = shared
            .owed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |owed| owed.checked_sub(1));
        if owed.is_err() {
            shared.slots.add_permits(1);
        }
    }

    /// The service asked to slow down.
    pub(crate) fn slow_down(&self) {
        let shared = &self.shared;
        let mut slowed = shared.slowed.lock().unwrap_or_else(PoisonError::into_inner);
        if slowed.is_some_and(|at| at.elapsed() < BREATH) {
            return;
        }
        *slowed = Some(Instant::now());
        shared.well.store(0, Ordering::Relaxed);
        let before = shared.limit.load(Ordering::Relaxed);
        let after = (before / 2).max(1);
        shared.limit.store(after, Ordering::Relaxed);
        let taken = shared.slots.forget_permits(before - after);
        shared.owed.fetch_add(before - after - taken, Ordering::AcqRel);
        tracing::debug!(before, after, "slowing down");
    }

    #[cfg(test)]
    fn limit(&self) -> usize {
        self.shared.limit.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_service_halves_what_is_under_way_and_answers_raise_it_again() {
        let pace = Pace::new(16, 0);
        let mut held = Vec::new();
        for _ in 0..12 {
            held.push(pace.slot().await.unwrap());
        }
        pace.slow_down();
        pace.slow_down();
        assert_eq!(pace.limit(), 8, "one burst counts once");
        assert_eq!(pace.shared.slots.available_permits(), 0);
        held.truncate(8);
        assert_eq!(pace.shared.slots.available_permits(), 0, "four were owed");
        held.clear();
        assert_eq!(pace.shared.slots.available_permits(), 8);
        for _ in 0..8 {
            pace.went_well();
        }
        assert_eq!((pace.limit(), pace.shared.slots.available_permits()), (9, 9));
        for _ in 0..1000 {
            pace.went_well();
        }
        assert_eq!((pace.limit(), pace.shared.slots.available_permits()), (16, 16));
    }

    #[test]
    fn bytes_wait_for_their_turn() {
        let pace = Pace::new(1, 1000);
        assert_eq!(pace.pass(200), Duration::ZERO);
        let wait = pace.pass(1050);
        assert!((0.9..=1.0).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(pace.pass(500) > wait, "who comes later waits longer");
        assert_eq!(Pace::new(1, 0).pass(u64::MAX), Duration::ZERO);
    }
}
