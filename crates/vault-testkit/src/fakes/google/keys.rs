//! Key rings and keys: create, get, list, update.
//!
//! Reference: <https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#cryptokey> and
//! <https://cloud.google.com/kms/docs/labeling-keys>. Left to others: versions.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use gcloud_sdk::google::cloud::kms::v1 as kms;
use kms::ProtectionLevel;
use kms::crypto_key::{CryptoKeyPurpose as Purpose, RotationSchedule};
use kms::crypto_key_version::CryptoKeyVersionAlgorithm as Algorithm;
use tonic::Status;

use super::list::page;
use super::state::{Key, State, from_duration, from_timestamp, timestamp};
use super::{material, names, status};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// "If not specified at creation time, the default duration is 30 days."
const DESTROY_AFTER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longest time from scheduling to destruction.
const DESTROY_LATEST: Duration = Duration::from_secs(120 * 24 * 60 * 60);
/// "Must be at least 24 hours and at most 876,000 hours."
const PERIOD_LONGEST: Duration = Duration::from_secs(876_000 * 60 * 60);
const LABELS: usize = 64;

pub(super) fn create_key_ring(
    state: &mut State,
    request: kms::CreateKeyRingRequest,
) -> Result<kms::KeyRing, Status> {
    let id = names::new_id(&request.key_ring_id, "key_ring_id")?;
    let name = format!("{}/keyRings/{id}", names::location(&request.parent)?);
    if state.rings.contains_key(&name) {
        return Err(status::already_exists("KeyRing", &name));
    }
    let now = state.now();
    state.rings.insert(name.clone(), now);
    Ok(kms::KeyRing { name, create_time: Some(timestamp(now)) })
}

pub(super) fn get_key_ring(
    state: &mut State,
    request: kms::GetKeyRingRequest,
) -> Result<kms::KeyRing, Status> {
    let created = state.ring(&request.name)?;
    Ok(kms::KeyRing { name: request.name, create_time: Some(timestamp(created)) })
}

pub(super) fn list_key_rings(
    state: &mut State,
    request: kms::ListKeyRingsRequest,
) -> Result<kms::ListKeyRingsResponse, Status> {
    let parent = format!("{}/keyRings/", names::location(&request.parent)?);
    let all: Vec<_> = state.rings.iter().filter(|(name, _)| name.starts_with(&parent)).collect();
    let asked = [request.filter.as_str(), request.order_by.as_str()];
    let page = page(state, &all, request.page_size, &request.page_token, asked)?;
    Ok(kms::ListKeyRingsResponse {
        key_rings: page
            .items
            .iter()
            .map(|(name, created)| kms::KeyRing {
                name: (*name).clone(),
                create_time: Some(timestamp(**created)),
            })
            .collect(),
        next_page_token: page.next,
        total_size: page.total,
    })
}

pub(super) fn create_crypto_key(
    state: &mut State,
    request: kms::CreateCryptoKeyRequest,
) -> Result<kms::CryptoKey, Status> {
    let id = names::new_id(&request.crypto_key_id, "crypto_key_id")?;
    let name = format!("{}/cryptoKeys/{id}", names::key_ring(&request.parent)?);
    state.ring(&request.parent)?;
    let now = state.now();
    let asked = request.crypto_key.ok_or_else(|| status::invalid("crypto_key is required."))?;
    let mut key = new_key(&asked, now)?;
    if state.keys.contains_key(&name) {
        return Err(status::already_exists("CryptoKey", &name));
    }
    if key.import_only && !request.skip_initial_version_creation {
        return Err(status::invalid(
            "skip_initial_version_creation must be true where import_only is.",
        ));
    }
    if !request.skip_initial_version_creation {
        let number = key.add_version(now, state.knobs.generation);
        key.primary = (key.purpose == Purpose::EncryptDecrypt).then_some(number);
    }
    let message = key.message(&name);
    state.keys.insert(name, key);
    Ok(message)
}

/// A key as it was asked for, without a version.
fn new_key(asked: &kms::CryptoKey, now: SystemTime) -> Result<Key, Status> {
    let purpose = asked.purpose();
    let template = asked.version_template.unwrap_or_default();
    let algorithm = algorithm(purpose, template.algorithm())?;
    let protection_level = match template.protection_level() {
        ProtectionLevel::Unspecified => ProtectionLevel::Software,
        level @ (ProtectionLevel::Software | ProtectionLevel::Hsm) => level,
        _ => return Err(Status::unimplemented("keys outside of the service")),
    };
    let destroy_after = asked.destroy_scheduled_duration.as_ref().map(from_duration).transpose()?;
    let destroy_after = destroy_after.unwrap_or(DESTROY_AFTER);
    if !(DAY..=DESTROY_LATEST).contains(&destroy_after) {
        return Err(status::invalid(
            "The destroy_scheduled_duration must be between 24 hours and 120 days.",
        ));
    }
    let mut key = Key {
        created: now,
        purpose,
        algorithm,
        protection_level: protection_level as i32,
        labels: labels(&asked.labels)?,
        rotation_period: rotation_period(asked.rotation_schedule.as_ref())?,
        next_rotation: None,
        destroy_after,
        import_only: asked.import_only,
        primary: None,
        versions: Vec::new(),
    };
    key.next_rotation = asked.next_rotation_time.as_ref().map(from_timestamp).transpose()?;
    check_rotation(&key, now)?;
    Ok(key)
}

