//! Keys with an id, a version and an origin, and what is done with them directly: encrypting values,
//! deriving keys from passwords, MACs and password hashes.
//!
//! For an application that manages its own keys. Left to others: keeping the keys (a KMS), and
//! messages that name their key ([`vault-envelope`]).
//!
//! [`vault-envelope`]: https://docs.rs/vault-envelope

use std::fmt;
use std::sync::Arc;

use crate::engine::CryptoEngine;
use crate::kdf::{Argon2Params, KdfParams, Pbkdf2Params, ScryptParams};
use crate::{
    Clock, CryptoError, ErrorKind, Operation, Result, SecureBytes, SystemClock, mac, password,
};

mod content;
mod key;

#[cfg(feature = "rsa")]
pub use crate::rsa_oaep as rsa;
pub use content::EncryptedContent;
pub use key::{EncryptionKey, KeyOrigin};

/// Shortest key that [`EncryptionManager::hmac_sha256`] takes, in bytes.
pub const MIN_HMAC_KEY_LEN: usize = 16;

/// What a manager's keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncryptionAlgorithm {
    /// AES-256-GCM under random nonces: at most 2^32 messages per key.
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439) under random nonces: at most 2^32 messages per key.
    ChaCha20Poly1305,
    /// RSA-OAEP with SHA-256 (RFC 8017), 3,072 bits: up to 318 bytes, such as a key.
    #[cfg(feature = "rsa")]
    RsaOaep256,
}

/// How a manager turns a password into a key. Each stands for the defaults of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyDerivationFunction {
    /// PBKDF2-HMAC-SHA-256, 600,000 iterations.
    Pbkdf2,
    /// Argon2id over 64 MiB, 3 passes, 4 lanes: the one to prefer.
    Argon2id,
    /// scrypt with N = 2^17, r = 8, p = 1.
    Scrypt,
}

impl KeyDerivationFunction {
    /// The parameters it stands for.
    #[must_use]
    pub fn default_params(self) -> KdfParams {
        match self {
            Self::Pbkdf2 => KdfParams::Pbkdf2(Pbkdf2Params::default()),
            Self::Argon2id => KdfParams::Argon2id(Argon2Params::default()),
            Self::Scrypt => KdfParams::Scrypt(ScryptParams::default()),
        }
    }
}

/// Makes and uses [`EncryptionKey`]s of one algorithm.
///
/// ```
/// use vault_crypto_core::manager::{EncryptionAlgorithm, EncryptionManager, KeyDerivationFunction};
/// let manager =
///     EncryptionManager::new(EncryptionAlgorithm::Aes256Gcm, KeyDerivationFunction::Pbkdf2);
///
/// let key = manager.generate_key("app-key".to_string())?;
/// let plaintext = b"sensitive data";
/// let encrypted = manager.encrypt_aes256(plaintext, &key)?;
/// let decrypted = manager.decrypt_aes256(&encrypted, &key)?;
/// assert_eq!(decrypted, plaintext);
///
/// // At least 16 random bytes, stored beside what the key protects.
/// let salt = manager.generate_salt()?;
/// let key = manager.derive_key_from_password("user-key".to_string(), "password", &salt)?;
///
/// let data = b"data";
/// let tag = manager.hmac_sha256(data, key.key_material())?;
/// assert!(manager.verify_hmac_sha256(data, key.key_material(), &tag)?);
///
/// let hash = manager.hash_password("user-password")?;
/// assert!(manager.verify_password("user-password", &hash)?);
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Clone)]
pub struct EncryptionManager {
    engine: CryptoEngine,
    algorithm: EncryptionAlgorithm,
    kdf: KdfParams,
    password_params: Argon2Params,
    clock: Arc<dyn Clock>,
}

