//! The calls that change rings, keys and versions, one function each.
//!
//! None is ever made twice: where an answer is lost, the change may have happened, and the error says no
//! more than that. Names make creation safe to repeat: a second one is `Conflict`. Left to others: in which
//! states which change is wanted.

use std::collections::BTreeMap;
use std::time::Duration;

use gcloud_sdk::google::cloud::kms::v1 as kms;
use kms::crypto_key::{CryptoKeyPurpose, RotationSchedule};
use kms::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Algorithm, CryptoKeyVersionState as State,
};
use prost_types::{FieldMask, Timestamp};
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation, Result};

use crate::client::{Call, Kms};
use crate::describe::{self, Described, Version};
use crate::error::{Verb, after, another_key, broken_answer, classify, invalid};
use crate::names::{KeyName, RingName};
use crate::pages::Pages;

/// Keys carry up to 8 KiB of labels, and the SDK takes no answer above 4 MiB.
const PAGE: i32 = 250;
const MAX_LABELS: usize = 64;
const MAX_LABEL_LEN: usize = 63;
/// While an HSM makes a version, it is looked at this often.
const POLL: Duration = Duration::from_millis(250);

fn failed(status: tonic::Status) -> CryptoError {
    classify(&status, Verb::Other)
}

/// A key to be made.
pub(crate) struct NewKey {
    pub(crate) purpose: CryptoKeyPurpose,
    pub(crate) algorithm: Algorithm,
    pub(crate) hsm: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) destroy_delay: Option<Duration>,
}

impl NewKey {
    fn message(self) -> kms::CryptoKey {
        let protection =
            if self.hsm { kms::ProtectionLevel::Hsm } else { kms::ProtectionLevel::Software };
        kms::CryptoKey {
            purpose: self.purpose.into(),
            labels: self.labels.into_iter().collect(),
            version_template: Some(kms::CryptoKeyVersionTemplate {
                protection_level: protection.into(),
                algorithm: self.algorithm.into(),
            }),
            destroy_scheduled_duration: self.destroy_delay.map(told),
            ..Default::default()
        }
    }
}

