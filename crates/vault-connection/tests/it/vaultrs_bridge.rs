//! Between `vaultrs` and a connection, over a real Vault: its users move here, and its types work over our
//! logins.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use vault_connection::{
    SecretId, VaultConnection, VaultConnectionConfig, VaultCredentials, VaultFailure,
    VaultFailureKind,
};
use vault_crypto_core::{ErrorKind, Operation, SecureString};
use vault_testkit::proxy::{Answer, HttpFault, Match};
use vault_testkit::redaction::SecretScan;
use vault_testkit::servers::Vault;
use vault_testkit::tls::TestCa;
use vaultrs::api::transit::requests::DataKeyType;
use vaultrs::client::{Client as _, Identity, VaultClient, VaultClientSettings};
use vaultrs::error::ClientError;
use vaultrs::{kv2, transit};

use super::support::{
    allow_all, app_role, ask, connect, count, has_namespaces, mount, proxy, role_at, server,
};

type Secret = HashMap<String, String>;

/// What somebody has who used `vaultrs` so far; nothing comes from the environment.
fn settings(address: &str, token: &str) -> VaultClientSettings {
    VaultClientSettings {
        address: address.parse().unwrap(),
        ca_certs: Vec::new(),
        identity: None,
        timeout: Some(Duration::from_secs(20)),
        token: token.to_owned(),
        verify: true,
        version: 1,
        wrapping: false,
        namespace: None,
        proxy: None,
    }
}

fn client(address: &str, token: &str) -> VaultClient {
    VaultClient::new(settings(address, token)).unwrap()
}

fn secret(value: &str) -> Secret {
    HashMap::from([("value".to_owned(), value.to_owned())])
}

