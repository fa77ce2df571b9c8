//! Which keys have been looked at. A derived key's `context` is ignored in silence by a key that is not
//! derived, so each key is looked at before it is used, and again every minute: it can be deleted and another
//! be made under its name.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How long a look lasts.
const LASTS: Duration = Duration::from_secs(60);
/// After this long one caller looks again while the others go on.
const AGAIN: Duration = Duration::from_secs(30);
/// How long that caller may take before another one does.
const LOOKING: Duration = Duration::from_secs(5);
/// More names than this are forgotten together.
const MOST: usize = 1_024;

/// Names that were found fit, until when that holds, and with which version they wrapped.
#[derive(Debug, Default)]
pub(crate) struct Fitness(RwLock<HashMap<String, Look>>);

#[derive(Debug)]
struct Look {
    again: Duration,
    until: Duration,
    version: u32,
}

impl Fitness {
    /// Whether the key can be used without another look. Of many who ask when one is due, one is told no.
    pub(crate) fn is_known(&self, name: &str, now: Duration) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match known.get(name) {
            Some(look) if now < look.again => return true,
            Some(look) if now < look.until => {}
            _ => return false,
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(look) = known.get_mut(name).filter(|look| now < look.until) else { return false };
        if look.again <= now {
            look.again = now.saturating_add(LOOKING);
            return false;
        }
        true
    }

    /// Whether the look showed that the key wraps with `version`. If not, it was rotated since, or
    /// exchanged for another key.
    pub(crate) fn has_shown(&self, name: &str, version: u32) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).is_some_and(|look| look.version == version)
    }

    pub(crate) fn remember(&self, name: &str, version: u32, now: Duration) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        let (again, until) = (now.saturating_add(AGAIN), now.saturating_add(LASTS));
        known.insert(name.to_owned(), Look { again, until, version });
    }

    pub(crate) fn forget(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_look_lasts_a_minute() {
        let fitness = Fitness::default();
        assert!(!fitness.is_known("k", Duration::ZERO));
        fitness.remember("k", 3, Duration::ZERO);
        assert!(fitness.is_known("k", AGAIN - SECOND));
        assert!(!fitness.is_known("k", LASTS));
        assert!(fitness.has_shown("k", 3) && !fitness.has_shown("k", 2));
        fitness.forget("k");
        assert!(!fitness.is_known("k", Duration::ZERO) && !fitness.has_shown("k", 3));
    }

    #[test]
    fn in_the_second_half_of_the_minute_one_of_many_looks_again() {
        let fitness = Fitness::default();
        fitness.remember("k", 1, Duration::ZERO);
        let told = |at| (0..10).filter(|_| !fitness.is_known("k", at)).count();
        assert_eq!(told(AGAIN), 1);
        assert_eq!(told(AGAIN + LOOKING - SECOND), 0);
        assert_eq!(told(AGAIN + LOOKING), 1, "the first never came back");
        fitness.remember("k", 1, AGAIN + LOOKING);
        assert_eq!(told(LASTS), 0);
    }
}
