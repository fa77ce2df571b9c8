//! Data keys, wrapped and plain, and what a wrapping call binds.

use std::fmt;

use crate::{CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result, Scope, SecureBytes};

/// Length of a data key in bytes.
pub const DATA_KEY_LEN: usize = 32;
/// Longest payload a KMS wraps, in bytes (a share of a threshold message has 50).
pub const MAX_WRAP_LEN: usize = 4_096;

/// What the wrapped bytes are, so that one can never stand in for another (docs/FORMAT.md, S).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WrapKind {
    /// A 32-byte data key.
    DataKey,
    /// One share of a data key.
    Share,
    /// A branch key of the key hierarchy.
    BranchKey,
}

impl WrapKind {
    /// The byte that stands for it in S.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::DataKey => 1,
            Self::Share => 2,
            Self::BranchKey => 3,
        }
    }
}

/// What a wrapping call binds besides the key: the role of the bytes and their scope.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrapContext {
    /// The role of the wrapped bytes.
    pub kind: WrapKind,
    /// Which messages may share the key.
    pub scope: Scope,
}

impl WrapContext {
    /// A context for `kind` in `scope`.
    #[must_use]
    pub fn new(kind: WrapKind, scope: Scope) -> Self {
        Self { kind, scope }
    }

    /// A context for a data key in `scope`.
    #[must_use]
    pub fn data_key(scope: Scope) -> Self {
        Self::new(WrapKind::DataKey, scope)
    }

    /// The bytes a KMS binds (docs/FORMAT.md section 3):
    /// `S = "vaultkit.v1/kms" || 00 || u8 kind || pairs(scope)`.
    #[must_use]
    pub fn binding(&self) -> Vec<u8> {
        let mut s = b"vaultkit.v1/kms\0".to_vec();
        s.push(self.kind.code());
        s.extend_from_slice(self.scope.canonical_pairs());
        s
    }
}

/// Bytes that only the KMS can turn back into a key. Not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WrappedKey {
    /// What the KMS answered, opaque.
    pub bytes: Vec<u8>,
    /// The canonical id of the wrapping key.
    pub key_id: KeyId,
    /// The version of the wrapping key, as the KMS reported it.
    pub version: KeyVersion,
}

impl WrappedKey {
    /// Puts the three together.
    #[must_use]
    pub fn new(bytes: Vec<u8>, key_id: KeyId, version: KeyVersion) -> Self {
        Self { bytes, key_id, version }
    }
}

/// A data encryption key beside its wrapped form.
///
/// The plaintext is wiped on drop and does not print.
pub struct DataKey {
    plaintext: SecureBytes,
    wrapped: WrappedKey,
}

impl DataKey {
    /// Puts a key and its wrapped form together.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] unless the plaintext has 32 bytes: a KMS that answers anything else
    /// is broken, and a shorter key must never be used.
    pub fn new(plaintext: SecureBytes, wrapped: WrappedKey) -> Result<Self> {
        if plaintext.len() != DATA_KEY_LEN {
            return Err(CryptoError::new(ErrorKind::Internal, Operation::GenerateDataKey)
                .with_key_id(&wrapped.key_id)
                .with_detail("the KMS answered a data key that has not 32 bytes"));
        }
        Ok(Self { plaintext, wrapped })
    }

    /// The key itself: 32 bytes.
    #[must_use]
    pub fn plaintext(&self) -> &SecureBytes {
        &self.plaintext
    }

    /// The wrapped form.
    #[must_use]
    pub fn wrapped(&self) -> &WrappedKey {
        &self.wrapped
    }

    /// Takes the two apart.
    #[must_use]
    pub fn into_parts(self) -> (SecureBytes, WrappedKey) {
        (self.plaintext, self.wrapped)
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey")
            .field("plaintext", &self.plaintext)
            .field("wrapped", &self.wrapped)
            .finish()
    }
}
