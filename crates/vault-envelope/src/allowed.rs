//! Which keys may open: an explicit list, in order of preference. Nothing else is ever asked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use vault_crypto_core::header::{Binding, Slot, SlotKind};
use vault_crypto_core::{KeyId, KmsProvider, Result};

use crate::slot_key::OpenSlot;
use crate::{OpenedBy, Recipients};

type Filter = Arc<dyn Fn(&KeyId) -> bool + Send + Sync>;

/// The keys a reader accepts, in order of preference.
///
/// A message's slot must equal an entry in kind, canonical key id and binding before any call is
/// made for it.
#[derive(Clone, Default)]
pub struct AllowedKeys(Vec<AllowedKey>);

#[derive(Clone)]
pub(crate) enum AllowedKey {
    /// The configured id, and the canonical one once it is known.
    Key(Arc<dyn KmsProvider>, KeyId, Arc<OnceLock<KeyId>>),
    Matching(Arc<dyn KmsProvider>, Filter),
    Person(Arc<dyn OpenSlot>),
}

/// Whether a slot is an entry's, as far as that can be told without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// Only if the entry's alias, which its KMS must be asked for, is the slot's key.
    Perhaps,
}

impl AllowedKeys {
    /// Allows nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Adds one key. An alias is resolved once, by `describe_key`, when the first message with
    /// another key id comes; give canonical ids where a reader may not describe keys.
    #[must_use]
    pub fn key(mut self, kms: Arc<dyn KmsProvider>, key_id: impl Into<KeyId>) -> Self {
        self.0.push(AllowedKey::Key(kms, key_id.into(), Arc::default()));
        self
    }

    /// Adds every key of a KMS whose canonical id passes `filter`.
    ///
    /// Whoever may write messages then chooses among these keys, so keep the filter narrow.
    #[must_use]
    pub fn any_key_matching(
        mut self,
        kms: Arc<dyn KmsProvider>,
        filter: impl Fn(&KeyId) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.0.push(AllowedKey::Matching(kms, Arc::new(filter)));
        self
    }

    /// Adds somebody who opens slots without a KMS.
    #[allow(dead_code, reason = "used by the features `passphrase`, `hpke` and `rsa`")]
    pub(crate) fn person(mut self, person: Arc<dyn OpenSlot>) -> Self {
        self.0.push(AllowedKey::Person(person));
        self
    }

    /// Each entry beside its number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &AllowedKey)> {
        self.0.iter().enumerate()
    }

    /// The first entry that asks the same KMS, or the same person, as this one: mostly itself.
    pub(crate) fn first_like(&self, number: usize) -> usize {
        let like = |entry: &AllowedKey| self.0.get(number).is_some_and(|this| this.asks_as(entry));
        self.0.iter().position(like).unwrap_or(number)
    }

    /// The KMS keys that are sealed for, then these.
    pub(crate) fn after(self, recipients: &Recipients) -> Self {
        let own = recipients
            .all_kms()
            .map(|own| AllowedKey::Key(own.kms.clone(), own.key_id.clone(), Arc::default()));
        Self(own.chain(self.0).collect())
    }

    /// Whether what opened a message may still open it: filters are asked again.
    pub(crate) fn still_allow(&self, opened_by: &OpenedBy) -> bool {
        let this = match self.0.get(opened_by.entry) {
            Some(AllowedKey::Matching(_, filter)) => filter(&opened_by.key_id),
            entry => entry.is_some(),
        };
        this && opened_by.together_with.iter().all(|other| self.still_allow(other))
    }
}

impl fmt::Debug for AllowedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|entry| match entry {
                AllowedKey::Key(_, key_id, _) => key_id.to_string(),
                AllowedKey::Matching(kms, _) => format!("keys of {}", kms.provider_type()),
                AllowedKey::Person(person) => format!("{person:?}"),
            }))
            .finish()
    }
}

impl AllowedKey {
    /// Whether `slot` is this entry's: kind and binding as its KMS writes them, and the key id.
    pub(crate) fn matches(&self, slot: &Slot) -> Match {
        let kms = match self {
            Self::Key(kms, ..) | Self::Matching(kms, _) => kms,
            Self::Person(person) if person.matches(slot) => return Match::Yes,
            Self::Person(_) => return Match::No,
        };
        if slot.kind != slot_kind(&**kms) || slot.binding != binding(&**kms) {
            return Match::No;
        }
        // Parameters that this version does not know: a slot of a later day, skipped.
        if !slot.parameters.is_empty() {
            return Match::No;
        }
        let Ok(stored) = std::str::from_utf8(&slot.key_id) else { return Match::No };
        let same = |id: &KeyId| id.as_str() == stored;
        match self {
            Self::Key(_, configured, _) if same(configured) => Match::Yes,
            Self::Key(kms, configured, known) => {
                if known.get().is_none()
                    && let Some(canonical) = kms.canonical_key_id(configured)
                {
                    known.get_or_init(|| canonical);
                }
                match known.get() {
                    Some(canonical) if same(canonical) => Match::Yes,
                    Some(_) => Match::No,
                    None => Match::Perhaps,
                }
            }
            Self::Matching(_, filter) if filter(&KeyId::from(stored)) => Match::Yes,
            _ => Match::No,
        }
    }

    /// Whether both ask the same KMS, or the same person.
    fn asks_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Person(this), Self::Person(other)) => Arc::ptr_eq(this, other),
            (Self::Person(_), _) | (_, Self::Person(_)) => false,
            (
                Self::Key(this, ..) | Self::Matching(this, _),
                Self::Key(other, ..) | Self::Matching(other, _),
            ) => Arc::ptr_eq(this, other),
        }
    }

    /// Asks the KMS which key an alias is; afterwards nothing is `Perhaps`.
    pub(crate) async fn resolve(&self) -> Result<()> {
        if let Self::Key(kms, configured, known) = self
            && known.get().is_none()
        {
            let canonical = kms.describe_key(configured).await?.key_id;
            known.get_or_init(|| canonical);
        }
        Ok(())
    }
}

/// The slot kind that this KMS writes.
pub(crate) fn slot_kind(kms: &dyn KmsProvider) -> SlotKind {
    SlotKind::of_provider(kms.provider_type())
}

/// What binds the scope of the slots that this KMS writes.
pub(crate) fn binding(kms: &dyn KmsProvider) -> Binding {
    if kms.capabilities().binds_scope { Binding::Kms } else { Binding::Mac }
}
