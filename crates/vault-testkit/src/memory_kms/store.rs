//! The keys of a [`MemoryKms`](super::MemoryKms): versions, states and the bytes they wrap.
//!
//! Wrapped bytes are `u32 version || nonce 24 || commitment 32 || ciphertext || tag 16`, with
//! associated data `binding || u32 version`.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{
    Capabilities, CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyState, KeyVersionInfo,
    Operation, RandomSource, Result, SecureBytes,
};

pub(super) struct Store {
    prefix: String,
    keys: BTreeMap<KeyId, Key>,
}

pub(super) struct Key {
    config: KeyConfig,
    pub(super) state: KeyState,
    pub(super) deletion_at: Option<SystemTime>,
    /// Told, never acted on.
    pub(super) rotation_period: Option<Duration>,
    versions: Vec<Version>,
    primary: u32,
    staged: Option<u32>,
    rotated_at: Option<SystemTime>,
}

struct Version {
    number: u32,
    key: XaesKey,
    created_at: SystemTime,
}

impl Store {
    pub(super) fn new(name: &str) -> Self {
        Self { prefix: format!("memory:{name}#"), keys: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, name: &str, key: Key) -> Result<KeyId> {
        let key_id = KeyId::new(format!("{}{name}", self.prefix));
        if self.keys.contains_key(&key_id) {
            return Err(CryptoError::new(ErrorKind::Conflict, Operation::CreateKey)
                .with_key_id(&key_id)
                .with_detail("a key of that name exists"));
        }
        self.keys.insert(key_id.clone(), key);
        Ok(key_id)
    }

    /// The key and its canonical id. A bare name is understood too, as aliases are elsewhere.
    pub(super) fn find(&self, key_id: &KeyId, operation: Operation) -> Result<(KeyId, &Key)> {
        let canonical = self.canonical(key_id);
        let key = self.keys.get(&canonical).ok_or_else(|| not_found(key_id, operation))?;
        Ok((canonical, key))
    }

    pub(super) fn find_mut(&mut self, key_id: &KeyId, operation: Operation) -> Result<&mut Key> {
        let canonical = self.canonical(key_id);
        self.keys.get_mut(&canonical).ok_or_else(|| not_found(key_id, operation))
    }

    /// As [`find`](Self::find), for operations that need the key enabled.
    pub(super) fn usable(&self, key_id: &KeyId, operation: Operation) -> Result<(KeyId, &Key)> {
        let (canonical, key) = self.find(key_id, operation)?;
        key.must_be_enabled(&canonical, operation)?;
        Ok((canonical, key))
    }

    pub(super) fn after(&self, after: Option<&KeyId>) -> impl Iterator<Item = (&KeyId, &Key)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.keys.range::<KeyId, _>((from, Bound::Unbounded))
    }

    pub(super) fn destroy_due(&mut self, now: SystemTime) {
        self.keys.retain(|_, key| key.deletion_at.is_none_or(|at| now < at));
    }

    pub(super) fn canonical(&self, key_id: &KeyId) -> KeyId {
        if key_id.as_str().starts_with(&self.prefix) {
            key_id.clone()
        } else {
            KeyId::new(format!("{}{key_id}", self.prefix))
        }
    }
}

impl Key {
    pub(super) fn new(
        config: KeyConfig,
        random: &dyn RandomSource,
        now: SystemTime,
    ) -> Result<Self> {
        Ok(Self {
            config,
            state: KeyState::Enabled,
            deletion_at: None,
            rotation_period: None,
            versions: vec![Version::new(1, random, now)?],
            primary: 1,
            staged: None,
            rotated_at: None,
        })
    }

    pub(super) fn must_be_enabled(&self, key_id: &KeyId, operation: Operation) -> Result<()> {
        if self.state == KeyState::Enabled {
            return Ok(());
        }
        Err(CryptoError::new(ErrorKind::KeyUnusable, operation)
            .with_key_id(key_id)
            .with_detail(format!("the key is {}", self.state)))
    }

    /// Adds a version; staged it waits for [`promote`](Self::promote).
    pub(super) fn rotate(
        &mut self,
        stage: bool,
        random: &dyn RandomSource,
        now: SystemTime,
    ) -> Result<u32> {
        if self.staged.is_some() {
            return Err(CryptoError::new(ErrorKind::Conflict, Operation::RotateKey)
                .with_detail("a version is staged already: promote it first"));
        }
        let number = self.versions.last().map_or(1, |last| last.number + 1);
        self.versions.push(Version::new(number, random, now)?);
        if stage {
            self.staged = Some(number);
        } else {
            self.primary = number;
            self.rotated_at = Some(now);
        }
        Ok(number)
    }

