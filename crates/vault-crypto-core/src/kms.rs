//! The trait every key management service implements for applications: use keys, do not manage them.
//!
//! Managing them is [`KmsAdmin`](crate::KmsAdmin), behind the feature `admin`.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    CryptoError, DataKey, ErrorKind, KeyId, KeyInfo, MAX_WRAP_LEN, Operation, Result, SecureBytes,
    WrapContext, WrappedKey,
};

/// Wraps and unwraps data keys under keys that never leave the service.
///
/// Every sentence under `# Behavior` is a case of the conformance suite in `vault-testkit`. What a
/// backend cannot do it declares in [`capabilities`](Self::capabilities).
#[async_trait]
pub trait KmsProvider: Send + Sync {
    /// A short stable name of the service, the scheme of its key URIs: `local`, `aws-kms`.
    fn provider_type(&self) -> &'static str;

    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// The canonical form of a key id, where it can be told without asking the service: a reader
    /// then compares a message's slots with its allowed keys at no cost. An alias gives `None`.
    ///
    /// # Behavior
    /// - Where it answers, the answer is the key id that `describe_key` gives.
    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        let _ = key_id;
        None
    }

    /// Makes a new 32-byte data key under `key_id`, bound to `context`.
    ///
    /// # Behavior
    /// - Two calls give different keys.
    /// - The wrapped form opens with [`decrypt_data_key`](Self::decrypt_data_key) under the same context.
    /// - The answer's `key_id` is canonical, and names the version that wrapped where the service reports it.
    ///
    /// # Errors
    /// `KeyNotFound`, `KeyUnusable`, or what the service says.
    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey>;

    /// Wraps bytes that the caller has: a data key for a second KMS, a share, a branch key.
    ///
    /// # Behavior
    /// - 1 to [`Capabilities::max_payload_len`] bytes are taken; none or more is `InvalidInput`.
    /// - Wrapping the same bytes twice gives different wrapped bytes.
    ///
    /// # Errors
    /// As [`generate_data_key`](Self::generate_data_key).
    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey>;

    /// Unwraps what this service wrapped.
    ///
    /// # Behavior
    /// - The key named in `wrapped` is the one asked; the service never picks another.
    /// - A known version is compared with the one that the service reports; a difference is `AuthenticationFailed`.
    /// - Altered bytes, another scope or another kind are `AuthenticationFailed` where the service binds the scope.
    /// - A version that rotation replaced still unwraps.
    /// - A disabled key, or one pending deletion, is `KeyUnusable`; an unknown one is `KeyNotFound`.
    ///
    /// # Errors
    /// As under `# Behavior`, or what the service says.
    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes>;

    /// Wraps the same bytes anew under the current version of `to`, inside the service where it can.
    ///
    /// # Behavior
    /// - The answer unwraps to the same bytes.
    /// - After a rotation the answer names the new version.
    /// - Where [`Capabilities::server_side_rewrap`] holds, the plaintext of a rewrap within one key never enters this process.
    ///
    /// # Errors
    /// As [`decrypt_data_key`](Self::decrypt_data_key).
    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey>;

    /// Encrypts a small payload directly under the key.
    ///
    /// # Behavior
    /// - A payload has 1 to [`Capabilities::max_payload_len`] bytes; none or more is `InvalidInput`, whatever the service itself takes.
    /// - The answer decrypts under the same key and scope, and under no other scope where the service binds it.
    /// - It never opens as a wrapped key, nor a wrapped key as it.
    ///
    /// # Errors
    /// As [`wrap_data_key`](Self::wrap_data_key).
    async fn encrypt(
        &self,
        key_id: &KeyId,
        plaintext: &[u8],
        scope: &crate::Scope,
    ) -> Result<Vec<u8>>;

    /// Decrypts what [`encrypt`](Self::encrypt) gave.
    ///
    /// # Behavior
    /// - The key is always named; the answer is of that key or an error.
    /// - Altered bytes are `AuthenticationFailed`; bytes that this service never made are `Malformed` or `AuthenticationFailed`.
    ///
    /// # Errors
    /// As [`decrypt_data_key`](Self::decrypt_data_key).
    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &crate::Scope,
    ) -> Result<SecureBytes>;

    /// What the service says of a key.
    ///
    /// # Behavior
    /// - Works for disabled keys and for those pending deletion.
    /// - A field that the service cannot answer is `None`.
    /// - The answer's key id is canonical: describing it again gives the same id.
    ///
    /// # Errors
    /// `KeyNotFound`, or what the service says.
    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo>;

    /// Whether the service answers, with nothing changed by asking.
    ///
    /// # Errors
    /// Only where the question itself could not be asked; an unhealthy service is an answer.
    async fn health_check(&self) -> Result<HealthStatus>;

    /// Random bytes of the service's own generator (1 to 1,024), for those who must not trust this machine's.
    ///
    /// # Behavior
    /// - Exactly as many bytes as asked come back, and never the same twice.
    /// - None, or more than 1,024, is `InvalidInput`; without [`Capabilities::random_bytes`] it is `Unsupported`.
    ///
    /// # Errors
    /// As under `# Behavior`, or what the service says.
    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let _ = len;
        Err(CryptoError::new(ErrorKind::Unsupported, Operation::RandomBytes)
            .with_detail("this service gives no random bytes; take the system's"))
    }
}

