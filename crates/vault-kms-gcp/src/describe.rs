//! What the service says of a key, in the words of [`KeyInfo`]. Nothing is invented.
//!
//! Google keeps states and dates of *versions*, not of keys: a key is what its versions are.

#[cfg(feature = "admin")]
use std::pin::Pin;
use std::time::{Duration, SystemTime};

#[cfg(feature = "admin")]
use futures_util::stream::{self, Stream, StreamExt as _};
use gcloud_sdk::google::cloud::kms::v1 as kms;
use kms::crypto_key::{CryptoKeyPurpose, RotationSchedule};
use kms::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Algorithm, CryptoKeyVersionState as State,
};
use vault_crypto_core::{KeyInfo, KeySpec, KeyState, KeyUsage, KeyVersionInfo, Result};

use crate::client::{Call, Kms};
use crate::error::{Verb, another_key, classify, unsupported};
use crate::names::{self, KeyName};
use crate::pages::Pages;

const PAGE: i32 = 1_000;
/// Keys of a list that are described at a time.
#[cfg(feature = "admin")]
const AT_ONCE: usize = 16;

/// A key and all its versions, oldest first.
pub(crate) struct Described {
    pub(crate) name: KeyName,
    pub(crate) key: kms::CryptoKey,
    pub(crate) versions: Vec<Version>,
}

/// One version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) state: State,
    pub(crate) created_at: Option<SystemTime>,
    pub(crate) destroyed_at: Option<SystemTime>,
}

impl Call<'_> {
    pub(crate) async fn key(&self, name: &KeyName) -> Result<kms::CryptoKey> {
        let message = kms::GetCryptoKeyRequest { name: name.as_str().to_owned() };
        let answer = self.kms(name, message, Kms::get_crypto_key).await;
        let key = answer.map_err(|status| classify(&status, Verb::Other))?.into_inner();
        if key.name == name.as_str() { Ok(key) } else { Err(another_key(name, &key.name)) }
    }

    /// Every version of the key, ascending.
    pub(crate) async fn versions(&self, name: &KeyName) -> Result<Vec<Version>> {
        let (mut versions, mut pages) = (Vec::new(), Pages::default());
        loop {
            let message = kms::ListCryptoKeyVersionsRequest {
                parent: name.as_str().to_owned(),
                page_size: PAGE,
                page_token: pages.token(),
                ..Default::default()
            };
            let named = ("parent", name.as_str());
            let answer = self.kms(named, message, Kms::list_crypto_key_versions).await;
            let answer = answer.map_err(|status| classify(&status, Verb::Other))?.into_inner();
            for listed in &answer.crypto_key_versions {
                versions.push(version(name, listed)?);
            }
            if !pages.turn(answer.next_page_token)? {
                versions.sort_by_key(|version| version.number);
                return Ok(versions);
            }
        }
    }

    pub(crate) async fn describe(&self, name: &KeyName) -> Result<Described> {
        let key = self.key(name).await?;
        self.with_versions(name, key).await
    }

    /// The description of a key that the service has told, with its versions.
    pub(crate) async fn with_versions(
        &self,
        name: &KeyName,
        key: kms::CryptoKey,
    ) -> Result<Described> {
        let versions = self.versions(name).await?;
        Ok(Described { name: name.clone(), key, versions })
    }
}

#[cfg(feature = "admin")]
impl<'a> Call<'a> {
    /// The same of many keys, in their order, some of them at a time: a ring may have thousands.
    pub(crate) fn all_with_versions(
        self,
        keys: impl Iterator<Item = (KeyName, kms::CryptoKey)> + Send + 'a,
    ) -> Pin<Box<dyn Stream<Item = Result<Described>> + Send + 'a>> {
        let describe = move |(name, key)| async move { self.with_versions(&name, key).await };
        Box::pin(stream::iter(keys).map(describe).buffered(AT_ONCE))
    }
}

/// One version as the service tells it.
pub(crate) fn version(name: &KeyName, told: &kms::CryptoKeyVersion) -> Result<Version> {
    let number = name.number_in(&told.name).ok_or_else(|| another_key(name, &told.name))?;
    Ok(Version {
        number,
        state: told.state(),
        created_at: told.create_time.as_ref().and_then(time),
        destroyed_at: told.destroy_time.as_ref().and_then(time),
    })
}

impl Described {
    pub(crate) fn primary(&self) -> Option<u64> {
        self.key.primary.as_ref().and_then(|primary| self.name.number_in(&primary.name))
    }

    /// Enabled versions newer than the primary: readable, and not yet written with.
    #[cfg(feature = "admin")]
    pub(crate) fn staged(&self) -> Option<u64> {
        self.newest_enabled().filter(|newest| Some(*newest) > self.primary())
    }

