//! Managing the keys of a [`MemoryKms`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeySpec, KeyState,
    KeyUsage, KmsAdmin, Operation, Result, RotateOptions,
};

use super::MemoryKms;
use super::store::Key;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl KmsAdmin for MemoryKms {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let mut store = self.counted(Operation::CreateKey);
        if config.usage != KeyUsage::EncryptDecrypt || config.spec != KeySpec::Symmetric256 {
            return Err(unsupported(Operation::CreateKey));
        }
        let can = &self.capabilities;
        let kept = (config.tags.is_empty() || can.tags)
            && (config.description.is_empty() || can.descriptions);
        if !kept {
            return Err(unsupported(Operation::CreateKey));
        }
        let name = config.name.clone();
        KeyId::new(name.as_str()).check()?;
        let key = Key::new(config, &*self.random, self.clock.now())?;
        let key_id = store.add(&name, key)?;
        let (key_id, key) = store.find(&key_id, Operation::CreateKey)?;
        Ok(key.describe(key_id, &self.capabilities))
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let mut store = self.counted(Operation::RotateKey);
        if options.stage && !self.capabilities.staged_rotation {
            return Err(unsupported(Operation::RotateKey));
        }
        let canonical = store.canonical(key_id);
        let key = store.find_mut(key_id, Operation::RotateKey)?;
        key.must_be_enabled(&canonical, Operation::RotateKey)?;
        let now = self.clock.now();
        let version = self.reported(key.rotate(options.stage, &*self.random, now)?);
        Ok(KeyRotationResult::in_place(canonical, version, options.stage, now))
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        let mut store = self.counted(Operation::PromoteKey);
        if !self.capabilities.staged_rotation {
            return Err(unsupported(Operation::PromoteKey));
        }
        let canonical = store.canonical(key_id);
        let key = store.find_mut(key_id, Operation::PromoteKey)?;
        key.must_be_enabled(&canonical, Operation::PromoteKey)?;
        let now = self.clock.now();
        let version = self.reported(key.promote(now)?);
        Ok(KeyRotationResult::in_place(canonical, version, false, now))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let mut store = self.counted(Operation::EnableKey);
        if !self.capabilities.disabling {
            return Err(unsupported(Operation::EnableKey));
        }
        let key = store.find_mut(key_id, Operation::EnableKey)?;
        must_not_be_pending(key, key_id, Operation::EnableKey)?;
        key.state = KeyState::Enabled;
        Ok(())
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let mut store = self.counted(Operation::DisableKey);
        if !self.capabilities.disabling {
            return Err(unsupported(Operation::DisableKey));
        }
        let key = store.find_mut(key_id, Operation::DisableKey)?;
        must_not_be_pending(key, key_id, Operation::DisableKey)?;
        key.state = KeyState::Disabled;
        Ok(())
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        let mut store = self.counted(Operation::ScheduleKeyDeletion);
        let Some(shortest) = self.capabilities.deletion_window_days else {
            return Err(unsupported(Operation::ScheduleKeyDeletion));
        };
        if pending_days < shortest {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::ScheduleKeyDeletion)
                .with_detail(format!("the deletion window has at least {shortest} days")));
        }
        let key = store.find_mut(key_id, Operation::ScheduleKeyDeletion)?;
        must_not_be_pending(key, key_id, Operation::ScheduleKeyDeletion)?;
        key.state = KeyState::PendingDeletion;
        key.deletion_at = Some(self.clock.now() + DAY.saturating_mul(pending_days));
        let (key_id, key) = store.find(key_id, Operation::ScheduleKeyDeletion)?;
        Ok(key.describe(key_id, &self.capabilities))
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let mut store = self.counted(Operation::CancelKeyDeletion);
        let key = store.find_mut(key_id, Operation::CancelKeyDeletion)?;
        if key.deletion_at.take().is_none() {
            return Err(CryptoError::new(ErrorKind::Conflict, Operation::CancelKeyDeletion)
                .with_key_id(key_id)
                .with_detail("no deletion is pending"));
        }
        key.state = KeyState::Disabled;
        Ok(())
    }

    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let store = self.counted(Operation::ListKeys);
        let page = store.after(after).take(limit);
        Ok(page.map(|(id, key)| key.describe(id.clone(), &self.capabilities)).collect())
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        let mut store = self.counted(Operation::TagKey);
        if !self.capabilities.tags {
            return Err(unsupported(Operation::TagKey));
        }
        store.find_mut(key_id, Operation::TagKey)?.set_tags(tags);
        Ok(())
    }

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let mut store = self.counted(Operation::SetRotationPeriod);
        if !self.capabilities.rotation_period {
            return Err(unsupported(Operation::SetRotationPeriod));
        }
        period.map_or(Ok(()), check_period)?;
        store.find_mut(key_id, Operation::SetRotationPeriod)?.rotation_period = period;
        Ok(())
    }
}

/// A day to ten years.
fn check_period(period: Duration) -> Result<()> {
    if (DAY..=DAY * 3_650).contains(&period) {
        return Ok(());
    }
    Err(CryptoError::new(ErrorKind::InvalidInput, Operation::SetRotationPeriod)
        .with_detail("a key rotates by itself after 1 to 3650 days"))
}

fn must_not_be_pending(key: &Key, key_id: &KeyId, operation: Operation) -> Result<()> {
    if key.state == KeyState::PendingDeletion {
        return Err(CryptoError::new(ErrorKind::KeyUnusable, operation)
            .with_key_id(key_id)
            .with_detail("its deletion is pending: cancel that first"));
    }
    Ok(())
}

pub(super) fn unsupported(operation: Operation) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, operation)
        .with_detail("this service does not declare the capability")
}