/// The algorithm of a key for `purpose`; `GOOGLE_SYMMETRIC_ENCRYPTION` is the one of symmetric keys.
fn algorithm(purpose: Purpose, asked: Algorithm) -> Result<Algorithm, Status> {
    match (purpose, asked) {
        (Purpose::Unspecified, _) => Err(status::invalid("purpose is required.")),
        (
            Purpose::EncryptDecrypt,
            Algorithm::Unspecified | Algorithm::GoogleSymmetricEncryption,
        ) => Ok(Algorithm::GoogleSymmetricEncryption),
        (Purpose::AsymmetricDecrypt, asked) if material::is_rsa_decrypt(asked) => Ok(asked),
        (Purpose::EncryptDecrypt | Purpose::AsymmetricDecrypt, _) => {
            Err(status::invalid("The algorithm is not supported for the key's purpose."))
        }
        _ => Err(Status::unimplemented("keys of this purpose")),
    }
}

fn rotation_period(schedule: Option<&RotationSchedule>) -> Result<Option<Duration>, Status> {
    let Some(RotationSchedule::RotationPeriod(period)) = schedule else { return Ok(None) };
    let period = from_duration(period)?;
    if (DAY..=PERIOD_LONGEST).contains(&period) {
        Ok(Some(period))
    } else {
        Err(status::invalid("The rotation_period must be between 24 hours and 876,000 hours."))
    }
}

/// "If `rotation_period` is set, `next_rotation_time` must also be set"; only symmetric keys rotate.
fn check_rotation(key: &Key, now: SystemTime) -> Result<(), Status> {
    if key.rotation_period.is_some() && key.next_rotation.is_none() {
        return Err(status::invalid("next_rotation_time must be set where rotation_period is."));
    }
    if key.next_rotation.is_some() && key.purpose != Purpose::EncryptDecrypt {
        return Err(status::invalid("Keys of this purpose do not rotate automatically."));
    }
    if key.next_rotation.is_some_and(|next| next <= now) {
        return Err(status::invalid("The next_rotation_time must be in the future."));
    }
    Ok(())
}

/// Keys begin with a lowercase letter; keys and values are of lowercase letters, digits, `_` and `-`.
fn labels(asked: &HashMap<String, String>) -> Result<BTreeMap<String, String>, Status> {
    let plain = |text: &str| {
        let legal = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || c == '_' || c == '-';
        text.chars().count() <= 63 && text.chars().all(legal)
    };
    let good = |(key, value): (&String, &String)| {
        let begins = key.chars().next().is_some_and(|c| c.is_alphabetic() && !c.is_uppercase());
        begins && plain(key) && plain(value)
    };
    if asked.len() > LABELS || !asked.iter().all(good) {
        return Err(status::invalid("The labels are not valid."));
    }
    Ok(asked.clone().into_iter().collect())
}

pub(super) fn get_crypto_key(
    state: &mut State,
    request: kms::GetCryptoKeyRequest,
) -> Result<kms::CryptoKey, Status> {
    Ok(state.key(&request.name)?.message(&request.name))
}

pub(super) fn list_crypto_keys(
    state: &mut State,
    request: kms::ListCryptoKeysRequest,
) -> Result<kms::ListCryptoKeysResponse, Status> {
    state.ring(&request.parent)?;
    let parent = format!("{}/cryptoKeys/", request.parent);
    let all: Vec<_> = state.keys.iter().filter(|(name, _)| name.starts_with(&parent)).collect();
    let asked = [request.filter.as_str(), request.order_by.as_str()];
    let page = page(state, &all, request.page_size, &request.page_token, asked)?;
    Ok(kms::ListCryptoKeysResponse {
        crypto_keys: page.items.iter().map(|(name, key)| key.message(name)).collect(),
        next_page_token: page.next,
        total_size: page.total,
    })
}

/// Changes the fields of the mask and no others.
pub(super) fn update_crypto_key(
    state: &mut State,
    request: kms::UpdateCryptoKeyRequest,
) -> Result<kms::CryptoKey, Status> {
    let asked = request.crypto_key.ok_or_else(|| status::invalid("crypto_key is required."))?;
    let mask = request.update_mask.unwrap_or_default().paths;
    if mask.is_empty() {
        return Err(status::invalid("update_mask is required."));
    }
    let now = state.now();
    let key = state.key_mut(&asked.name)?;
    let mut changed = Changed {
        labels: key.labels.clone(),
        rotation_period: key.rotation_period,
        next_rotation: key.next_rotation,
        algorithm: key.algorithm,
    };
    for path in &mask {
        changed.take(path, &asked, key.purpose)?;
    }
    let before = (key.rotation_period, key.next_rotation);
    (key.rotation_period, key.next_rotation) = (changed.rotation_period, changed.next_rotation);
    if let Err(refused) = check_rotation(key, now) {
        (key.rotation_period, key.next_rotation) = before;
        return Err(refused);
    }
    key.labels = changed.labels;
    key.algorithm = changed.algorithm;
    Ok(key.message(&asked.name))
}

/// What an update may change.
struct Changed {
    labels: BTreeMap<String, String>,
    rotation_period: Option<Duration>,
    next_rotation: Option<SystemTime>,
    algorithm: Algorithm,
}

impl Changed {
    fn take(&mut self, path: &str, asked: &kms::CryptoKey, purpose: Purpose) -> Result<(), Status> {
        match path {
            "labels" => self.labels = labels(&asked.labels)?,
            "rotation_period" => {
                self.rotation_period = rotation_period(asked.rotation_schedule.as_ref())?;
            }
            "next_rotation_time" => {
                let next = asked.next_rotation_time.as_ref();
                self.next_rotation = next.map(from_timestamp).transpose()?;
            }
            "version_template.algorithm" | "version_template" => {
                let template = asked.version_template.unwrap_or_default();
                self.algorithm = algorithm(purpose, template.algorithm())?;
            }
            _ => {
                return Err(status::invalid(&format!("The field {path} cannot be updated.")));
            }
        }
        Ok(())
    }
}
