//! The suite of `EncryptionProvider`, on a small provider that can break each promise.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use vault_crypto_core::{
    CryptoError, DataKey, EncryptedData, EncryptionContext, EncryptionProvider, ErrorKind, KeyId,
    KeyInfo, KmsProvider, Operation, Result, Scope, SecureBytes, WrapContext,
};
use vault_testkit::MemoryKms;
use vault_testkit::conformance::{self, ProviderFixture, Report};

#[test]
fn a_provider_that_keeps_its_promises_passes() {
    let report = run("");
    report.assert_passed();
    assert_eq!(report.proved(), 3);
}

#[test]
fn every_broken_promise_of_an_encryption_provider_is_seen() {
    for case in conformance::provider::CASES {
        assert_eq!(run(case.sentence).broken(), [case.sentence]);
    }
}

fn run(broken: &'static str) -> Report {
    let [provider, impostor, stranger] = ["one", "one", "two"].map(|store| {
        let kms = Arc::new(MemoryKms::new().with_store(store));
        let key = kms.add_key("a").unwrap();
        Small { kms, key, broken, first: OnceLock::new() }
    });
    let kms = Arc::clone(&provider.kms);
    let fixture = ProviderFixture::new(
        Arc::new(provider),
        Arc::new(impostor),
        Arc::new(stranger),
        move || kms.calls().total(),
    );
    pollster::block_on(conformance::provider::run_all(&fixture))
}

/// `key id || 0 || what the KMS encrypted`, with the context as scope.
struct Small {
    kms: Arc<MemoryKms>,
    key: KeyId,
    broken: &'static str,
    /// The one message of a provider that seals only once.
    first: OnceLock<EncryptedData>,
}

impl Small {
    fn scope(context: &EncryptionContext) -> Result<Scope> {
        let mut text = String::from("c");
        for byte in context.canonical_pairs()? {
            text.push_str(&format!("{byte:02x}"));
        }
        Scope::new([("context", text)])
    }
}

#[async_trait]
impl EncryptionProvider for Small {
    async fn encrypt(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let scope = Self::scope(context)?;
        let sealed = self.kms.encrypt(&self.key, plaintext, &scope).await?;
        let message = [self.key.as_str().as_bytes(), b"\0", &sealed].concat();
        if self.broken.starts_with("Sealing") {
            return Ok(self.first.get_or_init(|| message.into()).clone());
        }
        Ok(message.into())
    }

    async fn decrypt(
        &self,
        ciphertext: &EncryptedData,
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let foreign = || CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Open);
        let prefix = [self.key.as_str().as_bytes(), b"\0"].concat();
        let Some(sealed) = ciphertext.as_bytes().strip_prefix(&prefix[..]) else {
            if self.broken.starts_with("A message whose key") {
                self.kms.health_check().await?;
            }
            return Err(foreign());
        };
        let opened = self.kms.decrypt(&self.key, sealed, &Self::scope(context)?).await;
        if self.broken.starts_with("Another context") && context.is_empty() {
            return opened.map_err(|_| CryptoError::new(ErrorKind::Malformed, Operation::Open));
        }
        opened
    }

    async fn generate_data_key(&self) -> Result<DataKey> {
        self.kms.generate_data_key(&self.key, &WrapContext::data_key(Scope::empty())).await
    }

    async fn get_key_info(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.kms.describe_key(key_id).await
    }

    fn provider_type(&self) -> &'static str {
        "small"
    }
}
