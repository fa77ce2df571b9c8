//! The shared level: shelves under a mutex each, and the one way in, which an invalidation beats.
//!
//! Left to others: what is kept, and the threads' own tables before it.

use super::order::Orders;
use super::shelf::Shelf;
use super::sync::{Arc, Mutex, lock};

/// A shelf of its own for so many entries of capacity.
const PER_SHELF: usize = 64;
const MOST_SHELVES: usize = 16;

/// What a key is kept for. A key may be on a shelf of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Opening,
    Sealing,
}

/// What the store asks of what it keeps.
pub(crate) trait Kept {
    /// What an invalidation says.
    type Order;
    /// Whether it was used in this role since this was last asked.
    fn take_touch(&self, role: Role) -> bool;
    /// Whether an invalidation is about it.
    fn is_named_by(&self, order: &Self::Order) -> bool;
    /// It is on a shelf for this role now.
    fn take_on(&self, role: Role);
    /// It is on no shelf for this role any more; kept for nothing, it must be of no use to anybody.
    fn let_go(&self, role: Role);
}

/// Entries of one role.
pub(crate) struct Store<V> {
    role: Role,
    shelves: Box<[Mutex<Shelf<Arc<V>>>]>,
}

impl<V: Kept> Store<V> {
    pub(crate) fn new(role: Role, capacity: usize) -> Self {
        let shelves = (capacity / PER_SHELF).clamp(1, MOST_SHELVES).next_power_of_two();
        let shelf = || Mutex::new(Shelf::new(capacity.div_ceil(shelves)));
        Self { role, shelves: (0..shelves).map(|_| shelf()).collect() }
    }

    pub(crate) fn get(&self, key: u128) -> Option<Arc<V>> {
        lock(self.shelf(key)?).get(key).cloned()
    }

    /// Keeps what a fill brought that began at `began`, unless an invalidation came after that and names
    /// it. Gives whether it is kept, and whether another one had to go for it.
    pub(crate) fn admit(
        &self,
        orders: &Orders<V::Order>,
        began: u64,
        key: u128,
        value: &Arc<V>,
    ) -> (bool, bool) {
        let Some(shelf) = self.shelf(key) else { return (false, false) };
        let mut shelf = lock(shelf);
        // Under the shelf's lock: an invalidation that is given after this look sweeps this shelf after
        // this insertion.
        if orders.named_since(began, |order| value.is_named_by(order)) {
            return (false, false);
        }
        value.take_on(self.role);
        let replaced = shelf.get(key).is_some();
        let gone = shelf.insert(key, value.clone(), |entry| entry.take_touch(self.role));
        drop(shelf);
        let Some(gone) = gone.filter(|gone| !Arc::ptr_eq(gone, value)) else {
            return (true, false);
        };
        gone.let_go(self.role);
        (true, !replaced)
    }

    /// Takes `value` away, if it is what is kept under the key.
    pub(crate) fn remove(&self, key: u128, value: &Arc<V>) {
        let Some(shelf) = self.shelf(key) else { return };
        let mut shelf = lock(shelf);
        if shelf.get(key).is_some_and(|entry| Arc::ptr_eq(entry, value)) {
            let gone = shelf.remove(key);
            drop(shelf);
            gone.iter().for_each(|gone| gone.let_go(self.role));
        }
    }

    /// Takes away all that `goes` says; their number.
    pub(crate) fn sweep(&self, goes: impl Fn(&V) -> bool) -> usize {
        let mut count = 0;
        for shelf in &self.shelves {
            let gone = lock(shelf).take_where(|entry| goes(entry));
            count += gone.len();
            gone.iter().for_each(|gone| gone.let_go(self.role));
        }
        count
    }

    /// Takes away one that was not used lately; `false` from an empty store. `at` says where to begin.
    pub(crate) fn evict_one(&self, at: usize) -> bool {
        let (before, after) = self.shelves.split_at(at % self.shelves.len());
        for shelf in after.iter().chain(before) {
            let gone = lock(shelf).evict(|entry| entry.take_touch(self.role));
            if let Some(gone) = gone {
                gone.let_go(self.role);
                return true;
            }
        }
        false
    }

    /// The least of what `of` says of all entries.
    pub(crate) fn least(&self, of: impl Fn(&V) -> u64) -> Option<u64> {
        let least = |shelf: &Mutex<Shelf<Arc<V>>>| lock(shelf).iter().map(|entry| of(entry)).min();
        self.shelves.iter().filter_map(least).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| lock(shelf).len()).sum()
    }

    fn shelf(&self, key: u128) -> Option<&Mutex<Shelf<Arc<V>>>> {
        // Fingerprints are keyed hashes: any bits do. The number of shelves is a power of two.
        self.shelves.get((key >> 64) as usize & (self.shelves.len() - 1))
    }
}
