//! Whom a message is sealed for, and how many of them must take part: the write policy.
//!
//! Left to others: dealing out the slots (`recipients/seal.rs`), who may open ([`AllowedKeys`](crate::AllowedKeys)).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vault_crypto_core::header::{MAX_SLOTS, Slot, SlotKind};
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, KeyInfo, KmsProvider, Operation, Result};

mod change;
mod fill;
mod seal;
mod selector;

pub(crate) use seal::{deal_slots, wrap_context};
pub use selector::SlotSelector;

use crate::hedge::{Attempt, together};
use crate::slot_key::SealSlot;
use crate::{EnvelopeBuilder, EnvelopeEncryption};

/// How long a write that has enough recipients waits for the others.
const PATIENCE: Duration = Duration::from_secs(1);

/// One who can open what is sealed: a key at a KMS, or a person with a key of their own.
#[derive(Clone)]
pub struct Recipient(Who);

#[derive(Clone)]
pub(crate) enum Who {
    Kms(KmsRecipient),
    Person(Arc<dyn SealSlot>),
}

/// A key at a KMS, and its canonical id once that is known.
#[derive(Clone)]
pub(crate) struct KmsRecipient {
    pub(crate) kms: Arc<dyn KmsProvider>,
    pub(crate) key_id: KeyId,
    canonical: Arc<Mutex<Option<KeyId>>>,
}

impl Recipient {
    /// The key `key_id` of a KMS.
    #[must_use]
    pub fn kms(kms: Arc<dyn KmsProvider>, key_id: impl Into<KeyId>) -> Self {
        Self(Who::Kms(KmsRecipient { kms, key_id: key_id.into(), canonical: Arc::default() }))
    }

    /// Somebody whose slot no KMS serves. A data key behind such a slot serves one message alone.
    #[allow(dead_code, reason = "used by the features `passphrase`, `hpke` and `rsa`")]
    pub(crate) fn person(seal: Arc<dyn SealSlot>) -> Self {
        Self(Who::Person(seal))
    }

    pub(crate) fn who(&self) -> &Who {
        &self.0
    }

    pub(crate) fn as_kms(&self) -> Option<&KmsRecipient> {
        match &self.0 {
            Who::Kms(kms) => Some(kms),
            Who::Person(_) => None,
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Who::Kms(kms) => write!(f, "{} {}", kms.kms.provider_type(), kms.key_id),
            Who::Person(person) => write!(f, "{person:?}"),
        }
    }
}

/// Whom a message is sealed for, and who of them must take part now.
///
/// Every recipient alone can open, unless it is a [`threshold`](Self::threshold).
///
/// ```
/// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
/// use std::sync::Arc;
/// use vault_crypto_core::EncryptionContext;
/// use vault_envelope::{EnvelopeEncryption, Recipient, Recipients};
/// use vault_testkit::{MemoryKms, VirtualClock};
///
/// let (here, there) = (MemoryKms::new(), MemoryKms::new());
/// let (near, far) = (here.add_key("orders")?, there.add_key("orders")?);
/// let both = [Recipient::kms(Arc::new(here), near), Recipient::kms(Arc::new(there), far)];
/// let envelope = EnvelopeEncryption::to(Recipients::all(both)).build()?;
/// let sealed = VirtualClock::new().run(envelope.encrypt(b"4111", &EncryptionContext::new()))?;
/// # let header = vault_crypto_core::header::parse(sealed.as_bytes())?.header;
/// # assert_eq!(header.slots.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Recipients {
    pub(crate) members: Vec<Recipient>,
    pub(crate) policy: Policy,
    pub(crate) patience: Duration,
}

/// What a write needs to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Everybody takes part now; each can open alone.
    All,
    /// So many take part now; the others stand as missing slots.
    AtLeast(usize),
    /// The first takes part now, the other KMSs are not even asked.
    Primary,
    /// Everybody takes part now; so many must agree to open.
    Threshold(usize),
}

impl Recipients {
    /// All of them take part: if one KMS fails, nothing is sealed. Each can open alone.
    pub fn all(members: impl IntoIterator<Item = Recipient>) -> Self {
        Self::new(members, Policy::All)
    }

    /// At least `needed` of them take part; who fails stands as a missing slot, to be filled by
    /// [`fill`](crate::EnvelopeEncryption::fill). Each who took part can open alone.
    pub fn at_least(needed: usize, members: impl IntoIterator<Item = Recipient>) -> Self {
        Self::new(members, Policy::AtLeast(needed))
    }

    /// `recipient` takes part now; those of [`fill_later`](Self::fill_later) are not asked.
    pub fn primary(recipient: Recipient) -> Self {
        Self::new([recipient], Policy::Primary)
    }

    /// Adds recipients whose slots stand as missing until [`fill`](crate::EnvelopeEncryption::fill).
    /// People among them take part now, because they cost no call.
    pub fn fill_later(mut self, members: impl IntoIterator<Item = Recipient>) -> Self {
        self.members.extend(members);
        self
    }

    /// Each gets a share, and `needed` of them must agree to open. The data key serves one message
    /// alone.
    pub fn threshold(needed: usize, members: impl IntoIterator<Item = Recipient>) -> Self {
        Self::new(members, Policy::Threshold(needed))
    }

