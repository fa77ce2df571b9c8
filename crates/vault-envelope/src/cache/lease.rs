//! A budget shared by threads: each takes a slice of it and spends that alone.
//!
//! What is leased counts as spent, so the budget is never overspent, whoever dies with a lease. Left to
//! others: age, and what to do when nothing is left.

use super::sync::{AtomicU64, Ordering};

/// A lease is at most this part of the whole budget.
const SLICES: u64 = 1_024;
/// A lease is at most this many messages.
const MAX_SLICE_MESSAGES: u64 = 1_024;
/// A thread's first lease is this part of a slice, and each next one twice the one before: a thousand
/// threads that seal once each do not use up a budget by what they lease.
const FIRST_PART: u64 = 64;

/// What is left of one data key's budget.
#[derive(Debug)]
pub(crate) struct Purse {
    messages: AtomicU64,
    bytes: AtomicU64,
    slice: Lease,
    /// With less than this left a new data key is due.
    low: Lease,
}

/// Messages and bytes that one thread may spend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Lease {
    /// Spends one message of `len` bytes, if that is there.
    #[inline]
    pub(crate) fn spend(&mut self, len: u64) -> bool {
        if self.messages == 0 || self.bytes < len {
            return false;
        }
        self.messages -= 1;
        self.bytes -= len;
        true
    }
}

impl Purse {
    /// The whole budget; a new key is due once `percent` of it is leased.
    pub(crate) fn new(messages: u64, bytes: u64, percent: u8) -> Self {
        let rest = |whole: u64| {
            let rest = u128::from(whole) * u128::from(100 - percent.min(100)) / 100;
            u64::try_from(rest).unwrap_or(u64::MAX)
        };
        let slice = Lease {
            messages: (messages / SLICES).clamp(1, MAX_SLICE_MESSAGES),
            bytes: bytes / SLICES,
        };
        Self {
            messages: AtomicU64::new(messages),
            bytes: AtomicU64::new(bytes),
            slice,
            low: Lease { messages: rest(messages), bytes: rest(bytes) },
        }
    }

    /// A lease that covers one message of `len` bytes at least, for a thread that has had so many
    /// before.
    pub(crate) fn lease(&self, len: u64, before: u32) -> Option<Lease> {
        let part = FIRST_PART.checked_shr(before).unwrap_or_default().max(1);
        let messages = take(&self.messages, 1, (self.slice.messages / part).max(1))?;
        match take(&self.bytes, len, (self.slice.bytes / part).max(len)) {
            Some(bytes) => Some(Lease { messages, bytes }),
            None => {
                self.give_back(Lease { messages, bytes: 0 });
                None
            }
        }
    }

    /// Reserves for as many of the first messages of these lengths as there is room for: their number.
    pub(crate) fn reserve(&self, lens: impl Iterator<Item = u64> + Clone, count: u64) -> u64 {
        let Some(messages) = take(&self.messages, 1, count) else { return 0 };
        let wanted = lens.clone().fold(0, u64::saturating_add);
        let Some(bytes) = take(&self.bytes, 0, wanted) else { return 0 };
        let (mut taken, mut spent) = (0, 0_u64);
        for len in lens.take(usize::try_from(messages).unwrap_or(usize::MAX)) {
            match spent.checked_add(len).filter(|sum| *sum <= bytes) {
                Some(sum) => (taken, spent) = (taken + 1, sum),
                None => break,
            }
        }
        self.give_back(Lease { messages: messages - taken, bytes: bytes - spent });
        taken
    }

    /// Puts back what was not spent.
    pub(crate) fn give_back(&self, lease: Lease) {
        self.messages.fetch_add(lease.messages, Ordering::Relaxed);
        self.bytes.fetch_add(lease.bytes, Ordering::Relaxed);
    }

    /// Whether so little is left that a new data key is due.
    pub(crate) fn is_low(&self) -> bool {
        self.messages.load(Ordering::Relaxed) < self.low.messages
            || self.bytes.load(Ordering::Relaxed) < self.low.bytes
    }
}

/// Takes up to `most` of what is left, but no less than `least`.
fn take(left: &AtomicU64, least: u64, most: u64) -> Option<u64> {
    let mut seen = left.load(Ordering::Relaxed);
    loop {
        if seen < least {
            return None;
        }
        let taken = seen.min(most);
        match left.compare_exchange_weak(seen, seen - taken, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Some(taken),
            Err(now) => seen = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_never_add_up_to_more_than_the_budget() {
        for (messages, bytes, len) in [(1, 10, 10), (10, 100, 7), (5_000, 1 << 20, 100), (7, 0, 0)]
        {
            let purse = Purse::new(messages, bytes, 80);
            let mut sum = Lease::default();
            let mut before = 0;
            while let Some(lease) = purse.lease(len, before) {
                before += 1;
                assert!(lease.messages > 0 && lease.bytes >= len);
                sum.messages += lease.messages;
                sum.bytes += lease.bytes;
            }
            assert!(sum.messages <= messages && sum.bytes <= bytes, "{sum:?}");
            assert!(sum.messages > 0);
        }
    }

    #[test]
    fn a_budget_of_few_messages_is_spent_to_the_last() {
        let purse = Purse::new(3, 1 << 20, 80);
        assert_eq!((0..5).filter(|_| purse.lease(10, 0).is_some()).count(), 3);
    }

    #[test]
    fn many_threads_that_seal_once_each_leave_most_of_the_budget() {
        let purse = Purse::new(1 << 20, 64 << 30, 80);
        assert!((0..3_000).all(|_| purse.lease(1_024, 0).is_some()));
        assert!(!purse.is_low());
        let long = purse.lease(1_024, 6).unwrap();
        assert_eq!((long.messages, purse.lease(1, 60).unwrap().messages), (1_024, 1_024));
    }

    #[test]
    fn a_lease_that_comes_back_can_be_taken_again() {
        let purse = Purse::new(1, 10, 80);
        let lease = purse.lease(4, 0).unwrap();
        assert!(purse.lease(1, 9).is_none());
        purse.give_back(lease);
        assert!(purse.lease(10, 9).is_some());
    }

    #[test]
    fn a_reservation_covers_the_first_items_that_fit() {
        let purse = Purse::new(3, 10, 80);
        assert_eq!(purse.reserve([4_u64, 4, 4, 1].into_iter(), 4), 2);
        assert_eq!(purse.reserve([4_u64].into_iter(), 1), 0);
        assert_eq!(purse.reserve([2_u64, 0].into_iter(), 2), 1);
        assert_eq!(purse.reserve([0_u64].into_iter(), 1), 0, "three messages were taken");
    }
}
