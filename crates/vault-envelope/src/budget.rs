//! How much one data key may seal: messages, bytes and age, all finite.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, process_word};

/// The limits of one shared data key. They bound the damage of one key; they are not cryptographic
/// limits, which lie far above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// Most messages; at most 2^32.
    pub messages: u64,
    /// Most plaintext bytes.
    pub bytes: u64,
    /// Greatest age.
    pub age: Duration,
}

impl Budget {
    /// Most messages that any budget may allow: suite 3's limit.
    pub const MAX_MESSAGES: u64 = 1 << 32;

    /// Changes the number of messages, at most [`MAX_MESSAGES`](Self::MAX_MESSAGES).
    #[must_use]
    pub fn with_messages(mut self, messages: u64) -> Self {
        self.messages = messages.min(Self::MAX_MESSAGES);
        self
    }

    /// Changes the number of plaintext bytes.
    #[must_use]
    pub fn with_bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Changes the greatest age.
    #[must_use]
    pub fn with_age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }
}

/// 2^20 messages, 64 GiB, 5 minutes.
impl Default for Budget {
    fn default() -> Self {
        Self { messages: 1 << 20, bytes: 64 << 30, age: Duration::from_secs(300) }
    }
}

/// What of a budget is spent.
#[derive(Debug)]
pub(crate) struct Spent {
    budget: Budget,
    born: Duration,
    messages: AtomicU64,
    bytes: AtomicU64,
    /// A forked child gets nothing: parent and child would each spend all of it.
    process: Option<u64>,
}

impl Spent {
    pub(crate) fn new(budget: Budget, born: Duration) -> Self {
        let budget = budget.with_messages(budget.messages);
        let (messages, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { budget, born, messages, bytes, process: process_word() }
    }

    /// Takes one message of `len` bytes out of the budget, or says that it is exhausted.
    #[inline]
    pub(crate) fn take(&self, len: usize, now: Duration) -> Result<()> {
        if len as u64 > self.budget.bytes || process_word() != self.process {
            return Err(not_here(self.process));
        }
        let messages = self.messages.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        let fits = messages < self.budget.messages
            && bytes.saturating_add(len as u64) <= self.budget.bytes
            && now.saturating_sub(self.born) <= self.budget.age;
        if fits { Ok(()) } else { Err(exhausted()) }
    }
}

#[cold]
fn not_here(process: Option<u64>) -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal).with_detail(
        if process_word() == process {
            "the value is longer than the data key's whole budget; encrypt it under a key of its own"
        } else {
            "the data key belongs to the process that this one was forked from; take a new one"
        },
    )
}

#[cold]
fn exhausted() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal).with_detail(
        "the data key's budget of messages, bytes or age is spent; take a new sealing key",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_budget_allows_more_messages_than_the_cipher_does() {
        let budget = Budget { messages: u64::MAX, ..Budget::default() };
        let spent = Spent::new(budget, Duration::ZERO);
        spent.messages.store(Budget::MAX_MESSAGES - 1, Ordering::Relaxed);
        assert!(spent.take(1, Duration::ZERO).is_ok());
        assert!(spent.take(1, Duration::ZERO).is_err());
    }

    #[test]
    fn a_forked_child_has_no_budget() {
        let mut spent = Spent::new(Budget::default(), Duration::ZERO);
        assert!(spent.take(1, Duration::ZERO).is_ok());
        spent.process = Some(u64::MAX);
        let error = spent.take(1, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("forked"), "{error}");
    }

    #[test]
    fn a_value_over_the_whole_budget_spends_nothing() {
        let spent = Spent::new(Budget::default().with_bytes(10), Duration::ZERO);
        assert!(spent.take(11, Duration::ZERO).is_err());
        assert!(spent.take(10, Duration::ZERO).is_ok());
    }
}
