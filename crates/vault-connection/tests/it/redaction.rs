//! Nothing that prints shows a secret.

use vault_connection::{Jwt, SecretId, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{Operation, SecureBytes, SecureString};
use vault_testkit::proxy::{Answer, HttpFault, Match};
use vault_testkit::redaction::SecretScan;

use super::support::{connect, mount, proxy};

const SECRET: &str = "s3cr3t-of-the-login-7f3a9c51";

fn all_credentials() -> Vec<VaultCredentials> {
    let secret = || SecureString::new(SECRET);
    vec![
        VaultCredentials::token(SECRET),
        VaultCredentials::app_role("role", SecretId::Plain(secret())).unwrap(),
        VaultCredentials::app_role("role", SecretId::Wrapped(secret())).unwrap(),
        VaultCredentials::jwt(None, Jwt::Plain(secret())).unwrap(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_connections_and_failures_show_no_secret() {
    let scan = SecretScan::new(SECRET.as_bytes());
    let proxy = proxy();
    for credentials in all_credentials() {
        scan.assert_absent_from_debug("credentials", &credentials);
        let config = VaultConnectionConfig::new(proxy.url(), credentials)
            .with_proxy(format!("http://user:{SECRET}@127.0.0.1:1"));
        scan.assert_absent_from_debug("settings", &config);
        let connection = connect(config).await;
        scan.assert_absent_from_debug("a connection", &connection);
        let failure = connection.who_am_i().await.unwrap_err();
        scan.assert_absent_from_error("a failure", &failure);
        scan.assert_absent_from_error("an error", &failure.to_error(Operation::LogIn));
    }
    let identity =
        VaultConnectionConfig::new("https://vault.example.com", VaultCredentials::token("t"))
            .with_client_identity(SecureBytes::new(SECRET.as_bytes().to_vec()));
    scan.assert_absent_from_debug("settings", &identity);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_is_recognised_and_not_shown() {
    let scan = SecretScan::new(SECRET.as_bytes());
    let proxy = proxy();
    let connection =
        connect(VaultConnectionConfig::new(proxy.url(), VaultCredentials::token(SECRET))).await;
    for status in [
        200, 204, 299, 300, 307, 400, 401, 403, 404, 405, 412, 413, 418, 429, 472, 473, 500, 501,
        502, 503, 599,
    ] {
        let bodies = [
            format!(r#"{{"errors":["cannot open {SECRET}"]}}"#),
            format!(r#"{{"errors":"{SECRET}"}}"#),
            format!(r#"{{"data":{{"display_name":["{SECRET}"]}}}}"#),
            SECRET.to_owned(),
        ];
        for body in bodies {
            proxy.clear();
            let answer = Answer::json(status, body.clone()).with_header("location", SECRET);
            proxy.on(Match::any()).always().fault(HttpFault::Answer(answer));
            let failure = connection.who_am_i().await.unwrap_err();
            scan.assert_absent_from_error("a failure", &failure);
            scan.assert_absent_from_error("an error", &failure.to_error(Operation::LogIn));
            if status == 400 && body.contains("cannot open") {
                assert!(failure.says("cannot open") && !failure.says("cannot close"));
            }
            if let Ok(answer) = connection.get(&mount("secret"), &["data"]).await {
                scan.assert_absent_from_debug("an answer", &answer);
            }
        }
    }
}
