//! Counting calls, outcomes and durations in plain atomics, always; with the feature `telemetry` also
//! as `tracing` spans and `metrics` counters and histograms.
//!
//! Names are stable: span `vaultkit.kms`; counter `vaultkit_kms_calls_total` and histogram
//! `vaultkit_kms_call_duration_seconds`, labelled `operation`, `provider` and `outcome` (`ok`, an
//! [`ErrorKind`] name, `cancelled`). Left to others: exporters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::intercept::{Attempt, Call, Intercept};
use crate::{Clock, ErrorKind, Operation, Result};

/// Upper ends of the latency buckets in milliseconds; a last bucket takes what is slower.
pub const LATENCY_BUCKETS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 20_000];

/// Counts every call in a [`KmsMetrics`]. Clones share it.
#[derive(Debug, Clone)]
pub struct MetricsLayer {
    metrics: Arc<KmsMetrics>,
    clock: Arc<dyn Clock>,
}

impl MetricsLayer {
    /// All counts at zero, durations from `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { metrics: Arc::default(), clock }
    }

    /// What was counted; keep it to read while the layer works.
    #[must_use]
    pub fn metrics(&self) -> Arc<KmsMetrics> {
        Arc::clone(&self.metrics)
    }
}

/// What a [`MetricsLayer`] counted since it was made.
#[derive(Default)]
pub struct KmsMetrics {
    /// In the order of `Operation::ALL`.
    operations: [Counters; Operation::ALL.len()],
}

#[derive(Default)]
struct Counters {
    ok: AtomicU64,
    cancelled: AtomicU64,
    /// In the order of `ErrorKind::ALL`.
    failed: [AtomicU64; ErrorKind::ALL.len()],
    buckets: [AtomicU64; LATENCY_BUCKETS.len() + 1],
    total_micros: AtomicU64,
}

/// The counts of one operation at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationMetrics {
    /// Which.
    pub operation: Operation,
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls whose future was dropped before it ended.
    pub cancelled: u64,
    /// Calls that failed, by kind; kinds that never came are left out.
    pub failed: Vec<(ErrorKind, u64)>,
    /// Ended calls by duration: one count per end in [`LATENCY_BUCKETS`], then those that were slower.
    pub latency: Vec<u64>,
    /// The sum of the durations of ended calls.
    pub total: Duration,
}

impl KmsMetrics {
    /// The counts of every operation that was called, read one after another while others count on.
    #[must_use]
    pub fn snapshot(&self) -> Vec<OperationMetrics> {
        let all = Operation::ALL.iter().zip(&self.operations);
        let read = all.map(|(operation, counters)| counters.read(*operation));
        read.filter(|m| m.ok + m.cancelled > 0 || !m.failed.is_empty()).collect()
    }

    /// The counts of one operation; `None` if it was never called.
    #[must_use]
    pub fn operation(&self, operation: Operation) -> Option<OperationMetrics> {
        self.snapshot().into_iter().find(|m| m.operation == operation)
    }

    fn counters(&self, operation: Operation) -> Option<&Counters> {
        self.operations.get(operation as usize)
    }
}

impl fmt::Debug for KmsMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

impl Counters {
    fn ended(&self, failure: Option<ErrorKind>, took: Duration) {
        match failure {
            None => add(Some(&self.ok), 1),
            Some(kind) => add(self.failed.get(kind as usize), 1),
        }
        let bucket = LATENCY_BUCKETS.iter().position(|end| took <= Duration::from_millis(*end));
        add(self.buckets.get(bucket.unwrap_or(LATENCY_BUCKETS.len())), 1);
        add(Some(&self.total_micros), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn read(&self, operation: Operation) -> OperationMetrics {
        let failed = ErrorKind::ALL.iter().copied().zip(self.failed.iter().map(load));
        OperationMetrics {
            operation,
            ok: load(&self.ok),
            cancelled: load(&self.cancelled),
            failed: failed.filter(|(_, count)| *count > 0).collect(),
            latency: self.buckets.iter().map(load).collect(),
            total: Duration::from_micros(load(&self.total_micros)),
        }
    }
}

fn add(counter: Option<&AtomicU64>, by: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Counts the call as cancelled unless it ended.
struct Running<'a> {
    layer: &'a MetricsLayer,
    call: Call<'a>,
    began: Duration,
    ended: bool,
}

impl Running<'_> {
    fn end(mut self, failure: Option<ErrorKind>) {
        self.ended = true;
        let took = self.layer.clock.monotonic().saturating_sub(self.began);
        if let Some(counters) = self.layer.metrics.counters(self.call.operation) {
            counters.ended(failure, took);
        }
        emit(&self.call, failure.map_or("ok", ErrorKind::as_str), Some(took));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let counters = self.layer.metrics.counters(self.call.operation);
            add(counters.map(|counters| &counters.cancelled), 1);
            emit(&self.call, "cancelled", None);
        }
    }
}

impl Intercept for MetricsLayer {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        let began = self.clock.monotonic();
        let running = Running { layer: self, call: *call, began, ended: false };
        let outcome = in_span(call, attempt.run()).await;
        running.end(outcome.as_ref().err().map(crate::CryptoError::kind));
        outcome
    }
}

#[cfg(feature = "telemetry")]
fn in_span<F: Future>(call: &Call<'_>, future: F) -> impl Future<Output = F::Output> {
    use tracing::Instrument as _;
    let scope: Vec<&str> = call.scope_names().collect();
    future.instrument(tracing::debug_span!(
        "vaultkit.kms",
        operation = call.operation.as_str(),
        provider = call.provider,
        key_id = call.key_id.map(tracing::field::display),
        scope = scope.join(","),
    ))
}

#[cfg(not(feature = "telemetry"))]
fn in_span<F: Future>(_: &Call<'_>, future: F) -> F {
    future
}

#[cfg(feature = "telemetry")]
fn emit(call: &Call<'_>, outcome: &'static str, took: Option<Duration>) {
    let labels =
        [("operation", call.operation.as_str()), ("provider", call.provider), ("outcome", outcome)];
    metrics::counter!("vaultkit_kms_calls_total", &labels).increment(1);
    if let Some(took) = took {
        metrics::histogram!("vaultkit_kms_call_duration_seconds", &labels).record(took);
        tracing::debug!(operation = labels[0].1, outcome, ?took, "KMS call ended");
    }
}

#[cfg(not(feature = "telemetry"))]
fn emit(_: &Call<'_>, _: &'static str, _: Option<Duration>) {}
