//! What the client answers: rings, keys, versions and ciphertexts, without the SDK's types.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use gcloud_sdk::google::cloud::kms::v1 as kms;
use vault_crypto_core::{KeyState, KeyVersion as VersionName};

use crate::crypt::Sealed;
use crate::describe::{self, Described};
use crate::names::{self, KeyName};

/// A container of keys. It can never be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRing {
    /// `projects/P/locations/L/keyRings/R`.
    pub name: String,
    /// When it was made.
    pub created_at: Option<SystemTime>,
}

impl From<kms::KeyRing> for KeyRing {
    fn from(told: kms::KeyRing) -> Self {
        Self { created_at: told.create_time.as_ref().and_then(describe::time), name: told.name }
    }
}

/// A key and its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CryptographicKey {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    pub name: String,
    /// What it is for, in Google's words: `ENCRYPT_DECRYPT`, `ASYMMETRIC_DECRYPT`.
    pub purpose: &'static str,
    /// Google's name of what new versions are: `GOOGLE_SYMMETRIC_ENCRYPTION`.
    pub algorithm: &'static str,
    /// State of the key as a whole.
    pub state: KeyState,
    /// The version that seals; `None` for RSA keys, whose versions are always named.
    pub primary_version: Option<VersionName>,
    /// All versions, oldest first.
    pub versions: Vec<KeyVersion>,
    /// When it was made.
    pub created_at: Option<SystemTime>,
    /// After how long it rotates by itself.
    pub rotation_period: Option<Duration>,
    /// When it does so next.
    pub next_rotation_at: Option<SystemTime>,
    /// How long versions wait for their destruction.
    pub destroy_delay: Option<Duration>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl From<Described> for CryptographicKey {
    fn from(described: Described) -> Self {
        let info = described.info();
        let key = &described.key;
        let versions = info.versions.iter().zip(&described.versions);
        let algorithm = key.version_template.as_ref().map(kms::CryptoKeyVersionTemplate::algorithm);
        Self {
            name: described.name.to_string(),
            purpose: key.purpose().as_str_name(),
            algorithm: algorithm.unwrap_or_default().as_str_name(),
            state: info.state,
            primary_version: info.primary_version,
            versions: versions
                .map(|(info, version)| KeyVersion {
                    version: info.version.clone(),
                    state: info.state,
                    created_at: info.created_at,
                    destroyed_at: version.destroyed_at,
                })
                .collect(),
            created_at: info.created_at,
            rotation_period: info.rotation_period,
            next_rotation_at: key.next_rotation_time.as_ref().and_then(describe::time),
            destroy_delay: key.destroy_scheduled_duration.as_ref().and_then(describe::duration),
            labels: info.tags,
        }
    }
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyVersion {
    /// Its number.
    pub version: VersionName,
    /// What it may be used for.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Option<SystemTime>,
    /// When its material will be destroyed, while it waits for that.
    pub destroyed_at: Option<SystemTime>,
}

/// A ciphertext and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptedData {
    /// The service's bytes, which say by themselves which version made them.
    pub ciphertext: Vec<u8>,
    /// The key that made it.
    pub key_name: String,
    /// The version that made it; empty where it is not known.
    pub key_version: VersionName,
}

impl EncryptedData {
    /// A ciphertext from elsewhere: a file that `gcloud kms encrypt` wrote.
    #[must_use]
    pub fn from_ciphertext(ciphertext: impl Into<Vec<u8>>) -> Self {
        let (key_name, key_version) = (String::new(), VersionName::unknown());
        Self { ciphertext: ciphertext.into(), key_name, key_version }
    }

    pub(super) fn new(key: &KeyName, sealed: Sealed) -> Self {
        let key_version = names::version(sealed.version);
        Self { ciphertext: sealed.ciphertext, key_name: key.to_string(), key_version }
    }
}
