//! The token in use: got when it is first needed, renewed or replaced in time, by one task while the
//! others go on or wait for the same outcome.
//!
//! Left to others: how to log in (`login`), when (`lease`), not again too soon (`refusal`), what happens to a
//! login that is dropped half way (`attempt`), and who drives renewal (`upkeep`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use vault_crypto_core::{Clock, RandomSource};

use crate::attempt::{Attempt, Ended};
use crate::lease::{Next, Plan, back_off};
use crate::login::{self, Granted, Login};
use crate::refusal::Refusals;
use crate::token::Token;
use crate::transport::Transport;
use crate::{VaultCredentials, VaultFailure, VaultFailureKind};

/// A refused request does not ask whether its token still lives more often than this.
const ALIVE_LASTS: Duration = Duration::from_secs(5);
/// How long upkeep rests at most: somebody else may have logged in meanwhile. And how old a token becomes before
/// it is asked when it ends, where it was given and nobody told.
const LONGEST_REST: Duration = Duration::from_secs(30);
const NEVER: u64 = u64::MAX;

/// A token and what is known of it.
pub(crate) struct Session {
    pub(crate) token: Token,
    /// Counts tokens and renewals, to tell a replaced one from the current one.
    number: u64,
    /// `None` for a token whose end nobody told, or that has none.
    plan: Option<Plan>,
    /// The server told that this token has no end.
    endless: bool,
    /// When to tend to it, in milliseconds of the monotonic clock.
    due: AtomicU64,
    /// Until when it counts as alive without asking.
    alive_until: AtomicU64,
}

impl Session {
    fn put_off(&self, until: Duration) {
        self.due.store(millis(until), Ordering::Relaxed);
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.plan.is_some_and(|plan| plan.ends <= now)
    }
}

/// The current token and the one flight at a time that replaces it.
pub(crate) struct Sessions {
    current: ArcSwapOption<Session>,
    flight: Mutex<Flight>,
    /// How many logins have failed: who waited through one shares its failure.
    failed: AtomicU64,
    login: Arc<Login>,
    /// How long one caller waits for a login.
    patience: Duration,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
}

#[derive(Default)]
struct Flight {
    number: u64,
    failures: u32,
    last_failure: Option<VaultFailure>,
    attempt: Option<Attempt>,
    refusals: Refusals,
}

