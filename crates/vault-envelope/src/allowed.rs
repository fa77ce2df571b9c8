//! Which keys may open: an explicit list, in order of preference. Nothing else is ever asked.

use std::fmt;
use std::sync::{Arc, OnceLock};

use vault_crypto_core::header::{Binding, Slot, SlotKind};
use vault_crypto_core::{KeyId, KmsProvider, Result};

use crate::Recipients;

type Filter = Arc<dyn Fn(&KeyId) -> bool + Send + Sync>;

/// The keys a reader accepts, each at its KMS.
///
/// A message's slot must equal an entry in kind, canonical key id and binding before any call is
/// made for it.
#[derive(Clone, Default)]
pub struct AllowedKeys(Vec<AllowedKey>);

#[derive(Clone)]
pub(crate) struct AllowedKey {
    pub(crate) kms: Arc<dyn KmsProvider>,
    which: Which,
}

#[derive(Clone)]
enum Which {
    /// The configured id, and the canonical one once the KMS was asked.
    Key(KeyId, Arc<OnceLock<KeyId>>),
    Matching(Filter),
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
        let which = Which::Key(key_id.into(), Arc::default());
        self.0.push(AllowedKey { kms, which });
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
        self.0.push(AllowedKey { kms, which: Which::Matching(Arc::new(filter)) });
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &AllowedKey> {
        self.0.iter()
    }

    /// The KMS keys that are sealed for, then these.
    pub(crate) fn after(self, recipients: &Recipients) -> Self {
        let own = recipients.all_kms().map(|own| {
            let which = Which::Key(own.key_id.clone(), Arc::default());
            AllowedKey { kms: own.kms.clone(), which }
        });
        Self(own.chain(self.0).collect())
    }
}

impl fmt::Debug for AllowedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|entry| match &entry.which {
                Which::Key(key_id, _) => key_id.to_string(),
                Which::Matching(_) => format!("keys of {}", entry.kms.provider_type()),
            }))
            .finish()
    }
}

impl AllowedKey {
    /// Whether `slot` is this entry's: kind and binding as this KMS writes them, and the key id.
    pub(crate) async fn matches(&self, slot: &Slot) -> Result<Option<KeyId>> {
        if slot.kind != slot_kind(&*self.kms) || slot.binding != binding(&*self.kms) {
            return Ok(None);
        }
        // Parameters that this version does not know: a slot of a later day, skipped.
        if !slot.parameters.is_empty() {
            return Ok(None);
        }
        let Ok(text) = std::str::from_utf8(&slot.key_id) else { return Ok(None) };
        let stored = KeyId::from(text);
        let matches = match &self.which {
            Which::Key(configured, _) if *configured == stored => true,
            Which::Key(configured, canonical) => {
                self.canonical(configured, canonical).await? == stored
            }
            Which::Matching(filter) => filter(&stored),
        };
        Ok(matches.then_some(stored))
    }

    async fn canonical(&self, configured: &KeyId, known: &OnceLock<KeyId>) -> Result<KeyId> {
        if let Some(canonical) = known.get() {
            return Ok(canonical.clone());
        }
        let canonical = match self.kms.canonical_key_id(configured) {
            Some(canonical) => canonical,
            None => self.kms.describe_key(configured).await?.key_id,
        };
        Ok(known.get_or_init(|| canonical).clone())
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
