//! The contract that every KMS is held to.

use vault_crypto_core::Capabilities;
use vault_testkit::conformance::{AdminFixture, KmsFixture, admin, kms};

use super::support::{World, shared};

#[tokio::test(flavor = "multi_thread")]
async fn key_vault_keeps_every_promise_of_kms_provider() {
    let world = World::new().await;
    let (key, other) = (world.key("key").await, world.key("other").await);
    let fixture = KmsFixture::new(shared(&world.kms), shared(&world.kms), key, other);
    let report = kms::run_all(&fixture).await;
    report.assert_passed();
    let missing: Vec<&str> = report.not_applicable().iter().map(|(_, why)| *why).collect();
    let declared = [
        "binds_scope is not declared",
        "server_side_rewrap is not declared",
        "random_bytes is not declared",
    ];
    assert_eq!(missing, declared, "{report}");
    assert_eq!(report.proved(), kms::CASES.len() - declared.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn key_vault_keeps_every_promise_of_kms_admin() {
    let world = World::new().await;
    let fixture = AdminFixture::new(shared(&world.kms), "suite");
    let report = admin::run_all(&fixture).await;
    report.assert_passed();
    let missing: Vec<&str> = report.not_applicable().iter().map(|(_, why)| *why).collect();
    let staged = "staged_rotation is not declared, and refused";
    assert_eq!(missing, [staged, staged], "{report}");
    assert_eq!(report.proved(), admin::CASES.len() - 2);
}

#[tokio::test]
async fn the_capabilities_are_those_of_a_vault() {
    use vault_crypto_core::KmsProvider as _;
    let world = World::new().await;
    let can: Capabilities = world.kms.capabilities();
    assert!(!can.binds_scope && !can.server_side_rewrap && !can.offline && !can.random_bytes);
    assert_eq!((can.max_payload_len, can.deletion_window_days), (138, Some(7)));
}
