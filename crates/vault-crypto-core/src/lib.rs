#![doc = include_str!("../README.md")]

mod audit;
mod clock;
mod context;
mod data_key;
mod error;
pub mod header;
mod key;
mod kms;
mod pairs;
mod provider;
mod random;
mod scope;
mod secret;
pub mod storage;

#[cfg(feature = "admin")]
mod admin;
#[cfg(feature = "aead")]
pub mod aead;
#[cfg(feature = "cbc-hmac")]
pub mod cbc_hmac;
#[cfg(feature = "header-mac")]
pub mod derive;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "header-mac")]
mod hmac_key;
#[cfg(feature = "kdf")]
pub mod kdf;
#[cfg(feature = "layers")]
pub mod layers;
#[cfg(feature = "locked")]
#[expect(unsafe_code, reason = "pages of the system, and slots in them that threads share")]
pub mod locked;
#[cfg(feature = "kdf")]
pub mod mac;
#[cfg(feature = "manager")]
pub mod manager;
#[cfg(feature = "kdf")]
pub mod password;
#[cfg(feature = "rsa-oaep")]
pub mod rsa_oaep;
#[cfg(feature = "xaes")]
pub mod xaes;

#[cfg(feature = "admin")]
pub use admin::{KmsAdmin, RotateOptions};
pub use audit::{AuditEvent, AuditSink};
pub use clock::{Clock, Sleep, SystemClock};
pub use context::{EncryptionContext, MAX_CONTEXT_LEN, MAX_CONTEXT_NAME_LEN, MAX_CONTEXT_PAIRS};
pub use data_key::{DATA_KEY_LEN, DataKey, MAX_WRAP_LEN, WrapContext, WrapKind, WrappedKey};
pub use error::{CryptoError, ErrorKind, Operation, Result};
#[cfg(feature = "header-mac")]
pub use hmac_key::HmacSha512Key;
pub use key::{
    KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeySpec, KeyState, KeyUsage, KeyVersion,
    KeyVersionInfo, MAX_KEY_ID_LEN, MAX_KEY_VERSION_LEN,
};
pub use kms::{Capabilities, HealthStatus, KmsProvider};
pub use provider::{EncryptedData, EncryptionProvider};
#[cfg(feature = "random")]
pub use random::{BufferedRandom, process_word};
pub use random::{RandomSource, SystemRandom};
pub use scope::{MAX_SCOPE_LEN, MAX_SCOPE_PAIRS, Scope};
pub use secret::{SecureBytes, SecureString, wipe_stack};
pub use storage::{MemoryStorage, StorageBackend};

/// Compares two byte strings in time that depends on their lengths alone.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    // All differences first and one look at the end: `subtle` looks at each byte, at 2 ns a byte.
    // The black box needs the exact value, so no compiler can stop at the first difference.
    let difference = a.iter().zip(b).fold(0_u8, |difference, (a, b)| difference | (a ^ b));
    a.len() == b.len() && bool::from(std::hint::black_box(difference).ct_eq(&0))
}
