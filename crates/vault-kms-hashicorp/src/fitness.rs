//! Which keys have been looked at. A derived key's `context` is ignored in silence by a key that is not
//! derived, so each key is looked at before it is used, and again now and then: it can be deleted and
//! another be made under its name.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How long a look lasts.
const LASTS: Duration = Duration::from_secs(10 * 60);
/// More names than this are forgotten together.
const MOST: usize = 1_024;

/// Names that were found fit, and until when that holds.
#[derive(Debug, Default)]
pub(crate) struct Fitness(RwLock<HashMap<String, Duration>>);

impl Fitness {
    pub(crate) fn is_known(&self, name: &str, now: Duration) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).is_some_and(|until| now < *until)
    }

    pub(crate) fn remember(&self, name: &str, now: Duration) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.to_owned(), now.saturating_add(LASTS));
    }

    pub(crate) fn forget(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_lasts_ten_minutes() {
        let fitness = Fitness::default();
        assert!(!fitness.is_known("k", Duration::ZERO));
        fitness.remember("k", Duration::ZERO);
        assert!(fitness.is_known("k", LASTS - Duration::from_secs(1)));
        assert!(!fitness.is_known("k", LASTS));
        fitness.forget("k");
        assert!(!fitness.is_known("k", Duration::ZERO));
    }
}
