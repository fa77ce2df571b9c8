//! The one place where the methods of `KmsProvider` and `KmsAdmin` are forwarded through a layer.

#[cfg(feature = "admin")]
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "admin")]
use std::time::Duration;

use async_trait::async_trait;

use super::intercept::{Attempt, Call, Intercept};
use crate::{
    Capabilities, DataKey, HealthStatus, KeyId, KeyInfo, KmsProvider, Operation, Result, Scope,
    SecureBytes, WrapContext, WrappedKey,
};
#[cfg(feature = "admin")]
use crate::{KeyConfig, KeyRotationResult, KmsAdmin, RotateOptions};

/// A KMS with the layer `I` around it.
///
/// Over `dyn KmsProvider` it is a `KmsProvider`; over `dyn KmsAdmin` it is a `KmsAdmin` too.
/// `provider_type` and `capabilities` ask nobody and pass straight through.
pub struct Layered<I, K: ?Sized = dyn KmsProvider> {
    kms: Arc<K>,
    layer: I,
}

impl<I: Intercept, K: KmsProvider + ?Sized> Layered<I, K> {
    /// Puts `layer` around `kms`.
    #[must_use]
    pub const fn new(kms: Arc<K>, layer: I) -> Self {
        Self { kms, layer }
    }

    fn call(&self, operation: Operation) -> Call<'static> {
        Call::new(operation, self.kms.provider_type())
    }
}

impl<I, K: KmsProvider + ?Sized> fmt::Debug for Layered<I, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("provider", &self.kms.provider_type()).finish()
    }
}

#[async_trait]
impl<I: Intercept, K: KmsProvider + ?Sized> KmsProvider for Layered<I, K> {
    fn provider_type(&self) -> &'static str {
        self.kms.provider_type()
    }

    fn capabilities(&self) -> Capabilities {
        self.kms.capabilities()
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        self.kms.canonical_key_id(key_id)
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let call = self.call(Operation::GenerateDataKey).on(key_id).within(&context.scope);
        let make = || self.kms.generate_data_key(key_id, context);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let call = self.call(Operation::WrapDataKey).on(key_id).within(&context.scope);
        let make = || self.kms.wrap_data_key(key_id, plaintext, context);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        let call = self.call(Operation::DecryptDataKey).on(&wrapped.key_id).within(&context.scope);
        let make = || self.kms.decrypt_data_key(wrapped, context);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let call = self.call(Operation::RewrapDataKey).on(to).within(&context.scope);
        let make = || self.kms.rewrap_data_key(wrapped, to, context);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let call = self.call(Operation::Encrypt).on(key_id).within(scope);
        let make = || self.kms.encrypt(key_id, plaintext, scope);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let call = self.call(Operation::Decrypt).on(key_id).within(scope);
        let make = || self.kms.decrypt(key_id, ciphertext, scope);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let call = self.call(Operation::DescribeKey).on(key_id);
        let make = || self.kms.describe_key(key_id);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        let call = self.call(Operation::HealthCheck);
        let make = || self.kms.health_check();
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let call = self.call(Operation::RandomBytes);
        let make = || self.kms.random_bytes(len);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }
}

#[cfg(feature = "admin")]
#[async_trait]
impl<I: Intercept, K: KmsAdmin + ?Sized> KmsAdmin for Layered<I, K> {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let call = self.call(Operation::CreateKey);
        let make = || self.kms.create_key(config.clone());
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let call = self.call(Operation::RotateKey).on(key_id);
        let make = || self.kms.rotate_key(key_id, options);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        let call = self.call(Operation::PromoteKey).on(key_id);
        let make = || self.kms.promote_key(key_id);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let call = self.call(Operation::EnableKey).on(key_id);
        let make = || self.kms.enable_key(key_id);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let call = self.call(Operation::DisableKey).on(key_id);
        let make = || self.kms.disable_key(key_id);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        let call = self.call(Operation::ScheduleKeyDeletion).on(key_id);
        let make = || self.kms.schedule_key_deletion(key_id, pending_days);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let call = self.call(Operation::CancelKeyDeletion).on(key_id);
        let make = || self.kms.cancel_key_deletion(key_id);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let call = self.call(Operation::ListKeys);
        let make = || self.kms.list_keys(after, limit);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        let call = self.call(Operation::TagKey).on(key_id);
        let make = || self.kms.tag_key(key_id, tags.clone());
        self.layer.intercept(&call, Attempt::new(&make)).await
    }
    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let call = self.call(Operation::SetRotationPeriod).on(key_id);
        let make = || self.kms.set_rotation_period(key_id, period);
        self.layer.intercept(&call, Attempt::new(&make)).await
    }
}
