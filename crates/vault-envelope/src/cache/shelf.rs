//! Which of many entries stay: SIEVE (Zhang et al., NSDI 2024), which one pass over many entries that are
//! never asked for again does not impress.
//!
//! Entries stand in the order they came. A hand goes from the oldest to the newest; who was touched since
//! it last came by stays, the first who was not goes. Left to others: locking, and what going means.

use std::collections::HashMap;

/// No place.
const NONE: u32 = u32::MAX;

/// Entries under 128-bit fingerprints, at most as many as the capacity.
pub(crate) struct Shelf<V> {
    places: Vec<Option<Place<V>>>,
    free: Vec<u32>,
    /// By half of the fingerprint; the place has all of it.
    index: HashMap<u64, u32>,
    newest: u32,
    oldest: u32,
    hand: u32,
    capacity: usize,
}

struct Place<V> {
    key: u128,
    value: V,
    newer: u32,
    older: u32,
}

/// The half that the index knows. Fingerprints are keyed hashes, so two with the same half are as rare as
/// anything; then the later one takes the place.
fn half(key: u128) -> u64 {
    key as u64
}

impl<V> Shelf<V> {
    /// Without entries; `capacity` is at least 1.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            newest: NONE,
            oldest: NONE,
            hand: NONE,
            capacity: capacity.clamp(1, NONE as usize),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, key: u128) -> Option<&V> {
        let place = self.place(*self.index.get(&half(key))?)?;
        (place.key == key).then_some(&place.value)
    }

    /// Puts `value` on the shelf as the newest, and gives who had to go: the former value of the key, or
    /// the victim of a full shelf. `touched` says of an entry whether it was used since it was last asked.
    pub(crate) fn insert(
        &mut self,
        key: u128,
        value: V,
        touched: impl Fn(&V) -> bool,
    ) -> Option<V> {
        let gone = match self.index.get(&half(key)).copied() {
            Some(at) => self.take(at),
            None if self.len() >= self.capacity => self.evict(touched),
            None => None,
        };
        let place = Place { key, value, newer: NONE, older: self.newest };
        let at = self.room();
        if let Some(slot) = self.places.get_mut(at as usize) {
            *slot = Some(place);
        }
        match std::mem::replace(&mut self.newest, at) {
            NONE => self.oldest = at,
            second => self.change(second, |place| place.newer = at),
        }
        self.index.insert(half(key), at);
        gone
    }

    fn room(&mut self) -> u32 {
        if let Some(at) = self.free.pop() {
            return at;
        }
        if self.places.len() == self.places.capacity() {
            // By an eighth, not by half: most of what a full cache costs would be room for more.
            self.places.reserve_exact(self.places.len() / 8 + 4);
        }
        self.places.push(None);
        // The capacity is below 2^32.
        u32::try_from(self.places.len() - 1).unwrap_or(NONE)
    }

    pub(crate) fn remove(&mut self, key: u128) -> Option<V> {
        self.get(key)?;
        let at = *self.index.get(&half(key))?;
        self.take(at)
    }

    /// Takes away whom SIEVE would; `None` from an empty shelf.
    pub(crate) fn evict(&mut self, touched: impl Fn(&V) -> bool) -> Option<V> {
        let mut at = if self.hand == NONE { self.oldest } else { self.hand };
        // Each step clears a touch; entries touched again behind the hand could keep it going, so two
        // rounds are the end.
        for _ in 0..2 * self.len() {
            let Some(place) = self.place(at) else { break };
            if !touched(&place.value) {
                break;
            }
            at = if place.newer == NONE { self.oldest } else { place.newer };
        }
        self.hand = at;
        self.take(at)
    }

    /// Takes away all that `goes` says.
    pub(crate) fn take_where(&mut self, goes: impl Fn(&V) -> bool) -> Vec<V> {
        let places = self.places.iter().flatten();
        let keys: Vec<u128> =
            places.filter(|place| goes(&place.value)).map(|place| place.key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.places.iter().flatten().map(|place| &place.value)
    }

    fn place(&self, at: u32) -> Option<&Place<V>> {
        self.places.get(at as usize).and_then(Option::as_ref)
    }

    fn change(&mut self, at: u32, change: impl FnOnce(&mut Place<V>)) {
        if let Some(place) = self.places.get_mut(at as usize).and_then(Option::as_mut) {
            change(place);
        }
    }

    fn take(&mut self, at: u32) -> Option<V> {
        let place = self.places.get_mut(at as usize)?.take()?;
        self.index.remove(&half(place.key));
        self.free.push(at);
        match place.newer {
            NONE => self.newest = place.older,
            newer => self.change(newer, |other| other.older = place.older),
        }
        match place.older {
            NONE => self.oldest = place.newer,
            older => self.change(older, |other| other.newer = place.newer),
        }
        if self.hand == at {
            self.hand = place.newer;
        }
        Some(place.value)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Item(u128, Cell<bool>);

    fn put(shelf: &mut Shelf<Item>, key: u128) -> Option<Item> {
        shelf.insert(key, item(key), |item| item.1.take())
    }

    fn item(key: u128) -> Item {
        Item(key, Cell::new(false))
    }

    fn keys(shelf: &Shelf<Item>) -> Vec<u128> {
        let mut keys: Vec<u128> = shelf.iter().map(|item| item.0).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn who_was_touched_stays_and_the_oldest_who_was_not_goes() {
        let mut shelf = Shelf::new(3);
        (1..=3).for_each(|key| assert!(put(&mut shelf, key).is_none()));
        shelf.get(1).unwrap().1.set(true);
        assert_eq!(put(&mut shelf, 4).map(|item| item.0), Some(2));
        assert_eq!(keys(&shelf), [1, 3, 4]);
    }

    #[test]
    fn a_scan_of_a_hundred_thousand_moves_no_hot_entry() {
        let mut shelf = Shelf::new(100);
        (0..50).for_each(|key| assert!(put(&mut shelf, key).is_none()));
        for key in 1_000..101_000 {
            if key % 20 == 0 {
                (0..50).for_each(|hot| shelf.get(hot).unwrap().1.set(true));
            }
            put(&mut shelf, key);
            assert!(shelf.len() <= 100);
        }
        assert!((0..50).all(|hot| shelf.get(hot).is_some()));
    }

    #[test]
    fn all_touched_still_lets_one_go() {
        let mut shelf = Shelf::new(4);
        (0..4).for_each(|key| assert!(put(&mut shelf, key).is_none()));
        shelf.iter().for_each(|item| item.1.set(true));
        assert!(put(&mut shelf, 9).is_some());
        assert_eq!(shelf.len(), 4);
    }

    #[test]
    fn two_keys_of_one_half_are_never_taken_for_each_other() {
        let mut shelf = Shelf::new(4);
        let (one, two) = (7, 7 | 1 << 64);
        assert!(put(&mut shelf, one).is_none());
        assert!(shelf.get(two).is_none() && shelf.remove(two).is_none());
        assert_eq!(put(&mut shelf, two).map(|item| item.0), Some(one));
        assert!(shelf.get(one).is_none() && shelf.get(two).is_some());
    }

    #[test]
    fn any_order_of_inserts_and_removals_keeps_list_and_index_equal() {
        let mut shelf: Shelf<Item> = Shelf::new(8);
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let key = u128::from(seed >> 60) | u128::from(seed >> 20 & 1) << 64;
            match seed >> 32 & 3 {
                0 => drop(shelf.remove(key)),
                1 => drop(shelf.evict(|item| item.1.take())),
                2 => drop(shelf.take_where(|item| item.0 == key)),
                _ => drop(put(&mut shelf, key)),
            }
            let (mut walked, mut at) = (0, shelf.oldest);
            while let Some(place) = shelf.place(at) {
                walked += 1;
                at = place.newer;
            }
            assert_eq!(walked, shelf.len());
            assert!(shelf.len() <= 8);
            assert!(shelf.hand == NONE || shelf.place(shelf.hand).is_some());
        }
    }
}
