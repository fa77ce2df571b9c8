//! Not asking a service that is down, until a single probe finds it up again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::intercept::{Attempt, Call, Intercept};
use crate::{Clock, CryptoError, ErrorKind, Operation, Result};

/// Answers [`ErrorKind::Unavailable`] at once while the service is known to be down.
///
/// *Closed*: calls pass; so many `Unavailable` or `TimedOut` in a row open it. *Open*: no call
/// passes for a while. *Half-open*: then one call at a time passes as a probe; if the service
/// answers, the breaker closes, otherwise it opens again. A probe that is dropped frees its place.
///
/// An error by which the service answered (`AuthenticationFailed`, `KeyNotFound`, ...) is a sign of
/// life. One that says nothing of the service (`Throttled`, `InvalidInput`, `Io`, ...) changes
/// nothing. `health_check` passes always and changes nothing: its failure is an answer.
///
/// Clones share one state. The defaults: 5 failures in a row, 30 seconds open.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer {
    threshold: u32,
    open_for: Duration,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls pass.
    Closed,
    /// No call passes.
    Open,
    /// One call at a time passes as a probe.
    HalfOpen,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Grows with every change of phase: what a call of an earlier phase found out is old news.
    epoch: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Duration },
    HalfOpen { probing: bool },
}

impl CircuitBreakerLayer {
    /// The defaults, on `clock`, closed.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { phase: Phase::Closed { failures: 0 }, epoch: 0 };
        Self {
            threshold: 5,
            open_for: Duration::from_secs(30),
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Opens after this many failures in a row; 0 counts as 1.
    #[must_use]
    pub const fn with_threshold(mut self, failures: u32) -> Self {
        self.threshold = failures;
        self
    }

    /// Stays open this long before the first probe.
    #[must_use]
    pub const fn with_open_for(mut self, duration: Duration) -> Self {
        self.open_for = duration;
        self
    }

    /// Where the breaker stands now.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        match self.lock().phase {
            Phase::Closed { .. } => CircuitState::Closed,
            Phase::Open { until } if self.clock.monotonic() < until => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Lets the call pass or says how long to wait.
    fn admit(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        if let Phase::Open { until } = state.phase {
            let now = self.clock.monotonic();
            if now < until {
                return Err(until - now);
            }
            state.enter(Phase::HalfOpen { probing: false });
        }
        if let Phase::HalfOpen { probing } = &mut state.phase {
            if *probing {
                return Err(Duration::ZERO);
            }
            *probing = true;
        }
        Ok(Permit { breaker: self, epoch: state.epoch })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

/// The right to make one call; dropped without an outcome it gives the probe's place back.
struct Permit<'a> {
    breaker: &'a CircuitBreakerLayer,
    epoch: u64,
}

impl Permit<'_> {
    fn report(&self, sign: Sign) {
        let mut state = self.breaker.lock();
        if state.epoch != self.epoch {
            return;
        }
        let until = self.breaker.clock.monotonic().saturating_add(self.breaker.open_for);
        let open = Phase::Open { until };
        match (&mut state.phase, sign) {
            (Phase::Closed { failures }, Sign::Alive) => *failures = 0,
            (Phase::Closed { failures }, Sign::Down) => {
                *failures += 1;
                if *failures >= self.breaker.threshold {
                    state.enter(open);
                }
            }
            (Phase::HalfOpen { .. }, Sign::Alive) => state.enter(Phase::Closed { failures: 0 }),
            (Phase::HalfOpen { .. }, Sign::Down) => state.enter(open),
            // No news: `drop` gives the place back.
            (_, Sign::None) | (Phase::Open { .. }, _) => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if state.epoch == self.epoch
            && let Phase::HalfOpen { probing } = &mut state.phase
        {
            *probing = false;
        }
    }
}

/// What an outcome says of the service.
#[derive(Clone, Copy)]
enum Sign {
    Alive,
    Down,
    None,
}

impl Sign {
    fn of<T>(outcome: &Result<T>) -> Self {
        let Err(error) = outcome else { return Self::Alive };
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::TimedOut => Self::Down,
            ErrorKind::AuthenticationFailed
            | ErrorKind::KeyNotFound
            | ErrorKind::KeyUnusable
            | ErrorKind::Conflict
            | ErrorKind::PermissionDenied => Self::Alive,
            _ => Self::None,
        }
    }
}

impl Intercept for CircuitBreakerLayer {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        if call.operation == Operation::HealthCheck {
            return attempt.run().await;
        }
        let permit = self.admit().map_err(|wait| refusal(call, wait))?;
        let outcome = attempt.run().await;
        permit.report(Sign::of(&outcome));
        outcome
    }
}

fn refusal(call: &Call<'_>, wait: Duration) -> CryptoError {
    call.error(ErrorKind::Unavailable).with_detail(if wait.is_zero() {
        "the KMS failed repeatedly; one call is finding out whether it is back".to_owned()
    } else {
        format!("the KMS failed repeatedly and is not asked for another {wait:.0?}")
    })
}
