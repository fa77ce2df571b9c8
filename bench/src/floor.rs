//! The floors: the cryptographic work of one message with bare parts, and nothing else. No limits, no
//! budget, no header, no wiping of the plaintext, nothing that can be configured.
//!
//! A floor opens what the crates seal and the other way round (`records` and `bodies` check it before they
//! measure), so it cannot do less than the message needs.

use aes::Aes256Enc;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use cipher::{Array, Block, BlockCipherEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha512;

mod backends;
pub use backends::{AwsLc, Backend, Ring, RustCrypto};

pub const CHUNK: usize = 16_384;
pub const SEALED_CHUNK: usize = CHUNK + 16;

/// A buffered generator of salts, seeded by the system once.
pub struct Salts {
    rng: ChaCha20Rng,
    buffer: [u8; 960],
    used: usize,
}

impl Salts {
    pub fn new() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system's generator works");
        Self { rng: ChaCha20Rng::from_seed(seed), buffer: [0; 960], used: 960 }
    }

    #[inline]
    pub fn next(&mut self) -> [u8; 24] {
        if self.used == self.buffer.len() {
            self.rng.fill_bytes(&mut self.buffer);
            self.used = 0;
        }
        let salt = *self.buffer[self.used..].first_chunk().expect("960 is a multiple of 24");
        self.used += 24;
        salt
    }
}

/// Suite 3: KC-XAES-256-GCM, the schedule and the CMAC subkey of the data key kept.
pub struct Xaes {
    cipher: Aes256Enc,
    k1: u128,
}

impl Xaes {
    pub fn new(key: &[u8; 32]) -> Self {
        let cipher = Aes256Enc::new(key.into());
        let mut zero = Block::<Aes256Enc>::default();
        cipher.encrypt_block(&mut zero);
        let l = u128::from_be_bytes(zero.0);
        Self { cipher, k1: if l >> 127 == 0 { l << 1 } else { (l << 1) ^ 0x87 } }
    }

    #[inline]
    fn derive(&self, nonce: &[u8; 24]) -> ([u8; 32], [u8; 32]) {
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&nonce[..12]);
        let low = u128::from_be_bytes(wide);
        wide = [0; 16];
        wide[..12].copy_from_slice(&nonce[12..]);
        let high = u128::from_be_bytes(wide);
        let labelled = |label: [u8; 4]| low | (u128::from(u32::from_be_bytes(label)) << 96);
        let mut three = [
            Array((labelled([0, 1, b'X', 0]) ^ self.k1).to_be_bytes()),
            Array((labelled([0, 2, b'X', 0]) ^ self.k1).to_be_bytes()),
            Array(labelled(*b"XCMT").to_be_bytes()),
        ];
        self.cipher.encrypt_blocks(&mut three);
        let w = u128::from_be_bytes(three[2].0) ^ high ^ self.k1;
        let mut two = [Array((w ^ 0x10001).to_be_bytes()), Array((w ^ 0x10002).to_be_bytes())];
        self.cipher.encrypt_blocks(&mut two);
        (joined(three[0].0, three[1].0), joined(two[0].0, two[1].0))
    }

    /// `nonce || commitment || ciphertext || tag` in a new vector.
    #[inline]
    pub fn seal<B: Backend>(&self, nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let (key, commitment) = self.derive(nonce);
        let key = B::key(&key);
        let mut out = Vec::with_capacity(24 + 32 + plaintext.len() + 16);
        out.extend_from_slice(nonce);
        out.extend_from_slice(&commitment);
        out.extend_from_slice(plaintext);
        let tag = B::seal(&key, &last_12(nonce), aad, &mut out[56..]);
        out.extend_from_slice(&tag);
        out
    }

    /// The plaintext in a new vector.
    #[inline]
    pub fn open<B: Backend>(&self, body: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = body.split_first_chunk::<24>()?;
        let (commitment, rest) = rest.split_first_chunk::<32>()?;
        let (sealed, tag) = rest.split_last_chunk::<16>()?;
        let (key, expected) = self.derive(nonce);
        if !same(&expected, commitment) {
            return None;
        }
        let mut out = sealed.to_vec();
        B::open(&B::key(&key), &last_12(nonce), aad, &mut out, tag).then_some(out)
    }
}

/// Suite 1: the chunked scheme with SHA-512, the HMAC state of the data key kept.
pub struct Chunked(Hmac<Sha512>);

