//! The token in use: got when it is first needed, renewed or replaced in time, beside the calls of those who
//! have one that lives, and waited for by those who have none.
//!
//! Left to others: how to log in (`login`), when (`lease`), not again too soon (`refusal`), what is under way
//! (`attempt`), and who drives renewal (`upkeep`).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use vault_crypto_core::{Clock, RandomSource};

use crate::attempt::{Attempt, Attempts, Running, within};
use crate::lease::{Next, Plan};
use crate::login::{self, Login};
use crate::token::Token;
use crate::transport::Transport;
use crate::{VaultFailure, VaultFailureKind};

/// A refused request does not ask whether its token still lives more often than this.
const ALIVE_LASTS: Duration = Duration::from_secs(5);
/// How long upkeep rests at most: somebody else may have logged in meanwhile. And how old a token becomes before
/// it is asked when it ends, where it was given and nobody told.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long the one caller who sees to a token that still lives waits for that.
const EARLY_WAIT: Duration = Duration::from_secs(1);
/// How long a login that is older than a whole call may still take: its answer may lie there unread.
const GRACE: Duration = Duration::from_secs(1);
/// A login that began so long before a caller came may have been left alone since, so that its failure is old.
const OLD: Duration = Duration::from_secs(1);
const NEVER: u64 = u64::MAX;

/// A token and what is known of it.
pub(crate) struct Session {
    pub(crate) token: Token,
    /// Counts tokens and renewals, to tell a replaced one from the current one.
    pub(crate) number: u64,
    /// `None` for a token whose end nobody told, or that has none.
    pub(crate) plan: Option<Plan>,
    /// The server told that this token has no end.
    endless: bool,
    /// When to tend to it, in milliseconds of the monotonic clock.
    due: AtomicU64,
    /// Until when it counts as alive without asking.
    alive_until: AtomicU64,
}

impl Session {
    pub(crate) fn new(
        token: Token,
        number: u64,
        plan: Option<Plan>,
        asked_at: Duration,
        endless: bool,
    ) -> Self {
        let due = match plan {
            Some(plan) => millis(plan.due),
            None if endless => NEVER,
            None => millis(asked_at.saturating_add(LONGEST_REST)),
        };
        Self { token, number, plan, endless, due: due.into(), alive_until: AtomicU64::new(0) }
    }

    /// Never brings it forward.
    pub(crate) fn put_off(&self, until: Duration) {
        self.due.fetch_max(millis(until), Ordering::Relaxed);
    }

    /// The same for one of many who saw that it is `due`.
    fn claim(&self, due: u64, until: Duration) -> bool {
        let (until, order) = (millis(until), Ordering::Relaxed);
        self.due.compare_exchange(due, until, order, order).is_ok()
    }

    fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.plan.is_some_and(|plan| plan.ends <= now)
    }
}

/// The current token, and those who wait for another one.
pub(crate) struct Sessions {
    attempts: Arc<Attempts>,
    /// How long one caller waits for a login.
    patience: Duration,
}

impl Sessions {
    pub(crate) fn new(
        login: Login,
        patience: Duration,
        clock: Arc<dyn Clock>,
        random: Arc<dyn RandomSource>,
    ) -> Self {
        Self { attempts: Arc::new(Attempts::new(login, clock, random)), patience }
    }

    /// A token to use now.
    pub(crate) async fn current(
        &self,
        transport: &Arc<Transport>,
    ) -> Result<Arc<Session>, VaultFailure> {
        let now = self.now();
        match self.session() {
            Some(session) if session.has_ended(now) => {
                self.log_in_after(transport, session.number).await
            }
            Some(session) if millis(now) < session.due() => Ok(session),
            Some(session) => {
                self.tend_to(transport, &session, session.due(), EARLY_WAIT).await;
                Ok(self.session().unwrap_or(session))
            }
            None => self.log_in_after(transport, 0).await,
        }
    }

