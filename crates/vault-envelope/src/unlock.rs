//! From a header to its data key: match slots, ask whom they belong to, verify the MAC (docs/FORMAT.md
//! section 9, steps 1 to 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{Header, ParsedHeader, Shape, Slot, SlotKind};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result, Scope, SecureBytes, WrapContext,
    WrappedKey,
};

use crate::EnvelopeEncryption;
use crate::allowed::{AllowedKey, Match};
use crate::hedge::{Attempt, Outcome, first, together};
use crate::recipients::wrap_context;
use crate::shares;
use crate::slot_key::SlotFacts;

/// Which slot opened a message. There is no origin authentication: this is all that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenedBy {
    /// The slot's number, from 0.
    pub slot: usize,
    /// The slot's kind.
    pub kind: SlotKind,
    /// The key that unwrapped.
    pub key_id: KeyId,
    /// Its version as stored.
    pub version: KeyVersion,
    /// The other slots whose shares were put together with this one's; empty with threshold 1.
    pub together_with: Vec<OpenedBy>,
    /// The number of the allowed key.
    pub(crate) entry: usize,
    /// The keys of all slots of a branch key's entry, where one stands behind: a compact record names
    /// none of them. Empty for a header, which stands before its messages.
    pub(crate) branch_keys: Arc<[KeyId]>,
}

impl OpenedBy {
    /// Whether `key_id` wrapped what was opened, as far as this tells.
    pub(crate) fn is_of(&self, key_id: &KeyId) -> bool {
        let others = self.together_with.iter().map(|other| &other.key_id);
        others.chain([&self.key_id]).chain(&*self.branch_keys).any(|id| id == key_id)
    }
}

/// A verified header's data key.
pub(crate) struct Unlocked {
    pub(crate) secret: DataKeySecret,
    pub(crate) opened_by: OpenedBy,
}

/// As [`Unlocked`], with the bytes to wrap anew.
pub(crate) struct Opened {
    pub(crate) data_key: SecureBytes,
    pub(crate) secret: DataKeySecret,
    pub(crate) opened_by: OpenedBy,
}

/// A set of slot numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots(u32);

impl Slots {
    pub(crate) const ALL: Self = Self(u32::MAX);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn has(self, slot: usize) -> bool {
        self.0 & bit(slot) != 0
    }

    pub(crate) fn only(slot: usize) -> Self {
        Self(bit(slot))
    }

    pub(crate) fn without(self, slot: usize) -> Self {
        Self(self.0 & !bit(slot))
    }
}

/// A header has at most 16 slots.
fn bit(slot: usize) -> u32 {
    1_u32.checked_shl(u32::try_from(slot).unwrap_or(u32::MAX)).unwrap_or(0)
}

impl EnvelopeEncryption {
    /// Checks what needs no key, then asks the allowed keys in order.
    pub(crate) async fn unlock(&self, parsed: &ParsedHeader<'_>) -> Result<Unlocked> {
        let Opened { secret, opened_by, .. } = self.open_header(parsed, Slots::ALL).await?;
        Ok(Unlocked { secret, opened_by })
    }

    /// As [`unlock`](Self::unlock), by some of the slots, with the bytes to wrap anew.
    pub(crate) async fn open_header(
        &self,
        parsed: &ParsedHeader<'_>,
        slots: Slots,
    ) -> Result<Opened> {
        let header = &parsed.header;
        self.check_supported(header)?;
        let needed = usize::from(header.threshold);
        let mut got = self.payloads(parsed, slots, needed).await?;
        // In the order of the slots, so that the answer does not depend on who was fastest.
        got.sort_by_key(|got| got.opened_by.slot);
        got.truncate(needed);
        let combined = if needed > 1 {
            let data_key = shares::combine(got.iter().map(|got| &got.payload))?;
            Some((verified(&data_key, parsed, &self.scope)?, data_key))
        } else {
            None
        };
        let mut got = got.into_iter();
        let Got { mut opened_by, payload, secret } = got.next().ok_or_else(nothing_opened)?;
        opened_by.together_with = got.map(|other| other.opened_by).collect();
        match (combined, secret) {
            (Some((secret, data_key)), _) => Ok(Opened { data_key, secret, opened_by }),
            (None, Some(secret)) => Ok(Opened { data_key: payload, secret, opened_by }),
            (None, None) => Err(nothing_opened()),
        }
    }

    /// Whether one slot of a header opens: to the verified data key, or to the share that it should.
    pub(crate) async fn check_slot(&self, parsed: &ParsedHeader<'_>, slot: usize) -> Result<()> {
        self.payloads(parsed, Slots::only(slot), 1).await.map(drop)
    }

    /// What a reader refuses whatever its keys: suites that are not allowed.
    pub(crate) fn check_supported(&self, header: &Header) -> Result<()> {
        if self.shared.suites.contains(&header.suite) {
            return Ok(());
        }
        Err(CryptoError::new(ErrorKind::Unsupported, Operation::Open)
            .with_detail("the message's suite is not among the allowed ones"))
    }

