//! What is told to an audit log: who asked which key for what, and how it ended.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::{ErrorKind, KeyId, Operation, Result};

/// Takes audit events. The audit decorator fails an operation whose event could not be recorded.
#[async_trait]
pub trait AuditSink: Send + Sync {
    /// Records one event.
    ///
    /// # Behavior
    /// - When it answers `Ok`, the event is as durable as the sink promises.
    ///
    /// # Errors
    /// Whatever kept the event from being recorded.
    async fn record(&self, event: &AuditEvent) -> Result<()>;
}

/// One operation on a key. Scope names, never values; never a secret, a context value or a
/// server's text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEvent {
    /// When the operation began.
    pub at: SystemTime,
    /// What was asked.
    pub operation: Operation,
    /// Of which service.
    pub provider: &'static str,
    /// Of which key.
    pub key_id: Option<KeyId>,
    /// The names in the scope.
    pub scope_names: Vec<String>,
    /// `None` for success.
    pub failure: Option<ErrorKind>,
    /// How long it took.
    pub duration: Duration,
}

impl AuditEvent {
    /// An event of `operation` at `provider` that began `at`.
    #[must_use]
    pub fn new(at: SystemTime, operation: Operation, provider: &'static str) -> Self {
        Self {
            at,
            operation,
            provider,
            key_id: None,
            scope_names: Vec::new(),
            failure: None,
            duration: Duration::ZERO,
        }
    }
}
