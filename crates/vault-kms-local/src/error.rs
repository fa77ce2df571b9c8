//! The sentences of this crate's errors, and which `ErrorKind` each fault of the store is.
//!
//! A fault of the store is never `Io`: that kind is left to files which the caller names (backups).

use std::io;
use std::path::Path;

use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation};

/// The store's bytes, modes or generation are not what they should be.
pub(crate) fn damaged(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::StoreDamaged, Operation::KeyStore).with_detail(detail.into())
}

/// An argument or a setting that can never work.
pub(crate) fn invalid(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail.into())
}

/// Somebody else was first, or the state is not the one that the operation needs.
pub(crate) fn conflict(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::Conflict, Operation::KeyStore).with_detail(detail.into())
}

/// A finite limit of the store.
pub(crate) fn limit(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::KeyStore).with_detail(detail.into())
}

/// The master secret is not there or not the right kind.
pub(crate) fn refused(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::PermissionDenied, Operation::KeyStore).with_detail(detail.into())
}

/// No key of that name here.
pub(crate) fn key_not_found(key_id: &KeyId, detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::KeyNotFound, Operation::KeyStore)
        .with_key_id(key_id)
        .with_detail(detail)
}

/// A file of the store could not be read or written.
pub(crate) fn store_io(path: &Path, doing: &str, error: io::Error) -> CryptoError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::Unavailable,
    };
    CryptoError::new(kind, Operation::KeyStore)
        .with_detail(format!("cannot {doing} {}: {error}", path.display()))
        .with_source(error)
}

/// A file that the caller named could not be read or written.
pub(crate) fn user_io(path: &Path, doing: &str, error: io::Error) -> CryptoError {
    CryptoError::new(ErrorKind::Io, Operation::KeyStore)
        .with_detail(format!("cannot {doing} {}: {error}", path.display()))
        .with_source(error)
}
