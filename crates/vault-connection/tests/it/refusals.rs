//! Logins that the server refuses are not repeated at once, and failures of the server are.

use std::sync::Arc;
use std::time::Duration;

use vault_connection::{
    SecretId, VaultConnection, VaultConnectionConfig, VaultCredentials, VaultFailure,
    VaultFailureKind,
};
use vault_crypto_core::{Clock as _, ErrorKind, Operation, SecureString};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
use vault_testkit::{SeededRandom, VirtualClock};

use super::support::{app_role, connect, count, proxy, role_at};

struct Knocking {
    proxy: Arc<FaultProxy>,
    clock: VirtualClock,
    connection: VaultConnection,
}

async fn knocking(credentials: VaultCredentials) -> Knocking {
    let (proxy, clock) = (proxy(), VirtualClock::new());
    let config = VaultConnectionConfig::new(proxy.url(), credentials)
        .with_clock(Arc::new(clock.clone()))
        .with_random(Arc::new(SeededRandom::new(11)));
    Knocking { connection: connect(config).await, proxy, clock }
}

/// A role whose secret is not `secret`.
fn with_secret(name: &str, secret: SecretId) -> VaultCredentials {
    let (role_id, _) = role_at("approle", name, &[]);
    VaultCredentials::app_role(role_id, secret).unwrap()
}

fn wrong() -> SecretId {
    SecretId::Plain(SecureString::new("00000000-no-such-secret"))
}

impl Knocking {
    fn logins(&self) -> usize {
        count(&self.proxy, "/login")
    }

    async fn ask(&self) -> Result<String, VaultFailure> {
        self.connection.who_am_i().await
    }

    async fn ask_together(&self, callers: usize) -> Vec<Result<String, VaultFailure>> {
        let ask = |_| {
            let connection = self.connection.clone();
            tokio::spawn(async move { connection.who_am_i().await })
        };
        let mut answers = Vec::new();
        for asking in (0..callers).map(ask).collect::<Vec<_>>() {
            answers.push(asking.await.unwrap());
        }
        answers
    }
}

fn is_refusal(failure: &VaultFailure) {
    assert!(failure.was_login());
    // 403 once the server has locked the role, which it does after five.
    assert!(matches!(failure.status(), Some(400 | 403)), "{failure}");
    assert_eq!(failure.to_error(Operation::Decrypt).kind(), ErrorKind::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_with_a_wrong_secret_knock_once() {
    let knocking = knocking(with_secret("knocked", wrong())).await;
    for answer in knocking.ask_together(1_000).await {
        is_refusal(&answer.unwrap_err());
    }
    is_refusal(&knocking.ask().await.unwrap_err());
    is_refusal(&knocking.connection.log_in().await.unwrap_err());
    assert_eq!(knocking.logins(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_logins_come_ever_more_rarely_down_to_one_a_minute() {
    let knocking = knocking(with_secret("patient", wrong())).await;
    let step = Duration::from_millis(100);
    let mut times = Vec::new();
    while knocking.clock.monotonic() < Duration::from_secs(600) {
        let before = knocking.logins();
        is_refusal(&knocking.ask().await.unwrap_err());
        times.extend((before..knocking.logins()).map(|_| knocking.clock.monotonic()));
        knocking.clock.advance(step);
    }
    for (number, pair) in times.windows(2).enumerate() {
        let longest = Duration::from_secs(1 << number.min(6)).min(Duration::from_secs(60));
        let gap = pair[1] - pair[0];
        assert!((longest / 2..=longest + step).contains(&gap), "after {number}: {gap:?}");
    }
    assert!((13..=26).contains(&times.len()), "{} logins in ten minutes", times.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_longer_wait_gets_it() {
    let knocking = knocking(app_role("asked", &[])).await;
    let refused = Answer::json(400, r#"{"errors":["invalid role or secret ID"]}"#);
    let refused = refused.with_header("retry-after", "100");
    knocking.proxy.on(Match::path("/login")).fault(HttpFault::Answer(refused));
    is_refusal(&knocking.ask().await.unwrap_err());
    knocking.clock.advance(Duration::from_secs(99));
    is_refusal(&knocking.ask().await.unwrap_err());
    assert_eq!(knocking.logins(), 1);
    knocking.clock.advance(Duration::from_secs(1));
    knocking.ask().await.unwrap();
    assert_eq!(knocking.logins(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_credentials_are_tried_at_once() {
    let (role_id, secret) = role_at("approle", "changed", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret-id");
    std::fs::write(&file, "wrong").unwrap();
    let login = VaultCredentials::app_role(role_id, SecretId::File(file.clone())).unwrap();
    let knocking = knocking(login).await;
    is_refusal(&knocking.ask().await.unwrap_err());
    is_refusal(&knocking.ask().await.unwrap_err());
    assert_eq!(knocking.logins(), 1);
    std::fs::write(&file, "wrong too").unwrap();
    is_refusal(&knocking.ask().await.unwrap_err());
    is_refusal(&knocking.ask().await.unwrap_err());
    assert_eq!(knocking.logins(), 2);
    std::fs::write(&file, secret).unwrap();
    knocking.ask().await.unwrap();
    assert_eq!(knocking.logins(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_succeeds_forgets_the_refusals_before_it() {
    let (proxy, knocking) = {
        let knocking = knocking(app_role("forgiven", &["token_ttl=1h"])).await;
        (Arc::clone(&knocking.proxy), knocking)
    };
    let refused = Answer::json(400, r#"{"errors":["invalid role or secret ID"]}"#);
    for _ in 0..3 {
        // The first wait of each time is the shortest one.
        proxy.on(Match::path("/login")).fault(HttpFault::Answer(refused.clone()));
        is_refusal(&knocking.ask().await.unwrap_err());
        knocking.clock.advance(Duration::from_secs(1));
        knocking.ask().await.unwrap();
        knocking.connection.log_out().await.unwrap();
    }
    assert_eq!(knocking.logins(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_next_call_logs_in() {
    let knocking = knocking(app_role("outage", &[])).await;
    let failing = Answer::json(500, r#"{"errors":["internal error"]}"#);
    knocking.proxy.on(Match::path("/login")).always().fault(HttpFault::Answer(failing));
    for number in 1..=3 {
        let failure = knocking.ask().await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::Unavailable);
        assert_eq!(knocking.logins(), number);
    }
    let answers = knocking.ask_together(200).await;
    assert!(answers.iter().all(Result::is_err));
    // Whoever waited while one failed shares its failure.
    assert!(knocking.logins() < 60, "{} logins for 200 callers", knocking.logins());
    knocking.proxy.clear();
    knocking.proxy.stop();
    let failure = knocking.ask().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::Unreachable);
    knocking.proxy.listen_again().unwrap();
    knocking.ask().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_brings_no_renewal_forward() {
    let knocking = knocking(app_role("early", &["token_ttl=1h"])).await;
    knocking.ask().await.unwrap();
    let refused = Answer::json(403, r#"{"errors":["permission denied","invalid token"]}"#);
    let failing = Answer::json(500, r#"{"errors":["internal error"]}"#);
    knocking.proxy.on(Match::path("/lookup-self")).fault(HttpFault::Answer(refused));
    knocking.proxy.on(Match::path("/login")).fault(HttpFault::Answer(failing));
    assert_eq!(knocking.ask().await.unwrap_err().kind(), VaultFailureKind::Unavailable);
    knocking.clock.advance(Duration::from_secs(120));
    knocking.ask().await.unwrap();
    assert_eq!((knocking.logins(), count(&knocking.proxy, "/renew-self")), (2, 0));
}
