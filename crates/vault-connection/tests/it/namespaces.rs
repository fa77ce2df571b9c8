//! Namespaces: sent to servers that have them, and a reason to refuse one that would ignore them.

use vault_connection::{VaultConnectionConfig, VaultFailureKind};
use vault_crypto_core::{ErrorKind, Operation};
use vault_testkit::proxy::{Answer, HttpFault, Match};

use super::support::{app_role, connect, count, has_namespaces, mount, proxy};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_would_ignore_the_namespace_is_shown_no_credentials() {
    let proxy = proxy();
    let config = VaultConnectionConfig::new(proxy.url(), app_role("elsewhere", &[]));
    let connection = connect(config.with_namespace(mount("team-a"))).await;
    for _ in 0..3 {
        let failure = connection.get(&mount("transit"), &["keys", "k"]).await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::NotSupported);
        let error = failure.to_error(Operation::DescribeKey);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("take the namespace out of the settings"), "{error}");
    }
    let paths: Vec<String> = proxy.calls().into_iter().map(|call| call.path).collect();
    assert!(paths.len() == 1 && paths[0].starts_with("/v1/sys/health"), "{paths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_namespaces_is_asked_for_its_edition_once() {
    let proxy = proxy();
    has_namespaces(&proxy);
    let config = VaultConnectionConfig::new(proxy.url(), app_role("here", &["token_ttl=1h"]));
    let connection = connect(config.with_namespace(mount("team-a"))).await;
    for _ in 0..3 {
        connection.who_am_i().await.unwrap();
        connection.log_out().await.unwrap();
    }
    let health = Match::path("sys/health");
    let asked = proxy.calls().into_iter().filter(|call| health.describes(call)).count();
    assert_eq!((asked, count(&proxy, "/login")), (1, 3));
    assert!(connection.health().await.unwrap().namespaces);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_say_its_edition_is_not_trusted_to_have_namespaces() {
    let proxy = proxy();
    let refused = Answer::json(403, r#"{"errors":["permission denied"]}"#);
    proxy.on(Match::path("sys/health")).fault(HttpFault::Answer(refused));
    let config = VaultConnectionConfig::new(proxy.url(), app_role("closed", &[]));
    let connection = connect(config.with_namespace(mount("team-a"))).await;
    let failure = connection.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::PermissionDenied);
    assert!(failure.to_string().contains("sys/health"), "{failure}");
    assert_eq!(count(&proxy, "/login"), 0);
}
