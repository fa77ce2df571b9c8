//! The contract that every KMS is held to.

use std::sync::Arc;

use vault_crypto_core::KmsProvider;
use vault_testkit::conformance::{AdminFixture, KmsFixture, admin, kms};

use super::support::Service;

#[tokio::test(flavor = "multi_thread")]
async fn cloud_kms_keeps_every_promise_of_kms_provider() {
    let service = Service::start().await;
    let (key, other) = (service.key("cards").await, service.key("orders").await);
    let provider: Arc<dyn KmsProvider> = service.kms.clone();
    let fixture = KmsFixture::new(provider, service.kms.clone(), key, other);
    let report = kms::run_all(&fixture).await;
    report.assert_passed();
    // It decrypts into the caller's process, and does not say with which version.
    let missing: Vec<&str> = report.not_applicable().iter().map(|(_, why)| *why).collect();
    assert_eq!(
        missing,
        ["verifies_version is not declared", "server_side_rewrap is not declared"],
        "{report}"
    );
    assert_eq!(report.proved(), kms::CASES.len() - 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_kms_keeps_every_promise_of_kms_admin() {
    let service = Service::start().await;
    service.fake.begin_lists_with_an_empty_page(true);
    let report = admin::run_all(&AdminFixture::new(service.kms.clone(), "suite")).await;
    report.assert_passed();
    assert_eq!(report.proved(), admin::CASES.len(), "{report}");
}
