//! When credentials are asked for again: once for all who need them, and not for ever.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;
use vault_crypto_core::{Clock, ErrorKind, KeyId, KmsProvider, SystemClock};
use vault_kms_aws::{AssumeRole, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::VirtualClock;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault};
use vault_testkit::servers::LocalKms;

use super::support::{
    DEADLINE, config, connect, context, count, expired, fixed, login, logins, new_key, on, proxied,
    proxy, role, sts,
};

pub(super) const CALLERS: usize = 50;

pub(super) fn with_role(proxy: &FaultProxy) -> AwsKmsConfig {
    config(&proxy.url()).with_credentials(fixed(&login()).assume_role(role()))
}

pub(super) async fn connected(settings: AwsKmsConfig) -> AwsKmsProvider {
    AwsKmsProvider::connect(settings).await.unwrap()
}

/// A clock that stands where the system's does, and a provider that goes by it.
pub(super) async fn by_hand(proxy: &FaultProxy) -> (VirtualClock, AwsKmsProvider) {
    let clock = VirtualClock::new();
    clock.set_wall(SystemClock::new().now());
    let kms = connected(with_role(proxy).with_clock(Arc::new(clock.clone()))).await;
    (clock, kms)
}

/// Many calls at once: how many were answered, and by which kinds the others failed.
pub(super) async fn at_once(kms: &AwsKmsProvider, key: &KeyId) -> Vec<Option<ErrorKind>> {
    let context = context();
    let calls = (0..CALLERS).map(|_| kms.generate_data_key(key, &context));
    join_all(calls).await.into_iter().map(|done| done.err().map(|error| error.kind())).collect()
}

#[tokio::test]
async fn all_who_wait_for_a_login_share_it_and_its_failure() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let kms = connected(with_role(&proxy)).await;
    proxy.on(sts()).fault(HttpFault::Answer(Answer::new(503)));
    assert_eq!(at_once(&kms, &key).await, [Some(ErrorKind::Unavailable); CALLERS]);
    assert_eq!(logins(&proxy), 1, "one failed login for all");
    assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
    assert_eq!(logins(&proxy), 2, "and one that succeeded");
}

#[tokio::test]
async fn a_login_outlives_the_caller_who_began_it() {
    let (_, key, _) = proxied().await;
    let slow = Duration::from_millis(600);
    for nobody_waits in [false, true] {
        let proxy = proxy();
        let kms = connected(with_role(&proxy)).await;
        proxy.on(sts()).fault(HttpFault::Latency(slow));
        let context = context();
        let impatient = kms.generate_data_key(&key, &context);
        let patient = async {
            tokio::time::sleep(slow / 6).await;
            if nobody_waits {
                tokio::time::sleep(slow).await;
            }
            kms.generate_data_key(&key, &context).await
        };
        let (gone, served) = tokio::join!(tokio::time::timeout(slow / 3, impatient), patient);
        assert!(gone.is_err(), "it gave up");
        served.unwrap();
        assert_eq!(logins(&proxy), 1, "{nobody_waits}");
    }
}

#[tokio::test]
async fn a_login_that_was_begun_too_early_is_not_the_end_of_those_who_came_later() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let kms = connected(with_role(&proxy)).await;
    proxy.on(sts()).fault(HttpFault::Hang);
    let context = context();
    let early = kms.generate_data_key(&key, &context);
    let late = async {
        tokio::time::sleep(DEADLINE * 2 / 3).await;
        kms.generate_data_key(&key, &context).await
    };
    let (early, late) = tokio::join!(early, late);
    assert_eq!(early.unwrap_err().kind(), ErrorKind::TimedOut);
    late.unwrap();
    assert_eq!(logins(&proxy), 2);
}

#[tokio::test]
async fn a_provider_that_is_dropped_in_the_middle_of_a_login_leaves_nothing() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let kms = connected(with_role(&proxy).with_clock(clock.clone())).await;
    proxy.on(sts()).fault(HttpFault::Hang);
    let context = context();
    let call = kms.generate_data_key(&key, &context);
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    assert!(Arc::strong_count(&clock) > 1);
    drop(kms);
    assert_eq!(Arc::strong_count(&clock), 1);
}

#[tokio::test]
async fn one_new_login_serves_all_who_were_refused() {
    let proxy = proxy();
    let kms = connected(with_role(&proxy)).await;
    let key = new_key(&kms).await;
    proxy.on(on("GenerateDataKey")).times(CALLERS as u64).fault(expired());
    assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
    assert_eq!((logins(&proxy), count(&proxy, "GenerateDataKey")), (2, 2 * CALLERS));
}

#[tokio::test]
async fn a_clock_that_is_wrong_does_not_cost_a_login_per_call() {
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    let key = new_key(&kms).await;
    for years in [20, 100, 1] {
        // Backwards at the end: nothing is over then, and the service says so if it is.
        clock.set_wall(UNIX_EPOCH + Duration::from_secs(years * 31_557_600));
        let before = logins(&proxy);
        for _ in 0..5 {
            kms.generate_data_key(&key, &context()).await.unwrap();
        }
        assert!(logins(&proxy) <= before + 1, "{years}: {} after {before}", logins(&proxy));
    }
    proxy.on(on("GenerateDataKey")).fault(expired());
    kms.generate_data_key(&key, &context()).await.unwrap();
}

#[tokio::test]
async fn credentials_are_renewed_before_they_are_over() {
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    let key = new_key(&kms).await;
    // They last an hour of the system's clock, new ones too.
    for (seconds, wanted) in [(3_200, 1), (200, 2), (1, 2)] {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
        kms.generate_data_key(&key, &context()).await.unwrap();
        assert_eq!(logins(&proxy), wanted, "{seconds} s later");
    }
}

