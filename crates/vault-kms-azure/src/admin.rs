//! `KmsAdmin`: managing keys. Nothing is repeated that may have happened: what is there is looked at
//! first, and a call without an answer is reported.
//!
//! Left to others: enabling, disabling and deleting (`states`), periods (`rotation`), reading what is there
//! (`describe`).

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::json::to_json;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, Key, KeyClientUpdateKeyPropertiesOptions, KeyOperation, KeyType,
    UpdateKeyPropertiesParameters,
};
use futures_util::future::join_all;
use vault_crypto_core::{
    ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeySpec, KeyState, KeyUsage, KmsAdmin,
    Operation, Result, RotateOptions,
};

mod done;
mod states;

use self::done::Done;
use crate::client::invalid;
use crate::describe::{DESCRIPTION_TAG, OUR_TAGS, Tags, Version};
use crate::error::{Fault, classify};
use crate::names::KeyName;
use crate::provider::AzureKmsProvider;

/// The service's usual key, where a symmetric one is asked for: vaults have none.
const USUAL_BITS: u16 = 2_048;
/// Key Vault's limits of tags.
const MAX_TAGS: usize = 15;
const MAX_TAG_LEN: usize = 256;
/// Most keys of a vault that are listed, and most in one page.
const MAX_KEYS: usize = 25_000;
const MAX_PAGE: usize = 1_000;
/// How many keys of a page are described at once.
const AT_ONCE: usize = 8;

#[async_trait]
impl KmsAdmin for AzureKmsProvider {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let operation = Operation::CreateKey;
        let name = KeyName::parse(&config.name).map_err(|error| error.in_operation(operation))?;
        let canonical = self.vault.key_id(&name);
        let failed = |fault: Fault| fault.into_error(operation).with_key_id(&canonical);
        let bits = bits_of(&config).map_err(failed)?;
        let tags = tags_of(config.tags, &config.description).map_err(failed)?;
        let done = Done::default();
        self.changing(&done, self.create(&name, bits, tags, &done)).await.map_err(failed)
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let operation = Operation::RotateKey;
        let (name, canonical) = self.named(key_id, operation)?;
        let failed = |fault: Fault| fault.into_error(operation).with_key_id(&canonical);
        if options.stage {
            return Err(failed(unsupported(
                "Key Vault makes a new version current at once; rotate without staging",
            )));
        }
        let done = Done::default();
        let new = self.changing(&done, self.rotate(&name, &done)).await.map_err(failed)?;
        let at = new.created().unwrap_or_else(|| self.clock.now());
        Ok(KeyRotationResult::in_place(canonical.clone(), new.version, false, at))
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        let (_, canonical) = self.named(key_id, Operation::PromoteKey)?;
        let fault = unsupported("Key Vault has no staged versions; rotation takes effect at once");
        Err(fault.into_error(Operation::PromoteKey).with_key_id(&canonical))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let (name, canonical) = self.named(key_id, Operation::EnableKey)?;
        let done = Done::default();
        let switched = self.changing(&done, self.switch(&name, true, &done)).await;
        switched.map_err(|fault| fault.into_error(Operation::EnableKey).with_key_id(&canonical))
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let (name, canonical) = self.named(key_id, Operation::DisableKey)?;
        let done = Done::default();
        let switched = self.changing(&done, self.switch(&name, false, &done)).await;
        switched.map_err(|fault| fault.into_error(Operation::DisableKey).with_key_id(&canonical))
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, pending_days: u32) -> Result<KeyInfo> {
        let operation = Operation::ScheduleKeyDeletion;
        let (name, canonical) = self.named(key_id, operation)?;
        let done = Done::default();
        let deleted = self.changing(&done, self.delete(&name, pending_days, &done)).await;
        deleted.map_err(|fault| fault.into_error(operation).with_key_id(&canonical))
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::CancelKeyDeletion;
        let (name, canonical) = self.named(key_id, operation)?;
        let done = Done::default();
        let recovered = self.changing(&done, self.recover(&name, &done)).await;
        recovered.map_err(|fault| fault.into_error(operation).with_key_id(&canonical))
    }

    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let operation = Operation::ListKeys;
        if limit == 0 {
            return Err(invalid("a page of keys has at least one key").in_operation(operation));
        }
        let after = after.map(|after| self.named(after, operation)).transpose()?;
        let listing = self.list(after.map(|(_, id)| id), limit.min(MAX_PAGE));
        let listed = self.in_time(Fault::timed_out(), listing).await;
        listed.map_err(|fault| fault.into_error(operation))
    }

    async fn tag_key(&self, key_id: &KeyId, tags: BTreeMap<String, String>) -> Result<()> {
        let (name, canonical) = self.named(key_id, Operation::TagKey)?;
        let tagged = self.changing(&Done::default(), self.tag(&name, tags)).await;
        tagged.map_err(|fault| fault.into_error(Operation::TagKey).with_key_id(&canonical))
    }

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let operation = Operation::SetRotationPeriod;
        let (name, canonical) = self.named(key_id, operation)?;
        let set = self.changing(&Done::default(), self.set_period(&name, period)).await;
        set.map_err(|fault| fault.into_error(operation).with_key_id(&canonical))
    }
}

