//! What a vault says of a key: dates, versions, states, tags, the rotation policy, a pending deletion.
//!
//! Left to others: changing any of it.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::models::{
    DeletedKey, JsonWebKey, Key, KeyAttributes, KeyClientGetKeyOptions, KeyRotationPolicy, KeyType,
};
use vault_crypto_core::{ErrorKind, KeyInfo, KeySpec, KeyState, KeyVersion, KeyVersionInfo};

use crate::error::{Fault, classify};
use crate::names::{KeyName, can_be_asked};
use crate::provider::AzureKmsProvider;
use crate::rotation::period_of;

/// The tag that keeps a key's description. Tags that begin with `vaultkit-` are ours.
pub(crate) const DESCRIPTION_TAG: &str = "vaultkit-description";
/// What a tag of ours begins with.
pub(crate) const OUR_TAGS: &str = "vaultkit-";
/// Most versions that are read of one key.
const MAX_VERSIONS: usize = 10_000;

/// Tags as the SDK has them.
pub(crate) type Tags = HashMap<String, String>;

/// One version as the vault lists it.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) version: KeyVersion,
    pub(crate) enabled: bool,
    attributes: KeyAttributes,
}

impl Version {
    /// What it may do at `now`. Before its beginning and past its end a version opens and does not seal.
    /// <https://learn.microsoft.com/azure/key-vault/keys/about-keys-details#date-time-controlled-operations>
    pub(crate) fn state(&self, now: SystemTime, is_current: bool) -> KeyState {
        let early = self.attributes.not_before.is_some_and(|from| SystemTime::from(from) > now);
        let late = self.attributes.expires.is_some_and(|end| SystemTime::from(end) <= now);
        match () {
            () if !self.enabled => KeyState::Disabled,
            () if early || late || !is_current => KeyState::DecryptOnly,
            () => KeyState::Enabled,
        }
    }

    pub(crate) fn created(&self) -> Option<SystemTime> {
        self.attributes.created.map(SystemTime::from)
    }
}

impl AzureKmsProvider {
    /// Everything that the vault says of the key, deleted or not.
    pub(crate) async fn describe(&self, name: &KeyName) -> Result<KeyInfo, Fault> {
        match self.current(name).await {
            Ok(key) => self.describe_living(name, key).await,
            Err(fault) if fault.is_not_found() => self.describe_deleted(name).await?.ok_or(fault),
            Err(fault) => Err(fault),
        }
    }

    /// The key with its current version.
    pub(crate) async fn current(&self, name: &KeyName) -> Result<Key, Fault> {
        let answer = self.ask(self.client.get_key(name.as_str(), None)).await?;
        answer.into_model().map_err(|error| classify(&error, &*self.clock))
    }

    async fn describe_living(&self, name: &KeyName, key: Key) -> Result<KeyInfo, Fault> {
        let now = self.clock.now();
        let web_key = key.key.as_ref().ok_or_else(Fault::not_understood)?;
        let current = self.version_of(name, web_key.kid.as_deref(), key.attributes.clone())?;
        let mut info = self.begin(name, web_key, key.tags)?;
        let versions = match self.versions(name, &current).await {
            Ok(versions) => versions,
            // Without the right to list: what is known is the current version.
            Err(fault) if fault.is_refused_by_right() => Vec::new(),
            Err(fault) => return Err(fault),
        };
        let is_current = |version: &Version| version.version == current.version;
        let states = versions.iter().map(|version| version.state(now, is_current(version)));
        let opens = states.clone().any(|state| state == KeyState::DecryptOnly);
        info.state = match current.state(now, true) {
            KeyState::Disabled if opens => KeyState::DecryptOnly,
            state => state,
        };
        info.created_at = versions.first().unwrap_or(&current).created();
        if versions.len() > 1 {
            info.rotated_at = current.created();
        }
        info.versions = versions
            .iter()
            .zip(states)
            .map(|(v, state)| KeyVersionInfo::new(v.version.clone(), state, v.created()))
            .collect();
        info.primary_version = Some(current.version);
        info.rotation_period = match self.policy(name).await {
            Ok(policy) => period_of(&policy),
            Err(fault) if fault.is_refused_by_right() || fault.is_not_found() => None,
            Err(fault) => return Err(fault),
        };
        Ok(info)
    }

