//! Stopping a statement from another connection, as `CancelRequest` asks.

use pgwire::messages::startup::SecretKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Statements that run now, by connection.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<i32, (i32, Slot)>>);

/// The statement of one connection.
type Slot = Arc<Mutex<Option<CancellationToken>>>;

/// A connection that can be asked to stop; it is forgotten when this is dropped.
pub(crate) struct Ticket {
    running: Arc<Running>,
    /// What the client names it by.
    pub(crate) pid: i32,
    /// What proves that the client may.
    pub(crate) secret: i32,
    slot: Slot,
}

impl Running {
    /// A ticket for a new connection; None if there is no randomness to make one.
    pub(crate) fn ticket(self: &Arc<Self>) -> Option<Ticket> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = random()?;
        let pid = loop {
            let pid = random()? & i32::MAX;
            if pid != 0 && !entries.contains_key(&pid) {
                break pid;
            }
        };
        let slot = Slot::default();
        entries.insert(pid, (secret, Arc::clone(&slot)));
        Some(Ticket { running: Arc::clone(self), pid, secret, slot })
    }

    /// Stops the statement of a connection. Says nothing of whether there was one.
    pub(crate) fn cancel(&self, pid: i32, secret: &SecretKey) {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, slot)) = entries.get(&pid)
            && SecretKey::I32(*known).eq_value(secret)
            && let Some(token) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
        {
            token.cancel();
        }
    }
}

impl Ticket {
    /// A token for a statement that begins.
    pub(crate) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        token
    }

    /// The statement is over: who asks now asks too late.
    pub(crate) fn end(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut entries = self.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&self.pid);
    }
}

fn random() -> Option<i32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).ok()?;
    Some(i32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_knows_the_secret_stops_the_statement_that_runs() {
        let running = Arc::new(Running::default());
        let ticket = running.ticket().unwrap();
        let cancel = |secret: i32| running.cancel(ticket.pid, &SecretKey::I32(secret));
        let token = ticket.begin();
        cancel(ticket.secret.wrapping_add(1));
        assert!(!token.is_cancelled());
        ticket.end();
        cancel(ticket.secret);
        assert!(!token.is_cancelled());
        let token = ticket.begin();
        cancel(ticket.secret);
        assert!(token.is_cancelled());
        let pid = ticket.pid;
        drop(ticket);
        running.cancel(pid, &SecretKey::I32(0));
        assert!(running.0.lock().unwrap().is_empty());
    }
}
