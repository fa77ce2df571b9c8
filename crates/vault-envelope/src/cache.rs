//! The cache of data keys: sealing within budgets, opening without a call what was opened before.
//!
//! A hit is served by the thread's own level (`local`); behind it are the process's holdings, and behind
//! those the sources. Left to others: where data keys come from (`source`), who may open (`allowed`),
//! bodies (`body`). The reasons are in docs/decisions/0014-a-cache-of-data-keys.md.

mod ask;
mod batch;
mod entry;
mod flight;
mod handle;
mod holdings;
mod invalidation;
mod lease;
mod local;
mod maintain;
mod open;
mod order;
mod per_process;
mod policy;
mod refusals;
mod seal;
mod shelf;
mod source;
mod stats;
mod store;
mod sync;
mod time;
mod uncached;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vault_crypto_core::locked::LockedPool;

use crate::shared::Shared;
use crate::{Budget, EnvelopeBuilder, EnvelopeEncryption};
pub(crate) use flight::Flights;
pub use handle::DataKeyCache;
use holdings::Holdings;
pub use invalidation::Invalidation;
pub(crate) use per_process::PerProcess;
pub use policy::CachePolicy;
pub(crate) use source::{Fetch, KeySource, SourcedKey};
pub use stats::CacheStats;
pub(crate) use stats::Count;

/// The cache of one envelope, or none.
pub(crate) struct Cache {
    /// By which threads tell the caches of envelopes apart.
    number: u64,
    policy: CachePolicy,
    per_process: Option<PerProcess<Arc<Holdings>>>,
}

impl Cache {
    /// A cache for an envelope with this budget.
    pub(crate) fn new(policy: CachePolicy, budget: Budget) -> Self {
        let policy = policy.bounded();
        let make = move || Arc::new(Holdings::new(&policy, &budget));
        Self { number: next_number(), policy, per_process: Some(PerProcess::new(make)) }
    }

    /// No cache.
    pub(crate) fn off() -> Self {
        Self { number: next_number(), policy: CachePolicy::default(), per_process: None }
    }

    /// The same once the budget is known.
    pub(crate) fn fitted(&self, budget: Budget) -> Self {
        if self.is_off() { Self::off() } else { Self::new(self.policy, budget) }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.per_process.is_none()
    }

    pub(crate) fn policy(&self) -> &CachePolicy {
        &self.policy
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Drop for Cache {
    fn drop(&mut self) {
        // Threads hold descriptions of keys for as long as they please; the keys end here.
        if let Some(holdings) = self.per_process.as_ref().and_then(PerProcess::made) {
            holdings.close();
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = (!self.is_off()).then_some(&self.policy);
        f.debug_tuple("Cache").field(&policy).finish()
    }
}

impl EnvelopeBuilder {
    /// How data keys are cached; by default with every default of [`CachePolicy`].
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.shared.cache = Cache::new(policy, self.shared.budget);
        self
    }

    /// No cache: each [`encrypt`](EnvelopeEncryption::encrypt) asks for a data key that serves its message
    /// alone, each [`decrypt`](EnvelopeEncryption::decrypt) asks for the message's.
    pub fn without_cache(mut self) -> Self {
        self.shared.cache = Cache::off();
        self
    }

    /// Where cached keys lie; by default in the pool of the process
    /// ([`LockedPool::process`]), which several envelopes share.
    pub fn memory(mut self, pool: LockedPool) -> Self {
        self.shared.memory = Some(pool);
        self
    }
}

impl Shared {
    /// Where this envelope's keys lie.
    pub(crate) fn pool(&self) -> LockedPool {
        self.memory.clone().unwrap_or_else(LockedPool::process)
    }
}

impl EnvelopeEncryption {
    /// The cache of data keys: what it holds, what it did, and how it forgets.
    #[must_use]
    pub fn cache(&self) -> DataKeyCache<'_> {
        DataKeyCache::new(self)
    }

    /// Forgets what `what` names, here and in the source of branch keys.
    pub(crate) fn forget(&self, what: &Invalidation) {
        // The source first: what is asked after the cache's number has grown must not get from it what
        // was to be forgotten.
        if let Some(branches) = &self.shared.branches {
            crate::branch::BranchSource(branches.clone()).invalidate(what);
        }
        if let Some(holdings) = self.shared.cache.holdings() {
            holdings.invalidate(what);
        }
    }
}
