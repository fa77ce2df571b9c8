//! Logins that hang, are refused and come back, and many callers who want the same one.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use vault_crypto_core::{ErrorKind, KeyId, KmsProvider, Operation};
use vault_kms_gcp::{GcpCredentials, GcpKmsConfig, GcpKmsProvider};
use vault_testkit::VirtualClock;
use vault_testkit::fakes::google::FakeGoogleLogin;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};

use super::support::{Service, context, kind, plain};

/// A service with the key `cards`, and a login for it through a proxy.
struct Workload {
    service: Service,
    key: KeyId,
    login: FakeGoogleLogin,
    way: FaultProxy,
    /// The token that the login service exchanges: `right`, once it is written.
    subject: PathBuf,
    file: PathBuf,
    _folder: TempDir,
}

impl Workload {
    async fn start() -> Self {
        let service = Service::start().await;
        let key = service.key("cards").await;
        let (login, folder) = (FakeGoogleLogin::start(), tempfile::tempdir().unwrap());
        service.fake.expect_logins_of(&login);
        let way = FaultProxy::start(format!("http://{}", login.address()).as_str()).unwrap();
        let (subject, file) = (folder.path().join("token"), folder.path().join("login.json"));
        fs::write(&subject, "right").unwrap();
        let direct = login.external_account(&subject, "right", None);
        fs::write(&file, direct.replace(&login.address(), &way.addr().to_string())).unwrap();
        Self { service, key, login, way, subject, file, _folder: folder }
    }

    fn config(&self) -> GcpKmsConfig {
        let login = GcpCredentials::WorkloadIdentityFederation(self.file.clone());
        plain(&self.service.fake).with_credentials(login)
    }

    async fn kms(&self) -> Arc<GcpKmsProvider> {
        Arc::new(GcpKmsProvider::connect(self.config()).await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_wait_for_one_login() {
    let workload = Workload::start().await;
    workload.way.on(Match::any()).fault(HttpFault::Latency(Duration::from_millis(300)));
    let kms = workload.kms().await;
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let (kms, key) = (Arc::clone(&kms), workload.key.clone());
            tokio::spawn(async move { kms.generate_data_key(&key, &context()).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(workload.login.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_hangs_ends_calls_at_the_deadline_and_is_no_end() {
    let workload = Workload::start().await;
    workload.way.on(Match::any()).fault(HttpFault::Latency(Duration::from_millis(1_500)));
    let config = workload.config().with_call_timeout(Duration::from_millis(500));
    let kms = GcpKmsProvider::connect(config).await.unwrap();
    assert_eq!(kind(kms.generate_data_key(&workload.key, &context()).await), ErrorKind::TimedOut);
    assert_eq!(kind(kms.who_am_i().await), ErrorKind::TimedOut);
    tokio::time::sleep(Duration::from_secs(1)).await;
    kms.generate_data_key(&workload.key, &context()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lives_is_used_while_the_next_login_hangs() {
    let workload = Workload::start().await;
    // So short that Google's library asks for the next one every ten seconds.
    workload.login.set_lifetime(Duration::from_secs(60));
    let kms = workload.kms().await;
    kms.generate_data_key(&workload.key, &context()).await.unwrap();
    workload.way.on(Match::any()).always().fault(HttpFault::Hang);
    let asked = workload.way.calls().len();
    while workload.way.calls().len() == asked {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let context = context();
    let quick = kms.generate_data_key(&workload.key, &context);
    let quick = tokio::time::timeout(Duration::from_secs(2), quick);
    quick.await.expect("nobody waits for the login").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_begun_anew_but_not_at_once() {
    let workload = Workload::start().await;
    let clock = VirtualClock::new();
    fs::write(&workload.subject, "wrong").unwrap();
    let config = workload.config().with_clock(Arc::new(clock.clone()));
    let kms = GcpKmsProvider::connect(config).await.unwrap();
    let generate = async || kms.generate_data_key(&workload.key, &context()).await;
    for _ in 0..100 {
        let error = generate().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.operation(), Operation::LogIn);
    }
    assert_eq!(workload.login.requests().len(), 1, "who asks too often is locked out");
    // Each pause is from half to the whole of twice the one before, and no longer than a minute.
    for (refusals, whole) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        let whole = Duration::from_secs(whole);
        clock.advance(whole / 2 - Duration::from_millis(1));
        assert_eq!(kind(generate().await), ErrorKind::PermissionDenied);
        assert_eq!(workload.login.requests().len(), refusals + 1);
        clock.advance(whole / 2 + Duration::from_millis(1));
        assert_eq!(kind(generate().await), ErrorKind::PermissionDenied);
        assert_eq!(workload.login.requests().len(), refusals + 2);
    }
    // Another token is another login.
    fs::write(&workload.subject, "right").unwrap();
    generate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_login_service_is_over_when_it_is() {
    let workload = Workload::start().await;
    workload.way.stop();
    let kms = workload.kms().await;
    let error = kms.generate_data_key(&workload.key, &context()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, Operation::LogIn));
    workload.way.listen_again().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    kms.generate_data_key(&workload.key, &context()).await.unwrap();
}
