//! Encrypt, decrypt, decrypt with a private key, public keys and random bytes, with their checksums.
//!
//! Reference: <https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#keymanagementservice>
//! and <https://cloud.google.com/kms/docs/data-integrity-guidelines>. Left to others: the primitives.

use aws_lc_rs::rand::fill;
use gcloud_sdk::SecretValue;
use gcloud_sdk::google::cloud::kms::v1 as kms;
use gcloud_sdk::proto_ext::kms::{DecryptResponse, EncryptRequest};
use kms::ProtectionLevel;
use kms::crypto_key::CryptoKeyPurpose as Purpose;
use kms::public_key::PublicKeyFormat;
use tonic::Status;

use super::knobs::CrcFault;
use super::material::Ciphertext;
use super::pem::pem;
use super::state::{Key, State, version_name};
use super::{names, status};

/// "Must be no larger than 64KiB", of plaintexts and of additional data each.
const LIMIT: usize = 64 * 1024;
/// "For HSM keys, the combined length of the plaintext and additional data must be no larger than 8KiB."
const HSM_LIMIT: usize = 8 * 1024;
/// A ciphertext of the longest plaintext, with room to spare.
const CIPHERTEXT_LIMIT: usize = LIMIT + 10 * 1024;

fn crc(bytes: &[u8]) -> i64 {
    i64::from(crc32c::crc32c(bytes))
}

/// Compares a checksum of the request, of which 0 is a value like any other. Whether it was there.
fn verify(
    field: &str,
    bytes: &[u8],
    given: Option<i64>,
    fault: Option<CrcFault>,
) -> Result<bool, Status> {
    match given {
        Some(given) if given != crc(bytes) || fault == Some(CrcFault::RequestDamaged) => {
            Err(status::checksum_mismatch(field))
        }
        given => Ok(given.is_some() && fault != Some(CrcFault::NotVerified)),
    }
}

/// The checksum that an answer carries.
fn answered(bytes: &[u8], fault: Option<CrcFault>) -> Option<i64> {
    match fault {
        Some(CrcFault::AnswerDamaged) => Some(crc(bytes) ^ 1),
        Some(CrcFault::AnswerWithout) => None,
        _ => Some(crc(bytes)),
    }
}

fn limit(bytes: &[u8], field: &str, limit: usize) -> Result<(), Status> {
    if bytes.len() <= limit {
        return Ok(());
    }
    Err(status::invalid(&format!("The field {field} must be no larger than {limit} bytes.")))
}

fn for_purpose(key: &Key, name: &str, purpose: Purpose) -> Result<(), Status> {
    if key.purpose == purpose {
        return Ok(());
    }
    Err(status::has_value(name, key.purpose.as_str_name(), "crypto_key.purpose"))
}

/// With the primary version of a key, or with the version that is named.
pub(super) fn encrypt(
    state: &mut State,
    request: EncryptRequest,
) -> Result<kms::EncryptResponse, Status> {
    let plaintext = request.plaintext.ref_sensitive_value();
    let aad = &request.additional_authenticated_data;
    limit(plaintext, "plaintext", LIMIT)?;
    limit(aad, "additional_authenticated_data", LIMIT)?;
    let fault = state.knobs.take_crc();
    let verified_plaintext_crc32c =
        verify("plaintext", plaintext, request.plaintext_crc32c, fault)?;
    let aad_crc = request.additional_authenticated_data_crc32c;
    let verified_additional_authenticated_data_crc32c =
        verify("additional_authenticated_data", aad, aad_crc, fault)?;
    let (name, number) = names::key_or_version(&request.name)?;
    let key = state.key(name)?;
    for_purpose(key, name, Purpose::EncryptDecrypt)?;
    let in_hsm = key.protection_level == ProtectionLevel::Hsm as i32;
    if in_hsm && plaintext.len() + aad.len() > HSM_LIMIT {
        return Err(status::invalid("HSM keys take 8192 bytes of plaintext and additional data."));
    }
    let number = number.or(key.primary).ok_or_else(|| {
        status::failed_precondition(&format!("CryptoKey {name} does not have a primary version."))
    })?;
    let version_name = version_name(name, number);
    let (_, version) = state.version(&version_name)?;
    let ciphertext = version.usable(&version_name)?.encrypt(&version.tag, plaintext, aad);
    let ciphertext = ciphertext.ok_or_else(|| Status::internal("not a symmetric key"))?;
    let protection_level = key.protection_level;
    Ok(kms::EncryptResponse {
        name: state.knobs.answered_name.take().unwrap_or(version_name),
        ciphertext_crc32c: answered(&ciphertext, fault),
        ciphertext,
        verified_plaintext_crc32c,
        verified_additional_authenticated_data_crc32c,
        protection_level,
    })
}