impl Call<'_> {
    pub(crate) async fn create_ring(&self, ring: &RingName) -> Result<kms::KeyRing> {
        let message = kms::CreateKeyRingRequest {
            parent: ring.location().to_owned(),
            key_ring_id: ring.id().to_owned(),
            key_ring: Some(kms::KeyRing::default()),
        };
        let named = ("parent", ring.location());
        Ok(self.change(named, message, Kms::create_key_ring).await.map_err(failed)?.into_inner())
    }

    pub(crate) async fn ring(&self, ring: &RingName) -> Result<kms::KeyRing> {
        let message = kms::GetKeyRingRequest { name: ring.as_str().to_owned() };
        let named = ("name", ring.as_str());
        Ok(self.kms(named, message, Kms::get_key_ring).await.map_err(failed)?.into_inner())
    }

    pub(crate) async fn rings(&self, location: &str) -> Result<Vec<kms::KeyRing>> {
        let (mut rings, mut pages) = (Vec::new(), Pages::default());
        loop {
            let message = kms::ListKeyRingsRequest {
                parent: location.to_owned(),
                page_size: PAGE,
                page_token: pages.token(),
                ..Default::default()
            };
            let answer = self.kms(("parent", location), message, Kms::list_key_rings).await;
            let answer = answer.map_err(failed)?.into_inner();
            rings.extend(answer.key_rings);
            if !pages.turn(answer.next_page_token)? {
                rings.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(rings);
            }
        }
    }

    /// A ring's keys, ascending by name; of their versions each tells the primary one alone.
    pub(crate) async fn keys(&self, ring: &RingName) -> Result<Vec<(KeyName, kms::CryptoKey)>> {
        let (mut keys, mut pages) = (Vec::new(), Pages::default());
        loop {
            let message = kms::ListCryptoKeysRequest {
                parent: ring.as_str().to_owned(),
                page_size: PAGE,
                page_token: pages.token(),
                ..Default::default()
            };
            let named = ("parent", ring.as_str());
            let answer = self.kms(named, message, Kms::list_crypto_keys).await;
            let answer = answer.map_err(failed)?.into_inner();
            for listed in answer.crypto_keys {
                let id = listed.name.rsplit('/').next().unwrap_or_default();
                let key =
                    ring.key(id).map_err(|_| broken_answer("the service listed what is no key"))?;
                if key.as_str() != listed.name {
                    return Err(another_key(&key, &listed.name));
                }
                keys.push((key, listed));
            }
            if !pages.turn(answer.next_page_token)? {
                keys.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
                return Ok(keys);
            }
        }
    }

    /// Makes a key and waits until its first version is there.
    pub(crate) async fn create_key(
        &self,
        name: &KeyName,
        new: NewKey,
        clock: &dyn Clock,
    ) -> Result<Described> {
        check_labels(&new.labels)?;
        let message = kms::CreateCryptoKeyRequest {
            parent: name.ring().to_owned(),
            crypto_key_id: name.id().to_owned(),
            crypto_key: Some(new.message()),
            ..Default::default()
        };
        let named = ("parent", name.ring());
        let made = self.change(named, message, Kms::create_crypto_key).await;
        let made = made.map_err(failed)?.into_inner();
        let first = self.first_version(name, &made, clock).await;
        let version = first.map_err(|error| {
            after("the key was created, but is not known to be ready; describe it", error)
        })?;
        Ok(Described { name: name.clone(), key: made, versions: vec![version] })
    }

    /// The only version of a key that has just been made, as soon as it can be used.
    async fn first_version(
        &self,
        name: &KeyName,
        made: &kms::CryptoKey,
        clock: &dyn Clock,
    ) -> Result<Version> {
        if made.name != name.as_str() {
            return Err(another_key(name, &made.name));
        }
        match &made.primary {
            Some(primary) => self.generated(name, describe::version(name, primary)?, clock).await,
            // RSA keys have no primary version.
            None => self.generated(name, self.version(name, 1).await?, clock).await,
        }
    }

    /// Makes a version, which is not the primary yet, and waits until it is there.
    pub(crate) async fn create_version(
        &self,
        name: &KeyName,
        clock: &dyn Clock,
    ) -> Result<Version> {
        let message = kms::CreateCryptoKeyVersionRequest {
            parent: name.as_str().to_owned(),
            crypto_key_version: Some(kms::CryptoKeyVersion::default()),
        };
        let named = ("parent", name.as_str());
        let made = self.change(named, message, Kms::create_crypto_key_version).await;
        let made = made.map_err(failed)?.into_inner();
        let ready = match describe::version(name, &made) {
            Ok(version) => self.generated(name, version, clock).await,
            Err(error) => Err(error),
        };
        ready.map_err(|error| {
            after("a version was made, but is not known to be ready; describe the key", error)
        })
    }

    pub(crate) async fn version(&self, name: &KeyName, number: u64) -> Result<Version> {
        let version = name.version(number);
        let message = kms::GetCryptoKeyVersionRequest { name: version.clone() };
        let answer =
            self.kms(("name", version.as_str()), message, Kms::get_crypto_key_version).await;
        describe::version(name, answer.map_err(failed)?.get_ref())
    }

    /// The version as it is when it is no longer being made.
    async fn generated(
        &self,
        name: &KeyName,
        mut version: Version,
        clock: &dyn Clock,
    ) -> Result<Version> {
        loop {
            match version.state {
                State::PendingGeneration => {}
                State::GenerationFailed => {
                    return Err(CryptoError::new(ErrorKind::KeyUnusable, Operation::Configure)
                        .with_detail("the service could not make the version's material"));
                }
                _ => return Ok(version),
            }
            if self.left() < POLL {
                return Err(CryptoError::new(ErrorKind::TimedOut, Operation::Configure)
                    .with_detail("the version's material is still being made"));
            }
            clock.sleep(POLL).await;
            version = self.version(name, version.number).await?;
        }
    }

    /// Makes a version that was just made the primary one, unless somebody else has made a newer one meanwhile,
    /// which the key would be moved back from. Google knows no condition for this change: what happens between
    /// the look and the change is not seen.
    pub(crate) async fn make_primary(&self, name: &KeyName, number: u64) -> Result<()> {
        let moved = async {
            let described = self.describe(name).await?;
            if described.newest_enabled().max(described.primary()) > Some(number) {
                return Err(CryptoError::new(ErrorKind::Conflict, Operation::Configure)
                    .with_detail("somebody else gave the key a newer one meanwhile"));
            }
            self.set_primary(name, number).await
        };
        moved.await.map_err(|error| {
            after("a version was made and waits to be promoted, but is not the primary", error)
        })
    }

    pub(crate) async fn set_primary(&self, name: &KeyName, number: u64) -> Result<()> {
        let message = kms::UpdateCryptoKeyPrimaryVersionRequest {
            name: name.as_str().to_owned(),
            crypto_key_version_id: number.to_string(),
        };
        let named = ("name", name.as_str());
        let answer = self.change(named, message, Kms::update_crypto_key_primary_version).await;
        let primary = answer.map_err(failed)?.into_inner().primary;
        let is_primary = primary.is_some_and(|version| version.name == name.version(number));
        if is_primary { Ok(()) } else { Err(broken_answer("another version became the primary")) }
    }

    /// Enables or disables one version.
    pub(crate) async fn set_state(&self, name: &KeyName, number: u64, state: State) -> Result<()> {
        let version = name.version(number);
        let message = kms::UpdateCryptoKeyVersionRequest {
            crypto_key_version: Some(kms::CryptoKeyVersion {
                name: version.clone(),
                state: state.into(),
                ..Default::default()
            }),
            update_mask: Some(mask(&["state"])),
        };
        let named = ("crypto_key_version.name", version.as_str());
        self.change(named, message, Kms::update_crypto_key_version).await.map_err(failed)?;
        Ok(())
    }

    /// Schedules a version's destruction; the answer says for when.
    pub(crate) async fn destroy_version(&self, name: &KeyName, number: u64) -> Result<Version> {
        let version = name.version(number);
        let message = kms::DestroyCryptoKeyVersionRequest { name: version.clone() };
        let named = ("name", version.as_str());
        let answer = self.change(named, message, Kms::destroy_crypto_key_version).await;
        describe::version(name, answer.map_err(failed)?.get_ref())
    }

    /// Takes a scheduled destruction back; the version is disabled afterwards.
    pub(crate) async fn restore_version(&self, name: &KeyName, number: u64) -> Result<()> {
        let version = name.version(number);
        let message = kms::RestoreCryptoKeyVersionRequest { name: version.clone() };
        let named = ("name", version.as_str());
        self.change(named, message, Kms::restore_crypto_key_version).await.map_err(failed)?;
        Ok(())
    }

    pub(crate) async fn set_labels(
        &self,
        name: &KeyName,
        labels: BTreeMap<String, String>,
    ) -> Result<()> {
        check_labels(&labels)?;
        let key = kms::CryptoKey { labels: labels.into_iter().collect(), ..named(name) };
        self.update(name, key, &["labels"]).await
    }

    /// Rotates by itself every `period`, the first time at `next`; or never.
    pub(crate) async fn set_schedule(
        &self,
        name: &KeyName,
        schedule: Option<(Duration, Timestamp)>,
    ) -> Result<()> {
        let mut key = named(name);
        if let Some((period, next)) = schedule {
            key.rotation_schedule = Some(RotationSchedule::RotationPeriod(told(period)));
            key.next_rotation_time = Some(next);
        }
        self.update(name, key, &["rotation_period", "next_rotation_time"]).await
    }

    async fn update(&self, name: &KeyName, key: kms::CryptoKey, fields: &[&str]) -> Result<()> {
        let message =
            kms::UpdateCryptoKeyRequest { crypto_key: Some(key), update_mask: Some(mask(fields)) };
        let named = ("crypto_key.name", name.as_str());
        self.change(named, message, Kms::update_crypto_key).await.map_err(failed)?;
        Ok(())
    }
}

fn named(name: &KeyName) -> kms::CryptoKey {
    kms::CryptoKey { name: name.as_str().to_owned(), ..Default::default() }
}

fn mask(fields: &[&str]) -> FieldMask {
    FieldMask { paths: fields.iter().map(|field| (*field).to_owned()).collect() }
}

fn told(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

/// <https://cloud.google.com/kms/docs/creating-managing-labels>; letters of other alphabets are left out.
fn check_labels(labels: &BTreeMap<String, String>) -> Result<()> {
    let allowed = |text: &str| {
        let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        text.len() <= MAX_LABEL_LEN && text.bytes().all(byte)
    };
    let name = |name: &str| allowed(name) && name.starts_with(|c: char| c.is_ascii_lowercase());
    if labels.len() <= MAX_LABELS && labels.iter().all(|(n, value)| name(n) && allowed(value)) {
        return Ok(());
    }
    Err(invalid(
        "Google takes at most 64 labels; names match [a-z][a-z0-9_-]{0,62}, values [a-z0-9_-]{0,63}",
    ))
}
