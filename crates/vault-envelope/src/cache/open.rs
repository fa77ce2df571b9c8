//! Opening through the cache: a hit without a lock, and the ways to a key when there is no hit.
//!
//! Left to others: opening without a cache (`opening`).

use vault_crypto_core::header::{COMPACT_MAGIC, MAGIC, Shape, parse, parse_prefix};
use vault_crypto_core::{
    CryptoError, EncryptionContext, ErrorKind, Operation, Result, SecureBytes,
};

use super::ask::Ask;
use super::entry::{CachedKey, check_message_id};
use super::holdings::{Filled, Holdings};
use super::stats::Count;
use super::store::Role;
use super::sync::Arc;
use super::time::{Age, Nanos};
use super::{Cache, local};
use crate::EnvelopeEncryption;
use crate::body::Prologue;
use crate::compact::{CompactPrefix, PREFIX_LEN};
use crate::unlock::expect_shape;

/// Keys in a row that were taken away before this operation came to use them. Then it opens without the
/// cache.
const ROUNDS: usize = 4;

impl EnvelopeEncryption {
    /// Opens with a data key that this thread has at hand; `None` where there is more to be done.
    #[inline]
    pub(crate) fn open_hit(
        &self,
        cache: &Cache,
        sealed: &[u8],
        context: &EncryptionContext,
    ) -> Option<Result<SecureBytes>> {
        let pairs = context.canonical_pairs().ok()?;
        let front = front_of(sealed)?;
        let now = self.now();
        local::with(cache, |level| {
            let hit =
                level.opening(front, &self.scope, now).filter(|hit| self.may_open(hit.key))?;
            let opened = hit.key.with(|body| hit.key.open(body, sealed, pairs))?;
            hit.used(Role::Opening, now);
            Some(opened)
        })?
    }

    /// Whether what is looked at again on every hit still holds: the suite, and the allowed keys.
    #[inline]
    pub(crate) fn may_open(&self, key: &CachedKey) -> bool {
        let allowed = |by| self.shared.allowed.still_allow(by);
        self.shared.suites.contains(&key.common().suite) && key.opened_by().is_some_and(allowed)
    }

    /// Opens with a data key that the process has, or after asking for it.
    pub(crate) async fn open_slowly(
        &self,
        sealed: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let cache = &self.shared.cache;
        let keepable = self.check_front(cache, sealed)?;
        let pairs = context.canonical_pairs()?;
        for _ in 0..ROUNDS {
            let Some(holdings) = cache.holdings().filter(|_| keepable) else { break };
            let Some(front) = front_of(sealed) else { break };
            let Filled { key, kept } = self.opening_of(holdings, front).await?;
            if kept {
                local::with(cache, |level| level.put_opening(key.clone()));
            }
            let Some(opened) = key.with(|body| key.open(body, sealed, pairs)) else { continue };
            if opened.is_err() && front.starts_with(&COMPACT_MAGIC) {
                // Any prefix derives a key: this one has opened nothing, and a flood of them stays out.
                let print = holdings.fingerprint(Role::Opening, front, &self.scope);
                holdings.openings.remove(print, &key);
            }
            return opened;
        }
        self.open_uncached(sealed, context).await
    }

    /// What a reader refuses before it asks anybody (docs/FORMAT.md section 9, steps 1 to 3). Gives
    /// whether the data key may be kept.
    pub(crate) fn check_front(&self, cache: &Cache, sealed: &[u8]) -> Result<bool> {
        if sealed.first() == COMPACT_MAGIC.first() {
            let (prefix, body) = CompactPrefix::split(sealed)?;
            Prologue::split(body)?;
            if prefix.branch == 0 || self.shared.branches.is_none() {
                return Err(CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Open)
                    .with_detail("a compact record; open it with its stored key or branch keys"));
            }
            return Ok(true);
        }
        let parsed = parse(sealed)?;
        expect_shape(&parsed, Shape::Record)?;
        self.check_supported(&parsed.header)?;
        Prologue::split(sealed.get(parsed.len()..).unwrap_or_default())?;
        check_message_id(sealed, parsed.len())?;
        Ok(parsed.header.threshold == 1 || cache.policy().keeps_shared_keys)
    }

    /// The data key of the messages that start with `front`.
    pub(crate) async fn opening_of(
        &self,
        holdings: &Arc<Holdings>,
        front: &[u8],
    ) -> Result<Filled> {
        let now = self.now();
        if holdings.sweep_is_due(now) {
            holdings.sweep(now);
        }
        let print = holdings.fingerprint(Role::Opening, front, &self.scope);
        let ask = Ask::find(self, holdings, print, front);
        let key = holdings.openings.get(print);
        let key = key
            .filter(|key| key.is_for(front, &self.scope) && self.may_open(key) && !key.is_wiped());
        let Some(key) = key else { return ask.fill().await };
        // Not by the operation that brought it: what is used once, as by a scan, is the first to go.
        key.touch(Role::Opening);
        match holdings.opening_life.of(now.age_of(key.vouched())) {
            Age::Calm => {
                holdings.count(Count::Hit);
                Ok(Filled { key, kept: true })
            }
            Age::Due => {
                holdings.count(Count::Hit);
                ask.refresh(key, now).await
            }
            Age::Stale => ask.fill_or(key).await,
            Age::Over => ask.fill().await,
        }
    }

    /// The monotonic reading in one word.
    #[inline]
    pub(crate) fn now(&self) -> Nanos {
        Nanos::of(self.shared.clock.monotonic())
    }
}

/// Everything before the body, as long as the first bytes say; `None` if it is not all there.
#[inline]
pub(crate) fn front_of(sealed: &[u8]) -> Option<&[u8]> {
    if sealed.starts_with(&MAGIC) {
        sealed.get(..parse_prefix(sealed).ok()?.header_len)
    } else if sealed.starts_with(&COMPACT_MAGIC) {
        sealed.get(..PREFIX_LEN)
    } else {
        None
    }
}
