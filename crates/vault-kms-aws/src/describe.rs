//! What AWS KMS says of a key, of itself and of its time.
//!
//! A description is made of up to four answers. The first must be had; the others (rotation, its history, the
//! labels) are asked for together and are rights of their own: where they are refused or not there, their fields
//! stay empty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_sdk_kms::primitives::DateTime;
use aws_sdk_kms::types::{
    IncludeKeyMaterial, KeyMaterialState, KeyMetadata, KeySpec as AwsSpec, KeyState as AwsState,
    KeyUsageType, RotationsListEntry,
};
use futures_util::future::join;
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyId, KeyInfo, KeySpec, KeyState, KeyUsage, KeyVersion,
    KeyVersionInfo, Operation, Result,
};

use crate::error::{Fault, broken_answer, http_date};
use crate::names;
use crate::provider::AwsKmsProvider;

/// Length of a day in seconds.
pub(crate) const DAY: u64 = 86_400;

impl AwsKmsProvider {
    pub(crate) async fn describe(&self, operation: Operation, key_id: &KeyId) -> Result<KeyInfo> {
        let (canonical, metadata) = self.metadata(operation, key_id).await?;
        let mut info = of_metadata(operation, canonical, &metadata)?;
        let rotation = async {
            if info.spec != KeySpec::Symmetric256 {
                return Ok((None, Vec::new()));
            }
            let period = self.rotation_period(operation, &info.key_id);
            let (period, all) = join(period, self.rotations(operation, &info.key_id)).await;
            Ok((optional(period)?.flatten(), optional(all)?.unwrap_or_default()))
        };
        let (rotation, tags) = join(rotation, self.tags(operation, &info.key_id)).await;
        let (period, rotations) = rotation?;
        info.rotation_period = period;
        add_rotations(&mut info, &rotations);
        info.tags = optional(tags)?.unwrap_or_default();
        Ok(info)
    }

    /// The key's canonical id and what the service says first of it. Takes an alias too.
    pub(crate) async fn metadata(
        &self,
        operation: Operation,
        key_id: &KeyId,
    ) -> Result<(KeyId, KeyMetadata)> {
        self.check(operation, key_id)?;
        let answer = self.ask(operation, Some(key_id), |client| {
            client.describe_key().key_id(key_id.as_str()).send()
        });
        let missing =
            || broken_answer(operation, key_id, "the service answers without a description");
        let metadata = answer.await?.key_metadata.ok_or_else(missing)?;
        let canonical = names::answered(operation, key_id, metadata.arn())?;
        Ok((canonical, metadata))
    }

    async fn rotation_period(&self, operation: Operation, key: &KeyId) -> Result<Option<Duration>> {
        let answer = self.ask(operation, Some(key), |client| {
            client.get_key_rotation_status().key_id(key.as_str()).send()
        });
        let answer = answer.await?;
        let days = answer.rotation_period_in_days.and_then(|days| u64::try_from(days).ok());
        Ok(days.filter(|_| answer.key_rotation_enabled).map(|days| Duration::from_secs(days * DAY)))
    }

    async fn rotations(
        &self,
        operation: Operation,
        key: &KeyId,
    ) -> Result<Vec<RotationsListEntry>> {
        let page = |marker: Option<String>| async move {
            let answer = self.ask(operation, Some(key), |client| {
                let call = client.list_key_rotations().key_id(key.as_str());
                let call = call.include_key_material(IncludeKeyMaterial::AllKeyMaterial);
                call.set_marker(marker.clone()).send()
            });
            let answer = answer.await?;
            Ok((answer.rotations.unwrap_or_default(), answer.next_marker))
        };
        self.list(operation, Some(key), page).await
    }

    pub(crate) async fn tags(
        &self,
        operation: Operation,
        key: &KeyId,
    ) -> Result<BTreeMap<String, String>> {
        let page = |marker: Option<String>| async move {
            let answer = self.ask(operation, Some(key), |client| {
                let call = client.list_resource_tags().key_id(key.as_str());
                call.set_marker(marker.clone()).send()
            });
            let answer = answer.await?;
            Ok((answer.tags.unwrap_or_default(), answer.next_marker))
        };
        let tags = self.list(operation, Some(key), page).await?;
        Ok(tags.into_iter().map(|tag| (tag.tag_key, tag.tag_value)).collect())
    }

    /// Asks the cheapest question that changes nothing, and keeps the answer's date.
    pub(crate) async fn probe(&self) -> (Option<SystemTime>, std::result::Result<(), Fault>) {
        let date = CaptureDate::default();
        let answer = self.try_ask(|client| {
            client.list_keys().limit(1).customize().interceptor(date.clone()).send()
        });
        let outcome = self.in_time(answer).await.unwrap_or_else(|| Err(Fault::timed_out()));
        (date.take(), outcome.map(drop))
    }
}

