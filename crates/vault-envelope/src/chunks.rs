//! The chunked scheme of suites 1 and 2: c2sp.org/chunked-encryption with SHA-512.
//!
//! `salt[24] || commitment[32] || chunks`, chunks of 16 KiB and a last one that is always shorter.
//! Left to others: where the bytes come from and go to.

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, AeadKey, NONCE_LEN, TAG_LEN};
use vault_crypto_core::locked::LockedBox;
use vault_crypto_core::{
    CryptoError, ErrorKind, HmacSha512Key, Operation, Result, SecureBytes, constant_time_eq,
};
use zeroize::Zeroizing;

use crate::body::of_parent;

/// Plaintext bytes in every chunk but the last.
pub const CHUNK_LEN: usize = 16_384;
/// Stored bytes of every chunk but the last.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
/// Bytes before the first chunk: salt and commitment.
pub(crate) const PROLOGUE_LEN: usize = SALT_LEN + COMMITMENT_LEN;
pub(crate) const SALT_LEN: usize = 24;
pub(crate) const COMMITMENT_LEN: usize = 32;
/// The scheme's limit.
const MAX_CHUNKS: u64 = 1 << 38;

/// Stored length of a chunked body (salt, commitment, chunks) of `plaintext` bytes.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] from 2^38 chunks (4 PiB) on.
pub fn body_len(plaintext: u64) -> Result<u64> {
    let chunks = plaintext / CHUNK_LEN as u64 + 1;
    if chunks > MAX_CHUNKS {
        return Err(too_many_chunks());
    }
    Ok(PROLOGUE_LEN as u64 + plaintext + chunks * TAG_LEN as u64)
}

/// Plaintext length of a chunked body of `stored` bytes, from the length alone.
///
/// # Errors
/// [`ErrorKind::AuthenticationFailed`] for a length that no body has: it was cut or extended.
pub fn plaintext_len(stored: u64) -> Result<u64> {
    let altered = || CryptoError::authentication_failed(Operation::Open);
    let chunks = stored.checked_sub(PROLOGUE_LEN as u64).ok_or_else(altered)?;
    let full = chunks / SEALED_CHUNK_LEN as u64;
    let last = chunks % SEALED_CHUNK_LEN as u64;
    let last = last.checked_sub(TAG_LEN as u64).ok_or_else(altered)?;
    if full >= MAX_CHUNKS {
        return Err(altered());
    }
    Ok(full * CHUNK_LEN as u64 + last)
}

/// The input key of a data key for one chunked suite, with its HMAC state kept.
pub(crate) struct ChunkKey {
    state: HmacSha512Key,
    algorithm: AeadAlgorithm,
    backend: AeadBackend,
}

impl ChunkKey {
    pub(crate) fn new(key: &[u8], algorithm: AeadAlgorithm, backend: AeadBackend) -> Self {
        Self { state: HmacSha512Key::new(key), algorithm, backend }
    }

    pub(crate) fn by_ref(&self) -> ChunkKeyRef<'_> {
        ChunkKeyRef { state: &self.state, algorithm: self.algorithm, backend: self.backend }
    }

    /// As [`ChunkKeyRef::derive`].
    pub(crate) fn derive(
        &self,
        salt: &[u8; SALT_LEN],
        context: &[u8],
    ) -> Result<(ChunkCipher, [u8; COMMITMENT_LEN])> {
        self.by_ref().derive(salt, context)
    }
}

/// The same, wherever the state lies.
#[derive(Clone, Copy)]
pub(crate) struct ChunkKeyRef<'a> {
    pub(crate) state: &'a HmacSha512Key,
    pub(crate) algorithm: AeadAlgorithm,
    pub(crate) backend: AeadBackend,
}

