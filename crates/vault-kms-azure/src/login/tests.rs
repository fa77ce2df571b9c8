//! The token's life, on a clock that stands still.

use std::sync::atomic::{AtomicUsize, Ordering};

use vault_crypto_core::ErrorKind;
use vault_testkit::{FailingRandom, SeededRandom, VirtualClock};

use super::*;

const SCOPE: &str = "https://vault.azure.net/.default";
const HOUR: Duration = Duration::from_secs(3_600);
const LIMIT: Duration = Duration::from_secs(30);

/// A login service: each answer is a new token of an hour, a refusal, or none.
#[derive(Debug)]
struct Service {
    clock: VirtualClock,
    asked: AtomicUsize,
    does: Mutex<Does>,
}

#[derive(Debug, Clone, Copy)]
enum Does {
    Answer,
    /// One that says it was over before it began.
    AnswerDead,
    Refuse,
    /// With the wait that the service asks for.
    RefuseFor(u64),
    Fail,
    FailFor(u64),
    Hang,
}

#[async_trait]
impl TokenCredential for Service {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let does = *lock(&self.does);
        let token = |end: SystemTime| Ok(AccessToken::new(format!("token-{number}"), end.into()));
        match does {
            Does::Answer => token(self.clock.now() + HOUR),
            Does::AnswerDead => token(self.clock.now() - HOUR),
            Does::Refuse => Err(azure_core::Error::with_message(SdkErrorKind::Credential, "no")),
            Does::RefuseFor(wait) => Err(answered(401, wait)),
            Does::FailFor(wait) => Err(answered(429, wait)),
            Does::Fail => Err(azure_core::Error::with_message(SdkErrorKind::Connection, "down")),
            Does::Hang => std::future::pending().await,
        }
    }
}

fn answered(status: u16, wait: u64) -> azure_core::Error {
    let mut headers = azure_core::http::headers::Headers::new();
    headers.insert(azure_core::http::headers::RETRY_AFTER, wait.to_string());
    let clock = VirtualClock::new();
    let fault = login::refused(login::Door::ClientSecret, status, &headers, b"", &clock);
    azure_core::Error::new(SdkErrorKind::Credential, fault)
}

struct World {
    clock: VirtualClock,
    service: Arc<Service>,
    login: Login,
}

impl World {
    /// Without jitter: its generator fails.
    fn new() -> Self {
        Self::with(FailingRandom::new())
    }

    fn with(random: impl RandomSource + 'static) -> Self {
        let clock = VirtualClock::new();
        let (asked, does) = (AtomicUsize::new(0), Mutex::new(Does::Answer));
        let service = Arc::new(Service { clock: clock.clone(), asked, does });
        let credentials = Arc::new(AzureCredentials::Injected(service.clone()));
        let options = ClientOptions::default();
        let login =
            Login::new(credentials, options, Arc::new(clock.clone()), Arc::new(random), LIMIT);
        Self { clock, service, login }
    }

    fn set(&self, does: Does) {
        *lock(&self.service.does) = does;
    }

    fn logins(&self) -> usize {
        self.service.asked.load(Ordering::Relaxed)
    }

    /// A call as the provider makes one: the token, and whatever renewal is under way beside it.
    async fn call(&self) -> Result<String, Fault> {
        let call = async {
            let told = self.login.get_token(&[SCOPE], None).await;
            // The vault takes its time, so what is beside gets its turn.
            yield_once().await;
            told
        };
        let told = self.login.beside(call).await;
        told.map(|token| token.token.secret().to_owned())
            .map_err(|error| error.downcast_ref::<Fault>().unwrap().clone())
    }
}

async fn yield_once() {
    let mut again = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut again) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Polls a few times; what then is not ready waits for something.
fn soon<T>(call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..8 {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut cx) {
            return Some(answer);
        }
    }
    None
}

impl World {
    fn token(&self) -> Result<String, Fault> {
        soon(self.call()).expect("nobody has to wait")
    }
}

