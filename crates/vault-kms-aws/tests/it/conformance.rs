//! The contracts that every KMS is held to.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::layers::{
    AuditLayer, CircuitBreakerLayer, LayeredKms, MetricsLayer, RateLimitLayer, RetryLayer,
    TimeoutLayer,
};
use vault_crypto_core::{Clock, KmsAdmin, KmsProvider, SystemClock, SystemRandom};
use vault_testkit::MemoryAudit;
use vault_testkit::conformance::{AdminFixture, KmsFixture, Report, admin, kms};
use vault_testkit::proxy::FaultProxy;
use vault_testkit::servers::{LocalKms, LocalStack};

use super::support::{connect, is, new_key, proxied};

/// Answers that held a plaintext.
fn plaintexts(proxy: &FaultProxy) -> u64 {
    let hands_out =
        |call: &_| ["GenerateDataKey", "Decrypt"].iter().any(|operation| is(call, operation));
    let calls = proxy.calls();
    calls.iter().filter(|call| hands_out(call) && call.status == Some(200)).count() as u64
}

fn stacked(kms: Arc<dyn KmsAdmin>) -> Arc<dyn KmsAdmin> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    LayeredKms::new(kms)
        .with_audit(AuditLayer::new(Arc::new(MemoryAudit::new()), Arc::clone(&clock)))
        .with_timeout(TimeoutLayer::new(Duration::from_secs(30), Arc::clone(&clock)))
        .with_circuit_breaker(CircuitBreakerLayer::new(Arc::clone(&clock)))
        .with_metrics(MetricsLayer::new(Arc::clone(&clock)))
        .with_rate_limit(RateLimitLayer::new(10_000, 100, Arc::clone(&clock)).unwrap())
        .with_retry(RetryLayer::new(clock, Arc::new(SystemRandom::new())))
        .build()
}

/// What AWS does not have, and nothing else.
fn assert_complete(report: &Report, cases: usize, absent: &[&str]) {
    report.assert_passed();
    let missing: Vec<&str> = report.not_applicable().iter().map(|(_, why)| *why).collect();
    assert_eq!(missing, absent, "{report}");
    assert_eq!(report.proved(), cases - absent.len());
}

const NOT_VERIFIED: &str = "verifies_version is not declared";
const NOT_STAGED: &str = "staged_rotation is not declared, and refused";

#[tokio::test]
async fn localstack_shows_every_promise_of_kms_provider() {
    let (provider, key, proxy) = proxied().await;
    let other = new_key(&provider).await;
    let using: Arc<dyn KmsProvider> = provider.clone();
    let fixture = KmsFixture::new(using, provider, key, other)
        .with_plaintext_count(move || plaintexts(&proxy));
    assert_complete(&kms::run_all(&fixture).await, kms::CASES.len(), &[NOT_VERIFIED]);
}

#[tokio::test]
async fn localstack_shows_every_promise_of_kms_admin() {
    let provider = connect(&LocalStack::shared().url()).await;
    let report = admin::run_all(&AdminFixture::new(provider, "suite-admin")).await;
    assert_complete(&report, admin::CASES.len(), &[NOT_STAGED, NOT_STAGED]);
}

#[tokio::test]
async fn the_promises_hold_under_every_decorator() {
    let (provider, key, proxy) = proxied().await;
    let other = new_key(&provider).await;
    let stack = stacked(provider.clone());
    let using: Arc<dyn KmsProvider> = stack.clone();
    let fixture = KmsFixture::new(using, provider, key, other)
        .with_plaintext_count(move || plaintexts(&proxy));
    assert_complete(&kms::run_all(&fixture).await, kms::CASES.len(), &[NOT_VERIFIED]);
    let report = admin::run_all(&AdminFixture::new(stack, "suite-layers")).await;
    assert_complete(&report, admin::CASES.len(), &[NOT_STAGED, NOT_STAGED]);
}

/// local-kms takes some altered ciphertexts and has no rotation on demand; all else it shows at its speed.
#[tokio::test]
async fn local_kms_shows_every_promise_but_those_that_it_breaks_itself() {
    let proxy = FaultProxy::start(LocalKms::shared().url().as_str()).unwrap();
    let provider = connect(&proxy.url()).await;
    let (key, other) = (new_key(&provider).await, new_key(&provider).await);
    let using: Arc<dyn KmsProvider> = provider.clone();
    let fixture = KmsFixture::new(using, provider, key, other)
        .with_plaintext_count(move || plaintexts(&proxy));
    let report = kms::run_all(&fixture).await;
    assert_eq!(report.broken(), BROKEN_BY_LOCAL_KMS, "{report}");
    assert_eq!(report.proved(), kms::CASES.len() - BROKEN_BY_LOCAL_KMS.len() - 1, "{report}");
}

/// LocalStack keeps these.
const BROKEN_BY_LOCAL_KMS: &[&str] = &[
    "Altered bytes, another scope or another kind are `AuthenticationFailed` where the service binds the scope.",
    "A version that rotation replaced still unwraps.",
    "After a rotation the answer names the new version.",
    "Altered bytes are `AuthenticationFailed`; bytes that this service never made are `Malformed` or `AuthenticationFailed`.",
];
