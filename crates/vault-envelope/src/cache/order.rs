//! The order of invalidations and fills: what was under way when an invalidation came is not kept.
//!
//! Left to others: what an invalidation names, and sweeping out what is kept already.

use std::collections::VecDeque;

use super::sync::{AtomicU64, Mutex, Ordering, lock};

/// Invalidations that are remembered one by one. A fill during which more came is not kept.
const REMEMBERED: usize = 64;

/// Invalidations in the order they came.
pub(crate) struct Orders<W> {
    given: AtomicU64,
    last: Mutex<VecDeque<W>>,
}

impl<W> Default for Orders<W> {
    fn default() -> Self {
        Self { given: AtomicU64::new(0), last: Mutex::default() }
    }
}

impl<W> Orders<W> {
    /// The number of invalidations so far: what a fill remembers of its beginning.
    pub(crate) fn number(&self) -> u64 {
        self.given.load(Ordering::SeqCst)
    }

    /// From here on every fill that began before is checked against `what`.
    pub(crate) fn give(&self, what: W) {
        let mut last = lock(&self.last);
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(what);
        self.given.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether an invalidation that came after number `began` names it.
    pub(crate) fn named_since(&self, began: u64, names: impl Fn(&W) -> bool) -> bool {
        if self.number() == began {
            return false;
        }
        let last = lock(&self.last);
        let since = self.number().saturating_sub(began);
        match usize::try_from(since) {
            Ok(since) if since <= last.len() => last.iter().rev().take(since).any(names),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_is_named_by_what_came_after_it_began_and_by_nothing_else() {
        let orders = Orders::default();
        orders.give("before");
        let began = orders.number();
        assert!(!orders.named_since(began, |_| true));
        orders.give("after");
        assert!(orders.named_since(began, |what| *what == "after"));
        assert!(!orders.named_since(began, |what| *what == "before"));
    }

    #[test]
    fn a_fill_that_outlasts_the_memory_counts_as_named() {
        let orders = Orders::default();
        (0..=REMEMBERED).for_each(|number| orders.give(number));
        assert!(orders.named_since(0, |_| false));
        assert!(!orders.named_since(1, |_| false));
    }
}
