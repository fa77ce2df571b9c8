//! `KmsAdmin`: managing keys. What Google does to one version at a time is done here to all of a key's.
//!
//! Deliberately absent: deleting a key or giving its name free, which the service never does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use gcloud_sdk::google::cloud::kms::v1::crypto_key::CryptoKeyPurpose;
use gcloud_sdk::google::cloud::kms::v1::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Algorithm, CryptoKeyVersionState as State,
};
use prost_types::Timestamp;
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeySpec, KeyState,
    KeyUsage, KmsAdmin, Operation, Result, RotateOptions,
};

use crate::GcpKmsProvider;
use crate::client::Call;
use crate::describe::{Described, Version, duration};
use crate::error::{after, invalid, unsupported};
use crate::manage::NewKey;
use crate::names::{self, KeyName};
use crate::provider::MIN_WINDOW_DAYS;

const DAY: Duration = Duration::from_secs(86_400);
/// 876,000 hours, says the service.
const MAX_PERIOD_DAYS: u64 = 36_500;
const MAX_PAGE: usize = 1_000;

const PENDING: &str = "its versions wait for their destruction; cancel the deletion first";
const DESTROYED: &str = "its versions are destroyed";
const DISABLED: &str = "its primary version is disabled; enable the key first";
const STAGED: &str = "a newer version waits to be promoted; promote or disable it first";

#[async_trait]
impl KmsAdmin for GcpKmsProvider {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let operation = Operation::CreateKey;
        let name = self.ring.key(&config.name).map_err(|error| error.in_operation(operation))?;
        self.on_key(&name.key_id(), operation, async |call, key| {
            check_wish(&config)?;
            let new = NewKey {
                purpose: CryptoKeyPurpose::EncryptDecrypt,
                algorithm: Algorithm::GoogleSymmetricEncryption,
                hsm: self.hsm,
                labels: config.tags,
                destroy_delay: self.destroy_delay,
            };
            call.create_key(key, new, self.clock.as_ref()).await?.told()
        })
        .await
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        self.on_key(key_id, Operation::RotateKey, async |call, key| {
            let described = call.describe(key).await?;
            require_enabled(&described)?;
            if described.staged().is_some() {
                return Err(conflict(STAGED));
            }
            let made = call.create_version(key, self.clock.as_ref()).await?;
            if !options.stage {
                call.make_primary(key, made.number).await?;
            }
            Ok(self.rotated(key, made.number, options.stage))
        })
        .await
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        self.on_key(key_id, Operation::PromoteKey, async |call, key| {
            let described = call.describe(key).await?;
            require_enabled(&described)?;
            let staged =
                described.staged().ok_or_else(|| conflict("no version waits to be promoted"))?;
            call.set_primary(key, staged).await?;
            Ok(self.rotated(key, staged, false))
        })
        .await
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        self.on_key(key_id, Operation::EnableKey, async |call, key| {
            let described = call.describe(key).await?;
            match described.state() {
                KeyState::Enabled => Ok(()),
                KeyState::PendingDeletion => Err(unusable(PENDING)),
                KeyState::Destroyed => Err(unusable(DESTROYED)),
                _ => {
                    let resting = described.versions.iter().filter(|v| v.state == State::Disabled);
                    for (done, version) in resting.enumerate() {
                        let enabled = call.set_state(key, version.number, State::Enabled).await;
                        enabled.map_err(|error| so_far(false, done, "enabled", error))?;
                    }
                    Ok(())
                }
            }
        })
        .await
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        self.on_key(key_id, Operation::DisableKey, async |call, key| {
            let described = call.describe(key).await?;
            let stopped = match described.state() {
                KeyState::PendingDeletion => return Err(unusable(PENDING)),
                KeyState::Destroyed => return Err(unusable(DESTROYED)),
                _ => stop_rotating(call, &described).await?,
            };
            // The newest first: what seals rests before what only opens.
            let enabled = described.versions.iter().rev().filter(|v| v.state == State::Enabled);
            for (done, version) in enabled.enumerate() {
                let disabled = call.set_state(key, version.number, State::Disabled).await;
                disabled.map_err(|error| so_far(stopped, done, "disabled", error))?;
            }
            Ok(())
        })
        .await
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        self.on_key(key_id, Operation::ScheduleKeyDeletion, async |call, key| {
            if pending_days < MIN_WINDOW_DAYS {
                return Err(invalid("Google destroys nothing sooner than after a day"));
            }
            let mut described = call.describe(key).await?;
            match described.state() {
                KeyState::PendingDeletion => {
                    return Err(conflict("its versions wait for their destruction already"));
                }
                KeyState::Destroyed => return Err(unusable(DESTROYED)),
                _ => check_window(&described, pending_days)?,
            }
            // What could not be described afterwards is not deleted here.
            described.told()?;
            let stopped = stop_rotating(call, &described).await?;
            schedule(call, &mut described, stopped).await?;
            described.told()
        })
        .await
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        self.on_key(key_id, Operation::CancelKeyDeletion, async |call, key| {
            let described = call.describe(key).await?;
            if !described.any(State::DestroyScheduled) {
                return Err(conflict("none of its versions waits for its destruction"));
            }
            let waiting = described.versions.iter().filter(|v| v.state == State::DestroyScheduled);
            for (done, version) in waiting.enumerate() {
                let restored = call.restore_version(key, version.number).await;
                restored.map_err(|error| so_far(false, done, "restored", error))?;
            }
            Ok(())
        })
        .await
    }

    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let call = self.client.call();
        let listed = async {
            if limit == 0 {
                return Err(invalid("a page of keys has at least one key"));
            }
            let after = after.map(|after| KeyName::parse(after, &self.ring)).transpose()?;
            let keys = call.keys(&self.ring).await?;
            let beyond = |name: &KeyName| after.as_ref().is_none_or(|a| name.as_str() > a.as_str());
            let keys = keys.into_iter().filter(|(name, _)| beyond(name));
            let mut described = call.all_with_versions(keys);
            let mut page = Vec::new();
            while let Some(described) = described.next().await {
                // Keys of other kinds are left out.
                page.extend(described?.told().ok());
                if page.len() == limit.min(MAX_PAGE) {
                    break;
                }
            }
            Ok(page)
        };
        listed.await.map_err(|error: CryptoError| match error.operation() {
            Operation::LogIn => error,
            _ => error.in_operation(Operation::ListKeys),
        })
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        self.on_key(key_id, Operation::TagKey, async |call, key| call.set_labels(key, tags).await)
            .await
    }

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        self.on_key(key_id, Operation::SetRotationPeriod, async |call, key| {
            let schedule = match period {
                Some(period) => Some((check_period(period)?, self.after(period)?)),
                None => None,
            };
            call.set_schedule(key, schedule).await
        })
        .await
    }
}