/// With the version that the ciphertext names, if it is one of the key's and enabled.
pub(super) fn decrypt(
    state: &mut State,
    request: kms::DecryptRequest,
) -> Result<DecryptResponse, Status> {
    let aad = &request.additional_authenticated_data;
    limit(&request.ciphertext, "ciphertext", CIPHERTEXT_LIMIT)?;
    limit(aad, "additional_authenticated_data", LIMIT)?;
    let fault = state.knobs.take_crc();
    verify("ciphertext", &request.ciphertext, request.ciphertext_crc32c, fault)?;
    let aad_crc = request.additional_authenticated_data_crc32c;
    verify("additional_authenticated_data", aad, aad_crc, fault)?;
    let name = names::crypto_key(&request.name)?;
    let key = state.key(name)?;
    for_purpose(key, name, Purpose::EncryptDecrypt)?;
    let ciphertext =
        Ciphertext::parse(&request.ciphertext).ok_or_else(status::ciphertext_malformed)?;
    let version = key
        .versions
        .iter()
        .find(|version| ciphertext.made_by(&version.tag))
        .ok_or_else(status::ciphertext_of_another_key)?;
    let material = version.usable(&version_name(name, version.number))?;
    let plaintext = material.decrypt(&ciphertext, aad).map_err(|_| status::decryption_failed())?;
    Ok(DecryptResponse {
        plaintext_crc32c: answered(&plaintext, fault),
        plaintext: SecretValue::new(plaintext),
        used_primary: key.primary == Some(version.number),
        protection_level: key.protection_level,
    })
}

pub(super) fn asymmetric_decrypt(
    state: &mut State,
    request: kms::AsymmetricDecryptRequest,
) -> Result<kms::AsymmetricDecryptResponse, Status> {
    limit(&request.ciphertext, "ciphertext", CIPHERTEXT_LIMIT)?;
    let fault = state.knobs.take_crc();
    let verified_ciphertext_crc32c =
        verify("ciphertext", &request.ciphertext, request.ciphertext_crc32c, fault)?;
    let (key, version) = state.version(&request.name)?;
    for_purpose(key, &request.name, Purpose::AsymmetricDecrypt)?;
    let plaintext = version
        .usable(&request.name)?
        .asymmetric_decrypt(&request.ciphertext)
        .ok_or_else(|| Status::internal("not a private key"))?
        .map_err(|_| status::decryption_failed())?;
    Ok(kms::AsymmetricDecryptResponse {
        plaintext_crc32c: answered(&plaintext, fault),
        plaintext,
        verified_ciphertext_crc32c,
        protection_level: key.protection_level,
    })
}

/// As PEM, whatever is asked: the formats that came later are not here.
pub(super) fn get_public_key(
    state: &mut State,
    request: kms::GetPublicKeyRequest,
) -> Result<kms::PublicKey, Status> {
    let fault = state.knobs.take_crc();
    let (key, version) = state.version(&request.name)?;
    for_purpose(key, &request.name, Purpose::AsymmetricDecrypt)?;
    let format = request.public_key_format();
    if !matches!(format, PublicKeyFormat::Unspecified | PublicKeyFormat::Pem) {
        return Err(Status::unimplemented("only PEM"));
    }
    let der = version.usable(&request.name)?.public_key();
    let pem = pem("PUBLIC KEY", &der.ok_or_else(|| Status::internal("no public key"))?);
    Ok(kms::PublicKey {
        pem_crc32c: answered(pem.as_bytes(), fault),
        pem,
        algorithm: version.algorithm as i32,
        name: request.name.clone(),
        protection_level: key.protection_level,
        ..Default::default()
    })
}

/// "Minimum 8 bytes, maximum 1024 bytes"; "currently, only HSM protection level is supported".
pub(super) fn generate_random_bytes(
    state: &mut State,
    request: kms::GenerateRandomBytesRequest,
) -> Result<kms::GenerateRandomBytesResponse, Status> {
    names::location(&request.location)?;
    if request.protection_level() != ProtectionLevel::Hsm {
        return Err(status::invalid("The protection_level must be HSM."));
    }
    let length = usize::try_from(request.length_bytes).unwrap_or(0);
    if !(8..=1024).contains(&length) {
        return Err(status::invalid("The length_bytes must be between 8 and 1024."));
    }
    let fault = state.knobs.take_crc();
    let mut data = vec![0; length];
    fill(&mut data).map_err(|_| Status::internal("no randomness"))?;
    Ok(kms::GenerateRandomBytesResponse { data_crc32c: answered(&data, fault), data })
}
