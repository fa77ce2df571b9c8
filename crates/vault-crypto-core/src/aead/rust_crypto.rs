//! The portable backend: the crates `aes-gcm` and `chacha20poly1305`, which wipe their keys.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

use super::{AeadAlgorithm, Failed, NONCE_LEN, TAG_LEN};

#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost every record an allocation; whether it is large depends on features"
)]
pub(super) enum Key {
    Aes256Gcm(Aes256Gcm),
    ChaCha20Poly1305(ChaCha20Poly1305),
    #[cfg(feature = "hazmat")]
    Aes128Gcm(aes_gcm::Aes128Gcm),
}

macro_rules! on_cipher {
    ($key:expr, $cipher:ident => $call:expr) => {
        match $key {
            Key::Aes256Gcm($cipher) => $call,
            Key::ChaCha20Poly1305($cipher) => $call,
            #[cfg(feature = "hazmat")]
            Key::Aes128Gcm($cipher) => $call,
        }
    };
}

impl Key {
    #[inline]
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8]) -> Result<Self, Failed> {
        let made = match algorithm {
            AeadAlgorithm::Aes256Gcm => Aes256Gcm::new_from_slice(key).map(Self::Aes256Gcm),
            AeadAlgorithm::ChaCha20Poly1305 => {
                ChaCha20Poly1305::new_from_slice(key).map(Self::ChaCha20Poly1305)
            }
            #[cfg(feature = "hazmat")]
            AeadAlgorithm::Aes128Gcm => {
                aes_gcm::Aes128Gcm::new_from_slice(key).map(Self::Aes128Gcm)
            }
        };
        made.map_err(|_| Failed)
    }

    #[inline]
    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed> {
        on_cipher!(self, cipher => cipher.encrypt_inout_detached(nonce.into(), aad, data.into()))
            .map(Into::into)
            .map_err(|_| Failed)
    }

    #[inline]
    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Failed> {
        on_cipher!(self, cipher =>
            cipher.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into()))
        .map_err(|_| Failed)
    }
}
