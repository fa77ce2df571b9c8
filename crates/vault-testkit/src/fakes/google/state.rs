//! What the service knows: key rings, keys and their versions, policies, the time, and what a test has
//! asked it to do wrong.
//!
//! Left to others: the calls that read and change it; who may make them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use gcloud_sdk::google::cloud::kms::v1 as kms;
use gcloud_sdk::google::iam::v1::Policy;
use gcloud_sdk::prost_types;
use kms::crypto_key::{CryptoKeyPurpose as Purpose, RotationSchedule};
use kms::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Algorithm, CryptoKeyVersionState as VersionState,
};
use tonic::Status;
use vault_crypto_core::{Clock as _, SystemClock};

use super::knobs::Knobs;
use super::material::{Material, Tag, random};
use super::{names, status};

#[derive(Default)]
pub(super) struct State {
    /// Name and date of each key ring.
    pub(super) rings: BTreeMap<String, SystemTime>,
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) knobs: Knobs,
    /// How far the service's clock is ahead of the system's.
    pub(super) advanced: Duration,
}

pub(super) struct Key {
    pub(super) created: SystemTime,
    pub(super) purpose: Purpose,
    pub(super) algorithm: Algorithm,
    pub(super) protection_level: i32,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) rotation_period: Option<Duration>,
    pub(super) next_rotation: Option<SystemTime>,
    pub(super) destroy_after: Duration,
    pub(super) import_only: bool,
    pub(super) primary: Option<u64>,
    /// In the order of their numbers, which begin at 1.
    pub(super) versions: Vec<Version>,
}

pub(super) struct Version {
    pub(super) number: u64,
    pub(super) state: VersionState,
    pub(super) algorithm: Algorithm,
    pub(super) created: SystemTime,
    /// When its key material is there; later than `created` while that takes time.
    pub(super) generated: SystemTime,
    pub(super) destroy_at: Option<SystemTime>,
    pub(super) destroyed_at: Option<SystemTime>,
    pub(super) tag: Tag,
    /// Gone once the version is destroyed.
    pub(super) material: Option<Material>,
}

impl State {
    pub(super) fn now(&self) -> SystemTime {
        SystemClock::new().now() + self.advanced
    }

    pub(super) fn ring(&self, name: &str) -> Result<SystemTime, Status> {
        let name = names::key_ring(name)?;
        self.rings.get(name).copied().ok_or_else(|| status::not_found("KeyRing", name))
    }

    pub(super) fn key(&self, name: &str) -> Result<&Key, Status> {
        let name = names::crypto_key(name)?;
        self.keys.get(name).ok_or_else(|| status::not_found("CryptoKey", name))
    }

    pub(super) fn key_mut(&mut self, name: &str) -> Result<&mut Key, Status> {
        let name = names::crypto_key(name)?;
        self.keys.get_mut(name).ok_or_else(|| status::not_found("CryptoKey", name))
    }

    /// The key of the version called `name`, and the version.
    pub(super) fn version(&self, name: &str) -> Result<(&Key, &Version), Status> {
        let (key, number) = names::version(name)?;
        let missing = || status::not_found("CryptoKeyVersion", name);
        let key = self.keys.get(key).ok_or_else(missing)?;
        Ok((key, key.version(number).ok_or_else(missing)?))
    }

    pub(super) fn version_mut(&mut self, name: &str) -> Result<&mut Version, Status> {
        let (key, number) = names::version(name)?;
        let missing = || status::not_found("CryptoKeyVersion", name);
        let key = self.keys.get_mut(key).ok_or_else(missing)?;
        key.versions.iter_mut().find(|version| version.number == number).ok_or_else(missing)
    }

    /// Lets happen what was due by now: material is generated, versions are destroyed, keys rotate.
    pub(super) fn catch_up(&mut self) {
        let now = self.now();
        let slowly = self.knobs.generation;
        for key in self.keys.values_mut() {
            key.rotate_if_due(now, slowly);
            for version in &mut key.versions {
                version.catch_up(now);
            }
        }
    }
}

