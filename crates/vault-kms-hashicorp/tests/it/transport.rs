//! The suite of faults, through the proxy, over TLS.

use std::sync::Arc;
use std::time::Duration;

use vault_connection::{SecretId, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{Operation, SecureString};
use vault_kms_hashicorp::VaultKmsConfig;
use vault_testkit::conformance::transport::{CANARY, ServiceShape, TransportFixture, run_all};
use vault_testkit::proxy::{Answer, FaultProxy, Match};
use vault_testkit::tls::TestCa;

use super::support::{app_role, connect, fresh_key, server};

const DEADLINE: Duration = Duration::from_secs(1);

fn errors(status: u16, text: &str) -> Answer {
    Answer::json(status, format!(r#"{{"errors":["{text} {CANARY}"]}}"#))
}

fn shape() -> ServiceShape {
    let throttled = errors(429, "request path has exceeded its rate limit quota:");
    ServiceShape::new(DEADLINE, throttled.clone(), errors(403, "permission denied"))
        .with_retry_after(throttled.with_header("retry-after", "3"), Duration::from_secs(3))
        .with_failure(errors(500, "1 error occurred: internal error"))
        .with_failure(errors(503, "Vault is sealed"))
        .with_failure(errors(502, "bad gateway"))
        .with_failure(errors(412, "required index state not present"))
        .with_failure(Answer::json(473, format!(r#"{{"x":"{CANARY}"}}"#)))
        .with_key_unnamed_in(Operation::GenerateDataKey)
        .with_key_unnamed_in(Operation::WrapDataKey)
        .with_key_unnamed_in(Operation::DecryptDataKey)
        .with_mutation(Operation::CreateKey, Match::path("/keys/").and_method("POST"))
        .with_mutation(Operation::RotateKey, Match::path("/rotate").and_method("POST"))
}

async fn stands_faults(credentials: VaultCredentials, secret: &str, prefix: &str) {
    let ca = TestCa::new();
    let proxy = FaultProxy::start_tls(server().url().as_str(), &ca, &["vault.test"]).unwrap();
    let proxy = Arc::new(proxy);
    let connection = VaultConnectionConfig::new(proxy.url(), credentials)
        .with_tls_roots(ca.ca_pem())
        .with_call_timeout(DEADLINE);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, &format!("{prefix}-a")).await;
    let other = fresh_key(&*provider, &format!("{prefix}-b")).await;
    let fixture = TransportFixture::new(provider.clone(), proxy, key, shape())
        .with_other_key(other)
        .with_admin(provider, prefix)
        .with_secret(secret);
    let report = run_all(&fixture).await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_with_a_token_stands_faults() {
    let token = server().root_token();
    stands_faults(VaultCredentials::token(token), token, "faults-token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_logs_in_stands_faults() {
    let (role_id, secret_id) = app_role(server(), "faults", &["token_ttl=1h"]);
    let secret = SecretId::Plain(SecureString::new(secret_id.as_str()));
    let credentials = VaultCredentials::app_role(role_id, secret).unwrap();
    stands_faults(credentials, &secret_id, "faults-role").await;
}
