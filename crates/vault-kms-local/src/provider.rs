//! `KmsProvider`: using keys. Wrapped keys and payloads have different associated data, so that one
//! never opens as the other (docs/LOCAL-STORE.md section 6).

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, CryptoError, DATA_KEY_LEN, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo,
    KeyState, KeyVersion, KmsProvider, MAX_WRAP_LEN, Operation, Result, Scope, SecureBytes,
    WrapContext, WrappedKey,
};

use crate::client::LocalKms;
use crate::codec::Reader;
use crate::error::{invalid, key_not_found};
use crate::memory::MATERIAL_LEN;
use crate::record::{Key, Keys};
use crate::sealed;

const PAYLOAD_LABEL: &[u8] = b"vaultkit.v1/kms-payload\0";
const VERSION_LEN: usize = 4;

#[async_trait]
impl KmsProvider for LocalKms {
    fn provider_type(&self) -> &'static str {
        "local"
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::none();
        all.binds_scope = true;
        all.reports_version = true;
        all.native_rotation = true;
        all.staged_rotation = true;
        all.named_keys = true;
        all.tags = true;
        all.deletion_window_days = Some(crate::admin::MIN_WINDOW_DAYS);
        all.offline = true;
        all.verifies_version = true;
        all.disabling = true;
        all.descriptions = true;
        // Not `server_side_rewrap`: this service lives in the caller's process, and so does what it unwraps.
        all
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        let name = self.store_id.name_in(key_id).ok()?;
        Some(self.store_id.key_id(name))
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let operation = Operation::GenerateDataKey;
        let mut plaintext = SecureBytes::zeroed(DATA_KEY_LEN);
        self.disk.random.fill(plaintext.as_mut_slice())?;
        let wrapped = self.wrap(key_id, &plaintext, context);
        DataKey::new(plaintext, wrapped.map_err(|error| error.in_operation(operation))?)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.wrap(key_id, plaintext, context)
            .map_err(|error| error.in_operation(Operation::WrapDataKey))
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        self.unwrap_key(wrapped, context)
            .map_err(|error| error.in_operation(Operation::DecryptDataKey))
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.unwrap_key(wrapped, context)
            .and_then(|plaintext| self.wrap(to, &plaintext, context))
            .map_err(|error| error.in_operation(Operation::RewrapDataKey))
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        self.seal_payload(key_id, plaintext, scope)
            .map_err(|error| error.in_operation(Operation::Encrypt))
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        self.open_payload(key_id, ciphertext, scope)
            .map_err(|error| error.in_operation(Operation::Decrypt))
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.describe(key_id).map_err(|error| error.in_operation(Operation::DescribeKey))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        Ok(match self.current() {
            Ok(loaded) => HealthStatus::healthy(format!(
                "key store {} with {} keys, generation {}",
                self.store_id,
                loaded.keys.len(),
                loaded.generation
            )),
            Err(error) => HealthStatus::unhealthy(error.to_string()),
        })
    }
}

impl LocalKms {
    fn describe(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let loaded = self.current()?;
        let (canonical, key) = self.find(&loaded.keys, key_id)?;
        Ok(key.describe(canonical, self.now_millis()))
    }

    fn wrap(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        if plaintext.is_empty() || plaintext.len() > MAX_WRAP_LEN {
            return Err(invalid("a KMS wraps 1 to 4096 bytes").with_key_id(key_id));
        }
        let loaded = self.current()?;
        let (canonical, key) = self.find_usable(&loaded.keys, key_id)?;
        let version = key.primary;
        let aad = with_version(context.binding(), version);
        let bytes = sealed::seal(
            material(key, version, &canonical)?,
            &aad,
            plaintext.as_slice(),
            self.disk.random.as_ref(),
        )?;
        Ok(WrappedKey::new(bytes, canonical, KeyVersion::from(version)))
    }