    /// `call`, and beside it what is under way for the next token. What it does not finish the next call does.
    pub(crate) async fn beside<T>(&self, call: impl Future<Output = T>) -> T {
        let (mut call, mut others) = (pin!(call), None);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let others: &mut [Option<Running>; 2] =
                others.get_or_insert_with(|| self.attempts.under_way());
            for other in others {
                other.take_if(|running| Pin::new(running).poll(cx).is_ready());
            }
            Poll::Pending
        })
        .await
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
        if !self.attempts.login.credentials.can_log_in_again() {
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
        if self.session().is_some_and(|current| current.number > session.number) {
            return true; // Somebody has replaced it already.
        }
        // Older servers say "permission denied" to both; every token may look itself up.
        let now = self.now();
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
        let Some(session) = self.session() else {
            return match self.log_in_after(transport, 0).await {
                Ok(_) => Duration::ZERO,
                Err(_) => self.attempts.back_off(false),
            };
        };
        let (due, unknown) = (session.due(), session.plan.is_none() && !session.endless);
        if unknown || millis(self.now()) >= due {
            self.tend_to(transport, &session, due, self.patience).await;
        }
        let due = self.session().map_or(0, |session| session.due());
        let rest = Duration::from_millis(due.saturating_sub(millis(self.now())));
        rest.clamp(Duration::from_millis(1), LONGEST_REST)
    }

    /// Forgets the token and gives it back.
    pub(crate) fn take(&self) -> Option<Arc<Session>> {
        self.attempts.current.swap(None)
    }

    /// Whether the token was got by a login of ours, so that it is ours to revoke.
    pub(crate) fn owns_its_token(&self) -> bool {
        self.attempts.owns_its_token()
    }

    /// Logs in unless somebody did since session `seen`. All who wait share one login and its failure.
    async fn log_in_after(
        &self,
        transport: &Arc<Transport>,
        seen: u64,
    ) -> Result<Arc<Session>, VaultFailure> {
        let came = self.now();
        let end = came.saturating_add(self.patience);
        loop {
            if let Some(session) = self.session().filter(|session| session.number > seen) {
                return Ok(session);
            }
            let Attempt { begun, running } = self.attempts.logging_in(transport);
            let grace = came.saturating_add(GRACE.min(self.patience / 2));
            let until = begun.saturating_add(self.patience).max(grace).min(end);
            let left = until.saturating_sub(self.now());
            match within(self.clock(), left, running.clone()).await {
                Some(Ok(())) => {}
                // What was wrong then may be right now.
                Some(Err(_)) if begun.saturating_add(OLD) <= came => {}
                Some(Err(failure)) => return Err(failure),
                None if self.now() >= end => {
                    let late = VaultFailure::new(VaultFailureKind::TimedOut, "no answer in time");
                    return Err(late.while_logging_in());
                }
                None => self.attempts.give_up(&running),
            }
        }
    }

    /// Renews or replaces `session`, which is `due`, unless somebody does, and waits for that no longer than
    /// `patience`. The others go on with it.
    async fn tend_to(
        &self,
        transport: &Arc<Transport>,
        session: &Arc<Session>,
        due: u64,
        patience: Duration,
    ) {
        let now = self.now();
        let soon = now.saturating_add(self.attempts.back_off(true));
        if !session.claim(due, soon) {
            return;
        }
        let can_log_in = self.attempts.login.credentials.can_log_in_again();
        let ends = session.plan.map(|plan| plan.ends).filter(|ends| now < *ends);
        let next = match session.plan {
            Some(plan) if ends.is_some() => plan.next,
            Some(_) => Next::LogIn,
            None => Next::Renew,
        };
        let refused = match next {
            Next::Renew => {
                let tending = self.attempts.tending(transport, session, self.patience);
                let outcome = within(self.clock(), patience, tending.running).await;
                outcome.and_then(Result::err).is_some_and(|failure| {
                    failure.kind() == VaultFailureKind::PermissionDenied && can_log_in
                })
            }
            Next::LogIn if can_log_in => true,
            // Nothing can be done for it any more; it works until it ends.
            Next::LogIn => return ends.into_iter().for_each(|ends| session.put_off(ends)),
        };
        if refused {
            let login = self.log_in_after(transport, session.number);
            // It goes on beside the calls, and a failure puts the session off.
            drop(within(self.clock(), patience, login).await);
        }
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.attempts.current.load_full()
    }

    fn clock(&self) -> &dyn Clock {
        &*self.attempts.clock
    }

    fn now(&self) -> Duration {
        self.clock().monotonic()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER - 1)
}
