//! How often each operation was called.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use vault_crypto_core::Operation;

/// A count for every operation.
#[derive(Debug, Default)]
pub struct CallCounts(Mutex<HashMap<Operation, u64>>);

impl CallCounts {
    pub(crate) fn count(&self, operation: Operation) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(operation).or_default() += 1;
    }

    /// Calls of `operation`.
    #[must_use]
    pub fn of(&self, operation: Operation) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&operation).copied().unwrap_or_default()
    }

    /// Calls of any operation.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}
