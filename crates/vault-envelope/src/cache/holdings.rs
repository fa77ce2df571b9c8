//! What one process holds: the shared level of both roles, flights, refusals, and the order of them all.
//!
//! Left to others: when to ask (`seal`, `open`), the threads' own tables (`local`).

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Weak;
use std::sync::atomic::AtomicUsize;
use std::task::Waker;

use vault_crypto_core::header::Suite;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, Scope};

use super::entry::{CachedKey, Common, backend_of};
use super::flight::Flights;
use super::lease::Purse;
use super::order::Orders;
use super::policy::CachePolicy;
use super::refusals::Refusals;
use super::source::SourcedKey;
use super::stats::{CacheStats, Census, Count};
use super::store::{Kept as _, Role, Store};
use super::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, lock};
use super::time::{Lifetime, Nanos};
use super::{Cache, local};
use crate::sealing::context_prefix;
use crate::{Budget, EnvelopeEncryption, Invalidation, OpenedBy};

/// What a question was about: its fingerprint, and the number of invalidations when it was asked, so
/// that nobody who comes after an invalidation waits for an answer from before it.
pub(crate) type FlightKey = (u128, u64);
/// The answer, for all who wait.
pub(crate) type Answer = Result<Filled, Arc<CryptoError>>;

/// What a fill brought.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    pub(crate) key: Arc<CachedKey>,
    /// Whether it was kept. If not it is good for the operations that waited, and for no more.
    pub(crate) kept: bool,
}

/// What one process holds for one envelope.
pub(crate) struct Holdings {
    pub(crate) openings: Store<CachedKey>,
    pub(crate) sealings: Store<CachedKey>,
    pub(crate) flights: Arc<Flights<FlightKey, Answer>>,
    pub(crate) refusals: Mutex<Refusals>,
    pub(crate) orders: Orders<Invalidation>,
    pub(crate) census: Census,
    pub(crate) opening_life: Lifetime,
    pub(crate) sealing_life: Lifetime,
    /// When the next key that is kept will be over.
    sweep_at: AtomicU64,
    sweeping: AtomicBool,
    closed: AtomicBool,
    /// Least time between two sweeps: their cost grows with the capacity.
    sweep_gap: u64,
    hashers: [RandomState; 2],
    commons: Mutex<HashMap<Vec<u8>, Weak<Common>>>,
    openers: Mutex<Vec<Weak<OpenedBy>>>,
    pub(crate) upkeep: Upkeep,
}

/// How the maintenance future and the operations talk.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// How many maintenance futures there are.
    pub(crate) running: AtomicUsize,
    pub(crate) due: Mutex<Vec<(Role, Arc<CachedKey>)>>,
    wakers: Mutex<Vec<Waker>>,
}

impl Upkeep {
    pub(crate) fn listen(&self, waker: &Waker) {
        let mut wakers = lock(&self.wakers);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }

    /// What nobody will do any more, operations may claim again.
    pub(crate) fn abandon(&self) {
        let due = std::mem::take(&mut *lock(&self.due));
        due.iter().for_each(|(role, key)| key.end_refresh(*role));
    }

    pub(crate) fn ring(&self) {
        let wakers = std::mem::take(&mut *lock(&self.wakers));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Holdings {
    pub(crate) fn new(policy: &CachePolicy, budget: &Budget) -> Self {
        let percent = policy.refresh_percent;
        Self {
            openings: Store::new(Role::Opening, policy.capacity),
            sealings: Store::new(Role::Sealing, policy.capacity),
            flights: Flights::new(|| Err(Arc::new(panicked()))),
            refusals: Mutex::new(Refusals::new(*policy)),
            orders: Orders::default(),
            census: Census::default(),
            opening_life: Lifetime::new(policy.max_age, percent, policy.stale_for),
            sealing_life: Lifetime::new(budget.age, percent, policy.stale_for),
            sweep_at: AtomicU64::new(u64::MAX),
            sweeping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            sweep_gap: policy.capacity as u64 * 1_000,
            hashers: [RandomState::new(), RandomState::new()],
            commons: Mutex::default(),
            openers: Mutex::default(),
            upkeep: Upkeep::default(),
        }
    }

    /// A keyed hash of what is cached: nobody outside can make two of them equal.
    pub(crate) fn fingerprint(&self, role: Role, front: &[u8], scope: &Scope) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| {
            let mut hash = hasher.build_hasher();
            hash.write_u8(role as u8);
            hash.write_usize(front.len());
            hash.write(front);
            hash.write(scope.canonical_pairs());
            hash.finish()
        });
        u128::from(high) << 64 | u128::from(low)
    }

