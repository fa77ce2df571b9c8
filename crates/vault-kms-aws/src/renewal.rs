//! Keeps the credentials of every login, so that one login serves all callers.
//!
//! The SDK has such a cache. With it each of those who wait for a login that fails begins another one, a login ends
//! with the caller who began it, a clock that is wrong costs a login for each call, and nobody logs in before the
//! last moment, when STS may be away. Left to others: how to log in ([`login`](crate::login) and the SDK), and which
//! refusals ask for a new login ([`error`](crate::error)).

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::{ConfigBag, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityCachePartition, IdentityFuture, ResolveCachedIdentity, ResolveIdentity,
    SharedIdentityResolver,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use vault_crypto_core::{Clock, ErrorKind, RandomSource, Result};

use crate::error::{Fault, of_login};

/// How long before their end credentials are used no more, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(10);
/// How long before their end they are renewed at the latest, if that can be had at once; and a minute more, of which
/// each process takes another part, because many began at the same time.
const EARLY: Duration = Duration::from_secs(240);
/// The shortest time between two logins ahead of time.
const EARLY_PAUSE: Duration = Duration::from_secs(60);
/// How long the one caller who renews them ahead of time waits for that.
const EARLY_WAIT: Duration = Duration::from_secs(1);
/// How long credentials serve that do not say it: a file or a variable may hold others meanwhile.
const UNSAID: Duration = Duration::from_secs(900);
/// The shortest time from a login that did not help to the next: one that was refused, or whose credentials were.
const PAUSE: Duration = Duration::from_secs(1);

/// The credentials of one provider: its own, and those that its roles are taken with.
#[derive(Clone)]
pub(crate) struct Logins(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    /// How long one login may take.
    patience: Duration,
    /// How long before their end credentials are renewed.
    early: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often all credentials were given up.
    number: u64,
    given_up_at: Option<Duration>,
    kept: HashMap<IdentityCachePartition, Kept>,
}

/// The login in use, and perhaps the next.
struct Kept {
    login: Login,
    early: Option<Login>,
}

/// A login, under way or over.
struct Login {
    number: u64,
    begun_at: Duration,
    flight: Flight,
}

/// What a caller is to use.
enum Use {
    /// What this login gives.
    Login(Flight),
    /// These credentials, unless the login ahead of their end gives others soon.
    Renewing(Identity, Flight),
}

/// Whoever waits for it drives it on, so it outlives the one who began it.
type Flight = Shared<BoxFuture<'static, Landed>>;

#[derive(Clone)]
struct Landed {
    begun_at: Duration,
    at: Duration,
    until: SystemTime,
    outcome: std::result::Result<Identity, Fault>,
}

impl Logins {
    /// None yet; each may take `patience`.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        random: &dyn RandomSource,
        patience: Duration,
    ) -> Result<Self> {
        let mut part = [0];
        random.fill(&mut part)?;
        let early = EARLY + EARLY_PAUSE * u32::from(part[0]) / 256;
        Ok(Self(Arc::new(Inner { clock, patience, early, state: Mutex::default() })))
    }

    /// The number of the logins in use, for [`give_up`](Self::give_up).
    pub(crate) fn number(&self) -> u64 {
        self.state().number
    }

    /// The credentials of the logins with this number were refused. Whether others will be used from now on: not
    /// if those refused are new themselves.
    pub(crate) fn give_up(&self, refused: u64) -> bool {
        let now = self.0.clock.monotonic();
        let mut state = self.state();
        if state.number != refused {
            return true;
        }
        if state.given_up_at.is_some_and(|at| now.saturating_sub(at) < PAUSE) {
            return false;
        }
        state.number = state.number.wrapping_add(1);
        state.given_up_at = Some(now);
        true
    }

    /// Drops all logins. One under way holds the client that holds these, and would keep all of it for ever.
    pub(crate) fn end(&self) {
        let kept = std::mem::take(&mut self.state().kept);
        drop(kept);
    }

    fn choose(&self, resolver: &SharedIdentityResolver, components: &RuntimeComponents) -> Use {
        let (logins, now) = (&*self.0, self.0.clock.monotonic());
        let mut state = self.state();
        let number = state.number;
        let begin = || {
            let flight = begin(resolver.clone(), components.clone(), Arc::clone(&self.0), now);
            Login { number, begun_at: now, flight: flight.boxed().shared() }
        };
        let first = || Kept { login: begin(), early: None };
        let kept = state.kept.entry(resolver.cache_partition()).or_insert_with(first);
        if let Some(early) = kept.early.take_if(|early| early.has_given()) {
            kept.login = early;
        }
        if !kept.login.is_of_use(number, logins) {
            let early = kept.early.take().filter(|early| early.is_of_use(number, logins));
            kept.login = early.unwrap_or_else(begin);
        }
        let last = kept.early.as_ref().unwrap_or(&kept.login).begun_at;
        match kept.login.ending(logins) {
            Some(identity) if now.saturating_sub(last) >= EARLY_PAUSE => {
                let early = kept.early.insert(begin());
                Use::Renewing(identity, early.flight.clone())
            }
            _ => Use::Login(kept.login.flight.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Login {
    fn has_given(&self) -> bool {
        self.flight.peek().is_some_and(|landed| landed.outcome.is_ok())
    }

    /// Its credentials, if they serve but will not much longer.
    fn ending(&self, logins: &Inner) -> Option<Identity> {
        let (landed, now) = (self.flight.peek()?, logins.clock.now());
        let is_ending = now + MARGIN < landed.until && now + logins.early >= landed.until;
        landed.outcome.as_ref().ok().filter(|_| is_ending).cloned()
    }

    fn is_of_use(&self, number: u64, logins: &Inner) -> bool {
        let (clock, now) = (&logins.clock, logins.clock.monotonic());
        let Some(landed) = self.flight.peek() else { return true };
        let is_new = now.saturating_sub(landed.at) < PAUSE;
        match &landed.outcome {
            Ok(_) if self.number != number => false,
            // A clock that is ahead finds them over at once.
            Ok(_) => is_new || clock.now() + MARGIN < landed.until,
            // Nobody was asked in vain where nobody answered: the next may find somebody.
            Err(fault) => {
                is_new && ![ErrorKind::Unavailable, ErrorKind::TimedOut].contains(&fault.kind)
            }
        }
    }
}

async fn begin(
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    logins: Arc<Inner>,
    begun_at: Duration,
) -> Landed {
    let config = ConfigBag::base();
    // A panic that got out would be everybody's, for ever: all wait for the same login.
    let login = AssertUnwindSafe(resolver.resolve_identity(&components, &config)).catch_unwind();
    let outcome = match Timeout::new(login, logins.clock.sleep(logins.patience)).await {
        Ok(Ok(outcome)) => outcome.map_err(|error| of_login(&*error, logins.clock.now())),
        Ok(Err(_)) => Err(Fault::new(ErrorKind::Internal, "the login broke down inside")),
        Err(_) => resolver.fallback_on_interrupt().ok_or_else(|| {
            Fault::new(ErrorKind::TimedOut, "the credentials' source did not answer in time")
        }),
    };
    let now = logins.clock.now();
    let said = outcome.as_ref().ok().and_then(Identity::expiration);
    let until = said.unwrap_or(now + UNSAID);
    Landed { begun_at, at: logins.clock.monotonic(), until, outcome }
}

impl ResolveCachedIdentity for Logins {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        _: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        IdentityFuture::new(async move {
            let came_at = self.0.clock.monotonic();
            loop {
                let (identity, flight) = match self.choose(&resolver, components) {
                    Use::Renewing(identity, flight) => (identity, flight),
                    Use::Login(flight) => match flight.await {
                        // Whoever came later had more time, above all where nobody drove it on meanwhile.
                        Landed { begun_at, outcome: Err(fault), .. }
                            if fault.kind == ErrorKind::TimedOut && begun_at < came_at =>
                        {
                            continue;
                        }
                        landed => return landed.outcome.map_err(BoxError::from),
                    },
                };
                let landed = Timeout::new(flight, self.0.clock.sleep(EARLY_WAIT)).await;
                return Ok(landed.ok().and_then(|landed| landed.outcome.ok()).unwrap_or(identity));
            }
        })
    }
}

/// Without the credentials.
impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("number", &self.number()).finish_non_exhaustive()
    }
}
