//! Logins that hang, fail or end in mid-use, over the wire.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use vault_crypto_core::ErrorKind::{
    LimitExceeded, PermissionDenied, Throttled, TimedOut, Unavailable,
};
use vault_crypto_core::{Clock as _, KmsAdmin as _, KmsProvider as _, Operation, SystemClock};
use vault_kms_azure::{AzureCloud, AzureKmsConfig, AzureKmsProvider};
use vault_testkit::VirtualClock;
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};

use super::support::{World, config, context, proxy};

const LOGIN: &str = "/oauth2/v2.0/token";

/// A vault whose logins go through a proxy.
struct Logins {
    world: World,
    proxy: FaultProxy,
}

impl Logins {
    async fn new() -> Self {
        let world = World::new().await;
        world.key("app").await;
        let proxy = proxy(&world.fake);
        Self { world, proxy }
    }

    fn config(&self) -> AzureKmsConfig {
        config(&self.world.fake).with_cloud(AzureCloud::Custom { authority: self.proxy.url() })
    }

    fn count(&self) -> usize {
        self.proxy.calls().iter().filter(|call| call.path.contains(LOGIN)).count()
    }
}

async fn seals(kms: &AzureKmsProvider) -> vault_crypto_core::Result<()> {
    kms.generate_data_key(&"app".into(), &context()).await.map(drop)
}

