//! The keys of a store as values: names, states, versions, material. Their rules of change are here;
//! how they are stored is `record/codec.rs`, who may ask is `admin.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeySpec, KeyState, KeyUsage, KeyVersion,
    KeyVersionInfo, Operation, Result,
};

use crate::error::{conflict, invalid, limit};
use crate::id::check_name;
use crate::memory::Material;

mod codec;

pub(crate) use codec::{decode, encode};

/// Most keys in a store.
pub(crate) const MAX_KEYS: usize = 10_000;
/// Most versions of one key.
pub(crate) const MAX_VERSIONS: usize = 10_000;
/// Longest description in bytes.
pub(crate) const MAX_DESCRIPTION_LEN: usize = 8_192;
/// Most labels of one key.
pub(crate) const MAX_TAGS: usize = 64;
/// Longest name or value of a label in bytes.
pub(crate) const MAX_TAG_LEN: usize = 256;

/// All keys of a store by name.
pub(crate) type Keys = BTreeMap<String, Key>;

/// Stored state; `KeyState` adds what time and versions make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Enabled,
    Disabled,
    PendingDeletion { until_millis: u64 },
    Destroyed,
}

/// One key with all its versions, oldest first.
pub(crate) struct Key {
    pub(crate) state: State,
    pub(crate) compromised: bool,
    pub(crate) created_millis: u64,
    pub(crate) rotated_millis: Option<u64>,
    pub(crate) description: String,
    pub(crate) tags: BTreeMap<String, String>,
    /// The version that wraps now.
    pub(crate) primary: u32,
    /// The version that waits to be promoted: always the newest.
    pub(crate) staged: Option<u32>,
    pub(crate) versions: BTreeMap<u32, Version>,
}

/// One version's material.
pub(crate) struct Version {
    pub(crate) created_millis: u64,
    pub(crate) material: Material,
}

