//! Rings, keys, versions and rotation schedules; RSA keys' public halves and what they decrypt.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use gcloud_sdk::google::cloud::kms::v1 as kms;
use kms::crypto_key::CryptoKeyPurpose as Purpose;
use kms::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Algorithm, CryptoKeyVersionState as State,
};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};

use super::{CloudKmsClient, CryptographicKey, KeyRing, KeyVersion};
use crate::admin::check_period;
use crate::client::{Call, Kms, checksum, matches, secret};
use crate::crypt::{Attempt, undamaged};
use crate::error::{Verb, after, another_key, broken_answer, invalid};
use crate::manage::NewKey;
use crate::names::KeyName;

impl CloudKmsClient {
    /// Makes a ring.
    ///
    /// # Errors
    /// `Conflict` if it exists, `InvalidInput`, or what the service says.
    pub async fn create_key_ring(&self, key_ring: &str) -> Result<KeyRing> {
        let ring = self.ring_name(key_ring)?;
        self.logged("CreateKeyRing", Operation::CreateKey, ring.as_str(), async |call| {
            call.create_ring(&ring).await.map(KeyRing::from)
        })
        .await
    }

    /// Describes a ring.
    ///
    /// # Errors
    /// `KeyNotFound`, `InvalidInput`, or what the service says.
    pub async fn get_key_ring(&self, key_ring: &str) -> Result<KeyRing> {
        let ring = self.ring_name(key_ring)?;
        self.logged("GetKeyRing", Operation::DescribeKey, ring.as_str(), async |call| {
            call.ring(&ring).await.map(KeyRing::from)
        })
        .await
    }

    /// All rings of the location, ascending by name.
    ///
    /// # Errors
    /// What the service says.
    pub async fn list_key_rings(&self) -> Result<Vec<KeyRing>> {
        let location = format!("projects/{}/locations/{}", self.project, self.location);
        self.logged("ListKeyRings", Operation::ListKeys, &location, async |call| {
            let rings = call.rings(&location).await?;
            Ok(rings.into_iter().map(KeyRing::from).collect())
        })
        .await
    }

    /// Makes a key. `algorithm` is one of `AES_256_GCM` (Google's symmetric encryption),
    /// `RSA_DECRYPT_OAEP_2048_SHA256`, `..._3072_SHA256`, `..._4096_SHA256`, `..._4096_SHA512`.
    ///
    /// # Errors
    /// `Unsupported` for another algorithm, `Conflict` if the key exists, `KeyNotFound` if the ring does not.
    pub async fn create_key(
        &self,
        key_ring: &str,
        key: &str,
        algorithm: &str,
    ) -> Result<CryptographicKey> {
        self.on_key("CreateCryptoKey", Operation::CreateKey, (key_ring, key), async |call, name| {
            let (purpose, algorithm) = known(algorithm)?;
            let provider = &self.provider;
            let new = NewKey {
                purpose,
                algorithm,
                hsm: provider.hsm,
                labels: BTreeMap::new(),
                destroy_delay: provider.destroy_delay,
            };
            Ok(call.create_key(name, new, provider.clock.as_ref()).await?.into())
        })
        .await
    }

    /// Describes a key and its versions.
    ///
    /// # Errors
    /// `KeyNotFound`, `InvalidInput`, or what the service says.
    pub async fn get_key(&self, key_ring: &str, key: &str) -> Result<CryptographicKey> {
        self.on_key("GetCryptoKey", Operation::DescribeKey, (key_ring, key), async |call, name| {
            Ok(call.describe(name).await?.into())
        })
        .await
    }

    /// All keys of a ring, ascending by name.
    ///
    /// # Errors
    /// `KeyNotFound` for an unknown ring, or what the service says.
    pub async fn list_keys(&self, key_ring: &str) -> Result<Vec<CryptographicKey>> {
        let ring = self.ring_name(key_ring)?;
        self.logged("ListCryptoKeys", Operation::ListKeys, ring.as_str(), async |call| {
            let mut described = call.all_with_versions(call.keys(&ring).await?.into_iter());
            let mut keys = Vec::new();
            while let Some(described) = described.next().await {
                keys.push(described?.into());
            }
            Ok(keys)
        })
        .await
    }

