//! Libraries that panic on bad input, held so that it is an error.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is within [`quietly`].
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; None if it panicked, of which nothing is printed. What it held must not be used again.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !WITHIN.get() {
                usual(panic);
            }
        }));
    });
    WITHIN.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    WITHIN.set(false);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_nothing() {
        assert_eq!(quietly(|| 1), Some(1));
        assert_eq!(quietly(|| -> i32 { panic!("bad input") }), None);
        assert_eq!(quietly(|| 2), Some(2));
    }
}
