//! `KmsAdmin`: managing keys. What may have happened is never done again; [`create`] looks first.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kms::types::Tag;
use futures_util::future::join_all;
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeyState, KeyVersion,
    KmsAdmin, Operation, Result, RotateOptions,
};

use crate::describe::{DAY, time};
use crate::error::invalid;
use crate::names;
use crate::provider::AwsKmsProvider;

mod create;

/// Shortest and longest window before a key is destroyed, in days.
const WINDOW: std::ops::RangeInclusive<u32> = 7..=30;
/// Shortest and longest period between rotations, in days.
const PERIOD: std::ops::RangeInclusive<u64> = 90..=2_560;
/// Most keys on a page.
const MAX_PAGE: usize = 1_000;
/// Most keys that are described at a time.
const AT_ONCE: usize = 8;

#[async_trait]
impl KmsAdmin for AwsKmsProvider {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        self.create(config).await
    }

    /// The service begins the rotation and ends it by itself, as a rule within seconds.
    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let operation = Operation::RotateKey;
        if options.stage {
            return Err(unstaged(operation, key_id));
        }
        let rotated = async {
            let key = self.canonical(operation, key_id).await?;
            let answer = self.ask(operation, Some(&key), |client| {
                client.rotate_key_on_demand().key_id(key.as_str()).send()
            });
            answer.await.map(|_| key)
        };
        let key = self.within(operation, Some(key_id), rotated).await?;
        Ok(KeyRotationResult::in_place(key, KeyVersion::unknown(), false, self.clock.now()))
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        Err(unstaged(Operation::PromoteKey, key_id))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::EnableKey;
        let enabled = async {
            let key = self.canonical(operation, key_id).await?;
            self.ask(operation, Some(&key), |client| {
                client.enable_key().key_id(key.as_str()).send()
            })
            .await
        };
        self.within(operation, Some(key_id), enabled).await.map(drop)
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::DisableKey;
        let disabled = async {
            let key = self.canonical(operation, key_id).await?;
            self.ask(operation, Some(&key), |client| {
                client.disable_key().key_id(key.as_str()).send()
            })
            .await
        };
        self.within(operation, Some(key_id), disabled).await.map(drop)
    }

    /// The key is described first: what is told after its deletion is scheduled cannot fail.
    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        let operation = Operation::ScheduleKeyDeletion;
        if !WINDOW.contains(&pending_days) {
            let detail = "AWS KMS destroys a key after a window of 7 to 30 days";
            return Err(invalid(operation, detail).with_key_id(key_id));
        }
        let scheduled = async {
            let mut info = self.describe(operation, key_id).await?;
            info.deletion_at = self.delete(operation, &info.key_id, pending_days).await?;
            info.state = KeyState::PendingDeletion;
            info.versions.iter_mut().for_each(|version| version.state = info.state);
            Ok(info)
        };
        self.within(operation, Some(key_id), scheduled).await
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::CancelKeyDeletion;
        let cancelled = async {
            let key = self.canonical(operation, key_id).await?;
            let answer = self.ask(operation, Some(&key), |client| {
                client.cancel_key_deletion().key_id(key.as_str()).send()
            });
            let not_pending = "its deletion is not scheduled";
            answer.await.map_err(|error| instead_of_unusable(error, &key, not_pending))
        };
        self.within(operation, Some(key_id), cancelled).await.map(drop)
    }

    /// Keys that this identity may not describe, and keys that neither encrypt nor sign, are left out. The service
    /// lists keys in no order, so every page asks for all ids.
    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let operation = Operation::ListKeys;
        if limit == 0 {
            return Err(invalid(operation, "a page of keys has at least one key"));
        }
        let page = self.page(operation, after, limit.min(MAX_PAGE));
        self.within(operation, None, page).await
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        let operation = Operation::TagKey;
        let new = sdk_tags(operation, &tags)?;
        self.within(operation, Some(key_id), self.tag(operation, key_id, &tags, &new)).await
    }

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let operation = Operation::SetRotationPeriod;
        let days = period.map(|period| {
            whole_days(period).ok_or_else(|| {
                let detail = "AWS KMS rotates a key every 90 to 2560 whole days";
                invalid(operation, detail).with_key_id(key_id)
            })
        });
        let set = self.rotate_every(operation, key_id, days.transpose()?);
        self.within(operation, Some(key_id), set).await
    }
}

impl AwsKmsProvider {
    /// The ARN of the key, which most of these calls want; an alias is looked up.
    async fn canonical(&self, operation: Operation, key_id: &KeyId) -> Result<KeyId> {
        self.check(operation, key_id)?;
        match names::canonical(key_id) {
            Some(canonical) => Ok(canonical),
            None => Ok(self.metadata(operation, key_id).await?.0),
        }
    }