    /// Gives the key a new version, with which a symmetric key seals from now on.
    ///
    /// # Errors
    /// `KeyNotFound`, `Conflict` if somebody else rotated it meanwhile, or what the service says. If making the
    /// version the primary fails, it exists and waits.
    pub async fn rotate_key(&self, key_ring: &str, key: &str) -> Result<KeyVersion> {
        self.on_key(
            "CreateCryptoKeyVersion",
            Operation::RotateKey,
            (key_ring, key),
            async |call, name| {
                let purpose = call.key(name).await?.purpose();
                let made = call.create_version(name, self.provider.clock.as_ref()).await?;
                if purpose == Purpose::EncryptDecrypt {
                    call.make_primary(name, made.number).await?;
                }
                version_now(call, name, made.number).await
            },
        )
        .await
    }

    /// Has a symmetric key rotate by itself every `period` (whole days), or never again.
    ///
    /// # Errors
    /// `InvalidInput` for a period that Google cannot have, or what the service says.
    pub async fn set_rotation_schedule(
        &self,
        key_ring: &str,
        key: &str,
        period: Option<Duration>,
    ) -> Result<CryptographicKey> {
        self.on_key(
            "UpdateCryptoKey",
            Operation::SetRotationPeriod,
            (key_ring, key),
            async |call, name| {
                let schedule = match period {
                    Some(period) => Some((check_period(period)?, self.provider.after(period)?)),
                    None => None,
                };
                call.set_schedule(name, schedule).await?;
                Ok(call.describe(name).await?.into())
            },
        )
        .await
    }

    /// Enables one version.
    ///
    /// # Errors
    /// `KeyNotFound`, `KeyUnusable` in a state that forbids it, or what the service says.
    pub async fn enable_key_version(
        &self,
        key_ring: &str,
        key: &str,
        version: u64,
    ) -> Result<KeyVersion> {
        self.on_key(
            "UpdateCryptoKeyVersion",
            Operation::EnableKey,
            (key_ring, key),
            async |call, name| {
                call.set_state(name, version, State::Enabled).await?;
                version_now(call, name, version).await
            },
        )
        .await
    }

    /// Disables one version.
    ///
    /// # Errors
    /// As [`enable_key_version`](Self::enable_key_version).
    pub async fn disable_key_version(
        &self,
        key_ring: &str,
        key: &str,
        version: u64,
    ) -> Result<KeyVersion> {
        self.on_key(
            "UpdateCryptoKeyVersion",
            Operation::DisableKey,
            (key_ring, key),
            async |call, name| {
                call.set_state(name, version, State::Disabled).await?;
                version_now(call, name, version).await
            },
        )
        .await
    }

    /// Has one version destroyed after the key's delay ([`CryptographicKey::destroy_delay`]).
    ///
    /// # Errors
    /// As [`enable_key_version`](Self::enable_key_version).
    pub async fn destroy_key_version(
        &self,
        key_ring: &str,
        key: &str,
        version: u64,
    ) -> Result<KeyVersion> {
        let operation = Operation::ScheduleKeyDeletion;
        self.on_key("DestroyCryptoKeyVersion", operation, (key_ring, key), async |call, name| {
            call.destroy_version(name, version).await?;
            version_now(call, name, version).await
        })
        .await
    }

    /// Takes a destruction back; the version is disabled then.
    ///
    /// # Errors
    /// As [`enable_key_version`](Self::enable_key_version).
    pub async fn restore_key_version(
        &self,
        key_ring: &str,
        key: &str,
        version: u64,
    ) -> Result<KeyVersion> {
        let operation = Operation::CancelKeyDeletion;
        self.on_key("RestoreCryptoKeyVersion", operation, (key_ring, key), async |call, name| {
            call.restore_version(name, version).await?;
            version_now(call, name, version).await
        })
        .await
    }

    /// The public half of an RSA key's version, in PEM (SubjectPublicKeyInfo). Whoever has it encrypts.
    ///
    /// # Errors
    /// `KeyNotFound`, `KeyUnusable`, `InvalidInput` for a symmetric key.
    pub async fn get_public_key(&self, key_ring: &str, key: &str, version: u64) -> Result<String> {
        self.on_key("GetPublicKey", Operation::DescribeKey, (key_ring, key), async |call, name| {
            undamaged(|| public_key_once(call, name, version)).await
        })
        .await
    }

