//! Names and descriptions of keys that live in a KMS; no key material is in here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::{CryptoError, ErrorKind, Operation, Result};

/// Longest key id in bytes: an ARN or a vault URL fits.
pub const MAX_KEY_ID_LEN: usize = 2_048;
/// Longest key version in bytes.
pub const MAX_KEY_VERSION_LEN: usize = 128;

/// The canonical name of a key at its KMS: an ARN, `local:9f3c21d0#default`, a logical server name
/// and key. Not a secret: it stands in every header.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    /// Takes the name as it is. Use [`check`](Self::check) on names from outside.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks that the name can stand in a header: 1 to 2,048 bytes, no control characters.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`].
    pub fn check(&self) -> Result<()> {
        if self.0.is_empty()
            || self.0.len() > MAX_KEY_ID_LEN
            || self.0.chars().any(char::is_control)
        {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
                .with_detail("a key id has 1 to 2048 bytes of UTF-8 without control characters"));
        }
        Ok(())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for KeyId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl From<String> for KeyId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// A version of a key as its KMS names it: `3`, a Key Vault version, an AWS key material id.
///
/// At most 128 bytes out of `A-Z a-z 0-9 . _ : / + = -`; empty where the KMS reports none. In a
/// stored message it is a hint, never a promise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyVersion(String);

impl KeyVersion {
    /// A version the KMS does not report.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(String::new())
    }

    /// Checks the syntax, so that a stored version can never smuggle anything into a request.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a byte or length outside the rule above.
    pub fn new(version: impl Into<String>) -> Result<Self> {
        let version = version.into();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:/+=-".contains(&b);
        if version.len() > MAX_KEY_VERSION_LEN || !version.bytes().all(allowed) {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
                .with_detail("a key version has at most 128 letters, digits or ._:/+=-"));
        }
        Ok(Self(version))
    }

    /// The version's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the KMS reported a version at all.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }
}

impl From<u32> for KeyVersion {
    fn from(version: u32) -> Self {
        Self(version.to_string())
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "unknown" } else { &self.0 })
    }
}

/// What a key, or one of its versions, may be used for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// Seals and opens.
    Enabled,
    /// Readable by everyone, not yet written with (`rotate --stage`).
    Staged,
    /// Opens what it sealed; no longer seals, because a newer version does.
    DecryptOnly,
    /// Neither seals nor opens until it is enabled again.
    Disabled,
    /// Neither seals nor opens; destroyed when the window ends unless deletion is cancelled.
    PendingDeletion,
    /// The material is gone.
    Destroyed,
}

impl KeyState {
    /// A stable name for logs and `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Staged => "staged",
            Self::DecryptOnly => "decrypt-only",
            Self::Disabled => "disabled",
            Self::PendingDeletion => "pending-deletion",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyUsage {
    /// Wraps data keys and encrypts small payloads.
    EncryptDecrypt,
    /// Signs and verifies; not usable for envelopes.
    SignVerify,
}

/// The kind of key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeySpec {
    /// A 256-bit symmetric key.
    Symmetric256,
    /// An RSA key of this many bits, wrapping by RSA-OAEP-256.
    Rsa {
        /// Modulus length in bits.
        bits: u16,
    },
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyVersionInfo {
    /// The version's name.
    pub version: KeyVersion,
    /// What it may be used for.
    pub state: KeyState,
    /// When the KMS made it, where the KMS says so.
    pub created_at: Option<SystemTime>,
}

impl KeyVersionInfo {
    /// Describes one version.
    #[must_use]
    pub fn new(version: KeyVersion, state: KeyState, created_at: Option<SystemTime>) -> Self {
        Self { version, state, created_at }
    }
}

/// What a KMS says about a key. A field the KMS cannot answer is `None`, never invented.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Canonical id.
    pub key_id: KeyId,
    /// The creator's words.
    pub description: String,
    /// What it is for.
    pub usage: KeyUsage,
    /// Kind of material.
    pub spec: KeySpec,
    /// State of the key as a whole.
    pub state: KeyState,
    /// The version that seals now, where the KMS names one.
    pub primary_version: Option<KeyVersion>,
    /// All versions the KMS lists, oldest first; empty where it lists none.
    pub versions: Vec<KeyVersionInfo>,
    /// When the key was made.
    pub created_at: Option<SystemTime>,
    /// When the primary version last changed; `None` if never or not told.
    pub rotated_at: Option<SystemTime>,
    /// After how long the service rotates the key by itself; `None` if never or not told.
    pub rotation_period: Option<Duration>,
    /// When the material will be destroyed, while deletion is pending.
    pub deletion_at: Option<SystemTime>,
    /// Set once by an operator who knows the key leaked; never cleared.
    pub compromised: bool,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

impl KeyInfo {
    /// A description with nothing but id and state; fill in what the KMS knows.
    #[must_use]
    pub fn new(key_id: KeyId, state: KeyState) -> Self {
        Self {
            key_id,
            description: String::new(),
            usage: KeyUsage::EncryptDecrypt,
            spec: KeySpec::Symmetric256,
            state,
            primary_version: None,
            versions: Vec::new(),
            created_at: None,
            rotated_at: None,
            rotation_period: None,
            deletion_at: None,
            compromised: false,
            tags: BTreeMap::new(),
        }
    }
}

/// What to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyConfig {
    /// Wanted name; a KMS that names keys itself uses it as an alias.
    pub name: String,
    /// A person's words on what the key is for.
    pub description: String,
    /// What it is for.
    pub usage: KeyUsage,
    /// Kind of material.
    pub spec: KeySpec,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

impl KeyConfig {
    /// A symmetric key for data keys, named `name`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            usage: KeyUsage::EncryptDecrypt,
            spec: KeySpec::Symmetric256,
            tags: BTreeMap::new(),
        }
    }

    /// Sets the description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyRotationResult {
    /// The key that was rotated.
    pub old_key_id: KeyId,
    /// The key to use from now on; the same where the KMS rotates in place.
    pub new_key_id: KeyId,
    /// The new version, where the KMS names one.
    pub new_version: KeyVersion,
    /// Whether it waits to be promoted.
    pub staged: bool,
    /// When.
    pub rotated_at: SystemTime,
}

impl KeyRotationResult {
    /// A rotation in place.
    #[must_use]
    pub fn in_place(key_id: KeyId, version: KeyVersion, staged: bool, at: SystemTime) -> Self {
        Self {
            old_key_id: key_id.clone(),
            new_key_id: key_id,
            new_version: version,
            staged,
            rotated_at: at,
        }
    }
}
