//! Decorators over [`KmsProvider`](crate::KmsProvider) and `KmsAdmin`, each written once for every
//! backend: time-out, retry, circuit breaker, rate limit, audit, metrics.
//!
//! They have no runtime of their own: time comes from a [`Clock`](crate::Clock), randomness from a
//! [`RandomSource`](crate::RandomSource), and nothing is spawned. Every call is cancellation-safe:
//! dropping its future drops the inner call and gives back what the layer held for it.
//!
//! [`LayeredKms`] stacks them in the one order in which they make sense. A layer of one's own is an
//! [`Intercept`], put around any KMS by [`Layered`].
//!
//! Left to others: classifying errors (each backend maps its service's answers to an
//! [`ErrorKind`](crate::ErrorKind); the layers act on nothing else) and exporting what is counted.

mod audit;
mod circuit_breaker;
mod forward;
mod intercept;
mod metrics;
mod rate_limit;
mod retry;
mod stack;
mod timeout;

pub use audit::AuditLayer;
pub use circuit_breaker::{CircuitBreakerLayer, CircuitState};
pub use forward::Layered;
pub use intercept::{Attempt, Call, Intercept};
pub use metrics::{KmsMetrics, LATENCY_BUCKETS, MetricsLayer, OperationMetrics};
pub use rate_limit::RateLimitLayer;
pub use retry::RetryLayer;
pub use stack::{LayeredKms, Stackable};
pub use timeout::TimeoutLayer;