impl EncryptionManager {
    /// A manager on the system's generator and clock.
    #[must_use]
    pub fn new(algorithm: EncryptionAlgorithm, kdf: KeyDerivationFunction) -> Self {
        Self {
            engine: CryptoEngine::new(),
            algorithm,
            kdf: kdf.default_params(),
            password_params: Argon2Params::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// This manager on `engine`: another source of randomness or backend.
    #[must_use]
    pub fn with_engine(mut self, engine: CryptoEngine) -> Self {
        self.engine = engine;
        self
    }

    /// This manager with `clock` for the time of a key's making.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// This manager with `params` for keys from passwords.
    #[must_use]
    pub fn with_kdf_params(mut self, params: KdfParams) -> Self {
        self.kdf = params;
        self
    }

    /// This manager with `params` for password hashes.
    #[must_use]
    pub fn with_password_params(mut self, params: Argon2Params) -> Self {
        self.password_params = params;
        self
    }

    /// A new random key, version 1.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an empty id or one over 255 bytes.
    pub fn generate_key(&self, id: impl Into<String>) -> Result<EncryptionKey> {
        let material = self.new_material()?;
        EncryptionKey::new(id.into(), 1, self.algorithm, material, self.clock.now())
    }

    /// The next version of `key`: same id, new random material. Keep the old one to read with.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where `key` is of another algorithm than this manager's.
    pub fn rotate_key(&self, key: &EncryptionKey) -> Result<EncryptionKey> {
        if key.algorithm() != self.algorithm {
            return Err(wrong_algorithm());
        }
        let version = key.version().checked_add(1).ok_or_else(|| invalid("version overflow"))?;
        let id = key.id().to_owned();
        EncryptionKey::new(id, version, self.algorithm, self.new_material()?, self.clock.now())
    }

    /// A random salt for [`derive_key_from_password`](Self::derive_key_from_password).
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the source of randomness fails.
    pub fn generate_salt(&self) -> Result<[u8; crate::kdf::MIN_SALT_LEN]> {
        self.engine.generate_salt()
    }

    /// A key from `password`, version 1. [`EncryptionKey::origin`] holds the parameters and the
    /// salt, to be stored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a salt under 16 bytes or an RSA manager; otherwise as
    /// [`KdfParams::derive`].
    pub fn derive_key_from_password(
        &self,
        id: impl Into<String>,
        password: &str,
        salt: &[u8],
    ) -> Result<EncryptionKey> {
        self.derive_key_with(id, password, &self.kdf, salt)
    }

    /// The same key again, from stored parameters and salt, whatever this manager's defaults are now.
    ///
    /// # Errors
    /// As [`derive_key_from_password`](Self::derive_key_from_password).
    pub fn derive_key_with(
        &self,
        id: impl Into<String>,
        password: &str,
        params: &KdfParams,
        salt: &[u8],
    ) -> Result<EncryptionKey> {
        if !self.algorithm.is_symmetric() {
            return Err(invalid("an RSA key cannot be derived from a password"));
        }
        let material = self.engine.derive_from_password(params, password.as_bytes(), salt)?;
        let key = EncryptionKey::new(id.into(), 1, self.algorithm, material, self.clock.now())?;
        Ok(key.derived_by(*params, salt.to_vec()))
    }

    /// HMAC-SHA-256 of `data`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a key under [`MIN_HMAC_KEY_LEN`] bytes.
    pub fn hmac_sha256(&self, data: &[u8], key: &[u8]) -> Result<[u8; 32]> {
        if key.len() < MIN_HMAC_KEY_LEN {
            return Err(invalid("an HMAC key has at least 16 bytes"));
        }
        Ok(mac::hmac_sha256(key, data))
    }

    /// Whether `tag` is the HMAC-SHA-256 of `data`, in constant time.
    ///
    /// # Errors
    /// As [`hmac_sha256`](Self::hmac_sha256).
    pub fn verify_hmac_sha256(&self, data: &[u8], key: &[u8], tag: &[u8]) -> Result<bool> {
        Ok(crate::constant_time_eq(&self.hmac_sha256(data, key)?, tag))
    }

    /// An Argon2id PHC string of `password`, to store.
    ///
    /// # Errors
    /// As [`password::hash_password`].
    pub fn hash_password(&self, password: &str) -> Result<String> {
        password::hash_password(password, &self.password_params, self.engine.random())
    }

    /// Whether `password` is that of a stored Argon2id PHC string. (For unsalted SHA-256 hashes of
    /// an old system see [`password::danger`].)
    ///
    /// # Errors
    /// As [`password::verify_password`].
    pub fn verify_password(&self, password: &str, stored: &str) -> Result<bool> {
        password::verify_password(password, stored)
    }

    /// Whether a stored hash should be replaced at the next login.
    #[must_use]
    pub fn needs_rehash(&self, stored: &str) -> bool {
        password::needs_rehash(stored, &self.password_params)
    }

    fn new_material(&self) -> Result<SecureBytes> {
        match self.algorithm {
            EncryptionAlgorithm::Aes256Gcm | EncryptionAlgorithm::ChaCha20Poly1305 => {
                self.engine.generate_key()
            }
            #[cfg(feature = "rsa")]
            EncryptionAlgorithm::RsaOaep256 => rsa::generate(),
        }
    }
}

impl EncryptionAlgorithm {
    fn is_symmetric(self) -> bool {
        matches!(self, Self::Aes256Gcm | Self::ChaCha20Poly1305)
    }

    /// The byte that stands for it in what a ciphertext is bound to.
    const fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
            #[cfg(feature = "rsa")]
            Self::RsaOaep256 => 3,
        }
    }
}

impl fmt::Debug for EncryptionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionManager")
            .field("algorithm", &self.algorithm)
            .field("kdf", &self.kdf)
            .finish_non_exhaustive()
    }
}

fn invalid(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive).with_detail(why)
}

fn wrong_algorithm() -> CryptoError {
    invalid("the key is of another algorithm")
}
