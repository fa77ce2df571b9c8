//! The backend `ring`. Its keys hold their schedule in place and do not wipe it, so drop overwrites
//! it with the schedule of a zero key.

use std::hint::black_box;
use std::sync::OnceLock;

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{AeadAlgorithm, Failed, NONCE_LEN, TAG_LEN};

pub(super) struct Key(LessSafeKey);

impl Key {
    #[inline]
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8]) -> Result<Self, Failed> {
        let unbound = UnboundKey::new(ring_algorithm(algorithm), key).map_err(|_| Failed)?;
        Ok(Self(LessSafeKey::new(unbound)))
    }

    #[inline]
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag =
            self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), data).map_err(|_| Failed)?;
        tag.as_ref().try_into().map_err(|_| Failed)
    }

    #[inline]
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.0
            .open_in_place_separate_tag(nonce, Aad::from(aad), (*tag).into(), data, 0..)
            .map(|_| ())
            .map_err(|_| Failed)
    }
}

impl Drop for Key {
    #[inline]
    fn drop(&mut self) {
        if let Some(blank) = blank() {
            self.0.clone_from(blank);
            // Without this the compiler may drop the stores as dead.
            black_box(&mut self.0);
        }
    }
}

/// The largest kind of key, of zeros: it covers every byte that any key used.
#[inline]
fn blank() -> Option<&'static LessSafeKey> {
    static BLANK: OnceLock<Option<LessSafeKey>> = OnceLock::new();
    let make = || UnboundKey::new(&aead::AES_256_GCM, &[0; 32]).ok().map(LessSafeKey::new);
    BLANK.get_or_init(make).as_ref()
}

#[inline]
fn ring_algorithm(algorithm: AeadAlgorithm) -> &'static aead::Algorithm {
    match algorithm {
        AeadAlgorithm::Aes256Gcm => &aead::AES_256_GCM,
        AeadAlgorithm::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        #[cfg(feature = "hazmat")]
        AeadAlgorithm::Aes128Gcm => &aead::AES_128_GCM,
    }
}
