//! The suites see every broken promise: for each sentence there is a KMS that breaks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo, KeyState,
    KeyVersion, KmsAdmin, KmsProvider, Operation, Result, Scope, SecureBytes, WrapContext,
    WrappedKey,
};
use vault_testkit::conformance::{self, KmsFixture};
use vault_testkit::{MemoryKms, VirtualClock};

#[test]
fn every_broken_promise_of_a_provider_is_seen() {
    for case in conformance::kms::CASES {
        let memory = Arc::new(MemoryKms::new());
        let keys = [memory.add_key("a").unwrap(), memory.add_key("b").unwrap()];
        let flawed = Flawed::new(Arc::clone(&memory), case.method, case.sentence, keys.to_vec());
        let [key, other] = keys;
        let fixture = KmsFixture::new(Arc::new(flawed), memory.clone(), key, other)
            .with_plaintext_count(move || memory.plaintexts_handed_out());
        let report = VirtualClock::new().run(conformance::kms::run_all(&fixture));
        assert!(report.broken().contains(&case.sentence), "not seen: {case:?}\n{report}");
        assert!(report.proved() > 0, "a flaw so coarse that it proves nothing: {case:?}");
    }
}

/// Keeps every promise but one.
pub(super) struct Flawed {
    pub(super) kms: Arc<MemoryKms>,
    method: &'static str,
    sentence: &'static str,
    keys: Vec<KeyId>,
    remembered: Mutex<BTreeMap<Vec<u8>, WrappedKey>>,
}

impl Flawed {
    pub(super) fn new(
        kms: Arc<MemoryKms>,
        method: &'static str,
        sentence: &'static str,
        keys: Vec<KeyId>,
    ) -> Self {
        Self { kms, method, sentence, keys, remembered: Mutex::default() }
    }

    /// Whether the broken promise is `method`'s and begins so.
    pub(super) fn breaks(&self, method: &str, beginning: &str) -> bool {
        self.method == method && self.sentence.starts_with(beginning)
    }

    fn no_scope(&self, method: &str, beginning: &str, scope: &Scope) -> Scope {
        if self.breaks(method, beginning) { Scope::empty() } else { scope.clone() }
    }

    fn bound(&self, context: &WrapContext) -> WrapContext {
        let mut bound = context.clone();
        bound.scope = self.no_scope(DECRYPT_KEY, "Altered", &context.scope);
        bound
    }

    /// Does what a disabled key must not do.
    async fn enabled_meanwhile(&self, key: &KeyId) -> Result<bool> {
        let disabled = self.kms.describe_key(key).await?.state == KeyState::Disabled;
        if disabled {
            self.kms.enable_key(key).await?;
        }
        Ok(disabled)
    }
}

const GENERATE: &str = "KmsProvider::generate_data_key";
const WRAP: &str = "KmsProvider::wrap_data_key";
const DECRYPT_KEY: &str = "KmsProvider::decrypt_data_key";
const REWRAP: &str = "KmsProvider::rewrap_data_key";
const ENCRYPT: &str = "KmsProvider::encrypt";
const DECRYPT: &str = "KmsProvider::decrypt";
const RANDOM: &str = "KmsProvider::random_bytes";
const DESCRIBE: &str = "KmsProvider::describe_key";