#[test]
fn a_living_token_is_used_while_it_is_renewed_and_a_login_that_hangs_holds_nobody_up() {
    let world = World::new();
    assert_eq!(world.token().unwrap(), "token-1");
    world.clock.advance(HOUR - AHEAD - Duration::from_secs(1));
    assert_eq!((world.token().unwrap().as_str(), world.logins()), ("token-1", 1));
    world.set(Does::Hang);
    world.clock.advance(Duration::from_secs(2));
    for _ in 0..1_000 {
        assert_eq!(world.token().unwrap(), "token-1");
    }
    assert_eq!(world.logins(), 2, "one call renews it");
    // The one that hangs is given up, and the next one brings the token.
    world.clock.advance(LIMIT);
    assert_eq!(world.token().unwrap(), "token-1");
    world.set(Does::Answer);
    world.clock.advance(REST);
    assert_eq!(world.token().unwrap(), "token-1", "nobody waits for the renewal");
    assert_eq!((world.token().unwrap().as_str(), world.logins()), ("token-3", 3));
}

#[test]
fn what_one_call_began_the_next_one_finishes() {
    let world = World::new();
    world.token().unwrap();
    world.clock.advance(HOUR - Duration::from_secs(60));
    // Dropped before the login has had its turn.
    let token = world.login.get_token(&[SCOPE], None).now_or_never().unwrap().unwrap();
    assert_eq!((token.token.secret(), world.logins()), ("token-1", 1));
    assert_eq!(world.token().unwrap(), "token-1");
    assert_eq!((world.token().unwrap().as_str(), world.logins()), ("token-2", 2));
}

#[test]
fn a_thousand_callers_without_a_token_make_one_login_even_if_the_first_of_them_is_cancelled() {
    let world = World::new();
    world.set(Does::Hang);
    let mut first = Box::pin(world.call());
    assert!(soon(first.as_mut()).is_none());
    let mut others: Vec<_> = (0..1_000).map(|_| Box::pin(world.call())).collect();
    for other in &mut others {
        assert!(soon(other.as_mut()).is_none());
    }
    drop(first);
    assert_eq!(world.logins(), 1);
    world.clock.advance(LIMIT);
    for other in &mut others {
        let fault = soon(other.as_mut()).expect("the login has ended").unwrap_err();
        assert_eq!(fault.kind, ErrorKind::TimedOut);
    }
    assert_eq!(world.logins(), 1);
}

#[test]
fn those_who_queue_behind_a_refusal_get_it_too_and_it_is_asked_again_ever_more_seldom() {
    let world = World::new();
    world.set(Does::Refuse);
    for (logins, rest) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        for _ in 0..100 {
            assert_eq!(world.token().unwrap_err().kind, ErrorKind::PermissionDenied);
        }
        assert_eq!(world.logins(), logins + 1);
        world.clock.advance(Duration::from_secs(rest));
    }
    world.set(Does::Answer);
    assert!(world.token().is_ok());
    // And from the beginning after a success.
    world.set(Does::Refuse);
    world.clock.advance(HOUR);
    assert_eq!(world.token().unwrap_err().wait(), None);
    assert_eq!(world.token().unwrap_err().wait(), Some(REST_REFUSED));
}

#[test]
fn outages_are_not_remembered_but_where_the_service_says_when() {
    let world = World::new();
    world.set(Does::Fail);
    for logins in 1..10 {
        assert_eq!(world.token().unwrap_err().kind, ErrorKind::Unavailable);
        assert_eq!(world.logins(), logins);
    }
    world.set(Does::FailFor(7));
    world.token().unwrap_err();
    world.set(Does::Answer);
    let fault = world.token().unwrap_err();
    assert_eq!((fault.kind, fault.wait()), (ErrorKind::Throttled, Some(Duration::from_secs(7))));
    world.clock.advance(Duration::from_secs(7));
    assert!(world.token().is_ok());
    // Nobody is left alone for a day.
    world.clock.advance(HOUR);
    world.set(Does::FailFor(86_400));
    world.token().unwrap_err();
    world.set(Does::Answer);
    world.clock.advance(MAX_REST);
    assert!(world.token().is_ok());
}

#[test]
fn a_renewal_that_fails_is_not_repeated_with_every_call() {
    let world = World::new();
    world.token().unwrap();
    world.clock.advance(HOUR - Duration::from_secs(60));
    world.set(Does::Fail);
    for _ in 0..100 {
        assert_eq!(world.token().unwrap(), "token-1");
    }
    assert_eq!(world.logins(), 2);
    world.clock.advance(REST);
    world.token().unwrap();
    assert_eq!(world.logins(), 3);
}