    #[cfg(feature = "admin")]
    pub(crate) fn newest_enabled(&self) -> Option<u64> {
        let mut newest_first = self.versions.iter().rev();
        newest_first.find(|version| version.state == State::Enabled).map(|version| version.number)
    }

    #[cfg(feature = "admin")]
    pub(crate) fn any(&self, state: State) -> bool {
        self.versions.iter().any(|version| version.state == state)
    }

    /// What the key as a whole is.
    pub(crate) fn state(&self) -> KeyState {
        let any = |state| self.versions.iter().any(|version| version.state == state);
        let sealing = |version: &&Version| Some(version.number) == self.primary();
        let primary = self.versions.iter().find(sealing).map(|version| version.state);
        let seals_with_any = self.key.purpose() != CryptoKeyPurpose::EncryptDecrypt;
        if primary == Some(State::Enabled) || (seals_with_any && any(State::Enabled)) {
            KeyState::Enabled
        } else if any(State::Enabled) {
            // The version that would seal rests, and an older one still opens.
            KeyState::DecryptOnly
        } else if any(State::Disabled) || any(State::PendingGeneration) || any(State::PendingImport)
        {
            KeyState::Disabled
        } else if any(State::DestroyScheduled) || any(State::PendingExternalDestruction) {
            KeyState::PendingDeletion
        } else if self.versions.is_empty() {
            KeyState::Disabled
        } else {
            KeyState::Destroyed
        }
    }

    /// The description of a key that encrypts or is an RSA key; there are no words for the others.
    pub(crate) fn told(&self) -> Result<KeyInfo> {
        let spec = spec(&self.key).ok_or_else(|| {
            unsupported("this is no key for encrypting, nor an RSA key; `gcloud kms keys describe` tells of it")
        })?;
        let mut info = self.info();
        info.spec = spec;
        Ok(info)
    }

    /// The same without the kind of its material.
    pub(crate) fn info(&self) -> KeyInfo {
        let mut info = KeyInfo::new(self.name.key_id(), self.state());
        let primary = self.primary();
        info.usage = usage(self.key.purpose());
        info.primary_version = primary.map(names::version);
        info.versions = self.versions.iter().map(|version| version.info(primary)).collect();
        info.created_at = self.key.create_time.as_ref().and_then(time);
        // Google tells when a version was made, not when it became the primary: no `rotated_at`.
        info.rotation_period = rotation_period(&self.key);
        if info.state == KeyState::PendingDeletion {
            info.deletion_at =
                self.versions.iter().filter(|v| v.waits()).filter_map(|v| v.destroyed_at).min();
        }
        info.tags = self.key.labels.clone().into_iter().collect();
        info
    }
}

impl Version {
    fn waits(&self) -> bool {
        self.state == State::DestroyScheduled
    }

    fn info(&self, primary: Option<u64>) -> KeyVersionInfo {
        let state = match self.state {
            State::Enabled if primary == Some(self.number) => KeyState::Enabled,
            State::Enabled if primary < Some(self.number) => KeyState::Staged,
            State::Enabled => KeyState::DecryptOnly,
            State::DestroyScheduled | State::PendingExternalDestruction => {
                KeyState::PendingDeletion
            }
            State::Destroyed | State::ImportFailed | State::GenerationFailed => KeyState::Destroyed,
            State::Disabled
            | State::Unspecified
            | State::PendingGeneration
            | State::PendingImport
            | State::ExternalDestructionFailed => KeyState::Disabled,
        };
        KeyVersionInfo::new(names::version(self.number), state, self.created_at)
    }
}

fn usage(purpose: CryptoKeyPurpose) -> KeyUsage {
    match purpose {
        CryptoKeyPurpose::AsymmetricSign | CryptoKeyPurpose::Mac => KeyUsage::SignVerify,
        _ => KeyUsage::EncryptDecrypt,
    }
}

fn spec(key: &kms::CryptoKey) -> Option<KeySpec> {
    if key.purpose() == CryptoKeyPurpose::EncryptDecrypt {
        return Some(KeySpec::Symmetric256);
    }
    let algorithm = key.version_template.as_ref().map(kms::CryptoKeyVersionTemplate::algorithm);
    let bits = match algorithm? {
        Algorithm::RsaDecryptOaep2048Sha1
        | Algorithm::RsaDecryptOaep2048Sha256
        | Algorithm::RsaSignPss2048Sha256
        | Algorithm::RsaSignPkcs12048Sha256 => 2_048,
        Algorithm::RsaDecryptOaep3072Sha1
        | Algorithm::RsaDecryptOaep3072Sha256
        | Algorithm::RsaSignPss3072Sha256
        | Algorithm::RsaSignPkcs13072Sha256 => 3_072,
        Algorithm::RsaDecryptOaep4096Sha1
        | Algorithm::RsaDecryptOaep4096Sha256
        | Algorithm::RsaDecryptOaep4096Sha512
        | Algorithm::RsaSignPss4096Sha256
        | Algorithm::RsaSignPss4096Sha512
        | Algorithm::RsaSignPkcs14096Sha256
        | Algorithm::RsaSignPkcs14096Sha512 => 4_096,
        _ => return None,
    };
    Some(KeySpec::Rsa { bits })
}