impl Key {
    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// Makes the next version; its number was never used before, even if that version is gone.
    pub(super) fn add_version(&mut self, now: SystemTime, slowly: Duration) -> u64 {
        let number = self.versions.last().map_or(1, |version| version.number + 1);
        let ready = slowly == Duration::ZERO;
        self.versions.push(Version {
            number,
            state: if ready { VersionState::Enabled } else { VersionState::PendingGeneration },
            algorithm: self.algorithm,
            created: now,
            generated: now + slowly,
            destroy_at: None,
            destroyed_at: None,
            tag: random(),
            material: Some(Material::generate(self.algorithm)),
        });
        number
    }

    /// "At `next_rotation_time` the service will automatically create a new version of this `CryptoKey`
    /// and mark the new version as primary"; the time is then advanced by the period.
    fn rotate_if_due(&mut self, now: SystemTime, slowly: Duration) {
        while let Some(due) = self.next_rotation.filter(|due| *due <= now) {
            self.primary = Some(self.add_version(due, slowly));
            self.next_rotation = self.rotation_period.map(|period| due + period);
        }
    }

    pub(super) fn message(&self, name: &str) -> kms::CryptoKey {
        let primary = self.primary.and_then(|number| self.version(number));
        kms::CryptoKey {
            name: name.to_owned(),
            primary: primary.map(|version| version.message(name, self.protection_level)),
            purpose: self.purpose as i32,
            create_time: Some(timestamp(self.created)),
            next_rotation_time: self.next_rotation.map(timestamp),
            version_template: Some(kms::CryptoKeyVersionTemplate {
                protection_level: self.protection_level,
                algorithm: self.algorithm as i32,
            }),
            labels: self.labels.clone().into_iter().collect(),
            import_only: self.import_only,
            destroy_scheduled_duration: Some(duration(self.destroy_after)),
            rotation_schedule: self
                .rotation_period
                .map(|period| RotationSchedule::RotationPeriod(duration(period))),
            ..Default::default()
        }
    }
}

impl Version {
    fn catch_up(&mut self, now: SystemTime) {
        if self.state == VersionState::PendingGeneration && self.generated <= now {
            self.state = VersionState::Enabled;
        }
        if self.state == VersionState::DestroyScheduled
            && let Some(at) = self.destroy_at.take_if(|at| *at <= now)
        {
            self.state = VersionState::Destroyed;
            self.destroyed_at = Some(at);
            self.material = None;
        }
    }

    /// The material of a version that may be used.
    pub(super) fn usable(&self, name: &str) -> Result<&Material, Status> {
        match (self.state, &self.material) {
            (VersionState::Enabled, Some(material)) => Ok(material),
            (state, _) => Err(status::not_enabled(name, state.as_str_name())),
        }
    }

    pub(super) fn message(&self, key: &str, protection_level: i32) -> kms::CryptoKeyVersion {
        let pending = self.state == VersionState::PendingGeneration;
        kms::CryptoKeyVersion {
            name: version_name(key, self.number),
            state: self.state as i32,
            protection_level,
            algorithm: self.algorithm as i32,
            create_time: Some(timestamp(self.created)),
            generate_time: (!pending).then(|| timestamp(self.generated)),
            destroy_time: self.destroy_at.map(timestamp),
            destroy_event_time: self.destroyed_at.map(timestamp),
            ..Default::default()
        }
    }
}

pub(super) fn version_name(key: &str, number: u64) -> String {
    format!("{key}/cryptoKeyVersions/{number}")
}

pub(super) fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let duration = duration(since);
    prost_types::Timestamp { seconds: duration.seconds, nanos: duration.nanos }
}

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: duration.subsec_nanos().cast_signed() }
}

/// A time of the request, which must lie after 1970.
pub(super) fn from_timestamp(time: &prost_types::Timestamp) -> Result<SystemTime, Status> {
    let message = prost_types::Duration { seconds: time.seconds, nanos: time.nanos };
    Ok(SystemTime::UNIX_EPOCH + from_duration(&message)?)
}

/// A duration of the request, which must not be negative.
pub(super) fn from_duration(duration: &prost_types::Duration) -> Result<Duration, Status> {
    let out_of_range = |_| status::invalid("A time or duration of the request is out of range.");
    let seconds = u64::try_from(duration.seconds).map_err(out_of_range)?;
    let nanos = u32::try_from(duration.nanos).map_err(out_of_range)?;
    Ok(Duration::new(seconds, nanos))
}
