//! What Azure Key Vault itself answered, played back.

use vault_crypto_core::{ErrorKind, KeyId, KmsProvider as _};
use vault_kms_azure::{AzureCloud, AzureCredentials, AzureKmsConfig, AzureKmsProvider};
use vault_testkit::fakes::azure::recorded::{Recording, ReplayedKeyVault};

use super::logins::fixed_token;
use super::support::scope;

async fn replay(recording: Recording) -> (ReplayedKeyVault, AzureKmsProvider) {
    let vault = ReplayedKeyVault::start(recording);
    let login = AzureCredentials::Injected(fixed_token(vault.token()));
    let config = AzureKmsConfig::new(format!("https://{}", vault.host()), login)
        .with_cloud(AzureCloud::Public)
        .with_tls_roots(vault.ca_pem())
        .with_resolved(vault.host(), vault.addr());
    let kms = AzureKmsProvider::connect(config).await.unwrap();
    (vault, kms)
}

#[tokio::test]
async fn the_services_own_answers_are_understood() {
    let (vault, kms) = replay(Recording::EncryptDecrypt).await;
    let key = KeyId::from("test1");
    let sealed = kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    // The version that the recorded answer names, and its 256 bytes.
    let version = recorded_version(Recording::EncryptDecrypt);
    assert_eq!(sealed[1..33], *version.as_bytes());
    assert_eq!(sealed.len(), 1 + 32 + 256);
    // What it decrypts to was made by others: no payload of ours, so it is not handed out.
    let opened = kms.decrypt(&key, &sealed, &scope()).await.unwrap_err();
    assert_eq!(opened.kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(vault.left(), 0);
}

#[tokio::test]
async fn the_services_own_refusal_of_changed_ciphertexts_is_authentication_failed() {
    let (vault, kms) = replay(Recording::ChangedCiphertexts).await;
    let key = KeyId::from("test1");
    let sealed = kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    while vault.left() > 0 {
        let mut altered = sealed.clone();
        altered[40] ^= 1;
        let opened = kms.decrypt(&key, &altered, &scope()).await.unwrap_err();
        assert_eq!(opened.kind(), ErrorKind::AuthenticationFailed);
        assert!(opened.detail().is_none(), "an answer to alterations says no more");
    }
}

#[tokio::test]
async fn two_keys_and_two_encryptions_are_told_apart() {
    let (_vault, kms) = replay(Recording::TwoEncryptions).await;
    let key = KeyId::from("test1");
    let first = kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    let second = kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    assert_ne!(first, second);
}

fn recorded_version(recording: Recording) -> String {
    let exchanges = recording.exchanges();
    let answer = exchanges.iter().find(|one| one.status == 200 && one.path.ends_with("/encrypt"));
    let body = &answer.unwrap().body;
    let (_, rest) = body.split_once("/keys/test1/").unwrap();
    rest[..32].to_owned()
}
