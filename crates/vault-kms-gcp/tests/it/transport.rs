//! What a provider owes its caller when the network or the service misbehaves: the suite of the test kit,
//! through the fault proxy.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::Operation;
use vault_kms_gcp::GcpKmsProvider;
use vault_testkit::conformance::transport::{self, CANARY, ServiceShape, TransportFixture};
use vault_testkit::proxy::{Answer, FaultProxy, Match};
use vault_testkit::tls::TestCa;

use super::support::{Service, Tokens, at};

const TOKEN: &str = "ya29.a-token-that-no-error-may-show";
const DEADLINE: Duration = Duration::from_secs(1);

fn shape() -> ServiceShape {
    let grpc = |code| Answer::grpc(code, CANARY);
    let load_balancer =
        |status| Answer::new(status).with_header("content-type", "text/html").with_body(CANARY);
    let for_3_s = load_balancer(429).with_header("retry-after", "3");
    let rpc = |name: &str| Match::path(format!("KeyManagementService/{name}"));
    ServiceShape::new(DEADLINE, grpc(8), grpc(16))
        .with_retry_after(for_3_s, Duration::from_secs(3))
        .with_failure(grpc(13))
        .with_failure(grpc(14))
        .with_failure(load_balancer(500))
        .with_failure(load_balancer(503))
        .with_key_unnamed_in(Operation::DecryptDataKey)
        .with_mutation(Operation::CreateKey, rpc("CreateCryptoKey"))
        .with_mutation(Operation::RotateKey, rpc("CreateCryptoKeyVersion"))
        .with_mutation(Operation::ScheduleKeyDeletion, rpc("DestroyCryptoKeyVersion"))
}

async fn fixture(proxy: FaultProxy, service: &Service, roots: Option<String>) -> TransportFixture {
    let (key, other) = (service.key("cards").await, service.key("orders").await);
    let mut config = at(&proxy.url())
        .with_credentials(Tokens::new(TOKEN).credentials())
        .with_connect_timeout(DEADLINE)
        .with_read_timeout(DEADLINE)
        .with_call_timeout(DEADLINE);
    if let Some(roots) = roots {
        config = config.with_tls_roots(roots);
    }
    let kms = Arc::new(GcpKmsProvider::connect(config).await.unwrap());
    TransportFixture::new(kms.clone(), Arc::new(proxy), key, shape())
        .with_other_key(other)
        .with_admin(kms, "transport")
        .with_secret(TOKEN)
        .with_new_logins()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_on_the_way_are_typed_bounded_and_over() {
    let service = Service::start().await;
    let ca = TestCa::new();
    let proxy = FaultProxy::start_tls(service.fake.endpoint().as_str(), &ca, &[]).unwrap();
    let fixture = fixture(proxy, &service, Some(ca.ca_pem())).await;
    let report = transport::run_all(&fixture).await;
    report.assert_passed();
    assert_eq!(report.proved(), transport::CASES.len(), "{report}");
}
