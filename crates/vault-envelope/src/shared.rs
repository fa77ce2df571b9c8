//! What all scopes of one envelope share: whom it seals for, who may open, and its settings.

use std::fmt;
use std::sync::Arc;

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::header::{MESSAGE_ID_LEN, Suite};
use vault_crypto_core::{Clock, KeyId, KmsProvider, RandomSource, Result};

use crate::{AllowedKeys, Budget, Padding};

/// What all scopes of one envelope share.
pub(crate) struct Shared {
    pub(crate) kms: Arc<dyn KmsProvider>,
    pub(crate) key_id: KeyId,
    pub(crate) allowed: AllowedKeys,
    pub(crate) suites: Vec<Suite>,
    pub(crate) record_suite: Suite,
    pub(crate) stream_suite: Suite,
    pub(crate) backend: Option<AeadBackend>,
    pub(crate) padding: Padding,
    pub(crate) store_scope: bool,
    pub(crate) budget: Budget,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("provider", &self.kms.provider_type())
            .field("key_id", &self.key_id)
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// A salt or nonce for a message with a header of its own. Zeros mean "none" there, so they are
    /// drawn again (docs/FORMAT.md section 11.1).
    pub(crate) fn message_id(&self) -> Result<[u8; MESSAGE_ID_LEN]> {
        loop {
            let id = self.random.nonce(self.clock.monotonic())?;
            if id != [0; MESSAGE_ID_LEN] {
                return Ok(id);
            }
        }
    }

    pub(crate) fn under(&self, key_id: &KeyId) -> Arc<Self> {
        Arc::new(Self {
            kms: self.kms.clone(),
            key_id: key_id.clone(),
            allowed: self.allowed.clone(),
            suites: self.suites.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            ..*self
        })
    }
}