/// What a backend can do. A test or a policy asks this, never which backend it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The wrapping call binds the scope; otherwise only the header MAC does.
    pub binds_scope: bool,
    /// `rewrap_data_key` keeps the plaintext inside the service, at least where the key stays the same.
    pub server_side_rewrap: bool,
    /// Wrapped keys always name the version of the key that wrapped them. Without it a service may still
    /// name one now and then.
    pub reports_version: bool,
    /// Keys rotate in place and keep their id.
    pub native_rotation: bool,
    /// A new version can wait to be promoted.
    pub staged_rotation: bool,
    /// The caller names new keys.
    pub named_keys: bool,
    /// Keys carry labels.
    pub tags: bool,
    /// Deletion can be scheduled and cancelled; the shortest window in days.
    pub deletion_window_days: Option<u32>,
    /// Works without a network.
    pub offline: bool,
    /// Longest payload in bytes that `wrap_data_key` and `encrypt` take, at most [`MAX_WRAP_LEN`].
    pub max_payload_len: usize,
    /// Unwrapping tells which version unwrapped, so that it can be compared.
    pub verifies_version: bool,
    /// Keys can be disabled and enabled again.
    pub disabling: bool,
    /// Keys carry a description.
    pub descriptions: bool,
    /// Keys can rotate by themselves after a period.
    pub rotation_period: bool,
    /// `random_bytes` answers.
    pub random_bytes: bool,
}

impl Capabilities {
    /// A backend that can only wrap and unwrap.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            binds_scope: false,
            server_side_rewrap: false,
            reports_version: false,
            native_rotation: false,
            staged_rotation: false,
            named_keys: false,
            tags: false,
            deletion_window_days: None,
            offline: false,
            max_payload_len: MAX_WRAP_LEN,
            verifies_version: false,
            disabling: false,
            descriptions: false,
            rotation_period: false,
            random_bytes: false,
        }
    }
}

/// Whether a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthStatus {
    /// Ready to wrap and unwrap.
    pub healthy: bool,
    /// One sentence for a person.
    pub message: String,
    /// How long the service took to answer, where one was asked.
    pub latency: Option<Duration>,
}

impl HealthStatus {
    /// Ready.
    #[must_use]
    pub fn healthy(message: impl Into<String>) -> Self {
        Self { healthy: true, message: message.into(), latency: None }
    }

    /// Not ready.
    #[must_use]
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self { healthy: false, message: message.into(), latency: None }
    }

    /// Says how long the answer took.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }
}
