//! What an application sees of encryption: seal and open a value, whichever KMS stands behind.

use std::fmt;

use async_trait::async_trait;

use crate::{DataKey, EncryptionContext, KeyId, KeyInfo, Result, SecureBytes};

/// Seals and opens values. Object-safe, so that a service picks its provider at run time.
///
/// Rotating a key is not here: that right is [`KmsAdmin`](crate::KmsAdmin)'s.
#[async_trait]
pub trait EncryptionProvider: Send + Sync {
    /// Seals `plaintext`, bound to `context`.
    ///
    /// # Behavior
    /// - Sealing the same plaintext twice gives different messages.
    ///
    /// # Errors
    /// `InvalidInput` for a bad context, `LimitExceeded` for too long a plaintext, or the KMS's error.
    async fn encrypt(&self, plaintext: &[u8], context: &EncryptionContext)
    -> Result<EncryptedData>;

    /// Opens what [`encrypt`](Self::encrypt) sealed.
    ///
    /// # Behavior
    /// - Another context, another key and altered bytes are the same `AuthenticationFailed`.
    /// - A message whose key is not allowed is `KeyNotAllowed`, without any call to a KMS.
    ///
    /// # Errors
    /// As under `# Behavior`, `Malformed`, `Unsupported`, or the KMS's error.
    async fn decrypt(
        &self,
        ciphertext: &EncryptedData,
        context: &EncryptionContext,
    ) -> Result<SecureBytes>;

    /// A new data key from the KMS behind.
    ///
    /// # Errors
    /// The KMS's error.
    async fn generate_data_key(&self) -> Result<DataKey>;

    /// What the KMS says of a key.
    ///
    /// # Errors
    /// The KMS's error.
    async fn get_key_info(&self, key_id: &KeyId) -> Result<KeyInfo>;

    /// A short stable name.
    fn provider_type(&self) -> &'static str;
}

/// A sealed message, opaque: the bytes of docs/FORMAT.md and nothing beside them.
///
/// It derefs to no slice by accident, yet is nothing but its bytes: store them as they are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EncryptedData(Vec<u8>);

impl EncryptedData {
    /// Takes bytes from storage. They are checked when opened.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to store, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes (never true of a message).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl AsRef<[u8]> for EncryptedData {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for EncryptedData {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<EncryptedData> for Vec<u8> {
    fn from(data: EncryptedData) -> Self {
        data.0
    }
}

impl fmt::Debug for EncryptedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptedData({} bytes)", self.0.len())
    }
}
