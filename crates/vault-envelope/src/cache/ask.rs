//! Asking a source: once for all who wait, not while it refuses, and early by one alone.

use vault_crypto_core::header::{COMPACT_MAGIC, parse};
use vault_crypto_core::{CryptoError, ErrorKind, Result};

use super::entry::CachedKey;
use super::flight::Question;
use super::holdings::{Answer, Filled, Holdings};
use super::source::{Headers, KeySource, SourcedKey};
use super::stats::Count;
use super::store::Role;
use super::sync::{Arc, Ordering, lock};
use super::time::{Age, Nanos};
use crate::allowed::Match;
use crate::branch::BranchSource;
use crate::{EnvelopeEncryption, OpenedBy};

/// A question that one operation may have to ask.
pub(crate) struct Ask<'a> {
    envelope: &'a EnvelopeEncryption,
    holdings: &'a Arc<Holdings>,
    print: u128,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Make,
    Find(&'a [u8]),
}

impl<'a> Ask<'a> {
    /// For a new data key to seal with.
    pub(crate) fn make(
        envelope: &'a EnvelopeEncryption,
        holdings: &'a Arc<Holdings>,
        print: u128,
    ) -> Self {
        Self { envelope, holdings, print, what: What::Make }
    }

    /// For the data key of the messages that start with `front`.
    pub(crate) fn find(
        envelope: &'a EnvelopeEncryption,
        holdings: &'a Arc<Holdings>,
        print: u128,
        front: &'a [u8],
    ) -> Self {
        Self { envelope, holdings, print, what: What::Find(front) }
    }

    fn role(&self) -> Role {
        match self.what {
            What::Make => Role::Sealing,
            What::Find(_) => Role::Opening,
        }
    }

    /// Asks, or waits for who has asked already; a remembered refusal is the answer while its delay lasts.
    pub(crate) async fn fill(&self) -> Result<Filled> {
        self.holdings.count(Count::Miss);
        self.answer().await
    }

    /// As [`fill`](Self::fill); where nobody can be asked, `old` serves once more.
    pub(crate) async fn fill_or(&self, old: Arc<CachedKey>) -> Result<Filled> {
        match self.fill().await {
            Err(error) if error.is_retryable() && !old.is_wiped() => {
                self.holdings.count(Count::StaleUse);
                Ok(Filled { key: old, kept: false })
            }
            Err(error) => Err(self.ended(&old, error)),
            filled => filled,
        }
    }

    /// Asks before `old` is over, if nobody does; the others go on with `old`.
    pub(crate) async fn refresh(&self, old: Arc<CachedKey>, now: Nanos) -> Result<Filled> {
        let going_on = Filled { key: old.clone(), kept: true };
        if !old.may_ask(now) || !old.claim_refresh(self.role()) {
            return Ok(going_on);
        }
        let claim = Claim { key: &old, role: self.role() };
        if self.holdings.upkeep.running.load(Ordering::Acquire) > 0 {
            claim.hand_over(self.holdings);
            return Ok(going_on);
        }
        self.refresh_claimed(&old).await.map(|new| new.unwrap_or(going_on))
    }

    /// As [`refresh`](Self::refresh), by whoever has claimed it. `None` where nobody can be asked.
    pub(crate) async fn refresh_claimed(&self, old: &Arc<CachedKey>) -> Result<Option<Filled>> {
        self.holdings.count(Count::Refresh);
        match self.answer().await {
            Ok(new) => Ok(Some(new)),
            Err(error) if error.is_retryable() || says_nothing(&error) => {
                let until = lock(&self.holdings.refusals).until(self.print);
                let delay = self.envelope.shared.cache.policy().refusal_delay;
                old.ask_not_before(until.unwrap_or_else(|| self.envelope.now().after(delay)));
                Ok(None)
            }
            // Asked early, it said no: that counts from now on, not from the end of an age.
            Err(error) => Err(self.ended(old, error)),
        }
    }

    /// A refusal that will not pass: the key is not to be used any more.
    fn ended(&self, old: &Arc<CachedKey>, error: CryptoError) -> CryptoError {
        if is_refusal(&error) && !error.is_retryable() {
            let store = match self.role() {
                Role::Opening => &self.holdings.openings,
                Role::Sealing => &self.holdings.sealings,
            };
            store.remove(self.print, old);
        }
        error
    }

    async fn answer(&self) -> Result<Filled> {
        let refused = lock(&self.holdings.refusals).at(self.print, self.envelope.now());
        if let Some(error) = refused {
            self.holdings.count(Count::NegativeHit);
            return Err(error.duplicate());
        }
        let began = self.holdings.orders.number();
        let flights = &self.holdings.flights;
        let (seat, started) = flights.join((self.print, began), || self.question(began));
        if !started {
            self.holdings.count(Count::Wait);
        }
        seat.await.map_err(|error| error.duplicate())
    }

