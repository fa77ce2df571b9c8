//! KC-XAES-256-GCM as one piece of bytes, `nonce[24] || commitment[32] || ciphertext || tag[16]`: how
//! wrapped keys are stored (docs/FORMAT.md sections 6.4 and 6.5).

use super::{COMMITMENT_LEN, NONCE_LEN, XaesKey};
use crate::aead::TAG_LEN;
use crate::{CryptoError, Operation, Result, SecureBytes};

/// What [`XaesKey::seal_whole`] adds to the plaintext's length.
pub const OVERHEAD: usize = NONCE_LEN + COMMITMENT_LEN + TAG_LEN;

impl XaesKey {
    /// Seals `plaintext` under `nonce`, which must have been drawn at random for it.
    ///
    /// # Errors
    /// As [`seal_in_place`](Self::seal_in_place).
    pub fn seal_whole(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>> {
        // Sized once: the plaintext stands in it until it is encrypted where it lies.
        let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
        out.extend_from_slice(nonce);
        out.extend_from_slice(&[0; COMMITMENT_LEN]);
        out.extend_from_slice(plaintext);
        let (prefix, body) = out.split_at_mut(NONCE_LEN + COMMITMENT_LEN);
        let (commitment, tag) = self.seal_in_place(nonce, aad, body)?;
        prefix.split_at_mut(NONCE_LEN).1.copy_from_slice(&commitment);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens what [`seal_whole`](Self::seal_whole) gave.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) for anything else.
    pub fn open_whole(&self, aad: &[u8], sealed: &[u8]) -> Result<SecureBytes> {
        let failed = || CryptoError::authentication_failed(Operation::Primitive);
        let (nonce, rest) = sealed.split_first_chunk().ok_or_else(failed)?;
        let (commitment, rest) = rest.split_first_chunk().ok_or_else(failed)?;
        let (body, tag) = rest.split_last_chunk().ok_or_else(failed)?;
        let mut plaintext = SecureBytes::new(body.to_vec());
        self.open_in_place(nonce, commitment, aad, plaintext.as_mut_slice(), tag)?;
        Ok(plaintext)
    }
}
