//! The suites of the traits over a real Vault.

use std::sync::Arc;

use vault_kms_hashicorp::{ScopeBinding, VaultKmsConfig};
use vault_testkit::conformance::{AdminFixture, KmsFixture, admin, kms};
use vault_testkit::proxy::FaultProxy;

use super::support::{connect, connection_at, fresh_key, server};

/// Plaintexts that have come through the proxy.
fn plaintexts(proxy: &FaultProxy) -> u64 {
    let hands_out = |path: &str| path.contains("/datakey/plaintext/") || path.contains("/decrypt/");
    let calls = proxy.calls();
    calls.iter().filter(|call| hands_out(&call.path)).count().try_into().unwrap()
}

async fn keeps_the_contract(binding: ScopeBinding, prefix: &str) {
    let proxy = Arc::new(FaultProxy::start(server().url().as_str()).unwrap());
    let connection = connection_at(&proxy.url(), server());
    let config = VaultKmsConfig::new(connection).with_scope_binding(binding);
    let provider = connect(config).await;
    let key = fresh_key(&*provider, &format!("{prefix}-a")).await;
    let other = fresh_key(&*provider, &format!("{prefix}-b")).await;
    let fixture = KmsFixture::new(provider.clone(), provider.clone(), key, other)
        .with_plaintext_count(move || plaintexts(&proxy));
    let report = kms::run_all(&fixture).await;
    report.assert_passed();
    let report = admin::run_all(&AdminFixture::new(provider, format!("{prefix}-admin"))).await;
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn derived_keys_keep_the_contract() {
    keeps_the_contract(ScopeBinding::DerivedKey, "derived").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_derived_keep_the_contract() {
    keeps_the_contract(ScopeBinding::HeaderMac, "mac").await;
}
