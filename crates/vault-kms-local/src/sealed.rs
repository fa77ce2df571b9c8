//! KC-XAES-256-GCM as bytes, `nonce[24] || commitment[32] || ciphertext || tag[16]`: the one way in
//! which this crate encrypts. Which key and which associated data is left to the callers.

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, TAG_LEN};
use vault_crypto_core::xaes::{COMMITMENT_LEN, NONCE_LEN, XaesKey};
use vault_crypto_core::{CryptoError, Operation, RandomSource, Result, SecureBytes, wipe_stack};

use crate::codec::Reader;

/// What sealing adds to the plaintext's length.
pub(crate) const OVERHEAD: usize = NONCE_LEN + COMMITMENT_LEN + TAG_LEN;
const PREFIX_LEN: usize = NONCE_LEN + COMMITMENT_LEN;

/// Seals `plaintext` under a fresh nonce.
pub(crate) fn seal(
    key: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn RandomSource,
) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce)?;
    // Sized once: the plaintext stands in it until it is encrypted where it lies.
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&[0; COMMITMENT_LEN]);
    out.extend_from_slice(plaintext);
    let (prefix, body) = out.split_at_mut(PREFIX_LEN);
    let sealed = seal_in_place(key, &nonce, aad, body);
    wipe_stack();
    let (commitment, tag) = sealed?;
    prefix.split_at_mut(NONCE_LEN).1.copy_from_slice(&commitment);
    out.extend_from_slice(&tag);
    Ok(out)
}

/// Opens what [`seal`] gave; anything else is the one `AuthenticationFailed`.
pub(crate) fn open(key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<SecureBytes> {
    let failed = || CryptoError::authentication_failed(Operation::KeyStore);
    let mut reader = Reader::new(sealed);
    let nonce = reader.array::<NONCE_LEN>().ok_or_else(failed)?;
    let commitment = reader.array::<COMMITMENT_LEN>().ok_or_else(failed)?;
    let (body, tag) = reader.rest().split_last_chunk::<TAG_LEN>().ok_or_else(failed)?;
    let mut plaintext = SecureBytes::new(body.to_vec());
    let opened = open_in_place(key, (nonce, commitment, tag), aad, plaintext.as_mut_slice());
    wipe_stack();
    opened.map(|()| plaintext)
}

/// Expands the key in a frame of its own, for the caller to wipe.
#[inline(never)]
fn seal_in_place(
    key: &[u8],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    data: &mut [u8],
) -> Result<([u8; COMMITMENT_LEN], [u8; TAG_LEN])> {
    xaes(key)?.seal_in_place(nonce, aad, data)
}

/// As [`seal_in_place`].
#[inline(never)]
fn open_in_place(
    key: &[u8],
    (nonce, commitment, tag): (&[u8; NONCE_LEN], &[u8; COMMITMENT_LEN], &[u8; TAG_LEN]),
    aad: &[u8],
    data: &mut [u8],
) -> Result<()> {
    xaes(key)?.open_in_place(nonce, commitment, aad, data, tag)
}

fn xaes(key: &[u8]) -> Result<XaesKey> {
    let key = key
        .first_chunk()
        .ok_or_else(|| crate::error::invalid("a key of the store has 32 bytes"))?;
    Ok(XaesKey::new(key, AeadBackend::fastest(AeadAlgorithm::Aes256Gcm)))
}
