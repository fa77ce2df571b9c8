//! The envelope: seal and open whole values under a KMS. Streams start here too.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::derive::{DataKeySecret, body_context};
use vault_crypto_core::header::{Extension, Header, MESSAGE_ID_LEN, Shape, Slot, Suite};
use vault_crypto_core::{
    Clock, CryptoError, DataKey, EncryptedData, EncryptionContext, EncryptionProvider, ErrorKind,
    KeyId, KeyInfo, KmsProvider, Operation, RandomSource, Result, Scope, SecureBytes, WrapContext,
};

use crate::allowed::{binding, slot_kind};
use crate::body::{BodyKey, overhead};
use crate::{AllowedKeys, Budget, EnvelopeBuilder, MAX_RECORD_LEN, Padding};

/// A sealed message under the name the origin gave it.
pub type EnvelopeEncryptedData = EncryptedData;

/// Seals values under data keys that a KMS wraps, and opens them again.
///
/// Cloning is cheap. Each [`encrypt`](Self::encrypt) asks the KMS for a data key of its own; to seal
/// many values take a [`SealingKey`](crate::SealingKey).
#[derive(Clone)]
pub struct EnvelopeEncryption {
    pub(crate) shared: Arc<Shared>,
    pub(crate) scope: Scope,
}

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

impl fmt::Debug for EnvelopeEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeEncryption")
            .field("shared", &self.shared)
            .field("scope", &self.scope)
            .finish()
    }
}

/// A fresh data key and the header that carries it, still without message id and MAC.
pub(crate) struct Fresh {
    pub(crate) secret: DataKeySecret,
    pub(crate) header: Header,
}

impl EnvelopeEncryption {
    /// An envelope under `master_key_id` with every default.
    #[must_use]
    pub fn new(kms: Arc<dyn KmsProvider>, master_key_id: KeyId) -> Self {
        let builder = Self::builder(kms.clone(), master_key_id.clone());
        // A bad key id is refused by the KMS at the first call; nothing else can be wrong.
        builder.build_unchecked()
    }

    /// Starts building an envelope that seals under `key_id`.
    pub fn builder(kms: Arc<dyn KmsProvider>, key_id: impl Into<KeyId>) -> EnvelopeBuilder {
        EnvelopeBuilder::new(kms, key_id.into())
    }

    pub(crate) fn from_parts(shared: Arc<Shared>, scope: Scope) -> Self {
        Self { shared, scope }
    }

    /// The same envelope in a narrower scope, with data keys of its own. Cheap.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a bad or repeated name.
    pub fn scoped<N: Into<String>, V: Into<String>>(
        &self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        Ok(Self { shared: self.shared.clone(), scope: self.scope.extended(pairs)? })
    }

    /// The scope in force.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Seals `plaintext` under a new data key that serves this message alone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a bad context, [`ErrorKind::LimitExceeded`] for over 2^30
    /// bytes (seal a stream instead), or the KMS's error.
    pub async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let suite = self.shared.record_suite;
        let padding = self.shared.padding;
        let content = padding.padded_len(plaintext.len())?;
        if content > MAX_RECORD_LEN {
            return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)
                .with_detail("a record has at most 2^30 bytes; seal a stream instead"));
        }
        let bound =
            body_context(suite, Shape::Record, padding_flag(padding), &self.scope, context)?;
        let Fresh { secret, mut header } = self.fresh(suite, Shape::Record).await?;
        header.exclusive = true;
        header.message_id = self.shared.message_id()?;
        let id = header.message_id;
        let mut out = secret.seal_header(&mut header, &self.scope, Some(plaintext.len() as u64))?;
        out.reserve_exact(content + overhead(suite, content));
        let body = BodyKey::new(&secret, suite, self.shared.backend);
        body.seal_append(&id, &bound, plaintext, padding, &mut out)?;
        Ok(EncryptedData::from_bytes(out))
    }

    /// Opens a record that this envelope's scope and allowed keys can open.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for a wrong key, scope, context or altered bytes;
    /// [`ErrorKind::KeyNotAllowed`] before any call where no slot is allowed;
    /// [`ErrorKind::Malformed`], [`ErrorKind::Unsupported`], or the KMS's error.
    pub async fn decrypt(
        &self,
        sealed: &(impl AsRef<[u8]> + ?Sized),
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        self.opening_key(sealed).await?.open(sealed, context)
    }

    /// Opens a message and seals it again under `new_master_key_id`, with a new data key.
    ///
    /// To move a message without touching its body use [`rewrap`](Self::rewrap); this is for a data
    /// key that may have leaked.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt) and [`encrypt`](Self::encrypt).
    pub async fn re_encrypt(
        &self,
        sealed: &(impl AsRef<[u8]> + ?Sized),
        new_master_key_id: &KeyId,
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let plaintext = self.decrypt(sealed, context).await?;
        let target =
            Self { shared: self.shared.under(new_master_key_id), scope: self.scope.clone() };
        target.encrypt(plaintext.as_slice(), context).await
    }

    /// A data key from the KMS and a header with its one slot.
    pub(crate) async fn fresh(&self, suite: Suite, shape: Shape) -> Result<Fresh> {
        let kms = &*self.shared.kms;
        let wrap = WrapContext::data_key(self.scope.clone());
        let data_key = kms.generate_data_key(&self.shared.key_id, &wrap).await?;
        let (plaintext, wrapped) = data_key.into_parts();
        let secret = DataKeySecret::new(&plaintext)?;
        let mut header = Header::new(suite, shape);
        header.padded = !self.shared.padding.is_none() && shape != Shape::KeyEntry;
        if self.shared.store_scope && !self.scope.is_empty() {
            let scope = self.scope.canonical_pairs().to_vec();
            header.extensions.push(Extension::new(Extension::SCOPE, scope));
        }
        let slot = Slot::kms(
            slot_kind(kms),
            binding(kms),
            &wrapped.key_id,
            wrapped.version,
            wrapped.bytes,
        );
        header.slots.push(slot);
        Ok(Fresh { secret, header })
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

    fn under(&self, key_id: &KeyId) -> Arc<Self> {
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

/// The body flags byte of a new message.
pub(crate) fn padding_flag(padding: Padding) -> u8 {
    u8::from(!padding.is_none())
}

#[async_trait]
impl EncryptionProvider for EnvelopeEncryption {
    async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        Self::encrypt(self, plaintext, context).await
    }

    async fn decrypt(
        &self,
        ciphertext: &EncryptedData,
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        Self::decrypt(self, ciphertext, context).await
    }

    async fn generate_data_key(&self) -> Result<DataKey> {
        let wrap = WrapContext::data_key(self.scope.clone());
        self.shared.kms.generate_data_key(&self.shared.key_id, &wrap).await
    }

    async fn get_key_info(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.shared.kms.describe_key(key_id).await
    }

    fn provider_type(&self) -> &'static str {
        "envelope"
    }
}
