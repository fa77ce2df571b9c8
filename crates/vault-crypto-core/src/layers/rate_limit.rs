//! Staying below a service's request quota by waiting, within a bound.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::intercept::{Attempt, Call, Intercept};
use crate::{Clock, CryptoError, ErrorKind, Operation, Result};

/// Lets calls pass at a steady rate with a bounded burst (the generic cell rate algorithm, ATM
/// Forum TM 4.0, as a virtual schedule on monotonic time).
///
/// A call that comes too early waits for its turn; one that would wait longer than allowed is
/// [`ErrorKind::Throttled`] at once. Turns go to callers in the order in which they came. Clones
/// share one schedule.
#[derive(Debug, Clone)]
pub struct RateLimitLayer {
    interval: Duration,
    /// How far ahead of the steady rate a burst may run.
    tolerance: Duration,
    max_wait: Duration,
    clock: Arc<dyn Clock>,
    /// When the next call would be due at the steady rate ("theoretical arrival time").
    due: Arc<Mutex<Duration>>,
}

impl RateLimitLayer {
    /// `per_second` calls a second, `burst` of them at once after a pause; waits up to 10 seconds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where either is zero.
    pub fn new(per_second: u32, burst: u32, clock: Arc<dyn Clock>) -> Result<Self> {
        if per_second == 0 || burst == 0 {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
                .with_detail("a rate limit needs at least one call a second and a burst of one"));
        }
        let interval = Duration::from_secs(1) / per_second;
        Ok(Self {
            interval,
            tolerance: interval.saturating_mul(burst - 1),
            max_wait: Duration::from_secs(10),
            clock,
            due: Arc::default(),
        })
    }

    /// The longest a call may wait for its turn.
    #[must_use]
    pub const fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Takes the next turn and says how long to wait for it, or how long it would have been.
    fn reserve(&self) -> Result<(Turn<'_>, Duration), Duration> {
        let now = self.clock.monotonic();
        let mut due = self.lock();
        let start = (*due).max(now);
        let wait = start.saturating_sub(self.tolerance).saturating_sub(now);
        if wait > self.max_wait {
            return Err(wait);
        }
        let before = *due;
        let after = start.saturating_add(self.interval);
        *due = after;
        Ok((Turn { layer: self, before, after, used: false }, wait))
    }

    fn lock(&self) -> MutexGuard<'_, Duration> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the schedule. Dropped unused it is given back if nobody has queued behind it;
/// otherwise it is lost, because those behind it know their times already.
struct Turn<'a> {
    layer: &'a RateLimitLayer,
    before: Duration,
    after: Duration,
    used: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.used {
            let mut due = self.layer.lock();
            if *due == self.after {
                *due = self.before;
            }
        }
    }
}

impl Intercept for RateLimitLayer {
    async fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> Result<T> {
        let (mut turn, wait) = self.reserve().map_err(|wait| {
            call.error(ErrorKind::Throttled)
                .with_detail(format!("the rate limit leaves no turn for another {wait:.1?}"))
        })?;
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        turn.used = true;
        attempt.run().await
    }
}
