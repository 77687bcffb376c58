//! Large buffers, used again: fresh ones cost a page fault every 4 KiB.

use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Smaller ones are not worth keeping.
const LEAST: usize = 1 << 20;

/// Bytes that idle at most.
const MOST: usize = 64 << 20;

/// What idles, and its bytes.
static IDLE: Mutex<(Vec<Vec<u8>>, usize)> = Mutex::new((Vec::new(), 0));

/// A buffer of `length` bytes that hold anything.
#[must_use]
pub fn buffer(length: usize) -> Vec<u8> {
    let mut buffer = if length < LEAST { Vec::new() } else { idle(length).unwrap_or_default() };
    buffer.resize(length, 0);
    buffer
}

fn idle(length: usize) -> Option<Vec<u8>> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    // One that is much too large stays for who needs it.
    let fits = |buffer: &Vec<u8>| (length..=length * 2).contains(&buffer.capacity());
    let at = idle.0.iter().rposition(fits)?;
    let buffer = idle.0.swap_remove(at);
    idle.1 -= buffer.capacity();
    Some(buffer)
}

/// The bytes of a buffer; when the last of them is dropped, it is used again.
#[must_use]
pub fn bytes_of(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < LEAST { buffer.into() } else { Bytes::from_owner(Lent(buffer)) }
}

struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.1 + buffer.capacity() <= MOST {
            idle.1 += buffer.capacity();
            idle.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_used_again_once_nobody_reads_it() {
        let length = 5 << 20;
        let mut first = buffer(length);
        first[0] = 7;
        let place = first.as_ptr();
        let bytes = bytes_of(first);
        let slice = bytes.slice(..1);
        drop(bytes);
        let other = buffer(length);
        assert_ne!(other.as_ptr(), place, "it is still read");
        drop(other);
        assert_eq!(slice[0], 7);
        drop(slice);
        let again = buffer(length - 1);
        assert_eq!((again.as_ptr(), again.len()), (place, length - 1));
        assert_eq!(buffer(10).len(), 10);
    }
}
