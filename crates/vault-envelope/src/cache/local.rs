//! Each thread's own first level: pointers to entries, a lease of their budgets, and its counts. No key
//! bytes, and nothing that another thread writes to.
//!
//! Left to others: whether an entry that is found may still be used.

use std::cell::RefCell;

use vault_crypto_core::{Scope, process_word};

use super::Cache;
use super::entry::{CachedKey, mark_of};
use super::holdings::Holdings;
use super::lease::Lease;
use super::stats::{Cells, Count};
use super::store::Role;
use super::sync::Arc;
use super::time::{Age, Lifetime, Nanos};

/// Sets of two places.
const OPENING_SETS: usize = 128;
const SEALING_SETS: usize = 32;
/// Envelopes that one thread keeps a level for.
const MOST_LEVELS: usize = 32;

thread_local! {
    static LEVELS: RefCell<Vec<Level>> = const { RefCell::new(Vec::new()) };
}

/// One thread's level for one envelope.
pub(crate) struct Level {
    cache: u64,
    process: Option<u64>,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) cells: Arc<Cells>,
    opening: Table<Arc<CachedKey>>,
    sealing: Table<Leased>,
}

/// A key that was found, with what is there to be told of it.
pub(crate) struct Hit<'a> {
    pub(crate) key: &'a CachedKey,
    cells: &'a Cells,
    holdings: &'a Holdings,
}

impl Hit<'_> {
    /// It was used. Whoever uses a key also sweeps out what is over.
    #[inline]
    pub(crate) fn used(&self, role: Role, now: Nanos) {
        self.key.touch(role);
        self.cells.count(Count::Hit);
        if self.holdings.sweep_is_due(now) {
            self.holdings.sweep(now);
        }
    }
}

/// A key with this thread's lease of its budget, which goes back with it.
pub(crate) struct Leased {
    pub(crate) key: Arc<CachedKey>,
    pub(crate) lease: Lease,
    /// Leases that this thread has had of it.
    had: u32,
}

impl Drop for Leased {
    fn drop(&mut self) {
        if let Some(purse) = &self.key.purse {
            purse.give_back(self.lease);
        }
    }
}

/// Sets of two, the one used last first.
struct Table<V>(Box<[[Option<V>; 2]]>);

impl<V> Table<V> {
    fn new(sets: usize) -> Self {
        Self((0..sets).map(|_| [None, None]).collect())
    }

    #[inline]
    fn set(&mut self, mark: u64) -> Option<&mut [Option<V>; 2]> {
        // Spread by a multiplication (Fibonacci hashing): marks may differ in any of their bits.
        let spread = mark.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let sets = self.0.len().max(1);
        self.0.get_mut(spread as usize % sets)
    }

    #[inline]
    fn find(&mut self, mark: u64, is: impl Fn(&V) -> bool) -> Option<&mut V> {
        let set = self.set(mark)?;
        let [first, second] = &mut *set;
        if !first.as_ref().is_some_and(&is) {
            if !second.as_ref().is_some_and(&is) {
                return None;
            }
            std::mem::swap(first, second);
        }
        first.as_mut()
    }

    fn insert(&mut self, mark: u64, value: V) {
        if let Some([first, second]) = self.set(mark) {
            *second = first.replace(value);
        }
    }

    fn remove(&mut self, mark: u64, is: impl Fn(&V) -> bool) {
        for place in self.set(mark).into_iter().flatten() {
            if place.as_ref().is_some_and(&is) {
                *place = None;
            }
        }
    }
}

impl Level {
    /// The key that opens messages with this front, where nothing but opening is to be done about it.
    #[inline]
    pub(crate) fn opening(&mut self, front: &[u8], scope: &Scope, now: Nanos) -> Option<Hit<'_>> {
        let life = &self.holdings.opening_life;
        let key = &*self.opening.find(mark_of(front), |key| key.is_for(front, scope))?;
        if !goes_on(life, Role::Opening, key, key.vouched(), now) {
            return None;
        }
        Some(Hit { key, cells: &self.cells, holdings: &self.holdings })
    }

    /// The key that seals in `scope`, with one message of `len` bytes spent; `None` where there is none,
    /// or something else is to be done about it.
    #[inline]
    pub(crate) fn sealing(&mut self, scope: &Scope, len: u64, now: Nanos) -> Option<Hit<'_>> {
        let life = &self.holdings.sealing_life;
        let find = |leased: &Leased| leased.key.is_of(scope);
        let leased = self.sealing.find(mark_of_scope(scope), find)?;
        let key = &leased.key;
        if key.is_retired() || !goes_on(life, Role::Sealing, key, key.made(), now) {
            return None;
        }
        if !leased.lease.spend(len) && !refill(leased, len, now) {
            return None;
        }
        let key = &leased.key;
        Some(Hit { key, cells: &self.cells, holdings: &self.holdings })
    }

    pub(crate) fn put_opening(&mut self, key: Arc<CachedKey>) {
        let mark = mark_of(key.front());
        self.opening.remove(mark, |old| old.is_for(key.front(), &key.common().scope));
        self.opening.insert(mark, key);
    }

    /// Spends one message of `len` bytes under `key`, however little is left of its budget.
    pub(crate) fn spend(&mut self, key: &Arc<CachedKey>, len: u64) -> bool {
        let scope = &key.common().scope;
        let mark = mark_of_scope(scope);
        if let Some(leased) = self.sealing.find(mark, |leased| Arc::ptr_eq(&leased.key, key)) {
            return leased.lease.spend(len) || take_lease(leased, len);
        }
        let mut leased = Leased { key: key.clone(), lease: Lease::default(), had: 0 };
        let spent = take_lease(&mut leased, len);
        self.sealing.remove(mark, |old| old.key.is_of(scope));
        self.sealing.insert(mark, leased);
        spent
    }
}

