//! A fake KMS that wraps nothing: the bytes in a slot are the payload, so that a target chooses it.

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo, KeyState,
    KmsProvider, Operation, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};

/// Plays the embedded KMS, for tests only.
pub struct OpenKms;

#[async_trait]
impl KmsProvider for OpenKms {
    fn provider_type(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.binds_scope = true;
        capabilities
    }

    async fn generate_data_key(&self, _: &KeyId, _: &WrapContext) -> Result<DataKey> {
        Err(absent(Operation::GenerateDataKey))
    }

    async fn wrap_data_key(
        &self,
        _: &KeyId,
        _: &SecureBytes,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        Err(absent(Operation::WrapDataKey))
    }

    async fn decrypt_data_key(&self, wrapped: &WrappedKey, _: &WrapContext) -> Result<SecureBytes> {
        Ok(SecureBytes::new(wrapped.bytes.clone()))
    }

    async fn rewrap_data_key(
        &self,
        _: &WrappedKey,
        _: &KeyId,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        Err(absent(Operation::RewrapDataKey))
    }

    async fn encrypt(&self, _: &KeyId, _: &[u8], _: &Scope) -> Result<Vec<u8>> {
        Err(absent(Operation::Encrypt))
    }

    async fn decrypt(&self, _: &KeyId, _: &[u8], _: &Scope) -> Result<SecureBytes> {
        Err(absent(Operation::Decrypt))
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        Ok(KeyInfo::new(key_id.clone(), KeyState::Enabled))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        Ok(HealthStatus::healthy("a fake"))
    }
}

fn absent(operation: Operation) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, operation)
}
