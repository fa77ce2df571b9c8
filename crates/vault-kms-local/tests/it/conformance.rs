//! The contract that every KMS is held to.

use std::sync::Arc;

use pollster::block_on;
use vault_crypto_core::{KeyConfig, KmsAdmin, KmsProvider};
use vault_testkit::conformance::{AdminFixture, KmsFixture, admin, kms};

use super::support::Store;

#[test]
fn the_embedded_kms_keeps_every_promise_of_kms_provider() {
    let (_store, local) = Store::new();
    block_on(local.create_key(KeyConfig::new("other"))).unwrap();
    let (key, other) = (local.key_id("default"), local.key_id("other"));
    let local = Arc::new(local);
    let provider: Arc<dyn KmsProvider> = local.clone();
    let report = block_on(kms::run_all(&KmsFixture::new(provider, local, key, other)));
    report.assert_passed();
    // What it does not have: it unwraps in the caller's process, whose generator is the system's.
    let missing: Vec<&str> = report.not_applicable().iter().map(|(_, why)| *why).collect();
    let expected = ["server_side_rewrap is not declared", "random_bytes is not declared"];
    assert_eq!(missing, expected, "{report}");
    assert_eq!(report.proved(), kms::CASES.len() - 2);
}

#[test]
fn the_embedded_kms_keeps_every_promise_of_kms_admin() {
    let (store, local) = Store::new();
    let fixture = AdminFixture::new(Arc::new(local), "suite");
    let report = block_on(admin::run_all(&fixture));
    report.assert_passed();
    // No process of its own that could rotate a key by itself.
    let missing: Vec<&str> = report.not_applicable().iter().map(|(_, why)| *why).collect();
    assert!(
        missing.iter().all(|why| why.starts_with("rotation_period is not declared")),
        "{report}"
    );
    assert_eq!(report.proved(), admin::CASES.len() - 2, "{report}");
    store.open().unwrap();
}