impl GcpKmsProvider {
    fn rotated(&self, key: &KeyName, number: u64, staged: bool) -> KeyRotationResult {
        let version = names::version(number);
        KeyRotationResult::in_place(key.key_id(), version, staged, self.clock.now())
    }

    /// The time when `period` from now has passed.
    pub(crate) fn after(&self, period: Duration) -> Result<Timestamp> {
        let since = self.clock.now().duration_since(SystemTime::UNIX_EPOCH);
        let then = since.ok().and_then(|since| since.checked_add(period));
        let seconds = then.and_then(|then| i64::try_from(then.as_secs()).ok());
        let seconds = seconds.ok_or_else(|| invalid("this machine's clock is wrong"))?;
        Ok(Timestamp { seconds, nanos: 0 })
    }
}

/// A key that rotates by itself would come back with a new primary version. Whether it did.
async fn stop_rotating(call: Call<'_>, described: &Described) -> Result<bool> {
    let key = &described.key;
    let rotates = key.rotation_schedule.is_some() || key.next_rotation_time.is_some();
    if rotates {
        call.set_schedule(&described.name, None).await?;
    }
    Ok(rotates)
}

/// Has every version destroyed that lives, the newest first, and keeps what the service says of each.
async fn schedule(call: Call<'_>, described: &mut Described, stopped: bool) -> Result<()> {
    let Described { name, key, versions } = described;
    key.rotation_schedule = None;
    let lives = |version: &&mut Version| matches!(version.state, State::Enabled | State::Disabled);
    for (done, version) in versions.iter_mut().rev().filter(lives).enumerate() {
        let doomed = call.destroy_version(name, version.number).await;
        *version = doomed.map_err(|error| so_far(stopped, done, "scheduled", error))?;
    }
    Ok(())
}

/// A failure when the key has lost its rotation period, or some of its versions are changed already.
fn so_far(stopped: bool, changed: usize, what: &str, error: CryptoError) -> CryptoError {
    let mut done = Vec::new();
    if stopped {
        done.push("the key no longer rotates by itself".to_owned());
    }
    if changed > 0 {
        done.push(format!("{changed} of its versions are {what}"));
    }
    if done.is_empty() {
        return error;
    }
    after(format!("{}, the rest is not known to be done", done.join(" and ")), error)
}

/// What this service can make of a wish.
fn check_wish(config: &KeyConfig) -> Result<()> {
    if !config.description.is_empty() {
        return Err(unsupported("Google's keys carry no description; use labels"));
    }
    if config.usage != KeyUsage::EncryptDecrypt || config.spec != KeySpec::Symmetric256 {
        return Err(unsupported(
            "data keys are wrapped by symmetric keys here; `CloudKmsClient` makes RSA keys",
        ));
    }
    Ok(())
}

pub(crate) fn check_period(period: Duration) -> Result<Duration> {
    let days = period.as_secs() / DAY.as_secs();
    let whole = period == DAY * u32::try_from(days).unwrap_or(u32::MAX);
    if whole && (1..=MAX_PERIOD_DAYS).contains(&days) {
        return Ok(period);
    }
    Err(invalid("a key rotates every 1 to 36500 whole days"))
}

/// Nothing is destroyed sooner than asked: the key's own delay, which never changes, must be long enough.
fn check_window(described: &Described, pending_days: u32) -> Result<()> {
    let delay = described.key.destroy_scheduled_duration.as_ref().and_then(duration);
    if delay.is_some_and(|delay| delay >= DAY * pending_days) {
        return Ok(());
    }
    Err(invalid(format!(
        "this key's versions are destroyed {} after they are told to be, which would be sooner than in {pending_days} days; the delay was set when the key was made",
        match delay {
            Some(delay) => format!("{} hours", delay.as_secs() / 3_600),
            None => "some time".to_owned(),
        }
    )))
}

fn require_enabled(described: &Described) -> Result<()> {
    match described.state() {
        KeyState::Enabled => Ok(()),
        KeyState::PendingDeletion => Err(unusable(PENDING)),
        KeyState::Destroyed => Err(unusable(DESTROYED)),
        _ => Err(unusable(DISABLED)),
    }
}

fn unusable(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::KeyUnusable, Operation::Configure).with_detail(detail)
}

fn conflict(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Conflict, Operation::Configure).with_detail(detail)
}
