//! How many requests a listing may spend beyond a plain one.
//!
//! A range with n keys takes at most n / 1,000 + 1 requests, so each cut costs at most one more than
//! a plain listing; so does each question about order or folders. All together stay below a fifth
//! of the pages seen plus 50, and far below that as long as little was seen.
//!
//! One thing is dearer: where parts do not fit, all is read again plainly, since being exact is worth
//! that. It takes a service that contradicts itself, such as by giving a key on two pages, or one of
//! unknown order with a folder that nobody saw before a cut was made at exactly its name.

use super::PAGE;

/// Requests that may be spent apart from what pages seen allow.
const SPARE: usize = 44;

/// What was read and what was spent.
#[derive(Debug)]
pub(super) struct Budget {
    pages: usize,
    keys: usize,
    spent: usize,
    spare: usize,
}

impl Budget {
    /// With so many requests apart from what pages seen allow, if that is fewer than usual.
    pub(super) fn new(spare: Option<usize>) -> Self {
        let spare = spare.map_or(SPARE, |spare| spare.min(SPARE));
        Self { pages: 0, keys: 0, spent: 0, spare }
    }

    /// A page of the listing came.
    pub(super) fn read(&mut self, keys: usize) {
        self.pages += 1;
        self.keys += keys;
    }

    /// A request was, or may have been, one too many.
    pub(super) fn spend(&mut self, requests: usize) {
        self.spent += requests;
    }

    /// Requests that may be spent now.
    pub(super) fn left(&self) -> usize {
        let early = 3 + 4 * self.pages;
        let late = self.spare + self.keys * 19 / (100 * PAGE);
        early.min(late).saturating_sub(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_risked_before_much_was_seen() {
        let mut budget = Budget::new(None);
        budget.read(1000);
        assert_eq!(budget.left(), 7);
        budget.spend(5);
        assert_eq!(budget.left(), 2);
        (0..999).for_each(|_| budget.read(1000));
        assert_eq!(budget.left(), 44 + 190 - 5);
    }
}
