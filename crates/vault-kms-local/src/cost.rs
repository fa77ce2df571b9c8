//! What a guess at a passphrase costs: the bounds of this crate around core's Argon2id, which hold
//! before anything is allocated.

use vault_crypto_core::kdf::{Argon2Params, KdfParams};
use vault_crypto_core::{Result, SecureBytes, SecureString};

use crate::error::invalid;

/// Length of the salt in bytes.
pub(crate) const SALT_LEN: usize = 16;
const MIN_PASSPHRASE_LEN: usize = 8;
const MIN_MEMORY_KIB: u32 = 19_456;
const MIN_PASSES: u32 = 2;

/// Refuses less than 19 MiB and two passes (the least that OWASP's password storage guide names), and
/// more than core allows (1 GiB, 16 passes, 16 lanes).
pub(crate) fn check(cost: &Argon2Params) -> Result<()> {
    if cost.memory_kib < MIN_MEMORY_KIB || cost.passes < MIN_PASSES {
        return Err(invalid("a passphrase costs at least 19456 KiB and 2 passes"));
    }
    cost.check()
}

/// The 32 bytes that stand behind a passphrase.
pub(crate) fn derive(
    cost: Argon2Params,
    passphrase: &[u8],
    salt: &[u8; SALT_LEN],
) -> Result<SecureBytes> {
    check(&cost)?;
    let mut out = SecureBytes::zeroed(32);
    KdfParams::Argon2id(cost).derive(passphrase, salt, out.as_mut_slice())?;
    Ok(out)
}

/// Refuses a new passphrase that anybody could guess by hand.
pub(crate) fn check_new_passphrase(text: &SecureString) -> Result<()> {
    if text.len() < MIN_PASSPHRASE_LEN {
        return Err(invalid("a passphrase has at least 8 bytes; several words are better"));
    }
    Ok(())
}