    pub(super) fn promote(&mut self, now: SystemTime) -> Result<u32> {
        let staged = self.staged.take().ok_or_else(|| {
            CryptoError::new(ErrorKind::Conflict, Operation::PromoteKey)
                .with_detail("no version is staged")
        })?;
        self.primary = staged;
        self.rotated_at = Some(now);
        Ok(staged)
    }

    pub(super) fn set_tags(&mut self, tags: BTreeMap<String, String>) {
        self.config.tags = tags;
    }

    pub(super) fn describe(&self, key_id: KeyId, can: &Capabilities) -> KeyInfo {
        let mut info = KeyInfo::new(key_id, self.state);
        info.description.clone_from(&self.config.description);
        info.usage = self.config.usage;
        info.spec = self.config.spec;
        info.created_at = self.versions.first().map(|first| first.created_at);
        info.rotated_at = self.rotated_at;
        info.deletion_at = self.deletion_at;
        info.rotation_period = self.rotation_period;
        if can.tags {
            info.tags.clone_from(&self.config.tags);
        }
        if can.reports_version {
            info.primary_version = Some(self.primary.into());
            info.versions =
                self.versions.iter().map(|version| self.describe_one(version)).collect();
        }
        info
    }

    fn describe_one(&self, version: &Version) -> KeyVersionInfo {
        let state = match version.number {
            number if number == self.primary => self.state,
            number if Some(number) == self.staged => KeyState::Staged,
            _ => KeyState::DecryptOnly,
        };
        KeyVersionInfo::new(version.number.into(), state, Some(version.created_at))
    }

    fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// Seals under the primary version and names it.
    pub(super) fn seal(
        &self,
        plaintext: &[u8],
        binding: &[u8],
        random: &dyn RandomSource,
    ) -> Result<(Vec<u8>, u32)> {
        let version = self.version(self.primary).ok_or_else(|| {
            CryptoError::new(ErrorKind::Internal, Operation::WrapDataKey)
                .with_detail("a key without its primary version")
        })?;
        let number = version.number.to_be_bytes();
        let mut nonce = [0; 24];
        random.fill(&mut nonce)?;
        let mut body = plaintext.to_vec();
        let aad = [binding, &number].concat();
        let (commitment, tag) = version.key.seal_in_place(&nonce, &aad, &mut body)?;
        let bytes = [&number[..], &nonce, &commitment, &body, &tag].concat();
        Ok((bytes, version.number))
    }

    /// Opens what some version sealed. Anything else fails in the one way.
    pub(super) fn open(
        &self,
        bytes: &[u8],
        binding: &[u8],
        operation: Operation,
    ) -> Result<(SecureBytes, u32)> {
        let opened = Parts::of(bytes).and_then(|parts| {
            let version = self.version(u32::from_be_bytes(*parts.number))?;
            let mut body = SecureBytes::new(parts.body.to_vec());
            let aad = [binding, parts.number].concat();
            let data = body.as_mut_slice();
            let key = &version.key;
            key.open_in_place(parts.nonce, parts.commitment, &aad, data, parts.tag).ok()?;
            Some((body, version.number))
        });
        opened.ok_or_else(|| CryptoError::authentication_failed(operation))
    }
}

impl Version {
    fn new(number: u32, random: &dyn RandomSource, created_at: SystemTime) -> Result<Self> {
        let mut material = [0; 32];
        random.fill(&mut material)?;
        Ok(Self { number, key: XaesKey::new(&material, AeadBackend::RustCrypto), created_at })
    }
}

struct Parts<'a> {
    number: &'a [u8; 4],
    nonce: &'a [u8; 24],
    commitment: &'a [u8; 32],
    body: &'a [u8],
    tag: &'a [u8; 16],
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (commitment, rest) = rest.split_first_chunk()?;
        let (body, tag) = rest.split_last_chunk()?;
        Some(Self { number, nonce, commitment, body, tag })
    }
}

fn not_found(key_id: &KeyId, operation: Operation) -> CryptoError {
    CryptoError::new(ErrorKind::KeyNotFound, operation).with_key_id(key_id)
}