impl Chunked {
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    /// Key, base nonce and commitment.
    #[inline]
    pub fn derive(&self, salt: &[u8; 24], context: &[u8]) -> ([u8; 32], [u8; 12], [u8; 32]) {
        let mut okm = [0; 128];
        let (first, second) = okm.split_at_mut(64);
        self.block(&[], salt, context, 1, first);
        self.block(first, salt, context, 2, second);
        let part = |range: std::ops::Range<usize>| &okm[range];
        let key = part(0..32).try_into().expect("32 bytes");
        let nonce = part(32..44).try_into().expect("12 bytes");
        (key, nonce, part(44..76).try_into().expect("32 bytes"))
    }

    #[inline]
    fn block(&self, previous: &[u8], salt: &[u8], context: &[u8], counter: u8, out: &mut [u8]) {
        let mut mac = self.0.clone();
        mac.update(previous);
        mac.update(b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
        mac.update(salt);
        mac.update(context);
        mac.update(&[counter]);
        out.copy_from_slice(&mac.finalize().into_bytes());
    }

    /// `salt || commitment || chunks` in a new vector.
    #[inline]
    pub fn seal<B: Backend>(&self, salt: &[u8; 24], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(56 + sealed_len(plaintext.len()));
        let (key, nonce, commitment) = self.derive(salt, context);
        out.extend_from_slice(salt);
        out.extend_from_slice(&commitment);
        let key = B::key(&key);
        let mut left = plaintext;
        for index in 0.. {
            let (chunk, rest) = left.split_at(left.len().min(CHUNK));
            let start = out.len();
            out.extend_from_slice(chunk);
            let tag = B::seal(&key, &numbered(&nonce, index), &[], &mut out[start..]);
            out.extend_from_slice(&tag);
            if chunk.len() < CHUNK {
                break;
            }
            left = rest;
        }
        out
    }

    /// The plaintext in a new vector.
    #[inline]
    pub fn open<B: Backend>(&self, body: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = body.split_first_chunk::<24>()?;
        let (commitment, rest) = rest.split_first_chunk::<32>()?;
        let (key, nonce, expected) = self.derive(salt, context);
        if !same(&expected, commitment) {
            return None;
        }
        let key = B::key(&key);
        let mut out = Vec::with_capacity(rest.len());
        for (index, stored) in (0..).zip(rest.chunks(SEALED_CHUNK)) {
            let (chunk, tag) = stored.split_last_chunk::<16>()?;
            let start = out.len();
            out.extend_from_slice(chunk);
            if !B::open(&key, &numbered(&nonce, index), &[], &mut out[start..], tag) {
                return None;
            }
        }
        Some(out)
    }
}

/// Stored bytes of the chunks of `plaintext` bytes.
pub fn sealed_len(plaintext: usize) -> usize {
    plaintext + (plaintext / CHUNK + 1) * 16
}

/// The nonce of one chunk.
#[inline]
pub fn numbered(base: &[u8; 12], index: u64) -> [u8; 12] {
    let mut nonce = *base;
    for (byte, mix) in nonce[4..].iter_mut().zip(index.to_be_bytes()) {
        *byte ^= mix;
    }
    nonce
}

#[inline]
fn last_12(nonce: &[u8; 24]) -> [u8; 12] {
    *nonce.last_chunk().expect("24 bytes hold 12")
}

#[inline]
fn joined(a: [u8; 16], b: [u8; 16]) -> [u8; 32] {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&a);
    both[16..].copy_from_slice(&b);
    both
}

#[inline]
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_opens_at_every_edge_of_a_chunk_and_no_altered_one_does() {
        let key = Chunked::new(&[9; 32]);
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let plaintext = vec![7; len];
            let mut body = key.seal::<Ring>(&[1; 24], b"context", &plaintext);
            assert_eq!(body.len(), 56 + sealed_len(len));
            assert_eq!(key.open::<AwsLc>(&body, b"context"), Some(plaintext));
            assert_eq!(key.open::<AwsLc>(&body, b"another"), None);
            *body.last_mut().unwrap() ^= 1;
            assert_eq!(key.open::<RustCrypto>(&body, b"context"), None);
        }
    }

    /// c2sp.org/XAES-256-GCM, "Test Vectors": key 01..., nonce "ABCD...", the derived key.
    #[test]
    fn the_derived_key_is_the_published_one() {
        let (key, _) = Xaes::new(&[1; 32]).derive(b"ABCDEFGHIJKLMNOPQRSTUVWX");
        assert_eq!(key[..4], [0xc8, 0x61, 0x2c, 0x9e]);
        assert_eq!(key[28..], [0xd0, 0xfa, 0x96, 0x9b]);
    }
}