/// Whether nothing but using it is to be done about a key from `born`. A reading from before that wraps
/// around: not calm.
#[inline]
fn goes_on(life: &Lifetime, role: Role, key: &CachedKey, born: Nanos, now: Nanos) -> bool {
    let is_calm = now.0.wrapping_sub(born.0) < life.calm;
    is_calm || (life.of(now.age_of(born)) == Age::Due && key.is_cared_for(role, now))
}

/// The next slice of the budget, unless so little is left that somebody must ask for a new key.
#[cold]
fn refill(leased: &mut Leased, len: u64, now: Nanos) -> bool {
    let low = leased.key.purse.as_ref().is_none_or(|purse| purse.is_low());
    (!low || leased.key.is_cared_for(Role::Sealing, now)) && take_lease(leased, len)
}

fn take_lease(leased: &mut Leased, len: u64) -> bool {
    let Some(purse) = &leased.key.purse else { return false };
    purse.give_back(std::mem::take(&mut leased.lease));
    let Some(next) = purse.lease(len, leased.had) else { return false };
    leased.lease = next;
    leased.had = leased.had.saturating_add(1);
    leased.lease.spend(len)
}

/// Which set a scope's sealing key lies in.
#[inline]
fn mark_of_scope(scope: &Scope) -> u64 {
    let mut chunks = scope.canonical_pairs().chunks_exact(8);
    let mut mark = 0_u64;
    let mut mix = |word: u64| {
        mark = (mark.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    };
    for chunk in &mut chunks {
        mix(chunk.first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word)));
    }
    chunks.remainder().iter().for_each(|byte| mix(u64::from(*byte)));
    mark
}

/// Runs `f` with this thread's level of `cache`; `None` where there is no cache, where the thread is
/// ending, or where this is called from within itself (by a filter that decrypts, say).
#[inline]
pub(crate) fn with<R>(cache: &Cache, f: impl FnOnce(&mut Level) -> R) -> Option<R> {
    let process = process_word();
    let run = |levels: &RefCell<Vec<Level>>| {
        let mut levels = levels.try_borrow_mut().ok()?;
        let known =
            levels.iter_mut().find(|level| level.cache == cache.number && level.process == process);
        if let Some(level) = known {
            return Some(f(level));
        }
        enter(&mut levels, cache, process).map(f)
    };
    LEVELS.try_with(run).ok().flatten()
}

#[cold]
fn enter<'a>(
    levels: &'a mut Vec<Level>,
    cache: &Cache,
    process: Option<u64>,
) -> Option<&'a mut Level> {
    let holdings = cache.holdings()?.clone();
    // Of envelopes that are gone, and of the process that this one was forked from. Keys that the
    // envelope let go are wiped already; this gives back the memory of their descriptions.
    levels.retain(|level| level.process == process && !level.holdings.is_closed());
    if levels.len() >= MOST_LEVELS {
        levels.remove(0);
    }
    levels.push(Level {
        cache: cache.number,
        process,
        cells: holdings.census.enrol(),
        holdings,
        opening: Table::new(OPENING_SETS),
        sealing: Table::new(SEALING_SETS),
    });
    levels.last_mut()
}

/// Counts in this thread's cells, if it has a level for these holdings.
pub(crate) fn count(holdings: &Holdings, what: Count) -> bool {
    let run = |levels: &RefCell<Vec<Level>>| {
        let Ok(levels) = levels.try_borrow() else { return false };
        let mine = levels.iter().find(|level| std::ptr::eq(&*level.holdings, holdings));
        mine.inspect(|level| level.cells.count(what)).is_some()
    };
    LEVELS.try_with(run).unwrap_or(false)
}
