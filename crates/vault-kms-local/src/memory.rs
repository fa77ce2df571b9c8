//! Secrets at hand, in slots of the pool of locked memory. A forked child finds them gone.
//!
//! Left to others: the copies that live for one operation ([`SecureBytes`]), and what is derived from these.

use vault_crypto_core::locked::{LockedBox, LockedPool};
use vault_crypto_core::{
    CryptoError, ErrorKind, Operation, RandomSource, Result, SecureBytes, SecureString,
};
use zeroize::Zeroizing;

/// Length of a key and of the master secret in bytes.
pub(crate) const MATERIAL_LEN: usize = 32;
/// Bytes of a passphrase in one slot.
const PIECE_LEN: usize = 32;

/// 32 secret bytes: a version of a key, or the master secret.
pub(crate) struct Material(LockedBox<[u8; MATERIAL_LEN]>);

impl Material {
    /// Draws them where they will lie.
    pub(crate) fn generate(pool: &LockedPool, random: &dyn RandomSource) -> Result<Self> {
        let mut kept = pool.boxed(|| [0; MATERIAL_LEN])?;
        random.fill(kept.get_mut().ok_or_else(left_behind)?)?;
        Ok(Self(kept))
    }

    /// Copies them.
    pub(crate) fn keep(pool: &LockedPool, bytes: &[u8; MATERIAL_LEN]) -> Result<Self> {
        pool.boxed(|| *bytes).map(Self)
    }

    /// The bytes, where they lie.
    pub(crate) fn bytes(&self) -> Result<&[u8; MATERIAL_LEN]> {
        self.0.get().ok_or_else(left_behind)
    }

    /// A copy for one operation.
    pub(crate) fn duplicate(&self) -> Result<SecureBytes> {
        self.bytes().map(|bytes| SecureBytes::new(bytes.to_vec()))
    }
}

/// A passphrase of any length.
pub(crate) struct Phrase {
    pieces: Vec<LockedBox<[u8; PIECE_LEN]>>,
    len: usize,
}

impl Phrase {
    pub(crate) fn keep(pool: &LockedPool, text: &SecureString) -> Result<Self> {
        let padded = |piece: &[u8]| {
            let mut bytes = [0; PIECE_LEN];
            bytes.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
            bytes
        };
        let pieces = text.as_str().as_bytes().chunks(PIECE_LEN);
        let kept: Result<Vec<_>> = pieces.map(|piece| pool.boxed(|| padded(piece))).collect();
        Ok(Self { pieces: kept?, len: text.len() })
    }

    /// Refuses a process that was forked from the one that kept it.
    pub(crate) fn check(&self) -> Result<()> {
        let is_here = self.pieces.iter().all(|piece| piece.get().is_some());
        if is_here { Ok(()) } else { Err(left_behind()) }
    }

    /// A copy for one derivation.
    pub(crate) fn bytes(&self) -> Result<Zeroizing<Vec<u8>>> {
        // Sized once, so that no reallocation leaves a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.pieces.len() * PIECE_LEN));
        for piece in &self.pieces {
            bytes.extend_from_slice(piece.get().ok_or_else(left_behind)?);
        }
        bytes.truncate(self.len);
        Ok(bytes)
    }
}

#[cold]
fn left_behind() -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, Operation::KeyStore).with_detail(
        "a key store that is open does not follow a fork; open it again in the new process",
    )
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::locked::LockPolicy;

    use super::*;

    #[test]
    fn a_passphrase_of_any_length_comes_back_as_it_was() {
        let pool = LockedPool::new(LockPolicy::Prefer, 4_096).unwrap();
        for len in [0, 1, 31, 32, 33, 64, 3_000] {
            let text = "p".repeat(len);
            let kept = Phrase::keep(&pool, &SecureString::new(text.clone())).unwrap();
            assert_eq!(kept.bytes().unwrap().as_slice(), text.as_bytes(), "{len}");
        }
    }
}