    /// At least `needed` good payloads. Each KMS, and each person, is asked for a slot at most once.
    async fn payloads(
        &self,
        parsed: &ParsedHeader<'_>,
        slots: Slots,
        needed: usize,
    ) -> Result<Vec<Got>> {
        let opening = Opening {
            envelope: self,
            parsed,
            context: wrap_context(&parsed.header, &self.scope),
            slots,
            opened: AtomicU32::new(0),
            asked: self.shared.allowed.numbered().map(|_| AtomicU32::new(0)).collect(),
        };
        let mut failure = None;
        if needed > 1 && opening.certain() < needed {
            // No KMS is asked to unwrap unless there are enough for all.
            failure = opening.resolve_all().await;
            if opening.certain() < needed {
                return Err(failure.unwrap_or_else(|| not_allowed(parsed)));
            }
        }
        let attempts = opening.attempts(failure.is_none());
        let (after, clock) = (self.shared.hedge_after, &*self.shared.clock);
        let Outcome { good, failures } = first(attempts, needed, Vec::len, after, clock).await;
        let good: Vec<Got> = good.into_iter().flatten().collect();
        if good.len() >= needed {
            return Ok(good);
        }
        let failure = failures.into_iter().fold(failure, |worst, next| Some(worse(worst, next)));
        Err(failure.unwrap_or_else(|| not_allowed(parsed)))
    }
}

/// One header being opened. Attempts for it may run at the same time.
struct Opening<'a> {
    envelope: &'a EnvelopeEncryption,
    parsed: &'a ParsedHeader<'a>,
    context: WrapContext,
    slots: Slots,
    /// Those of them that opened.
    opened: AtomicU32,
    /// For each allowed key those that its KMS was asked for, where it is the first one of that KMS.
    asked: Box<[AtomicU32]>,
}

/// A payload that is good as far as it alone can tell.
struct Got {
    payload: SecureBytes,
    /// With threshold 1, where the payload is the data key.
    secret: Option<DataKeySecret>,
    opened_by: OpenedBy,
}

impl<'a> Opening<'a> {
    /// The slots that are still to be opened.
    fn slots(&self) -> impl Iterator<Item = (usize, &'a Slot)> {
        let closed = self.slots.0 & !self.opened.load(Ordering::Relaxed);
        let slots = self.parsed.header.slots.iter().enumerate();
        slots.filter(move |(at, _)| Slots(closed).has(*at))
    }

    /// Whether nobody has opened this slot and the KMS of entry `number` was not asked for it; from now on
    /// it was. Another KMS with this key, another passphrase may open what this one does not.
    fn is_to_be_asked(&self, number: usize, at: usize) -> bool {
        let first = self.envelope.shared.allowed.first_like(number);
        let asked = self.asked.get(first).map(|asked| asked.fetch_or(bit(at), Ordering::Relaxed));
        !Slots(self.opened.load(Ordering::Relaxed)).has(at)
            && asked.is_some_and(|asked| !Slots(asked).has(at))
    }

    /// How many slots certainly belong to an allowed key.
    fn certain(&self) -> usize {
        let allowed = &self.envelope.shared.allowed;
        let belongs =
            |slot: &Slot| allowed.numbered().any(|(_, entry)| entry.matches(slot) == Match::Yes);
        self.slots().filter(|(_, slot)| belongs(slot)).count()
    }

    /// Asks for every alias that may be a slot's key; the worst failure.
    async fn resolve_all(&self) -> Option<CryptoError> {
        let entries = self.envelope.shared.allowed.numbered();
        let unresolved = entries.filter(|(_, entry)| {
            self.slots().any(|(_, slot)| entry.matches(slot) == Match::Perhaps)
        });
        let asked: Vec<Attempt<'_, ()>> =
            unresolved.map(|(_, entry)| -> Attempt<'_, ()> { Box::pin(entry.resolve()) }).collect();
        let answers = together(asked, 0, None, &*self.envelope.shared.clock).await;
        let failures = answers.into_iter().flatten().filter_map(Result::err);
        failures.fold(None, |worst, next| Some(worse(worst, next)))
    }

    /// What is to be tried, in order of preference: each slot that certainly belongs to an entry, then
    /// (with `aliases`) all that may belong to its alias in one attempt, so that the KMS is asked for
    /// the alias once.
    fn attempts(&self, aliases: bool) -> Vec<Attempt<'_, Vec<Got>>> {
        let mut attempts: Vec<Attempt<'_, Vec<Got>>> = Vec::new();
        for (number, entry) in self.envelope.shared.allowed.numbered() {
            let mut alias = false;
            for (at, slot) in self.slots() {
                match entry.matches(slot) {
                    Match::Yes => attempts.push(Box::pin(self.attempt(number, entry, at, slot))),
                    Match::Perhaps => alias = true,
                    Match::No => {}
                }
            }
            if alias && aliases {
                attempts.push(Box::pin(self.attempt_alias(number, entry)));
            }
        }
        attempts
    }