impl ChunkKeyRef<'_> {
    /// Key, base nonce and commitment of one message.
    pub(crate) fn derive(
        &self,
        salt: &[u8; SALT_LEN],
        context: &[u8],
    ) -> Result<(ChunkCipher, [u8; COMMITMENT_LEN])> {
        // 76 bytes for 256-bit keys: two blocks of HKDF-Expand with SHA-512 (RFC 5869).
        let mut okm = Zeroizing::new([0; 128]);
        let (first, second) = okm.split_at_mut(64);
        self.expand_block(&[], salt, context, 1, first);
        self.expand_block(first, salt, context, 2, second);
        let key_len = self.algorithm.key_len();
        let (key, rest) = okm.split_at(key_len);
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(defect)?;
        let (commitment, _) = rest.split_first_chunk::<COMMITMENT_LEN>().ok_or_else(defect)?;
        let key = AeadKey::new(self.algorithm, self.backend, key)?;
        Ok((ChunkCipher { key, base_nonce: *nonce }, *commitment))
    }

    /// As [`derive`](Self::derive), and the stored commitment must be the derived one.
    pub(crate) fn derive_checked(
        &self,
        salt: &[u8; SALT_LEN],
        commitment: &[u8; COMMITMENT_LEN],
        context: &[u8],
    ) -> Result<ChunkCipher> {
        let (cipher, expected) = self.derive(salt, context)?;
        if constant_time_eq(&expected, commitment) {
            Ok(cipher)
        } else {
            Err(CryptoError::authentication_failed(Operation::Open))
        }
    }

    fn expand_block(
        &self,
        previous: &[u8],
        salt: &[u8; SALT_LEN],
        context: &[u8],
        counter: u8,
        out: &mut [u8],
    ) {
        let block = Zeroizing::new(self.state.mac(&[
            previous,
            b"c2sp.org/chunked-encryption@v1+",
            aead_name(self.algorithm),
            salt,
            context,
            &[counter],
        ]));
        out.copy_from_slice(block.as_slice());
    }
}

/// The name in the IANA registry of AEAD algorithms, with the zero byte that ends it.
fn aead_name(algorithm: AeadAlgorithm) -> &'static [u8] {
    match algorithm {
        AeadAlgorithm::ChaCha20Poly1305 => b"AEAD_CHACHA20_POLY1305\0",
        #[cfg(feature = "hazmat")]
        AeadAlgorithm::Aes128Gcm => b"AEAD_AES_128_GCM\0",
        _ => b"AEAD_AES_256_GCM\0",
    }
}

/// Seals and opens the chunks of one message, in any order, from any thread.
pub(crate) struct ChunkCipher<K = AeadKey> {
    key: K,
    base_nonce: [u8; NONCE_LEN],
}

/// The cipher of a stream, which takes its time, with its key in locked memory. A fork wipes it, so that no
/// two processes ever go on with one stream, under one key and with the same nonces.
pub(crate) type StreamCipher = ChunkCipher<LockedBox<AeadKey>>;

/// A key, wherever it lies.
pub(crate) trait MessageKey {
    /// The key, unless it is gone.
    fn key(&self, operation: Operation) -> Result<&AeadKey>;
}

impl MessageKey for AeadKey {
    #[inline]
    fn key(&self, _: Operation) -> Result<&AeadKey> {
        Ok(self)
    }
}

impl MessageKey for LockedBox<AeadKey> {
    #[inline]
    fn key(&self, operation: Operation) -> Result<&AeadKey> {
        self.get().ok_or_else(|| of_parent(operation))
    }
}

impl ChunkCipher {
    /// The same with its key where `keep` puts it.
    pub(crate) fn kept<K>(self, keep: impl FnOnce(AeadKey) -> Result<K>) -> Result<ChunkCipher<K>> {
        let Self { key, base_nonce } = self;
        Ok(ChunkCipher { key: keep(key)?, base_nonce })
    }
}

impl<K: MessageKey> ChunkCipher<K> {
    /// Encrypts one chunk where it lies. Every chunk but the last has [`CHUNK_LEN`] bytes, the last
    /// has fewer; the caller sees to that.
    #[inline]
    pub(crate) fn seal(&self, index: u64, chunk: &mut [u8]) -> Result<[u8; TAG_LEN]> {
        self.key.key(Operation::Seal)?.seal_in_place(&self.nonce(index)?, &[], chunk)
    }

