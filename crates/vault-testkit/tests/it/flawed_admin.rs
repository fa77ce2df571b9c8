//! As `flawed`, for the promises of `KmsAdmin`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyConfig, KeyId, KeyInfo,
    KeyRotationResult, KeyState, KeyVersion, KmsAdmin, KmsProvider, Operation, Result,
    RotateOptions, Scope, SecureBytes, WrapContext, WrappedKey,
};
use vault_testkit::conformance::{self, AdminFixture};
use vault_testkit::{MemoryKms, VirtualClock};

use super::flawed::Flawed;

#[test]
fn every_broken_promise_of_an_admin_is_seen() {
    for case in conformance::admin::CASES {
        let memory = Arc::new(MemoryKms::new());
        let flawed = FlawedAdmin(Flawed::new(memory, case.method, case.sentence, Vec::new()));
        let fixture = AdminFixture::new(Arc::new(flawed), "suite");
        let report = VirtualClock::new().run(conformance::admin::run_all(&fixture));
        assert!(report.broken().contains(&case.sentence), "not seen: {case:?}\n{report}");
        assert!(report.proved() > 0, "a flaw so coarse that it proves nothing: {case:?}");
    }
}

struct FlawedAdmin(Flawed);

impl FlawedAdmin {
    fn kms(&self) -> &MemoryKms {
        &self.0.kms
    }

    fn breaks(&self, method: &str, beginning: &str) -> bool {
        self.0.breaks(&format!("KmsAdmin::{method}"), beginning)
    }
}

#[async_trait]
impl KmsAdmin for FlawedAdmin {
    async fn create_key(&self, mut config: KeyConfig) -> Result<KeyInfo> {
        if self.breaks("create_key", "Description") {
            config.description.clear();
        }
        let made = self.kms().create_key(config.clone()).await;
        if self.breaks("create_key", "A name") && made.is_err() {
            let key_id = KeyId::new(config.name);
            self.kms().rotate_key(&key_id, RotateOptions::now()).await?;
            return self.kms().describe_key(&key_id).await;
        }
        if let (Ok(info), true) = (&made, self.breaks("create_key", "The key is enabled")) {
            self.kms().disable_key(&info.key_id).await?;
        }
        made
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        mut options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let asked = options;
        if self.breaks("rotate_key", "With `RotateOptions") {
            options.stage = false;
        }
        if self.breaks("rotate_key", "Otherwise") {
            options.stage = true;
        }
        let state = self.kms().describe_key(key_id).await?.state;
        if self.breaks("rotate_key", "A disabled") && state == KeyState::Disabled {
            self.kms().enable_key(key_id).await?;
        }
        let mut result = self.kms().rotate_key(key_id, options).await?;
        result.staged = asked.stage;
        Ok(result)
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        let promoted = self.kms().promote_key(key_id).await;
        if self.breaks("promote_key", "Without") && promoted.is_err() {
            return self.kms().rotate_key(key_id, RotateOptions::now()).await;
        }
        promoted
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let state = self.kms().describe_key(key_id).await?.state;
        if self.breaks("enable_key", "Enabling") && state == KeyState::Enabled {
            self.kms().rotate_key(key_id, RotateOptions::now()).await?;
        }
        if self.breaks("enable_key", "A key pending") && state == KeyState::PendingDeletion {
            self.kms().cancel_key_deletion(key_id).await?;
        }
        self.kms().enable_key(key_id).await
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        if self.breaks("disable_key", "Afterwards") {
            return Ok(());
        }
        self.kms().disable_key(key_id).await
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        let lax = self.breaks("schedule_key_deletion", "A window");
        let days = if lax { pending_days.max(7) } else { pending_days };
        let mut info = self.kms().schedule_key_deletion(key_id, days).await?;
        if self.breaks("schedule_key_deletion", "The key is unusable") {
            info.deletion_at = None;
        }
        Ok(info)
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let cancelled = self.kms().cancel_key_deletion(key_id).await;
        if self.breaks("cancel_key_deletion", "Without") {
            return Ok(());
        }
        if self.breaks("cancel_key_deletion", "The key is") && cancelled.is_ok() {
            self.kms().enable_key(key_id).await?;
        }
        cancelled
    }

    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let mut page = self.kms().list_keys(after, limit).await?;
        if let (Some(after), true) = (after, self.breaks("list_keys", "Walking")) {
            page.insert(0, self.kms().describe_key(after).await?);
            page.truncate(limit);
        }
        Ok(page)
    }

    async fn tag_key(&self, key_id: &KeyId, mut tags: BTreeMap<String, String>) -> Result<()> {
        if self.breaks("tag_key", "`describe_key`") {
            tags.extend(self.kms().describe_key(key_id).await?.tags);
        }
        self.kms().tag_key(key_id, tags).await
    }

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        if self.breaks("set_rotation_period", "`describe_key`") && period.is_none() {
            return Ok(());
        }
        let set = self.kms().set_rotation_period(key_id, period).await;
        if self.breaks("set_rotation_period", "A period") && set.is_err() {
            self.kms().set_rotation_period(key_id, None).await?;
        }
        set
    }
}

#[async_trait]
impl KmsProvider for FlawedAdmin {
    fn provider_type(&self) -> &'static str {
        "flawed"
    }

    fn capabilities(&self) -> Capabilities {
        self.kms().capabilities()
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        self.kms().generate_data_key(key_id, context).await
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.kms().wrap_data_key(key_id, plaintext, context).await
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        if self.breaks("rotate_key", "What older") && wrapped.version == KeyVersion::from(1) {
            let info = self.kms().describe_key(&wrapped.key_id).await?;
            if info.primary_version != Some(wrapped.version.clone()) {
                return Err(CryptoError::new(ErrorKind::KeyNotFound, Operation::DecryptDataKey));
            }
        }
        self.kms().decrypt_data_key(wrapped, context).await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.kms().rewrap_data_key(wrapped, to, context).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        self.kms().encrypt(key_id, plaintext, scope).await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        self.kms().decrypt(key_id, ciphertext, scope).await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.kms().describe_key(key_id).await
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        self.kms().health_check().await
    }
}
