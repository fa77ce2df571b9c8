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
use vault_crypto_core::Clock;

use crate::client::within;
use crate::credentials::AzureCredentials;
use crate::error::{Fault, login};

/// A token is renewed this long before its end; a short one in the last quarter of its life.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// A token is used for so long even if it looks dead already: then a clock is off, and the vault knows better.
const MIN_LIFE: Duration = Duration::from_secs(10);
/// Longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// After a failure that passes by itself nobody tries again for so long.
const REST: Duration = Duration::from_millis(100);
/// After a refusal, doubled with each one that follows; and how soon a token that the vault never took is replaced.
const REST_REFUSED: Duration = Duration::from_secs(1);
const MAX_REST: Duration = Duration::from_secs(32);

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
    in_a_row: u32,
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
        limit: Duration,
    ) -> Self {
        let source = Source { credentials, options, clock, limit };
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
        let rests = state.failed.as_ref().filter(|failed| failed.scope == scope);
        let rest = rests.and_then(|failed| failed.rest(now));
        let long = REST_REFUSED.min(self.source.limit / 4);
        let running = state.attempt.as_ref().filter(|attempt| attempt.scope == scope);
        let running = running.map(|attempt| (attempt.running.clone(), now >= attempt.since + long));
        if let Some(kept) = &state.kept
            && kept.scope == scope
            && kept.lives_at(now)
        {
            let token = kept.token.clone();
            if kept.ends_soon(now) && running.is_none() && rest.is_none() {
                drop(self.begin(&mut state, scope));
            }
            return Given::Token(token);
        }
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
            // The SDK panics at some answers, and with it everybody would who waits for this login.
            let asking = AssertUnwindSafe(source.ask(&asked)).catch_unwind();
            let outcome = match within(&*source.clock, source.limit, asking).await {
                Some(Ok(outcome)) => outcome,
                Some(Err(_)) => Err(login::not_understood()),
                None => Err(login::timed_out()),
            };
            // Somebody may look at it long after its time was over.
            let at = source.clock.monotonic().min(since.saturating_add(source.limit));
            source.note(&kept, (number, asked, at), &outcome);
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

    /// Keeps the outcome of the attempt `number` for `scope`, which ended `at`.
    fn note(
        &self,
        state: &Weak<Mutex<State>>,
        (number, scope, at): (u64, String, Duration),
        outcome: &Outcome,
    ) {
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
                let before = state.failed.as_ref().filter(|failed| failed.scope == scope);
                let in_a_row = before.map_or(0, |failed| failed.in_a_row).saturating_add(1);
                state.failed = Some(Failed { scope, fault: fault.clone(), at, in_a_row });
            }
        }
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

impl Failed {
    /// The failure, with how long it still holds; `None` when it is time to try again.
    fn rest(&self, now: Duration) -> Option<Fault> {
        let rest = if self.fault.is_passing() {
            self.fault.wait().unwrap_or_default().clamp(REST, MAX_REST)
        } else {
            let doubled = 1_u32.checked_shl(self.in_a_row - 1).unwrap_or(u32::MAX);
            REST_REFUSED.saturating_mul(doubled).min(MAX_REST)
        };
        let left = (self.at + rest).checked_sub(now).filter(|left| !left.is_zero())?;
        Some(self.fault.clone().again_after(left))
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
