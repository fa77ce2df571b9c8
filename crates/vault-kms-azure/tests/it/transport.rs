//! What every provider owes its caller when the network or the service misbehaves.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{KeyConfig, KmsAdmin as _, Operation};
use vault_kms_azure::AzureKmsProvider;
use vault_testkit::conformance::transport::{CANARY, ServiceShape, TransportFixture, run_all};
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::proxy::{Answer, FaultProxy, Match, Upstream};

use super::support::config;

/// A refusal as Key Vault words it.
fn refusal(status: u16, code: &str) -> Answer {
    Answer::json(status, format!(r#"{{"error":{{"code":"{code}","message":"{CANARY}"}}}}"#))
}

/// What every 401 of a vault says, too: where to log in, and for what.
const CHALLENGE: &str = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;

fn shape(deadline: Duration) -> ServiceShape {
    let wait = Duration::from_secs(7);
    let refused = refusal(401, "Unauthorized").with_header("www-authenticate", CHALLENGE);
    ServiceShape::new(deadline, refusal(429, "Throttled"), refused)
        .with_retry_after(refusal(429, "Throttled").with_header("retry-after", "7"), wait)
        .with_failure(refusal(500, "InternalServerError"))
        .with_failure(refusal(503, "ServiceUnavailable"))
        .with_mutation(Operation::CreateKey, Match::path("/create"))
        .with_mutation(Operation::RotateKey, Match::path("/rotate?"))
        .with_mutation(Operation::ScheduleKeyDeletion, Match::method("DELETE"))
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_on_the_way_are_typed_timely_and_overcome() {
    let fake = FakeKeyVault::start();
    let upstream = Upstream::https(fake.addr(), &fake.host(), &fake.ca_pem()).unwrap();
    let proxy = FaultProxy::start_tls(upstream, fake.ca(), &[&fake.host()]).unwrap();
    let deadline = Duration::from_secs(1);
    // The last address that is given for a name is the one.
    let through = || config(&fake).with_resolved(fake.host(), proxy.addr());
    let kms = AzureKmsProvider::connect(through().with_call_timeout(deadline)).await.unwrap();
    // A new key pair may take longer than a test wants to wait for an answer that never comes.
    let admin = Arc::new(AzureKmsProvider::connect(through()).await.unwrap());
    let key = admin.create_key(KeyConfig::new("app")).await.unwrap().key_id;
    let other = admin.create_key(KeyConfig::new("other")).await.unwrap().key_id;
    let fixture = TransportFixture::new(Arc::new(kms), Arc::new(proxy), key, shape(deadline))
        .with_other_key(other)
        .with_admin(admin, "transport")
        .with_secret(fake.client_secret())
        .with_new_logins();
    let report = run_all(&fixture).await;
    report.assert_passed();
    assert!(report.not_applicable().is_empty(), "{report}");
}
