//! Tokens that end in the middle of the work, that may not do something, or that are no tokens.

use std::time::Duration;

use vault_connection::{VaultConnectionConfig, VaultCredentials, VaultFailureKind};
use vault_crypto_core::{ErrorKind, Operation};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};

use super::support::{app_role, app_role_at, ask, connect, count, mount, polled, proxy, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_mid_use_is_replaced() {
    let proxy = proxy();
    let credentials = app_role("expires", &["token_ttl=2s", "token_max_ttl=2s"]);
    let connection = connect(VaultConnectionConfig::new(proxy.url(), credentials)).await;
    connection.who_am_i().await.unwrap();
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    connection.who_am_i().await.unwrap();
    assert_eq!(count(&proxy, "/login"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_a_revoked_token_cause_one_login() {
    let proxy = proxy();
    // A mount of its own: everything that logged in there is revoked.
    ask(server(), &["auth", "enable", "-path=revoked", "approle"]);
    let credentials = app_role_at("revoked", "app", &["token_ttl=1h"]);
    let connection = connect(VaultConnectionConfig::new(proxy.url(), credentials)).await;
    connection.log_in().await.unwrap();
    ask(server(), &["token", "revoke", "-mode=path", "auth/revoked"]);
    let asking: Vec<_> = (0..1_000)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.who_am_i().await })
        })
        .collect();
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(count(&proxy, "/login"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_token_that_was_replaced_meanwhile_is_not_looked_into() {
    let refusing = proxy();
    let proxy = FaultProxy::start(refusing.url().as_str()).unwrap();
    ask(server(), &["auth", "enable", "-path=replaced", "approle"]);
    let connection = VaultConnectionConfig::new(proxy.url(), app_role_at("replaced", "app", &[]));
    let connection = connect(connection).await;
    connection.get(&mount("sys"), &["mounts"]).await.unwrap();
    ask(server(), &["token", "revoke", "-mode=path", "auth/replaced"]);
    // As older servers word it.
    let refused = Answer::json(403, r#"{"errors":["permission denied"]}"#);
    for path in ["sys/mounts", "sys/policy"] {
        refusing.on(Match::path(path)).fault(HttpFault::Answer(refused.clone()));
    }
    // Long enough for the other call to end before.
    let late = HttpFault::LateAnswer(Duration::from_secs(2));
    proxy.on(Match::path("sys/policy")).fault(late);
    let system = mount("sys");
    let mut late = Box::pin(connection.get(&system, &["policy"]));
    while count(&proxy, "sys/policy") == 0 {
        assert!(polled(&mut late, 1).await.is_none());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    connection.get(&system, &["mounts"]).await.unwrap();
    late.await.unwrap();
    assert_eq!((count(&proxy, "/lookup-self"), count(&proxy, "/login")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_token_is_used_and_not_revoked_which_nobody_can() {
    let proxy = proxy();
    let login = app_role("batch", &["token_type=batch", "token_ttl=1h"]);
    let connection = connect(VaultConnectionConfig::new(proxy.url(), login)).await;
    connection.who_am_i().await.unwrap();
    connection.log_out().await.unwrap();
    connection.who_am_i().await.unwrap();
    assert_eq!(count(&proxy, "/login"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_token_that_was_revoked_is_told_and_not_replaced() {
    let token = ask(server(), &["token", "create", "-policy=all", "-field=token"]);
    let credentials = VaultCredentials::token(token.clone());
    let connection = connect(VaultConnectionConfig::new(server().url(), credentials)).await;
    connection.who_am_i().await.unwrap();
    ask(server(), &["token", "revoke", &token]);
    let failure = connection.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::PermissionDenied);
    let error = failure.to_error(Operation::DescribeKey);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("no longer valid"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_no_reason_to_log_in_again() {
    let proxy = proxy();
    let credentials = app_role("poor", &["token_policies=default"]);
    let connection = connect(VaultConnectionConfig::new(proxy.url(), credentials)).await;
    for _ in 0..5 {
        let failure = connection.get(&mount("sys"), &["mounts"]).await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::PermissionDenied);
        assert_eq!(failure.status(), Some(403));
    }
    assert_eq!(count(&proxy, "/login"), 1);
    // Whether the token lives is asked once, not at every refusal.
    assert_eq!(count(&proxy, "/lookup-self"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_is_read_again_when_its_token_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let create = || ask(server(), &["token", "create", "-policy=all", "-field=token"]);
    let first = create();
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let credentials = VaultCredentials::token_file(&file);
    let connection = connect(VaultConnectionConfig::new(server().url(), credentials)).await;
    connection.who_am_i().await.unwrap();
    ask(server(), &["token", "revoke", &first]);
    let failure = connection.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::PermissionDenied);
    std::fs::write(&file, create()).unwrap();
    connection.who_am_i().await.unwrap();
}

#[tokio::test]
async fn a_token_that_no_header_can_hold_is_refused_before_any_request() {
    let proxy = proxy();
    for token in ["hvs.abc\n", "hvs.abc\r\nX-Vault-Namespace: other", "hvs.\u{e9}t\u{e9}", ""] {
        let config = VaultConnectionConfig::new(proxy.url(), VaultCredentials::token(token));
        let failure = connect(config).await.who_am_i().await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::InvalidInput);
        assert!(!format!("{failure} {failure:?}").contains("abc"));
    }
    assert_eq!(proxy.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_revokes_what_was_logged_in_and_nothing_else() {
    let proxy = proxy();
    let connection =
        connect(VaultConnectionConfig::new(proxy.url(), app_role("leaves", &[]))).await;
    connection.log_in().await.unwrap();
    connection.log_out().await.unwrap();
    assert_eq!(count(&proxy, "/revoke-self"), 1);
    connection.who_am_i().await.unwrap();
    assert_eq!(count(&proxy, "/login"), 2);
    let given = VaultCredentials::token(server().root_token());
    let connection = connect(VaultConnectionConfig::new(proxy.url(), given)).await;
    connection.log_in().await.unwrap();
    connection.log_out().await.unwrap();
    assert_eq!(count(&proxy, "/revoke-self"), 1);
    ask(server(), &["token", "lookup"]);
}