    /// Decrypts one chunk where it lies.
    #[inline]
    pub(crate) fn open(&self, index: u64, chunk: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<()> {
        self.key
            .key(Operation::Open)?
            .open_in_place(&self.nonce(index)?, &[], chunk, tag)
            .map_err(|error| error.in_operation(Operation::Open))
    }

    /// Appends all chunks of `content`, each copied and sealed while it is in the processor's cache.
    pub(crate) fn seal_append(&self, content: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut rest = content;
        for index in 0.. {
            let (chunk, later) = rest.split_at(rest.len().min(CHUNK_LEN));
            let start = out.len();
            out.extend_from_slice(chunk);
            let tag = self.seal(index, out.get_mut(start..).ok_or_else(defect)?)?;
            out.extend_from_slice(&tag);
            if chunk.len() < CHUNK_LEN {
                break;
            }
            rest = later;
        }
        Ok(())
    }

    /// Opens all chunks of a message into a new buffer, which has room for nothing but them.
    pub(crate) fn open_all(&self, stored: &[u8]) -> Result<SecureBytes> {
        let altered = || CryptoError::authentication_failed(Operation::Open);
        if stored.len().is_multiple_of(SEALED_CHUNK_LEN) {
            return Err(altered());
        }
        let mut out = Zeroizing::new(Vec::with_capacity(stored.len()));
        for (index, stored) in (0..).zip(stored.chunks(SEALED_CHUNK_LEN)) {
            let (chunk, tag) = stored.split_last_chunk::<TAG_LEN>().ok_or_else(altered)?;
            let start = out.len();
            out.extend_from_slice(chunk);
            self.open(index, out.get_mut(start..).ok_or_else(defect)?, tag)?;
        }
        Ok(SecureBytes::new(std::mem::take(&mut *out)))
    }

    /// Seals chunks that lie `SEALED_CHUNK_LEN` apart in `buffer`, the last one `last_len` bytes
    /// long, and puts each tag behind its chunk. Gives the number of stored bytes.
    pub(crate) fn seal_segment(
        &self,
        first_index: u64,
        buffer: &mut [u8],
        plaintext_len: usize,
        is_last: bool,
    ) -> Result<usize> {
        let mut left = plaintext_len;
        let mut stored = 0;
        for (index, slot) in (first_index..).zip(buffer.chunks_mut(SEALED_CHUNK_LEN)) {
            let len = left.min(CHUNK_LEN);
            if left == 0 && !is_last {
                break;
            }
            let (chunk, rest) = slot.split_at_mut_checked(len).ok_or_else(defect)?;
            let tag = self.seal(index, chunk)?;
            rest.first_chunk_mut::<TAG_LEN>().ok_or_else(defect)?.copy_from_slice(&tag);
            left -= len;
            stored += len + TAG_LEN;
            if len < CHUNK_LEN {
                break;
            }
        }
        Ok(stored)
    }

    /// Opens the stored chunks in `buffer` where they lie. `is_last` says that the message ends
    /// here, so the last chunk must be a short one; otherwise all must be full.
    ///
    /// Gives the plaintext's length; its pieces stay `SEALED_CHUNK_LEN` apart.
    pub(crate) fn open_segment(
        &self,
        first_index: u64,
        buffer: &mut [u8],
        is_last: bool,
    ) -> Result<usize> {
        let altered = || CryptoError::authentication_failed(Operation::Open);
        let ends_short = !buffer.len().is_multiple_of(SEALED_CHUNK_LEN);
        if ends_short != is_last {
            return Err(altered());
        }
        let mut plaintext = 0;
        for (index, stored) in (first_index..).zip(buffer.chunks_mut(SEALED_CHUNK_LEN)) {
            let (chunk, tag) = stored.split_last_chunk_mut::<TAG_LEN>().ok_or_else(altered)?;
            self.open(index, chunk, tag)?;
            plaintext += chunk.len();
        }
        Ok(plaintext)
    }

    /// The base nonce xor the chunk's number, big-endian.
    #[inline]
    fn nonce(&self, index: u64) -> Result<[u8; NONCE_LEN]> {
        if index >= MAX_CHUNKS {
            return Err(too_many_chunks());
        }
        let mut nonce = self.base_nonce;
        nonce.iter_mut().rev().zip(index.to_le_bytes()).for_each(|(byte, mix)| *byte ^= mix);
        Ok(nonce)
    }
}

#[cold]
fn too_many_chunks() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)
        .with_detail("a message has at most 2^38 chunks (4 PiB)")
}

#[cold]
pub(crate) fn defect() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Seal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_go_there_and_back_at_every_chunk_edge() {
        for plaintext in (0..4).flat_map(|k| {
            let edge = k * CHUNK_LEN as u64;
            [edge.saturating_sub(1), edge, edge + 1]
        }) {
            assert_eq!(plaintext_len(body_len(plaintext).unwrap()).unwrap(), plaintext);
        }
    }

    #[test]
    fn a_length_that_no_body_has_is_refused() {
        for stored in [0, 55, 56, 71, 56 + 16_400, 56 + 16_400 + 15] {
            assert!(plaintext_len(stored).is_err(), "{stored}");
        }
        assert!(plaintext_len(u64::MAX).is_err());
        assert!(body_len(u64::MAX).is_err());
    }
}
