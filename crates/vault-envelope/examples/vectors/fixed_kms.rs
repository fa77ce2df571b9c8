//! A fake KMS that hands out one given data key whatever it is asked to unwrap: it proves nothing
//! about wrapping, and lets a message be opened with the data key alone.

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo, KeyState,
    KeyVersion, KmsProvider, Operation, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};

/// The key id in the slots that [`FixedKms`] makes.
pub(crate) const KEY_ID: &str = "local:5f3a09c1#default";

/// Plays the embedded KMS with one data key, for tests only.
pub(crate) struct FixedKms([u8; 32]);

impl FixedKms {
    pub(crate) fn new(data_key: [u8; 32]) -> Self {
        Self(data_key)
    }

    fn plaintext(&self) -> SecureBytes {
        SecureBytes::new(self.0.to_vec())
    }
}

/// What stands in the slots: as long as the embedded KMS's, and nothing behind it.
pub(crate) fn wrapped_bytes() -> Vec<u8> {
    (0..104).collect()
}

#[async_trait]
impl KmsProvider for FixedKms {
    fn provider_type(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.binds_scope = true;
        capabilities
    }

    async fn generate_data_key(&self, key_id: &KeyId, _: &WrapContext) -> Result<DataKey> {
        let wrapped = WrappedKey::new(wrapped_bytes(), key_id.clone(), KeyVersion::from(1));
        DataKey::new(self.plaintext(), wrapped)
    }

    async fn wrap_data_key(
        &self,
        _: &KeyId,
        _: &SecureBytes,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        Err(absent(Operation::WrapDataKey))
    }

    async fn decrypt_data_key(&self, _: &WrappedKey, _: &WrapContext) -> Result<SecureBytes> {
        Ok(self.plaintext())
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
