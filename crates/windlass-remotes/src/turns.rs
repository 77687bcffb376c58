//! Putting the parts of an upload where they belong, without holding them.
//!
//! Callers send parts side by side. Where bytes can be written at any offset they go there at once,
//! as soon as part 1 has said how long a part is. Where they must come in order, a part waits for
//! those before it: its bytes stay with the caller, which counts them, so no memory is used here and
//! nothing is queued. A part that waits for one that never comes gives up.

use crate::error::timeout;
use crate::tree::Sink;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use windlass_types::{Error, ErrorCode, Result};

/// How long a part waits for those before it.
const PATIENCE: Duration = Duration::from_mins(30);

/// The parts of one upload.
pub(crate) struct Turns {
    state: Mutex<State>,
    moved: watch::Sender<u64>,
    patience: Duration,
}

#[derive(Default)]
struct State {
    /// Length of part 1: that of every part but the last.
    unit: Option<u64>,
    /// Lengths of parts written, by number.
    done: BTreeMap<u64, u64>,
    /// Next part of an ordered sink, and where it begins.
    next: u64,
    end: u64,
    /// A write in order failed half way: nothing can follow it.
    broken: bool,
}

impl Turns {
    pub(crate) fn new() -> Self {
        let state = State { next: 1, ..State::default() };
        let (moved, _) = watch::channel(0);
        Self { state: Mutex::new(state), moved, patience: PATIENCE }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    async fn wait<T>(&self, number: u64, ready: impl Fn(&State) -> Option<T>) -> Result<T> {
        let mut moves = self.moved.subscribe();
        loop {
            moves.borrow_and_update();
            {
                let state = self.lock();
                if state.broken {
                    return Err(broken());
                }
                if let Some(found) = ready(&state) {
                    return Ok(found);
                }
            }
            match tokio::time::timeout(self.patience, moves.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(timeout(&format!("waiting for the parts before part {number}"))),
            }
        }
    }

    /// Writes a part where it belongs.
    pub(crate) async fn part(&self, sink: &dyn Sink, number: i32, body: Bytes) -> Result<()> {
        let number =
            u64::try_from(number).ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(
                || Error::new(ErrorCode::UsageInvalid, format!("there is no part number {number}")),
            )?;
        let length = body.len() as u64;
        if sink.ordered() {
            self.ordered(sink, number, length, body).await
        } else {
            self.placed(sink, number, length, body).await
        }
    }

    async fn placed(&self, sink: &dyn Sink, number: u64, length: u64, body: Bytes) -> Result<()> {
        if number == 1 {
            self.lock().unit = Some(length);
            self.tell();
        }
        let unit = self.wait(number, |state| state.unit).await?;
        if length > unit {
            return Err(uneven(number));
        }
        sink.write((number - 1) * unit, body).await?;
        self.lock().done.insert(number, length);
        Ok(())
    }

    async fn ordered(&self, sink: &dyn Sink, number: u64, length: u64, body: Bytes) -> Result<()> {
        let offset = self
            .wait(number, |state| match number.cmp(&state.next) {
                // Sent again although it had arrived: only the answer was lost.
                std::cmp::Ordering::Less => Some(None),
                std::cmp::Ordering::Equal => Some(Some(state.end)),
                std::cmp::Ordering::Greater => None,
            })
            .await?;
        let Some(offset) = offset else {
            return if self.lock().done.get(&number) == Some(&length) {
                Ok(())
            } else {
                Err(uneven(number))
            };
        };
        // A write that is given up half way leaves no place from which to go on.
        let guard = Breaks(self, true);
        sink.write(offset, body).await?;
        guard.keep();
        {
            let mut state = self.lock();
            state.done.insert(number, length);
            state.next += 1;
            state.end += length;
        }
        self.tell();
        Ok(())
    }

    /// Checks that the parts are 1 to `numbers.len()`, without a gap; answers the bytes of all.
    pub(crate) fn whole(&self, numbers: &[i32]) -> Result<u64> {
        let state = self.lock();
        if state.broken {
            return Err(broken());
        }
        let mut total = 0;
        for (index, number) in numbers.iter().enumerate() {
            let expected = index as u64 + 1;
            let length =
                state.done.get(&expected).filter(|_| u64::try_from(*number) == Ok(expected));
            let Some(length) = length else {
                return Err(Error::new(
                    ErrorCode::UsageInvalid,
                    format!("part {expected} was not written"),
                ));
            };
            let last = index + 1 == numbers.len();
            if !last && state.unit.is_some_and(|unit| unit != *length) {
                return Err(uneven(expected));
            }
            total += length;
        }
        if state.done.len() != numbers.len() {
            return Err(Error::new(ErrorCode::UsageInvalid, "a part that was written is left out"));
        }
        Ok(total)
    }
}

/// Marks the upload as broken unless told to keep it.
struct Breaks<'a>(&'a Turns, bool);

