//! KC-XAES-256-GCM: c2sp.org/XAES-256-GCM with the 32-byte key commitment of ePrint 2025/758.
//!
//! A 24-byte nonce may be drawn at random for up to 2^80 messages per key (C2SP); suite 3 of
//! docs/FORMAT.md allows 2^32. The commitment is to the key, not to nonce or associated data. Left
//! to others: drawing the nonce, and where nonce, commitment and tag are stored.

use std::fmt;

use aes::Aes256Enc;
use cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use zeroize::{Zeroize as _, Zeroizing};

use crate::aead::{AeadBackend, TAG_LEN, open_once, seal_once};
use crate::{CryptoError, Operation, Result, constant_time_eq};

mod whole;

pub use whole::OVERHEAD;

/// Length of a nonce in bytes.
pub const NONCE_LEN: usize = 24;
/// Length of the key commitment in bytes.
pub const COMMITMENT_LEN: usize = 32;

/// A key whose AES schedule and CMAC subkey are kept, so that each message costs five AES blocks
/// before its own AES-256-GCM. Allocates nothing itself; wiped on drop.
///
/// ```
/// use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
/// use vault_crypto_core::xaes::XaesKey;
/// let backend = AeadBackend::fastest(AeadAlgorithm::Aes256Gcm);
/// let key = XaesKey::new(&[7; 32], backend);
/// let nonce = [9; 24]; // drawn at random for each message
/// let mut data = *b"4111 1111";
/// let (commitment, tag) = key.seal_in_place(&nonce, b"row 42", &mut data)?;
/// key.open_in_place(&nonce, &commitment, b"row 42", &mut data, &tag)?;
/// assert_eq!(&data, b"4111 1111");
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
pub struct XaesKey {
    cipher: Aes256Enc, // wipes itself
    k1: u128,
    backend: AeadBackend,
}

impl XaesKey {
    /// Expands `key`; messages run on `backend`.
    #[must_use]
    pub fn new(key: &[u8; 32], backend: AeadBackend) -> Self {
        let cipher = Aes256Enc::new(key.into());
        // The subkey K1 of CMAC (RFC 4493, section 2.3): L = AES(0) doubled in GF(2^128).
        let mut l = Block::default();
        cipher.encrypt_block(&mut l);
        let doubled = u128::from_be_bytes(l.into());
        l.as_mut_slice().zeroize();
        let k1 = (doubled << 1) ^ (0x87 * (doubled >> 127));
        Self { cipher, k1, backend }
    }

    /// The message's AES-256-GCM key and the commitment to this key.
    ///
    /// The AES-256-GCM nonce that goes with it is the last 12 bytes of `nonce`.
    // Not in the caller's crate, whose optimisation may be such that it spills the schedule.
    #[inline(never)]
    #[must_use]
    pub fn derive(&self, nonce: &[u8; NONCE_LEN]) -> (Zeroizing<[u8; 32]>, [u8; COMMITMENT_LEN]) {
        let (first, last) = halves(nonce);
        // XAES-256-GCM: M_i = 00 i 'X' 00 || N[0..12]; Kx = AES(M1 xor K1) || AES(M2 xor K1).
        // Commitment: X1 = AES("XCMT" || N[0..12]).
        let head = |label: u32| (u128::from(label) << 96) | first;
        let mut inner = [
            block(head(0x0001_5800) ^ self.k1),
            block(head(0x0002_5800) ^ self.k1),
            block(head(u32::from_be_bytes(*b"XCMT"))),
        ];
        self.encrypt_each(&mut inner);
        let [key_1, key_2, x1] = inner;
        // W_j = X1 xor (N[12..24] || 00 01 00 0j) xor K1; KC = AES(W1) || AES(W2).
        let w = u128::from_be_bytes(x1.into()) ^ (last << 32) ^ self.k1;
        let mut outer = [block(w ^ 0x0001_0001), block(w ^ 0x0001_0002)];
        self.encrypt_each(&mut outer);
        let [kc_1, kc_2] = outer;
        (Zeroizing::new(join(key_1, key_2)), join(kc_1, kc_2))
    }

    /// Block by block, which costs the same: the processor overlaps blocks that do not depend on each
    /// other, and many at once would first be a schedule four times as wide, left on the stack.
    fn encrypt_each(&self, blocks: &mut [Block]) {
        blocks.iter_mut().for_each(|block| self.cipher.encrypt_block(block));
    }

    /// Encrypts `data` where it lies; gives commitment and tag.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded) for more than [`MAX_DATA_LEN`](crate::aead::MAX_DATA_LEN) bytes.
    #[inline]
    pub fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<([u8; COMMITMENT_LEN], [u8; TAG_LEN])> {
        let (key, commitment) = self.derive(nonce);
        let tag = seal_once(self.backend, &key, &gcm_nonce(nonce), aad, data)?;
        Ok((commitment, tag))
    }

    /// Decrypts `data` where it lies. The commitment is compared, in constant time, before any byte
    /// is decrypted; on failure `data` is all zeros.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`](crate::ErrorKind::AuthenticationFailed) for any mismatch.
    #[inline]
    pub fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        commitment: &[u8; COMMITMENT_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<()> {
        let (key, expected) = self.derive(nonce);
        if !constant_time_eq(&expected, commitment) {
            data.fill(0);
            return Err(CryptoError::authentication_failed(Operation::Primitive));
        }
        open_once(self.backend, &key, &gcm_nonce(nonce), aad, data, tag)
    }
}

impl Drop for XaesKey {
    fn drop(&mut self) {
        self.k1.zeroize();
    }
}

impl fmt::Debug for XaesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XaesKey([REDACTED])")
    }
}

type Block = cipher::Block<Aes256Enc>;

#[inline]
fn block(value: u128) -> Block {
    Array(value.to_be_bytes())
}

/// N[0..12] and N[12..24] as numbers of 96 bits.
#[inline]
fn halves(nonce: &[u8; NONCE_LEN]) -> (u128, u128) {
    let number = |bytes: &[u8]| bytes.iter().fold(0u128, |n, byte| (n << 8) | u128::from(*byte));
    let (first, last) = nonce.split_at(12);
    (number(first), number(last))
}

#[inline]
fn gcm_nonce(nonce: &[u8; NONCE_LEN]) -> [u8; 12] {
    let mut last = [0; 12];
    last.copy_from_slice(nonce.split_at(12).1);
    last
}

#[inline]
fn join(high: Block, low: Block) -> [u8; 32] {
    let mut joined = [0; 32];
    let (first, second) = joined.split_at_mut(16);
    first.copy_from_slice(&high);
    second.copy_from_slice(&low);
    joined
}