async fn moved(client: &VaultClient, login: Option<VaultCredentials>) -> VaultConnection {
    connect(VaultConnectionConfig::from_vaultrs(client, login).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vaultrs_wrapped_opens_over_the_connection_that_it_became() {
    ask(server(), &["secrets", "enable", "-path=moving", "transit"]);
    ask(server(), &["write", "-f", "moving/keys/orders"]);
    let before = client(&server().url(), server().root_token());
    let made =
        transit::generate::data_key(&before, "moving", "orders", DataKeyType::Plaintext, None);
    let made = made.await.unwrap();
    let after = moved(&before, None).await;
    let wrapped = serde_json::json!({"ciphertext": made.ciphertext});
    let answer = after.post(&mount("moving"), &["decrypt", "orders"], &wrapped).await.unwrap();
    assert_eq!(answer.data::<serde_json::Value>().unwrap()["plaintext"], made.plaintext.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_token_moves_to_a_login() {
    let without = client(&server().url(), "");
    let error = VaultConnectionConfig::from_vaultrs(&without, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let connection = moved(&without, Some(app_role("moved", &[]))).await;
    assert!(connection.who_am_i().await.unwrap().starts_with("approle"));
}

/// A connection that has just answered may not be there yet when the next request looks.
async fn back_in_the_pool() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_written_and_read_with_its_types_after_our_login() {
    let proxy = proxy();
    let config = VaultConnectionConfig::new(proxy.url(), app_role("typed", &[]));
    let connection = connect(config).await;
    let bridge = connection.vaultrs_client().await.unwrap();
    back_in_the_pool().await;
    let value = secret("by its types");
    let written = kv2::set(&bridge, "secret", "team/orders", &value);
    assert_eq!(written.await.unwrap().version, 1);
    let shown = ask(server(), &["kv", "get", "-field=value", "secret/team/orders"]);
    assert_eq!(shown, "by its types");
    ask(server(), &["kv", "put", "secret/team/orders", "value=by the program"]);
    let again = connection.vaultrs_client().await.unwrap();
    let read: Secret = kv2::read(&again, "secret", "team/orders").await.unwrap();
    assert_eq!(read, secret("by the program"));
    back_in_the_pool().await;
    assert!(again.lookup().await.unwrap().display_name.starts_with("approle"));
    assert_eq!(count(&proxy, "auth/approle/login"), 1);
    assert_eq!(proxy.connections(), 1, "one pool");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_token_was_revoked_the_next_client_has_another() {
    let connection =
        connect(VaultConnectionConfig::new(server().url(), app_role("gone", &[]))).await;
    let first = connection.vaultrs_client().await.unwrap();
    first.revoke().await.unwrap();
    let refused = first.lookup().await.map(drop).unwrap_err();
    assert_eq!(VaultFailure::from(refused).kind(), VaultFailureKind::PermissionDenied);
    connection.log_in().await.unwrap();
    connection.vaultrs_client().await.unwrap().lookup().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_no_header_can_hold_reaches_no_request() {
    for bad in ["hvs.x\n", "hvs.x\r\nX-Evil: 1", "a b", "\u{e9}"] {
        let error = VaultConnectionConfig::from_vaultrs(&client(&server().url(), bad), None);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        let given = VaultConnectionConfig::new(server().url(), VaultCredentials::token(bad));
        let failure = connect(given).await.vaultrs_client().await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::InvalidInput, "{bad:?}");
        let good = VaultCredentials::token(server().root_token());
        let connection = connect(VaultConnectionConfig::new(server().url(), good)).await;
        let mut bridge = connection.vaultrs_client().await.unwrap();
        bridge.set_token(bad);
        let failure = VaultFailure::from(bridge.lookup().await.map(drop).unwrap_err());
        assert_eq!(failure.kind(), VaultFailureKind::PermissionDenied, "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_authorities_and_identity_come_along() {
    let vault = Vault::start_tls().unwrap_or_else(|error| panic!("{error}"));
    allow_all(&vault);
    let ca = TestCa::new();
    ask(&vault, &["auth", "enable", "cert"]);
    let certificate = format!("certificate={}", ca.ca_pem());
    ask(&vault, &["write", "auth/cert/certs/app", &certificate, "token_policies=all"]);
    let shown = ca.issue_client("client.test");
    let identity = Identity::from_pem((shown.chain_pem() + &shown.key_pem()).as_bytes()).unwrap();
    let authority = vault.ca_certificate().unwrap();
    let settings = VaultClientSettings {
        ca_certs: vec![authority.to_str().unwrap().to_owned()],
        identity: Some(identity),
        ..settings(&vault.url(), vault.root_token())
    };
    let before = VaultClient::new(settings.clone()).unwrap();
    kv2::set(&before, "secret", "a", &secret("kept")).await.unwrap();
    let login = VaultCredentials::tls_certificate(Some("app".into())).unwrap();
    let after = moved(&before, Some(login)).await;
    let read: Secret =
        kv2::read(&after.vaultrs_client().await.unwrap(), "secret", "a").await.unwrap();
    assert_eq!(read, secret("kept"));

    let stranger = VaultClientSettings { ca_certs: Vec::new(), ..settings.clone() };
    let stranger = moved(&VaultClient::new(stranger).unwrap(), None).await;
    assert_eq!(stranger.who_am_i().await.unwrap_err().kind(), VaultFailureKind::Untrusted);
    let bridge = stranger.vaultrs_client().await.unwrap();
    let failure = VaultFailure::from(bridge.lookup().await.map(drop).unwrap_err());
    assert_eq!(failure.kind(), VaultFailureKind::Untrusted);

    let mut lost = VaultClient::new(settings).unwrap();
    lost.settings.ca_certs = vec![Path::new("/nowhere/ca.pem").display().to_string()];
    let error = VaultConnectionConfig::from_vaultrs(&lost, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_verifies_nothing_moves_only_if_the_danger_is_named() {
    let vault = Vault::start_tls().unwrap_or_else(|error| panic!("{error}"));
    let blind = VaultClientSettings { verify: false, ..settings(&vault.url(), vault.root_token()) };
    let blind = VaultClient::new(blind).unwrap();
    let config = || VaultConnectionConfig::from_vaultrs(&blind, None).unwrap();
    let error = VaultConnection::connect(config()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    connect(config().danger_accept_any_certificate()).await.who_am_i().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_and_prefix_are_where_the_server_wants_them() {
    let proxy = proxy();
    let seen = Match::header("x-vault-namespace", "team").and_method("GET");
    proxy.on(seen).always().fault(HttpFault::Answer(Answer::new(418)));
    has_namespaces(&proxy);
    let mut before = client(&proxy.url(), server().root_token());
    before.middle.namespace = Some("team".to_owned());
    let after = moved(&before, None).await;
    assert_eq!(after.namespace(), Some(&mount("team")));
    assert_eq!(after.who_am_i().await.unwrap_err().status(), Some(418));
    let bridge = after.vaultrs_client().await.unwrap();
    assert_eq!(
        VaultFailure::from(bridge.lookup().await.map(drop).unwrap_err()).status(),
        Some(418)
    );

    let gate = format!("{}/gate", proxy.url());
    let token = VaultCredentials::token(server().root_token());
    let connection = connect(VaultConnectionConfig::new(&gate, token)).await;
    let bridge = connection.vaultrs_client().await.unwrap();
    drop(bridge.lookup().await);
    let last = proxy.calls().pop().unwrap();
    assert!(last.path.starts_with("/gate/v1/auth/token/lookup-self"), "{}", last.path);
    // And back again.
    let back = VaultConnectionConfig::from_vaultrs(&bridge, None).unwrap();
    drop(connect(back).await.who_am_i().await);
    assert_eq!(proxy.calls().pop().unwrap().path, last.path);
    let error = VaultConnectionConfig::from_vaultrs(&client(&gate, "t"), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_client_over_our_transport_follows_no_redirect() {
    let (standby, foreign) = (proxy(), proxy());
    let location = format!("{}/v1/auth/token/lookup-self", foreign.url());
    let answer = Answer::new(307).with_header("location", &location);
    standby.on(Match::any()).always().fault(HttpFault::Answer(answer));
    let token = VaultCredentials::token(server().root_token());
    let connection = connect(VaultConnectionConfig::new(standby.url(), token)).await;
    let bridge = connection.vaultrs_client().await.unwrap();
    let failure = VaultFailure::from(bridge.lookup().await.map(drop).unwrap_err());
    assert_eq!((failure.kind(), foreign.connections()), (VaultFailureKind::Redirected, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_settings_nor_clients_nor_failures_show_what_vaultrs_would() {
    const TOKEN: &str = "s3cr3t-of-vaultrs-5d2b77";
    let scan = SecretScan::new(TOKEN.as_bytes());
    let proxy = proxy();
    let before = client(&proxy.url(), TOKEN);
    assert!(format!("{:?}", before.settings).contains(TOKEN), "the reason for all this");
    let config = VaultConnectionConfig::from_vaultrs(&before, None).unwrap();
    scan.assert_absent_from_debug("settings", &config);
    let bridge = connect(config).await.vaultrs_client().await.unwrap();
    scan.assert_absent_from_debug("a client", &bridge);
    scan.assert_absent_from_debug("its settings", bridge.settings());
    for (status, body) in [
        (200, TOKEN.to_owned()),
        (200, format!(r#"{{"data":{{"display_name":["{TOKEN}"]}}}}"#)),
        (200, String::new()),
        (403, format!(r#"{{"errors":["permission denied","{TOKEN}"]}}"#)),
        (500, format!("<html>{TOKEN}")),
        (503, r#"{"errors":["Vault is sealed"]}"#.to_owned()),
    ] {
        proxy.clear();
        let answer = Answer::json(status, body);
        proxy.on(Match::any()).always().fault(HttpFault::Answer(answer));
        let failure = VaultFailure::from(bridge.lookup().await.map(drop).unwrap_err());
        scan.assert_absent_from_error("a failure", &failure);
        scan.assert_absent_from_error("an error", &failure.to_error(Operation::Decrypt));
        let expected = match status {
            200 => VaultFailureKind::Unreadable,
            403 => VaultFailureKind::PermissionDenied,
            503 => VaultFailureKind::Sealed,
            _ => VaultFailureKind::Unavailable,
        };
        assert_eq!(failure.kind(), expected, "{status}");
        assert_eq!(failure.says("permission denied"), status == 403);
    }
    let spent = VaultFailure::from(ClientError::WrapInvalidError);
    assert_eq!(spent.kind(), VaultFailureKind::Rejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_its_own_can_be_handed_over() {
    let (role_id, secret_id) = role_at("approle", "handed-over", &[]);
    let mut before = client(&server().url(), "");
    let info =
        vaultrs::auth::approle::login(&before, "approle", &role_id, &secret_id).await.unwrap();
    before.set_token(&info.client_token);
    let with_token = moved(&before, None).await;
    assert!(with_token.who_am_i().await.unwrap().starts_with("approle"));
    let secret_id = SecretId::Plain(SecureString::new(secret_id));
    let login = VaultCredentials::app_role(role_id, secret_id).unwrap();
    let with_login = moved(&before, Some(login)).await;
    with_login.log_in().await.unwrap();
    // Only what our own login got is revoked.
    with_login.log_out().await.unwrap();
    assert!(with_token.who_am_i().await.is_ok());
}