    /// Decrypts what was encrypted with the public half of `version` (RSA-OAEP, no label).
    ///
    /// # Errors
    /// `AuthenticationFailed` for bytes that this version does not decrypt, `KeyNotFound`, `KeyUnusable`.
    pub async fn asymmetric_decrypt(
        &self,
        key_ring: &str,
        key: &str,
        version: u64,
        ciphertext: impl AsRef<[u8]>,
    ) -> Result<SecureBytes> {
        let bytes = ciphertext.as_ref();
        self.on_key("AsymmetricDecrypt", Operation::Decrypt, (key_ring, key), async |call, name| {
            undamaged(|| asymmetric_decrypt_once(call, name, version, bytes)).await
        })
        .await
    }
}

async fn public_key_once(call: Call<'_>, name: &KeyName, version: u64) -> Result<String, Attempt> {
    let version = name.version(version);
    let message = kms::GetPublicKeyRequest { name: version.clone(), ..Default::default() };
    let answer = call.kms(("name", version.as_str()), message, Kms::get_public_key).await;
    let answer = answer.map_err(|status| Attempt::of(&status, Verb::Other))?.into_inner();
    if answer.name != version {
        return Err(Attempt::Failed(another_key(name, &answer.name)));
    }
    let whole = matches(answer.pem.as_bytes(), answer.pem_crc32c);
    if whole { Ok(answer.pem) } else { Err(Attempt::Damaged) }
}

async fn asymmetric_decrypt_once(
    call: Call<'_>,
    name: &KeyName,
    version: u64,
    ciphertext: &[u8],
) -> Result<SecureBytes, Attempt> {
    let version = name.version(version);
    let message = kms::AsymmetricDecryptRequest {
        name: version.clone(),
        ciphertext: ciphertext.to_vec(),
        ciphertext_crc32c: checksum(ciphertext),
    };
    let answer = call.kms(("name", version.as_str()), message, Kms::asymmetric_decrypt).await;
    let mut answer = answer.map_err(|status| Attempt::of(&status, Verb::Open))?.into_inner();
    let plaintext = secret(&mut answer.plaintext);
    let whole = matches(plaintext.as_slice(), answer.plaintext_crc32c);
    let verified = whole && answer.verified_ciphertext_crc32c;
    if verified { Ok(plaintext) } else { Err(Attempt::Damaged) }
}

/// What a version is now that it was changed, as its key tells it.
async fn version_now(call: Call<'_>, name: &KeyName, number: u64) -> Result<KeyVersion> {
    let described = call.describe(name).await;
    let described = described.map_err(|error| after("the version was changed", error))?;
    let (key, number) = (CryptographicKey::from(described), number.to_string());
    let found = key.versions.into_iter().find(|version| version.version.as_str() == number);
    found.ok_or_else(|| broken_answer("the service does not list the version that it changed"))
}

fn known(algorithm: &str) -> Result<(Purpose, Algorithm)> {
    match algorithm {
        // Google's symmetric encryption *is* AES-256-GCM; the name it gives to that is for raw encryption,
        // where the caller handles nonces.
        "AES_256_GCM" | "GOOGLE_SYMMETRIC_ENCRYPTION" => {
            Ok((Purpose::EncryptDecrypt, Algorithm::GoogleSymmetricEncryption))
        }
        "RSA_DECRYPT_OAEP_2048_SHA256"
        | "RSA_DECRYPT_OAEP_3072_SHA256"
        | "RSA_DECRYPT_OAEP_4096_SHA256"
        | "RSA_DECRYPT_OAEP_4096_SHA512" => Algorithm::from_str_name(algorithm)
            .map(|algorithm| (Purpose::AsymmetricDecrypt, algorithm))
            .ok_or_else(|| invalid("the SDK does not have this algorithm")),
        _ => Err(CryptoError::new(ErrorKind::Unsupported, Operation::CreateKey).with_detail(
            "AES_256_GCM, or RSA_DECRYPT_OAEP_{2048,3072,4096}_SHA256, or RSA_DECRYPT_OAEP_4096_SHA512",
        )),
    }
}