    /// Keeps what a question asked at `asked`, with number `began`, brought for opening.
    pub(crate) fn keep_opening(
        &self,
        envelope: &EnvelopeEncryption,
        print: u128,
        sourced: &SourcedKey,
        (asked, began): (Nanos, u64),
    ) -> Result<Filled> {
        if let Some(old) = self.openings.get(print)
            && old.is_for(&sourced.front, &envelope.scope)
            && old.opened_by() == sourced.opened_by.as_ref()
            && !old.is_wiped()
        {
            // The same key, vouched for anew. An invalidation meanwhile has wiped it or will.
            old.vouch(asked);
            let kept = !self.orders.named_since(began, |order| old.is_named_by(order));
            return Ok(Filled { key: old, kept });
        }
        let key = Arc::new(self.store(envelope, sourced, asked, None)?);
        let kept = self.admit(&self.openings, began, print, &key);
        self.sweep_no_later(self.opening_life.end(asked));
        Ok(Filled { key, kept })
    }

    /// Keeps what a question brought for sealing, and for opening what was sealed with it.
    pub(crate) fn keep_sealing(
        &self,
        envelope: &EnvelopeEncryption,
        print: u128,
        sourced: &SourcedKey,
        (asked, began): (Nanos, u64),
    ) -> Result<Filled> {
        let purse = envelope.purse();
        let key = Arc::new(self.store(envelope, sourced, asked, Some(purse))?);
        let kept = self.admit(&self.sealings, began, print, &key);
        self.sweep_no_later(self.sealing_life.end(asked));
        if kept && key.opened_by().is_some() {
            let print = self.fingerprint(Role::Opening, key.front(), &envelope.scope);
            self.admit(&self.openings, began, print, &key);
            self.sweep_no_later(self.opening_life.end(asked));
        }
        Ok(Filled { key, kept })
    }

    fn admit(
        &self,
        store: &Store<CachedKey>,
        began: u64,
        print: u128,
        key: &Arc<CachedKey>,
    ) -> bool {
        let (kept, evicted) = store.admit(&self.orders, began, print, key);
        if evicted {
            self.count(Count::Eviction);
        }
        kept
    }

    fn store(
        &self,
        envelope: &EnvelopeEncryption,
        sourced: &SourcedKey,
        asked: Nanos,
        purse: Option<Purse>,
    ) -> Result<CachedKey> {
        let common = self.common(envelope, sourced.suite, sourced.padded)?;
        let opened_by = sourced.opened_by.as_ref().map(|by| self.opener(by));
        let pool = &envelope.shared.pool();
        loop {
            let stored = CachedKey::store(pool, sourced, common.clone(), opened_by.clone(), asked);
            match stored {
                Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                    // The locked pages are full: one key must go for this one.
                    let at = usize::try_from(asked.0 >> 10).unwrap_or_default();
                    let of_branches =
                        || envelope.shared.branches.as_ref().map(|all| all.evict_one());
                    if !self.evict_one(at) && of_branches() != Some(true) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
                Ok(key) => {
                    return Ok(match purse {
                        Some(purse) => key.with_purse(purse),
                        None => key,
                    });
                }
            }
        }
    }

    /// Lets one key go for want of memory; `false` if there is none. `at` says where to begin to look.
    pub(crate) fn evict_one(&self, at: usize) -> bool {
        let gone = self.openings.evict_one(at) || self.sealings.evict_one(at);
        if gone {
            self.count(Count::Eviction);
        }
        gone
    }

    /// What all keys of a scope, suite and padding share.
    fn common(
        &self,
        envelope: &EnvelopeEncryption,
        suite: Suite,
        padded: bool,
    ) -> Result<Arc<Common>> {
        let context_prefix = context_prefix(suite, u8::from(padded), envelope)?;
        let mut commons = lock(&self.commons);
        if let Some(known) = commons.get(&context_prefix).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if commons.len() >= 64 && commons.len().is_power_of_two() {
            commons.retain(|_, known| known.strong_count() > 0);
        }
        let common = Arc::new(Common {
            scope: envelope.scope.clone(),
            suite,
            padded,
            context_prefix: context_prefix.clone(),
            backend: backend_of(suite, envelope.shared.backend),
        });
        commons.insert(context_prefix, Arc::downgrade(&common));
        Ok(common)
    }

