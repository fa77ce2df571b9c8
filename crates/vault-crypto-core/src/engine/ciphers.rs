//! The engine's ciphers: each draws its own nonce, each opens strictly.

use super::{CryptoEngine, Sealed, invalid};
use crate::aead::{AeadAlgorithm, NONCE_LEN, TAG_LEN};
use crate::cbc_hmac;
use crate::xaes::{self, XaesKey};
use crate::{CryptoError, ErrorKind, Operation, Result, SecureBytes};

impl CryptoEngine {
    /// AES-256-GCM under a new random nonce; `None` is the empty associated data.
    ///
    /// One key takes at most 2^32 messages (NIST SP 800-38D, section 8.3), because the nonce has
    /// only 96 bits; [`xaes_256_gcm_encrypt`](Self::xaes_256_gcm_encrypt) has room for more.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless the key has 32 bytes.
    pub fn aes_256_gcm_encrypt(
        &self,
        key: &[u8],
        plaintext: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Sealed> {
        self.seal(AeadAlgorithm::Aes256Gcm, key, plaintext, aad)
    }

    /// Opens what [`aes_256_gcm_encrypt`](Self::aes_256_gcm_encrypt) sealed.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for any mismatch, [`ErrorKind::InvalidInput`] unless the
    /// key has 32 bytes.
    pub fn aes_256_gcm_decrypt(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        nonce: &[u8; NONCE_LEN],
        tag: &[u8; TAG_LEN],
        aad: Option<&[u8]>,
    ) -> Result<SecureBytes> {
        self.open(AeadAlgorithm::Aes256Gcm, key, (ciphertext, nonce, tag), aad)
    }

    /// ChaCha20-Poly1305 (RFC 8439) under a new random nonce; the same limit of 2^32 messages.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless the key has 32 bytes.
    pub fn chacha20_poly1305_encrypt(
        &self,
        key: &[u8],
        plaintext: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Sealed> {
        self.seal(AeadAlgorithm::ChaCha20Poly1305, key, plaintext, aad)
    }

    /// Opens what [`chacha20_poly1305_encrypt`](Self::chacha20_poly1305_encrypt) sealed.
    ///
    /// # Errors
    /// As [`aes_256_gcm_decrypt`](Self::aes_256_gcm_decrypt).
    pub fn chacha20_poly1305_decrypt(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        nonce: &[u8; NONCE_LEN],
        tag: &[u8; TAG_LEN],
        aad: Option<&[u8]>,
    ) -> Result<SecureBytes> {
        self.open(AeadAlgorithm::ChaCha20Poly1305, key, (ciphertext, nonce, tag), aad)
    }

    /// KC-XAES-256-GCM under a new random 24-byte nonce, as one piece:
    /// `nonce[24] || commitment[32] || ciphertext || tag[16]`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless the key has 32 bytes.
    pub fn xaes_256_gcm_encrypt(
        &self,
        key: &[u8],
        plaintext: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Vec<u8>> {
        let key = self.xaes_key(key)?;
        let nonce: [u8; xaes::NONCE_LEN] = self.random_array()?;
        let mut data = SecureBytes::new(plaintext.to_vec());
        let (commitment, tag) =
            key.seal_in_place(&nonce, aad.unwrap_or_default(), data.as_mut_slice())?;
        Ok([&nonce, commitment.as_slice(), data.as_slice(), &tag].concat())
    }

    /// Opens what [`xaes_256_gcm_encrypt`](Self::xaes_256_gcm_encrypt) sealed.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for less than 72 bytes, otherwise as
    /// [`aes_256_gcm_decrypt`](Self::aes_256_gcm_decrypt).
    pub fn xaes_256_gcm_decrypt(
        &self,
        key: &[u8],
        sealed: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<SecureBytes> {
        let key = self.xaes_key(key)?;
        let parts = || {
            let (nonce, rest) = sealed.split_first_chunk()?;
            let (commitment, rest) = rest.split_first_chunk()?;
            let (ciphertext, tag) = rest.split_last_chunk()?;
            Some((nonce, commitment, ciphertext, tag))
        };
        let (nonce, commitment, ciphertext, tag) = parts().ok_or_else(too_short)?;
        let mut data = SecureBytes::new(ciphertext.to_vec());
        let aad = aad.unwrap_or_default();
        key.open_in_place(nonce, commitment, aad, data.as_mut_slice(), tag)?;
        Ok(data)
    }

    /// A256CBC-HS512 (RFC 7518) under a new random initialisation vector: only for readers that
    /// know nothing better. Gives ciphertext, vector and tag.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless the key has 64 bytes.
    pub fn a256cbc_hs512_encrypt(
        &self,
        key: &[u8],
        plaintext: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<(Vec<u8>, [u8; cbc_hmac::IV_LEN], [u8; cbc_hmac::TAG_LEN])> {
        let key = key.try_into().map_err(|_| invalid("A256CBC-HS512 takes a key of 64 bytes"))?;
        let iv = self.random_array()?;
        let (ciphertext, tag) = cbc_hmac::encrypt(key, &iv, aad.unwrap_or_default(), plaintext)?;
        Ok((ciphertext, iv, tag))
    }

    /// Opens A256CBC-HS512.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for any mismatch, [`ErrorKind::InvalidInput`] unless the
    /// key has 64 bytes.
    pub fn a256cbc_hs512_decrypt(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        iv: &[u8; cbc_hmac::IV_LEN],
        tag: &[u8; cbc_hmac::TAG_LEN],
        aad: Option<&[u8]>,
    ) -> Result<SecureBytes> {
        let key = key.try_into().map_err(|_| invalid("A256CBC-HS512 takes a key of 64 bytes"))?;
        cbc_hmac::decrypt(key, iv, aad.unwrap_or_default(), ciphertext, tag)
    }

    fn seal(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        plaintext: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Sealed> {
        let key = self.aead_key(algorithm, key)?;
        let nonce = self.generate_nonce()?;
        let mut data = SecureBytes::new(plaintext.to_vec());
        let tag = key.seal_in_place(&nonce, aad.unwrap_or_default(), data.as_mut_slice())?;
        Ok((data.into_vec(), nonce, tag))
    }

    fn open(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        (ciphertext, nonce, tag): (&[u8], &[u8; NONCE_LEN], &[u8; TAG_LEN]),
        aad: Option<&[u8]>,
    ) -> Result<SecureBytes> {
        let key = self.aead_key(algorithm, key)?;
        let mut data = SecureBytes::new(ciphertext.to_vec());
        key.open_in_place(nonce, aad.unwrap_or_default(), data.as_mut_slice(), tag)?;
        Ok(data)
    }

    fn xaes_key(&self, key: &[u8]) -> Result<XaesKey> {
        let key = key.try_into().map_err(|_| invalid("XAES-256-GCM takes a key of 32 bytes"))?;
        Ok(XaesKey::new(key, self.backend(AeadAlgorithm::Aes256Gcm)))
    }
}

fn too_short() -> CryptoError {
    CryptoError::new(ErrorKind::Malformed, Operation::Primitive)
        .with_detail("a sealed XAES-256-GCM piece has at least 72 bytes")
}
