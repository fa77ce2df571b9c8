//! Renewal in the background, on a clock that a test moves.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use vault_connection::{VaultConnection, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{Clock, Sleep, SystemClock};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
use vault_testkit::{SeededRandom, VirtualClock};

use super::support::{app_role, ask, connect, count, mount, proxy, server};

const HOUR: Duration = Duration::from_secs(3_600);

/// How long a call may take. The servers here take real time to answer, so this passes in real time too.
const LIMIT: Duration = Duration::from_secs(31);

#[derive(Debug)]
struct Moved {
    clock: VirtualClock,
    real: SystemClock,
}

impl Clock for Moved {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        if duration == LIMIT { self.real.sleep(duration) } else { self.clock.sleep(duration) }
    }
}

struct Kept {
    proxy: Arc<FaultProxy>,
    clock: VirtualClock,
    connection: VaultConnection,
    task: tokio::task::JoinHandle<std::convert::Infallible>,
}

async fn kept(credentials: VaultCredentials, seed: u64) -> Kept {
    let (proxy, clock) = (proxy(), VirtualClock::new());
    let moved = Moved { clock: clock.clone(), real: SystemClock::new() };
    let config = VaultConnectionConfig::new(proxy.url(), credentials)
        .with_call_timeout(LIMIT)
        .with_clock(Arc::new(moved))
        .with_random(Arc::new(SeededRandom::new(seed)));
    let connection = connect(config).await;
    let task = tokio::spawn(connection.upkeep());
    clock.wait_for_sleepers(1);
    Kept { proxy, clock, connection, task }
}

