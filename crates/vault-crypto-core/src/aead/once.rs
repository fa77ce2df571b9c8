//! One message under one key: the key is expanded where it is used and never moved. A record spares
//! several copies of a schedule of half a KiB this way, and leaves none of them on the stack.

#[cfg(feature = "aws-lc-rs")]
use super::aws_lc;
#[cfg(feature = "ring")]
use super::ring;
use super::{
    AeadAlgorithm, AeadBackend, Failed, NONCE_LEN, TAG_LEN, backend_failed, check_len, rust_crypto,
};
use crate::{CryptoError, Operation, Result};

/// Runs `$call` with a key of whichever backend.
macro_rules! with_key {
    ($algorithm:expr, $backend:expr, $bytes:expr, $key:ident => $call:expr) => {
        match $backend {
            AeadBackend::RustCrypto => {
                rust_crypto::Key::new($algorithm, $bytes).and_then(|$key| $call)
            }
            #[cfg(feature = "ring")]
            AeadBackend::Ring => ring::Key::new($algorithm, $bytes).and_then(|$key| $call),
            #[cfg(feature = "aws-lc-rs")]
            AeadBackend::AwsLcRs => aws_lc::Key::new($algorithm, $bytes).and_then(|$key| $call),
        }
    };
}

/// [`AeadKey::new`](super::AeadKey::new) and [`seal_in_place`](super::AeadKey::seal_in_place) with
/// AES-256-GCM, under a key for this message alone.
#[inline]
pub(crate) fn seal_once(
    backend: AeadBackend,
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    data: &mut [u8],
) -> Result<[u8; TAG_LEN]> {
    check_len(data)?;
    with_key!(AeadAlgorithm::Aes256Gcm, backend, key, key => key.seal(nonce, aad, data))
        .map_err(backend_failed)
}

/// [`AeadKey::new`](super::AeadKey::new) and [`open_in_place`](super::AeadKey::open_in_place) with
/// AES-256-GCM, under a key for this message alone.
#[inline]
pub(crate) fn open_once(
    backend: AeadBackend,
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<()> {
    with_key!(AeadAlgorithm::Aes256Gcm, backend, key, key => key.open(nonce, aad, data, tag))
        .map_err(|Failed| {
            data.fill(0);
            CryptoError::authentication_failed(Operation::Primitive)
        })
}
