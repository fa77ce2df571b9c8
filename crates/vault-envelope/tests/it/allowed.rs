//! Which key is asked, when a key before it cannot be.

use std::sync::Arc;

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo, KmsProvider,
    Operation, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};
use vault_envelope::{AllowedKeys, EnvelopeEncryption};
use vault_testkit::MemoryKms;

use super::support::{block_on, context, kind_of, kms};

/// A service that does not answer and cannot tell its canonical ids without being asked.
struct Down(Arc<MemoryKms>);

fn down<T>() -> Result<T> {
    Err(CryptoError::new(ErrorKind::Unavailable, Operation::DescribeKey))
}

#[async_trait]
impl KmsProvider for Down {
    fn provider_type(&self) -> &'static str {
        self.0.provider_type()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn generate_data_key(&self, _: &KeyId, _: &WrapContext) -> Result<DataKey> {
        down()
    }
    async fn wrap_data_key(
        &self,
        _: &KeyId,
        _: &SecureBytes,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        down()
    }
    async fn decrypt_data_key(&self, _: &WrappedKey, _: &WrapContext) -> Result<SecureBytes> {
        down()
    }
    async fn rewrap_data_key(
        &self,
        _: &WrappedKey,
        _: &KeyId,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        down()
    }
    async fn encrypt(&self, _: &KeyId, _: &[u8], _: &Scope) -> Result<Vec<u8>> {
        down()
    }
    async fn decrypt(&self, _: &KeyId, _: &[u8], _: &Scope) -> Result<SecureBytes> {
        down()
    }
    async fn describe_key(&self, _: &KeyId) -> Result<KeyInfo> {
        down()
    }
    async fn health_check(&self) -> Result<HealthStatus> {
        down()
    }
}

#[test]
fn an_alias_that_cannot_be_resolved_hides_no_later_key() {
    let (kms, key) = kms();
    let sealed =
        block_on(EnvelopeEncryption::new(kms.clone(), key.clone()).encrypt(b"value", &context()));
    let sealed = sealed.unwrap();
    let alias = AllowedKeys::none().key(Arc::new(Down(kms.clone())), "alias/app");
    let reader = |keys| {
        let builder = EnvelopeEncryption::builder(kms.clone(), key.clone());
        builder.allow_only(keys).build().unwrap()
    };
    let both = reader(alias.clone().key(kms.clone(), key.clone()));
    assert_eq!(block_on(both.decrypt(&sealed, &context())).unwrap(), b"value");
    let alone = reader(alias);
    assert_eq!(kind_of(block_on(alone.decrypt(&sealed, &context()))), ErrorKind::Unavailable);
}
