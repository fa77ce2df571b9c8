//! A value that each process has for itself: a forked child begins with an empty one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use vault_crypto_core::process_word;

/// How deep forks of forks may be nested under one value.
const DEPTH: usize = 8;
/// The owner where the system cannot tell processes apart.
const ONLY: u64 = u64::MAX;

/// One value for each process that a fork made. What the parent had stays where it is and is never
/// touched again: another of its threads may have held a lock at that moment.
pub(crate) struct PerProcess<T> {
    places: [Place<T>; DEPTH],
    make: Box<dyn Fn() -> T + Send + Sync>,
}

struct Place<T> {
    /// The process word of the owner; zero: free. A claim is one step, so a fork finds it done or not
    /// begun, and a child never needs a place that was half filled when it was born.
    owner: AtomicU64,
    value: OnceLock<T>,
}

impl<T> PerProcess<T> {
    pub(crate) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let place = || Place { owner: AtomicU64::new(0), value: OnceLock::new() };
        Self { places: std::array::from_fn(|_| place()), make: Box::new(make) }
    }

    /// This process's value, if it was made.
    pub(crate) fn made(&self) -> Option<&T> {
        let word = process_word().unwrap_or(ONLY);
        let own = |place: &&Place<T>| place.owner.load(Ordering::Acquire) == word;
        self.places.iter().find(own).and_then(|place| place.value.get())
    }

    /// This process's value; `None` in a fork of a fork of ... of a fork, which has to do without.
    pub(crate) fn get(&self) -> Option<&T> {
        let word = process_word().unwrap_or(ONLY);
        for place in &self.places {
            let owner = match place.owner.load(Ordering::Acquire) {
                0 => {
                    match place.owner.compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire)
                    {
                        Ok(_) => word,
                        Err(other) => other,
                    }
                }
                owner => owner,
            };
            if owner == word {
                return Some(place.value.get_or_init(&self.make));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_has_a_value_of_its_own_until_forks_are_nested_too_deep() {
        let numbers = AtomicU64::new(0);
        let value = PerProcess::new(move || numbers.fetch_add(1, Ordering::Relaxed));
        let first = *value.get().unwrap();
        assert_eq!(*value.get().unwrap(), first);
        for depth in 0..DEPTH {
            // What a child sees: a place that belongs to another process.
            assert_eq!(*value.get().unwrap(), first + depth as u64);
            value.places[depth].owner.store(depth as u64 + 1_000_000, Ordering::Relaxed);
        }
        assert!(value.get().is_none());
    }
}
