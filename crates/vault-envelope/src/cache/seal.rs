//! Sealing through the cache: a hit without a lock, and the ways to a key when there is no hit.
//!
//! Left to others: messages with a data key of their own (`envelope`).

use std::time::Duration;

use vault_crypto_core::{EncryptedData, EncryptionContext, Result};

use super::ask::Ask;
use super::entry::CachedKey;
use super::holdings::{Filled, Holdings};
use super::lease::Purse;
use super::stats::Count;
use super::store::Role;
use super::sync::Arc;
use super::time::{Age, Nanos};
use super::{Cache, local};
use crate::body::BodyRef;
use crate::record::Content;
use crate::{Budget, EnvelopeEncryption};

/// Keys in a row that had no budget left when this operation came to use them. Then it takes one of its
/// own.
const ROUNDS: usize = 8;
/// Longer values take the way with all checks of length.
const LONG: usize = 1 << 28;

impl EnvelopeEncryption {
    /// Seals under a data key that this thread has at hand; `None` where there is more to be done.
    #[inline]
    pub(crate) fn seal_hit(
        &self,
        cache: &Cache,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Option<Result<EncryptedData>> {
        let pairs = context.canonical_pairs().ok()?;
        if plaintext.len() > LONG {
            return None;
        }
        let reading = self.shared.clock.monotonic();
        let now = Nanos::of(reading);
        local::with(cache, |level| {
            let hit = level.sealing(&self.scope, plaintext.len() as u64, now)?;
            let key = hit.key;
            let sealed = key.with(|body| self.seal_with(key, body, (plaintext, pairs), reading))?;
            hit.used(Role::Sealing, now);
            Some(sealed)
        })?
    }

    /// Seals with a key whose budget was spent for it.
    #[inline]
    pub(crate) fn seal_with(
        &self,
        key: &CachedKey,
        body: BodyRef<'_>,
        (plaintext, pairs): (&[u8], &[u8]),
        reading: Duration,
    ) -> Result<EncryptedData> {
        let id = self.shared.random.nonce(reading)?;
        let padding = self.shared.padding;
        key.frame().seal_new(body, &id, Content { plaintext, pairs, padding })
    }

    /// Seals under a data key of the scope, asking for one where there is none. `None` where keys came
    /// and went without this operation getting hold of one.
    pub(crate) async fn seal_slowly(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Option<EncryptedData>> {
        let pairs = context.canonical_pairs()?;
        let (cache, len) = (&self.shared.cache, plaintext.len() as u64);
        for _ in 0..ROUNDS {
            let Some(holdings) = cache.holdings() else { break };
            let Filled { key, kept } = self.sealing_of(holdings).await?;
            let reading = self.shared.clock.monotonic();
            if !self.spend(cache, &key, kept, len) {
                // Nothing is left of it, or nothing that is long enough.
                holdings.sealings.remove(self.sealing_print(holdings), &key);
                continue;
            }
            let sealed = key.with(|body| self.seal_with(&key, body, (plaintext, pairs), reading));
            if let Some(sealed) = sealed {
                return sealed.map(Some);
            }
        }
        Ok(None)
    }

    fn spend(&self, cache: &Cache, key: &Arc<CachedKey>, kept: bool, len: u64) -> bool {
        if kept && let Some(spent) = local::with(cache, |level| level.spend(key, len)) {
            return spent;
        }
        let Some(purse) = &key.purse else { return false };
        // One message alone, by a reservation.
        purse.reserve([len].into_iter(), 1) == 1
    }

    pub(crate) fn sealing_print(&self, holdings: &Holdings) -> u128 {
        holdings.fingerprint(Role::Sealing, &[], &self.scope)
    }

    /// The budget of a new data key.
    pub(crate) fn purse(&self) -> Purse {
        let Budget { messages, bytes, .. } = self.shared.budget;
        let percent = self.shared.cache.policy().refresh_percent;
        Purse::new(messages.min(Budget::MAX_MESSAGES), bytes, percent)
    }

    /// The data key that seals in this scope now.
    pub(crate) async fn sealing_of(&self, holdings: &Arc<Holdings>) -> Result<Filled> {
        let now = self.now();
        if holdings.sweep_is_due(now) {
            holdings.sweep(now);
        }
        let print = self.sealing_print(holdings);
        let ask = Ask::make(self, holdings, print);
        let key = holdings.sealings.get(print);
        let key = key.filter(|key| key.is_of(&self.scope) && !key.is_wiped());
        let Some(key) = key else { return ask.fill().await };
        // As with opening: not by the operation that brought it.
        key.touch(Role::Sealing);
        let low = || key.purse.as_ref().is_some_and(|purse| purse.is_low());
        match holdings.sealing_life.of(now.age_of(key.made())) {
            Age::Calm if !low() => {
                holdings.count(Count::Hit);
                Ok(Filled { key, kept: true })
            }
            Age::Calm | Age::Due => {
                holdings.count(Count::Hit);
                ask.refresh(key, now).await
            }
            Age::Stale => ask.fill_or(key).await,
            Age::Over => ask.fill().await,
        }
    }
}
