//! What is under way to get a token or to keep one: one login at most, and beside it one renewal. All who wait
//! for it drive it on, so it outlives whoever began it (what a login shows may be spent with its first request: a
//! wrapped secret, a secret of one use), and nobody who is no longer polled holds up the others.
//!
//! Left to others: what is sent (`login`), who waits and for how long (`session`).

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use vault_crypto_core::{Clock, RandomSource};

use crate::lease::{Plan, back_off};
use crate::login::{self, Granted, Login, Proof};
use crate::refusal::Refusals;
use crate::session::Session;
use crate::transport::Transport;
use crate::{VaultCredentials, VaultFailure, VaultFailureKind};

/// What comes of it beside a failure is the current session.
type Outcome = Result<(), VaultFailure>;
pub(crate) type Running = Shared<BoxFuture<'static, Outcome>>;

/// A login, a renewal or a look-up that has begun.
#[derive(Clone)]
pub(crate) struct Attempt {
    /// When, on the monotonic clock.
    pub(crate) begun: Duration,
    pub(crate) running: Running,
}

impl Attempt {
    fn begin(begun: Duration, work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        // A panic that got out would be everybody's, for ever: all wait for the same.
        let work = AssertUnwindSafe(work).catch_unwind();
        let running = work.map(|outcome| outcome.unwrap_or_else(|_| Err(broke_down())));
        Self { begun, running: running.boxed().shared() }
    }

    fn is_under_way(&self) -> bool {
        self.running.peek().is_none()
    }
}

/// The session in use and what is under way for the next.
pub(crate) struct Attempts {
    pub(crate) current: ArcSwapOption<Session>,
    pub(crate) login: Arc<Login>,
    pub(crate) clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    /// Held to look at it, never while something is waited for.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the last session.
    number: u64,
    failures: u32,
    login: Option<Attempt>,
    tending: Option<Attempt>,
    refusals: Refusals,
}

impl Attempts {
    pub(crate) fn new(login: Login, clock: Arc<dyn Clock>, random: Arc<dyn RandomSource>) -> Self {
        let (current, state) = (ArcSwapOption::empty(), Mutex::default());
        Self { current, login: Arc::new(login), clock, random, state }
    }

    /// The login under way, or else a new one.
    pub(crate) fn logging_in(self: &Arc<Self>, transport: &Arc<Transport>) -> Attempt {
        let mut state = self.state();
        if let Some(attempt) = state.login.as_ref().filter(|attempt| attempt.is_under_way()) {
            return attempt.clone();
        }
        state.login.insert(self.log_in(transport)).clone()
    }

    /// The renewal or look-up under way, unless it is older than `patience`, or else a new one.
    pub(crate) fn tending(
        self: &Arc<Self>,
        transport: &Arc<Transport>,
        session: &Arc<Session>,
        patience: Duration,
    ) -> Attempt {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let serves = |attempt: &&Attempt| {
            attempt.is_under_way() && now < attempt.begun.saturating_add(patience)
        };
        if let Some(attempt) = state.tending.as_ref().filter(serves) {
            return attempt.clone();
        }
        state.tending.insert(self.tend(transport, session)).clone()
    }

    /// All that is under way.
    pub(crate) fn under_way(&self) -> [Option<Running>; 2] {
        let state = self.state();
        [&state.login, &state.tending].map(|attempt| {
            attempt.as_ref().filter(|attempt| attempt.is_under_way()).map(|it| it.running.clone())
        })
    }

    /// Nobody waits for this login any longer: the next caller begins another one.
    pub(crate) fn give_up(&self, late: &Running) {
        let mut state = self.state();
        if state.login.as_ref().is_some_and(|attempt| attempt.running.ptr_eq(late)) {
            state.login = None;
            state.failures = state.failures.saturating_add(1);
        }
    }

    /// How long to wait after the failures until now, and one more if `in_advance`.
    pub(crate) fn back_off(&self, in_advance: bool) -> Duration {
        let failures = self.state().failures.saturating_add(u32::from(in_advance));
        back_off(failures, &*self.random)
    }

    /// Whether the token was got by a login of ours, so that it is ours to revoke.
    pub(crate) fn owns_its_token(&self) -> bool {
        let credentials = &self.login.credentials;
        !matches!(credentials, VaultCredentials::Token(_) | VaultCredentials::TokenFile(_))
    }

