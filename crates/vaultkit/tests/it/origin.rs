//! The examples of the founding documents, as far as their parts are built: same types, same methods,
//! same order. docs/ORIGIN.md says what is different and why.
//!
//! "Encryption manager" runs in that type's documentation.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::sync::Arc;

use vaultkit::core::engine::CryptoEngine;
use vaultkit::core::manager::{
    EncryptionAlgorithm, EncryptionKey, EncryptionManager, KeyDerivationFunction,
};
use vaultkit::core::{
    EncryptionContext, EncryptionProvider, KeyConfig, KeyId, KeyState, KmsAdmin as _,
    KmsProvider as _, RotateOptions, Scope, WrapContext,
};
use vaultkit::envelope::{EnvelopeEncryptedData, EnvelopeEncryption};
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

fn kms() -> (tempfile::TempDir, Arc<LocalKms>) {
    let folder = tempfile::tempdir().unwrap();
    let config = LocalKmsConfig::new(folder.path().join("keys"));
    let (kms, _created) = LocalKms::open_or_create(config).unwrap();
    (folder, Arc::new(kms))
}

#[test]
fn encryption_provider_encrypts_decrypts_and_describes() {
    let (_folder, kms) = kms();
    let envelope = EnvelopeEncryption::new(kms, KeyId::new("default"));
    let provider: Arc<dyn EncryptionProvider> = Arc::new(envelope);
    let context = EncryptionContext::from([("purpose", "data-at-rest")]);
    pollster::block_on(async {
        let encrypted = provider.encrypt(b"sensitive data", &context).await.unwrap();
        let plaintext = provider.decrypt(&encrypted, &context).await.unwrap();
        assert_eq!(plaintext, b"sensitive data");
        let data_key = provider.generate_data_key().await.unwrap();
        assert_eq!(data_key.plaintext().len(), 32);
        let info = provider.get_key_info(&KeyId::new("default")).await.unwrap();
        assert_eq!(info.state, KeyState::Enabled);
        assert_eq!(provider.provider_type(), "envelope");
    });
}

#[test]
fn crypto_engine_does_each_primitive() {
    let engine = CryptoEngine::new();
    assert_eq!(engine.random_bytes(10).unwrap().len(), 10);
    assert_ne!(engine.generate_nonce().unwrap(), engine.generate_nonce().unwrap());
    let key = engine.generate_key().unwrap();

    let (ciphertext, nonce, tag) =
        engine.aes_256_gcm_encrypt(key.as_slice(), b"plaintext", Some(b"aad")).unwrap();
    let open = |aad| engine.aes_256_gcm_decrypt(key.as_slice(), &ciphertext, &nonce, &tag, aad);
    assert_eq!(open(Some(b"aad".as_slice())).unwrap(), b"plaintext");
    assert!(open(None).is_err());

    let mac = engine.hmac_sha256(key.as_slice(), b"data");
    assert!(CryptoEngine::constant_time_eq(&mac, &engine.hmac_sha256(key.as_slice(), b"data")));
    let derived = engine.hkdf_derive(key.as_slice(), Some(b"salt"), b"info", 42).unwrap();
    assert_eq!(derived.len(), 42);
}

#[test]
fn envelope_encryption_seals_opens_and_re_encrypts() {
    let (_folder, kms) = kms();
    pollster::block_on(async {
        let new_master_key_id = kms.create_key(KeyConfig::new("successor")).await.unwrap().key_id;
        let envelope = EnvelopeEncryption::new(kms.clone(), KeyId::new("default"));
        let context = EncryptionContext::from([("row", "42")]);
        let encrypted: EnvelopeEncryptedData =
            envelope.encrypt(b"sensitive data", &context).await.unwrap();
        assert_eq!(envelope.decrypt(&encrypted, &context).await.unwrap(), b"sensitive data");

        let moved = envelope.re_encrypt(&encrypted, &new_master_key_id, &context).await.unwrap();
        let successor = EnvelopeEncryption::new(kms, new_master_key_id);
        assert_eq!(successor.decrypt(&moved, &context).await.unwrap(), b"sensitive data");
        assert!(successor.decrypt(&encrypted, &context).await.is_err());
    });
}

#[test]
fn kms_provider_makes_uses_describes_and_retires_a_key() {
    let (_folder, kms) = kms();
    let scope = Scope::new([("tenant", "acme")]).unwrap();
    let wrap = WrapContext::data_key(scope.clone());
    pollster::block_on(async {
        let config = KeyConfig::new("orders").with_description("order archive");
        let key_id = kms.create_key(config).await.unwrap().key_id;

        let data_key = kms.generate_data_key(&key_id, &wrap).await.unwrap();
        let again = kms.decrypt_data_key(data_key.wrapped(), &wrap).await.unwrap();
        assert_eq!(&again, data_key.plaintext());

        let ciphertext = kms.encrypt(&key_id, b"small payload", &scope).await.unwrap();
        let plaintext = kms.decrypt(&key_id, &ciphertext, &scope).await.unwrap();
        assert_eq!(plaintext, b"small payload");

        let rotated = kms.rotate_key(&key_id, RotateOptions::now()).await.unwrap();
        let info = kms.describe_key(&key_id).await.unwrap();
        assert_eq!(info.primary_version, Some(rotated.new_version));
        assert!(info.rotated_at.is_some());

        kms.schedule_key_deletion(&key_id, 30).await.unwrap();
        let info = kms.describe_key(&key_id).await.unwrap();
        assert_eq!(info.state, KeyState::PendingDeletion);
        assert!(kms.health_check().await.unwrap().healthy);
    });
}

#[test]
fn encryption_at_rest_with_the_key_kept_by_the_kms() {
    let (_folder, kms) = kms();
    let sensitive_data = b"4111 1111 1111 1111";

    // Encrypt sensitive data before storing
    let manager =
        EncryptionManager::new(EncryptionAlgorithm::Aes256Gcm, KeyDerivationFunction::Pbkdf2);
    let key = manager.generate_key("db-encryption-key".to_string()).unwrap();
    let encrypted = manager.encrypt_aes256(sensitive_data, &key).unwrap();

    // Store encrypted data in database; the key is stored wrapped by the KMS
    let scope = Scope::new([("purpose", "db-encryption-key")]).unwrap();
    let master = KeyId::new("default");
    let material = pollster::block_on(async {
        let stored = kms.encrypt(&master, key.key_material(), &scope).await.unwrap();
        kms.decrypt(&master, &stored, &scope).await.unwrap()
    });
    let (id, algorithm, made) = (key.id(), key.algorithm(), key.created_at());
    let key = EncryptionKey::import(id, key.version(), algorithm, material, made).unwrap();
    assert_eq!(manager.decrypt_aes256(&encrypted, &key).unwrap(), sensitive_data);
}
