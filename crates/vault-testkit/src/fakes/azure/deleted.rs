//! Keys on their way out: soft deletion, recovery, purging, and backups that outlive both.
//!
//! Left to `keys`: keys in use. <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>

use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::keys::{Answered, Key, Settings};
use super::material::{decode, encode};
use super::vault::Vault;

const DAY: u64 = 86_400;

/// A key that is deleted and not yet purged.
pub(super) struct Deleted {
    pub(super) key: Key,
    at: u64,
    pub(super) purged_at: u64,
    /// How many more times the service says that there is no such deleted key, for the deletion takes time.
    pub(super) unseen: u32,
}

impl Deleted {
    /// `DeletedKeyBundle` of the reference.
    fn bundle(&self, name: &str, settings: &Settings) -> Option<Value> {
        let bundle = self.key.version(None)?.bundle(name, settings);
        Some(self.date(bundle, name, settings))
    }

    /// `DeletedKeyItem` of the reference.
    fn item(&self, name: &str, settings: &Settings) -> Option<Value> {
        let kid = format!("{}/keys/{name}", settings.url());
        Some(self.date(self.key.version(None)?.item(&kid, settings), name, settings))
    }

    fn date(&self, mut shown: Value, name: &str, settings: &Settings) -> Value {
        if let Some(shown) = shown.as_object_mut() {
            let id = format!("{}/deletedkeys/{name}", settings.url());
            shown.insert("recoveryId".to_owned(), json!(id));
            shown.insert("deletedDate".to_owned(), json!(self.at));
            shown.insert("scheduledPurgeDate".to_owned(), json!(self.purged_at));
        }
        shown
    }
}

impl Vault {
    /// <https://learn.microsoft.com/rest/api/keyvault/keys/delete-key/delete-key>
    pub(super) fn delete(&mut self, name: &str, now: u64) -> Answered {
        let key = self.keys.remove(name).ok_or_else(|| answer::key_not_found(name))?;
        let purged_at = now + self.settings.retention_days * DAY;
        let deleted = Deleted { key, at: now, purged_at, unseen: self.slow_deletions };
        let bundle = deleted.bundle(name, &self.settings);
        self.deleted.insert(name.to_owned(), deleted);
        bundle.ok_or_else(|| answer::key_not_found(name))
    }

    /// The deleted key, once the deletion is done; each look brings that closer.
    fn deleted_mut(&mut self, name: &str) -> Result<&mut Deleted, Answer> {
        let deleted = self.deleted.get_mut(name);
        let deleted = deleted.ok_or_else(|| answer::deleted_key_not_found(name))?;
        match deleted.unseen.checked_sub(1) {
            Some(left) => {
                deleted.unseen = left;
                Err(answer::deleted_key_not_found(name))
            }
            None => Ok(deleted),
        }
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/get-deleted-key/get-deleted-key>
    pub(super) fn get_deleted(&mut self, name: &str) -> Answered {
        let settings = self.settings.clone();
        let bundle = self.deleted_mut(name)?.bundle(name, &settings);
        bundle.ok_or_else(|| answer::deleted_key_not_found(name))
    }

    /// All deleted keys that can be seen.
    pub(super) fn deleted_items(&self) -> Vec<Value> {
        let seen = self.deleted.iter().filter(|(_, deleted)| deleted.unseen == 0);
        seen.filter_map(|(name, deleted)| deleted.item(name, &self.settings)).collect()
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/recover-deleted-key/recover-deleted-key>
    pub(super) fn recover(&mut self, name: &str) -> Answered {
        self.deleted_mut(name)?;
        let deleted =
            self.deleted.remove(name).ok_or_else(|| answer::deleted_key_not_found(name))?;
        let bundle = deleted.key.version(None).map(|newest| newest.bundle(name, &self.settings));
        self.keys.insert(name.to_owned(), deleted.key);
        bundle.ok_or_else(|| answer::deleted_key_not_found(name))
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/purge-deleted-key/purge-deleted-key>
    pub(super) fn purge(&mut self, name: &str) -> Result<(), Answer> {
        self.deleted_mut(name)?;
        if self.settings.purge_protection {
            return Err(answer::purge_protected(self.settings.name()));
        }
        self.deleted.remove(name);
        Ok(())
    }

    /// The whole key with all its versions, in a form that only this fake can read, as the service's can only be
    /// read by itself. <https://learn.microsoft.com/rest/api/keyvault/keys/backup-key/backup-key>
    pub(super) fn backup(&mut self, name: &str) -> Answered {
        let key = self.keys.get(name).ok_or_else(|| answer::key_not_found(name))?.clone();
        let blob = super::random_bytes::<64>().to_vec();
        let shown = json!({ "value": encode(&blob) });
        self.backups.insert(blob, (name.to_owned(), key));
        Ok(shown)
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/keys/restore-key/restore-key>
    pub(super) fn restore(&mut self, asked: &Value) -> Answered {
        let blob = asked.get("value").and_then(Value::as_str).and_then(decode);
        let found = blob.and_then(|blob| self.backups.get(&blob).cloned());
        let (name, key) = found.ok_or_else(answer::incorrect_parameter)?;
        self.check_free(&name)?;
        if self.keys.contains_key(&name) {
            return Err(answer::already_exists(&name));
        }
        let bundle = key.version(None).map(|newest| newest.bundle(&name, &self.settings));
        self.keys.insert(name, key);
        bundle.ok_or_else(answer::incorrect_parameter)
    }

    /// No deleted key holds the name.
    pub(super) fn check_free(&self, name: &str) -> Result<(), Answer> {
        match self.deleted.get(name) {
            Some(deleted) if deleted.unseen > 0 => Err(answer::being_deleted(name)),
            Some(_) => Err(answer::deleted_but_recoverable(name)),
            None => Ok(()),
        }
    }
}
