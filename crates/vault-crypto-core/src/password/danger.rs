//! Unsalted SHA-256 password hashes, verified only: for moving users of an old system to Argon2id.
//! Whoever reads such hashes finds most passwords in hours, so there is no way to make one here.

use sha2::{Digest as _, Sha256};

use crate::constant_time_eq;

/// Whether `hex` is the SHA-256 of `password` in hexadecimal, in constant time.
///
/// When it is, store [`hash_password`](super::hash_password) of the password in its place at once.
#[must_use]
pub fn verify_unsalted_sha256(password: &str, hex: &str) -> bool {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(password.as_bytes());
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    let expected: Vec<u8> =
        digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    constant_time_eq(&expected, hex.to_ascii_lowercase().as_bytes())
}