#[tokio::test]
async fn credentials_outlast_an_outage_of_sts_that_is_shorter_than_they_are() {
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    let key = new_key(&kms).await;
    proxy.on(sts()).always().fault(HttpFault::Answer(Answer::new(503)));
    clock.advance(Duration::from_secs(3_400));
    for minute in 1..=3 {
        assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
        assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
        assert_eq!(logins(&proxy), 1 + minute, "one try a minute");
        clock.advance(Duration::from_secs(61));
    }
    // 17 seconds are left, and then none.
    clock.advance(Duration::from_secs(10));
    assert_eq!(at_once(&kms, &key).await, [Some(ErrorKind::Unavailable); CALLERS]);
    proxy.clear();
    assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
}

#[tokio::test]
async fn a_login_ahead_of_time_that_hangs_keeps_nobody_from_working() {
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    let key = new_key(&kms).await;
    clock.advance(Duration::from_secs(3_400));
    proxy.on(sts()).always().fault(HttpFault::Hang);
    let context = context();
    let renewing = kms.generate_data_key(&key, &context);
    let others = async {
        while logins(&proxy) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(at_once(&kms, &key).await, [None; CALLERS]);
        clock.advance(Duration::from_secs(2));
    };
    let (renewed, ()) = tokio::join!(renewing, others);
    renewed.unwrap();
    assert_eq!(logins(&proxy), 2);
}

/// An answer of STS whose credentials end in ten years.
fn for_years() -> HttpFault {
    HttpFault::edit(|body| {
        let text = String::from_utf8(std::mem::take(body)).unwrap();
        let (before, rest) = text.split_once("<Expiration>").unwrap();
        let (_, after) = rest.split_once("</Expiration>").unwrap();
        *body = format!("{before}<Expiration>2126-01-01T00:00:00Z</Expiration>{after}").into();
    })
}

#[tokio::test]
async fn a_login_ahead_of_time_that_takes_longer_is_ended_by_those_who_call_meanwhile() {
    let far = proxy();
    let near = FaultProxy::start(far.url().as_str()).unwrap();
    let (clock, kms) = by_hand(&near).await;
    let key = new_key(&kms).await;
    clock.advance(Duration::from_secs(3_400));
    far.on(sts()).fault(for_years());
    near.on(sts()).fault(HttpFault::Latency(Duration::from_millis(1_500)));
    let context = context();
    let renewing = kms.generate_data_key(&key, &context);
    let a_second = async {
        while logins(&near) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        clock.advance(Duration::from_secs(1));
    };
    let (first, ()) = tokio::join!(renewing, a_second);
    first.unwrap();
    let calls = async {
        loop {
            kms.generate_data_key(&key, &context).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(2), calls).await.is_err());
    assert_eq!(clock.sleepers(), 0, "its limit of time is gone, so it is over");
    clock.advance(Duration::from_secs(61));
    kms.generate_data_key(&key, &context).await.unwrap();
    assert_eq!(logins(&near), 2);
}

#[tokio::test]
async fn with_new_credentials_those_below_are_new_too() {
    let proxy = proxy();
    let second = AssumeRole::new("arn:aws:iam::000000000000:role/second");
    let chain = fixed(&login()).assume_role(role()).assume_role(second);
    let kms = connected(config(&proxy.url()).with_credentials(chain)).await;
    let key = new_key(&kms).await;
    assert_eq!(logins(&proxy), 2);
    proxy.on(on("GenerateDataKey")).fault(expired());
    kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(logins(&proxy), 4, "the first role as well");
}

#[tokio::test]
async fn a_call_has_one_deadline_with_its_new_login_and_its_repetition() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let kms = connected(with_role(&proxy)).await;
    proxy.on(sts()).fault(HttpFault::Latency(DEADLINE / 2));
    proxy.on(on("GenerateDataKey")).fault(expired());
    proxy.on(on("GenerateDataKey")).fault(HttpFault::Hang);
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let took = clock.monotonic() - begun;
    assert!(took < DEADLINE + DEADLINE / 3, "{took:?}");
    assert_eq!((logins(&proxy), count(&proxy, "GenerateDataKey")), (2, 2));
}

/// Every call of them opens a connection of its own, and all need the login that nobody has begun.
#[tokio::test]
async fn hundreds_of_callers_of_a_cold_provider_are_served_by_one_login() {
    let server = LocalKms::shared();
    let key = new_key(&*connect(&server.url()).await).await;
    let proxy = proxy();
    let settings = config(&server.url()).with_sts_endpoint(proxy.url());
    let settings = settings.with_call_timeout(DEADLINE * 4).with_read_timeout(DEADLINE * 4);
    let kms = connected(settings.with_credentials(fixed(&login()).assume_role(role()))).await;
    let context = context();
    let calls = (0..300).map(|_| kms.generate_data_key(&key, &context));
    for done in join_all(calls).await {
        done.unwrap();
    }
    assert_eq!(logins(&proxy), 1);
}

#[tokio::test]
async fn a_health_check_logs_in_anew_as_every_call_does() {
    let proxy = proxy();
    let kms = connected(with_role(&proxy)).await;
    assert!(kms.health_check().await.unwrap().healthy);
    proxy.on(on("ListKeys")).fault(expired());
    assert!(kms.health_check().await.unwrap().healthy);
    assert_eq!(logins(&proxy), 2);
}