    /// How long a write that has enough recipients under [`at_least`](Self::at_least) waits for the
    /// others; one second by default.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn new(members: impl IntoIterator<Item = Recipient>, policy: Policy) -> Self {
        Self { members: members.into_iter().collect(), policy, patience: PATIENCE }
    }

    /// The first KMS: data keys come from it, and an envelope with no other keys opens by it.
    pub(crate) fn first_kms(&self) -> Option<&KmsRecipient> {
        self.all_kms().next()
    }

    pub(crate) fn all_kms(&self) -> impl DoubleEndedIterator<Item = &KmsRecipient> {
        self.members.iter().filter_map(Recipient::as_kms)
    }

    /// How many slots must open.
    pub(crate) fn slots_to_open(&self) -> usize {
        match self.policy {
            Policy::Threshold(needed) => needed,
            _ => 1,
        }
    }

    /// Whether a data key for them must serve one message alone (docs/FORMAT.md section 11.3).
    pub(crate) fn needs_exclusive(&self) -> bool {
        self.slots_to_open() > 1 || self.members.iter().any(|member| member.as_kms().is_none())
    }

    /// The same recipients with another key at the first KMS; `None` where there is no KMS.
    pub(crate) fn with_first_key(&self, key_id: &KeyId) -> Option<Self> {
        let mut new = self.clone();
        let (place, kms) = new.members.iter_mut().find_map(|member| {
            member.as_kms().map(|first| first.kms.clone()).map(|k| (member, k))
        })?;
        *place = Recipient::kms(kms, key_id.clone());
        Some(new)
    }

    /// Whose slot this is, as far as that can be told without a call.
    pub(crate) fn find(&self, slot: &Slot) -> Option<&Recipient> {
        self.members.iter().find(|member| match member.who() {
            Who::Kms(kms) => kms.known_id().is_some_and(|key_id| kms.owns(slot, &key_id)),
            Who::Person(person) => person.kind() == slot.kind && person.key_id() == slot.key_id,
        })
    }

    /// Finds what can never work.
    pub(crate) fn check(&self) -> Result<()> {
        let refused =
            |why| CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(why);
        let count = self.members.len();
        if count == 0 || count > MAX_SLOTS {
            return Err(refused("a message has 1 to 16 recipients"));
        }
        if let Policy::AtLeast(needed) | Policy::Threshold(needed) = self.policy
            && (needed == 0 || needed > count)
        {
            return Err(refused("the number needed is not between 1 and the number of recipients"));
        }
        self.all_kms().try_for_each(|kms| kms.key_id.check())
    }
}

impl EnvelopeEncryption {
    /// Starts building an envelope that seals for `recipients`. Without a KMS among them data keys
    /// come from the system's generator, and opening takes
    /// [`allow_only`](EnvelopeBuilder::allow_only).
    pub fn to(recipients: Recipients) -> EnvelopeBuilder {
        EnvelopeBuilder::sealing_for(recipients)
    }

    /// Asks each KMS whose canonical key id is not known yet for it, all at once, and remembers the
    /// answers: a slot can then be left for it while it is down.
    ///
    /// # Errors
    /// The first failure, once all have answered.
    pub async fn resolve_recipients(&self) -> Result<()> {
        let unknown = self.shared.recipients.all_kms().filter(|kms| kms.known_id().is_none());
        let asked: Vec<Attempt<'_, KeyInfo>> =
            unknown.map(|kms| -> Attempt<'_, KeyInfo> { Box::pin(kms.describe()) }).collect();
        let answers = together(asked, 0, None, &*self.shared.clock).await;
        answers.into_iter().flatten().try_for_each(|answer| answer.map(drop))
    }
}

impl KmsRecipient {
    /// The slot kind that this KMS writes.
    pub(crate) fn kind(&self) -> SlotKind {
        crate::allowed::slot_kind(&*self.kms)
    }

    /// The canonical id, where it can be told without a call.
    pub(crate) fn known_id(&self) -> Option<KeyId> {
        let remembered = self.canonical.lock().unwrap_or_else(PoisonError::into_inner).clone();
        remembered.or_else(|| self.kms.canonical_key_id(&self.key_id))
    }

    /// Remembers what the KMS answered, for the next slot that it cannot be asked for. The last answer
    /// counts: an alias may have moved.
    pub(crate) fn remember(&self, canonical: &KeyId) {
        let mut known = self.canonical.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(canonical) {
            *known = Some(canonical.clone());
        }
    }

    /// What the KMS says of the key now.
    pub(crate) async fn describe(&self) -> Result<KeyInfo> {
        let info = self.kms.describe_key(&self.key_id).await?;
        self.remember(&info.key_id);
        Ok(info)
    }

    /// The canonical id, asked for if need be.
    pub(crate) async fn canonical_id(&self) -> Result<KeyId> {
        match self.known_id() {
            Some(known) => Ok(known),
            None => Ok(self.describe().await?.key_id),
        }
    }

    /// Whether `slot` could be of a key of this KMS, in the form that this version writes.
    pub(crate) fn could_own(&self, slot: &Slot) -> bool {
        slot.kind == self.kind()
            && slot.binding == crate::allowed::binding(&*self.kms)
            // Parameters that this version does not know: kept byte for byte.
            && slot.parameters.is_empty()
    }

    /// Whether `slot` is this key's.
    pub(crate) fn owns(&self, slot: &Slot, canonical: &KeyId) -> bool {
        self.could_own(slot) && slot.key_id == canonical.as_str().as_bytes()
    }
}
