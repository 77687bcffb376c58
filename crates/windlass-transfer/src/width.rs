//! How many parts of large objects are under way: more while that makes the whole faster.
//!
//! Near a service a few parts keep the network busy, and more would only hold memory: their bytes, or
//! at least the buffers of a connection. Far from it
//! each of them waits for round trips, so their number grows as long as bytes a second grow with it.

use crate::run::closed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use windlass_types::Result;

/// Parts under way at first.
const FIRST: usize = 6;

/// Parts added at once.
const STEP: usize = 2;

/// Growth of bytes a second, in percent, that is worth a step: a quarter more parts should give
/// about as much where the round trips are what takes long.
const WORTH: u64 = 112;

/// Parts under way in one run.
pub(crate) struct Width {
    places: Arc<Semaphore>,
    most: usize,
    seen: Mutex<Seen>,
}

struct Seen {
    width: usize,
    since: Instant,
    parts: usize,
    bytes: u64,
    /// Bytes a second before the last step.
    before: u64,
    settled: bool,
    /// Places to be taken away when they come back.
    owed: usize,
}

impl Width {
    /// At most `most` parts at once.
    pub(crate) fn new(most: usize) -> Self {
        let width = FIRST.min(most.max(1));
        let seen = Seen {
            width,
            since: Instant::now(),
            parts: 0,
            bytes: 0,
            before: 0,
            settled: width >= most,
            owed: 0,
        };
        Self { places: Arc::new(Semaphore::new(width)), most, seen: Mutex::new(seen) }
    }

    /// Waits for the place of one part.
    pub(crate) async fn place(&self) -> Result<OwnedSemaphorePermit> {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(closed)?;
            let mut seen = self.seen();
            if seen.owed == 0 {
                return Ok(place);
            }
            seen.owed -= 1;
            place.forget();
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of so many bytes was written.
    pub(crate) fn done(&self, bytes: u64) {
        let mut seen = self.seen();
        if seen.settled {
            return;
        }
        seen.parts += 1;
        seen.bytes += bytes;
        // Two rounds of all places are the least that says something.
        if seen.parts < seen.width * 2 {
            return;
        }
        let micros = seen.since.elapsed().as_micros().max(1);
        let rate = u128::from(seen.bytes) * 1_000_000 / micros;
        self.measured(&mut seen, u64::try_from(rate).unwrap_or(u64::MAX));
        (seen.since, seen.parts, seen.bytes) = (Instant::now(), 0, 0);
    }

    /// Takes the next step, or the last one back.
    fn measured(&self, seen: &mut Seen, rate: u64) {
        if seen.before > 0 && rate.saturating_mul(100) < seen.before.saturating_mul(WORTH) {
            seen.width -= STEP;
            seen.owed += STEP;
            seen.settled = true;
            return;
        }
        seen.before = rate;
        if self.most < seen.width + STEP {
            seen.settled = true;
            return;
        }
        seen.width += STEP;
        self.places.add_permits(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn places(width: &Width) -> usize {
        let mut held = Vec::new();
        while let Ok(Ok(place)) =
            tokio::time::timeout(std::time::Duration::from_millis(5), width.place()).await
        {
            held.push(place);
        }
        held.len()
    }

    #[tokio::test]
    async fn parts_side_by_side_grow_while_that_pays() {
        let width = Width::new(32);
        assert_eq!(places(&width).await, 6);
        let measure = |rate| width.measured(&mut width.seen(), rate);
        measure(100);
        assert_eq!(places(&width).await, 8);
        measure(125);
        measure(150);
        assert_eq!(places(&width).await, 12);
        measure(155);
        assert_eq!(places(&width).await, 10, "the last step was not worth it");
        for _ in 0..100 {
            width.done(1 << 20);
        }
        assert_eq!(places(&width).await, 10, "it has settled");
        let narrow = Width::new(3);
        narrow.measured(&mut narrow.seen(), 1);
        assert_eq!(places(&narrow).await, 3);
    }
}
