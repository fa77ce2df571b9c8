//! How long and how many: the settings of the cache, all finite.

use std::time::Duration;

/// Longest that any policy lets a key be used without asking again.
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);
const MAX_CAPACITY: usize = 1 << 20;

/// How data keys are cached. Every limit is finite, whatever is set.
///
/// The age and amount of *sealing* under one data key is the [`Budget`](crate::Budget)'s affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachePolicy {
    /// Most data keys for opening, and most scopes with a data key for sealing; 1,024.
    pub capacity: usize,
    /// How long an opened data key is used before its KMS is asked again; 5 minutes.
    pub max_age: Duration,
    /// From this part of an age or budget on, in percent, one operation asks for the next key while the
    /// others go on with the old one; 80. With 100 nobody asks early.
    pub refresh_percent: u8,
    /// How much longer a key is used while its KMS cannot be reached; zero. A KMS that refuses ends it.
    pub stale_for: Duration,
    /// How long a refusal is answered from memory at first; 1 second. It doubles with each refusal that
    /// follows, and a quarter of it is drawn at random.
    pub refusal_delay: Duration,
    /// What the delay doubles up to; 30 seconds.
    pub refusal_delay_cap: Duration,
    /// Most refusals that are remembered; 1,024.
    pub refusals: usize,
    /// Whether a data key that several parties opened together is kept; it is not.
    pub keeps_shared_keys: bool,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            capacity: 1_024,
            max_age: Duration::from_secs(300),
            refresh_percent: 80,
            stale_for: Duration::ZERO,
            refusal_delay: Duration::from_secs(1),
            refusal_delay_cap: Duration::from_secs(30),
            refusals: 1_024,
            keeps_shared_keys: false,
        }
    }
}

impl CachePolicy {
    /// Changes how many keys are kept: 1 to 2^20.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Changes how long an opened key is used: at most a day.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Changes when the next key is asked for, in percent of an age or budget; 100 is never.
    #[must_use]
    pub fn with_refresh_percent(mut self, percent: u8) -> Self {
        self.refresh_percent = percent;
        self
    }

    /// Allows keys past their age while their KMS is unavailable, throttled or silent: at most a day.
    #[must_use]
    pub fn with_stale_for(mut self, stale_for: Duration) -> Self {
        self.stale_for = stale_for;
        self
    }

    /// Changes how long refusals are answered from memory: first and at most (an hour at most).
    #[must_use]
    pub fn with_refusal_delay(mut self, first: Duration, cap: Duration) -> Self {
        self.refusal_delay = first;
        self.refusal_delay_cap = cap;
        self
    }

    /// Changes how many refusals are remembered: at most 2^20.
    #[must_use]
    pub fn with_refusals(mut self, refusals: usize) -> Self {
        self.refusals = refusals;
        self
    }

    /// Keeps data keys that several parties opened together: from then on, for the age of a key, this
    /// process opens their messages without asking any of them.
    #[must_use]
    pub fn with_shared_keys_kept(mut self) -> Self {
        self.keeps_shared_keys = true;
        self
    }

    /// The same within the limits that hold whatever is set.
    pub(crate) fn bounded(mut self) -> Self {
        self.capacity = self.capacity.clamp(1, MAX_CAPACITY);
        self.max_age = self.max_age.min(MAX_AGE);
        self.refresh_percent = self.refresh_percent.min(100);
        self.stale_for = self.stale_for.min(MAX_AGE);
        self.refusal_delay_cap = self.refusal_delay_cap.min(Duration::from_secs(3_600));
        self.refusal_delay = self.refusal_delay.min(self.refusal_delay_cap);
        self.refusals = self.refusals.min(MAX_CAPACITY);
        self
    }
}
