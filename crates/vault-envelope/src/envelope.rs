//! The envelope: seal and open whole values under a KMS. Streams start here too.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use vault_crypto_core::derive::body_context;
use vault_crypto_core::header::Shape;
use vault_crypto_core::{
    CryptoError, DataKey, EncryptedData, EncryptionContext, EncryptionProvider, ErrorKind, KeyId,
    KeyInfo, KmsProvider, Operation, Result, Scope, SecureBytes, WrapContext,
};

use crate::body::{BodyKey, overhead};
use crate::fresh::Fresh;
use crate::shared::Shared;
use crate::{EnvelopeBuilder, MAX_RECORD_LEN, Padding};

/// A sealed message under the name the origin gave it.
pub type EnvelopeEncryptedData = EncryptedData;

/// Seals values under data keys that a KMS wraps, and opens them again.
///
/// Cloning is cheap, and clones and [scopes](Self::scoped) share one [cache](Self::cache) of data keys:
/// a value sealed or opened under one of them costs no call. Who wants to hold the data key takes a
/// [`SealingKey`](crate::SealingKey) or an [`OpeningKey`](crate::OpeningKey).
#[derive(Clone)]
pub struct EnvelopeEncryption {
    pub(crate) shared: Arc<Shared>,
    pub(crate) scope: Scope,
}

impl fmt::Debug for EnvelopeEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeEncryption")
            .field("shared", &self.shared)
            .field("scope", &self.scope)
            .finish()
    }
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

    /// Seals `plaintext` under the current data key of this scope, which is asked for where there is none
    /// and serves within the [`Budget`](crate::Budget).
    ///
    /// A value over the whole budget gets a data key of its own. So does every message without a cache,
    /// and every one for people or for several parties who must agree.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a bad context, [`ErrorKind::LimitExceeded`] for over 2^30
    /// bytes (seal a stream instead), or the KMS's error.
    #[inline]
    pub async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        match self.seal_hit(&self.shared.cache, plaintext, context) {
            Some(sealed) => sealed,
            // In a box, so that a future which is a hit most times stays small.
            None => Box::pin(self.encrypt_slowly(plaintext, context)).await,
        }
    }

    /// Opens a record that this envelope's scope and allowed keys can open. A KMS is asked where the
    /// message's data key is not in the cache.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for a wrong key, scope, context or altered bytes;
    /// [`ErrorKind::KeyNotAllowed`] before any call where no slot is allowed;
    /// [`ErrorKind::Malformed`], [`ErrorKind::Unsupported`], or the KMS's error.
    #[inline]
    pub async fn decrypt(
        &self,
        sealed: &(impl AsRef<[u8]> + ?Sized),
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let sealed = sealed.as_ref();
        match self.open_hit(&self.shared.cache, sealed, context) {
            Some(opened) => opened,
            None => Box::pin(self.open_slowly(sealed, context)).await,
        }
    }

    async fn encrypt_slowly(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let (suite, padding) = (self.shared.record_suite, self.shared.padding);
        // Whatever is wrong with the context costs neither a call nor a budget.
        body_context(suite, Shape::Record, padding_flag(padding), &self.scope, context)?;
        let fits = padding.padded_len(plaintext.len())? <= MAX_RECORD_LEN;
        if fits && self.may_share(plaintext.len()) {
            if let Some(sealed) = self.seal_slowly(plaintext, context).await? {
                return Ok(sealed);
            }
            if self.shared.branches.is_some() {
                return self.seal_uncached(plaintext, context).await;
            }
        }
        self.encrypt_alone(plaintext, context).await
    }

    /// Whether a value of `len` bytes may be sealed under a data key that serves others, too.
    pub(crate) fn may_share(&self, len: usize) -> bool {
        let budget = &self.shared.budget;
        let fits = budget.messages > 0 && len as u64 <= budget.bytes;
        fits && !self.shared.needs_exclusive()
    }

    /// Seals under a data key that serves this message alone.
    pub(crate) async fn encrypt_alone(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let (suite, padding) = (self.shared.record_suite, self.shared.padding);
        let content = padding.padded_len(plaintext.len())?;
        if content > MAX_RECORD_LEN {
            return Err(too_long());
        }
        let bound =
            body_context(suite, Shape::Record, padding_flag(padding), &self.scope, context)?;
        let id = self.shared.message_id()?;
        let Fresh { secret, mut header } = self.fresh(suite, Shape::Record, Some(id)).await?;
        let mut out = secret.seal_header(&mut header, &self.scope, Some(plaintext.len() as u64))?;
        out.reserve_exact(content + overhead(suite, content));
        let body = BodyKey::new(&secret, suite, self.shared.backend);
        body.by_ref().seal_append(&id, &bound, plaintext, padding, &mut out)?;
        Ok(EncryptedData::from_bytes(out))
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
            Self { shared: self.shared.under(new_master_key_id)?, scope: self.scope.clone() };
        target.encrypt_alone(plaintext.as_slice(), context).await
    }
}

#[cold]
pub(crate) fn too_long() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)
        .with_detail("a record has at most 2^30 bytes; seal a stream instead")
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
        let first = self.shared.first_kms()?;
        first.kms.generate_data_key(&first.key_id, &wrap).await
    }

    async fn get_key_info(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.shared.first_kms()?.kms.describe_key(key_id).await
    }

    fn provider_type(&self) -> &'static str {
        "envelope"
    }
}