impl Breaks<'_> {
    fn keep(mut self) {
        self.1 = false;
    }
}

impl Drop for Breaks<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.lock().broken = true;
            self.0.tell();
        }
    }
}

fn broken() -> Error {
    Error::new(ErrorCode::ConnectionFailed, "the upload broke off; begin it again")
}

fn uneven(number: u64) -> Error {
    Error::new(
        ErrorCode::UsageInvalid,
        format!("part {number} has another length than the parts before it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::sync::Arc;

    #[derive(Default)]
    struct Page {
        ordered: bool,
        bytes: Mutex<Vec<u8>>,
        fail: bool,
    }

    #[async_trait]
    impl Sink for Page {
        fn ordered(&self) -> bool {
            self.ordered
        }

        async fn write(&self, offset: u64, body: Bytes) -> Result<()> {
            if self.fail {
                return Err(crate::error::failed("no"));
            }
            let mut bytes = self.bytes.lock().unwrap();
            let offset = usize::try_from(offset).unwrap();
            if self.ordered {
                assert_eq!(offset, bytes.len());
            }
            let end = bytes.len().max(offset + body.len());
            bytes.resize(end, b'.');
            bytes[offset..offset + body.len()].copy_from_slice(&body);
            Ok(())
        }

        async fn finish(&self) -> Result<()> {
            Ok(())
        }
    }

    async fn send(ordered: bool, order: &[i32]) -> String {
        let (page, turns) = (Arc::new(Page { ordered, ..Page::default() }), Arc::new(Turns::new()));
        let body = |number| match number {
            1 => "aaa",
            2 => "bbb",
            _ => "c",
        };
        let mut sent = Vec::new();
        for number in order.iter().copied() {
            let (page, turns) = (Arc::clone(&page), Arc::clone(&turns));
            sent.push(tokio::spawn(async move {
                turns.part(&*page, number, Bytes::from_static(body(number).as_bytes())).await
            }));
            tokio::task::yield_now().await;
        }
        for one in sent {
            one.await.unwrap().unwrap();
        }
        assert_eq!(turns.whole(&[1, 2, 3]).unwrap(), 7);
        assert!(turns.whole(&[1, 2]).is_err() && turns.whole(&[1, 3, 2]).is_err());
        String::from_utf8(page.bytes.lock().unwrap().clone()).unwrap()
    }

    #[tokio::test]
    async fn parts_in_any_order_end_up_in_theirs() {
        for ordered in [true, false] {
            for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
                assert_eq!(send(ordered, &order).await, "aaabbbc");
            }
        }
    }

    #[tokio::test]
    async fn a_part_sent_twice_is_written_once() {
        let (page, turns) = (Page { ordered: true, ..Page::default() }, Turns::new());
        for body in ["aaa", "aaa"] {
            turns.part(&page, 1, Bytes::from_static(body.as_bytes())).await.unwrap();
        }
        assert_eq!(page.bytes.lock().unwrap().as_slice(), b"aaa");
        assert!(turns.part(&page, 1, Bytes::from_static(b"b")).await.is_err());
        assert!(turns.part(&page, 0, Bytes::new()).await.is_err());
    }

    #[tokio::test]
    async fn a_write_in_order_that_failed_breaks_the_upload() {
        let turns = Turns::new();
        let page = Page { ordered: true, fail: true, ..Page::default() };
        assert!(turns.part(&page, 1, Bytes::from_static(b"a")).await.is_err());
        let error = turns.part(&page, 2, Bytes::from_static(b"b")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConnectionFailed);
        assert!(turns.whole(&[]).is_err());
    }

    #[tokio::test]
    async fn a_part_whose_turn_never_comes_gives_up() {
        let patience = Duration::from_millis(10);
        let turns = Turns { patience, ..Turns::new() };
        let page = Page { ordered: true, ..Page::default() };
        let error = turns.part(&page, 2, Bytes::from_static(b"b")).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConnectionTimeout);
    }
}
