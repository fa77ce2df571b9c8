//! Encrypt, decrypt and random bytes, with every checksum sent and every answer checked
//! (<https://cloud.google.com/kms/docs/data-integrity-guidelines>).
//!
//! Such calls change nothing, so one whose bytes were damaged on the way is made again, three times in all.
//! Left to others: what is bound, and how long a payload may be.

use gcloud_sdk::SecretValue;
use gcloud_sdk::google::cloud::kms::v1::{
    DecryptRequest, EncryptResponse, GenerateRandomBytesRequest, ProtectionLevel,
};
use gcloud_sdk::proto_ext::kms::EncryptRequest;
use tonic::Status;
use vault_crypto_core::{CryptoError, Result, SecureBytes};

use crate::client::{ATTEMPTS, Call, Kms, checksum, matches, secret};
use crate::error::{Verb, another_key, broken_answer, classify, damaged, request_was_damaged};
use crate::names::KeyName;

/// The service draws no fewer at a time.
const MIN_RANDOM_LEN: usize = 8;

/// Why one attempt gave nothing.
pub(crate) enum Attempt {
    /// Bytes were damaged on the way, in either direction.
    Damaged,
    /// Anything else.
    Failed(CryptoError),
}

impl Attempt {
    pub(crate) fn of(status: &Status, verb: Verb) -> Self {
        if request_was_damaged(status) {
            return Self::Damaged;
        }
        Self::Failed(classify(status, verb))
    }
}

/// Makes a call up to three times, as long as nothing but damage is what goes wrong.
pub(crate) async fn undamaged<T, F>(mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, Attempt>>,
{
    for _ in 0..ATTEMPTS {
        match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(Attempt::Damaged) => {}
            Err(Attempt::Failed(error)) => return Err(error),
        }
    }
    Err(damaged())
}

/// None goes with a field that is not there.
fn checksum_of(aad: &[u8]) -> Option<i64> {
    if aad.is_empty() { None } else { checksum(aad) }
}

/// A ciphertext, and the version that made it.
pub(crate) struct Sealed {
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) version: u64,
}

impl Call<'_> {
    /// Encrypts with the key's primary version.
    pub(crate) async fn encrypt(
        &self,
        key: &KeyName,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Result<Sealed> {
        let answer = undamaged(|| self.encrypt_once(key, plaintext, aad)).await?;
        let version = key.number_in(&answer.name);
        let version = version.ok_or_else(|| another_key(key, &answer.name))?;
        // A slot without wrapped bytes is one that is still to be filled.
        if answer.ciphertext.is_empty() {
            return Err(broken_answer("the service answered without a ciphertext"));
        }
        Ok(Sealed { ciphertext: answer.ciphertext, version })
    }

    async fn encrypt_once(
        &self,
        key: &KeyName,
        plaintext: &[u8],
        aad: &[u8],
    ) -> std::result::Result<EncryptResponse, Attempt> {
        let message = EncryptRequest {
            name: key.as_str().to_owned(),
            plaintext: SecretValue::new(plaintext.to_vec()),
            additional_authenticated_data: aad.to_vec(),
            plaintext_crc32c: checksum(plaintext),
            additional_authenticated_data_crc32c: checksum_of(aad),
        };
        let answer = self.kms(key, message, Kms::encrypt).await;
        let answer = answer.map_err(|status| Attempt::of(&status, Verb::Other))?.into_inner();
        let verified = answer.verified_plaintext_crc32c
            && answer.verified_additional_authenticated_data_crc32c != aad.is_empty();
        if verified && matches(&answer.ciphertext, answer.ciphertext_crc32c) {
            Ok(answer)
        } else {
            Err(Attempt::Damaged)
        }
    }

    /// Decrypts with whatever version of the key made the ciphertext.
    pub(crate) async fn decrypt(
        &self,
        key: &KeyName,
        ciphertext: &[u8],
        aad: &[u8],
    ) -> Result<SecureBytes> {
        undamaged(|| self.decrypt_once(key, ciphertext, aad)).await
    }

    async fn decrypt_once(
        &self,
        key: &KeyName,
        ciphertext: &[u8],
        aad: &[u8],
    ) -> std::result::Result<SecureBytes, Attempt> {
        let message = DecryptRequest {
            name: key.as_str().to_owned(),
            ciphertext: ciphertext.to_vec(),
            additional_authenticated_data: aad.to_vec(),
            ciphertext_crc32c: checksum(ciphertext),
            additional_authenticated_data_crc32c: checksum_of(aad),
        };
        let answer = self.kms(key, message, Kms::decrypt).await;
        let mut answer = answer.map_err(|status| Attempt::of(&status, Verb::Open))?.into_inner();
        let plaintext = secret(answer.plaintext.ref_sensitive_value_mut());
        if matches(plaintext.as_slice(), answer.plaintext_crc32c) {
            Ok(plaintext)
        } else {
            Err(Attempt::Damaged)
        }
    }

    /// Bytes of the HSMs' generators at `location`.
    pub(crate) async fn random(&self, location: &str, len: usize) -> Result<SecureBytes> {
        let asked = len.max(MIN_RANDOM_LEN);
        let mut bytes = undamaged(|| self.random_once(location, asked)).await?;
        if bytes.len() != asked {
            return Err(broken_answer("the service answered another number of random bytes"));
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    async fn random_once(
        &self,
        location: &str,
        len: usize,
    ) -> std::result::Result<SecureBytes, Attempt> {
        let message = GenerateRandomBytesRequest {
            location: location.to_owned(),
            length_bytes: i32::try_from(len).unwrap_or(i32::MAX),
            protection_level: ProtectionLevel::Hsm.into(),
        };
        let answer = self.kms(("location", location), message, Kms::generate_random_bytes).await;
        let mut answer = answer.map_err(|status| Attempt::of(&status, Verb::Other))?.into_inner();
        let data = secret(&mut answer.data);
        if matches(data.as_slice(), answer.data_crc32c) { Ok(data) } else { Err(Attempt::Damaged) }
    }
}
