//! Rings, keys, versions and rotation schedules; RSA keys' public halves and what they decrypt.

use std::collections::BTreeMap;
use std::time::Duration;

use gcloud_sdk::google::cloud::kms::v1 as kms;
use kms::crypto_key::CryptoKeyPurpose as Purpose;
use kms::crypto_key_version::{
    CryptoKeyVersionAlgorithm as Algorithm, CryptoKeyVersionState as State,
};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};

use super::{CloudKmsClient, CryptographicKey, KeyRing, KeyVersion};
use crate::admin::check_period;
use crate::client::{checksum, matches, secret};
use crate::crypt::{Attempt, undamaged};
use crate::error::{Verb, broken_answer, invalid};
use crate::manage::NewKey;
use crate::names::KeyName;

impl CloudKmsClient {
    /// Makes a ring.
    ///
    /// # Errors
    /// `Conflict` if it exists, `InvalidInput`, or what the service says.
    pub async fn create_key_ring(&self, key_ring: &str) -> Result<KeyRing> {
        let ring = self.ring_name(key_ring)?;
        self.logged("CreateKeyRing", Operation::CreateKey, ring.as_str(), async || {
            self.provider.client.create_ring(&ring).await.map(KeyRing::from)
        })
        .await
    }

    /// Describes a ring.
    ///
    /// # Errors
    /// `KeyNotFound`, `InvalidInput`, or what the service says.
    pub async fn get_key_ring(&self, key_ring: &str) -> Result<KeyRing> {
        let ring = self.ring_name(key_ring)?;
        self.logged("GetKeyRing", Operation::DescribeKey, ring.as_str(), async || {
            self.provider.client.ring(&ring).await.map(KeyRing::from)
        })
        .await
    }