    /// The question, whole: it borrows from nobody, so that any waiter can drive it to its end.
    fn question(&self, began: u64) -> Question<Answer> {
        let (envelope, holdings) = (self.envelope.clone(), self.holdings.clone());
        let print = self.print;
        let front: Option<Arc<[u8]>> = match self.what {
            What::Make => None,
            What::Find(front) => Some(front.into()),
        };
        Box::pin(async move {
            let asked = envelope.now();
            // Between the look of whoever asks and the seat taken another flight may have landed.
            if let Some(settled) = envelope.settled(&holdings, print, front.as_deref(), asked) {
                return settled;
            }
            if envelope.asks_kms(front.as_deref()) {
                holdings.count(Count::KmsCall);
            }
            let sourced = envelope.source(front).await;
            let filled = sourced.and_then(|(role, sourced)| match role {
                Role::Sealing => holdings.keep_sealing(&envelope, print, &sourced, (asked, began)),
                Role::Opening => holdings.keep_opening(&envelope, print, &sourced, (asked, began)),
            });
            filled.inspect(|_| lock(&holdings.refusals).forget(print)).map_err(|error| {
                let error = Arc::new(error);
                if is_refusal(&error) {
                    holdings.refuse(&envelope, print, &error);
                }
                error
            })
        })
    }
}

impl EnvelopeEncryption {
    /// What makes a question needless: a key with nothing due, or a refusal whose delay lasts.
    fn settled(
        &self,
        holdings: &Holdings,
        print: u128,
        front: Option<&[u8]>,
        now: Nanos,
    ) -> Option<Answer> {
        if let Some(error) = lock(&holdings.refusals).at(print, now) {
            return Some(Err(error));
        }
        let key = match front {
            Some(front) => holdings.openings.get(print).filter(|key| {
                key.is_for(front, &self.scope)
                    && self.may_open(key)
                    && holdings.opening_life.of(now.age_of(key.vouched())) == Age::Calm
            }),
            None => holdings.sealings.get(print).filter(|key| {
                key.is_of(&self.scope)
                    && !key.purse.as_ref().is_some_and(|purse| purse.is_low())
                    && holdings.sealing_life.of(now.age_of(key.made())) == Age::Calm
            }),
        };
        let key = key.filter(|key| !key.is_wiped())?;
        Some(Ok(Filled { key, kept: true }))
    }

    /// Whether the source is a KMS; branch keys count the calls that they make.
    fn asks_kms(&self, front: Option<&[u8]>) -> bool {
        let has_header = front.is_some_and(|front| front.first() != COMPACT_MAGIC.first());
        has_header || self.shared.branches.is_none()
    }

    /// A new data key without `front`, else the one of its messages.
    pub(super) async fn source(&self, front: Option<Arc<[u8]>>) -> Result<(Role, SourcedKey)> {
        let branches = self.shared.branches.clone().map(BranchSource);
        match front {
            None => {
                let mut made = match branches {
                    Some(branches) => branches.make(self.clone()).await?,
                    None => Headers.make(self.clone()).await?,
                };
                if made.opened_by.is_none() {
                    made.opened_by = self.may_open_own(&made.front);
                }
                Ok((Role::Sealing, made))
            }
            Some(front) => {
                let is_compact = front.first() == COMPACT_MAGIC.first();
                let found = match branches.filter(|_| is_compact) {
                    Some(branches) => branches.find(self.clone(), front).await?,
                    None => Headers.find(self.clone(), front).await?,
                };
                Ok((Role::Opening, found))
            }
        }
    }

    /// By which slot this envelope may open what it seals under a header of its own, as far as that can
    /// be told without a call.
    fn may_open_own(&self, front: &[u8]) -> Option<OpenedBy> {
        let slots = parse(front).ok()?.header.slots;
        self.shared.allowed.numbered().find_map(|(entry, allowed)| {
            let slot = slots
                .iter()
                .position(|slot| !slot.is_missing() && allowed.matches(slot) == Match::Yes)?;
            let at = slots.get(slot)?;
            Some(OpenedBy {
                slot,
                kind: at.kind,
                key_id: at.key_id_text().into(),
                version: at.version.clone(),
                together_with: Vec::new(),
                entry,
                branch_keys: Arc::default(),
            })
        })
    }
}

/// Whether an error is the answer of somebody who was asked, and would be the answer again.
fn is_refusal(error: &CryptoError) -> bool {
    !says_nothing(error)
        && !matches!(error.kind(), ErrorKind::KeyNotAllowed | ErrorKind::Unsupported)
}

/// Whether an error is about something else than the key: no room for it, a defect.
fn says_nothing(error: &CryptoError) -> bool {
    matches!(error.kind(), ErrorKind::LimitExceeded | ErrorKind::Internal)
}

/// The one who asks early. However it ends, another may then ask.
pub(crate) struct Claim<'a> {
    key: &'a Arc<CachedKey>,
    role: Role,
}

impl Claim<'_> {
    /// The maintenance future asks instead.
    fn hand_over(self, holdings: &Holdings) {
        lock(&holdings.upkeep.due).push((self.role, self.key.clone()));
        std::mem::forget(self);
        holdings.upkeep.ring();
        if holdings.upkeep.running.load(Ordering::Acquire) == 0 {
            // It ended just now, and may have missed what was handed over.
            holdings.upkeep.abandon();
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.key.end_refresh(self.role);
    }
}
