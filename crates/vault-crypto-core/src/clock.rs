//! Time as a dependency: wall clock, monotonic clock and sleep, so that tests can own all three.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

mod timer;

/// A future that ends when the time is up.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The source of time. Every claim about time in these crates is made against this trait.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Wall-clock time: for records that people and other machines read.
    fn now(&self) -> SystemTime;

    /// Time since an arbitrary start that never runs backwards: for ages, budgets and time-outs.
    fn monotonic(&self) -> Duration;

    /// Ends after `duration` of monotonic time. Dropping the future stops it.
    fn sleep(&self, duration: Duration) -> Sleep;
}

/// The system's clock.
///
/// `sleep` works under any executor: one timer thread per process, started by the first sleep and
/// started anew in a forked child.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The system's clock.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the module that asks the system")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        timer::monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        timer::sleep(duration)
    }
}
