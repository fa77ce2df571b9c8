//! What Transit's refusals mean. The server's texts are recognised here and never shown; README has the
//! table.

use vault_connection::{VaultFailure, VaultFailureKind};
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation};

/// Texts of Transit's source code with the kind that they stand for.
const KNOWN: &[(&str, ErrorKind)] = &[
    ("message authentication failed", ErrorKind::AuthenticationFailed),
    ("invalid ciphertext", ErrorKind::AuthenticationFailed),
    ("version is too new", ErrorKind::AuthenticationFailed),
    ("ciphertext must be", ErrorKind::AuthenticationFailed),
    ("disallowed by policy (too old)", ErrorKind::KeyUnusable),
    ("encryption key not found", ErrorKind::KeyNotFound),
    ("no existing key named", ErrorKind::KeyNotFound),
    ("could not find key", ErrorKind::KeyNotFound),
    ("missing 'context' for key derivation", ErrorKind::KeyUnusable),
    ("does not support", ErrorKind::KeyUnusable),
    ("key already exists", ErrorKind::Conflict),
];

/// The error of a request about a key.
pub(crate) fn classified(
    failure: &VaultFailure,
    operation: Operation,
    key_id: &KeyId,
) -> CryptoError {
    let error = match kind(failure) {
        Some(ErrorKind::AuthenticationFailed) => CryptoError::authentication_failed(operation),
        Some(kind) => CryptoError::new(kind, operation).with_detail(sentence(kind)),
        None => failure.to_error(operation),
    };
    error.with_key_id(key_id)
}

/// What only Transit's refusals mean.
fn kind(failure: &VaultFailure) -> Option<ErrorKind> {
    if failure.was_login() {
        return None;
    }
    match failure.kind() {
        VaultFailureKind::Rejected => {
            KNOWN.iter().find(|(text, _)| failure.says(text)).map(|(_, kind)| *kind)
        }
        VaultFailureKind::NotFound if failure.says("no handler for route") => None,
        VaultFailureKind::NotFound => Some(ErrorKind::KeyNotFound),
        _ => None,
    }
}

const fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::KeyUnusable => {
            "the key's settings forbid this: the version is below min_decryption_version, or the key is of \
             another kind"
        }
        ErrorKind::KeyNotFound => "Transit has no key of this name; list the keys, or create it",
        ErrorKind::Conflict => "Transit has a key of this name already",
        _ => "Transit refuses it",
    }
}

/// An answer that is not what was asked for: made on the way or by a server in trouble, so that asking again
/// may help.
pub(crate) fn unexpected(operation: Operation, key_id: &KeyId, what: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, operation).with_key_id(key_id).with_detail(what)
}

/// `error`, met after the key was changed as `done` says: nobody may take it for nothing done.
#[cfg(feature = "admin")]
pub(crate) fn after(done: &'static str, key_id: &KeyId, error: CryptoError) -> CryptoError {
    let why = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    error.with_key_id(key_id).with_detail(format!("the key was {done}, but {why}"))
}

pub(crate) fn invalid(operation: Operation, key_id: &KeyId, what: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, operation).with_key_id(key_id).with_detail(what)
}
