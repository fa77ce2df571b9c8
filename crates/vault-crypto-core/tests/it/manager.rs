//! EncryptionManager: the origin's example runs in its documentation; here is what must not work.

use std::time::SystemTime;

use vault_crypto_core::kdf::{Argon2Params, HashAlgorithm, KdfParams, Pbkdf2Params};
use vault_crypto_core::manager::{
    EncryptedContent, EncryptionAlgorithm, EncryptionKey, EncryptionManager, KeyDerivationFunction,
    KeyOrigin,
};
use vault_crypto_core::{ErrorKind, SecureBytes};

fn manager(algorithm: EncryptionAlgorithm) -> EncryptionManager {
    EncryptionManager::new(algorithm, KeyDerivationFunction::Argon2id)
        .with_kdf_params(KdfParams::Argon2id(Argon2Params::new(64, 1, 1)))
        .with_password_params(Argon2Params::new(64, 1, 1))
}

fn algorithms() -> Vec<EncryptionAlgorithm> {
    vec![
        EncryptionAlgorithm::Aes256Gcm,
        EncryptionAlgorithm::ChaCha20Poly1305,
        #[cfg(feature = "rsa")]
        EncryptionAlgorithm::RsaOaep256,
    ]
}

fn import(id: &str, version: u32, key: &EncryptionKey) -> EncryptionKey {
    let material = SecureBytes::new(key.key_material().to_vec());
    EncryptionKey::import(id, version, key.algorithm(), material, SystemTime::UNIX_EPOCH).unwrap()
}

#[test]
fn every_algorithm_opens_under_its_key_id_and_version_only() {
    for algorithm in algorithms() {
        let manager = manager(algorithm);
        let key = manager.generate_key("app-key").unwrap();
        let content = manager.encrypt(b"secret", &key, b"row 42").unwrap();
        assert_eq!(manager.decrypt(&content, &key).unwrap().as_slice(), b"secret");
        assert_eq!((content.key_id(), content.key_version()), ("app-key", 1));
        for other in [import("other", 1, &key), import("app-key", 2, &key)] {
            let named = rename(&content, &other, content.aad());
            for content in [&content, &named] {
                let error = manager.decrypt(content, &other).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
            }
        }
        let other_aad = rename(&content, &key, b"row 43");
        assert!(manager.decrypt(&other_aad, &key).is_err());
        let same = import("app-key", 1, &key);
        assert_eq!(manager.decrypt(&content, &same).unwrap().as_slice(), b"secret");
    }
}

fn rename(content: &EncryptedContent, key: &EncryptionKey, aad: &[u8]) -> EncryptedContent {
    EncryptedContent::from_parts(
        content.algorithm(),
        (key.id().to_owned(), key.version()),
        content.nonce().to_vec(),
        content.ciphertext().to_vec(),
        content.tag().to_vec(),
        aad.to_vec(),
    )
}

#[test]
fn parts_of_the_wrong_length_are_not_authentic() {
    let manager = manager(EncryptionAlgorithm::Aes256Gcm);
    let key = manager.generate_key("app-key").unwrap();
    let id = || ("app-key".to_owned(), 1);
    for (nonce, tag) in [(11, 16), (13, 16), (12, 15), (12, 0), (0, 16)] {
        let (nonce, tag) = (vec![0; nonce], vec![0; tag]);
        let content =
            EncryptedContent::from_parts(key.algorithm(), id(), nonce, vec![1], tag, Vec::new());
        let error = manager.decrypt_aes256(&content, &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn aes256_functions_refuse_keys_of_other_algorithms() {
    let manager = manager(EncryptionAlgorithm::ChaCha20Poly1305);
    let key = manager.generate_key("app-key").unwrap();
    let error = manager.encrypt_aes256(b"secret", &key).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_rotated_key_has_new_material_and_the_next_version() {
    let manager = manager(EncryptionAlgorithm::Aes256Gcm);
    let old = manager.generate_key("app-key").unwrap();
    let new = manager.rotate_key(&old).unwrap();
    assert_eq!((new.id(), new.version()), ("app-key", 2));
    assert_ne!(new.key_material(), old.key_material());
    let content = manager.encrypt_aes256(b"secret", &old).unwrap();
    assert!(manager.decrypt_aes256(&content, &new).is_err());
    assert!(manager.decrypt_aes256(&content, &old).is_ok());
}

#[test]
fn a_password_key_can_be_derived_again_from_what_it_says_of_itself() {
    let first = manager(EncryptionAlgorithm::Aes256Gcm);
    let salt = first.generate_salt().unwrap();
    let key = first.derive_key_from_password("user-key", "password", &salt).unwrap();
    let KeyOrigin::Password { params, salt, .. } = key.origin().clone() else {
        panic!("{:?}", key.origin());
    };
    let params: KdfParams = params.to_string().parse().unwrap();
    let later = manager(EncryptionAlgorithm::Aes256Gcm)
        .with_kdf_params(KdfParams::Pbkdf2(Pbkdf2Params::new(HashAlgorithm::Sha512, 1)));
    let again = later.derive_key_with("user-key", "password", &params, &salt).unwrap();
    assert_eq!(again.key_material(), key.key_material());
    let other = later.derive_key_from_password("user-key", "password", &salt).unwrap();
    assert_ne!(other.key_material(), key.key_material());
}

/// The origin's example has `b"random-salt"`: 11 bytes, and not random.
#[test]
fn a_short_salt_a_short_hmac_key_and_a_bad_id_are_invalid_input() {
    let manager = manager(EncryptionAlgorithm::Aes256Gcm);
    let kinds = [
        manager.derive_key_from_password("k", "password", b"random-salt").unwrap_err().kind(),
        manager.hmac_sha256(b"data", b"").unwrap_err().kind(),
        manager.verify_hmac_sha256(b"data", &[0; 15], &[0; 32]).unwrap_err().kind(),
        manager.generate_key("").unwrap_err().kind(),
        manager.generate_key("k".repeat(256)).unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::InvalidInput; 5]);
}

#[test]
fn passwords_and_macs_verify_only_what_they_belong_to() {
    let manager = manager(EncryptionAlgorithm::Aes256Gcm);
    let hash = manager.hash_password("user-password").unwrap();
    assert!(manager.verify_password("user-password", &hash).unwrap());
    assert!(!manager.verify_password("other-password", &hash).unwrap());
    assert!(!manager.needs_rehash(&hash));
    let tag = manager.hmac_sha256(b"data", &[1; 32]).unwrap();
    assert!(manager.verify_hmac_sha256(b"data", &[1; 32], &tag).unwrap());
    assert!(!manager.verify_hmac_sha256(b"dato", &[1; 32], &tag).unwrap());
    assert!(!manager.verify_hmac_sha256(b"data", &[2; 32], &tag).unwrap());
}

#[test]
fn debug_shows_no_material() {
    let manager = manager(EncryptionAlgorithm::Aes256Gcm);
    let material = SecureBytes::new(vec![0xAB; 32]);
    let (algorithm, at) = (EncryptionAlgorithm::Aes256Gcm, SystemTime::UNIX_EPOCH);
    let key = EncryptionKey::import("app-key", 3, algorithm, material, at).unwrap();
    let shown = format!("{key:?} {manager:?}");
    assert!(!shown.contains("171") && !shown.to_lowercase().contains("abab"), "{shown}");
}
