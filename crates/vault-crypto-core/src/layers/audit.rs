//! Telling an audit log of every call, and giving no answer that could not be told.

use std::fmt;
use std::sync::Arc;

use super::intercept::{Attempt, Call, Intercept};
use crate::{AuditEvent, AuditSink, Clock, ErrorKind, Result};

/// Records one event for every call, failed ones included.
///
/// It fails closed: where the event cannot be recorded the answer is withheld and the caller gets
/// [`ErrorKind::Io`] with the sink's error as its source. The operation itself has then happened.
/// Put it outermost, so that it tells what the caller got. A call whose future is dropped half-way
/// leaves no event here; the service's own log has it.
#[derive(Clone)]
pub struct AuditLayer {
    sink: Arc<dyn AuditSink>,
    clock: Arc<dyn Clock>,
}

impl AuditLayer {
    /// Records in `sink`, with times from `clock`.
    #[must_use]
    pub fn new(sink: Arc<dyn AuditSink>, clock: Arc<dyn Clock>) -> Self {
        Self { sink, clock }
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLayer")
    }
}

impl Intercept for AuditLayer {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        let mut event = AuditEvent::new(self.clock.now(), call.operation, call.provider);
        event.key_id = call.key_id.cloned();
        event.scope_names = call.scope_names().map(str::to_owned).collect();
        let began = self.clock.monotonic();
        let outcome = attempt.run().await;
        event.duration = self.clock.monotonic().saturating_sub(began);
        event.failure = outcome.as_ref().err().map(crate::CryptoError::kind);
        match self.sink.record(&event).await {
            Ok(()) => outcome,
            Err(error) => Err(call
                .error(ErrorKind::Io)
                .with_detail("the audit event could not be recorded, so the answer is withheld")
                .with_source(error)),
        }
    }
}