impl Key {
    /// A new enabled key with its first version.
    pub(crate) fn create(
        config: &KeyConfig,
        now_millis: u64,
        material: impl FnOnce() -> Result<Material>,
    ) -> Result<Self> {
        check_name(&config.name)?;
        check_description(&config.description)?;
        check_tags(&config.tags)?;
        if config.usage != KeyUsage::EncryptDecrypt || config.spec != KeySpec::Symmetric256 {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::CreateKey)
                .with_detail("the embedded KMS makes 256-bit symmetric keys for encryption only"));
        }
        let first = Version { created_millis: now_millis, material: material()? };
        Ok(Self {
            state: State::Enabled,
            compromised: false,
            created_millis: now_millis,
            rotated_millis: None,
            description: config.description.clone(),
            tags: config.tags.clone(),
            primary: 1,
            staged: None,
            versions: BTreeMap::from([(1, first)]),
        })
    }

    /// Adds a version; gives its number.
    pub(crate) fn rotate(
        &mut self,
        stage: bool,
        now_millis: u64,
        material: impl FnOnce() -> Result<Material>,
    ) -> Result<u32> {
        if self.staged.is_some() {
            return Err(conflict("a version is staged already; promote it first"));
        }
        let newest = self.versions.keys().next_back().copied().unwrap_or(0);
        let next = newest.checked_add(1).filter(|_| self.versions.len() < MAX_VERSIONS);
        let next = next.ok_or_else(|| limit("a key has at most 10000 versions"))?;
        let version = Version { created_millis: now_millis, material: material()? };
        self.versions.insert(next, version);
        if stage {
            self.staged = Some(next);
        } else {
            self.primary = next;
            self.rotated_millis = Some(now_millis);
        }
        Ok(next)
    }

    /// Makes the staged version the one that wraps; gives its number.
    pub(crate) fn promote(&mut self, now_millis: u64) -> Result<u32> {
        let staged = self.staged.take();
        let version =
            staged.ok_or_else(|| conflict("no version is staged; rotate with staging first"))?;
        self.primary = version;
        self.rotated_millis = Some(now_millis);
        Ok(version)
    }

    /// Drops all material, for good.
    pub(crate) fn destroy(&mut self) {
        self.state = State::Destroyed;
        self.staged = None;
        self.versions.clear();
    }

    /// Whether the window of a pending deletion has passed.
    pub(crate) fn is_due(&self, now_millis: u64) -> bool {
        matches!(self.state, State::PendingDeletion { until_millis } if until_millis <= now_millis)
    }

    /// The state a caller sees at this time.
    pub(crate) fn visible_state(&self, now_millis: u64) -> KeyState {
        match self.state {
            State::Enabled => KeyState::Enabled,
            State::Disabled => KeyState::Disabled,
            State::PendingDeletion { .. } if self.is_due(now_millis) => KeyState::Destroyed,
            State::PendingDeletion { .. } => KeyState::PendingDeletion,
            State::Destroyed => KeyState::Destroyed,
        }
    }

    /// What a caller may know; no material.
    pub(crate) fn describe(&self, key_id: KeyId, now_millis: u64) -> KeyInfo {
        let state = self.visible_state(now_millis);
        let mut info = KeyInfo::new(key_id, state);
        info.description.clone_from(&self.description);
        info.tags.clone_from(&self.tags);
        info.created_at = Some(time(self.created_millis));
        info.rotated_at = self.rotated_millis.map(time);
        info.compromised = self.compromised;
        if let State::PendingDeletion { until_millis } = self.state {
            info.deletion_at = Some(time(until_millis)).filter(|_| state != KeyState::Destroyed);
        }
        if state != KeyState::Destroyed {
            info.primary_version = Some(KeyVersion::from(self.primary));
            info.versions = self
                .versions
                .iter()
                .map(|(number, version)| {
                    let state = self.version_state(*number, state);
                    KeyVersionInfo::new((*number).into(), state, Some(time(version.created_millis)))
                })
                .collect();
        }
        info
    }

    fn version_state(&self, number: u32, key_state: KeyState) -> KeyState {
        match key_state {
            KeyState::Enabled if number == self.primary => KeyState::Enabled,
            KeyState::Enabled if Some(number) == self.staged => KeyState::Staged,
            KeyState::Enabled => KeyState::DecryptOnly,
            whole => whole,
        }
    }
}

/// Erases every key whose window has passed; whether there was one.
pub(crate) fn destroy_due(keys: &mut Keys, now_millis: u64) -> bool {
    let due = keys.values_mut().filter(|key| key.is_due(now_millis));
    due.map(Key::destroy).count() > 0
}

/// Refuses a name that is taken, and one key too many.
pub(crate) fn check_new_name(keys: &Keys, name: &str) -> Result<()> {
    if keys.contains_key(name) {
        return Err(conflict(format!("a key named {name} exists already; choose another name")));
    }
    if keys.len() >= MAX_KEYS {
        return Err(limit("a key store has at most 10000 keys; use a second store"));
    }
    Ok(())
}

/// Checks labels before they are stored.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    let fits = |text: &String| text.len() <= MAX_TAG_LEN && !text.chars().any(char::is_control);
    let all_fit = tags.iter().all(|(name, value)| !name.is_empty() && fits(name) && fits(value));
    if tags.len() > MAX_TAGS || !all_fit {
        return Err(invalid(
            "a key has at most 64 tags; names and values have at most 256 bytes, no control characters, and names are not empty",
        ));
    }
    Ok(())
}

fn check_description(text: &str) -> Result<()> {
    if text.len() > MAX_DESCRIPTION_LEN {
        return Err(invalid("a description has at most 8192 bytes"));
    }
    Ok(())
}

/// Milliseconds since 1970; a clock before that counts as 1970.
pub(crate) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The inverse of [`millis`]; a time that the system cannot express is its latest sensible one.
pub(crate) fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