pub(crate) fn rotation_period(key: &kms::CryptoKey) -> Option<Duration> {
    let Some(RotationSchedule::RotationPeriod(period)) = &key.rotation_schedule else {
        return None;
    };
    duration(period)
}

pub(crate) fn duration(told: &prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(told.seconds).ok()?;
    Some(Duration::new(seconds, u32::try_from(told.nanos).ok()?.min(999_999_999)))
}

pub(crate) fn time(told: &prost_types::Timestamp) -> Option<SystemTime> {
    let seconds = u64::try_from(told.seconds).ok()?;
    let since = Duration::new(seconds, u32::try_from(told.nanos).ok()?.min(999_999_999));
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::KeyId;

    use super::*;
    use crate::names::RingName;

    fn described(primary: u64, states: &[State]) -> Described {
        let ring = RingName::parse("projects/p/locations/global/keyRings/r").unwrap();
        let name = KeyName::parse(&KeyId::new("k"), &ring).unwrap();
        let told = |number: u64, state: State| kms::CryptoKeyVersion {
            name: format!("{name}/cryptoKeyVersions/{number}"),
            state: state.into(),
            create_time: Some(prost_types::Timestamp { seconds: number as i64, nanos: 0 }),
            ..Default::default()
        };
        let versions: Vec<_> = (1..).zip(states).map(|(n, s)| told(n, *s)).collect();
        let key = kms::CryptoKey {
            name: name.to_string(),
            primary: versions.iter().find(|v| v.name.ends_with(&format!("/{primary}"))).cloned(),
            purpose: CryptoKeyPurpose::EncryptDecrypt.into(),
            ..Default::default()
        };
        let versions = versions.iter().map(|told| version(&name, told).unwrap()).collect();
        Described { name, key, versions }
    }

    #[test]
    fn a_key_is_what_its_versions_are() {
        use State::{DestroyScheduled as Going, Destroyed as Gone, Disabled, Enabled};
        let table: [(&[State], u64, KeyState); 8] = [
            (&[Enabled], 1, KeyState::Enabled),
            (&[Disabled, Enabled], 2, KeyState::Enabled),
            (&[Enabled, Disabled], 2, KeyState::DecryptOnly),
            (&[Disabled, Disabled], 2, KeyState::Disabled),
            (&[Going, Going], 2, KeyState::PendingDeletion),
            (&[Gone, Going], 2, KeyState::PendingDeletion),
            (&[Going, Disabled], 2, KeyState::Disabled),
            (&[Gone, Gone], 2, KeyState::Destroyed),
        ];
        for (states, primary, expected) in table {
            assert_eq!(described(primary, states).state(), expected, "{states:?}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_not_described_as_one_of_ours() {
        let mut key = described(1, &[State::Enabled]);
        assert_eq!(key.told().unwrap().spec, KeySpec::Symmetric256);
        let of = |key: &mut Described, purpose: CryptoKeyPurpose, algorithm: Algorithm| {
            key.key.purpose = purpose.into();
            let algorithm = algorithm.into();
            key.key.version_template =
                Some(kms::CryptoKeyVersionTemplate { algorithm, ..Default::default() });
            key.told().map(|info| (info.spec, info.usage)).map_err(|error| error.kind())
        };
        let rsa = (KeySpec::Rsa { bits: 3_072 }, KeyUsage::SignVerify);
        let sign = CryptoKeyPurpose::AsymmetricSign;
        assert_eq!(of(&mut key, sign, Algorithm::RsaSignPss3072Sha256), Ok(rsa));
        for (purpose, algorithm) in [
            (sign, Algorithm::EcSignP256Sha256),
            (CryptoKeyPurpose::Mac, Algorithm::HmacSha256),
            (CryptoKeyPurpose::RawEncryptDecrypt, Algorithm::Aes128Gcm),
        ] {
            let told = of(&mut key, purpose, algorithm);
            assert_eq!(told, Err(vault_crypto_core::ErrorKind::Unsupported), "{purpose:?}");
        }
    }

    #[test]
    fn versions_are_older_than_the_primary_or_wait_for_it() {
        let info = described(2, &[State::Enabled; 3]).info();
        let states: Vec<_> = info.versions.iter().map(|version| version.state).collect();
        assert_eq!(states, [KeyState::DecryptOnly, KeyState::Enabled, KeyState::Staged]);
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(2));
        assert_eq!((info.versions[1].created_at, info.rotated_at), (made, None));
    }
}
