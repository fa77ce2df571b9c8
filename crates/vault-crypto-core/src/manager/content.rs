//! What the manager encrypts into, and the encrypting.

use super::{EncryptionAlgorithm, EncryptionKey, EncryptionManager, wrong_algorithm};
use crate::{CryptoError, Operation, Result, SecureBytes};

/// A ciphertext with all that opening it needs besides the key. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedContent {
    algorithm: EncryptionAlgorithm,
    key_id: String,
    key_version: u32,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
    aad: Vec<u8>,
}

impl EncryptedContent {
    /// Puts stored parts together; they are checked when decrypted.
    #[must_use]
    pub fn from_parts(
        algorithm: EncryptionAlgorithm,
        key: (String, u32),
        nonce: Vec<u8>,
        ciphertext: Vec<u8>,
        tag: Vec<u8>,
        aad: Vec<u8>,
    ) -> Self {
        let (key_id, key_version) = key;
        Self { algorithm, key_id, key_version, nonce, ciphertext, tag, aad }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.algorithm
    }

    /// The id of the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The version of the key.
    #[must_use]
    pub fn key_version(&self) -> u32 {
        self.key_version
    }

    /// The nonce: 12 bytes, or none for RSA.
    #[must_use]
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The ciphertext without the tag.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// The tag: 16 bytes, or none for RSA.
    #[must_use]
    pub fn tag(&self) -> &[u8] {
        &self.tag
    }

    /// The associated data, authenticated and not encrypted.
    #[must_use]
    pub fn aad(&self) -> &[u8] {
        &self.aad
    }
}

impl EncryptionManager {
    /// Encrypts with an AES-256-GCM key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a key of another algorithm.
    pub fn encrypt_aes256(
        &self,
        plaintext: &[u8],
        key: &EncryptionKey,
    ) -> Result<EncryptedContent> {
        require(key, EncryptionAlgorithm::Aes256Gcm)?;
        self.encrypt(plaintext, key, &[])
    }

    /// Decrypts what [`encrypt_aes256`](Self::encrypt_aes256) made.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) for any mismatch,
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a key of another algorithm.
    pub fn decrypt_aes256(
        &self,
        content: &EncryptedContent,
        key: &EncryptionKey,
    ) -> Result<SecureBytes> {
        require(key, EncryptionAlgorithm::Aes256Gcm)?;
        self.decrypt(content, key)
    }

    /// Encrypts with the key's algorithm, bound to the key's id and version and to `aad`, which is
    /// kept readable in the content.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded) for over 318 bytes under RSA.
    pub fn encrypt(
        &self,
        plaintext: &[u8],
        key: &EncryptionKey,
        aad: &[u8],
    ) -> Result<EncryptedContent> {
        let binding = key.binding(aad);
        let material = key.key_material();
        let (ciphertext, nonce, tag) = match key.algorithm() {
            EncryptionAlgorithm::Aes256Gcm => {
                owned(self.engine.aes_256_gcm_encrypt(material, plaintext, Some(&binding))?)
            }
            EncryptionAlgorithm::ChaCha20Poly1305 => {
                owned(self.engine.chacha20_poly1305_encrypt(material, plaintext, Some(&binding))?)
            }
            #[cfg(feature = "rsa")]
            EncryptionAlgorithm::RsaOaep256 => {
                let public = super::rsa::public_key(material)?;
                (super::rsa::encrypt(&public, plaintext, &binding)?, Vec::new(), Vec::new())
            }
        };
        Ok(EncryptedContent {
            algorithm: key.algorithm(),
            key_id: key.id().to_owned(),
            key_version: key.version(),
            nonce,
            ciphertext,
            tag,
            aad: aad.to_vec(),
        })
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made. The content's `aad` is authentic when this
    /// answers `Ok`; compare it with what the place of storage calls for.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) for any mismatch.
    pub fn decrypt(&self, content: &EncryptedContent, key: &EncryptionKey) -> Result<SecureBytes> {
        let named = (content.algorithm, content.key_id.as_str(), content.key_version);
        if named != (key.algorithm(), key.id(), key.version()) {
            return Err(not_authentic());
        }
        let binding = key.binding(&content.aad);
        let (material, ciphertext) = (key.key_material(), content.ciphertext.as_slice());
        let nonce = || content.nonce.as_slice().try_into().map_err(|_| not_authentic());
        let tag = || content.tag.as_slice().try_into().map_err(|_| not_authentic());
        let (engine, aad) = (&self.engine, Some(binding.as_slice()));
        match key.algorithm() {
            EncryptionAlgorithm::Aes256Gcm => {
                engine.aes_256_gcm_decrypt(material, ciphertext, nonce()?, tag()?, aad)
            }
            EncryptionAlgorithm::ChaCha20Poly1305 => {
                engine.chacha20_poly1305_decrypt(material, ciphertext, nonce()?, tag()?, aad)
            }
            #[cfg(feature = "rsa")]
            EncryptionAlgorithm::RsaOaep256 => super::rsa::decrypt(material, ciphertext, &binding),
        }
    }
}

fn require(key: &EncryptionKey, algorithm: EncryptionAlgorithm) -> Result<()> {
    if key.algorithm() == algorithm { Ok(()) } else { Err(wrong_algorithm()) }
}

fn owned((ciphertext, nonce, tag): crate::engine::Sealed) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    (ciphertext, nonce.to_vec(), tag.to_vec())
}

fn not_authentic() -> CryptoError {
    CryptoError::authentication_failed(Operation::Primitive)
}
