//! KC-XAES-256-GCM as bytes, `nonce[24] || commitment[32] || ciphertext || tag[16]`: the one way in
//! which this crate encrypts. Which key and which associated data is left to the callers.

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, TAG_LEN};
use vault_crypto_core::xaes::{COMMITMENT_LEN, NONCE_LEN, XaesKey};
use vault_crypto_core::{CryptoError, Operation, RandomSource, Result, SecureBytes, wipe_stack};

/// What sealing adds to the plaintext's length.
pub(crate) const OVERHEAD: usize = NONCE_LEN + COMMITMENT_LEN + TAG_LEN;

/// Seals `plaintext` under a fresh nonce.
pub(crate) fn seal(
    key: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn RandomSource,
) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    let sealed = seal_whole(key, &nonce, aad, plaintext);
    wipe_stack();
    sealed
}

/// Opens what [`seal`] gave; anything else is the one `AuthenticationFailed`.
pub(crate) fn open(key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<SecureBytes> {
    if sealed.len() < OVERHEAD {
        return Err(CryptoError::authentication_failed(Operation::KeyStore));
    }
    let opened = open_whole(key, aad, sealed);
    wipe_stack();
    opened
}

/// Expands the key in a frame of its own, for the caller to wipe.
#[inline(never)]
fn seal_whole(
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    xaes(key)?.seal_whole(nonce, aad, plaintext)
}

/// As [`seal_whole`].
#[inline(never)]
fn open_whole(key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<SecureBytes> {
    xaes(key)?.open_whole(aad, sealed)
}

fn xaes(key: &[u8]) -> Result<XaesKey> {
    let key = key
        .first_chunk()
        .ok_or_else(|| crate::error::invalid("a key of the store has 32 bytes"))?;
    Ok(XaesKey::new(key, AeadBackend::fastest(AeadAlgorithm::Aes256Gcm)))
}
