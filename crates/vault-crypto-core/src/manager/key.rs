//! A key that knows its id, version, algorithm and where it comes from.

use std::fmt;
use std::time::SystemTime;

use super::{EncryptionAlgorithm, invalid};
use crate::kdf::KdfParams;
use crate::{Result, SecureBytes};

const MAX_ID_LEN: usize = 255;

/// A key and what is known of it. The material is wiped on drop and does not print.
pub struct EncryptionKey {
    id: String,
    version: u32,
    algorithm: EncryptionAlgorithm,
    material: SecureBytes,
    created_at: SystemTime,
    origin: KeyOrigin,
}

/// Where a key's material comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyOrigin {
    /// A generator of random bytes.
    Random,
    /// A password: these are what to store, to derive it again.
    #[non_exhaustive]
    Password {
        /// The function and its cost.
        params: KdfParams,
        /// The salt, not secret.
        salt: Vec<u8>,
    },
    /// Given from outside.
    Imported,
}

impl EncryptionKey {
    /// A key from elsewhere (unwrapped by a KMS, say): 32 bytes, or PKCS#8 DER for RSA.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for an empty id or one over 255
    /// bytes, version 0, or material of another length.
    pub fn import(
        id: impl Into<String>,
        version: u32,
        algorithm: EncryptionAlgorithm,
        material: SecureBytes,
        created_at: SystemTime,
    ) -> Result<Self> {
        let mut key = Self::new(id.into(), version, algorithm, material, created_at)?;
        key.origin = KeyOrigin::Imported;
        Ok(key)
    }

    pub(super) fn new(
        id: String,
        version: u32,
        algorithm: EncryptionAlgorithm,
        material: SecureBytes,
        created_at: SystemTime,
    ) -> Result<Self> {
        if id.is_empty() || id.len() > MAX_ID_LEN || version == 0 {
            return Err(invalid("a key id has 1 to 255 bytes, a version is at least 1"));
        }
        if algorithm.is_symmetric() && material.len() != 32 {
            return Err(invalid("a key of this algorithm has 32 bytes"));
        }
        Ok(Self { id, version, algorithm, material, created_at, origin: KeyOrigin::Random })
    }

    pub(super) fn derived_by(mut self, params: KdfParams, salt: Vec<u8>) -> Self {
        self.origin = KeyOrigin::Password { params, salt };
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its version, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What it is for.
    #[must_use]
    pub fn algorithm(&self) -> EncryptionAlgorithm {
        self.algorithm
    }

    /// When it was made.
    #[must_use]
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// Where its material comes from.
    #[must_use]
    pub fn origin(&self) -> &KeyOrigin {
        &self.origin
    }

    /// The secret itself: the explicit call. 32 bytes, or PKCS#8 DER for RSA.
    #[must_use]
    pub fn key_material(&self) -> &[u8] {
        self.material.as_slice()
    }

    /// What a ciphertext is bound to, so that it opens under no other id, version or algorithm:
    /// `"vaultkit.v1/manager" || 00 || u8 algorithm || u32 version || u8+id || associated data`.
    pub(super) fn binding(&self, aad: &[u8]) -> Vec<u8> {
        let mut out = b"vaultkit.v1/manager\0".to_vec();
        out.push(self.algorithm.code());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.push(u8::try_from(self.id.len()).unwrap_or(u8::MAX)); // checked in `new`
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(aad);
        out
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
