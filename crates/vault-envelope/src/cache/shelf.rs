//! Which of many entries stay: SIEVE (Zhang et al., NSDI 2024), which one pass over many entries that are
//! never asked for again does not impress.
//!
//! Entries stand in the order they came. A hand goes from the oldest to the newest; who was touched since
//! it last came by stays, the first who was not goes. Left to others: locking, and what going means.

use std::collections::HashMap;

/// What the shelf asks its entries.
pub(crate) trait Touched {
    /// Whether somebody used it since this was last asked.
    fn take_touch(&self) -> bool;
}

/// Entries under 128-bit fingerprints, at most as many as the capacity.
pub(crate) struct Shelf<V> {
    places: Vec<Option<Place<V>>>,
    free: Vec<usize>,
    index: HashMap<u128, usize>,
    newest: Option<usize>,
    oldest: Option<usize>,
    hand: Option<usize>,
    capacity: usize,
}

struct Place<V> {
    key: u128,
    value: V,
    newer: Option<usize>,
    older: Option<usize>,
}

impl<V: Touched> Shelf<V> {
    /// Without entries; `capacity` is at least 1.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            newest: None,
            oldest: None,
            hand: None,
            capacity: capacity.max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, key: u128) -> Option<&V> {
        let at = *self.index.get(&key)?;
        self.place(at).map(|place| &place.value)
    }

    /// Puts `value` on the shelf as the newest, and gives who had to go: the former value of the key, or
    /// the victim of a full shelf.
    pub(crate) fn insert(&mut self, key: u128, value: V) -> Option<V> {
        let gone = match self.remove(key) {
            None if self.len() >= self.capacity => self.evict(),
            gone => gone,
        };
        let place = Place { key, value, newer: None, older: self.newest };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        if let Some(slot) = self.places.get_mut(at) {
            *slot = Some(place);
        }
        match self.newest.replace(at) {
            Some(second) => self.change(second, |place| place.newer = Some(at)),
            None => self.oldest = Some(at),
        }
        self.index.insert(key, at);
        gone
    }

    pub(crate) fn remove(&mut self, key: u128) -> Option<V> {
        let at = self.index.remove(&key)?;
        self.take(at)
    }

    /// Takes away whom SIEVE would; `None` from an empty shelf.
    pub(crate) fn evict(&mut self) -> Option<V> {
        let mut at = self.hand.or(self.oldest)?;
        // Each step clears a touch; entries touched again behind the hand could keep it going, so two
        // rounds are the end.
        for _ in 0..2 * self.len() {
            let Some(place) = self.place(at) else { break };
            if !place.value.take_touch() {
                break;
            }
            at = place.newer.or(self.oldest)?;
        }
        let key = self.place(at)?.key;
        self.hand = Some(at);
        self.index.remove(&key);
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

    fn place(&self, at: usize) -> Option<&Place<V>> {
        self.places.get(at).and_then(Option::as_ref)
    }

    fn change(&mut self, at: usize, change: impl FnOnce(&mut Place<V>)) {
        if let Some(place) = self.places.get_mut(at).and_then(Option::as_mut) {
            change(place);
        }
    }

    fn take(&mut self, at: usize) -> Option<V> {
        let place = self.places.get_mut(at)?.take()?;
        self.free.push(at);
        match place.newer {
            Some(newer) => self.change(newer, |other| other.older = place.older),
            None => self.newest = place.older,
        }
        match place.older {
            Some(older) => self.change(older, |other| other.newer = place.newer),
            None => self.oldest = place.newer,
        }
        if self.hand == Some(at) {
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

    impl Touched for Item {
        fn take_touch(&self) -> bool {
            self.1.take()
        }
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
        (1..=3).for_each(|key| assert!(shelf.insert(key, item(key)).is_none()));
        shelf.get(1).unwrap().1.set(true);
        assert_eq!(shelf.insert(4, item(4)).map(|item| item.0), Some(2));
        assert_eq!(keys(&shelf), [1, 3, 4]);
    }

    #[test]
    fn a_scan_of_a_hundred_thousand_moves_no_hot_entry() {
        let mut shelf = Shelf::new(100);
        (0..50).for_each(|key| drop(shelf.insert(key, item(key))));
        for key in 1_000..101_000 {
            if key % 20 == 0 {
                (0..50).for_each(|hot| shelf.get(hot).unwrap().1.set(true));
            }
            shelf.insert(key, item(key));
            assert!(shelf.len() <= 100);
        }
        assert!((0..50).all(|hot| shelf.get(hot).is_some()));
    }

    #[test]
    fn all_touched_still_lets_one_go() {
        let mut shelf = Shelf::new(4);
        (0..4).for_each(|key| drop(shelf.insert(key, item(key))));
        shelf.iter().for_each(|item| item.1.set(true));
        assert!(shelf.insert(9, item(9)).is_some());
        assert_eq!(shelf.len(), 4);
    }

    #[test]
    fn any_order_of_inserts_and_removals_keeps_list_and_index_equal() {
        let mut shelf: Shelf<Item> = Shelf::new(8);
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let key = u128::from(seed >> 60);
            match seed >> 32 & 3 {
                0 => drop(shelf.remove(key)),
                1 => drop(shelf.evict()),
                2 => drop(shelf.take_where(|item| item.0 == key)),
                _ => drop(shelf.insert(key, item(key))),
            }
            let (mut walked, mut at) = (0, shelf.oldest);
            while let Some(place) = at.and_then(|at| shelf.place(at)) {
                walked += 1;
                at = place.newer;
            }
            assert_eq!(walked, shelf.len());
            assert!(shelf.len() <= 8);
            assert!(shelf.hand.is_none_or(|hand| shelf.place(hand).is_some()));
        }
    }
}
