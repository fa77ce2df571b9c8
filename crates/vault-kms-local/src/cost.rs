//! What a guess at a passphrase costs: Argon2id (RFC 9106, version 0x13), with finite bounds that
//! hold before anything is allocated.

use argon2::{Algorithm, Argon2, Params, Version};
use vault_crypto_core::{Result, SecureBytes, SecureString};

use crate::error::invalid;

/// Length of the salt in bytes.
pub(crate) const SALT_LEN: usize = 16;
/// Shortest new passphrase in bytes.
pub(crate) const MIN_PASSPHRASE_LEN: usize = 8;

const MIN_MEMORY_KIB: u32 = 19_456;
const MIN_ITERATIONS: u32 = 2;
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 16;
const MAX_LANES: u8 = 16;

/// Parameters of Argon2id for stores and backups under a passphrase; stored beside the salt.
///
/// The default is 64 MiB, 3 iterations, 4 lanes (the second choice of RFC 9106, section 4). The least that is
/// taken is 19 MiB with 2 iterations, the most 1 GiB with 16 iterations and 16 lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    memory_kib: u32,
    iterations: u32,
    lanes: u8,
}

impl PassphraseCost {
    /// Memory in KiB, passes over it, and lanes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](vault_crypto_core::ErrorKind::InvalidInput) outside the bounds above.
    pub fn new(memory_kib: u32, iterations: u32, lanes: u8) -> Result<Self> {
        let bounded = (MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&memory_kib)
            && (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations)
            && (1..=MAX_LANES).contains(&lanes);
        if !bounded {
            return Err(invalid(
                "a passphrase costs 19456 to 1048576 KiB, 2 to 16 iterations and 1 to 16 lanes",
            ));
        }
        Ok(Self { memory_kib, iterations, lanes })
    }

    pub(crate) fn parts(self) -> (u32, u32, u8) {
        (self.memory_kib, self.iterations, self.lanes)
    }

    /// The 32 bytes that stand behind a passphrase.
    pub(crate) fn derive(self, text: &SecureString, salt: &[u8; SALT_LEN]) -> Result<SecureBytes> {
        let mut out = SecureBytes::zeroed(32);
        let lanes = u32::from(self.lanes);
        let params = Params::new(self.memory_kib, self.iterations, lanes, Some(32));
        params
            .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
            .and_then(|argon2| {
                argon2.hash_password_into(text.as_str().as_bytes(), salt, out.as_mut_slice())
            })
            .map_err(|error| {
                invalid("the passphrase cannot be used with Argon2id").with_source(error)
            })?;
        Ok(out)
    }
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 65_536, iterations: 3, lanes: 4 }
    }
}

/// Refuses a new passphrase that anybody could guess by hand.
pub(crate) fn check_new_passphrase(text: &SecureString) -> Result<()> {
    if text.len() < MIN_PASSPHRASE_LEN {
        return Err(invalid("a passphrase has at least 8 bytes; several words are better"));
    }
    Ok(())
}
