//! What all scopes of one envelope share: whom it seals for, who may open, and its settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::header::{MESSAGE_ID_LEN, Suite};
use vault_crypto_core::locked::LockedPool;
use vault_crypto_core::{Clock, CryptoError, ErrorKind, KeyId, Operation, RandomSource, Result};

use crate::branch::Branches;
use crate::cache::Cache;
use crate::recipients::{KmsRecipient, Recipients};
use crate::{AllowedKeys, Budget, Padding};

/// What all scopes of one envelope share.
pub(crate) struct Shared {
    pub(crate) recipients: Recipients,
    pub(crate) allowed: AllowedKeys,
    pub(crate) hedge_after: Option<Duration>,
    pub(crate) suites: Vec<Suite>,
    pub(crate) record_suite: Suite,
    pub(crate) stream_suite: Suite,
    pub(crate) backend: Option<AeadBackend>,
    pub(crate) padding: Padding,
    pub(crate) store_scope: bool,
    pub(crate) budget: Budget,
    pub(crate) branches: Option<Arc<Branches>>,
    pub(crate) cache: Cache,
    pub(crate) memory: Option<LockedPool>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("recipients", &self.recipients)
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

    /// Whether this envelope's data keys must each serve one message alone (docs/FORMAT.md 11.3).
    pub(crate) fn needs_exclusive(&self) -> bool {
        self.recipients.needs_exclusive()
    }

    /// The first KMS that is sealed for.
    pub(crate) fn first_kms(&self) -> Result<&KmsRecipient> {
        self.recipients.first_kms().ok_or_else(|| {
            CryptoError::new(ErrorKind::Unsupported, Operation::Configure)
                .with_detail("this envelope seals for no KMS; there is none to ask")
        })
    }

    /// The same settings with another key at the first KMS.
    pub(crate) fn under(&self, key_id: &KeyId) -> Result<Arc<Self>> {
        let recipients = self.recipients.with_first_key(key_id);
        Ok(Arc::new(Self {
            recipients: recipients.ok_or_else(|| {
                CryptoError::new(ErrorKind::Unsupported, Operation::Seal)
                    .with_detail("this envelope seals for no KMS; there is no key to replace")
            })?,
            allowed: self.allowed.clone(),
            suites: self.suites.clone(),
            // A branch key is of the recipients it was made for.
            branches: None,
            // Another key is another policy, and nothing is shared across policies.
            cache: Cache::off(),
            memory: self.memory.clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
            ..*self
        }))
    }
}
