//! Callers that go away in the middle: a login goes on with the next one, and nothing is spent in vain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vault_connection::{
    SecretId, VaultConnection, VaultConnectionConfig, VaultCredentials, VaultFailureKind,
};
use vault_crypto_core::{
    Clock as _, ErrorKind, Operation, RandomSource, Result, SecureString, SystemClock, SystemRandom,
};
use vault_testkit::VirtualClock;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};

use super::support::{app_role, ask, connect, count, polled, proxy, role_at, server};

/// A role and a wrapping token around a secret that is good for one login.
fn wrapped_once(role: &str) -> VaultCredentials {
    let (role_id, _) = role_at("approle", role, &["secret_id_num_uses=1"]);
    let path = format!("auth/approle/role/{role}/secret-id");
    let wrap = ["write", "-f", "-wrap-ttl=60s", "-field=wrapping_token", path.as_str()];
    let secret = SecretId::Wrapped(SecureString::new(ask(server(), &wrap)));
    VaultCredentials::app_role(role_id, secret).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_dropped_at_any_poll_goes_on_with_the_next_caller() {
    let mut polls = 0;
    loop {
        let proxy = proxy();
        let config = VaultConnectionConfig::new(proxy.url(), wrapped_once("half-way"));
        let connection = connect(config).await;
        let ended = polled(connection.log_in(), polls).await;
        connection.log_in().await.unwrap_or_else(|failure| panic!("after {polls}: {failure}"));
        assert_eq!((count(&proxy, "/unwrap"), count(&proxy, "/login")), (1, 1), "after {polls}");
        if ended.is_some() {
            break;
        }
        polls += 1;
    }
    assert!(polls >= 4, "two requests and their answers are more than {polls} polls");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_dropped_login_is_kept_longer_than_any_time_out() {
    let proxy = proxy();
    for path in ["/unwrap", "/login"] {
        proxy.on(Match::path(path)).fault(HttpFault::LateAnswer(Duration::from_millis(300)));
    }
    let limit = Duration::from_secs(1);
    let config = VaultConnectionConfig::new(proxy.url(), wrapped_once("late"))
        .with_call_timeout(limit)
        .with_read_timeout(limit);
    let connection = connect(config).await;
    // Once in the middle of each of the two requests.
    for path in ["/unwrap", "/login"] {
        let mut work = Box::pin(connection.log_in());
        while count(&proxy, path) == 0 {
            assert!(polled(&mut work, 1).await.is_none(), "{path}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(work);
        tokio::time::sleep(limit * 2).await;
    }
    connection.log_in().await.unwrap();
    assert_eq!((count(&proxy, "/unwrap"), count(&proxy, "/login")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_hangs_is_given_up_and_begun_anew() {
    let proxy = proxy();
    proxy.on(Match::path("/unwrap")).fault(HttpFault::Hang);
    let config = VaultConnectionConfig::new(proxy.url(), wrapped_once("hanging"))
        .with_call_timeout(Duration::from_secs(3));
    let connection = connect(config).await;
    let failure = connection.log_in().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::TimedOut);
    connection.log_in().await.unwrap();
    assert_eq!((count(&proxy, "/unwrap"), count(&proxy, "/login")), (2, 1));
}

/// A connection whose token is due for renewal and lives for some minutes more.
async fn due(proxy: &FaultProxy, clock: &VirtualClock, role: &str) -> VaultConnection {
    let config = VaultConnectionConfig::new(proxy.url(), app_role(role, &["token_ttl=1h"]))
        .with_clock(Arc::new(clock.clone()));
    let connection = connect(config).await;
    connection.who_am_i().await.unwrap();
    clock.advance(Duration::from_secs(55 * 60));
    connection
}

/// What a call answers after the second that it gives the renewal.
async fn asked_meanwhile(connection: &VaultConnection, clock: &VirtualClock) {
    let connection = connection.clone();
    let asking = tokio::spawn(async move { connection.who_am_i().await });
    // The limit of the call, and the second.
    clock.wait_for_sleepers(2);
    clock.advance(Duration::from_secs(1));
    asking.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_hangs_fails_no_call() {
    let (proxy, clock) = (proxy(), VirtualClock::new());
    let connection = due(&proxy, &clock, "stuck").await;
    proxy.on(Match::path("/renew-self")).always().fault(HttpFault::Hang);
    asked_meanwhile(&connection, &clock).await;
    assert_eq!(count(&proxy, "/renew-self"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_takes_long_goes_on_beside_the_calls() {
    let (proxy, clock) = (proxy(), VirtualClock::new());
    let connection = due(&proxy, &clock, "beside").await;
    let late = |millis| HttpFault::LateAnswer(Duration::from_millis(millis));
    proxy.on(Match::path("/renew-self")).fault(late(700));
    proxy.on(Match::path("/lookup-self")).fault(late(1_500));
    asked_meanwhile(&connection, &clock).await;
    // Longer than anybody waits for it.
    clock.advance(Duration::from_secs(60));
    connection.who_am_i().await.unwrap();
    assert_eq!(count(&proxy, "/renew-self"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_no_longer_polled_holds_up_nobody() {
    for polls in 1..=6 {
        let proxy = proxy();
        let config = VaultConnectionConfig::new(proxy.url(), wrapped_once("left-alone"));
        let connection = connect(config).await;
        let mut left_alone = Box::pin(connection.log_in());
        let ended = polled(&mut left_alone, polls).await.is_some();
        let second = tokio::time::timeout(Duration::from_secs(10), connection.who_am_i());
        second.await.expect("it waits for the first caller").unwrap();
        assert_eq!((count(&proxy, "/unwrap"), count(&proxy, "/login")), (1, 1));
        if !ended {
            left_alone.await.unwrap();
        }
    }
}

/// Breaks down once.
#[derive(Debug)]
struct Breaking(AtomicBool);

impl RandomSource for Breaking {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        assert!(self.0.swap(true, Ordering::Relaxed), "broken on purpose");
        SystemRandom::new().fill(bytes)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_breaks_down_inside_is_told_and_begun_anew() {
    let proxy = proxy();
    let config = VaultConnectionConfig::new(proxy.url(), app_role("broken", &["token_ttl=1h"]))
        .with_random(Arc::new(Breaking(AtomicBool::new(false))));
    let connection = connect(config).await;
    let failure = connection.who_am_i().await.unwrap_err();
    assert!(failure.was_login() && failure.to_string().contains("broke down"), "{failure}");
    assert_eq!(failure.to_error(Operation::LogIn).kind(), ErrorKind::Unavailable);
    connection.who_am_i().await.unwrap();
    assert_eq!(count(&proxy, "/login"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_limit_of_time_covers_a_request_with_its_login() {
    let proxy = proxy();
    proxy.on(Match::any()).always().fault(HttpFault::Latency(Duration::from_millis(700)));
    let config = VaultConnectionConfig::new(proxy.url(), app_role("slow", &[]))
        .with_call_timeout(Duration::from_secs(1));
    let connection = connect(config).await;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let failure = connection.who_am_i().await.unwrap_err();
    let took = clock.monotonic() - began;
    assert_eq!(failure.kind(), VaultFailureKind::TimedOut);
    assert!(took < Duration::from_millis(1_350), "{took:?}");
    // The login was not in vain.
    connection.who_am_i().await.unwrap();
    assert_eq!(count(&proxy, "/login"), 1);
}
