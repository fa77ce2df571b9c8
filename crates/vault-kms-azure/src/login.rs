//! The token in use: one at a time, renewed ahead of its end beside the calls, waited for only if none lives.
//!
//! The SDK keeps a token too, and holds a lock of all calls while it asks for the next one. So whoever asks here
//! while a token lives gets that at once; the renewal is polled beside the calls that are under way
//! ([`Login::beside`]), so it needs no task of its own and outlives the call that began it. A failure is shared
//! with those who queue behind it. Age is monotonic: a jump of the wall clock neither ends a token nor keeps it, and
//! of a token that died meanwhile the vault's 401 tells.
//!
//! Left to others: how to log in (`credentials`), what a failure means (`error::login`).

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::ClientOptions;
use futures_util::future::{BoxFuture, FutureExt as _, Shared};
use vault_crypto_core::{Clock, RandomSource};

use crate::client::within;
use crate::credentials::AzureCredentials;
use crate::error::{Fault, login};

/// A token is renewed this long before its end; a short one in the last quarter of its life.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// A token is used for so long even if it looks dead already: then a clock is off, and the vault knows better.
const MIN_LIFE: Duration = Duration::from_secs(10);
/// Longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// A renewal that failed is not tried again for so long, while the token lives. Who has none tries at once, unless
/// the service says when.
const REST: Duration = Duration::from_millis(100);
/// After a refusal, doubled with each one that follows; and how soon a token that the vault never took is replaced.
const REST_REFUSED: Duration = Duration::from_secs(1);
/// Longest of the doubled ones, and the longest that a service which is not ready is left alone.
const MAX_REST: Duration = Duration::from_secs(60);

type Outcome = Result<AccessToken, Fault>;
type Running = Shared<BoxFuture<'static, Outcome>>;

/// Gives the SDK its tokens. Clones are the same login.
#[derive(Clone)]
pub(crate) struct Login {
    source: Arc<Source>,
    state: Arc<Mutex<State>>,
}

/// Where tokens come from.
struct Source {
    credentials: Arc<AzureCredentials>,
    options: ClientOptions,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    limit: Duration,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    attempt: Option<Attempt>,
    failed: Option<Failed>,
    attempts: u64,
}

struct Kept {
    scope: String,
    token: AccessToken,
    since: Duration,
    lives: Duration,
    /// The vault has taken it at least once.
    taken: bool,
}

struct Attempt {
    number: u64,
    scope: String,
    since: Duration,
    running: Running,
}

struct Failed {
    scope: String,
    fault: Fault,
    at: Duration,
    rest: Duration,
    refusals: u32,
    /// Of the credentials that were refused.
    proof: Option<Vec<u8>>,
}

/// A login that has ended.
struct Ended {
    number: u64,
    scope: String,
    at: Duration,
    proof: Option<Vec<u8>>,
}

/// What somebody who asks for a token gets.
enum Given {
    Token(AccessToken),
    Failure(Fault),
    /// A login to wait for, and whether it has run for long: perhaps nobody has looked at it since.
    Wait(Running, bool),
}

impl Login {
    /// `options` carries transport and cloud; one login takes at most `limit`.
    pub(crate) fn new(
        credentials: Arc<AzureCredentials>,
        options: ClientOptions,
        clock: Arc<dyn Clock>,
        random: Arc<dyn RandomSource>,
        limit: Duration,
    ) -> Self {
        let source = Source { credentials, options, clock, random, limit };
        Self { source: Arc::new(source), state: Arc::default() }
    }

    /// `call`, and beside it whatever renewal is under way. What it does not finish the next call does.
    pub(crate) async fn beside<T>(&self, call: impl Future<Output = T>) -> T {
        let (mut call, mut renewal) = (pin!(call), None);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            if renewal.is_none() {
                renewal = lock(&self.state).attempt.as_ref().map(|it| it.running.clone());
            }
            if let Some(running) = &mut renewal
                && Pin::new(running).poll(cx).is_ready()
            {
                renewal = None;
            }
            Poll::Pending
        })
        .await
    }

    /// What the vault made of the token in `header`: one that it refuses is not used again. One that is new and
    /// was never taken stays for a moment, for another login would bring the like.
    pub(crate) fn judged(&self, header: &str, status: u16) {
        let mut state = lock(&self.state);
        let Some(kept) = &mut state.kept else { return };
        let refused = status == 401;
        if kept.taken && !refused
            || header.strip_prefix("Bearer ") != Some(kept.token.token.secret())
        {
            return;
        }
        if !refused {
            kept.taken |= status < 429;
        } else if kept.taken || self.now() >= kept.since + REST_REFUSED {
            state.kept = None;
        }
    }

    fn now(&self) -> Duration {
        self.source.clock.monotonic()
    }

    fn give(&self, scope: &str) -> Given {
        let now = self.now();
        let mut state = lock(&self.state);
        let long = REST_REFUSED.min(self.source.limit / 4);
        let running = state.attempt.as_ref().filter(|attempt| attempt.scope == scope);
        let running = running.map(|attempt| (attempt.running.clone(), now >= attempt.since + long));
        if let Some(kept) = &state.kept
            && kept.scope == scope
            && kept.lives_at(now)
        {
            let token = kept.token.clone();
            let renewed = running.is_some() || state.rest(scope, now, REST).is_some();
            if kept.ends_soon(now) && !renewed {
                drop(self.begin(&mut state, scope));
            }
            return Given::Token(token);
        }
        let rest = state.rest(scope, now, Duration::ZERO);
        let rest = rest.filter(|_| !self.source.has_others_than(&state));
        match (running, rest) {
            (Some((running, old)), _) => Given::Wait(running, old),
            (None, Some(fault)) => Given::Failure(fault),
            (None, None) => Given::Wait(self.begin(&mut state, scope), false),
        }
    }

    /// The login itself; it holds no part of what holds it.
    fn begin(&self, state: &mut State, scope: &str) -> Running {
        state.attempts += 1;
        let number = state.attempts;
        let (source, kept) = (Arc::clone(&self.source), Arc::downgrade(&self.state));
        let (asked, since) = (scope.to_owned(), self.now());
        let login = async move {
            let proof = source.credentials.proof();
            // The SDK panics at some answers, and with it everybody would who waits for this login.
            let asking = AssertUnwindSafe(source.ask(&asked)).catch_unwind();
            let outcome = match within(&*source.clock, source.limit, asking).await {
                Some(Ok(outcome)) => outcome,
                Some(Err(_)) => Err(login::not_understood()),
                None => Err(login::timed_out()),
            };
            // Somebody may look at it long after its time was over.
            let at = source.clock.monotonic().min(since.saturating_add(source.limit));
            source.note(&kept, Ended { number, scope: asked, at, proof }, &outcome);
            outcome
        };
        let running = login.boxed().shared();
        let (scope, kept) = (scope.to_owned(), running.clone());
        state.attempt = Some(Attempt { number, scope, since, running: kept });
        running
    }
}

