//! Versions of keys: create, get, list, enable, disable, destroy, restore, make primary.
//!
//! Reference: <https://cloud.google.com/kms/docs/key-states>. Left to others: what happens by itself
//! when its time has come.

use gcloud_sdk::google::cloud::kms::v1 as kms;
use kms::crypto_key::CryptoKeyPurpose as Purpose;
use kms::crypto_key_version::CryptoKeyVersionState as VersionState;
use tonic::Status;

use super::list::page;
use super::state::State;
use super::{names, status};

/// What errors call the state of a version.
const STATE: &str = "crypto_key_version.state";

/// "The server will assign the next sequential id. If unset, state will be set to ENABLED." It does not
/// become the primary version.
pub(super) fn create(
    state: &mut State,
    request: kms::CreateCryptoKeyVersionRequest,
) -> Result<kms::CryptoKeyVersion, Status> {
    let (now, slowly) = (state.now(), state.knobs.generation);
    let key = state.key_mut(&request.parent)?;
    if key.import_only {
        return Err(status::failed_precondition("The key takes imported versions only."));
    }
    let asked = request.crypto_key_version.unwrap_or_default();
    let asked = match asked.state() {
        VersionState::Unspecified | VersionState::Enabled => VersionState::Enabled,
        VersionState::Disabled => VersionState::Disabled,
        _ => return Err(status::invalid("A new version is ENABLED or DISABLED.")),
    };
    let number = key.add_version(now, slowly);
    let protection_level = key.protection_level;
    let version = key.versions.last_mut().filter(|version| version.number == number);
    let version = version.ok_or_else(|| Status::internal("the version that was just made"))?;
    if asked == VersionState::Disabled {
        version.state = asked;
    }
    Ok(version.message(&request.parent, protection_level))
}

fn message(state: &State, name: &str) -> Result<kms::CryptoKeyVersion, Status> {
    let (key, version) = state.version(name)?;
    Ok(version.message(names::version(name)?.0, key.protection_level))
}

pub(super) fn get(
    state: &mut State,
    request: kms::GetCryptoKeyVersionRequest,
) -> Result<kms::CryptoKeyVersion, Status> {
    message(state, &request.name)
}

/// In the order of their numbers.
pub(super) fn list(
    state: &mut State,
    request: kms::ListCryptoKeyVersionsRequest,
) -> Result<kms::ListCryptoKeyVersionsResponse, Status> {
    let key = state.key(&request.parent)?;
    let asked = [request.filter.as_str(), request.order_by.as_str()];
    let page = page(state, &key.versions, request.page_size, &request.page_token, asked)?;
    let versions = page.items.iter();
    Ok(kms::ListCryptoKeyVersionsResponse {
        crypto_key_versions: versions
            .map(|version| version.message(&request.parent, key.protection_level))
            .collect(),
        next_page_token: page.next,
        total_size: page.total,
    })
}

/// "state may be changed between ENABLED and DISABLED using this method."
pub(super) fn update(
    state: &mut State,
    request: kms::UpdateCryptoKeyVersionRequest,
) -> Result<kms::CryptoKeyVersion, Status> {
    let asked = request.crypto_key_version;
    let asked = asked.ok_or_else(|| status::invalid("crypto_key_version is required."))?;
    if request.update_mask.unwrap_or_default().paths != ["state"] {
        return Err(status::invalid("The update_mask must be state."));
    }
    if !matches!(asked.state(), VersionState::Enabled | VersionState::Disabled) {
        return Err(status::invalid("The state can be set to ENABLED or DISABLED."));
    }
    let version = state.version_mut(&asked.name)?;
    if !matches!(version.state, VersionState::Enabled | VersionState::Disabled) {
        return Err(status::has_value(&asked.name, version.state.as_str_name(), STATE));
    }
    version.state = asked.state();
    message(state, &asked.name)
}

/// "`destroy_time` will be set to the time `destroy_scheduled_duration` in the future."
pub(super) fn destroy(
    state: &mut State,
    request: kms::DestroyCryptoKeyVersionRequest,
) -> Result<kms::CryptoKeyVersion, Status> {
    let now = state.now();
    let destroy_after = state.version(&request.name)?.0.destroy_after;
    let version = state.version_mut(&request.name)?;
    if !matches!(version.state, VersionState::Enabled | VersionState::Disabled) {
        return Err(status::has_value(&request.name, version.state.as_str_name(), STATE));
    }
    version.state = VersionState::DestroyScheduled;
    version.destroy_at = Some(now + destroy_after);
    message(state, &request.name)
}

/// "Upon restoration, state will be set to DISABLED, and `destroy_time` will be cleared."
pub(super) fn restore(
    state: &mut State,
    request: kms::RestoreCryptoKeyVersionRequest,
) -> Result<kms::CryptoKeyVersion, Status> {
    let version = state.version_mut(&request.name)?;
    if version.state != VersionState::DestroyScheduled {
        return Err(status::has_value(&request.name, version.state.as_str_name(), STATE));
    }
    version.state = VersionState::Disabled;
    version.destroy_at = None;
    message(state, &request.name)
}

/// "Returns an error if called on a key whose purpose is not `ENCRYPT_DECRYPT`." The version need not be
/// enabled.
pub(super) fn make_primary(
    state: &mut State,
    request: kms::UpdateCryptoKeyPrimaryVersionRequest,
) -> Result<kms::CryptoKey, Status> {
    let purpose = state.key(&request.name)?.purpose;
    if purpose != Purpose::EncryptDecrypt {
        return Err(status::has_value(&request.name, purpose.as_str_name(), "crypto_key.purpose"));
    }
    let version = format!("{}/cryptoKeyVersions/{}", request.name, request.crypto_key_version_id);
    let number = state.version(&version)?.1.number;
    let key = state.key_mut(&request.name)?;
    key.primary = Some(number);
    Ok(key.message(&request.name))
}
