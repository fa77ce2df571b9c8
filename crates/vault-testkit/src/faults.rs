//! Faults on cue: what makes any KMS or store slow, silent or wrong, and counts what reaches it.
//!
//! What it cannot show: how a real service classifies its own failures; that is each backend's test.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vault_crypto_core::layers::{Attempt, Call, Intercept, Layered};
use vault_crypto_core::{Clock, CryptoError, ErrorKind, KmsProvider, Operation, Result};

use crate::CallCounts;

/// A KMS with [`Faults`] in front: `FaultyKms::new(kms, faults.clone())`.
pub type FaultyKms<K = dyn KmsProvider> = Layered<Faults, K>;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Fails without reaching the service.
    Fail(ErrorKind),
    /// Throttled without reaching the service, with the request to stay away for so long.
    Throttle(Duration),
    /// The service does it, but the caller gets this error: an answer lost on its way.
    FailAfter(ErrorKind),
    /// The call takes this long.
    Delay(Duration),
    /// The call never ends.
    Hang,
}

/// A script of faults, taken one by one as calls come; without any left, calls pass.
///
/// Clones share the script. As the innermost layer it sees what reaches the service.
#[derive(Debug, Clone)]
pub struct Faults {
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<(Option<Operation>, Fault)>>,
    calls: CallCounts,
    cancelled: AtomicU64,
    running: AtomicU64,
}

impl Faults {
    /// No faults yet; delays pass on `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, shared: Arc::default() }
    }

    /// The next call meets `fault`, once those that were added before it are used up.
    pub fn push(&self, fault: Fault) {
        self.script().push_back((None, fault));
    }

    /// The next `count` calls meet `fault`.
    pub fn push_times(&self, count: usize, fault: Fault) {
        self.script().extend(std::iter::repeat_n((None, fault), count));
    }

    /// The next call of `operation` meets `fault`; other operations pass it by.
    pub fn push_on(&self, operation: Operation, fault: Fault) {
        self.script().push_back((Some(operation), fault));
    }

    /// Forgets the faults that are left.
    pub fn clear(&self) {
        self.script().clear();
    }

    /// How often which operation came this far.
    #[must_use]
    pub fn calls(&self) -> &CallCounts {
        &self.shared.calls
    }

    /// How many calls were dropped before they ended.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.shared.cancelled.load(Ordering::SeqCst)
    }

    /// How many calls are under way.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.shared.running.load(Ordering::SeqCst)
    }

    fn script(&self) -> MutexGuard<'_, VecDeque<(Option<Operation>, Fault)>> {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, operation: Operation) -> Option<Fault> {
        let mut script = self.script();
        let at = script.iter().position(|(on, _)| on.is_none_or(|on| on == operation))?;
        script.remove(at).map(|(_, fault)| fault)
    }

    /// What the caller of `operation` gets when `attempt` is how it would be done.
    pub(crate) async fn meet<T, F: Future<Output = Result<T>>>(
        &self,
        operation: Operation,
        error: impl Fn(ErrorKind) -> CryptoError,
        attempt: impl FnOnce() -> F,
    ) -> Result<T> {
        let failure = |kind| error(kind).with_detail("injected by a test");
        let injected = |kind| Err(failure(kind));
        self.shared.calls.count(operation);
        let running = Running::new(&self.shared);
        let outcome = match self.take(operation) {
            None => attempt().await,
            Some(Fault::Fail(kind)) => injected(kind),
            Some(Fault::Throttle(wait)) => {
                Err(failure(ErrorKind::Throttled).with_retry_after(wait))
            }
            Some(Fault::FailAfter(kind)) => {
                // Whatever the service answered is lost.
                drop(attempt().await);
                injected(kind)
            }
            Some(Fault::Delay(duration)) => {
                self.clock.sleep(duration).await;
                attempt().await
            }
            Some(Fault::Hang) => std::future::pending().await,
        };
        running.end();
        outcome
    }
}

impl Intercept for Faults {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        let error = |kind| call.error(kind);
        self.meet(call.operation, error, || attempt.run()).await
    }
}

struct Running<'a> {
    shared: &'a Shared,
    ended: bool,
}

impl<'a> Running<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.running.fetch_add(1, Ordering::SeqCst);
        Self { shared, ended: false }
    }

    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
        if !self.ended {
            self.shared.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}