impl Sessions {
    pub(crate) fn new(
        login: Login,
        patience: Duration,
        clock: Arc<dyn Clock>,
        random: Arc<dyn RandomSource>,
    ) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            flight: Mutex::default(),
            failed: AtomicU64::new(0),
            login: Arc::new(login),
            patience,
            clock,
            random,
        }
    }

    /// A token to use now.
    pub(crate) async fn current(
        &self,
        transport: &Arc<Transport>,
    ) -> Result<Arc<Session>, VaultFailure> {
        let now = self.clock.monotonic();
        match self.current.load_full() {
            Some(session) if millis(now) < session.due.load(Ordering::Relaxed) => Ok(session),
            Some(session) if session.has_ended(now) => {
                self.log_in_after(transport, session.number).await
            }
            Some(session) => {
                // Still valid: one caller sees to it, the others go on with it.
                let Ok(mut flight) = self.flight.try_lock() else { return Ok(session) };
                self.tend_to(&mut flight, &session, transport).await;
                Ok(self.current.load_full().unwrap_or(session))
            }
            None => self.log_in_after(transport, 0).await,
        }
    }

    /// Another token than `dead`, which the server no longer takes.
    pub(crate) async fn replace(
        &self,
        transport: &Arc<Transport>,
        dead: &Session,
    ) -> Result<Arc<Session>, VaultFailure> {
        let ended = || {
            VaultFailure::new(
                VaultFailureKind::PermissionDenied,
                "the token is no longer valid: it has expired or was revoked, and there is no other",
            )
        };
        if !self.login.credentials.can_log_in_again() {
            return Err(ended());
        }
        let fresh = self.log_in_after(transport, dead.number).await?;
        // A file whose keeper has not replaced its token either.
        if fresh.token.is(&dead.token) { Err(ended()) } else { Ok(fresh) }
    }

    /// Whether a token that was refused is dead, and not just without the right.
    pub(crate) async fn is_dead(
        &self,
        transport: &Arc<Transport>,
        session: &Session,
        failure: &VaultFailure,
    ) -> bool {
        if failure.kind() != VaultFailureKind::PermissionDenied {
            return false;
        }
        if failure.says("invalid token") || failure.says("bad token") {
            return true;
        }
        if self.current.load_full().is_some_and(|current| current.number > session.number) {
            return true; // Somebody has replaced it already.
        }
        // Older servers say "permission denied" to both; every token may look itself up.
        let now = self.clock.monotonic();
        if millis(now) < session.alive_until.load(Ordering::Relaxed) {
            return false;
        }
        match login::look_up_self(transport, &session.token).await {
            Err(failure) => failure.kind() == VaultFailureKind::PermissionDenied,
            Ok(_) => {
                let until = now.saturating_add(ALIVE_LASTS);
                session.alive_until.store(millis(until), Ordering::Relaxed);
                false
            }
        }
    }

    /// Sees to the token if it is time, and says how long to rest.
    pub(crate) async fn tend(&self, transport: &Arc<Transport>) -> Duration {
        let Some(session) = self.current.load_full() else {
            let failures = match self.log_in_after(transport, 0).await {
                Ok(_) => return Duration::ZERO,
                Err(_) => self.flight.lock().await.failures,
            };
            return back_off(failures, &*self.random);
        };
        let now = self.clock.monotonic();
        if millis(now) >= session.due.load(Ordering::Relaxed) {
            let mut flight = self.flight.lock().await;
            self.tend_to(&mut flight, &session, transport).await;
        } else if session.plan.is_none() && !session.endless {
            let mut flight = self.flight.lock().await;
            self.learn(&mut flight, &session, transport).await;
        }
        let due = self.current.load_full().map_or(0, |session| session.due.load(Ordering::Relaxed));
        let rest = Duration::from_millis(due.saturating_sub(millis(self.clock.monotonic())));
        rest.clamp(Duration::from_millis(1), LONGEST_REST)
    }

    /// Forgets the token and gives it back.
    pub(crate) fn take(&self) -> Option<Arc<Session>> {
        self.current.swap(None)
    }

    /// Whether the token was got by a login of ours, so that it is ours to revoke.
    pub(crate) fn owns_its_token(&self) -> bool {
        !matches!(
            self.login.credentials,
            VaultCredentials::Token(_) | VaultCredentials::TokenFile(_)
        )
    }

    /// Logs in unless somebody did since session `seen`. Who waited while a login failed gets its failure.
    async fn log_in_after(
        &self,
        transport: &Arc<Transport>,
        seen: u64,
    ) -> Result<Arc<Session>, VaultFailure> {
        let failed = self.failed.load(Ordering::Acquire);
        let mut flight = self.flight.lock().await;
        if let Some(session) = self.current.load_full().filter(|session| session.number > seen) {
            return Ok(session);
        }
        if let Some(failure) = &flight.last_failure
            && self.failed.load(Ordering::Acquire) != failed
        {
            return Err(failure.clone());
        }
        self.log_in(&mut flight, transport).await
    }

    /// Logs in, unless the same was refused a moment ago.
    async fn log_in(
        &self,
        flight: &mut Flight,
        transport: &Arc<Transport>,
    ) -> Result<Arc<Session>, VaultFailure> {
        // One that its caller left half way; what was wrong with it then may be right now.
        if let Some(ended) = self.finish(flight).await
            && let Ok(session) = self.settle(flight, ended)
        {
            return Ok(session);
        }
        let proof = self.login.proof().inspect_err(|failure| self.failed(flight, failure))?;
        let now = self.clock.monotonic();
        if let Some(refusal) = flight.refusals.of(&proof, now) {
            return Err(refusal);
        }
        let (login, transport) = (Arc::clone(&self.login), Arc::clone(transport));
        flight.attempt = Some(Attempt::begin(login, transport, proof, now));
        let ended = self.finish(flight).await;
        let lost = || VaultFailure::new(VaultFailureKind::TimedOut, "no answer in time");
        self.settle(flight, ended.ok_or_else(lost)?)
    }

    async fn finish(&self, flight: &mut Flight) -> Option<Ended> {
        Attempt::finish(&mut flight.attempt, self.clock.monotonic(), self.patience).await
    }

    fn settle(&self, flight: &mut Flight, ended: Ended) -> Result<Arc<Session>, VaultFailure> {
        match ended.outcome {
            Ok(granted) => self.install(flight, granted, None, ended.begun),
            Err(failure) => {
                self.failed(flight, &failure);
                let now = self.clock.monotonic();
                flight.refusals.note(&failure, ended.proof, now, &*self.random);
                Err(failure)
            }
        }
    }

    fn failed(&self, flight: &mut Flight, failure: &VaultFailure) {
        tracing::warn!(kind = ?failure.kind(), status = failure.status(), "the login at the Vault server failed");
        flight.failures = flight.failures.saturating_add(1);
        flight.last_failure = Some(failure.clone());
        self.failed.fetch_add(1, Ordering::Release);
    }

    /// Renews or replaces `session`, unless somebody did. A failure puts it off: the token still works.
    async fn tend_to(
        &self,
        flight: &mut Flight,
        session: &Arc<Session>,
        transport: &Arc<Transport>,
    ) {
        let newer = |current: Arc<Session>| current.number > session.number;
        if self.current.load_full().is_some_and(newer) {
            return;
        }
        let Some(plan) = session.plan else { return self.learn(flight, session, transport).await };
        let can_log_in = self.login.credentials.can_log_in_again();
        let asked_at = self.clock.monotonic();
        // Whoever is dropped in the middle of this leaves it to another one, and not to the next one at once.
        let soon = back_off(flight.failures.saturating_add(1), &*self.random);
        session.put_off(asked_at.saturating_add(soon));
        let next = if session.has_ended(asked_at) { Next::LogIn } else { plan.next };
        let outcome = match next {
            Next::Renew => match login::renew(transport, &session.token).await {
                Ok(granted) => self.install(flight, granted, Some(&plan), asked_at),
                Err(failure)
                    if can_log_in && failure.kind() == VaultFailureKind::PermissionDenied =>
                {
                    self.log_in(flight, transport).await
                }
                Err(failure) => {
                    tracing::warn!(kind = ?failure.kind(), status = failure.status(), "the token was not renewed");
                    flight.failures = flight.failures.saturating_add(1);
                    Err(failure)
                }
            },
            Next::LogIn if can_log_in => self.log_in(flight, transport).await,
            // Nothing can be done for it any more; it works until it ends.
            Next::LogIn => return session.put_off(plan.ends),
        };
        if outcome.is_err() {
            let wait = back_off(flight.failures, &*self.random);
            session.put_off(self.clock.monotonic().saturating_add(wait));
        }
    }

    /// Asks when a token that was given ends.
    async fn learn(&self, flight: &mut Flight, session: &Arc<Session>, transport: &Arc<Transport>) {
        let asked_at = self.clock.monotonic();
        let looked_up = login::look_up(transport, &session.token).await;
        let installed = looked_up.and_then(|grant| {
            let mut grant = grant;
            if let (Some(grant), VaultCredentials::TokenFile(_)) =
                (&mut grant, &self.login.credentials)
            {
                // Its keeper renews it; here the file is read again in time.
                grant.renewable = false;
            }
            let granted = Granted { token: session.token.clone(), grant };
            self.install_known(flight, granted, None, asked_at, grant.is_none())
        });
        match installed {
            Ok(_) => {}
            Err(failure)
                if failure.kind() == VaultFailureKind::PermissionDenied
                    && self.login.credentials.can_log_in_again() =>
            {
                // The next use, or the next round, logs in.
                drop(self.log_in(flight, transport).await);
            }
            Err(failure) => {
                tracing::warn!(kind = ?failure.kind(), status = failure.status(), "the token could not be looked up");
                flight.failures = flight.failures.saturating_add(1);
                let wait = back_off(flight.failures, &*self.random);
                session.put_off(self.clock.monotonic().saturating_add(wait));
            }
        }
    }

    fn install(
        &self,
        flight: &mut Flight,
        granted: Granted,
        before: Option<&Plan>,
        asked_at: Duration,
    ) -> Result<Arc<Session>, VaultFailure> {
        let endless = granted.grant.is_none() && self.owns_its_token();
        self.install_known(flight, granted, before, asked_at, endless)
    }

    fn install_known(
        &self,
        flight: &mut Flight,
        granted: Granted,
        before: Option<&Plan>,
        asked_at: Duration,
        endless: bool,
    ) -> Result<Arc<Session>, VaultFailure> {
        let replaceable = self.login.credentials.can_log_in_again();
        let draw = |grant| Plan::draw(asked_at, grant, before, replaceable, &*self.random);
        let plan = granted.grant.map(draw).transpose()?;
        flight.number += 1;
        flight.failures = 0;
        flight.last_failure = None;
        flight.refusals.forget();
        let session = Arc::new(Session {
            token: granted.token,
            number: flight.number,
            plan,
            endless,
            due: AtomicU64::new(match plan {
                Some(plan) => millis(plan.due),
                None if endless => NEVER,
                None => millis(asked_at.saturating_add(LONGEST_REST)),
            }),
            alive_until: AtomicU64::new(0),
        });
        self.current.store(Some(session.clone()));
        Ok(session)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER - 1)
}
