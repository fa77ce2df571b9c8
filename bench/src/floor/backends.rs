//! AES-256-GCM of the three backends, called as plainly as they allow.

use vault_crypto_core::aead::AeadBackend;

/// One backend's AES-256-GCM.
pub trait Backend {
    /// The same backend in our crates.
    const OURS: AeadBackend;
    type Key: Send + Sync;
    fn key(key: &[u8; 32]) -> Self::Key;
    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16];
    fn open(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16])
    -> bool;
}

pub struct Ring;

impl Backend for Ring {
    const OURS: AeadBackend = AeadBackend::Ring;
    type Key = ring::aead::LessSafeKey;

    #[inline]
    fn key(key: &[u8; 32]) -> Self::Key {
        use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
    }

    #[inline]
    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        use ring::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), data);
        tag.expect("short enough").as_ref().try_into().expect("16 bytes")
    }

    #[inline]
    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        use ring::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(*nonce);
        key.open_in_place_separate_tag(nonce, Aad::from(aad), (*tag).into(), data, 0..).is_ok()
    }
}

pub struct AwsLc;

impl Backend for AwsLc {
    const OURS: AeadBackend = AeadBackend::AwsLcRs;
    type Key = aws_lc_rs::aead::LessSafeKey;

    #[inline]
    fn key(key: &[u8; 32]) -> Self::Key {
        use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
    }

    #[inline]
    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), data);
        tag.expect("short enough").as_ref().try_into().expect("16 bytes")
    }

    #[inline]
    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        use aws_lc_rs::aead::{Aad, Nonce};
        let nonce = Nonce::assume_unique_for_key(*nonce);
        key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, data).is_ok()
    }
}

pub struct RustCrypto;

impl Backend for RustCrypto {
    const OURS: AeadBackend = AeadBackend::RustCrypto;
    type Key = aes_gcm::Aes256Gcm;

    #[inline]
    fn key(key: &[u8; 32]) -> Self::Key {
        use aes_gcm::KeyInit as _;
        aes_gcm::Aes256Gcm::new(key.into())
    }

    #[inline]
    fn seal(key: &Self::Key, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
        use aes_gcm::aead::AeadInOut as _;
        key.encrypt_inout_detached(nonce.into(), aad, data.into()).expect("short enough").into()
    }

    #[inline]
    fn open(
        key: &Self::Key,
        nonce: &[u8; 12],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        use aes_gcm::aead::AeadInOut as _;
        key.decrypt_inout_detached(nonce.into(), aad, data.into(), tag.into()).is_ok()
    }
}
