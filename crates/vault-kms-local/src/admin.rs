//! `KmsAdmin`: managing keys. Every change is one new key file under the lock.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use vault_crypto_core::{
    KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeyVersion, KmsAdmin, Operation, Result,
    RotateOptions,
};

use crate::client::LocalKms;
use crate::error::{conflict, invalid};
use crate::provider::{no_such_key, unusable};
use crate::record::{self, Key, Keys, State};

/// Shortest window before a key is destroyed.
pub(crate) const MIN_WINDOW_DAYS: u32 = 7;
const MAX_WINDOW_DAYS: u32 = 30;
const DAY_MILLIS: u64 = 86_400_000;
const MAX_PAGE: usize = 1_000;

const PENDING: &str = "it is pending deletion; cancel the deletion first";
const DESTROYED: &str = "its deletion window has passed and its material is gone";

#[async_trait]
impl KmsAdmin for LocalKms {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let created = self.change(|keys, now| {
            record::check_new_name(keys, &config.name)?;
            let key = Key::create(&config, now, || self.disk.new_material())?;
            let info = key.describe(self.store_id.key_id(&config.name), now);
            keys.insert(config.name, key);
            Ok((info, true))
        });
        created.await.map_err(|error| error.in_operation(Operation::CreateKey))
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let rotated = self.change_key(key_id, |canonical, key, now| {
            require_enabled(canonical, key)?;
            let version = key.rotate(options.stage, now, || self.disk.new_material())?;
            Ok((rotation(canonical, version, options.stage, now), true))
        });
        rotated.await.map_err(|error| error.in_operation(Operation::RotateKey))
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        let promoted = self.change_key(key_id, |canonical, key, now| {
            require_enabled(canonical, key)?;
            let version = key.promote(now)?;
            Ok((rotation(canonical, version, false, now), true))
        });
        promoted.await.map_err(|error| error.in_operation(Operation::PromoteKey))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let enabled = self.change_key(key_id, |canonical, key, _| match key.state {
            State::Enabled => Ok(((), false)),
            State::Disabled => {
                key.state = State::Enabled;
                Ok(((), true))
            }
            State::PendingDeletion { .. } => Err(unusable(canonical, PENDING)),
            State::Destroyed => Err(unusable(canonical, DESTROYED)),
        });
        enabled.await.map_err(|error| error.in_operation(Operation::EnableKey))
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let disabled = self.change_key(key_id, |canonical, key, _| match key.state {
            State::Disabled => Ok(((), false)),
            State::Enabled => {
                key.state = State::Disabled;
                Ok(((), true))
            }
            State::PendingDeletion { .. } => Err(unusable(canonical, PENDING)),
            State::Destroyed => Err(unusable(canonical, DESTROYED)),
        });
        disabled.await.map_err(|error| error.in_operation(Operation::DisableKey))
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        if !(MIN_WINDOW_DAYS..=MAX_WINDOW_DAYS).contains(&pending_days) {
            return Err(invalid("a key is destroyed after a window of 7 to 30 days")
                .with_key_id(key_id)
                .in_operation(Operation::ScheduleKeyDeletion));
        }
        let scheduled = self.change_key(key_id, |canonical, key, now| match key.state {
            State::Enabled | State::Disabled => {
                let window = u64::from(pending_days) * DAY_MILLIS;
                key.state = State::PendingDeletion { until_millis: now.saturating_add(window) };
                Ok((key.describe(canonical.clone(), now), true))
            }
            State::PendingDeletion { .. } => Err(conflict(
                "its deletion is scheduled already; cancel it to choose another window",
            )),
            State::Destroyed => Err(unusable(canonical, DESTROYED)),
        });
        scheduled.await.map_err(|error| error.in_operation(Operation::ScheduleKeyDeletion))
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let cancelled = self.change_key(key_id, |_, key, _| match key.state {
            State::PendingDeletion { .. } => {
                key.state = State::Disabled;
                Ok(((), true))
            }
            State::Destroyed => Err(conflict(DESTROYED)),
            State::Enabled | State::Disabled => Err(conflict("its deletion is not scheduled")),
        });
        cancelled.await.map_err(|error| error.in_operation(Operation::CancelKeyDeletion))
    }

    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        self.list(after, limit).map_err(|error| error.in_operation(Operation::ListKeys))
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        let tagged = self.change_key(key_id, |_, key, _| {
            record::check_tags(&tags)?;
            let changed = key.tags != tags;
            key.tags = tags;
            Ok(((), changed))
        });
        tagged.await.map_err(|error| error.in_operation(Operation::TagKey))
    }
}

impl LocalKms {
    /// Marks a key whose material somebody else may know. It stays usable, so that its data can be
    /// moved to another key; the mark is never cleared.
    ///
    /// # Errors
    /// `KeyNotFound`, or as [`open`](Self::open).
    pub async fn mark_compromised(&self, key_id: &KeyId) -> Result<()> {
        self.change_key(key_id, |_, key, _| {
            let changed = !key.compromised;
            key.compromised = true;
            Ok(((), changed))
        })
        .await
    }

    fn list(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        if limit == 0 {
            return Err(invalid("a page of keys has at least one key"));
        }
        let loaded = self.current()?;
        let now = self.now_millis();
        let start = match after {
            Some(key_id) => Bound::Excluded(self.store_id.name_in(key_id)?),
            None => Bound::Unbounded,
        };
        let rest = loaded.keys.range::<str, _>((start, Bound::Unbounded));
        let page = rest.take(limit.min(MAX_PAGE));
        Ok(page.map(|(name, key)| key.describe(self.store_id.key_id(name), now)).collect())
    }

    async fn change_key<T: Send>(
        &self,
        key_id: &KeyId,
        change: impl FnOnce(&KeyId, &mut Key, u64) -> Result<(T, bool)> + Send,
    ) -> Result<T> {
        let name = self.store_id.name_in(key_id)?;
        self.change(|keys: &mut Keys, now| {
            let key = keys.get_mut(name).ok_or_else(|| no_such_key(key_id))?;
            let canonical = self.store_id.key_id(name);
            change(&canonical, key, now).map_err(|error| error.with_key_id(&canonical))
        })
        .await
    }
}

fn require_enabled(key_id: &KeyId, key: &Key) -> Result<()> {
    match key.state {
        State::Enabled => Ok(()),
        State::Disabled => Err(unusable(key_id, "it is disabled; enable it first")),
        State::PendingDeletion { .. } => Err(unusable(key_id, PENDING)),
        State::Destroyed => Err(unusable(key_id, DESTROYED)),
    }
}

fn rotation(key_id: &KeyId, version: u32, staged: bool, now_millis: u64) -> KeyRotationResult {
    let at = record::time(now_millis);
    KeyRotationResult::in_place(key_id.clone(), KeyVersion::from(version), staged, at)
}