impl AzureKmsProvider {
    /// Calls that change something, in the time for one call. They note in `done` what has happened.
    async fn changing<T>(
        &self,
        done: &Done,
        calls: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let changed = self.in_time(Fault::timed_out_changing(), calls).await;
        changed.map_err(|fault| done.before(fault))
    }

    /// Key Vault would give an existing key a new version. So it is looked for first, living and deleted;
    /// and afterwards for a version of somebody who looked at the same time.
    async fn create(
        &self,
        name: &KeyName,
        bits: u16,
        tags: Tags,
        done: &Done,
    ) -> Result<KeyInfo, Fault> {
        match self.current(name).await {
            Ok(_) => return Err(conflict("a key of this name exists")),
            Err(fault) if fault.is_not_found() => {}
            Err(fault) => return Err(fault),
        }
        if self.describe_deleted(name).await?.is_some() {
            return Err(conflict(
                "a deleted key of this name can be recovered; recover or purge it",
            ));
        }
        let parameters = CreateKeyParameters {
            kty: Some(if self.hsm_keys { KeyType::RsaHsm } else { KeyType::Rsa }),
            key_size: Some(i32::from(bits)),
            key_ops: Some(vec![
                KeyOperation::WrapKey,
                KeyOperation::UnwrapKey,
                KeyOperation::Encrypt,
                KeyOperation::Decrypt,
            ]),
            tags: Some(tags),
            ..CreateKeyParameters::default()
        };
        let body = to_json(&parameters).map_err(|error| classify(&error, &*self.clock))?;
        let answer = self.ask(self.client.create_key(name.as_str(), body.into(), None)).await?;
        done.is(Some("the key was created"));
        let key = answer.into_model().map_err(|error| classify(&error, &*self.clock))?;
        let info = self.of_created(name, key)?;
        match self.list_versions(name).await {
            Ok(versions) if versions.len() > 1 => {
                Err(conflict("somebody else made a key of this name at the same time"))
            }
            // Without the right to list nobody can be seen.
            Err(fault) if !fault.is_refused_by_right() => Err(fault),
            _ => Ok(info),
        }
    }

    /// The new version. Tags stay with the key, whatever the service does with them.
    async fn rotate(&self, name: &KeyName, done: &Done) -> Result<Version, Fault> {
        let before = self.living(name).await?;
        if self.current_of(name, &before)?.state(self.clock.now(), true) == KeyState::Disabled {
            return Err(Fault::new(ErrorKind::KeyUnusable, "it is disabled; enable it first"));
        }
        let answer = self.ask(self.client.rotate_key(name.as_str(), None)).await?;
        done.is(Some("the key was rotated"));
        let after = answer.into_model().map_err(|error| classify(&error, &*self.clock))?;
        let new = self.current_of(name, &after)?;
        if let Some(tags) = before.tags
            && after.tags.as_ref() != Some(&tags)
        {
            let tags = UpdateKeyPropertiesParameters { tags: Some(tags), ..Default::default() };
            self.update(name, &new, &tags).await?;
        }
        Ok(new)
    }