    /// Says when the key will be destroyed, if the service does.
    async fn delete(
        &self,
        operation: Operation,
        key: &KeyId,
        pending_days: u32,
    ) -> Result<Option<SystemTime>> {
        let days = i32::try_from(pending_days).unwrap_or(30);
        let answer = self.ask(operation, Some(key), |client| {
            client.schedule_key_deletion().key_id(key.as_str()).pending_window_in_days(days).send()
        });
        let pending = "its deletion is scheduled already; cancel it to choose another window";
        let answer = answer.await.map_err(|error| instead_of_unusable(error, key, pending))?;
        Ok(answer.deletion_date().and_then(time))
    }

    async fn tag(
        &self,
        operation: Operation,
        key_id: &KeyId,
        tags: &BTreeMap<String, String>,
        new: &[Tag],
    ) -> Result<()> {
        let key = self.canonical(operation, key_id).await?;
        let old = self.tags(operation, &key).await?;
        let gone: Vec<String> =
            old.keys().filter(|name| !tags.contains_key(*name)).cloned().collect();
        // New ones first: a failure in between leaves labels too many, none too few.
        if !new.is_empty() && old != *tags {
            let answer = self.ask(operation, Some(&key), |client| {
                client.tag_resource().key_id(key.as_str()).set_tags(Some(new.to_vec())).send()
            });
            answer.await?;
        }
        if gone.is_empty() {
            return Ok(());
        }
        let answer = self.ask(operation, Some(&key), |client| {
            client.untag_resource().key_id(key.as_str()).set_tag_keys(Some(gone.clone())).send()
        });
        answer.await.map(drop)
    }

    async fn rotate_every(
        &self,
        operation: Operation,
        key_id: &KeyId,
        days: Option<i32>,
    ) -> Result<()> {
        let key = self.canonical(operation, key_id).await?;
        let Some(days) = days else {
            let answer = self.ask(operation, Some(&key), |client| {
                client.disable_key_rotation().key_id(key.as_str()).send()
            });
            return answer.await.map(drop);
        };
        let answer = self.ask(operation, Some(&key), |client| {
            let call = client.enable_key_rotation().key_id(key.as_str());
            call.rotation_period_in_days(days).send()
        });
        answer.await.map(drop)
    }

    /// Up to `limit` keys after `after`, ascending. Several are described at once: each takes four questions.
    async fn page(
        &self,
        operation: Operation,
        after: Option<&KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyInfo>> {
        let ids = self.ids(operation, after).await?;
        let (mut page, mut ids) = (Vec::new(), ids.as_slice());
        while page.len() < limit && !ids.is_empty() {
            let some = ids.len().min(limit - page.len()).min(AT_ONCE);
            let (now, later) = ids.split_at(some);
            for told in join_all(now.iter().map(|key| self.describe(operation, key))).await {
                match told {
                    Ok(info) => page.push(info),
                    Err(error) if is_left_out(error.kind()) => {}
                    Err(error) => return Err(error),
                }
            }
            ids = later;
        }
        Ok(page)
    }

    /// The ids after `after`, ascending.
    async fn ids(&self, operation: Operation, after: Option<&KeyId>) -> Result<Vec<KeyId>> {
        let page = |marker: Option<String>| async move {
            let answer = self.ask(operation, None, |client| {
                client.list_keys().limit(1_000).set_marker(marker.clone()).send()
            });
            let answer = answer.await?;
            Ok((answer.keys.unwrap_or_default(), answer.next_marker))
        };
        let keys = self.list(operation, None, page).await?;
        let ids = keys.into_iter().filter_map(|entry| entry.key_arn.map(KeyId::new));
        let mut ids: Vec<KeyId> = ids.filter(|id| after.is_none_or(|after| id > after)).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }
}

fn unstaged(operation: Operation, key_id: &KeyId) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, operation).with_key_id(key_id).with_detail(
        "AWS KMS rotates a key at once and for every reader; nothing waits to be promoted",
    )
}

/// The state is what was asked to be changed: it being another one is a conflict.
fn instead_of_unusable(error: CryptoError, key: &KeyId, detail: &'static str) -> CryptoError {
    if error.kind() != ErrorKind::KeyUnusable {
        return error;
    }
    CryptoError::new(ErrorKind::Conflict, error.operation()).with_key_id(key).with_detail(detail)
}

fn is_left_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::KeyNotFound)
}

fn whole_days(period: Duration) -> Option<i32> {
    let days = period.as_secs() / DAY;
    let whole = Duration::from_secs(days * DAY) == period;
    i32::try_from(days).ok().filter(|_| whole && PERIOD.contains(&days))
}

fn sdk_tags(operation: Operation, tags: &BTreeMap<String, String>) -> Result<Vec<Tag>> {
    let fits = |(name, value): (&String, &String)| {
        (1..=128).contains(&name.chars().count())
            && value.chars().count() <= 256
            && !name.starts_with("aws:")
    };
    if tags.len() > 50 || !tags.iter().all(fits) {
        let detail = "AWS KMS keeps up to 50 labels: names of 1 to 128 characters not beginning with aws:, values of up to 256";
        return Err(invalid(operation, detail));
    }
    let tag = |(name, value): (&String, &String)| {
        Tag::builder().tag_key(name).tag_value(value).build().ok()
    };
    Ok(tags.iter().filter_map(tag).collect())
}
