//! What the libraries below and we say to whoever listens to `tracing`: nothing secret, at any level.

use tracing::Level;
use vault_connection::{SecretId, VaultConnection, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{KeyId, KmsProvider as _, SecureString};
use vault_kms_hashicorp::VaultKmsConfig;
use vault_testkit::LogListener;
use vault_testkit::proxy::FaultProxy;
use vault_testkit::redaction::SecretScan;
use vault_testkit::tls::TestCa;

use super::support::{app_role, connect, context, fresh_key, server};

/// Works over `connection`, and says what was logged and what must not be in it.
async fn logged(connection: VaultConnectionConfig, key: &str) -> (String, Vec<Vec<u8>>) {
    let log = LogListener::start(Level::TRACE);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, key).await;
    let data_key = provider.generate_data_key(&key, &context()).await.unwrap();
    provider.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    let payload = b"4111 1111 1111 1111";
    let sealed = provider.encrypt(&key, payload, &context().scope).await.unwrap();
    provider.decrypt(&key, &sealed, &context().scope).await.unwrap();
    provider.describe_key(&KeyId::new("never-made")).await.unwrap_err();
    let random = provider.random_bytes(32).await.unwrap();
    let wrapped = data_key.wrapped().bytes.strip_prefix(b"vault:v1:").unwrap().to_vec();
    let plaintext = data_key.plaintext().as_slice().to_vec();
    let secrets = vec![plaintext, wrapped, payload.to_vec(), random.as_slice().to_vec()];
    (log.heard(), secrets)
}

#[tokio::test]
async fn logs_hold_no_secret() {
    let ca = TestCa::new();
    let tls = FaultProxy::start_tls(server().url().as_str(), &ca, &[]).unwrap();
    let (role_id, secret_id) = app_role(server(), "logs", &["token_ttl=1h"]);
    for (url, key) in [(server().url(), "logs-plain"), (tls.url(), "logs-tls")] {
        let secret = SecretId::Plain(SecureString::new(secret_id.as_str()));
        let credentials = VaultCredentials::app_role(role_id.clone(), secret).unwrap();
        let connection = VaultConnectionConfig::new(url, credentials).with_tls_roots(ca.ca_pem());
        let (said, secrets) = logged(connection, key).await;
        assert!(said.len() > 1_000, "the libraries were listened to: {said}");
        for secret in secrets.iter().map(Vec::as_slice).chain([secret_id.as_bytes()]) {
            SecretScan::new(secret).assert_absent("a log", &said);
        }
        // Every token of this server's begins so.
        assert!(!said.contains("hvs."), "a token is in the log");
    }
}

#[tokio::test]
async fn verification_that_is_turned_off_is_said_in_the_log() {
    let log = LogListener::start(Level::TRACE);
    let config = || {
        VaultConnectionConfig::new("https://vault.example.com", VaultCredentials::token("unused"))
    };
    VaultConnection::connect(config()).await.unwrap();
    assert!(!log.heard().contains("not verified"));
    VaultConnection::connect(config().danger_accept_any_certificate()).await.unwrap();
    assert!(log.heard().contains("certificate is not verified"));
}