#[async_trait]
impl KmsProvider for Flawed {
    fn provider_type(&self) -> &'static str {
        "flawed"
    }

    fn capabilities(&self) -> Capabilities {
        self.kms.capabilities()
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        let told = self.kms.canonical_key_id(key_id)?;
        let flawed = self.breaks("KmsProvider::canonical_key_id", "Where it answers");
        Some(if flawed { KeyId::new(format!("{told}-alias")) } else { told })
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let data_key = self.kms.generate_data_key(key_id, &self.bound(context)).await?;
        let (mut plaintext, mut wrapped) = data_key.into_parts();
        if self.breaks(GENERATE, "Two calls") {
            plaintext = SecureBytes::new(vec![7; 32]);
            wrapped = self.kms.wrap_data_key(key_id, &plaintext, context).await?;
        }
        if self.breaks(GENERATE, "The wrapped form opens") {
            plaintext.as_mut_slice()[0] ^= 1;
        }
        if self.breaks(GENERATE, "The answer's `key_id`") {
            wrapped.version = KeyVersion::unknown();
        }
        DataKey::new(plaintext, wrapped)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        if self.breaks(WRAP, "1 to") && plaintext.is_empty() {
            return self.kms.wrap_data_key(key_id, &SecureBytes::zeroed(1), context).await;
        }
        let wrapped = self.kms.wrap_data_key(key_id, plaintext, &self.bound(context)).await?;
        if self.breaks(WRAP, "Wrapping the same") {
            let mut remembered = self.remembered.lock().unwrap();
            return Ok(remembered.entry(plaintext.as_slice().to_vec()).or_insert(wrapped).clone());
        }
        Ok(wrapped)
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        let mut wrapped = wrapped.clone();
        if self.breaks(DECRYPT_KEY, "A known version") {
            wrapped.version = KeyVersion::unknown();
        }
        if self.breaks(DECRYPT_KEY, "A version that rotation") {
            let current = self.kms.describe_key(&wrapped.key_id).await?.primary_version;
            if current.is_some_and(|current| current != wrapped.version) {
                return Err(CryptoError::authentication_failed(Operation::DecryptDataKey));
            }
        }
        if self.breaks(ENCRYPT, "It never opens") {
            let key_id = &wrapped.key_id;
            if let Ok(opened) = self.kms.decrypt(key_id, &wrapped.bytes, &context.scope).await {
                return Ok(opened);
            }
        }
        let enabled = self.breaks(DECRYPT_KEY, "A disabled key")
            && self.enabled_meanwhile(&wrapped.key_id).await?;
        let mut opened = self.kms.decrypt_data_key(&wrapped, &self.bound(context)).await;
        if enabled {
            self.kms.disable_key(&wrapped.key_id).await?;
        }
        if self.breaks(DECRYPT_KEY, "The key named") {
            for key in &self.keys {
                if opened.is_err() {
                    wrapped.key_id = key.clone();
                    opened = self.kms.decrypt_data_key(&wrapped, context).await;
                }
            }
        }
        opened
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let context = &self.bound(context);
        if self.breaks(REWRAP, "The answer unwraps") {
            return Ok(self.kms.generate_data_key(to, context).await?.into_parts().1);
        }
        if self.breaks(REWRAP, "After a rotation") && wrapped.key_id == *to {
            return Ok(wrapped.clone());
        }
        if self.breaks(REWRAP, "Where `Capabilities") {
            let plaintext = self.kms.decrypt_data_key(wrapped, context).await?;
            return self.kms.wrap_data_key(to, &plaintext, context).await;
        }
        self.kms.rewrap_data_key(wrapped, to, context).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        if self.breaks(ENCRYPT, "A payload has 1 to") && plaintext.is_empty() {
            return self.kms.encrypt(key_id, &[0], scope).await;
        }
        self.kms.encrypt(key_id, plaintext, &self.no_scope(ENCRYPT, "The answer", scope)).await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let scope = &self.no_scope(ENCRYPT, "The answer", scope);
        let mut opened = self.kms.decrypt(key_id, ciphertext, scope).await;
        if self.breaks(DECRYPT, "The key is always named") {
            for key in &self.keys {
                if opened.is_err() {
                    opened = self.kms.decrypt(key, ciphertext, scope).await;
                }
            }
        }
        if self.breaks(DECRYPT, "Altered bytes") && opened.is_err() {
            return Err(CryptoError::new(ErrorKind::Internal, Operation::Decrypt));
        }
        opened
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let not_canonical = self.breaks(DESCRIBE, "The answer's key id");
        let asked = KeyId::new(key_id.as_str().trim_end_matches('+'));
        let mut info = self.kms.describe_key(if not_canonical { &asked } else { key_id }).await?;
        if not_canonical {
            info.key_id = KeyId::new(format!("{key_id}+"));
        }
        if self.breaks(DESCRIBE, "Works for disabled") && info.state == KeyState::PendingDeletion {
            return Err(CryptoError::new(ErrorKind::KeyNotFound, Operation::DescribeKey));
        }
        if self.breaks(DESCRIBE, "A field") {
            info.created_at = Some(UNIX_EPOCH);
        }
        Ok(info)
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        self.kms.health_check().await
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        if self.breaks(RANDOM, "Exactly") {
            return self.kms.random_bytes(len).await.map(|bytes| SecureBytes::zeroed(bytes.len()));
        }
        let asked = if self.breaks(RANDOM, "None") { len.clamp(1, 1_024) } else { len };
        self.kms.random_bytes(asked).await
    }
}
