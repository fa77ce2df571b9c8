//! An audit sink that keeps its events in memory, and can be made to fail.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use vault_crypto_core::{AuditEvent, AuditSink, CryptoError, ErrorKind, Operation, Result};

/// Keeps events as long as it lives; it promises no more durability than that.
#[derive(Debug, Default)]
pub struct MemoryAudit {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<AuditEvent>,
    failing: bool,
}

impl MemoryAudit {
    /// Without events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<AuditEvent> {
        self.lock().events.clone()
    }

    /// From now on recording fails, or works again.
    pub fn set_failing(&self, failing: bool) {
        self.lock().failing = failing;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl AuditSink for MemoryAudit {
    async fn record(&self, event: &AuditEvent) -> Result<()> {
        let mut state = self.lock();
        if state.failing {
            return Err(CryptoError::new(ErrorKind::Unavailable, Operation::Configure)
                .with_detail("this audit sink was told to fail"));
        }
        state.events.push(event.clone());
        Ok(())
    }
}