/// So many callers at once, and all succeed.
async fn all_seal(kms: &AzureKmsProvider, callers: usize) {
    let call = |_| {
        let kms = kms.clone();
        tokio::spawn(async move { seals(&kms).await })
    };
    let calls: Vec<_> = (0..callers).map(call).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_hangs_near_the_tokens_end_holds_up_no_call() {
    let logins = Logins::new().await;
    // Within the SDK's last five minutes from the beginning.
    logins.world.fake.set_token_lifetime(Duration::from_secs(240));
    let clock = VirtualClock::new();
    clock.set_wall(SystemClock::new().now());
    let config = logins.config().with_clock(Arc::new(clock.clone()));
    let kms = AzureKmsProvider::connect(config.with_call_timeout(Duration::from_secs(20)));
    let kms = kms.await.unwrap();
    seals(&kms).await.unwrap();
    assert_eq!(logins.count(), 1);
    logins.proxy.on(Match::path(LOGIN)).always().fault(HttpFault::Hang);
    clock.advance(Duration::from_secs(200));
    let began = SystemClock::new().monotonic();
    all_seal(&kms, 64).await;
    for _ in 0..20 {
        seals(&kms).await.unwrap();
    }
    assert!(SystemClock::new().monotonic() - began < Duration::from_secs(10));
    assert_eq!(logins.count(), 2, "one call renews it");
    // The one that hangs is given up, and what follows renews it while the old token lives.
    logins.proxy.clear();
    clock.advance(Duration::from_secs(21));
    seals(&kms).await.unwrap();
    clock.advance(Duration::from_secs(1));
    clock.set_wall(SystemClock::new().now());
    while logins.count() < 3 {
        seals(&kms).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    clock.advance(Duration::from_secs(19));
    seals(&kms).await.unwrap();
    assert_eq!(logins.count(), 3, "the new token is in use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_at_the_tokens_end_log_in_once() {
    let logins = Logins::new().await;
    let clock = VirtualClock::new();
    clock.set_wall(SystemClock::new().now());
    logins.world.fake.set_token_lifetime(Duration::from_secs(240));
    let kms = AzureKmsProvider::connect(logins.config().with_clock(Arc::new(clock.clone())));
    let kms = kms.await.unwrap();
    for (round, login) in [(0, 1), (240, 2)] {
        clock.advance(Duration::from_secs(round));
        all_seal(&kms, 1_000).await;
        assert_eq!(logins.count(), login);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_token_waits_for_the_login_as_long_as_a_call_may_and_no_longer() {
    let logins = Logins::new().await;
    let deadline = Duration::from_millis(500);
    let kms = AzureKmsProvider::connect(logins.config().with_call_timeout(deadline)).await.unwrap();
    logins.proxy.on(Match::path(LOGIN)).fault(HttpFault::Hang);
    let began = SystemClock::new().monotonic();
    assert_eq!(seals(&kms).await.unwrap_err().kind(), TimedOut);
    assert!(SystemClock::new().monotonic() - began < deadline * 4);
    // What hangs is not held against those who come later.
    tokio::time::sleep(Duration::from_millis(200)).await;
    seals(&kms).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_in_its_login_leaves_the_login_to_the_next_one() {
    let logins = Logins::new().await;
    let kms = AzureKmsProvider::connect(logins.config()).await.unwrap();
    let slow = HttpFault::Latency(Duration::from_millis(300));
    logins.proxy.on(Match::path(LOGIN)).fault(slow);
    let limited = tokio::time::timeout(Duration::from_millis(150), seals(&kms)).await;
    assert!(limited.is_err());
    seals(&kms).await.unwrap();
    assert_eq!(logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_login_service_answers_is_told_as_what_it_is() {
    let logins = Logins::new().await;
    let json = |body: &str| body.as_bytes().to_vec();
    for (status, body, kind) in [
        (408, json(""), TimedOut),
        (504, json("<html>"), TimedOut),
        (429, json("<html>"), Throttled),
        (500, json("{}"), Unavailable),
        (503, json("hunter2-words"), Unavailable),
        (400, json(r#"{"error":"x","error_description":"hunter2-words"}"#), PermissionDenied),
        (401, json("hunter2-words"), PermissionDenied),
        (400, json("hunter2-words"), Unavailable),
        (404, json("<html>"), Unavailable),
        (413, json("<html>"), LimitExceeded),
        (302, json(""), Unavailable),
        (200, json("hunter2-words"), Unavailable),
        (200, json("{}"), Unavailable),
    ] {
        let answer = Answer::new(status).with_header("retry-after", "7").with_body(body);
        logins.proxy.on(Match::path(LOGIN)).fault(HttpFault::Answer(answer));
        let kms = AzureKmsProvider::connect(logins.config()).await.unwrap();
        let error = seals(&kms).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, Operation::LogIn), "{status} {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        if kind == Throttled {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
        logins.proxy.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_sdk_panics_at_is_an_error_and_the_next_one_works() {
    let logins = Logins::new().await;
    let forever =
        format!(r#"{{"access_token":"x","expires_in":{},"token_type":"Bearer"}}"#, i64::MAX);
    logins.proxy.on(Match::path(LOGIN)).fault(HttpFault::Answer(Answer::json(200, forever)));
    let kms = AzureKmsProvider::connect(logins.config()).await.unwrap();
    let error = seals(&kms).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (Unavailable, Operation::LogIn), "{error}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    seals(&kms).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_time_without_end_is_none() {
    let logins = Logins::new().await;
    let config = logins.config().with_call_timeout(Duration::MAX);
    let config = config.with_connect_timeout(Duration::MAX).with_read_timeout(Duration::MAX);
    let config = config.with_pool(8, Duration::MAX);
    seals(&AzureKmsProvider::connect(config).await.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_service_that_is_away_is_asked_again_soon() {
    let logins = Logins::new().await;
    logins.proxy.stop();
    let kms = AzureKmsProvider::connect(logins.config()).await.unwrap();
    let error = seals(&kms).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (Unavailable, Operation::LogIn), "{error}");
    logins.proxy.listen_again().unwrap();
    seals(&kms).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_not_tried_with_every_call() {
    let logins = Logins::new().await;
    let refused = Answer::json(401, r#"{"error":"invalid_client","error_codes":[7000222]}"#);
    logins.proxy.on(Match::path(LOGIN)).always().fault(HttpFault::Answer(refused));
    let kms = AzureKmsProvider::connect(logins.config()).await.unwrap();
    for _ in 0..50 {
        let error = seals(&kms).await.unwrap_err();
        assert_eq!(error.kind(), PermissionDenied);
        assert!(error.to_string().contains("expired"), "{error}");
    }
    assert_eq!(logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_given_for_the_login_host_is_where_logins_go() {
    let fake = FakeKeyVault::start();
    let login = proxy(&fake);
    let kms = AzureKmsProvider::connect(
        config(&fake)
            .with_cloud(AzureCloud::Public)
            .with_resolved("Login.MicrosoftOnline.com", login.addr()),
    );
    let kms = kms.await.unwrap();
    kms.create_key(vault_crypto_core::KeyConfig::new("app")).await.unwrap();
    assert_eq!(login.calls().len(), 1);
    assert!(fake.calls().iter().any(|call| call.path.ends_with("/create")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_vault_never_takes_is_not_asked_for_with_every_call() {
    let logins = Logins::new().await;
    let vault = proxy(&logins.world.fake);
    let kms = logins.config().with_resolved(logins.world.fake.host(), vault.addr());
    let kms = AzureKmsProvider::connect(kms).await.unwrap();
    let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
    let refusal = Answer::new(401).with_header("www-authenticate", challenge);
    vault.on(Match::any()).always().fault(HttpFault::Answer(refusal));
    let began: SystemTime = SystemClock::new().now();
    for _ in 0..30 {
        assert_eq!(seals(&kms).await.unwrap_err().kind(), PermissionDenied);
    }
    let took = SystemClock::new().now().duration_since(began).unwrap_or_default();
    let most = 1 + usize::try_from(took.as_secs()).unwrap();
    assert!(logins.count() <= most, "{} logins in {took:?}", logins.count());
    vault.clear();
    seals(&kms).await.unwrap();
}