impl Kept {
    /// Lets time pass, and says when calls with this end of the path were made.
    fn pass(&self, time: Duration, end: &str) -> Vec<Duration> {
        let until = self.clock.monotonic() + time;
        let mut seen = count(&self.proxy, end);
        let mut times = Vec::new();
        while self.clock.monotonic() < until {
            self.clock.advance_to_next();
            self.clock.wait_for_sleepers(1);
            let now = count(&self.proxy, end);
            times.extend((seen..now).map(|_| self.clock.monotonic()));
            seen = now;
        }
        times
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_once_per_grant_at_a_time_of_its_own() {
    let kept = kept(app_role("renewed", &["token_ttl=1h", "token_max_ttl=48h"]), 1).await;
    assert_eq!(count(&kept.proxy, "/login"), 1);
    let times = kept.pass(10 * HOUR, "/renew-self");
    let mut before = Duration::ZERO;
    for time in &times {
        let part = (*time - before).as_secs_f64() / HOUR.as_secs_f64();
        // Half a minute is how long upkeep rests at most.
        assert!((0.65..0.86).contains(&part), "renewed after {part} of its life");
        before = *time;
    }
    assert!((11..=15).contains(&times.len()), "{} renewals", times.len());
    assert_eq!(count(&kept.proxy, "/login"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_start_together_do_not_renew_together() {
    let mut firsts = Vec::new();
    for seed in 0..6 {
        let kept = kept(app_role("herd", &["token_ttl=1h"]), seed).await;
        firsts.extend(kept.pass(HOUR, "/renew-self").first().copied());
    }
    firsts.sort();
    firsts.dedup();
    assert!(firsts.len() >= 5, "{firsts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_cut_short_by_the_greatest_age_is_followed_by_a_login() {
    let kept = kept(app_role("aged", &["token_ttl=1h"]), 3).await;
    kept.proxy.on(Match::path("/renew-self")).always().fault(HttpFault::edit(|body| {
        let text = String::from_utf8(body.clone()).unwrap();
        *body = text.replace("\"lease_duration\":3600", "\"lease_duration\":600").into_bytes();
    }));
    let logins = kept.pass(HOUR, "/login");
    assert_eq!((logins.len(), count(&kept.proxy, "/renew-self")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_renewals_back_off_and_lose_no_time_when_they_end() {
    let kept = kept(app_role("stormy", &["token_ttl=1h"]), 4).await;
    let failing = Answer::json(500, r#"{"errors":["internal error"]}"#);
    kept.proxy.on(Match::path("/renew-self")).always().fault(HttpFault::Answer(failing.clone()));
    kept.proxy.on(Match::path("/login")).always().fault(HttpFault::Answer(failing));
    // Through the rest of the grant, and past its end.
    let tried = kept.pass(2 * HOUR, "");
    assert!((60..=400).contains(&tried.len()), "{} attempts in an hour and a quarter", tried.len());
    kept.proxy.clear();
    let logins = kept.pass(Duration::from_secs(120), "/login");
    assert_eq!(logins.len(), 1);
    kept.connection.who_am_i().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_token_that_is_used_is_renewed_without_upkeep() {
    let token = ask(server(), &["token", "create", "-policy=all", "-ttl=1h", "-field=token"]);
    let (proxy, clock) = (proxy(), VirtualClock::new());
    let config = VaultConnectionConfig::new(proxy.url(), VaultCredentials::token(token))
        .with_clock(Arc::new(clock.clone()));
    let connection = connect(config).await;
    for _ in 0..4 * 60 {
        connection.get(&mount("sys"), &["mounts"]).await.unwrap();
        clock.advance(Duration::from_secs(60));
    }
    let renewals = count(&proxy, "/renew-self");
    assert!((4..=6).contains(&renewals), "{renewals} renewals in four hours");
    assert_eq!(count(&proxy, "/lookup-self"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_token_is_renewed_too_and_one_without_end_is_left_alone() {
    let token = ask(server(), &["token", "create", "-policy=all", "-ttl=1h", "-field=token"]);
    let renewable = kept(VaultCredentials::token(token), 5).await;
    assert_eq!(renewable.pass(4 * HOUR, "/renew-self").len(), 5);
    let endless = kept(VaultCredentials::token(server().root_token()), 6).await;
    assert_eq!(endless.pass(24 * HOUR, "/renew-self").len(), 0);
    assert_eq!(count(&endless.proxy, "/lookup-self"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_that_is_dropped_does_nothing_more() {
    let kept = kept(app_role("dropped", &["token_ttl=1h"]), 7).await;
    kept.task.abort();
    while !kept.task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kept.clock.sleepers(), 0);
    kept.clock.advance(10 * HOUR);
    assert_eq!(count(&kept.proxy, "/renew-self"), 0);
    // The next use does what is needed.
    kept.connection.who_am_i().await.unwrap();
    assert_eq!(count(&kept.proxy, "/login"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_upkeep_the_first_use_in_time_renews() {
    let (proxy, clock) = (proxy(), VirtualClock::new());
    let config = VaultConnectionConfig::new(proxy.url(), app_role("lazy", &["token_ttl=1h"]))
        .with_clock(Arc::new(clock.clone()));
    let connection = connect(config).await;
    connection.who_am_i().await.unwrap();
    clock.advance(Duration::from_secs(55 * 60));
    connection.who_am_i().await.unwrap();
    assert_eq!((count(&proxy, "/login"), count(&proxy, "/renew-self")), (1, 1));
}

/// The server says that what it grants at `path` lasts no time.
fn grants_nothing_at(proxy: &FaultProxy, path: &str) {
    proxy.on(Match::path(path)).always().fault(HttpFault::edit(|body| {
        let text = String::from_utf8(body.clone()).unwrap();
        let none = text.replace("\"lease_duration\":3600", "\"lease_duration\":0");
        assert_ne!(none, text);
        *body = none.into_bytes();
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_of_no_length_has_no_end_and_a_renewal_of_no_length_is_one() {
    for (path, logins, renewals) in [("/login", 1, 0), ("/renew-self", 2, 1)] {
        let (proxy, clock) = (proxy(), VirtualClock::new());
        grants_nothing_at(&proxy, path);
        let config = VaultConnectionConfig::new(proxy.url(), app_role("zero", &["token_ttl=1h"]))
            .with_clock(Arc::new(clock.clone()));
        let connection = connect(config).await;
        for pause in [55 * 60, 2, 60] {
            connection.who_am_i().await.unwrap();
            clock.advance(Duration::from_secs(pause));
        }
        connection.who_am_i().await.unwrap();
        let seen = (count(&proxy, "/login"), count(&proxy, "/renew-self"));
        assert_eq!(seen, (logins, renewals), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_periodic_token_is_renewed_for_ever_and_a_batch_token_replaced_each_time() {
    let periodic = kept(app_role("periodic", &["token_period=1h"]), 8).await;
    let renewals = periodic.pass(20 * HOUR, "/renew-self").len();
    assert!((22..=31).contains(&renewals), "{renewals} renewals in twenty hours");
    assert_eq!(count(&periodic.proxy, "/login"), 1);
    let batch = kept(app_role("batches", &["token_type=batch", "token_ttl=1h"]), 9).await;
    let logins = batch.pass(20 * HOUR, "/login").len();
    assert!((22..=31).contains(&logins), "{logins} logins in twenty hours");
    assert_eq!(count(&batch.proxy, "/renew-self"), 0);
}
