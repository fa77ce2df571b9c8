//! The backend `aws-lc-rs`. Its keys live on its own heap, and it cleanses them when it frees them.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

use super::{AeadAlgorithm, Failed, NONCE_LEN, TAG_LEN};

pub(super) struct Key(LessSafeKey);

impl Key {
    #[inline]
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8]) -> Result<Self, Failed> {
        let unbound = UnboundKey::new(aws_lc_algorithm(algorithm), key).map_err(|_| Failed)?;
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
            .open_in_place_separate_tag(nonce, Aad::from(aad), tag, data)
            .map(|_| ())
            .map_err(|_| Failed)
    }
}

#[inline]
fn aws_lc_algorithm(algorithm: AeadAlgorithm) -> &'static aead::Algorithm {
    match algorithm {
        AeadAlgorithm::Aes256Gcm => &aead::AES_256_GCM,
        AeadAlgorithm::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        #[cfg(feature = "hazmat")]
        AeadAlgorithm::Aes128Gcm => &aead::AES_128_GCM,
    }
}
