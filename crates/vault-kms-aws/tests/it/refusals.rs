//! When nobody asks again: logins that were refused, or whose credentials are.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{Clock, ErrorKind, KmsProvider, SystemClock};
use vault_kms_aws::AwsCredentials;
use vault_testkit::VirtualClock;
use vault_testkit::proxy::{Answer, HttpFault};

use super::renewal::{CALLERS, at_once, by_hand, connected, with_role};
use super::support::{
    ROLE, config, context, expired, logins, new_key, on, proxied, proxy, role, sts,
};

#[tokio::test]
async fn credentials_that_are_refused_again_and_again_do_not_cost_a_login_each_time() {
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    let key = new_key(&kms).await;
    proxy.on(on("GenerateDataKey")).always().fault(expired());
    // The rests have a second, two, four, and up to half of each less.
    for (millis, wanted) in [(0, 2), (500, 2), (500, 3), (1_000, 3), (1_000, 4), (2_000, 4)] {
        clock.advance(Duration::from_millis(millis));
        assert_eq!(at_once(&kms, &key).await, [Some(ErrorKind::PermissionDenied); CALLERS]);
        assert_eq!(at_once(&kms, &key).await, [Some(ErrorKind::PermissionDenied); CALLERS]);
        assert_eq!(logins(&proxy), wanted, "{millis} ms later");
    }
    proxy.clear();
    kms.generate_data_key(&key, &context()).await.unwrap();
    // From the beginning again, once the service took some.
    proxy.on(on("GenerateDataKey")).always().fault(expired());
    for (seconds, wanted) in [(2, 5), (1, 6)] {
        clock.advance(Duration::from_secs(seconds));
        assert_eq!(at_once(&kms, &key).await, [Some(ErrorKind::PermissionDenied); CALLERS]);
        assert_eq!(logins(&proxy), wanted, "{seconds} s later");
    }
}

fn denied() -> HttpFault {
    let no = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
    HttpFault::Answer(Answer::new(403).with_body(no))
}

#[tokio::test]
async fn refused_logins_are_tried_again_more_and_more_seldom_until_one_is_taken() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    proxy.on(sts()).always().fault(denied());
    for (before, seconds) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        let rest = Duration::from_secs(seconds);
        for _ in 0..3 {
            let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert_eq!(logins(&proxy), before + 1, "{seconds} s");
            clock.advance(rest / 6);
        }
        clock.advance(rest / 2);
    }
    let before = logins(&proxy);
    proxy.clear();
    kms.generate_data_key(&key, &context()).await.unwrap();
    // From the beginning again, once one was taken.
    proxy.on(sts()).always().fault(denied());
    clock.advance(Duration::from_secs(3_600));
    for _ in 0..2 {
        kms.generate_data_key(&key, &context()).await.unwrap_err();
        kms.generate_data_key(&key, &context()).await.unwrap_err();
        clock.advance(Duration::from_secs(2));
    }
    assert_eq!(logins(&proxy), before + 3);
}

#[tokio::test]
async fn a_token_that_is_new_is_tried_at_once_after_one_that_was_refused() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let clock = VirtualClock::new();
    clock.set_wall(SystemClock::new().now());
    let web = AwsCredentials::web_identity(ROLE, &file).assume_role(role());
    let settings = config(&proxy.url()).with_credentials(web);
    let kms = connected(settings.with_clock(Arc::new(clock))).await;
    proxy.on(sts()).fault(denied());
    for _ in 0..3 {
        let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    assert_eq!(logins(&proxy), 1);
    std::fs::write(&file, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwb2QifQ.c2ln").unwrap();
    kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(logins(&proxy), 3, "the token, and the role above it");
}

#[tokio::test]
async fn sts_says_itself_when_it_wants_to_be_asked_again() {
    let (_, key, _) = proxied().await;
    let proxy = proxy();
    let (clock, kms) = by_hand(&proxy).await;
    let slower = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";
    let slower = Answer::new(400).with_body(slower).with_header("retry-after", "30");
    proxy.on(sts()).fault(HttpFault::Answer(slower));
    for _ in 0..3 {
        let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled, "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        clock.advance(Duration::from_secs(9));
    }
    assert_eq!(logins(&proxy), 1);
    clock.advance(Duration::from_secs(9));
    kms.generate_data_key(&key, &context()).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_may_not_log_in_is_not_healthy() {
    let proxy = proxy();
    let kms = connected(with_role(&proxy)).await;
    proxy.on(sts()).fault(denied());
    let health = kms.health_check().await.unwrap();
    assert!(!health.healthy && health.message.contains("trust policy"), "{health:?}");
}
