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

use crate::client::Client;
use crate::describe::{self, MAX_PAGES, Version};
use crate::error::{Verb, broken_answer, classify, invalid};
use crate::names::{KeyName, RingName};

const PAGE: i32 = 1_000;
const MAX_LABELS: usize = 64;
const MAX_LABEL_LEN: usize = 63;
/// How long an HSM may take to make a version.
const GENERATION: Duration = Duration::from_secs(60);
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

impl Client {
    pub(crate) async fn create_ring(&self, ring: &RingName) -> Result<kms::KeyRing> {
        let message = kms::CreateKeyRingRequest {
            parent: ring.location().to_owned(),
            key_ring_id: ring.id().to_owned(),
            key_ring: Some(kms::KeyRing::default()),
        };
        let request = self.request("parent", ring.location(), message);
        Ok(self.kms().create_key_ring(request).await.map_err(failed)?.into_inner())
    }

    pub(crate) async fn ring(&self, ring: &RingName) -> Result<kms::KeyRing> {
        let message = kms::GetKeyRingRequest { name: ring.as_str().to_owned() };
        let request = self.request("name", ring.as_str(), message);
        Ok(self.kms().get_key_ring(request).await.map_err(failed)?.into_inner())
    }

    pub(crate) async fn rings(&self, location: &str) -> Result<Vec<kms::KeyRing>> {
        let (mut rings, mut page_token) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let message = kms::ListKeyRingsRequest {
                parent: location.to_owned(),
                page_size: PAGE,
                page_token,
                ..Default::default()
            };
            let request = self.request("parent", location, message);
            let answer = self.kms().list_key_rings(request).await.map_err(failed)?.into_inner();
            rings.extend(answer.key_rings);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                rings.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(rings);
            }
        }
        Err(broken_answer("the service's list of key rings does not end"))
    }

    /// The names of a ring's keys, ascending.
    pub(crate) async fn keys(&self, ring: &RingName) -> Result<Vec<KeyName>> {
        let (mut keys, mut page_token) = (Vec::new(), String::new());
        for _ in 0..MAX_PAGES {
            let message = kms::ListCryptoKeysRequest {
                parent: ring.as_str().to_owned(),
                page_size: PAGE,
                page_token,
                ..Default::default()
            };
            let request = self.request("parent", ring.as_str(), message);
            let answer = self.kms().list_crypto_keys(request).await.map_err(failed)?.into_inner();
            for listed in answer.crypto_keys {
                let id = listed.name.rsplit('/').next().unwrap_or_default();
                let key = ring.key(id).ok().filter(|key| key.as_str() == listed.name);
                keys.push(
                    key.ok_or_else(|| broken_answer("the service listed a key of another ring"))?,
                );
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                keys.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                return Ok(keys);
            }
        }
        Err(broken_answer("the service's list of keys does not end"))
    }

    /// Makes a key and waits until its first version is there.
    pub(crate) async fn create_key(
        &self,
        name: &KeyName,
        new: NewKey,
        clock: &dyn Clock,
    ) -> Result<()> {
        check_labels(&new.labels)?;
        let protection =
            if new.hsm { kms::ProtectionLevel::Hsm } else { kms::ProtectionLevel::Software };
        let key = kms::CryptoKey {
            purpose: new.purpose.into(),
            labels: new.labels.into_iter().collect(),
            version_template: Some(kms::CryptoKeyVersionTemplate {
                protection_level: protection.into(),
                algorithm: new.algorithm.into(),
            }),
            destroy_scheduled_duration: new.destroy_delay.map(told),
            ..Default::default()
        };
        let message = kms::CreateCryptoKeyRequest {
            parent: name.ring().to_owned(),
            crypto_key_id: name.id().to_owned(),
            crypto_key: Some(key),
            ..Default::default()
        };
        let request = self.request("parent", name.ring(), message);
        let made = self.kms().create_crypto_key(request).await.map_err(failed)?.into_inner();
        if made.name != name.as_str() {
            return Err(broken_answer("the service made another key than the one that was named"));
        }
        self.await_generated(name, 1, clock).await.map(drop)
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
        let request = self.request("parent", name.as_str(), message);
        let made =
            self.kms().create_crypto_key_version(request).await.map_err(failed)?.into_inner();
        let made = describe::version(name, &made)?;
        if made.state == State::Enabled {
            return Ok(made);
        }
        self.await_generated(name, made.number, clock).await
    }

    pub(crate) async fn version(&self, name: &KeyName, number: u64) -> Result<Version> {
        let version = name.version(number);
        let message = kms::GetCryptoKeyVersionRequest { name: version.clone() };
        let request = self.request("name", &version, message);
        let answer = self.kms().get_crypto_key_version(request).await.map_err(failed)?;
        describe::version(name, &answer.into_inner())
    }

    async fn await_generated(
        &self,
        name: &KeyName,
        number: u64,
        clock: &dyn Clock,
    ) -> Result<Version> {
        let asked_at = clock.monotonic();
        loop {
            let version = self.version(name, number).await?;
            match version.state {
                State::PendingGeneration => {}
                State::GenerationFailed => {
                    return Err(broken_answer("the service could not make the version's material"));
                }
                _ => return Ok(version),
            }
            if clock.monotonic().saturating_sub(asked_at) > GENERATION {
                return Err(CryptoError::new(ErrorKind::TimedOut, Operation::CreateKey)
                    .with_detail("the version was asked for and is still being made"));
            }
            clock.sleep(POLL).await;
        }
    }

    pub(crate) async fn set_primary(&self, name: &KeyName, number: u64) -> Result<()> {
        let message = kms::UpdateCryptoKeyPrimaryVersionRequest {
            name: name.as_str().to_owned(),
            crypto_key_version_id: number.to_string(),
        };
        let request = self.request("name", name.as_str(), message);
        let answer = self.kms().update_crypto_key_primary_version(request).await;
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
        let request = self.request("crypto_key_version.name", &version, message);
        self.kms().update_crypto_key_version(request).await.map_err(failed)?;
        Ok(())
    }

    pub(crate) async fn destroy_version(&self, name: &KeyName, number: u64) -> Result<()> {
        let version = name.version(number);
        let message = kms::DestroyCryptoKeyVersionRequest { name: version.clone() };
        let request = self.request("name", &version, message);
        self.kms().destroy_crypto_key_version(request).await.map_err(failed)?;
        Ok(())
    }

    /// Takes a scheduled destruction back; the version is disabled afterwards.
    pub(crate) async fn restore_version(&self, name: &KeyName, number: u64) -> Result<()> {
        let version = name.version(number);
        let message = kms::RestoreCryptoKeyVersionRequest { name: version.clone() };
        let request = self.request("name", &version, message);
        self.kms().restore_crypto_key_version(request).await.map_err(failed)?;
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
        let request = self.request("crypto_key.name", name.as_str(), message);
        self.kms().update_crypto_key(request).await.map_err(failed)?;
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
