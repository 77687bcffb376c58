//! Few threads for what writes.
//!
//! Many small files keep them busy without a pause. A thread for each would sleep and be woken for
//! each, which costs more than writing it.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use windlass_types::{Error, ErrorCode, Result};

/// Threads that write at a time. More of them only wait for each other in the file system.
const MOST: usize = 8;

/// What waits for each thread before another one helps.
const EACH: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    at_work: usize,
}

/// Does what writes, in the order in which it is asked, a few at a time.
#[derive(Default)]
pub(super) struct Writers(Mutex<State>);

impl fmt::Debug for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writers").field("at_work", &self.state().at_work).finish_non_exhaustive()
    }
}

impl Writers {
    /// Does `work`, unless nobody waits for it any more when its turn comes.
    pub(super) async fn run<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.add(Box::new(move || {
            if !sender.is_closed() {
                let _ = sender.send(work());
            }
        }));
        receiver.await.map_err(|_| Error::new(ErrorCode::Internal, "a write stopped"))?
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, work: Work) {
        let mut state = self.state();
        state.waiting.push_back(work);
        let help = state.at_work == 0 || state.waiting.len() > state.at_work * EACH;
        if help && state.at_work < MOST {
            state.at_work += 1;
            drop(state);
            let writers = Arc::clone(self);
            tokio::task::spawn_blocking(move || writers.write());
        }
    }

    /// Works until nothing waits.
    fn write(&self) {
        loop {
            let mut state = self.state();
            let Some(work) = state.waiting.pop_front() else {
                state.at_work -= 1;
                return;
            };
            drop(state);
            // Whoever waits for it hears that it stopped; the others must not.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn all_is_done_by_few_threads_and_one_that_panics_harms_nobody() {
        let writers = Arc::new(Writers::default());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let all = (0..500).map(|number| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            let writers = Arc::clone(&writers);
            async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_micros(50));
                    now.fetch_sub(1, Ordering::SeqCst);
                    assert_ne!(number, 250, "on purpose");
                    Ok(number)
                };
                writers.run(work).await
            }
        });
        let done = futures::future::join_all(all).await;
        for (number, outcome) in done.into_iter().enumerate() {
            match outcome {
                Ok(found) => assert_eq!(found, number),
                Err(error) => assert_eq!((number, error.code()), (250, ErrorCode::Internal)),
            }
        }
        assert!(most.load(Ordering::SeqCst) <= MOST);
        // The last one ends just after its work was told.
        let ended = async {
            while writers.state().at_work > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), ended).await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_begun() {
        let writers = Arc::new(Writers::default());
        let begun = Arc::new(AtomicUsize::new(0));
        let (ends, end) = std::sync::mpsc::channel::<()>();
        let counted = |begun: &Arc<AtomicUsize>| {
            let begun = Arc::clone(begun);
            move || {
                begun.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        };
        // One thread is busy, and the next does not help yet.
        let first = tokio::spawn({
            let (writers, count) = (Arc::clone(&writers), counted(&begun));
            let work = move || end.recv().map_or_else(|_| count(), |()| count());
            async move { writers.run(work).await }
        });
        tokio::task::yield_now().await;
        let given_up = tokio::time::timeout(Duration::from_millis(1), writers.run(counted(&begun)));
        assert!(given_up.await.is_err());
        ends.send(()).unwrap();
        first.await.unwrap().unwrap();
        writers.run(|| Ok(())).await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }
}