#[test]
fn a_service_that_refuses_may_ask_for_a_longer_wait() {
    let world = World::new();
    world.set(Does::RefuseFor(20));
    world.token().unwrap_err();
    world.clock.advance(Duration::from_secs(19));
    assert_eq!(world.token().unwrap_err().wait(), Some(Duration::from_secs(1)));
    assert_eq!(world.logins(), 1);
    world.clock.advance(Duration::from_secs(1));
    world.token().unwrap_err();
    assert_eq!(world.logins(), 2);
}

#[test]
fn who_was_refused_together_does_not_come_back_together() {
    let waits: std::collections::BTreeSet<Duration> = (0..32)
        .map(|seed| {
            let world = World::with(SeededRandom::new(seed));
            world.set(Does::Refuse);
            world.token().unwrap_err();
            world.token().unwrap_err().wait().unwrap()
        })
        .collect();
    assert!(waits.len() > 30, "{waits:?}");
    let half = REST_REFUSED / 2;
    assert!(waits.iter().all(|wait| (half..=REST_REFUSED).contains(wait)), "{waits:?}");
}

#[test]
fn a_failed_renewal_leaves_the_living_token_in_use() {
    let world = World::new();
    world.token().unwrap();
    world.clock.advance(HOUR - Duration::from_secs(60));
    world.set(Does::Refuse);
    for _ in 0..10 {
        assert_eq!(world.token().unwrap(), "token-1");
    }
    assert_eq!(world.logins(), 2, "and is not repeated at once");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.token().unwrap_err().kind, ErrorKind::PermissionDenied);
}

#[test]
fn a_token_that_the_vault_refuses_is_replaced_and_a_new_one_that_it_never_took_is_not_at_once() {
    let world = World::new();
    let shown = |number: usize| format!("Bearer token-{number}");
    world.token().unwrap();
    world.login.judged(&shown(1), 401);
    assert_eq!(world.token().unwrap(), "token-1", "it has just been given");
    world.clock.advance(REST_REFUSED);
    world.login.judged(&shown(1), 401);
    assert_eq!(world.token().unwrap(), "token-2");
    world.login.judged(&shown(2), 200);
    world.login.judged(&shown(1), 401);
    assert_eq!(world.token().unwrap(), "token-2", "it was another that was refused");
    world.login.judged(&shown(2), 401);
    assert_eq!((world.token().unwrap().as_str(), world.logins()), ("token-3", 3));
}

#[test]
fn jumps_of_the_wall_clock_cost_at_most_a_login() {
    let world = World::new();
    world.token().unwrap();
    for wall in [world.clock.now() + HOUR * 24 * 365, world.clock.now() - HOUR * 24 * 365] {
        world.clock.set_wall(wall);
        assert_eq!(world.token().unwrap(), "token-1");
    }
    // Of a service whose clock is an hour behind ours every token looks dead.
    world.set(Does::AnswerDead);
    world.clock.advance(HOUR);
    for _ in 0..100 {
        assert_eq!(world.token().unwrap(), "token-2");
    }
    assert_eq!(world.logins(), 2);
}

#[test]
fn a_login_that_nobody_looked_at_for_long_is_not_held_against_a_new_caller() {
    let world = World::new();
    world.token().unwrap();
    world.clock.advance(HOUR - Duration::from_secs(60));
    world.set(Does::Hang);
    world.token().unwrap();
    assert_eq!(world.logins(), 2);
    world.set(Does::Answer);
    world.clock.advance(Duration::from_secs(120));
    assert_eq!((world.token().unwrap().as_str(), world.logins()), ("token-3", 3));
}

#[test]
fn a_login_under_way_keeps_nothing_alive() {
    let World { login, service, .. } = {
        let world = World::new();
        world.set(Does::Hang);
        assert!(soon(world.call()).is_none());
        world
    };
    let source = Arc::downgrade(&login.source);
    drop(login);
    assert!(source.upgrade().is_none());
    assert_eq!(Arc::strong_count(&service), 1);
}

#[test]
fn no_secret_is_printed() {
    let world = World::new();
    world.token().unwrap();
    assert_eq!(format!("{:?}", world.login), "Login(Injected)");
}
