//! `KmsAdmin`: managing keys. What may have happened is never done again; [`create`] looks first.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kms::types::Tag;
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeyVersion, KmsAdmin,
    Operation, Result, RotateOptions,
};

use crate::describe::DAY;
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
        let key = self.canonical(operation, key_id).await?;
        let answer = self.ask(operation, Some(&key), |client| {
            client.rotate_key_on_demand().key_id(key.as_str()).send()
        });
        answer.await?;
        Ok(KeyRotationResult::in_place(key, KeyVersion::unknown(), false, self.clock.now()))
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        Err(unstaged(Operation::PromoteKey, key_id))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::EnableKey;
        let key = self.canonical(operation, key_id).await?;
        self.ask(operation, Some(&key), |client| client.enable_key().key_id(key.as_str()).send())
            .await
            .map(drop)
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::DisableKey;
        let key = self.canonical(operation, key_id).await?;
        self.ask(operation, Some(&key), |client| client.disable_key().key_id(key.as_str()).send())
            .await
            .map(drop)
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        let operation = Operation::ScheduleKeyDeletion;
        if !WINDOW.contains(&pending_days) {
            let detail = "AWS KMS destroys a key after a window of 7 to 30 days";
            return Err(invalid(operation, detail).with_key_id(key_id));
        }
        let key = self.canonical(operation, key_id).await?;
        self.delete(operation, &key, pending_days).await?;
        self.describe(operation, &key).await
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::CancelKeyDeletion;
        let key = self.canonical(operation, key_id).await?;
        let answer = self.ask(operation, Some(&key), |client| {
            client.cancel_key_deletion().key_id(key.as_str()).send()
        });
        let not_pending = "its deletion is not scheduled";
        answer.await.map(drop).map_err(|error| instead_of_unusable(error, &key, not_pending))
    }

    /// Keys that this identity may not describe, and keys that neither encrypt nor sign, are left out. The service
    /// lists keys in no order, so every page asks for all ids.
    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let operation = Operation::ListKeys;
        if limit == 0 {
            return Err(invalid(operation, "a page of keys has at least one key"));
        }
        let mut page = Vec::new();
        for key in self.ids(operation, after).await? {
            match self.describe(operation, &key).await {
                Ok(info) => page.push(info),
                Err(error) if is_left_out(error.kind()) => {}
                Err(error) => return Err(error),
            }
            if page.len() == limit.min(MAX_PAGE) {
                break;
            }
        }
        Ok(page)
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        let operation = Operation::TagKey;
        let new = sdk_tags(operation, &tags)?;
        let key = self.canonical(operation, key_id).await?;
        let old = self.tags(operation, &key).await?;
        let gone: Vec<String> =
            old.keys().filter(|name| !tags.contains_key(*name)).cloned().collect();
        // New ones first: a failure in between leaves labels too many, none too few.
        if !new.is_empty() && old != tags {
            let answer = self.ask(operation, Some(&key), |client| {
                client.tag_resource().key_id(key.as_str()).set_tags(Some(new.clone())).send()
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

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let operation = Operation::SetRotationPeriod;
        let days = period.map(|period| {
            whole_days(period).ok_or_else(|| {
                let detail = "AWS KMS rotates a key every 90 to 2560 whole days";
                invalid(operation, detail).with_key_id(key_id)
            })
        });
        let days = days.transpose()?;
        let key = self.canonical(operation, key_id).await?;
        if let Some(days) = days {
            let answer = self.ask(operation, Some(&key), |client| {
                client
                    .enable_key_rotation()
                    .key_id(key.as_str())
                    .rotation_period_in_days(days)
                    .send()
            });
            return answer.await.map(drop);
        }
        let answer = self.ask(operation, Some(&key), |client| {
            client.disable_key_rotation().key_id(key.as_str()).send()
        });
        answer.await.map(drop)
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

    async fn delete(&self, operation: Operation, key: &KeyId, pending_days: u32) -> Result<()> {
        let days = i32::try_from(pending_days).unwrap_or(30);
        let answer = self.ask(operation, Some(key), |client| {
            client.schedule_key_deletion().key_id(key.as_str()).pending_window_in_days(days).send()
        });
        let pending = "its deletion is scheduled already; cancel it to choose another window";
        answer.await.map(drop).map_err(|error| instead_of_unusable(error, key, pending))
    }

    /// The ids after `after`, ascending.
    async fn ids(&self, operation: Operation, after: Option<&KeyId>) -> Result<Vec<KeyId>> {
        let keys = self.ask(operation, None, |client| {
            client
                .list_keys()
                .limit(1_000)
                .into_paginator()
                .items()
                .send()
                .collect::<std::result::Result<Vec<_>, _>>()
        });
        let ids = keys.await?.into_iter().filter_map(|entry| entry.key_arn.map(KeyId::new));
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
