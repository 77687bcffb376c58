//! How much at once, and how fast: a limit of requests under way that follows what the service
//! bears, and a limit of bytes a second.
//!
//! A service that asks to slow down halves the limit, at most once in a while, also where the client
//! asks again by itself; every few answers in a row raise it by one, up to what was asked for.

use crate::run::closed;
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windlass_s3::Turns;
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
    /// How often the services have asked to slow down, as far as it was heard of.
    heard: AtomicU64,
}

#[derive(Debug)]
struct Bucket {
    a_second: f64,
    /// What may pass; below zero: it is being waited for.
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Takes from it; answers how long to wait. It never holds more than `most`.
    fn take(&mut self, amount: f64, most: f64, now: Instant) -> Duration {
        let gained = now.duration_since(self.at).as_secs_f64() * self.a_second;
        self.left = (self.left + gained).min(most) - amount;
        self.at = now;
        if self.left >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.left / self.a_second).unwrap_or(Duration::MAX)
    }
}

/// Requests begun a second, evenly: a burst of a quarter of a second, then one after the other.
#[derive(Debug)]
pub(crate) struct Rate(Mutex<Bucket>);

impl Rate {
    /// So many a second.
    pub(crate) fn new(a_second: u32) -> Self {
        let a_second = f64::from(a_second.max(1));
        Self(Mutex::new(Bucket { a_second, left: (a_second * BURST).max(1.0), at: Instant::now() }))
    }

    /// Takes a turn; answers how long to wait for it.
    fn take(&self, now: Instant) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = (bucket.a_second * BURST).max(1.0);
        bucket.take(1.0, most, now)
    }
}

#[async_trait]
impl Turns for Rate {
    /// Waits until another request may begin.
    async fn turn(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
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
                heard: AtomicU64::new(0),
            }),
            bucket: (bandwidth > 0).then(|| Mutex::new(bucket)),
        }
    }

    /// The same with services that have asked to slow down so often before.
    pub(crate) fn since(self, slow_downs: u64) -> Self {
        self.shared.heard.store(slow_downs, Ordering::Relaxed);
        self
    }

    /// Hears how often the services have asked to slow down by now, whatever became of the requests.
    pub(crate) fn hear(&self, slow_downs: u64) {
        let heard = &self.shared.heard;
        if slow_downs > heard.load(Ordering::Relaxed)
            && heard.fetch_max(slow_downs, Ordering::AcqRel) < slow_downs
        {
            self.slow_down();
        }
    }

    /// Waits for a slot.
    pub(crate) async fn slot(&self) -> Result<Slot> {
        let permit = Arc::clone(&self.shared.slots).acquire_owned().await.map_err(closed)?;
        Ok(Slot { permit: Some(permit), shared: Arc::clone(&self.shared) })
    }

    /// Takes bytes from the bucket; answers how long to wait before they pass.
    pub(crate) fn pass(&self, bytes: u64) -> Duration {
        self.pass_at(bytes, Instant::now())
    }

    fn pass_at(&self, bytes: u64, now: Instant) -> Duration {
        let Some(bucket) = &self.bucket else { return Duration::ZERO };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        #[allow(clippy::cast_precision_loss, reason = "a rate")]
        let bytes = bytes as f64;
        let most = bucket.a_second * BURST;
        bucket.take(bytes, most, now)
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

    /// Requests that may be under way at once, as of now.
    pub(crate) fn limit(&self) -> usize {
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
    fn a_service_that_is_asked_again_until_it_answers_slows_a_run_down_too() {
        let pace = Pace::new(16, 0).since(5);
        let later = || *pace.shared.slowed.lock().unwrap() = None;
        pace.hear(5);
        assert_eq!(pace.limit(), 16, "that was before the run");
        pace.hear(6);
        assert_eq!((pace.limit(), pace.shared.slots.available_permits()), (8, 8));
        pace.hear(7);
        assert_eq!(pace.limit(), 8, "one burst counts once");
        later();
        pace.hear(7);
        assert_eq!(pace.limit(), 8, "it was heard of");
        pace.hear(8);
        assert_eq!(pace.limit(), 4);
        for _ in 0..8 {
            pace.went_well();
        }
        assert_eq!((pace.limit(), pace.shared.slots.available_permits()), (5, 5));
    }

    #[test]
    fn requests_begin_one_after_the_other_at_their_rate() {
        let rate = Rate::new(100);
        let now = Instant::now();
        let waits: Vec<Duration> = (0..125).map(|_| rate.take(now)).collect();
        assert!(waits[..25].iter().all(Duration::is_zero), "a quarter of a second at once");
        assert!((0.9..=1.0).contains(&waits[124].as_secs_f64()), "{:?}", waits[124]);
        let slow = Rate::new(1);
        assert_eq!(slow.take(now), Duration::ZERO);
        assert!(slow.take(now) > Duration::from_millis(900));
    }

    #[test]
    fn bytes_wait_for_their_turn() {
        let pace = Pace::new(1, 1000);
        let now = Instant::now();
        assert_eq!(pace.pass_at(200, now), Duration::ZERO);
        let wait = pace.pass_at(1050, now);
        assert!((0.9..=1.0).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(pace.pass_at(500, now) > wait, "who comes later waits longer");
        assert_eq!(Pace::new(1, 0).pass(u64::MAX), Duration::ZERO);
    }
}
