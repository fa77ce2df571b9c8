//! A ready-made HTTP client under a connection.

use std::time::Duration;

use reqwest::redirect::Policy;
use vault_connection::{
    VaultConnection, VaultConnectionConfig, VaultCredentials, VaultFailureKind,
};
use vault_crypto_core::ErrorKind;
use vault_testkit::proxy::{HttpFault, Match};
use vault_testkit::servers::Vault;

use super::support::{connect, proxy, server};

fn config(url: &str, token: &str, client: reqwest::Client) -> VaultConnectionConfig {
    VaultConnectionConfig::new(url, VaultCredentials::token(token)).with_http_client(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_client_keeps_its_tls_and_its_pool() {
    let vault = Vault::start_tls().unwrap_or_else(|error| panic!("{error}"));
    let roots = std::fs::read(vault.ca_certificate().unwrap()).unwrap();
    let roots = reqwest::Certificate::from_pem_bundle(&roots).unwrap();
    let client = reqwest::Client::builder().redirect(Policy::none()).tls_certs_only(roots);
    let ready = config(&vault.url(), vault.root_token(), client.build().unwrap());
    connect(ready).await.who_am_i().await.unwrap();

    let (proxy, token) = (proxy(), server().root_token());
    let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    for _ in 0..3 {
        connect(config(&proxy.url(), token, client.clone())).await.who_am_i().await.unwrap();
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_client_keeps_its_time_outs() {
    let proxy = proxy();
    proxy.on(Match::any()).always().fault(HttpFault::Latency(Duration::from_secs(5)));
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .timeout(Duration::from_millis(200))
        .build()
        .unwrap();
    let connection = connect(config(&proxy.url(), "unused", client)).await;
    assert_eq!(connection.who_am_i().await.unwrap_err().kind(), VaultFailureKind::TimedOut);
}

#[tokio::test]
async fn a_client_that_would_take_the_token_along_is_refused() {
    let following = [
        reqwest::Client::new(),
        reqwest::Client::builder().redirect(Policy::limited(1)).build().unwrap(),
        reqwest::Client::builder().redirect(Policy::custom(|a| a.stop())).build().unwrap(),
    ];
    for client in following {
        let config = config("https://vault.example.com", "t", client);
        let error = VaultConnection::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn tls_settings_beside_a_ready_client_are_refused_instead_of_ignored() {
    let client = || reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let config = || config("https://vault.example.com", "t", client());
    VaultConnection::connect(config()).await.unwrap();
    let beside = [
        config().with_tls_roots("pem"),
        config().with_client_identity(vault_crypto_core::SecureBytes::new(b"pem".to_vec())),
        config().with_proxy("http://127.0.0.1:1"),
        config().danger_accept_any_certificate(),
    ];
    for config in beside {
        let error = VaultConnection::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
