//! Managing keys, split from using them so that an application can be built without the power.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KmsProvider, Operation,
    Result,
};

/// Creates, rotates, disables and deletes keys.
///
/// Every sentence under `# Behavior` is a case of the conformance suite in `vault-testkit`. None of
/// these calls is ever retried blindly: after a time-out, look before you repeat.
#[async_trait]
pub trait KmsAdmin: KmsProvider {
    /// Makes a key.
    ///
    /// # Behavior
    /// - The key is enabled and usable at once.
    /// - A name that exists is `Conflict`, and the existing key is unchanged.
    /// - Description and tags come back from `describe_key`; one that the service cannot keep is `Unsupported`.
    ///
    /// # Errors
    /// As under `# Behavior`, `InvalidInput`, or what the service says.
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo>;

    /// Gives the key new material under a new version.
    ///
    /// # Behavior
    /// - With [`RotateOptions::stage`] the new version is readable and is not written with until `promote_key`.
    /// - Otherwise the next wrap uses the new version.
    /// - What older versions wrapped still unwraps.
    /// - A disabled key is `KeyUnusable`; a second rotation while one is staged is `Conflict`.
    ///
    /// # Errors
    /// As under `# Behavior`, `KeyNotFound`, or what the service says.
    async fn rotate_key(&self, key_id: &KeyId, options: RotateOptions)
    -> Result<KeyRotationResult>;

    /// Writes with the staged version from now on.
    ///
    /// # Behavior
    /// - Without a staged version it is `Conflict`.
    ///
    /// # Errors
    /// As under `# Behavior`; `Unsupported` where rotation cannot be staged.
    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult>;

    /// Makes a disabled key usable again.
    ///
    /// # Behavior
    /// - Enabling an enabled key changes nothing.
    /// - A key pending deletion is `KeyUnusable`: cancel the deletion first.
    ///
    /// # Errors
    /// As under `# Behavior`, `KeyNotFound`, or what the service says.
    async fn enable_key(&self, key_id: &KeyId) -> Result<()>;

    /// Stops every use of the key until it is enabled again.
    ///
    /// # Behavior
    /// - Afterwards wrapping and unwrapping are `KeyUnusable`, and `describe_key` says `Disabled`.
    ///
    /// # Errors
    /// `KeyNotFound`, or what the service says; `Unsupported` without
    /// [`Capabilities::disabling`](crate::Capabilities::disabling).
    async fn disable_key(&self, key_id: &KeyId) -> Result<()>;

    /// Destroys the key's material after a window of days, in which it can be cancelled.
    ///
    /// # Behavior
    /// - The key is unusable at once, and `describe_key` says `PendingDeletion` and when it ends.
    /// - A window shorter than [`Capabilities::deletion_window_days`](crate::Capabilities::deletion_window_days) is `InvalidInput`.
    ///
    /// # Errors
    /// As under `# Behavior`, `KeyNotFound`, or what the service says.
    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo>;

    /// Takes a pending deletion back.
    ///
    /// # Behavior
    /// - The key is `Disabled` afterwards, so that somebody decides to use it again.
    /// - Without a pending deletion it is `Conflict`.
    ///
    /// # Errors
    /// As under `# Behavior`, `KeyNotFound`, or what the service says.
    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()>;

    /// One page of keys, ascending by id; `after` is the last id of the page before.
    ///
    /// # Behavior
    /// - Walking all pages names every key once.
    ///
    /// # Errors
    /// What the service says.
    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>>;

    /// Replaces the key's labels.
    ///
    /// # Behavior
    /// - `describe_key` answers exactly these labels.
    ///
    /// # Errors
    /// `KeyNotFound`; `Unsupported` where keys carry none.
    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()>;

    /// Has the service rotate the key by itself every `period` (whole days), or never again.
    ///
    /// # Behavior
    /// - `describe_key` answers the period; `None` turns it off.
    /// - A period that the service cannot have is `InvalidInput`, and the old one stays.
    ///
    /// # Errors
    /// As under `# Behavior`, `KeyNotFound`; `Unsupported` without
    /// [`Capabilities::rotation_period`](crate::Capabilities::rotation_period).
    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let _ = period;
        Err(CryptoError::new(ErrorKind::Unsupported, Operation::SetRotationPeriod)
            .with_key_id(key_id)
            .with_detail(
                "this service rotates no key by itself; rotate it from a schedule of yours",
            ))
    }
}

/// How to rotate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotateOptions {
    /// The new version waits for `promote_key`.
    pub stage: bool,
}

impl RotateOptions {
    /// Takes effect at once.
    #[must_use]
    pub const fn now() -> Self {
        Self { stage: false }
    }

    /// Waits for `promote_key`.
    #[must_use]
    pub const fn staged() -> Self {
        Self { stage: true }
    }
}
