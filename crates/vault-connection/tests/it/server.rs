//! What a server says of itself, in every state that it can be in.

use std::time::{Duration, SystemTime};

use vault_connection::{VaultConnectionConfig, VaultCredentials, VaultFailureKind, VaultProduct};
use vault_crypto_core::{Clock as _, SystemClock};
use vault_testkit::proxy::{HttpFault, Match};
use vault_testkit::servers::Vault;

use super::support::{ask, connect, mount, proxy, server};

fn config(vault: &Vault) -> VaultConnectionConfig {
    VaultConnectionConfig::new(vault.url(), VaultCredentials::token(vault.root_token()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_working_server_is_ready_and_says_what_it_is() {
    let connection = connect(config(server())).await;
    let health = connection.health().await.unwrap();
    assert!(health.is_ready() && !health.standby);
    assert_eq!((health.product, health.version.as_str()), (VaultProduct::Vault, "1.21.1"));
    assert!(health.latency > Duration::ZERO);
    let told = connection.server_time().await.unwrap().unwrap();
    let now = SystemClock::new().now();
    let apart = now.duration_since(told).or_else(|_| told.duration_since(now)).unwrap();
    assert!(apart < Duration::from_secs(5), "{apart:?}");
    assert!(
        connection
            .who_am_i()
            .await
            .unwrap()
            .starts_with("token (without an entity; policies root)")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_clock_is_told_as_it_is() {
    let proxy = proxy();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    proxy.on(Match::any()).fault(HttpFault::date(then));
    let config = VaultConnectionConfig::new(proxy.url(), VaultCredentials::token("unused"));
    assert_eq!(connect(config).await.server_time().await.unwrap(), Some(then));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_server_is_told_apart_and_comes_back() {
    let vault = Vault::start_durable().unwrap_or_else(|error| panic!("{error}"));
    let connection = connect(config(&vault)).await;
    connection.log_in().await.unwrap();
    vault.seal().unwrap();
    let health = connection.health().await.unwrap();
    assert!(health.sealed && !health.is_ready());
    let failure = connection.who_am_i().await.unwrap_err();
    assert_eq!((failure.kind(), failure.status()), (VaultFailureKind::Sealed, Some(503)));
    vault.unseal().unwrap();
    connection.who_am_i().await.unwrap();
    vault.crash().unwrap();
    let failure = connection.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::Unreachable);
    vault.recover().unwrap();
    connection.who_am_i().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_does_not_speak_tls_is_told_as_that() {
    let address = server().url().replace("http://", "https://");
    let config = VaultConnectionConfig::new(address, VaultCredentials::token("unused"));
    let failure = connect(config).await.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::Untrusted);
    assert!(failure.to_string().contains("does not speak TLS"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_is_not_found_with_its_metadata() {
    #[derive(serde::Deserialize)]
    struct Deleted {
        metadata: Metadata,
    }
    #[derive(serde::Deserialize)]
    struct Metadata {
        deletion_time: String,
    }
    let (vault, connection) = (server(), connect(config(server())).await);
    ask(vault, &["kv", "put", "secret/gone", "a=b"]);
    ask(vault, &["kv", "delete", "secret/gone"]);
    let failure = connection.get(&mount("secret"), &["data", "gone"]).await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::NotFound);
    let deleted: Deleted = failure.answer().unwrap().data().unwrap();
    assert!(!deleted.metadata.deletion_time.is_empty());
    let never = connection.get(&mount("secret"), &["data", "never"]).await.unwrap_err();
    assert!(never.answer().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_with_odd_characters_name_one_thing() {
    let connection = connect(config(server())).await;
    let secret = |value: &str| serde_json::json!({"data": {"value": value}});
    let names = ["a b", "a?b", "a#b", "a%2fb", "a%b", "\u{fc}ber", "a+b", "a&list=true"];
    for name in names {
        connection.post(&mount("secret"), &["data", name], &secret(name)).await.unwrap();
    }
    for name in names {
        let answer = connection.get(&mount("secret"), &["data", name]).await.unwrap();
        let read: serde_json::Value = answer.data().unwrap();
        assert_eq!(read["data"]["value"], name);
    }
    for hostile in ["..", ".", "", "a/b", "a\nb"] {
        let failure = connection.get(&mount("secret"), &["data", hostile]).await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::InvalidInput);
    }
    let listed = connection.list(&mount("secret"), &["metadata"]).await.unwrap();
    let listed: serde_json::Value = listed.data().unwrap();
    assert!(listed["keys"].as_array().unwrap().len() >= names.len());
    connection.delete(&mount("secret"), &["metadata", "a b"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_one_after_another_share_a_connection() {
    let proxy = proxy();
    let credentials = VaultCredentials::token(server().root_token());
    let connection = connect(VaultConnectionConfig::new(proxy.url(), credentials)).await;
    for _ in 0..50 {
        connection.who_am_i().await.unwrap();
    }
    // The first may not be back in the pool yet when the next request looks there.
    assert!(proxy.connections() <= 5, "{} connections for 50 requests", proxy.connections());
}
