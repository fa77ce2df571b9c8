//! A server that is killed, sealed, or takes the token away while it is worked with.

use std::sync::Arc;
use std::time::Duration;

use vault_connection::{SecretId, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{ErrorKind, KeyId, KmsProvider, SecureString};
use vault_kms_hashicorp::{VaultKmsConfig, VaultKmsProvider};
use vault_testkit::servers::Vault;

use super::support::{app_role, ask, connect, context, fresh_key, provider_on, server};

/// A generated key that opens to itself.
async fn round_trip(provider: &VaultKmsProvider, key: &KeyId) -> vault_crypto_core::Result<()> {
    let data_key = provider.generate_data_key(key, &context()).await?;
    let opened = provider.decrypt_data_key(data_key.wrapped(), &context()).await?;
    assert_eq!(&opened, data_key.plaintext(), "a wrong answer");
    Ok(())
}

fn durable() -> Arc<Vault> {
    let vault = Vault::start_durable().unwrap_or_else(|error| panic!("{error}"));
    ask(&vault, &["secrets", "enable", "transit"]);
    Arc::new(vault)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_amid_a_thousand_operations_it_gives_no_wrong_answer_and_recovers() {
    let vault = durable();
    let provider = provider_on(&vault).await;
    let key = fresh_key(&*provider, "orders").await;
    let before = provider.generate_data_key(&key, &context()).await.unwrap();
    let killer = {
        let vault = vault.clone();
        tokio::task::spawn_blocking(move || {
            for _ in 0..2 {
                std::thread::park_timeout(Duration::from_millis(400));
                vault.crash().unwrap();
                std::thread::park_timeout(Duration::from_millis(200));
                vault.recover().unwrap();
            }
        })
    };
    let (mut good, mut failed) = (0, 0);
    while good + failed < 1_000 || !killer.is_finished() {
        match round_trip(&provider, &key).await {
            Ok(()) => good += 1,
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                failed += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    killer.await.unwrap();
    assert!(good > 0 && failed > 0, "{good} good, {failed} failed");
    round_trip(&provider, &key).await.unwrap();
    let opened = provider.decrypt_data_key(before.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, before.plaintext());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_server_is_unhealthy_and_unavailable_until_it_is_unsealed() {
    let vault = durable();
    let provider = provider_on(&vault).await;
    let key = fresh_key(&*provider, "orders").await;
    round_trip(&provider, &key).await.unwrap();
    vault.seal().unwrap();
    let health = provider.health_check().await.unwrap();
    assert!(
        !health.healthy && health.message.contains("sealed") && health.latency.is_some(),
        "{health:?}"
    );
    let error = round_trip(&provider, &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("unseal"), "{error}");
    vault.unseal().unwrap();
    assert!(provider.health_check().await.unwrap().healthy);
    round_trip(&provider, &key).await.unwrap();
    vault.crash().unwrap();
    let health = provider.health_check().await.unwrap();
    assert!(!health.healthy && health.latency.is_none(), "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_ends_in_mid_use_is_made_again() {
    let vault = Vault::start().unwrap_or_else(|error| panic!("{error}"));
    ask(&vault, &["secrets", "enable", "transit"]);
    let (role_id, secret) = app_role(&vault, "app", &["token_ttl=1s", "token_max_ttl=1s"]);
    let secret = SecretId::Plain(SecureString::new(secret));
    let credentials = VaultCredentials::app_role(role_id, secret).unwrap();
    let connection = VaultConnectionConfig::new(vault.url(), credentials);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, "orders").await;
    for round in 0..30 {
        round_trip(&provider, &key).await.unwrap();
        if round % 10 == 9 {
            ask(&vault, &["token", "revoke", "-mode=path", "auth/approle"]);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_the_login_or_the_token_is_unhealthy() {
    let (role_id, secret) = app_role(server(), "healthy", &["token_ttl=1h"]);
    let wrong = "00000000-no-such-secret".to_owned();
    for (secret, healthy) in [(secret, true), (wrong, false)] {
        let secret = SecretId::Plain(SecureString::new(secret));
        let login = VaultCredentials::app_role(role_id.as_str(), secret).unwrap();
        let connection = VaultConnectionConfig::new(server().url(), login);
        let provider = connect(VaultKmsConfig::new(connection)).await;
        let health = provider.health_check().await.unwrap();
        assert_eq!(health.healthy, healthy, "{health:?}");
        assert!(health.latency.is_some());
    }
    let revoked = VaultCredentials::token("hvs.no-such-token");
    let connection = VaultConnectionConfig::new(server().url(), revoked);
    let health = connect(VaultKmsConfig::new(connection)).await.health_check().await.unwrap();
    assert!(!health.healthy && health.message.contains("no longer valid"), "{health:?}");
}
