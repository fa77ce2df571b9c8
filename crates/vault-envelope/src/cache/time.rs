//! Monotonic time in one word, so that an entry's times can be atomics, and ages that are right whichever
//! way a clock jumps.

use std::time::Duration;

/// How far one thread's reading may lie before another's without anything being wrong.
const SKEW: u64 = 1_000_000_000;

/// Nanoseconds on the envelope's monotonic clock: 584 years of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Nanos(pub(crate) u64);

impl Nanos {
    #[inline]
    pub(crate) fn of(reading: Duration) -> Self {
        let whole = reading.as_secs().saturating_mul(1_000_000_000);
        Self(whole.saturating_add(u64::from(reading.subsec_nanos())))
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(Self::of(delay).0))
    }

    #[cfg(test)]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The age of something from `born`. Younger than born is old: a clock that ran back by more than
    /// threads can differ must not make keys live longer.
    pub(crate) fn age_of(self, born: Self) -> u64 {
        match self.0.checked_sub(born.0) {
            Some(age) => age,
            None if born.0 - self.0 <= SKEW => 0,
            None => u64::MAX,
        }
    }
}

/// Up to when a key is used how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lifetime {
    /// Below this age nothing is to be done.
    pub(crate) calm: u64,
    /// Up to this age it is used.
    max: u64,
    /// Up to this age it is used where its KMS cannot be asked.
    last: u64,
}

/// How old something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// To be used, and nothing else.
    Calm,
    /// To be used, and one should ask for the next.
    Due,
    /// To be used in an outage only.
    Stale,
    /// Not to be used.
    Over,
}

impl Lifetime {
    pub(crate) fn new(max: Duration, percent: u8, stale: Duration) -> Self {
        let nanos = Nanos::of(max).0;
        let calm = u128::from(nanos) * u128::from(percent.min(100)) / 100;
        Self {
            calm: u64::try_from(calm).unwrap_or(nanos),
            max: nanos,
            last: nanos.saturating_add(Nanos::of(stale).0),
        }
    }

    pub(crate) fn of(&self, age: u64) -> Age {
        match age {
            _ if age > self.last => Age::Over,
            _ if age > self.max => Age::Stale,
            _ if age >= self.calm && self.calm < self.max => Age::Due,
            _ => Age::Calm,
        }
    }

    /// When something from `born` is over.
    pub(crate) fn end(&self, born: Nanos) -> Nanos {
        Nanos(born.0.saturating_add(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_calm_then_due_then_stale_then_over() {
        let second = Duration::from_secs(1);
        let life = Lifetime::new(10 * second, 80, 5 * second);
        let at = |seconds: u32| life.of(Nanos::of(seconds * second).0);
        let ages: Vec<Age> = [0, 7, 8, 10, 11, 15, 16].into_iter().map(at).collect();
        use Age::*;
        assert_eq!(ages, [Calm, Calm, Due, Due, Stale, Stale, Over]);
        let hard = Lifetime::new(10 * second, 100, Duration::ZERO);
        assert_eq!(hard.of(Nanos::of(10 * second).0), Calm);
        assert_eq!(hard.of(Nanos::of(10 * second).0 + 1), Over);
    }

    #[test]
    fn a_clock_that_runs_back_ends_a_key_rather_than_keeping_it() {
        let born = Nanos::of(Duration::from_secs(100));
        assert_eq!(Nanos::of(Duration::from_millis(99_500)).age_of(born), 0);
        assert_eq!(Nanos::of(Duration::from_secs(10)).age_of(born), u64::MAX);
    }
}