    /// Logs in, unless the same was refused a moment ago. It holds no part of what holds it.
    fn log_in(self: &Arc<Self>, transport: &Arc<Transport>) -> Attempt {
        let (all, login) = (Arc::downgrade(self), Arc::clone(&self.login));
        let (transport, begun) = (Arc::clone(transport), self.clock.monotonic());
        Attempt::begin(begun, async move {
            let begun_by = || all.upgrade().ok_or_else(broke_down);
            let proof = match login.proof() {
                Ok(proof) => Arc::new(proof),
                Err(failure) => return Err(begun_by()?.failed(failure)),
            };
            if let Some(refusal) = begun_by()?.refused_before(&proof) {
                return Err(refusal);
            }
            let outcome = login.perform(&transport, &proof).await;
            begun_by()?.logged_in(begun, proof, outcome)
        })
    }

    fn refused_before(&self, proof: &Proof) -> Option<VaultFailure> {
        let now = self.clock.monotonic();
        self.state().refusals.of(proof, now)
    }

    fn logged_in(
        &self,
        begun: Duration,
        proof: Arc<Proof>,
        outcome: Result<Granted, VaultFailure>,
    ) -> Outcome {
        let installed = outcome.and_then(|granted| {
            let endless = granted.grant.is_none() && self.owns_its_token();
            self.install(granted, None, begun, endless)
        });
        installed.map_err(|failure| {
            let now = self.clock.monotonic();
            self.state().refusals.note(&failure, proof, now, &*self.random);
            self.failed(failure)
        })
    }

    /// Renews the token of `session`, or asks when one that was given ends.
    fn tend(self: &Arc<Self>, transport: &Arc<Transport>, session: &Arc<Session>) -> Attempt {
        let (all, session) = (Arc::downgrade(self), Arc::clone(session));
        let (transport, begun) = (Arc::clone(transport), self.clock.monotonic());
        let keeper_renews = matches!(self.login.credentials, VaultCredentials::TokenFile(_));
        Attempt::begin(begun, async move {
            let outcome = match session.plan {
                Some(_) => login::renew(&transport, &session.token).await,
                None => login::look_up(&transport, &session.token).await.map(|mut grant| {
                    if let Some(grant) = grant.as_mut().filter(|_| keeper_renews) {
                        // Here the file is read again in time.
                        grant.renewable = false;
                    }
                    Granted { token: session.token.clone(), grant }
                }),
            };
            let all = all.upgrade().ok_or_else(broke_down)?;
            outcome
                .and_then(|granted| {
                    let endless = granted.grant.is_none();
                    all.install(granted, Some(&session), begun, endless)
                })
                .map_err(|failure| all.failed(failure))
        })
    }

    /// Puts the current session off: its token still works.
    fn failed(&self, failure: VaultFailure) -> VaultFailure {
        let (kind, status) = (failure.kind(), failure.status());
        if failure.was_login() {
            tracing::warn!(?kind, status, "the login at the Vault server failed");
        } else {
            tracing::warn!(?kind, status, "the token was not renewed");
        }
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let wait = back_off(state.failures, &*self.random);
        drop(state);
        if let Some(session) = self.current.load_full() {
            session.put_off(self.clock.monotonic().saturating_add(wait));
        }
        failure
    }

    /// The session with what was granted, in the place of `renewed` where that is still the current one.
    fn install(
        &self,
        granted: Granted,
        renewed: Option<&Session>,
        asked_at: Duration,
        endless: bool,
    ) -> Outcome {
        let replaceable = self.login.credentials.can_log_in_again();
        let before = renewed.and_then(|session| session.plan);
        let draw = |grant| Plan::draw(asked_at, grant, before.as_ref(), replaceable, &*self.random);
        let plan = granted.grant.map(draw).transpose()?;
        let mut state = self.state();
        let current = self.current.load_full().map(|session| session.number);
        if renewed.is_some_and(|session| current != Some(session.number)) {
            return Ok(());
        }
        state.number += 1;
        state.failures = 0;
        state.refusals.forget();
        let session = Session::new(granted.token, state.number, plan, asked_at, endless);
        self.current.store(Some(Arc::new(session)));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broke_down() -> VaultFailure {
    let kind = VaultFailureKind::Unreadable;
    VaultFailure::new(kind, "the login broke down inside").while_logging_in()
}

/// What `work` answers, unless `limit` ends first.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let (mut work, mut end) = (pin!(work), clock.sleep(limit));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}