/// What may be refused without the description failing.
fn optional<T>(answer: Result<T>) -> Result<Option<T>> {
    let left_out = [ErrorKind::PermissionDenied, ErrorKind::Unsupported, ErrorKind::KeyUnusable];
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if left_out.contains(&error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn of_metadata(
    operation: Operation,
    canonical: KeyId,
    metadata: &KeyMetadata,
) -> Result<KeyInfo> {
    let foreign = || {
        CryptoError::new(ErrorKind::Unsupported, operation)
            .with_key_id(&canonical)
            .with_detail("this is no key for encrypting or signing with a symmetric or an RSA key")
    };
    let usage = match metadata.key_usage() {
        Some(KeyUsageType::EncryptDecrypt) => KeyUsage::EncryptDecrypt,
        Some(KeyUsageType::SignVerify) => KeyUsage::SignVerify,
        _ => return Err(foreign()),
    };
    let spec = match metadata.key_spec() {
        // Older servers do not tell it of the only kind that they have.
        Some(AwsSpec::SymmetricDefault) | None => KeySpec::Symmetric256,
        Some(AwsSpec::Rsa2048) => KeySpec::Rsa { bits: 2_048 },
        Some(AwsSpec::Rsa3072) => KeySpec::Rsa { bits: 3_072 },
        Some(AwsSpec::Rsa4096) => KeySpec::Rsa { bits: 4_096 },
        _ => return Err(foreign()),
    };
    let mut info = KeyInfo::new(canonical, state(metadata.key_state()));
    info.usage = usage;
    info.spec = spec;
    info.description = metadata.description().unwrap_or_default().to_owned();
    info.created_at = metadata.creation_date().and_then(time);
    info.primary_version = metadata.current_key_material_id().and_then(version);
    if info.state == KeyState::PendingDeletion {
        info.deletion_at = metadata.deletion_date().and_then(time);
    }
    Ok(info)
}

/// A key that cannot be used, for whatever reason that can pass, is disabled to us.
fn state(told: Option<&AwsState>) -> KeyState {
    match told {
        // The primary region moves; the key works meanwhile.
        Some(AwsState::Enabled | AwsState::Updating) => KeyState::Enabled,
        Some(AwsState::PendingDeletion | AwsState::PendingReplicaDeletion) => {
            KeyState::PendingDeletion
        }
        // Disabled, Creating, PendingImport, Unavailable, and what later versions of the service say.
        _ => KeyState::Disabled,
    }
}

fn add_rotations(info: &mut KeyInfo, rotations: &[RotationsListEntry]) {
    info.rotated_at = rotations.iter().filter_map(rotated_at).max();
    let mut entries: Vec<&RotationsListEntry> = rotations.iter().collect();
    // The first material has no date of rotation, and stands first.
    entries.sort_by_key(|entry| rotated_at(entry));
    for entry in entries {
        let Some(version) = entry.key_material_id().and_then(version) else { continue };
        let state = match entry.key_material_state() {
            _ if info.state != KeyState::Enabled => info.state,
            Some(KeyMaterialState::Current) => KeyState::Enabled,
            Some(KeyMaterialState::NonCurrent) => KeyState::DecryptOnly,
            // Imported, and waiting for the rotation that will use it.
            Some(_) => KeyState::Staged,
            None => continue,
        };
        if entry.key_material_state() == Some(&KeyMaterialState::Current) {
            info.primary_version = Some(version.clone());
        }
        info.versions.push(KeyVersionInfo::new(version, state, rotated_at(entry)));
    }
}

fn rotated_at(entry: &RotationsListEntry) -> Option<SystemTime> {
    entry.rotation_date().and_then(time)
}

fn version(told: &str) -> Option<KeyVersion> {
    KeyVersion::new(told).ok().filter(KeyVersion::is_known)
}

pub(crate) fn time(told: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*told).ok()
}

/// Keeps the header `Date` of an answer, whatever the answer is.
#[derive(Debug, Clone, Default)]
struct CaptureDate(Arc<Mutex<Option<SystemTime>>>);

impl CaptureDate {
    fn take(&self) -> Option<SystemTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for CaptureDate {
    fn name(&self) -> &'static str {
        "CaptureDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(http_date);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    fn entry(material: &str, state: KeyMaterialState, rotated: Option<i64>) -> RotationsListEntry {
        let entry =
            RotationsListEntry::builder().key_material_id(material).key_material_state(state);
        entry.set_rotation_date(rotated.map(DateTime::from_secs)).build()
    }

    /// LocalStack does not list rotations, so their shape is proved here.
    #[test]
    fn versions_stand_oldest_first_with_their_states() {
        let mut info = KeyInfo::new(ARN.into(), KeyState::Enabled);
        let entries = [
            entry("c3", KeyMaterialState::Current, Some(30)),
            entry("a1", KeyMaterialState::NonCurrent, None),
            entry("b2", KeyMaterialState::NonCurrent, Some(20)),
            entry("not a version", KeyMaterialState::NonCurrent, Some(10)),
        ];
        add_rotations(&mut info, &entries);
        let told: Vec<_> = info.versions.iter().map(|v| (v.version.as_str(), v.state)).collect();
        let old = KeyState::DecryptOnly;
        assert_eq!(told, [("a1", old), ("b2", old), ("c3", KeyState::Enabled)]);
        assert_eq!(info.primary_version.as_ref().map(KeyVersion::as_str), Some("c3"));
        assert_eq!(info.rotated_at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(30)));
        assert_eq!(info.versions[0].created_at, None);
    }

    #[test]
    fn every_state_that_is_not_usable_is_told_so() {
        for state_told in
            [AwsState::Creating, AwsState::PendingImport, AwsState::Unavailable, AwsState::Disabled]
        {
            assert_eq!(state(Some(&state_told)), KeyState::Disabled, "{state_told:?}");
        }
        assert_eq!(state(None), KeyState::Disabled);
        assert_eq!(state(Some(&AwsState::from("Later"))), KeyState::Disabled);
        assert_eq!(state(Some(&AwsState::Updating)), KeyState::Enabled);
        assert_eq!(state(Some(&AwsState::PendingReplicaDeletion)), KeyState::PendingDeletion);
    }

    #[test]
    fn a_key_of_another_kind_is_not_described_as_one_of_ours() {
        let mac = KeyMetadata::builder().key_id("k").key_usage(KeyUsageType::GenerateVerifyMac);
        let mac = mac.key_spec(AwsSpec::Hmac256).build().expect("a description");
        let error = of_metadata(Operation::DescribeKey, ARN.into(), &mac).expect_err("a MAC key");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