    async fn attempt_alias(&self, number: usize, entry: &AllowedKey) -> Result<Vec<Got>> {
        entry.resolve().await?;
        let mut got = Vec::new();
        let mut failure = None;
        for (at, slot) in self.slots().filter(|(_, slot)| entry.matches(slot) == Match::Yes) {
            match self.attempt(number, entry, at, slot).await {
                Ok(more) => got.extend(more),
                Err(error) => failure = Some(worse(failure, error)),
            }
        }
        match failure {
            Some(failure) if got.is_empty() => Err(failure),
            _ => Ok(got),
        }
    }

    /// Unwraps one slot, unless that is done already; verifies id and MAC, or the share.
    async fn attempt(
        &self,
        number: usize,
        entry: &AllowedKey,
        at: usize,
        slot: &Slot,
    ) -> Result<Vec<Got>> {
        if !self.is_to_be_asked(number, at) {
            return Ok(Vec::new());
        }
        let key_id = KeyId::from(slot.key_id_text());
        if slot.is_missing() {
            return Err(CryptoError::new(ErrorKind::Unavailable, Operation::Open)
                .with_key_id(&key_id)
                .with_detail("the message's slot for this key is not filled yet"));
        }
        let payload = self.unwrap(entry, slot, &key_id).await?;
        let header = &self.parsed.header;
        let secret = if header.threshold == 1 {
            Some(verified(&payload, self.parsed, &self.envelope.scope)?)
        } else if shares::is_good(&payload, header, slot) {
            None
        } else {
            return Err(CryptoError::authentication_failed(Operation::Open));
        };
        if Slots(self.opened.fetch_or(bit(at), Ordering::Relaxed)).has(at) {
            // Another one was faster; the same share twice is one.
            return Ok(Vec::new());
        }
        let opened_by = OpenedBy {
            slot: at,
            kind: slot.kind,
            key_id,
            version: slot.version.clone(),
            together_with: Vec::new(),
            entry: number,
            branch_keys: Arc::default(),
        };
        Ok(vec![Got { payload, secret, opened_by }])
    }

    async fn unwrap(&self, entry: &AllowedKey, slot: &Slot, key_id: &KeyId) -> Result<SecureBytes> {
        let header = &self.parsed.header;
        match entry {
            AllowedKey::Key(kms, ..) | AllowedKey::Matching(kms, _) => {
                let (bytes, version) = (slot.wrapped.clone(), slot.version.clone());
                let wrapped = WrappedKey::new(bytes, key_id.clone(), version);
                kms.decrypt_data_key(&wrapped, &self.context).await
            }
            AllowedKey::Person(person) => {
                let facts = SlotFacts {
                    data_key_id: header.data_key_id,
                    message_id: header.message_id,
                    wrap: &self.context,
                    share: slot.share_check.map(|check| (slot.share_index, check)),
                };
                person.open_slot(slot, &facts)
            }
        }
    }
}

/// The data key that a slot gave, if it is this header's; one of another length is none.
pub(crate) fn verified(
    plaintext: &SecureBytes,
    parsed: &ParsedHeader<'_>,
    scope: &Scope,
) -> Result<DataKeySecret> {
    let secret = DataKeySecret::new(plaintext)
        .map_err(|_| CryptoError::authentication_failed(Operation::Open))?;
    secret.verify_header(parsed, scope)?;
    Ok(secret)
}

/// Which of two failures to report: one that may pass tells the caller more than one that stays, and
/// that more than a wrong key. Of two alike the earlier one.
pub(crate) fn worse(earlier: Option<CryptoError>, later: CryptoError) -> CryptoError {
    let rank = |error: &CryptoError| match error.kind() {
        ErrorKind::AuthenticationFailed => 0,
        _ if error.is_retryable() => 2,
        _ => 1,
    };
    match earlier {
        Some(earlier) if rank(&earlier) >= rank(&later) => earlier,
        _ if rank(&later) == 0 => nothing_opened(),
        _ => later,
    }
}

fn nothing_opened() -> CryptoError {
    CryptoError::authentication_failed(Operation::Open)
}

fn not_allowed(parsed: &ParsedHeader<'_>) -> CryptoError {
    let header = &parsed.header;
    let name = |slot: &Slot| match slot.kind.name() {
        kind if slot.kind.requires_exclusive() => format!("{kind} {}", slot.key_id_text()),
        _ => slot.key_id_text(),
    };
    let keys: Vec<String> =
        header.slots.iter().map(|slot| name(slot).trim_end().to_owned()).collect();
    let keys = keys.join(", ");
    let needed = header.threshold;
    CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Open).with_detail(if needed > 1 {
        format!("it was sealed for {keys}, {needed} of which must agree")
    } else {
        format!("it was sealed for {keys}")
    })
}

/// A message of the wrong shape for what was asked.
pub(crate) fn expect_shape(parsed: &ParsedHeader<'_>, shape: Shape) -> Result<()> {
    if parsed.header.shape == shape {
        return Ok(());
    }
    let detail = match parsed.header.shape {
        Shape::Record => "this is a record; open it as a value",
        Shape::Stream => "this is a stream; open it as one",
        _ => "this is a stored key, not a message",
    };
    Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Open).with_detail(detail))
}