impl Source {
    async fn ask(&self, scope: &str) -> Outcome {
        let door = self.credentials.door();
        let credential = self.credentials.to_sdk(self.options.clone());
        let credential = credential.map_err(|_| login::failed_here(door))?;
        let token = credential.get_token(&[scope], None).await;
        let token = token.map_err(|error| login::of_error(&error, door, &*self.clock))?;
        let text = token.token.secret();
        if text.is_empty() {
            return Err(login::not_understood());
        }
        // A file that ends with a newline, say.
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(login::not_a_token());
        }
        Ok(token)
    }

    /// Whether there are other credentials than those that were refused.
    fn has_others_than(&self, state: &State) -> bool {
        let refused = state.failed.as_ref().filter(|failed| !failed.fault.is_passing());
        refused.is_some_and(|refused| refused.proof != self.credentials.proof())
    }

    /// Keeps the outcome of a login.
    fn note(&self, state: &Weak<Mutex<State>>, ended: Ended, outcome: &Outcome) {
        let Ended { number, scope, at, proof } = ended;
        let Some(state) = state.upgrade() else { return };
        let (now, wall) = (self.clock.monotonic(), self.clock.now());
        let mut state = lock(&state);
        if state.attempt.as_ref().is_some_and(|attempt| attempt.number == number) {
            state.attempt = None;
        }
        match outcome {
            Ok(token) => {
                let left = SystemTime::from(token.expires_on).duration_since(wall);
                let lives = left.unwrap_or_default().clamp(MIN_LIFE, MAX_LIFE);
                let token = token.clone();
                state.kept = Some(Kept { scope, token, since: now, lives, taken: false });
                state.failed = None;
            }
            Err(fault) => {
                let same = |failed: &&Failed| failed.scope == scope && failed.proof == proof;
                let before = state.failed.as_ref().filter(same);
                let mut refusals = before.map_or(0, |failed| failed.refusals);
                let told = fault.wait().unwrap_or_default();
                let rest = if fault.is_passing() {
                    told.min(MAX_REST)
                } else {
                    refusals = refusals.saturating_add(1);
                    self.back_off(refusals).max(told)
                };
                let fault = fault.clone();
                state.failed = Some(Failed { scope, fault, at, rest, refusals, proof });
            }
        }
    }

    /// Up to half of it is left out at random: who was refused together does not come back together.
    fn back_off(&self, refusals: u32) -> Duration {
        let doubled = REST_REFUSED.saturating_mul(1 << refusals.saturating_sub(1).min(6));
        let mut drawn = [0; 4];
        // A generator that fails costs this alone.
        let part = self.random.fill(&mut drawn).map_or(0, |()| u32::from_be_bytes(drawn));
        doubled.min(MAX_REST).mul_f64(1.0 - f64::from(part) / f64::from(u32::MAX) / 2.0)
    }
}

impl Kept {
    fn lives_at(&self, now: Duration) -> bool {
        now < self.since + self.lives
    }

    fn ends_soon(&self, now: Duration) -> bool {
        now + AHEAD.min(self.lives / 4) >= self.since + self.lives
    }
}

impl State {
    /// The last login's failure, with how long it still holds and that at `least`; `None` when it is time to try
    /// again.
    fn rest(&self, scope: &str, now: Duration, least: Duration) -> Option<Fault> {
        let failed = self.failed.as_ref().filter(|failed| failed.scope == scope)?;
        let end = failed.at + failed.rest.max(least);
        let left = end.checked_sub(now).filter(|left| !left.is_zero())?;
        Some(failed.fault.clone().again_after(left))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Login").field(&self.source.credentials).finish()
    }
}

#[async_trait]
impl TokenCredential for Login {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let outcome = match self.give(scope) {
            Given::Token(token) => Ok(token),
            Given::Failure(fault) => Err(fault),
            Given::Wait(running, is_old) => match running.await {
                Err(_) if is_old => self.begin_again(scope).await,
                outcome => outcome,
            },
        };
        outcome.map_err(|fault| azure_core::Error::new(SdkErrorKind::Credential, fault))
    }
}

impl Login {
    /// A login of the caller's own, or the one that somebody began meanwhile.
    async fn begin_again(&self, scope: &str) -> Outcome {
        let running = {
            let mut state = lock(&self.state);
            match state.attempt.as_ref().filter(|attempt| attempt.scope == scope) {
                Some(attempt) => attempt.running.clone(),
                None => self.begin(&mut state, scope),
            }
        };
        running.await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
