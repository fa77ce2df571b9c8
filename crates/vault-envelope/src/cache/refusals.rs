//! What a KMS refused, answered from memory for a while: so that bogus messages, revoked keys and a
//! service that is down do not cost a call each time.
//!
//! A table of its own with a cap of its own: refusals take no room from keys.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use std::sync::Arc;

use vault_crypto_core::CryptoError;

use super::policy::CachePolicy;
use super::time::Nanos;

/// The delay after a failure that says nothing about the key: only so that a service that is down is
/// not hammered.
const OUTAGE_DELAY: Duration = Duration::from_millis(50);
const OUTAGE_DELAY_CAP: Duration = Duration::from_secs(2);

/// Refusals under the fingerprints of what was refused.
pub(crate) struct Refusals {
    by_key: HashMap<u128, Refusal>,
    /// With the number that each has had since it was last noted anew.
    order: VecDeque<(u128, u64)>,
    next: u64,
    policy: CachePolicy,
}

struct Refusal {
    error: Arc<CryptoError>,
    until: Nanos,
    failures: u32,
    number: u64,
}

impl Refusals {
    pub(crate) fn new(policy: CachePolicy) -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new(), next: 0, policy }
    }

    /// What to answer without asking, if the delay is not over.
    pub(crate) fn at(&self, key: u128, now: Nanos) -> Option<Arc<CryptoError>> {
        self.by_key.get(&key).filter(|known| now < known.until).map(|known| known.error.clone())
    }

    /// Remembers a refusal. `draw` is any number drawn at random. Gives the end of the delay.
    pub(crate) fn note(
        &mut self,
        key: u128,
        error: &Arc<CryptoError>,
        now: Nanos,
        draw: u64,
    ) -> Nanos {
        let known = self.by_key.get(&key).map(|known| (known.failures, known.number));
        let (failures, number) = known.unwrap_or((0, self.next));
        let (first, cap) = if error.is_retryable() {
            (OUTAGE_DELAY.min(self.policy.refusal_delay), OUTAGE_DELAY_CAP)
        } else {
            (self.policy.refusal_delay, self.policy.refusal_delay_cap)
        };
        let until = now.after(jittered(first, cap, failures, draw));
        if self.policy.refusals == 0 {
            return until;
        }
        let failures = failures.saturating_add(1);
        let refusal = Refusal { error: error.clone(), until, failures, number };
        if self.by_key.insert(key, refusal).is_none() {
            self.order.push_back((key, number));
            self.next += 1;
        }
        while self.by_key.len() > self.policy.refusals {
            let Some(oldest) = self.order.pop_front() else { break };
            if self.has(&oldest) {
                self.by_key.remove(&oldest.0);
            }
        }
        // Keys that were forgotten since leave their place in the order; it must not grow by that.
        if self.order.len() > 2 * self.policy.refusals.max(16) {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|place| self.has(place));
            self.order = order;
        }
        until
    }

    /// Whether this place in the order is a refusal's, and not one that was forgotten.
    fn has(&self, (key, number): &(u128, u64)) -> bool {
        self.by_key.get(key).is_some_and(|known| known.number == *number)
    }

    /// When the delay is over.
    pub(crate) fn until(&self, key: u128) -> Option<Nanos> {
        self.by_key.get(&key).map(|known| known.until)
    }

    /// It was granted after all.
    pub(crate) fn forget(&mut self, key: u128) {
        self.by_key.remove(&key);
    }

    /// An invalidation says that something changed: ask again.
    pub(crate) fn clear(&mut self) {
        self.by_key.clear();
        self.order.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// `first` doubled for each earlier failure up to `cap`; the last quarter of it is drawn, so that a fleet
/// does not come back all at once.
fn jittered(first: Duration, cap: Duration, failures: u32, draw: u64) -> Duration {
    let whole = first.saturating_mul(1 << failures.min(20)).min(cap);
    let quarter = whole / 4;
    whole - quarter.mul_f64(draw as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::{ErrorKind, Operation};

    use super::*;

    fn error(kind: ErrorKind) -> Arc<CryptoError> {
        Arc::new(CryptoError::new(kind, Operation::Open))
    }

    #[test]
    fn delays_double_up_to_the_cap_and_a_success_ends_them() {
        let mut refusals = Refusals::new(CachePolicy::default());
        let refused = error(ErrorKind::KeyNotFound);
        let delay = |refusals: &mut Refusals| {
            refusals.note(1, &refused, Nanos::default(), 0).since(Nanos::default())
        };
        let seconds: Vec<u64> = (0..7).map(|_| delay(&mut refusals).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        refusals.forget(1);
        assert_eq!(delay(&mut refusals).as_secs(), 1);
    }

    #[test]
    fn a_quarter_of_the_delay_is_drawn() {
        let second = Duration::from_secs(1);
        assert_eq!(jittered(second, second, 0, u64::MAX), Duration::from_millis(750));
        assert_eq!(jittered(second, second, 0, 0), second);
    }

    #[test]
    fn a_key_that_is_refused_and_granted_in_turns_costs_one_place() {
        let mut refusals = Refusals::new(CachePolicy::default().with_refusals(10));
        for _ in 0..1_000 {
            refusals.note(1, &error(ErrorKind::KeyNotFound), Nanos::default(), 0);
            refusals.forget(1);
        }
        refusals.note(1, &error(ErrorKind::KeyNotFound), Nanos::default(), 0);
        assert!(refusals.order.len() <= 32, "{}", refusals.order.len());
    }

    #[test]
    fn a_flood_stays_within_the_cap_and_an_outage_is_short() {
        let mut refusals = Refusals::new(CachePolicy::default().with_refusals(10));
        for key in 0..1_000 {
            refusals.note(key, &error(ErrorKind::AuthenticationFailed), Nanos::default(), 0);
            refusals.forget(key / 2);
            assert!(refusals.len() <= 10 && refusals.order.len() <= 64);
        }
        let outage = error(ErrorKind::Unavailable);
        let until = refusals.note(7, &outage, Nanos::default(), 0);
        assert_eq!(until.since(Nanos::default()), OUTAGE_DELAY);
    }
}
