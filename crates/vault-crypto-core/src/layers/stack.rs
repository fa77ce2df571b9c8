//! All layers around one KMS, in the one order in which they make sense.

use std::fmt;
use std::sync::Arc;

use super::{
    AuditLayer, CircuitBreakerLayer, Intercept, Layered, MetricsLayer, RateLimitLayer, RetryLayer,
    TimeoutLayer,
};
#[cfg(feature = "admin")]
use crate::KmsAdmin;
use crate::KmsProvider;

/// Puts layers around a KMS. Whatever order they are named in, they are stacked so:
///
/// ```text
/// caller -> audit -> metrics -> retry -> circuit breaker -> rate limit -> time-out -> KMS
/// ```
///
/// Audit and metrics see what the caller sees. The breaker sees every attempt, so that retries
/// against a dead service open it. The rate limit counts every attempt, as the service does, and
/// spends no turn while the breaker is open. The time-out limits one attempt, without the waiting.
///
/// ```
/// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
/// # fn stacked(kms: std::sync::Arc<dyn vault_crypto_core::KmsProvider>) -> Result<(), vault_crypto_core::CryptoError> {
/// use std::sync::Arc;
/// use std::time::Duration;
/// use vault_crypto_core::layers::{LayeredKms, RateLimitLayer, RetryLayer, TimeoutLayer};
/// use vault_crypto_core::{Clock, SystemClock, SystemRandom};
///
/// let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
/// let kms = LayeredKms::new(kms)
///     .with_timeout(TimeoutLayer::new(Duration::from_secs(2), Arc::clone(&clock)))
///     .with_retry(RetryLayer::new(Arc::clone(&clock), Arc::new(SystemRandom::new())))
///     .with_rate_limit(RateLimitLayer::new(500, 50, clock)?)
///     .build();
/// # let _ = kms; Ok(()) }
/// # let _ = stacked; Ok(()) }
/// ```
pub struct LayeredKms<K: ?Sized = dyn KmsProvider> {
    kms: Arc<K>,
    timeout: Option<TimeoutLayer>,
    rate_limit: Option<RateLimitLayer>,
    circuit_breaker: Option<CircuitBreakerLayer>,
    retry: Option<RetryLayer>,
    metrics: Option<MetricsLayer>,
    audit: Option<AuditLayer>,
}

impl<K: Stackable + ?Sized> LayeredKms<K> {
    /// No layer yet.
    #[must_use]
    pub const fn new(kms: Arc<K>) -> Self {
        Self {
            kms,
            timeout: None,
            rate_limit: None,
            circuit_breaker: None,
            retry: None,
            metrics: None,
            audit: None,
        }
    }

    /// Limits how long one attempt may take.
    #[must_use]
    pub fn with_timeout(mut self, layer: TimeoutLayer) -> Self {
        self.timeout = Some(layer);
        self
    }

    /// Stays below a request quota.
    #[must_use]
    pub fn with_rate_limit(mut self, layer: RateLimitLayer) -> Self {
        self.rate_limit = Some(layer);
        self
    }

    /// Stops asking a service that is down.
    #[must_use]
    pub fn with_circuit_breaker(mut self, layer: CircuitBreakerLayer) -> Self {
        self.circuit_breaker = Some(layer);
        self
    }

    /// Tries again after failures that may pass.
    #[must_use]
    pub fn with_retry(mut self, layer: RetryLayer) -> Self {
        self.retry = Some(layer);
        self
    }

    /// Counts calls, outcomes and durations.
    #[must_use]
    pub fn with_metrics(mut self, layer: MetricsLayer) -> Self {
        self.metrics = Some(layer);
        self
    }

    /// Records every call, and withholds what could not be recorded.
    #[must_use]
    pub fn with_audit(mut self, layer: AuditLayer) -> Self {
        self.audit = Some(layer);
        self
    }

    /// Stacks them.
    #[must_use]
    pub fn build(self) -> Arc<K> {
        let kms = around(self.kms, self.timeout);
        let kms = around(kms, self.rate_limit);
        let kms = around(kms, self.circuit_breaker);
        let kms = around(kms, self.retry);
        let kms = around(kms, self.metrics);
        around(kms, self.audit)
    }
}

impl<K: Stackable + ?Sized> fmt::Debug for LayeredKms<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredKms")
            .field("provider", &self.kms.provider_type())
            .field("audit", &self.audit.is_some())
            .field("metrics", &self.metrics.is_some())
            .field("retry", &self.retry)
            .field("circuit_breaker", &self.circuit_breaker)
            .field("rate_limit", &self.rate_limit)
            .field("timeout", &self.timeout)
            .finish()
    }
}

fn around<K: Stackable + ?Sized, I: Intercept + 'static>(kms: Arc<K>, layer: Option<I>) -> Arc<K> {
    match layer {
        Some(layer) => K::layered(kms, layer),
        None => kms,
    }
}

/// `dyn KmsProvider` and `dyn KmsAdmin`: what stays the same type with a layer around it.
pub trait Stackable: KmsProvider {
    /// Puts one layer around `kms`.
    fn layered<I: Intercept + 'static>(kms: Arc<Self>, layer: I) -> Arc<Self>;
}

impl Stackable for dyn KmsProvider {
    fn layered<I: Intercept + 'static>(kms: Arc<Self>, layer: I) -> Arc<Self> {
        Arc::new(Layered::new(kms, layer))
    }
}

#[cfg(feature = "admin")]
impl Stackable for dyn KmsAdmin {
    fn layered<I: Intercept + 'static>(kms: Arc<Self>, layer: I) -> Arc<Self> {
        Arc::new(Layered::new(kms, layer))
    }
}