    /// All rings of the location, ascending by name.
    ///
    /// # Errors
    /// What the service says.
    pub async fn list_key_rings(&self) -> Result<Vec<KeyRing>> {
        let location = format!("projects/{}/locations/{}", self.project, self.location);
        self.logged("ListKeyRings", Operation::ListKeys, &location, async || {
            let rings = self.provider.client.rings(&location).await?;
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
        self.on_key("CreateCryptoKey", Operation::CreateKey, (key_ring, key), async |name| {
            let (purpose, algorithm) = known(algorithm)?;
            let provider = &self.provider;
            let new = NewKey {
                purpose,
                algorithm,
                hsm: provider.hsm,
                labels: BTreeMap::new(),
                destroy_delay: provider.destroy_delay,
            };
            provider.client.create_key(name, new, provider.clock.as_ref()).await?;
            Ok(provider.client.describe(name).await?.into())
        })
        .await
    }

    /// Describes a key and its versions.
    ///
    /// # Errors
    /// `KeyNotFound`, `InvalidInput`, or what the service says.
    pub async fn get_key(&self, key_ring: &str, key: &str) -> Result<CryptographicKey> {
        self.on_key("GetCryptoKey", Operation::DescribeKey, (key_ring, key), async |name| {
            Ok(self.provider.client.describe(name).await?.into())
        })
        .await
    }

    /// All keys of a ring, ascending by name.
    ///
    /// # Errors
    /// `KeyNotFound` for an unknown ring, or what the service says.
    pub async fn list_keys(&self, key_ring: &str) -> Result<Vec<CryptographicKey>> {
        let ring = self.ring_name(key_ring)?;
        self.logged("ListCryptoKeys", Operation::ListKeys, ring.as_str(), async || {
            let mut keys = Vec::new();
            for name in self.provider.client.keys(&ring).await? {
                keys.push(self.provider.client.describe(&name).await?.into());
            }
            Ok(keys)
        })
        .await
    }

    /// Gives the key a new version, with which a symmetric key seals from now on.
    ///
    /// # Errors
    /// `KeyNotFound`, or what the service says. If making the version the primary fails, it exists and waits.
    pub async fn rotate_key(&self, key_ring: &str, key: &str) -> Result<KeyVersion> {
        self.on_key("CreateCryptoKeyVersion", Operation::RotateKey, (key_ring, key), async |name| {
            let client = &self.provider.client;
            let purpose = client.key(name).await?.purpose();
            let made = client.create_version(name, self.provider.clock.as_ref()).await?;
            if purpose == Purpose::EncryptDecrypt {
                client.set_primary(name, made.number).await?;
            }
            self.version(name, made.number).await
        })
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
            async |name| {
                let schedule = match period {
                    Some(period) => Some((check_period(period)?, self.provider.after(period)?)),
                    None => None,
                };
                self.provider.client.set_schedule(name, schedule).await?;
                Ok(self.provider.client.describe(name).await?.into())
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
        self.on_key("UpdateCryptoKeyVersion", Operation::EnableKey, (key_ring, key), async |name| {
            self.provider.client.set_state(name, version, State::Enabled).await?;
            self.version(name, version).await
        })
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
            async |name| {
                self.provider.client.set_state(name, version, State::Disabled).await?;
                self.version(name, version).await
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
        self.on_key("DestroyCryptoKeyVersion", operation, (key_ring, key), async |name| {
            self.provider.client.destroy_version(name, version).await?;
            self.version(name, version).await
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
        self.on_key("RestoreCryptoKeyVersion", operation, (key_ring, key), async |name| {
            self.provider.client.restore_version(name, version).await?;
            self.version(name, version).await
        })
        .await
    }

    /// The public half of an RSA key's version, in PEM (SubjectPublicKeyInfo). Whoever has it encrypts.
    ///
    /// # Errors
    /// `KeyNotFound`, `KeyUnusable`, `InvalidInput` for a symmetric key.
    pub async fn get_public_key(&self, key_ring: &str, key: &str, version: u64) -> Result<String> {
        self.on_key("GetPublicKey", Operation::DescribeKey, (key_ring, key), async |name| {
            undamaged(|| self.public_key_once(name, version)).await
        })
        .await
    }

    async fn public_key_once(&self, name: &KeyName, version: u64) -> Result<String, Attempt> {
        let (client, version) = (&self.provider.client, name.version(version));
        let message = kms::GetPublicKeyRequest { name: version.clone(), ..Default::default() };
        let answer = client.kms().get_public_key(client.request("name", &version, message)).await;
        let answer = answer.map_err(|status| Attempt::of(&status, Verb::Other))?.into_inner();
        if answer.name != version {
            let detail = "the service answered with the public key of another version";
            return Err(Attempt::Failed(broken_answer(detail)));
        }
        let whole = matches(answer.pem.as_bytes(), answer.pem_crc32c);
        if whole { Ok(answer.pem) } else { Err(Attempt::Damaged) }
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
        self.on_key("AsymmetricDecrypt", Operation::Decrypt, (key_ring, key), async |name| {
            undamaged(|| self.asymmetric_decrypt_once(name, version, bytes)).await
        })
        .await
    }

    async fn asymmetric_decrypt_once(
        &self,
        name: &KeyName,
        version: u64,
        ciphertext: &[u8],
    ) -> Result<SecureBytes, Attempt> {
        let (client, version) = (&self.provider.client, name.version(version));
        let message = kms::AsymmetricDecryptRequest {
            name: version.clone(),
            ciphertext: ciphertext.to_vec(),
            ciphertext_crc32c: checksum(ciphertext),
        };
        let request = client.request("name", &version, message);
        let answer = client.kms().asymmetric_decrypt(request).await;
        let mut answer = answer.map_err(|status| Attempt::of(&status, Verb::Open))?.into_inner();
        let plaintext = secret(&mut answer.plaintext);
        let whole = matches(plaintext.as_slice(), answer.plaintext_crc32c);
        if whole && answer.verified_ciphertext_crc32c {
            Ok(plaintext)
        } else {
            Err(Attempt::Damaged)
        }
    }

    /// What the version is now, as its key tells it.
    async fn version(&self, name: &KeyName, number: u64) -> Result<KeyVersion> {
        let key = CryptographicKey::from(self.provider.client.describe(name).await?);
        let number = number.to_string();
        let found = key.versions.into_iter().find(|version| version.version.as_str() == number);
        found.ok_or_else(|| broken_answer("the service does not list the version that it changed"))
    }
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
