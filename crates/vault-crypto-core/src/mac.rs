//! HMAC-SHA-256 and HMAC-SHA-512 (RFC 2104, FIPS 198-1): computing and verifying in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};

use crate::constant_time_eq;

/// HMAC-SHA-256 of `data`. Keys of every length are taken; use 32 random bytes.
#[must_use]
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = keyed_256(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA-512 of `data`. Keys of every length are taken; use 64 random bytes.
#[must_use]
pub fn hmac_sha512(key: &[u8], data: &[u8]) -> [u8; 64] {
    let mut mac = keyed_512(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Whether `tag` is the whole HMAC-SHA-256 of `data`, in constant time. A shortened tag is not.
///
/// ```
/// use vault_crypto_core::mac::{hmac_sha256, verify_hmac_sha256};
/// let tag = hmac_sha256(b"key", b"data");
/// assert!(verify_hmac_sha256(b"key", b"data", &tag));
/// assert!(!verify_hmac_sha256(b"key", b"data", &tag[..16]));
/// ```
#[must_use]
pub fn verify_hmac_sha256(key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    constant_time_eq(&hmac_sha256(key, data), tag)
}

/// Whether `tag` is the whole HMAC-SHA-512 of `data`, in constant time. A shortened tag is not.
#[must_use]
pub fn verify_hmac_sha512(key: &[u8], data: &[u8], tag: &[u8]) -> bool {
    constant_time_eq(&hmac_sha512(key, data), tag)
}

#[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes keys of every length")]
fn keyed_256(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes keys of every length")]
pub(crate) fn keyed_512(key: &[u8]) -> Hmac<Sha512> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}
