//! Kind 7: a slot that a passphrase opens (docs/FORMAT.md section 6.5).

use std::fmt;
use std::sync::Arc;

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
use vault_crypto_core::header::{Binding, Slot, SlotKind};
use vault_crypto_core::kdf::KdfParams;
use vault_crypto_core::xaes::{NONCE_LEN, XaesKey};
use vault_crypto_core::{
    CryptoError, ErrorKind, Operation, RandomSource, Result, SecureBytes, SecureString,
};
use zeroize::Zeroizing;

use super::cost::SALT_LEN;
use super::{PassphraseCost, bound, new_slot};
use crate::slot_key::{OpenSlot, SealSlot, SlotFacts};
use crate::{AllowedKeys, Recipient};

/// A passphrase to seal for or to open with, and what trying it may cost.
///
/// Each use derives a key by Argon2id on the thread that polls: 100 milliseconds of processor time or
/// more, and 64 MiB of memory, with the default cost. The passphrase is taken as its UTF-8 bytes, never
/// normalised. A message has at most one passphrase slot.
///
/// ```
/// # use vault_crypto_core::{CryptoError, EncryptionContext, SecureString};
/// # use vault_envelope::{AllowedKeys, EnvelopeEncryption, Passphrase, PassphraseCost, Recipient, Recipients};
/// # fn main() -> Result<(), CryptoError> { pollster::block_on(async {
/// let passphrase = Passphrase::new(SecureString::new("correct horse battery staple"))?;
/// # let passphrase = passphrase.with_cost(PassphraseCost::new(64, 1, 1)?);
/// let envelope = EnvelopeEncryption::to(Recipients::all([Recipient::passphrase(passphrase.clone())]))
///     .allow_only(AllowedKeys::none().passphrase(passphrase))
///     .build()?;
/// let context = EncryptionContext::new();
/// let sealed = envelope.encrypt(b"4111", &context).await?;
/// assert_eq!(envelope.decrypt(&sealed, &context).await?, b"4111");
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Passphrase {
    text: Arc<SecureString>,
    cost: PassphraseCost,
    limit: PassphraseCost,
}

impl Passphrase {
    /// `text` with the default cost and limit.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an empty one.
    pub fn new(text: SecureString) -> Result<Self> {
        if text.is_empty() {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
                .with_detail("the passphrase is empty"));
        }
        let (cost, limit) = (PassphraseCost::default(), PassphraseCost::DEFAULT_LIMIT);
        Ok(Self { text: Arc::new(text), cost, limit })
    }

    /// What a new slot asks of whoever tries a passphrase.
    #[must_use]
    pub fn with_cost(mut self, cost: PassphraseCost) -> Self {
        self.cost = cost;
        self
    }

    /// The dearest slot that is tried; [`PassphraseCost::DEFAULT_LIMIT`] unless told otherwise. Whoever
    /// can write messages chooses what a slot asks for.
    #[must_use]
    pub fn with_limit(mut self, limit: PassphraseCost) -> Self {
        self.limit = limit;
        self
    }

    fn key(&self, cost: PassphraseCost, salt: &[u8; SALT_LEN]) -> Result<XaesKey> {
        let mut key = Zeroizing::new([0; 32]);
        let params = KdfParams::Argon2id(cost.params());
        params.derive(self.text.as_str().as_bytes(), salt, key.as_mut_slice())?;
        Ok(XaesKey::new(&key, AeadBackend::fastest(AeadAlgorithm::Aes256Gcm)))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase([REDACTED])")
    }
}

impl SealSlot for Passphrase {
    fn kind(&self) -> SlotKind {
        SlotKind::PASSPHRASE
    }

    fn key_id(&self) -> Vec<u8> {
        Vec::new()
    }

    fn seal_slot(
        &self,
        payload: &SecureBytes,
        facts: &SlotFacts<'_>,
        random: &dyn RandomSource,
    ) -> Result<Slot> {
        let (mut salt, mut nonce) = ([0; SALT_LEN], [0; NONCE_LEN]);
        random.fill(&mut salt)?;
        random.fill(&mut nonce)?;
        let mut slot = new_slot(SealSlot::kind(self), &[], &self.cost.encode(&salt)?, facts);
        let key = self.key(self.cost, &salt)?;
        slot.wrapped = key.seal_whole(&nonce, &bound(&slot, facts)?, payload.as_slice())?;
        Ok(slot)
    }
}

impl OpenSlot for Passphrase {
    fn matches(&self, slot: &Slot) -> bool {
        slot.kind == SlotKind::PASSPHRASE && slot.binding == Binding::Mac
    }

    fn open_slot(&self, slot: &Slot, facts: &SlotFacts<'_>) -> Result<SecureBytes> {
        let (cost, salt) = PassphraseCost::decode(&slot.parameters, self.limit)?;
        let key = self.key(cost, &salt).map_err(|error| error.in_operation(Operation::Open))?;
        key.open_whole(&bound(slot, facts)?, &slot.wrapped)
            .map_err(|error| error.in_operation(Operation::Open))
    }
}

impl Recipient {
    /// Whoever knows `passphrase`. A data key behind it serves one message alone.
    #[must_use]
    pub fn passphrase(passphrase: Passphrase) -> Self {
        Self::person(Arc::new(passphrase))
    }
}

impl AllowedKeys {
    /// Adds a passphrase.
    #[must_use]
    pub fn passphrase(self, passphrase: Passphrase) -> Self {
        self.person(Arc::new(passphrase))
    }
}
