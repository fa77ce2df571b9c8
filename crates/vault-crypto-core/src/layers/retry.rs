//! Trying again after a failure that may pass, with full-jitter exponential back-off.

use std::sync::Arc;
use std::time::Duration;

use super::intercept::{Attempt, Call, Intercept};
use crate::{Clock, CryptoError, ErrorKind, RandomSource, Result};

/// Repeats a call whose error [is retryable](CryptoError::is_retryable).
///
/// Before attempt *n* + 1 it waits a time drawn evenly from zero to `min(longest, first * 2^(n-1))`
/// ("full jitter"), so that clients which failed together do not come back together; where the service
/// said how long to stay away, [that time](CryptoError::retry_after) comes on top. Generating,
/// wrapping, unwrapping and reading are safe to repeat. A management call that changes something
/// is repeated only after [`ErrorKind::Throttled`], the one answer that says it was not carried out:
/// after a time-out or a lost connection it may have been.
///
/// The defaults: 4 attempts, 100 ms first, 5 s longest, 30 s in all.
#[derive(Debug, Clone)]
pub struct RetryLayer {
    max_attempts: u32,
    first_delay: Duration,
    longest_delay: Duration,
    max_elapsed: Duration,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
}

impl RetryLayer {
    /// The defaults, on `clock`, with jitter from `random`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn RandomSource>) -> Self {
        Self {
            max_attempts: 4,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(5),
            max_elapsed: Duration::from_secs(30),
            clock,
            random,
        }
    }

    /// At most this many attempts in all, the first included; 0 counts as 1.
    #[must_use]
    pub const fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Upper end of the first delay; it doubles with every attempt.
    #[must_use]
    pub const fn with_first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// Upper end of every delay.
    #[must_use]
    pub const fn with_longest_delay(mut self, delay: Duration) -> Self {
        self.longest_delay = delay;
        self
    }

    /// No attempt begins later than this after the first one began.
    #[must_use]
    pub const fn with_max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = elapsed;
        self
    }

    fn worth_repeating(call: &Call<'_>, error: &CryptoError) -> bool {
        if call.is_mutation() { error.kind() == ErrorKind::Throttled } else { error.is_retryable() }
    }

    /// Evenly from zero to the upper end for the delay after `attempts` attempts.
    fn delay(&self, attempts: u32) -> Result<Duration> {
        let doubled = 2_u32.checked_pow(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        let end = self.first_delay.saturating_mul(doubled).min(self.longest_delay);
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes)?;
        Ok(end.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)))
    }
}

impl Intercept for RetryLayer {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        let began = self.clock.monotonic();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match attempt.run().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempts >= self.max_attempts || !Self::worth_repeating(call, &error) {
                return Err(error);
            }
            // The service's error says more than a failed generator's would.
            let Ok(delay) = self.delay(attempts) else { return Err(error) };
            // Asked to stay away, all clients come back no sooner, and still not together.
            let delay = delay.saturating_add(error.retry_after().unwrap_or_default());
            let elapsed = self.clock.monotonic().saturating_sub(began);
            if elapsed.saturating_add(delay) > self.max_elapsed {
                return Err(error);
            }
            self.clock.sleep(delay).await;
        }
    }
}
