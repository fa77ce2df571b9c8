//! A vault: its keys by name, its clock, and the operations of the reference on them.
//!
//! Left to `deleted` and `rotation`: those parts of a key's life. To `routes`: paths, permissions, pages.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::answer;
use super::deleted::Deleted;
use super::keys::{Answered, Key, Settings, Version};
use super::material::{Kind, Material};
use super::rotation::Policy;

pub(super) struct Vault {
    pub(super) settings: Settings,
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) deleted: BTreeMap<String, Deleted>,
    /// What backups hold, by the bytes that were handed out.
    pub(super) backups: BTreeMap<Vec<u8>, (String, Key)>,
    /// How many looks a deletion stays unseen for.
    pub(super) slow_deletions: u32,
}

impl Vault {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            keys: BTreeMap::new(),
            deleted: BTreeMap::new(),
            backups: BTreeMap::new(),
            slow_deletions: 0,
        }
    }

    /// What has come due by `now`: rotations by policy, purges of what was deleted long ago.
    pub(super) fn age(&mut self, now: u64) {
        self.deleted.retain(|_, deleted| deleted.purged_at > now);
        self.keys.values_mut().for_each(|key| key.rotate_when_due(now));
    }

    /// A name as the key that has it was first written: identifiers are the same in capitals and in small
    /// letters. <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>
    pub(super) fn spelled(&self, name: &str) -> String {
        let mut names = self.keys.keys().chain(self.deleted.keys());
        let known = names.find(|known| known.eq_ignore_ascii_case(name));
        known.map_or(name, String::as_str).to_owned()
    }

    /// Creates the key, or a new version of one that is there: the service does not tell them apart.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/create-key/create-key>
    pub(super) fn create(
        &mut self,
        name: &str,
        made: Material,
        asked: &Value,
        now: u64,
    ) -> Answered {
        self.check_free(name)?;
        let version = Version::new(Arc::new(made), asked, now)?;
        let bundle = version.bundle(name, &self.settings);
        let new = || Key { versions: Vec::new(), policy: None };
        self.keys.entry(name.to_owned()).or_insert_with(new).versions.push(version);
        Ok(bundle)
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/get-key/get-key>: also of a disabled key, of which
    /// only the use is refused.
    pub(super) fn get(&self, name: &str, version: Option<&str>) -> Answered {
        Ok(self.version(name, version)?.bundle(name, &self.settings))
    }

    /// The version that a path names, or the newest.
    pub(super) fn version(&self, name: &str, id: Option<&str>) -> Result<&Version, answer::Answer> {
        let found = self.keys.get(name).and_then(|key| key.version(id));
        found.ok_or_else(|| not_found(name, id))
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/update-key/update-key>
    pub(super) fn update(
        &mut self,
        name: &str,
        id: Option<&str>,
        asked: &Value,
        now: u64,
    ) -> Answered {
        let found = self.keys.get_mut(name).and_then(|key| key.version_mut(id));
        let version = found.ok_or_else(|| not_found(name, id))?;
        version.change(asked, now)?;
        Ok(version.bundle(name, &self.settings))
    }

    /// What kind of material the next version needs.
    pub(super) fn kind(&self, name: &str) -> Result<Kind, answer::Answer> {
        Ok(self.version(name, None)?.material.kind())
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/rotate-key/rotate-key>
    pub(super) fn rotate(&mut self, name: &str, made: Material, now: u64) -> Answered {
        let key = self.keys.get_mut(name).ok_or_else(|| answer::key_not_found(name))?;
        key.rotate(Arc::new(made), now);
        self.get(name, None)
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/get-key-rotation-policy/get-key-rotation-policy>
    pub(super) fn policy(&self, name: &str) -> Answered {
        let key = self.keys.get(name).ok_or_else(|| answer::key_not_found(name))?;
        Ok(key.shown_policy(name, &self.settings))
    }

    pub(super) fn set_policy(&mut self, name: &str, asked: &Value, now: u64) -> Answered {
        let key = self.keys.get_mut(name).ok_or_else(|| answer::key_not_found(name))?;
        key.policy = Some(Policy::new(asked, key.policy.as_ref(), now)?);
        self.policy(name)
    }

    /// One item a key, without its version.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/get-keys/get-keys>
    pub(super) fn items(&self) -> Vec<Value> {
        let item = |(name, key): (&String, &Key)| {
            let kid = format!("{}/keys/{name}", self.settings.url());
            Some(key.version(None)?.item(&kid, &self.settings))
        };
        self.keys.iter().filter_map(item).collect()
    }

    /// One item a version; none for a key that is not there, which is no error.
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/get-key-versions/get-key-versions>
    pub(super) fn version_items(&self, name: &str) -> Vec<Value> {
        let versions = self.keys.get(name).map(Key::shuffled).unwrap_or_default();
        let item = |version: &Version| {
            version.item(&version.identifier(name, &self.settings), &self.settings)
        };
        versions.into_iter().map(item).collect()
    }
}

fn not_found(name: &str, id: Option<&str>) -> answer::Answer {
    match id {
        Some(id) => answer::key_not_found(&format!("{name}/{id}")),
        None => answer::key_not_found(name),
    }
}
