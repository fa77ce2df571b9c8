//! The client's own log of its calls: bounded, in memory, without a secret.
//!
//! Left to Google: the record that proves anything (Cloud Audit Logs).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use vault_crypto_core::{Clock, ErrorKind};

const MAX_ENTRIES: usize = 1_000;

/// One call that a client made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditLogEntry {
    /// When it ended.
    pub at: SystemTime,
    /// The service's name of what was called: `Encrypt`.
    pub method: &'static str,
    /// The resource that it concerned.
    pub resource: String,
    /// What went wrong; `None` if nothing did.
    pub failure: Option<ErrorKind>,
    /// How long it took.
    pub duration: Duration,
}

pub(super) struct AuditLog {
    enabled: bool,
    clock: Arc<dyn Clock>,
    entries: Mutex<VecDeque<AuditLogEntry>>,
}

impl AuditLog {
    pub(super) fn new(enabled: bool, clock: Arc<dyn Clock>) -> Self {
        Self { enabled, clock, entries: Mutex::default() }
    }

    pub(super) fn add(
        &self,
        method: &'static str,
        resource: &str,
        failure: Option<ErrorKind>,
        duration: Duration,
    ) {
        if !self.enabled {
            return;
        }
        let at = self.clock.now();
        let entry = AuditLogEntry { at, method, resource: resource.to_owned(), failure, duration };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() == MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(super) fn entries(&self) -> Vec<AuditLogEntry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::SystemClock;

    use super::*;

    #[test]
    fn the_log_keeps_the_last_thousand_calls() {
        let log = AuditLog::new(true, Arc::new(SystemClock::new()));
        for number in 0..1_500 {
            log.add("Encrypt", &number.to_string(), None, Duration::ZERO);
        }
        let entries = log.entries();
        assert_eq!((entries.len(), entries[0].resource.as_str()), (1_000, "500"));
        let off = AuditLog::new(false, Arc::new(SystemClock::new()));
        off.add("Encrypt", "k", None, Duration::ZERO);
        assert!(off.entries().is_empty());
    }
}