    /// The same few names for all keys that one key opened.
    fn opener(&self, by: &OpenedBy) -> Arc<OpenedBy> {
        let mut openers = lock(&self.openers);
        let known = openers.iter().filter_map(Weak::upgrade).find(|known| **known == *by);
        known.unwrap_or_else(|| {
            if openers.len() >= 64 {
                openers.retain(|known| known.strong_count() > 0);
                openers.truncate(32);
            }
            let opener = Arc::new(by.clone());
            openers.push(Arc::downgrade(&opener));
            opener
        })
    }

    /// Remembers a refusal.
    pub(crate) fn refuse(
        &self,
        envelope: &EnvelopeEncryption,
        print: u128,
        error: &Arc<CryptoError>,
    ) {
        let mut draw = [0; 8];
        // A generator that fails costs the jitter, not the answer.
        let _ = envelope.shared.random.fill(&mut draw);
        let now = envelope.now();
        lock(&self.refusals).note(print, error, now, u64::from_le_bytes(draw));
    }

    /// Takes out what an invalidation names, and keeps out what is under way.
    pub(crate) fn invalidate(&self, what: &Invalidation) {
        self.orders.give(what.clone());
        lock(&self.refusals).clear();
        for store in [&self.openings, &self.sealings] {
            store.sweep(|key| key.is_named_by(what));
        }
    }

    /// The envelope is gone: wipes all keys, whoever still holds their descriptions.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.invalidate(&Invalidation::Everything);
        self.upkeep.ring();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether something that is kept may be over.
    #[inline]
    pub(crate) fn sweep_is_due(&self, now: Nanos) -> bool {
        now.0 >= self.sweep_at.load(Ordering::Relaxed)
    }

    /// When something that is kept may be over.
    pub(crate) fn sweep_at(&self) -> Nanos {
        Nanos(self.sweep_at.load(Ordering::Relaxed))
    }

    fn sweep_no_later(&self, end: Nanos) {
        // Over is what is older than its life, by a nanosecond at least.
        let at = end.0.saturating_add(1);
        if self.sweep_at.fetch_min(at, Ordering::Relaxed) > at {
            self.upkeep.ring();
        }
    }

    /// Wipes what is over.
    #[cold]
    pub(crate) fn sweep(&self, now: Nanos) {
        if self.sweeping.swap(true, Ordering::Acquire) {
            return;
        }
        // Reset before looking, so that what is admitted meanwhile is not forgotten.
        self.sweep_at.store(u64::MAX, Ordering::Relaxed);
        let (opening, sealing) = (self.opening_life, self.sealing_life);
        let opens = |key: &CachedKey| opening.end(key.vouched());
        let seals = |key: &CachedKey| sealing.end(key.made());
        self.openings.sweep(|key| opens(key) < now);
        self.sealings.sweep(|key| seals(key) < now);
        let next =
            [self.openings.least(|key| opens(key).0), self.sealings.least(|key| seals(key).0)];
        if let Some(next) = next.into_iter().flatten().min() {
            let next = next.saturating_add(1).max(now.0.saturating_add(self.sweep_gap));
            self.sweep_at.fetch_min(next, Ordering::Relaxed);
        }
        self.sweeping.store(false, Ordering::Release);
    }

    /// Counts in this thread's cells, or in the common ones where it has none.
    pub(crate) fn count(&self, what: Count) {
        if !local::count(self, what) {
            self.census.add(what, 1);
        }
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            opening_keys: self.openings.len() as u64,
            sealing_keys: self.sealings.len() as u64,
            ..self.census.sum()
        }
    }
}

impl Cache {
    /// This process's holdings; `None` without a cache.
    pub(crate) fn holdings(&self) -> Option<&Arc<Holdings>> {
        self.per_process.as_ref()?.get()
    }
}

fn panicked() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Open)
        .with_detail("the operation that asked for the data key panicked")
}