    /// `None` if no key of this name is deleted, or the vault does not say.
    pub(crate) async fn describe_deleted(&self, name: &KeyName) -> Result<Option<KeyInfo>, Fault> {
        let answer = match self.ask(self.client.get_deleted_key(name.as_str(), None)).await {
            Ok(answer) => answer,
            Err(fault) if fault.is_not_found() || fault.is_refused_by_right() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let key = answer.into_model().map_err(|error| classify(&error, &*self.clock))?;
        self.of_deleted(name, key).map(Some)
    }

    /// What is told of a deleted key: by a look at it, and by the deletion itself.
    pub(crate) fn of_deleted(&self, name: &KeyName, key: DeletedKey) -> Result<KeyInfo, Fault> {
        let web_key = key.key.as_ref().ok_or_else(Fault::not_understood)?;
        let current = self.version_of(name, web_key.kid.as_deref(), key.attributes.clone())?;
        let mut info = self.begin(name, web_key, key.tags)?;
        info.state = KeyState::PendingDeletion;
        info.deletion_at = key.scheduled_purge_date.map(SystemTime::from);
        let (version, created) = (current.version.clone(), current.created());
        info.versions = vec![KeyVersionInfo::new(version.clone(), info.state, created)];
        info.primary_version = Some(version);
        Ok(info)
    }

    /// What a creation told of the key that it made.
    #[cfg(feature = "admin")]
    pub(crate) fn of_created(&self, name: &KeyName, key: Key) -> Result<KeyInfo, Fault> {
        let web_key = key.key.as_ref().ok_or_else(Fault::not_understood)?;
        let only = self.version_of(name, web_key.kid.as_deref(), key.attributes.clone())?;
        let mut info = self.begin(name, web_key, key.tags)?;
        info.state = only.state(self.clock.now(), true);
        info.created_at = only.created();
        let version = KeyVersionInfo::new(only.version.clone(), info.state, only.created());
        info.versions = vec![version];
        info.primary_version = Some(only.version);
        Ok(info)
    }

    /// Id, kind, tags and description.
    fn begin(
        &self,
        name: &KeyName,
        web_key: &JsonWebKey,
        tags: Option<Tags>,
    ) -> Result<KeyInfo, Fault> {
        let mut info = KeyInfo::new(self.vault.key_id(name), KeyState::Enabled);
        info.spec = spec_of(web_key)?;
        let mut tags: BTreeMap<String, String> = tags.unwrap_or_default().into_iter().collect();
        info.description = tags.remove(DESCRIPTION_TAG).unwrap_or_default();
        tags.retain(|name, _| !name.starts_with(OUR_TAGS));
        info.tags = tags;
        Ok(info)
    }

    /// All versions, oldest first, the current one last of those of its second.
    pub(crate) async fn versions(
        &self,
        name: &KeyName,
        current: &Version,
    ) -> Result<Vec<Version>, Fault> {
        let mut versions = self.list_versions(name).await?;
        // A list may lag behind.
        if !versions.iter().any(|listed| listed.version == current.version) {
            versions.push(current.clone());
        }
        versions.sort_by_cached_key(|listed| {
            let is_current = listed.version == current.version;
            (listed.attributes.created, is_current, listed.version.clone())
        });
        Ok(versions)
    }

    /// All versions in the service's order.
    pub(crate) async fn list_versions(&self, name: &KeyName) -> Result<Vec<Version>, Fault> {
        let pager = self.client.list_key_properties_versions(name.as_str(), None);
        let listed = self.all_of(pager, MAX_VERSIONS).await?;
        listed
            .into_iter()
            .map(|one| self.version_of(name, one.kid.as_deref(), one.attributes))
            .collect()
    }

    pub(crate) fn version_of(
        &self,
        name: &KeyName,
        kid: Option<&str>,
        attributes: Option<KeyAttributes>,
    ) -> Result<Version, Fault> {
        let version = self.vault.version_in(kid.ok_or_else(Fault::not_understood)?, name);
        let version = version.filter(can_be_asked).ok_or_else(Fault::of_another_key)?;
        let attributes = attributes.unwrap_or_default();
        // Key Vault's default where a key says nothing.
        let enabled = attributes.enabled.unwrap_or(true);
        Ok(Version { version, enabled, attributes })
    }

    /// The key's rotation policy; every key has one, be it empty.
    pub(crate) async fn policy(&self, name: &KeyName) -> Result<KeyRotationPolicy, Fault> {
        let answer = self.ask(self.client.get_key_rotation_policy(name.as_str(), None)).await?;
        answer.into_model().map_err(|error| classify(&error, &*self.clock))
    }

    /// Says more of a refusal than the service did: a key that is gone may be pending deletion, and a
    /// refusal without a reason may be for the key's state. Asks, and only after a failure.
    pub(crate) async fn explain(
        &self,
        fault: Fault,
        name: &KeyName,
        version: Option<&KeyVersion>,
    ) -> Fault {
        let pending = "it is pending deletion; cancel the deletion and enable it to use it";
        if fault.is_not_found() || fault.is_mid_deletion() {
            return match self.describe_deleted(name).await {
                Ok(Some(_)) => Fault::new(ErrorKind::KeyUnusable, pending),
                _ if fault.is_mid_deletion() => Fault::new(ErrorKind::KeyUnusable, pending),
                _ => fault,
            };
        }
        if !fault.is_unexplained_refusal() {
            return fault;
        }
        let key_version = version.filter(|v| v.is_known()).map(|v| v.as_str().to_owned());
        let options = KeyClientGetKeyOptions { key_version, ..KeyClientGetKeyOptions::default() };
        let Ok(answer) = self.ask(self.client.get_key(name.as_str(), Some(options))).await else {
            return fault;
        };
        let Ok(Key { attributes: Some(attributes), .. }) = answer.into_model() else {
            return fault;
        };
        let now = OffsetDateTime::from(self.clock.now());
        let says = match () {
            () if attributes.enabled == Some(false) => "it is disabled; enable it to use it",
            () if attributes.not_before.is_some_and(|from| from > now) => "it is not valid yet",
            () if attributes.expires.is_some_and(|end| end <= now) => "it has expired; rotate it",
            () => return fault,
        };
        Fault::new(ErrorKind::KeyUnusable, says)
    }
}

fn spec_of(web_key: &JsonWebKey) -> Result<KeySpec, Fault> {
    let unsupported = "only RSA keys wrap data keys here";
    match (&web_key.kty, &web_key.n) {
        (Some(KeyType::Rsa | KeyType::RsaHsm), Some(modulus)) => {
            let bits = modulus.iter().skip_while(|byte| **byte == 0).count() * 8;
            u16::try_from(bits)
                .map(|bits| KeySpec::Rsa { bits })
                .map_err(|_| Fault::not_understood())
        }
        (Some(_), _) => Err(Fault::new(ErrorKind::Unsupported, unsupported)),
        _ => Err(Fault::not_understood()),
    }
}