    /// The version is part of the associated data, so only the one that wrapped can open. A stored
    /// version that this key does not have, or none, is answered by trying them all: the commitment
    /// makes a wrong one cheap.
    fn unwrap_key(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<SecureBytes> {
        let loaded = self.current()?;
        let (canonical, key) = self.find_usable(&loaded.keys, &wrapped.key_id)?;
        let failed = || {
            CryptoError::authentication_failed(Operation::DecryptDataKey).with_key_id(&canonical)
        };
        let len = wrapped.bytes.len();
        if !(sealed::OVERHEAD + 1..=sealed::OVERHEAD + MAX_WRAP_LEN).contains(&len) {
            return Err(failed());
        }
        let open = |version: u32| {
            let aad = with_version(context.binding(), version);
            sealed::open(material(key, version, &canonical)?, &aad, &wrapped.bytes)
        };
        let stated = key.versions.keys().find(|v| KeyVersion::from(**v) == wrapped.version);
        if let Some(version) = stated {
            return open(*version).map_err(|error| error.with_key_id(&canonical));
        }
        let opened = key.versions.keys().rev().find_map(|version| open(*version).ok());
        match (opened, wrapped.version.is_known()) {
            (Some(plaintext), false) => Ok(plaintext),
            (None, true) => Err(key_not_found(
                &canonical,
                "the key store does not have the version that wrapped this; is it an older copy of the store?",
            )),
            _ => Err(failed()),
        }
    }

    fn seal_payload(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        if !(1..=MAX_WRAP_LEN).contains(&plaintext.len()) {
            return Err(invalid("a KMS takes 1 to 4096 bytes").with_key_id(key_id));
        }
        let loaded = self.current()?;
        let (canonical, key) = self.find_usable(&loaded.keys, key_id)?;
        let version = key.primary;
        let sealed = sealed::seal(
            material(key, version, &canonical)?,
            &payload_aad(scope, version),
            plaintext,
            self.disk.random.as_ref(),
        )?;
        Ok([&version.to_be_bytes()[..], &sealed].concat())
    }

    fn open_payload(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let loaded = self.current()?;
        let (canonical, key) = self.find_usable(&loaded.keys, key_id)?;
        let least = VERSION_LEN + sealed::OVERHEAD;
        let mut reader = Reader::new(ciphertext);
        let version =
            reader.u32().filter(|_| (least..=least + MAX_WRAP_LEN).contains(&ciphertext.len()));
        let version = version.ok_or_else(|| {
            CryptoError::new(ErrorKind::Malformed, Operation::Decrypt)
                .with_key_id(&canonical)
                .with_detail("this is no payload of the embedded KMS")
        })?;
        let failed =
            || CryptoError::authentication_failed(Operation::Decrypt).with_key_id(&canonical);
        let material = material(key, version, &canonical).map_err(|_| failed())?;
        let aad = payload_aad(scope, version);
        sealed::open(material, &aad, reader.rest()).map_err(|_| failed())
    }

    /// The key of that name with its canonical id.
    pub(crate) fn find<'a>(&self, keys: &'a Keys, key_id: &KeyId) -> Result<(KeyId, &'a Key)> {
        let name = self.store_id.name_in(key_id)?;
        let key = keys.get(name).ok_or_else(|| no_such_key(key_id))?;
        Ok((self.store_id.key_id(name), key))
    }

    fn find_usable<'a>(&self, keys: &'a Keys, key_id: &KeyId) -> Result<(KeyId, &'a Key)> {
        let (canonical, key) = self.find(keys, key_id)?;
        let why = match key.visible_state(self.now_millis()) {
            KeyState::Enabled => return Ok((canonical, key)),
            KeyState::PendingDeletion => {
                "it is pending deletion; cancel the deletion and enable it to use it"
            }
            KeyState::Destroyed => "its deletion window has passed and its material is gone",
            _ => "it is disabled; enable it to use it",
        };
        Err(unusable(&canonical, why))
    }
}

/// There is no key of that name.
pub(crate) fn no_such_key(key_id: &KeyId) -> CryptoError {
    key_not_found(key_id, "the key store has no key of this name; list the keys, or create it")
}

/// The key's state forbids what was asked.
pub(crate) fn unusable(key_id: &KeyId, why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::KeyUnusable, Operation::KeyStore)
        .with_key_id(key_id)
        .with_detail(why)
}

fn material<'a>(key: &'a Key, version: u32, key_id: &KeyId) -> Result<&'a [u8]> {
    let version = key.versions.get(&version).ok_or_else(|| no_such_key(key_id))?;
    version.material.bytes().map(<[u8; MATERIAL_LEN]>::as_slice)
}

/// S || u32 version.
fn with_version(mut aad: Vec<u8>, version: u32) -> Vec<u8> {
    aad.extend_from_slice(&version.to_be_bytes());
    aad
}

fn payload_aad(scope: &Scope, version: u32) -> Vec<u8> {
    with_version([PAYLOAD_LABEL, scope.canonical_pairs()].concat(), version)
}