    /// The service lists in an order of its own, so all names are read for each page.
    async fn list(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<KeyInfo>, Fault> {
        let mut names = self.list_names().await?;
        names.sort_by_cached_key(|name| self.vault.key_id(name));
        names.dedup();
        names.retain(|name| after.as_ref().is_none_or(|after| self.vault.key_id(name) > *after));
        let mut page = Vec::new();
        for some in names.chunks(AT_ONCE.min(limit)) {
            for described in join_all(some.iter().map(|name| self.describe(name))).await {
                match described {
                    Ok(info) => page.push(info),
                    // Gone meanwhile, or a key that wraps nothing.
                    Err(fault) if fault.is_not_found() || fault.kind == ErrorKind::Unsupported => {}
                    Err(fault) => return Err(fault),
                }
            }
            if page.len() >= limit {
                break;
            }
        }
        page.truncate(limit);
        Ok(page)
    }

    async fn list_names(&self) -> Result<Vec<KeyName>, Fault> {
        let living = self.all_of(self.client.list_key_properties(None), MAX_KEYS).await?;
        let deleted = self.client.list_deleted_key_properties(None);
        let deleted = self.all_of(deleted, MAX_KEYS).await?;
        let kids: Vec<String> = living
            .into_iter()
            .filter_map(|key| key.kid)
            .chain(deleted.into_iter().filter_map(|key| key.kid))
            .collect();
        if kids.len() > MAX_KEYS {
            return Err(Fault::new(
                ErrorKind::LimitExceeded,
                "more than 25,000 keys are not listed",
            ));
        }
        let name = |kid: &String| self.vault.name_of(kid).ok_or_else(Fault::not_understood);
        kids.iter().map(name).collect()
    }

    async fn tag(&self, name: &KeyName, tags: BTreeMap<String, String>) -> Result<(), Fault> {
        let key = self.living(name).await?;
        let mut kept = key.tags.clone().unwrap_or_default();
        kept.retain(|name, _| name.starts_with(OUR_TAGS));
        let mut all = tags_of(tags, "")?;
        all.extend(kept);
        if all.len() > MAX_TAGS {
            return Err(unsupported("Key Vault keeps 15 tags, one of them for a description"));
        }
        let current = self.current_of(name, &key)?;
        let change = UpdateKeyPropertiesParameters { tags: Some(all), ..Default::default() };
        self.update(name, &current, &change).await
    }

    fn current_of(&self, name: &KeyName, key: &Key) -> Result<Version, Fault> {
        let kid = key.key.as_ref().and_then(|key| key.kid.as_deref());
        self.version_of(name, kid, key.attributes.clone())
    }

    async fn update(
        &self,
        name: &KeyName,
        version: &Version,
        change: &UpdateKeyPropertiesParameters,
    ) -> Result<(), Fault> {
        let body = to_json(change).map_err(|error| classify(&error, &*self.clock))?;
        let key_version = Some(version.version.as_str().to_owned());
        let options = KeyClientUpdateKeyPropertiesOptions { key_version, ..Default::default() };
        let update = self.client.update_key_properties(name.as_str(), body.into(), Some(options));
        self.ask(update).await.map(drop)
    }
}

fn bits_of(config: &KeyConfig) -> Result<u16, Fault> {
    if config.usage != KeyUsage::EncryptDecrypt {
        return Err(unsupported("keys for signing are not made here"));
    }
    match config.spec {
        KeySpec::Symmetric256 => Ok(USUAL_BITS),
        KeySpec::Rsa { bits: bits @ (2_048 | 3_072 | 4_096) } => Ok(bits),
        _ => Err(wrong("an RSA key of Key Vault has 2048, 3072 or 4096 bits")),
    }
}

/// The tags as they are stored, with the description as one of them.
fn tags_of(tags: BTreeMap<String, String>, description: &str) -> Result<Tags, Fault> {
    if tags.keys().any(|name| name.starts_with(OUR_TAGS) || name.is_empty()) {
        return Err(wrong("a tag has a name, and not one that begins with vaultkit-"));
    }
    let mut all: Tags = tags.into_iter().collect();
    if !description.is_empty() {
        all.insert(DESCRIPTION_TAG.to_owned(), description.to_owned());
    }
    let short = |text: &str| text.chars().count() <= MAX_TAG_LEN;
    if all.len() > MAX_TAGS || !all.iter().all(|(name, value)| short(name) && short(value)) {
        return Err(unsupported(
            "Key Vault keeps 15 tags, a description counted, of 256 characters each",
        ));
    }
    Ok(all)
}

pub(crate) fn wrong(says: &'static str) -> Fault {
    Fault::new(ErrorKind::InvalidInput, says)
}

fn unsupported(says: &'static str) -> Fault {
    Fault::new(ErrorKind::Unsupported, says)
}

fn conflict(says: &'static str) -> Fault {
    Fault::new(ErrorKind::Conflict, says)
}
