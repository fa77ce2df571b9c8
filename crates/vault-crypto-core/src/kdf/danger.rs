//! Key derivation without the rule on salts: for published vectors and for reading what others
//! wrote, nothing else.

use super::KdfParams;
use crate::Result;

/// [`KdfParams::derive`] with a salt of any length, even none.
///
/// # Errors
/// As [`KdfParams::derive`], but for the salt's length (Argon2id itself wants 8 bytes).
pub fn derive_with_any_salt(
    params: &KdfParams,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
) -> Result<()> {
    params.derive_with_any_salt(password, salt, out)
}
