//! Every primitive in one place, with the choices that are easy to get wrong already made: the
//! engine draws each nonce and salt itself and takes the fastest backend.
//!
//! Left to others: messages that carry their own keys and context (the crate `vault-envelope`).
//! Prefer those; use the engine where a protocol prescribes the primitive.

use std::fmt;
use std::sync::Arc;

use crate::aead::{AeadAlgorithm, AeadBackend, AeadKey, NONCE_LEN, TAG_LEN};
use crate::kdf::{self, HashAlgorithm, KdfParams};
use crate::{CryptoError, ErrorKind, Operation, RandomSource, Result, SecureBytes, SystemRandom};

mod ciphers;

/// Ciphertext, nonce and tag, as the AEAD functions of [`CryptoEngine`] give them.
pub type Sealed = (Vec<u8>, [u8; NONCE_LEN], [u8; TAG_LEN]);

/// The primitives, over one source of randomness and one backend.
///
/// ```
/// use vault_crypto_core::engine::CryptoEngine;
/// let engine = CryptoEngine::new();
/// let key = engine.generate_key()?;
/// let (ciphertext, nonce, tag) =
///     engine.aes_256_gcm_encrypt(key.as_slice(), b"4111 1111", Some(b"row 42"))?;
/// let plaintext =
///     engine.aes_256_gcm_decrypt(key.as_slice(), &ciphertext, &nonce, &tag, Some(b"row 42"))?;
/// assert_eq!(plaintext.as_slice(), b"4111 1111");
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Clone)]
pub struct CryptoEngine {
    random: Arc<dyn RandomSource>,
    backend: Option<AeadBackend>,
}

impl CryptoEngine {
    /// An engine on the system's generator and the fastest backend.
    #[must_use]
    pub fn new() -> Self {
        Self::with_random(Arc::new(SystemRandom::new()))
    }

    /// An engine on `random`.
    #[must_use]
    pub fn with_random(random: Arc<dyn RandomSource>) -> Self {
        Self { random, backend: None }
    }

    /// This engine on `backend` instead of [`AeadBackend::fastest`].
    #[must_use]
    pub fn with_backend(mut self, backend: AeadBackend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// `len` unpredictable bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the source of randomness fails.
    pub fn random_bytes(&self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// A random 96-bit nonce, for a protocol that needs one elsewhere. No function here takes a
    /// nonce for sealing: each draws its own.
    ///
    /// # Errors
    /// As [`random_bytes`](Self::random_bytes).
    pub fn generate_nonce(&self) -> Result<[u8; NONCE_LEN]> {
        self.random_array()
    }

    /// A random 256-bit key.
    ///
    /// # Errors
    /// As [`random_bytes`](Self::random_bytes).
    pub fn generate_key(&self) -> Result<SecureBytes> {
        self.random_bytes(32).map(SecureBytes::new)
    }

    /// HMAC-SHA-256 of `data`.
    #[must_use]
    pub fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> [u8; 32] {
        crate::mac::hmac_sha256(key, data)
    }

    /// HMAC-SHA-512 of `data`.
    #[must_use]
    pub fn hmac_sha512(&self, key: &[u8], data: &[u8]) -> [u8; 64] {
        crate::mac::hmac_sha512(key, data)
    }

    /// Whether the two are equal, in time that depends on their lengths alone.
    #[must_use]
    pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
        crate::constant_time_eq(a, b)
    }

    /// `length` bytes of HKDF-SHA-256 from the key `ikm`; `info` says what they are for.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for more than 8,160 bytes.
    pub fn hkdf_derive(
        &self,
        ikm: &[u8],
        salt: Option<&[u8]>,
        info: &[u8],
        length: usize,
    ) -> Result<SecureBytes> {
        self.hkdf_derive_with(HashAlgorithm::Sha256, ikm, salt, info, length)
    }

    /// [`hkdf_derive`](Self::hkdf_derive) with a hash of choice.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for more than 255 times the hash's length.
    pub fn hkdf_derive_with(
        &self,
        hash: HashAlgorithm,
        ikm: &[u8],
        salt: Option<&[u8]>,
        info: &[u8],
        length: usize,
    ) -> Result<SecureBytes> {
        if length > 255 * 64 {
            return Err(invalid("HKDF gives at most 255 times the hash's length"));
        }
        let mut okm = SecureBytes::zeroed(length);
        kdf::hkdf(hash, ikm, salt, info, okm.as_mut_slice())?;
        Ok(okm)
    }

    /// A random salt for [`derive_from_password`](Self::derive_from_password).
    ///
    /// # Errors
    /// As [`random_bytes`](Self::random_bytes).
    pub fn generate_salt(&self) -> Result<[u8; kdf::MIN_SALT_LEN]> {
        self.random_array()
    }

    /// A 256-bit key from a password, by PBKDF2, Argon2id or scrypt: whichever `params` name. Store
    /// `params` beside the salt.
    ///
    /// ```
    /// use vault_crypto_core::engine::CryptoEngine;
    /// use vault_crypto_core::kdf::{KdfParams, Pbkdf2Params};
    /// let engine = CryptoEngine::new();
    /// let salt = engine.generate_salt()?;
    /// let params = KdfParams::Pbkdf2(Pbkdf2Params::default());
    /// let key = engine.derive_from_password(&params, b"correct horse", &salt)?;
    /// assert_eq!(key.len(), 32);
    /// # Ok::<(), vault_crypto_core::CryptoError>(())
    /// ```
    ///
    /// # Errors
    /// As [`KdfParams::derive`].
    pub fn derive_from_password(
        &self,
        params: &KdfParams,
        password: &[u8],
        salt: &[u8],
    ) -> Result<SecureBytes> {
        let mut key = SecureBytes::zeroed(32);
        params.derive(password, salt, key.as_mut_slice())?;
        Ok(key)
    }

    #[cfg(feature = "manager")]
    pub(crate) fn random(&self) -> &dyn RandomSource {
        self.random.as_ref()
    }

    fn random_array<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn backend(&self, algorithm: AeadAlgorithm) -> AeadBackend {
        self.backend.unwrap_or_else(|| AeadBackend::fastest(algorithm))
    }

    fn aead_key(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<AeadKey> {
        AeadKey::new(algorithm, self.backend(algorithm), key)
    }
}

impl Default for CryptoEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CryptoEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoEngine").field("backend", &self.backend).finish_non_exhaustive()
    }
}

fn invalid(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive).with_detail(why)
}
